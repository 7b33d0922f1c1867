//! Transports of one's own: whatever implements [`Transport`] plugs into a node as TCP does, for
//! the packets of one IP protocol. The node gives it packets, ICMP errors, deadlines and a way to
//! send; who uses it calls it by [`Node::with_transport`].
//!
//! One that only counts what comes:
//!
//! ```
//! use sockeye::drivers::{MemoryConfig, MemoryLink};
//! use sockeye::net::RawSocket;
//! use sockeye::transport::{
//!     Context, Disposition, IcmpError, InterfaceId, IpInfo, Packet, SocketId, SocketSummary,
//!     Transport, TransportId,
//! };
//! use sockeye::{Domain, LinkConfig, Node, Protocol};
//! use std::any::Any;
//! use std::net::IpAddr;
//!
//! const EXPERIMENT: u16 = 253; // RFC 3692
//!
//! #[derive(Default)]
//! struct Counting(usize);
//!
//! impl Transport for Counting {
//!     fn id(&self) -> TransportId {
//!         TransportId(EXPERIMENT)
//!     }
//!     fn on_packet(&mut self, _: &mut Context<'_>, _: &IpInfo, _: Packet) -> Disposition {
//!         self.0 += 1;
//!         Disposition::Taken
//!     }
//!     fn on_timeout(&mut self, _: &mut Context<'_>, _: SocketId) {}
//!     fn on_icmp_error(&mut self, _: &mut Context<'_>, _: &IcmpError<'_>) -> bool {
//!         false
//!     }
//!     fn sockets(&self) -> Vec<SocketSummary> {
//!         Vec::new()
//!     }
//!     fn has_output(&self, _: InterfaceId) -> bool {
//!         false
//!     }
//!     fn poll_transmit(&mut self, _: &mut Context<'_>, _: InterfaceId, _: usize) -> bool {
//!         false
//!     }
//!     fn as_any_mut(&mut self) -> &mut dyn Any {
//!         self
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (a, b) = MemoryLink::pair_ip(MemoryConfig::default());
//! let node = |link, address: &str| -> Result<Node, Box<dyn std::error::Error>> {
//!     let config = LinkConfig::new().address(address.parse()?);
//!     Ok(Node::builder().link("eth0", Box::new(link), config).build()?)
//! };
//! let (near, far) = (node(a, "10.0.0.1/24")?, node(b, "10.0.0.2/24")?);
//! let protocol = Protocol::from(i32::from(EXPERIMENT));
//! far.add_transport(protocol, Box::<Counting>::default())?;
//!
//! let socket = RawSocket::new_on(&near, Domain::IPV4, protocol)?;
//! socket.send_to(b"one", "10.0.0.2".parse::<IpAddr>()?)?;
//! while far.with_transport(protocol, |counting: &mut Counting, _| counting.0)? < 1 {
//!     std::thread::yield_now();
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A whole one: `examples/windowed_transport.rs`, and `examples/windowed_raw.rs` for the same
//! protocol over a raw socket.

use crate::driver::block_on;
use crate::error::to_io;
use crate::shard::State;
use crate::waiters::Direction;
use crate::{Node, Protocol};

use std::io;
use std::task::{self, Poll};
use std::time::Duration;

pub use sockeye_core::transport::IcmpErrorKind;
pub use sockeye_core::{
    AddressChange, Context, Disposition, Error, Handle, IcmpError, Instant, InterfaceId, IpInfo,
    Owner, Packet, Readiness, Route, RouteQuery, SendInfo, Slab, SocketId, SocketSummary, Tags,
    TimerSlot, Transport, TransportId,
};
pub use sockeye_wire::IpProtocol;

/// Transports of one's own.
impl Node {
    /// Plugs in a transport for the packets of `protocol`. Raw sockets for it still get their copies.
    ///
    /// # Errors
    /// EINVAL for a number that no IP header can have, EADDRINUSE for a protocol that the node
    /// speaks itself (ICMP, TCP, UDP, ICMPv6), ESHUTDOWN.
    pub fn add_transport(
        &self,
        protocol: Protocol,
        transport: Box<dyn Transport>,
    ) -> io::Result<()> {
        let number = number(protocol)?;
        let built_in = [
            IpProtocol::ICMP,
            IpProtocol::TCP,
            IpProtocol::UDP,
            IpProtocol::ICMPV6,
        ];
        if built_in.contains(&number) {
            return Err(to_io(Error::AddressInUse));
        }
        let added = self.shard().with(|state, _| {
            state.node.register(transport, number);
            Ok(())
        });
        added.map_err(to_io)
    }

    /// Calls a transport by its type, and lets the node send what comes of it.
    ///
    /// # Errors
    /// EPROTONOSUPPORT when nothing of this type was plugged in for `protocol`, ESHUTDOWN.
    pub fn with_transport<T: Transport, R>(
        &self,
        protocol: Protocol,
        call: impl FnOnce(&mut T, &mut Context<'_>) -> R,
    ) -> io::Result<R> {
        let number = number(protocol)?;
        let shard = self.shard();
        let result = shard.with(|state, now| transport(state, number, now, call));
        shard.run();
        result.map_err(to_io)
    }

    /// Calls a transport until it has an answer, again whenever it says that `socket` is ready to be
    /// read ([`Context::set_ready`] with its handle).
    ///
    /// # Errors
    /// Those of [`with_transport`](Self::with_transport), and `TimedOut`.
    pub fn wait_for_transport<T: Transport, R>(
        &self,
        protocol: Protocol,
        socket: Handle,
        timeout: Option<Duration>,
        mut call: impl FnMut(&mut T, &mut Context<'_>) -> Option<R>,
    ) -> io::Result<R> {
        let shard = self.shard().clone();
        let deadline = timeout.and_then(|timeout| shard.clock.after(timeout));
        let found = block_on(
            || vec![shard],
            deadline,
            |cx| self.poll_transport(cx, protocol, socket, &mut call),
        );
        found.unwrap_or_else(|| Err(to_io(Error::TimedOut)))
    }

    /// The same for a task: wakes it when `socket` is ready to be read.
    ///
    /// # Errors
    /// Those of [`with_transport`](Self::with_transport).
    pub fn poll_transport<T: Transport, R>(
        &self,
        cx: &mut task::Context<'_>,
        protocol: Protocol,
        socket: Handle,
        call: impl FnOnce(&mut T, &mut Context<'_>) -> Option<R>,
    ) -> Poll<io::Result<R>> {
        let number = number(protocol)?;
        let shard = self.shard();
        let found = shard.with(|state, now| {
            let found = transport(state, number, now, call)?;
            if found.is_none() {
                state.waiters.join_once(socket, Direction::Read, cx.waker());
            }
            Ok(found)
        });
        shard.run();
        match found.map_err(to_io) {
            Ok(Some(found)) => Poll::Ready(Ok(found)),
            Ok(None) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

fn number(protocol: Protocol) -> io::Result<IpProtocol> {
    let number = u8::try_from(i32::from(protocol)).map_err(|_| to_io(Error::Invalid))?;
    Ok(IpProtocol(number))
}

fn transport<T: Transport, R>(
    state: &mut State,
    number: IpProtocol,
    now: Instant,
    call: impl FnOnce(&mut T, &mut Context<'_>) -> R,
) -> Result<R, Error> {
    let (transport, mut cx) = state
        .node
        .transport_mut(number, now)
        .ok_or(Error::ProtocolNotSupported)?;
    Ok(call(transport, &mut cx))
}
