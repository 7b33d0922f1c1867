//! DCCP (RFC 4340), without I/O: time, chance and packets are arguments.
//!
//! [`Dccp`] holds all connections of a node and plugs into it as a
//! [`Transport`](sockeye_core::Transport). A file is a chapter:
//!
//! - what a connection is: `conn`, `state`, `sequence` (§7), `settings`, `queues`, `socket` (what stands
//!   under an id), `table`, `flows` (which packets are whose, in UDP too: RFC 6773);
//! - §8.5, a packet arrives: `packet`, `listen`, `invite` (RFC 5596), `half_open`, `cookies` (§8.1.4), `arrives`, `options`
//!   (§5.8), `time_wait`, `reset`, `icmp`;
//! - §6, feature negotiation: `features`;
//! - §10 and §11, congestion control and acknowledgements: `ccid` (RFC 4341), `history` (Ack Vector,
//!   Data Dropped), `rtt`;
//! - what leaves: `output`, `emit`, `pending`, and in time: `timeouts`;
//! - the user's calls, by their names in sockets: `user_calls`.
//!
//! What the RFC leaves open is as Linux (to 6.15) did it. `shutdown` is the exception: there it does
//! nothing. Here the half that is shut for sending sends no more, that for receiving reports Drop
//! Code 1, and both together close the connection, as DCCP has no half-closed ones.
//!
//! Not here: data on Requests and Responses of ours, multihoming and mobility.
#![forbid(unsafe_code)]

mod arrives;
mod ccid;
mod conn;
mod cookies;
mod emit;
mod features;
mod flows;
mod half_open;
mod history;
mod icmp;
mod invite;
mod listen;
mod options;
mod output;
mod packet;
mod pending;
mod queues;
mod reset;
mod rtt;
mod secrets;
mod sequence;
mod settings;
mod socket;
mod state;
mod table;
mod time_wait;
mod timeouts;
mod transport;
mod user_calls;

pub use sockeye_core::datagram::{Control, Received, SendOptions};
pub use state::State;
pub use user_calls::Info;

use sockeye_core::demux::Demux;
use sockeye_core::{Config, Ports, Rng, Slab};

/// All DCCP sockets of a node.
#[derive(Debug)]
pub struct Dccp {
    sockets: Slab<socket::Socket>,
    flows: flows::Flows,
    ports: Ports,
    secrets: secrets::Secrets,
    cookies: cookies::Cookies,
    pending: pending::Pending,
    resets: reset::RateLimit,
    /// Connections in RESPOND, of all listeners.
    half_open: usize,
    /// Connections in TIMEWAIT that nobody holds.
    time_wait: usize,
}

impl Dccp {
    /// One without sockets; all its chance comes from `rng`.
    #[must_use]
    pub fn new(config: &Config, rng: &mut Rng) -> Self {
        let demux = Demux::new(rng);
        let ports = Ports::new(config, rng);
        let secrets = secrets::Secrets::new(rng);
        Self {
            sockets: Slab::default(),
            flows: flows::Flows::new(demux, rng),
            ports,
            secrets,
            cookies: cookies::Cookies::default(),
            pending: pending::Pending::default(),
            resets: reset::RateLimit::default(),
            half_open: 0,
            time_wait: 0,
        }
    }
}

#[cfg(test)]
mod tests;
