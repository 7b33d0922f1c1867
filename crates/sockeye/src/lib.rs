//! Network sockets in user space: a whole node of your own, with links, addresses, routes and
//! sockets. Nothing of it is in the kernel, and nothing of it needs a privilege.
//!
//! A [`Node`] is made of links: a cable in memory to another node of the process, a switch, a TUN
//! or TAP device ([`drivers`]), or your own ([`link`]). Its sockets come in three shapes over one
//! [`Socket`]:
//! - [`net`]: blocking, as in `std::net`, and [`unix`] inside the node, as in `std::os::unix::net`;
//! - `sockeye::tokio` (feature `tokio`): async, as in `tokio::net`;
//! - [`Socket`] itself: the Berkeley socket, as in socket2, with [`poll()`].
//!
//! ```
//! use sockeye::drivers::{MemoryConfig, MemoryLink};
//! use sockeye::net::{TcpListener, TcpStream};
//! use sockeye::{LinkConfig, Node};
//! use std::io::{Read, Write};
//!
//! let (one_end, other_end) = MemoryLink::pair_ip(MemoryConfig::default());
//! let client = Node::builder()
//!     .link("eth0", Box::new(one_end), LinkConfig::new().address("10.0.0.1/24".parse()?))
//!     .build()?;
//! let server = Node::builder()
//!     .link("eth0", Box::new(other_end), LinkConfig::new().address("10.0.0.2/24".parse()?))
//!     .build()?;
//!
//! let listener = TcpListener::bind_on(&server, "10.0.0.2:80")?;
//! let _current = client.enter();
//! let mut stream = TcpStream::connect("10.0.0.2:80")?;
//! let (mut served, _) = listener.accept()?;
//! stream.write_all(b"sockeye")?;
//! let mut text = [0; 7];
//! served.read_exact(&mut text)?;
//! assert_eq!(&text, b"sockeye");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which node
//! A node is explicit. A constructor such as [`net::TcpStream::connect`] takes the thread's current
//! one, which [`Node::enter`] sets; its sibling that ends in `_on` is told the node. Names are
//! resolved by the node's own name servers, never by the host.
//!
//! # Who does the work
//! Whoever has some: a thread that writes also sends, and over a link in memory it also delivers,
//! without a change of threads. A thread that waits in a call waits for the links and timers of its
//! node itself; inside a tokio runtime a task does. Only while nobody does, one background thread
//! for all nodes of the process stands in; [`NodeBuilder::background`] does without it.
//!
//! # The end
//! What was written still arrives, as it does from a kernel: see [`Node::shutdown`]. A forked copy
//! of the process gets ESHUTDOWN from the parent's nodes.
//!
//! # Inside
//! `shard` holds a node under its lock and `turn` moves its packets, guarded by `token`; `waiters`
//! are those who wait for a socket, `parker` is how a thread does, `look` what it does before it
//! sleeps, and `driver`, `background` and `reactor` are who moves a node meanwhile, unless its `clock`
//! is moved by hand. `socket` is the Berkeley socket; `option_table` and `error` are its two tables.
#![deny(unsafe_code)]

mod background;
pub mod beyond;
mod builder;
mod clock;
mod dns;
mod driver;
pub mod error;
mod fork;
mod intercept;
mod look;
pub mod net;
mod node;
mod option_table;
mod parker;
mod poll;
#[cfg(feature = "tokio")]
mod reactor;
pub mod sctp;
mod shard;
mod socket;
mod sync;
mod token;
#[cfg(feature = "tokio")]
pub mod tokio;
pub mod transport;
mod turn;
mod turned;
pub mod unix;
mod waiters;

pub use builder::{LinkConfig, NodeBuilder};
pub use clock::{DriveGuard, HoldGuard, ManualClock};
pub use intercept::{EchoRequest, Incoming, Intercept, PingIntercept};
pub use node::{EnterGuard, InterfaceInfo, Node, SHUTDOWN_TIMEOUT};
pub use poll::{PollFd, poll};
pub use socket::{
    Ancillary, Control, Domain, ExtendedError, MessageFlags, Protocol, RawMessage, Received,
    ReceivedFrame, RecvMessage, SendMessage, Socket, Type, UnixMessage, UnixSend,
};

pub use ipnet::{IpNet, Ipv4Net, Ipv6Net};
pub use sockeye_core::config::{FamilySettings, InterfaceSettings, Interfaces, ReversePath};
pub use sockeye_core::congestion::HystartKind;
pub use sockeye_core::iface::{
    Address, AddressOrigin, AddressState, NameServer, NeighbourState, Router,
};
pub use sockeye_core::ip::route::RouteEntry;
pub use sockeye_core::raw::packet::{FrameInfo, LinkAddr, PacketType, Vlan};
pub use sockeye_core::{
    AddrGenMode, AddressPolicy, Config, Counter, Counters, Event, FastOpenMode, FilterMode, Handle,
    InterfaceId, Ipv6Config, Neighbour, Observer, OptionValue, PolicyError, Readiness, Route,
    Scope, SocketOption, SocketSummary, SourceFilter, SynCookies, SysctlError, TransportId,
    Unreachable, sysctl,
};
pub use sockeye_drivers as drivers;
pub use sockeye_link as link;
pub use sockeye_node::Lease;
pub use sockeye_tcp::{
    AoAlgorithm, AoChange, AoCounters, AoInfo, AoKey, AoKeyName, AoKeyState, Info as TcpInfo,
    Queued, Secret,
};
