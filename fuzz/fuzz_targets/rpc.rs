//! Bytes of libFuzzer's making as RPC: a stream of records, each a call to a server with rpcbind's
//! programs, and each a reply and a value of every kind. Nothing panics, and no reply or record is
//! longer than its limit. (libFuzzer itself watches the memory: `-malloc_limit_mb`.)
//!
//! ```text
//! cargo +nightly fuzz run rpc -- -max_len=8192 -malloc_limit_mb=64 -max_total_time=600
//! ```
#![no_main]

use libfuzzer_sys::fuzz_target;
use sockeye_rpc::message::ReplyHeader;
use sockeye_rpc::record::RecordReader;
use sockeye_rpc::rpcbind::interface::{RpcbRmtcallres, RpcbStat, Rpcblist};
use sockeye_rpc::rpcbind::{Binder, NetId};
use sockeye_rpc::xdr::{Decoder, from_bytes, to_bytes};
use sockeye_rpc::{Peer, Programs};
use std::cell::OnceCell;

const LIMIT: usize = 4096;

thread_local! {
    static PROGRAMS: OnceCell<Programs> = const { OnceCell::new() };
}

fn served() -> Programs {
    let binder = Binder::new(|_, _, _| Err(std::io::ErrorKind::Unsupported.into()));
    binder
        .programs(NetId::Udp, "192.0.2.1.0.111")
        .with_shorthands()
        .with_starttls()
}

fuzz_target!(|input: &[u8]| {
    let mut reader = RecordReader::new(LIMIT);
    let mut rest = input;
    while !rest.is_empty() {
        let room = reader.room();
        let count = rest.len().min(room.len()).min(1500);
        room[..count].copy_from_slice(&rest[..count]);
        reader.filled(count);
        rest = &rest[count..];
        loop {
            match reader.next_record() {
                Ok(Some(record)) => look(record),
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
    look(input);
});

fn look(message: &[u8]) {
    let mut out = Vec::new();
    PROGRAMS.with(|programs| {
        let programs = programs.get_or_init(served);
        programs.dispatch(message, Peer::Local, &mut out, LIMIT);
    });
    assert!(out.len() <= LIMIT, "a reply of {} bytes", out.len());
    let _ = ReplyHeader::decode(&mut Decoder::new(message));
    // What decodes encodes, and decodes as the same.
    if let Ok(value) = from_bytes::<RpcbStat>(message) {
        let bytes = to_bytes(&value).expect("it was decoded");
        assert_eq!(from_bytes(&bytes), Ok(value));
    }
    let _ = from_bytes::<RpcbRmtcallres>(message);
    let _ = from_bytes::<Vec<Rpcblist>>(message);
}
