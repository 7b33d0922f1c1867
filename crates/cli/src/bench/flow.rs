//! One connection: its two ends, and the threads that use them.

use super::Transport;
use super::pattern::Pattern;
use super::tally::Tally;
use anyhow::{Context, Result, ensure};
use sockeye::{Domain, Node, OptionValue, Protocol, Socket, SocketOption, Type};
use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The port of the first connection at the second node.
const PORT: u16 = 7000;
/// Bytes that are read of a stream at once.
const READ: usize = 256 * 1024;
/// How long a datagram may take after the last was sent, and an answer where some are lost; and how
/// long DCCP may hold one back: where much is lost it lets out hardly one in a minute.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a reliable transport may stand still: more loss than it can bear. UDP waits for the link alone.
const STALL: Duration = Duration::from_secs(60);

/// What is done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) transport: Transport,
    pub(crate) size: usize,
    pub(crate) pingpong: bool,
}

/// The ends of a connection.
#[derive(Debug)]
pub(crate) struct Ends {
    client: Socket,
    server: Socket,
}

type Ended = JoinHandle<Result<()>>;

impl Ends {
    /// The `n`th connection, from the first node to the second.
    pub(crate) fn new(plan: &Plan, nodes: &(Node, Node), n: u16) -> Result<Self> {
        let (client, server) = match plan.transport {
            Transport::Unix => Socket::pair_on(&nodes.0, Type::STREAM)?,
            Transport::Udp => datagrams(nodes, n)?,
            _ => connection(plan.transport, nodes, n)?,
        };
        let patience = match plan.transport.loses() {
            true => PATIENCE,
            false => STALL,
        };
        let room = match plan.transport {
            Transport::Dccp => PATIENCE,
            _ => STALL,
        };
        for socket in [&client, &server] {
            socket.set_read_timeout(Some(patience))?;
            socket.set_write_timeout(Some(room))?;
        }
        Ok(Self { client, server })
    }

    /// Starts both ends. The client ends at `end`.
    pub(crate) fn start(self, plan: &Plan, end: Instant, tally: &Arc<Tally>) -> [Ended; 2] {
        let Self { client, server } = self;
        let plan = *plan;
        let spawn = |work: fn(&Plan, &Socket, Instant, &Tally) -> Result<()>, socket: Socket| {
            let tally = Arc::clone(tally);
            std::thread::spawn(move || {
                let done = work(&plan, &socket, end, &tally);
                if done.is_err() {
                    tally.fail();
                }
                done
            })
        };
        match plan.pingpong {
            true => [spawn(ask, client), spawn(answer, server)],
            false => [spawn(send, client), spawn(receive, server)],
        }
    }
}

/// A connection of TCP, SCTP or DCCP.
fn connection(transport: Transport, nodes: &(Node, Node), n: u16) -> Result<(Socket, Socket)> {
    let (ty, protocol, undelayed) = match transport {
        Transport::Sctp => (
            Type::STREAM,
            Protocol::SCTP,
            Some(SocketOption::SctpNoDelay),
        ),
        Transport::Dccp => (Type::DCCP, Protocol::DCCP, None),
        _ => (Type::STREAM, Protocol::TCP, Some(SocketOption::NoDelay)),
    };
    let make = |node| -> Result<Socket> {
        let socket = Socket::new_on(node, Domain::IPV4, ty, Some(protocol))?;
        if transport == Transport::Dccp {
            let service = OptionValue::Bytes(0_u32.to_be_bytes().to_vec());
            socket.set_option(SocketOption::DccpService, service)?;
        }
        if let Some(option) = undelayed {
            socket.set_option(option, OptionValue::Flag(true))?;
        }
        Ok(socket)
    };
    let at = address(2, n);
    let listener = make(&nodes.1)?;
    listener.bind(at)?;
    listener.listen(1)?;
    let client = make(&nodes.0)?;
    client
        .connect(at)
        .context("the nodes do not reach each other")?;
    let (server, _) = listener.accept()?;
    if let Some(option) = undelayed {
        server.set_option(option, OptionValue::Flag(true))?;
    }
    Ok((client, server))
}

/// Two sockets of UDP, each other's peers.
fn datagrams(nodes: &(Node, Node), n: u16) -> Result<(Socket, Socket)> {
    let (one, other) = (address(1, n), address(2, n));
    let bound = |node, own, peer| -> Result<Socket> {
        let socket = Socket::new_on(node, Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.bind(own)?;
        socket.connect(peer)?;
        Ok(socket)
    };
    Ok((bound(&nodes.0, one, other)?, bound(&nodes.1, other, one)?))
}

fn address(last: u8, n: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, last], PORT + n))
}

/// Sends until the time is over, then ends its half.
fn send(plan: &Plan, socket: &Socket, end: Instant, tally: &Tally) -> Result<()> {
    let pattern = Pattern::new();
    let mut message = vec![0; plan.size];
    let (mut number, mut offset) = (0, 0);
    while Instant::now() < end && !tally.has_failed() {
        if plan.transport.has_messages() {
            pattern.write(number, &mut message);
            if !put_message(plan, socket, &message)? {
                continue;
            }
        } else {
            let bytes = pattern.at(offset, plan.size);
            put_all(socket, bytes)?;
            offset += bytes.len() as u64;
        }
        number += 1;
        tally.sent_one();
    }
    if plan.transport != Transport::Udp {
        socket.shutdown(Shutdown::Write)?;
    }
    Ok(())
}

/// Receives to the end, and compares.
fn receive(plan: &Plan, socket: &Socket, end: Instant, tally: &Tally) -> Result<()> {
    let pattern = Pattern::new();
    let mut buffer = vec![0; READ.max(plan.size)];
    let (mut number, mut offset, mut last) = (0, 0, None);
    loop {
        let len = match socket.recv(&mut buffer) {
            Ok(0) => break,
            Ok(len) => len,
            // The end of datagrams is that none comes any more.
            Err(error) if is_silence(&error) && plan.transport.loses() => {
                if Instant::now() > end || tally.has_failed() {
                    break;
                }
                continue;
            }
            // Whoever ends a DCCP connection may do so by a Reset.
            Err(error)
                if plan.transport == Transport::Dccp
                    && error.kind() == ErrorKind::ConnectionReset =>
            {
                break;
            }
            Err(error) => return Err(error).context("receiving"),
        };
        last = Some(Instant::now());
        if plan.transport.has_messages() {
            let found = pattern.read(&buffer[..len], plan.size, number)?;
            ensure!(
                found == number || plan.transport.loses(),
                "message {found} came instead of {number}"
            );
            number = found + 1;
            tally.arrived(len, 1);
        } else {
            pattern.check(offset, &buffer[..len])?;
            offset += len as u64;
            tally.arrived(len, 0);
        }
    }
    tally.ended(last, Vec::new());
    Ok(())
}

/// Sends a message, waits for it to come back, and looks whether it is the same.
fn ask(plan: &Plan, socket: &Socket, end: Instant, tally: &Tally) -> Result<()> {
    let pattern = Pattern::new();
    let (mut message, mut back) = (vec![0; plan.size], vec![0; plan.size]);
    let (mut times, mut last) = (Vec::new(), None);
    let mut number = 0;
    while Instant::now() < end && !tally.has_failed() {
        pattern.write(number, &mut message);
        let begun = Instant::now();
        if !put_message(plan, socket, &message)? {
            continue;
        }
        tally.sent_one();
        if get_back(plan, socket, &pattern, number, &mut back)? {
            let now = Instant::now();
            times.push(now - begun);
            tally.arrived(plan.size, 1);
            last = Some(now);
        }
        number += 1;
    }
    if plan.transport != Transport::Udp {
        socket.shutdown(Shutdown::Write)?;
    }
    tally.ended(last, times);
    Ok(())
}

/// Takes the message of this number; false when it was lost on the way.
fn get_back(
    plan: &Plan,
    socket: &Socket,
    pattern: &Pattern,
    number: u64,
    back: &mut [u8],
) -> Result<bool> {
    let mut have = 0;
    loop {
        match socket.recv(&mut back[have..]) {
            Ok(0) => return Err(io::Error::from(ErrorKind::UnexpectedEof).into()),
            Ok(len) => have += len,
            Err(error) if is_silence(&error) && plan.transport.loses() => return Ok(false),
            Err(error) => return Err(error).context("receiving"),
        }
        if have < back.len() && !plan.transport.has_messages() {
            continue;
        }
        // One that had been given up may come after all.
        let found = pattern.read(&back[..have], plan.size, number)?;
        if found == number {
            return Ok(true);
        }
        ensure!(
            plan.transport.loses() && found < number,
            "message {found} came instead of {number}"
        );
        have = 0;
    }
}

/// Sends back what comes.
fn answer(plan: &Plan, socket: &Socket, end: Instant, tally: &Tally) -> Result<()> {
    let mut buffer = vec![0; READ.max(plan.size)];
    loop {
        match socket.recv(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(len) if plan.transport.has_messages() => {
                put_message(plan, socket, &buffer[..len])?;
            }
            Ok(len) => put_all(socket, &buffer[..len])?,
            Err(error) if is_silence(&error) && plan.transport.loses() => {
                if Instant::now() > end || tally.has_failed() {
                    return Ok(());
                }
            }
            Err(error)
                if plan.transport == Transport::Dccp
                    && error.kind() == ErrorKind::ConnectionReset =>
            {
                return Ok(());
            }
            Err(error) => return Err(error).context("receiving"),
        }
    }
}

/// Sends one message, whole; false when DCCP held it back for too long.
fn put_message(plan: &Plan, socket: &Socket, message: &[u8]) -> Result<bool> {
    if !plan.transport.has_messages() {
        put_all(socket, message)?;
        return Ok(true);
    }
    match socket.send(message) {
        Ok(len) => ensure!(
            len == message.len(),
            "{len} bytes were sent of {}",
            message.len()
        ),
        Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => {
            let most = match plan.transport {
                Transport::Dccp => socket.option(SocketOption::DccpMaxPacketSize).ok(),
                _ => None,
            };
            let most = most.and_then(|most| most.int().ok());
            let most = most.map_or(String::new(), |most| format!(": {most} do"));
            return Err(error).with_context(|| {
                format!("{} bytes are too long for a message{most}", message.len())
            });
        }
        Err(error) if is_silence(&error) && plan.transport == Transport::Dccp => return Ok(false),
        Err(error) => return Err(error).context("sending"),
    }
    Ok(true)
}

/// Sends all of it on a stream.
fn put_all(socket: &Socket, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        let len = socket.send(bytes).context("sending")?;
        bytes = &bytes[len..];
    }
    Ok(())
}

/// Nothing came for as long as was waited.
fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
