//! Names, driven over this face's own sockets.

use super::addr::{ToSocketAddrs, resolve};
use super::{TcpSocket, UdpSocket};
use crate::Node;
use crate::dns::{self, Action, Lookup};
use std::io;
use std::net::{IpAddr, SocketAddr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// The addresses of a name, as `tokio::net::lookup_host`: by the current node's name servers, in
/// the order in which they should be tried (RFC 6724 §6).
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let node = sockeye::Node::builder().build()?;
/// let _current = node.enter();
/// let mut found = sockeye::tokio::lookup_host("localhost:80").await?;
/// assert_eq!(found.next(), Some("[::1]:80".parse().unwrap()));
/// # std::io::Result::Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
///
/// # Errors
/// `InvalidInput` for what is neither an address nor a name with a port, `NotFound` when the name
/// has no address or there is no name server, `TimedOut` when none answers.
pub async fn lookup_host(host: impl ToSocketAddrs) -> io::Result<impl Iterator<Item = SocketAddr>> {
    lookup_host_on(&Node::current()?, host).await
}

/// The addresses of a name by the name servers of `node`.
///
/// # Errors
/// See [`lookup_host`].
pub async fn lookup_host_on<T: ToSocketAddrs>(
    node: &Node,
    host: T,
) -> io::Result<impl Iterator<Item = SocketAddr> + use<T>> {
    Ok(resolve(node, host).await?.into_iter())
}

/// The addresses of `name`.
pub(super) async fn addresses(node: &Node, name: &str) -> io::Result<Vec<IpAddr>> {
    if let Some(known) = dns::without_server(name) {
        return Ok(known);
    }
    let [a, b, c, d, ..] = node.random()?.to_ne_bytes();
    let ids = [u16::from_ne_bytes([a, b]), u16::from_ne_bytes([c, d])];
    let mut lookup = Lookup::new(name, &node.dns_servers(), ids)?;
    let mut action = lookup.start()?;
    loop {
        action = match action {
            Action::Done(found) => return node.order_destinations(found),
            Action::Ask { server, datagrams } => {
                let asked = ask(node, &mut lookup, server, &datagrams);
                match timeout(dns::SERVER_TIMEOUT, asked).await {
                    Ok(next) => next?,
                    Err(_) => lookup.on_timeout()?,
                }
            }
            Action::AskStream { server, messages } => {
                let asked = ask_stream(node, server, &messages);
                match timeout(dns::SERVER_TIMEOUT, asked).await {
                    Ok(Ok(answers)) => take(&mut lookup, &answers)?,
                    Ok(Err(_)) | Err(_) => lookup.on_timeout()?,
                }
            }
            // Nothing is under way that could be waited for.
            Action::Wait => lookup.on_timeout()?,
        };
    }
}

/// Asks by datagrams until the lookup wants something else.
async fn ask(
    node: &Node,
    lookup: &mut Lookup,
    server: SocketAddr,
    datagrams: &[Vec<u8>],
) -> io::Result<Action> {
    let Ok(socket) = UdpSocket::connect_any_on(node, server) else {
        return lookup.on_timeout();
    };
    for datagram in datagrams {
        if socket.send(datagram).await.is_err() {
            return lookup.on_timeout();
        }
    }
    let mut buffer = vec![0; dns::DATAGRAM_MAX];
    loop {
        // An error is a refusal: this server has no answer.
        let Ok(len) = socket.recv(&mut buffer).await else {
            return lookup.on_timeout();
        };
        match lookup.on_answer(&buffer[..len], false)? {
            Action::Wait => {}
            action => return Ok(action),
        }
    }
}

/// Asks over one connection (RFC 7766).
async fn ask_stream(
    node: &Node,
    server: SocketAddr,
    messages: &[Vec<u8>],
) -> io::Result<Vec<Vec<u8>>> {
    let mut stream = TcpSocket::new_for(node, server)?.connect(server).await?;
    let mut answers = Vec::with_capacity(messages.len());
    for message in messages {
        let len = u16::try_from(message.len()).map_err(io::Error::other)?;
        let framed = [&len.to_be_bytes()[..], message].concat();
        stream.write_all(&framed).await?;
        let len = stream.read_u16().await?;
        let mut answer = vec![0; usize::from(len)];
        stream.read_exact(&mut answer).await?;
        answers.push(answer);
    }
    Ok(answers)
}

/// Tells `lookup` what came over a connection.
fn take(lookup: &mut Lookup, answers: &[Vec<u8>]) -> io::Result<Action> {
    for answer in answers {
        match lookup.on_answer(answer, true)? {
            Action::Wait => {}
            action => return Ok(action),
        }
    }
    Ok(Action::Wait)
}
