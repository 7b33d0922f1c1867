//! `sockeye nc`: bytes between the standard streams and a socket of the node.

mod carry;

use crate::node;
use crate::options::{NodeOptions, seconds};
use crate::report;
use anyhow::{Context, Result, bail};
use carry::{datagrams, messages, stream, unless_over, write_out};
use sockeye::net::{DccpListener, DccpSocket, SctpListener, TcpListener, UdpSocket};
use sockeye::{Domain, Node, OptionValue, Protocol, Socket, SocketOption, Type};
use std::fmt::Display;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

/// Bytes that are moved at once; also the longest datagram.
const CHUNK: usize = 64 * 1024;
/// How long a refusal of a datagram is waited for, where nothing else is said.
const REFUSAL: Duration = Duration::from_secs(1);

/// Send the standard input to a socket, and what comes from it to the standard output
///
/// The end of the input closes that half of a connection; the command ends when both are closed.
/// With --udp each read of the input is a datagram, and only --wait or --quit ends the command.
/// Exit status: 0 success, 1 when --zero found no port open, 2 on an error.
#[derive(Debug, clap::Args)]
#[command(allow_missing_positional = true)]
pub(crate) struct Nc {
    /// Wait for a connection, or for a first datagram, instead of opening one
    #[arg(short, long)]
    listen: bool,

    /// Datagrams (UDP) instead of a stream (TCP)
    #[arg(short, long)]
    udp: bool,

    /// Messages of SCTP instead of TCP: each read of the input is one
    #[arg(long, conflicts_with = "udp")]
    sctp: bool,

    /// Messages of DCCP instead of TCP: each read of the input is one, and its end ends the connection
    #[arg(long, conflicts_with_all = ["udp", "sctp"])]
    dccp: bool,

    /// The Service Code of DCCP: a number, or four characters
    #[arg(long, value_name = "CODE", value_parser = service, requires = "dccp", default_value = "0")]
    service: u32,

    /// Serve one connection after the other, or datagrams of everybody, without end
    #[arg(short, long, requires = "listen")]
    keep: bool,

    /// Only see whether the ports are open, and send nothing
    #[arg(short, long, conflicts_with = "listen")]
    zero: bool,

    /// Give up when connecting takes longer, and end when nothing came for so long
    #[arg(short, long, value_name = "SECONDS", value_parser = seconds)]
    wait: Option<Duration>,

    /// End so long after the end of the input, whatever still comes
    #[arg(short, long, value_name = "SECONDS", value_parser = seconds)]
    quit: Option<Duration>,

    /// Take nothing from the standard input
    #[arg(short = 'd', long)]
    no_input: bool,

    /// Send from this address of the node
    #[arg(short, long, value_name = "IP")]
    source: Option<IpAddr>,

    /// Send from this port
    #[arg(short = 'p', long, value_name = "PORT")]
    source_port: Option<u16>,

    /// Send datagrams to broadcast addresses, too
    #[arg(short, long, requires = "udp")]
    broadcast: bool,

    /// IPv4 only
    #[arg(short = '4', long)]
    ipv4: bool,

    /// IPv6 only
    #[arg(short = '6', long, conflicts_with = "ipv4")]
    ipv6: bool,

    /// The host is an address, no name
    #[arg(short, long)]
    numeric: bool,

    /// Say on the standard error what becomes of connections
    #[arg(short, long)]
    verbose: bool,

    /// The peer's address or name; with --listen the node's own address, which may be left out
    #[arg(value_name = "HOST", required_unless_present = "listen")]
    host: Option<String>,

    /// The port; with --zero several, like 20-25
    #[arg(value_name = "PORT", required = true, value_parser = ports)]
    port: Option<Ports>,

    #[command(flatten)]
    node: NodeOptions,
}

/// From one to another, both of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ports(u16, u16);

impl Nc {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let Ports(first, last) = self.port.unwrap_or(Ports(0, 0));
        if first != last && !self.zero {
            bail!("several ports are for --zero alone");
        }
        let node = node::start(&self.node)?;
        match (self.udp, self.listen) {
            _ if self.zero => return self.look(&node, first..=last),
            (false, false) => self.carry(&self.connect(&node, first)?)?,
            (false, true) => self.serve(&node)?,
            (true, false) => self.send(&node)?,
            (true, true) => self.receive(&node)?,
        }
        Ok(ExitCode::SUCCESS)
    }

    /// What is spoken.
    fn transport(&self) -> (Type, Protocol) {
        match (self.udp, self.sctp, self.dccp) {
            (true, ..) => (Type::DGRAM, Protocol::UDP),
            (_, true, _) => (Type::STREAM, Protocol::SCTP),
            (.., true) => (Type::DCCP, Protocol::DCCP),
            _ => (Type::STREAM, Protocol::TCP),
        }
    }

    /// Where to: the addresses of the host, of the family that was asked for.
    fn peers(&self, node: &Node) -> Result<Vec<IpAddr>> {
        let host = self.host.as_deref().unwrap_or_default();
        if self.numeric && host.parse::<IpAddr>().is_err() {
            bail!("'{host}' is no address, and no names are looked up with --numeric");
        }
        let mut found = node::resolve(node, host)?;
        found.retain(|ip| match ip {
            IpAddr::V4(_) => !self.ipv6,
            IpAddr::V6(_) => !self.ipv4,
        });
        if found.is_empty() {
            bail!("{host} has no address of that family");
        }
        Ok(found)
    }

    /// Where to listen.
    fn own(&self) -> Result<SocketAddr> {
        let port = self.port.map_or(0, |Ports(first, _)| first);
        let Some(host) = &self.host else {
            let any: IpAddr = match self.ipv4 {
                true => Ipv4Addr::UNSPECIFIED.into(),
                false => Ipv6Addr::UNSPECIFIED.into(),
            };
            return Ok((any, port).into());
        };
        let ip: IpAddr = host
            .parse()
            .with_context(|| format!("'{host}' is not an address to listen at"))?;
        Ok(SocketAddr::new(ip, port))
    }

    /// A socket for `peer`, bound as the options say.
    fn socket(&self, node: &Node, peer: SocketAddr) -> Result<Socket> {
        let (ty, protocol) = self.transport();
        let socket = Socket::new_on(node, Domain::for_address(peer), ty, Some(protocol))?;
        if self.dccp {
            let service = OptionValue::Bytes(self.service.to_be_bytes().to_vec());
            socket.set_option(SocketOption::DccpService, service)?;
        }
        if self.broadcast {
            socket.set_broadcast(true)?;
        }
        if self.source.is_some() || self.source_port.is_some() {
            let any: IpAddr = match peer {
                SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
            };
            let own = self.source.unwrap_or(any);
            let own = SocketAddr::new(own, self.source_port.unwrap_or(0));
            socket.set_reuse_address(true)?;
            let bound = socket.bind(own);
            bound.with_context(|| format!("can't send from {own}"))?;
        }
        Ok(socket)
    }

    /// A connected socket; of a stream the wait for that is limited by --wait.
    fn connected(&self, node: &Node, peer: SocketAddr) -> Result<Socket> {
        let socket = self.socket(node, peer)?;
        let connected = match self.wait {
            Some(wait) if !self.udp => socket.connect_timeout(peer, wait),
            _ => socket.connect(peer),
        };
        connected.with_context(|| format!("can't connect to {peer}"))?;
        Ok(socket)
    }

    fn connect(&self, node: &Node, port: u16) -> Result<Socket> {
        let mut last = None;
        for ip in self.peers(node)? {
            let peer = SocketAddr::new(ip, port);
            match self.connected(node, peer) {
                Ok(socket) => {
                    self.say(format_args!("connected to {peer}"))?;
                    return Ok(socket);
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.context("the host has no address")?)
    }

    fn carry(&self, connection: &Socket) -> Result<()> {
        let (wait, quit, input) = (self.wait, self.quit, !self.no_input);
        let connection = connection.try_clone()?;
        match self.dccp {
            true => messages(&DccpSocket::from(connection), wait, quit, input),
            false => stream(&connection.into(), wait, quit, input),
        }
    }

    fn serve(&self, node: &Node) -> Result<()> {
        let own = self.own()?;
        let listener = match self.transport().1 {
            Protocol::SCTP => SctpListener::bind_on(node, own).map(Socket::from),
            Protocol::DCCP => DccpListener::bind_on(node, own, &[self.service]).map(Socket::from),
            _ => TcpListener::bind_on(node, own).map(Socket::from),
        };
        let listener = listener.with_context(|| format!("can't listen at {own}"))?;
        self.say(format_args!("listening at {}", listener.local_addr()?))?;
        loop {
            let (connection, peer) = listener.accept()?;
            self.say(format_args!("a connection from {peer}"))?;
            match self.carry(&connection) {
                Err(error) if self.keep => self.say(format_args!("{peer}: {error:#}"))?,
                done => done?,
            }
            if !self.keep {
                return Ok(());
            }
        }
    }

    fn send(&self, node: &Node) -> Result<()> {
        let port = self.port.map_or(0, |Ports(first, _)| first);
        let peer = self.peers(node)?.first().copied();
        let peer = SocketAddr::new(peer.context("the host has no address")?, port);
        let socket = self.connected(node, peer)?;
        datagrams(socket.into(), self.wait, self.quit, !self.no_input)
    }

    fn receive(&self, node: &Node) -> Result<()> {
        let own = self.own()?;
        let socket = UdpSocket::bind_on(node, own);
        let socket = socket.with_context(|| format!("can't listen at {own}"))?;
        self.say(format_args!("listening at {}", socket.local_addr()?))?;
        socket.set_read_timeout(self.wait)?;
        let mut buffer = vec![0; CHUNK];
        loop {
            let Some((length, from)) = unless_over(socket.recv_from(&mut buffer))? else {
                return Ok(());
            };
            write_out(&buffer[..length])?;
            if !self.keep {
                // The first datagram says who the peer is.
                self.say(format_args!("datagrams from {from}"))?;
                socket.connect(from)?;
                return datagrams(socket, self.wait, self.quit, !self.no_input);
            }
        }
    }

    /// Which of the ports are open.
    fn look(&self, node: &Node, ports: impl Iterator<Item = u16>) -> Result<ExitCode> {
        let peers = self.peers(node)?;
        let mut found = false;
        for port in ports {
            let mut said = None;
            for ip in &peers {
                let peer = SocketAddr::new(*ip, port);
                match self.connected(node, peer).and_then(|s| self.is_open(&s)) {
                    Ok(()) => {
                        found = true;
                        said = None;
                        let protocol = match self.transport().1 {
                            Protocol::UDP => "udp",
                            Protocol::SCTP => "sctp",
                            Protocol::DCCP => "dccp",
                            _ => "tcp",
                        };
                        writeln!(io::stdout(), "{ip} {port}/{protocol} open")?;
                        break;
                    }
                    Err(error) => said = Some(error),
                }
            }
            if let Some(error) = said {
                self.say(format_args!("{error:#}"))?;
            }
        }
        Ok(ExitCode::from(if found { 0 } else { report::NO_RESULT }))
    }

    /// A connection is; of datagrams one is sent, and no refusal comes.
    fn is_open(&self, socket: &Socket) -> Result<()> {
        if !self.udp {
            return Ok(());
        }
        socket.send(&[])?;
        socket.set_read_timeout(Some(self.wait.unwrap_or(REFUSAL)))?;
        unless_over(socket.recv(&mut [0; 1]))?;
        Ok(())
    }

    fn say(&self, what: impl Display) -> io::Result<()> {
        match self.verbose {
            true => writeln!(io::stderr(), "sockeye: {what}"),
            false => Ok(()),
        }
    }
}

/// A Service Code as RFC 4340 §8.1.2 writes it down: a decimal number, or four characters.
fn service(text: &str) -> Result<u32, String> {
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    match text.as_bytes().first_chunk() {
        Some(four) if text.len() == 4 => Ok(u32::from_be_bytes(*four)),
        _ => Err(format!("'{text}' is neither a number nor four characters")),
    }
}

/// A port, or two with a hyphen between them.
fn ports(text: &str) -> Result<Ports, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let port = |text: &str| match text.parse() {
        Ok(port @ 1..) => Ok(port),
        _ => Err(format!("'{text}' is no port: they are 1 to 65535")),
    };
    let (first, last) = (port(first)?, port(last)?);
    if first > last {
        return Err(format!("'{text}' ends before it begins"));
    }
    Ok(Ports(first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read() {
        assert_eq!(ports("80"), Ok(Ports(80, 80)));
        assert_eq!(ports("20-25"), Ok(Ports(20, 25)));
        for wrong in ["0", "65536", "http", "25-20", "-", "1-"] {
            assert!(ports(wrong).is_err(), "{wrong}");
        }
    }
}
