//! The receive window: how much the peer may send (RFC 9293 §3.8.6), kept from opening in crumbs
//! (§3.8.6.2.2), and grown while the reader keeps up.
//!
//! The buffer (`SO_RCVBUF`) counts memory; half of it is offered as window, as Linux does by
//! default, and the other half is for what packets cost beyond their bytes.

use crate::rtt::RttEstimator;
use core::time::Duration;
use sockeye_core::Instant;
use sockeye_wire::SeqNum;

/// The largest shift (RFC 7323 §2.3).
pub(crate) const SHIFT_MAX: u8 = 14;
/// A period of autotuning is never shorter: clocks and readers are not finer than this.
const PERIOD_MIN: Duration = Duration::from_micros(50);

/// RCV.* of RFC 9293 §3.3.1, and the buffer behind them.
#[derive(Clone, Debug, Default)]
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
    /// When the current period of autotuning began, and what the user had read by then.
    pub(crate) period: Instant,
    pub(crate) period_read: u64,
    /// Bytes that the user has read in all.
    pub(crate) read: u64,
}

impl ReceiveSequence {
    /// RCV.WND
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
    /// RFC 9293 §3.8.6.2.2: it stays until it would move by min (Fr * RCV.BUFF, Eff.snd.MSS).
    fn new_edge(&self, waiting: usize, mss: u32, clamp: u32) -> SeqNum {
        let space = self.space();
        let limit = if clamp == 0 { space } else { space.min(clamp) };
        let waiting = u32::try_from(waiting).unwrap_or(u32::MAX);
        let free = limit.saturating_sub(waiting);
        let wanted = self.nxt + free;
        let moved = self.edge.distance_to(wanted);
        let worth = (space / 2).min(mss).max(1);
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
        field
    }

    /// Whether the user's reading is worth a segment of its own: the window at least doubles. What
    /// the peer still has to use needs no update.
    pub(crate) fn update_is_due(&self, waiting: usize, mss: u32, clamp: u32) -> bool {
        let now = self.wnd();
        let later = self.nxt.bytes_to(self.new_edge(waiting, mss, clamp));
        later > now && later / 2 >= now
    }

    /// The user has read `n` bytes. Once in a round trip, the buffer grows to twice what was read
    /// in it, at most to `max`: then the peer's window is never what holds it up.
    pub(crate) fn was_read(&mut self, n: usize, now: Instant, rtt: &RttEstimator, max: usize) {
        self.read += n as u64;
        let period = rtt.srtt().unwrap_or(PERIOD_MIN).max(PERIOD_MIN);
        if now - self.period < period {
            return;
        }
        let in_period = self.read - self.period_read;
        // A longer silence counts as one round trip: what was read in it says nothing of the rate.
        let wanted = usize::try_from(in_period)
            .unwrap_or(usize::MAX)
            .saturating_mul(4);
        if wanted > self.buffer {
            self.buffer = wanted.min(max).max(self.buffer);
        }
        self.period = now;
        self.period_read = self.read;
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
    fn the_buffer_follows_the_reader_up_to_its_limit() {
        let mut rcv = sequence(0, 65_536);
        let rtt = RttEstimator::default();
        let mut now = Instant::ZERO;
        for _ in 0..20 {
            now += Duration::from_millis(1);
            let space = rcv.space() as usize;
            rcv.was_read(space, now, &rtt, 1 << 20);
        }
        assert_eq!(rcv.buffer, 1 << 20);
        let mut slow = sequence(0, 65_536);
        slow.was_read(10_000, now, &rtt, 1 << 20);
        assert_eq!(slow.buffer, 131_072);
    }
}
