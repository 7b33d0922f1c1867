//! A packet that arrived: checked as far as it says something by itself.

use bytes::Bytes;
use sockeye_core::demux::Endpoint;
use sockeye_core::{Counter, InterfaceId, IpInfo, Packet};
use sockeye_link::UdpPorts;
use sockeye_wire::sctp::{Chunk, ChunkType, Chunks, HEADER_LEN, Header, take_checksum};

/// A received packet.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) interface: InterfaceId,
    /// The peer's transport address.
    pub(crate) remote: Endpoint,
    /// Ours.
    pub(crate) local: Endpoint,
    pub(crate) tag: u32,
    /// The UDP header that it travelled in.
    pub(crate) encap: Option<UdpPorts>,
    /// It was marked with CE.
    pub(crate) marked: bool,
    /// It has no checksum.
    pub(crate) no_checksum: bool,
    /// What lies behind the common header.
    pub(crate) chunks: Bytes,
}

impl Arrival {
    /// Reads the common header and checks CRC32c (RFC 9260 §6.8).
    /// RFC 9260 §3.1-1, §3.1-2, §3.3.3-14, §6.8-3, §6.8-4.
    pub(crate) fn read(ip: &IpInfo, mut packet: Packet) -> Result<Self, Counter> {
        let encap = packet.meta.encap;
        packet.linearize();
        let header = Header::parse(packet.head()).map_err(|_| Counter::SctpInPktDiscards)?;
        let right = take_checksum(packet.head_mut());
        // RFC 9653 §5.3: a zero may stand for none; whether it does is the association's to say.
        let no_checksum = header.checksum == 0 && !right;
        if !no_checksum && !right {
            return Err(Counter::SctpChecksumErrors);
        }
        if header.source_port == 0 || header.destination_port == 0 {
            return Err(Counter::SctpInPktDiscards);
        }
        packet.pull(HEADER_LEN);
        let chunks = packet.into_payload().into_iter().next();
        Ok(Self {
            interface: ip.interface,
            remote: Endpoint::on(ip.interface, ip.source, header.source_port),
            local: Endpoint::on(ip.interface, ip.destination, header.destination_port),
            tag: header.verification_tag,
            encap,
            marked: ip.traffic_class & crate::packet::ECN == crate::packet::ECN,
            no_checksum,
            chunks: chunks.unwrap_or_default(),
        })
    }

    /// Its chunks.
    pub(crate) fn walk(&self) -> Chunks<'_> {
        Chunks::new(&self.chunks)
    }

    /// Its first chunk.
    pub(crate) fn first(&self) -> Option<Chunk<'_>> {
        self.walk().next()?.ok()
    }

    /// Whether it has more than one chunk.
    pub(crate) fn has_several(&self) -> bool {
        self.walk().take(2).count() > 1
    }

    /// Whether one of its chunks is of type `kind`.
    pub(crate) fn has(&self, kind: ChunkType) -> bool {
        self.walk().flatten().any(|chunk| chunk.kind == kind)
    }

    /// UDP ports of an answer.
    pub(crate) fn encap_back(&self) -> Option<UdpPorts> {
        self.encap.map(|ports| UdpPorts {
            source: ports.destination,
            destination: ports.source,
        })
    }
}
