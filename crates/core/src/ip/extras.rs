//! What a packet carries between its IP header and the transport's: IPv4 options (RFC 791 §3.1) and
//! IPv6 extension headers (RFC 8200 §4, RFC 3542).

use crate::{Error, Instant};
use bytes::Bytes;
use sockeye_wire::IpProtocol;
use sockeye_wire::ipv4::OPTIONS_LEN_MAX;
use std::net::Ipv4Addr;

/// Types of IPv4 options.
const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const RECORD_ROUTE: u8 = 7;
const TIMESTAMP: u8 = 68;
const LOOSE_ROUTE: u8 = 131;
const STRICT_ROUTE: u8 = 137;
const ROUTER_ALERT: u8 = 148;

/// What a timestamp option records: RFC 791 §3.1.
const TIMES_ONLY: u8 = 0;
const TIMES_AND_ADDRESSES: u8 = 1;
const TIMES_OF_PRESCRIBED: u8 = 3;
/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;

/// Bytes that an extension header has at the most (Linux: 8 * 255).
const HEADER_MAX: usize = 2040;

/// Headers and options of one packet, by the family that it is of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// IP_OPTIONS, IP_RETOPTS
    pub options: Option<Ipv4Options>,
    /// IPV6_HOPOPTS
    pub hop_options: Option<Bytes>,
    /// IPV6_RTHDRDSTOPTS. Without a routing header they are not sent: RFC 3542 §9.
    pub routing_options: Option<Bytes>,
    /// IPV6_DSTOPTS
    pub destination_options: Option<Bytes>,
}

impl Extras {
    /// No headers.
    pub const NONE: Self = Self {
        options: None,
        hop_options: None,
        routing_options: None,
        destination_options: None,
    };

    /// An extension header as a program gives it; its next header field means nothing. None is none.
    ///
    /// # Errors
    /// [`Error::Invalid`] for one that is not whole, or a routing header: type 0 is deprecated
    /// (RFC 5095) and no other is known.
    pub fn header(kind: IpProtocol, bytes: &[u8]) -> Result<Option<Bytes>, Error> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let length = bytes.get(1).map_or(0, |units| 8 + 8 * usize::from(*units));
        let whole = bytes.len().is_multiple_of(8) && bytes.len() <= HEADER_MAX;
        if kind == IpProtocol::ROUTING || !whole || length > bytes.len() || length == 0 {
            return Err(Error::Invalid);
        }
        Ok(Some(Bytes::copy_from_slice(&bytes[..length])))
    }

    /// Bytes before the fragment header and behind it: of an IPv4 packet its options, of an IPv6 one
    /// what every node on the way looks at, and what the destination does.
    #[must_use]
    pub fn len(&self, v4: bool) -> (usize, usize) {
        let len = |header: &Option<Bytes>| header.as_ref().map_or(0, Bytes::len);
        if v4 {
            let options = self.options.as_ref();
            return (options.map_or(0, |options| options.as_set().len()), 0);
        }
        (len(&self.hop_options), len(&self.destination_options))
    }

    /// What `self` says, and where it says nothing what `other` does.
    #[must_use]
    pub fn or(self, other: &Self) -> Self {
        Self {
            options: self.options.or_else(|| other.options.clone()),
            hop_options: self.hop_options.or_else(|| other.hop_options.clone()),
            routing_options: self
                .routing_options
                .or_else(|| other.routing_options.clone()),
            destination_options: self
                .destination_options
                .or_else(|| other.destination_options.clone()),
        }
    }
}

/// IPv4 options to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ipv4Options {
    /// As the program gave them, filled up to a multiple of four.
    bytes: Bytes,
    /// RFC 791 §3.1: of a source route the first host is where the packet goes first.
    first_hop: Option<Ipv4Addr>,
}

impl Ipv4Options {
    /// The options that a program gives; `None` for none. Who is not `privileged` may not use those
    /// that nobody knows here.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what is more than 40 bytes or no list of options,
    /// [`Error::NotPermitted`] for a source route of who is not privileged.
    pub fn new(bytes: &[u8], privileged: bool) -> Result<Option<Self>, Error> {
        if bytes.len() > OPTIONS_LEN_MAX {
            return Err(Error::Invalid);
        }
        if bytes.is_empty() {
            return Ok(None);
        }
        let mut bytes = bytes.to_vec();
        bytes.resize(bytes.len().next_multiple_of(4), END);
        let (mut at, mut first_hop, mut seen) = (0, None, Vec::new());
        while let Some(&kind) = bytes.get(at) {
            match kind {
                END => {
                    bytes[at..].fill(END);
                    break;
                }
                NO_OPERATION => {
                    at += 1;
                    continue;
                }
                _ => {}
            }
            let len = usize::from(*bytes.get(at + 1).ok_or(Error::Invalid)?);
            let option = bytes.get_mut(at..at + len).ok_or(Error::Invalid)?;
            // The two kinds of source routes count as one.
            let class = if kind == STRICT_ROUTE {
                LOOSE_ROUTE
            } else {
                kind
            };
            if len < 2 || seen.contains(&class) {
                return Err(Error::Invalid);
            }
            if matches!(class, LOOSE_ROUTE | RECORD_ROUTE | TIMESTAMP) {
                seen.push(class);
            }
            match class {
                LOOSE_ROUTE => first_hop = Some(source_route(option)?),
                RECORD_ROUTE => record_route(option)?,
                TIMESTAMP => timestamp(option, privileged)?,
                ROUTER_ALERT if len >= 4 => {}
                ROUTER_ALERT => return Err(Error::Invalid),
                _ if privileged => {}
                _ => return Err(Error::Invalid),
            }
            at += len;
        }
        // Linux: source routes are for who may do more than others.
        if first_hop.is_some() && !privileged {
            return Err(Error::NotPermitted);
        }
        let bytes = bytes.into();
        Ok(Some(Self { bytes, first_hop }))
    }

    /// Whether the packet has to pass other hosts on its way.
    #[must_use]
    pub const fn is_source_route(&self) -> bool {
        self.first_hop.is_some()
    }

    /// As they were set: IP_OPTIONS.
    #[must_use]
    pub fn as_set(&self) -> &[u8] {
        &self.bytes
    }

    /// Where a packet to `destination` goes first.
    #[must_use]
    pub fn first_hop(&self, destination: Ipv4Addr) -> Ipv4Addr {
        self.first_hop.unwrap_or(destination)
    }

    /// As they are sent from `source` to `destination`: what records has an entry of the sender's,
    /// a source route ends at the destination.
    #[must_use]
    pub fn for_packet(&self, source: Ipv4Addr, destination: Ipv4Addr, now: Instant) -> Vec<u8> {
        let mut bytes = self.bytes.to_vec();
        let mut at = 0;
        while let Some(&kind) = bytes.get(at) {
            match kind {
                END => break,
                NO_OPERATION => {
                    at += 1;
                    continue;
                }
                _ => {}
            }
            let len = usize::from(bytes[at + 1]);
            let option = &mut bytes[at..at + len];
            match kind {
                // RFC 791 §3.1: the first host stands in the destination field by now, the others move up.
                LOOSE_ROUTE | STRICT_ROUTE => {
                    option.copy_within(7.., 3);
                    option[len - 4..].copy_from_slice(&destination.octets());
                }
                RECORD_ROUTE => record(option, 4, |entry| entry.copy_from_slice(&source.octets())),
                TIMESTAMP => {
                    let ms = (now.as_millis() % DAY_MS) as u32;
                    let wide = option[3] & 0x0f != TIMES_ONLY;
                    record(option, if wide { 8 } else { 4 }, |entry| {
                        let (address, time) = entry.split_at_mut(entry.len() - 4);
                        time.copy_from_slice(&ms.to_be_bytes());
                        if !address.is_empty() {
                            address.copy_from_slice(&source.octets());
                        }
                    });
                }
                _ => {}
            }
            at += len;
        }
        bytes
    }

    /// The options that answer a packet which came with `received`, options as they stand in its
    /// header: RFC 1122 §3.2.1.8, a source route is turned round, and what was recorded goes on.
    #[must_use]
    pub fn answer(received: &[u8]) -> Vec<u8> {
        // Linux: what records comes first.
        let (mut answer, mut route) = (Vec::new(), Vec::new());
        let mut at = 0;
        while let Some(&kind) = received.get(at) {
            if kind == END {
                break;
            }
            if kind == NO_OPERATION {
                at += 1;
                continue;
            }
            let Some(option) = received
                .get(at + 1)
                .and_then(|&len| received.get(at..at + usize::from(len.max(2))))
            else {
                break;
            };
            match kind {
                RECORD_ROUTE | TIMESTAMP => answer.extend_from_slice(option),
                LOOSE_ROUTE | STRICT_ROUTE => route = turned_round(option),
                _ => {}
            }
            at += option.len();
        }
        answer.extend(route);
        answer.resize(answer.len().next_multiple_of(4), END);
        answer
    }
}

/// RFC 791 §3.1: a source route to be sent is unused, and has a host at the least.
fn source_route(option: &[u8]) -> Result<Ipv4Addr, Error> {
    match *option {
        [_, _, 4, a, b, c, d, ..] if (option.len() - 3).is_multiple_of(4) => {
            Ok(Ipv4Addr::new(a, b, c, d))
        }
        _ => Err(Error::Invalid),
    }
}

/// A record of routes may be full, else its next entry is empty.
fn record_route(option: &mut [u8]) -> Result<(), Error> {
    let pointer = usize::from(*option.get(2).ok_or(Error::Invalid)?);
    if pointer < 4 || (pointer <= option.len() && pointer + 3 > option.len()) {
        return Err(Error::Invalid);
    }
    if pointer <= option.len() {
        option[pointer - 1..pointer + 3].fill(0);
    }
    Ok(())
}

fn timestamp(option: &mut [u8], privileged: bool) -> Result<(), Error> {
    let &mut [_, _, pointer, flags, ..] = option else {
        return Err(Error::Invalid);
    };
    let pointer = usize::from(pointer);
    let entry = match flags & 0x0f {
        TIMES_ONLY => 4,
        TIMES_AND_ADDRESSES | TIMES_OF_PRESCRIBED => 8,
        _ if privileged => return Ok(()),
        _ => return Err(Error::Invalid),
    };
    let full = pointer > option.len();
    let overflowed = flags >> 4 == 15 && flags & 0x0f != TIMES_OF_PRESCRIBED;
    if pointer < 5 || full && overflowed || !full && pointer - 1 + entry > option.len() {
        return Err(Error::Invalid);
    }
    Ok(())
}

/// Writes the next entry of an option that records, and moves its pointer on.
fn record(option: &mut [u8], entry: usize, write: impl FnOnce(&mut [u8])) {
    let at = usize::from(option[2]).saturating_sub(1);
    if let Some(room) = option.get_mut(at..at + entry) {
        write(room);
        option[2] = option[2].saturating_add(entry as u8);
    }
}

/// The way back along a source route that has come to its end. Who sent it is no part of it: the
/// answer is sent there.
fn turned_round(option: &[u8]) -> Vec<u8> {
    let [kind, _, pointer, hosts @ ..] = option else {
        return Vec::new();
    };
    let used = usize::from(*pointer).saturating_sub(4).min(hosts.len());
    let passed = hosts[..used - used % 4].chunks_exact(4).rev();
    let route: Vec<u8> = passed.flatten().copied().collect();
    if route.is_empty() {
        return Vec::new();
    }
    let mut turned = vec![*kind, 3 + route.len() as u8, 4];
    turned.extend(route);
    turned
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const DESTINATION: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);

    fn sent(options: &[u8]) -> Vec<u8> {
        let options = Ipv4Options::new(options, true).unwrap().unwrap();
        options.for_packet(SOURCE, DESTINATION, Instant::from_millis(5))
    }

    #[test]
    fn what_is_no_list_of_options_is_refused() {
        for (bytes, ordinary, privileged) in [
            (&[0; 41][..], false, false),
            (&[1, 1, 1], true, true),
            (&[0, 7, 9], true, true),
            (&[7], false, false),
            (&[7, 3, 4], true, true),
            (&[7, 7, 3, 0, 0, 0, 0], false, false),
            (&[7, 6, 4, 0, 0, 0], false, false),
            (&[7, 3, 4, 7, 3, 4], false, false),
            (&[68, 8, 5, 0, 0, 0, 0, 0], true, true),
            (&[68, 8, 5, 1, 0, 0, 0, 0], false, false),
            (&[68, 4, 5, 0xf0], false, false),
            (&[131, 7, 4, 1, 2, 3, 4], false, true),
            (&[131, 7, 8, 1, 2, 3, 4], false, false),
            (&[131, 3, 4], false, false),
            (&[148, 4, 0, 0], true, true),
            (&[130, 3, 0], false, true),
        ] {
            let allowed = |privileged| Ipv4Options::new(bytes, privileged).is_ok();
            assert_eq!(
                (allowed(false), allowed(true)),
                (ordinary, privileged),
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn what_records_begins_with_the_sender() {
        assert_eq!(sent(&[7, 7, 4, 9, 9, 9, 9]), [7, 7, 8, 10, 0, 0, 1, 0]);
        assert_eq!(sent(&[7, 3, 4]), [7, 3, 4, 0], "there is no room");
        assert_eq!(sent(&[68, 8, 5, 0, 0, 0, 0, 0]), [68, 8, 9, 0, 0, 0, 0, 5]);
        let with_address = [68, 12, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(
            sent(&with_address),
            [68, 12, 13, 1, 10, 0, 0, 1, 0, 0, 0, 5]
        );
    }

    /// RFC 791 §3.1.
    #[test]
    fn a_source_route_goes_by_its_first_host() {
        let route = [131, 11, 4, 10, 0, 0, 5, 10, 0, 0, 6];
        let options = Ipv4Options::new(&route, true).unwrap().unwrap();
        assert_eq!(options.first_hop(DESTINATION), Ipv4Addr::new(10, 0, 0, 5));
        assert_eq!(sent(&route), [131, 11, 4, 10, 0, 0, 6, 10, 0, 0, 9, 0]);
        assert_eq!(options.as_set()[..11], route);
    }

    /// RFC 1122 §3.2.1.8.
    #[test]
    fn an_answer_goes_back_along_the_route() {
        let received = [1, 131, 11, 12, 10, 0, 0, 5, 10, 0, 0, 6, 7, 3, 4];
        let answer = Ipv4Options::answer(&received);
        let back = [7, 3, 4, 131, 11, 4, 10, 0, 0, 6, 10, 0, 0, 5, 0, 0];
        assert_eq!(answer, back);
        assert_eq!(Ipv4Options::answer(&[148, 4, 0, 0]), []);
        assert_eq!(Ipv4Options::answer(&[7, 200]), []);
    }
}
