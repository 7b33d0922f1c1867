//! recvfrom(2), recvmsg(2) and recvmmsg(2) of what carries messages, as far as they ask for more than the data.
//!
//! What is received lies in the program's own end, and is taken from there. A message that the program does not get, because the
//! call was interrupted, goes back to its place.

use crate::backend::{Backend, Errno, NodeSocket, Received};
use crate::calls::datagram::errors::{self, note_length};
use crate::calls::datagram::{Datagrams, Taken};
use crate::calls::message::Target;
use crate::descriptors::{Phase, Sock, lock, nonblocking, time_limit};
use crate::memory::{MESSAGES_MAX, Memory, Message};
use crate::supervisor::{Answer, Outcome, Supervisor};
use crate::sys::Call;
use std::os::fd::{AsFd as _, OwnedFd, RawFd};
use std::sync::Arc;

/// Rounds of the event loop after which what has come to the node has come to the program.
const TURNS_TO_CARRY: usize = 16;

/// What a call asks for.
pub(crate) struct Request {
    flags: i32,
    /// Where messages go, each to its own.
    targets: Vec<Target>,
    /// The call returns a count, and the lengths go behind these headers.
    lengths_at: Option<u64>,
}

/// What came of one target.
struct Written {
    len: usize,
    /// What of the message did not fit and is to be read next.
    rest: Option<Taken>,
}

impl<B: Backend> Supervisor<B> {
    pub(crate) fn recvfrom(
        self: &Arc<Self>,
        call: &Call,
        sock: &Arc<Sock<B::Socket>>,
        end: OwnedFd,
    ) -> Answer {
        if is_kernels(sock, call.args[3]) {
            let target = Target::of_recvfrom(&call.args);
            return self.receive_stream(call, end, call.args[3] as i32, target);
        }
        let request = Request {
            flags: call.args[3] as i32,
            targets: vec![Target::of_recvfrom(&call.args)],
            lengths_at: None,
        };
        self.receive(call, sock, end, request)
    }

    /// read(2) and readv(2), of messages alone.
    pub(crate) fn read(
        self: &Arc<Self>,
        call: &Call,
        sock: &Arc<Sock<B::Socket>>,
        end: OwnedFd,
    ) -> Answer {
        let request = Request {
            flags: 0,
            targets: vec![Target::of_spans(self.memory(call).read_spans(call)?)],
            lengths_at: None,
        };
        self.receive(call, sock, end, request)
    }

    pub(crate) fn recvmsg(
        self: &Arc<Self>,
        call: &Call,
        sock: &Arc<Sock<B::Socket>>,
        end: OwnedFd,
    ) -> Answer {
        if is_kernels(sock, call.args[2]) {
            let target = Target::of_message(&self.memory(call), call.args[1])?;
            if !target.wants_name() {
                return Ok(Outcome::Continue);
            }
            return self.receive_stream(call, end, call.args[2] as i32, target);
        }
        let request = Request {
            flags: call.args[2] as i32,
            targets: vec![Target::of_message(&self.memory(call), call.args[1])?],
            lengths_at: None,
        };
        self.receive(call, sock, end, request)
    }

    /// recvmmsg(2), which waits for the first message alone and returns all that are there.
    pub(crate) fn recvmmsg(
        self: &Arc<Self>,
        call: &Call,
        sock: &Arc<Sock<B::Socket>>,
        end: OwnedFd,
    ) -> Answer {
        let [_, at, count, flags, ..] = call.args;
        if is_kernels(sock, flags) {
            return Ok(Outcome::Continue);
        }
        let count = (count as u32 as usize).min(MESSAGES_MAX);
        let headers = (0..count).map(|i| at.wrapping_add((i * Message::STRIDE) as u64));
        let targets = headers
            .map(|header| Target::of_message(&self.memory(call), header))
            .collect::<Result<_, _>>()?;
        let request = Request {
            flags: flags as i32,
            targets,
            lengths_at: Some(at),
        };
        self.receive(call, sock, end, request)
    }

    /// Receives into as many targets as there are messages for, waiting for the first one.
    fn receive(
        self: &Arc<Self>,
        call: &Call,
        sock: &Arc<Sock<B::Socket>>,
        end: OwnedFd,
        request: Request,
    ) -> Answer {
        let flags = request.flags;
        if flags & libc::MSG_ERRQUEUE != 0 {
            return self.receive_reports(call, sock, &end, &request.targets, request.lengths_at);
        }
        if flags & libc::MSG_OOB != 0 {
            return Err(Errno::OPNOTSUPP);
        }
        let waits = flags & libc::MSG_DONTWAIT == 0 && !nonblocking(end.as_fd());
        let connecting = matches!(lock(&sock.state).phase, Phase::Connecting { .. });
        match sock.datagrams() {
            Some(datagrams) => match self.receive_now(call, sock, datagrams, &end, &request) {
                Err(Errno::AGAIN) if waits || sock.is_sctp() => {}
                answer => return answer,
            },
            None if connecting && waits => {}
            None if connecting => return Err(Errno::AGAIN),
            None => return Err(errors::take(sock, &end).unwrap_or(Errno::NOTCONN)),
        }
        let limit = time_limit(&end, libc::SO_RCVTIMEO).map(|limit| (limit, Errno::AGAIN));
        drop(end);
        let (me, sock, made) = (self.clone(), sock.clone(), *call);
        self.hold(call, limit, async move {
            // What comes of a call of this program has come when the carriers have had their turn.
            let mut turns = TURNS_TO_CARRY;
            me.settled(&sock).await;
            let Some(datagrams) = sock.datagrams() else {
                let error = lock(&sock.state).error.take();
                return Err(error.unwrap_or(Errno::NOTCONN));
            };
            loop {
                let mut arrived = std::pin::pin!(datagrams.arrived.notified());
                arrived.as_mut().enable();
                let fd = made.args[0] as RawFd;
                let end = me.table.duplicate_of(&sock, made.tid, fd);
                let end = end.ok_or(Errno::BADF)?;
                match me.receive_now(&made, &sock, datagrams, &end, &request) {
                    Err(Errno::AGAIN) => {}
                    answer => return answer,
                }
                drop(end);
                match turns.checked_sub(1) {
                    None if is_alone(&*sock) => return Err(Errno::NOTCONN),
                    None if waits => arrived.await,
                    None => return Err(Errno::AGAIN),
                    Some(left) => {
                        turns = left;
                        tokio::task::yield_now().await;
                    }
                }
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
        request: &Request,
    ) -> Answer {
        if !sock.has_messages()
            && let Some(error) = errors::take(sock, end)
        {
            return self.fail(call, sock, error);
        }
        let _turn = lock(&datagrams.turn);
        let peek = request.flags & libc::MSG_PEEK != 0;
        let memory = self.memory(call);
        let (mut taken, mut value) = (Vec::new(), 0);
        let (mut fault, mut rest) = (None, None);
        for (i, target) in request.targets.iter().enumerate() {
            let datagram = match errors::take_beside(sock, datagrams, end, peek) {
                Ok(datagram) => datagram,
                Err(Errno::AGAIN | Errno::PIPE) if i > 0 => break,
                // What came before an error is not lost by it.
                Err(error @ (Errno::AGAIN | Errno::PIPE)) => {
                    return match errors::take(sock, end) {
                        Some(error) => self.fail(call, sock, error),
                        None if error == Errno::PIPE => {
                            self.receive_end(&memory, datagrams, target)
                        }
                        None => Err(error),
                    };
                }
                Err(error) => return Err(error),
            };
            let written = write(&memory, sock, datagrams, &datagram, target, request.flags);
            taken.push(datagram);
            match written {
                Ok(written) => {
                    value = note_length(&memory, request.lengths_at, i, written.len);
                    rest = written.rest;
                }
                Err(error) => fault = Some(error),
            }
            if fault.is_some() || rest.is_some() {
                break;
            }
        }
        let arrived = match fault {
            // As the kernel does: the message that could not be written is lost.
            Some(error) if error != Errno::INTR => return Err(error),
            Some(_) => false,
            None => self.reply(call, Ok(value)),
        };
        if !peek {
            let back = if arrived {
                rest.into_iter().collect()
            } else {
                taken
            };
            if !back.is_empty() {
                datagrams.put_back(end.as_fd(), back);
            }
            datagrams.give_back(&*sock.node);
        }
        Ok(Outcome::Answered)
    }

    /// Fails with a pending error, which stays if the program does not learn of it.
    fn fail(&self, call: &Call, sock: &Sock<B::Socket>, error: Errno) -> Answer {
        if !self.reply(call, Err(error)) {
            errors::note(sock, error);
        }
        Ok(Outcome::Answered)
    }

    /// Receives nothing but the end of a connection.
    fn receive_end(&self, memory: &Memory<'_>, datagrams: &Datagrams, target: &Target) -> Answer {
        if let Some(error) = *lock(&datagrams.at_end) {
            return Err(error);
        }
        target.write(memory, &[], None, &[], 0)?;
        Ok(Outcome::Return(0))
    }
}

/// Whether nothing can come: a one-to-many socket that has no associations, and takes none.
fn is_alone(sock: &Sock<impl NodeSocket>) -> bool {
    const SCTP_GET_ASSOC_NUMBER: i32 = 28;
    let is_none = |level, name| {
        let mut value = [0; 4];
        sock.node.option(level, name, &mut value) == Ok(value.len()) && value == [0; 4]
    };
    sock.is_sctp()
        && !sock.is_stream()
        && is_none(libc::SOL_SOCKET, libc::SO_ACCEPTCONN)
        && is_none(libc::IPPROTO_SCTP, SCTP_GET_ASSOC_NUMBER)
}

/// Whether the kernel receives: octets of a stream, which have no source to be told.
fn is_kernels<S>(sock: &Sock<S>, flags: u64) -> bool {
    let reports = flags as i32 & libc::MSG_ERRQUEUE != 0;
    sock.is_stream() && !sock.has_messages() && !reports
}

/// Writes a message to its target. Of one of SCTP's what does not fit is read next; of others it is lost.
fn write<S>(
    memory: &Memory<'_>,
    sock: &Sock<S>,
    datagrams: &Datagrams,
    datagram: &Taken,
    target: &Target,
    asked: i32,
) -> Result<Written, Errno> {
    let full = datagram.data.len();
    let (source, flags) = match &datagram.received {
        Some(received) => (received.source, received.flags),
        None => (Some(crate::address::unset(sock.domain)), 0),
    };
    let pieces = datagrams.asked.of(datagram.received.as_ref(), datagram.at);
    let fits = match sock.is_sctp() {
        true => full.min(target.room()),
        false => full,
    };
    let whole = fits == full;
    let flags = if whole { flags } else { flags & !libc::MSG_EOR };
    let len = target.write(memory, &datagram.data[..fits], source, &pieces, flags)?;
    let rest = (!whole).then(|| Taken {
        data: datagram.data[fits..].to_vec(),
        received: datagram.received.clone().map(|received| Received {
            len: full - fits,
            ..received
        }),
        ..*datagram
    });
    let len = match asked & libc::MSG_TRUNC {
        0 => len,
        _ if rest.is_some() => len,
        _ => full,
    };
    Ok(Written { len, rest })
}
