//! What goes out, and when: what recovery wants sent again, else new text as far as min (cwnd, rwnd)
//! goes, else an acknowledgment.
//!
//! [`Tcb::next_action`] decides and changes nothing; [`Tcb::transmit`] does what it says, segment by
//! segment, until nothing is left to do or the interface is full. How each is done is
//! [`perform`](crate::perform)'s.

use crate::State;
use crate::tcb::Tcb;
use crate::timers::Retransmit;
use crate::totals::Hold;
use core::time::Duration;
use sockeye_core::{Context, Instant};

/// Acknowledgments sent at once when a connection starts, as the peer is in slow start, and when text came
/// twice (Linux: TCP_MAX_QUICKACKS).
pub(crate) const QUICK_ACKS: u8 = 16;
/// RFC 9293 §3.8.6.3 (MUST-40): below 0.5 s; Linux's minimum.
pub(crate) const ACK_DELAY: Duration = Duration::from_millis(40);
/// The longest that an acknowledgment is put off (Linux: TCP_DELACK_MAX).
pub(crate) const ACK_DELAY_MAX: Duration = Duration::from_millis(200);
/// tcp(7), TCP_CORK: what is held back goes out after 200 ms.
const CORK_MAX: Duration = Duration::from_millis(200);

/// The next thing to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// The SYN, or SYN and ACK.
    Syn,
    /// Up to `len` numbers of the first piece that is due, again.
    Again { len: u32 },
    /// `len` bytes of new text, and the FIN behind them.
    New { len: u32, fin: bool },
    /// A probe of the path's MTU: `len` bytes of new text in one segment.
    MtuProbe { len: u32 },
    /// A tail loss probe.
    TailProbe,
    /// A probe of a closed window or of a silent peer.
    Probe,
    /// An acknowledgment alone.
    Ack,
}

impl Tcb {
    /// Whether [`transmit`](Self::transmit) has something to do.
    pub(crate) fn has_output(&self, now: Instant) -> bool {
        self.next_action(now).is_some()
    }

    /// What to send next.
    pub(crate) fn next_action(&self, now: Instant) -> Option<Action> {
        if self.marks.syn_due {
            return Some(Action::Syn);
        }
        if self.state.transmits() || self.is_unproven() {
            if self.marks.tail_probe_due {
                return Some(Action::TailProbe);
            }
            let paced_out = self.is_paced_out(now);
            if !paced_out && let Some(again) = self.next_again() {
                return Some(again);
            }
            if self.marks.probe_due {
                return Some(Action::Probe);
            }
            if !paced_out {
                if let Some(len) = self.mtu_probe(now) {
                    return Some(Action::MtuProbe { len });
                }
                if let Some(new) = self.next_new() {
                    return Some(new);
                }
            }
        } else if self.marks.probe_due && self.state == State::FinWait2 {
            return Some(Action::Probe);
        }
        let knows_peer = self.state.is_synchronized() || self.state == State::SynReceived;
        (self.marks.ack_now && knows_peer).then_some(Action::Ack)
    }

    /// Bytes that may be in flight: what congestion control says, or what is left of it while a
    /// recovery brings it down.
    pub(crate) fn cwnd(&self) -> u64 {
        self.recovery
            .window()
            .unwrap_or_else(|| self.congestion.cwnd())
    }

    /// Bytes that congestion control lets out now.
    pub(crate) fn cwnd_room(&self) -> u32 {
        let cwnd = u32::try_from(self.cwnd()).unwrap_or(u32::MAX);
        cwnd.saturating_sub(self.pipe())
    }

    /// Whether something could be sent but for the pacer.
    pub(crate) fn waits_for_pacer(&self, now: Instant) -> bool {
        self.is_paced_out(now)
            && self.state.transmits()
            && (self.next_again().is_some() || self.next_new().is_some())
    }

    /// Whether our SYN has not been acknowledged. ISS alone does not tell: after 4 GiB, SND.UNA may
    /// come by it again.
    pub(crate) fn syn_is_outstanding(&self) -> bool {
        self.snd.una == self.snd.iss && self.queue.start().after(self.snd.una)
    }

    /// What is due to be sent again, as far as the windows let it go.
    fn next_again(&self) -> Option<Action> {
        let piece = self.recovery.board.peek_due()?;
        if self.syn_is_outstanding() || self.recovery.wants_new_first() {
            return None;
        }
        // RFC 9293 §3.8.6 (MUST-34, SHLD-16): up to SND.UNA + SND.WND, also when the window has shrunk. Where
        // it has closed, one segment at SND.UNA is its probe.
        let edge = self.snd.una + self.snd.wnd;
        let in_window = if piece.start.before(edge) {
            piece.start.bytes_to(edge)
        } else if piece.start == self.snd.una {
            self.mss
        } else {
            return None;
        };
        let wanted = piece.len().min(in_window).min(self.burst);
        let room = self.cwnd_room();
        let len = if room < wanted {
            // Whole segments, and one at least when nothing is in flight.
            let whole = room / self.mss * self.mss;
            let forced = self.pipe() == 0 || self.recovery.is_forced();
            whole.max(if forced { self.mss } else { 0 })
        } else {
            wanted
        };
        (len > 0).then_some(Action::Again {
            len: len.min(wanted),
        })
    }

    /// Bytes of new text that the peer's window still takes: U = SND.UNA + SND.WND - SND.NXT
    /// (RFC 9293 §3.8.6.2.1); nothing where it has shrunk (§3.8.6, SHLD-15).
    pub(crate) fn usable_window(&self) -> u32 {
        let edge = self.snd.una + self.snd.wnd;
        if self.snd.nxt.before(edge) {
            self.snd.nxt.bytes_to(edge)
        } else {
            0
        }
    }

    /// New text and the FIN. RFC 9293 §3.8.6.2.1 (MUST-38): not in crumbs; §3.9.1.2 (SHLD-28, MAY-16):
    /// in full segments where there is as much.
    fn next_new(&self) -> Option<Action> {
        let queued = self.unsent();
        let fin_waits = self.marks.fin_queued && !self.fin_sent();
        if (queued == 0 && !fin_waits) || self.recovery.board.is_full() {
            return None;
        }
        let usable = self.usable_window();
        let room = self.cwnd_room();
        if queued == 0 {
            return (usable > 0).then_some(Action::New { len: 0, fin: true });
        }
        let record = self.unsent_record();
        let len = record.min(usable).min(room);
        let full = len / self.mss * self.mss;
        if full > 0 {
            // (1) a full segment can be sent. What is left over is looked at by itself. A burst takes
            // half of the window at most, so that acknowledgments come in between.
            let cwnd = u32::try_from(self.cwnd()).unwrap_or(u32::MAX);
            let half = (cwnd / 2 / self.mss * self.mss).max(self.mss);
            let burst = half.min(self.burst);
            return Some(self.new_text(full.min(burst), usable, queued, fin_waits));
        }
        if len == 0 {
            return None;
        }
        let all = len == record;
        // (2) all that is queued can be sent, unless Nagle's algorithm holds it back: what ends a
        // record that others follow has nothing to wait for.
        let goes = (all && (record < queued || fin_waits || self.small_may_go()))
            // (3) at least half of the largest window can be sent.
            || (len == usable && len >= self.snd.max_wnd.div_ceil(2) && self.small_may_go())
            // (4) the override time-out has come.
            || self.marks.override_sws;
        goes.then(|| self.new_text(len, usable, queued, fin_waits))
    }

    fn new_text(&self, len: u32, usable: u32, queued: u32, fin_waits: bool) -> Action {
        Action::New {
            len,
            fin: fin_waits && len == queued && usable > len,
        }
    }

    /// Whether what does not fill a segment waits for more (TCP_CORK, MSG_MORE).
    pub(crate) fn is_corked(&self) -> bool {
        self.settings.cork || self.marks.more_follows
    }

    /// RFC 9293 §3.7.4 (SHLD-7, MUST-17): Nagle's algorithm, unless switched off. It is Minshall's variant, Linux's
    /// too: a small segment waits for another small one, not for full ones, so that the end of a
    /// large write is not held up by the peer's delayed acknowledgment.
    fn small_may_go(&self) -> bool {
        if self.is_corked() {
            return self.is_urgent();
        }
        self.is_urgent() || self.settings.no_delay || !self.snd.small.after(self.snd.una)
    }

    /// Sends up to `budget` packets; returns how many it sent, and whether it found out that nothing
    /// is left to do.
    pub(crate) fn transmit(&mut self, cx: &mut Context<'_>, budget: usize) -> (usize, bool) {
        let (mut sent, mut drained) = (0, false);
        self.look_at_window(cx);
        let before = self.snd.nxt;
        while sent < budget {
            let Some(action) = self.next_action(cx.now) else {
                drained = true;
                break;
            };
            let Ok(route) = self.route(cx) else {
                break;
            };
            if cx.tx_room(route.interface) == 0 {
                break;
            }
            self.perform(cx, &route, action);
            sent += 1;
        }
        self.note_window_use(cx, before != self.snd.nxt);
        self.note_hold(cx.now);
        self.after_transmit(cx.now);
        (sent, drained)
    }

    /// Remembers what holds the sender up, for TCP_INFO.
    pub(crate) fn note_hold(&mut self, now: Instant) {
        let unsent = self.unsent();
        let segment = unsent.min(self.mss);
        let hold = if unsent > 0
            && self.usable_window() < segment
            // Where both are full, it is the congestion window that counts, as in Linux.
            && self.cwnd_room() >= segment
        {
            Hold::ReceiveWindow
        } else if unsent == 0 && self.outstanding() > 0 && self.marks.refused_send {
            Hold::SendBuffer
        } else if unsent > 0 || self.queue.len() > 0 {
            Hold::Busy
        } else {
            Hold::Idle
        };
        self.totals.chronograph.set(now, hold);
    }

    /// Sees to it that something happens though no acknowledgment comes.
    pub(crate) fn after_transmit(&mut self, now: Instant) {
        if self.outstanding() == 0 {
            let syn = matches!(self.state, State::SynSent | State::SynReceived);
            if syn && self.marks.deferred {
                // It waits for the user.
            } else if syn {
                // It waits for a route.
                if self.deadlines.pending().is_none() {
                    self.schedule(Retransmit::Timeout, now + self.rtt.rto());
                }
            } else if self.waits_for_peer() {
                self.watch_window(now);
            }
        } else if self.deadlines.pending().is_none() {
            self.set_retransmission_timer(now, true);
        }
        if self.waits_for_pacer(now) {
            self.deadlines.pace = self.pacer.next();
        }
        if self.is_corked() && self.unsent() > 0 && self.deadlines.uncork == Instant::FAR {
            self.deadlines.uncork = now + CORK_MAX;
        }
    }

    /// Whether only an acknowledgment, a window or a route can bring this on: RFC 6298 §5 (5.1),
    /// RFC 9293 §3.8.6.1.
    pub(crate) fn waits_for_peer(&self) -> bool {
        let syn = matches!(self.state, State::SynSent | State::SynReceived) && !self.marks.deferred;
        let held = self.unsent() > 0 && !self.is_corked();
        let fin_waits = self.marks.fin_queued && !self.fin_sent();
        syn || (self.state.transmits() && (self.outstanding() > 0 || held || fin_waits))
    }

    /// The user is about to add to what waits: if all was sent though the window would take more, the user
    /// is what holds the connection up (draft-ietf-ccwg-bbr §4.1.1.5).
    pub(crate) fn note_app_limited(&mut self) {
        let board = &self.recovery.board;
        if self.unsent() < self.mss
            && u64::from(self.pipe()) < self.cwnd()
            && board.lost().segments <= board.again().segments
        {
            let pipe = self.pipe();
            self.recovery.delivery.app_limited(pipe);
        }
    }
}
