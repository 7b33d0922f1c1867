//! A DHCPv4 client (RFC 2131), without I/O.
//!
//! - [`Client`] is the state machine of one interface: it is told of messages, of time and of a
//!   duplicate address, and says what is to be sent and configured.
//! - [`Lease`] is what a server grants: address, routers, routes (RFC 3442), name servers, MTU.
//! - [`Dhcp`] holds the clients of a node, sends and takes their datagrams below UDP's sockets, and
//!   gives interfaces what was leased.
//!
//! The formats are the crate dhcproto's. Not here: INIT-REBOOT (a node remembers nothing), DHCPINFORM,
//! options that overflow into `sname` and `file`.
#![forbid(unsafe_code)]

mod client;
mod lease;
mod message;
mod node;

pub use client::{Client, State};
pub use lease::{DNS_MAX, Lease, ROUTERS_MAX, ROUTES_MAX};
pub use node::Dhcp;

#[cfg(test)]
mod tests;
