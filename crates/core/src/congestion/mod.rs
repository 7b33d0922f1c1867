//! Congestion control: *how many* bytes may be in flight, and how fast they may follow each other.
//!
//! *Which* bytes are sent is for the transport's loss recovery to say, *when* for its pacer. What a
//! controller hears is the same for a TCP connection, an SCTP path and a DCCP half-connection with
//! CCID 2: bytes that were sent, acknowledged or lost. Numbers are integers; windows count bytes.
//!
//! The transport brings the window down over a recovery (RFC 6937) from what it was to what the
//! controller says in [`on_congestion`](CongestionController::on_congestion), unless the controller
//! [shapes recovery itself](CongestionController::shapes_recovery).
//!
//! [`by_name`] makes the controllers known here (RFC 9293 §3.8.2, MUST-19, MAY-18); [`NAMES`] lists
//! them:
//! - [`cubic`] is RFC 9438's, with the slow start of [`hystart`] (RFC 9406),
//! - [`reno`] is RFC 5681's,
//! - [`dctcp`] is RFC 8257's, for data centres whose switches mark,
//! - [`bbr`] is BBRv3 (draft-ietf-ccwg-bbr), which models the path.
//!
//! Beside them stands what any transport may use: [`pacing`] spaces packets, [`usage`] tells whether a
//! window is used, [`validation`] how much of it the path is known to carry (RFC 7661).

pub mod bbr;
pub mod cubic;
pub mod dctcp;
pub mod hystart;
pub mod pacing;
pub mod reno;
mod round;
pub mod saved;
pub mod usage;
pub mod validation;
mod window;

#[cfg(test)]
mod bottleneck;
#[cfg(test)]
mod tests;

use crate::Instant;
pub use bbr::Bbr;
use core::time::Duration;
pub use cubic::Cubic;
pub use dctcp::Dctcp;
pub use hystart::HystartKind;
pub use pacing::Pacer;
pub use reno::Reno;
pub use saved::Saved;
pub use usage::Usage;
pub use validation::Validation;

/// What a controller starts from.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// The largest segment, bytes of payload.
    pub smss: u32,
    /// Whether large steps of the window make no bursts, as the transport spaces what it sends or
    /// sends it in small packets of segments.
    pub paced: bool,
    /// How CUBIC's slow start ends without a loss.
    pub hystart: HystartKind,
    /// Any number that other connections are unlikely to have too: flows that probe the path do so
    /// at different times.
    pub seed: u64,
}

impl Setup {
    /// The start of a connection that is not paced.
    #[must_use]
    pub const fn new(smss: u32) -> Self {
        Self {
            smss,
            paced: false,
            hystart: HystartKind::PlusPlus,
            seed: 0,
        }
    }
}

/// What a controller is told when data was acknowledged.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ack {
    /// Now.
    pub now: Instant,
    /// Bytes acknowledged for the first time, cumulatively or selectively.
    pub acked: u64,
    /// Bytes that this acknowledgment showed to be lost.
    pub lost: u64,
    /// Bytes that arrived marked with CE (RFC 3168), as far as the peer tells how many.
    pub marked: u64,
    /// Bytes in flight before this acknowledgment.
    pub in_flight_before: u64,
    /// Bytes in flight after it.
    pub in_flight: u64,
    /// The sender had filled the window: it was held up by cwnd, not by its application or by the
    /// receiver's window (RFC 7661, RFC 9438 §5.8). A window that is not used does not grow. [`Usage`]
    /// finds it out.
    pub cwnd_limited: bool,
    /// The transport's loss recovery.
    pub phase: Phase,
    /// A round-trip time measured by this acknowledgment.
    pub rtt: Option<Duration>,
    /// The smoothed round-trip time.
    pub srtt: Option<Duration>,
    /// The smallest round-trip time seen lately.
    pub rtt_min: Option<Duration>,
    /// Bytes delivered since the connection began, those of this acknowledgment included. With
    /// [`RateSample::delivered_before`] it tells round trips apart: one is over when something is
    /// acknowledged that was sent after it began.
    pub delivered: u64,
    /// How fast data was delivered, where this acknowledgment tells.
    pub rate: Option<RateSample>,
}

impl Ack {
    /// Whether the window may grow: it is used, and nothing is being recovered; after a time-out it
    /// grows while the losses are repaired.
    #[must_use]
    pub fn may_grow(&self) -> bool {
        self.cwnd_limited && matches!(self.phase, Phase::Open | Phase::Loss)
    }
}

/// Where a transport's loss recovery stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Nothing is being recovered.
    #[default]
    Open,
    /// The window comes down as the network marked packets; nothing was lost.
    Reduced,
    /// Losses shown by acknowledgments are being repaired.
    Recovery,
    /// A time-out's losses are being repaired.
    Loss,
}

/// How fast data was delivered between the sending of a packet and its acknowledgment
/// (draft-ietf-ccwg-bbr §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateSample {
    /// Bytes that had been delivered when the packet was sent.
    pub delivered_before: u64,
    /// Bytes delivered over `interval`.
    pub delivered: u64,
    /// The longer of the time in which these were sent and the time in which they were
    /// acknowledged.
    pub interval: Duration,
    /// Bytes found lost since the packet was sent.
    pub lost: u64,
    /// Bytes marked with CE since the packet was sent.
    pub marked: u64,
    /// Bytes in flight when the packet had been sent.
    pub in_flight: u64,
    /// The application had less to send than the window allowed: the path may be faster.
    pub app_limited: bool,
}

impl RateSample {
    /// Bytes a second.
    #[must_use]
    pub fn bytes_per_second(&self) -> u64 {
        let nanos = self.interval.as_nanos().max(1);
        let rate = u128::from(self.delivered) * 1_000_000_000 / nanos;
        u64::try_from(rate).unwrap_or(u64::MAX)
    }
}

/// What a controller is told when data was sent.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// Now.
    pub now: Instant,
    /// Bytes that went out.
    pub bytes: u64,
    /// Bytes in flight, with these.
    pub in_flight: u64,
    /// The transport has nothing more to send though the window would let it.
    pub app_limited: bool,
}

/// What a controller is told of a packet that was found lost.
#[derive(Clone, Copy, Debug)]
pub struct Lost {
    /// Now.
    pub now: Instant,
    /// Its bytes.
    pub bytes: u64,
    /// Bytes in flight when it had been sent.
    pub in_flight: u64,
    /// Bytes that have been found lost since it was sent, these included.
    pub lost: u64,
    /// See [`RateSample::app_limited`].
    pub app_limited: bool,
}

/// Why a controller has to slow down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Acknowledgments show a loss.
    Loss,
    /// The network marked packets (ECN).
    Ecn,
    /// The retransmission timer ran out.
    Timeout,
    /// The retransmission timer ran out again for the same data.
    TimeoutAgain,
}

/// Decides how many bytes may be in flight.
pub trait CongestionController: Send + core::fmt::Debug {
    /// Its name, as `TCP_CONGESTION` spells it.
    fn name(&self) -> &'static str;

    /// Data went out.
    fn on_sent(&mut self, _sent: &Sent) {}

    /// Data was acknowledged.
    fn on_ack(&mut self, ack: &Ack);

    /// A packet was found lost: told before the [`on_ack`](Self::on_ack) or
    /// [`on_congestion`](Self::on_congestion) that it belongs to.
    fn on_lost(&mut self, _lost: &Lost) {}

    /// Something tells of congestion while `in_flight` bytes are in flight: what was found lost is
    /// not among them any more. Told once for each episode: the transport knows what belongs
    /// together.
    fn on_congestion(&mut self, now: Instant, cause: Cause, in_flight: u64);

    /// The episode is over: all that was outstanding when it began has been acknowledged.
    fn on_recovered(&mut self, now: Instant, in_flight: u64);

    /// The sender was idle for `idle`, a retransmission time-out (`rto`) or longer, and starts
    /// again (RFC 5681 §4.1).
    fn on_idle_restart(&mut self, now: Instant, idle: Duration, rto: Duration);

    /// Of the window at most `used` bytes were in use for a time: what was not used says nothing of
    /// the path any more (RFC 7661).
    fn on_unused(&mut self, _now: Instant, _used: u64) {}

    /// What was taken for congestion was none (a spurious time-out, reordering): go back.
    fn on_spurious(&mut self, _now: Instant) {}

    /// The largest segment is `smss` bytes of payload now.
    fn set_smss(&mut self, smss: u32);

    /// Whether the peer tells of losses selectively; without it one loss shows in a round trip.
    /// Taken for granted until it is said.
    fn set_selective(&mut self, _selective: bool) {}

    /// Goes on from a window that is known from elsewhere: another controller's, a route's, or what
    /// RFC 7661 §4.4.1 allows after a loss.
    fn set_window(&mut self, cwnd: u64, ssthresh: u64);

    /// Bytes that may be in flight, one segment at least.
    fn cwnd(&self) -> u64;

    /// The slow start threshold, bytes; `u64::MAX` before the first congestion.
    fn ssthresh(&self) -> u64;

    /// Bytes a second that may leave, or `None` where the window alone counts.
    fn pacing_rate(&self) -> Option<u64> {
        None
    }

    /// Whether it sets the window in a recovery by itself; else the transport reduces it by
    /// RFC 6937.
    fn shapes_recovery(&self) -> bool {
        false
    }

    /// All of it, where it can be had as a plain value: what an idle connection is kept as.
    fn saved(&self) -> Option<Saved> {
        None
    }

    /// Whether it lives on marks: the transport asks its peer for ECN then, and answers each mark
    /// (RFC 8257).
    fn needs_ecn(&self) -> bool {
        false
    }
}

/// The controllers there are, by the names that `net.ipv4.tcp_available_congestion_control` lists.
pub const NAMES: &[&str] = &["reno", "cubic", "bbr", "dctcp"];

/// A new controller, or `None` when none has that name.
#[must_use]
pub fn by_name(name: &str, setup: &Setup) -> Option<Box<dyn CongestionController>> {
    match name {
        "reno" => Some(Box::new(Reno::new(setup.smss))),
        "cubic" => Some(Box::new(Cubic::with(setup))),
        "bbr" => Some(Box::new(Bbr::new(setup))),
        "dctcp" => Some(Box::new(Dctcp::new(setup.smss))),
        _ => None,
    }
}

/// RFC 6928 §2: the initial window, IW = min (10*SMSS, max (2*SMSS, 14600)).
#[must_use]
pub fn initial_window(smss: u32) -> u64 {
    let smss = u64::from(smss);
    (10 * smss).min((2 * smss).max(14_600))
}
