//! How a server of one connection comes to it.

use super::{Desk, domain, ready};
use core::ops::ControlFlow;
use sockeye_core::SocketId;
use std::net::SocketAddr;

/// Listens, and takes one connection.
#[derive(Debug)]
pub(super) struct Acceptor {
    pub(super) at: SocketAddr,
    backlog: usize,
    listener: Option<SocketId>,
    socket: Option<SocketId>,
}

impl Acceptor {
    pub(super) fn new(at: SocketAddr, backlog: usize) -> Self {
        Self {
            at,
            backlog,
            listener: None,
            socket: None,
        }
    }

    /// The connection; until there is one, whether this has brought it nearer.
    pub(super) fn step(
        &mut self,
        desk: &mut Desk<'_>,
    ) -> Result<ControlFlow<bool, SocketId>, String> {
        if let Some(id) = self.socket {
            return Ok(ControlFlow::Continue(id));
        }
        let (tcp, mut cx) = desk.tcp();
        let Some(listener) = self.listener else {
            let id = ready(tcp.open(&mut cx, domain(self.at)))?.ok_or("gets no socket")?;
            ready(tcp.bind(&mut cx, id, self.at))?;
            ready(tcp.listen(&mut cx, id, self.backlog))?;
            self.listener = Some(id);
            return Ok(ControlFlow::Break(true));
        };
        let accepted = ready(tcp.accept(&mut cx, listener))?;
        self.socket = accepted.map(|(id, _)| id);
        Ok(ControlFlow::Break(self.socket.is_some()))
    }

    /// Closes the connection, and listens no more.
    pub(super) fn close(&mut self, desk: &mut Desk<'_>) -> Result<(), String> {
        let (tcp, mut cx) = desk.tcp();
        for id in [self.socket, self.listener].into_iter().flatten() {
            ready(tcp.close(&mut cx, id))?;
        }
        Ok(())
    }
}
