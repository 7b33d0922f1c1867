//! recv(2) as it is most often called: for data, where there is nothing but data.

use crate::Unix;
use crate::socket::{Socket, SocketType, State};
use crate::stream::Gone;
use bytes::Bytes;
use smallvec::SmallVec;
use sockeye_core::{Context, Error, SocketId};

impl Unix {
    /// Takes at most `len` bytes of a stream, or the next message as far as it fits, where there is
    /// nothing to be told beside the data. `None` where [`receive`](Self::receive) has to look.
    ///
    /// # Errors
    /// [`Error::WouldBlock`].
    pub fn read(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        len: usize,
        taken: &mut SmallVec<[Bytes; 2]>,
    ) -> Result<Option<usize>, Error> {
        let socket = self.socket_mut(id)?;
        if !socket.reads_plainly(len) {
            return Ok(None);
        }
        let stream = socket.ty == SocketType::Stream;
        let mut gone = Gone::default();
        let mut read = 0;
        if socket.queue.is_empty() {
            return Err(Error::WouldBlock);
        }
        while (read < len || !stream)
            && let Some(first) = socket.queue.front_mut()
        {
            let size = first.data.len().min(len - read);
            read += size;
            if !stream {
                // All of it, so that what does not fit is dropped where it may call anything.
                taken.push(std::mem::take(&mut first.data));
            } else {
                taken.push(first.data.split_to(size));
            }
            if first.data.is_empty() {
                gone.add(socket.queue.pop_front());
            }
            if !stream {
                break;
            }
        }
        if let Some(sender) = gone.sender {
            self.release(cx, sender, gone.charge);
        }
        if !stream {
            self.unblock(cx, id);
        }
        Ok(Some(read))
    }
}

impl Socket {
    /// Whether the next `len` bytes of a stream, or the next message, are data and nothing else, or there
    /// is nothing to come yet.
    fn reads_plainly(&self, len: usize) -> bool {
        let plain = !self.passes_credentials && self.peek_offset.is_none();
        let unconnected = self.ty.connects() && self.state != State::Established;
        if !plain || unconnected || self.queue.is_empty() && self.read_closed {
            return false;
        }
        if self.ty != SocketType::Stream {
            let next = self.queue.front();
            return self.error.is_none() && next.is_none_or(|message| message.objects.is_empty());
        }
        if self.urgent.is_some() || self.low_water != 1 || len == 0 {
            return false;
        }
        if self.queue.is_empty() {
            return self.error.is_none();
        }
        let mut ahead = 0;
        for message in &self.queue {
            if message.data.is_empty() || !message.objects.is_empty() {
                return false;
            }
            ahead += message.data.len();
            if ahead >= len {
                break;
            }
        }
        true
    }
}
