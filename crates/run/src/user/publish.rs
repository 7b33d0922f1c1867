//! Ports of the host that lead into the node: what is asked for, and the sockets that are opened for it.

use socket2::{Domain, Protocol, Socket, Type};
use std::fmt::{self, Display};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::str::FromStr;

/// Connections that wait in the host's kernel until they are taken.
const BACKLOG: i32 = 1024;

/// A port of the host that leads to a port of the node, written as `[ADDR:]HOSTPORT[:PORT][/tcp|/udp]`.
///
/// An IPv4 address of the host leads to the node's IPv4 address, an IPv6 address, which stands in brackets, to its IPv6
/// address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish {
    /// The address and port of the host; port 0 is any free one.
    pub host: SocketAddr,
    /// The port of the node, 1 to 65535.
    pub port: u16,
    /// What is carried.
    pub transport: Transport,
}

/// What a published port carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Connections.
    Tcp,
    /// Datagrams.
    Udp,
}

impl Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

impl Display for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}/{}", self.host, self.port, self.transport)
    }
}

/// Why a text is no [`Publish`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{what}; it is [ADDR:]HOSTPORT[:PORT][/tcp|/udp], such as 8080:80, 5353/udp or [::1]:8080:80"
)]
pub struct ParsePublishError {
    what: String,
}

impl FromStr for Publish {
    type Err = ParsePublishError;

    fn from_str(text: &str) -> Result<Self, ParsePublishError> {
        let fault = |what: String| ParsePublishError { what };
        let (ports, transport) = match text.split_once('/') {
            None | Some((_, "tcp")) => (text.trim_end_matches("/tcp"), Transport::Tcp),
            Some((ports, "udp")) => (ports, Transport::Udp),
            Some((_, other)) => return Err(fault(format!("'{other}' is neither tcp nor udp"))),
        };
        let (ip, ports) = address(ports)
            .map_err(fault)?
            .unwrap_or((Ipv4Addr::LOCALHOST.into(), ports));
        let number = |port: &str| {
            let parsed = port.parse::<u16>();
            parsed.map_err(|_| fault(format!("'{port}' is no port, 0 to 65535")))
        };
        let (host, port) = match ports.split_once(':') {
            Some((host, port)) => (number(host)?, number(port)?),
            None => (number(ports)?, number(ports)?),
        };
        if port == 0 {
            let what = "port 0 leads nowhere in the node: 0:80 opens any free port of the host for port 80";
            return Err(fault(what.into()));
        }
        Ok(Self {
            host: SocketAddr::new(ip, host),
            port,
            transport,
        })
    }
}

/// The address that `text` begins with, if it does, and what follows it.
fn address(text: &str) -> Result<Option<(IpAddr, &str)>, String> {
    if let Some(rest) = text.strip_prefix('[') {
        let (ip, rest) = rest
            .split_once("]:")
            .ok_or_else(|| format!("'{text}' has no ']:' after its address"))?;
        let parsed = ip.parse().map(IpAddr::V6);
        let ip = parsed.map_err(|_| format!("'{ip}' is no IPv6 address"))?;
        return Ok(Some((ip, rest)));
    }
    if text.matches(':').count() > 2 {
        return Err(format!(
            "'{text}' has too many colons: an IPv6 address stands in brackets"
        ));
    }
    match text.split_once(':') {
        Some((first, rest)) if first.parse::<u16>().is_err() => {
            let parsed = first.parse().map(IpAddr::V4);
            let ip = parsed.map_err(|_| format!("'{first}' is neither an address nor a port"))?;
            Ok(Some((ip, rest)))
        }
        _ => Ok(None),
    }
}

/// The host's end of a published port.
#[derive(Debug)]
pub(super) enum Door {
    Tcp(TcpListener),
    Udp(UdpSocket),
}

impl Publish {
    /// Opens the port, and says which it is.
    ///
    /// # Errors
    /// Somebody has it, the host has no such address, or this user may not.
    pub(super) fn open(self) -> io::Result<(Self, Door)> {
        let (host, transport) = (self.host, self.transport);
        let told = |error: io::Error| {
            io::Error::new(
                error.kind(),
                format!(
                    "port {host}/{transport} of the host can't be opened: {}",
                    advice(&error)
                ),
            )
        };
        let door = open(host, transport).map_err(told)?;
        let host = match &door {
            Door::Tcp(listener) => listener.local_addr()?,
            Door::Udp(socket) => socket.local_addr()?,
        };
        Ok((Self { host, ..self }, door))
    }
}

fn open(address: SocketAddr, transport: Transport) -> io::Result<Door> {
    let (ty, protocol) = match transport {
        Transport::Tcp => (Type::STREAM, Protocol::TCP),
        Transport::Udp => (Type::DGRAM, Protocol::UDP),
    };
    let socket = Socket::new(Domain::for_address(address), ty, Some(protocol))?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        // Families stay apart: both may be published under one number.
        socket.set_only_v6(true)?;
    }
    if transport == Transport::Tcp {
        // What is left of an earlier run's connections does not keep the port.
        socket.set_reuse_address(true)?;
    }
    socket.bind(&address.into())?;
    match transport {
        Transport::Tcp => {
            socket.listen(BACKLOG)?;
            Ok(Door::Tcp(socket.into()))
        }
        Transport::Udp => Ok(Door::Udp(socket.into())),
    }
}

fn advice(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "another socket has it; port 0 takes any free one".into(),
        io::ErrorKind::AddrNotAvailable => "the host has no such address".into(),
        io::ErrorKind::PermissionDenied => {
            "this user may not; ports from net.ipv4.ip_unprivileged_port_start (1024) on need no privilege".into()
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        let parsed = text.parse::<Publish>();
        parsed.map(|p| p.to_string()).map_err(|e| e.to_string())
    }

    #[test]
    fn ports_are_read() {
        for (text, meant) in [
            ("8080", "127.0.0.1:8080:8080/tcp"),
            ("8080:80", "127.0.0.1:8080:80/tcp"),
            ("0:80/tcp", "127.0.0.1:0:80/tcp"),
            ("5353/udp", "127.0.0.1:5353:5353/udp"),
            ("0.0.0.0:8080", "0.0.0.0:8080:8080/tcp"),
            ("192.0.2.1:8080:80/udp", "192.0.2.1:8080:80/udp"),
            ("[::1]:8080:80", "[::1]:8080:80/tcp"),
            ("[::]:0:53/udp", "[::]:0:53/udp"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(meant), "{text}");
        }
    }

    #[test]
    fn a_mistake_is_named_with_what_would_be_right() {
        for (text, wanted) in [
            ("", "'' is no port"),
            ("http", "'http' is no port"),
            (
                "localhost:80:80",
                "'localhost' is neither an address nor a port",
            ),
            ("65536", "'65536' is no port, 0 to 65535"),
            ("8080:", "'' is no port"),
            ("0", "0:80 opens any free port"),
            ("8080:0", "port 0 leads nowhere"),
            ("8080:80/sctp", "'sctp' is neither tcp nor udp"),
            ("8080/tcp/tcp", "'tcp/tcp' is neither"),
            ("::1:8080:80", "stands in brackets"),
            ("[::1]8080", "no ']:'"),
            ("[127.0.0.1]:80", "'127.0.0.1' is no IPv6 address"),
            ("1.2.3:80:80", "'1.2.3' is neither an address nor a port"),
            ("1:2:3", "'2:3' is no port"),
        ] {
            let said = read(text).unwrap_err();
            assert!(said.contains(wanted), "{text}: {said}");
            assert!(said.contains("such as 8080:80"), "{text}: {said}");
        }
    }

    #[test]
    fn a_port_that_somebody_has_is_named() {
        for transport in ["tcp", "udp"] {
            let any: Publish = format!("0:80/{transport}").parse().unwrap();
            let (first, door) = any.open().unwrap();
            assert_ne!(first.host.port(), 0);
            let said = first.open().unwrap_err().to_string();
            let wanted = format!(
                "port {}/{transport} of the host can't be opened: another socket has it",
                first.host
            );
            assert!(said.contains(&wanted), "{said}");
            drop(door);
        }
        let elsewhere: Publish = "192.0.2.77:0:80".parse().unwrap();
        let said = elsewhere.open().unwrap_err().to_string();
        assert!(said.contains("the host has no such address"), "{said}");
    }
}
