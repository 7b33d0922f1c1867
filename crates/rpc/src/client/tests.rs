//! The blocking client and server against each other, over the system's loopback and a pair of
//! sockeye's nodes.

use super::*;
use crate::backoff::Backoff;
use crate::message::AuthSys;
use crate::testing::{COUNT, DOUBLE, FILL, PROGRAM, SILENT, SLEEP, WHO, desk, nodes, server};
use crate::xdr::Opaque;
use crate::{Client, Limits, Programs, Server};
use sockeye::Node;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

fn over_unix(server: &Server) -> Client {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let server = server.clone();
    thread::spawn(move || server.serve_stream(&theirs, crate::Peer::Local));
    Client::stream(ours, PROGRAM, 1)
}

fn over_tcp(server: &Server) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = server.clone();
    thread::spawn(move || server.serve(&listener));
    Client::stream(TcpStream::connect(address).unwrap(), PROGRAM, 1)
}

fn over_udp(server: &Server) -> Client {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let server = server.clone();
    thread::spawn(move || server.serve_datagrams(&socket));
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    Client::datagram(socket, address, PROGRAM, 1)
}

fn over_sockeye_tcp(server: &Server, nodes: &(Node, Node)) -> Client {
    let listener = sockeye::net::TcpListener::bind_on(&nodes.1, "10.0.0.2:2049").unwrap();
    let server = server.clone();
    thread::spawn(move || server.serve(&listener));
    let stream = sockeye::net::TcpStream::connect_on(&nodes.0, "10.0.0.2:2049").unwrap();
    stream.set_nodelay(true).unwrap();
    Client::stream(stream, PROGRAM, 1)
}

fn over_sockeye_sctp(server: &Server, nodes: &(Node, Node)) -> Client {
    let listener = sockeye::net::SctpListener::bind_on(&nodes.1, "10.0.0.2:2049").unwrap();
    let server = server.clone();
    thread::spawn(move || server.serve(&listener));
    let stream = sockeye::net::SctpStream::connect_on(&nodes.0, "10.0.0.2:2049").unwrap();
    Client::stream(stream, PROGRAM, 1)
}

fn over_sockeye_unix(server: &Server, nodes: &(Node, Node)) -> Client {
    let name = sockeye::unix::SocketAddr::from_abstract_name("rpc").unwrap();
    let listener = sockeye::unix::UnixListener::bind_on(&nodes.0, &name).unwrap();
    let server = server.clone();
    thread::spawn(move || server.serve(&listener));
    let stream = sockeye::unix::UnixStream::connect_on(&nodes.0, &name).unwrap();
    Client::stream(stream, PROGRAM, 1)
}

fn over_sockeye_udp(server: &Server, nodes: &(Node, Node)) -> Client {
    let socket = sockeye::net::UdpSocket::bind_on(&nodes.1, "10.0.0.2:2049").unwrap();
    let server = server.clone();
    thread::spawn(move || server.serve_datagrams(&socket));
    let socket = sockeye::net::UdpSocket::bind_on(&nodes.0, "10.0.0.1:0").unwrap();
    Client::datagram(socket, "10.0.0.2:2049".parse().unwrap(), PROGRAM, 1)
}

#[test]
fn calls_return_over_every_transport() {
    let (server, nodes) = (server(), nodes());
    let clients = [
        over_unix(&server),
        over_tcp(&server),
        over_udp(&server),
        over_sockeye_tcp(&server, &nodes),
        over_sockeye_sctp(&server, &nodes),
        over_sockeye_unix(&server, &nodes),
        over_sockeye_udp(&server, &nodes),
    ];
    for client in &clients {
        assert_eq!(client.call::<u32>(DOUBLE, &21_u32).unwrap(), 42);
        client.call::<()>(0, &()).unwrap();
    }
    assert_eq!(server.counters().replies.get(), 14);
}

#[test]
fn a_mebibyte_fits_every_stream() {
    let (server, nodes) = (server(), nodes());
    let clients = [
        over_unix(&server),
        over_tcp(&server),
        over_sockeye_tcp(&server, &nodes),
        over_sockeye_sctp(&server, &nodes),
        over_sockeye_unix(&server, &nodes),
    ];
    for client in &clients {
        let filled: Opaque = client.call(FILL, &(1_u32 << 20)).unwrap();
        assert!(filled.0 == [7; 1 << 20]);
    }
    // No datagram has room for it.
    let over_udp = over_sockeye_udp(&server, &nodes).call::<Opaque>(FILL, &(1_u32 << 20));
    assert!(matches!(over_udp, Err(CallError::SystemError)));
}

#[test]
fn many_threads_call_over_one_connection() {
    let (server, nodes) = (server(), nodes());
    for client in [
        over_tcp(&server),
        over_sockeye_tcp(&server, &nodes),
        over_sockeye_sctp(&server, &nodes),
        over_sockeye_unix(&server, &nodes),
    ] {
        thread::scope(|scope| {
            for caller in 0..16_u32 {
                let client = client.clone();
                scope.spawn(move || {
                    for n in 0..50 {
                        let number = caller * 1000 + n;
                        let doubled: u32 = client.call(DOUBLE, &number).unwrap();
                        assert_eq!(doubled, 2 * number);
                    }
                });
            }
        });
    }
}

#[test]
fn each_fault_is_told() {
    let client = over_unix(&server());
    let fault = |client: &Client, procedure| client.call::<()>(procedure, &()).unwrap_err();
    assert!(matches!(
        fault(&client, 99),
        CallError::ProcedureUnavailable
    ));
    assert!(matches!(
        fault(&client, DOUBLE),
        CallError::GarbageArguments
    ));
    assert!(matches!(
        fault(&client.program(PROGRAM, 2), 0),
        CallError::ProgramMismatch { low: 1, high: 1 }
    ));
    assert!(matches!(
        fault(&client.program(8, 1), 0),
        CallError::ProgramUnavailable
    ));
    assert!(matches!(
        fault(&client, WHO),
        CallError::Auth(AuthStatus::TooWeak)
    ));
    assert!(matches!(fault(&client, COUNT), CallError::Reply(_)));
}

#[test]
fn a_user_is_known_by_shorthand_after_the_first_call() {
    let user = AuthSys {
        uid: 1000,
        gids: (0..16).collect(),
        ..AuthSys::default()
    };
    let client = over_unix(&server()).with_auth_sys(&user).unwrap();
    for _ in 0..3 {
        assert_eq!(client.call::<u32>(WHO, &()).unwrap(), 1000);
    }
    // Another server knows no shorthand of the first's.
    let moved = over_unix(&server()).with_identity_of(&client);
    assert_eq!(moved.call::<u32>(WHO, &()).unwrap(), 1000);
}

#[test]
fn a_batch_is_executed_in_order_and_answered_never() {
    let client = over_tcp(&server());
    for _ in 0..1000 {
        client.batch(SILENT, &()).unwrap();
    }
    client.flush().unwrap();
    assert_eq!(client.call::<u32>(COUNT, &()).unwrap(), 1001);
}

#[test]
fn a_call_ends_with_its_time_and_the_connection_goes_on() {
    let client = over_unix(&server());
    let hasty = client.clone().with_timeout(Duration::from_millis(50));
    let late = hasty.call::<()>(SLEEP, &300_u32);
    assert!(matches!(late, Err(CallError::TimedOut)));
    let over = client.clone().with_deadline(Instant::now());
    assert!(matches!(over.call::<()>(0, &()), Err(CallError::TimedOut)));
    // Its reply comes, and is nobody's.
    assert_eq!(client.call::<u32>(DOUBLE, &1_u32).unwrap(), 2);
}

#[test]
fn a_call_is_cancelled_from_another_thread() {
    let client = over_unix(&server());
    let cancellation = Cancellation::new();
    let cancelled = client.clone().with_cancellation(&cancellation);
    let call = thread::spawn(move || cancelled.call::<()>(SLEEP, &1000_u32));
    thread::sleep(Duration::from_millis(30));
    cancellation.cancel();
    assert!(matches!(call.join().unwrap(), Err(CallError::Cancelled)));
    client.call::<()>(0, &()).unwrap();
}

#[test]
fn the_end_of_the_connection_ends_all_calls() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let client = Client::stream(ours, PROGRAM, 1);
    thread::scope(|scope| {
        let calls: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| client.call::<()>(0, &())))
            .collect();
        thread::sleep(Duration::from_millis(50));
        drop(theirs);
        for call in calls {
            assert!(matches!(call.join().unwrap(), Err(CallError::Io(_))));
        }
    });
}

#[test]
fn one_connection_too_many_is_closed() {
    let limits = Limits {
        connections_max: 1,
        ..Limits::default()
    };
    let server = Server::with_limits(Programs::new().with(desk()), limits);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = server.clone();
    thread::spawn(move || serving.serve(&listener));
    let connect = || Client::stream(TcpStream::connect(address).unwrap(), PROGRAM, 1);
    let first = connect();
    first.call::<()>(0, &()).unwrap();
    assert!(connect().call::<()>(0, &()).is_err());
    assert_eq!(server.counters().connections_refused.get(), 1);
    first.call::<()>(0, &()).unwrap();
}

#[test]
fn a_datagram_is_sent_again_until_somebody_hears_it() {
    let reserved = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = reserved.local_addr().unwrap();
    let backoff = Backoff {
        first: Duration::from_millis(10),
        ..Backoff::default()
    };
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let client = Client::datagram(socket, address, PROGRAM, 1).with_backoff(backoff);
    let call = thread::spawn(move || client.call::<u32>(COUNT, &()));
    thread::sleep(Duration::from_millis(100));
    // Several copies wait there by now.
    let server = server();
    let serving = server.clone();
    thread::spawn(move || serving.serve_datagrams(&reserved));
    assert_eq!(call.join().unwrap().unwrap(), 1);
    while server.counters().duplicates.get() == 0 {
        thread::sleep(Duration::from_millis(1));
    }
}
