//! Both kinds of clients with both kinds of servers, over tokio's sockets and sockeye's.

use super::Client;
use crate::dispatch::CallFuture;
use crate::message::AuthSys;
use crate::record::FRAGMENTS_MAX;
use crate::testing::{COUNT, DOUBLE, FILL, PROGRAM, SILENT, SLEEP, WHO, desk, nodes};
use crate::xdr::{Decoder, Opaque};
use crate::{AsyncService, Call, CallError, Limits, Programs, Server};
use sockeye::Node;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket, UnixStream};
use tokio::time::Instant;

/// Sleeps, and says for how long.
struct Later;

impl AsyncService for Later {
    fn program(&self) -> u32 {
        PROGRAM
    }
    fn version(&self) -> u32 {
        2
    }
    fn call(self: Arc<Self>, _: Call, arguments: Vec<u8>) -> CallFuture {
        Box::pin(async move {
            let millis = Decoder::new(&arguments).u32()?;
            tokio::time::sleep(Duration::from_millis(millis.into())).await;
            Ok(arguments)
        })
    }
}

fn server() -> Server {
    Server::new(Programs::new().with(desk()).with_async(Later))
}

async fn clients(server: &Server, nodes: &(Node, Node)) -> Vec<Client> {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let serving = server.clone();
    tokio::spawn(async move { serving.serve_stream_async(theirs, crate::Peer::Local).await });
    let mut clients = vec![Client::stream(ours, PROGRAM, 1)];

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = server.clone();
    tokio::spawn(async move { serving.serve_async(listener).await });
    let stream = TcpStream::connect(address).await.unwrap();
    clients.push(Client::stream(stream, PROGRAM, 1));

    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let serving = server.clone();
    tokio::spawn(async move { serving.serve_datagrams_async(socket).await });
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    clients.push(Client::datagram(socket, address, PROGRAM, 1));

    let listener = sockeye::tokio::TcpListener::bind_on(&nodes.1, "10.0.0.2:9");
    let listener = listener.await.unwrap();
    let serving = server.clone();
    tokio::spawn(async move { serving.serve_async(listener).await });
    let stream = sockeye::tokio::TcpStream::connect_on(&nodes.0, "10.0.0.2:9");
    clients.push(Client::stream(stream.await.unwrap(), PROGRAM, 1));

    let listener = sockeye::tokio::SctpListener::bind_on(&nodes.1, "10.0.0.2:9");
    let listener = listener.await.unwrap();
    let serving = server.clone();
    tokio::spawn(async move { serving.serve_async(listener).await });
    let stream = sockeye::tokio::SctpStream::connect_on(&nodes.0, "10.0.0.2:9");
    clients.push(Client::stream(stream.await.unwrap(), PROGRAM, 1));

    let name = sockeye::unix::SocketAddr::from_abstract_name("rpc").unwrap();
    let listener = sockeye::tokio::UnixListener::bind_on(&nodes.0, &name).unwrap();
    let serving = server.clone();
    tokio::spawn(async move { serving.serve_async(listener).await });
    let stream = sockeye::tokio::UnixStream::connect_on(&nodes.0, &name);
    clients.push(Client::stream(stream.await.unwrap(), PROGRAM, 1));

    let socket = sockeye::tokio::UdpSocket::bind_on(&nodes.1, "10.0.0.2:9");
    let socket = socket.await.unwrap();
    let serving = server.clone();
    tokio::spawn(async move { serving.serve_datagrams_async(socket).await });
    let socket = sockeye::tokio::UdpSocket::bind_on(&nodes.0, "10.0.0.1:0");
    let server = "10.0.0.2:9".parse().unwrap();
    clients.push(Client::datagram(socket.await.unwrap(), server, PROGRAM, 1));
    clients
}

#[tokio::test]
async fn calls_return_over_every_transport() {
    let (server, nodes) = (server(), nodes());
    for client in clients(&server, &nodes).await {
        assert_eq!(client.call::<u32>(DOUBLE, &21_u32).await.unwrap(), 42);
        let later = client.program(PROGRAM, 2);
        assert_eq!(later.call::<u32>(SLEEP, &5_u32).await.unwrap(), 5);
    }
    assert_eq!(server.counters().replies.get(), 14);
}

#[tokio::test]
async fn a_mebibyte_fits_every_stream() {
    let (server, nodes) = (server(), nodes());
    let mut streams = 0;
    // No datagram has room for it.
    for client in clients(&server, &nodes).await {
        match client.call::<Opaque>(FILL, &(1_u32 << 20)).await {
            Ok(filled) => {
                assert!(filled.0 == [7; 1 << 20]);
                streams += 1;
            }
            Err(error) => assert!(matches!(error, CallError::SystemError), "{error}"),
        }
    }
    assert_eq!(streams, 5);
}

#[tokio::test]
async fn calls_of_one_connection_overtake_each_other() {
    let (server, nodes) = (server(), nodes());
    for client in clients(&server, &nodes).await {
        let later = client.program(PROGRAM, 2);
        let slow = tokio::spawn(async move { later.call::<u32>(SLEEP, &60_000_u32).await });
        let calls = (0..64_u32).map(|n| {
            let client = client.clone();
            tokio::spawn(async move { client.call::<u32>(DOUBLE, &n).await.unwrap() })
        });
        for (n, call) in (0..).zip(calls.collect::<Vec<_>>()) {
            assert_eq!(call.await.unwrap(), 2 * n);
        }
        assert!(!slow.is_finished());
        // Dropping it cancels it.
        slow.abort();
    }
}

#[tokio::test]
async fn so_many_calls_are_executed_at_once_and_no_more() {
    let limits = Limits {
        calls_max: 2,
        ..Limits::default()
    };
    let server = Server::with_limits(Programs::new().with(desk()).with_async(Later), limits);
    let nodes = nodes();
    let client = &clients(&server, &nodes).await[3];
    let later = client.program(PROGRAM, 2);
    let slow: Vec<_> = (0..2)
        .map(|_| {
            let later = later.clone();
            tokio::spawn(async move { later.call::<u32>(SLEEP, &200_u32).await })
        })
        .collect();
    tokio::task::yield_now().await;
    // It waits behind both.
    assert_eq!(client.call::<u32>(DOUBLE, &1_u32).await.unwrap(), 2);
    for call in slow {
        assert!(call.is_finished() || call.await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn time_and_the_end_of_the_connection_end_calls() {
    let (server, nodes) = (server(), nodes());
    for client in clients(&server, &nodes).await {
        let hasty = client.program(PROGRAM, 2);
        let hasty = hasty.with_timeout(Duration::from_millis(20));
        let late = hasty.call::<u32>(SLEEP, &60_000_u32).await;
        assert!(matches!(late, Err(CallError::TimedOut)));
        assert_eq!(client.call::<u32>(DOUBLE, &1_u32).await.unwrap(), 2);
    }
    let (ours, theirs) = UnixStream::pair().unwrap();
    let client = Client::stream(ours, PROGRAM, 1);
    drop(theirs);
    let ended = client.call::<()>(0, &()).await;
    assert!(matches!(ended, Err(CallError::Io(_))));
}

/// Whether a call goes out where it is made or with others, it comes behind what was sent before.
#[tokio::test]
async fn a_call_comes_behind_the_batch_before_it() {
    let (server, nodes) = (server(), nodes());
    let mut count = 0;
    for client in clients(&server, &nodes).await {
        // On datagrams no order is kept, and what is lost of a batch is.
        if client.call::<Opaque>(FILL, &(1_u32 << 20)).await.is_err() {
            continue;
        }
        for batched in [0, 1, 5, 300, 0, 1] {
            for _ in 0..batched {
                client.batch(SILENT, &()).unwrap();
            }
            count += batched + 1;
            assert_eq!(client.call::<u32>(COUNT, &()).await.unwrap(), count);
        }
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_is_forgotten() {
    let (server, nodes) = (server(), nodes());
    for client in clients(&server, &nodes).await {
        let later = client.program(PROGRAM, 2);
        for _ in 0..3 {
            let call = later.call::<u32>(SLEEP, &30_u32);
            let dropped = tokio::time::timeout(Duration::from_millis(5), call).await;
            assert!(dropped.is_err());
            assert_eq!(client.call::<u32>(DOUBLE, &1_u32).await.unwrap(), 2);
        }
        // Their replies come meanwhile, and are nobody's.
        assert_eq!(later.call::<u32>(SLEEP, &60_u32).await.unwrap(), 60);
    }
}

#[tokio::test]
async fn calls_share_a_deadline() {
    let (server, nodes) = (server(), nodes());
    for client in clients(&server, &nodes).await {
        let end = Instant::now() + Duration::from_millis(40);
        let hasty = client.program(PROGRAM, 2).with_deadline(end);
        assert_eq!(hasty.call::<u32>(SLEEP, &1_u32).await.unwrap(), 1);
        for _ in 0..2 {
            let late = hasty.call::<u32>(SLEEP, &60_000_u32).await;
            assert!(matches!(late, Err(CallError::TimedOut)));
            assert!(Instant::now() >= end);
        }
    }
}

#[tokio::test]
async fn a_shorthand_that_nobody_knows_any_more_is_asked_for_anew() {
    let user = AuthSys {
        uid: 1000,
        ..AuthSys::default()
    };
    let connect = || {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let server = Server::new(Programs::new().with(desk()).with_shorthands());
        tokio::spawn(async move { server.serve_stream_async(theirs, crate::Peer::Local).await });
        Client::stream(ours, PROGRAM, 1)
    };
    let client = connect().with_auth_sys(&user).unwrap();
    let moved = connect().with_identity_of(&client);
    for client in [&client, &client, &moved, &moved, &client] {
        assert_eq!(client.call::<u32>(WHO, &()).await.unwrap(), 1000);
    }
}

/// RFC 5531 §11: where the next record begins is unknown then.
#[tokio::test]
async fn a_record_that_breaks_a_limit_ends_its_connection() {
    let limits = Limits {
        record_max: 1000,
        ..Limits::default()
    };
    let server = Server::with_limits(Programs::new().with(desk()), limits);
    let long = 0x8000_03e9_u32.to_be_bytes().to_vec();
    let together = [
        &600_u32.to_be_bytes()[..],
        &[0; 600],
        &401_u32.to_be_bytes(),
    ]
    .concat();
    let pieces = [0; 4].repeat(FRAGMENTS_MAX as usize + 1);
    for (n, record) in (1..).zip([long, together, pieces]) {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let serving = server.clone();
        let served = tokio::spawn(async move {
            let served = serving.serve_stream_async(theirs, crate::Peer::Local);
            served.await.unwrap_err().kind()
        });
        ours.write_all(&record).await.unwrap();
        // A reset is an end, too.
        assert!(matches!(ours.read(&mut [0; 9]).await, Ok(0) | Err(_)));
        assert_eq!(served.await.unwrap(), std::io::ErrorKind::InvalidData);
        assert_eq!(server.counters().bad_records.get(), n);
    }
}
