//! The header before each packet of a TUN or TAP device: `virtio_net_hdr` of virtio 1.2 §5.1.6,
//! little-endian, without the number of buffers.

use sockeye_link::{Checksum, Gso, GsoKind, Packet};

/// Bytes of the header.
pub(crate) const LEN: usize = 10;

const NEEDS_CSUM: u8 = 1;
const DATA_VALID: u8 = 2;

const GSO_NONE: u8 = 0;
const GSO_TCP_V4: u8 = 1;
const GSO_TCP_V6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
/// A bit beside the kind: CWR is set in the super-segment.
const GSO_ECN: u8 = 0x80;

/// Where TCP's data offset and CWR lie.
const TCP_DATA_OFFSET: usize = 12;
const TCP_FLAGS: usize = 13;
const TCP_CWR: u8 = 0x80;
const UDP_HEADER_LEN: usize = 8;

/// Reads the header in front of a packet of `packet_len` bytes; `None` when it contradicts itself
/// or the packet, or asks for what was not offered.
pub(crate) fn parse(header: &[u8; LEN], packet_len: usize) -> Option<(Checksum, Option<Gso>)> {
    let &[flags, gso_type, _, _, s0, s1, c0, c1, o0, o1] = header;
    let start = u16::from_le_bytes([c0, c1]);
    let offset = u16::from_le_bytes([o0, o1]);
    let checksum = if flags & NEEDS_CSUM != 0 {
        let field_end = usize::from(start) + usize::from(offset) + 2;
        if field_end > packet_len {
            return None;
        }
        Checksum::Partial { start, offset }
    } else if flags & DATA_VALID != 0 {
        Checksum::Verified
    } else {
        Checksum::Unverified
    };
    let kind = match gso_type & !GSO_ECN {
        GSO_NONE => return Some((checksum, None)),
        GSO_TCP_V4 => GsoKind::TcpV4,
        GSO_TCP_V6 => GsoKind::TcpV6,
        GSO_UDP_L4 => GsoKind::Udp,
        _ => return None,
    };
    let size = u16::from_le_bytes([s0, s1]);
    if size == 0 {
        return None;
    }
    Some((checksum, Some(Gso { kind, size })))
}

/// The header for `packet`. A super-segment's checksum is partial: the kernel takes no other.
pub(crate) fn emit(packet: &Packet) -> [u8; LEN] {
    let mut header = [0; LEN];
    let Checksum::Partial { start, offset } = packet.meta.checksum else {
        return header;
    };
    header[0] = NEEDS_CSUM;
    header[6..8].copy_from_slice(&start.to_le_bytes());
    header[8..10].copy_from_slice(&offset.to_le_bytes());
    let Some(gso) = packet.meta.gso else {
        return header;
    };
    let transport = packet.head().get(usize::from(start)..).unwrap_or_default();
    let at = |offset| transport.get(offset).copied().unwrap_or_default();
    let kind = match gso.kind {
        GsoKind::TcpV4 => GSO_TCP_V4,
        GsoKind::TcpV6 => GSO_TCP_V6,
        GsoKind::Udp => GSO_UDP_L4,
    };
    let is_tcp = kind != GSO_UDP_L4;
    let transport_len = if is_tcp {
        usize::from(at(TCP_DATA_OFFSET) >> 4) * 4
    } else {
        UDP_HEADER_LEN
    };
    let ecn = is_tcp && at(TCP_FLAGS) & TCP_CWR != 0;
    header[1] = kind | if ecn { GSO_ECN } else { 0 };
    let headers_len = usize::from(start) + transport_len;
    // A hint, so 0 is right where it does not fit.
    let headers_len = u16::try_from(headers_len).unwrap_or(0);
    header[2..4].copy_from_slice(&headers_len.to_le_bytes());
    header[4..6].copy_from_slice(&gso.size.to_le_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn metadata_crosses_and_comes_back() {
        let mut packet = Packet::from_slice(&[0; 100]);
        packet.head_mut()[20 + TCP_DATA_OFFSET] = 0x80;
        packet.head_mut()[20 + TCP_FLAGS] = TCP_CWR;
        packet.meta.checksum = Checksum::Partial {
            start: 20,
            offset: 16,
        };
        let gso = |kind| Some(Gso { kind, size: 1448 });
        packet.meta.gso = gso(GsoKind::TcpV6);
        let header = emit(&packet);
        assert_eq!(header, [1, 0x84, 52, 0, 0xa8, 5, 20, 0, 16, 0]);
        for gso in [
            None,
            gso(GsoKind::TcpV4),
            gso(GsoKind::TcpV6),
            gso(GsoKind::Udp),
        ] {
            packet.meta.gso = gso;
            let read = parse(&emit(&packet), packet.len());
            assert_eq!(read, Some((packet.meta.checksum, gso)));
        }
        packet.meta.checksum = Checksum::Verified;
        packet.meta.gso = None;
        assert_eq!(emit(&packet), [0; LEN]);
    }

    #[test]
    fn a_verified_packet_is_believed() {
        let mut header = [0; LEN];
        header[0] = DATA_VALID;
        assert_eq!(parse(&header, 40), Some((Checksum::Verified, None)));
    }

    #[test]
    fn contradictions_are_refused() {
        let needs_csum = |start, offset| [NEEDS_CSUM, 0, 0, 0, 0, 0, start, 0, offset, 0];
        assert!(parse(&needs_csum(20, 16), 38).is_some());
        assert_eq!(parse(&needs_csum(20, 16), 37), None);
        let gso = |kind, size| [NEEDS_CSUM, kind, 0, 0, size, 0, 20, 0, 16, 0];
        assert!(parse(&gso(GSO_TCP_V4, 1), 1500).is_some());
        assert_eq!(parse(&gso(GSO_TCP_V4, 0), 1500), None);
        for unknown in [2, 3, 6, 0x7f] {
            assert_eq!(parse(&gso(unknown, 1), 1500), None);
        }
    }

    proptest! {
        #[test]
        fn a_header_from_anywhere_keeps_its_promise(header: [u8; LEN], len in 0usize..70_000) {
            if let Some((Checksum::Partial { start, offset }, _)) = parse(&header, len) {
                prop_assert!(usize::from(start) + usize::from(offset) + 2 <= len);
            }
        }
    }
}
