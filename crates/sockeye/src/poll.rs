//! poll(2) over sockets of one node or of several.

use crate::clock::Deadline;
use crate::driver::block_on;
use crate::error::to_io;
use crate::shard::Shard;
use crate::socket::{Socket, Waiting};
use crate::waiters::{Class, Direction};
use sockeye_core::{Error, Readiness};
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// What is told whether it was asked for or not, as POLLERR and POLLHUP are.
const ALWAYS: Readiness = Readiness::ERROR
    .union(Readiness::ERROR_QUEUE)
    .union(Readiness::HANGUP);

/// A socket, what it is waited for, and what came about.
#[derive(Debug)]
pub struct PollFd<'a> {
    socket: &'a Socket,
    /// What is waited for; errors and the end of a connection always are.
    pub events: Readiness,
    revents: Readiness,
}

impl<'a> PollFd<'a> {
    /// Waits for `events` on `socket`.
    #[must_use]
    pub fn new(socket: &'a Socket, events: Readiness) -> Self {
        Self {
            socket,
            events,
            revents: Readiness::empty(),
        }
    }

    /// The socket.
    #[must_use]
    pub fn socket(&self) -> &'a Socket {
        self.socket
    }

    /// What the last [`poll()`] found; a closed socket is an error.
    #[must_use]
    pub fn revents(&self) -> Readiness {
        self.revents
    }
}

/// Waits until one of `sockets` is ready for something that it is asked for, at most `timeout`
/// (`None`: for ever), and says how many are.
///
/// ```
/// # use sockeye::drivers::{MemoryConfig, MemoryLink};
/// # use sockeye::{LinkConfig, Node};
/// use sockeye::net::UdpSocket;
/// use sockeye::{PollFd, Readiness};
/// use std::time::Duration;
///
/// # let (a, b) = MemoryLink::pair_ip(MemoryConfig::default());
/// # let a = Node::builder()
/// #     .link("eth0", Box::new(a), LinkConfig::new().address("10.0.0.1/24".parse()?))
/// #     .build()?;
/// # let b = Node::builder()
/// #     .link("eth0", Box::new(b), LinkConfig::new().address("10.0.0.2/24".parse()?))
/// #     .build()?;
/// let (one, two) = (UdpSocket::bind_on(&a, "0.0.0.0:7")?, UdpSocket::bind_on(&b, "0.0.0.0:7")?);
/// one.send_to(b"sockeye", "10.0.0.2:7")?;
/// let mut sockets = [
///     PollFd::new(one.as_socket(), Readiness::READABLE),
///     PollFd::new(two.as_socket(), Readiness::READABLE),
/// ];
/// assert_eq!(sockeye::poll(&mut sockets, Some(Duration::from_secs(1)))?, 1);
/// assert_eq!(sockets[0].revents(), Readiness::empty());
/// assert_eq!(sockets[1].revents(), Readiness::READABLE);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Of nodes with a [`ManualClock`](crate::ManualClock) all have to go by the same.
///
/// # Errors
/// ENFILE when no descriptor for the wait could be made.
pub fn poll(sockets: &mut [PollFd<'_>], timeout: Option<Duration>) -> io::Result<usize> {
    let shards = nodes(sockets);
    // What has come in meanwhile counts.
    shards.iter().for_each(|shard| shard.run());
    let manual = shards.iter().find(|shard| shard.clock.manual().is_some());
    let deadline = timeout.and_then(|timeout| match manual {
        None => Deadline::after(timeout),
        Some(shard) => shard.clock.after(timeout),
    });
    let mut lines: Vec<_> = sockets
        .iter()
        .map(|fd| {
            let line = |direction| Waiting::new(fd.socket, direction, Class::Shared);
            (line(Direction::Read), line(Direction::Write))
        })
        .collect();
    let found = block_on(
        || shards,
        deadline,
        |cx| {
            let mut ready = 0;
            for (fd, line) in sockets.iter_mut().zip(&mut lines) {
                fd.revents = look(fd, line, cx);
                ready += usize::from(!fd.revents.is_empty());
            }
            match ready {
                0 => Poll::Pending,
                _ => Poll::Ready(ready),
            }
        },
    );
    Ok(found.unwrap_or(0))
}

/// What a socket is ready for; nothing when the waker was put into its lines.
fn look<'a>(
    fd: &PollFd<'_>,
    (read, write): &mut (Waiting<'a>, Waiting<'a>),
    cx: &mut Context<'_>,
) -> Readiness {
    let wanted = fd.events | ALWAYS;
    let line = match fd.events.contains(Readiness::WRITABLE) {
        true => &mut *write,
        false => &mut *read,
    };
    let mut found = step(line, wanted, cx);
    let reads = Readiness::READABLE | Readiness::READ_CLOSED | Readiness::PRIORITY;
    let both = fd.events.contains(Readiness::WRITABLE) && fd.events.intersects(reads);
    if found.is_pending() && both {
        found = step(read, wanted, cx);
    }
    match found {
        Poll::Ready(Ok(ready)) => ready,
        Poll::Ready(Err(_)) => Readiness::ERROR,
        Poll::Pending => Readiness::empty(),
    }
}

fn step(
    line: &mut Waiting<'_>,
    wanted: Readiness,
    cx: &mut Context<'_>,
) -> Poll<io::Result<Readiness>> {
    let polled = line.poll_parked(cx, |op| {
        let ready = op.readiness()? & wanted;
        match ready.is_empty() {
            true => Err(Error::WouldBlock),
            false => Ok(ready),
        }
    });
    polled.map_err(to_io)
}

/// The nodes of the sockets, each once.
fn nodes(sockets: &[PollFd<'_>]) -> Vec<Arc<Shard>> {
    let mut nodes: Vec<Arc<Shard>> = Vec::new();
    for fd in sockets {
        let shard = fd.socket.node().shard();
        if !nodes.iter().any(|node| Arc::ptr_eq(node, shard)) {
            nodes.push(shard.clone());
        }
    }
    nodes
}
