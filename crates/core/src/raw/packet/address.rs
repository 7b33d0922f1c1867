//! What is said of a frame beside its bytes: `struct sockaddr_ll` and PACKET_AUXDATA.

use crate::{InterfaceId, MacAddr, Medium};

/// AF_PACKET.
const AF_PACKET: u16 = 17;
/// ARPHRD_ETHER.
const ETHERNET: u16 = 1;
/// ARPHRD_NONE: no link header, as of a TUN device.
const NONE: u16 = 0xfffe;
/// Bytes of an Ethernet address.
const MAC_LEN: usize = 6;

/// Whom a frame was for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PacketType {
    /// PACKET_HOST: this node.
    #[default]
    Host = 0,
    /// PACKET_BROADCAST: every station.
    Broadcast = 1,
    /// PACKET_MULTICAST: a group of stations.
    Multicast = 2,
    /// PACKET_OTHERHOST: another station; seen by a promiscuous link.
    OtherHost = 3,
    /// PACKET_OUTGOING: this node sent it.
    Outgoing = 4,
}

impl PacketType {
    fn of(number: u8) -> Self {
        match number {
            1 => Self::Broadcast,
            2 => Self::Multicast,
            3 => Self::OtherHost,
            4 => Self::Outgoing,
            _ => Self::Host,
        }
    }
}

/// The address of a packet socket, of a frame's sender, or of where a frame is to go: `struct
/// sockaddr_ll`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LinkAddr {
    /// The EtherType, in the machine's order.
    pub protocol: u16,
    /// The interface; 0 for any.
    pub interface: u32,
    /// The kind of link (ARPHRD_*); of received frames alone.
    pub hardware: u16,
    /// Whom it was for; of received frames alone.
    pub packet_type: PacketType,
    /// The station's address, on links that have such.
    pub address: Option<MacAddr>,
}

impl LinkAddr {
    /// Bytes of `struct sockaddr_ll`.
    pub const RAW_LEN: usize = 20;

    /// Frames of `protocol` by `interface` (0: any), to bind to.
    #[must_use]
    pub fn new(protocol: u16, interface: u32) -> Self {
        Self {
            protocol,
            interface,
            ..Self::default()
        }
    }

    /// The same with a station's address, to send to.
    #[must_use]
    pub fn with_address(self, address: MacAddr) -> Self {
        Self {
            address: Some(address),
            ..self
        }
    }

    /// An interface's own.
    pub(super) fn of(interface: Option<InterfaceId>, medium: Option<Medium>) -> Self {
        let (hardware, address) = match medium {
            Some(Medium::Ethernet(own)) => (ETHERNET, Some(own)),
            Some(Medium::Ip) => (NONE, None),
            None => (0, None),
        };
        Self {
            interface: interface.map_or(0, |id| id.0),
            hardware,
            address,
            ..Self::default()
        }
    }

    /// The bytes of `struct sockaddr_ll`.
    #[must_use]
    pub fn to_raw(&self) -> [u8; Self::RAW_LEN] {
        let mut raw = [0; Self::RAW_LEN];
        raw[..2].copy_from_slice(&AF_PACKET.to_ne_bytes());
        raw[2..4].copy_from_slice(&self.protocol.to_be_bytes());
        raw[4..8].copy_from_slice(&self.interface.to_ne_bytes());
        raw[8..10].copy_from_slice(&self.hardware.to_ne_bytes());
        raw[10] = self.packet_type as u8;
        if let Some(MacAddr(octets)) = self.address {
            raw[11] = 6;
            raw[12..12 + MAC_LEN].copy_from_slice(&octets);
        }
        raw
    }

    /// What the bytes of `struct sockaddr_ll` say; none when they are too few or of another family.
    #[must_use]
    pub fn from_raw(raw: &[u8]) -> Option<Self> {
        let raw: &[u8; Self::RAW_LEN] = raw.first_chunk()?;
        let pair = |at: usize| [raw[at], raw[at + 1]];
        let octets: [u8; MAC_LEN] = *raw[12..].first_chunk()?;
        (u16::from_ne_bytes(pair(0)) == AF_PACKET).then_some(Self {
            protocol: u16::from_be_bytes(pair(2)),
            interface: u32::from_ne_bytes([raw[4], raw[5], raw[6], raw[7]]),
            hardware: u16::from_ne_bytes(pair(8)),
            packet_type: PacketType::of(raw[10]),
            address: (usize::from(raw[11]) >= MAC_LEN).then_some(MacAddr(octets)),
        })
    }
}

/// An IEEE 802.1Q tag that was taken off a received frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Vlan {
    /// Priority and identifier.
    pub tci: u16,
    /// The EtherType that announced it.
    pub tpid: u16,
}

/// What is told of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FrameInfo {
    /// Who sent it, by which interface it came or left.
    pub from: LinkAddr,
    /// Bytes before the network's header.
    pub network_offset: u16,
    /// Its tag.
    pub vlan: Option<Vlan>,
    /// The link vouches for the transport's checksum.
    pub checksum_valid: bool,
    /// It is a super-segment of TCP: several packets in one.
    pub is_tcp_super_segment: bool,
}

// TP_STATUS_* of linux/if_packet.h.
const USER: u32 = 1 << 0;
const VLAN_VALID: u32 = 1 << 4;
const VLAN_TPID_VALID: u32 = 1 << 6;
const CHECKSUM_VALID: u32 = 1 << 7;
const GSO_TCP: u32 = 1 << 8;

impl FrameInfo {
    /// The bytes of `struct tpacket_auxdata` for a frame of `len` bytes.
    #[must_use]
    pub fn auxdata(&self, len: usize) -> [u8; 20] {
        let mut status = USER;
        let mut set = |on: bool, bits: u32| status |= if on { bits } else { 0 };
        set(self.vlan.is_some(), VLAN_VALID | VLAN_TPID_VALID);
        set(self.checksum_valid, CHECKSUM_VALID);
        set(self.is_tcp_super_segment, GSO_TCP);
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        let (tci, tpid) = self.vlan.map_or((0, 0), |vlan| (vlan.tci, vlan.tpid));
        let mut raw = [0; 20];
        for (at, word) in [(0, status), (4, len), (8, len)] {
            raw[at..at + 4].copy_from_slice(&word.to_ne_bytes());
        }
        for (at, half) in [(14, self.network_offset), (16, tci), (18, tpid)] {
            raw[at..at + 2].copy_from_slice(&half.to_ne_bytes());
        }
        raw
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_is_written() {
        let addr = LinkAddr {
            protocol: 0x0806,
            interface: 7,
            hardware: ETHERNET,
            packet_type: PacketType::Outgoing,
            address: Some(MacAddr([2, 0, 0, 0, 0, 9])),
        };
        let raw = addr.to_raw();
        assert_eq!(raw[2..4], [8, 6]);
        assert_eq!(LinkAddr::from_raw(&raw), Some(addr));
        assert_eq!(LinkAddr::from_raw(&raw[..19]), None);
        let mut other = raw;
        other[..2].copy_from_slice(&2_u16.to_ne_bytes());
        assert_eq!(LinkAddr::from_raw(&other), None);
    }
}
