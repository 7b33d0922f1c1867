//! Programs on the hosts of a world: small machines that do what they can at each turn.
//!
//! - [`bulk`]: a source and a sink, to measure with.
//! - [`stream`]: one side sends a stream over TCP, the other checks it.
//! - [`datagram`]: questions and answers over UDP.
//! - [`messages`]: messages over SCTP.
//! - [`packets`]: packets over DCCP.
//! - [`ping`]: echo requests.

mod acceptor;
pub mod bulk;
pub mod datagram;
pub mod messages;
pub mod packets;
pub mod ping;
pub mod stream;

use core::task::Poll;
use sockeye_core::raw::Ping;
use sockeye_core::socket::Domain;
use sockeye_core::{Context, Error, Instant, Transport};
use sockeye_dccp::Dccp;
use sockeye_node::Node;
use sockeye_sctp::Sctp;
use sockeye_tcp::Tcp;
use sockeye_udp::Udp;
use sockeye_wire::IpProtocol;
use std::net::SocketAddr;

/// A program.
pub trait App {
    /// Who it is, for messages.
    fn name(&self) -> String;

    /// Does what it can now; `Ready` when it is done, or failed with a sentence that goes on from
    /// its name.
    fn poll(&mut self, desk: &mut Desk<'_>) -> Poll<Result<(), String>>;

    /// Whether it serves others: a world is done without it.
    fn serves(&self) -> bool {
        false
    }

    /// When it wants to be asked next though nothing happens.
    fn deadline(&self) -> Option<Instant> {
        None
    }
}

/// What a program works with: its host's node, and the time.
#[derive(Debug)]
pub struct Desk<'a> {
    node: &'a mut Node,
    now: Instant,
    moved: bool,
}

impl<'a> Desk<'a> {
    pub(crate) fn new(node: &'a mut Node, now: Instant) -> Self {
        Self {
            node,
            now,
            moved: false,
        }
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The node's TCP, and the context that its calls take.
    pub fn tcp(&mut self) -> (&mut Tcp, Context<'_>) {
        self.node.tcp(self.now)
    }

    /// The node's UDP, and the context that its calls take.
    pub fn udp(&mut self) -> (&mut Udp, Context<'_>) {
        self.node.udp(self.now)
    }

    /// The node's SCTP, and the context that its calls take.
    pub fn sctp(&mut self) -> (&mut Sctp, Context<'_>) {
        self.node.sctp(self.now)
    }

    /// The node's DCCP, and the context that its calls take.
    pub fn dccp(&mut self) -> (&mut Dccp, Context<'_>) {
        self.node.dccp(self.now)
    }

    /// The node's ping sockets, and the context that their calls take.
    pub fn ping(&mut self) -> (&mut Ping, Context<'_>) {
        self.node.ping(self.now)
    }

    /// One of the node's transports, and the context that its calls take.
    ///
    /// # Panics
    /// When the node has no such transport.
    pub fn transport<T: Transport>(&mut self, protocol: IpProtocol) -> (&mut T, Context<'_>) {
        let transport = self.node.transport_mut(protocol, self.now);
        transport.expect("the node has the transport")
    }

    /// Says that something was done: the world does not let time pass before it has been dealt
    /// with.
    pub fn touch(&mut self) {
        self.moved = true;
    }

    pub(crate) fn moved(&self) -> bool {
        self.moved
    }
}

/// The outcome of a call that may have to wait: `None` when it has.
fn ready<T>(result: Result<T, Error>) -> Result<Option<T>, String> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::WouldBlock | Error::InProgress | Error::Already) => Ok(None),
        Err(error) => Err(format!("fails: {error}")),
    }
}

/// Repeats `step` while there is something to do.
fn poll_steps(
    desk: &mut Desk<'_>,
    mut step: impl FnMut(&mut Desk<'_>) -> Result<Option<bool>, String>,
) -> Poll<Result<(), String>> {
    loop {
        match step(desk) {
            Ok(Some(true)) => desk.touch(),
            Ok(Some(false)) => return Poll::Pending,
            Ok(None) => return Poll::Ready(Ok(())),
            Err(what) => return Poll::Ready(Err(what)),
        }
    }
}

fn domain(address: SocketAddr) -> Domain {
    match address {
        SocketAddr::V4(_) => Domain::V4,
        SocketAddr::V6(_) => Domain::V6,
    }
}
