//! The retransmission timer ran out: what was outstanding is taken for lost (RFC 5681 §3.1, RFC 6298
//! §5), and whether rightly so is found out (F-RTO, RFC 5682).

use super::CaState;
use super::DUP_THRESH;
use super::alert::tell_lost;
use super::report::Report;
use crate::tcb::Tcb;
use core::time::Duration;
use sockeye_core::congestion::Cause;
use sockeye_core::{Context, Counter};

impl Tcb {
    /// Enters Loss. `retries`: time-outs in a row before this one.
    pub(crate) fn enter_loss(&mut self, cx: &mut Context<'_>, retries: u32) {
        let state = self.recovery.state;
        let newly = state < CaState::Recovery;
        // Once for each window of data (RFC 5681 §3.1).
        let reduces = state <= CaState::Disorder
            || self.snd.una.after_or_eq(self.recovery.high_seq)
            || (state == CaState::Loss && retries == 0);
        let sacked = self.recovery.board.sacked().segments;
        self.take_for_lost(cx);
        if reduces {
            self.arm_undo();
            self.recovery.undo.set_restores(true);
        }
        self.recovery.prr = None;
        let cause = if reduces {
            Cause::Timeout
        } else {
            Cause::TimeoutAgain
        };
        self.validate_timeout();
        let in_flight = self.pipe().into();
        self.congestion.on_congestion(cx.now, cause, in_flight);
        if state <= CaState::Disorder && sacked >= DUP_THRESH {
            // So many duplicates, and yet a time-out: reordering was overestimated.
            self.recovery.reordering = self.recovery.reordering.min(DUP_THRESH);
        }
        self.set_ca_state(cx, CaState::Loss);
        self.recovery.high_seq = self.snd.nxt;
        self.recovery.tlp.clear();
        self.answer_congestion();
        // RFC 5682 §3.1 (1): not when what is at SND.UNA was sent again by a recovery before.
        self.recovery.frto = cx.config.tcp_frto && (newly || retries > 0);
        self.recovery.new_first = false;
        // RFC 6298 §5 (5.4): the first goes again, also when something that left just now fills the window.
        self.recovery.forced = true;
        self.tell_window(cx);
    }

    /// Everything outstanding is lost, but what was sent less than a round trip ago; when the first
    /// piece had been reported, the peer has thrown away what it reported (RFC 2018 §8).
    fn take_for_lost(&mut self, cx: &mut Context<'_>) {
        let now = cx.now;
        let reneged = self.recovery.board.first().is_some_and(|p| p.sacked);
        if reneged || !self.marks.sack {
            self.recovery.board.clear_sacked();
        }
        if reneged {
            cx.counters.add(Counter::TcpExtTCPSACKReneging);
        }
        let una = self.snd.una;
        let Self {
            recovery,
            congestion,
            ..
        } = self;
        let (rack, delivery) = (&recovery.rack, &mut recovery.delivery);
        recovery.board.mark_all_lost(|piece| {
            let fresh = !reneged
                && piece.start != una
                && rack.remaining(now, piece, Duration::ZERO) > Duration::ZERO;
            if !fresh && !piece.lost && !piece.sacked {
                tell_lost(delivery, congestion.as_mut(), now, piece);
            }
            !fresh
        });
    }

    /// What was too large for the path goes again, cut anew. The window stays: nothing was lost to
    /// congestion.
    pub(crate) fn resend_without_congestion(&mut self, cx: &mut Context<'_>) {
        if !self.recovery.take_back(self.mss) {
            return;
        }
        if self.recovery.state < CaState::Loss {
            if self.recovery.state < CaState::Cwr {
                self.recovery.high_seq = self.snd.nxt;
            }
            self.recovery.undo.disarm();
            self.recovery.frto = false;
            self.set_ca_state(cx, CaState::Loss);
        }
    }

    /// An acknowledgment in Loss.
    pub(super) fn in_loss(&mut self, cx: &mut Context<'_>, report: &Report, echoed: Option<u32>) {
        let recovered = self.snd.una.after_or_eq(self.recovery.high_seq);
        if report.advanced && self.undo_loss(cx, false, echoed) {
            return;
        }
        if self.recovery.frto {
            // RFC 5682 §3.1 (3b): something that was sent once, before the time-out, has arrived.
            if report.original_arrived && self.undo_loss(cx, true, echoed) {
                return;
            }
            let high_seq = self.recovery.high_seq;
            if self.snd.nxt.after(high_seq) {
                if report.sacked || report.duplicates > 0 {
                    // (3a): the loss was real.
                    self.recovery.frto = false;
                }
            } else if report.advanced && !recovered {
                self.recovery.high_seq = self.snd.nxt;
                if self.may_send_new() {
                    // (2b): up to two segments that were never sent, and see.
                    self.recovery.new_first = true;
                    return;
                }
                self.recovery.frto = false;
            }
        }
        if recovered {
            // (2a), (3a), or the end of an ordinary repair.
            self.undo_recovery(cx, echoed);
            return;
        }
        if !self.marks.sack {
            // A duplicate that the new segments of (2b) caused; else the next hole is filled.
            if self.snd.nxt.after(self.recovery.high_seq) && report.duplicates > 0 {
                self.recovery.assume_arrived(report.duplicates, self.mss);
            } else if report.advanced {
                self.recovery.forget_assumed();
            }
        }
    }

    /// Whether there is text that was never sent, and the peer's window takes some of it.
    fn may_send_new(&self) -> bool {
        let edge = self.snd.una + self.snd.wnd;
        self.unsent() > 0 && self.snd.nxt.before(edge)
    }
}
