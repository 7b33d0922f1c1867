//! Packet types (RFC 4340 §5.1, RFC 5596 §2.2.1) and Reset Codes (§5.6).

/// The type of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PacketType {
    /// Opens a connection.
    Request,
    /// Answers a Request.
    Response,
    /// Application data.
    Data,
    /// An acknowledgement.
    Ack,
    /// Application data with an acknowledgement.
    DataAck,
    /// The server asks the client to close.
    CloseReq,
    /// Closes a connection.
    Close,
    /// Ends a connection.
    Reset,
    /// Asks for sequence numbers.
    Sync,
    /// Answers a Sync.
    SyncAck,
    /// A server waits for a client behind the same kind of middlebox (RFC 5596).
    Listen,
}

impl PacketType {
    /// All of them, by their number.
    pub const ALL: [Self; 11] = [
        Self::Request,
        Self::Response,
        Self::Data,
        Self::Ack,
        Self::DataAck,
        Self::CloseReq,
        Self::Close,
        Self::Reset,
        Self::Sync,
        Self::SyncAck,
        Self::Listen,
    ];

    /// The type of a number; `None` for a reserved one.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// RFC 4340 §5.1: whether its sequence numbers may have 24 bits.
    #[must_use]
    pub const fn may_be_short(self) -> bool {
        matches!(self, Self::Data | Self::Ack | Self::DataAck)
    }

    /// RFC 4340 §7.7: whether it can carry application data.
    #[must_use]
    pub const fn is_data(self) -> bool {
        matches!(
            self,
            Self::Request | Self::Response | Self::Data | Self::DataAck
        )
    }

    /// Its name without "DCCP-".
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Request => "Request",
            Self::Response => "Response",
            Self::Data => "Data",
            Self::Ack => "Ack",
            Self::DataAck => "DataAck",
            Self::CloseReq => "CloseReq",
            Self::Close => "Close",
            Self::Reset => "Reset",
            Self::Sync => "Sync",
            Self::SyncAck => "SyncAck",
            Self::Listen => "Listen",
        }
    }
}

impl std::fmt::Display for PacketType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a connection was reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ResetCode(pub u8);

impl ResetCode {
    /// Nothing is known.
    pub const UNSPECIFIED: Self = Self(0);
    /// The normal end.
    pub const CLOSED: Self = Self(1);
    /// The sender gave up.
    pub const ABORTED: Self = Self(2);
    /// There is no connection.
    pub const NO_CONNECTION: Self = Self(3);
    /// A packet of an unexpected type.
    pub const PACKET_ERROR: Self = Self(4);
    /// A seriously wrong option.
    pub const OPTION_ERROR: Self = Self(5);
    /// An option behind Mandatory was not processed.
    pub const MANDATORY_ERROR: Self = Self(6);
    /// Nobody listens on the port.
    pub const CONNECTION_REFUSED: Self = Self(7);
    /// Nobody listens for the Service Code.
    pub const BAD_SERVICE_CODE: Self = Self(8);
    /// The server has no room.
    pub const TOO_BUSY: Self = Self(9);
    /// An Init Cookie was wrong.
    pub const BAD_INIT_COOKIE: Self = Self(10);
    /// The peer does not keep to congestion control.
    pub const AGGRESSION_PENALTY: Self = Self(11);

    /// RFC 4340 §5.6: reserved and unknown ones are as [`UNSPECIFIED`](Self::UNSPECIFIED).
    #[must_use]
    pub const fn known(self) -> Self {
        match self.0 {
            0..=11 => self,
            _ => Self::UNSPECIFIED,
        }
    }
}
