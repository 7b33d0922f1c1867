//! `struct sockaddr`, both ways.

#![expect(unsafe_code, reason = "C's structures are read and written")]

use crate::error::Failure;
use crate::memory;
use libc::{sockaddr, sockaddr_in, sockaddr_in6, socklen_t};
use std::ffi::c_int;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// Bytes of `sin6_scope_id`, which RFC 2133 did not have yet; Linux takes addresses without it.
const SCOPE_LEN: usize = 4;

/// An address that C passes, `None` for AF_UNSPEC.
///
/// # Safety
/// `at` is as `memory` asks, for `len` bytes.
pub(crate) unsafe fn read(
    at: *const sockaddr,
    len: socklen_t,
) -> Result<Option<SocketAddr>, Failure> {
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    if at.is_null() {
        return Err(Failure::new(libc::EFAULT, "the address is NULL"));
    }
    // Nothing behind the longest address counts.
    let len = len.min(size_of::<libc::sockaddr_storage>());
    // SAFETY: the caller's promise.
    parse(unsafe { memory::bytes(at.cast(), len) }?)
}

/// An address in bytes: what is said in each structure, in its order, without its padding.
fn parse(bytes: &[u8]) -> Result<Option<SocketAddr>, Failure> {
    let short = || Failure::invalid("the address is shorter than its family's");
    let take = |at: usize, len: usize| bytes.get(at..at + len).ok_or_else(short);
    let family = u16::from_ne_bytes(take(0, 2)?.try_into().map_err(|_| short())?);
    let port = || -> Result<u16, Failure> {
        let port = take(2, 2)?.try_into().map_err(|_| short())?;
        Ok(u16::from_be_bytes(port))
    };
    match c_int::from(family) {
        libc::AF_UNSPEC => Ok(None),
        libc::AF_INET => {
            take(0, size_of::<sockaddr_in>())?;
            let ip: [u8; 4] = take(4, 4)?.try_into().map_err(|_| short())?;
            Ok(Some(SocketAddrV4::new(Ipv4Addr::from(ip), port()?).into()))
        }
        libc::AF_INET6 => {
            take(0, size_of::<sockaddr_in6>() - SCOPE_LEN)?;
            let flow: [u8; 4] = take(4, 4)?.try_into().map_err(|_| short())?;
            let ip: [u8; 16] = take(8, 16)?.try_into().map_err(|_| short())?;
            let scope = bytes.get(24..28).and_then(|bytes| bytes.try_into().ok());
            let scope = scope.map_or(0, u32::from_ne_bytes);
            let (ip, flow) = (Ipv6Addr::from(ip), u32::from_be_bytes(flow));
            Ok(Some(SocketAddrV6::new(ip, port()?, flow, scope).into()))
        }
        other => Err(Failure::new(
            libc::EAFNOSUPPORT,
            format!("family {other} is neither AF_INET nor AF_INET6"),
        )),
    }
}

fn lay_out(address: SocketAddr) -> Vec<u8> {
    let family = match address {
        SocketAddr::V4(_) => libc::AF_INET as u16,
        SocketAddr::V6(_) => libc::AF_INET6 as u16,
    };
    let mut out = family.to_ne_bytes().to_vec();
    out.extend(address.port().to_be_bytes());
    match address {
        SocketAddr::V4(address) => {
            out.extend(address.ip().octets());
            out.resize(size_of::<sockaddr_in>(), 0);
        }
        SocketAddr::V6(address) => {
            out.extend(address.flowinfo().to_be_bytes());
            out.extend(address.ip().octets());
            out.extend(address.scope_id().to_ne_bytes());
        }
    }
    out
}

/// Where C wants an address.
pub(crate) struct Wanted<'a> {
    room: &'a mut [u8],
    len: &'a mut socklen_t,
}

impl Wanted<'_> {
    /// Writes it, cut to the room, and the length that the whole has; none has the length 0.
    pub(crate) fn write(self, address: Option<SocketAddr>) {
        let bytes = address.map(lay_out).unwrap_or_default();
        let fits = bytes.len().min(self.room.len());
        self.room[..fits].copy_from_slice(&bytes[..fits]);
        *self.len = bytes.len() as socklen_t;
    }
}

/// The place of an address, `None` where C wants none (`at` is NULL).
///
/// # Safety
/// `len` is as `memory` asks, and `at` for so many bytes as it says.
pub(crate) unsafe fn wanted<'a>(
    at: *mut sockaddr,
    len: *mut socklen_t,
) -> Result<Option<Wanted<'a>>, Failure> {
    if at.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's promise.
    let len = unsafe { memory::one_mut(len) }?;
    let room = c_int::try_from(*len).map_err(|_| Failure::invalid("a length is negative"))?;
    // SAFETY: the caller's promise; the place of the length is no part of it, since it is C's to keep
    // two variables apart.
    let room = unsafe { memory::bytes_mut(at.cast(), room as usize) }?;
    Ok(Some(Wanted { room, len }))
}

/// The place of an address that has to be there.
///
/// # Safety
/// As for [`wanted`].
pub(crate) unsafe fn needed<'a>(
    at: *mut sockaddr,
    len: *mut socklen_t,
) -> Result<Wanted<'a>, Failure> {
    // SAFETY: the caller's promise.
    let wanted = unsafe { wanted(at, len) }?;
    wanted.ok_or_else(|| Failure::new(libc::EFAULT, "the place of the address is NULL"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_back_as_they_went() {
        for text in ["10.0.0.1:80", "[fe80::1%3]:65535", "0.0.0.0:0"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(parse(&lay_out(address)).unwrap(), Some(address));
        }
        assert_eq!(lay_out("10.0.0.1:80".parse().unwrap()).len(), 16);
        assert_eq!(lay_out("[::1]:80".parse().unwrap()).len(), 28);
    }

    #[test]
    fn what_is_short_or_of_another_family_is_refused() {
        let v4 = lay_out("10.0.0.1:80".parse().unwrap());
        let v6 = lay_out("[::1]:80".parse().unwrap());
        for short in [&v4[..15], &v4[..1], &v6[..23], &[]] {
            assert_eq!(parse(short).unwrap_err().errno, libc::EINVAL, "{short:?}");
        }
        assert!(parse(&v6[..24]).unwrap().is_some(), "RFC 2133's");
        assert_eq!(parse(&[0, 0]).unwrap(), None);
        let unix = (libc::AF_UNIX as u16).to_ne_bytes();
        assert_eq!(parse(&unix).unwrap_err().errno, libc::EAFNOSUPPORT);
    }
}
