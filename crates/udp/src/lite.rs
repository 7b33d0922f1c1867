//! UDP-Lite (RFC 3828): UDP whose length field says how much the checksum covers.

use sockeye_core::{Counter, Error, OptionValue, TransportId};
use sockeye_wire::{IpProtocol, udp};

/// Which of the two protocols it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// UDP.
    Full,
    /// UDP-Lite.
    Lite,
}

impl Kind {
    pub(crate) const fn protocol(self) -> IpProtocol {
        match self {
            Self::Full => IpProtocol::UDP,
            Self::Lite => IpProtocol::UDPLITE,
        }
    }

    pub(crate) const fn transport(self) -> TransportId {
        match self {
            Self::Full => TransportId::UDP,
            Self::Lite => TransportId::UDPLITE,
        }
    }

    /// The protocol's own counter in place of UDP's.
    pub(crate) const fn counter(self, counter: Counter) -> Counter {
        match (self, counter) {
            (Self::Lite, Counter::UdpInDatagrams) => Counter::UdpLiteInDatagrams,
            (Self::Lite, Counter::UdpNoPorts) => Counter::UdpLiteNoPorts,
            (Self::Lite, Counter::UdpInErrors) => Counter::UdpLiteInErrors,
            (Self::Lite, Counter::UdpRcvbufErrors) => Counter::UdpLiteRcvbufErrors,
            (Self::Lite, Counter::UdpInCsumErrors) => Counter::UdpLiteInCsumErrors,
            (Self::Lite, Counter::UdpOutDatagrams) => Counter::UdpLiteOutDatagrams,
            (_, counter) => counter,
        }
    }
}

/// How much of a socket's datagrams checksums cover, in bytes; 0 stands for all.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Coverage {
    /// UDPLITE_SEND_CSCOV
    pub(crate) send: u16,
    /// UDPLITE_RECV_CSCOV, once it was set.
    pub(crate) receive: Option<u16>,
}

impl Coverage {
    /// The value of one of the options: RFC 3828 §3.1, the header is always covered.
    pub(crate) fn read(value: &OptionValue) -> Result<u16, Error> {
        const MIN: i32 = udp::HEADER_LEN as i32;
        Ok(match value.int()? {
            0 => 0,
            n => n.clamp(MIN, u16::MAX.into()) as u16,
        })
    }

    /// Bytes that the checksum of a datagram of `len` covers, and what its length field says.
    pub(crate) fn of(self, len: usize) -> (usize, u16) {
        match usize::from(self.send) {
            covered if covered > 0 && covered < len => (covered, self.send),
            // RFC 3828 §3.1: zero says that it covers everything.
            _ => (len, 0),
        }
    }

    /// Whether a datagram of `len` bytes is taken whose checksum covers `covered`. RFC 3828 §3.2: a
    /// receiver that says how much has to be covered is not handed less.
    pub(crate) fn takes(self, covered: usize, len: usize) -> bool {
        match self.receive {
            None => true,
            Some(_) if covered == len => true,
            // All has to be covered.
            Some(0) => false,
            Some(least) => covered >= usize::from(least),
        }
    }
}
