//! The calls on netlink sockets: see [`netlink`](crate::netlink).
//!
//! They lie where plain reads and writes are asked for, too (see [`ASKED`](crate::filter::ASKED)): who asks by send(2) and
//! receives without waiting has to find the answer. One that was moved elsewhere is answered a moment later.

use crate::backend::{Backend, Errno};
use crate::buffers::Buffer;
use crate::calls::accept::free_asked_number;
use crate::calls::datagram::errors::note_length;
use crate::calls::message::Target;
use crate::descriptors::{lock, nonblocking, time_limit};
use crate::ends::{self, Watched};
use crate::memory::{MESSAGES_MAX, Message, Span};
use crate::netlink::Family;
use crate::netlink::events::{Snapshot, group_of};
use crate::netlink::socket::{self, Netlink, REQUEST_MAX, option};
use crate::relay::events;
use crate::supervisor::{Answer, Outcome, Supervisor};
use crate::sys::{self, Call};
use rustix::event::PollFlags;
use rustix::net::sockopt;
use std::future::poll_fn;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::fd::{AsFd as _, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The part of the type argument that is the type.
const TYPE_MASK: i32 = 0xf;

const SOL_NETLINK: i32 = 270;

/// What goes by between two looks for events at least.
const EVENTS_INTERVAL: Duration = Duration::from_millis(10);

/// What a receive asks for.
struct Request {
    flags: i32,
    targets: Vec<Target>,
    /// The call returns a count, and the lengths go behind these headers.
    lengths_at: Option<u64>,
}

impl<B: Backend> Supervisor<B> {
    /// socket(2) of AF_NETLINK.
    pub(crate) fn netlink_socket(self: &Arc<Self>, call: &Call) -> Answer {
        let (asked, protocol) = (call.args[1] as i32, call.args[2] as i32);
        let flags = asked & !TYPE_MASK;
        if flags & !(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC) != 0 {
            return Err(Errno::INVAL);
        }
        let ty = asked & TYPE_MASK;
        if ![libc::SOCK_RAW, libc::SOCK_DGRAM].contains(&ty) {
            return Err(Errno::SOCKTNOSUPPORT);
        }
        let family = Family::of(protocol).filter(|_| self.backend.node().is_some());
        let family = family.ok_or(Errno::PROTONOSUPPORT)?;
        let (end, node_end, name) = self.ends.datagram(flags & libc::SOCK_NONBLOCK != 0)?;
        let cookie = sockopt::socket_cookie(&end)?;
        let made = Arc::new(Netlink::new(cookie, name, (ty, family), node_end));
        made.caller.store(call.tid, Ordering::Relaxed);
        if self.table.netlinks.insert(made.clone()).is_err() {
            self.sweep();
            self.table.netlinks.insert(made.clone())?;
        }
        let closes = flags & libc::SOCK_CLOEXEC != 0;
        let given = match free_asked_number(call) {
            Some(at) => match self.listener.answer_at(call.id, end.as_fd(), at, closes) {
                Err(Errno::BADF | Errno::MFILE | Errno::INVAL) => {
                    self.listener.answer_with(call.id, end.as_fd(), closes)
                }
                done => done,
            },
            None => self.listener.answer_with(call.id, end.as_fd(), closes),
        };
        if let Err(error) = given {
            self.table.netlinks.remove(cookie);
            // Interrupted: there is nobody to tell, and nothing was given away.
            return match error {
                Errno::NOENT => Ok(Outcome::Answered),
                error => Err(error),
            };
        }
        let watched = {
            let _runtime = self.runtime.enter();
            ends::watch(made.node_end.clone())
        };
        // Only a machine that is out of memory or descriptors refuses; plain writes go unseen then.
        if let Ok(watched) = watched {
            self.runtime
                .spawn(self.clone().carry_netlink(made, watched));
        }
        self.want_sweep();
        Ok(Outcome::Answered)
    }

    /// Answers what is written without an address, and goes on with answers for which there was no room.
    async fn carry_netlink(self: Arc<Self>, socket: Arc<Netlink>, watched: Watched) {
        loop {
            self.ask_written(&socket);
            socket.push();
            tokio::select! {
                ready = watched.readable() => match ready {
                    Ok(mut ready) => ready.clear_ready(),
                    Err(_) => return,
                },
                ready = watched.writable(), if socket.has_waiting() => match ready {
                    Ok(mut ready) => {
                        // Room may have come since; only a poll after the wake-up tells.
                        if !events(watched.as_fd()).contains(PollFlags::OUT) {
                            ready.clear_ready();
                        }
                    }
                    Err(_) => return,
                },
                () = socket.closed() => return,
            }
            tokio::task::coop::consume_budget().await;
        }
    }

    fn ask_written(&self, socket: &Netlink) {
        if let Some(node) = self.backend.node() {
            socket.ask_written(&self.table.netlinks, node);
        }
    }

    /// A call on a netlink socket.
    pub(crate) fn on_netlink(
        self: &Arc<Self>,
        call: &Call,
        socket: &Arc<Netlink>,
        end: OwnedFd,
    ) -> Answer {
        socket.caller.store(call.tid, Ordering::Relaxed);
        self.ask_written(socket);
        let memory = self.memory(call);
        let [_, at, len, ..] = call.args;
        match call.nr {
            libc::SYS_bind => {
                let (port, groups) = socket::parse(&memory.read_address(at, len as i32)?)?;
                self.table.netlinks.bind(socket, port)?;
                let mut state = lock(&socket.state);
                state.groups = state.groups >> 32 << 32 | u64::from(groups);
                drop(state);
                self.watch_for_events()?;
                Ok(Outcome::Return(0))
            }
            libc::SYS_connect => self.connect_netlink(call, socket),
            libc::SYS_getsockname => {
                let state = lock(&socket.state);
                let own = socket::address(state.port.unwrap_or(0), state.low_groups());
                memory.write_name(at, len, &own)?;
                Ok(Outcome::Return(0))
            }
            libc::SYS_getpeername => {
                let (port, groups) = lock(&socket.state).peer;
                memory.write_name(at, len, &socket::address(port, groups))?;
                Ok(Outcome::Return(0))
            }
            libc::SYS_getsockopt => self.netlink_option(call, socket, &end),
            libc::SYS_setsockopt => {
                let done = self.set_netlink_option(call, socket, &end)?;
                self.watch_for_events()?;
                Ok(done)
            }
            libc::SYS_sendto
            | libc::SYS_sendmsg
            | libc::SYS_sendmmsg
            | libc::SYS_write
            | libc::SYS_writev => self.send_netlink(call, socket),
            libc::SYS_recvfrom
            | libc::SYS_recvmsg
            | libc::SYS_recvmmsg
            | libc::SYS_read
            | libc::SYS_readv => self.receive_netlink(call, socket, end),
            _ => Err(Errno::OPNOTSUPP),
        }
    }

    /// Looks at the node for events from now on, if somebody wants them and nobody does yet.
    fn watch_for_events(self: &Arc<Self>) -> Result<(), Errno> {
        let Some(node) = self.backend.node() else {
            return Ok(());
        };
        let netlinks = &self.table.netlinks;
        let mut watching = lock(&netlinks.watching);
        if *watching || !netlinks.want_events() {
            return Ok(());
        }
        let known = Snapshot::take(node)?;
        *watching = true;
        self.runtime.spawn(self.clone().tell_events(known));
        Ok(())
    }

    /// Looks at the node after its turns, and tells what has changed, as long as somebody wants to hear it.
    async fn tell_events(self: Arc<Self>, mut known: Snapshot) {
        let netlinks = &self.table.netlinks;
        let Some(node) = self.backend.node() else {
            return;
        };
        let mut turns = 0;
        loop {
            tokio::select! {
                () = poll_fn(|cx| node.poll_turned(&mut turns, cx)) => {
                    tokio::time::sleep(EVENTS_INTERVAL).await;
                }
                () = netlinks.left.notified() => {}
            }
            let mut watching = lock(&netlinks.watching);
            let now = match netlinks.want_events() {
                true => Snapshot::take(node).ok(),
                false => None,
            };
            let Some(now) = now else {
                *watching = false;
                return;
            };
            drop(watching);
            netlinks.tell(&known.events(&now));
            known = now;
        }
    }

    fn connect_netlink(&self, call: &Call, socket: &Netlink) -> Answer {
        let octets = self
            .memory(call)
            .read_address(call.args[1], call.args[2] as i32)?;
        let peer = match octets.first_chunk() {
            Some(family) if u16::from_ne_bytes(*family) == libc::AF_UNSPEC as u16 => (0, 0),
            Some(_) => socket::parse(&octets)?,
            None => return Err(Errno::INVAL),
        };
        if peer.1 != 0 {
            return Err(Errno::PERM); // only who may manage the network sends to groups
        }
        self.table.netlinks.bind(socket, 0)?;
        lock(&socket.state).peer = peer;
        Ok(Outcome::Return(0))
    }

    fn send_netlink(&self, call: &Call, socket: &Netlink) -> Answer {
        let memory = self.memory(call);
        let [_, at, len, flags, to_at, to_len] = call.args;
        let message = |at| {
            let message = memory.read_message(at)?;
            let to = match message.name {
                0 => Vec::new(),
                name => memory.read_address(name, message.name_len)?,
            };
            Ok((memory.read_buffers(&message)?, to))
        };
        let (mut flags, mut sent) = (flags as i32, Vec::new());
        match call.nr {
            libc::SYS_sendto => {
                let len = usize::try_from(len).unwrap_or(usize::MAX);
                let to = match to_at {
                    0 => Vec::new(),
                    at => memory.read_address(at, to_len as i32)?,
                };
                sent.push((vec![Span { address: at, len }], to));
            }
            libc::SYS_sendmsg => {
                flags = call.args[2] as i32;
                sent.push(message(at)?);
            }
            libc::SYS_sendmmsg => {
                let count = (len as u32 as usize).min(MESSAGES_MAX);
                for i in 0..count {
                    sent.push(message(at.wrapping_add((i * Message::STRIDE) as u64))?);
                }
            }
            _ => {
                flags = 0;
                sent.push((memory.read_spans(call)?, Vec::new()));
            }
        }
        if flags & libc::MSG_OOB != 0 {
            return Err(Errno::OPNOTSUPP);
        }
        let mut requests = Vec::new();
        for (spans, to) in sent {
            let (port, groups) = match to.is_empty() {
                true => lock(&socket.state).peer,
                false => socket::parse(&to)?,
            };
            if port != 0 || groups != 0 {
                return Err(Errno::PERM); // only the kernel is to be talked to
            }
            requests.push(memory.gather(&spans, REQUEST_MAX)?);
        }
        let mut hasher = DefaultHasher::new();
        requests.hash(&mut hasher);
        let digest = hasher.finish();
        if let Some(result) = self.recall(call, || digest) {
            return result.map(Outcome::Return);
        }
        let node = self.backend.node().ok_or(Errno::PROTONOSUPPORT)?;
        let mut value = 0;
        for (i, request) in requests.iter().enumerate() {
            socket.ask(&self.table.netlinks, node, request)?;
            let lengths_at = (call.nr == libc::SYS_sendmmsg).then_some(at);
            value = note_length(&memory, lengths_at, i, request.len());
        }
        if !self.reply(call, Ok(value)) {
            self.remember(call, Ok(value), digest);
        }
        Ok(Outcome::Answered)
    }

    fn receive_netlink(
        self: &Arc<Self>,
        call: &Call,
        socket: &Arc<Netlink>,
        end: OwnedFd,
    ) -> Answer {
        let memory = self.memory(call);
        let [_, at, count, flags, ..] = call.args;
        let mut lengths_at = None;
        let (flags, targets) = match call.nr {
            libc::SYS_recvfrom => (flags, vec![Target::of_recvfrom(&call.args)]),
            libc::SYS_recvmsg => (count, vec![Target::of_message(&memory, at)?]),
            libc::SYS_recvmmsg => {
                lengths_at = Some(at);
                let count = (count as u32 as usize).min(MESSAGES_MAX) as u64;
                let headers = (0..count).map(|i| at.wrapping_add(i * Message::STRIDE as u64));
                let targets = headers.map(|header| Target::of_message(&memory, header));
                (flags, targets.collect::<Result<_, _>>()?)
            }
            _ => (0, vec![Target::of_spans(memory.read_spans(call)?)]),
        };
        let request = Request {
            flags: flags as i32,
            targets,
            lengths_at,
        };
        if request.flags & libc::MSG_OOB != 0 {
            return Err(Errno::OPNOTSUPP);
        }
        let waits = request.flags & libc::MSG_DONTWAIT == 0 && !nonblocking(end.as_fd());
        match self.receive_answers(call, socket, &end, &request) {
            Err(Errno::AGAIN) if waits => {}
            answer => return answer,
        }
        let limit = time_limit(&end, libc::SO_RCVTIMEO).map(|limit| (limit, Errno::AGAIN));
        drop(end);
        let (me, socket, made) = (self.clone(), socket.clone(), *call);
        self.hold(call, limit, async move {
            loop {
                let mut arrived = std::pin::pin!(socket.arrived.notified());
                arrived.as_mut().enable();
                let fd = made.args[0] as RawFd;
                let end = me.table.duplicate_by(socket.cookie, made.tid, fd);
                let end = end.ok_or(Errno::BADF)?;
                match me.receive_answers(&made, &socket, &end, &request) {
                    Err(Errno::AGAIN) => {}
                    answer => return answer,
                }
                drop(end);
                arrived.await;
            }
        })
    }

    fn receive_answers(
        &self,
        call: &Call,
        socket: &Netlink,
        end: &OwnedFd,
        request: &Request,
    ) -> Answer {
        let _turn = lock(&socket.turn);
        let mut state = lock(&socket.state);
        if std::mem::take(&mut state.lost) && !state.is_on(option::NO_ENOBUFS) {
            return Err(Errno::NOBUFS);
        }
        drop(state);
        let memory = self.memory(call);
        let peek = request.flags & libc::MSG_PEEK != 0;
        let mut credentials = [0; 4];
        let _ = sys::option(
            end.as_fd(),
            libc::SOL_SOCKET,
            libc::SO_PASSCRED,
            &mut credentials,
        );
        let (mut buffer, mut value) = (Buffer::take(), 0);
        for (i, target) in request.targets.iter().enumerate() {
            let stamped = match sys::receive_stamped(end.as_fd(), &mut buffer, peek) {
                Ok(stamped) => stamped,
                Err(_) if i > 0 => break,
                Err(error) => return Err(error),
            };
            let data = &buffer[..stamped.len];
            let group = group_of(data);
            let pieces = socket.pieces(credentials != [0; 4], group);
            let kernel = socket::address(0, socket::mask(group));
            let len = target.write_from(&memory, data, Some(&kernel), &pieces, 0)?;
            let len = match request.flags & libc::MSG_TRUNC {
                0 => len,
                _ => stamped.full,
            };
            value = note_length(&memory, request.lengths_at, i, len);
        }
        socket.push();
        // What was taken does not go back; the call finds its answer when it is made again.
        if !self.reply(call, Ok(value)) {
            self.remember(call, Ok(value), 0);
        }
        Ok(Outcome::Answered)
    }

    fn netlink_option(&self, call: &Call, socket: &Netlink, end: &OwnedFd) -> Answer {
        let [_, level, name, at, len_at, _] = call.args;
        let (level, name) = (level as i32, name as i32);
        let memory = self.memory(call);
        let room = usize::try_from(memory.read_int(len_at)?).map_err(|_| Errno::INVAL)?;
        let number = |value: i32| value.to_ne_bytes().to_vec();
        let value = match (level, name) {
            (libc::SOL_SOCKET, libc::SO_TYPE) => number(socket.ty),
            (libc::SOL_SOCKET, libc::SO_DOMAIN) => number(libc::AF_NETLINK),
            (libc::SOL_SOCKET, libc::SO_PROTOCOL) => number(socket.family.number()),
            (libc::SOL_SOCKET, _) => {
                let mut value = vec![0; room.min(crate::memory::OPTION_MAX)];
                let len = sys::option(end.as_fd(), level, name, &mut value)?;
                value.truncate(len);
                value
            }
            (SOL_NETLINK, option::LIST_MEMBERSHIPS) => {
                let groups = lock(&socket.state).groups;
                groups.to_ne_bytes().to_vec()
            }
            (SOL_NETLINK, name) if option::SWITCHES.contains(&name) => {
                if room < size_of::<i32>() {
                    return Err(Errno::INVAL);
                }
                number(lock(&socket.state).is_on(name).into())
            }
            _ => return Err(Errno::NOPROTOOPT),
        };
        memory.write(at, &value[..room.min(value.len())])?;
        memory.write_int(len_at, value.len().min(i32::MAX as usize) as i32)?;
        Ok(Outcome::Return(0))
    }

    fn set_netlink_option(&self, call: &Call, socket: &Netlink, end: &OwnedFd) -> Answer {
        let [_, level, name, at, len, _] = call.args;
        let (level, name) = (level as i32, name as i32);
        let len = usize::try_from(len as i32)
            .ok()
            .filter(|len| *len <= crate::memory::OPTION_MAX)
            .ok_or(Errno::INVAL)?;
        let memory = self.memory(call);
        if level == libc::SOL_SOCKET {
            /// Pointers of the program would be taken for ours.
            const POINT: [i32; 4] = [
                libc::SO_ATTACH_FILTER,
                libc::SO_ATTACH_REUSEPORT_CBPF,
                libc::SO_ATTACH_BPF,
                libc::SO_ATTACH_REUSEPORT_EBPF,
            ];
            if POINT.contains(&name) {
                // The kernel attaches it to the program's end itself, where answers arrive.
                return Ok(Outcome::Continue);
            }
            let mut value = vec![0; len];
            memory.read(at, &mut value)?;
            sys::set_option(end.as_fd(), level, name, &value)?;
            return Ok(Outcome::Return(0));
        }
        if level != SOL_NETLINK {
            return Err(Errno::NOPROTOOPT);
        }
        if len < size_of::<i32>() {
            return Err(Errno::INVAL);
        }
        let value = memory.read_int(at)?;
        let mut state = lock(&socket.state);
        match name {
            option::ADD_MEMBERSHIP => state.join(value.cast_unsigned(), true)?,
            option::DROP_MEMBERSHIP => state.join(value.cast_unsigned(), false)?,
            name if option::SWITCHES.contains(&name) => state.set(name, value != 0),
            _ => return Err(Errno::NOPROTOOPT),
        }
        Ok(Outcome::Return(0))
    }
}
