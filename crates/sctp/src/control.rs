//! Control chunks: sent at once in a packet of their own, or, as answers to a packet, together in the
//! next one.

use crate::auth::PacketKey;
use crate::packet::{self, Carrier, Draft};
use crate::tcb::Association;
use sockeye_core::Context;
use sockeye_link::UdpPorts;
use sockeye_wire::sctp::{Cause, ChunkType, HEADER_LEN, OperationError};

/// Bytes of errors that one packet is answered with.
const ERRORS_MAX: usize = 1024;
/// Where nothing is said, SCTP over UDP is at 9899 (RFC 6951 §5.1).
const ENCAPSULATION_PORT: u16 = 9899;

/// Answers that wait for the next packet.
///
/// RFC 9260 §12.4-2: a packet is answered by one packet with chunks other than DATA; so what its
/// chunks are answered with is gathered, and what does not fit is not said.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    pub(crate) chunks: Vec<u8>,
    pub(crate) count: u32,
    /// The path that they go by.
    pub(crate) path: usize,
    /// A packet is being processed.
    pub(crate) gather: bool,
}

impl Replies {
    /// None is left.
    pub(crate) fn clear(&mut self) {
        self.chunks.clear();
        self.count = 0;
    }
}

impl Association {
    /// What the IP header of packets by path `at` says.
    pub(crate) fn carrier(&self, at: usize) -> Carrier {
        let path = &self.paths[at];
        let mut carrier = Carrier::new(&self.settings.common, path.remote.ip);
        if let Some(class) = path.settings.traffic_class {
            carrier.traffic_class = class & !packet::ECN;
        }
        carrier.flow_label = path.settings.flow_label;
        carrier.mtu = path.search.is_some().then_some(path.mtu);
        carrier.no_checksum = self.omits_checksum();
        carrier.encap = path.encap.map(|destination| UdpPorts {
            source: match self.udp_port {
                0 => ENCAPSULATION_PORT,
                port => port,
            },
            destination,
        });
        carrier
    }

    /// RFC 9653 §5.2: whether packets go without a checksum: the layer below detects errors by a
    /// method that the peer takes instead. INIT and COOKIE ECHO have one always; they are not sent
    /// any more once the association is up.
    fn omits_checksum(&self) -> bool {
        let method = self.settings.error_detection;
        method.is_some() && method == self.abilities.zero_checksum && self.state.is_up()
    }

    /// RFC 9653 §5.3: whether a packet without a checksum is taken.
    pub(crate) fn takes_without_checksum(&self, arrival: &crate::arrival::Arrival) -> bool {
        let first = arrival.first().map(|chunk| chunk.kind);
        self.settings.error_detection.is_some()
            && !matches!(first, Some(ChunkType::INIT | ChunkType::COOKIE_ECHO))
    }

    /// Begins a packet of at most `len` bytes.
    /// RFC 9260 §3.1-3, §3.3.2-4, §3.3.3-3, §5.3.1-1, §8.5-1.
    pub(crate) fn draft(&self, len: usize) -> Draft {
        Draft::new(self.local_port, self.peer_port, self.tags.peer, len)
    }

    /// Sends control chunks by path `at`: while a packet is being processed, beside what else it is
    /// answered with; else at once, in a packet of their own. When that can't be sent it is lost, as
    /// it could be on the way.
    pub(crate) fn send_control(&mut self, cx: &mut Context<'_>, at: usize, chunks: &[u8]) {
        match self.replies.gather {
            true => self.reply(at, chunks),
            false => self.send_control_now(cx, at, chunks),
        }
    }

    /// The same, at once in any case.
    pub(crate) fn send_control_now(&mut self, cx: &mut Context<'_>, at: usize, chunks: &[u8]) {
        let tag = self.tags.peer;
        self.send_control_tagged(cx, at, tag, chunks);
    }

    /// The same with another verification tag.
    pub(crate) fn send_control_tagged(
        &mut self,
        cx: &mut Context<'_>,
        at: usize,
        tag: u32,
        chunks: &[u8],
    ) {
        let len = chunks.len() + HEADER_LEN;
        let mut draft = Draft::new(self.local_port, self.peer_port, tag, len);
        draft.chunks().extend_from_slice(chunks);
        self.seal(&mut draft, PacketKey::default());
        self.send_draft(cx, at, draft, None);
    }

    /// Sends a packet of control chunks by path `at`, whole if it is not larger than `mtu`, or than
    /// what the path takes.
    pub(crate) fn send_draft(
        &mut self,
        cx: &mut Context<'_>,
        at: usize,
        draft: Draft,
        mtu: Option<u32>,
    ) {
        let mut carrier = self.carrier(at);
        carrier.mtu = mtu.or(carrier.mtu);
        let Some(path) = self.paths.get_mut(at) else {
            return;
        };
        let remote = path.remote;
        let Ok(route) = path.route(cx, &self.local) else {
            return;
        };
        self.count_control(cx, 1);
        self.stats.packets_out += 1;
        let _ = packet::send(cx, &route, remote, &carrier, draft);
    }

    /// Where an answer to what came by path `at` goes: RFC 9260 §5.4-1: not to an address that is not
    /// confirmed.
    pub(crate) fn answer_path(&self, at: usize) -> usize {
        match self.paths.get(at) {
            Some(path) if path.is_confirmed() => at,
            _ => self.data_path,
        }
    }

    /// One answer more, if there is room. §5.4-1: a path that is not confirmed hears HEARTBEAT ACK
    /// alone.
    fn reply(&mut self, at: usize, chunks: &[u8]) {
        let probed = chunks.first() == Some(&ChunkType::HEARTBEAT_ACK.0);
        let at = match probed {
            true => at,
            false => self.answer_path(at),
        };
        let Some(path) = self.paths.get(at) else {
            return;
        };
        let room = (path.pmdcs() as usize).saturating_sub(self.auth_room());
        let fits = self.replies.chunks.len() + chunks.len() <= room;
        let joins = fits
            && match probed {
                true => self.replies.path == at,
                false => self.answer_path(self.replies.path) == self.replies.path,
            };
        let first = self.replies.chunks.is_empty();
        if first {
            self.replies.path = at;
        }
        if first || joins {
            self.replies.chunks.extend_from_slice(chunks);
            self.replies.count += 1;
        }
    }

    /// Says an error that ends nothing, by the next packet, so that a SACK can go along. More than
    /// [`ERRORS_MAX`] bytes of them are not said.
    pub(crate) fn send_error(&mut self, at: Option<usize>, cause: &Cause<'_>) {
        let mut causes = Vec::new();
        cause.emit(&mut causes);
        let mut out = Vec::new();
        OperationError { causes: &causes }.emit(&mut out);
        if self.replies.chunks.len() + out.len() <= ERRORS_MAX {
            self.reply(at.unwrap_or(self.data_path), &out);
        }
    }
}
