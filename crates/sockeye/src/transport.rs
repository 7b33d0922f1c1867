//! Transports of one's own: whatever implements [`Transport`] plugs into a node as TCP does, for
//! the packets of one IP protocol. The node gives it packets, ICMP errors, deadlines and a way to
//! send; who uses it calls it by [`Node::with_transport`].
//!
//! Examples: `examples/windowed_transport.rs`, and `examples/windowed_raw.rs` for the same protocol
//! over a raw socket.

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
