//! SCTP (RFC 9260), without I/O: time, chance and packets are arguments.
//!
//! [`Sctp`] holds all sockets and associations of a node and plugs into it as a
//! [`Transport`](sockeye_core::Transport). A file is a chapter:
//!
//! - what an association is: `tcb`, `state`, `settings`, `deadlines`; its paths (§6.4): `path`, `window` (§7.2),
//!   `rto` (§6.3.1); what stands under an id, and who has which addresses: `table`, `endpoint`,
//!   `addresses`;
//! - §3 and §8.5, packets: `arrival`, `receive`, `packet`; §8.4, out of the blue: `ootb`;
//! - §5, the beginning: `setup`, `offer`, `cookie`; when there is an association already: `collision`
//!   (§5.2); when there was one: `spent` (§5.3.1);
//! - §6, data: `output`, `outstanding`, `sack`, `outbound` (RFC 8260), `inbound`;
//! - §6.3.3 and §8, time-outs and failures: `timeouts` (RFC 7829);
//! - §9, the end: `teardown`; §10, ICMP: `icmp`; the size of packets, by probes: `plpmtud` (RFC 8899);
//! - extensions: messages that are given up (RFC 3758): `partial`; authenticated chunks (RFC 4895):
//!   `auth`; addresses that change (RFC 5061): `asconf`; streams that are reset and added (RFC 6525):
//!   `reconfig`;
//! - §11, the user's calls: `user_calls`; what they say: `info` (RFC 6458), `statistics`.
//!
//! How many bytes may be in flight on a path is congestion control's to say
//! (`sockeye_core::congestion`). Where the RFC leaves something open, it is as Linux does it.
#![forbid(unsafe_code)]

mod addresses;
mod arrival;
mod asconf;
mod auth;
mod collision;
mod control;
mod cookie;
mod deadlines;
mod endpoint;
mod icmp;
mod inbound;
mod info;
mod notices;
mod offer;
mod ootb;
mod outbound;
mod output;
mod outstanding;
mod packet;
mod partial;
mod path;
mod pending;
mod plpmtud;
mod receive;
mod reconfig;
mod rto;
mod sack;
mod settings;
mod setup;
mod spent;
mod state;
mod statistics;
mod table;
mod tcb;
mod teardown;
mod timeouts;
mod transport;
mod user_calls;
mod window;

#[cfg(test)]
mod tests;

pub use endpoint::Style;
pub use info::{
    AddressState, AssocChange, AssocId, Events, Extensions, InitMsg, KeyChange, Notification,
    NxtInfo, PathInfo, PathState, PrInfo, RcvInfo, Received, SndFlags, SndInfo, Status,
};
pub use reconfig::Grants;
pub use rto::RtoBounds;
pub use settings::{PathSettings, PfExposure, Settings, Told};
pub use state::State;
pub use statistics::{Abandoned, AbandonedCount, AssocStats};
pub use user_calls::Incoming;

use smallvec::SmallVec;
use sockeye_core::demux::{Demux, Endpoint, Keyed, KeyedMap};
use sockeye_core::{Config, Ports, Rng, Slab, SocketId, TokenBucket};
use std::collections::BTreeMap;

/// All SCTP sockets and associations of a node.
#[derive(Debug)]
pub struct Sctp {
    entries: Slab<table::Entry>,
    /// Associations by our port and the peer's transport address; which of our addresses they have,
    /// they know themselves.
    flows: KeyedMap<(u16, Endpoint), SmallVec<[SocketId; 1]>>,
    /// Where the last packet's association was found.
    recent: Option<((u16, Endpoint), SocketId)>,
    /// Associations by name.
    names: BTreeMap<AssocId, SocketId>,
    last_assoc: i32,
    associations: usize,
    demux: Demux,
    ports: Ports,
    jar: cookie::Jar,
    spent: spent::SpentTags,
    /// Answers to what belongs to no association.
    answers: TokenBucket,
    pending: pending::Pending,
    /// Associations that packets of one batch have left unsettled.
    unsettled: Vec<SocketId>,
}

impl Sctp {
    /// One without sockets; all its chance comes from `rng`.
    #[must_use]
    pub fn new(config: &Config, rng: &mut Rng) -> Self {
        Self {
            entries: Slab::default(),
            flows: KeyedMap::with_hasher(Keyed::new(rng)),
            recent: None,
            names: BTreeMap::new(),
            last_assoc: 0,
            associations: 0,
            demux: Demux::new(rng),
            ports: Ports::new(config, rng),
            jar: cookie::Jar::new(rng),
            spent: spent::SpentTags::default(),
            answers: TokenBucket::default(),
            pending: pending::Pending::default(),
            unsettled: Vec::new(),
        }
    }
}
