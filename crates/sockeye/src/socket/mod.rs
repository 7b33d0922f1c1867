//! The Berkeley socket of a node, shaped like socket2's.
//!
//! Every operation exists once, as a step under the shard's lock that never blocks (`op`). A
//! `poll_*` method repeats the step with a waker in line, a blocking call parks over the same poll
//! with a deadline (`wait`), and the std-shaped and tokio-shaped types are a few lines above these.

mod ancillary;
mod authentication;
mod authentication_option;
mod connect;
mod error_queue;
mod fast_open;
mod group_option;
mod groups;
mod many;
mod message;
mod op;
mod option;
mod owned;
mod packet;
mod raw_ancillary;
mod raw_message;
mod raw_option;
mod receive;
mod sctp;
mod send;
mod tcp_info;
mod unix;
mod urgent;
mod wait;

pub use ancillary::{Ancillary, MessageFlags, Received, RecvMessage, SendMessage};
pub use error_queue::ExtendedError;
pub use packet::ReceivedFrame;
pub use raw_message::{Control, RawMessage};
pub use unix::{Inbox, UnixMessage, UnixSend};

use crate::beyond::Taken;
use crate::driver::block_on;
use crate::error::{os, to_io};
use crate::node::Node;
use crate::shard::Closing;
use crate::waiters::Direction;
use sockeye_core::{Error, Handle, Readiness};
use sockeye_tcp::Queued;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

pub(crate) use op::Kind;
pub(crate) use wait::Waiting;

/// The address family of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Domain(i32);

impl Domain {
    /// AF_INET.
    pub const IPV4: Self = Self(libc::AF_INET);
    /// AF_INET6: dual-stack unless IPV6_V6ONLY is set.
    pub const IPV6: Self = Self(libc::AF_INET6);

    /// AF_UNIX: inside the node.
    pub const UNIX: Self = Self(libc::AF_UNIX);
    /// AF_PACKET: the frames of links.
    pub const PACKET: Self = Self(libc::AF_PACKET);

    /// The family of an address.
    #[must_use]
    pub const fn for_address(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V4(_) => Self::IPV4,
            SocketAddr::V6(_) => Self::IPV6,
        }
    }

    fn core(self) -> Result<sockeye_core::Domain, Error> {
        match self {
            Self::IPV4 => Ok(sockeye_core::Domain::V4),
            Self::IPV6 => Ok(sockeye_core::Domain::V6),
            _ => Err(Error::AddressFamily),
        }
    }
}

/// The semantics of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Type(i32);

impl Type {
    /// SOCK_STREAM: a stream of bytes.
    pub const STREAM: Self = Self(libc::SOCK_STREAM);
    /// SOCK_DGRAM: messages; of a packet socket, without their link header.
    pub const DGRAM: Self = Self(libc::SOCK_DGRAM);
    /// SOCK_SEQPACKET: messages, over a connection or of many associations (SCTP).
    pub const SEQPACKET: Self = Self(libc::SOCK_SEQPACKET);
    /// SOCK_RAW: IP packets; of a packet socket, whole frames.
    pub const RAW: Self = Self(libc::SOCK_RAW);
    /// SOCK_DCCP: messages on a connection, in the order in which they came.
    pub const DCCP: Self = Self(6);
}

/// The protocol of a socket: an IP protocol number; of a packet socket an EtherType in network
/// order, as Linux has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Protocol(i32);

impl Protocol {
    /// ICMP: echo with [`Type::DGRAM`], all of it with [`Type::RAW`].
    pub const ICMPV4: Self = Self(libc::IPPROTO_ICMP);
    /// ICMPv6.
    pub const ICMPV6: Self = Self(libc::IPPROTO_ICMPV6);
    /// TCP.
    pub const TCP: Self = Self(libc::IPPROTO_TCP);
    /// UDP.
    pub const UDP: Self = Self(libc::IPPROTO_UDP);
    /// SCTP.
    pub const SCTP: Self = Self(libc::IPPROTO_SCTP);
    /// UDP-Lite (RFC 3828).
    pub const UDPLITE: Self = Self(libc::IPPROTO_UDPLITE);
    /// DCCP (RFC 4340).
    pub const DCCP: Self = Self(libc::IPPROTO_DCCP);
    /// Of a packet socket: every protocol, and what leaves as well (ETH_P_ALL).
    pub const ALL_FRAMES: Self = Self::of_frames(sockeye_core::raw::packet::ETH_P_ALL);

    /// Of a packet socket: frames of an EtherType.
    #[must_use]
    pub const fn of_frames(ethertype: u16) -> Self {
        Self(ethertype.to_be() as i32)
    }

    /// The EtherType that [`of_frames`](Self::of_frames) was given.
    pub(super) const fn ethertype(self) -> u16 {
        let [low, high, ..] = self.0.to_le_bytes();
        u16::from_be(u16::from_le_bytes([low, high]))
    }
}

macro_rules! int_conversions {
    ($($name:ident)*) => {$(
        impl From<i32> for $name {
            fn from(number: i32) -> Self {
                Self(number)
            }
        }

        impl From<$name> for i32 {
            fn from(value: $name) -> Self {
                value.0
            }
        }
    )*};
}

int_conversions!(Domain Type Protocol);

/// A socket of a node.
///
/// Closed when the last of its clones ([`try_clone`](Self::try_clone)) is dropped. What was
/// written is still delivered then; SO_LINGER changes that as socket(7) tells.
#[derive(Debug)]
pub struct Socket(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    node: Node,
    handle: Handle,
    kind: Kind,
    domain: Domain,
    protocol: Protocol,
    nonblocking: AtomicBool,
    /// SO_RCVTIMEO and SO_SNDTIMEO in nanoseconds; 0 for none.
    read_timeout: AtomicU64,
    write_timeout: AtomicU64,
    /// Its name beyond the node, while it has one there.
    taken: OnceLock<Box<dyn Taken>>,
    /// Where its datagrams leave the node and come into it, while names are shared: few have one.
    post: OnceLock<Box<unix::Post>>,
    /// How long the end of a blocking socket waits for the peer, in nanoseconds.
    linger: AtomicU64,
}

/// Making and ending a socket.
impl Socket {
    /// A socket of the current node.
    ///
    /// # Errors
    /// No node is current, or as for [`new_on`](Self::new_on).
    pub fn new(domain: Domain, ty: Type, protocol: Option<Protocol>) -> io::Result<Self> {
        Self::new_on(&Node::current()?, domain, ty, protocol)
    }

    /// A socket of `node`.
    ///
    /// # Errors
    /// EAFNOSUPPORT, ESOCKTNOSUPPORT and EPROTONOSUPPORT for what there is none of, EPERM for a raw
    /// one where the node forbids them, ENFILE at the node's limit.
    pub fn new_on(
        node: &Node,
        domain: Domain,
        ty: Type,
        protocol: Option<Protocol>,
    ) -> io::Result<Self> {
        let kind = Kind::find(domain, ty, protocol)?;
        let protocol = kind.protocol(protocol);
        let handle = node.shard().with(|state, now| {
            let handle = kind.open(&mut state.node, now, domain, protocol)?;
            state.open.insert(handle);
            Ok(handle)
        });
        let handle = handle.map_err(to_io)?;
        Ok(Self::from_parts(
            node.clone(),
            handle,
            kind,
            domain,
            protocol,
        ))
    }

    /// The face of a socket that the transport made: it stands in the list of open ones already.
    pub(crate) fn from_parts(
        node: Node,
        handle: Handle,
        kind: Kind,
        domain: Domain,
        protocol: Protocol,
    ) -> Self {
        Self(Arc::new(Inner {
            node,
            handle,
            kind,
            domain,
            protocol,
            nonblocking: AtomicBool::new(false),
            read_timeout: AtomicU64::new(0),
            write_timeout: AtomicU64::new(0),
            linger: AtomicU64::new(0),
            taken: OnceLock::new(),
            post: OnceLock::new(),
        }))
    }

    /// Another handle of the same socket.
    ///
    /// # Errors
    /// None today; the signature is std's.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self(self.0.clone()))
    }

    /// Its node.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.0.node
    }

    /// Its name inside the node.
    pub(crate) fn handle(&self) -> Handle {
        self.0.handle
    }

    /// Its family.
    #[must_use]
    pub fn domain(&self) -> Domain {
        self.0.domain
    }

    /// Its semantics.
    #[must_use]
    pub fn r#type(&self) -> Type {
        self.0.kind.ty()
    }

    /// Its protocol.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.0.protocol
    }

    /// Ends a connection with a reset, now; what was not delivered is lost.
    pub fn abort(&self) {
        // One that is gone already needs no reset.
        let _ = self.step(|op| op.abort());
        self.run();
    }

    /// Whether two handles name one socket.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Addresses, state and modes.
impl Socket {
    /// bind(2).
    ///
    /// # Errors
    /// EINVAL when it has an address, EADDRNOTAVAIL, EADDRINUSE, EAFNOSUPPORT.
    pub fn bind(&self, address: SocketAddr) -> io::Result<()> {
        self.call(|op| op.bind(address))
    }

    /// listen(2).
    ///
    /// # Errors
    /// EOPNOTSUPP when it is no stream, EINVAL when it is connected.
    pub fn listen(&self, backlog: i32) -> io::Result<()> {
        // As in Linux a negative one is the most there is.
        let backlog = usize::try_from(backlog).unwrap_or(usize::MAX);
        self.call(|op| op.listen(backlog))?;
        match self.0.taken.get() {
            Some(taken) => taken.listen(self, i32::try_from(backlog).unwrap_or(-1)),
            None => Ok(()),
        }
    }

    /// What only DCCP has.
    pub(crate) fn dccp<R>(
        &self,
        call: impl FnOnce(
            &mut sockeye_dccp::Dccp,
            &mut sockeye_core::Context<'_>,
            sockeye_core::SocketId,
        ) -> Result<R, Error>,
    ) -> io::Result<R> {
        let result = self.call(|op| op.dccp(call))?;
        self.run();
        Ok(result)
    }

    /// getsockname(2).
    ///
    /// # Errors
    /// The node was shut down.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.call(|op| op.local_addr())
    }

    /// getpeername(2).
    ///
    /// # Errors
    /// ENOTCONN.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.call(|op| op.peer_addr())
    }

    /// shutdown(2).
    ///
    /// # Errors
    /// ENOTCONN.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if how != Shutdown::Write {
            self.stop_post();
        }
        let how = match how {
            Shutdown::Read => sockeye_core::Shutdown::Read,
            Shutdown::Write => sockeye_core::Shutdown::Write,
            Shutdown::Both => sockeye_core::Shutdown::Both,
        };
        let done = self.call(|op| op.shutdown(how));
        self.run();
        done
    }

    /// SO_ERROR: the pending error, which is gone then.
    ///
    /// # Errors
    /// The node was shut down.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.call(|op| Ok(op.take_error()?.map(to_io)))
    }

    /// Waits until a stream fails, by a reset or a time-out, and takes that error (SO_ERROR). For
    /// who has read its end already, after which reading tells nothing more.
    pub fn poll_failure(&self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let failed = self.poll_step(cx, Direction::Read, |op| {
            op.take_error()?.ok_or(Error::WouldBlock)
        });
        failed.map(|failed| to_io(failed.unwrap_or_else(|gone| gone)))
    }

    /// What it is ready for now.
    ///
    /// # Errors
    /// The node was shut down.
    pub fn readiness(&self) -> io::Result<Readiness> {
        self.call(|op| op.readiness())
    }

    /// How much waits in the queues of a stream (SIOCINQ, SIOCOUTQ, SIOCOUTQNSD).
    ///
    /// # Errors
    /// EINVAL for a listener, EOPNOTSUPP when it is no stream.
    pub fn queued(&self) -> io::Result<Queued> {
        self.call(|op| op.queued())
    }

    /// Whether calls fail with EAGAIN instead of waiting.
    ///
    /// # Errors
    /// None today; the signature is socket2's.
    pub fn set_nonblocking(&self, on: bool) -> io::Result<()> {
        self.0.nonblocking.store(on, Ordering::Relaxed);
        Ok(())
    }

    /// Whether calls fail with EAGAIN instead of waiting.
    #[must_use]
    pub fn is_nonblocking(&self) -> bool {
        self.0.nonblocking.load(Ordering::Relaxed)
    }

    /// How long a receiving call waits; `None` for ever.
    ///
    /// # Errors
    /// EINVAL for a duration of zero.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        set_timeout(&self.0.read_timeout, timeout)
    }

    /// How long a sending or connecting call waits; `None` for ever.
    ///
    /// # Errors
    /// EINVAL for a duration of zero.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        set_timeout(&self.0.write_timeout, timeout)
    }

    /// See [`set_read_timeout`](Self::set_read_timeout).
    ///
    /// # Errors
    /// None today; the signature is socket2's.
    pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(timeout(&self.0.read_timeout))
    }

    /// See [`set_write_timeout`](Self::set_write_timeout).
    ///
    /// # Errors
    /// None today; the signature is socket2's.
    pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(timeout(&self.0.write_timeout))
    }
}

fn set_timeout(at: &AtomicU64, timeout: Option<Duration>) -> io::Result<()> {
    if timeout.is_some_and(|timeout| timeout.is_zero()) {
        return Err(os(libc::EINVAL));
    }
    let nanos = timeout.map_or(0, |t| u64::try_from(t.as_nanos()).unwrap_or(u64::MAX));
    at.store(nanos, Ordering::Relaxed);
    Ok(())
}

fn timeout(at: &AtomicU64) -> Option<Duration> {
    let nanos = at.load(Ordering::Relaxed);
    (nanos != 0).then(|| Duration::from_nanos(nanos))
}

impl Inner {
    /// Closes the socket; a blocking one with SO_LINGER then waits until its peer has everything.
    fn close(&self) {
        let shard = self.node.shard();
        if shard.is_foreign() {
            return;
        }
        let was_open = shard.with_state(|state, now| {
            let open = state.open.contains(&self.handle);
            if open {
                state.close(self.handle, now);
            }
            open
        });
        shard.run();
        let linger = timeout(&self.linger);
        if let Some(linger) = linger
            && was_open
            && self.kind == Kind::Tcp
            && !self.nonblocking.load(Ordering::Relaxed)
        {
            let deadline = shard.clock.after(linger);
            block_on(
                || vec![shard.clone()],
                deadline,
                |cx| {
                    let closing = Closing::Finished(self.handle.id);
                    shard.with_state(|state, _| state.poll_closing(closing, cx.waker()))
                },
            );
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_small() {
        assert!(size_of::<Inner>() <= 104, "{}", size_of::<Inner>());
    }
}
