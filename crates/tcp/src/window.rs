//! The receive window: how much the peer may send (RFC 9293 §3.8.6), kept from opening in crumbs
//! (§3.8.6.2.2), and grown while the reader keeps up.
//!
//! The buffer (`SO_RCVBUF`) counts memory; half of it is offered as window, as Linux does by
//! default, and the other half is for what packets cost beyond their bytes.

use crate::isn::timestamp;
use crate::receive_tuning::Tuning;
use crate::segment::Segment;
use crate::tcb::Tcb;
use core::time::Duration;
use sockeye_core::{Context, Instant};
use sockeye_wire::SeqNum;

/// The largest shift (RFC 7323 §2.3).
pub(crate) const SHIFT_MAX: u8 = 14;
/// Text shorter than this does not open the window further: what it costs is not its length.
const WORTH_GROWING: u32 = 128;
/// A timestamp that comes back later than this is not a round trip.
const ECHO_MAX_MS: u32 = 600_000;

/// RCV.* of RFC 9293 §3.3.1, and the buffer behind them.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct ReceiveSequence {
    /// RCV.NXT
    pub(crate) nxt: SeqNum,
    /// RCV.NXT + RCV.WND: the right edge of what was offered. It never moves left (SHLD-14).
    pub(crate) edge: SeqNum,
    /// IRS
    pub(crate) irs: SeqNum,
    /// Rcv.Wind.Shift (RFC 7323 §2.3)
    pub(crate) shift: u8,
    /// Last.ACK.sent (RFC 7323 §4.3)
    pub(crate) last_ack_sent: SeqNum,
    /// Position of RCV.NXT in the stream: 0 is the first byte of text.
    pub(crate) position: u64,
    /// The limit of SO_RCVBUF, bytes of memory.
    pub(crate) buffer: usize,
    /// No window larger than this is offered yet: it grows with what arrives (Linux:
    /// rcv_ssthresh). 0 before the SYN.
    pub(crate) ssthresh: u32,
    /// While something is received.
    pub(crate) tuning: Option<Box<Tuning>>,
}

impl ReceiveSequence {
    /// RCV.WND; 0 for as long as nobody reads (RFC 9293 §3.8.6.1, MAY-8).
    pub(crate) fn wnd(&self) -> u32 {
        if self.edge.after(self.nxt) {
            self.nxt.bytes_to(self.edge)
        } else {
            0
        }
    }

    /// Bytes that may be offered when nothing waits.
    pub(crate) fn space(&self) -> u32 {
        u32::try_from(self.buffer / 2).unwrap_or(u32::MAX >> 2)
    }

    /// RFC 9293 §3.10.7.4, first: table 6, whether a segment of `len` numbers from `seq` on is
    /// acceptable.
    pub(crate) fn is_acceptable(&self, seq: SeqNum, len: u32) -> bool {
        let wnd = self.wnd();
        match (len, wnd) {
            (0, 0) => seq == self.nxt,
            (0, _) => seq.is_within(self.nxt, wnd),
            (_, 0) => false,
            (_, _) => {
                seq.is_within(self.nxt, wnd) || (seq + (len - 1)).is_within(self.nxt, wnd)
                    // A super-segment may be longer than the window and cover it whole.
                    || (seq.before(self.nxt) && (seq + (len - 1)).after_or_eq(self.edge))
            }
        }
    }

    /// RCV.NXT moves over `n` numbers of text.
    pub(crate) fn advance(&mut self, n: u32) {
        self.nxt += n;
        self.position += u64::from(n);
    }

    /// Where the right edge may be moved to with `waiting` bytes not read.
    ///
    /// RFC 9293 §3.8.6.2.2 (MUST-39): it stays until it would move by min (Fr * RCV.BUFF, Eff.snd.MSS).
    fn new_edge(&self, waiting: usize, mss: u32, clamp: u32) -> SeqNum {
        let space = self.space();
        let limit = if clamp == 0 { space } else { space.min(clamp) };
        let waiting = u32::try_from(waiting).unwrap_or(u32::MAX);
        let mut free = limit.saturating_sub(waiting);
        if self.ssthresh > 0 {
            free = free.min(self.ssthresh);
        }
        let wanted = self.nxt + free;
        let moved = self.edge.distance_to(wanted);
        // What is offered at most counts as the buffer: a clamp below an MSS would close it for ever.
        let worth = (limit / 2).min(mss).max(1);
        if i64::from(moved) >= i64::from(worth) {
            wanted
        } else {
            self.edge
        }
    }

    /// The value of SEG.WND for a segment that leaves now; what it offers is remembered. In a SYN
    /// the field is never scaled (RFC 7323 §2.2).
    pub(crate) fn offer(&mut self, waiting: usize, mss: u32, clamp: u32, syn: bool) -> u16 {
        self.edge = self.new_edge(waiting, mss, clamp);
        let shift = if syn { 0 } else { self.shift };
        // Rounded up: rounding down would move the edge left (SHLD-14).
        let field = self.wnd().div_ceil(1 << shift);
        let field = u16::try_from(field).unwrap_or(u16::MAX);
        let offered = u32::from(field) << shift;
        self.edge = self.edge.later(self.nxt + offered);
        if syn || self.wnd() > offered {
            // What the field can't hold is not offered.
            self.edge = self.nxt + offered;
        }
        if syn {
            self.ssthresh = offered;
        }
        field
    }

    /// Whether the user's reading is worth a segment of its own: the window at least doubles. What
    /// the peer still has to use needs no update.
    pub(crate) fn update_is_due(&self, waiting: usize, mss: u32, clamp: u32) -> bool {
        let now = self.wnd();
        let later = self.nxt.bytes_to(self.new_edge(waiting, mss, clamp));
        later > now && later / 2 >= now
    }

    /// `len` bytes of text have arrived while `waiting` bytes are not read: the window may open
    /// further, by two segments for each.
    fn grow(&mut self, len: u32, waiting: usize, mss: u32, clamp: u32) {
        let space = self.space();
        let limit = if clamp == 0 { space } else { space.min(clamp) };
        let free = limit.saturating_sub(u32::try_from(waiting).unwrap_or(u32::MAX));
        if len >= WORTH_GROWING && self.ssthresh < free {
            let step = len.max(mss).saturating_mul(2);
            self.ssthresh = self.ssthresh.saturating_add(step).min(free);
        }
    }
}

impl Tcb {
    /// Text is here: how long ago did the peer answer what, and how fast does it fill the window?
    pub(crate) fn measure_as_receiver(&mut self, now: Instant, segment: &Segment) {
        let tuning = self.rcv.tuning.get_or_insert_default();
        if segment.text_len < self.mss {
            return;
        }
        let echo = segment
            .options
            .timestamps
            .filter(|_| self.timestamps.is_some());
        match echo {
            Some(echo) if echo.tsecr != 0 => {
                let ticks = timestamp(now, self.timestamp_offset).wrapping_sub(echo.tsecr);
                if ticks < ECHO_MAX_MS {
                    // The clock's tick is the shortest that can be told.
                    let age = Duration::from_millis(ticks.max(1).into());
                    tuning.timestamp_returns(echo.tsecr, age);
                }
            }
            _ => {}
        }
    }

    /// `len` bytes were taken in.
    pub(crate) fn tune_receiving(&mut self, cx: &Context<'_>, len: u32) {
        let wnd = self.rcv.wnd();
        if let Some(tuning) = &mut self.rcv.tuning {
            tuning.window_fills(self.rcv.nxt, wnd, cx.now);
        }
        if !cx.memory.is_under_pressure() {
            let clamp = self.settings.window_clamp;
            self.rcv.grow(len, self.waiting(), self.mss, clamp);
        }
    }

    /// The user has read `n` bytes: the buffer may grow, so that the peer's window is never what
    /// holds it up.
    pub(crate) fn tune_receive_buffer(&mut self, cx: &Context<'_>, n: usize) {
        let srtt = self.rtt.srtt();
        let Some(tuning) = &mut self.rcv.tuning else {
            return;
        };
        let Some(wanted) = tuning.was_read(n, cx.now, self.mss, srtt) else {
            return;
        };
        let fixed = self.settings.receive_buffer_locked || !cx.config.tcp_moderate_rcvbuf;
        if fixed || cx.memory.is_under_pressure() {
            return;
        }
        let wanted = usize::try_from(wanted)
            .unwrap_or(usize::MAX)
            .saturating_mul(2);
        self.rcv.buffer = wanted.min(cx.config.tcp_rmem.2).max(self.rcv.buffer);
    }
}

/// RFC 7323 §2.3: the smallest shift with which a buffer of `buffer` bytes can be offered.
pub(crate) fn shift_for(buffer: usize) -> u8 {
    (0..SHIFT_MAX)
        .find(|&shift| buffer >> shift <= usize::from(u16::MAX))
        .unwrap_or(SHIFT_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(nxt: u32, wnd: u32) -> ReceiveSequence {
        ReceiveSequence {
            nxt: SeqNum(nxt),
            edge: SeqNum(nxt) + wnd,
            buffer: 131_072,
            ..ReceiveSequence::default()
        }
    }

    /// RFC 9293 §3.10.7.4: table 6, row by row.
    #[test]
    fn acceptability() {
        let open = sequence(100, 50);
        let closed = sequence(100, 0);
        let table = [
            (&closed, 100, 0, true),
            (&closed, 101, 0, false),
            (&closed, 99, 0, false),
            (&closed, 100, 1, false),
            (&open, 100, 0, true),
            (&open, 149, 0, true),
            (&open, 150, 0, false),
            (&open, 99, 0, false),
            (&open, 149, 10, true),
            (&open, 150, 10, false),
            (&open, 90, 10, false),
            (&open, 90, 11, true),
            (&open, 90, 100, true),
        ];
        for (rcv, seq, len, acceptable) in table {
            let got = rcv.is_acceptable(SeqNum(seq), len);
            assert_eq!(got, acceptable, "wnd {} seq {seq} len {len}", rcv.wnd());
        }
        assert!(sequence(u32::MAX - 10, 50).is_acceptable(SeqNum(5), 1));
    }

    /// RFC 9293 §3.8.6 (SHLD-14), §3.8.6.2.2 (MUST-39).
    #[test]
    fn the_edge_moves_by_segments_and_never_back() {
        let mut rcv = sequence(0, 0);
        rcv.shift = 7;
        assert_eq!(rcv.offer(0, 1000, 0, false), 512);
        assert_eq!(rcv.wnd(), 65_536);
        // 500 bytes arrive and are read: less than a segment, the edge stays.
        rcv.advance(500);
        let field = rcv.offer(0, 1000, 0, false);
        assert_eq!(rcv.wnd(), 65_152); // 65,036 rounded up to the unit of the shift
        assert_eq!(u32::from(field) << 7, rcv.wnd());
        let edge = rcv.edge;
        // Nothing is read while more arrives: still it does not move left.
        rcv.advance(2000);
        rcv.offer(2500, 1000, 0, false);
        assert!(rcv.edge.after_or_eq(edge));
        assert!(!rcv.update_is_due(2500, 1000, 0));
    }

    #[test]
    fn an_update_is_due_when_the_window_doubles() {
        let mut rcv = sequence(0, 65_536);
        rcv.advance(60_000);
        assert!(!rcv.update_is_due(60_000, 1000, 0));
        assert!(!rcv.update_is_due(59_500, 1000, 0));
        assert!(rcv.update_is_due(30_000, 1000, 0));
    }

    /// RFC 9293 §3.1 (MUST-1): the field is unsigned.
    #[test]
    fn a_clamp_below_a_segment_opens_again() {
        let mut rcv = sequence(0, 0);
        rcv.offer(500, 1000, 500, false);
        assert_eq!(rcv.wnd(), 0);
        assert!(rcv.update_is_due(0, 1000, 500));
        assert_eq!(rcv.offer(0, 1000, 500, false), 500);
    }

    /// RFC 7323 §2.3.
    #[test]
    fn a_syn_offers_no_more_than_its_field_holds() {
        let mut rcv = sequence(0, 0);
        rcv.buffer = 6 << 20;
        rcv.shift = 7;
        assert_eq!(rcv.offer(0, 1000, 0, true), u16::MAX);
        assert_eq!(rcv.wnd(), 65_535);
        assert_eq!(shift_for(6_291_456), 7);
        assert_eq!(shift_for(65_535), 0);
        assert_eq!(shift_for(usize::MAX), SHIFT_MAX);
    }

    #[test]
    fn the_window_opens_with_what_arrives() {
        let mut rcv = sequence(0, 0);
        rcv.buffer = 1 << 20;
        rcv.shift = 7;
        rcv.offer(0, 1000, 0, true);
        rcv.offer(0, 1000, 0, false);
        assert_eq!(rcv.ssthresh, 65_535);
        assert_eq!(rcv.wnd(), 65_536);
        for n in 1..=10 {
            rcv.advance(1000);
            rcv.grow(1000, 0, 1000, 0);
            assert_eq!(rcv.ssthresh, 65_535 + 2000 * n);
        }
        // Single bytes open nothing, and half the memory is the end.
        rcv.grow(1, 0, 1000, 0);
        assert_eq!(rcv.ssthresh, 85_535);
        rcv.grow(1 << 20, 0, 1000, 0);
        assert_eq!(rcv.ssthresh, 1 << 19);
        rcv.grow(1000, 0, 1000, 0);
        assert_eq!(rcv.ssthresh, 1 << 19);
    }
}
