//! Congestion control (RFC 4340 §10): what a half-connection's sender and receiver do is up to its
//! CCID, which is negotiated for each direction.

pub(crate) mod ccid2;

use ccid2::Ccid2;
use core::time::Duration;
use sockeye_core::Instant;
use sockeye_wire::dccp::Seq;

/// CCID 2, TCP-like (RFC 4341).
pub(crate) const CCID2: u8 = 2;
/// The CCIDs there are, the preferred one first.
pub(crate) const AVAILABLE: [u8; 1] = [CCID2];

/// When the next data packet may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Now,
    #[allow(dead_code, reason = "for a CCID that counts a rate")]
    At(Instant),
    /// Not before something arrives, or a timer runs out.
    Blocked,
}

/// The sender of a half-connection.
#[derive(Debug)]
pub(crate) enum Sender {
    Ccid2(Box<Ccid2>),
}

/// A packet that has left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Departed {
    pub(crate) seq: Seq,
    pub(crate) at: Instant,
    /// It carried data.
    pub(crate) data: bool,
    /// Nothing more waits to be sent.
    pub(crate) last: bool,
}

/// What an acknowledgement says.
#[derive(Clone, Copy, Debug)]
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
}

impl Sender {
    pub(crate) fn new(_ccid: u8, packet_size: u32, now: Instant) -> Self {
        Self::Ccid2(Box::new(Ccid2::new(packet_size, now)))
    }

    pub(crate) fn when(&self, _now: Instant) -> When {
        match self {
            Self::Ccid2(sender) => sender.when(),
        }
    }

    pub(crate) fn departed(&mut self, packet: &Departed) {
        match self {
            Self::Ccid2(sender) => sender.departed(packet),
        }
    }

    pub(crate) fn reported(&mut self, report: &Report<'_>) {
        match self {
            Self::Ccid2(sender) => sender.reported(report),
        }
    }

    /// When [`timeout`](Self::timeout) is due.
    pub(crate) fn deadline(&self) -> Instant {
        match self {
            Self::Ccid2(sender) => sender.deadline(),
        }
    }

    pub(crate) fn timeout(&mut self, now: Instant) {
        match self {
            Self::Ccid2(sender) => sender.timeout(now),
        }
    }

    /// A round-trip time that was measured otherwise: in the handshake.
    pub(crate) fn measured(&mut self, rtt: Duration) {
        match self {
            Self::Ccid2(sender) => sender.rtt.measured(rtt),
        }
    }

    pub(crate) fn rtt(&self) -> Duration {
        match self {
            Self::Ccid2(sender) => sender.rtt.estimate(),
        }
    }

    /// Packets in flight that the window allows, where there is one.
    pub(crate) fn window(&self) -> Option<u64> {
        match self {
            Self::Ccid2(sender) => Some(sender.cwnd()),
        }
    }

    /// The Ack Ratio that is wanted of the receiver.
    pub(crate) fn ack_ratio(&self) -> u64 {
        match self {
            Self::Ccid2(sender) => sender.ack_ratio(),
        }
    }

    /// A packet of the receiver's was lost or marked (`false`: it came): RFC 4341 §6.1.
    pub(crate) fn acks_congested(&mut self, now: Instant, congested: bool) {
        match self {
            Self::Ccid2(sender) => sender.acks_congested(now, congested),
        }
    }

    /// Whether an acknowledgement of the receiver's acknowledgements is due (RFC 4341 §6.2).
    pub(crate) fn wants_ack_of_acks(&self) -> bool {
        match self {
            Self::Ccid2(sender) => sender.wants_ack_of_acks(),
        }
    }

    /// One has left.
    pub(crate) fn acked_acks(&mut self) {
        match self {
            Self::Ccid2(sender) => sender.acked_acks(),
        }
    }
}
