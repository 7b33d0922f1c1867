//! Cutting a packet on its way into fragments (RFC 791 §3.2, RFC 1812 §4.2.2.7), a fragment into
//! smaller ones too.

use crate::ip::fragment::split_off_front;
use crate::{Batch, Medium, Packet};
use sockeye_link::offload;
use sockeye_wire::ipv4::{Header, RawOptions};
use sockeye_wire::{ParseError, ipv4_options};

/// The packets of at most `mtu` bytes that carry `packet`, which begins at its IP header. A
/// super-segment is cut into its segments first.
///
/// # Errors
/// A super-segment that contradicts itself; an MTU that no fragment fits.
pub(super) fn to_fit(packet: Packet, mtu: usize) -> Result<Batch, ParseError> {
    let mut out = Batch::new();
    for piece in offload::segment(packet, Medium::Ip)? {
        if piece.len() <= mtu {
            out.push_back(piece);
        } else {
            fragment(piece, mtu, &mut out)?;
        }
    }
    Ok(out)
}

fn fragment(mut packet: Packet, mtu: usize, out: &mut Batch) -> Result<(), ParseError> {
    // The checksum lies in the first fragment and covers all of them.
    offload::fill_checksum(&mut packet)?;
    let header = Header::parse(packet.head())?;
    let header_len = header.header_len();
    let room = mtu.saturating_sub(header_len) & !7;
    if room == 0 {
        return Err(ParseError::BadLength);
    }
    packet.pull(header_len);
    let total = packet.len();
    let later = ipv4_options::copied(&header.options);
    let mut payload = packet.into_payload();
    let mut at = 0;
    while at < total {
        let len = room.min(total - at);
        let front = split_off_front(&mut payload, len);
        let mut piece = Packet::with_payload(front);
        push_header(&header, &later, at, at + len == total, &mut piece)?;
        out.push_back(piece);
        at += len;
    }
    Ok(())
}

/// Writes the header of the fragment that begins `at` bytes into what `whole` had behind it.
fn push_header(
    whole: &Header,
    later: &RawOptions,
    at: usize,
    last: bool,
    piece: &mut Packet,
) -> Result<(), ParseError> {
    let mut header = *whole;
    if at > 0 {
        header.options = *later;
    }
    let header_len = header.header_len();
    let too_long = |_| ParseError::BadLength;
    header.total_len = u16::try_from(header_len + piece.len()).map_err(too_long)?;
    let offset = usize::from(whole.fragment_offset) + at;
    header.fragment_offset = u16::try_from(offset).map_err(too_long)?;
    header.more_fragments = whole.more_fragments || !last;
    header.emit(piece.push(header_len));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockeye_wire::IpProtocol;
    use std::net::Ipv4Addr;

    fn packet(len: usize, change: impl FnOnce(&mut Header)) -> Packet {
        let data: Vec<u8> = (0..len).map(|n| (n / 8) as u8).collect();
        let (from, to) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 9, 0, 1));
        let mut header = Header::new(from, to, IpProtocol(253), 0);
        header.dont_fragment = false;
        header.identification = 77;
        change(&mut header);
        header.total_len = (header.header_len() + len) as u16;
        let mut packet = Packet::from_slice(&data);
        header.emit(packet.push(header.header_len()));
        packet
    }

    fn cut(packet: Packet, mtu: usize) -> Vec<(Header, Vec<u8>)> {
        let pieces = to_fit(packet, mtu).unwrap();
        let read = |piece: Packet| {
            assert!(piece.len() <= mtu);
            let bytes = piece.to_vec();
            let header = Header::parse(&bytes).unwrap();
            assert_eq!(usize::from(header.total_len), bytes.len());
            (header, bytes[header.header_len()..].to_vec())
        };
        pieces.into_iter().map(read).collect()
    }

    #[test]
    fn fragments_are_cut_anew_where_they_lie() {
        // The middle of something larger.
        let pieces = cut(
            packet(1000, |header| {
                header.more_fragments = true;
                header.fragment_offset = 1480;
            }),
            576,
        );
        let places: Vec<_> = pieces
            .iter()
            .map(|(h, data)| (h.fragment_offset, data.len(), h.more_fragments))
            .collect();
        assert_eq!(places, [(1480, 552, true), (2032, 448, true)]);
        assert!(pieces.iter().all(|(h, _)| h.identification == 77));
        // The end of something: its last piece is the end.
        let pieces = cut(packet(561, |header| header.fragment_offset = 8), 576);
        let places: Vec<_> = pieces
            .iter()
            .map(|(h, data)| (h.fragment_offset, data.len(), h.more_fragments))
            .collect();
        assert_eq!(places, [(8, 552, true), (560, 9, false)]);
        assert_eq!(pieces[1].1, packet(561, |_| {}).to_vec()[20 + 552..]);
    }

    /// RFC 791 §3.1.
    #[test]
    fn later_fragments_have_the_copied_options_alone() {
        let mut options = RawOptions::new();
        // Record route, which is not copied, then router alert, which is.
        options.extend_from_slice(&[7, 7, 4, 0, 0, 0, 0, 1]);
        options.extend_from_slice(&ipv4_options::ROUTER_ALERT_OPTION);
        let pieces = cut(packet(100, |header| header.options = options), 80);
        assert_eq!(pieces[0].0.options, options);
        let later = &pieces[1].0.options;
        assert_eq!(later[..], ipv4_options::ROUTER_ALERT_OPTION);
        let data: Vec<u8> = pieces.into_iter().flat_map(|(_, data)| data).collect();
        assert_eq!(data, packet(100, |_| {}).to_vec()[20..]);
    }

    #[test]
    fn an_mtu_below_every_fragment_is_an_error() {
        assert!(to_fit(packet(100, |_| {}), 27).is_err());
    }
}
