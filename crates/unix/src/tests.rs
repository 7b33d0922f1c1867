//! Order and boundaries, whatever sizes are sent and read. What single calls return is compared with
//! the kernel's in `crates/sockeye/tests/unix`.

use crate::{Credentials, Outgoing, Request, SocketType, Unix};
use bytes::Bytes;
use proptest::prelude::*;
use sockeye_core::context::Parts;
use sockeye_core::{Config, Error, Instant};

const OWN: Credentials = Credentials {
    pid: 1,
    uid: 2,
    gid: 3,
};

/// Sends `pieces` and reads with `rooms` in turn whenever there is no more room; all that arrived.
fn carry(ty: SocketType, pieces: &[Vec<u8>], rooms: &[usize]) -> Vec<Vec<u8>> {
    let mut parts = Parts::new(Config::default(), [0; 32]);
    let mut unix = Unix::default();
    let mut cx = parts.context(Instant::ZERO);
    let (from, to) = unix.pair(&mut cx, ty, OWN).unwrap();
    let mut rooms = rooms.iter().cycle();
    let mut arrived = Vec::new();
    let mut read = |unix: &mut Unix, cx: &mut sockeye_core::Context<'_>| {
        let request = Request {
            len: *rooms.next().unwrap(),
            ..Request::default()
        };
        let received = unix.receive(cx, to, request)?;
        assert_eq!(
            received.data.iter().map(Bytes::len).sum::<usize>(),
            received.len
        );
        arrived.push(received.data.concat());
        Ok::<(), Error>(())
    };
    for piece in pieces {
        let mut rest = Bytes::from(piece.clone());
        loop {
            let beside = &mut Outgoing::default();
            match unix.send_message(&mut cx, from, &mut rest, None, beside) {
                Ok(_) if rest.is_empty() => break,
                Ok(_) => {}
                Err(Error::WouldBlock) => read(&mut unix, &mut cx).unwrap(),
                Err(error) => panic!("{error}"),
            }
        }
    }
    while read(&mut unix, &mut cx).is_ok() {}
    assert_eq!(unix.queued_out(from), Ok(0));
    arrived
}

fn pieces() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let size = prop_oneof![0..20_usize, 0..5_000_usize, 30_000..90_000_usize];
    prop::collection::vec(
        (size, any::<u8>()).prop_map(|(n, byte)| vec![byte; n]),
        0..40,
    )
}

proptest! {
    #[test]
    fn a_stream_keeps_order(pieces in pieces(), rooms in prop::collection::vec(1..70_000_usize, 1..9)) {
        let arrived = carry(SocketType::Stream, &pieces, &rooms);
        prop_assert!(arrived.concat() == pieces.concat());
    }

    #[test]
    fn messages_keep_order_and_boundaries(pieces in pieces(), room in 0..90_000_usize) {
        for ty in [SocketType::Datagram, SocketType::SeqPacket] {
            let arrived = carry(ty, &pieces, &[room]);
            let cut = pieces.iter().map(|piece| piece[..room.min(piece.len())].to_vec());
            prop_assert!(arrived == cut.collect::<Vec<_>>());
        }
    }
}
