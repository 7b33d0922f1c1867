//! The states of a connection (RFC 9293 §3.3.2).

use core::fmt;

/// A connection's state.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum State {
    /// CLOSED: no connection.
    #[default]
    Closed,
    /// LISTEN: waiting for a connection request from any peer.
    Listen,
    /// SYN-SENT: waiting for the answer to a connection request.
    SynSent,
    /// SYN-RECEIVED: waiting for the acknowledgment of both requests.
    SynReceived,
    /// ESTABLISHED: data flows.
    Established,
    /// FIN-WAIT-1: closed here; the FIN is not acknowledged.
    FinWait1,
    /// FIN-WAIT-2: closed here; waiting for the peer's FIN.
    FinWait2,
    /// CLOSE-WAIT: the peer has closed, the user here has not.
    CloseWait,
    /// CLOSING: both have closed at once; the FIN is not acknowledged.
    Closing,
    /// LAST-ACK: the peer closed first, then we; the FIN is not acknowledged.
    LastAck,
    /// TIME-WAIT: waiting until the peer can't ask for the last acknowledgment any more.
    TimeWait,
}

impl State {
    /// All of them, in the order of RFC 9293 §3.3.2.
    pub const ALL: [Self; 11] = [
        Self::Closed,
        Self::Listen,
        Self::SynSent,
        Self::SynReceived,
        Self::Established,
        Self::FinWait1,
        Self::FinWait2,
        Self::CloseWait,
        Self::Closing,
        Self::LastAck,
        Self::TimeWait,
    ];

    /// Its name in the RFC's spelling.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "CLOSED",
            Self::Listen => "LISTEN",
            Self::SynSent => "SYN-SENT",
            Self::SynReceived => "SYN-RECEIVED",
            Self::Established => "ESTABLISHED",
            Self::FinWait1 => "FIN-WAIT-1",
            Self::FinWait2 => "FIN-WAIT-2",
            Self::CloseWait => "CLOSE-WAIT",
            Self::Closing => "CLOSING",
            Self::LastAck => "LAST-ACK",
            Self::TimeWait => "TIME-WAIT",
        }
    }

    /// Its name as ss(8) prints it.
    #[must_use]
    pub const fn ss_name(self) -> &'static str {
        match self {
            Self::Closed => "UNCONN",
            Self::SynReceived => "SYN-RECV",
            Self::Established => "ESTAB",
            other => other.name(),
        }
    }

    /// Whether both sides know each other's sequence numbers (RFC 9293 §3.5.2, group 3).
    #[must_use]
    pub const fn is_synchronized(self) -> bool {
        !matches!(
            self,
            Self::Closed | Self::Listen | Self::SynSent | Self::SynReceived
        )
    }

    /// Whether the peer may still send text (RFC 9293 §3.10.7.4, seventh).
    #[must_use]
    pub const fn receives_text(self) -> bool {
        matches!(self, Self::Established | Self::FinWait1 | Self::FinWait2)
    }

    /// Whether the user may still send (RFC 9293 §3.10.2).
    #[must_use]
    pub const fn takes_sends(self) -> bool {
        matches!(self, Self::Established | Self::CloseWait)
    }

    /// Whether text and FIN of ours may still have to go out.
    #[must_use]
    pub const fn transmits(self) -> bool {
        matches!(
            self,
            Self::Established | Self::CloseWait | Self::FinWait1 | Self::Closing | Self::LastAck
        )
    }

    /// Whether the peer's FIN has arrived.
    #[must_use]
    pub const fn peer_closed(self) -> bool {
        matches!(
            self,
            Self::CloseWait | Self::Closing | Self::LastAck | Self::TimeWait
        )
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
