//! Where the headers of a TCP or UDP packet lie.

use crate::{Checksum, Medium, Packet};
use sockeye_wire::checksum::{self, Sum};
use sockeye_wire::{EtherType, IpProtocol, ParseError, ethernet, ipv4, ipv6, ipv6_ext, tcp, udp};
use std::net::IpAddr;

/// How far into a packet IPv6 extension headers are followed.
const EXTENSION_HEADERS_LEN_MAX: usize = 1024;
/// Where an IPv4 header says what it carries (RFC 791 §3.1).
const V4_PROTOCOL: usize = 9;

/// The places of a packet's headers, counted from its front, and what they say of its flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Where the IP header begins.
    pub(super) ip: usize,
    /// Where the TCP or UDP header begins.
    pub(super) transport: usize,
    /// Where its payload begins.
    pub(super) payload: usize,
    /// Where the IP packet ends; the link may have padded it.
    pub(super) end: usize,
    /// TCP or UDP.
    pub(super) protocol: IpProtocol,
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    /// IPv4's; 0 of IPv6.
    pub(super) identification: u16,
    /// Of IPv6 always.
    pub(super) dont_fragment: bool,
}

impl Layout {
    /// Reads the headers, which are contiguous in the head afterwards.
    ///
    /// # Errors
    /// What the parsers of the headers say; [`Unsupported`](ParseError::Unsupported) for what is
    /// neither TCP nor UDP, and for fragments.
    pub(super) fn read(packet: &mut Packet, medium: Medium) -> Result<Self, ParseError> {
        let ip = link_header_len(medium);
        need(packet, ip + 1)?;
        let version = packet.head()[ip] >> 4;
        if let Medium::Ethernet(_) = medium {
            let ethertype = ethernet::Header::parse(packet.head())?.ethertype;
            if !matches!(
                (ethertype, version),
                (EtherType::IPV4, 4) | (EtherType::IPV6, 6)
            ) {
                return Err(ParseError::Unsupported);
            }
        }
        let mut layout = match version {
            4 => Self::read_v4(packet, ip)?,
            6 => Self::read_v6(packet, ip)?,
            _ => return Err(ParseError::BadVersion),
        };
        layout.payload = layout.transport
            + match layout.protocol {
                IpProtocol::TCP => {
                    need(packet, layout.transport + tcp::HEADER_LEN)?;
                    tcp::data_offset(&packet.head()[layout.transport..])?
                }
                IpProtocol::UDP => udp::HEADER_LEN,
                _ => return Err(ParseError::Unsupported),
            };
        if layout.payload > layout.end {
            return Err(ParseError::Truncated);
        }
        need(packet, layout.payload)?;
        Ok(layout)
    }

    fn read_v4(packet: &mut Packet, ip: usize) -> Result<Self, ParseError> {
        need(packet, ip + ipv4::HEADER_LEN)?;
        let options_end = ip + usize::from(packet.head()[ip] & 0x0f) * 4;
        need(packet, options_end)?;
        // Others are told apart before their headers are summed.
        let protocol = IpProtocol(packet.head()[ip + V4_PROTOCOL]);
        if !matches!(protocol, IpProtocol::TCP | IpProtocol::UDP) {
            return Err(ParseError::Unsupported);
        }
        let header = ipv4::Header::parse(&packet.head()[ip..])?;
        header.check_len(packet.len() - ip)?;
        if header.is_fragment() {
            return Err(ParseError::Unsupported);
        }
        Ok(Self {
            ip,
            transport: ip + header.header_len(),
            payload: 0,
            end: ip + usize::from(header.total_len),
            protocol: header.protocol,
            source: header.source.into(),
            destination: header.destination.into(),
            identification: header.identification,
            dont_fragment: header.dont_fragment,
        })
    }

    fn read_v6(packet: &mut Packet, ip: usize) -> Result<Self, ParseError> {
        let behind = ip + ipv6::HEADER_LEN;
        need(packet, behind)?;
        let header = ipv6::Header::parse(&packet.head()[ip..])?;
        header.check_len(packet.len() - ip)?;
        let end = ip + header.total_len();
        let mut protocol = header.next_header;
        let mut transport = behind;
        if protocol.is_extension_header() {
            let reach = end.min(behind + EXTENSION_HEADERS_LEN_MAX);
            need(packet, reach)?;
            let chain = ipv6_ext::walk(protocol, &packet.head()[behind..reach])
                .map_err(|_| ParseError::Unsupported)?;
            if chain.fragment.is_some() {
                return Err(ParseError::Unsupported);
            }
            protocol = chain.protocol;
            transport += chain.offset;
        }
        Ok(Self {
            ip,
            transport,
            payload: 0,
            end,
            protocol,
            source: header.source.into(),
            destination: header.destination.into(),
            identification: 0,
            dont_fragment: true,
        })
    }

    /// The pseudo-header's sum for a transport packet of `len` bytes, as it stands in the field of
    /// a packet whose checksum is left to somebody else.
    pub(super) fn pseudo_sum(&self, len: usize) -> u16 {
        // An IP packet's length has 16 bits.
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        checksum::pseudo_header(self.source, self.destination, self.protocol, len).folded()
    }

    /// Where the checksum field lies, from the transport header on.
    pub(super) fn checksum_offset(&self) -> usize {
        if self.protocol == IpProtocol::TCP {
            tcp::CHECKSUM_OFFSET
        } else {
            udp::CHECKSUM_OFFSET
        }
    }

    /// The state of a checksum that is left to somebody else.
    ///
    /// # Errors
    /// [`BadLength`](ParseError::BadLength) when the header lies too far from the front.
    pub(super) fn partial(&self) -> Result<Checksum, ParseError> {
        let start = u16::try_from(self.transport).map_err(|_| ParseError::BadLength)?;
        let offset = u16::try_from(self.checksum_offset()).map_err(|_| ParseError::BadLength)?;
        Ok(Checksum::Partial { start, offset })
    }

    /// Makes the checksum of a packet that ends at [`end`](Self::end) partial.
    pub(super) fn leave_checksum(&self, packet: &mut Packet) -> Result<(), ParseError> {
        let pseudo = self.pseudo_sum(packet.len() - self.transport);
        let field = self.transport + self.checksum_offset();
        packet.head_mut()[field..field + 2].copy_from_slice(&pseudo.to_be_bytes());
        packet.meta.checksum = self.partial()?;
        Ok(())
    }

    /// Whether the filled checksum of the packet is right.
    pub(super) fn checksum_is_right(&self, packet: &Packet) -> bool {
        let field = self.transport + self.checksum_offset();
        let absent = self.protocol == IpProtocol::UDP && packet.head()[field..field + 2] == [0, 0];
        if absent {
            // RFC 768: no checksum. RFC 8200 §8.1: IPv6 does not know that.
            return self.source.is_ipv4();
        }
        // An IP packet's length has 16 bits.
        let len = u32::try_from(self.end - self.transport).unwrap_or(u32::MAX);
        let mut sum = checksum::pseudo_header(self.source, self.destination, self.protocol, len);
        sum.append(sum_of(packet, self.transport, self.end));
        sum.is_valid()
    }
}

/// The sum of the bytes from `start` to `end`, counted from the packet's front.
pub(super) fn sum_of(packet: &Packet, start: usize, end: usize) -> Sum {
    let mut sum = Sum::new();
    if end == packet.len()
        && let Some(head) = packet.head().get(start..)
    {
        // Nothing lies behind it, as nearly always.
        sum.add(head);
        packet.payload().iter().for_each(|slice| sum.add(slice));
        return sum;
    }
    let mut at = 0;
    for chunk in packet.chunks() {
        let from = start.saturating_sub(at).min(chunk.len());
        let to = end.saturating_sub(at).min(chunk.len());
        if from < to {
            sum.add(&chunk[from..to]);
        }
        at += chunk.len();
    }
    sum
}

/// Bytes before the IP header.
pub(super) fn link_header_len(medium: Medium) -> usize {
    match medium {
        Medium::Ethernet(_) => ethernet::HEADER_LEN,
        Medium::Ip => 0,
    }
}

fn need(packet: &mut Packet, len: usize) -> Result<(), ParseError> {
    if packet.pull_up(len) {
        Ok(())
    } else {
        Err(ParseError::Truncated)
    }
}
