//! Datagram, raw and ICMP sockets: their two carriers, and the calls that name addresses.
//!
//! The program's end is one side of a datagram pair, so recv, read, write and poll work in the kernel; [`queue`] tells who sent
//! what lies in it.

pub(crate) mod errors;
mod queue;

pub(crate) use queue::Datagrams;

use crate::address::{self, Given};
use crate::backend::{Backend, Domain, Errno, NodeSocket};
use crate::buffers::Buffer;
use crate::calls::message::Target;
use crate::descriptors::{Sock, lock, nonblocking, time_limit};
use crate::ends;
use crate::memory::{DATAGRAM_MAX, MESSAGES_MAX, Message, OPTION_MAX, Span};
use crate::supervisor::{Answer, Outcome, Share, Supervisor};
use crate::sys::Call;
use rustix::net::{self, SendFlags};
use std::future::poll_fn;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

/// How long a datagram that was sent without an address waits for room on the node, before it is dropped.
const ROOM_TIMEOUT: Duration = Duration::from_secs(5);

/// Datagrams that are carried before a call that must not overtake them.
const FLUSH_MAX: usize = 4096;

/// What a `msghdr` of sendmmsg returns lies behind the header proper.
const MESSAGE_LEN: u64 = Message::SIZE as u64;

impl<B: Backend> Supervisor<B> {
    /// Starts the two carriers of a datagram socket; the one from the program only while the run lasts.
    pub(crate) fn carry_datagrams(
        self: &Arc<Self>,
        sock: Arc<Sock<B::Socket>>,
        datagrams: Arc<Datagrams>,
        carrying: Option<Share>,
    ) {
        self.runtime
            .spawn(self.clone().inbound(sock.clone(), datagrams.clone()));
        if let Some(carrying) = carrying {
            self.runtime
                .spawn(self.clone().outbound(sock, datagrams, carrying));
        }
    }

    /// Carries datagrams from the node to the program.
    async fn inbound(self: Arc<Self>, sock: Arc<Sock<B::Socket>>, datagrams: Arc<Datagrams>) {
        let mut showing = std::pin::pin!(errors::show_as_they_come(&sock, &datagrams));
        loop {
            let next = poll_fn(|cx| {
                let mut buffer = Buffer::take();
                let received = ready!(sock.node.poll_recv_from(cx, &mut buffer));
                Poll::Ready((buffer, received))
            });
            let (buffer, result) = tokio::select! {
                next = next => next,
                () = &mut showing => return,
                () = sock.closed() => return,
            };
            match result {
                Ok(received) => {
                    if datagrams.queue(&buffer[..received.len], received).is_err() {
                        return self.table.remove(sock.cookie);
                    }
                }
                Err(error) if errors::is_of_the_way(error) => errors::note(&sock, error),
                // shutdown(2): there is nothing more to receive.
                Err(_) => return,
            }
            drop(buffer);
            tokio::task::coop::consume_budget().await;
        }
    }

    /// Carries what the program writes without an address to the node.
    async fn outbound(
        self: Arc<Self>,
        sock: Arc<Sock<B::Socket>>,
        datagrams: Arc<Datagrams>,
        _carrying: Share,
    ) {
        let Ok(watched) = ends::watch(datagrams.node_end.clone()) else {
            return;
        };
        let mut ending = self.ending.clone();
        loop {
            // Read before the queue is: what was written before the end is found after it.
            let ended = *ending.borrow_and_update() || sock.is_closed();
            let mut buffer = Buffer::take();
            match carry_one(&sock, &datagrams, &mut buffer) {
                Ok(None) => {}
                Ok(Some(len)) => {
                    let sent = poll_fn(|cx| sock.node.poll_send_to(cx, &buffer[..len], None));
                    // Nobody waits longer for room for a datagram.
                    let sent = tokio::time::timeout(ROOM_TIMEOUT, sent).await;
                    if let Ok(Err(error)) = sent
                        && errors::is_of_the_way(error)
                    {
                        errors::note(&sock, error);
                    }
                }
                Err(Errno::AGAIN) if ended => return,
                Err(Errno::AGAIN) => {
                    drop(buffer);
                    tokio::select! {
                        ready = watched.readable() => match ready {
                            Ok(mut ready) => ready.clear_ready(),
                            Err(_) => return,
                        },
                        () = datagrams.left.notified() => {}
                        _ = ending.changed() => {}
                        () = sock.closed() => {}
                    }
                }
                Err(_) => return,
            }
            tokio::task::coop::consume_budget().await;
        }
    }

    /// Carries all that the program has written without an address, as far as there is room.
    pub(crate) fn flush(&self, sock: &Sock<B::Socket>) {
        let Some(datagrams) = &sock.datagrams else {
            return;
        };
        let mut buffer = Buffer::take();
        for _ in 0..FLUSH_MAX {
            match carry_one(sock, datagrams, &mut buffer) {
                Ok(None) => {}
                Ok(Some(len)) => return datagrams.not_carried(&buffer[..len]),
                Err(_) => return,
            }
        }
    }

    pub(crate) fn sendto(
        self: &Arc<Self>,
        call: &Call,
        sock: &Arc<Sock<B::Socket>>,
        end: &OwnedFd,
    ) -> Answer {
        if sock.is_stream() && !sock.has_messages() {
            return Err(Errno::ISCONN);
        }
        let [_, at, len, flags, address_at, address_len] = call.args;
        let memory = self.memory(call);
        let to = read_destination(
            sock.domain,
            &memory.read_address(address_at, address_len as i32)?,
        )?;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let data = memory.gather(&[Span { address: at, len }])?;
        if sock.is_stream() {
            // Its only peer gets it, whatever the address says.
            let flags = SendFlags::from_bits_retain(flags as u32) | SendFlags::DONTWAIT;
            let sent = net::send(end, &data, flags | SendFlags::NOSIGNAL)?;
            return Ok(Outcome::Return(sent as i64));
        }
        self.send_one(call, sock, end, flags as i32, data, Some(to))
    }

    pub(crate) fn sendmsg(
        self: &Arc<Self>,
        call: &Call,
        sock: &Arc<Sock<B::Socket>>,
        end: &OwnedFd,
    ) -> Answer {
        if sock.is_stream() {
            if !sock.has_messages() {
                return Ok(Outcome::Continue);
            }
            let message = self.memory(call).read_message(call.args[1])?;
            return match message.control != 0 && message.control_len != 0 {
                true => self.send_controlled(call, sock, end, &message),
                false => Ok(Outcome::Continue),
            };
        }
        let (data, to) = self.read_outgoing(call, sock, call.args[1])?;
        self.send_one(call, sock, end, call.args[2] as i32, data, to)
    }

    pub(crate) fn sendmmsg(
        self: &Arc<Self>,
        call: &Call,
        sock: &Arc<Sock<B::Socket>>,
        end: &OwnedFd,
    ) -> Answer {
        if sock.is_stream() {
            return Ok(Outcome::Continue);
        }
        let [_, at, count, flags, ..] = call.args;
        let count = (count as u32 as usize).min(MESSAGES_MAX);
        check_send_flags(flags as i32)?;
        let blocking = !nonblocking(end.as_fd()) && flags as i32 & libc::MSG_DONTWAIT == 0;
        let mut messages = Vec::new();
        for i in 0..count {
            let header = at.wrapping_add((i * Message::STRIDE) as u64);
            match self.read_outgoing(call, sock, header) {
                Ok((data, to)) => messages.push((header, data, to)),
                Err(error) if i == 0 => return Err(error),
                Err(_) => break,
            }
        }
        let digest = || digest_all(messages.iter().map(|(_, data, to)| (&data[..], *to)));
        if let Some(result) = self.recall(call, digest) {
            if !self.reply(call, result) {
                self.remember(call, result, digest());
            }
            return Ok(Outcome::Answered);
        }
        let mut sent = 0;
        for (header, data, to) in &messages {
            match errors::take(sock, end).map_or_else(|| sock.node.try_send_to(data, *to), Err) {
                Ok(len) => self.memory(call).write(
                    header.wrapping_add(MESSAGE_LEN),
                    &(len as u32).to_ne_bytes(),
                )?,
                Err(Errno::AGAIN) if sent == 0 && blocking => {
                    let (_, data, to) = messages.swap_remove(0);
                    return self.hold_send(call, (sock, end), data, to, true);
                }
                Err(error) if sent == 0 => return Err(error),
                Err(_) => break,
            }
            sent += 1;
        }
        if !self.reply(call, Ok(sent)) {
            self.remember(call, Ok(sent), digest());
        }
        Ok(Outcome::Answered)
    }

    /// Sends a message of a stream of messages with ancillary data, which the carrier would lose.
    fn send_controlled(
        self: &Arc<Self>,
        call: &Call,
        sock: &Arc<Sock<B::Socket>>,
        end: &OwnedFd,
        message: &Message,
    ) -> Answer {
        let memory = self.memory(call);
        if message.control_len > OPTION_MAX {
            return Err(Errno::NOBUFS);
        }
        let mut control = vec![0; message.control_len];
        memory.read(message.control, &mut control)?;
        let control = control_messages(&control)?;
        let data = memory.gather(&memory.read_buffers(message)?)?;
        if let Some(result) = self.recall(call, || digest_all([(&data[..], None)].into_iter())) {
            return self.sent(call, result, &data, None);
        }
        let mut nobody = Context::from_waker(Waker::noop());
        let tried = sock.node.poll_send_message(&mut nobody, &data, &control);
        let waits = !nonblocking(end.as_fd()) && call.args[2] as i32 & libc::MSG_DONTWAIT == 0;
        match tried {
            Poll::Ready(result) => {
                return self.sent(call, result.map(|len| len as i64), &data, None);
            }
            Poll::Pending if !waits => return Err(Errno::AGAIN),
            Poll::Pending => {}
        }
        let limit = time_limit(end, libc::SO_SNDTIMEO).map(|limit| (limit, Errno::AGAIN));
        let (me, sock, made) = (self.clone(), sock.clone(), *call);
        self.hold(call, limit, async move {
            let sent = poll_fn(|cx| sock.node.poll_send_message(cx, &data, &control)).await;
            me.sent(&made, sent.map(|len| len as i64), &data, None)
        })
    }

    /// What a `msghdr` sends, and where to. Ancillary data is refused: what it asks for would not be done.
    fn read_outgoing(
        &self,
        call: &Call,
        sock: &Sock<B::Socket>,
        at: u64,
    ) -> Result<(Vec<u8>, Option<SocketAddr>), Errno> {
        let memory = self.memory(call);
        let message = memory.read_message(at)?;
        if message.control != 0 && message.control_len != 0 {
            return Err(Errno::INVAL);
        }
        let to = match message.name {
            0 => None,
            name => Some(read_destination(
                sock.domain,
                &memory.read_address(name, message.name_len)?,
            )?),
        };
        Ok((memory.gather(&memory.read_buffers(&message)?)?, to))
    }

    /// Sends a datagram, then answers; a call that is repeated because the answer did not arrive does not send again.
    fn send_one(
        self: &Arc<Self>,
        call: &Call,
        sock: &Arc<Sock<B::Socket>>,
        end: &OwnedFd,
        flags: i32,
        data: Vec<u8>,
        to: Option<SocketAddr>,
    ) -> Answer {
        check_send_flags(flags)?;
        if let Some(result) = self.recall(call, || digest_all([(&data[..], to)].into_iter())) {
            return self.sent(call, result, &data, to);
        }
        if let Some(error) = errors::take(sock, end) {
            return Err(error);
        }
        let result = sock.node.try_send_to(&data, to);
        if result.is_err() {
            errors::may_be_due(sock);
        }
        if result == Err(Errno::AGAIN)
            && !nonblocking(end.as_fd())
            && flags & libc::MSG_DONTWAIT == 0
        {
            return self.hold_send(call, (sock, end), data, to, false);
        }
        self.sent(call, result.map(|len| len as i64), &data, to)
    }

    fn sent(
        &self,
        call: &Call,
        result: Result<i64, Errno>,
        data: &[u8],
        to: Option<SocketAddr>,
    ) -> Answer {
        if !self.reply(call, result) && result.is_ok() {
            self.remember(call, result, digest_all([(data, to)].into_iter()));
        }
        Ok(Outcome::Answered)
    }

    /// Sends when the node has room. Of several messages only the first is sent, which the program is told.
    fn hold_send(
        self: &Arc<Self>,
        call: &Call,
        (sock, end): (&Arc<Sock<B::Socket>>, &OwnedFd),
        data: Vec<u8>,
        to: Option<SocketAddr>,
        several: bool,
    ) -> Answer {
        let limit = time_limit(end, libc::SO_SNDTIMEO).map(|limit| (limit, Errno::AGAIN));
        let (me, sock, made) = (self.clone(), sock.clone(), *call);
        self.hold(call, limit, async move {
            let result = poll_fn(|cx| sock.node.poll_send_to(cx, &data, to)).await;
            if !several {
                return me.sent(&made, result.map(|len| len as i64), &data, to);
            }
            if let Ok(len) = result {
                let at = made.args[1].wrapping_add(MESSAGE_LEN);
                let _ = me.memory(&made).write(at, &(len as u32).to_ne_bytes());
            }
            me.sent(&made, result.map(|_| 1), &data, to)
        })
    }

    pub(crate) fn recvfrom(
        self: &Arc<Self>,
        call: &Call,
        sock: &Arc<Sock<B::Socket>>,
        end: OwnedFd,
    ) -> Answer {
        // A stream has no source to tell; the kernel receives.
        let Some(datagrams) = &sock.datagrams else {
            return Ok(Outcome::Continue);
        };
        let targets = vec![Target::of_recvfrom(&call.args)];
        self.receive(
            call,
            sock,
            datagrams,
            end,
            (call.args[3] as i32, targets, None),
        )
    }

    pub(crate) fn recvmsg(
        self: &Arc<Self>,
        call: &Call,
        sock: &Arc<Sock<B::Socket>>,
        end: OwnedFd,
    ) -> Answer {
        let flags = call.args[2] as i32;
        let Some(datagrams) = &sock.datagrams else {
            return match flags & libc::MSG_ERRQUEUE {
                0 => Ok(Outcome::Continue),
                _ => {
                    let target = Target::of_message(&self.memory(call), call.args[1])?;
                    self.receive_reports(call, sock, &end, &[target], None)
                }
            };
        };
        let targets = vec![Target::of_message(&self.memory(call), call.args[1])?];
        self.receive(call, sock, datagrams, end, (flags, targets, None))
    }

    /// recvmmsg(2), which waits for the first message alone and returns all that are there.
    pub(crate) fn recvmmsg(
        self: &Arc<Self>,
        call: &Call,
        sock: &Arc<Sock<B::Socket>>,
        end: OwnedFd,
    ) -> Answer {
        let Some(datagrams) = &sock.datagrams else {
            return Ok(Outcome::Continue);
        };
        let [_, at, count, flags, ..] = call.args;
        let count = (count as u32 as usize).min(MESSAGES_MAX);
        let headers = (0..count).map(|i| at.wrapping_add((i * Message::STRIDE) as u64));
        let targets = headers
            .map(|header| Target::of_message(&self.memory(call), header))
            .collect::<Result<_, _>>()?;
        self.receive(
            call,
            sock,
            datagrams,
            end,
            (flags as i32, targets, Some(at)),
        )
    }

    /// Receives into as many targets as there are datagrams for, waiting for the first one. `lengths_at` says that the call
    /// returns a count, and where the lengths go.
    fn receive(
        self: &Arc<Self>,
        call: &Call,
        sock: &Arc<Sock<B::Socket>>,
        datagrams: &Arc<Datagrams>,
        end: OwnedFd,
        request: (i32, Vec<Target>, Option<u64>),
    ) -> Answer {
        let flags = request.0;
        if flags & libc::MSG_OOB != 0 {
            return Err(Errno::OPNOTSUPP);
        }
        if flags & libc::MSG_ERRQUEUE != 0 {
            return self.receive_reports(call, sock, &end, &request.1, request.2);
        }
        match self.receive_now(call, sock, datagrams, &end, &request) {
            Err(Errno::AGAIN) if flags & libc::MSG_DONTWAIT == 0 && !nonblocking(end.as_fd()) => {}
            answer => return answer,
        }
        let limit = time_limit(&end, libc::SO_RCVTIMEO).map(|limit| (limit, Errno::AGAIN));
        drop(end);
        let (me, sock, datagrams, made) = (self.clone(), sock.clone(), datagrams.clone(), *call);
        self.hold(call, limit, async move {
            loop {
                let mut arrived = std::pin::pin!(datagrams.arrived.notified());
                arrived.as_mut().enable();
                let Some(end) = me
                    .table
                    .duplicate_of(&sock, made.tid, made.args[0] as RawFd)
                else {
                    return Err(Errno::BADF);
                };
                match me.receive_now(&made, &sock, &datagrams, &end, &request) {
                    Err(Errno::AGAIN) => {}
                    answer => return answer,
                }
                drop(end);
                arrived.await;
            }
        })
    }

    /// Receives what is there, and puts it back if the program does not learn of it.
    fn receive_now(
        &self,
        call: &Call,
        sock: &Sock<B::Socket>,
        datagrams: &Datagrams,
        end: &OwnedFd,
        (flags, targets, lengths_at): &(i32, Vec<Target>, Option<u64>),
    ) -> Answer {
        if let Some(error) = errors::take(sock, end) {
            if !self.reply(call, Err(error)) {
                errors::note(sock, error);
            }
            return Ok(Outcome::Answered);
        }
        let _turn = lock(&datagrams.turn);
        let peek = flags & libc::MSG_PEEK != 0;
        let memory = self.memory(call);
        let (mut taken, mut value) = (Vec::new(), 0);
        let mut fault = None;
        for (i, target) in targets.iter().enumerate() {
            let datagram = match errors::take_beside(sock, datagrams, end, peek) {
                Ok(datagram) => datagram,
                Err(Errno::AGAIN) if i > 0 => break,
                Err(error) => return Err(error),
            };
            let source = datagram
                .received
                .map_or_else(|| address::unset(sock.domain), |received| received.source);
            let pieces = datagrams.asked.of(datagram.received.as_ref(), datagram.at);
            let full = datagram.data.len();
            let written = target.write(&memory, &datagram.data, source, &pieces, 0);
            taken.push(datagram);
            let len = match written {
                Ok(_) if flags & libc::MSG_TRUNC != 0 => full,
                Ok(written) => written,
                Err(error) => {
                    fault = Some(error);
                    break;
                }
            };
            value = errors::note_length(&memory, *lengths_at, i, len);
        }
        let arrived = match fault {
            // As the kernel does: the datagram that could not be written is lost.
            Some(error) if error != Errno::INTR => return Err(error),
            Some(_) => false,
            None => self.reply(call, Ok(value)),
        };
        if !arrived && !peek {
            datagrams.put_back(end.as_fd(), taken);
        }
        Ok(Outcome::Answered)
    }
}

/// Carries a datagram that the program has written without an address to the node. The length of one for which there is no room
/// there; it stays in the buffer.
fn carry_one<S: NodeSocket>(
    sock: &Sock<S>,
    datagrams: &Datagrams,
    buffer: &mut Buffer,
) -> Result<Option<usize>, Errno> {
    let _turn = lock(&datagrams.carrying);
    let len = datagrams.written(buffer)?;
    if len > DATAGRAM_MAX {
        return Ok(None);
    }
    let mut sent = sock.node.try_send_to(&buffer[..len], None);
    // An error of what was sent before is the next call's, and no reason not to send: this call has succeeded already.
    if let Err(error) = sent
        && errors::is_of_the_way(error)
    {
        errors::note(sock, error);
        if error != Errno::MSGSIZE {
            sent = sock.node.try_send_to(&buffer[..len], None);
        }
    }
    match sent {
        Err(Errno::AGAIN) => Ok(Some(len)),
        _ => Ok(None),
    }
}

/// The destination of a datagram. Linux takes `AF_UNSPEC` for IPv4 here, for old programs.
fn read_destination(domain: Domain, octets: &[u8]) -> Result<SocketAddr, Errno> {
    match address::parse(domain, octets)? {
        Given::Internet(address) => Ok(address),
        Given::Unspecified if domain == Domain::Ipv4 => address::v4(octets).map(Into::into),
        Given::Unspecified => Err(Errno::AFNOSUPPORT),
    }
}

/// The control messages that a program has laid out, each as level, type and data.
fn control_messages(mut octets: &[u8]) -> Result<Vec<(i32, i32, Vec<u8>)>, Errno> {
    let mut messages = Vec::new();
    while let Some((head, _)) = octets.split_first_chunk::<16>() {
        let [l0, l1, l2, l3, l4, l5, l6, l7, rest @ ..] = *head;
        let [v0, v1, v2, v3, t0, t1, t2, t3] = rest;
        let len = u64::from_ne_bytes([l0, l1, l2, l3, l4, l5, l6, l7]);
        let len = usize::try_from(len).map_err(|_| Errno::INVAL)?;
        let data = octets.get(head.len()..len).ok_or(Errno::INVAL)?;
        let level = i32::from_ne_bytes([v0, v1, v2, v3]);
        let ty = i32::from_ne_bytes([t0, t1, t2, t3]);
        messages.push((level, ty, data.to_vec()));
        let next = len.next_multiple_of(8).min(octets.len());
        octets = &octets[next..];
    }
    Ok(messages)
}

/// Flags that ask for what is not done here are refused.
fn check_send_flags(flags: i32) -> Result<(), Errno> {
    let refused = libc::MSG_OOB | libc::MSG_MORE | libc::MSG_FASTOPEN | libc::MSG_ZEROCOPY;
    if flags & refused == 0 {
        Ok(())
    } else {
        Err(Errno::OPNOTSUPP)
    }
}

/// Tells one set of datagrams from another.
fn digest_all<'a>(datagrams: impl Iterator<Item = (&'a [u8], Option<SocketAddr>)>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for datagram in datagrams {
        datagram.hash(&mut hasher);
    }
    hasher.finish()
}
