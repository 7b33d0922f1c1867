//! Where a program is: rpcbind (RFC 1833), versions 3 and 4, and the port mapper, version 2.
//!
//! [`Binder`] is the server, [`BinderClient`] asks one; [`broadcast`] asks all of a network.
//! Addresses are *universal* ones: text that names the transport's address and, in its last two
//! numbers, the port.

mod broadcast;
mod client;
mod registry;
mod server;
mod uaddr;

#[cfg(test)]
mod tests;

/// The interface, as it was compiled.
pub mod interface {
    include!(concat!(env!("OUT_DIR"), "/rpcbind.rs"));
}

pub use broadcast::{Answer, broadcast};
pub use client::BinderClient;
pub use registry::{MAPPINGS_MAX, Registry};
pub use server::Binder;
pub use uaddr::{from_uaddr, to_uaddr};

use std::net::SocketAddr;

/// The transports that this rpcbind knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NetId {
    /// UDP over IPv4.
    Udp,
    /// TCP over IPv4.
    Tcp,
    /// UDP over IPv6.
    Udp6,
    /// TCP over IPv6.
    Tcp6,
    /// Unix streams.
    Local,
}

impl NetId {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Udp, Self::Tcp, Self::Udp6, Self::Tcp6, Self::Local];

    /// As netconfig(5) calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Udp6 => "udp6",
            Self::Tcp6 => "tcp6",
            Self::Local => "local",
        }
    }

    /// The one called `name`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "unix" => Some(Self::Local),
            _ => Self::ALL.into_iter().find(|id| id.name() == name),
        }
    }

    /// That of datagrams or streams between addresses like `address`.
    #[must_use]
    pub fn of(address: SocketAddr, is_stream: bool) -> Self {
        match (address.ip().to_canonical().is_ipv4(), is_stream) {
            (true, false) => Self::Udp,
            (true, true) => Self::Tcp,
            (false, false) => Self::Udp6,
            (false, true) => Self::Tcp6,
        }
    }

    /// The protocol's number, for the port mapper, which knows IPv4 alone.
    #[must_use]
    pub fn protocol(self) -> Option<u32> {
        match self {
            Self::Udp => Some(17),
            Self::Tcp => Some(6),
            _ => None,
        }
    }

    pub(crate) fn from_protocol(protocol: u32) -> Option<Self> {
        [Self::Udp, Self::Tcp]
            .into_iter()
            .find(|id| id.protocol() == Some(protocol))
    }

    /// What RFC 1833 §2.1 calls semantics, family and protocol.
    pub(crate) fn description(self) -> (u32, &'static str, &'static str) {
        const CLTS: u32 = 1;
        const COTS_ORD: u32 = 3;
        match self {
            Self::Udp => (CLTS, "inet", "udp"),
            Self::Tcp => (COTS_ORD, "inet", "tcp"),
            Self::Udp6 => (CLTS, "inet6", "udp"),
            Self::Tcp6 => (COTS_ORD, "inet6", "tcp"),
            Self::Local => (COTS_ORD, "loopback", "-"),
        }
    }
}
