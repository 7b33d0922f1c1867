//! A packet that arrived: checked as far as it says something by itself.

use crate::inbound::Arrived;
use bytes::Bytes;
use smallvec::SmallVec;
use sockeye_core::demux::Endpoint;
use sockeye_core::{Counter, InterfaceId, IpInfo, Packet};
use sockeye_link::UdpPorts;
use sockeye_wire::sctp::{
    Chunk, ChunkType, Chunks, DATA_HEADER_LEN, Data, DataFlags, HEADER_LEN, Header, take_checksum,
};

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
    /// What lies behind the common header; nothing as long as it is `apart`.
    pub(crate) chunks: Bytes,
    pub(crate) apart: Option<Apart>,
}

/// A DATA chunk that fills its packet, and whose user data lies apart, as a link in memory brings it.
#[derive(Clone, Debug)]
pub(crate) struct Apart {
    header: [u8; DATA_HEADER_LEN],
    payload: Bytes,
}

impl Apart {
    /// What a packet is, if it is that.
    fn read(packet: &Packet) -> Option<[u8; DATA_HEADER_LEN]> {
        let header = packet.head().get(HEADER_LEN..)?.try_into().ok()?;
        let (payload, padding) = match packet.payload() {
            [payload] => (payload, 0),
            [payload, padding] => (payload, padding.len()),
            _ => return None,
        };
        let padded = payload.len() + padding == payload.len().next_multiple_of(4);
        let whole = padded && Data::parse_header(&header, payload.len()).is_some();
        whole.then_some(header)
    }

    /// The chunk in one piece.
    pub(crate) fn join(self) -> Bytes {
        let mut whole = self.header.to_vec();
        whole.extend_from_slice(&self.payload);
        whole.resize(whole.len().next_multiple_of(4), 0);
        whole.into()
    }

    /// The chunk as it is taken in, and its flags.
    pub(crate) fn into_data(self) -> Option<(Arrived, DataFlags)> {
        let Self { header, payload } = self;
        let data = Data::parse_header(&header, payload.len())?;
        Some((Arrived::data(&data, payload), data.flags))
    }
}

impl Arrival {
    /// Reads the common header and checks CRC32c (RFC 9260 §6.8).
    /// RFC 9260 §3.1-1, §3.1-2, §3.3.3-14, §6.8-3, §6.8-4.
    pub(crate) fn read(ip: &IpInfo, mut packet: Packet) -> Result<Self, Counter> {
        let encap = packet.meta.encap;
        let header_apart = Apart::read(&packet);
        if header_apart.is_none() {
            packet.linearize();
        }
        let header = Header::parse(packet.head()).map_err(|_| Counter::SctpInPktDiscards)?;
        let right = {
            let (head, behind) = packet.parts_mut();
            let behind: SmallVec<[&[u8]; 2]> = behind.iter().map(|slice| &slice[..]).collect();
            take_checksum(head, &behind)
        };
        // RFC 9653 §5.3: a zero may stand for none; whether it does is the association's to say.
        let no_checksum = header.checksum == 0 && !right;
        if !no_checksum && !right {
            return Err(Counter::SctpChecksumErrors);
        }
        if header.source_port == 0 || header.destination_port == 0 {
            return Err(Counter::SctpInPktDiscards);
        }
        packet.pull(HEADER_LEN + header_apart.map_or(0, |header| header.len()));
        let rest = packet.into_payload().into_iter().next().unwrap_or_default();
        let (chunks, apart) = match header_apart {
            Some(header) => (
                Bytes::new(),
                Some(Apart {
                    header,
                    payload: rest,
                }),
            ),
            None => (rest, None),
        };
        Ok(Self {
            interface: ip.interface,
            remote: Endpoint::on(ip.interface, ip.source, header.source_port),
            local: Endpoint::on(ip.interface, ip.destination, header.destination_port),
            tag: header.verification_tag,
            encap,
            marked: ip.traffic_class & crate::packet::ECN == crate::packet::ECN,
            no_checksum,
            chunks,
            apart,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{APART_MIN, Draft};
    use sockeye_wire::IpProtocol;
    use sockeye_wire::sctp::Tsn;

    const PAYLOAD: [u8; APART_MIN + 1] = [7; APART_MIN + 1];

    fn packet(payload: &[u8]) -> Packet {
        let chunk = Data {
            flags: DataFlags::WHOLE,
            tsn: Tsn(9),
            stream: 3,
            ssn: 4,
            ppid: 5,
            payload,
        };
        let mut draft = Draft::new(1, 2, 8, 0);
        draft.push_data(
            &chunk.header(payload.len()),
            &Bytes::copy_from_slice(payload),
        );
        draft.finish(false)
    }

    fn read(packet: Packet) -> Result<Arrival, Counter> {
        let info = IpInfo {
            interface: InterfaceId(2),
            source: [192, 0, 2, 1].into(),
            destination: [192, 0, 2, 2].into(),
            protocol: IpProtocol::SCTP,
            hop_limit: 64,
            traffic_class: 0,
            flow_label: 0,
            header_len: 20,
            local: true,
            broadcast: false,
        };
        Arrival::read(&info, packet)
    }

    #[test]
    fn large_user_data_stays_apart_and_says_the_same() {
        let sent = packet(&PAYLOAD);
        assert_eq!(sent.payload()[0], PAYLOAD[..]);
        assert_eq!(sent.len() % 4, 0, "the padding is sent");
        let whole = read(Packet::from_vec(sent.to_vec())).unwrap();
        assert!(whole.apart.is_none());
        let apart = read(sent).unwrap().apart.unwrap();
        assert_eq!(apart.clone().join(), whole.chunks);
        let chunk = whole.first().unwrap();
        let data = Data::parse(&chunk).unwrap();
        let (arrived, flags) = apart.into_data().unwrap();
        assert_eq!(arrived.payload, data.payload);
        assert_eq!((arrived.tsn, arrived.stream, arrived.number), (9, 3, 4));
        assert_eq!((arrived.ppid, flags), (5, DataFlags::WHOLE));
    }

    #[test]
    fn small_user_data_is_copied() {
        assert!(packet(&PAYLOAD[..APART_MIN - 1]).payload().is_empty());
    }

    #[test]
    fn what_was_changed_apart_is_found_by_the_checksum() {
        let sent = packet(&PAYLOAD);
        let mut payload = sent.payload()[0].to_vec();
        payload[100] ^= 1;
        let mut slices = sent
            .payload()
            .iter()
            .cloned()
            .collect::<sockeye_core::Payload>();
        slices[0] = payload.into();
        let changed = Packet::from_parts(sent.head().to_vec(), slices);
        assert_eq!(read(changed).unwrap_err(), Counter::SctpChecksumErrors);
    }

    #[test]
    fn a_length_that_is_another_is_not_believed() {
        let sent = packet(&PAYLOAD);
        let mut slices = sent
            .payload()
            .iter()
            .cloned()
            .collect::<sockeye_core::Payload>();
        slices[0].truncate(APART_MIN);
        slices.truncate(1);
        let (mut head, rest) = (sent.head().to_vec(), slices[0].clone());
        sockeye_wire::sctp::set_checksum_with(&mut head, &[&rest]);
        let arrival = read(Packet::from_parts(head, slices)).unwrap();
        assert!(arrival.apart.is_none());
        assert!(arrival.first().is_none(), "the chunk is cut off");
    }
}
