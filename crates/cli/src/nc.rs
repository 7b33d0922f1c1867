//! `sockeye nc`: bytes between the standard streams and a socket of the node.

use crate::node;
use crate::options::{NodeOptions, seconds};
use anyhow::{Context, Result};
use sockeye::Node;
use sockeye::net::{TcpListener, TcpStream, UdpSocket};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

/// Bytes that are moved at once; also the longest datagram.
const CHUNK: usize = 64 * 1024;

/// Send the standard input to a socket, and what comes from it to the standard output
///
/// The end of the input closes that half of a connection; the command ends when both are closed.
/// With --udp each read of the input is a datagram, and only --wait ends the command.
#[derive(Debug, clap::Args)]
#[command(allow_missing_positional = true)]
pub(crate) struct Nc {
    /// Wait for a connection, or for a first datagram, instead of opening one
    #[arg(short, long)]
    listen: bool,

    /// Datagrams (UDP) instead of a stream (TCP)
    #[arg(short, long)]
    udp: bool,

    /// Give up when connecting takes longer, and end when nothing came for so long
    #[arg(short, long, value_name = "SECONDS", value_parser = seconds)]
    wait: Option<Duration>,

    /// The peer's address or name; with --listen the node's own address, which may be left out
    #[arg(value_name = "HOST", required_unless_present = "listen")]
    host: Option<String>,

    /// The port
    #[arg(value_name = "PORT", required = true)]
    port: Option<u16>,

    #[command(flatten)]
    node: NodeOptions,
}

impl Nc {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let node = node::start(&self.node)?;
        match (self.udp, self.listen) {
            (false, false) => stream(&self.connect(&node)?, self.wait),
            (false, true) => stream(&self.accept(&node)?, self.wait),
            (true, _) => self.datagrams(&node),
        }?;
        Ok(ExitCode::SUCCESS)
    }

    /// Where to: every address of the host.
    fn peers(&self, node: &Node) -> Result<Vec<SocketAddr>> {
        let host = self.host.as_deref().unwrap_or_default();
        let found = node::resolve(node, host)?.into_iter();
        Ok(found.map(|ip| SocketAddr::new(ip, self.port())).collect())
    }

    /// Where to listen.
    fn own(&self) -> Result<SocketAddr> {
        let Some(host) = &self.host else {
            return Ok((Ipv6Addr::UNSPECIFIED, self.port()).into());
        };
        let ip: IpAddr = host
            .parse()
            .with_context(|| format!("'{host}' is not an address to listen at"))?;
        Ok(SocketAddr::new(ip, self.port()))
    }

    fn port(&self) -> u16 {
        self.port.unwrap_or_default()
    }

    fn connect(&self, node: &Node) -> Result<TcpStream> {
        let mut last = None;
        for peer in self.peers(node)? {
            let result = match self.wait {
                Some(wait) => TcpStream::connect_timeout_on(node, &peer, wait),
                None => TcpStream::connect_on(node, peer),
            };
            match result {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Some((peer, error)),
            }
        }
        let (peer, error) = last.context("the host has no address")?;
        Err(error).with_context(|| format!("can't connect to {peer}"))
    }

    fn accept(&self, node: &Node) -> Result<TcpStream> {
        let own = self.own()?;
        let listener = TcpListener::bind_on(node, own);
        let listener = listener.with_context(|| format!("can't listen at {own}"))?;
        Ok(listener.accept()?.0)
    }

    fn datagrams(&self, node: &Node) -> Result<()> {
        let socket = if self.listen {
            let own = self.own()?;
            let socket = UdpSocket::bind_on(node, own);
            let socket = socket.with_context(|| format!("can't listen at {own}"))?;
            socket.set_read_timeout(self.wait)?;
            // The first datagram says who the peer is.
            let mut buffer = vec![0; CHUNK];
            let Some((length, from)) = unless_over(socket.recv_from(&mut buffer))? else {
                return Ok(());
            };
            write_out(&buffer[..length])?;
            socket.connect(from)?;
            socket
        } else {
            let peer = *self
                .peers(node)?
                .first()
                .context("the host has no address")?;
            let any: IpAddr = match peer {
                SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
            };
            let socket = UdpSocket::bind_on(node, (any, 0))?;
            socket.connect(peer)?;
            socket.set_read_timeout(self.wait)?;
            socket
        };
        let sender = socket.try_clone()?;
        // It ends with the process: a read of the standard input can't be given up.
        thread::spawn(move || each_chunk(io::stdin().lock(), |chunk| sender.send(chunk).map(drop)));
        let mut buffer = vec![0; CHUNK];
        while let Some(length) = unless_over(socket.recv(&mut buffer))? {
            write_out(&buffer[..length])?;
        }
        Ok(())
    }
}

/// Moves both directions of `stream` until both have ended.
fn stream(stream: &TcpStream, wait: Option<Duration>) -> Result<()> {
    stream.set_read_timeout(wait)?;
    let writer = stream.try_clone()?;
    let sent = thread::spawn(move || {
        let sent = each_chunk(io::stdin().lock(), |chunk| (&writer).write_all(chunk));
        // The peer may be gone already; then there is no half to close.
        let _ = writer.shutdown(Shutdown::Write);
        sent
    });
    let mut buffer = vec![0; CHUNK];
    loop {
        match unless_over((&*stream).read(&mut buffer))? {
            Some(0) => break,
            Some(length) => write_out(&buffer[..length])?,
            None => return Ok(()),
        }
    }
    match sent.join() {
        Ok(Err(error)) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Hands what `from` gives to `to`, chunk by chunk.
fn each_chunk(mut from: impl Read, mut to: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => to(&buffer[..length])?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The result, or `None` when the time to wait is over.
fn unless_over<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn write_out(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}
