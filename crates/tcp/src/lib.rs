//! TCP (RFC 9293), without I/O: time, chance and packets are arguments.
//!
//! [`Tcp`] holds all connections of a node and plugs into it as a
//! [`Transport`](sockeye_core::Transport). A file is a chapter:
//!
//! - what a connection is: `tcb`, `state`, `settings`, `socket` (what stands under an id);
//! - §3.10.1 to §3.10.6, the user's calls: `user_calls`, `socket_options`, `info`;
//! - §3.10.7, SEGMENT ARRIVES: `segment`, `segment_arrives`, `ack`, `listen`, `half_open`,
//!   `migrate`, `syn_cookies` (RFC 4987), `time_wait`, `reset`, `challenge_ack` (RFC 5961), `icmp` (§3.9.2.2);
//! - §3.10.8, timeouts: `timers`, `timeouts`, `rtt` (RFC 6298);
//! - §3.7 and §3.8, text on its way: `output`, `emit`, `options` (RFC 6691, 7323, 2018),
//!   `send_queue`, `window`, `receive_tuning`, `reassembly`, `receive_queue`, `arrivals`, `memory`, `recovery`
//!   (RFC 5681, 6582), `urgent` (RFC 6093);
//! - §3.4.1: `isn` (RFC 6528);
//! - text on SYNs: `fast_open` (RFC 7413); what is kept of SYNs: `saved_syn`;
//! - signatures of segments: `auth` (RFC 2385, 5925, 5926);
//! - connections to addresses that are not the node's: `intercept`.
//!
//! How many bytes may be in flight is congestion control's to say (`sockeye_core::congestion`).
//! Where this leaves the text of an RFC, it does as Linux does, and a comment says so at the place:
//! the least RTO is 200 ms beyond SRTT (RFC 6298 (2.4) says a second); Nagle's algorithm is Minshall's
//! variant; slow start counts bytes without RFC 3465's limit; text received before a reset stays
//! readable; SENDs before ESTABLISHED are refused, not queued, but for Fast Open's; ICMP errors end an
//! attempt to connect, soft ones too; the urgent pointer points behind urgent data, and one octet of it
//! is urgent.
//!
//! Not here: TCP_REPAIR and multipath.
#![forbid(unsafe_code)]

mod accecn;
mod ack;
mod arrivals;
mod auth;
mod challenge_ack;
mod ecn;
mod emit;
mod fast_open;
mod half_open;
mod icmp;
mod info;
mod intercept;
mod isn;
mod listen;
mod memory;
mod migrate;
mod options;
mod output;
mod packed;
mod path_mtu;
mod pending;
mod perform;
mod rate;
mod reassembly;
mod receive_queue;
mod receive_tuning;
mod records;
mod recovery;
mod reports;
mod reset;
mod rtt;
mod saved_syn;
mod segment;
mod segment_arrives;
mod send_queue;
mod settings;
mod socket;
mod socket_options;
mod state;
mod syn_cookies;
mod table;
mod tcb;
mod time_wait;
mod timeouts;
mod timers;
mod totals;
mod transport;
mod urgent;
mod user_calls;
mod window;

pub use auth::{
    AO_KEYS_MAX, AoAlgorithm, AoChange, AoCounters, AoInfo, AoKey, AoKeyName, AoKeyState,
    KEY_LEN_MAX, MD5_KEYS_MAX, Secret,
};
pub use fast_open::{Failure as FastOpenFailure, Opened};
pub use info::{AccurateEcn, Info};
pub use intercept::Incoming;
pub use records::SendFlags;
pub use recovery::CaState;
pub use saved_syn::SAVED_SYN_MAX;
pub use sockeye_core::{IncomingId, Scope, Unreachable};
pub use state::State;
pub use user_calls::Queued;

use sockeye_core::demux::Demux;
use sockeye_core::ports::Ports;
use sockeye_core::{Config, Domain, Rng, Slab};
use std::sync::Arc;

/// All TCP sockets of a node.
#[derive(Debug)]
pub struct Tcp {
    sockets: Slab<socket::Socket>,
    demux: Demux,
    ports: Ports,
    secrets: isn::Secrets,
    syn_cookies: syn_cookies::SynCookies,
    fast_open_cache: fast_open::cache::Cache,
    /// The key of cookies, where neither a socket nor the node's settings have one.
    fast_open_key: Option<settings::FastOpenKeys>,
    pending: pending::Pending,
    resting: packed::Resting,
    intercept: intercept::Intercept,
    /// What new sockets are set to, IPv4 and IPv6; shared until one of them is changed.
    defaults: [Arc<settings::Settings>; 2],
    /// Connections whose segments were too large for their path.
    too_big: Vec<sockeye_core::SocketId>,
    /// Connections that were refused memory, and wait for it.
    starved: Vec<sockeye_core::SocketId>,
    /// Some socket was told to keep the headers of SYNs.
    saves_syns: bool,
    /// Half-open connections of all listeners.
    half_open: usize,
    /// Connections in TIME-WAIT.
    time_wait: usize,
    /// Connections that their users have closed and that are not done.
    orphans: usize,
}

impl Tcp {
    /// One without sockets; all its chance comes from `rng`.
    #[must_use]
    pub fn new(config: &Config, rng: &mut Rng) -> Self {
        Self {
            sockets: Slab::default(),
            demux: Demux::new(rng),
            ports: Ports::new(config, rng),
            secrets: isn::Secrets::new(rng),
            syn_cookies: syn_cookies::SynCookies::default(),
            fast_open_cache: fast_open::cache::Cache::default(),
            fast_open_key: None,
            pending: pending::Pending::default(),
            resting: packed::Resting::default(),
            intercept: intercept::Intercept::new(rng),
            defaults: Self::defaults_of(config),
            too_big: Vec::new(),
            starved: Vec::new(),
            saves_syns: false,
            half_open: 0,
            time_wait: 0,
            orphans: 0,
        }
    }

    fn defaults_of(config: &Config) -> [Arc<settings::Settings>; 2] {
        [Domain::V4, Domain::V6].map(|domain| Arc::new(settings::Settings::new(domain, config)))
    }

    /// The settings of a new socket.
    fn default_settings(&self, domain: Domain) -> Arc<settings::Settings> {
        let [v4, v6] = &self.defaults;
        match domain {
            Domain::V4 => v4.clone(),
            Domain::V6 => v6.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
