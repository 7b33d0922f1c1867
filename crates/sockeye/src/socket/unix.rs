//! What node-internal sockets alone have: names, handover, objects, credentials.
//!
//! Nothing here needs a turn of the node: a step under the lock hands the data over, and wakes who
//! waits for it. Copies are made outside the lock.

use super::ancillary::MessageFlags;
use super::op::{Kind, Op};
use super::wait::{Wait, Waiting};
use super::{Domain, Protocol, Socket, Type, timeout};
use crate::driver::block_on;
use crate::error::{os, to_io};
use crate::node::Node;
use crate::unix::SocketAddr;
use crate::waiters::{Class, Direction};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use smallvec::SmallVec;
use sockeye_core::{Error, Handle, TransportId};
use sockeye_unix::{Credentials, Name, Object, Outgoing, Received, Request, SocketType};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::task::{Context, Poll};

/// Bytes of a stream that are copied at a time: two of the largest messages it is cut into, so that
/// this cut shows nowhere.
const CHUNK: usize = 2 * 36_544;

/// What sendmsg(2) takes on a node-internal socket.
#[derive(Clone, Debug, Default)]
pub struct UnixSend<'a> {
    /// Where a datagram goes; to the peer if it is not said.
    pub to: Option<&'a SocketAddr>,
    /// The data. The receiver gets these very buffers.
    pub data: Bytes,
    /// Values that are handed over, in the place of SCM_RIGHTS: at most 253.
    pub objects: Vec<Object>,
    /// SCM_CREDENTIALS: EPERM for what the process may not say of itself.
    pub credentials: Option<Credentials>,
    /// [`MessageFlags::OUT_OF_BAND`] and [`MessageFlags::DONT_WAIT`] count.
    pub flags: MessageFlags,
}

/// What recvmsg(2) returns on a node-internal socket.
#[derive(Clone, Debug, Default)]
pub struct UnixMessage {
    /// The data, in the buffers that were sent.
    pub data: SmallVec<[Bytes; 2]>,
    /// Bytes of it.
    pub len: usize,
    /// Bytes of the whole datagram.
    pub full_len: usize,
    /// Who sent it; of a stream, its peer.
    pub from: SocketAddr,
    /// SCM_CREDENTIALS, with SO_PASSCRED.
    pub credentials: Option<Credentials>,
    /// What was handed over beside the data.
    pub objects: Vec<Object>,
    /// [`MessageFlags::TRUNCATE`] when a datagram was cut, [`MessageFlags::OUT_OF_BAND`] for an urgent
    /// byte.
    pub flags: MessageFlags,
}

/// Whose calls these are.
pub(super) fn caller() -> Credentials {
    Credentials {
        pid: std::process::id().cast_signed(),
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
    }
}

/// Whether the process may say so of itself (unix(7), SCM_CREDENTIALS).
fn may_say(said: Credentials) -> bool {
    let (uid, gid) = (
        [rustix::process::getuid(), rustix::process::geteuid()],
        [rustix::process::getgid(), rustix::process::getegid()],
    );
    if uid[1].is_root() {
        return true;
    }
    said.pid == std::process::id().cast_signed()
        && uid.iter().any(|uid| uid.as_raw() == said.uid)
        && gid.iter().any(|gid| gid.as_raw() == said.gid)
}

/// Making and naming.
impl Socket {
    /// socketpair(2) on the current node: two node-internal sockets, each the other's peer.
    ///
    /// # Errors
    /// No node is current, or as for [`pair_on`](Self::pair_on).
    pub fn pair(ty: Type) -> io::Result<(Self, Self)> {
        Self::pair_on(&Node::current()?, ty)
    }

    /// [`pair`](Self::pair) on `node`.
    ///
    /// # Errors
    /// ESOCKTNOSUPPORT, ENFILE at the node's limit.
    pub fn pair_on(node: &Node, ty: Type) -> io::Result<(Self, Self)> {
        let kind = Kind::find(Domain::UNIX, ty, None)?;
        let Kind::Unix(its) = kind else {
            return Err(os(libc::ESOCKTNOSUPPORT));
        };
        let pair = node.shard().with(|state, now| {
            let (unix, mut cx) = state.node.unix(now);
            let (one, other) = unix.pair(&mut cx, its, caller())?;
            let pair = [one, other].map(unix_handle);
            state.open.extend(pair);
            Ok(pair)
        });
        let [one, other] = pair
            .map_err(to_io)?
            .map(|handle| Self::from_parts(node.clone(), handle, kind, Domain::UNIX, Protocol(0)));
        Ok((one, other))
    }

    /// bind(2). An unnamed address asks for a free abstract name (autobind).
    ///
    /// # Errors
    /// EADDRINUSE, EINVAL when it has a name, EOPNOTSUPP when it is of another family.
    pub fn bind_unix(&self, address: &SocketAddr) -> io::Result<()> {
        let name = address.name().cloned();
        let taken = match &name {
            Some(Name::Abstract(name)) if self.connects() => {
                let beyond = self.0.node.beyond();
                beyond
                    .map(|beyond| beyond.bind(self.r#type(), name))
                    .transpose()?
            }
            _ => None,
        };
        self.call(|op| op.unix(|unix, cx, id| unix.bind_name(cx, id, name)))?;
        if let Some(taken) = taken {
            // A second name it cannot have got.
            let _ = self.0.taken.set(taken);
        }
        Ok(())
    }

    fn connects(&self) -> bool {
        matches!(self.0.kind, Kind::Unix(ty) if ty.connects())
    }

    /// getsockname(2).
    ///
    /// # Errors
    /// The node was shut down.
    pub fn unix_addr(&self) -> io::Result<SocketAddr> {
        self.call(|op| op.unix(|unix, _, id| unix.name(id)))
            .map(SocketAddr::from)
    }

    /// getpeername(2).
    ///
    /// # Errors
    /// ENOTCONN.
    pub fn unix_peer_addr(&self) -> io::Result<SocketAddr> {
        self.call(|op| op.unix(|unix, _, id| unix.peer_name(id)))
            .map(SocketAddr::from)
    }

    /// SO_PEERCRED: whose the peer was when it connected or listened.
    ///
    /// # Errors
    /// The node was shut down.
    pub fn unix_peer_credentials(&self) -> io::Result<Option<Credentials>> {
        self.call(|op| op.unix(|unix, _, id| unix.peer_credentials(id)))
    }

    /// SO_PASSCRED: messages tell whose they are.
    ///
    /// # Errors
    /// EOPNOTSUPP when it is of another family.
    pub fn set_pass_credentials(&self, on: bool) -> io::Result<()> {
        self.call(|op| op.unix(|unix, _, id| unix.set_passes_credentials(id, on)))
    }

    /// See [`set_pass_credentials`](Self::set_pass_credentials).
    ///
    /// # Errors
    /// EOPNOTSUPP when it is of another family.
    pub fn pass_credentials(&self) -> io::Result<bool> {
        self.call(|op| op.unix(|unix, _, id| unix.passes_credentials(id)))
    }

    /// SIOCINQ and SIOCOUTQ: bytes to be read (of datagrams the next one's), and what is under way
    /// as it counts against SO_SNDBUF.
    ///
    /// # Errors
    /// EINVAL for a listener.
    pub fn unix_queued(&self) -> io::Result<(usize, usize)> {
        self.call(|op| {
            op.unix(|unix, _, id| {
                let read = unix.queued_in(id)?;
                Ok((read, unix.queued_out(id)?))
            })
        })
    }
}

/// Connections.
impl Socket {
    /// connect(2). A blocking one waits while the listener's backlog is full.
    ///
    /// # Errors
    /// ECONNREFUSED, ENOENT, EPROTOTYPE, EAGAIN for a full backlog when it is nonblocking, EISCONN,
    /// EINVAL for a listener or an unnamed address, EPERM for a datagram socket that talks to
    /// another.
    pub fn connect_unix(&self, to: &SocketAddr) -> io::Result<()> {
        let name = named(to)?;
        let wait = self.patience(timeout(&self.0.write_timeout));
        let connected = self.wait_here(Direction::Write, wait, |op| connect(op, name));
        self.or_beyond(connected, name)
    }

    /// Connects to whoever has the name beyond the node, where nobody has it here.
    fn or_beyond(&self, connected: Result<(), Error>, name: &Name) -> io::Result<()> {
        let (Err(Error::ConnectionRefused), Name::Abstract(abstract_name)) = (connected, name)
        else {
            return connected.map_err(to_io);
        };
        let beyond = self.0.node.beyond().filter(|_| self.connects());
        let Some(beyond) = beyond else {
            return connected.map_err(to_io);
        };
        let joined = beyond.connect(self.r#type(), abstract_name)?;
        let theirs = joined.credentials();
        let (kind, node) = (self.0.kind, self.0.node.clone());
        let handle = self.call(|op| {
            let made = op.unix(|unix, cx, id| unix.connect_stand_in(cx, id, name, theirs))?;
            let handle = unix_handle(made);
            op.state.open.insert(handle);
            Ok(handle)
        })?;
        joined.carry(Self::from_parts(
            node,
            handle,
            kind,
            Domain::UNIX,
            Protocol(0),
        ));
        Ok(())
    }

    /// connect(2) for somebody else: whom the listener is told (SO_PEERCRED). It never waits.
    ///
    /// # Errors
    /// Those of [`connect_unix`](Self::connect_unix).
    pub fn connect_unix_as(&self, to: &SocketAddr, whose: Credentials) -> io::Result<()> {
        let name = named(to)?;
        self.call(|op| op.unix(|unix, cx, id| unix.connect_name(cx, id, Some(name), whose)))
    }

    /// Connects without blocking the thread.
    ///
    /// # Errors
    /// Those of [`connect_unix`](Self::connect_unix).
    pub async fn connect_unix_async(&self, to: &SocketAddr) -> io::Result<()> {
        let name = named(to)?;
        let mut waiting = Waiting::new(self, Direction::Write, Class::Shared);
        let connected = poll_fn(|cx| waiting.poll_parked(cx, |op| connect(op, name))).await;
        drop(waiting);
        self.or_beyond(connected, name)
    }

    /// accept(2), and the peer's name.
    ///
    /// # Errors
    /// EAGAIN, EINVAL when it does not listen, EOPNOTSUPP for datagrams.
    pub fn accept_unix(&self) -> io::Result<(Self, SocketAddr)> {
        let wait = self.patience(timeout(&self.0.read_timeout));
        let waits = !matches!(wait, Wait::No);
        let accepted = self.wait_here(Direction::Read, wait, |op| accept(op, waits));
        self.accepted_unix(accepted)
    }

    /// accept(2) for a task.
    ///
    /// # Errors
    /// Those of [`accept_unix`](Self::accept_unix).
    pub fn poll_accept_unix(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Self, SocketAddr)>> {
        self.poll_step(cx, Direction::Read, |op| accept(op, true))
            .map(|accepted| self.accepted_unix(accepted))
    }

    /// Accepts without blocking the thread; of those who wait, one is woken for one connection.
    ///
    /// # Errors
    /// Those of [`accept_unix`](Self::accept_unix).
    pub async fn accept_unix_async(&self) -> io::Result<(Self, SocketAddr)> {
        let mut waiting = Waiting::new(self, Direction::Read, Class::Exclusive);
        let accepted = poll_fn(|cx| waiting.poll_parked(cx, |op| accept(op, true))).await;
        self.accepted_unix(accepted)
    }

    fn accepted_unix(
        &self,
        accepted: Result<(Handle, Option<Name>), Error>,
    ) -> io::Result<(Self, SocketAddr)> {
        let (handle, peer) = accepted.map_err(to_io)?;
        let node = self.0.node.clone();
        let socket = Self::from_parts(node, handle, self.0.kind, Domain::UNIX, Protocol(0));
        Ok((socket, SocketAddr::from(peer)))
    }
}

/// Data.
impl Socket {
    /// sendmsg(2). A blocking stream sends all of it, unless a time-out or an error stops it.
    ///
    /// # Errors
    /// EAGAIN, EPIPE, ENOTCONN, ECONNREFUSED, EMSGSIZE and the others of unix(7); EOPNOTSUPP when it
    /// is of another family.
    pub fn send_unix(&self, message: UnixSend<'_>) -> io::Result<usize> {
        let mut sending = Sending::new(message)?;
        let wait = match sending.flags.contains(MessageFlags::DONT_WAIT) {
            true => Wait::No,
            false => self.patience(timeout(&self.0.write_timeout)),
        };
        loop {
            let sent = self.wait_here(Direction::Write, wait, |op| sending.step(op));
            if let Some(done) = sending.goes_on(self.0.kind, sent) {
                return done.map_err(to_io);
            }
        }
    }

    /// sendmsg(2) for a task that never sends in part: it waits for room for the first piece, and says
    /// how much went.
    ///
    /// # Errors
    /// Those of [`send_unix`](Self::send_unix).
    pub async fn send_unix_async(&self, message: UnixSend<'_>) -> io::Result<usize> {
        let mut sending = Sending::new(message)?;
        let mut waiting = Waiting::new(self, Direction::Write, Class::Exclusive);
        poll_fn(|cx| waiting.poll_parked(cx, |op| sending.step(op)))
            .await
            .map_err(to_io)
    }

    /// recvmsg(2): at most `len` bytes, in the buffers that were sent. Flags that count are PEEK,
    /// OUT_OF_BAND, WAIT_ALL and DONT_WAIT.
    ///
    /// # Errors
    /// EAGAIN, ENOTCONN, EINVAL, ECONNRESET; EOPNOTSUPP when it is of another family.
    pub fn recv_unix(&self, len: usize, flags: MessageFlags) -> io::Result<UnixMessage> {
        let wait = match flags.contains(MessageFlags::DONT_WAIT) {
            true => Wait::No,
            false => self.patience(timeout(&self.0.read_timeout)),
        };
        let request = Request {
            len,
            peek: flags.contains(MessageFlags::PEEK),
            urgent: flags.contains(MessageFlags::OUT_OF_BAND),
            waits: !matches!(wait, Wait::No),
            again: false,
        };
        let mut all = UnixMessage::default();
        let least = self.least(len, flags)?;
        loop {
            let rest = Request {
                len: len - all.len,
                again: all.len > 0,
                ..request
            };
            let got = self.wait_here(Direction::Read, wait, |op| receive(op, rest));
            let ended = match got {
                Ok((received, peer)) => all.join(received, peer),
                Err(_) if all.len > 0 => return Ok(all),
                Err(error) => return Err(to_io(error)),
            };
            if ended || all.len >= least {
                return Ok(all);
            }
        }
    }

    /// The bytes that a call waits for.
    fn least(&self, len: usize, flags: MessageFlags) -> io::Result<usize> {
        if self.0.kind != Kind::Unix(SocketType::Stream) {
            return Ok(0);
        }
        if flags.contains(MessageFlags::WAIT_ALL) {
            return Ok(len);
        }
        let low_water = self.call(|op| op.unix(|unix, _, id| unix.low_water(id)))?;
        Ok(low_water.min(len))
    }

    /// recvmsg(2) for a task.
    ///
    /// # Errors
    /// Those of [`recv_unix`](Self::recv_unix).
    pub async fn recv_unix_async(
        &self,
        len: usize,
        flags: MessageFlags,
    ) -> io::Result<UnixMessage> {
        let request = Request {
            len,
            peek: flags.contains(MessageFlags::PEEK),
            urgent: flags.contains(MessageFlags::OUT_OF_BAND),
            waits: true,
            again: false,
        };
        let mut waiting = Waiting::new(self, Direction::Read, Class::Exclusive);
        let got = poll_fn(|cx| waiting.poll_parked(cx, |op| receive(op, request))).await;
        let (received, peer) = got.map_err(to_io)?;
        let mut all = UnixMessage::default();
        all.join(received, peer);
        Ok(all)
    }

    /// recvmsg(2) for a task that names itself by its waker alone.
    ///
    /// # Errors
    /// Those of [`recv_unix`](Self::recv_unix).
    pub fn poll_recv_unix(
        &self,
        cx: &mut Context<'_>,
        len: usize,
    ) -> Poll<io::Result<UnixMessage>> {
        let request = Request {
            len,
            waits: true,
            ..Request::default()
        };
        let polled = self.poll_step(cx, Direction::Read, |op| receive(op, request));
        polled.map_err(to_io).map_ok(|(received, peer)| {
            let mut all = UnixMessage::default();
            all.join(received, peer);
            all
        })
    }

    /// Sends what lies in the caller's buffers: a copy of it, made before the lock is taken.
    pub(super) fn send_copied(
        &self,
        data: &[IoSlice<'_>],
        flags: MessageFlags,
    ) -> io::Result<usize> {
        let total: usize = data.iter().map(|piece| piece.len()).sum();
        if self.0.kind != Kind::Unix(SocketType::Stream) || total <= CHUNK {
            return self.send_unix(UnixSend {
                data: copied(data.iter().map(|piece| &**piece), total),
                flags,
                ..UnixSend::default()
            });
        }
        let mut chunks = data.iter().flat_map(|piece| piece.chunks(CHUNK)).peekable();
        let mut sent = 0;
        while let Some(chunk) = chunks.next() {
            let last = chunks.peek().is_none();
            let message = UnixSend {
                data: Bytes::copy_from_slice(chunk),
                flags: match last {
                    true => flags,
                    false => flags - MessageFlags::OUT_OF_BAND,
                },
                ..UnixSend::default()
            };
            match self.send_unix(message) {
                Ok(n) if n < chunk.len() => return Ok(sent + n),
                Ok(n) => sent += n,
                Err(_) if sent > 0 => return Ok(sent),
                Err(error) => return Err(error),
            }
        }
        Ok(sent)
    }

    /// A step that a blocking call waits for, parked: the node's links have nothing to do with it.
    fn wait_here<R>(
        &self,
        direction: Direction,
        wait: Wait,
        mut step: impl FnMut(&mut Op<'_>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        match (self.step(&mut step), wait) {
            (Err(Error::WouldBlock), Wait::Forever | Wait::Until(_)) => {}
            (done, _) => return done,
        }
        let deadline = match wait {
            Wait::No | Wait::Forever => None,
            Wait::Until(deadline) => deadline,
        };
        let mut waiting = Waiting::new(self, direction, Class::Exclusive);
        // A clock that is moved by hand has to be told who waits.
        let shards = || match self.shard().clock.manual() {
            Some(_) => vec![self.shard().clone()],
            None => Vec::new(),
        };
        let done = block_on(shards, deadline, |cx| waiting.poll_parked(cx, &mut step));
        done.unwrap_or(Err(Error::WouldBlock))
    }
}

/// A call that sends, until it is done.
struct Sending {
    to: Option<Name>,
    data: Bytes,
    beside: Outgoing,
    flags: MessageFlags,
    sent: usize,
}

impl Sending {
    fn new(message: UnixSend<'_>) -> io::Result<Self> {
        let UnixSend {
            to,
            data,
            objects,
            credentials,
            flags,
        } = message;
        if credentials.is_some_and(|said| !may_say(said)) {
            return Err(os(libc::EPERM));
        }
        let to = to.map(named).transpose()?.cloned();
        let beside = Outgoing {
            objects,
            credentials,
            caller: None,
            urgent: flags.contains(MessageFlags::OUT_OF_BAND),
        };
        Ok(Self {
            to,
            data,
            beside,
            flags,
            sent: 0,
        })
    }

    fn step(&mut self, op: &mut Op<'_>) -> Result<usize, Error> {
        let Self {
            to, data, beside, ..
        } = self;
        op.unix(|unix, cx, id| unix.send_message(cx, id, data.clone(), to.as_ref(), beside))
    }

    /// What the call returns, unless a stream has more to send.
    fn goes_on(&mut self, kind: Kind, sent: Result<usize, Error>) -> Option<Result<usize, Error>> {
        match sent {
            Ok(n) => {
                self.sent += n;
                self.data.advance(n);
            }
            Err(_) if self.sent > 0 => return Some(Ok(self.sent)),
            Err(error) => return Some(Err(error)),
        }
        let whole = kind != Kind::Unix(SocketType::Stream) || self.data.is_empty();
        whole.then_some(Ok(self.sent))
    }
}

impl UnixMessage {
    /// Adds what a step received; true when the call is over.
    fn join(&mut self, received: Received, peer: Option<Name>) -> bool {
        let Received {
            data,
            len,
            full_len,
            from,
            credentials,
            objects,
            urgent,
            ended,
            at: _,
        } = received;
        self.data.extend(data);
        self.len += len;
        self.full_len += full_len;
        self.from = SocketAddr::from(from.or(peer));
        self.credentials = self.credentials.or(credentials);
        self.objects.extend(objects);
        self.flags.set(MessageFlags::TRUNCATE, full_len > len);
        self.flags.set(MessageFlags::OUT_OF_BAND, urgent);
        ended
    }

    /// Copies the data to where the caller wants it.
    pub fn copy_to(&self, out: &mut [u8]) -> usize {
        let mut filled = 0;
        for piece in &self.data {
            let size = piece.len().min(out.len() - filled);
            out[filled..filled + size].copy_from_slice(&piece[..size]);
            filled += size;
        }
        filled
    }
}

fn copied<'a>(pieces: impl Iterator<Item = &'a [u8]>, total: usize) -> Bytes {
    let mut pieces = pieces.filter(|piece| !piece.is_empty());
    let mut copy = BytesMut::with_capacity(total);
    pieces.by_ref().for_each(|piece| copy.put_slice(piece));
    copy.freeze()
}

fn named(address: &SocketAddr) -> io::Result<&Name> {
    address.name().ok_or_else(|| os(libc::EINVAL))
}

const fn unix_handle(id: sockeye_core::SocketId) -> Handle {
    Handle {
        transport: TransportId::UNIX,
        id,
    }
}

fn connect(op: &mut Op<'_>, name: &Name) -> Result<(), Error> {
    op.unix(|unix, cx, id| unix.connect_name(cx, id, Some(name), caller()))
}

fn accept(op: &mut Op<'_>, waits: bool) -> Result<(Handle, Option<Name>), Error> {
    let (handle, peer) = op.unix(|unix, cx, id| {
        let made = unix.accept(cx, id, waits)?;
        // One whose peer has closed has its name still.
        let peer = unix.peer_name(made).unwrap_or_default();
        Ok((unix_handle(made), peer))
    })?;
    op.state.open.insert(handle);
    Ok((handle, peer))
}

fn receive(op: &mut Op<'_>, request: Request) -> Result<(Received, Option<Name>), Error> {
    let stream = op.kind == Kind::Unix(SocketType::Stream);
    op.unix(|unix, cx, id| {
        let received = unix.receive(cx, id, request)?;
        // The end says no name, nor does an urgent byte.
        let peer = match stream && !received.data.is_empty() && !received.urgent {
            true => unix.peer_name(id)?,
            false => None,
        };
        Ok((received, peer))
    })
}
