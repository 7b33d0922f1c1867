//! The states of a connection (RFC 4340 §8.4, RFC 5596 §2.2.2), in the order in which §8.5 compares them.

/// A state of RFC 4340 §4.3, RFC 5596 §2.2.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// There is no connection, or none any more.
    Closed,
    /// A server waits for Requests.
    Listen,
    /// A server invites the one client that it waits for (RFC 5596 §2.2.2).
    Invited,
    /// It has done so, and waits for its Request.
    Listen1,
    /// A client waits for the answer to its Request.
    Request,
    /// A server waits for the client's acknowledgement.
    Respond,
    /// A client does not know yet that the server has its acknowledgement.
    PartOpen,
    /// Data goes both ways.
    Open,
    /// A server has asked its client to close.
    CloseReq,
    /// A Close waits for its Reset.
    Closing,
    /// Nothing that is left in the network may meet a new connection.
    TimeWait,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Closed,
        Self::Listen,
        Self::Invited,
        Self::Listen1,
        Self::Request,
        Self::Respond,
        Self::PartOpen,
        Self::Open,
        Self::CloseReq,
        Self::Closing,
        Self::TimeWait,
    ];

    /// Its name in the RFC.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "CLOSED",
            Self::Listen => "LISTEN",
            Self::Invited => "INVITED",
            Self::Listen1 => "LISTEN1",
            Self::Request => "REQUEST",
            Self::Respond => "RESPOND",
            Self::PartOpen => "PARTOPEN",
            Self::Open => "OPEN",
            Self::CloseReq => "CLOSEREQ",
            Self::Closing => "CLOSING",
            Self::TimeWait => "TIMEWAIT",
        }
    }

    /// Its name in ss(8), which lends TCP's.
    #[must_use]
    pub const fn ss_name(self) -> &'static str {
        match self {
            Self::Closed => "UNCONN",
            Self::Listen | Self::Invited | Self::Listen1 => "LISTEN",
            Self::Request => "SYN-SENT",
            Self::Respond | Self::PartOpen => "SYN-RECV",
            Self::Open => "ESTAB",
            Self::CloseReq => "FIN-WAIT-1",
            Self::Closing => "CLOSING",
            Self::TimeWait => "TIME-WAIT",
        }
    }

    /// Whether it waits for a Request.
    #[must_use]
    pub const fn listens(self) -> bool {
        matches!(self, Self::Listen | Self::Invited | Self::Listen1)
    }

    /// Whether data may be sent: RFC 4340 §8.1.5, §8.2.
    #[must_use]
    pub const fn sends_data(self) -> bool {
        matches!(self, Self::PartOpen | Self::Open)
    }

    /// Whether a connection has come to its end.
    #[must_use]
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Closed | Self::TimeWait)
    }
}
