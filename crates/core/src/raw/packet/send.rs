//! Sending frames.

use super::receive::TAG_LEN;
use super::{LinkAddr, Packets};
use crate::datagram::gather;
use crate::{Context, Error, InterfaceId, MacAddr, Medium, Packet, SocketId};
use sockeye_wire::{EtherType, arp, ethernet};
use std::io::IoSlice;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Tags that are looked behind for an address.
const TAGS_MAX: usize = 2;

impl Packets {
    /// Sends `data` by the interface of `to`, or by the one it is bound to: a frame with its link
    /// header, or what a cooked socket has put behind the header that is made from `to`.
    ///
    /// # Errors
    /// - [`Error::NoAddress`] (ENXIO) without an interface, [`Error::NetworkDown`].
    /// - [`Error::Invalid`] for a frame without header, or where a cooked one has no station.
    /// - [`Error::MessageSize`] for more than the link carries.
    /// - [`Error::NotPermitted`] for a source that is not the node's, unless
    ///   [`Config::foreign_sources`](crate::Config::foreign_sources) allows it.
    /// - [`Error::WouldBlock`] when the interface's queue is full.
    pub fn send_link(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        data: &[IoSlice<'_>],
        to: Option<&LinkAddr>,
    ) -> Result<usize, Error> {
        let socket = self.sockets.get_mut(id).ok_or(Error::BadSocket)?;
        let interface = match to {
            Some(to) => Some(InterfaceId(to.interface)),
            None => socket.interface,
        };
        let interface = interface.ok_or(Error::NoAddress)?;
        let link = cx.inet.interface(interface).ok_or(Error::NoAddress)?;
        let (medium, mtu) = (link.capabilities().medium, link.mtu() as usize);
        if !link.is_up() {
            return Err(Error::NetworkDown);
        }
        let len: usize = data.iter().map(|slice| slice.len()).sum();
        let header_len = match medium {
            Medium::Ethernet(_) if !socket.cooked => ethernet::HEADER_LEN,
            _ => 0,
        };
        // Linux: a tagged frame may be longer by its tag.
        if len > mtu + header_len + TAG_LEN {
            return Err(Error::MessageSize);
        }
        let mut packet = gather(data);
        match medium {
            Medium::Ethernet(own) if socket.cooked => {
                let protocol = to.map_or(socket.protocol, |to| to.protocol);
                let header = ethernet::Header {
                    destination: to.and_then(|to| to.address).ok_or(Error::Invalid)?,
                    source: own,
                    ethertype: EtherType(protocol),
                };
                header.emit(packet.push(ethernet::HEADER_LEN));
            }
            _ => {}
        }
        check(cx, medium, mtu, packet.head())?;
        self.waiters.ask(cx, id, &mut socket.base, interface, 1)?;
        packet.meta.sender = id.cookie();
        packet.meta.tags = socket.base.common.tags;
        let taken = match interface {
            InterfaceId::LOOPBACK => cx.inet.loopback.push(interface, packet),
            _ => enqueue(cx, interface, packet),
        };
        taken.then_some(len).ok_or(Error::NoBufferSpace)
    }
}

fn enqueue(cx: &mut Context<'_>, interface: InterfaceId, packet: Packet) -> bool {
    let link = cx.inet.interface_mut(interface);
    link.is_some_and(|link| link.enqueue(packet))
}

/// Whether a frame can be sent, and may be.
fn check(cx: &Context<'_>, medium: Medium, mtu: usize, frame: &[u8]) -> Result<(), Error> {
    let Medium::Ethernet(own) = medium else {
        let ethertype = match frame.first().ok_or(Error::Invalid)? >> 4 {
            4 => EtherType::IPV4,
            6 => EtherType::IPV6,
            // Links of bare IP carry nothing else.
            _ => return Err(Error::Invalid),
        };
        if frame.len() > mtu {
            return Err(Error::MessageSize);
        }
        return check_source(cx, own_source(cx, ethertype, None, frame));
    };
    let header = ethernet::Header::parse(frame).map_err(|_| Error::Invalid)?;
    let mut ethertype = header.ethertype;
    let mut network = &frame[ethernet::HEADER_LEN..];
    let tagged = ethertype == EtherType::VLAN;
    if network.len() > mtu + if tagged { TAG_LEN } else { 0 } {
        return Err(Error::MessageSize);
    }
    for _ in 0..TAGS_MAX {
        // IEEE 802.1Q and 802.1ad.
        let (0x8100 | 0x88a8, Some((&[_, _, t0, t1], rest))) =
            (ethertype.0, network.split_first_chunk())
        else {
            break;
        };
        ethertype = EtherType(u16::from_be_bytes([t0, t1]));
        network = rest;
    }
    let is_own = header.source == own && own_source(cx, ethertype, Some(own), network);
    check_source(cx, is_own)
}

fn check_source(cx: &Context<'_>, is_own: bool) -> Result<(), Error> {
    match is_own || cx.config.foreign_sources {
        true => Ok(()),
        false => Err(Error::NotPermitted),
    }
}

/// Whether a packet says that it comes from this node, or from nobody yet (DHCP, RFC 5227's
/// probes). What is too short to say anything harms nobody.
fn own_source(
    cx: &Context<'_>,
    ethertype: EtherType,
    station: Option<MacAddr>,
    packet: &[u8],
) -> bool {
    let is_own = |ip: IpAddr| ip.is_unspecified() || cx.inet.is_local(ip);
    let v4 = |at: usize| {
        let octets = packet.get(at..).and_then(<[u8]>::first_chunk::<4>);
        octets.map(|octets| IpAddr::from(Ipv4Addr::from(*octets)))
    };
    match ethertype {
        EtherType::IPV4 => v4(12).is_none_or(is_own),
        EtherType::IPV6 => {
            let octets = packet.get(8..).and_then(<[u8]>::first_chunk::<16>);
            octets.is_none_or(|octets| is_own(Ipv6Addr::from(*octets).into()))
        }
        EtherType::ARP => arp::Header::parse(packet).map_or(true, |header| {
            station.is_none_or(|own| header.sender_hardware == own)
                && is_own(header.sender_protocol.into())
        }),
        _ => true,
    }
}
