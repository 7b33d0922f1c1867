//! ICMP errors (RFC 9260 §10).

use super::opening::dialled;
use super::pair::{A, PORT, Pair};
use crate::{AssocId, State};
use sockeye_core::transport::IcmpErrorKind;
use sockeye_core::{Error, IcmpError, SocketId, Transport};
use sockeye_wire::sctp::ChunkType;

/// An error about a packet of A: its ports, its tag, what follows the common header. True when A says
/// that it is about one of its associations.
fn error(pair: &mut Pair, kind: IcmpErrorKind, ports: (u16, u16), tag: u32, rest: &[u8]) -> bool {
    let mut quoted = Vec::new();
    quoted.extend(ports.0.to_be_bytes());
    quoted.extend(ports.1.to_be_bytes());
    quoted.extend(tag.to_be_bytes());
    quoted.extend(rest);
    let (sctp, mut cx) = pair.host(A);
    let error = IcmpError {
        kind,
        icmp_type: 3,
        icmp_code: 2,
        from: "10.0.0.2".parse().unwrap(),
        source: "10.0.0.1".parse().unwrap(),
        destination: "10.0.0.2".parse().unwrap(),
        quoted: &quoted,
    };
    sctp.on_icmp_error(&mut cx, &error)
}

fn established() -> (Pair, SocketId, (u16, u16), u32) {
    let mut pair = Pair::new();
    let (a, _) = pair.association();
    let id = pair.hosts[A].sctp.all()[0];
    let association = pair.hosts[A].sctp.association(id).unwrap();
    let ports = (association.local_port, PORT);
    let tag = association.tags.peer;
    (pair, a, ports, tag)
}

/// RFC 9260 §10-1, §10-2, §10-3, §12.4-1: what has not our ports and the peer's tag is not about us;
/// nor what is too short to say.
#[test]
fn errors_must_quote_the_tag() {
    let (mut pair, a, ports, tag) = established();
    for kind in [
        IcmpErrorKind::ProtocolUnreachable,
        IcmpErrorKind::PacketTooBig { mtu: 600 },
    ] {
        assert!(!error(&mut pair, kind, ports, tag ^ 1, &[]));
        assert!(!error(&mut pair, kind, ports, 0, &[]));
        assert!(!error(&mut pair, kind, (ports.0 ^ 1, ports.1), tag, &[]));
    }
    assert_eq!(pair.state(A, a), State::Established);
    assert!(error(
        &mut pair,
        IcmpErrorKind::PacketTooBig { mtu: 600 },
        ports,
        tag,
        &[]
    ));
}

/// RFC 9260 §10-4: as an ABORT that reflects; RFC 9260 §10-5: a port that is unreachable says nothing, as SCTP
/// itself would have answered.
#[test]
fn a_host_without_sctp_ends_the_association() {
    let (mut pair, a, ports, tag) = established();
    assert!(error(
        &mut pair,
        IcmpErrorKind::PortUnreachable,
        ports,
        tag,
        &[]
    ));
    assert!(error(
        &mut pair,
        IcmpErrorKind::HostUnreachable,
        ports,
        tag,
        &[]
    ));
    assert_eq!(pair.state(A, a), State::Established);
    assert!(error(
        &mut pair,
        IcmpErrorKind::ProtocolUnreachable,
        ports,
        tag,
        &[]
    ));
    assert_eq!(pair.state(A, a), State::Closed);
    let (sctp, _) = pair.host(A);
    assert!(sctp.status(a, AssocId::FUTURE).is_err());
}

/// RFC 9260 §10 ICMP6 and ICMP8: an INIT has the tag 0, and our initiate tag behind it; it counts in
/// COOKIE-WAIT.
#[test]
fn an_init_to_a_host_without_sctp() {
    let mut pair = Pair::new();
    pair.wires[0].cut = true;
    let (init, ports, a) = dialled(&mut pair);
    let ports = (ports.1, ports.0);
    let rest = |tag: [u8; 4]| [&[0; 4][..], &[ChunkType::INIT.0, 0, 0, 20], &tag].concat();
    let own: [u8; 4] = init[4..8].try_into().unwrap();
    let kind = IcmpErrorKind::ProtocolUnreachable;
    assert!(!error(&mut pair, kind, ports, 0, &rest([9; 4])));
    assert_eq!(pair.state(A, a), State::CookieWait);
    assert!(error(&mut pair, kind, ports, 0, &rest(own)));
    let (sctp, _) = pair.host(A);
    assert_eq!(sctp.connected(a), Err(Error::ProtocolUnreachable));
}
