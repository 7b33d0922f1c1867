//! Where to: addresses, or a name and a port, for which the node's own name servers are asked.

use crate::Node;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// What can be resolved to socket addresses without blocking, as tokio's trait of this name.
///
/// Names are looked up through the node's name servers, never the host's. The trait is sealed: it
/// is there to be named in bounds.
pub trait ToSocketAddrs: Targets {}

impl<T: Targets + ?Sized> ToSocketAddrs for T {}

pub(super) mod sealed {
    use std::io;
    use std::net::SocketAddr;

    /// What an argument says.
    #[derive(Debug, PartialEq, Eq)]
    pub enum Target {
        Addresses(Vec<SocketAddr>),
        Name(String, u16),
    }

    pub trait Targets {
        #[doc(hidden)]
        fn target(&self) -> io::Result<Target>;
    }
}

use sealed::{Target, Targets};

/// The addresses that `addr` stands for, in the order in which they should be tried.
pub(super) async fn resolve(node: &Node, addr: impl ToSocketAddrs) -> io::Result<Vec<SocketAddr>> {
    match addr.target()? {
        Target::Addresses(addresses) => Ok(addresses),
        Target::Name(name, port) => {
            let found = super::lookup_host::addresses(node, &name).await?;
            Ok(found
                .into_iter()
                .map(|ip| SocketAddr::new(ip, port))
                .collect())
        }
    }
}

/// The error where none of no addresses could be used.
pub(super) fn no_address() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "no address was given to connect or bind to",
    )
}

impl<T: Targets + ?Sized> Targets for &T {
    fn target(&self) -> io::Result<Target> {
        (**self).target()
    }
}

impl Targets for SocketAddr {
    fn target(&self) -> io::Result<Target> {
        Ok(Target::Addresses(vec![*self]))
    }
}

impl Targets for SocketAddrV4 {
    fn target(&self) -> io::Result<Target> {
        SocketAddr::V4(*self).target()
    }
}

impl Targets for SocketAddrV6 {
    fn target(&self) -> io::Result<Target> {
        SocketAddr::V6(*self).target()
    }
}

impl Targets for (IpAddr, u16) {
    fn target(&self) -> io::Result<Target> {
        SocketAddr::from(*self).target()
    }
}

impl Targets for (Ipv4Addr, u16) {
    fn target(&self) -> io::Result<Target> {
        SocketAddr::from(*self).target()
    }
}

impl Targets for (Ipv6Addr, u16) {
    fn target(&self) -> io::Result<Target> {
        SocketAddr::from(*self).target()
    }
}

impl Targets for [SocketAddr] {
    fn target(&self) -> io::Result<Target> {
        Ok(Target::Addresses(self.to_vec()))
    }
}

impl<const N: usize> Targets for [SocketAddr; N] {
    fn target(&self) -> io::Result<Target> {
        self[..].target()
    }
}

impl Targets for Vec<SocketAddr> {
    fn target(&self) -> io::Result<Target> {
        self[..].target()
    }
}

impl Targets for str {
    fn target(&self) -> io::Result<Target> {
        if let Ok(address) = self.parse::<SocketAddr>() {
            return address.target();
        }
        let parts = self.rsplit_once(':');
        let parts = parts.and_then(|(name, port)| Some((name, port.parse().ok()?)));
        let Some((name, port)) = parts else {
            let message = format!("{self:?} is neither ADDRESS:PORT nor NAME:PORT");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        };
        (name, port).target()
    }
}

impl Targets for String {
    fn target(&self) -> io::Result<Target> {
        self[..].target()
    }
}

impl Targets for (&str, u16) {
    fn target(&self) -> io::Result<Target> {
        let (name, port) = *self;
        match name.parse::<IpAddr>() {
            Ok(ip) => (ip, port).target(),
            Err(_) => Ok(Target::Name(name.into(), port)),
        }
    }
}

impl Targets for (String, u16) {
    fn target(&self) -> io::Result<Target> {
        (&self.0[..], self.1).target()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_names() {
        let one = |text: &str| Target::Addresses(vec![text.parse().unwrap()]);
        let name = |name: &str, port| Target::Name(name.into(), port);
        assert_eq!("10.0.0.1:80".target().unwrap(), one("10.0.0.1:80"));
        assert_eq!("[::1]:80".target().unwrap(), one("[::1]:80"));
        assert_eq!("[fe80::1%3]:80".target().unwrap(), one("[fe80::1%3]:80"));
        assert_eq!(("::1", 80).target().unwrap(), one("[::1]:80"));
        assert_eq!("a.example:80".target().unwrap(), name("a.example", 80));
        assert_eq!(("localhost", 1).target().unwrap(), name("localhost", 1));
        for wrong in ["a.example", "a.example:", "a.example:65536", ""] {
            let error = wrong.target().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{wrong:?}");
        }
    }
}
