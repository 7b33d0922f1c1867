//! The states of an association (RFC 9260 §4).

/// Where an association stands. CLOSED is its absence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// INIT sent.
    CookieWait,
    /// COOKIE ECHO sent.
    CookieEchoed,
    /// Data goes both ways.
    Established,
    /// The user wants the end; data is still outstanding.
    ShutdownPending,
    /// SHUTDOWN sent.
    ShutdownSent,
    /// The peer wants the end; data is still outstanding.
    ShutdownReceived,
    /// SHUTDOWN ACK sent.
    ShutdownAckSent,
    /// Over: the association goes as soon as its socket has been told.
    Closed,
}

impl State {
    /// Its name as the RFC spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CookieWait => "COOKIE-WAIT",
            Self::CookieEchoed => "COOKIE-ECHOED",
            Self::Established => "ESTABLISHED",
            Self::ShutdownPending => "SHUTDOWN-PENDING",
            Self::ShutdownSent => "SHUTDOWN-SENT",
            Self::ShutdownReceived => "SHUTDOWN-RECEIVED",
            Self::ShutdownAckSent => "SHUTDOWN-ACK-SENT",
            Self::Closed => "CLOSED",
        }
    }

    /// Its name as ss(8) shows it, where that has TCP's.
    #[must_use]
    pub const fn ss_name(self) -> &'static str {
        match self {
            Self::Established => "ESTAB",
            _ => self.name(),
        }
    }

    /// RFC 9260 §6: whether DATA may be sent.
    /// RFC 9260 §5-1, §5.1-7, §6-1, §6-3, §9.2-5.
    #[must_use]
    pub const fn sends(self) -> bool {
        matches!(
            self,
            Self::Established | Self::ShutdownPending | Self::ShutdownReceived
        )
    }

    /// RFC 9260 §6: whether DATA is taken.
    /// RFC 9260 §6-2.
    #[must_use]
    pub const fn receives(self) -> bool {
        matches!(
            self,
            Self::Established | Self::ShutdownPending | Self::ShutdownSent
        )
    }

    /// Whether new messages are taken from the user: before the association stands they wait
    /// (RFC 9260 §4 notes 5 and 7, §9.2).
    /// RFC 9260 §4-10, §4-12, §9.2-6.
    #[must_use]
    pub const fn takes(self) -> bool {
        matches!(
            self,
            Self::CookieWait | Self::CookieEchoed | Self::Established
        )
    }

    /// Whether the handshake is over, and not the association.
    #[must_use]
    pub const fn is_up(self) -> bool {
        !matches!(self, Self::CookieWait | Self::CookieEchoed | Self::Closed)
    }

    /// Whether one side has begun to shut down.
    #[must_use]
    pub const fn is_closing(self) -> bool {
        matches!(
            self,
            Self::ShutdownPending
                | Self::ShutdownSent
                | Self::ShutdownReceived
                | Self::ShutdownAckSent
        )
    }
}
