//! The size of a path's packets found by probing (RFC 8899 §5, §6.2.1): a HEARTBEAT and a PAD chunk
//! fill a packet of the size to be tried; its HEARTBEAT ACK says that it arrived.
//!
//! Sizes are of whole IP packets. What routers say (ICMP) bounds the search; that data does not arrive
//! (a black hole) begins it anew. There is no confirmation of what was found: §6.2.1.3: data shows it.

use crate::info::PathState;
use crate::packet::Draft;
use crate::path::Path;
use crate::tcb::Association;
use crate::timeouts::heartbeat_info;
use core::time::Duration;
use sockeye_core::{Context, Instant};
use sockeye_wire::sctp::{CHUNK_HEADER_LEN, Heartbeat, Pad, padded};

/// RFC 8899 §5.1.2: BASE_PLPMTU.
const BASE: u32 = 1200;
/// MAX_PROBES: of one size.
const PROBES_MAX: u32 = 3;
/// PMTU_RAISE_TIMER (§5.1.1).
const RAISE_AFTER: Duration = Duration::from_secs(600);
/// Sizes no further apart than this are not told apart: chunks are padded to four bytes.
const STEP: u32 = 4;
/// §4.3: so many time-outs in a row, without an acknowledgment of data between them, mean that what
/// is large is lost.
const BLACK_HOLE_TIMEOUTS: u32 = 3;

/// RFC 8899 §5.2: where a search stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// BASE: whether the path takes BASE_PLPMTU is being found out.
    Base,
    /// ERROR: it does not; smaller packets are sent, and it is asked again.
    Error,
    /// SEARCHING.
    Searching,
    /// SEARCH_COMPLETE.
    Complete,
}

/// A probe under way.
#[derive(Clone, Copy, Debug)]
struct Probe {
    size: u32,
    nonce: u64,
    sent_at: Instant,
}

/// The search of one path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Search {
    phase: Phase,
    /// MIN_PLPMTU and BASE_PLPMTU, for the path's family.
    least: u32,
    base: u32,
    /// PLPMTU: what data may take.
    plpmtu: u32,
    /// The smallest size that is known, or was said, to be too large.
    too_large: u32,
    /// Nothing is known of what is just below that.
    untried: bool,
    probe: Option<Probe>,
    /// Probes of this size that were lost.
    lost: u32,
    /// PROBE_TIMER, or PMTU_RAISE_TIMER.
    at: Instant,
    /// Time-outs of data since data was acknowledged.
    timeouts: u32,
}

impl Search {
    /// One that begins with BASE_PLPMTU, for a path that takes `least` bytes in any case.
    pub(crate) fn new(least: u32, now: Instant) -> Self {
        let base = BASE.max(least);
        Self {
            phase: Phase::Base,
            least,
            base,
            plpmtu: base,
            too_large: u32::MAX,
            untried: true,
            probe: None,
            lost: 0,
            at: now,
            timeouts: 0,
        }
    }

    /// What data may take.
    pub(crate) const fn plpmtu(&self) -> u32 {
        self.plpmtu
    }

    /// When it is next to be looked after.
    pub(crate) const fn deadline(&self) -> Instant {
        self.at
    }

    /// The size to be tried next, where the first link takes `most` bytes; none once there is nothing
    /// to be found.
    fn next(&self, most: u32) -> Option<u32> {
        match self.phase {
            Phase::Base | Phase::Error => Some(self.base),
            Phase::Complete => None,
            Phase::Searching => {
                let high = most.min(self.too_large.saturating_sub(1)) & !(STEP - 1);
                if high < self.plpmtu.saturating_add(STEP) {
                    return None;
                }
                // The largest first: as a rule that is it (§5.3.2).
                let middle = self.plpmtu.midpoint(high) & !(STEP - 1);
                match self.untried {
                    true => Some(high),
                    false => Some(middle.max(self.plpmtu + STEP)),
                }
            }
        }
    }

    /// PROBE_TIMER or PMTU_RAISE_TIMER ran out. Says which size is to be probed now.
    fn expires(&mut self, now: Instant, most: u32) -> Option<u32> {
        if let Some(probe) = self.probe.take() {
            self.lost += 1;
            if self.lost >= PROBES_MAX {
                self.fails(probe.size);
            }
        } else if self.phase == Phase::Complete {
            // PMTU_RAISE_TIMER: perhaps the path takes more by now.
            self.phase = Phase::Searching;
            self.too_large = u32::MAX;
            self.untried = true;
        }
        self.go_on(now, most)
    }

    /// The next size, or the end of the search.
    fn go_on(&mut self, now: Instant, most: u32) -> Option<u32> {
        let next = self.next(most);
        if next.is_none() {
            self.phase = Phase::Complete;
            self.at = now + RAISE_AFTER;
        }
        next
    }

    /// A size does not arrive (§5.2).
    fn fails(&mut self, size: u32) {
        self.lost = 0;
        match self.phase {
            Phase::Base | Phase::Error => {
                self.phase = Phase::Error;
                self.plpmtu = self.least;
            }
            Phase::Searching | Phase::Complete => {
                self.too_large = self.too_large.min(size);
                self.untried = false;
            }
        }
    }

    /// The probe has arrived: the path takes its size.
    fn arrived(&mut self, size: u32) {
        self.probe = None;
        self.lost = 0;
        self.timeouts = 0;
        self.phase = Phase::Searching;
        self.plpmtu = self.plpmtu.max(size);
    }

    /// §4.6.2: a router says that it takes `mtu` bytes and no more; who believes the message has
    /// compared its quote with what was sent.
    fn bounded(&mut self, now: Instant, mtu: u32) {
        if mtu >= self.too_large || mtu < self.least {
            return;
        }
        self.too_large = mtu + 1;
        self.untried = true;
        if mtu < self.base {
            self.phase = Phase::Error;
            self.plpmtu = self.least;
        } else if mtu < self.plpmtu {
            self.phase = Phase::Base;
            self.plpmtu = self.base;
        }
        if self.probe.is_none_or(|probe| probe.size > mtu) {
            self.probe = None;
            self.lost = 0;
            self.at = now;
        }
    }

    /// §4.3: data timed out. True when that shows a black hole.
    fn timed_out(&mut self, now: Instant) -> bool {
        self.timeouts += 1;
        if self.timeouts < BLACK_HOLE_TIMEOUTS || self.plpmtu <= self.base {
            return false;
        }
        *self = Self::new(self.least, now);
        true
    }
}

impl Path {
    /// Whether its MTU is searched for: as Linux, where PMTU discovery is on and an interval is set.
    fn searches(&self) -> bool {
        let settings = &self.settings;
        settings.pmtu_discovery && !settings.probe_interval.is_zero()
    }

    /// Begins or ends the search as the path is set.
    pub(crate) fn follow_search(&mut self, now: Instant) {
        match (self.searches(), self.search.is_some()) {
            (true, false) => self.search = Some(Search::new(self.mtu_least(), now)),
            (false, true) => self.search = None,
            _ => return,
        }
        self.refit();
    }

    /// It can be probed now: a search that waited for that goes on.
    pub(crate) fn resume_search(&mut self, now: Instant) {
        if let Some(search) = &mut self.search
            && search.probe.is_none()
            && search.phase != Phase::Complete
        {
            search.at = now;
        }
    }

    /// Data that it carried was acknowledged.
    pub(crate) fn carries_data(&mut self) {
        if let Some(search) = &mut self.search {
            search.timeouts = 0;
        }
    }
}

impl Association {
    /// Looks after the search of a path. One that is not confirmed, or is down, waits: §5.2: the search
    /// is for a path with connectivity.
    pub(crate) fn search_due(&mut self, cx: &mut Context<'_>, at: usize) {
        let now = cx.now;
        let up = self.state.is_up();
        let path = &mut self.paths[at];
        path.follow_search(now);
        let state = path.state;
        let interval = path.settings.probe_interval;
        let most = path.route_mtu();
        let Some(search) = &mut path.search else {
            return;
        };
        if search.at > now {
            return;
        }
        if !up || !matches!(state, PathState::Active | PathState::PotentiallyFailed) {
            search.probe = None;
            search.at = now + interval;
            return;
        }
        let next = search.expires(now, most);
        let before = self.paths[at].mtu;
        self.paths[at].refit();
        self.becomes_narrower(cx, at, before);
        if let Some(size) = next {
            self.send_probe(cx, at, size);
        }
    }

    fn send_probe(&mut self, cx: &mut Context<'_>, at: usize, size: u32) {
        let nonce = cx.rng.next_u64();
        let sent_at = cx.now;
        let path = &mut self.paths[at];
        let interval = path.settings.probe_interval;
        let Some(search) = &mut path.search else {
            return;
        };
        search.probe = Some(Probe {
            size,
            nonce,
            sent_at,
        });
        search.at = sent_at + interval;
        let mut chunks = Vec::new();
        let info = &heartbeat_info(at, nonce, sent_at);
        Heartbeat { info }.emit(&mut chunks);
        let mut draft = self.draft(size as usize);
        draft.chunks().extend_from_slice(&chunks);
        self.seal(&mut draft, crate::auth::PacketKey::default());
        self.fill(&mut draft, at, size);
        self.send_draft(cx, at, draft, Some(size));
    }

    /// Pads a packet up to `size` bytes of IP packet.
    fn fill(&self, draft: &mut Draft, at: usize, size: u32) {
        let headers = self.paths[at].headers_len();
        let len = (size as usize).saturating_sub(headers + draft.len() + CHUNK_HEADER_LEN) & !3;
        if let Ok(len) = u16::try_from(len) {
            debug_assert_eq!(
                padded(len.into()),
                len.into(),
                "a PAD chunk needs no padding"
            );
            Pad { len }.emit(draft.chunks());
        }
    }

    /// A HEARTBEAT ACK with `nonce`: false when it answers no probe.
    pub(crate) fn probe_arrives(&mut self, cx: &mut Context<'_>, at: usize, nonce: u64) -> bool {
        let path = &mut self.paths[at];
        let most = path.route_mtu();
        let Some(search) = &mut path.search else {
            return false;
        };
        let Some(probe) = search.probe.filter(|probe| probe.nonce == nonce) else {
            return false;
        };
        search.arrived(probe.size);
        let next = search.go_on(cx.now, most);
        path.rto.measured(cx.now.saturating_since(probe.sent_at));
        path.refit();
        // §6.2.1.2: it shows that the path works.
        self.path_answers(cx, at);
        if let Some(size) = next {
            self.send_probe(cx, at, size);
        }
        true
    }

    /// A router has said what a path takes.
    pub(crate) fn search_bounded(&mut self, cx: &mut Context<'_>, at: usize, mtu: u32) {
        let path = &mut self.paths[at];
        if let Some(search) = &mut path.search {
            search.bounded(cx.now, mtu);
            path.refit();
        }
    }

    /// Data timed out on a path: perhaps since it is too large.
    pub(crate) fn suspect_black_hole(&mut self, cx: &mut Context<'_>, at: usize) {
        let path = &mut self.paths[at];
        if let Some(search) = &mut path.search
            && search.timed_out(cx.now)
        {
            path.refit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays a search against a path that takes `mtu` bytes, and says so where `tells`: what is found,
    /// and with how many probes.
    fn find(least: u32, most: u32, mtu: u32, tells: bool) -> (u32, u32, Phase) {
        let mut now = Instant::ZERO;
        let mut search = Search::new(least, now);
        let mut probes = 0;
        let mut next = search.expires(now, most);
        while let Some(size) = next {
            assert!(probes < 100, "{search:?}");
            probes += 1;
            now += Duration::from_secs(5);
            let nonce = 1;
            search.probe = Some(Probe {
                size,
                nonce,
                sent_at: now,
            });
            if size <= mtu {
                search.arrived(size);
                next = search.go_on(now, most);
                continue;
            }
            if tells {
                search.bounded(now, mtu);
            }
            next = search.expires(now, most);
            if search.phase == Phase::Error && probes > 10 {
                break;
            }
        }
        (search.plpmtu(), probes, search.phase)
    }

    /// RFC 8899 §5.3: what a path takes is found, as exactly as chunks can make use of it.
    #[test]
    fn searches_end_at_what_the_path_takes() {
        for mtu in (1200..1500).chain([4000, 8996, 9000, 65_535]) {
            let (found, _, phase) = find(576, 9000, mtu, false);
            let want = mtu.min(9000) & !3;
            assert_eq!(found, want);
            assert_eq!(phase, Phase::Complete);
        }
        // The first link is the narrowest, as a rule: one probe of the base, one of that.
        assert_eq!(find(576, 1500, 1500, false), (1500, 2, Phase::Complete));
    }

    /// RFC 8899 §4.6: a router's word saves probes.
    #[test]
    fn routers_shorten_the_search() {
        assert_eq!(find(576, 9000, 1400, true), (1400, 3, Phase::Complete));
        assert!(find(576, 9000, 1400, false).1 > 10);
    }

    /// RFC 8899 §5.2: ERROR.
    #[test]
    fn a_path_that_does_not_take_the_base_has_small_packets() {
        let (found, _, phase) = find(576, 1500, 1000, false);
        assert_eq!((found, phase), (576, Phase::Error));
        let (found, _, phase) = find(1280, 1500, 1279, false);
        assert_eq!((found, phase), (1280, Phase::Error));
    }

    /// RFC 8899 §4.3 and §5.1.1: down at once, up again by and by.
    #[test]
    fn black_holes_begin_it_anew_and_time_raises_it() {
        let mut search = Search::new(576, Instant::ZERO);
        search.arrived(1200);
        search.arrived(9000);
        assert_eq!(search.go_on(Instant::ZERO, 9000), None);
        assert!(!search.timed_out(Instant::ZERO) && !search.timed_out(Instant::ZERO));
        assert!(search.timed_out(Instant::ZERO));
        assert_eq!((search.plpmtu(), search.phase), (1200, Phase::Base));
        search.arrived(1200);
        search.too_large = 1300;
        search.arrived(1296);
        assert_eq!(search.go_on(Instant::ZERO, 9000), None);
        assert_eq!(search.deadline(), Instant::ZERO + RAISE_AFTER);
        assert_eq!(
            search.expires(Instant::ZERO + RAISE_AFTER, 9000),
            Some(9000)
        );
    }

    /// RFC 8899 §4.6.2: what no router of ours would say does nothing.
    #[test]
    fn absurd_sizes_are_not_believed() {
        let mut search = Search::new(576, Instant::ZERO);
        search.arrived(1400);
        search.bounded(Instant::ZERO, 575);
        search.bounded(Instant::ZERO, 0);
        assert_eq!((search.plpmtu(), search.phase), (1400, Phase::Searching));
        search.bounded(Instant::ZERO, 1300);
        assert_eq!((search.plpmtu(), search.phase), (1200, Phase::Base));
        search.bounded(Instant::ZERO, 700);
        assert_eq!((search.plpmtu(), search.phase), (576, Phase::Error));
    }
}
