//! Network sockets in user space.
#![deny(unsafe_code)]

mod background;
mod dns;
mod driver;
pub mod error;
mod fork;
mod intercept;
pub mod net;
mod node;
mod option_table;
mod parker;
mod poll;
#[cfg(feature = "tokio")]
mod reactor;
mod shard;
mod socket;
mod sync;
mod token;
#[cfg(feature = "tokio")]
pub mod tokio;
mod turn;
mod waiters;

pub use intercept::{EchoRequest, Incoming, Intercept, PingIntercept};
pub use node::{EnterGuard, InterfaceInfo, LinkConfig, Node, NodeBuilder, SHUTDOWN_TIMEOUT};
pub use poll::{PollFd, poll};
pub use socket::{
    Ancillary, Domain, MessageFlags, Protocol, Received, RecvMessage, SendMessage, Socket, Type,
};

pub use ipnet::{IpNet, Ipv4Net, Ipv6Net};
pub use sockeye_core::{
    Config, Counter, Counters, OptionValue, Readiness, Scope, SocketOption, Unreachable,
};
pub use sockeye_drivers as drivers;
pub use sockeye_link as link;
