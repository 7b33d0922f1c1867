//! sendmmsg(2) and recvmmsg(2): many messages by one call.

use super::ancillary::{MessageFlags, Received, RecvMessage, SendMessage};
use super::op::Op;
use super::wait::Wait;
use super::{Kind, Socket, Waiting};
use crate::error::to_io;
use crate::waiters::{Class, Direction};
use sockeye_core::datagram::Control;
use sockeye_core::{Error, datagram};
use std::future::poll_fn;
use std::io;

/// Messages that one call sends or receives at the most (Linux: UIO_MAXIOV).
pub(super) const MESSAGES_MAX: usize = 1024;

/// A message that was received, and what recvmsg tells beside it.
type Taken = (datagram::Received, Vec<Control>);

impl Socket {
    /// sendmmsg(2): sends one message after the other and says how many. Where one can't be sent,
    /// what follows is left; its error is told only when it is the first.
    ///
    /// # Errors
    /// Those of [`sendmsg`](Self::sendmsg) for the first message.
    pub fn sendmmsg(&self, messages: &[SendMessage<'_>]) -> io::Result<usize> {
        let mut sent = 0;
        for message in messages.iter().take(MESSAGES_MAX) {
            match self.sendmsg(message) {
                Ok(_) => sent += 1,
                Err(error) if sent == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(sent)
    }

    /// recvmmsg(2) of datagrams: one goes into each of `buffers`, and as many messages come back. A
    /// blocking socket waits until all have one; with [`MessageFlags::WAIT_FOR_ONE`] for the first
    /// alone. An error behind the first datagram is the next call's.
    ///
    /// # Errors
    /// Those of [`recvmsg`](Self::recvmsg) for the first message; EOPNOTSUPP for a stream.
    pub fn recvmmsg(
        &self,
        buffers: &mut [&mut [u8]],
        flags: MessageFlags,
    ) -> io::Result<Vec<RecvMessage>> {
        let limit = buffers.len().min(MESSAGES_MAX);
        if matches!(self.0.kind, Kind::Packet { .. }) {
            return self.recv_frame_messages(&mut buffers[..limit], flags);
        }
        let wait = self.receive_patience(flags);
        let once = flags.contains(MessageFlags::WAIT_FOR_ONE) || matches!(wait, Wait::No);
        let mut messages = Vec::new();
        while messages.len() < limit {
            let left = &mut buffers[messages.len()..limit];
            let got = self.wait(Direction::Read, Class::Exclusive, wait, |op| {
                take(op, left, flags)
            });
            match got {
                Ok(taken) => {
                    let told = |(received, controls): Taken| {
                        self.describe(&Received::from(received), controls, flags)
                    };
                    messages.extend(taken.into_iter().map(told));
                }
                Err(error) if messages.is_empty() => return Err(to_io(error)),
                Err(_) => break,
            }
            if once {
                break;
            }
        }
        Ok(messages)
    }

    /// [`recvmmsg`](Self::recvmmsg) without blocking the thread: it waits for the first datagram, and
    /// takes those that are there by then.
    ///
    /// # Errors
    /// Those of [`recvmmsg`](Self::recvmmsg).
    pub async fn recvmmsg_async(
        &self,
        buffers: &mut [&mut [u8]],
        flags: MessageFlags,
    ) -> io::Result<Vec<RecvMessage>> {
        let limit = buffers.len().min(MESSAGES_MAX);
        if matches!(self.0.kind, Kind::Packet { .. }) {
            let buffers = &mut buffers[..limit];
            return self.recv_frame_messages_async(buffers, flags).await;
        }
        let mut waiting = Waiting::new(self, Direction::Read, Class::Exclusive);
        let taken = poll_fn(|cx| waiting.poll(cx, |op| take(op, &mut buffers[..limit], flags)));
        let told =
            |(received, controls): Taken| self.describe(&Received::from(received), controls, flags);
        let taken = taken.await.map_err(to_io)?;
        Ok(taken.into_iter().map(told).collect())
    }
}

/// Takes the datagrams that are there: one at the least.
fn take(
    op: &mut Op<'_>,
    buffers: &mut [&mut [u8]],
    flags: MessageFlags,
) -> Result<Vec<Taken>, Error> {
    let peek = flags.contains(MessageFlags::PEEK);
    let mut taken = Vec::new();
    for buffer in buffers {
        match op.recv_message(buffer, peek) {
            Ok(message) => taken.push(message),
            Err(error) if taken.is_empty() => return Err(error),
            Err(Error::WouldBlock) => break,
            Err(error) => {
                op.put_error(error);
                break;
            }
        }
        // A peek leaves it where it is, and would see it again.
        if peek {
            break;
        }
    }
    Ok(taken)
}
