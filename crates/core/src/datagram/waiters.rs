//! Sockets that wait for room on an interface.

use super::DatagramSocket;
use crate::{Context, Error, InterfaceId, SocketId};

/// Sockets of one transport that wait for room on an interface, first come, first served.
#[derive(Debug, Default)]
pub struct Waiters(Vec<(InterfaceId, SocketId)>);

impl Waiters {
    /// Asks for room for `packets` on `interface`; without it, `socket` waits.
    ///
    /// # Errors
    /// [`Error::WouldBlock`].
    pub fn ask(
        &mut self,
        cx: &Context<'_>,
        id: SocketId,
        socket: &mut DatagramSocket,
        interface: InterfaceId,
        packets: usize,
    ) -> Result<(), Error> {
        if cx.tx_room(interface) >= packets {
            self.forget(id, socket);
            return Ok(());
        }
        if socket.blocked_on != Some(interface) {
            self.forget(id, socket);
            socket.blocked_on = Some(interface);
            self.0.push((interface, id));
        }
        Err(Error::WouldBlock)
    }

    /// `socket` waits no more: it is closed or has sent.
    pub fn forget(&mut self, id: SocketId, socket: &mut DatagramSocket) {
        if socket.blocked_on.take().is_some() {
            self.0.retain(|(_, waiting)| *waiting != id);
        }
    }

    /// Takes those that wait for `interface` when it has room; each is then to be told
    /// ([`DatagramSocket::unblock`]).
    pub fn take(&mut self, cx: &Context<'_>, interface: InterfaceId) -> Vec<SocketId> {
        if self.0.is_empty() || cx.tx_room(interface) == 0 {
            return Vec::new();
        }
        let (taken, left) = self.0.iter().partition(|(on, _)| *on == interface);
        self.0 = left;
        let taken: Vec<(InterfaceId, SocketId)> = taken;
        taken.into_iter().map(|(_, id)| id).collect()
    }

    /// Whether somebody waits for `interface`.
    #[must_use]
    pub fn wait_for(&self, interface: InterfaceId) -> bool {
        self.0.iter().any(|(on, _)| *on == interface)
    }
}
