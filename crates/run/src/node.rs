//! The backend of every real run: a node, whose [`Socket`] has a method for each of the calls.

use crate::backend::{
    Backend, Domain, Errno, NodeSocket, Outgoing, Piece, Received, Reported, Type,
};
use sockeye::{MessageFlags, Node, Readiness, RecvMessage, Socket};
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
        let protocol = (protocol != 0).then(|| protocol.into());
        let ty = ty.number().into();
        let socket = Socket::new_on(self, domain, ty, protocol).map_err(errno)?;
        if socket.protocol() == sockeye::Protocol::SCTP {
            // An option that connects is not to wait.
            socket.set_nonblocking(true).map_err(errno)?;
        }
        Ok(socket)
    }

    fn node(&self) -> Option<&Node> {
        Some(self)
    }

    fn is_watched(&self) -> bool {
        // Of a node that was shut down nothing is to be seen.
        Self::is_watched(self).unwrap_or(false)
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
        message: &Outgoing,
    ) -> Poll<Result<usize, Errno>> {
        let control = message.control.iter();
        let control = control.map(|(level, ty, data)| sockeye::Control {
            level: *level,
            ty: *ty,
            data,
        });
        let control: Vec<_> = control.collect();
        let now = MessageFlags::DONT_WAIT;
        let data = [io::IoSlice::new(&message.data)];
        match self
            .sendmsg_raw(&data, message.to, &control, now)
            .map_err(errno)
        {
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
        if self.protocol() == sockeye::Protocol::SCTP {
            return poll_recv_sctp(self, cx, buffer);
        }
        let messages = self.r#type() == sockeye::Type::DCCP;
        let received = |received: sockeye::Received| Received {
            destination: Some(received.to.ip()),
            interface: received.interface.0,
            ttl: Some(received.ttl),
            traffic_class: Some(received.tos),
            // An empty message that came at the very end can't be told from it.
            end: messages && received.len == 0 && has_ended(self),
            // Linux: who is connected knows who sends.
            ..Received::of(received.len, (!messages).then_some(received.from))
        };
        Self::poll_recv_from(self, cx, buffer)
            .map_ok(received)
            .map_err(errno)
    }

    fn give_back(&self, association: i32, octets: usize) {
        // Of SCTP alone there is anything to give back.
        let _ = Self::give_back(self, sockeye::sctp::AssocId(association), octets);
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

    fn peel_off(&self, association: i32) -> Result<Self, Errno> {
        let association = sockeye::sctp::AssocId(association);
        let peeled = Self::peel_off(self, association).map_err(errno)?;
        peeled.set_nonblocking(true).map_err(errno)?;
        Ok(peeled)
    }

    fn local_addr(&self) -> Result<SocketAddr, Errno> {
        Self::local_addr(self).map_err(errno)
    }

    fn peer_addr(&self) -> Result<SocketAddr, Errno> {
        Self::peer_addr(self).map_err(errno)
    }

    fn connection(&self) -> Option<[u32; 2]> {
        let (iss, irs) = self.tcp_info().ok()?.initial_numbers;
        Some([iss.min(irs), iss.max(irs)])
    }

    fn option(&self, level: i32, name: i32, value: &mut [u8]) -> Result<usize, Errno> {
        Self::option_raw(self, level, name, value).map_err(errno)
    }

    fn set_option(&self, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
        Self::set_option_raw(self, level, name, value).map_err(errno)
    }
}

/// Takes the next message or notification of an SCTP socket, or the end of its association.
fn poll_recv_sctp(
    socket: &Socket,
    cx: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<Result<Received, Errno>> {
    match socket.recvmsg_charged(buffer) {
        Ok((message, assoc)) => {
            return Poll::Ready(Ok(Received {
                charged: assoc.0,
                ..described(socket, &message)
            }));
        }
        Err(error) => match errno(error) {
            Errno::AGAIN => {}
            error => return Poll::Ready(Err(error)),
        },
    }
    if socket.poll_readable(cx).map_err(errno)?.is_ready() {
        // Something has come since: it is tried anew.
        cx.waker().wake_by_ref();
    }
    Poll::Pending
}

fn described(socket: &Socket, message: &RecvMessage) -> Received {
    let control = message.ancillary.iter();
    Received {
        flags: message.flags.bits(),
        control: control.map(|said| said.to_raw(socket.domain())).collect(),
        end: message.len == 0,
        ..Received::of(message.len, message.from)
    }
}

/// Whether nothing will be received any more.
fn has_ended(socket: &Socket) -> bool {
    let ready = socket.readiness();
    ready.is_ok_and(|ready| ready.intersects(Readiness::READ_CLOSED | Readiness::HANGUP))
}

/// The errno of an error of a node: each has one.
#[expect(
    clippy::needless_pass_by_value,
    reason = "it is what map_err calls, with the error it owns"
)]
fn errno(error: io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}
