//! C structures as bytes: fields by their offsets, and structures that grow with the kernels.

use crate::error::{os, to_io};
use crate::socket::Domain;
use sockeye_core::Error;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A structure by the offsets of its fields, all of which lie in it.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl Fields<'_> {
    pub(super) fn array<const N: usize>(self, at: usize) -> [u8; N] {
        let bytes = self.0.get(at..).and_then(<[u8]>::first_chunk);
        bytes.copied().unwrap_or([0; N])
    }

    pub(super) fn u8(self, at: usize) -> u8 {
        u8::from_ne_bytes(self.array(at))
    }

    pub(super) fn u16(self, at: usize) -> u16 {
        u16::from_ne_bytes(self.array(at))
    }

    pub(super) fn u32(self, at: usize) -> u32 {
        u32::from_ne_bytes(self.array(at))
    }

    pub(super) fn i32(self, at: usize) -> i32 {
        i32::from_ne_bytes(self.array(at))
    }

    pub(super) fn u64(self, at: usize) -> u64 {
        u64::from_ne_bytes(self.array(at))
    }

    /// A field of one bit in the u32 at `at`.
    pub(super) fn bit(self, at: usize, number: u32) -> bool {
        self.u32(at) & mask(number, 32) != 0
    }

    /// What is left of that u32 behind its first `number` bits.
    pub(super) fn bits_from(self, at: usize, number: u32) -> u32 {
        let known = (0..number).fold(0, |bits, number| bits | mask(number, 32));
        self.u32(at) & !known
    }

    /// The sockaddr in front, and its port.
    pub(super) fn address(self) -> Option<(IpAddr, u16)> {
        let port = u16::from_be_bytes(self.array(2));
        match i32::from(self.u16(0)) {
            libc::AF_INET => Some((Ipv4Addr::from(self.array::<4>(4)).into(), port)),
            libc::AF_INET6 => Some((Ipv6Addr::from(self.array::<16>(8)).into(), port)),
            _ => None,
        }
    }

    /// The same, which has to be of the socket's family.
    pub(super) fn address_for(self, domain: Domain) -> io::Result<(IpAddr, u16)> {
        match (domain, self.address()) {
            (Domain::IPV4, Some((ip @ IpAddr::V4(_), port))) => Ok((ip, port)),
            (Domain::IPV6, Some((ip @ IpAddr::V6(_), port))) => Ok((ip.to_canonical(), port)),
            _ => Err(invalid()),
        }
    }
}

/// The place of a bit field: C counts them from the end that the machine's integers begin with.
pub(super) const fn mask(number: u32, width: u32) -> u32 {
    if cfg!(target_endian = "big") {
        1 << (width - 1 - number)
    } else {
        1 << number
    }
}

/// The structure of `len` bytes in `value`, which may be a later, longer one whose rest says nothing.
pub(super) fn whole(value: &[u8], len: usize) -> io::Result<&[u8]> {
    let (known, rest) = value.split_at_checked(len).ok_or_else(invalid)?;
    if rest.iter().any(|byte| *byte != 0) {
        return Err(os(libc::E2BIG));
    }
    Ok(known)
}

/// Takes what is there of a structure; an earlier, shorter one has zeros for the rest.
pub(super) fn copy(from: &[u8], to: &mut [u8]) -> io::Result<()> {
    if from.is_empty() {
        return Err(invalid());
    }
    let len = from.len().min(to.len());
    to[..len].copy_from_slice(&from[..len]);
    if from[len..].iter().any(|byte| *byte != 0) {
        return Err(os(libc::E2BIG));
    }
    Ok(())
}

pub(super) fn invalid() -> io::Error {
    to_io(Error::Invalid)
}
