//! Who sees which frame.

use super::{ETH_P_ALL, FrameInfo, LinkAddr, PacketType, Packets, Socket, Vlan, handle};
use crate::datagram::Datagram;
use crate::demux::Endpoint;
use crate::{
    Checksum, Context, Counter, Gso, GsoKind, Instant, Interface, InterfaceId, Medium, Packet,
    Payload, SocketId,
};
use bytes::Bytes;
use sockeye_link::offload;
use sockeye_wire::{EtherType, ethernet};
use std::net::{IpAddr, Ipv4Addr};

/// IEEE 802.1ad: a tag before a tag.
const SERVICE_VLAN: EtherType = EtherType(0x88a8);
/// Bytes of a tag.
pub(super) const TAG_LEN: usize = 4;
/// ETH_P_802_3: a length, and no header of 802.2 behind it.
const ETH_P_802_3: u16 = 0x0001;
/// ETH_P_802_2: a length, and a header of 802.2 behind it.
const ETH_P_802_2: u16 = 0x0004;

/// A frame that sockets may want, read but not copied.
struct Seen {
    info: FrameInfo,
    /// Where the network's header begins.
    network: usize,
    /// Its sender among the sockets (SO_COOKIE).
    sender: u64,
}

impl Packets {
    /// Whether anybody receives anything: else nothing need be shown.
    #[must_use]
    pub fn listens(&self) -> bool {
        !self.listeners.is_empty()
    }

    /// A frame came by the link of `interface`: everybody who wants it gets a copy. To be called
    /// before the internet layer takes it.
    pub fn arrives(&mut self, cx: &mut Context<'_>, interface: InterfaceId, packet: &Packet) {
        let Some(link) = cx.inet.interface(interface).filter(|link| link.is_up()) else {
            return;
        };
        let medium = link.capabilities().medium;
        let mut seen = match medium {
            Medium::Ip => Seen::bare(interface, packet),
            Medium::Ethernet(own) => {
                let Some((mut seen, header)) = Seen::ethernet(interface, own, packet) else {
                    return;
                };
                seen.info.from.packet_type = match header.destination {
                    to if to == own => PacketType::Host,
                    to if to.is_broadcast() => PacketType::Broadcast,
                    to if to.is_multicast() => PacketType::Multicast,
                    _ => PacketType::OtherHost,
                };
                if !self.passes(interface, link, &header, seen.info.from.packet_type) {
                    return;
                }
                seen
            }
        };
        seen.info.checksum_valid = packet.meta.checksum != Checksum::Unverified;
        let untagged;
        let packet = match seen.untag(packet) {
            None => packet,
            Some(without) => {
                untagged = without;
                &untagged
            }
        };
        let protocol = seen.info.from.protocol;
        self.show(cx, ETH_P_ALL, &seen, packet);
        if protocol != ETH_P_ALL {
            seen.forget_tag();
            self.show(cx, protocol, &seen, packet);
        }
    }

    /// A frame leaves by the link of `interface`: those who receive everything see it, but not who
    /// sent it.
    pub fn leaves(&mut self, cx: &mut Context<'_>, interface: InterfaceId, packet: &Packet) {
        let Some(link) = cx.inet.interface(interface) else {
            return;
        };
        let mut seen = match link.capabilities().medium {
            Medium::Ip => Seen::bare(interface, packet),
            Medium::Ethernet(own) => match Seen::ethernet(interface, own, packet) {
                Some((seen, _)) => seen,
                None => return,
            },
        };
        seen.info.from.packet_type = PacketType::Outgoing;
        self.show(cx, ETH_P_ALL, &seen, packet);
    }

    /// Whether the filter of the link lets a frame through: it is for this node, for a group that
    /// it listens to, or for what some membership names.
    fn passes(
        &self,
        interface: InterfaceId,
        link: &Interface,
        header: &ethernet::Header,
        packet_type: PacketType,
    ) -> bool {
        let to = header.destination;
        match packet_type {
            PacketType::Host | PacketType::Broadcast | PacketType::Outgoing => true,
            PacketType::Multicast if link.listens_to(to) => true,
            PacketType::Multicast | PacketType::OtherHost => {
                let modes = self.modes.get(&interface);
                modes.is_some_and(|modes| modes.pass(to))
            }
        }
    }

    /// Gives those who receive `protocol` a copy.
    fn show(&mut self, cx: &mut Context<'_>, protocol: u16, seen: &Seen, packet: &Packet) {
        let Some(listeners) = self.listeners.get(&protocol) else {
            return;
        };
        let mut copy = None;
        for &id in listeners {
            let Some(socket) = self.sockets.get_mut(id) else {
                continue;
            };
            if socket.wants(id, seen) {
                let copy = copy.get_or_insert_with(|| copy_of(packet));
                socket.take(cx, id, seen, copy);
            }
        }
    }
}

impl Seen {
    /// Linux: those who receive one protocol are told of no tag, and a virtual LAN that the node is not
    /// in is somebody else's.
    fn forget_tag(&mut self) {
        /// Of a tag's control information, the identifier of the virtual LAN.
        const IDENTIFIER: u16 = 0x0fff;
        if let Some(tag) = self.info.vlan.take()
            && tag.tci & IDENTIFIER != 0
        {
            self.info.from.packet_type = PacketType::OtherHost;
        }
    }

    /// A packet without link header.
    fn bare(interface: InterfaceId, packet: &Packet) -> Self {
        let version = packet.chunks().find_map(|chunk| chunk.first()).copied();
        let protocol = match version.map(|byte| byte >> 4) {
            Some(6) => EtherType::IPV6,
            _ => EtherType::IPV4,
        };
        let from = LinkAddr {
            protocol: protocol.0,
            ..LinkAddr::of(Some(interface), Some(Medium::Ip))
        };
        Self::new(from, 0, packet)
    }

    /// An Ethernet frame; none when it is too short to be one.
    fn ethernet(
        interface: InterfaceId,
        own: crate::MacAddr,
        packet: &Packet,
    ) -> Option<(Self, ethernet::Header)> {
        let start: Vec<u8> = start_of(packet, ethernet::HEADER_LEN + 2);
        let header = ethernet::Header::parse(&start).ok()?;
        let protocol = match header.ethertype {
            ethertype if !ethertype.is_length() => ethertype.0,
            _ if start.get(ethernet::HEADER_LEN..) == Some(&[0xff, 0xff]) => ETH_P_802_3,
            _ => ETH_P_802_2,
        };
        let from = LinkAddr {
            protocol,
            address: Some(header.source),
            ..LinkAddr::of(Some(interface), Some(Medium::Ethernet(own)))
        };
        Some((Self::new(from, ethernet::HEADER_LEN, packet), header))
    }

    fn new(from: LinkAddr, network: usize, packet: &Packet) -> Self {
        let tcp = |gso: Gso| matches!(gso.kind, GsoKind::TcpV4 | GsoKind::TcpV6);
        Self {
            info: FrameInfo {
                from,
                is_tcp_super_segment: packet.meta.gso.is_some_and(tcp),
                ..FrameInfo::default()
            },
            network,
            sender: packet.meta.sender,
        }
    }

    /// Takes the tag off a received frame, as Linux does, and keeps it in mind.
    fn untag(&mut self, packet: &Packet) -> Option<Packet> {
        let from = &mut self.info.from;
        let tpid = EtherType(from.protocol);
        if from.address.is_none() || !matches!(tpid, EtherType::VLAN | SERVICE_VLAN) {
            return None;
        }
        let mut bytes = packet.to_vec();
        let &[t0, t1, p0, p1] = bytes.get(self.network..)?.first_chunk()?;
        self.info.vlan = Some(Vlan {
            tci: u16::from_be_bytes([t0, t1]),
            tpid: tpid.0,
        });
        from.protocol = u16::from_be_bytes([p0, p1]);
        bytes.drain(self.network - 2..self.network + 2);
        Some(Packet::from_vec(bytes))
    }
}

impl Socket {
    fn wants(&self, id: SocketId, seen: &Seen) -> bool {
        let from = &seen.info.from;
        let outgoing = from.packet_type == PacketType::Outgoing;
        self.interface.is_none_or(|own| own.0 == from.interface)
            && !(outgoing && (self.ignores_outgoing || seen.sender == id.cookie()))
    }

    fn take(&mut self, cx: &mut Context<'_>, id: SocketId, seen: &Seen, copy: &Bytes) {
        let mut info = seen.info;
        let payload = if self.cooked {
            copy.slice(seen.network.min(copy.len())..)
        } else {
            info.network_offset = u16::try_from(seen.network).unwrap_or(u16::MAX);
            copy.clone()
        };
        // Linux: of a frame nothing of which would be left nothing is said.
        if payload.is_empty() {
            return;
        }
        let nobody = Endpoint::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        let frame = Datagram {
            pinned: copy.len(),
            payload: Payload::from_iter([payload]),
            from: nobody,
            to: nobody,
            interface: InterfaceId(info.from.interface),
            ttl: 0,
            tos: 0,
            segment: None,
            at: Instant::ZERO,
            flow_label: 0,
            headers: Bytes::new(),
            fragment_max: 0,
            dropped: 0,
        };
        if self.base.deliver(cx, handle(id), frame) {
            self.infos.push_back(info);
            self.packets = self.packets.wrapping_add(1);
        } else {
            self.drops = self.drops.wrapping_add(1);
            cx.drop_packet(Counter::RawRcvbufErrors);
        }
    }
}

/// The frame as it is on the wire, its checksum made.
fn copy_of(packet: &Packet) -> Bytes {
    if !matches!(packet.meta.checksum, Checksum::Partial { .. }) {
        return packet.to_vec().into();
    }
    let mut packet = packet.clone();
    // One that can't be made is shown as it is.
    let _ = offload::fill_checksum(&mut packet);
    packet.to_vec().into()
}

/// The first bytes of a packet, at most `len`.
fn start_of(packet: &Packet, len: usize) -> Vec<u8> {
    let bytes = packet.chunks().flatten();
    bytes.take(len).copied().collect()
}
