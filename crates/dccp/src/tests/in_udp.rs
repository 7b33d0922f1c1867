//! DCCP in UDP (RFC 6773).

use super::pair::{A, B, LINK, Pair, Wire};
use crate::State;
use core::time::Duration;
use sockeye_core::transport::IcmpErrorKind;
use sockeye_core::{
    Config, DccpConfig, Error, IcmpError, IpInfo, OptionValue, Packet, SocketId, SocketOption,
    Transport,
};
use sockeye_link::UdpPorts;
use sockeye_wire::IpProtocol;
use sockeye_wire::dccp::{Header, Kind, PacketType, ResetCode, Seq};

/// RFC 6773 §3.8: where DCCP in UDP is.
const PORT: u16 = 6511;

fn pair() -> Pair {
    let config = Config {
        dccp: DccpConfig {
            udp_port: PORT,
            encap_port: 0,
        },
        ..Config::default()
    };
    Pair::with(Wire::default(), config, 1)
}

fn opened(pair: &mut Pair) -> (SocketId, SocketId) {
    let listener = pair.listen();
    let a = pair.socket(A, &[]);
    pair.host(A).0.set_encapsulation(a, PORT).unwrap();
    pair.dial(a);
    let b = pair.accept(listener).expect("a connection to accept");
    pair.run_until(|pair| pair.state(A, a) == State::Open);
    (a, b)
}

/// RFC 6773 §3.3: the checksum of DCCP SHOULD be zero, that of UDP takes its place.
#[test]
fn a_connection_in_udp() {
    let mut pair = pair();
    let (a, b) = opened(&mut pair);
    pair.send(A, a, b"there").unwrap();
    pair.send(B, b, b"and back").unwrap();
    pair.run_for(Duration::from_millis(100));
    assert_eq!(pair.recv(B, b), Ok(b"there".to_vec()));
    assert_eq!(pair.recv(A, a), Ok(b"and back".to_vec()));
    assert!(
        pair.log
            .iter()
            .all(|(_, header, _, _)| header.checksum == 0)
    );
    pair.close(A, a);
    pair.close(B, b);
    pair.run_dry();
    assert!(pair.is_clean(A));
}

/// RFC 6773 §3.7: the header of UDP counts.
#[test]
fn the_path_carries_less_in_udp() {
    let mut pair = pair();
    let (a, _) = opened(&mut pair);
    let (dccp, mut cx) = pair.host(A);
    let size = dccp.max_packet_size(&mut cx, a).unwrap();
    assert_eq!(size, 1500 - 20 - 8 - 24 - 32);
    pair.send(A, a, &vec![7; size]).unwrap();
    pair.run_for(Duration::from_millis(100));
}

/// RFC 6773 §3.3.1: partial checksums are agreed on all the same.
#[test]
fn checksum_coverage_is_negotiated_in_udp() {
    let mut pair = pair();
    let listener = pair.socket(
        B,
        &[(SocketOption::DccpReceiveCoverage, OptionValue::Int(1))],
    );
    pair.listen_on(listener, 1);
    let a = pair.socket(A, &[(SocketOption::DccpSendCoverage, OptionValue::Int(1))]);
    pair.host(A).0.set_encapsulation(a, PORT).unwrap();
    pair.dial(a);
    let b = pair.accept(listener).unwrap();
    pair.send(A, a, &[7; 100]).unwrap();
    pair.run_for(Duration::from_millis(100));
    assert_eq!(pair.recv(B, b), Ok(vec![7; 100]));
    let covered = pair.log.iter().filter(|(_, _, _, data)| *data > 0);
    assert!({ covered }.all(|(_, header, _, _)| header.coverage == 1));
}

/// Who takes no DCCP in UDP can't get an answer.
#[test]
fn a_node_without_a_port_opens_none() {
    let mut pair = Pair::new(Wire::default());
    let a = pair.socket(A, &[]);
    let (dccp, mut cx) = pair.host(A);
    dccp.set_encapsulation(a, PORT).unwrap();
    let to = "[::ffff:10.0.0.2]:80".parse().unwrap();
    assert_eq!(dccp.connect(&mut cx, a, to), Err(Error::NotSupported));
}

/// A packet to B from DCCP port 5000 of a client, in UDP from `port`.
fn hand(pair: &mut Pair, port: u16, seq: u64, kind: Kind) {
    let header = Header {
        source_port: 5000,
        destination_port: 80,
        options_len: 0,
        ccval: 0,
        coverage: 0,
        // RFC 6773 §3.3: MUST be ignored.
        checksum: 0xbad,
        extended: true,
        seq: Seq::new(seq),
        kind,
    };
    let mut bytes = vec![0; header.header_len()];
    header.emit(&mut bytes);
    let mut packet = Packet::from_slice(&bytes);
    packet.meta.encap = Some(UdpPorts {
        source: port,
        destination: PORT,
    });
    let info = IpInfo {
        interface: LINK,
        source: "10.0.0.1".parse().unwrap(),
        destination: "10.0.0.2".parse().unwrap(),
        protocol: IpProtocol::DCCP,
        hop_limit: 64,
        traffic_class: 0,
        flow_label: 0,
        header_len: 20,
        local: true,
        broadcast: false,
    };
    let (dccp, mut cx) = pair.host(B);
    dccp.on_packet(&mut cx, &info, packet);
    pair.run_for(Duration::ZERO);
}

/// RFC 6773 §3.8: two clients behind one translator may have the same DCCP port: MUST be told apart by
/// all six.
#[test]
fn clients_behind_one_translator_are_two() {
    let mut pair = pair();
    let listener = pair.listen();
    pair.lose = Box::new(|_, _| true);
    let mut accepted = Vec::new();
    for (n, port) in [40_001, 40_002].into_iter().enumerate() {
        hand(&mut pair, port, 7, Kind::Request { service: 0 });
        let (_, response, _, _) = pair.log.last().unwrap();
        assert_eq!(response.kind.packet_type(), PacketType::Response, "{n}");
        let ack = response.seq;
        hand(&mut pair, port, 8, Kind::Ack(ack));
        let (dccp, mut cx) = pair.host(B);
        accepted.push(dccp.accept(&mut cx, listener).unwrap().0);
    }
    // The Reset of one ends that one.
    let last = pair.log.iter().rev().find(|(from, _, _, _)| *from == B);
    let reset = Kind::Reset {
        ack: last.unwrap().1.seq,
        code: ResetCode::ABORTED,
        data: [0; 3],
    };
    hand(&mut pair, 40_002, 9, reset);
    assert_eq!(pair.state(B, accepted[0]), State::Open);
    assert_eq!(pair.state(B, accepted[1]), State::TimeWait);
}

/// RFC 6773 §3.6: an ICMP error about the datagram is one about the packet in it, where it quotes so
/// much.
#[test]
fn errors_about_the_datagram_reach_the_connection() {
    let mut pair = pair();
    pair.lose = Box::new(|_, _| true);
    let a = pair.socket(A, &[]);
    pair.host(A).0.set_encapsulation(a, PORT).unwrap();
    pair.dial(a);
    pair.run_for(Duration::from_millis(1));
    let (_, request, _, _) = pair.log[0];
    let mut quoted = [PORT.to_be_bytes(), PORT.to_be_bytes(), [0, 28], [0, 0]].concat();
    quoted.resize(8 + request.header_len(), 0);
    request.emit(&mut quoted[8..]);
    for (len, state) in [(8, State::Request), (quoted.len(), State::Closed)] {
        let error = IcmpError {
            kind: IcmpErrorKind::HostUnreachable,
            icmp_type: 3,
            icmp_code: 1,
            from: "10.0.0.2".parse().unwrap(),
            source: "10.0.0.1".parse().unwrap(),
            destination: "10.0.0.2".parse().unwrap(),
            quoted: &quoted[..len],
        };
        let (dccp, mut cx) = pair.host(A);
        // Without the UDP ports it is of no connection.
        assert!(!dccp.on_icmp_error(&mut cx, &error));
        assert_eq!(dccp.on_icmp_error_in_udp(&mut cx, &error), len > 8);
        assert_eq!(pair.state(A, a), state);
    }
}
