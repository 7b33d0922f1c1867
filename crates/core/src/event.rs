//! What happens inside a node, told at the place where it happens.

use crate::{Flow, Handle, Instant};

/// Something that happened. Telling it has no effect on the node.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A connection changed its state; names as the protocol's RFC spells them.
    State {
        /// Which socket.
        socket: Handle,
        /// Between which ends; `None` of a listener.
        flow: Option<Flow>,
        /// The state it left.
        from: &'static str,
        /// The state it entered.
        to: &'static str,
    },
    /// A range of a stream was sent again.
    Retransmitted {
        /// Which socket.
        socket: Handle,
        /// First sequence number.
        seq: u32,
        /// Bytes.
        len: u32,
    },
    /// A sender's loss recovery changed its state; names as TCP_INFO's `tcpi_ca_state` has them.
    Recovery {
        /// Which socket.
        socket: Handle,
        /// The state it left.
        from: &'static str,
        /// The state it entered.
        to: &'static str,
    },
    /// The congestion window is known, or another one than it was.
    Window {
        /// Which socket.
        socket: Handle,
        /// Bytes that may be in flight.
        cwnd: u64,
        /// The slow start threshold, bytes; `u64::MAX` before the first congestion.
        ssthresh: u64,
    },
    /// A round trip was measured.
    RoundTrip {
        /// Which socket.
        socket: Handle,
        /// The measurement.
        rtt: core::time::Duration,
        /// SRTT with it.
        srtt: core::time::Duration,
        /// The retransmission time-out with it.
        rto: core::time::Duration,
    },
    /// The retransmission timer ran out, and backs off (RFC 6298 §5).
    TimedOut {
        /// Which socket.
        socket: Handle,
        /// The retransmission time-out from now on.
        rto: core::time::Duration,
    },
    /// The peer has announced urgent data, or more of it (SIGURG).
    Urgent {
        /// Which socket.
        socket: Handle,
    },
    /// A received packet was dropped; the counter says why.
    Dropped(crate::Counter),
    /// A neighbour's state changed (RFC 4861 §7.3.2 names).
    Neighbour {
        /// Its address.
        address: std::net::IpAddr,
        /// The state it entered.
        to: &'static str,
    },
}

/// Is told events.
pub trait Observer: Send {
    /// `event` happened at `at`.
    fn on_event(&mut self, at: Instant, event: &Event);
}

impl Observer for () {
    fn on_event(&mut self, _: Instant, _: &Event) {}
}
