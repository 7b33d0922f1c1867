//! What a signature covers: the segment as it is on the wire, and the addresses around it.

use sockeye_core::Payload;
use sockeye_wire::IpProtocol;
use sockeye_wire::tcp::{CHECKSUM_OFFSET, HEADER_LEN, HEADER_LEN_MAX};
use sockeye_wire::tcp_options::authentication_code;
use std::net::IpAddr;

/// A segment, and who sends it to whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Covered<'a> {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    /// Header and options as they stand in the packet. What must count as zero is not looked at.
    pub(crate) header: &'a [u8],
    pub(crate) text: &'a Payload,
}

impl Covered<'_> {
    /// RFC 2385 §2: the pseudo-header, the header without options and with a checksum of zero, the
    /// text.
    pub(crate) fn feed_plain(&self, to: &mut dyn FnMut(&[u8])) {
        self.feed_pseudo_header(to);
        let header = self.zeroed();
        to(&header[..HEADER_LEN.min(self.header.len())]);
        self.feed_text(to);
    }

    /// RFC 5925 §5.1 (2) to (4): the pseudo-header, the header with its options or, of these, with
    /// the authentication option alone, the text. Checksum and code count as zero.
    pub(crate) fn feed_authenticated(&self, excludes_options: bool, to: &mut dyn FnMut(&[u8])) {
        self.feed_pseudo_header(to);
        let mut header = self.zeroed();
        let len = self.header.len().min(HEADER_LEN_MAX);
        let code = authentication_code(header.get(HEADER_LEN..len).unwrap_or_default());
        let code = code.map(|code| HEADER_LEN + code.start..HEADER_LEN + code.end);
        if let Some(code) = code.clone() {
            header[code].fill(0);
        }
        match code {
            Some(code) if excludes_options => {
                to(&header[..HEADER_LEN]);
                to(&header[code.start - 4..code.end]);
            }
            _ => to(&header[..len]),
        }
        self.feed_text(to);
    }

    /// The header with a checksum of zero.
    fn zeroed(&self) -> [u8; HEADER_LEN_MAX] {
        let mut header = [0; HEADER_LEN_MAX];
        for (to, from) in header.iter_mut().zip(self.header) {
            *to = *from;
        }
        header[CHECKSUM_OFFSET..CHECKSUM_OFFSET + 2].fill(0);
        header
    }

    /// RFC 9293 §3.1, RFC 8200 §8.1.
    fn feed_pseudo_header(&self, to: &mut dyn FnMut(&[u8])) {
        let text: usize = self.text.iter().map(|slice| slice.len()).sum();
        let len = self.header.len() + text;
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                to(&source.octets());
                to(&destination.octets());
                to(&[0, IpProtocol::TCP.0]);
                // A segment lies in one packet, whose length has 16 bits.
                to(&(len as u16).to_be_bytes());
            }
            (source, destination) => {
                to(&to_v6(source));
                to(&to_v6(destination));
                to(&(len as u32).to_be_bytes());
                to(&[0, 0, 0, IpProtocol::TCP.0]);
            }
        }
    }

    fn feed_text(&self, to: &mut dyn FnMut(&[u8])) {
        self.text.iter().for_each(|slice| to(slice));
    }
}

fn to_v6(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}
