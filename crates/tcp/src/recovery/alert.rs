//! What an acknowledgment changes: the states of the sender, in the order in which it passes them.
//!
//! Open → Disorder when something is reported or repeated; → CWR when the network marks packets;
//! → Recovery when something is lost (RFC 6675 §5, RFC 8985 §6); → Loss when the timer ran out
//! ([`timeout`](super::timeout)); back when all that was outstanding then is acknowledged, or at once
//! when nothing was lost ([`undo`](super::undo)).

use super::delivery::Delivery;
use super::prr::Prr;
use super::report::Report;
use super::scoreboard::Piece;
use super::tlp::Verdict;
use super::{CaState, REORDERING_MAX};
use crate::tcb::Tcb;
use crate::timers::Retransmit;
use core::time::Duration;
use sockeye_core::congestion::{Cause, Lost};
use sockeye_core::{CongestionController, Context, Counter, Counters, Event, Instant};
use sockeye_wire::SeqNum;

/// After a report was taken back the timer comes no sooner than this.
pub(crate) const RENEGING_WAIT: Duration = Duration::from_millis(10);
/// Added to the end of the reordering window: acknowledgments need not come to the nanosecond.
const REORDERING_MARGIN: Duration = Duration::from_millis(2);

impl Tcb {
    /// Whether an acknowledgment needs a closer look.
    pub(crate) fn is_dubious(&self, report: &Report) -> bool {
        self.recovery.state != CaState::Open || report.alerts()
    }

    /// The closer look. `echoed`: its TSecr.
    pub(crate) fn alert(&mut self, cx: &mut Context<'_>, report: &mut Report, echoed: Option<u32>) {
        if report.congestion {
            // What the network marked can't be undone.
            self.recovery.undo.keep_reduced();
        }
        if self.peer_reneged(cx.now, report) {
            return;
        }
        if self.leave(cx, echoed) {
            return;
        }
        match self.recovery.state {
            CaState::Recovery => {
                if !report.advanced {
                    self.assume(report);
                } else if self.undo_partial(cx, report, echoed) {
                    return;
                }
                if self.undo_by_dsack(cx) {
                    self.settle_open(cx, report);
                }
                self.find_lost(cx, report);
                if self.recovery.state == CaState::Recovery || !self.has_losses() {
                    return;
                }
                self.enter_recovery(cx, report);
            }
            CaState::Loss => {
                self.in_loss(cx, report, echoed);
                self.find_lost(cx, report);
                let repaired = self.recovery.state == CaState::Open;
                if !(repaired || report.copy_lost) {
                    return;
                }
                self.calm(cx, report);
            }
            CaState::Open | CaState::Disorder | CaState::Cwr => self.calm(cx, report),
        }
    }

    /// Nothing is being repaired yet.
    fn calm(&mut self, cx: &mut Context<'_>, report: &mut Report) {
        if report.advanced && !self.marks.sack {
            self.recovery.forget_assumed();
        }
        self.assume(report);
        if self.recovery.state <= CaState::Disorder {
            self.undo_by_dsack(cx);
        }
        self.find_lost(cx, report);
        if !self.has_losses() {
            self.settle_open(cx, report);
            return;
        }
        if self.recovery.state < CaState::Cwr && self.mtu_probe_is_lost() {
            self.mtu_probe_failed(cx);
            return;
        }
        self.enter_recovery(cx, report);
    }

    fn has_losses(&self) -> bool {
        self.recovery.board.lost().segments > 0
    }

    /// Without SACK, duplicates stand for segments that arrived.
    fn assume(&mut self, report: &Report) {
        if !self.marks.sack && report.duplicates > 0 {
            self.recovery.assume_arrived(report.duplicates, self.mss);
        }
    }

    /// RFC 2018 §8: the first piece outstanding was reported, and yet it is not acknowledged: the peer
    /// has thrown it away. The timer comes soon.
    fn peer_reneged(&mut self, now: Instant, report: &mut Report) -> bool {
        let first = self.recovery.board.first();
        if !report.advanced || !first.is_some_and(|piece| piece.sacked) {
            return false;
        }
        let half = self.rtt.srtt().unwrap_or_default() / 2;
        let wait = half.max(RENEGING_WAIT);
        self.schedule(Retransmit::Timeout, now + wait);
        report.timer_set = true;
        true
    }

    /// All that was outstanding when the state began is acknowledged: it ends. True when there is
    /// nothing more to do.
    fn leave(&mut self, cx: &mut Context<'_>, echoed: Option<u32>) -> bool {
        if self.snd.una.before(self.recovery.high_seq) {
            return false;
        }
        match self.recovery.state {
            CaState::Open | CaState::Disorder | CaState::Loss => {}
            CaState::Cwr => {
                // Something above has to be acknowledged, so that the reduction has its effect.
                if self.snd.una != self.recovery.high_seq {
                    self.end_reduction(cx);
                    self.set_ca_state(cx, CaState::Open);
                }
            }
            CaState::Recovery => {
                if !self.marks.sack {
                    self.recovery.forget_assumed();
                }
                if self.undo_recovery(cx, echoed) {
                    return true;
                }
                self.end_reduction(cx);
            }
        }
        false
    }

    /// Changes the state, and tells it.
    pub(crate) fn set_ca_state(&mut self, cx: &mut Context<'_>, to: CaState) {
        let from = core::mem::replace(&mut self.recovery.state, to);
        if from != to {
            cx.tell(&Event::Recovery {
                socket: self.handle,
                from: from.name(),
                to: to.name(),
            });
        }
    }

    /// Nothing is lost: Open, or Disorder while it may still turn out otherwise; or CWR, for marks.
    fn settle_open(&mut self, cx: &mut Context<'_>, report: &Report) {
        if !self.any_copies() {
            self.recovery.undo.no_copies();
        }
        if report.congestion {
            self.enter_cwr(cx);
        }
        if self.recovery.state != CaState::Cwr {
            self.keep_open(cx);
        }
    }

    fn keep_open(&mut self, cx: &mut Context<'_>) {
        let board = &self.recovery.board;
        let left = board.sacked().segments + board.lost().segments > 0;
        let to = if left || self.any_copies() {
            CaState::Disorder
        } else {
            CaState::Open
        };
        if self.recovery.state != to {
            self.set_ca_state(cx, to);
            self.recovery.high_seq = self.snd.nxt;
        }
    }

    /// Whether copies are outstanding, or were sent of what is.
    pub(crate) fn any_copies(&self) -> bool {
        let board = &self.recovery.board;
        board.again().segments > 0 || board.first_was_sent_again()
    }

    /// RFC 3168 §6.1.2: the window comes down as for a loss, but nothing is sent again.
    pub(crate) fn enter_cwr(&mut self, cx: &mut Context<'_>) {
        self.recovery.undo.keep_reduced();
        if self.recovery.state < CaState::Cwr {
            self.recovery.undo.disarm();
            self.begin_reduction(cx, Cause::Ecn);
            self.set_ca_state(cx, CaState::Cwr);
        }
    }

    /// Something is lost.
    pub(crate) fn enter_recovery(&mut self, cx: &mut Context<'_>, report: &Report) {
        cx.counters.add(if self.marks.sack {
            Counter::TcpExtTCPSackRecovery
        } else {
            Counter::TcpExtTCPRenoRecovery
        });
        self.recovery.undo.keep_reduced();
        self.arm_undo();
        if !matches!(self.recovery.state, CaState::Cwr | CaState::Recovery) {
            self.recovery.undo.set_restores(!report.congestion);
            self.begin_reduction(cx, Cause::Loss);
        }
        self.set_ca_state(cx, CaState::Recovery);
    }

    /// What follows can be undone from here on.
    pub(super) fn arm_undo(&mut self) {
        let probe = u32::from(self.recovery.tlp.sent_copy());
        let copies = self.recovery.board.again().segments.max(probe);
        self.recovery.undo.arm(self.snd.una, copies);
    }

    /// The window begins to come down (RFC 6937 §3).
    fn begin_reduction(&mut self, cx: &mut Context<'_>, cause: Cause) {
        let before = self.cwnd();
        self.recovery.high_seq = self.snd.nxt;
        self.recovery.tlp.clear();
        if cause == Cause::Loss {
            self.recovery.copied_before = self.totals.bytes_retransmitted;
            self.validate_loss(cx.now);
        }
        let in_flight = self.pipe().into();
        self.congestion.on_congestion(cx.now, cause, in_flight);
        if !self.congestion.shapes_recovery() {
            let prr = Prr::new(before, self.congestion.ssthresh());
            self.recovery.prr = Some(Box::new(prr));
        }
        self.answer_congestion();
        self.tell_window(cx);
    }

    /// The window has come down: it is the controller's again.
    fn end_reduction(&mut self, cx: &mut Context<'_>) {
        if self.recovery.prr.take().is_some() {
            let pipe = self.pipe();
            self.congestion.on_recovered(cx.now, pipe.into());
            let copies = self.totals.bytes_retransmitted - self.recovery.copied_before;
            self.validate_recovered(copies);
            self.tell_window(cx);
        }
    }

    /// RFC 6937 §3: after each acknowledgment of a reduction. `lost`: bytes that it showed to be.
    pub(crate) fn reduce(&mut self, delivered: u64, lost: u64, advanced: bool) {
        let pipe = u64::from(self.pipe());
        let smss = u64::from(self.mss);
        if delivered == 0 {
            return;
        }
        if let Some(prr) = &mut self.recovery.prr {
            prr.window(delivered, pipe, smss, advanced && lost == 0);
        }
    }

    /// Looks for losses.
    fn find_lost(&mut self, cx: &mut Context<'_>, report: &mut Report) {
        if self.recovery.board.is_empty() {
            return;
        }
        if !self.marks.sack {
            self.find_lost_by_duplicates(cx.now, report.advanced);
            return;
        }
        if !self.recovery.rack.take_advanced() {
            return;
        }
        let again = self.recovery.board.again().segments;
        report.timer_set |= self.detect_lost(cx.now);
        report.copy_lost |= self.recovery.board.again().segments < again;
    }

    /// RFC 8985 §6.2: what is lost by now; the timer is set for what may be. True when it was.
    pub(crate) fn detect_lost(&mut self, now: Instant) -> bool {
        let certain = self.recovery.reordering_seen == 0
            && (self.recovery.state >= CaState::Recovery
                || self.recovery.board.sacked().segments >= self.recovery.reordering);
        let reo_wnd = self
            .recovery
            .rack
            .reo_wnd(certain, self.rtt.min(), self.rtt.srtt());
        let Self {
            recovery,
            congestion,
            ..
        } = self;
        let delivery = &mut recovery.delivery;
        let wait = recovery
            .rack
            .detect(&mut recovery.board, now, reo_wnd, |piece| {
                tell_lost(delivery, congestion.as_mut(), now, piece);
            });
        if let Some(wait) = wait {
            self.schedule(Retransmit::Reordering, now + wait + REORDERING_MARGIN);
        }
        wait.is_some()
    }

    /// RFC 6582 §3.2: without SACK the first piece outstanding is lost after three duplicates, and
    /// after each partial acknowledgment.
    fn find_lost_by_duplicates(&mut self, now: Instant, advanced: bool) {
        let state = self.recovery.state;
        let enough = self.recovery.board.sacked().segments >= self.recovery.reordering;
        let partial = state == CaState::Recovery && advanced;
        if !((state < CaState::Recovery && enough) || partial) {
            return;
        }
        let Some(&first) = self.recovery.board.first() else {
            return;
        };
        // RFC 6582 §3.2 (3): a partial acknowledgment sends the next hole at once.
        self.recovery.forced = partial;
        if first.lost {
            return;
        }
        if first.segments > 1 && first.mss < first.len() {
            self.recovery.board.split(0, first.start + first.mss);
        }
        let Self {
            recovery,
            congestion,
            ..
        } = self;
        if let Some(first) = recovery.board.first() {
            tell_lost(&mut recovery.delivery, congestion.as_mut(), now, first);
        }
        recovery.board.mark_lost(0);
        self.recovery.assumed_were_acknowledged(0, self.mss);
    }

    /// RFC 8985 §6.3: the reordering window is over.
    pub(crate) fn reordering_timeout(&mut self, cx: &mut Context<'_>) {
        let before = self.pipe();
        self.detect_lost(cx.now);
        if self.pipe() == before {
            return;
        }
        if self.recovery.state != CaState::Recovery {
            let una = self.snd.una;
            let report = Report::nothing(una);
            self.enter_recovery(cx, &report);
            self.reduce(u64::from(self.mss), u64::from(self.mss), false);
        }
    }

    /// What an acknowledgment says of a tail loss probe.
    pub(crate) fn probe_acknowledged(
        &mut self,
        cx: &mut Context<'_>,
        ack: SeqNum,
        report: &Report,
    ) {
        let duplicate = !report.advanced && !report.is_not_duplicate() && !report.sacked;
        let tlp = &mut self.recovery.tlp;
        if tlp.acknowledged(ack, report.dsack_of_probe, duplicate) == Verdict::Repaired {
            // RFC 8985 §7.4.2: what it repaired was lost, and that is congestion.
            cx.counters.add(Counter::TcpExtTCPLossProbeRecovery);
            if self.recovery.state < CaState::Cwr {
                self.begin_reduction(cx, Cause::Loss);
                self.set_ca_state(cx, CaState::Cwr);
                self.end_reduction(cx);
                self.keep_open(cx);
            }
        }
    }

    /// A piece that lay in a hole has arrived though nobody sent it again: reordering spans from it
    /// to the highest that arrived before.
    pub(crate) fn note_reordering(
        &mut self,
        low: SeqNum,
        high: SeqNum,
        by_timestamp: bool,
        counters: &mut Counters,
    ) {
        if !low.before(high) {
            return;
        }
        let segments = low.bytes_to(high).div_ceil(self.mss.max(1));
        if segments > self.recovery.reordering {
            self.recovery.reordering = segments.min(REORDERING_MAX);
        }
        self.recovery.reordering_seen = self.recovery.reordering_seen.saturating_add(1);
        counters.add(if by_timestamp {
            Counter::TcpExtTCPTSReorder
        } else {
            Counter::TcpExtTCPSACKReorder
        });
    }

    /// Undone in full: RFC 4015 §3.2, what the window was it is again. RFC 8985 §6.2, step 3, sees
    /// reordering only in what was never sent again; what was, and in vain, shows it as well.
    fn undo(&mut self, cx: &mut Context<'_>, losses: bool) {
        if self.recovery.state != CaState::Loss {
            self.recovery.reordering_seen = self.recovery.reordering_seen.saturating_add(1);
        }
        if losses {
            self.recovery.board.clear_lost();
        }
        self.recovery.prr = None;
        if self.recovery.undo.take_restores() {
            self.congestion.on_spurious(cx.now);
            self.window_restored();
            self.withdraw_congestion_answer();
        }
        self.recovery.undo.disarm();
        self.tell_window(cx);
    }

    fn may_undo(&self, echoed: Option<u32>) -> bool {
        let undo = &self.recovery.undo;
        undo.all_in_vain() || (undo.is_armed() && self.original_arrived(echoed))
    }

    /// RFC 3522 §3.2.
    fn original_arrived(&self, echoed: Option<u32>) -> bool {
        let settled = !self.marks.sack && self.snd.una.after_or_eq(self.recovery.high_seq);
        let no_copies = self.recovery.undo.first_copy_at().is_none();
        self.recovery.undo.original_arrived(echoed) && !(settled && no_copies)
    }

    /// The whole of a recovery is acknowledged. True when the state is held: without SACK something
    /// above has to be acknowledged first, lest late duplicates begin another (RFC 6582 §4.1).
    pub(super) fn undo_recovery(&mut self, cx: &mut Context<'_>, echoed: Option<u32>) -> bool {
        if self.may_undo(echoed) {
            cx.counters.add(if self.recovery.state == CaState::Loss {
                Counter::TcpExtTCPLossUndo
            } else {
                Counter::TcpExtTCPFullUndo
            });
            self.undo(cx, false);
        } else {
            self.recovery.rack.recovered();
        }
        if self.snd.una == self.recovery.high_seq && !self.marks.sack {
            if !self.any_copies() {
                self.recovery.undo.no_copies();
            }
            return true;
        }
        self.set_ca_state(cx, CaState::Open);
        false
    }

    /// Every copy has arrived twice: nothing was lost (RFC 2883).
    fn undo_by_dsack(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.recovery.undo.all_in_vain() {
            return false;
        }
        self.recovery.rack.was_in_vain();
        cx.counters.add(Counter::TcpExtTCPDSACKUndo);
        self.undo(cx, false);
        true
    }

    /// A partial acknowledgment of an original: the hole was filled by what was taken for lost. True
    /// while copies are in flight: then nothing more is taken for lost.
    fn undo_partial(&mut self, cx: &mut Context<'_>, report: &Report, echoed: Option<u32>) -> bool {
        if !self.recovery.undo.is_armed() || !self.original_arrived(echoed) {
            return false;
        }
        let high = self.recovery.board.highest_sacked(self.snd.una);
        self.note_reordering(report.una, high, true, cx.counters);
        if self.recovery.board.again().segments > 0 {
            return true;
        }
        if !self.any_copies() {
            self.recovery.undo.no_copies();
        }
        self.undo(cx, true);
        cx.counters.add(Counter::TcpExtTCPPartialUndo);
        self.keep_open(cx);
        false
    }

    /// After a time-out: nothing was lost. True when the repair ends with it.
    pub(super) fn undo_loss(
        &mut self,
        cx: &mut Context<'_>,
        frto: bool,
        echoed: Option<u32>,
    ) -> bool {
        if !frto && !self.may_undo(echoed) {
            return false;
        }
        self.undo(cx, true);
        cx.counters.add(Counter::TcpExtTCPLossUndo);
        if frto {
            cx.counters.add(Counter::TcpExtTCPSpuriousRTOs);
        }
        self.retries = 0;
        if frto || self.marks.sack {
            self.set_ca_state(cx, CaState::Open);
        }
        true
    }

    /// Tells the window where it is another one.
    pub(crate) fn tell_window(&mut self, cx: &mut Context<'_>) {
        let cwnd = self.cwnd();
        let told = u32::try_from(cwnd).unwrap_or(u32::MAX);
        if core::mem::replace(&mut self.recovery.told_window, told) == told {
            return;
        }
        cx.tell(&Event::Window {
            socket: self.handle,
            cwnd,
            ssthresh: self.congestion.ssthresh(),
        });
    }
}

/// Counts a lost piece, and tells the controller.
pub(super) fn tell_lost(
    delivery: &mut Delivery,
    congestion: &mut dyn CongestionController,
    now: Instant,
    piece: &Piece,
) {
    delivery.count_lost(piece.len());
    congestion.on_lost(&Lost {
        now,
        bytes: piece.len().into(),
        in_flight: piece.snapshot.in_flight().into(),
        lost: delivery.lost() - piece.snapshot.lost(),
        app_limited: piece.snapshot.app_limited(),
    });
}
