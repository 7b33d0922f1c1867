//! How many errors and redirects may go out (RFC 1812 §4.3.2.8, RFC 4443 §2.4 (f)): in all, and to
//! one destination, as Linux limits them.

use crate::{Config, Counter, Instant, TokenBucket};
use core::time::Duration;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Destinations whose errors are counted; beyond, who was sent to longest ago is forgotten.
pub const ICMP_PEERS_MAX: usize = 1024;
/// Errors that one destination may get at once (Linux: `XRLIM_BURST_FACTOR`).
const PEER_BURST: u32 = 6;
/// Redirects to a source that does not heed them; then there is silence (Linux:
/// `ip_rt_redirect_number`).
const REDIRECTS_MAX: u32 = 9;
/// Time after the first redirect until the next, twice as long each time (Linux:
/// `ip_rt_redirect_load`).
const REDIRECT_LOAD: Duration = Duration::from_millis(20);
/// A source that went so long without a reason for redirects begins anew (Linux:
/// `ip_rt_redirect_silence`).
const REDIRECT_SILENCE: Duration = Duration::from_millis(20 << (REDIRECTS_MAX + 1));

/// What went out, in all and by destination.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    all: TokenBucket,
    peers: BTreeMap<IpAddr, Peer>,
}

/// What one destination got.
#[derive(Debug, Default)]
struct Peer {
    errors: TokenBucket,
    redirects: u32,
    redirected: Instant,
    used: Instant,
}

impl Limits {
    /// Whether an error may go to `to` now, which is counted then. `essential` ones, that a packet
    /// is too big, are limited as a part of all alone: without them paths become black holes.
    ///
    /// # Errors
    /// The counter of the limit that it is over.
    pub(super) fn error(
        &mut self,
        now: Instant,
        config: &Config,
        to: IpAddr,
        essential: bool,
    ) -> Result<(), Counter> {
        let (rate, burst) = config.icmp_errors;
        let each = Duration::from_secs(1)
            .checked_div(rate)
            .filter(|_| burst > 0);
        let each = each.ok_or(Counter::IcmpOutRateLimitGlobal)?;
        if !self.all.has_room(now, each, burst) {
            return Err(Counter::IcmpOutRateLimitGlobal);
        }
        let interval = match to {
            IpAddr::V4(_) => config.icmp_ratelimit,
            IpAddr::V6(_) => config.icmp_ratelimit_v6,
        };
        if !essential && !interval.is_zero() {
            let errors = &mut self.peer(now, to).errors;
            if !errors.has_room(now, interval, PEER_BURST) {
                return Err(Counter::IcmpOutRateLimitHost);
            }
            errors.spend(interval);
        }
        self.all.spend(each);
        Ok(())
    }

    /// Whether the source `to` may be redirected now, which is counted then: less and less often,
    /// and no more while it does not heed it.
    pub(crate) fn redirect(&mut self, now: Instant, to: IpAddr) -> bool {
        let peer = self.peer(now, to);
        let passed = now.saturating_since(peer.redirected);
        if passed > REDIRECT_SILENCE {
            peer.redirects = 0;
        }
        if peer.redirects >= REDIRECTS_MAX {
            peer.redirected = now;
            return false;
        }
        if peer.redirects > 0 && passed <= REDIRECT_LOAD * (1 << peer.redirects) {
            return false;
        }
        peer.redirects += 1;
        peer.redirected = now;
        true
    }

    fn peer(&mut self, now: Instant, address: IpAddr) -> &mut Peer {
        if self.peers.len() >= ICMP_PEERS_MAX && !self.peers.contains_key(&address) {
            let oldest = self.peers.iter().min_by_key(|(_, peer)| peer.used);
            if let Some((&oldest, _)) = oldest {
                self.peers.remove(&oldest);
            }
        }
        let peer = self.peers.entry(address).or_default();
        peer.used = now;
        peer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn host(n: u32) -> IpAddr {
        Ipv4Addr::from_bits(0x0a00_0000 + n).into()
    }

    #[test]
    fn all_get_a_burst_and_then_the_rate() {
        let (mut limits, config) = (Limits::default(), Config::default());
        let sent = |limits: &mut Limits, ms, first| {
            let now = Instant::from_millis(ms);
            let mut over = (first..first + 100).map(|n| limits.error(now, &config, host(n), false));
            let outcome = over.by_ref().filter(Result::is_ok).count();
            (outcome, limits.error(now, &config, host(5000), false))
        };
        let over = Err(Counter::IcmpOutRateLimitGlobal);
        assert_eq!(sent(&mut limits, 0, 0), (50, over));
        assert_eq!(sent(&mut limits, 10, 100), (10, over));
        assert_eq!(sent(&mut limits, 10_000, 200), (50, over));
        let never = Config {
            icmp_errors: (0, 50),
            ..Config::default()
        };
        assert_eq!(limits.error(Instant::FAR, &never, host(1), false), over);
    }

    #[test]
    fn one_gets_six_and_then_one_a_second() {
        let (mut limits, config) = (Limits::default(), Config::default());
        let sent = |limits: &mut Limits, ms| {
            let now = Instant::from_millis(ms);
            let over = (0..10).map(|_| limits.error(now, &config, host(1), false));
            over.filter(|o| *o != Err(Counter::IcmpOutRateLimitHost))
                .count()
        };
        assert_eq!(sent(&mut limits, 0), 6);
        assert_eq!(sent(&mut limits, 999), 0);
        assert_eq!(sent(&mut limits, 1000), 1);
        assert_eq!(sent(&mut limits, 4000), 3);
        // Another is not affected, nor what has to be told.
        let now = Instant::from_millis(4000);
        assert_eq!(limits.error(now, &config, host(2), false), Ok(()));
        assert_eq!(limits.error(now, &config, host(1), true), Ok(()));
        let off = Config {
            icmp_ratelimit: Duration::ZERO,
            ..Config::default()
        };
        assert_eq!(limits.error(now, &off, host(1), false), Ok(()));
    }

    #[test]
    fn redirects_become_rare_and_cease() {
        let mut limits = Limits::default();
        let mut sent = Vec::new();
        for ms in 0..40_000 {
            if limits.redirect(Instant::from_millis(ms), host(1)) {
                sent.push(ms);
            }
        }
        assert_eq!(sent, [0, 41, 122, 283, 604, 1245, 2526, 5087, 10_208]);
        assert!(!limits.redirect(Instant::from_millis(60_000), host(1)));
        // After a rest it is told again.
        assert!(limits.redirect(Instant::from_millis(81_000), host(1)));
    }

    #[test]
    fn destinations_are_bounded() {
        let (mut limits, config) = (Limits::default(), Config::default());
        for n in 0..3000 {
            let now = Instant::from_millis(u64::from(n));
            assert_eq!(limits.error(now, &config, host(n), false), Ok(()));
        }
        assert_eq!(limits.peers.len(), ICMP_PEERS_MAX);
        assert!(!limits.peers.contains_key(&host(0)));
    }
}
