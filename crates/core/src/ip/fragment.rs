//! Sending fragments (RFC 791 §3.2, RFC 8200 §4.5), and the identifications of packets.

use super::extras::Extras;
use super::send::{push_before_fragment, set_options};
use crate::{Context, Counter, Error, Packet, Payload, Rng, SendInfo};
use bytes::Bytes;
use core::hash::Hasher;
use siphasher::sip::SipHasher13;
use sockeye_link::offload;
use sockeye_wire::ipv4::RawOptions;
use sockeye_wire::{IpProtocol, ipv4, ipv4_options, ipv6, ipv6_ext};
use std::net::{IpAddr, Ipv4Addr};

/// Counters of IPv4 identifications; flows share them by hash.
const COUNTERS: usize = 256;

/// IPv4 identifications: unique for long within a flow, and telling nothing about others.
///
/// RFC 6864 §4.3 and RFC 7739: a counter for each group of flows, at an offset of each flow's own.
#[derive(Debug)]
pub(crate) struct Identifications {
    counters: Box<[u16; COUNTERS]>,
    keys: (u64, u64),
}

impl Identifications {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        Self {
            counters: Box::new([0; COUNTERS]),
            keys: (rng.next_u64(), rng.next_u64()),
        }
    }

    pub(crate) fn next(
        &mut self,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        protocol: IpProtocol,
    ) -> u16 {
        let mut hasher = SipHasher13::new_with_keys(self.keys.0, self.keys.1);
        hasher.write(&source.octets());
        hasher.write(&destination.octets());
        hasher.write_u8(protocol.0);
        let hash = hasher.finish();
        let counter = &mut self.counters[hash as usize % COUNTERS];
        *counter = counter.wrapping_add(1);
        counter.wrapping_add((hash >> 48) as u16)
    }
}

/// Cuts a packet whose window stands at the transport header into the IP packets that carry it.
///
/// # Errors
/// [`Error::MessageSize`] when the route carries no fragments at all, [`Error::NoBufferSpace`]
/// when they would not all fit the interface's queue: a part of them is of no use.
pub(super) fn cut(
    cx: &mut Context<'_>,
    info: &SendInfo,
    extras: &Extras,
    mut packet: Packet,
) -> Result<Vec<Packet>, Error> {
    // The checksum lies in the first fragment and covers all of them.
    offload::fill_checksum(&mut packet).map_err(|_| Error::Invalid)?;
    let headers = match info.destination {
        IpAddr::V4(_) => ipv4::HEADER_LEN,
        IpAddr::V6(_) => ipv6::HEADER_LEN + ipv6_ext::FRAGMENT_LEN,
    };
    let headers = headers + extras.len(info.destination.is_ipv4()).0;
    let room = (info.route.mtu as usize).saturating_sub(headers) & !7;
    if room == 0 {
        return Err(Error::MessageSize);
    }
    let total = packet.len();
    let count = total.div_ceil(room);
    if count > cx.tx_room(info.route.interface) {
        cx.counters.add(Counter::IpOutDiscards);
        return Err(Error::NoBufferSpace);
    }
    let mut slices = packet.into_payload();
    let identification = match (info.route.source, info.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let ids = &mut cx.inet.identifications;
            u32::from(ids.next(source, destination, info.protocol))
        }
        // RFC 7739 §5.1: unpredictable.
        _ => cx.rng.next_u32(),
    };
    let mut fragments = Vec::with_capacity(count);
    for number in 0..count {
        let piece = ipv6_ext::Fragment {
            next_header: info.protocol,
            offset: u16::try_from(number * room).map_err(|_| Error::MessageSize)?,
            more: number + 1 < count,
            identification,
        };
        let mut fragment = Packet::with_payload(split_off_front(&mut slices, room));
        push_header(cx, info, extras, &mut fragment, piece)?;
        fragments.push(fragment);
    }
    cx.counters.add(Counter::IpFragOKs);
    cx.counters.add_n(Counter::IpFragCreates, count as u64);
    Ok(fragments)
}

fn push_header(
    cx: &Context<'_>,
    info: &SendInfo,
    extras: &Extras,
    fragment: &mut Packet,
    piece: ipv6_ext::Fragment,
) -> Result<(), Error> {
    let protocol = match info.destination {
        IpAddr::V4(_) => info.protocol,
        IpAddr::V6(_) => {
            piece.emit(fragment.push(ipv6_ext::FRAGMENT_LEN));
            push_before_fragment(extras, IpProtocol::FRAGMENT, fragment)
        }
    };
    let len = u16::try_from(fragment.len()).map_err(|_| Error::MessageSize)?;
    match (info.route.source, info.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let mut header = ipv4::Header::new(source, destination, protocol, len);
            header.tos = info.traffic_class;
            header.ttl = info.hop_limit;
            header.dont_fragment = false;
            header.identification = piece.identification as u16;
            header.more_fragments = piece.more;
            header.fragment_offset = piece.offset;
            if let Some(options) = &extras.options {
                let mut bytes = options.for_packet(source, destination, cx.now);
                header.destination = options.first_hop(destination);
                // RFC 791 §3.1: of the options only those that say so are in every fragment.
                if piece.offset != 0 {
                    let all = RawOptions::from_slice(&bytes).ok_or(Error::Invalid)?;
                    bytes = ipv4_options::copied(&all).to_vec();
                }
                set_options(&mut header, &bytes)?;
            }
            header.emit(fragment.push(header.header_len()));
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let mut header = ipv6::Header::new(source, destination, protocol, len);
            header.traffic_class = info.traffic_class;
            header.flow_label = info.flow_label;
            header.hop_limit = info.hop_limit;
            header.emit(fragment.push(ipv6::HEADER_LEN));
        }
        _ => return Err(Error::AddressFamily),
    }
    Ok(())
}

/// Takes the first `len` bytes off the front of `slices`, or all there are.
pub(super) fn split_off_front(slices: &mut Payload, mut len: usize) -> Payload {
    let mut front = Payload::new();
    while len > 0 && !slices.is_empty() {
        let first = &mut slices[0];
        let part: Bytes = first.split_to(len.min(first.len()));
        if first.is_empty() {
            slices.remove(0);
        }
        len -= part.len();
        front.push(part);
    }
    front
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_split_where_asked() {
        let mut slices: Payload = [&b"abc"[..], b"", b"defg", b"h"]
            .into_iter()
            .map(Bytes::from_static)
            .collect();
        assert_eq!(split_off_front(&mut slices, 5).concat(), b"abcde");
        assert_eq!(split_off_front(&mut slices, 9).concat(), b"fgh");
        assert!(slices.is_empty());
    }

    #[test]
    fn identifications_of_a_flow_do_not_repeat_soon() {
        let mut ids = Identifications::new(&mut Rng::new([1; 32]));
        let (a, b) = (Ipv4Addr::LOCALHOST, Ipv4Addr::BROADCAST);
        let first = ids.next(a, b, IpProtocol::UDP);
        for n in 1..=u16::MAX {
            assert_eq!(ids.next(a, b, IpProtocol::UDP), first.wrapping_add(n));
        }
        assert_eq!(ids.next(a, b, IpProtocol::UDP), first);
    }
}
