//! SACKs that arrive (RFC 9260 §6.2.1, §6.3.2, §7.2), and the cumulative TSNs of SHUTDOWNs.

use crate::info::{AddressState, Notification, PathState};
use crate::outstanding::{Fate, Nonsense, Report};
use crate::settings::PfExposure;
use crate::tcb::Association;
use crate::window::Growth;
use smallvec::SmallVec;
use sockeye_core::congestion::Cause as Congestion;
use sockeye_core::{Context, Counter, Instant};
use sockeye_wire::sctp::{Cause, Sack};

impl Association {
    /// A SACK arrives.
    pub(crate) fn sack_arrives(&mut self, cx: &mut Context<'_>, sack: &Sack<'_>) {
        let gaps = sack.gaps;
        self.stats.sacks_in += 1;
        self.stats.gaps_in += gaps.len() as u64;
        let blocks = (0..gaps.len()).filter_map(|at| gaps.get(at));
        let blocks = blocks.map(|gap| (gap.start, gap.end));
        if self.acknowledge(cx, sack.cumulative_tsn.0, blocks, true) {
            // RFC 9260 §6.2.1 D ii.
            let flight = self.outstanding.flight();
            self.rwnd = u64::from(sack.a_rwnd).saturating_sub(flight);
            self.window_closed = sack.a_rwnd == 0;
            if self.partial.used {
                self.forward_after_sack(cx.now);
            }
            self.after_acknowledgment(cx);
        }
    }

    /// A SHUTDOWN acknowledges cumulatively, and says nothing of gaps (RFC 9260 §3.3.8).
    /// RFC 9260 §3.3.8-2.
    pub(crate) fn cumulative_arrives(&mut self, cx: &mut Context<'_>, cumulative: u32) {
        if self.acknowledge(cx, cumulative, core::iter::empty(), false) {
            self.after_acknowledgment(cx);
        }
    }

    /// False when it says nothing that counts.
    /// RFC 9260 §12.4-5.
    fn acknowledge(
        &mut self,
        cx: &mut Context<'_>,
        cumulative: u32,
        gaps: impl Iterator<Item = (u16, u16)> + Clone,
        is_sack: bool,
    ) -> bool {
        let recovering = self.recovery.is_some();
        let paths = self.paths.len();
        match self
            .outstanding
            .acknowledge(cumulative, gaps, is_sack, recovering, paths)
        {
            Ok(report) => {
                self.take_report(cx, &report);
                true
            }
            // RFC 9260 §6.2.1 D i.
            Err(Nonsense::Old) => false,
            Err(Nonsense::Gaps) => {
                cx.counters.add(Counter::SctpBogusSacks);
                false
            }
            Err(Nonsense::Unsent) => {
                cx.counters.add(Counter::SctpBogusSacks);
                self.abort(cx, &[Cause::ProtocolViolation(b"TSN never sent")]);
                false
            }
        }
    }

    /// RFC 9260 §7.2.4-1, §8.1-2.
    fn take_report(&mut self, cx: &mut Context<'_>, report: &Report) {
        let recovering = self.recovery.is_some();
        let mut losers: SmallVec<[usize; 4]> = SmallVec::new();
        for (at, said) in report.paths.iter().enumerate() {
            let path = &mut self.paths[at];
            let flight_before = path.flight;
            path.flight = (path.flight + said.reneged).saturating_sub(said.left_flight + said.lost);
            if said.acked > 0 {
                self.measure(cx.now, at);
                let path = &mut self.paths[at];
                path.carries_data();
                let growth = Growth {
                    acked: said.acked,
                    flight_before,
                    flight: path.flight,
                    limited: path.limited,
                    recovering,
                    srtt: path.rto.srtt(),
                };
                path.window.acknowledged(cx.now, &growth);
                self.path_answers(cx, at);
                self.errors = 0;
            }
            self.turn_t3(cx.now, at, said.lowest);
            if said.reneged > 0 {
                // RFC 9260 §6.3.2 R4.
                let base = self.outstanding.base();
                self.paths[at].start_t3(cx.now, base);
            }
            if said.lost > 0 {
                losers.push(at);
                cx.counters
                    .add_n(Counter::SctpFastRetransmits, said.lost_chunks.into());
            }
        }
        if report.released > 0 && core::mem::take(&mut self.wants_room) {
            self.writable = true;
        }
        self.recover(cx, &losers);
    }

    /// RFC 9260 §7.2.4: the window comes down once for all that was lost until everything is
    /// acknowledged that was outstanding then.
    fn recover(&mut self, cx: &mut Context<'_>, losers: &[usize]) {
        if self
            .recovery
            .is_some_and(|exit| self.outstanding.base() >= exit)
        {
            self.recovery = None;
            for path in &mut self.paths {
                let flight = path.flight;
                path.window.recovered(cx.now, flight);
            }
        }
        if losers.is_empty() || self.recovery.is_some() {
            return;
        }
        for &at in losers {
            let path = &mut self.paths[at];
            let flight = path.flight;
            path.window.lost(cx.now, flight, Congestion::Loss);
        }
        // Step 3: one packet goes at once, whatever the window says.
        self.free_packet = true;
        self.recovery = Some(self.outstanding.end());
    }

    /// Takes the round trip's time, if what it is measured by has arrived.
    fn measure(&mut self, now: Instant, at: usize) {
        let Some((position, sent_at)) = self.paths[at].timing else {
            return;
        };
        let arrived = position < self.outstanding.base()
            || self
                .outstanding
                .get(position)
                .is_some_and(|sent| sent.fate == Fate::Acked);
        if arrived {
            let path = &mut self.paths[at];
            path.timing = None;
            path.rto.measured(now.saturating_since(sent_at));
        }
    }

    /// RFC 9260 §6.3.2 R2 and R3.
    fn turn_t3(&mut self, now: Instant, at: usize, lowest: Option<u64>) {
        let path = &self.paths[at];
        if path.flight == 0 {
            self.paths[at].t3 = Instant::FAR;
            return;
        }
        if lowest.is_some_and(|lowest| lowest <= path.earliest) {
            let from = path.earliest;
            let next = self.outstanding.first_in_flight(at as u8, from);
            let path = &mut self.paths[at];
            path.earliest = next.unwrap_or(from);
            path.restart_t3(now);
        }
    }

    /// What came from or was acknowledged by way of a path shows that it works (RFC 9260 §8.2).
    pub(crate) fn path_answers(&mut self, cx: &mut Context<'_>, at: usize) {
        let path = &mut self.paths[at];
        path.errors = 0;
        let was_hidden = path.state == PathState::PotentiallyFailed
            && self.settings.pf_exposure != PfExposure::Notifications;
        match path.state {
            PathState::Active | PathState::Unconfirmed => return,
            PathState::Inactive | PathState::PotentiallyFailed => path.state = PathState::Active,
        }
        self.paths[at].resume_search(cx.now);
        self.choose_path();
        if !was_hidden {
            self.notify_path(cx, at, AddressState::Available);
        }
    }

    fn after_acknowledgment(&mut self, cx: &mut Context<'_>) {
        if !self.retiring_keys.is_empty() {
            self.retire_keys(cx);
        }
        let burst = self.burst_len();
        self.burst = self.burst.saturating_add(burst).min(burst.max(BURST_MAX));
        if self.is_drained() {
            for path in &mut self.paths {
                path.limited = false;
            }
            let assoc = self.assoc;
            self.advance_reconfig(cx);
            self.notify(cx, Notification::SenderDry { assoc });
            self.go_on_shutting_down(cx);
        }
    }
}

/// Bytes that may go without another SACK, however many SACKs came at once.
const BURST_MAX: u64 = 1 << 20;
