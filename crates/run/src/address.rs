//! Socket addresses as the C ABI lays them out.

use crate::backend::{Domain, Errno};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// `sizeof(struct sockaddr_storage)`: no address is longer.
pub(crate) const STORAGE: usize = 128;

/// `sizeof(struct sockaddr_in)`.
const V4_LEN: usize = 16;
/// `sizeof(struct sockaddr_in6)` without the scope id, which RFC 2133 did not have.
const V6_LEN_SHORT: usize = 24;
/// `sizeof(struct sockaddr_in6)`.
const V6_LEN: usize = 28;

/// An address that a program gives to bind, connect or sendto.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Given {
    /// `AF_UNSPEC`.
    Unspecified,
    /// An internet address.
    Internet(SocketAddr),
}

/// Reads an address as a socket of this domain does.
pub(crate) fn parse(domain: Domain, octets: &[u8]) -> Result<Given, Errno> {
    let family = match octets {
        [a, b, ..] => i32::from(u16::from_ne_bytes([*a, *b])),
        _ => return Err(Errno::INVAL),
    };
    match (family, domain) {
        (libc::AF_UNSPEC, _) => Ok(Given::Unspecified),
        (libc::AF_INET, Domain::Ipv4) => v4(octets).map(|address| Given::Internet(address.into())),
        (libc::AF_INET6, Domain::Ipv6) => v6(octets).map(|address| Given::Internet(address.into())),
        _ => Err(Errno::AFNOSUPPORT),
    }
}

/// Reads a `sockaddr_in`, whatever its family says.
pub(crate) fn v4(octets: &[u8]) -> Result<SocketAddrV4, Errno> {
    let octets = octets.get(..V4_LEN).ok_or(Errno::INVAL)?;
    let address = Ipv4Addr::new(octets[4], octets[5], octets[6], octets[7]);
    Ok(SocketAddrV4::new(
        address,
        u16::from_be_bytes([octets[2], octets[3]]),
    ))
}

fn v6(octets: &[u8]) -> Result<SocketAddrV6, Errno> {
    let fixed = octets.get(..V6_LEN_SHORT).ok_or(Errno::INVAL)?;
    let port = u16::from_be_bytes([fixed[2], fixed[3]]);
    let flow = u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]);
    let address = Ipv6Addr::from(<[u8; 16]>::try_from(&fixed[8..]).map_err(|_| Errno::INVAL)?);
    let scope = octets
        .get(V6_LEN_SHORT..V6_LEN)
        .and_then(|scope| scope.try_into().ok())
        .map_or(0, u32::from_ne_bytes);
    Ok(SocketAddrV6::new(address, port, flow, scope))
}

/// Addresses behind each other, as far as they are some.
pub(crate) fn list(mut octets: &[u8]) -> Vec<SocketAddr> {
    let mut all = Vec::new();
    while let Some(family) = octets.first_chunk() {
        let (read, len) = match i32::from(u16::from_ne_bytes(*family)) {
            libc::AF_INET => (v4(octets).map(SocketAddr::V4), V4_LEN),
            libc::AF_INET6 => (v6(octets).map(SocketAddr::V6), V6_LEN),
            _ => break,
        };
        all.extend(read);
        octets = octets.get(len..).unwrap_or_default();
    }
    all
}

/// Lays out an address for the program.
pub(crate) fn emit(address: SocketAddr) -> Vec<u8> {
    match address {
        SocketAddr::V4(address) => {
            let mut octets = Vec::with_capacity(V4_LEN);
            octets.extend((libc::AF_INET as u16).to_ne_bytes());
            octets.extend(address.port().to_be_bytes());
            octets.extend(address.ip().octets());
            octets.resize(V4_LEN, 0);
            octets
        }
        SocketAddr::V6(address) => {
            let mut octets = Vec::with_capacity(V6_LEN);
            octets.extend((libc::AF_INET6 as u16).to_ne_bytes());
            octets.extend(address.port().to_be_bytes());
            octets.extend(address.flowinfo().to_be_bytes());
            octets.extend(address.ip().octets());
            octets.extend(address.scope_id().to_ne_bytes());
            octets
        }
    }
}

/// The address nobody has set: what getsockname says of an unbound socket.
pub(crate) fn unset(domain: Domain) -> SocketAddr {
    match domain {
        Domain::Ipv4 => (Ipv4Addr::UNSPECIFIED, 0).into(),
        Domain::Ipv6 => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

/// The path in a `sockaddr_un`, if it is one with a path.
pub(crate) fn unix_path(octets: &[u8]) -> Option<&[u8]> {
    let (family, path) = octets.split_at_checked(2)?;
    let is_unix = family == (libc::AF_UNIX as u16).to_ne_bytes();
    let end = path
        .iter()
        .position(|octet| *octet == 0)
        .unwrap_or(path.len());
    (is_unix && end > 0).then(|| &path[..end])
}

/// Whether it is a `sockaddr_un` with an abstract name.
pub(crate) fn is_abstract(octets: &[u8]) -> bool {
    let family = (libc::AF_UNIX as u16).to_ne_bytes();
    octets
        .strip_prefix(&family)
        .is_some_and(|name| name.first() == Some(&0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn short_and_foreign_addresses_are_refused() {
        let v4 = emit("192.0.2.7:80".parse().unwrap());
        let v6 = emit("[2001:db8::7]:80".parse().unwrap());
        assert_eq!(parse(Domain::Ipv4, &v4[..15]), Err(Errno::INVAL));
        assert_eq!(parse(Domain::Ipv6, &v6[..23]), Err(Errno::INVAL));
        assert_eq!(parse(Domain::Ipv4, &[2]), Err(Errno::INVAL));
        assert_eq!(parse(Domain::Ipv4, &v6), Err(Errno::AFNOSUPPORT));
        assert_eq!(parse(Domain::Ipv6, &v4), Err(Errno::AFNOSUPPORT));
        assert_eq!(parse(Domain::Ipv4, &[0, 0]), Ok(Given::Unspecified));
    }

    #[test]
    fn paths_end_at_the_first_zero() {
        assert_eq!(unix_path(b"\x01\x00/run/x\0junk"), Some(&b"/run/x"[..]));
        assert_eq!(unix_path(b"\x01\x00\0abstract"), None);
        assert_eq!(unix_path(b"\x02\x00/run/x"), None);
        assert_eq!(unix_path(b"\x01"), None);
        assert!(is_abstract(b"\x01\x00\0abstract"));
        // Autobind's address, and a path.
        assert!(!is_abstract(b"\x01\x00"));
        assert!(!is_abstract(b"\x01\x00/run/x"));
    }

    proptest! {
        #[test]
        fn what_is_laid_out_is_read_again(address: SocketAddr) {
            let domain = if address.is_ipv4() { Domain::Ipv4 } else { Domain::Ipv6 };
            prop_assert_eq!(parse(domain, &emit(address)), Ok(Given::Internet(address)));
            let twice = [emit(address), emit(address)].concat();
            prop_assert_eq!(list(&twice), [address, address]);
        }

        #[test]
        fn no_octets_make_it_panic(octets in prop::collection::vec(any::<u8>(), 0..STORAGE)) {
            let _ = parse(Domain::Ipv4, &octets);
            let _ = parse(Domain::Ipv6, &octets);
            let _ = unix_path(&octets);
            let _ = list(&octets);
        }
    }
}
