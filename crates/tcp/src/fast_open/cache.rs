//! What a client remembers of its servers (RFC 7413 §4.1.3): the cookie, the segment size, and
//! which option to ask by. Also when to let it be: Fast Open pauses while it seems to be dropped on
//! the way (Linux: tcp_fastopen_blackhole_timeout_sec).

use core::time::Duration;
use sockeye_core::demux::{Flow, Keyed, KeyedMap};
use sockeye_core::{Instant, Rng};
use sockeye_wire::tcp_options::{FastOpen, FastOpenCookie};
use std::collections::VecDeque;
use std::net::IpAddr;

/// Servers that are remembered; one more, and the one known longest is forgotten.
pub(crate) const SERVERS_MAX: usize = 1024;
/// Doublings of the pause.
const PAUSE_DOUBLINGS_MAX: u32 = 6;

/// A server, as seen from one of our addresses.
type Key = (IpAddr, IpAddr, u32);

/// The servers of a node.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    entries: Option<KeyedMap<Key, Entry>>,
    /// Their keys, the oldest first.
    order: VecDeque<Key>,
    /// Times in a row that it was dropped on the way, and the last of them.
    drops: u32,
    dropped_at: Instant,
}

/// What is remembered of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The MSS that it said last.
    pub(crate) mss: Option<u16>,
    /// Its cookie, in the option that it came in; empty when there is none.
    cookie: FastOpen,
    /// How it was asked in vain.
    tried: Tried,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tried {
    #[default]
    Nothing,
    /// By the option of RFC 7413: next comes the experimental one.
    Standard,
    /// By both: from now on by the first again.
    Both,
}

/// What an answer to our SYN tells of its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Learned {
    pub(crate) mss: u16,
    pub(crate) cookie: Option<FastOpen>,
    pub(crate) tried: Tried,
}

impl Entry {
    /// The option of a SYN to it: its cookie, or the request for one.
    pub(crate) fn option(&self) -> FastOpen {
        FastOpen {
            cookie: self.cookie.cookie,
            experimental: if self.has_cookie() {
                self.cookie.experimental
            } else {
                self.tried == Tried::Standard
            },
        }
    }

    pub(crate) fn has_cookie(&self) -> bool {
        !self.cookie.cookie.is_empty()
    }
}

impl Cache {
    /// What is known of the remote end of `flow`.
    pub(crate) fn get(&self, flow: &Flow) -> Entry {
        let entries = self.entries.as_ref();
        entries
            .and_then(|entries| entries.get(&key(flow)))
            .copied()
            .unwrap_or_default()
    }

    /// Remembers what the remote end of `flow` has said.
    pub(crate) fn learn(&mut self, rng: &mut Rng, flow: &Flow, learned: &Learned) {
        let key = key(flow);
        let entries = self
            .entries
            .get_or_insert_with(|| KeyedMap::with_hasher(Keyed::new(rng)));
        if !entries.contains_key(&key) {
            if self.order.len() >= SERVERS_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                entries.remove(&oldest);
            }
            self.order.push_back(key);
        }
        let entry = entries.entry(key).or_default();
        entry.mss = Some(learned.mss);
        match learned.cookie {
            Some(cookie) => entry.cookie = cookie,
            None if !entry.has_cookie() => entry.tried = entry.tried.max(learned.tried),
            None => {}
        }
    }

    /// Forgets all servers.
    pub(crate) fn clear(&mut self) {
        self.entries = None;
        self.order.clear();
    }

    /// It was dropped on the way: no more of it for a while, and for longer each time.
    pub(crate) fn pause(&mut self, now: Instant) {
        self.drops = self.drops.saturating_add(1);
        self.dropped_at = now;
    }

    /// It works again.
    pub(crate) fn works(&mut self) {
        self.drops = 0;
    }

    /// Whether it pauses, where the first pause takes `first`.
    pub(crate) fn is_paused(&self, now: Instant, first: Duration) -> bool {
        let doublings = self.drops.saturating_sub(1).min(PAUSE_DOUBLINGS_MAX);
        let pause = first.saturating_mul(1 << doublings);
        self.drops > 0 && now.saturating_since(self.dropped_at) < pause
    }
}

/// The name of a cookie's server: its cookies are for one address of ours.
fn key(flow: &Flow) -> Key {
    (flow.local.ip, flow.remote.ip, flow.remote.scope)
}

/// A cookie, if `option` has one.
pub(crate) fn cookie_in(option: Option<FastOpen>) -> Option<FastOpen> {
    let nothing = FastOpenCookie::default();
    option.filter(|option| option.cookie != nothing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockeye_core::demux::Endpoint;
    use sockeye_wire::Bounded;

    fn flow(n: u32) -> Flow {
        let [a, b, c, d] = n.to_be_bytes();
        Flow {
            local: Endpoint::new([10, 0, 0, 1].into(), 80),
            remote: Endpoint::new([a, b, c, d].into(), 80),
        }
    }

    fn cookie(n: u32, experimental: bool) -> Option<FastOpen> {
        let cookie = Bounded::from_slice(&n.to_be_bytes()).unwrap();
        Some(FastOpen {
            cookie,
            experimental,
        })
    }

    #[test]
    fn a_thousand_servers_are_remembered() {
        let (mut cache, mut rng) = (Cache::default(), Rng::new([1; 32]));
        for n in 0..3000 {
            let learned = Learned {
                mss: 1000,
                cookie: cookie(n, false),
                tried: Tried::Nothing,
            };
            cache.learn(&mut rng, &flow(n), &learned);
        }
        assert_eq!(cache.order.len(), SERVERS_MAX);
        assert_eq!(cache.entries.as_ref().unwrap().len(), SERVERS_MAX);
        assert!(!cache.get(&flow(100)).has_cookie());
        assert_eq!(
            cache.get(&flow(2999)).option(),
            cookie(2999, false).unwrap()
        );
    }

    #[test]
    fn who_gives_no_cookie_is_asked_by_the_experimental_option_once() {
        let (mut cache, mut rng) = (Cache::default(), Rng::new([1; 32]));
        let mut in_vain = |cache: &mut Cache, tried| {
            let learned = Learned {
                mss: 1000,
                cookie: None,
                tried,
            };
            cache.learn(&mut rng, &flow(1), &learned);
            cache.get(&flow(1)).option().experimental
        };
        assert!(in_vain(&mut cache, Tried::Standard));
        assert!(!in_vain(&mut cache, Tried::Both));
        assert!(!in_vain(&mut cache, Tried::Standard));
        // A cookie stays, though a later answer has none.
        let learned = Learned {
            mss: 1000,
            cookie: cookie(7, true),
            tried: Tried::Nothing,
        };
        cache.learn(&mut Rng::new([1; 32]), &flow(1), &learned);
        assert!(in_vain(&mut cache, Tried::Standard));
        assert_eq!(cache.get(&flow(1)).option(), cookie(7, true).unwrap());
    }

    #[test]
    fn pauses_double() {
        let (mut cache, hour) = (Cache::default(), Duration::from_secs(3600));
        let start = Instant::from_millis(5);
        assert!(!cache.is_paused(start, hour));
        cache.pause(start);
        assert!(cache.is_paused(start, hour) && !cache.is_paused(start, Duration::ZERO));
        assert!(!cache.is_paused(start + hour, hour));
        cache.pause(start);
        assert!(cache.is_paused(start + hour, hour));
        for _ in 0..50 {
            cache.pause(start);
        }
        assert!(!cache.is_paused(start + 64 * hour, hour));
        cache.works();
        assert!(!cache.is_paused(start, hour));
    }
}
