//! Addresses from text, and names through the node's own name servers.

use crate::Node;
use crate::dns::{self, Action, Lookup};
use crate::net::{TcpStream, UdpSocket};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// What can become socket addresses, as [`std::net::ToSocketAddrs`]; a name is looked up through
/// the node, never through the host.
pub trait ToSocketAddrs {
    /// The addresses, names looked up by `node`.
    ///
    /// # Errors
    /// `InvalidInput` for text that is no `host:port`, `NotFound` for a name without an address,
    /// `TimedOut` when no name server answers.
    fn to_socket_addrs_on(&self, node: &Node) -> io::Result<Vec<SocketAddr>>;
}

impl<T: ToSocketAddrs + ?Sized> ToSocketAddrs for &T {
    fn to_socket_addrs_on(&self, node: &Node) -> io::Result<Vec<SocketAddr>> {
        (**self).to_socket_addrs_on(node)
    }
}

macro_rules! literal {
    ($($kind:ty),*) => { $(impl ToSocketAddrs for $kind {
        fn to_socket_addrs_on(&self, _node: &Node) -> io::Result<Vec<SocketAddr>> {
            Ok(vec![SocketAddr::from(*self)])
        }
    })* };
}
literal!(
    SocketAddr,
    SocketAddrV4,
    SocketAddrV6,
    (IpAddr, u16),
    (Ipv4Addr, u16),
    (Ipv6Addr, u16)
);

impl ToSocketAddrs for [SocketAddr] {
    fn to_socket_addrs_on(&self, _node: &Node) -> io::Result<Vec<SocketAddr>> {
        Ok(self.to_vec())
    }
}

impl ToSocketAddrs for (&str, u16) {
    fn to_socket_addrs_on(&self, node: &Node) -> io::Result<Vec<SocketAddr>> {
        let found = lookup_host(node, self.0)?;
        Ok(found
            .into_iter()
            .map(|ip| SocketAddr::new(ip, self.1))
            .collect())
    }
}

impl ToSocketAddrs for (String, u16) {
    fn to_socket_addrs_on(&self, node: &Node) -> io::Result<Vec<SocketAddr>> {
        (self.0.as_str(), self.1).to_socket_addrs_on(node)
    }
}

impl ToSocketAddrs for str {
    fn to_socket_addrs_on(&self, node: &Node) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = self.parse() {
            return Ok(vec![address]);
        }
        split_host_port(self)?.to_socket_addrs_on(node)
    }
}

impl ToSocketAddrs for String {
    fn to_socket_addrs_on(&self, node: &Node) -> io::Result<Vec<SocketAddr>> {
        self.as_str().to_socket_addrs_on(node)
    }
}

/// `host:port` in two.
pub(crate) fn split_host_port(text: &str) -> io::Result<(&str, u16)> {
    let parts = text
        .rsplit_once(':')
        .and_then(|(host, port)| Some((host, port.parse().ok()?)));
    parts.ok_or_else(|| {
        let message = format!("{text:?} is no address: host:port is, as in 10.0.2.2:80, [fd00:2::2]:80 or gateway.internal:80");
        io::Error::new(io::ErrorKind::InvalidInput, message)
    })
}

/// The addresses of `name` by the name servers of `node`, in the order in which they should be tried:
/// by the routes and the addresses of the node, and its [`address_policy`](crate::Config) (RFC 6724 §6).
///
/// # Errors
/// See [`ToSocketAddrs::to_socket_addrs_on`].
pub fn lookup_host(node: &Node, name: &str) -> io::Result<Vec<IpAddr>> {
    if let Some(known) = dns::without_server(name) {
        return Ok(known);
    }
    let ids = node.random()?.to_ne_bytes();
    let ids = [
        u16::from_ne_bytes([ids[0], ids[1]]),
        u16::from_ne_bytes([ids[2], ids[3]]),
    ];
    let mut lookup = Lookup::new(name, &node.dns_servers(), ids)?;
    let mut action = lookup.start()?;
    loop {
        action = match action {
            Action::Done(found) => return node.order_destinations(found),
            Action::Ask { server, datagrams } => ask(node, &mut lookup, server, &datagrams)?,
            Action::AskStream { server, messages } => {
                ask_stream(node, &mut lookup, server, &messages)?
            }
            Action::Wait => lookup.on_timeout()?,
        };
    }
}

/// Asks by datagrams until the lookup wants something else.
fn ask(
    node: &Node,
    lookup: &mut Lookup,
    server: SocketAddr,
    datagrams: &[Vec<u8>],
) -> io::Result<Action> {
    let sent = UdpSocket::connect_any_on(node, server).and_then(|socket| {
        datagrams
            .iter()
            .try_for_each(|datagram| socket.send(datagram).map(drop))?;
        Ok(socket)
    });
    let Ok(socket) = sent else {
        return lookup.on_timeout();
    };
    let end = node.shard().now() + dns::SERVER_TIMEOUT;
    let mut buffer = vec![0; dns::DATAGRAM_MAX];
    loop {
        let left = end - node.shard().now();
        if left.is_zero() {
            return lookup.on_timeout();
        }
        socket.set_read_timeout(Some(left))?;
        // An error is a time-out or a refusal: either way this server has no answer.
        let Ok(len) = socket.recv(&mut buffer) else {
            return lookup.on_timeout();
        };
        match lookup.on_answer(&buffer[..len], false)? {
            Action::Wait => {}
            action => return Ok(action),
        }
    }
}

/// Asks over one connection (RFC 7766).
fn ask_stream(
    node: &Node,
    lookup: &mut Lookup,
    server: SocketAddr,
    messages: &[Vec<u8>],
) -> io::Result<Action> {
    let mut action = Action::Wait;
    let exchange = || -> io::Result<Vec<Vec<u8>>> {
        let mut stream = TcpStream::connect_timeout_on(node, &server, dns::SERVER_TIMEOUT)?;
        stream.set_read_timeout(Some(dns::SERVER_TIMEOUT))?;
        let mut answers = Vec::new();
        for message in messages {
            let len = u16::try_from(message.len()).map_err(io::Error::other)?;
            stream.write_all(&[&len.to_be_bytes()[..], message].concat())?;
            let mut len = [0; 2];
            stream.read_exact(&mut len)?;
            let mut answer = vec![0; usize::from(u16::from_be_bytes(len))];
            stream.read_exact(&mut answer)?;
            answers.push(answer);
        }
        Ok(answers)
    };
    let Ok(answers) = exchange() else {
        return lookup.on_timeout();
    };
    for answer in answers {
        action = lookup.on_answer(&answer, true)?;
    }
    if action == Action::Wait {
        lookup.on_timeout()
    } else {
        Ok(action)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_port_are_split_at_the_last_colon() {
        assert_eq!(
            split_host_port("gateway.internal:80").unwrap(),
            ("gateway.internal", 80)
        );
        assert_eq!(split_host_port("[::1]:80").unwrap(), ("[::1]", 80));
        for wrong in ["gateway", "gateway:", "gateway:http", "gateway:65536"] {
            assert_eq!(
                split_host_port(wrong).unwrap_err().kind(),
                io::ErrorKind::InvalidInput,
                "{wrong}"
            );
        }
    }
}
