//! The internet layer and what every transport needs, without I/O.
//!
//! - [`Context`] is everything that protocol code may touch: time, randomness, the internet layer
//!   below, timers, readiness, counters, the observer. [`Transport`] is what plugs in above.
//! - [`inet`] is the internet layer: [`iface`] (links, addresses, neighbours), [`ip`] (headers,
//!   fragments, routes), [`icmp`].
//! - [`id`], [`timer`], [`demux`], [`socket`], [`option`] are the pieces transports are made of.
//!
//! Nothing here reads a clock, blocks, locks or allocates by a peer's word. The transports
//! themselves (TCP, UDP, …) are crates of their own that know this one and `sockeye-wire`.
#![forbid(unsafe_code)]

pub mod config;
pub mod congestion;
pub mod context;
pub mod counters;
pub mod datagram;
pub mod demux;
pub mod encap;
pub mod error;
pub mod error_queue;
pub mod event;
pub mod icmp;
pub mod id;
pub mod iface;
pub mod inet;
pub mod intercept;
pub mod internet_options;
pub mod ip;
pub mod memory;
pub mod multicast;
pub mod option;
pub mod ports;
pub mod range_set;
pub mod raw;
pub mod readiness;
pub mod rng;
pub mod socket;
pub mod sysctl;
pub mod timer;
pub mod token_bucket;
pub mod transport;

pub use config::{
    AddrGenMode, Config, DccpConfig, FastOpenMode, Ipv6Config, SctpConfig, SynCookies,
};
pub use congestion::CongestionController;
pub use context::Context;
pub use counters::{Counter, Counters};
pub use demux::{Demux, Endpoint, Flow};
pub use error::Error;
pub use error_queue::{ErrorQueue, Report};
pub use event::{Event, Observer};
pub use id::{Handle, Slab, SocketId, TransportId};
pub use iface::{Interface, InterfaceConfig, Neighbour, NeighbourState};
pub use inet::{Inet, InterfaceId, Offload, Route, RouteQuery, SendInfo};
pub use intercept::{IncomingId, Scope, Unreachable};
pub use ip::policy::{AddressPolicy, PolicyError};
pub use memory::Memory;
pub use multicast::{FilterMode, Memberships, SourceFilter};
pub use option::{OptionValue, SocketOption};
pub use ports::Ports;
pub use range_set::RangeSet;
pub use readiness::{Readiness, ReadyQueue};
pub use rng::Rng;
pub use socket::{Domain, Shutdown, SocketCommon};
pub use sockeye_link::{
    Batch, Capabilities, Checksum, Gso, GsoKind, Instant, MacAddr, Medium, Meta, Packet, Payload,
    Tags,
};
pub use sysctl::SysctlError;
pub use timer::{Owner, TimerSlot, Timers};
pub use token_bucket::TokenBucket;
pub use transport::{AddressChange, Disposition, IcmpError, IpInfo, SocketSummary, Transport};
