//! Structures of linux/sctp.h as bytes.

use sockeye_core::Error;
use sockeye_sctp::AssocId;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

/// Bytes of a `struct sockaddr_storage`, of a `sockaddr_in` and of a `sockaddr_in6`.
pub(super) const STORAGE_LEN: usize = 128;
const IN_LEN: usize = 16;
const IN6_LEN: usize = 28;
/// Addresses that one call names at the most.
const ADDRESSES_MAX: usize = 1024;

/// Reads fields one after the other; what is not there is EINVAL.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// Those of a structure of `len` bytes: setsockopt takes it whole, no more and no less.
    pub(super) fn exactly(bytes: &'a [u8], len: usize) -> Result<Self, Error> {
        match bytes.len() == len {
            true => Ok(Self(bytes)),
            false => Err(Error::Invalid),
        }
    }

    /// Those of a structure that has `len` bytes at the least.
    pub(super) fn at_least(bytes: &'a [u8], len: usize) -> Result<Self, Error> {
        match bytes.len() >= len {
            true => Ok(Self(bytes)),
            false => Err(Error::Invalid),
        }
    }

    pub(super) fn skip(&mut self, len: usize) -> Result<&'a [u8], Error> {
        let (head, rest) = self.0.split_at_checked(len).ok_or(Error::Invalid)?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (head, rest) = self.0.split_first_chunk().ok_or(Error::Invalid)?;
        self.0 = rest;
        Ok(*head)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Error> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Error> {
        self.array().map(u16::from_ne_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_ne_bytes)
    }

    /// A payload protocol identifier, which stands in network order.
    pub(super) fn ppid(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn millis(&mut self) -> Result<Duration, Error> {
        Ok(Duration::from_millis(self.u32()?.into()))
    }

    pub(super) fn assoc(&mut self) -> Result<AssocId, Error> {
        self.array().map(i32::from_ne_bytes).map(AssocId)
    }

    /// A `struct sockaddr_storage`; `None` for the unspecified address, or no family at all.
    pub(super) fn storage(&mut self) -> Result<Option<SocketAddr>, Error> {
        let bytes = self.skip(STORAGE_LEN)?;
        let mut family = Self(bytes);
        if family.u16()? == 0 {
            return Ok(None);
        }
        let addr = Self(bytes).sockaddr()?;
        Ok(Some(addr).filter(|addr| !addr.ip().is_unspecified()))
    }

    /// A `struct sockaddr` as long as its family makes it.
    pub(super) fn sockaddr(&mut self) -> Result<SocketAddr, Error> {
        let family = i32::from(self.u16()?);
        let port = u16::from_be_bytes(self.array()?);
        match family {
            libc::AF_INET => {
                let ip = Ipv4Addr::from(self.array::<4>()?);
                self.skip(IN_LEN - 8)?;
                Ok(SocketAddr::new(ip.into(), port))
            }
            libc::AF_INET6 => {
                let flow = self.u32()?;
                let ip = Ipv6Addr::from(self.array::<16>()?);
                Ok(SocketAddrV6::new(ip, port, flow, self.u32()?).into())
            }
            _ => Err(Error::Invalid),
        }
    }

    /// Addresses behind each other to the end (sctp_bindx, sctp_connectx).
    pub(super) fn sockaddrs(&mut self) -> Result<Vec<SocketAddr>, Error> {
        let mut all = Vec::new();
        while !self.0.is_empty() {
            if all.len() == ADDRESSES_MAX {
                return Err(Error::Invalid);
            }
            all.push(self.sockaddr()?);
        }
        match all.is_empty() {
            true => Err(Error::Invalid),
            false => Ok(all),
        }
    }
}

/// Writes fields one after the other.
#[derive(Clone, Debug, Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    pub(super) fn u16(self, value: u16) -> Self {
        self.bytes(&value.to_ne_bytes())
    }

    pub(super) fn u32(self, value: u32) -> Self {
        self.bytes(&value.to_ne_bytes())
    }

    pub(super) fn u64(self, value: u64) -> Self {
        self.bytes(&value.to_ne_bytes())
    }

    pub(super) fn ppid(self, value: u32) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    pub(super) fn assoc(self, value: AssocId) -> Self {
        self.bytes(&value.0.to_ne_bytes())
    }

    pub(super) fn millis(self, time: Duration) -> Self {
        self.u32(u32::try_from(time.as_millis()).unwrap_or(u32::MAX))
    }

    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Zeros up to a length.
    pub(super) fn pad_to(mut self, len: usize) -> Self {
        self.0.resize(len.max(self.0.len()), 0);
        self
    }

    /// A `struct sockaddr_storage`.
    pub(super) fn storage(self, addr: Option<SocketAddr>) -> Self {
        let end = self.0.len() + STORAGE_LEN;
        match addr {
            Some(addr) => self.sockaddr(addr).pad_to(end),
            None => self.pad_to(end),
        }
    }

    /// A `struct sockaddr` as long as its family makes it.
    pub(super) fn sockaddr(self, addr: SocketAddr) -> Self {
        let family = match addr {
            SocketAddr::V4(_) => libc::AF_INET,
            SocketAddr::V6(_) => libc::AF_INET6,
        };
        let this = self.u16(family as u16).bytes(&addr.port().to_be_bytes());
        let begin = this.0.len() - 4;
        match addr {
            SocketAddr::V4(v4) => this.bytes(&v4.ip().octets()).pad_to(begin + IN_LEN),
            SocketAddr::V6(v6) => this
                .u32(v6.flowinfo())
                .bytes(&v6.ip().octets())
                .u32(v6.scope_id())
                .pad_to(begin + IN6_LEN),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_written() {
        let all: [SocketAddr; 2] = [
            "10.0.0.1:5".parse().unwrap(),
            "[fe80::1%3]:7".parse().unwrap(),
        ];
        let bytes = all
            .iter()
            .fold(Writer::default(), |writer, addr| writer.sockaddr(*addr))
            .0;
        assert_eq!(bytes.len(), 16 + 28);
        assert_eq!(Fields(&bytes).sockaddrs(), Ok(all.to_vec()));
        let stored = Writer::default().u32(1).storage(Some(all[1])).0;
        assert_eq!(stored.len(), 132);
        let mut fields = Fields(&stored);
        assert_eq!((fields.u32(), fields.storage()), (Ok(1), Ok(Some(all[1]))));
        assert_eq!(Fields(&bytes[..43]).sockaddrs(), Err(Error::Invalid));
        assert_eq!(Fields(&[0; 128]).storage(), Ok(None));
    }
}
