//! What waits for the transports and is not a packet.

use crate::ip::alert::RouterAlert;
use crate::transport::IcmpErrorKind;
use crate::{AddressChange, IcmpError};
use sockeye_wire::IpProtocol;
use std::net::IpAddr;

/// Something the transports are to be told.
#[derive(Clone, Debug)]
pub enum Notice {
    /// An ICMP error, received or made here, for the transport of its protocol.
    IcmpError(OwnedIcmpError),
    /// The path to `remote` carries packets of `mtu` bytes now.
    PathMtu {
        /// The far end.
        remote: IpAddr,
        /// Bytes of IP packet.
        mtu: u32,
    },
    /// An address of the node changed.
    Address(AddressChange),
    /// A packet for others that raw sockets want to see.
    RouterAlert(Box<RouterAlert>),
}

/// An [`IcmpError`] with its quote.
#[derive(Clone, Debug)]
pub struct OwnedIcmpError {
    /// The protocol of the quoted packet.
    pub protocol: IpProtocol,
    /// See [`IcmpError::kind`].
    pub kind: IcmpErrorKind,
    /// See [`IcmpError::icmp_type`].
    pub icmp_type: u8,
    /// See [`IcmpError::icmp_code`].
    pub icmp_code: u8,
    /// See [`IcmpError::from`].
    pub from: IpAddr,
    /// See [`IcmpError::source`].
    pub source: IpAddr,
    /// See [`IcmpError::destination`].
    pub destination: IpAddr,
    /// See [`IcmpError::quoted`].
    pub quoted: Vec<u8>,
}

impl OwnedIcmpError {
    /// The borrowed form that [`Transport::on_icmp_error`](crate::Transport::on_icmp_error) takes.
    #[must_use]
    pub fn borrow(&self) -> IcmpError<'_> {
        IcmpError {
            kind: self.kind,
            icmp_type: self.icmp_type,
            icmp_code: self.icmp_code,
            from: self.from,
            source: self.source,
            destination: self.destination,
            quoted: &self.quoted,
        }
    }
}
