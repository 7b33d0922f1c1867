//! Datagrams without checksums (RFC 768, RFC 6935, RFC 6936).

use super::*;

fn sum_of(packet: &Packet, header_len: usize) -> [u8; 2] {
    let bytes = packet.to_vec();
    [bytes[header_len + 6], bytes[header_len + 7]]
}

/// SO_NO_CHECK, of IPv4 alone.
#[test]
fn without_checksums_over_ipv4() {
    let (mut a, mut b) = pair();
    let c = a.bound("[::]:7");
    let s = b.bound("[::]:9");
    a.set(c, SocketOption::NoCheck, 1).unwrap();
    a.send_to(c, b"v4", "[::ffff:10.0.0.2]:9").unwrap();
    a.send_to(c, b"v6", "[fd00::2]:9").unwrap();
    let sent = a.sent();
    assert_eq!(sum_of(&sent[0], 20), [0, 0]);
    assert_ne!(sum_of(&sent[1], 40), [0, 0]);
    b.arrive(sent);
    assert_eq!(b.text(s), Ok("v4".into()));
    assert_eq!(b.text(s), Ok("v6".into()));
}

/// RFC 6936 §5: sender and receiver each have to say so, port by port.
#[test]
fn without_checksums_over_ipv6_where_both_agree() {
    for (said, taken) in [(0, false), (1, true)] {
        let (mut a, mut b) = pair();
        let c = a.bound("[fd00::1]:7");
        let s = b.bound("[fd00::2]:9");
        a.set(c, SocketOption::UdpNoCheck6Tx, 1).unwrap();
        b.set(s, SocketOption::UdpNoCheck6Rx, said).unwrap();
        a.send_to(c, b"tunnel", "[fd00::2]:9").unwrap();
        let sent = a.sent();
        assert_eq!(sum_of(&sent[0], 40), [0, 0]);
        b.arrive(sent);
        assert_eq!(b.text(s).is_ok(), taken);
        assert_eq!(b.count(Counter::UdpInCsumErrors), u64::from(!taken));
        // Who has a checksum is heard all the same, if it is right.
        a.set(c, SocketOption::UdpNoCheck6Tx, 0).unwrap();
        a.send_to(c, b"summed", "[fd00::2]:9").unwrap();
        b.arrive(a.sent());
        assert_eq!(b.text(s), Ok("summed".into()));
    }
}

/// RFC 6936 §5: nobody is told that a port without a socket is closed, when nothing says whose the
/// datagram was.
#[test]
fn without_a_socket_it_is_dropped() {
    let (mut a, mut b) = pair();
    let c = a.bound("[fd00::1]:7");
    a.set(c, SocketOption::UdpNoCheck6Tx, 1).unwrap();
    a.send_to(c, b"tunnel", "[fd00::2]:9").unwrap();
    assert!(b.arrive(a.sent()).is_empty());
    assert_eq!(b.count(Counter::UdpNoPorts), 0);
    assert_eq!(b.count(Counter::UdpInCsumErrors), 1);
}
