//! When text leaves, and how much of it at once: the pacer (draft-ietf-ccwg-bbr §5.6), super-segments
//! that last about a millisecond, and what becomes of a window that is not used (RFC 5681 §4.1,
//! RFC 7661).

use crate::tcb::Tcb;
use core::time::Duration;
use sockeye_core::congestion::Setup;
use sockeye_core::congestion::pacing::{percent, window_rate};
use sockeye_core::{Config, Context, Instant};
use sockeye_wire::SeqNum;

/// Bytes of a super-segment at most, text alone.
const BURST_MAX: u64 = 65_000;
/// A super-segment lasts 2^-10 s at the rate of the connection (Linux: sk_pacing_shift).
const BURST_SHIFT: u32 = 10;
/// On a short path it may be larger: as much as it takes to fill it, by half for each doubling of the
/// round trip beyond 2^9 µs (Linux: tcp_tso_rtt_log).
const SHORT_PATH_SHIFT: u32 = 9;

/// How much of the window is used, and what is known of it.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct WindowUse {
    pub(crate) usage: sockeye_core::congestion::Usage,
    /// RFC 7661, where that is how unused windows are treated.
    pub(crate) validation: Option<Box<sockeye_core::congestion::Validation>>,
    /// Since when the window was not filled, and the most that was in flight meanwhile.
    starving: Option<(Instant, u32)>,
}

/// What a congestion controller starts from: segments of `mss` bytes, and a number that is random and
/// another for each connection.
pub(crate) fn setup(config: &Config, mss: u32, iss: SeqNum) -> Setup {
    Setup {
        smss: mss,
        // A packet lasts a millisecond, and takes half of the window at most. With RFC 9406's limit for
        // senders that make bursts, slow start would be linear beside receivers that merge segments and
        // acknowledge dozens at once; Linux has none either.
        paced: true,
        hystart: config.tcp_hystart,
        seed: iss.0.into(),
    }
}

impl Tcb {
    /// The window and the path are what they are at the start of a connection.
    pub(crate) fn begin_rates(&mut self, config: &Config) {
        if !config.tcp_slow_start_after_idle && !self.congestion.shapes_recovery() {
            self.window_use.validation = Some(Box::default());
        }
        self.update_rates(config);
    }

    /// Bytes a second that may leave, where something spaces them.
    pub(crate) fn pacing_rate(&self) -> Option<u64> {
        let limited = self.settings.max_pacing_rate != u64::MAX;
        if limited || self.congestion.pacing_rate().is_some() || self.marks.paced {
            self.rate()
        } else {
            None
        }
    }

    /// Bytes a second that the connection sends at: not more than SO_MAX_PACING_RATE.
    fn rate(&self) -> Option<u64> {
        match (self.wanted_rate(), self.settings.max_pacing_rate) {
            (rate, u64::MAX) => rate,
            (rate, max) => Some(rate.map_or(max, |rate| rate.min(max)).max(1)),
        }
    }

    fn wanted_rate(&self) -> Option<u64> {
        self.congestion.pacing_rate().or_else(|| {
            let cwnd = self.congestion.cwnd();
            let percent = match percent(cwnd, self.congestion.ssthresh()) {
                sockeye_core::congestion::pacing::SLOW_START_PERCENT => self.pacing_ratios.0,
                _ => self.pacing_ratios.1,
            };
            let out = u64::from(self.recovery.board.out().bytes);
            window_rate(cwnd.max(out), self.rtt.srtt(), percent)
        })
    }

    /// After an acknowledgment: how much may leave at once from now on.
    pub(crate) fn update_rates(&mut self, config: &Config) {
        self.marks.paced = config.tcp_pacing;
        self.pacing_ratios = config.tcp_pacing_ratios;
        let short_path = self.rtt.min().map_or(0, |min| {
            let doublings = min.as_micros() >> SHORT_PATH_SHIFT;
            u32::try_from(doublings)
                .ok()
                .and_then(|shift| BURST_MAX.checked_shr(shift))
                .unwrap_or(0)
        });
        let bytes = self
            .rate()
            .map_or(BURST_MAX, |rate| rate >> BURST_SHIFT)
            .saturating_add(short_path)
            .min(BURST_MAX);
        let mss = u64::from(self.mss.max(1));
        let segments = (bytes / mss).max(config.tcp_min_tso_segs.into()).max(1);
        self.burst = u32::try_from(segments.saturating_mul(mss)).unwrap_or(u32::MAX);
    }

    /// Whether the pacer holds text back at `now`.
    pub(crate) fn is_paced_out(&self, now: Instant) -> bool {
        self.pacer.next() > now
    }

    /// `bytes` of text left.
    pub(crate) fn pace(&mut self, now: Instant, bytes: u32) {
        if let Some(rate) = self.pacing_rate() {
            self.pacer.on_sent(now, bytes.into(), rate);
        }
    }

    /// Before text is sent: what has become of a window that was not used.
    pub(crate) fn look_at_window(&mut self, cx: &Context<'_>) {
        // RFC 7661 §4.3 tells by what is acknowledged in a round trip whether a window is used. In slow start
        // over a full queue that is less than half of it, though every bit of it is: that counts, too.
        if self.unsent() == 0 || self.is_cwnd_limited() {
            return;
        }
        if let Some(validation) = &mut self.window_use.validation {
            let srtt = self.rtt.srtt().unwrap_or_default();
            if let Some(used) = validation.check(cx.now, srtt, self.congestion.cwnd()) {
                self.congestion.on_unused(cx.now, used);
            }
        }
    }

    /// RFC 5681 §4.1, before the user's text is taken and when the peer's window opens: after an idle
    /// time the window is that of a restart.
    pub(crate) fn restart_after_idle(&mut self, cx: &Context<'_>) {
        let (now, rto) = (cx.now, self.rtt.rto());
        let idle = now - self.sent_at;
        if self.outstanding() == 0 && idle > rto && self.window_use.validation.is_none() {
            self.congestion.on_idle_restart(now, idle, rto);
            self.sent_at = now;
        }
    }

    /// Remembers how much of the window is used: one that is not does not grow (RFC 7661 §4.1).
    pub(crate) fn note_window_use(&mut self, cx: &Context<'_>, sent: bool) {
        let pipe = self.pipe();
        let limited = u64::from(pipe).saturating_add(self.mss.into()) > self.cwnd();
        if !(sent || limited) {
            return;
        }
        let acknowledged = self.queue.position();
        let out = self.recovery.board.out().bytes;
        let usage = &mut self.window_use.usage;
        usage.on_transmit(limited, acknowledged, acknowledged + u64::from(out));
        if !cx.config.tcp_slow_start_after_idle {
            return;
        }
        if self.is_cwnd_limited() {
            self.window_use.starving = None;
            return;
        }
        let (since, used) = self.window_use.starving.unwrap_or((cx.now, 0));
        let used = used.max(out);
        self.window_use.starving = Some((since, used));
        if cx.now - since >= self.rtt.rto() {
            self.window_use.starving = None;
            self.congestion.on_unused(cx.now, used.into());
        }
    }

    /// Whether the window is what holds the sender up.
    pub(crate) fn is_cwnd_limited(&self) -> bool {
        let (cwnd, ssthresh) = (self.congestion.cwnd(), self.congestion.ssthresh());
        self.window_use.usage.is_cwnd_limited(cwnd, ssthresh)
    }

    /// An acknowledgment says how much arrived.
    pub(crate) fn validate_window(&mut self, now: Instant) {
        let delivered = self.recovery.delivery.delivered();
        let srtt = self.rtt.srtt().unwrap_or_default();
        if let Some(validation) = &mut self.window_use.validation {
            validation.on_ack(now, delivered, srtt);
        }
    }

    /// RFC 7661 §4.4.1: a loss while the window was larger than what the path is known to carry.
    pub(crate) fn validate_loss(&mut self, now: Instant) {
        let srtt = self.rtt.srtt().unwrap_or(Duration::ZERO);
        let flight = u64::from(self.recovery.board.out().bytes);
        let cwnd = self.congestion.cwnd();
        if let Some(validation) = &mut self.window_use.validation
            && let Some(safe) = validation.on_loss(now, srtt, flight, cwnd)
        {
            self.congestion
                .set_window(cwnd.min(safe), self.congestion.ssthresh());
        }
    }

    /// It was no loss, and the controller has gone back: so does what is known of the window.
    pub(crate) fn window_restored(&mut self) {
        self.window_use.usage.on_restored();
        if let Some(validation) = &mut self.window_use.validation
            && let Some(cwnd) = validation.on_spurious()
            && cwnd > self.congestion.cwnd()
        {
            self.congestion.set_window(cwnd, self.congestion.ssthresh());
        }
    }

    /// RFC 7661 §4.4.1: the recovery is over; `copies` bytes had been sent again.
    pub(crate) fn validate_recovered(&mut self, copies: u64) {
        if let Some(validation) = &mut self.window_use.validation
            && let Some(safe) = validation.on_recovered(copies)
        {
            let safe = safe.max(self.mss.into());
            let cwnd = self.congestion.cwnd().min(safe);
            let ssthresh = self.congestion.ssthresh().min(safe);
            self.congestion.set_window(cwnd, ssthresh);
        }
    }

    /// RFC 7661 §4.4: a time-out.
    pub(crate) fn validate_timeout(&mut self) {
        if let Some(validation) = &mut self.window_use.validation {
            validation.on_timeout();
        }
    }
}
