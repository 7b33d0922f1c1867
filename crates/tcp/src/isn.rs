//! Initial sequence numbers (RFC 6528) and timestamp offsets (RFC 7323 §5.4), both from keyed
//! hashes: nobody outside can foretell them, and between the same two ends they only go up.

use core::hash::{BuildHasher, Hash};
use sockeye_core::demux::{Endpoint, Flow, Keyed};
use sockeye_core::{Instant, Rng};
use sockeye_wire::SeqNum;

/// The secrets of a node's TCP.
#[derive(Debug)]
pub(crate) struct Secrets {
    isn: Keyed,
    timestamp: Keyed,
    flow_label: Keyed,
}

impl Secrets {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        Self {
            isn: Keyed::new(rng),
            timestamp: Keyed::new(rng),
            flow_label: Keyed::new(rng),
        }
    }

    /// RFC 6528 §3: ISN = M + F (localip, localport, remoteip, remoteport, secretkey), where M
    /// ticks every 4 µs (RFC 9293 §3.4.1, MUST-8, MUST-9, SHLD-1).
    pub(crate) fn isn(&self, flow: &Flow, now: Instant) -> SeqNum {
        SeqNum(low(now.as_micros() / 4).wrapping_add(hash(&self.isn, flow)))
    }

    /// RFC 7323 §5.4: a random offset for each pair of hosts, so that between two hosts the clock
    /// is one and RFC 6191 can tell a new connection from an old one.
    pub(crate) fn timestamp_offset(&self, flow: &Flow) -> u32 {
        hash(&self.timestamp, (flow.local.ip, flow.remote.ip))
    }

    /// RFC 6437 §3: a flow label of 20 bits, uniformly spread, the same for all of a flow.
    pub(crate) fn flow_label(&self, flow: &Flow) -> u32 {
        match flow.remote {
            Endpoint { ip, .. } if ip.is_ipv4() => 0,
            _ => (hash(&self.flow_label, flow) & 0xf_ffff).max(1),
        }
    }
}

/// The timestamp clock: milliseconds, and a connection's offset.
pub(crate) fn timestamp(now: Instant, offset: u32) -> u32 {
    low(now.as_millis()).wrapping_add(offset)
}

fn hash(key: &Keyed, value: impl Hash) -> u32 {
    low(key.hash_one(value))
}

/// The low 32 bits: clocks and hashes are meant to wrap.
fn low(value: u64) -> u32 {
    (value & u64::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    /// RFC 9293 §3.4.1 (MUST-8, MUST-9, SHLD-1), RFC 6528 §3; timestamps: RFC 7323 §5.4.
    #[test]
    fn numbers_rise_for_one_flow_and_differ_between_flows() {
        let secrets = Secrets::new(&mut Rng::new([1; 32]));
        let flow = |port| Flow {
            local: Endpoint::new([10, 0, 0, 1].into(), port),
            remote: Endpoint::new([10, 0, 0, 2].into(), 80),
        };
        let start = Instant::from_millis(5);
        let first = secrets.isn(&flow(1000), start);
        let later = secrets.isn(&flow(1000), start + Duration::from_millis(4));
        assert_eq!(first.bytes_to(later), 1000);
        assert_ne!(secrets.isn(&flow(1001), start), first);
        assert_eq!(
            secrets.timestamp_offset(&flow(1000)),
            secrets.timestamp_offset(&flow(1001))
        );
        let other = Secrets::new(&mut Rng::new([2; 32]));
        assert_ne!(other.isn(&flow(1000), start), first);
        assert_ne!(
            other.timestamp_offset(&flow(1000)),
            secrets.timestamp_offset(&flow(1000))
        );
    }
}
