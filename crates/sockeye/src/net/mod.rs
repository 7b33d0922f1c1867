//! Sockets shaped like those of `std::net`: code moves over by changing an import.
//!
//! A constructor makes its socket on the thread's current node ([`Node::enter`](crate::Node::enter));
//! the one that ends in `_on` takes the node.

pub(crate) mod addr;
mod tcp;
mod udp;

pub use addr::{Target, ToSocketAddrs};
pub use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV4, SocketAddrV6};
pub use tcp::{Incoming, ReadHalf, TcpListener, TcpStream, WriteHalf};
pub use udp::UdpSocket;
