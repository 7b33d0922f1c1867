//! UDP-Lite (RFC 3828): what the checksum covers.

use super::*;

const ADDRESSES: [&[&str]; 2] = [
    &["10.0.0.1/24", "fd00::1/64"],
    &["10.0.0.2/24", "fd00::2/64"],
];

fn two() -> (Host, Host) {
    (Host::lite(ADDRESSES[0]), Host::lite(ADDRESSES[1]))
}

/// RFC 3828 §3.1: the field where UDP has its length, by what the socket says; 10 bytes of data.
#[test]
fn the_checksum_covers_what_was_asked_for() {
    for (said, reads, field) in [
        (0, 0, 0),
        (1, 8, 8),
        (8, 8, 8),
        (12, 12, 12),
        (18, 18, 0),
        (65_536, 65_535, 0),
        (-1, 8, 8),
    ] {
        for (from, to, header) in [
            ("10.0.0.1:7", "10.0.0.2:9", 20),
            ("[fd00::1]:7", "[fd00::2]:9", 40),
        ] {
            let (mut a, mut b) = two();
            let c = a.bound(from);
            let s = b.bound(to);
            a.set(c, SocketOption::SendCoverage, said).unwrap();
            let (udp, mut cx) = a.cx();
            let read = udp.option(&mut cx, c, SocketOption::SendCoverage);
            assert_eq!(read, Ok(OptionValue::Int(reads)));
            a.send_to(c, b"0123456789", to).unwrap();
            let mut sent = a.sent();
            let bytes = sent[0].to_vec();
            assert_eq!(bytes[header + 4..header + 6], u16::to_be_bytes(field));
            let protocol = bytes[if header == 20 { 9 } else { 6 }];
            assert_eq!(protocol, 136);
            // What it does not cover may be damaged on the way.
            sent[0] = Packet::from_vec({
                let mut damaged = bytes;
                *damaged.last_mut().unwrap() ^= 0xff;
                damaged
            });
            b.arrive(sent);
            let whole = field == 0;
            assert_eq!(b.recv(s).is_err(), whole, "{said}");
            assert_eq!(b.count(Counter::UdpLiteInCsumErrors), u64::from(whole));
            assert_eq!(b.count(Counter::UdpLiteInDatagrams), u64::from(!whole));
        }
    }
}

/// RFC 3828 §3.2.
#[test]
fn too_small_a_coverage_is_not_received() {
    for (wanted, sent, taken) in [
        (0, 8, false),
        (0, 0, true),
        (8, 8, true),
        (12, 8, false),
        (12, 12, true),
        (12, 0, true),
        (100, 12, false),
        (100, 0, true),
    ] {
        let (mut a, mut b) = two();
        let c = a.bound("10.0.0.1:7");
        let s = b.bound("10.0.0.2:9");
        a.set(c, SocketOption::SendCoverage, sent).unwrap();
        b.set(s, SocketOption::ReceiveCoverage, wanted).unwrap();
        a.send_to(c, b"0123456789", "10.0.0.2:9").unwrap();
        b.arrive(a.sent());
        assert_eq!(b.recv(s).is_ok(), taken, "{wanted} {sent}");
    }
}

/// RFC 3828 §3.1: what can't be.
#[test]
fn a_coverage_of_less_than_the_header_is_dropped() {
    for (field, sum) in [(1, 1), (7, 1), (19, 1), (0, 0)] {
        let (mut a, mut b) = two();
        let c = a.bound("10.0.0.1:7");
        let s = b.bound("10.0.0.2:9");
        a.send_to(c, b"0123456789", "10.0.0.2:9").unwrap();
        let mut bytes = a.sent()[0].to_vec();
        udp::set_length(&mut bytes[20..], field);
        if sum == 0 {
            udp::set_checksum(&mut bytes[20..], 0);
        }
        b.arrive(vec![Packet::from_vec(bytes)]);
        assert_eq!(b.recv(s), Err(Error::WouldBlock));
        assert_eq!(b.count(Counter::UdpLiteInErrors), 1);
    }
}

#[test]
fn it_is_not_cut_and_udp_has_no_coverage() {
    let mut a = Host::lite(ADDRESSES[0]);
    let id = a.bound("10.0.0.1:7");
    a.set(id, SocketOption::UdpSegment, 4).unwrap();
    let cut = a.send_to(id, b"aaaabbbb", "10.0.0.2:9");
    assert_eq!(cut, Err(Error::InputOutput));
    let mut full = Host::new(ADDRESSES[0]);
    let id = full.bound("10.0.0.1:7");
    let set = full.set(id, SocketOption::SendCoverage, 8);
    assert_eq!(set, Err(Error::NoProtocolOption));
}
