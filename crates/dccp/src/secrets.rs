//! Initial sequence numbers (RFC 4340 §7.2) and flow labels, from keyed hashes.

use crate::flows::Tuple;
use core::hash::BuildHasher;
use sockeye_core::demux::{Flow, Keyed};
use sockeye_core::{Instant, Rng};
use sockeye_wire::dccp::Seq;

/// The secrets of a node's DCCP.
#[derive(Debug)]
pub(crate) struct Secrets {
    isn: Keyed,
    flow_label: Keyed,
}

impl Secrets {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        Self {
            isn: Keyed::new(rng),
            flow_label: Keyed::new(rng),
        }
    }

    /// RFC 4340 §7.2: each pair of ends MUST have a number space of its own: a keyed hash, and a clock
    /// of 4 µs, as TCP's, so that it goes on behind what was sent of late.
    /// RFC 4340 §7.2-1, §7.2-2, §7.2-4 and §7.3-1: no number can be guessed, and none is near one
    /// of before, be that before the node began.
    pub(crate) fn isn(&self, tuple: &Tuple, now: Instant) -> Seq {
        Seq::new(self.isn.hash_one(tuple).wrapping_add(now.as_micros() / 4))
    }

    /// RFC 6437 §3: a flow label of 20 bits, the same for all of a flow.
    pub(crate) fn flow_label(&self, flow: &Flow) -> u32 {
        match flow.remote.ip.is_ipv4() {
            true => 0,
            false => ((self.flow_label.hash_one(flow) & 0xf_ffff) as u32).max(1),
        }
    }
}
