//! One datagram out of several sends: UDP_CORK and MSG_MORE (udp(7)).

use crate::{SendOptions, Udp};
use sockeye_core::demux::Endpoint;
use sockeye_core::{Context, Error, SocketId};
use std::io::IoSlice;

/// What was sent and is kept until the datagram is whole. Where it goes and how was said by the first
/// of the sends.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) data: Vec<u8>,
    pub(crate) to: Endpoint,
    pub(crate) options: SendOptions,
}

impl Pending {
    pub(crate) const fn is_v6(&self) -> bool {
        self.to.ip.is_ipv6()
    }
}

impl Udp {
    /// Keeps `data` with what waits already, up to the `max` bytes that a datagram may have.
    ///
    /// # Errors
    /// [`Error::MessageSize`] beyond: all of it is lost then, as on Linux.
    pub(crate) fn keep(
        &mut self,
        id: SocketId,
        data: &[IoSlice<'_>],
        to: Endpoint,
        options: &SendOptions,
        max: usize,
    ) -> Result<(), Error> {
        let socket = self.socket_mut(id)?;
        let pending = socket.pending.get_or_insert_with(|| {
            Box::new(Pending {
                data: Vec::new(),
                to,
                options: SendOptions {
                    more: false,
                    ..options.clone()
                },
            })
        });
        let len: usize = data.iter().map(|slice| slice.len()).sum();
        if pending.data.len() + len > max {
            socket.pending = None;
            return Err(Error::MessageSize);
        }
        data.iter()
            .for_each(|slice| pending.data.extend_from_slice(slice));
        Ok(())
    }

    /// Sends what is kept, if there is any.
    ///
    /// # Errors
    /// Those of [`send`](Self::send); what was kept is lost then.
    pub(crate) fn push_pending(&mut self, cx: &mut Context<'_>, id: SocketId) -> Result<(), Error> {
        let Some(pending) = self.socket_mut(id)?.pending.take() else {
            return Ok(());
        };
        let Pending { data, to, options } = *pending;
        self.send_now(cx, id, &[IoSlice::new(&data)], to, &options)
    }
}
