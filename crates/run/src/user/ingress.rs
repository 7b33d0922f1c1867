//! Into the virtual LAN: what comes to a published port of the host goes on from the gateway to the node.
//!
//! A connection is accepted by the host's kernel before the node is asked, since a listening socket can't do otherwise: one
//! that the program refuses is reset. Datagrams go by flow, a socket of the gateway for each sender.

use super::publish::{Door, Publish};
use super::relay::relay;
use super::{GATEWAY_V4, GATEWAY_V6, Lan, NODE_V4, NODE_V6};
use socket2::SockRef;
use sockeye::tokio::{TcpSocket, TcpStream as NodeStream, UdpSocket as NodeSocket};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream as HostStream, UdpSocket as HostSocket};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout_at};

/// Connections of a published port at once; more wait in the host's kernel until one ends.
const CONNECTIONS_MAX: usize = 8192;
/// Flows of datagrams of a published port at once; datagrams of one more are dropped.
const FLOWS_MAX: usize = 4096;
/// A flow without a datagram either way for so long ends (RFC 4787 §4.3 asks for two minutes).
const IDLE: Duration = Duration::from_secs(120);
/// Bytes of a datagram.
const DATAGRAM_MAX: usize = 65_535;
/// How long nothing is accepted after the host had no descriptor or memory for a connection.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Carries what comes in by one published port, for as long as the gateway lives.
pub(super) async fn serve(lan: Rc<Lan>, publish: Publish, door: Door) -> io::Result<()> {
    let way = Way::of(publish);
    match door {
        Door::Tcp(listener) => accept(lan, way, TcpListener::from_std(listener)?).await,
        Door::Udp(socket) => take(way, HostSocket::from_std(socket)?, IDLE).await,
    }
}

/// From where on the LAN to where.
#[derive(Clone, Copy, Debug)]
struct Way {
    from: SocketAddr,
    to: SocketAddr,
}

impl Way {
    fn of(publish: Publish) -> Self {
        let (from, to) = match publish.host {
            SocketAddr::V4(_) => (GATEWAY_V4.into(), NODE_V4.into()),
            SocketAddr::V6(_) => (GATEWAY_V6.into(), NODE_V6.into()),
        };
        Self {
            from: SocketAddr::new(from, 0),
            to: SocketAddr::new(to, publish.port),
        }
    }
}

async fn accept(lan: Rc<Lan>, way: Way, listener: TcpListener) -> io::Result<()> {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(permit) = room.clone().acquire_owned().await else {
            return Ok(());
        };
        let Ok((host, _)) = listener.accept().await else {
            // It was gone before it was taken, or there is no descriptor for it.
            sleep(EXHAUSTED).await;
            continue;
        };
        let lan = lan.clone();
        tokio::task::spawn_local(async move {
            match connect(way).await {
                Ok(stream) => relay(stream, host, &lan.outward).await,
                Err(_) => reset(&host),
            }
            drop(permit);
        });
    }
}

async fn connect(way: Way) -> io::Result<NodeStream> {
    let socket = match way.from {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.bind(way.from)?;
    socket.connect(way.to).await
}

/// The client's connection ends as one that nobody takes.
fn reset(host: &HostStream) {
    // One that is gone already needs no reset.
    let _ = SockRef::from(host).set_linger(Some(Duration::ZERO));
}

/// What the flows of a published port share.
#[derive(Debug)]
struct Flows {
    host: HostSocket,
    by_sender: RefCell<HashMap<SocketAddr, Rc<Flow>>>,
    /// What is being carried to the host: nothing is kept here while anybody waits.
    buffer: RefCell<Vec<u8>>,
    idle: Duration,
}

/// One sender's datagrams.
#[derive(Debug)]
struct Flow {
    node: NodeSocket,
    used: Cell<Instant>,
}

/// Carries datagrams both ways; a flow that was not used for `idle` ends.
async fn take(way: Way, host: HostSocket, idle: Duration) -> io::Result<()> {
    let flows = Rc::new(Flows {
        host,
        by_sender: RefCell::default(),
        buffer: RefCell::new(vec![0; DATAGRAM_MAX]),
        idle,
    });
    let mut datagram = vec![0; DATAGRAM_MAX];
    loop {
        // An error is told once, of a datagram that is gone.
        let Ok((len, sender)) = flows.host.recv_from(&mut datagram).await else {
            continue;
        };
        let known = flows.by_sender.borrow().get(&sender).cloned();
        let flow = match known {
            Some(flow) => flow,
            None if flows.by_sender.borrow().len() >= FLOWS_MAX => continue,
            None => {
                let Ok(flow) = begin(way).await else {
                    continue;
                };
                let flow = Rc::new(flow);
                flows.by_sender.borrow_mut().insert(sender, flow.clone());
                tokio::task::spawn_local(answer(flows.clone(), flow.clone(), sender));
                flow
            }
        };
        flow.used.set(Instant::now());
        let sent = flow.node.try_send(&datagram[..len]);
        if sent.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
            // That was about the one before it. What finds no room is lost, as on any way.
            let _ = flow.node.try_send(&datagram[..len]);
        }
    }
}

async fn begin(way: Way) -> io::Result<Flow> {
    let node = NodeSocket::bind(way.from).await?;
    node.connect(way.to).await?;
    Ok(Flow {
        node,
        used: Cell::new(Instant::now()),
    })
}

/// Carries what the node answers to `sender`, until the flow ends.
async fn answer(flows: Rc<Flows>, flow: Rc<Flow>, sender: SocketAddr) {
    loop {
        let end = flow.used.get() + flows.idle;
        match timeout_at(end, flow.node.readable()).await {
            Err(_) if flow.used.get() + flows.idle > Instant::now() => {}
            Err(_) | Ok(Err(_)) => break,
            Ok(Ok(())) => {
                let mut buffer = flows.buffer.borrow_mut();
                // Nobody listens in the node: that can't be told through the host's socket, which has many senders.
                let Ok(len) = flow.node.try_recv(&mut buffer) else {
                    continue;
                };
                flow.used.set(Instant::now());
                // What finds no room is lost, as on any way.
                let _ = flows.host.try_send_to(&buffer[..len], sender);
            }
        }
    }
    flows.by_sender.borrow_mut().remove(&sender);
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockeye::drivers::{MemoryConfig, MemoryLink};
    use sockeye::{LinkConfig, Node};
    use tokio::task::{LocalSet, spawn_local};

    /// A gateway's node and a program's, joined.
    fn nodes() -> (Node, Node) {
        let (near, far) = MemoryLink::pair_ip(MemoryConfig::default());
        let node = |link: MemoryLink, address: &str| {
            let config = LinkConfig::new().address(address.parse().unwrap());
            Node::builder()
                .link("lan", Box::new(link), config)
                .build()
                .unwrap()
        };
        (node(near, "10.0.2.2/24"), node(far, "10.0.2.15/24"))
    }

    #[tokio::test]
    async fn a_flow_that_nobody_uses_ends_and_the_next_datagram_begins_another() {
        let (gateway, program) = nodes();
        let server = NodeSocket::bind_on(&program, "10.0.2.15:7").await.unwrap();
        let host = HostSocket::bind("127.0.0.1:0").await.unwrap();
        let published = host.local_addr().unwrap();
        let way = Way::of("0:7/udp".parse().unwrap());
        // Far longer than a question and its answer take.
        let idle = Duration::from_secs(2);
        LocalSet::new()
            .run_until(async move {
                let _current = gateway.enter();
                spawn_local(take(way, host, idle));
                let client = HostSocket::bind("127.0.0.1:0").await.unwrap();
                client.connect(published).await.unwrap();
                let mut buffer = [0; 16];
                let mut ask = async |question: &[u8]| {
                    client.send(question).await.unwrap();
                    let (len, from) = server.recv_from(&mut buffer).await.unwrap();
                    assert_eq!(&buffer[..len], question);
                    server.send_to(b"answer", from).await.unwrap();
                    assert_eq!(client.recv(&mut buffer).await.unwrap(), 6);
                    from
                };
                let first = ask(b"first").await;
                assert_eq!(first.ip(), std::net::IpAddr::from(GATEWAY_V4));
                sleep(2 * idle).await;
                assert_ne!(ask(b"second").await, first);
            })
            .await;
    }
}
