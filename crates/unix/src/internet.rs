//! The calls that sockets of every kind have, in whose shape addresses are those of hosts: here
//! there are none.

use crate::message::{Outgoing, Request};
use crate::{SocketType, Unix, charge, handle};
use sockeye_core::datagram::{Received, SendOptions};
use sockeye_core::{Context, Error, InterfaceId, Readiness, SocketId};
use std::io::IoSlice;
use std::net::{Ipv4Addr, SocketAddr};

const NOWHERE: SocketAddr = SocketAddr::V4(std::net::SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0));

impl Unix {
    /// bind(2) to an address of another family.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn bind(&mut self, _: &mut Context<'_>, id: SocketId, _: SocketAddr) -> Result<(), Error> {
        self.socket(id)?;
        Err(Error::Invalid)
    }

    /// connect(2) to an address of another family, or to none (AF_UNSPEC), which takes the peer of a
    /// datagram socket away.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn connect(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        to: Option<SocketAddr>,
    ) -> Result<(), Error> {
        let socket = self.socket(id)?;
        if to.is_some() || socket.ty.connects() {
            return Err(Error::Invalid);
        }
        self.change_peer(cx, id, None);
        cx.set_ready(handle(id), Readiness::WRITABLE);
        Ok(())
    }

    /// [`name`](Self::name) as an address of hosts.
    ///
    /// # Errors
    /// [`Error::AddressFamily`]: there is none.
    pub fn local_addr(&self, id: SocketId) -> Result<SocketAddr, Error> {
        self.socket(id)?;
        Err(Error::AddressFamily)
    }

    /// [`peer_name`](Self::peer_name) as an address of hosts.
    ///
    /// # Errors
    /// [`Error::NotConnected`], else [`Error::AddressFamily`].
    pub fn peer_addr(&self, id: SocketId) -> Result<SocketAddr, Error> {
        self.peer_name(id)?;
        Err(Error::AddressFamily)
    }

    /// send(2): copies the data and sends it to the peer.
    ///
    /// # Errors
    /// Those of [`send_message`](Self::send_message); [`Error::Invalid`] with an address of a host.
    pub fn send(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        data: &[IoSlice<'_>],
        to: Option<SocketAddr>,
        _: &SendOptions,
    ) -> Result<usize, Error> {
        if to.is_some() {
            return Err(Error::Invalid);
        }
        let socket = self.socket(id)?;
        let fails = socket.error.is_some() || socket.write_closed || socket.peer.is_none();
        if !fails && !socket.has_room() {
            // Before anything is copied in vain.
            return Err(Error::WouldBlock);
        }
        let total: usize = data.iter().map(|piece| piece.len()).sum();
        let most = match socket.ty {
            // More does not fit, whatever there is.
            SocketType::Stream => total.min(socket.common.send_buffer + charge::STREAM_MAX),
            SocketType::Datagram | SocketType::SeqPacket => total,
        };
        let mut copy = Vec::with_capacity(most);
        for piece in data {
            copy.extend_from_slice(&piece[..piece.len().min(most - copy.len())]);
        }
        self.send_message(cx, id, &mut copy.into(), None, &mut Outgoing::default())
    }

    /// recv(2): copies what there is.
    ///
    /// # Errors
    /// Those of [`receive`](Self::receive).
    pub fn recv(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        out: &mut [u8],
        peek: bool,
    ) -> Result<Received, Error> {
        let request = Request {
            len: out.len(),
            peek,
            ..Request::default()
        };
        let received = self.receive(cx, id, request)?;
        let mut filled = 0;
        for piece in &received.data {
            out[filled..filled + piece.len()].copy_from_slice(piece);
            filled += piece.len();
        }
        Ok(Received {
            len: received.full_len,
            copied: received.len,
            from: NOWHERE,
            to: NOWHERE,
            interface: InterfaceId::LOOPBACK,
            ttl: 0,
            tos: 0,
            segment: None,
            at: received.at,
        })
    }
}
