//! Packets that ask for a router's attention, and the raw sockets that give it to them.

use super::*;
use sockeye_core::{Domain, OptionValue, SocketId, SocketOption};
use sockeye_node::Error;
use sockeye_wire::{ipv4_options, ipv6_ext};

/// What each family says before the bytes of [`Probe::PROTOCOL`].
fn asking(addresses: [&str; 2], value: u16) -> Packet {
    if !addresses[0].contains(':') {
        let [high, low] = value.to_be_bytes();
        let option = [&ipv4_options::ROUTER_ALERT_OPTION[..2], &[high, low]].concat();
        return packet_v4(addresses, 100, |header| {
            header.options = RawOptions::from_slice(&option).unwrap();
        });
    }
    let len = (100 + ipv6_ext::ROUTER_ALERT_LEN) as u16;
    let mut packet = Packet::from_slice(&[7; 100]);
    let hop_options = packet.push(ipv6_ext::ROUTER_ALERT_LEN);
    ipv6_ext::emit_router_alert(Probe::PROTOCOL, value, hop_options);
    let [from, to] = addresses.map(|address| address.parse().unwrap());
    let header = ipv6::Header::new(from, to, IpProtocol::HOP_BY_HOP, len);
    header.emit(packet.push(ipv6::HEADER_LEN));
    packet
}

fn open(node: &mut Node, domain: Domain, protocol: IpProtocol) -> SocketId {
    let (raw, mut cx) = node.raw(NOW);
    raw.open(&mut cx, domain, protocol).unwrap()
}

fn set(node: &mut Node, id: SocketId, option: SocketOption, value: i32) -> Result<(), Error> {
    let (raw, mut cx) = node.raw(NOW);
    raw.set_option(&mut cx, id, option, OptionValue::Int(value))
}

fn received(node: &mut Node, id: SocketId) -> Option<Vec<u8>> {
    let (raw, mut cx) = node.raw(NOW);
    let mut buffer = vec![0; 10_000];
    let got = raw.recv(&mut cx, id, &mut buffer, false).ok()?;
    Some(buffer[..got.len].to_vec())
}

/// RFC 2113 §2.1: by protocol.
#[test]
fn who_has_asked_gets_them_instead_of_the_next_router() {
    let mut node = plain(1500);
    let own = open(&mut node, Domain::V4, Probe::PROTOCOL);
    let other = open(&mut node, Domain::V4, IpProtocol(254));
    let onward = |node: &mut Node, value| offer(node, asking(V4, value)).len();
    assert_eq!(onward(&mut node, 0), 1, "nobody has asked");
    for id in [own, other] {
        set(&mut node, id, SocketOption::RouterAlert, 1).unwrap();
    }
    assert_eq!(onward(&mut node, 0), 0);
    let packet = asking(V4, 0).to_vec();
    assert_eq!(received(&mut node, own), Some(packet), "with its header");
    assert_eq!(received(&mut node, other), None);
    assert_eq!(onward(&mut node, 1), 1, "a value that means nothing");
    assert_eq!(offer(&mut node, packet_v4(V4, 100, |_| ())).len(), 1);
    // Bound to an interface it wants what comes by that.
    set(&mut node, own, SocketOption::BindToIndex, 3).unwrap();
    assert_eq!(onward(&mut node, 0), 1);
    set(&mut node, own, SocketOption::BindToIndex, 2).unwrap();
    assert_eq!(onward(&mut node, 0), 0);
    set(&mut node, own, SocketOption::RouterAlert, 0).unwrap();
    assert_eq!(onward(&mut node, 0), 1);
    // Nor does one that is gone want any.
    set(&mut node, own, SocketOption::RouterAlert, 1).unwrap();
    let (raw, mut cx) = node.raw(NOW);
    raw.close(&mut cx, own).unwrap();
    assert_eq!(onward(&mut node, 0), 1);
}

/// Its hops don't matter, and it is put together first.
#[test]
fn it_is_seen_whole_and_with_all_its_hops() {
    let mut node = plain(1500);
    let own = open(&mut node, Domain::V4, Probe::PROTOCOL);
    set(&mut node, own, SocketOption::RouterAlert, 1).unwrap();
    for (offset, more) in [(10, false), (0, true)] {
        let piece = packet_v4(V4, 80, |header| {
            header.options = RawOptions::from_slice(&ipv4_options::ROUTER_ALERT_OPTION).unwrap();
            (header.ttl, header.identification) = (1, 9);
            (header.fragment_offset, header.more_fragments) = (offset * 8, more);
        });
        assert_eq!(offer(&mut node, piece), [""; 0]);
    }
    let whole = received(&mut node, own).unwrap();
    assert_eq!((whole.len(), whole[8]), (24 + 160, 1));
    assert_eq!(count(&node, Counter::IpReasmOKs), 1);
}

/// RFC 2711 §2.1: by value.
#[test]
fn over_ipv6_the_value_says_whose_it_is() {
    let mut node = plain(1500);
    let own = open(&mut node, Domain::V6, IpProtocol::RAW);
    set(&mut node, own, SocketOption::RouterAlertV6, 1).unwrap();
    let onward = |node: &mut Node, value| offer(node, asking(V6, value)).len();
    assert_eq!([onward(&mut node, 0), onward(&mut node, 1)], [1, 0]);
    let packet = asking(V6, 1).to_vec();
    assert_eq!(received(&mut node, own), Some(packet), "with its header");
    set(&mut node, own, SocketOption::RouterAlertV6, -1).unwrap();
    assert_eq!(onward(&mut node, 1), 1);
}

/// A packet that nobody takes away fills the socket's buffer, and no more than that.
#[test]
fn a_full_buffer_drops_and_counts() {
    let mut node = plain(1500);
    let own = open(&mut node, Domain::V4, Probe::PROTOCOL);
    set(&mut node, own, SocketOption::RouterAlert, 1).unwrap();
    set(&mut node, own, SocketOption::ReceiveBuffer, 0).unwrap();
    for _ in 0..100 {
        offer(&mut node, asking(V4, 0));
    }
    assert!(count(&node, Counter::RawRcvbufErrors) > 50);
    assert_eq!(count(&node, Counter::IpForwDatagrams), 0);
}

/// ip(7) and ipv6(7), by what Linux answers.
#[test]
fn it_is_set_once_and_taken_back_once() {
    let mut node = plain(1500);
    let (alert, alert_v6) = (SocketOption::RouterAlert, SocketOption::RouterAlertV6);
    let probe = open(&mut node, Domain::V4, Probe::PROTOCOL);
    let any = open(&mut node, Domain::V6, IpProtocol::RAW);
    for (id, option, value, outcome) in [
        (probe, alert, 0, Err(Error::NoBufferSpace)),
        (probe, alert, 1, Ok(())),
        (probe, alert, 5, Err(Error::AddressInUse)),
        (probe, alert, 0, Ok(())),
        (probe, alert_v6, 0, Err(Error::NoProtocolOption)),
        (any, alert, 1, Err(Error::NoProtocolOption)),
        (any, alert_v6, -1, Err(Error::NoBufferSpace)),
        (any, alert_v6, 0, Ok(())),
        (any, alert_v6, 7, Err(Error::AddressInUse)),
        (any, alert_v6, -7, Ok(())),
    ] {
        assert_eq!(
            set(&mut node, id, option, value),
            outcome,
            "{option:?} {value}"
        );
    }
    let every = open(&mut node, Domain::V4, IpProtocol::RAW);
    assert_eq!(set(&mut node, every, alert, 1), Err(Error::Invalid));
    let six = open(&mut node, Domain::V6, Probe::PROTOCOL);
    assert_eq!(
        set(&mut node, six, alert_v6, 1),
        Err(Error::NoProtocolOption)
    );
}
