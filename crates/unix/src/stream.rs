//! recv(2), of streams: over the boundaries of what was sent, but not past an urgent byte, an
//! object, or another writer's credentials.
//!
//! The urgent byte (MSG_OOB) is a message of its own in the queue, the last of those that were sent
//! urgent. One that was read out of band stays there, empty, as the mark that it leaves.

use crate::Unix;
use crate::message::{Credentials, Message, Received, Request};
use crate::receive::{move_offset, told};
use crate::socket::{Socket, SocketType};
use smallvec::smallvec;
use sockeye_core::{Context, Error, SocketId};

/// What a look at the queue found.
enum Next {
    /// The message at this place.
    At(usize),
    /// Nothing more.
    Nothing,
    /// The call ends here, though there may be more.
    Mark,
}

/// Messages that have left a stream's queue, all of them its peer's.
#[derive(Default)]
pub(crate) struct Gone {
    pub(crate) sender: Option<SocketId>,
    pub(crate) charge: usize,
    /// Those whose objects nobody gets.
    lost: Vec<Message>,
}

impl Gone {
    pub(crate) fn add(&mut self, message: Option<Message>) {
        let Some(message) = message else {
            return;
        };
        self.sender = Some(message.sender);
        self.charge += message.charge;
        if !message.objects.is_empty() {
            self.lost.push(message);
        }
    }
}

impl Unix {
    /// MSG_OOB.
    pub(crate) fn receive_urgent(
        &mut self,
        id: SocketId,
        request: Request,
    ) -> Result<Received, Error> {
        let socket = self.socket_mut(id)?;
        let number = match socket.urgent {
            Some(number) if !socket.urgent_inline => number,
            _ => return Err(Error::Invalid),
        };
        let mut queue = socket.queue.iter_mut();
        let message = queue.find(|message| message.number == number);
        let message = message.ok_or(Error::Invalid)?;
        let mut data = message.data.clone();
        let at = message.at;
        if !request.peek {
            message.data.clear();
            socket.urgent = None;
        }
        data.truncate(request.len);
        Ok(Received {
            len: 1,
            full_len: 1,
            data: smallvec![data],
            urgent: true,
            ended: true,
            at,
            ..Received::default()
        })
    }

    pub(crate) fn receive_stream(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        request: Request,
    ) -> Result<Received, Error> {
        let mut received = Received::default();
        match request.peek {
            true => self.peek_stream(id, request.len, &mut received)?,
            false => self.read_stream(cx, id, request, &mut received)?,
        }
        received.full_len = received.len;
        Ok(received)
    }

    fn read_stream(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        request: Request,
        received: &mut Received,
    ) -> Result<(), Error> {
        let mut gone = Gone::default();
        let mut any = false;
        let end = loop {
            let socket = self.socket_mut(id)?;
            let copied = request.again || received.len > 0;
            match socket.next_to_read(copied, &mut gone) {
                Next::At(_) => {}
                Next::Nothing if any => break Ok(()),
                Next::Nothing => break socket.at_end(received),
                Next::Mark => {
                    received.ended = true;
                    break Ok(());
                }
            }
            let passes = socket.passes_credentials;
            let Some(message) = socket.queue.front_mut() else {
                break Ok(());
            };
            let whose = told(passes, message.credentials);
            if any && whose != received.credentials {
                received.ended = true;
                break Ok(());
            }
            received.credentials = whose;
            any = true;
            let size = message.data.len().min(request.len - received.len);
            received.at = message.at;
            received.data.push(message.data.split_to(size));
            received.len += size;
            received.objects.append(&mut message.objects);
            let left = !message.data.is_empty();
            move_offset(&mut socket.peek_offset, |offset| {
                offset.saturating_sub(size)
            });
            if !left {
                gone.add(socket.queue.pop_front());
            }
            if left || !received.objects.is_empty() || received.len == request.len {
                received.ended = true;
                break Ok(());
            }
        };
        let lost: usize = gone.lost.iter().map(|message| message.objects.len()).sum();
        let taken = received.objects.len() + lost;
        self.objects = self.objects.saturating_sub(taken);
        if let Some(sender) = gone.sender {
            self.release(cx, sender, gone.charge);
        }
        self.discarded.append(&mut gone.lost);
        end
    }

    fn peek_stream(
        &mut self,
        id: SocketId,
        len: usize,
        received: &mut Received,
    ) -> Result<(), Error> {
        let socket = self.socket_mut(id)?;
        let (mut index, mut skip) = (0, socket.peek_offset.unwrap_or(0));
        let mut any = false;
        // As on Linux it goes on when the room is filled: objects behind are told as well.
        loop {
            index = match socket.next_to_peek(index, received.len > 0) {
                Next::At(index) => index,
                Next::Nothing if received.len > 0 => break,
                Next::Nothing => return socket.at_end(received),
                Next::Mark => break,
            };
            let message = &socket.queue[index];
            if skip >= message.data.len() {
                skip -= message.data.len();
                index += 1;
                continue;
            }
            let whose = told(socket.passes_credentials, message.credentials);
            if any && whose != received.credentials {
                break;
            }
            received.credentials = whose;
            any = true;
            let size = (message.data.len() - skip).min(len - received.len);
            received.at = message.at;
            if size > 0 || received.data.is_empty() {
                received.data.push(message.data.slice(skip..skip + size));
            }
            received.len += size;
            received.objects.extend(message.objects.iter().cloned());
            if !received.objects.is_empty() {
                break;
            }
            (index, skip) = (index + 1, 0);
            if index >= socket.queue.len() {
                break;
            }
        }
        received.ended = true;
        let peeked = received.len;
        move_offset(&mut socket.peek_offset, |offset| offset + peeked);
        Ok(())
    }

    /// SIOCATMARK: the next byte is the urgent one, or comes right behind where it was.
    ///
    /// # Errors
    /// [`Error::NotSupported`] when it is no stream.
    pub fn at_mark(&self, id: SocketId) -> Result<bool, Error> {
        let socket = self.socket(id)?;
        if socket.ty != SocketType::Stream {
            return Err(Error::NotSupported);
        }
        let Some(first) = socket.queue.front() else {
            return Ok(false);
        };
        let next_is_urgent = socket.queue.get(1).is_some_and(|m| socket.is_urgent(m));
        Ok(socket.is_urgent(first)
            || first.data.is_empty() && (socket.urgent.is_none() || next_is_urgent))
    }
}

impl Socket {
    /// Nothing to read: the pending error, the end, or not yet.
    fn at_end(&mut self, received: &mut Received) -> Result<(), Error> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        if !self.read_closed {
            return Err(Error::WouldBlock);
        }
        received.ended = true;
        // Linux has nobody to tell here, and tells process, user and group 0.
        received.credentials = self.passes_credentials.then_some(Credentials {
            pid: 0,
            uid: 0,
            gid: 0,
        });
        Ok(())
    }

    /// The front of the queue, past marks and an urgent byte that nobody wants.
    fn next_to_read(&mut self, copied: bool, gone: &mut Gone) -> Next {
        let Some(first) = self.queue.front() else {
            return Next::Nothing;
        };
        if first.data.is_empty() {
            if copied && (self.urgent.is_none() || self.is_urgent(first)) {
                return Next::Mark;
            }
            gone.add(self.queue.pop_front());
        }
        let Some(first) = self.queue.front() else {
            return Next::Nothing;
        };
        if !self.is_urgent(first) {
            return Next::At(0);
        }
        if copied {
            return Next::Mark;
        }
        self.urgent = None;
        if self.urgent_inline {
            return Next::At(0);
        }
        gone.add(self.queue.pop_front());
        match self.queue.is_empty() {
            true => Next::Nothing,
            false => Next::At(0),
        }
    }

    /// As [`next_to_read`](Self::next_to_read), from `index` on, and nothing is taken.
    fn next_to_peek(&self, mut index: usize, copied: bool) -> Next {
        let Some(first) = self.queue.get(index) else {
            return Next::Nothing;
        };
        if first.data.is_empty() {
            if copied && (self.urgent.is_none() || self.is_urgent(first)) {
                return Next::Mark;
            }
            index += 1;
        }
        let Some(message) = self.queue.get(index) else {
            return Next::Nothing;
        };
        if !self.is_urgent(message) || self.urgent_inline && !copied {
            return Next::At(index);
        }
        if copied {
            return Next::Mark;
        }
        match index + 1 < self.queue.len() {
            true => Next::At(index + 1),
            false => Next::Nothing,
        }
    }
}
