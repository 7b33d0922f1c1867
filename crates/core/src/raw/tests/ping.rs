//! Ping sockets: icmp(7).

use super::*;
use crate::Report;
use crate::datagram::ErrorReport;

const REQUEST_V4: [u8; 10] = [8, 0, 9, 9, 9, 9, 0, 1, b'h', b'i'];
const REQUEST_V6: [u8; 10] = [128, 0, 9, 9, 9, 9, 0, 1, b'h', b'i'];

fn open(host: &mut Host, domain: Domain) -> SocketId {
    let (ping, mut cx) = host.ping();
    ping.open(&mut cx, domain).unwrap()
}

fn bind(host: &mut Host, id: SocketId, local: &str) -> Result<(), Error> {
    let (ping, mut cx) = host.ping();
    ping.bind(&mut cx, id, local.parse().unwrap())
}

fn send(host: &mut Host, id: SocketId, data: &[u8], to: &str) -> Result<usize, Error> {
    let (ping, mut cx) = host.ping();
    let to = Some(with_port(to));
    let options = SendOptions::default();
    ping.send(&mut cx, id, &[IoSlice::new(data)], to, &options)
}

fn recv(host: &mut Host, id: SocketId) -> Result<(Vec<u8>, String), Error> {
    let (ping, mut cx) = host.ping();
    let mut buffer = vec![0; 2000];
    let got = ping.recv(&mut cx, id, &mut buffer, false)?;
    buffer.truncate(got.copied);
    Ok((buffer, got.from.to_string()))
}

#[test]
fn a_request_gets_its_identifier_and_its_reply() {
    for (domain, local, peer, request) in [
        (Domain::V4, "10.0.0.1", "10.0.0.2", REQUEST_V4),
        (Domain::V6, "fd00::1", "fd00::2", REQUEST_V6),
    ] {
        let mut a = Host::new();
        let id = open(&mut a, domain);
        assert_eq!(send(&mut a, id, &request, peer), Ok(10));
        let ident = a.ping.local_addr(id).unwrap().port();
        assert_ne!(ident, 0);
        let wanted = echo(local, peer, request[0], ident, 1, b"hi");
        let sent = a.sent().remove(0);
        let header = sent.len() - 10;
        assert_eq!(sent[header..], wanted[header..]);

        let kind = if domain == Domain::V4 { 0 } else { 129 };
        a.arrive(&echo(peer, local, kind, ident.wrapping_add(1), 1, b"other"));
        a.arrive(&echo(peer, local, kind, ident, 1, b"hi"));
        // A request is not for ping sockets.
        a.arrive(&echo(peer, local, request[0], ident, 1, b"hi"));
        let reply = echo(peer, local, kind, ident, 1, b"hi").split_off(header);
        assert_eq!(recv(&mut a, id), Ok((reply, with_port(peer).to_string())));
        assert_eq!(recv(&mut a, id), Err(Error::WouldBlock));
    }
}

#[test]
fn only_echo_requests_are_sent() {
    let mut a = Host::new();
    let id = open(&mut a, Domain::V4);
    for bad in [
        &REQUEST_V4[..7],
        &[0, 0, 0, 0, 0, 0, 0, 0],
        &[8, 1, 0, 0, 0, 0, 0, 0],
        &REQUEST_V6,
    ] {
        assert_eq!(send(&mut a, id, bad, "10.0.0.2"), Err(Error::Invalid));
    }
    assert_eq!(
        send(&mut a, id, &REQUEST_V4, "fd00::2"),
        Err(Error::AddressFamily)
    );
    let v6 = open(&mut a, Domain::V6);
    let mapped = send(&mut a, v6, &REQUEST_V6, "::ffff:10.0.0.2");
    assert_eq!(mapped, Err(Error::Invalid));
    assert!(a.sent().is_empty());
}

#[test]
fn identifiers_are_shared_like_linuxs() {
    let mut a = Host::new();
    let [first, second, v6] = [Domain::V4, Domain::V4, Domain::V6].map(|d| open(&mut a, d));
    bind(&mut a, first, "0.0.0.0:77").unwrap();
    let shares = open(&mut a, Domain::V4);
    assert_eq!(bind(&mut a, shares, "10.0.0.1:77"), Ok(()));
    let of_all = open(&mut a, Domain::V4);
    assert_eq!(
        bind(&mut a, of_all, "224.0.0.77:0"),
        Err(Error::AddressNotAvailable)
    );
    assert_eq!(
        bind(&mut a, second, "10.0.0.99:78"),
        Err(Error::AddressNotAvailable)
    );
    bind(&mut a, v6, "[::]:77").unwrap();
    bind(&mut a, second, "10.0.0.1:78").unwrap();
    a.arrive(&echo("10.0.0.2", "10.0.0.1", 0, 78, 1, b""));
    assert!(recv(&mut a, second).is_ok());
    a.arrive(&echo("10.0.0.2", "10.0.0.3", 0, 78, 1, b""));
    assert_eq!(recv(&mut a, second), Err(Error::WouldBlock));
    let (ping, mut cx) = a.ping();
    ping.close(&mut cx, first).unwrap();
    let again = open(&mut a, Domain::V4);
    bind(&mut a, again, "0.0.0.0:77").unwrap();
}

#[test]
fn an_error_goes_to_whom_the_identifier_belongs() {
    let mut a = Host::new();
    let [connected, curious] = [open(&mut a, Domain::V4), open(&mut a, Domain::V4)];
    bind(&mut a, connected, "0.0.0.0:1").unwrap();
    bind(&mut a, curious, "0.0.0.0:2").unwrap();
    let (ping, mut cx) = a.ping();
    let peer = Some(with_port("10.0.0.2"));
    ping.connect(&mut cx, connected, peer).unwrap();
    assert_eq!(
        ping.local_addr(connected),
        Ok("10.0.0.1:1".parse().unwrap())
    );
    let flag = OptionValue::Flag(true);
    ping.set_option(&mut cx, curious, SocketOption::ReceiveErrors, flag)
        .unwrap();
    for (ident, code) in [(1, 13), (2, 1), (3, 1)] {
        let mut message = vec![3, code, 0, 0, 0, 0, 0, 0];
        message.extend(echo("10.0.0.1", "10.0.0.2", 8, ident, 5, b""));
        icmpv4::fill_checksum(&mut message);
        a.arrive(&packet(
            "10.0.0.254",
            "10.0.0.1",
            IpProtocol::ICMP,
            &message,
        ));
    }
    assert_eq!(
        a.ping.take_error(connected),
        Ok(Some(Error::HostUnreachable))
    );
    assert_eq!(recv(&mut a, curious), Err(Error::HostUnreachable));
    let (Report::Error(report), Some(to)) = a.ping.recv_error(curious).unwrap() else {
        panic!("not of an error");
    };
    let ErrorReport {
        offender, payload, ..
    } = report;
    assert_eq!(offender, Some("10.0.0.254".parse().unwrap()));
    assert_eq!(to, with_port("10.0.0.2"));
    assert_eq!(payload[..2], [8, 0]);
    assert_eq!(payload[4..8], [0, 2, 0, 5]);
}

#[test]
fn a_closed_socket_hears_nothing() {
    let mut a = Host::new();
    let id = open(&mut a, Domain::V4);
    bind(&mut a, id, "0.0.0.0:1").unwrap();
    let (ping, mut cx) = a.ping();
    ping.close(&mut cx, id).unwrap();
    a.arrive(&echo("10.0.0.2", "10.0.0.1", 0, 1, 1, b""));
    assert!(a.ping.sockets().is_empty());
    assert_eq!(recv(&mut a, id), Err(Error::BadSocket));
}
