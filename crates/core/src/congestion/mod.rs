//! Congestion control: *how many* bytes may be in flight, and how fast they may follow each other.
//!
//! *Which* bytes are sent is for the transport's loss recovery to say, *when* for its pacer. What a
//! controller hears is the same for a TCP connection, an SCTP path and a DCCP half-connection with
//! CCID 2: bytes that were sent, acknowledged or lost. Numbers are integers; windows count bytes.
//!
//! [`by_name`] makes the controllers known here; [`NAMES`] lists them. [`reno`] is RFC 5681's.

pub mod reno;

use crate::Instant;
use core::time::Duration;
pub use reno::Reno;

/// What a controller is told when data was acknowledged.
#[derive(Clone, Copy, Debug)]
pub struct Ack {
    /// Now.
    pub now: Instant,
    /// Bytes acknowledged for the first time, cumulatively or selectively.
    pub acked: u64,
    /// Bytes in flight before this acknowledgment.
    pub in_flight: u64,
    /// The sender had filled the window: it was held up by cwnd, not by its application or by the
    /// receiver's window (RFC 7661, RFC 9438 §5.8). A window that is not used does not grow.
    pub cwnd_limited: bool,
    /// Loss recovery is under way: the bytes count for the delivery rate alone.
    pub in_recovery: bool,
    /// A round-trip time measured by this acknowledgment.
    pub rtt: Option<Duration>,
    /// The smoothed round-trip time.
    pub srtt: Option<Duration>,
    /// The smallest round-trip time seen.
    pub rtt_min: Option<Duration>,
    /// Bytes a second that were delivered, where the transport measures it.
    pub delivery_rate: Option<u64>,
}

/// Why a controller has to slow down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Duplicate or selective acknowledgments show a loss: fast retransmit.
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

    /// `bytes` went out; with them `in_flight` are in flight.
    fn on_sent(&mut self, now: Instant, bytes: u64, in_flight: u64);

    /// Data was acknowledged.
    fn on_ack(&mut self, ack: &Ack);

    /// Something tells of congestion while `in_flight` bytes are in flight. Told once for each
    /// episode: the transport knows what belongs together.
    fn on_congestion(&mut self, now: Instant, cause: Cause, in_flight: u64);

    /// The episode is over: all that was outstanding when it began has been acknowledged.
    fn on_recovered(&mut self, now: Instant, in_flight: u64);

    /// The sender was idle for a retransmission time-out or longer and starts again.
    fn on_idle_restart(&mut self, now: Instant);

    /// What was taken for congestion was none (a spurious time-out, reordering): go back.
    fn on_spurious(&mut self, _now: Instant) {}

    /// The largest segment is `smss` bytes of payload now.
    fn set_smss(&mut self, smss: u32);

    /// Bytes that may be in flight.
    fn cwnd(&self) -> u64;

    /// The slow start threshold, bytes; `u64::MAX` before the first congestion.
    fn ssthresh(&self) -> u64;

    /// Bytes a second that may leave, or `None` where the window alone counts.
    fn pacing_rate(&self) -> Option<u64>;
}

/// The controllers there are, by the names that `net.ipv4.tcp_available_congestion_control` lists.
pub const NAMES: &[&str] = &["reno"];

/// A new controller for segments of `smss` bytes, or `None` when no controller has that name.
#[must_use]
pub fn by_name(name: &str, smss: u32) -> Option<Box<dyn CongestionController>> {
    match name {
        "reno" => Some(Box::new(Reno::new(smss))),
        _ => None,
    }
}

/// RFC 6928 §2: the initial window, IW = min (10*SMSS, max (2*SMSS, 14600)).
#[must_use]
pub fn initial_window(smss: u32) -> u64 {
    let smss = u64::from(smss);
    (10 * smss).min((2 * smss).max(14_600))
}
