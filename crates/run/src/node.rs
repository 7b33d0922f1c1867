//! The backend of every real run: a node, whose [`Socket`] has a method for each of the calls.

use crate::backend::{Backend, Domain, Errno, NodeSocket, Piece, Received, Reported, Type};
use sockeye::{MessageFlags, Node, Readiness, Socket};
use std::io::{self, IoSliceMut};
use std::net::{Shutdown, SocketAddr};
use std::task::{Context, Poll};

impl Backend for Node {
    type Socket = Socket;

    fn socket(&self, domain: Domain, ty: Type, protocol: i32) -> Result<Socket, Errno> {
        let domain = match domain {
            Domain::Ipv4 => sockeye::Domain::IPV4,
            Domain::Ipv6 => sockeye::Domain::IPV6,
        };
        let ty = match ty {
            Type::Stream => sockeye::Type::STREAM,
            Type::Datagram => sockeye::Type::DGRAM,
            Type::Raw => sockeye::Type::RAW,
        };
        let protocol = (protocol != 0).then(|| protocol.into());
        let socket = Socket::new_on(self, domain, ty, protocol).map_err(errno)?;
        if protocol == Some(sockeye::Protocol::SCTP) {
            // An option that connects is not to wait.
            socket.set_nonblocking(true).map_err(errno)?;
        }
        Ok(socket)
    }
}

impl NodeSocket for Socket {
    fn bind(&self, address: SocketAddr) -> Result<(), Errno> {
        Self::bind(self, address).map_err(errno)
    }

    fn listen(&self, backlog: i32) -> Result<(), Errno> {
        Self::listen(self, backlog).map_err(errno)
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Result<(Self, SocketAddr), Errno>> {
        Self::poll_accept(self, cx).map_err(errno)
    }

    fn connect_start(&self, address: SocketAddr) -> Result<(), Errno> {
        Self::connect_start(self, address).map_err(errno)
    }

    fn poll_connect(&self, cx: &mut Context<'_>) -> Poll<Result<(), Errno>> {
        Self::poll_connect(self, cx).map_err(errno)
    }

    fn disconnect(&self) -> Result<(), Errno> {
        Self::disconnect(self).map_err(errno)
    }

    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<Piece, Errno>> {
        Self::poll_recv_inline(self, cx, buffer)
            .map_ok(|(len, urgent)| Piece { len, urgent })
            .map_err(errno)
    }

    fn poll_failure(&self, cx: &mut Context<'_>) -> Poll<Errno> {
        Self::poll_failure(self, cx).map(errno)
    }

    fn poll_write(&self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, Errno>> {
        Self::poll_send(self, cx, data).map_err(errno)
    }

    fn poll_write_urgent(&self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, Errno>> {
        Self::poll_send_out_of_band(self, cx, data).map_err(errno)
    }

    fn try_send_to(&self, data: &[u8], to: Option<SocketAddr>) -> Result<usize, Errno> {
        Self::try_send_to(self, data, to).map_err(errno)
    }

    fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        data: &[u8],
        to: Option<SocketAddr>,
    ) -> Poll<Result<usize, Errno>> {
        Self::poll_send_to(self, cx, data, to).map_err(errno)
    }

    fn poll_send_message(
        &self,
        cx: &mut Context<'_>,
        data: &[u8],
        control: &[(i32, i32, Vec<u8>)],
    ) -> Poll<Result<usize, Errno>> {
        let control = control.iter().map(|(level, ty, data)| sockeye::Control {
            level: *level,
            ty: *ty,
            data,
        });
        let control: Vec<_> = control.collect();
        let now = MessageFlags::DONT_WAIT;
        let data = [io::IoSlice::new(data)];
        match self.sendmsg_raw(&data, None, &control, now).map_err(errno) {
            Err(Errno::AGAIN) => {}
            done => return Poll::Ready(done),
        }
        if self.poll_writable(cx).map_err(errno)?.is_ready() {
            // There is room since: it is tried anew.
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<Result<Received, Errno>> {
        let received = |received: sockeye::Received| Received {
            len: received.len,
            source: received.from,
            destination: Some(received.to.ip()),
            interface: received.interface.0,
            ttl: Some(received.ttl),
            traffic_class: Some(received.tos),
        };
        Self::poll_recv_from(self, cx, buffer)
            .map_ok(received)
            .map_err(errno)
    }

    fn take_report(&self, buffer: &mut [u8]) -> Result<Reported, Errno> {
        let mut buffers = [IoSliceMut::new(buffer)];
        let message = self
            .recvmsg(&mut buffers, MessageFlags::ERROR_QUEUE)
            .map_err(errno)?;
        let control = message.ancillary.iter();
        Ok(Reported {
            len: message.len,
            destination: message.from,
            control: control.map(|said| said.to_raw(self.domain())).collect(),
        })
    }

    fn has_reports(&self) -> bool {
        self.readiness()
            .is_ok_and(|ready| ready.contains(Readiness::ERROR_QUEUE))
    }

    fn shutdown(&self, how: Shutdown) -> Result<(), Errno> {
        Self::shutdown(self, how).map_err(errno)
    }

    fn abort(&self) {
        Self::abort(self);
    }

    fn take_error(&self) -> Option<Errno> {
        // A socket that is gone has an error too: that.
        Self::take_error(self).map_or_else(|e| Some(errno(e)), |e| e.map(errno))
    }

    fn local_addr(&self) -> Result<SocketAddr, Errno> {
        Self::local_addr(self).map_err(errno)
    }

    fn peer_addr(&self) -> Result<SocketAddr, Errno> {
        Self::peer_addr(self).map_err(errno)
    }

    fn option(&self, level: i32, name: i32, value: &mut [u8]) -> Result<usize, Errno> {
        Self::option_raw(self, level, name, value).map_err(errno)
    }

    fn set_option(&self, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
        Self::set_option_raw(self, level, name, value).map_err(errno)
    }
}

/// The errno of an error of a node: each has one.
#[expect(
    clippy::needless_pass_by_value,
    reason = "it is what map_err calls, with the error it owns"
)]
fn errno(error: io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}
