//! What users and associations tell each other, in the words of RFC 6458.

use bitflags::bitflags;
use bytes::Bytes;
use core::time::Duration;
use smallvec::SmallVec;
use std::net::SocketAddr;

/// An association of a node (`sctp_assoc_t`): 0, 1 and 2 mean future, current and all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AssocId(pub i32);

impl AssocId {
    /// SCTP_FUTURE_ASSOC: those that are still to come; of a one-to-one socket, its own.
    pub const FUTURE: Self = Self(0);
    /// SCTP_CURRENT_ASSOC: those that there are.
    pub const CURRENT: Self = Self(1);
    /// SCTP_ALL_ASSOC: both.
    pub const ALL: Self = Self(2);
    /// The first that names an association.
    pub(crate) const FIRST: i32 = 3;
}

bitflags! {
    /// How a message is sent (`sinfo_flags`, `snd_flags`), with Linux's bits.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct SndFlags: u16 {
        /// SCTP_UNORDERED.
        const UNORDERED = 1;
        /// SCTP_ADDR_OVER: to the address given, not to the primary path.
        const ADDR_OVER = 1 << 1;
        /// SCTP_ABORT: ends the association; the data is the reason.
        const ABORT = 1 << 2;
        /// SCTP_SACK_IMMEDIATELY (RFC 7053).
        const SACK_IMMEDIATELY = 1 << 3;
        /// SCTP_SENDALL: to every association of the socket.
        const SENDALL = 1 << 6;
        /// SCTP_EOF: shuts the association down behind this.
        const EOF = 1 << 9;
    }
}

/// What a message is sent with (`struct sctp_sndinfo`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SndInfo {
    /// The stream.
    pub stream: u16,
    /// How.
    pub flags: SndFlags,
    /// The payload protocol identifier, as it is to stand on the wire read as a number.
    pub ppid: u32,
    /// Told back with what could not be sent.
    pub context: u32,
    /// On which association of a one-to-many socket.
    pub assoc: AssocId,
    /// How long it is tried; [`PrInfo::None`] for what the socket is set to.
    pub reliability: PrInfo,
    /// The number of the shared key that it is signed with (SCTP_AUTHINFO, RFC 6458 §5.3.8), where the
    /// peer takes DATA authenticated; `None` for the active one.
    pub key: Option<u16>,
}

/// How long a message is tried (`struct sctp_prinfo`, RFC 7496 §3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PrInfo {
    /// Until it arrives (SCTP_PR_SCTP_NONE).
    #[default]
    None,
    /// For so long (SCTP_PR_SCTP_TTL).
    Timed(Duration),
    /// Sent again at most so often (SCTP_PR_SCTP_RTX).
    Limited(u32),
    /// Until one of a smaller number needs its room in the send buffer (SCTP_PR_SCTP_PRIO).
    Priority(u32),
}

/// What is told of a message that was received (`struct sctp_rcvinfo`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RcvInfo {
    /// The stream.
    pub stream: u16,
    /// Its number in the stream: SSN, or the low half of the MID.
    pub ssn: u16,
    /// It was sent unordered.
    pub unordered: bool,
    /// The payload protocol identifier.
    pub ppid: u32,
    /// TSN of one of its chunks.
    pub tsn: u32,
    /// The cumulative TSN as it was taken from the association.
    pub cumulative_tsn: u32,
    /// [`Settings::context`](crate::Settings::context), as the receiver set it.
    pub context: u32,
    /// The association.
    pub assoc: AssocId,
}

/// What is told of the message behind the one that was received (`struct sctp_nxtinfo`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NxtInfo {
    /// The stream.
    pub stream: u16,
    /// It was sent unordered.
    pub unordered: bool,
    /// It is a notification.
    pub notification: bool,
    /// All of it is there.
    pub complete: bool,
    /// The payload protocol identifier.
    pub ppid: u32,
    /// Bytes of it.
    pub length: u32,
    /// The association.
    pub assoc: AssocId,
}

/// One read of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Bytes written to the buffer.
    pub len: usize,
    /// It is (a part of) a notification (MSG_NOTIFICATION).
    pub notification: bool,
    /// The message ends with it (MSG_EOR).
    pub end_of_record: bool,
    /// Who sent it; `None` for the end of a one-to-one association.
    pub from: Option<SocketAddr>,
    /// Of a message.
    pub info: RcvInfo,
    /// Of the message behind it, where there is one.
    pub next: Option<NxtInfo>,
}

/// `sac_state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssocChange {
    /// SCTP_COMM_UP.
    Up {
        /// Streams out and in.
        streams: (u16, u16),
    },
    /// SCTP_COMM_LOST.
    Lost,
    /// SCTP_RESTART.
    Restart {
        /// Streams out and in.
        streams: (u16, u16),
    },
    /// SCTP_SHUTDOWN_COMP.
    ShutdownComplete,
    /// SCTP_CANT_STR_ASSOC.
    CantStart,
}

/// `spc_state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressState {
    /// SCTP_ADDR_AVAILABLE.
    Available,
    /// SCTP_ADDR_UNREACHABLE.
    Unreachable,
    /// SCTP_ADDR_REMOVED.
    Removed,
    /// SCTP_ADDR_ADDED.
    Added,
    /// SCTP_ADDR_MADE_PRIM.
    MadePrimary,
    /// SCTP_ADDR_CONFIRMED.
    Confirmed,
    /// SCTP_ADDR_POTENTIALLY_FAILED (RFC 7829).
    PotentiallyFailed,
}

/// `auth_indication` (RFC 6458 §6.1.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyChange {
    /// SCTP_AUTH_NEW_KEY: the peer signs with it now.
    New,
    /// SCTP_AUTH_FREE_KEY: it was deactivated, and no message needs it any more.
    Free,
    /// SCTP_AUTH_NO_AUTH: the peer authenticates nothing.
    NoAuthentication,
}

/// Which of the extensions an association has: those that both sides know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// ECN.
    pub ecn: bool,
    /// Messages may be given up (RFC 3758).
    pub partial_reliability: bool,
    /// Messages interleave (RFC 8260).
    pub interleaving: bool,
    /// Streams are reset and added (RFC 6525).
    pub reconfiguration: bool,
    /// Addresses change (RFC 5061).
    pub address_configuration: bool,
    /// Chunks are authenticated (RFC 4895).
    pub authentication: bool,
}

/// What associations tell their socket beside data (RFC 6458 §6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notification {
    /// SCTP_ASSOC_CHANGE.
    AssocChange {
        /// The association.
        assoc: AssocId,
        /// What it did.
        change: AssocChange,
        /// Error cause code, of a loss.
        error: u16,
        /// The ABORT chunk that ended it, if one did.
        info: Bytes,
    },
    /// SCTP_PEER_ADDR_CHANGE.
    PeerAddrChange {
        /// The association.
        assoc: AssocId,
        /// The peer's address.
        address: SocketAddr,
        /// What it is now.
        state: AddressState,
        /// Error cause code, if there was one.
        error: u16,
    },
    /// SCTP_REMOTE_ERROR.
    RemoteError {
        /// The association.
        assoc: AssocId,
        /// Error cause code.
        error: u16,
        /// The cause as it came.
        data: Bytes,
    },
    /// SCTP_SEND_FAILED_EVENT.
    SendFailed {
        /// The association.
        assoc: AssocId,
        /// Part of it was sent.
        sent: bool,
        /// Error cause code, if there was one.
        error: u16,
        /// What it was sent with.
        info: SndInfo,
        /// The data.
        data: Bytes,
    },
    /// SCTP_SHUTDOWN_EVENT: the peer sends no more.
    Shutdown {
        /// The association.
        assoc: AssocId,
    },
    /// SCTP_ADAPTATION_INDICATION.
    Adaptation {
        /// The association.
        assoc: AssocId,
        /// What the peer said.
        indication: u32,
    },
    /// SCTP_PARTIAL_DELIVERY_EVENT: a message that was begun will not be finished.
    PartialDelivery {
        /// The association.
        assoc: AssocId,
        /// Its stream.
        stream: u16,
        /// Its number in the stream.
        number: u32,
    },
    /// SCTP_AUTHENTICATION_EVENT.
    Authentication {
        /// The association.
        assoc: AssocId,
        /// The key.
        key: u16,
        /// What became of it.
        change: KeyChange,
    },
    /// SCTP_SENDER_DRY_EVENT: everything sent is acknowledged.
    SenderDry {
        /// The association.
        assoc: AssocId,
    },
    /// SCTP_STREAM_RESET_EVENT.
    StreamReset {
        /// The association.
        assoc: AssocId,
        /// Linux's `strreset_flags`.
        flags: u16,
        /// The streams.
        streams: SmallVec<[u16; 4]>,
    },
    /// SCTP_ASSOC_RESET_EVENT.
    AssocReset {
        /// The association.
        assoc: AssocId,
        /// Linux's `assocreset_flags`.
        flags: u16,
        /// The TSNs that follow: ours, the peer's.
        tsns: (u32, u32),
    },
    /// SCTP_STREAM_CHANGE_EVENT.
    StreamChange {
        /// The association.
        assoc: AssocId,
        /// Linux's `strchange_flags`.
        flags: u16,
        /// Streams in and out.
        streams: (u16, u16),
    },
}

bitflags! {
    /// Which notifications a socket wants (SCTP_EVENT).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Events: u32 {
        /// SCTP_ASSOC_CHANGE.
        const ASSOC_CHANGE = 1;
        /// SCTP_PEER_ADDR_CHANGE.
        const PEER_ADDR_CHANGE = 1 << 1;
        /// SCTP_REMOTE_ERROR.
        const REMOTE_ERROR = 1 << 2;
        /// SCTP_SEND_FAILED_EVENT.
        const SEND_FAILED = 1 << 3;
        /// SCTP_SHUTDOWN_EVENT.
        const SHUTDOWN = 1 << 4;
        /// SCTP_ADAPTATION_INDICATION.
        const ADAPTATION = 1 << 5;
        /// SCTP_PARTIAL_DELIVERY_EVENT.
        const PARTIAL_DELIVERY = 1 << 6;
        /// SCTP_AUTHENTICATION_EVENT.
        const AUTHENTICATION = 1 << 7;
        /// SCTP_SENDER_DRY_EVENT.
        const SENDER_DRY = 1 << 8;
        /// SCTP_STREAM_RESET_EVENT.
        const STREAM_RESET = 1 << 9;
        /// SCTP_ASSOC_RESET_EVENT.
        const ASSOC_RESET = 1 << 10;
        /// SCTP_STREAM_CHANGE_EVENT.
        const STREAM_CHANGE = 1 << 11;
    }
}

impl Notification {
    /// The association that it is about.
    #[must_use]
    pub const fn assoc(&self) -> AssocId {
        match self {
            Self::AssocChange { assoc, .. }
            | Self::PeerAddrChange { assoc, .. }
            | Self::RemoteError { assoc, .. }
            | Self::SendFailed { assoc, .. }
            | Self::Shutdown { assoc }
            | Self::Adaptation { assoc, .. }
            | Self::PartialDelivery { assoc, .. }
            | Self::Authentication { assoc, .. }
            | Self::SenderDry { assoc }
            | Self::StreamReset { assoc, .. }
            | Self::AssocReset { assoc, .. }
            | Self::StreamChange { assoc, .. } => *assoc,
        }
    }

    /// Which of the events it is.
    #[must_use]
    pub const fn event(&self) -> Events {
        match self {
            Self::AssocChange { .. } => Events::ASSOC_CHANGE,
            Self::PeerAddrChange { .. } => Events::PEER_ADDR_CHANGE,
            Self::RemoteError { .. } => Events::REMOTE_ERROR,
            Self::SendFailed { .. } => Events::SEND_FAILED,
            Self::Shutdown { .. } => Events::SHUTDOWN,
            Self::Adaptation { .. } => Events::ADAPTATION,
            Self::PartialDelivery { .. } => Events::PARTIAL_DELIVERY,
            Self::Authentication { .. } => Events::AUTHENTICATION,
            Self::SenderDry { .. } => Events::SENDER_DRY,
            Self::StreamReset { .. } => Events::STREAM_RESET,
            Self::AssocReset { .. } => Events::ASSOC_RESET,
            Self::StreamChange { .. } => Events::STREAM_CHANGE,
        }
    }
}

/// SCTP_INITMSG.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InitMsg {
    /// Streams that are asked for.
    pub out_streams: u16,
    /// Streams that the peer may have at most.
    pub in_streams_max: u16,
    /// Max.Init.Retransmits.
    pub attempts_max: u16,
    /// The longest RTO of an INIT; zero for RTO.Max.
    pub timeout_max: Duration,
}

/// The state of a path (`spinfo_state`, with RFC 7829's).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathState {
    /// It answers.
    Active,
    /// It has failed a few times (RFC 7829).
    PotentiallyFailed,
    /// It does not answer.
    Inactive,
    /// Nobody has shown that the peer is there (RFC 9260 §5.4).
    Unconfirmed,
}

/// SCTP_GET_PEER_ADDR_INFO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathInfo {
    /// The peer's address.
    pub address: SocketAddr,
    /// Its state.
    pub state: PathState,
    /// The congestion window, bytes.
    pub cwnd: u64,
    /// The slow start threshold, bytes.
    pub ssthresh: u64,
    /// Bytes in flight.
    pub flight: u64,
    /// The smoothed round-trip time.
    pub srtt: Option<Duration>,
    /// The retransmission time-out.
    pub rto: Duration,
    /// The path's MTU.
    pub mtu: u32,
    /// Errors in a row.
    pub errors: u32,
}

/// SCTP_STATUS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The association.
    pub assoc: AssocId,
    /// Where it stands.
    pub state: crate::State,
    /// The peer's window.
    pub rwnd: u32,
    /// Chunks sent and not acknowledged.
    pub unacknowledged: u16,
    /// Chunks received that wait to be read.
    pub pending: u16,
    /// Streams that the peer has.
    pub in_streams: u16,
    /// Streams of ours.
    pub out_streams: u16,
    /// Bytes of a message that one chunk carries.
    pub fragmentation_point: u32,
    /// The primary path.
    pub primary: PathInfo,
}
