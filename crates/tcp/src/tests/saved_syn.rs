//! What a listener keeps of SYNs (TCP_SAVE_SYN), and who reads it (TCP_SAVED_SYN).

use super::pair::{A, B, Pair, Wire};
use crate::{SAVED_SYN_MAX, State};
use sockeye_core::{Config, Error, FastOpenMode, OptionValue, SocketId, SocketOption, SynCookies};
use sockeye_wire::tcp::{Flags, Header};
use std::io::IoSlice;

/// A listener on port 80 of B that keeps SYNs as `number` says.
fn listener(pair: &mut Pair, number: i32) -> SocketId {
    let id = pair.listen(80);
    let (tcp, mut cx) = pair.host(B);
    let value = OptionValue::Int(number);
    tcp.set_option(&mut cx, id, SocketOption::SaveSyn, value)
        .unwrap();
    pair.packets = Some(Vec::new());
    id
}

/// The first packet on the wire: the SYN.
fn syn_sent(pair: &Pair) -> Vec<u8> {
    let (from, packet) = &pair.packets.as_ref().unwrap()[0];
    assert_eq!(*from, A);
    packet.to_vec()
}

fn saved(pair: &mut Pair, id: SocketId) -> Result<Vec<u8>, Error> {
    let taken = pair.host(B).0.take_saved_syn(id, SAVED_SYN_MAX);
    taken.map(<[u8]>::into_vec)
}

#[test]
fn who_accepts_reads_the_headers_of_the_syn_once() {
    let mut pair = Pair::new(Wire::default());
    let listener = listener(&mut pair, 1);
    pair.dial(80);
    let id = pair.accept(listener).unwrap();
    let syn = syn_sent(&pair);
    assert_eq!(syn[0], 0x45);
    assert_eq!(Header::parse(&syn[20..]).unwrap().flags, Flags::SYN);
    // What does not fit stays.
    let short = pair.host(B).0.take_saved_syn(id, syn.len() - 1);
    assert_eq!(short, Err(Error::Invalid));
    assert_eq!(saved(&mut pair, id), Ok(syn));
    assert_eq!(saved(&mut pair, id), Ok(Vec::new()));
    assert_eq!(saved(&mut pair, listener), Ok(Vec::new()));
}

#[test]
fn without_being_told_nothing_is_kept() {
    let mut pair = Pair::new(Wire::default());
    let listener = listener(&mut pair, 0);
    pair.dial(80);
    let id = pair.accept(listener).unwrap();
    assert_eq!(saved(&mut pair, id), Ok(Vec::new()));
}

#[test]
fn a_cookie_brings_back_none() {
    let config = Config {
        tcp_syn_cookies: SynCookies::Always,
        ..Config::default()
    };
    let mut pair = Pair::with(Wire::default(), config, 1);
    let listener = listener(&mut pair, 1);
    pair.dial(80);
    let id = pair.accept(listener).unwrap();
    assert_eq!(saved(&mut pair, id), Ok(Vec::new()));
}

#[test]
fn text_on_a_syn_is_no_header() {
    let config = Config {
        tcp_fast_open: FastOpenMode::all(),
        ..Config::default()
    };
    let mut pair = Pair::with(Wire::default(), config, 1);
    let listener = listener(&mut pair, 2);
    let (tcp, mut cx) = pair.host(A);
    let a = tcp.open(&mut cx, sockeye_core::Domain::V4).unwrap();
    let on = OptionValue::Int(1);
    tcp.set_option(&mut cx, a, SocketOption::FastOpenConnect, on)
        .unwrap();
    tcp.connect(&mut cx, a, "10.0.0.2:80".parse().unwrap())
        .unwrap();
    let text = [IoSlice::new(b"hello")];
    let (tcp, mut cx) = pair.host(A);
    tcp.send_open(&mut cx, a, None, &text, false).unwrap();
    let id = pair.accept(listener).unwrap();
    assert_eq!(pair.recv(B, id).unwrap(), b"hello");
    let mut syn = syn_sent(&pair);
    assert!(syn.ends_with(b"hello"));
    syn.truncate(syn.len() - 5);
    // The link has no header.
    assert_eq!(saved(&mut pair, id), Ok(syn));
    pair.run_until(|pair| pair.state(B, id) == State::Established);
}
