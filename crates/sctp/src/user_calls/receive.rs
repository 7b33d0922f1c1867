//! Receiving messages and notifications (RFC 6458 §3.1.4, §9.13).

use crate::Sctp;
use crate::endpoint::{Endpoint, Item, Style, len_of};
use crate::info::{AssocId, Notification, NxtInfo, RcvInfo, Received};
use sockeye_core::{Context, Error, SocketId};
use std::net::SocketAddr;

/// What a socket had to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A message, or a part of one, is in the buffer.
    Message(Received),
    /// Something beside data. It is taken as a whole.
    Notification(Notification),
    /// A one-to-one socket's association has come to its end.
    End,
}

impl Sctp {
    /// Takes (or looks at) what waits longest. Of a message `buffer` gets as much as fits; the rest is
    /// read next.
    ///
    /// # Errors
    /// A pending error, [`Error::WouldBlock`], [`Error::NotConnected`] for a one-to-one socket that
    /// never was connected.
    pub fn recv_msg(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        buffer: &mut [u8],
        peek: bool,
    ) -> Result<Incoming, Error> {
        let (incoming, association) = self.take_next(id, buffer, peek)?;
        if let (Incoming::Message(received), Some(own)) = (&incoming, association)
            && !peek
        {
            self.was_read(cx, own, received.len);
        }
        Ok(incoming)
    }

    /// [`recv_msg`](Self::recv_msg) for who passes messages on and keeps some for a slower reader: what
    /// is taken stays in its association's receive window until [`give_back`](Self::give_back) says
    /// that it has been read.
    ///
    /// # Errors
    /// Those of [`recv_msg`](Self::recv_msg).
    pub fn recv_msg_charged(&mut self, id: SocketId, buffer: &mut [u8]) -> Result<Incoming, Error> {
        let (incoming, _) = self.take_next(id, buffer, false)?;
        Ok(incoming)
    }

    /// So many bytes that [`recv_msg_charged`](Self::recv_msg_charged) has given from an association
    /// have been read: the window opens by them. Of an association that is over nothing is left to open.
    pub fn give_back(&mut self, cx: &mut Context<'_>, id: SocketId, assoc: AssocId, len: usize) {
        if let Ok(own) = self.named(id, assoc) {
            self.was_read(cx, own, len);
        }
    }

    fn was_read(&mut self, cx: &mut Context<'_>, own: SocketId, len: usize) {
        if let Some(tcb) = self.association_mut(own) {
            tcb.was_read(len);
            if tcb.ack.due && !tcb.listed {
                self.settle(cx, own);
            }
        }
    }

    /// What waits longest goes to the user, or is looked at; and whose message it is.
    fn take_next(
        &mut self,
        id: SocketId,
        buffer: &mut [u8],
        peek: bool,
    ) -> Result<(Incoming, Option<SocketId>), Error> {
        let endpoint = self.held_mut(id)?;
        let context = endpoint.settings.context;
        let Some(item) = endpoint.inbox.front_mut() else {
            return Ok((endpoint.nothing()?, None));
        };
        let (mut received, association, whole) = match item {
            Item::Notification(notice, from) => {
                let notice = notice.clone();
                endpoint.notified_by = *from;
                if !peek {
                    endpoint.inbox.pop_front();
                }
                return Ok((Incoming::Notification(notice), None));
            }
            Item::Message {
                association,
                assoc,
                from,
                cumulative,
                delivered,
                read,
            } => {
                let len = copy(delivered, *read, buffer);
                let whole = *read + len == len_of(delivered);
                let received = Received {
                    len,
                    notification: false,
                    end_of_record: whole && delivered.end,
                    from: Some(*from),
                    info: RcvInfo {
                        stream: delivered.stream,
                        ssn: (delivered.number & 0xffff) as u16,
                        unordered: delivered.unordered,
                        ppid: delivered.ppid,
                        tsn: delivered.tsn,
                        cumulative_tsn: *cumulative,
                        context,
                        assoc: *assoc,
                    },
                    next: None,
                };
                if !peek {
                    *read += len;
                }
                (received, *association, whole)
            }
        };
        if whole {
            received.next = endpoint.inbox.get(1).map(next_info);
            if !peek {
                endpoint.inbox.pop_front();
            }
        }
        Ok((Incoming::Message(received), Some(association)))
    }

    /// Whom the notification was from that [`recv_msg`](Self::recv_msg) gave last: the peer's primary
    /// address as it happened, where it had one.
    #[must_use]
    pub fn notified_by(&self, id: SocketId) -> Option<SocketAddr> {
        self.held(id).ok()?.notified_by
    }
}

impl Endpoint {
    /// What a socket says that has nothing to be read.
    fn nothing(&mut self) -> Result<Incoming, Error> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        if self.is_at_end() {
            return Ok(Incoming::End);
        }
        match self.style {
            Style::OneToOne if self.associations.is_empty() => Err(Error::NotConnected),
            _ => Err(Error::WouldBlock),
        }
    }
}

impl crate::tcb::Association {
    /// The user has read `len` bytes: a window that has opened by a quarter of the buffer is told
    /// (RFC 9260 §6.2).
    /// RFC 9260 §6.2-8.
    fn was_read(&mut self, len: usize) {
        self.unread = self.unread.saturating_sub(len);
        let window = self.receive_window();
        let step = u32::try_from(self.settings.common.receive_buffer / 4).unwrap_or(u32::MAX);
        let opened = window.saturating_sub(self.ack.advertised);
        if self.ack.begun && self.state.receives() && opened >= step {
            self.ack.pending = true;
            self.ack.due = true;
        }
    }
}

fn next_info(item: &Item) -> NxtInfo {
    match item {
        Item::Message {
            assoc,
            delivered,
            read,
            ..
        } => NxtInfo {
            stream: delivered.stream,
            unordered: delivered.unordered,
            notification: false,
            complete: delivered.end,
            ppid: delivered.ppid,
            length: u32::try_from(len_of(delivered) - read).unwrap_or(u32::MAX),
            assoc: *assoc,
        },
        Item::Notification(..) => NxtInfo {
            notification: true,
            complete: true,
            ..NxtInfo::default()
        },
    }
}

/// Copies what of a message lies behind `skip`, as much as fits.
fn copy(delivered: &crate::inbound::Delivered, mut skip: usize, buffer: &mut [u8]) -> usize {
    let mut filled = 0;
    for slice in &delivered.data {
        let from = skip.min(slice.len());
        skip -= from;
        let rest = &slice[from..];
        let len = rest.len().min(buffer.len() - filled);
        buffer[filled..filled + len].copy_from_slice(&rest[..len]);
        filled += len;
    }
    filled
}
