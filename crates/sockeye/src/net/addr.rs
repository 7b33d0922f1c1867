//! What stands for an address in a call: std's set of types, with names resolved by the node.

use crate::dns;
use crate::node::Node;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// What an argument means before anything is resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Addresses, in the order in which they are tried.
    Addresses(Vec<SocketAddr>),
    /// A name and a port.
    Name(String, u16),
}

/// Stands for addresses, as std's trait of this name does for the same types. Names are resolved
/// by the node that the call is made on, through its own name servers.
pub trait ToSocketAddrs {
    /// What it means.
    ///
    /// # Errors
    /// `InvalidInput` for text that is neither an address nor a name with a port.
    fn target(&self) -> io::Result<Target>;
}

impl Target {
    /// Its addresses, resolved while the thread waits.
    ///
    /// # Errors
    /// The name could not be resolved.
    pub fn resolve(self, node: &Node) -> io::Result<Vec<SocketAddr>> {
        match self {
            Self::Addresses(addresses) => Ok(addresses),
            Self::Name(name, port) => Ok(with_port(dns::lookup_blocking(node, &name)?, port)),
        }
    }

    /// Its addresses, resolved without blocking the thread.
    ///
    /// # Errors
    /// The name could not be resolved.
    pub async fn resolve_async(self, node: &Node) -> io::Result<Vec<SocketAddr>> {
        match self {
            Self::Addresses(addresses) => Ok(addresses),
            Self::Name(name, port) => Ok(with_port(dns::lookup(node, &name).await?, port)),
        }
    }
}

fn with_port(addresses: Vec<IpAddr>, port: u16) -> Vec<SocketAddr> {
    let addresses = addresses.into_iter();
    addresses.map(|ip| SocketAddr::new(ip, port)).collect()
}

macro_rules! addresses {
    ($($ty:ty,)*) => {$(
        impl ToSocketAddrs for $ty {
            fn target(&self) -> io::Result<Target> {
                Ok(Target::Addresses(vec![SocketAddr::from(*self)]))
            }
        }
    )*};
}

addresses! {
    SocketAddr, SocketAddrV4, SocketAddrV6, (IpAddr, u16), (Ipv4Addr, u16), (Ipv6Addr, u16),
}

impl ToSocketAddrs for (&str, u16) {
    fn target(&self) -> io::Result<Target> {
        let (host, port) = *self;
        Ok(match host.parse::<IpAddr>() {
            Ok(ip) => Target::Addresses(vec![SocketAddr::new(ip, port)]),
            Err(_) => Target::Name(host.to_owned(), port),
        })
    }
}

impl ToSocketAddrs for (String, u16) {
    fn target(&self) -> io::Result<Target> {
        (&*self.0, self.1).target()
    }
}

impl ToSocketAddrs for str {
    fn target(&self) -> io::Result<Target> {
        if let Ok(address) = self.parse() {
            return Ok(Target::Addresses(vec![address]));
        }
        let named = self.rsplit_once(':').and_then(|(host, port)| {
            let port = port.parse().ok()?;
            (!host.is_empty()).then_some((host, port))
        });
        match named {
            Some(named) => named.target(),
            None => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{self:?} is no socket address: HOST:PORT is wanted"),
            )),
        }
    }
}

impl ToSocketAddrs for String {
    fn target(&self) -> io::Result<Target> {
        (**self).target()
    }
}

impl ToSocketAddrs for [SocketAddr] {
    fn target(&self) -> io::Result<Target> {
        Ok(Target::Addresses(self.to_vec()))
    }
}

impl<T: ToSocketAddrs + ?Sized> ToSocketAddrs for &T {
    fn target(&self) -> io::Result<Target> {
        (**self).target()
    }
}

/// Tries `attempt` with one address after the other; the last failure is the whole one.
pub(crate) fn each<T>(
    addresses: &[SocketAddr],
    mut attempt: impl FnMut(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut failure = None;
    for address in addresses {
        match attempt(*address) {
            Ok(done) => return Ok(done),
            Err(error) => failure = Some(error),
        }
    }
    Err(failure.unwrap_or_else(no_address))
}

pub(crate) fn no_address() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "no address to try was given")
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn texts_are_addresses_or_names() {
        let v4 = Target::Addresses(vec!["10.0.0.1:80".parse().unwrap()]);
        assert_eq!("10.0.0.1:80".target().unwrap(), v4);
        assert_eq!(("10.0.0.1", 80).target().unwrap(), v4);
        let v6 = Target::Addresses(vec!["[fd00::1]:80".parse().unwrap()]);
        assert_eq!("[fd00::1]:80".target().unwrap(), v6);
        assert_eq!(("fd00::1", 80).target().unwrap(), v6);
        let name = Target::Name("example.com".into(), 80);
        assert_eq!("example.com:80".to_string().target().unwrap(), name);
        for wrong in ["example.com", "10.0.0.1", ":80", "a:b", "a:99999", ""] {
            assert!(wrong.target().is_err(), "{wrong:?}");
        }
    }
}
