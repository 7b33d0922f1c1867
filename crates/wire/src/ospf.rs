//! OSPF version 2: packets and link state advertisements (RFC 2328 §A). No part of a node speaks it;
//! it is for programs over raw sockets, such as `examples/ospf.rs`.

use crate::{ParseError, checksum};
use std::net::Ipv4Addr;

/// All routers of a network that speak it (RFC 2328 §A.1).
pub const ALL_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 5);
/// The designated one of these, and its backup.
pub const DESIGNATED_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 6);
/// Bytes before the body of a packet.
pub const HEADER_LEN: usize = 24;
/// The age of what is to be forgotten, in seconds (RFC 2328 §B).
pub const MAX_AGE: u16 = 3600;
/// Ages further apart than this are of two different instances, in seconds (RFC 2328 §B).
const MAX_AGE_DIFF: u16 = 900;
const VERSION: u8 = 2;

/// The area takes routes from other systems (RFC 2328 §A.2).
pub const OPTION_E: u8 = 2;
/// Of a description: it is the first.
pub const INIT: u8 = 4;
/// Of a description: others follow.
pub const MORE: u8 = 2;
/// Of a description: it is the master's.
pub const MASTER: u8 = 1;
/// The advertisement of a router, about its links.
pub const ROUTER: u8 = 1;
/// The advertisement of a network's designated router, about who is on it.
pub const NETWORK: u8 = 2;
/// A router's link to a network with other routers.
pub const TRANSIT: u8 = 2;
/// A router's link to a network without others.
pub const STUB: u8 = 3;

/// What a packet is (RFC 2328 §A.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Its sender is there, and hears some neighbours.
    Hello,
    /// What its sender's database has.
    Description,
    /// What its sender wants of another's database.
    Request,
    /// Advertisements.
    Update,
    /// Advertisements that have arrived.
    Acknowledgment,
}

impl Kind {
    const ALL: [Self; 5] = [
        Self::Hello,
        Self::Description,
        Self::Request,
        Self::Update,
        Self::Acknowledgment,
    ];
}

/// A packet of area 0 without authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Its sender's id.
    pub router: Ipv4Addr,
    /// What the body is.
    pub kind: Kind,
    /// What follows the header.
    pub body: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads a packet as RFC 2328 §8.2 has it checked.
    ///
    /// # Errors
    /// It is cut short or damaged, or [`ParseError::Unsupported`]: of another version or area, or
    /// authenticated.
    pub fn parse(octets: &'a [u8]) -> Result<Self, ParseError> {
        let header = octets.first_chunk::<HEADER_LEN>();
        let header = header.ok_or(ParseError::Truncated)?;
        let len = usize::from(u16::read(&header[2..]));
        let octets = octets.get(..len).ok_or(ParseError::Truncated)?;
        let body = octets.get(HEADER_LEN..).ok_or(ParseError::Truncated)?;
        let kind = usize::from(header[1]).wrapping_sub(1);
        let (Some(kind), VERSION, [0, 0, 0, 0], [0, 0]) = (
            Kind::ALL.get(kind),
            header[0],
            &header[8..12],
            &header[14..16],
        ) else {
            return Err(ParseError::Unsupported);
        };
        if checksum::of(octets) != 0 {
            return Err(ParseError::BadChecksum);
        }
        let router = Ipv4Addr::read(&header[4..]);
        let kind = *kind;
        Ok(Self { router, kind, body })
    }

    /// The packet as it is sent.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let place = Kind::ALL.iter().position(|kind| *kind == self.kind);
        let kind = place.map_or(0, |place| place + 1) as u8;
        let mut out = vec![VERSION, kind];
        short(HEADER_LEN + self.body.len()).put(&mut out);
        self.router.put(&mut out);
        out.resize(HEADER_LEN, 0);
        out.extend_from_slice(self.body);
        let sum = checksum::of(&out);
        out[12..14].copy_from_slice(&sum.to_be_bytes());
        out
    }
}

/// A length; what has no room in 16 bits is as much as has.
fn short(len: usize) -> u16 {
    u16::try_from(len).unwrap_or(u16::MAX)
}

/// What takes the same number of bytes always.
pub trait Fixed: Sized {
    /// So many.
    const LEN: usize;

    /// Reads the front of `octets`.
    ///
    /// # Panics
    /// When there are fewer: see [`split`](Self::split).
    fn read(octets: &[u8]) -> Self;

    /// Writes it behind `out`.
    fn put(&self, out: &mut Vec<u8>);

    /// Reads the front, and gives back the rest.
    fn split(octets: &[u8]) -> Option<(Self, &[u8])> {
        let (own, rest) = octets.split_at_checked(Self::LEN)?;
        Some((Self::read(own), rest))
    }
}

/// As many of these as are whole.
pub fn list<T: Fixed>(octets: &[u8]) -> impl Iterator<Item = T> {
    octets.chunks_exact(T::LEN).map(T::read)
}

/// Some of these, one behind the other.
pub fn octets<'a, T: Fixed + 'a>(list: impl IntoIterator<Item = &'a T>) -> Vec<u8> {
    let mut out = Vec::new();
    list.into_iter().for_each(|one| one.put(&mut out));
    out
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl Fixed for $number {
            const LEN: usize = size_of::<Self>();

            fn read(octets: &[u8]) -> Self {
                let mut own = [0; Self::LEN];
                own.copy_from_slice(&octets[..Self::LEN]);
                Self::from_be_bytes(own)
            }

            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }
        }
    )*};
}

numbers! { u8 u16 u32 i32 }

impl Fixed for Ipv4Addr {
    const LEN: usize = 4;

    fn read(octets: &[u8]) -> Self {
        u32::read(octets).into()
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.octets());
    }
}

macro_rules! structures {
    ($($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name {
            $($(#[$about])* pub $field: $type,)*
        }

        impl Fixed for $name {
            const LEN: usize = 0 $(+ <$type as Fixed>::LEN)*;

            fn read(mut octets: &[u8]) -> Self {
                $(
                    let $field = <$type>::read(octets);
                    octets = &octets[<$type as Fixed>::LEN..];
                )*
                let _behind = octets;
                Self { $($field),* }
            }

            fn put(&self, out: &mut Vec<u8>) {
                $(self.$field.put(out);)*
            }
        }
    )*};
}

structures! {
    /// The front of a hello (RFC 2328 §A.3.2); the ids of the neighbours follow.
    Hello {
        /// The network's.
        mask: Ipv4Addr,
        /// Seconds from one to the next.
        interval: u16,
        /// What its sender can.
        options: u8,
        /// 0 for who is never designated.
        priority: u8,
        /// Seconds after which a silent neighbour is gone.
        dead: u32,
        /// The address of the designated router.
        designated: Ipv4Addr,
        /// The address of its backup.
        backup: Ipv4Addr,
    }
    /// The front of a description (RFC 2328 §A.3.3); headers of advertisements follow.
    Description {
        /// Bytes that its sender's interface takes.
        mtu: u16,
        /// What its sender can.
        options: u8,
        /// [`INIT`], [`MORE`], [`MASTER`].
        flags: u8,
        /// Its number.
        seq: u32,
    }
    /// What an advertisement is about, as it is requested: all its instances have the same.
    Key {
        /// [`ROUTER`], [`NETWORK`] or another.
        kind: u32,
        /// What of its kind.
        id: Ipv4Addr,
        /// Who says it.
        by: Ipv4Addr,
    }
    /// The header of an advertisement (RFC 2328 §A.4.1), which names one instance.
    Header {
        /// Seconds.
        age: u16,
        /// What its sender can.
        options: u8,
        /// [`ROUTER`], [`NETWORK`] or another.
        kind: u8,
        /// What of its kind.
        id: Ipv4Addr,
        /// Who says it.
        by: Ipv4Addr,
        /// Greater in newer instances.
        seq: i32,
        /// Fletcher's, of all but the age.
        checksum: u16,
        /// Bytes, this header included.
        len: u16,
    }
    /// One link of a router's advertisement (RFC 2328 §A.4.2).
    Link {
        /// The address of a designated router, or a network.
        id: Ipv4Addr,
        /// The router's own address there, or a network's mask.
        data: Ipv4Addr,
        /// [`TRANSIT`], [`STUB`] or another.
        kind: u8,
        /// Metrics for other types of service, which nobody has any more.
        tos: u8,
        /// What it costs.
        metric: u16,
    }
}

impl Hello {
    /// Whether they may become neighbours who say so (RFC 2328 §10.5).
    #[must_use]
    pub fn agrees_with(&self, other: &Self) -> bool {
        let agreed = |hello: &Self| (hello.mask, hello.interval, hello.dead);
        agreed(self) == agreed(other)
    }
}

impl Description {
    /// The front of one.
    #[must_use]
    pub const fn new(mtu: u16, options: u8, flags: u8, seq: u32) -> Self {
        Self {
            mtu,
            options,
            flags,
            seq,
        }
    }
}

impl Key {
    /// What a router says of itself.
    #[must_use]
    pub fn of_router(id: Ipv4Addr) -> Self {
        let kind = ROUTER.into();
        Self { kind, id, by: id }
    }
}

impl Link {
    /// A link of a kind to `id`, with its data, at one cost.
    #[must_use]
    pub const fn new(kind: u8, (id, data): (Ipv4Addr, Ipv4Addr), metric: u16) -> Self {
        Self {
            id,
            data,
            kind,
            tos: 0,
            metric,
        }
    }
}

impl Header {
    /// Of a new instance, for [`Lsa::new`].
    #[must_use]
    pub const fn new(key: Key, options: u8, seq: i32) -> Self {
        Self {
            age: 0,
            options,
            // Numbers beyond one byte are none.
            kind: key.kind as u8,
            id: key.id,
            by: key.by,
            seq,
            checksum: 0,
            len: 0,
        }
    }

    /// What it is about.
    #[must_use]
    pub fn key(&self) -> Key {
        let Self { kind, id, by, .. } = *self;
        let kind = kind.into();
        Key { kind, id, by }
    }

    /// Whether this instance is newer than another one (RFC 2328 §13.1).
    #[must_use]
    pub fn is_newer(&self, than: &Self) -> bool {
        let (mine, theirs) = ((self.seq, self.checksum), (than.seq, than.checksum));
        if mine != theirs {
            mine > theirs
        } else if (self.age >= MAX_AGE) != (than.age >= MAX_AGE) {
            self.age >= MAX_AGE
        } else {
            self.age.abs_diff(than.age) > MAX_AGE_DIFF && self.age < than.age
        }
    }
}

/// An advertisement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lsa {
    /// Its header.
    pub header: Header,
    /// What it says.
    pub body: Vec<u8>,
}

impl Lsa {
    /// One of our own; length and checksum are filled in.
    #[must_use]
    pub fn new(mut header: Header, body: Vec<u8>) -> Self {
        header.len = short(Header::LEN + body.len());
        let mut lsa = Self { header, body };
        lsa.header.checksum = lsa.fletcher();
        lsa
    }

    /// A router's own (RFC 2328 §A.4.2), without flags.
    #[must_use]
    pub fn of_links(header: Header, links: &[Link]) -> Self {
        let mut body = vec![0, 0];
        short(links.len()).put(&mut body);
        links.iter().for_each(|link| link.put(&mut body));
        Self::new(header, body)
    }

    /// The first one of `octets`, and the rest; none that is not whole.
    #[must_use]
    pub fn split(octets: &[u8]) -> Option<(Self, &[u8])> {
        let (header, _) = Header::split(octets)?;
        let (all, rest) = octets.split_at_checked(header.len.into())?;
        let body = all.get(Header::LEN..)?.to_vec();
        Some((Self { header, body }, rest))
    }

    /// Whether its checksum is right.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.header.checksum == self.fletcher()
    }

    /// As old as it is after so many seconds, and a second older for the way (RFC 2328 §13.3).
    #[must_use]
    pub fn aged(&self, seconds: u64) -> Self {
        let age = seconds
            .saturating_add(self.header.age.into())
            .saturating_add(1);
        let age = age.min(MAX_AGE.into()) as u16;
        let header = Header { age, ..self.header };
        let body = self.body.clone();
        Self { header, body }
    }

    /// As it is sent.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = octets([&self.header]);
        out.extend_from_slice(&self.body);
        out
    }

    /// Of all but the age, which changes on the way (RFC 2328 §12.1.7, RFC 905 annex B).
    fn fletcher(&self) -> u16 {
        let mut lsa = self.to_vec();
        lsa[16..18].fill(0);
        let (mut c0, mut c1) = (0_i64, 0_i64);
        for octet in &lsa[2..] {
            c0 = (c0 + i64::from(*octet)) % 255;
            c1 = (c1 + c0) % 255;
        }
        // Its own place is 14 octets from where it starts; zero is written as 255.
        let nonzero = |value: i64| (value - 1).rem_euclid(255) + 1;
        let x = nonzero((lsa.len() as i64 - 17) * c0 - c1);
        (x as u16) << 8 | nonzero(-c0 - x) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ROUTER_ID: Ipv4Addr = Ipv4Addr::new(1, 1, 1, 1);

    fn header(seq: i32, age: u16) -> Header {
        let own = Header::new(Key::of_router(ROUTER_ID), OPTION_E, seq);
        Header { age, ..own }
    }

    /// RFC 2328 §13.1: by number, checksum and age.
    #[test]
    fn which_of_two_instances_is_newer() {
        for ((seq, age), (other, other_age), newer) in [
            ((2, 0), (1, 0), true),
            ((i32::MIN, 0), (1, 0), false),
            ((1, MAX_AGE), (1, 5), true),
            ((1, 5), (1, MAX_AGE), false),
            ((1, 5), (1, 1000), true),
            ((1, 5), (1, 905), false),
            ((1, 1000), (1, 5), false),
        ] {
            let (mine, theirs) = (header(seq, age), header(other, other_age));
            assert_eq!(
                mine.is_newer(&theirs),
                newer,
                "{seq} {age}, {other} {other_age}"
            );
        }
    }

    #[test]
    fn what_is_no_packet_of_ours_is_refused() {
        let (router, body) = (ROUTER_ID, &[1, 2, 3][..]);
        let kind = Kind::Update;
        let good = Packet { router, kind, body }.to_vec();
        assert_eq!(Packet::parse(&good), Ok(Packet { router, kind, body }));
        for (at, error) in [
            (0, ParseError::Unsupported),
            (1, ParseError::Unsupported),
            (2, ParseError::Truncated),
            (8, ParseError::Unsupported),
            (14, ParseError::Unsupported),
            (26, ParseError::BadChecksum),
        ] {
            let mut bad = good.clone();
            bad[at] ^= 0x40;
            assert_eq!(Packet::parse(&bad), Err(error), "byte {at}");
        }
        assert_eq!(Packet::parse(&good[..26]), Err(ParseError::Truncated));
    }

    proptest! {
        #[test]
        fn any_octets_are_read_without_a_panic(octets in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = Packet::parse(&octets);
            let _ = Lsa::split(&octets);
            let _ = Hello::split(&octets);
            let _ = list::<Link>(&octets).count();
        }

        #[test]
        fn an_advertisement_comes_back(seq: i32, body in prop::collection::vec(any::<u8>(), 0..100)) {
            let lsa = Lsa::new(header(seq, 7), body);
            let mut octets = lsa.to_vec();
            octets.push(9);
            let (read, rest) = Lsa::split(&octets).unwrap();
            prop_assert!(read.is_intact());
            prop_assert_eq!((&read, rest), (&lsa, &[9][..]));
            prop_assert!(lsa.aged(5).is_intact());
            prop_assert_eq!(lsa.aged(5).header.age, 13);
            let damaged = Lsa { header: Header { seq: seq ^ 1, ..lsa.header }, ..lsa };
            prop_assert!(!damaged.is_intact());
        }
    }
}
