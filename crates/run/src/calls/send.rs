//! sendto(2), sendmsg(2) and sendmmsg(2) of what carries messages, as far as they name an address or say more than the data.
//!
//! The node sends, and its errors are the program's. What was written before without an address has been carried already.

use crate::address::{self, Given};
use crate::backend::{Backend, Control, Domain, Errno, NodeSocket as _, Outgoing};
use crate::calls::datagram::errors;
use crate::descriptors::{Phase, Sock, lock, nonblocking, time_limit};
use crate::ends;
use crate::memory::{MESSAGES_MAX, Memory, Message, OPTION_MAX, Span};
use crate::relay;
use crate::supervisor::{Answer, Outcome, Supervisor};
use crate::sys::{self, Call};
use std::future::poll_fn;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// What a `msghdr` of sendmmsg returns lies behind the header proper.
pub(crate) const MESSAGE_LEN: u64 = Message::SIZE as u64;

impl<B: Backend> Supervisor<B> {
    pub(crate) fn sendto(
        self: &Arc<Self>,
        call: &Call,
        sock: &Arc<Sock<B::Socket>>,
        end: OwnedFd,
    ) -> Answer {
        let [_, at, len, flags, address_at, address_len] = call.args;
        let memory = self.memory(call);
        if sock.is_stream() && !sock.has_messages() {
            let len = usize::try_from(len).unwrap_or(usize::MAX);
            let spans = [Span { address: at, len }];
            return self.send_stream(call, sock, end, flags as i32, &spans);
        }
        let to = match address_at {
            0 => None,
            at => Some(read_destination(
                sock,
                &memory.read_address(at, address_len as i32)?,
            )?),
        };
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let data = memory.gather(&[Span { address: at, len }], sock.message_max())?;
        let message = Outgoing {
            data,
            to,
            control: Vec::new(),
        };
        self.send_one(call, sock, &end, flags as i32, message)
    }

    /// write(2) and writev(2), of messages alone.
    pub(crate) fn write(
        self: &Arc<Self>,
        call: &Call,
        sock: &Arc<Sock<B::Socket>>,
        end: &OwnedFd,
    ) -> Answer {
        let memory = self.memory(call);
        let data = memory.gather(&memory.read_spans(call)?, sock.message_max())?;
        let message = Outgoing {
            data,
            ..Outgoing::default()
        };
        self.send_one(call, sock, end, 0, message)
    }

    pub(crate) fn sendmsg(
        self: &Arc<Self>,
        call: &Call,
        sock: &Arc<Sock<B::Socket>>,
        end: OwnedFd,
    ) -> Answer {
        let [_, at, flags, ..] = call.args;
        if sock.is_stream() && !sock.has_messages() {
            let memory = self.memory(call);
            let message = memory.read_message(at)?;
            if message.name == 0 || message.name_len == 0 {
                return Ok(Outcome::Continue);
            }
            let spans = memory.read_buffers(&message)?;
            return self.send_stream(call, sock, end, flags as i32, &spans);
        }
        let message = read_outgoing(&self.memory(call), sock, at)?;
        self.send_one(call, sock, &end, flags as i32, message)
    }

    pub(crate) fn sendmmsg(
        self: &Arc<Self>,
        call: &Call,
        sock: &Arc<Sock<B::Socket>>,
        end: &OwnedFd,
    ) -> Answer {
        if sock.is_stream() && !sock.has_messages() {
            return Ok(Outcome::Continue);
        }
        let [_, at, count, flags, ..] = call.args;
        let count = (count as u32 as usize).min(MESSAGES_MAX);
        check_flags(flags as i32)?;
        let blocking = !nonblocking(end.as_fd()) && flags as i32 & libc::MSG_DONTWAIT == 0;
        let (mut headers, mut messages) = (Vec::new(), Vec::new());
        for i in 0..count {
            let header = at.wrapping_add((i * Message::STRIDE) as u64);
            match read_outgoing(&self.memory(call), sock, header) {
                Ok(message) => messages.push(message),
                Err(error) if i == 0 => return Err(error),
                Err(_) => break,
            }
            headers.push(header);
        }
        if let Some(result) = self.recall(call, || digest(&messages)) {
            if !self.reply(call, result) {
                self.remember(call, result, digest(&messages));
            }
            return Ok(Outcome::Answered);
        }
        let mut sent = 0;
        for (header, message) in headers.iter().zip(&messages) {
            let tried = errors::take(sock, end).map_or_else(|| self.try_send(sock, message), Err);
            match tried {
                Ok(len) => self.memory(call).write(
                    header.wrapping_add(MESSAGE_LEN),
                    &(len as u32).to_ne_bytes(),
                )?,
                Err(Errno::AGAIN) if sent == 0 && blocking => {
                    return self.hold_send(call, (sock, end), messages.swap_remove(0), true);
                }
                Err(error) if sent == 0 => return Err(error),
                Err(_) => break,
            }
            sent += 1;
        }
        if !self.reply(call, Ok(sent)) {
            self.remember(call, Ok(sent), digest(&messages));
        }
        Ok(Outcome::Answered)
    }

    /// Sends a message, then answers; a call that is repeated because the answer did not arrive does not send again.
    fn send_one(
        self: &Arc<Self>,
        call: &Call,
        sock: &Arc<Sock<B::Socket>>,
        end: &OwnedFd,
        flags: i32,
        message: Outgoing,
    ) -> Answer {
        if !sock.is_sctp() {
            check_flags(flags)?;
        }
        if let Some(result) = self.recall(call, || digest([&message])) {
            return self.sent(call, result, &message);
        }
        if let Some(error) = errors::take(sock, end) {
            return Err(error);
        }
        let result = match self.may_send(sock) {
            Ok(()) => self.try_send(sock, &message),
            Err(error) => Err(error),
        };
        let result = result.map_err(|error| match error {
            // Linux's SCTP: who has no association has no pipe.
            Errno::NOTCONN | Errno::DESTADDRREQ if sock.is_sctp() => Errno::PIPE,
            error => error,
        });
        if result.is_err() {
            errors::may_be_due(sock);
        } else if sock.has_messages() {
            self.carry_at_once(sock, end)?;
        }
        if result == Err(Errno::AGAIN)
            && !nonblocking(end.as_fd())
            && flags & libc::MSG_DONTWAIT == 0
        {
            return self.hold_send(call, (sock, end), message, false);
        }
        // The signal comes first: a thread that has its answer may have gone on.
        if result == Err(Errno::PIPE) && sock.is_sctp() && flags & libc::MSG_NOSIGNAL == 0 {
            sys::signal(call.tid, libc::SIGPIPE);
        }
        self.sent(call, result.map(|len| len as i64), &message)
    }

    /// Linux: nothing is sent by a socket that listens, nor after its half was shut.
    fn may_send(&self, sock: &Sock<B::Socket>) -> Result<(), Errno> {
        let state = lock(&sock.state);
        match sock.has_messages()
            && (state.shut.write || matches!(state.phase, Phase::Listening(_)))
        {
            true => Err(Errno::PIPE),
            false => Ok(()),
        }
    }

    fn try_send(&self, sock: &Sock<B::Socket>, message: &Outgoing) -> Result<usize, Errno> {
        if message.control.is_empty() {
            return sock.node.try_send_to(&message.data, message.to);
        }
        let mut nobody = Context::from_waker(Waker::noop());
        match sock.node.poll_send_message(&mut nobody, message) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(Errno::AGAIN),
        }
    }

    /// A message that a socket without a connection has sent has begun one: from now on that is carried (RFC 6458 §4.1.9).
    fn carry_at_once(
        self: &Arc<Self>,
        sock: &Arc<Sock<B::Socket>>,
        end: &OwnedFd,
    ) -> Result<(), Errno> {
        let mut state = lock(&sock.state);
        if !matches!(state.phase, Phase::Fresh) {
            return Ok(());
        }
        let node_end = Arc::new(self.ends.attach(end.as_fd(), sock.name)?);
        sock.adopt_connection(&node_end);
        ends::raise(end.as_fd());
        state.phase = Phase::Established { reported: true };
        state.watched = true;
        drop(state);
        let carried = relay::begin(self.clone(), sock.clone(), node_end, self.carrying());
        self.runtime.spawn(carried);
        Ok(())
    }

    fn sent(&self, call: &Call, result: Result<i64, Errno>, message: &Outgoing) -> Answer {
        if !self.reply(call, result) && result.is_ok() {
            self.remember(call, result, digest([message]));
        }
        Ok(Outcome::Answered)
    }

    /// Sends when the node has room. Of several messages only the first is sent, which the program is told.
    fn hold_send(
        self: &Arc<Self>,
        call: &Call,
        (sock, end): (&Arc<Sock<B::Socket>>, &OwnedFd),
        message: Outgoing,
        several: bool,
    ) -> Answer {
        let limit = time_limit(end, libc::SO_SNDTIMEO).map(|limit| (limit, Errno::AGAIN));
        let (me, sock, made) = (self.clone(), sock.clone(), *call);
        self.hold(call, limit, async move {
            let sent = poll_fn(|cx| match message.control.is_empty() {
                true => sock.node.poll_send_to(cx, &message.data, message.to),
                false => sock.node.poll_send_message(cx, &message),
            });
            let result = sent.await;
            if !several {
                return me.sent(&made, result.map(|len| len as i64), &message);
            }
            if let Ok(len) = result {
                let at = made.args[1].wrapping_add(MESSAGE_LEN);
                let _ = me.memory(&made).write(at, &(len as u32).to_ne_bytes());
            }
            me.sent(&made, result.map(|_| 1), &message)
        })
    }
}

/// What a `msghdr` sends, where to, and how.
fn read_outgoing<S>(memory: &Memory<'_>, sock: &Sock<S>, at: u64) -> Result<Outgoing, Errno> {
    let message = memory.read_message(at)?;
    let mut control = Vec::new();
    if message.control != 0 && message.control_len != 0 {
        if message.control_len > OPTION_MAX {
            return Err(Errno::NOBUFS);
        }
        let mut octets = vec![0; message.control_len];
        memory.read(message.control, &mut octets)?;
        control = control_messages(&octets)?;
    }
    let to = match message.name {
        0 => None,
        name => Some(read_destination(
            sock,
            &memory.read_address(name, message.name_len)?,
        )?),
    };
    let data = memory.gather(&memory.read_buffers(&message)?, sock.message_max())?;
    Ok(Outgoing { data, to, control })
}

/// The destination of a message. Linux takes `AF_UNSPEC` for IPv4 here, for old programs.
fn read_destination<S>(sock: &Sock<S>, octets: &[u8]) -> Result<SocketAddr, Errno> {
    match address::parse(sock.domain, octets) {
        Ok(Given::Internet(address)) => Ok(address),
        // Linux's SCTP has no other word for it.
        Ok(Given::Unspecified) | Err(Errno::AFNOSUPPORT) if sock.is_sctp() => Err(Errno::INVAL),
        Ok(Given::Unspecified) if sock.domain == Domain::Ipv4 => {
            address::v4(octets).map(Into::into)
        }
        Ok(Given::Unspecified) => Err(Errno::AFNOSUPPORT),
        Err(error) => Err(error),
    }
}

/// The control messages that a program has laid out.
fn control_messages(mut octets: &[u8]) -> Result<Vec<Control>, Errno> {
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
fn check_flags(flags: i32) -> Result<(), Errno> {
    let refused = libc::MSG_OOB | libc::MSG_MORE | libc::MSG_FASTOPEN | libc::MSG_ZEROCOPY;
    if flags & refused == 0 {
        Ok(())
    } else {
        Err(Errno::OPNOTSUPP)
    }
}

/// Tells one set of messages from another.
fn digest<'a>(messages: impl IntoIterator<Item = &'a Outgoing>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for message in messages {
        message.hash(&mut hasher);
    }
    hasher.finish()
}
