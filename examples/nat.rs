//! A network address translator for TCP and UDP: every flow of the inner network ends here, and goes on from the outer address.
//!
//! `cargo run -p sockeye --example nat`. A gateway of a VPN is the same, with the host's own sockets in the place of the outer
//! ones (that is what the link `user` of `sockeye run` does). Nothing is rewritten: the node *intercepts* what is not for
//! itself, so each side has a whole TCP of its own, and a refusal outside is a refusal inside.

use sockeye::drivers::memory::{MemoryConfig, MemoryLink};
use sockeye::net::{TcpListener, TcpStream, UdpSocket};
use sockeye::{Incoming, LinkConfig, Node, Protocol, Scope, Socket};
use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// Flows at a time; the next one is refused.
const FLOWS_MAX: usize = 256;
static FLOWS: AtomicUsize = AtomicUsize::new(0);

/// A flow of datagrams is over when nothing has come for so long (RFC 4787 §4.3, REQ-5).
const IDLE: Duration = Duration::from_secs(120);

fn main() -> Result<(), Box<dyn Error>> {
    demonstrate()?.iter().for_each(|line| println!("{line}"));
    Ok(())
}

/// Translates what comes to `inner` until the node ends.
fn translate(inner: &Node, outer: &Node) -> io::Result<()> {
    for protocol in [Protocol::TCP, Protocol::UDP] {
        let mut flows = inner.intercept(protocol, Scope::Foreign)?;
        let outer = outer.clone();
        thread::spawn(move || {
            while let Ok(flow) = flows.next_blocking() {
                if FLOWS.fetch_add(1, Ordering::Relaxed) >= FLOWS_MAX {
                    FLOWS.fetch_sub(1, Ordering::Relaxed);
                    flow.reset();
                    continue;
                }
                let outer = outer.clone();
                thread::spawn(move || {
                    let carried = match protocol {
                        Protocol::TCP => carry_stream(flow, &outer),
                        _ => carry_datagrams(flow, &outer),
                    };
                    FLOWS.fetch_sub(1, Ordering::Relaxed);
                    carried
                });
            }
        });
    }
    Ok(())
}

/// The inner connection is answered only when the outer one is there.
fn carry_stream(flow: Incoming, outer: &Node) -> io::Result<()> {
    let outside = match TcpStream::connect_on(outer, flow.local()) {
        Ok(stream) => stream,
        Err(error) => {
            match error.kind() {
                ErrorKind::ConnectionRefused => flow.reset(),
                ErrorKind::NetworkUnreachable => flow.unreachable(sockeye::Unreachable::Network),
                _ => flow.unreachable(sockeye::Unreachable::Host),
            }
            return Err(error);
        }
    };
    let inside = TcpStream::from(flow.accept()?);
    let (a, b) = (inside.try_clone()?, outside.try_clone()?);
    let back = thread::spawn(move || pour(&b, &a));
    pour(&inside, &outside)?;
    back.join().unwrap_or(Ok(()))
}

/// One direction, with its end.
fn pour(mut from: &TcpStream, mut to: &TcpStream) -> io::Result<()> {
    io::copy(&mut from, &mut to)?;
    to.shutdown(Shutdown::Write)
}

fn carry_datagrams(flow: Incoming, outer: &Node) -> io::Result<()> {
    let outside = UdpSocket::bind_on(outer, "0.0.0.0:0")?;
    outside.connect(flow.local())?;
    let (inside, outside) = (flow.accept()?, outside.as_socket().try_clone()?);
    let (a, b) = (inside.try_clone()?, outside.try_clone()?);
    let back = thread::spawn(move || hand_on(&b, &a));
    hand_on(&inside, &outside)?;
    back.join().unwrap_or(Ok(()))
}

fn hand_on(from: &Socket, to: &Socket) -> io::Result<()> {
    from.set_read_timeout(Some(IDLE))?;
    let mut buffer = vec![0; 65_536];
    loop {
        let len = from.recv(&mut buffer)?;
        to.send(&buffer[..len])?;
    }
}

/// A client within, a server without, and the translator between them; what either side saw.
fn demonstrate() -> Result<Vec<String>, Box<dyn Error>> {
    let (lan, inner_end) = MemoryLink::pair_ip(MemoryConfig::default());
    let (wan, outer_end) = MemoryLink::pair_ip(MemoryConfig::default());
    let config = LinkConfig::new()
        .address("10.0.0.2/24".parse()?)
        .gateway("10.0.0.1".parse()?);
    let client = Node::builder()
        .link("eth0", Box::new(lan), config)
        .build()?;
    // Two nodes, since inside and outside may use the same addresses.
    let inner = node(inner_end, "10.0.0.1/24")?;
    let outer = node(outer_end, "198.51.100.1/24")?;
    let server = node(wan, "198.51.100.7/24")?;
    translate(&inner, &outer)?;

    let mut saw = Vec::new();
    let listener = TcpListener::bind_on(&server, "0.0.0.0:80")?;
    let mut stream = TcpStream::connect_on(&client, "198.51.100.7:80")?;
    let (mut served, peer) = listener.accept()?;
    saw.push(format!(
        "TCP: {} seems to come from {}",
        stream.local_addr()?.ip(),
        peer.ip()
    ));
    stream.write_all(b"to and fro")?;
    stream.shutdown(Shutdown::Write)?;
    let mut text = String::new();
    served.read_to_string(&mut text)?;
    served.write_all(text.as_bytes())?;
    drop(served);
    text.clear();
    stream.read_to_string(&mut text)?;
    saw.push(format!("TCP: {text:?} came back"));
    let refused = TcpStream::connect_on(&client, "198.51.100.7:81").map(drop);
    saw.push(format!(
        "TCP: port 81: {:?}",
        refused.map_err(|error| error.kind())
    ));

    let echo = UdpSocket::bind_on(&server, "0.0.0.0:7")?;
    let socket = UdpSocket::bind_on(&client, "0.0.0.0:0")?;
    socket.send_to(b"datagram", "198.51.100.7:7")?;
    let mut buffer = [0; 100];
    let (len, peer) = echo.recv_from(&mut buffer)?;
    echo.send_to(&buffer[..len], peer)?;
    let (len, from) = socket.recv_from(&mut buffer)?;
    let text = String::from_utf8_lossy(&buffer[..len]).into_owned();
    saw.push(format!(
        "UDP: {} heard, {text:?} came back from {from}",
        peer.ip()
    ));
    Ok(saw)
}

fn node(link: MemoryLink, address: &str) -> Result<Node, Box<dyn Error>> {
    let config = LinkConfig::new().address(address.parse()?);
    Ok(Node::builder()
        .link("eth0", Box::new(link), config)
        .build()?)
}

#[test]
fn the_server_sees_the_translators_address() {
    let expected = [
        "TCP: 10.0.0.2 seems to come from 198.51.100.1",
        "TCP: \"to and fro\" came back",
        "TCP: port 81: Err(ConnectionRefused)",
        "UDP: 198.51.100.1 heard, \"datagram\" came back from 198.51.100.7:7",
    ];
    assert_eq!(demonstrate().unwrap(), expected);
}
