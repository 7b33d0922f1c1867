//! OSPFv2's packets and link state advertisements as they are on the wire (RFC 2328 §A).

use std::mem::size_of;
use std::net::Ipv4Addr;
use zerocopy::byteorder::network_endian::{I32, U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

pub(crate) const HELLO: u8 = 1;
pub(crate) const DESCRIPTION: u8 = 2;
pub(crate) const REQUEST: u8 = 3;
pub(crate) const UPDATE: u8 = 4;
pub(crate) const ACK: u8 = 5;

/// The kinds of advertisements that this example reads; it keeps the others, too.
pub(crate) const ROUTER: u8 = 1;
pub(crate) const NETWORK: u8 = 2;

/// Flags of a description.
pub(crate) const INIT: u8 = 4;
pub(crate) const MORE: u8 = 2;
pub(crate) const MASTER: u8 = 1;

/// The area takes routes from other systems.
pub(crate) const OPTION_E: u8 = 2;

/// The age of what is to be forgotten, in seconds (RFC 2328 §B).
pub(crate) const MAX_AGE: u16 = 3600;
/// Ages further apart than this are of two different instances, in seconds (RFC 2328 §B).
const MAX_AGE_DIFF: u16 = 900;

/// Structures that are on the wire as they are here.
macro_rules! on_the_wire {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty),* })*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
        #[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
        #[repr(C)]
        pub(crate) struct $name { $(pub(crate) $field: $type),* }
    )* };
}

on_the_wire! {
    /// An address, a router's identifier.
    Ip { octets: [u8; 4] }
    /// Before every packet. Without authentication, and of area 0, the last fields are zero.
    PacketHeader { version: u8, kind: u8, len: U16, router: Ip, area: U32, checksum: U16, auth: [u8; 10] }
    /// The router identifiers of the neighbours follow.
    Hello { mask: U32, interval: U16, options: u8, priority: u8, dead: U32, designated: Ip, backup: Ip }
    /// Headers of advertisements follow.
    Description { mtu: U16, options: u8, flags: u8, seq: U32 }
    /// What an advertisement is about, as it is asked for: all its instances have the same.
    Key { kind: U32, id: Ip, by: Ip }
    /// Names one instance of an advertisement.
    Header { age: U16, options: u8, kind: u8, id: Ip, by: Ip, seq: I32, checksum: U16, len: U16 }
    /// One link of a router's advertisement.
    RouterLink { id: Ip, data: Ip, kind: u8, tos: u8, metric: U16 }
}

impl From<Ipv4Addr> for Ip {
    fn from(address: Ipv4Addr) -> Self {
        Self {
            octets: address.octets(),
        }
    }
}

impl From<Ip> for Ipv4Addr {
    fn from(ip: Ip) -> Self {
        ip.octets.into()
    }
}

impl Header {
    pub(crate) fn key(&self) -> Key {
        Key {
            kind: u32::from(self.kind).into(),
            id: self.id,
            by: self.by,
        }
    }

    /// Whether this instance is newer than another one (RFC 2328 §13.1).
    pub(crate) fn is_newer(&self, than: &Self) -> bool {
        let (mine, theirs) = ((self.seq, self.checksum), (than.seq, than.checksum));
        let (my_age, their_age) = (self.age.get(), than.age.get());
        if mine != theirs {
            mine > theirs
        } else if (my_age >= MAX_AGE) != (their_age >= MAX_AGE) {
            my_age >= MAX_AGE
        } else {
            my_age.abs_diff(their_age) > MAX_AGE_DIFF && my_age < their_age
        }
    }
}

/// A whole advertisement.
#[derive(Clone, Debug)]
pub(crate) struct Lsa {
    pub(crate) header: Header,
    pub(crate) body: Vec<u8>,
}

impl Lsa {
    pub(crate) fn new(mut header: Header, body: Vec<u8>) -> Self {
        header.len = ((size_of::<Header>() + body.len()) as u16).into();
        let mut lsa = Self { header, body };
        lsa.header.checksum = lsa.checksum().into();
        lsa
    }

    /// The first one of `octets`, whether whole or not, and the rest.
    pub(crate) fn read(octets: &[u8]) -> Option<(Self, &[u8])> {
        let (header, _) = Header::read_from_prefix(octets).ok()?;
        let (all, rest) = octets.split_at_checked(header.len.get().into())?;
        let body = all.get(size_of::<Header>()..)?.to_vec();
        Some((Self { header, body }, rest))
    }

    /// Fletcher's, of all but the age, which changes on the way (RFC 2328 §12.1.7).
    pub(crate) fn checksum(&self) -> u16 {
        let mut header = self.header;
        header.checksum = 0.into();
        let octets = [&header.as_bytes()[2..], &self.body].concat();
        let (mut c0, mut c1) = (0_i64, 0_i64);
        for octet in &octets {
            c0 = (c0 + i64::from(*octet)) % 255;
            c1 = (c1 + c0) % 255;
        }
        // Its own place is 14 octets from the start; zero is written as 255.
        let nonzero = |value: i64| (value - 1).rem_euclid(255) + 1;
        let x = nonzero((octets.len() as i64 - 15) * c0 - c1);
        (x as u16) << 8 | nonzero(-c0 - x) as u16
    }
}

/// A packet of area 0 without authentication.
pub(crate) fn packet(router: Ip, kind: u8, body: &[u8]) -> Vec<u8> {
    let len = (size_of::<PacketHeader>() + body.len()) as u16;
    let mut header = PacketHeader {
        version: 2,
        kind,
        len: len.into(),
        router,
        ..PacketHeader::default()
    };
    header.checksum = internet_checksum(&[header.as_bytes(), body].concat()).into();
    [header.as_bytes(), body].concat()
}

/// Who sent a packet, of what kind it is, and its body, if it is one for us (RFC 2328 §8.2).
pub(crate) fn open(octets: &[u8]) -> Option<(Ip, u8, &[u8])> {
    let (header, _) = PacketHeader::read_from_prefix(octets).ok()?;
    let octets = octets.get(..header.len.get().into())?;
    let ours = (header.version, header.area.get(), &header.auth[..2]) == (2, 0, &[0, 0]);
    let body = octets.get(size_of::<PacketHeader>()..)?;
    (ours && internet_checksum(octets) == 0).then_some((header.router, header.kind, body))
}

/// As many of these as there are.
pub(crate) fn list<T: FromBytes>(octets: &[u8]) -> impl Iterator<Item = T> {
    octets
        .chunks_exact(size_of::<T>())
        .filter_map(|chunk| T::read_from_bytes(chunk).ok())
}

/// RFC 1071.
fn internet_checksum(octets: &[u8]) -> u16 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    let sum: u32 = octets.chunks(2).map(word).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !(folded + (folded >> 16)) as u16
}
