//! CUBIC (RFC 9438): after congestion the window comes down to 0.7 of what it was, W_max, and returns
//! there along a cubic function of time, however long the round trip is; below what Reno would have
//! it follows Reno.
//!
//! Sizes are in segments and the curve's times in 1/1024 s, as in Linux: with full segments the
//! window is the same at each acknowledgment. Growth, too, is Linux's: the function is not the window
//! but says how many segments have to be acknowledged for one of growth.
//!
//! Slow start is HyStart++'s ([`hystart`](super::hystart)). The curve itself is `Curve`, the
//! estimate of Reno's window `Friendly`.

use super::hystart::{Growth, Hystart};
use super::window::Window;
use super::{Ack, Cause, CongestionController, Sent, Setup};
use crate::Instant;
use core::time::Duration;

/// RFC 9438 §4.6: beta_cubic is 0.7; in tenths.
const BETA: u64 = 7;
/// The rate of growth is worked out anew when the window has changed, or after 1/32 s or a round trip,
/// whichever is less. Linux waits for 1/32 s always, and on short paths falls behind Reno.
const REFRESH_MAX: Duration = Duration::from_nanos(1_000_000_000 / 32);
/// RFC 9438 §4.2: the window grows by a half in a round trip at most: a segment for each two.
const PER_MIN: u64 = 2;
/// Where W_max is not known, a segment of growth for each 20 acknowledged, or more.
const PER_UNKNOWN: u64 = 20;
/// Round trips are not believed for so long after congestion avoidance began.
const SETTLING: Duration = Duration::from_secs(1);

/// The controller of RFC 9438.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Cubic {
    window: Window,
    hystart: Hystart,
    /// W_max, segments; 0 as long as it is not known.
    w_max: u64,
    /// cwnd_prior, segments.
    cwnd_prior: u64,
    /// The congestion avoidance stage, once it has begun.
    epoch: Option<Epoch>,
    /// The smallest round trip.
    delay_min: Option<Duration>,
    /// The application had nothing more to send when something was sent last.
    app_limited: bool,
    /// Since when the application has kept the window from growing.
    stopped: Option<Instant>,
    /// When the last acknowledgment came.
    heard: Instant,
    before: Option<Before>,
}

/// RFC 9438 §4.9.2: what is put back when congestion turns out to have been none.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
struct Before {
    cwnd: u64,
    ssthresh: u64,
    w_max: u64,
    cwnd_prior: u64,
    epoch: Option<Epoch>,
}

/// A congestion avoidance stage.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
struct Epoch {
    curve: Curve,
    friendly: Friendly,
    /// Segments to be acknowledged for one of growth.
    per: u64,
    /// When that was worked out, and for which window.
    computed: (Instant, u64),
}

impl Cubic {
    /// One at the start of a connection, with HyStart++.
    #[must_use]
    pub fn new(smss: u32) -> Self {
        Self::with(&Setup::new(smss))
    }

    /// One at the start of a connection.
    #[must_use]
    pub fn with(setup: &Setup) -> Self {
        Self {
            window: Window::new(setup.smss),
            hystart: Hystart::new(setup.hystart, setup.paced),
            w_max: 0,
            cwnd_prior: 0,
            epoch: None,
            delay_min: None,
            app_limited: false,
            stopped: None,
            heard: Instant::ZERO,
            before: None,
        }
    }

    fn measure(&mut self, ack: &Ack) {
        let Some(rtt) = ack.rtt else { return };
        // Right after a recovery the queue is not what it will be.
        let settling = |epoch: &Epoch| ack.now - epoch.curve.start < SETTLING;
        if !self.epoch.as_ref().is_some_and(settling) {
            self.delay_min = Some(self.delay_min.map_or(rtt, |least| least.min(rtt)));
        }
    }

    /// Slow start by `ack`. What is left counts for congestion avoidance.
    fn slow_start(&mut self, ack: &Ack) -> u64 {
        let size = (self.window.cwnd, self.window.smss());
        let initial = self.window.is_initial();
        match self.hystart.on_ack(ack, initial, size, self.delay_min) {
            Growth::End => {
                // RFC 9438 §4.10: W_max is not known then, and cwnd_prior is cwnd.
                self.window.end_slow_start();
                self.cwnd_prior = self.window.segments();
                ack.acked
            }
            Growth::By(_) if !ack.may_grow() => 0,
            Growth::By(bytes) if bytes < ack.acked => {
                self.window.slow_start(bytes);
                0
            }
            Growth::By(bytes) => self.window.slow_start(bytes),
        }
    }

    /// RFC 9438 §4.2, §5.8: the time in which the application kept the window from growing does not
    /// count.
    fn resume(&mut self, now: Instant) {
        if let (Some(since), Some(epoch)) = (self.stopped.take(), &mut self.epoch) {
            epoch.curve.start = (epoch.curve.start + (now - since)).min(now);
        }
    }

    /// RFC 9438 §4.2 to §4.5: congestion avoidance by `acked` bytes.
    fn avoid(&mut self, now: Instant, acked: u64) {
        self.resume(now);
        let cwnd = self.window.segments();
        let delay = self.delay_min.unwrap_or_default();
        let refresh = self
            .delay_min
            .map_or(REFRESH_MAX, |rtt| rtt.min(REFRESH_MAX));
        let (w_max, cwnd_prior) = (self.w_max, self.cwnd_prior);
        let fresh = self.epoch.is_none();
        let epoch = self.epoch.get_or_insert_with(|| Epoch {
            curve: Curve::new(now, cwnd, w_max),
            friendly: Friendly::new(cwnd),
            per: 0,
            computed: (now, cwnd),
        });
        epoch.friendly.acked = epoch.friendly.acked.saturating_add(acked);
        let (computed, of) = epoch.computed;
        if fresh || of != cwnd || now - computed > refresh {
            if fresh || computed != now {
                epoch.per = epoch.curve.per(now + delay, cwnd);
                if w_max == 0 {
                    // RFC 9438 §4.10 lets the curve begin flat here, as if it knew W_max. It does
                    // not: the stage began early, by a longer round trip or a time-out. 5 % a round
                    // trip find what is there; Linux does so.
                    epoch.per = epoch.per.min(PER_UNKNOWN);
                }
                epoch.computed = (now, cwnd);
            }
            let reno = epoch.friendly.per(cwnd, cwnd_prior, self.window.smss());
            epoch.per = epoch.per.min(reno).max(PER_MIN);
        }
        let per = epoch.per;
        self.window.grow(acked, per);
    }
}

impl CongestionController for Cubic {
    fn name(&self) -> &'static str {
        "cubic"
    }

    fn saved(&self) -> Option<super::Saved> {
        Some(super::Saved::Cubic(self.clone()))
    }

    fn on_sent(&mut self, sent: &Sent) {
        if sent.in_flight <= sent.bytes {
            // Nothing was in flight: it was idle since the last acknowledgment.
            self.stopped.get_or_insert(self.heard);
        }
        self.app_limited = sent.app_limited;
        if !sent.app_limited {
            self.resume(sent.now);
        }
    }

    fn on_ack(&mut self, ack: &Ack) {
        self.measure(ack);
        let heard = core::mem::replace(&mut self.heard, ack.now);
        let mut acked = ack.acked;
        if self.window.in_slow_start() {
            acked = self.slow_start(ack);
        }
        if !ack.may_grow() {
            // A window that its pacer fills only by and by is not held up by the application.
            if self.app_limited {
                self.stopped.get_or_insert(heard);
            }
        } else if acked > 0 && !self.window.in_slow_start() {
            self.avoid(ack.now, acked);
        }
    }

    fn on_congestion(&mut self, _now: Instant, cause: Cause, _in_flight: u64) {
        if cause != Cause::TimeoutAgain {
            let cwnd = self.window.segments();
            self.before = Some(Before {
                cwnd: self.window.cwnd,
                ssthresh: self.window.ssthresh,
                w_max: self.w_max,
                cwnd_prior: self.cwnd_prior,
                epoch: self.epoch,
            });
            self.cwnd_prior = cwnd;
            // RFC 9438 §4.7, fast convergence: who reaches less than the last time gives way to a
            // newcomer, W_max = cwnd * (1 + beta) / 2.
            self.w_max = if cwnd < self.w_max {
                cwnd.saturating_mul(10 + BETA) / 20
            } else {
                cwnd
            };
            // RFC 9438 §4.6 has FlightSize, or cwnd where it does not grow unused, which
            // [`Ack::cwnd_limited`] sees to. Two segments at least are left after a loss; after marks
            // one, while ssthresh is two.
            let left = (cwnd.saturating_mul(BETA) / 10).max(match cause {
                Cause::Ecn => 1,
                _ => 2,
            });
            self.window.reduce(left);
        }
        self.epoch = None;
        self.stopped = None;
        if matches!(cause, Cause::Timeout | Cause::TimeoutAgain) {
            // RFC 9438 §4.8: as Reno; the next stage begins with K = 0 and W_max = cwnd.
            self.window.collapse();
            self.w_max = 0;
            self.delay_min = None;
            self.hystart.on_timeout();
        }
    }

    /// The window is ssthresh already; the stage begins with the first acknowledgment that counts.
    fn on_recovered(&mut self, _now: Instant, _in_flight: u64) {}

    fn on_idle_restart(&mut self, _now: Instant, idle: Duration, rto: Duration) {
        self.window.restart(idle, rto);
    }

    fn on_unused(&mut self, _now: Instant, used: u64) {
        self.window.unused(used);
    }

    fn on_spurious(&mut self, now: Instant) {
        let Some(before) = self.before.take() else {
            return;
        };
        // RFC 9438 §4.9.2: unless the window has outgrown what it was.
        if self.window.cwnd < before.cwnd {
            self.window.set(before.cwnd, before.ssthresh);
            self.w_max = before.w_max;
            self.cwnd_prior = before.cwnd_prior;
            self.epoch = before.epoch;
            // The window did not follow the curve in between.
            self.stopped = Some(self.heard.min(now));
        }
    }

    fn set_smss(&mut self, smss: u32) {
        self.window.set_smss(smss);
    }

    fn set_window(&mut self, cwnd: u64, ssthresh: u64) {
        self.window.set(cwnd, ssthresh);
        self.epoch = None;
        self.stopped = None;
        self.before = None;
    }

    fn cwnd(&self) -> u64 {
        self.window.cwnd
    }

    fn ssthresh(&self) -> u64 {
        self.window.ssthresh
    }
}

/// RFC 9438 §4.2: W_cubic (t) = C * (t - K)^3 + W_max, with C = 0.4 segments a cubic second.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
struct Curve {
    /// t_epoch, moved on by the time in which the window was not used.
    start: Instant,
    /// K, 1/1024 s.
    k: u64,
    /// W_max of this stage, segments.
    origin: u64,
}

/// C as a fraction.
const C: (u128, u128) = (2, 5);
/// Cubic seconds are 2^30 cubes of 1/1024 s.
const CUBE_SHIFT: u32 = 30;
/// Farther than this from the origin, 48 days, the curve does not go.
const OFFSET_MAX: u64 = 1 << 32;

impl Curve {
    /// The curve that leads from `cwnd` to `w_max` at first.
    fn new(start: Instant, cwnd: u64, w_max: u64) -> Self {
        // RFC 9438 §4.2: K = cubic root ((W_max - cwnd_epoch) / C); 0 where there is no way to go.
        let way = u128::from(w_max.saturating_sub(cwnd)).min(1 << 64);
        Self {
            start,
            k: cubic_root((way * C.1 / C.0) << CUBE_SHIFT),
            origin: w_max.max(cwnd),
        }
    }

    /// W_cubic at `then`, segments.
    fn at(&self, then: Instant) -> u64 {
        let nanos = (then - self.start).as_nanos();
        let t = u64::try_from(nanos * 1024 / 1_000_000_000).unwrap_or(u64::MAX);
        let offset = u128::from(t.abs_diff(self.k).min(OFFSET_MAX));
        let rise = (offset * offset * offset * C.0 / C.1) >> CUBE_SHIFT;
        let rise = u64::try_from(rise).unwrap_or(u64::MAX);
        if t < self.k {
            self.origin.saturating_sub(rise)
        } else {
            self.origin.saturating_add(rise)
        }
    }

    /// RFC 9438 §4.4, §4.5: cwnd grows by (target - cwnd) / cwnd for each segment acknowledged: how
    /// many are acknowledged for one of growth. Above the curve next to nothing.
    fn per(&self, then: Instant, cwnd: u64) -> u64 {
        let target = self.at(then);
        if target > cwnd {
            cwnd / (target - cwnd)
        } else {
            cwnd.saturating_mul(100)
        }
    }
}

/// RFC 9438 §4.3: W_est, what Reno's window would be.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
struct Friendly {
    /// W_est, segments.
    w_est: u64,
    /// Bytes acknowledged that it has not grown for yet.
    acked: u64,
}

impl Friendly {
    fn new(cwnd: u64) -> Self {
        Self {
            w_est: cwnd,
            acked: 0,
        }
    }

    /// Brings W_est up, and says how many segments are to be acknowledged for one of growth so that
    /// cwnd follows it.
    fn per(&mut self, cwnd: u64, cwnd_prior: u64, smss: u64) -> u64 {
        // W_est grows by alpha for each window acknowledged: alpha = 3 * (1 - beta) / (1 + beta) =
        // 9/17 until it is where the window was, 1 from there on.
        let segments = if self.w_est < cwnd_prior {
            cwnd.saturating_mul(10 + BETA) / (30 - 3 * BETA)
        } else {
            cwnd
        };
        let step = segments.saturating_mul(smss);
        let steps = self.acked.saturating_sub(1) / step;
        self.acked -= steps * step;
        self.w_est = self.w_est.saturating_add(steps);
        if self.w_est > cwnd {
            cwnd / (self.w_est - cwnd)
        } else {
            u64::MAX
        }
    }
}

/// The largest number whose cube is at most `n`, which is below 2^126.
fn cubic_root(n: u128) -> u64 {
    let mut root: u128 = 0;
    // Bit by bit from the top.
    for bit in (0..42).rev() {
        let next = root | 1 << bit;
        if next * next * next <= n {
            root = next;
        }
    }
    u64::try_from(root).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
