//! Packet sockets (packet(7)): the frames of the links themselves, as they come and as they leave.
//!
//! - [`Packets`] holds them: what they are bound to, their options, reading.
//! - `receive` is who sees which frame, `send` the way out, `membership` what a link is to let
//!   through, `address` the names of all that.
//!
//! Not here: rings in shared memory, fanout groups, filter programs. Frames have no link header on
//! links of bare IP, the loopback among them.

mod address;
mod membership;
mod receive;
mod send;

pub use address::{FrameInfo, LinkAddr, PacketType, Vlan};

use crate::datagram::{DatagramSocket, Received, SendOptions, Waiters};
use crate::option::{ROWS, Standing};
use crate::{
    Context, Disposition, Domain, Error, Handle, InterfaceId, IpInfo, OptionValue, Packet,
    Readiness, Slab, SocketId, SocketOption, SocketSummary, Transport, TransportId,
};
pub use membership::MEMBERSHIPS_MAX;
use membership::{Member, Memberships, Modes};
use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::io::IoSlice;
use std::net::{Ipv4Addr, SocketAddr};

/// ETH_P_ALL: every protocol, and what leaves as well.
pub const ETH_P_ALL: u16 = 0x0003;
/// SOL_SOCKET: the options of other levels are not a packet socket's.
const SOL_SOCKET: i32 = 1;

/// The packet sockets of a node. They see a frame before the internet layer does, by
/// [`arrives`](Self::arrives), and after it, by [`leaves`](Self::leaves), and take nothing away.
#[derive(Debug, Default)]
pub struct Packets {
    sockets: Slab<Socket>,
    /// Who receives a protocol.
    listeners: BTreeMap<u16, Vec<SocketId>>,
    /// What links are to let through beside what the node itself needs.
    modes: BTreeMap<InterfaceId, Modes>,
    waiters: Waiters,
}

#[derive(Debug)]
struct Socket {
    base: DatagramSocket,
    /// What is told of each frame in the receive queue.
    infos: VecDeque<FrameInfo>,
    /// SOCK_DGRAM: without link header.
    cooked: bool,
    /// The protocol that it receives, 0 for none.
    protocol: u16,
    /// The interface that it is bound to.
    interface: Option<InterfaceId>,
    memberships: Memberships,
    /// PACKET_AUXDATA.
    tells_auxdata: bool,
    /// PACKET_ORIGDEV.
    tells_original_device: bool,
    /// PACKET_IGNORE_OUTGOING.
    ignores_outgoing: bool,
    /// PACKET_STATISTICS: frames received and dropped since they were last read.
    packets: u32,
    drops: u32,
}

const fn handle(id: SocketId) -> Handle {
    Handle {
        transport: TransportId::PACKET,
        id,
    }
}

impl Packets {
    /// Makes a socket for frames of `protocol`: with their link header, or `cooked`, without it. By
    /// protocol 0 it receives nothing until it is bound to one.
    ///
    /// # Errors
    /// [`Error::NotPermitted`] unless [`Config::raw_sockets`](crate::Config::raw_sockets) allows it, [`Error::TooManySockets`].
    pub fn open(
        &mut self,
        cx: &mut Context<'_>,
        cooked: bool,
        protocol: u16,
    ) -> Result<SocketId, Error> {
        if !cx.config.raw_sockets {
            return Err(Error::NotPermitted);
        }
        if self.sockets.len() >= cx.config.sockets_max {
            return Err(Error::TooManySockets);
        }
        let id = self.sockets.insert(Socket {
            // Of what a domain says it uses nothing.
            base: DatagramSocket::new(Domain::V4, cx.config),
            infos: VecDeque::new(),
            cooked,
            protocol,
            interface: None,
            memberships: Memberships::default(),
            tells_auxdata: false,
            tells_original_device: false,
            ignores_outgoing: false,
            packets: 0,
            drops: 0,
        });
        self.listen(id, protocol);
        Ok(id)
    }

    /// Closes a socket; what it had received is lost, and links let through what they did before.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn close(&mut self, _cx: &mut Context<'_>, id: SocketId) -> Result<(), Error> {
        let mut socket = self.sockets.remove(id).ok_or(Error::BadSocket)?;
        self.unlisten(id, socket.protocol);
        for (interface, member) in socket.memberships.take() {
            self.unset(interface, member);
        }
        self.waiters.forget(id, &mut socket.base);
        Ok(())
    }

    /// Receives frames of `addr`'s protocol alone (0: as before) and by its interface alone (0:
    /// any), and sends there without being told.
    ///
    /// # Errors
    /// [`Error::NoDevice`], [`Error::NetworkDown`].
    pub fn bind_link(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        addr: &LinkAddr,
    ) -> Result<(), Error> {
        let interface = (addr.interface != 0).then_some(InterfaceId(addr.interface));
        let socket = self.sockets.get_mut(id).ok_or(Error::BadSocket)?;
        if let Some(interface) = interface {
            let link = cx.inet.interface(interface).ok_or(Error::NoDevice)?;
            if !link.is_up() {
                return Err(Error::NetworkDown);
            }
        }
        socket.interface = interface;
        if addr.protocol != 0 {
            let before = std::mem::replace(&mut socket.protocol, addr.protocol);
            self.unlisten(id, before);
            self.listen(id, addr.protocol);
        }
        Ok(())
    }

    /// What it is bound to.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn link_addr(&self, cx: &Context<'_>, id: SocketId) -> Result<LinkAddr, Error> {
        let socket = self.socket(id)?;
        let link = socket.interface.and_then(|id| cx.inet.interface(id));
        Ok(LinkAddr {
            protocol: socket.protocol,
            ..LinkAddr::of(socket.interface, link.map(|i| i.capabilities().medium))
        })
    }

    /// Takes (or looks at) the next frame. `buffer` gets as much of it as fits, the rest is lost.
    ///
    /// # Errors
    /// A pending error, [`Error::WouldBlock`], [`Error::BadSocket`].
    pub fn recv_link(
        &mut self,
        id: SocketId,
        buffer: &mut [u8],
        peek: bool,
    ) -> Result<(Received, FrameInfo), Error> {
        let socket = self.socket_mut(id)?;
        let received = socket.base.recv(buffer, peek)?;
        let info = match peek {
            true => socket.infos.front().copied(),
            false => socket.infos.pop_front(),
        };
        debug_assert!(info.is_some(), "each frame has its info");
        Ok((received, info.unwrap_or_default()))
    }

    /// [`recv_link`](Self::recv_link) without what it tells of the link.
    ///
    /// # Errors
    /// Those of [`recv_link`](Self::recv_link).
    pub fn recv(
        &mut self,
        _cx: &mut Context<'_>,
        id: SocketId,
        buffer: &mut [u8],
        peek: bool,
    ) -> Result<Received, Error> {
        Ok(self.recv_link(id, buffer, peek)?.0)
    }

    /// The pending error, which it clears.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn take_error(&mut self, id: SocketId) -> Result<Option<Error>, Error> {
        Ok(self.socket_mut(id)?.base.take_error())
    }

    /// What the socket is ready for now.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn readiness(&self, id: SocketId) -> Result<Readiness, Error> {
        Ok(self.socket(id)?.base.readiness())
    }

    /// Sets an option.
    ///
    /// # Errors
    /// [`Error::NoProtocolOption`] for what is none of socket(7) or packet(7),
    /// [`Error::Invalid`] for values out of range, and those of
    /// [`SocketCommon::set_option`](crate::SocketCommon::set_option).
    pub fn set_option(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        option: SocketOption,
        value: OptionValue,
    ) -> Result<(), Error> {
        let socket = self.sockets.get_mut(id).ok_or(Error::BadSocket)?;
        match option {
            SocketOption::PacketAddMembership => self.add_membership(cx, id, &value),
            SocketOption::PacketDropMembership => self.drop_membership(id, &value),
            SocketOption::PacketAuxdata => {
                socket.tells_auxdata = value.flag()?;
                Ok(())
            }
            SocketOption::PacketOriginalDevice => {
                socket.tells_original_device = value.flag()?;
                Ok(())
            }
            SocketOption::PacketIgnoreOutgoing => {
                socket.ignores_outgoing = option.number(&value)? != 0;
                Ok(())
            }
            _ => {
                is_common(option)?;
                super::refuse_zero_copy(option)?;
                socket.base.set_option(cx, option, &value)
            }
        }
    }

    /// What an option is set to. PACKET_STATISTICS begins anew when it is read.
    ///
    /// # Errors
    /// As for [`set_option`](Self::set_option).
    pub fn option(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        option: SocketOption,
    ) -> Result<OptionValue, Error> {
        let socket = self.socket_mut(id)?;
        Ok(match option {
            SocketOption::PacketStatistics => {
                let drops = std::mem::take(&mut socket.drops);
                let packets = std::mem::take(&mut socket.packets);
                // packet(7): the total, those that were dropped included.
                let words = [packets.wrapping_add(drops), drops];
                OptionValue::Bytes(words.map(u32::to_ne_bytes).concat())
            }
            SocketOption::PacketAuxdata => OptionValue::Flag(socket.tells_auxdata),
            SocketOption::PacketOriginalDevice => OptionValue::Flag(socket.tells_original_device),
            SocketOption::PacketIgnoreOutgoing => {
                OptionValue::Int(i32::from(socket.ignores_outgoing))
            }
            _ => {
                is_common(option)?;
                return socket.base.option(cx, option);
            }
        })
    }

    fn listen(&mut self, id: SocketId, protocol: u16) {
        if protocol != 0 {
            self.listeners.entry(protocol).or_default().push(id);
        }
    }

    fn unlisten(&mut self, id: SocketId, protocol: u16) {
        if let Some(listeners) = self.listeners.get_mut(&protocol) {
            listeners.retain(|other| *other != id);
            if listeners.is_empty() {
                self.listeners.remove(&protocol);
            }
        }
    }

    fn socket(&self, id: SocketId) -> Result<&Socket, Error> {
        self.sockets.get(id).ok_or(Error::BadSocket)
    }

    fn socket_mut(&mut self, id: SocketId) -> Result<&mut Socket, Error> {
        self.sockets.get_mut(id).ok_or(Error::BadSocket)
    }

    fn unset(&mut self, interface: InterfaceId, member: Member) {
        if let Some(modes) = self.modes.get_mut(&interface) {
            modes.leave(member);
            if modes.is_empty() {
                self.modes.remove(&interface);
            }
        }
    }
}

/// What sockets of other kinds can and these can't.
impl Packets {
    /// Nothing: it has no address of IP.
    ///
    /// # Errors
    /// [`Error::Invalid`], as for an address of another family on Linux.
    pub fn bind(
        &mut self,
        _cx: &mut Context<'_>,
        id: SocketId,
        _addr: SocketAddr,
    ) -> Result<(), Error> {
        self.socket(id).and(Err(Error::Invalid))
    }

    /// Nothing: packet(7).
    ///
    /// # Errors
    /// [`Error::NotSupported`].
    pub fn connect(
        &mut self,
        _cx: &mut Context<'_>,
        id: SocketId,
        _addr: Option<SocketAddr>,
    ) -> Result<(), Error> {
        self.socket(id).and(Err(Error::NotSupported))
    }

    /// Nothing: as on Linux it has no halves.
    ///
    /// # Errors
    /// [`Error::NotSupported`].
    pub fn shutdown(
        &mut self,
        _cx: &mut Context<'_>,
        id: SocketId,
        _how: crate::Shutdown,
    ) -> Result<(), Error> {
        self.socket(id).and(Err(Error::NotSupported))
    }

    /// Nothing: [`link_addr`](Self::link_addr) tells what it is bound to.
    ///
    /// # Errors
    /// [`Error::AddressFamily`].
    pub fn local_addr(&self, id: SocketId) -> Result<SocketAddr, Error> {
        self.socket(id).and(Err(Error::AddressFamily))
    }

    /// Sends by the interface that it is bound to, as [`send_link`](Self::send_link) does.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an address of IP, else those of [`send_link`](Self::send_link).
    pub fn send(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        data: &[IoSlice<'_>],
        to: Option<SocketAddr>,
        _options: &SendOptions,
    ) -> Result<usize, Error> {
        match to {
            Some(_) => self.socket(id).and(Err(Error::Invalid)),
            None => self.send_link(cx, id, data, None),
        }
    }

    /// Nothing: it has no peer.
    ///
    /// # Errors
    /// [`Error::NotSupported`].
    pub fn peer_addr(&self, id: SocketId) -> Result<SocketAddr, Error> {
        self.socket(id).and(Err(Error::NotSupported))
    }
}

/// Whether it is an option of socket(7).
fn is_common(option: SocketOption) -> Result<(), Error> {
    let is = ROWS.iter().any(|row| {
        row.level == SOL_SOCKET
            && matches!(row.standing, Standing::Works { option: of, .. } if of == option)
    });
    is.then_some(()).ok_or(Error::NoProtocolOption)
}

impl Transport for Packets {
    fn id(&self) -> TransportId {
        TransportId::PACKET
    }

    /// Nothing: frames are handed to [`arrives`](Self::arrives).
    fn on_packet(&mut self, _: &mut Context<'_>, _: &IpInfo, packet: Packet) -> Disposition {
        Disposition::NoSocket(packet)
    }

    /// The protocol stands in the port.
    fn sockets(&self) -> Vec<SocketSummary> {
        let summary = |(id, socket): (SocketId, &Socket)| SocketSummary {
            handle: handle(id),
            state: "UNCONN",
            local: (Ipv4Addr::UNSPECIFIED, socket.protocol).into(),
            remote: None,
            recv_queue: socket.base.queue.used(),
            send_queue: 0,
        };
        self.sockets.iter().map(summary).collect()
    }

    fn has_output(&self, interface: InterfaceId) -> bool {
        self.waiters.wait_for(interface)
    }

    /// Nothing is held back: this only tells sockets that there is room again.
    fn poll_transmit(&mut self, cx: &mut Context<'_>, interface: InterfaceId, _: usize) -> bool {
        for id in self.waiters.take(cx, interface) {
            if let Some(socket) = self.sockets.get_mut(id) {
                socket.base.unblock(cx, handle(id));
            }
        }
        self.waiters.wait_for(interface)
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
