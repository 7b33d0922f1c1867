//! Congestion control (RFC 4340 §10): what a half-connection's sender and receiver do is up to its
//! CCID, which is negotiated for each direction.

pub(crate) mod ccid2;
pub(crate) mod ccid3;
pub(crate) mod ccid3_receiver;
pub(crate) mod figures;
pub(crate) mod tfrc;

use ccid2::Ccid2;
use ccid3::Ccid3;
use core::time::Duration;
use sockeye_core::Instant;
use sockeye_wire::dccp::Seq;

/// CCID 2, TCP-like (RFC 4341).
pub(crate) const CCID2: u8 = 2;
/// CCID 3, TCP-Friendly Rate Control (RFC 4342).
pub(crate) const CCID3: u8 = 3;
/// The CCIDs there are, the preferred one first.
pub(crate) const AVAILABLE: [u8; 2] = [CCID2, CCID3];

/// When the next data packet may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Now,
    At(Instant),
    /// Not before something arrives, or a timer runs out.
    Blocked,
}

/// The sender of a half-connection.
#[derive(Debug)]
pub(crate) enum Sender {
    Ccid2(Box<Ccid2>),
    Ccid3(Box<Ccid3>),
}

/// A packet that has left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Departed {
    pub(crate) seq: Seq,
    pub(crate) at: Instant,
    /// It carried data.
    pub(crate) data: bool,
    /// Bytes of data.
    pub(crate) size: usize,
    /// Nothing more waits to be sent.
    pub(crate) last: bool,
}

/// What an acknowledgement says.
#[derive(Clone, Debug)]
pub(crate) struct Report<'a> {
    pub(crate) now: Instant,
    pub(crate) ack: Seq,
    /// The Ack Vectors, joined.
    pub(crate) vector: &'a [u8],
    /// The Data Dropped options, joined.
    pub(crate) dropped: &'a [u8],
    /// Elapsed Time, if any.
    pub(crate) elapsed: Option<Duration>,
    pub(crate) slow_receiver: bool,
    /// CCID 3's options.
    pub(crate) feedback: &'a ccid3_receiver::Feedback,
}

/// The same call on whichever CCID it is.
macro_rules! either {
    ($sender:expr, |$name:ident| $call:expr) => {
        match $sender {
            Sender::Ccid2($name) => $call,
            Sender::Ccid3($name) => $call,
        }
    };
}

impl Sender {
    pub(crate) fn new(ccid: u8, packet_size: u32, now: Instant) -> Self {
        match ccid {
            CCID3 => Self::Ccid3(Box::new(Ccid3::new(packet_size, now))),
            _ => Self::Ccid2(Box::new(Ccid2::new(packet_size, now))),
        }
    }

    pub(crate) fn when(&self, now: Instant) -> When {
        match self {
            Self::Ccid2(sender) => sender.when(),
            Self::Ccid3(sender) => sender.when(now),
        }
    }

    pub(crate) fn departed(&mut self, packet: &Departed) {
        either!(self, |sender| sender.departed(packet));
    }

    pub(crate) fn reported(&mut self, report: &Report<'_>) {
        either!(self, |sender| sender.reported(report));
    }

    /// When [`timeout`](Self::timeout) is due.
    pub(crate) fn deadline(&self) -> Instant {
        either!(self, |sender| sender.deadline())
    }

    pub(crate) fn timeout(&mut self, now: Instant) {
        either!(self, |sender| sender.timeout(now));
    }

    /// A round-trip time that was measured otherwise: in the handshake.
    pub(crate) fn measured(&mut self, rtt: Duration, now: Instant) {
        match self {
            Self::Ccid2(sender) => sender.rtt.measured(rtt),
            Self::Ccid3(sender) => sender.measured(rtt, now),
        }
    }

    pub(crate) fn rtt(&self) -> Duration {
        either!(self, |sender| sender.rtt.estimate())
    }

    /// CCVal of a packet that leaves now.
    pub(crate) fn ccval(&mut self, now: Instant) -> u8 {
        match self {
            Self::Ccid2(_) => 0,
            Self::Ccid3(sender) => sender.window_counter(now),
        }
    }

    /// Packets in flight that are expected, for the Sequence Window.
    pub(crate) fn in_flight(&self) -> u64 {
        match self {
            Self::Ccid2(sender) => sender.cwnd(),
            Self::Ccid3(sender) => sender.in_flight(),
        }
    }

    /// Packets in flight that the window allows, where there is one.
    pub(crate) fn window(&self) -> Option<u64> {
        match self {
            Self::Ccid2(sender) => Some(sender.cwnd()),
            Self::Ccid3(_) => None,
        }
    }

    /// Bytes a second that are allowed, and the loss event rate, where there are such.
    pub(crate) fn rate(&self) -> Option<(f64, f64)> {
        match self {
            Self::Ccid2(_) => None,
            Self::Ccid3(sender) => Some((sender.rate(), sender.loss_event_rate())),
        }
    }

    /// CCID 3's figures.
    pub(crate) fn figures(&self) -> Option<figures::SenderFigures> {
        match self {
            Self::Ccid2(_) => None,
            Self::Ccid3(sender) => Some(sender.figures()),
        }
    }

    /// The Ack Ratio that is wanted of the receiver, where it counts.
    pub(crate) fn ack_ratio(&self) -> Option<u64> {
        match self {
            Self::Ccid2(sender) => Some(sender.ack_ratio()),
            Self::Ccid3(_) => None,
        }
    }

    /// A packet of the receiver's was lost or marked (`false`: it came): RFC 4341 §6.1.
    pub(crate) fn acks_congested(&mut self, now: Instant, congested: bool) {
        if let Self::Ccid2(sender) = self {
            sender.acks_congested(now, congested);
        }
    }

    /// Whether an acknowledgement of the receiver's acknowledgements is due (RFC 4341 §6.2, RFC 4342 §6.3).
    pub(crate) fn wants_ack_of_acks(&self, now: Instant) -> bool {
        match self {
            Self::Ccid2(sender) => sender.wants_ack_of_acks(),
            Self::Ccid3(sender) => sender.wants_ack_of_acks(now),
        }
    }

    /// One has left.
    pub(crate) fn acked_acks(&mut self, now: Instant) {
        match self {
            Self::Ccid2(sender) => sender.acked_acks(),
            Self::Ccid3(sender) => sender.acked_acks(now),
        }
    }
}
