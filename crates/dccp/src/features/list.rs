//! The features there are (RFC 4340 §6.4, table 4; RFC 4342 §8.4).

/// A feature, by what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Feature {
    /// Congestion Control ID.
    Ccid = 0,
    /// Short sequence numbers may be sent.
    AllowShort,
    /// How many packets may be under way.
    SequenceWindow,
    /// ECN bits can't be read.
    EcnIncapable,
    /// Data packets for each acknowledgement.
    AckRatio,
    /// Acknowledgements have Ack Vectors.
    SendAckVector,
    /// Packets have NDP Counts.
    SendNdpCount,
    /// The least CsCov that is accepted.
    MinimumCoverage,
    /// Data Checksums are checked.
    CheckDataChecksum,
    /// Acknowledgements have Loss Event Rates (CCID 3).
    SendLossEventRate,
}

/// How the value comes about (RFC 4340 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// Server-priority: one byte, of both preference lists.
    Negotiated,
    /// Non-negotiable: so many bytes, as the location says.
    Announced { len: usize },
}

/// How many there are.
pub(super) const COUNT: usize = 10;
/// RFC 4340 §7.5.2: Wmin.
const SEQUENCE_WINDOW_MIN: u64 = 32;
/// RFC 4340 §7.5.2: Wmax.
const SEQUENCE_WINDOW_MAX: u64 = (1 << 46) - 1;

impl Feature {
    /// All of them.
    pub(crate) const ALL: [Self; COUNT] = [
        Self::Ccid,
        Self::AllowShort,
        Self::SequenceWindow,
        Self::EcnIncapable,
        Self::AckRatio,
        Self::SendAckVector,
        Self::SendNdpCount,
        Self::MinimumCoverage,
        Self::CheckDataChecksum,
        Self::SendLossEventRate,
    ];

    /// Its number on the wire.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::SendLossEventRate => 192,
            _ => self as u8 + 1,
        }
    }

    /// The feature of a number.
    /// RFC 4342 §8-2: Send Loss Event Rate, too.
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|feature| feature.number() == number)
    }

    pub(super) const fn rule(self) -> Rule {
        match self {
            Self::SequenceWindow => Rule::Announced { len: 6 },
            Self::AckRatio => Rule::Announced { len: 2 },
            _ => Rule::Negotiated,
        }
    }

    /// Bytes of its value.
    pub(crate) const fn value_len(self) -> usize {
        match self.rule() {
            Rule::Negotiated => 1,
            Rule::Announced { len } => len,
        }
    }

    /// Its value before anything was negotiated.
    pub(super) const fn initial(self) -> u64 {
        match self {
            Self::Ccid | Self::AckRatio => 2,
            Self::SequenceWindow => 100,
            _ => 0,
        }
    }

    /// What is accepted where nobody says otherwise, the best first.
    pub(super) const fn preferences(self) -> &'static [u8] {
        match self {
            Self::Ccid => &[2],
            Self::SendAckVector | Self::CheckDataChecksum | Self::SendLossEventRate => &[1, 0],
            Self::AllowShort | Self::EcnIncapable | Self::SendNdpCount => &[0, 1],
            // Either end may ask for less to be covered; whether that is delivered is looked at then.
            Self::MinimumCoverage => &[0],
            Self::SequenceWindow | Self::AckRatio => &[],
        }
    }

    /// Whether every DCCP has to understand it.
    /// RFC 4340 §6.4-1 and §6.4-2: all of the RFC's, and Ack Ratio and Send Ack Vector for CCID 2.
    pub(super) const fn is_required(self) -> bool {
        matches!(self, Self::Ccid | Self::AllowShort | Self::SequenceWindow)
    }

    /// The value that an option of an announced feature has, if it is valid. RFC 4340 §11.3: an Ack Ratio of zero says
    /// that there is none.
    /// RFC 4340 §7.5.2-1: out of range is invalid.
    pub(super) fn read(self, bytes: &[u8]) -> Option<u64> {
        let Rule::Announced { len } = self.rule() else {
            return None;
        };
        let value = bytes.iter().fold(0u64, |n, &b| n << 8 | u64::from(b));
        let valid = match self {
            Self::SequenceWindow => (SEQUENCE_WINDOW_MIN..=SEQUENCE_WINDOW_MAX).contains(&value),
            _ => true,
        };
        (bytes.len() == len && valid).then_some(value)
    }
}
