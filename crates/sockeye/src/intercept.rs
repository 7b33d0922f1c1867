//! Interception: flows to addresses that are not the node's, or to ports where nobody listens, one
//! by one, for the node's owner to accept or refuse. Gateways, VPN clients and NATs are built on it.
//!
//! A flow waits for its answer as small as it came: no SYN is answered, and of datagrams a few KiB
//! are kept. Their number has a limit, [`Config::intercept_backlog`](crate::Config).

use crate::driver::block_on;
use crate::error::{os, to_io};
use crate::shard::{Shard, State};
use crate::socket::Kind;
use crate::waiters::Direction;
use crate::{Domain, Node, Protocol, Socket};
use sockeye_core::raw::EchoRequest as Request;
use sockeye_core::{Error, Handle, IncomingId, Instant, Scope, SocketId, TransportId, Unreachable};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};

/// Turning it on.
impl Node {
    /// Intercepts connections ([`Protocol::TCP`]) or flows of datagrams ([`Protocol::UDP`]) until
    /// the [`Intercept`] is dropped. What was accepted goes on after that.
    ///
    /// The node has to be given the packets: its peers need a route to it.
    ///
    /// ```
    /// use sockeye::drivers::memory::{MemoryConfig, MemoryLink};
    /// use sockeye::net::TcpStream;
    /// use sockeye::{LinkConfig, Node, Protocol, Scope};
    /// use std::io::{Read, Write};
    ///
    /// let (a, b) = MemoryLink::pair_ip(MemoryConfig::default());
    /// let inside = LinkConfig::new()
    ///     .address("10.0.0.1/24".parse()?)
    ///     .gateway("10.0.0.2".parse()?);
    /// let node = Node::builder().link("lan", Box::new(a), inside).build()?;
    /// let lan = LinkConfig::new().address("10.0.0.2/24".parse()?);
    /// let gateway = Node::builder().link("lan", Box::new(b), lan).build()?;
    ///
    /// let mut intercept = gateway.intercept(Protocol::TCP, Scope::Foreign)?;
    /// let client = std::thread::spawn(move || {
    ///     let mut stream = TcpStream::connect_on(&node, "198.51.100.7:80")?;
    ///     let mut said = String::new();
    ///     stream.read_to_string(&mut said).map(|_| said)
    /// });
    /// let incoming = intercept.next_blocking()?;
    /// assert_eq!(incoming.local().to_string(), "198.51.100.7:80");
    /// incoming.accept()?.send(b"nobody home")?;
    /// assert_eq!(client.join().unwrap()?, "nobody home");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// EADDRINUSE while there is another [`Intercept`] for the protocol, EPROTONOSUPPORT for other
    /// protocols, ESHUTDOWN.
    pub fn intercept(&self, protocol: Protocol, scope: Scope) -> io::Result<Intercept> {
        let kind = match protocol {
            Protocol::TCP => Kind::Tcp,
            Protocol::UDP => Kind::Udp,
            _ => return Err(os(libc::EPROTONOSUPPORT)),
        };
        let line = Line::begin(self, kind.transport(), scope)?;
        Ok(Intercept { line, kind })
    }

    /// Intercepts echo requests to addresses that are not the node's until the [`PingIntercept`] is
    /// dropped. Its own addresses answer themselves, whatever `scope` says.
    ///
    /// # Errors
    /// EADDRINUSE while there is another [`PingIntercept`], ESHUTDOWN.
    pub fn intercept_ping(&self, scope: Scope) -> io::Result<PingIntercept> {
        let line = Line::begin(self, TransportId::PING, scope)?;
        Ok(PingIntercept { line })
    }
}

/// Where the flows of one protocol come out.
#[derive(Debug)]
pub struct Intercept {
    line: Line,
    kind: Kind,
}

impl Intercept {
    /// The next flow. Dropping the future loses none.
    ///
    /// # Errors
    /// ESHUTDOWN.
    pub async fn next(&mut self) -> io::Result<Incoming> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Polls for the next flow.
    ///
    /// # Errors
    /// ESHUTDOWN.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Incoming>> {
        let polled = self.poll_parked(cx);
        if polled.is_pending() {
            self.line.shard().serve_task(true);
        }
        polled
    }

    /// Waits for the next flow.
    ///
    /// # Errors
    /// ESHUTDOWN.
    pub fn next_blocking(&mut self) -> io::Result<Incoming> {
        let shard = self.line.shard().clone();
        // Without a deadline it is never given up.
        let next = block_on(|| vec![shard], None, |cx| self.poll_parked(cx));
        next.unwrap_or_else(|| Err(to_io(Error::TimedOut)))
    }

    fn poll_parked(&self, cx: &mut Context<'_>) -> Poll<io::Result<Incoming>> {
        let kind = self.kind;
        let found = self.line.poll(cx, |state, now| match kind {
            Kind::Tcp => {
                let (tcp, mut cx) = state.node.tcp(now);
                let found = tcp.incoming(&mut cx)?;
                Some((found.id, found.local, found.remote))
            }
            Kind::Udp => {
                let (udp, mut cx) = state.node.udp(now);
                let found = udp.incoming(&mut cx)?;
                Some((found.id, found.local, found.remote))
            }
            _ => None,
        });
        found.map_ok(|(id, local, remote)| Incoming {
            node: self.line.node.clone(),
            kind,
            id,
            local,
            remote,
            answered: false,
        })
    }
}

/// A flow that waits for an answer. Dropped without one, it is [ignored](Self::ignore).
#[derive(Debug)]
pub struct Incoming {
    node: Node,
    kind: Kind,
    id: IncomingId,
    local: SocketAddr,
    remote: SocketAddr,
    answered: bool,
}

impl Incoming {
    /// Where it was going.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Who sent it.
    #[must_use]
    pub fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// Accepts it in the name of [`local`](Self::local): a connection is answered now, and comes
    /// to be when the peer answers in turn; the socket of a flow of datagrams is bound and
    /// connected, and has those in its queue that came so far.
    ///
    /// # Errors
    /// EBADF when the peer has given up, ENFILE, ESHUTDOWN.
    pub fn accept(mut self) -> io::Result<Socket> {
        let (kind, flow) = (self.kind, self.id);
        let shard = self.node.shard();
        let accepted = shard.with(|state, now| {
            let id = match kind {
                Kind::Tcp => {
                    let (tcp, mut cx) = state.node.tcp(now);
                    tcp.accept_incoming(&mut cx, flow)?
                }
                _ => {
                    let (udp, mut cx) = state.node.udp(now);
                    udp.accept_incoming(&mut cx, flow)?
                }
            };
            let transport = kind.transport();
            let handle = Handle { transport, id };
            state.open.insert(handle);
            Ok(handle)
        });
        let handle = accepted.map_err(to_io)?;
        shard.run();
        self.answered = true;
        let domain = Domain::for_address(self.local);
        let protocol = match kind {
            Kind::Tcp => Protocol::TCP,
            _ => Protocol::UDP,
        };
        let node = self.node.clone();
        Ok(Socket::from_parts(node, handle, kind, domain, protocol))
    }

    /// Refuses it as a port does where nobody listens: a connection with a reset, a datagram with
    /// "port unreachable".
    pub fn reset(mut self) {
        self.answer(|kind, id, state, now| match kind {
            Kind::Tcp => {
                let (tcp, mut cx) = state.node.tcp(now);
                tcp.reset_incoming(&mut cx, id);
            }
            _ => {
                let (udp, mut cx) = state.node.udp(now);
                // Lost like any packet, if it can't be sent.
                let _ = udp.reset_incoming(&mut cx, id);
            }
        });
    }

    /// Refuses it with an ICMP error, as a router does.
    pub fn unreachable(mut self, why: Unreachable) {
        self.answer(|kind, id, state, now| match kind {
            Kind::Tcp => {
                let (tcp, mut cx) = state.node.tcp(now);
                tcp.unreachable_incoming(&mut cx, id, why);
            }
            _ => {
                let (udp, mut cx) = state.node.udp(now);
                // Lost like any packet, if it can't be sent.
                let _ = udp.unreachable_incoming(&mut cx, id, why);
            }
        });
    }

    /// Forgets it: the peer hears nothing, as if its packet had been lost. If it sends again, that
    /// is a new flow.
    pub fn ignore(self) {}

    fn answer(&mut self, answer: impl FnOnce(Kind, IncomingId, &mut State, Instant)) {
        let (kind, id) = (self.kind, self.id);
        let shard = self.node.shard();
        // After the end of the node nobody can be told any more.
        let _ = shard.with(|state, now| {
            answer(kind, id, state, now);
            Ok(())
        });
        shard.run();
        self.answered = true;
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.answered {
            self.answer(|kind, id, state, now| forget(kind.transport(), id, state, now));
        }
    }
}

/// Where echo requests come out.
#[derive(Debug)]
pub struct PingIntercept {
    line: Line,
}

impl PingIntercept {
    /// The next request. Dropping the future loses none.
    ///
    /// # Errors
    /// ESHUTDOWN.
    pub async fn next(&mut self) -> io::Result<EchoRequest> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Polls for the next request.
    ///
    /// # Errors
    /// ESHUTDOWN.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<EchoRequest>> {
        let polled = self.poll_parked(cx);
        if polled.is_pending() {
            self.line.shard().serve_task(true);
        }
        polled
    }

    /// Waits for the next request.
    ///
    /// # Errors
    /// ESHUTDOWN.
    pub fn next_blocking(&mut self) -> io::Result<EchoRequest> {
        let shard = self.line.shard().clone();
        // Without a deadline it is never given up.
        let next = block_on(|| vec![shard], None, |cx| self.poll_parked(cx));
        next.unwrap_or_else(|| Err(to_io(Error::TimedOut)))
    }

    fn poll_parked(&self, cx: &mut Context<'_>) -> Poll<io::Result<EchoRequest>> {
        let found = self.line.poll(cx, |state, now| {
            let (ping, mut cx) = state.node.ping(now);
            ping.incoming(&mut cx)
        });
        found.map_ok(|request| EchoRequest {
            node: self.line.node.clone(),
            request,
        })
    }
}

/// An echo request to an address that is not the node's. Dropped without an answer, it has none.
#[derive(Debug)]
pub struct EchoRequest {
    node: Node,
    request: Request,
}

impl EchoRequest {
    /// Whom it was sent to.
    #[must_use]
    pub fn local(&self) -> IpAddr {
        self.request.local
    }

    /// Who sent it.
    #[must_use]
    pub fn remote(&self) -> IpAddr {
        self.request.remote
    }

    /// The sender's identifier.
    #[must_use]
    pub fn identifier(&self) -> u16 {
        self.request.ident
    }

    /// The sender's sequence number.
    #[must_use]
    pub fn sequence(&self) -> u16 {
        self.request.seq
    }

    /// What is to come back.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.request.payload
    }

    /// Answers it in the name of [`local`](Self::local), with `payload`: that of the request where
    /// all is well.
    pub fn reply(self, payload: &[u8]) {
        self.answer(|request, state, now| {
            let (ping, mut cx) = state.node.ping(now);
            ping.reply(&mut cx, request, payload)
        });
    }

    /// Refuses it with an ICMP error, as a router does.
    pub fn unreachable(self, why: Unreachable) {
        self.answer(|request, state, now| {
            let (ping, mut cx) = state.node.ping(now);
            ping.unreachable(&mut cx, request, why)
        });
    }

    fn answer(&self, answer: impl FnOnce(&Request, &mut State, Instant) -> Result<(), Error>) {
        let shard = self.node.shard();
        // Lost like any packet, if it can't be sent.
        let _ = shard.with(|state, now| answer(&self.request, state, now));
        shard.run();
    }
}

impl Socket {
    /// Tells the peer of an accepted flow of datagrams ([`Incoming::accept`]) that what it sent did
    /// not get on: by an ICMP error that quotes the last one.
    ///
    /// # Errors
    /// ENOTCONN when the socket is not such a flow, EOPNOTSUPP when it is not one of UDP.
    pub fn refuse(&self, why: Unreachable) -> io::Result<()> {
        let handle = self.handle();
        if handle.transport != TransportId::UDP {
            return Err(to_io(Error::NotSupported));
        }
        let shard = self.node().shard();
        let refused = shard.with(|state, now| {
            let (udp, mut cx) = state.node.udp(now);
            udp.refuse(&mut cx, handle.id, why)
        });
        shard.run();
        refused.map_err(to_io)
    }
}

/// A transport's queue of what it intercepted: on as long as this lives.
#[derive(Debug)]
struct Line {
    node: Node,
    handle: Handle,
}

impl Line {
    fn begin(node: &Node, transport: TransportId, scope: Scope) -> io::Result<Self> {
        let id = SocketId::INTERCEPT;
        let handle = Handle { transport, id };
        let begun = node.shard().with(|state, now| {
            if !state.open.insert(handle) {
                return Err(Error::AddressInUse);
            }
            set(transport, Some(scope), state, now);
            Ok(())
        });
        begun.map_err(to_io)?;
        let node = node.clone();
        Ok(Self { node, handle })
    }

    fn shard(&self) -> &Arc<Shard> {
        self.node.shard()
    }

    fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&mut State, Instant) -> Option<T>,
    ) -> Poll<io::Result<T>> {
        let found = self.shard().with(|state, now| {
            let found = take(state, now);
            if found.is_none() {
                let waiters = &mut state.waiters;
                waiters.join_once(self.handle, Direction::Read, cx.waker());
            }
            Ok(found)
        });
        match found {
            Ok(Some(found)) => Poll::Ready(Ok(found)),
            Ok(None) => Poll::Pending,
            Err(error) => Poll::Ready(Err(to_io(error))),
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let Handle { transport, .. } = self.handle;
        // After the end of the node there is nothing to turn off.
        let _ = self.shard().with(|state, now| {
            set(transport, None, state, now);
            // Nobody will be shown these.
            while let Some(id) = unseen(transport, state, now) {
                forget(transport, id, state, now);
            }
            state.open.remove(&self.handle);
            Ok(())
        });
    }
}

fn set(transport: TransportId, scope: Option<Scope>, state: &mut State, now: Instant) {
    match transport {
        TransportId::TCP => {
            let (tcp, mut cx) = state.node.tcp(now);
            tcp.set_intercept(&mut cx, scope);
        }
        TransportId::UDP => {
            let (udp, mut cx) = state.node.udp(now);
            udp.set_intercept(&mut cx, scope);
        }
        _ => {
            let (ping, mut cx) = state.node.ping(now);
            ping.set_intercept(&mut cx, scope);
        }
    }
}

/// A flow that was not shown yet. Echo requests are forgotten with their line.
fn unseen(transport: TransportId, state: &mut State, now: Instant) -> Option<IncomingId> {
    match transport {
        TransportId::TCP => {
            let (tcp, mut cx) = state.node.tcp(now);
            tcp.incoming(&mut cx).map(|incoming| incoming.id)
        }
        TransportId::UDP => {
            let (udp, mut cx) = state.node.udp(now);
            udp.incoming(&mut cx).map(|incoming| incoming.id)
        }
        _ => None,
    }
}

fn forget(transport: TransportId, id: IncomingId, state: &mut State, now: Instant) {
    match transport {
        TransportId::TCP => {
            let (tcp, mut cx) = state.node.tcp(now);
            tcp.drop_incoming(&mut cx, id);
        }
        TransportId::UDP => {
            let (udp, mut cx) = state.node.udp(now);
            udp.drop_incoming(&mut cx, id);
        }
        _ => {}
    }
}
