//! Packets that arrive: checked as far as they can be without a connection (RFC 4340 §8.5, step 1).

use crate::flows::Tuple;
use bytes::Bytes;
use smallvec::SmallVec;
use sockeye_core::demux::{Endpoint, Flow};
use sockeye_core::{Checksum, Counter, InterfaceId, IpInfo, Packet, Payload};
use sockeye_link::UdpPorts;
use sockeye_wire::Ecn;
use sockeye_wire::dccp::options::{RawOption, Walk, walk};
use sockeye_wire::dccp::{Header, Kind, PacketType, Seq, coverage};

/// A packet without its header.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) kind: Kind,
    /// Sequence Number; with short numbers until it is [extended](Self::extend).
    pub(crate) seq: Seq,
    pub(crate) extended: bool,
    pub(crate) ccval: u8,
    pub(crate) coverage: u8,
    options: SmallVec<[u8; 64]>,
    pub(crate) data: Payload,
    pub(crate) data_len: usize,
    /// Bytes that `data` keeps from being freed.
    pub(crate) pinned: usize,
    pub(crate) ecn: Ecn,
    /// The UDP header that it came in.
    pub(crate) encap: Option<UdpPorts>,
    pub(crate) interface: InterfaceId,
}

impl Incoming {
    /// Step 1: header basics.
    ///
    /// # Errors
    /// What to count: the packet is ignored.
    pub(crate) fn parse(ip: &IpInfo, mut packet: Packet) -> Result<(Tuple, Self), Counter> {
        let fits = |packet: &mut Packet, n| match packet.pull_up(n) {
            true => Ok(()),
            false => Err(Counter::DccpInErrs),
        };
        fits(&mut packet, sockeye_wire::dccp::SHORT_LEN)?;
        let len = Header::announced_len(packet.head()).map_err(|_| Counter::DccpInErrs)?;
        fits(&mut packet, len)?;
        let header = Header::parse(packet.head()).map_err(|_| Counter::DccpInErrs)?;
        let covered = coverage::covered(header.coverage, len, packet.len())
            .map_err(|_| Counter::DccpInErrs)?;
        // RFC 4340 §9.1-1 and §9.1-2: packets with invalid checksums MUST be ignored. Links check whole packets
        // alone, so that what is covered in part is looked at here.
        let unchecked = packet.meta.checksum == Checksum::Unverified || covered < packet.len();
        // RFC 6773 §3.3: in UDP the field MUST be ignored; the sum of UDP covers all.
        let encap = packet.meta.encap;
        if unchecked && encap.is_none() && !is_intact(ip, &packet, covered) {
            return Err(Counter::DccpInErrs);
        }
        if header.source_port == 0 || header.destination_port == 0 {
            return Err(Counter::DccpInErrs);
        }
        let options = packet.head()[header.fixed_len()..len].into();
        packet.pull(len);
        let flow = Flow {
            local: Endpoint::on(ip.interface, ip.destination, header.destination_port),
            remote: Endpoint::on(ip.interface, ip.source, header.source_port),
        };
        let data_len = packet.len();
        let (data, pinned) = take_data(packet);
        let incoming = Self {
            kind: header.kind,
            seq: header.seq,
            extended: header.extended,
            ccval: header.ccval,
            coverage: header.coverage,
            options,
            data,
            data_len,
            pinned,
            // RFC 4340 §12.1-1: ECN is read always.
            ecn: Ecn::of(ip.traffic_class),
            encap,
            interface: ip.interface,
        };
        Ok((Tuple::of(flow, &incoming), incoming))
    }

    pub(crate) fn ty(&self) -> PacketType {
        self.kind.packet_type()
    }

    pub(crate) fn ack(&self) -> Option<Seq> {
        self.kind.ack()
    }

    pub(crate) fn options(&self) -> Walk<'_> {
        walk(&self.options)
    }

    /// RFC 4340 §7.6: short numbers become long ones, near GSR and GSS.
    pub(crate) fn extend(&mut self, gsr: Seq, gss: Seq) {
        if self.extended {
            return;
        }
        self.seq = self.seq.extend(gsr);
        if let Some(ack) = self.kind.ack() {
            self.kind = self.kind.with_ack(ack.extend(gss));
        }
        self.extended = true;
    }

    /// Whether it has options of one kind.
    pub(crate) fn any_option(&self, wanted: impl Fn(RawOption<'_>) -> bool) -> bool {
        self.options().any(wanted)
    }
}

fn is_intact(ip: &IpInfo, packet: &Packet, covered: usize) -> bool {
    u32::try_from(packet.len()).is_ok_and(|len| {
        coverage::sum(ip.source, ip.destination, len, covered, packet.chunks()).is_valid()
    })
}

/// The data and what keeping it pins. Data smaller than a quarter of the buffers behind it is copied
/// out, so that a peer can't make us keep large buffers by sending little.
fn take_data(packet: Packet) -> (Payload, usize) {
    let len = packet.len();
    if len == 0 {
        return (Payload::new(), 0);
    }
    let pinned = packet.pinned();
    if len < pinned / 4 {
        let mut data = Payload::new();
        data.push(Bytes::from(packet.to_vec()));
        return (data, len);
    }
    (packet.into_payload(), pinned)
}
