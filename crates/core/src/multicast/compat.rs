//! Older queriers, and the version that a host speaks in their presence (RFC 3376 §7.2.1,
//! RFC 3810 §8.2.1).

use super::Protocol;
use crate::{Config, Instant};
use core::time::Duration;

/// RFC 3376 §8.2, RFC 3810 §9.2: Query Interval.
const QUERY_INTERVAL: Duration = Duration::from_secs(125);
/// The most that a querier can give as its robustness variable in 3 bits.
const ROBUSTNESS_MAX: u8 = 7;

/// Host Compatibility Mode, counted as IGMP counts: MLD's versions are one lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mode {
    /// IGMPv1 (RFC 1112): no leaves.
    V1,
    /// IGMPv2 (RFC 2236) and MLDv1 (RFC 2710): groups without sources.
    V2,
    /// IGMPv3 (RFC 3376) and MLDv2 (RFC 3810).
    V3,
}

/// What an interface knows of its queriers.
#[derive(Debug, Default)]
pub(super) struct Queriers {
    /// Until when a querier of version 1, and 2, counts as present.
    v1_until: Instant,
    v2_until: Instant,
    /// What the last query of version 3 said of robustness and interval, where it said something.
    robustness: Option<u8>,
    interval: Option<Duration>,
}

impl Queriers {
    /// Host Compatibility Mode: the version that is `forced`, else by who was heard.
    pub(super) fn mode(&self, protocol: Protocol, now: Instant, forced: u8) -> Mode {
        let forced = match protocol {
            Protocol::Mld if forced > 0 => forced.saturating_add(1),
            _ => forced,
        };
        match forced {
            1 => Mode::V1,
            2 => Mode::V2,
            3 => Mode::V3,
            _ if now < self.v1_until => Mode::V1,
            _ if now < self.v2_until => Mode::V2,
            _ => Mode::V3,
        }
    }

    /// A general query of an older version was heard, that is to be answered within `response`.
    ///
    /// RFC 3376 §8.12: it counts for the robustness variable times the interval in the last query,
    /// and one response time.
    pub(super) fn heard_older(
        &mut self,
        mode: Mode,
        (protocol, now, config): (Protocol, Instant, &Config),
        response: Duration,
    ) {
        let interval = self.interval.unwrap_or(QUERY_INTERVAL);
        let robustness = self.robustness(protocol, config);
        let until = now + interval * robustness.into() + response;
        match mode {
            Mode::V1 => self.v1_until = until,
            Mode::V2 => self.v2_until = until,
            Mode::V3 => {}
        }
    }

    /// A query of version 3 was heard: the querier's variables become ours (RFC 3376 §4.1.6,
    /// §4.1.7); zero says nothing.
    pub(super) fn heard_latest(&mut self, robustness: u8, interval_s: u32) {
        self.robustness = (robustness != 0).then_some(robustness);
        let interval = Duration::from_secs(interval_s.into());
        self.interval = (interval_s != 0).then_some(interval);
    }

    /// How often a report is sent, so that one is not lost.
    pub(super) fn robustness(&self, protocol: Protocol, config: &Config) -> u8 {
        let own = match protocol {
            Protocol::Igmp => config.igmp_qrv,
            Protocol::Mld => config.mld_qrv,
        };
        self.robustness.unwrap_or(own).clamp(1, ROBUSTNESS_MAX)
    }
}
