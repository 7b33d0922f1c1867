//! ARP for IPv4 over Ethernet (RFC 826, RFC 5227).

use crate::{EtherType, MacAddr, ParseError, take};
use std::net::Ipv4Addr;

/// Bytes of an ARP packet for Ethernet and IPv4.
pub const HEADER_LEN: usize = 28;

/// Hardware type 1, Ethernet; protocol type IPv4; the lengths of their addresses.
const ETHERNET_IPV4: [u8; 6] = {
    let [high, low] = EtherType::IPV4.0.to_be_bytes();
    [0, 1, high, low, 6, 4]
};

/// What an ARP packet asks or says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Who has the target's protocol address?
    Request = 1,
    /// The sender has its protocol address.
    Reply = 2,
}

/// An ARP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Request or reply.
    pub operation: Operation,
    /// ar$sha.
    pub sender_hardware: MacAddr,
    /// ar$spa; unspecified in a probe (RFC 5227 §1.1).
    pub sender_protocol: Ipv4Addr,
    /// ar$tha; without meaning in a request.
    pub target_hardware: MacAddr,
    /// ar$tpa.
    pub target_protocol: Ipv4Addr,
}

impl Header {
    /// Who has `target`?
    #[must_use]
    pub const fn request(mac: MacAddr, address: Ipv4Addr, target: Ipv4Addr) -> Self {
        Self {
            operation: Operation::Request,
            sender_hardware: mac,
            sender_protocol: address,
            target_hardware: MacAddr::UNSPECIFIED,
            target_protocol: target,
        }
    }

    /// RFC 5227 §1.1: does anybody use `address`, which the sender would like to have?
    #[must_use]
    pub const fn probe(mac: MacAddr, address: Ipv4Addr) -> Self {
        Self::request(mac, Ipv4Addr::UNSPECIFIED, address)
    }

    /// RFC 5227 §1.1: the sender now uses `address`.
    #[must_use]
    pub const fn announcement(mac: MacAddr, address: Ipv4Addr) -> Self {
        Self::request(mac, address, address)
    }

    /// The answer to this request, by the owner `mac` of the address asked for.
    #[must_use]
    pub const fn reply(&self, mac: MacAddr) -> Self {
        Self {
            operation: Operation::Reply,
            sender_hardware: mac,
            sender_protocol: self.target_protocol,
            target_hardware: self.sender_hardware,
            target_protocol: self.sender_protocol,
        }
    }

    /// Reads an ARP packet.
    ///
    /// RFC 826, packet reception: hardware type, protocol type, both lengths and the opcode are
    /// checked. The addresses are not judged: a sender may claim a group's.
    ///
    /// # Errors
    /// [`Truncated`](ParseError::Truncated) below 28 bytes; [`Unsupported`](ParseError::Unsupported)
    /// for other hardware, protocols or opcodes than requests and replies.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let fixed = take::<HEADER_LEN>(bytes)?;
        if fixed[..6] != ETHERNET_IPV4 {
            return Err(ParseError::Unsupported);
        }
        let operation = match u16::from_be_bytes([fixed[6], fixed[7]]) {
            1 => Operation::Request,
            2 => Operation::Reply,
            _ => return Err(ParseError::Unsupported),
        };
        let mac = |at: usize| {
            let b = &fixed[at..at + 6];
            MacAddr([b[0], b[1], b[2], b[3], b[4], b[5]])
        };
        let ip = |at: usize| Ipv4Addr::new(fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]);
        Ok(Self {
            operation,
            sender_hardware: mac(8),
            sender_protocol: ip(14),
            target_hardware: mac(18),
            target_protocol: ip(24),
        })
    }

    /// Bytes that [`emit`](Self::emit) writes.
    #[must_use]
    pub const fn header_len(&self) -> usize {
        HEADER_LEN
    }

    /// Writes the packet into the front of `out`.
    ///
    /// # Panics
    /// When `out` is shorter than 28 bytes.
    pub fn emit(&self, out: &mut [u8]) {
        out[0..6].copy_from_slice(&ETHERNET_IPV4);
        out[6..8].copy_from_slice(&(self.operation as u16).to_be_bytes());
        out[8..14].copy_from_slice(&self.sender_hardware.0);
        out[14..18].copy_from_slice(&self.sender_protocol.octets());
        out[18..24].copy_from_slice(&self.target_hardware.0);
        out[24..28].copy_from_slice(&self.target_protocol.octets());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const A: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
    const B: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

    fn emitted(header: Header) -> [u8; HEADER_LEN] {
        let mut out = [0xee; HEADER_LEN];
        header.emit(&mut out);
        out
    }

    #[test]
    fn a_request_and_its_reply() {
        let request = Header::request(A, Ipv4Addr::new(10, 0, 2, 15), Ipv4Addr::new(10, 0, 2, 2));
        assert_eq!(
            emitted(request),
            [
                0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 2, 15, 0, 0, 0, 0, 0, 0, 10, 0, 2,
                2
            ]
        );
        let reply = Header::parse(&emitted(request)).unwrap().reply(B);
        assert_eq!(reply.operation, Operation::Reply);
        assert_eq!(
            (reply.sender_hardware, reply.sender_protocol),
            (B, Ipv4Addr::new(10, 0, 2, 2))
        );
        assert_eq!(
            (reply.target_hardware, reply.target_protocol),
            (A, Ipv4Addr::new(10, 0, 2, 15))
        );
        assert_eq!(Header::parse(&emitted(reply)), Ok(reply));
    }

    #[test]
    fn other_hardware_protocols_and_opcodes_are_refused() {
        let good = emitted(Header::probe(A, Ipv4Addr::new(10, 0, 0, 1)));
        for (at, value) in [(1, 6), (2, 0x86), (4, 8), (5, 16), (7, 3), (6, 1)] {
            let mut bad = good;
            bad[at] = value;
            assert_eq!(
                Header::parse(&bad),
                Err(ParseError::Unsupported),
                "byte {at}"
            );
        }
        assert_eq!(Header::parse(&good[..27]), Err(ParseError::Truncated));
    }

    proptest! {
        #[test]
        fn what_parses_is_emitted_alike(mut bytes in proptest::collection::vec(any::<u8>(), 0..40), fix: bool) {
            if fix && bytes.len() >= 8 {
                bytes[..8].copy_from_slice(&[0, 1, 8, 0, 6, 4, 0, 2]);
            }
            if let Ok(header) = Header::parse(&bytes) {
                prop_assert_eq!(&emitted(header)[..], &bytes[..HEADER_LEN]);
            }
        }
    }
}
