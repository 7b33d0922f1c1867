//! Sending data (RFC 9260 §6.1): what goes next, by which path, how many chunks in one packet.

use crate::auth::PacketKey;
use crate::outbound::Fragment;
use crate::packet::{self, APART_MIN, APART_ROOM, Draft};
use crate::path::Path;
use crate::tcb::{Association, data_header_len};
use sockeye_core::{Context, Counter, Instant};
use sockeye_wire::sctp::{
    CookieAck, Cwr, Data, DataFlags, Ecne, GapAckBlock, IData, List, Sack, Tsn,
};
use sockeye_wire::{ipv4, ipv6, udp};
use std::net::IpAddr;

/// TSNs that one SACK tells to have come twice.
pub(crate) const DUPLICATES_MAX: usize = 64;
/// Chunks that are sent and not acknowledged: RFC 9260 §6.1-13: TSNs stay within half of their space;
/// RFC 9260 §6.1-14: no stream has 2^16 ordered messages under way.
const OUTSTANDING_MAX: usize = 65_535;

impl Association {
    /// The path that the next packet goes by, if anything may be sent now.
    pub(crate) fn next_output(&self) -> Option<usize> {
        if let Some(at) = self.cookie_ack {
            return Some(at.min(self.paths.len() - 1));
        }
        if !self.replies.chunks.is_empty() {
            return Some(self.replies.path.min(self.paths.len() - 1));
        }
        if self.state.sends() {
            if self.partial.due {
                return Some(self.data_path);
            }
            match self.outstanding.next_lost(0) {
                Some(position) => {
                    let at = self.retransmission_path(position);
                    let path = &self.paths[at];
                    if path.is_confirmed() && (self.free_packet || path.has_room()) {
                        return Some(at);
                    }
                }
                None if self.may_send_new(self.fragment_len(), false) => {
                    return Some(self.new_data_path());
                }
                None => {}
            }
        }
        // RFC 9260 §5.4-1: while no path is confirmed, as when the peer has moved, SACKs wait.
        let at = self.sack_path();
        let acks = self.ack.due && self.state.is_up() && self.paths[at].is_confirmed();
        acks.then_some(at)
    }

    /// RFC 9260 §6.4: what timed out goes to another active path, what was found missing by SACKs to
    /// the same.
    fn retransmission_path(&self, position: u64) -> usize {
        let last = self
            .outstanding
            .get(position)
            .map_or(self.data_path, |sent| usize::from(sent.path));
        let Some(path) = self.paths.get(last) else {
            return self.data_path;
        };
        if path.is_active() && path.errors == 0 {
            return last;
        }
        let count = self.paths.len();
        (1..count)
            .map(|step| (last + step) % count)
            .find(|&at| self.paths[at].is_active())
            .unwrap_or(self.data_path)
    }

    /// Where the next new data goes: by the path that its user named (SCTP_ADDR_OVER; RFC 9260 §6.4: the
    /// user may), as long as that answers.
    fn new_data_path(&self) -> usize {
        match self.outbound.next_manner().path.map(usize::from) {
            Some(at) if self.paths.get(at).is_some_and(Path::is_active) => at,
            _ => self.data_path,
        }
    }

    /// RFC 9260 §6.4: to where the last data came from.
    pub(crate) fn sack_path(&self) -> usize {
        match self.paths.get(self.ack.path) {
            Some(path) if path.is_confirmed() => self.ack.path,
            _ => self.data_path,
        }
    }

    /// Whether new data may go (RFC 9260 §6.1 A and B), `most` bytes in a chunk, `beside` other new data of
    /// its packet or as the first.
    /// RFC 9260 §6.1-1, §6.1-2, §6.1-5, §6.1-6, §6.1-7, §6.1-9.
    fn may_send_new(&self, most: usize, beside: bool) -> bool {
        let Some(next) = self.outbound.next_len(most) else {
            return false;
        };
        let path = &self.paths[self.new_data_path()];
        let full = self.outstanding.len() >= OUTSTANDING_MAX;
        if !path.is_confirmed() || !path.has_room() || self.burst == 0 || full {
            return false;
        }
        if next as u64 > self.rwnd && !self.may_probe() {
            return false;
        }
        // Nagle: a packet that is not full waits while data is in flight.
        let waits = !self.settings.no_delay
            && !beside
            && !self.outstanding.is_empty()
            && !self.state.is_closing()
            && self.outbound.queued() < most;
        !waits
    }

    /// RFC 9260 §6.1 A: one chunk may probe a closed window, an RTO after it closed, and when nothing
    /// else is in flight.
    /// RFC 9260 §6.1-3, §6.1-4.
    fn may_probe(&self) -> bool {
        self.outstanding.is_empty() && self.probe_due
    }

    /// Sees that a closed window will be probed.
    pub(crate) fn watch_window(&mut self, now: Instant) {
        let next = self.outbound.next_len(self.fragment_len());
        let closed = self.state.sends()
            && self.outstanding.is_empty()
            && next.is_some_and(|next| next as u64 > self.rwnd);
        if !closed {
            self.deadlines.probe = Instant::FAR;
            self.probe_due = false;
        } else if self.deadlines.probe == Instant::FAR && !self.probe_due {
            self.deadlines.probe = now + self.paths[self.data_path].rto.current();
        }
    }

    /// Sends one packet by path `at`: a SACK if one is pending, chunks that are to be sent again, new
    /// ones as far as they fit. False when nothing could be sent.
    /// RFC 9260 §6-5, §6.1-8, §6.10-1, §6.10-2, §6.10-3, §6.10-4.
    pub(crate) fn transmit(&mut self, cx: &mut Context<'_>, at: usize) -> bool {
        self.give_up_messages(cx);
        let path = &mut self.paths[at];
        let Ok(route) = path.route(cx, &self.local) else {
            self.partial.due = false;
            self.free_packet = false;
            self.ack.due = false;
            self.cookie_ack = None;
            self.replies.clear();
            return false;
        };
        let remote = path.remote;
        let room = packet_room(path.mtu, remote.ip, path.encap.is_some()) - self.auth_room();
        // What will lie apart needs no room.
        let apart = self
            .outbound
            .next_len(room)
            .is_some_and(|len| len >= APART_MIN);
        let mut draft = self.draft(match apart {
            true => room.min(APART_ROOM),
            false => room,
        });
        if self.cookie_ack.take().is_some() {
            CookieAck.emit(draft.chunks());
            self.count_control(cx, 1);
        }
        // What is larger than the packet goes alone, in fragments of IP.
        if draft.is_empty() || self.replies.chunks.len() <= room - draft.len() {
            self.count_control(cx, self.replies.count);
            draft.chunks().append(&mut self.replies.chunks);
        }
        self.replies.clear();
        let left = room.saturating_sub(draft.len());
        if self.ack.pending
            && self.paths[at].is_confirmed()
            && self.emit_sack(cx, draft.chunks(), left)
        {
            self.count_control(cx, 1);
            self.stats.sacks_out += 1;
        }
        if self.state.sends() {
            let used = draft.len();
            if self.emit_forward(cx.now, draft.chunks(), room.saturating_sub(used)) {
                self.count_control(cx, 1);
            }
        }
        let first = draft.is_empty();
        let mut chunks = 0;
        let mut key = PacketKey::default();
        if self.state.sends() {
            let left = room.saturating_sub(draft.len());
            chunks = self.bundle_lost(cx, at, &mut draft, left, first, &mut key);
            if !self.outstanding.has_lost() {
                let left = room.saturating_sub(draft.len());
                chunks += self.bundle_new(cx, at, &mut draft, left, &mut key);
            }
        }
        if draft.is_empty() {
            return false;
        }
        self.outbound.packet_done();
        self.seal(&mut draft, key);
        let mut carrier = self.carrier(at);
        if chunks > 0 {
            self.free_packet = false;
            self.touch_autoclose(cx.now);
            if self.abilities.ecn {
                carrier.traffic_class |= packet::ECT0;
            }
        }
        self.stats.packets_out += 1;
        let _ = packet::send(cx, &route, remote, &carrier, draft);
        if self.reconfig.is_waiting() {
            self.advance_reconfig(cx);
        }
        true
    }

    /// RFC 9260 §6.1 C: chunks marked for retransmission come before all others.
    /// RFC 9260 §6.1-11, §6.3.1-2.
    fn bundle_lost(
        &mut self,
        cx: &mut Context<'_>,
        at: usize,
        out: &mut Draft,
        mut room: usize,
        alone: bool,
        key: &mut PacketKey,
    ) -> usize {
        let (mut from, mut chunks) = (0, 0);
        while let Some(position) = self.outstanding.next_lost(from) {
            if self.retransmission_path(position) != at {
                break;
            }
            if !(self.free_packet || self.paths[at].has_room()) {
                break;
            }
            let tsn = self.outstanding.tsn(position);
            let Some(sent) = self.outstanding.get(position) else {
                break;
            };
            let wire = self.outstanding.wire_len(&sent.fragment);
            let len = sent.fragment.data.len() as u64;
            // What is too large for a path that has become narrower goes alone, in fragments.
            let fits = wire as usize <= room || (alone && chunks == 0);
            if !fits || !key.joins(sent.fragment.key) {
                break;
            }
            emit_data(out, &sent.fragment, tsn, self.abilities.interleaving, false);
            count_data(cx, &sent.fragment);
            let unordered = sent.fragment.unordered;
            self.stats.data_leaves(unordered, true);
            room = room.saturating_sub(wire as usize);
            chunks += 1;
            self.outstanding.resend(position, at as u8);
            self.rwnd = self.rwnd.saturating_sub(len);
            // RFC 9260 §6.3.1 C5: nothing is measured by what may have been sent twice.
            for path in &mut self.paths {
                path.timing = path.timing.filter(|&(timed, _)| timed < position);
            }
            let path = &mut self.paths[at];
            path.flight += wire;
            path.used_at = cx.now;
            if path.t3 != Instant::FAR && position <= path.earliest {
                path.restart_t3(cx.now);
                path.earliest = position;
            }
            path.start_t3(cx.now, position);
            from = position + 1;
        }
        chunks
    }

    /// RFC 9260 §6.3.1-1.
    fn bundle_new(
        &mut self,
        cx: &mut Context<'_>,
        at: usize,
        out: &mut Draft,
        mut room: usize,
        key: &mut PacketKey,
    ) -> usize {
        let header = data_header_len(self.abilities.interleaving);
        let most = self.fragment_len();
        let mut chunks = 0;
        while self.may_send_new(most, chunks > 0) {
            let Some(next) = self.outbound.next_len(most) else {
                break;
            };
            let elsewhere = self.new_data_path() != at;
            if elsewhere || (header + next).next_multiple_of(4) > room {
                break;
            }
            if !key.joins(self.outbound.next_manner().key) {
                break;
            }
            let Some(fragment) = self.outbound.pop(most, cx.now) else {
                break;
            };
            let tsn = self.outstanding.next_tsn();
            let len = fragment.data.len() as u64;
            let wire = self.outstanding.wire_len(&fragment);
            self.rwnd = self.rwnd.saturating_sub(len);
            self.deadlines.probe = Instant::FAR;
            self.probe_due = false;
            let path = &mut self.paths[at];
            if path.flight == 0 {
                path.decay(cx.now);
            }
            path.flight += wire;
            path.used_at = cx.now;
            // RFC 7053 §4: what the sender can't go on without.
            let immediate = self.state.is_closing() || !path.has_room();
            emit_data(out, &fragment, tsn, self.abilities.interleaving, immediate);
            count_data(cx, &fragment);
            self.stats.data_leaves(fragment.unordered, false);
            self.burst = self.burst.saturating_sub(wire);
            let position = self.outstanding.push(fragment, at as u8);
            let path = &mut self.paths[at];
            path.start_t3(cx.now, position);
            path.timing = path.timing.or(Some((position, cx.now)));
            room = room.saturating_sub(wire as usize);
            chunks += 1;
        }
        let path = &mut self.paths[at];
        path.limited = !path.has_room();
        chunks
    }

    /// Appends what acknowledges all that has come (RFC 9260 §6.2), into `room` bytes.
    /// RFC 9260 §6.2-11, §6.2-12, §6.2-13, §6.7-4, §6.7-5.
    pub(crate) fn emit_sack(&mut self, cx: &Context<'_>, out: &mut Vec<u8>, room: usize) -> bool {
        const FIXED: usize = 16;
        const ECNE: usize = 8;
        let echo = self.ack.marked.map_or(0, |_| ECNE);
        let Some(left) = room.checked_sub(FIXED + echo) else {
            return false;
        };
        let a_rwnd = self.receive_window();
        // §6.7: blocks from the lowest TSN on, as many as fit.
        let gaps: smallvec::SmallVec<[GapAckBlock; 16]> = self
            .inbound
            .gap_blocks()
            .take(left / 4)
            .map(|(start, end)| GapAckBlock { start, end })
            .collect();
        let duplicates: smallvec::SmallVec<[Tsn; 4]> = self
            .inbound
            .take_duplicates()
            .into_iter()
            .take((left / 4 - gaps.len()).min(DUPLICATES_MAX))
            .map(Tsn)
            .collect();
        let sack = Sack {
            cumulative_tsn: Tsn(self.inbound.cumulative()),
            a_rwnd,
            gaps: List::Values(&gaps),
            duplicates: List::Values(&duplicates),
        };
        sack.emit(out);
        // Behind it: usrsctp up to 0.9.5 pays no heed to what follows an ECNE chunk of this length.
        if let Some(tsn) = self.ack.marked {
            let lowest_tsn = Tsn(tsn);
            Ecne { lowest_tsn }.emit(out);
        }
        self.ack.advertised = a_rwnd;
        self.acknowledged(cx.now);
        true
    }

    /// Nothing is left to be acknowledged.
    pub(crate) fn acknowledged(&mut self, _now: Instant) {
        self.ack.pending = false;
        self.ack.due = false;
        self.ack.packets = 0;
        self.deadlines.sack = Instant::FAR;
    }

    /// The sender has slowed down for a mark (RFC 4960 appendix A).
    pub(crate) fn send_cwr(&mut self, cx: &mut Context<'_>, at: usize, tsn: u32) {
        let mut out = Vec::new();
        let lowest_tsn = Tsn(tsn);
        Cwr { lowest_tsn }.emit(&mut out);
        self.send_control(cx, at, &out);
    }

    /// So many chunks other than DATA go out.
    pub(crate) fn count_control(&mut self, cx: &mut Context<'_>, count: u32) {
        cx.counters.add_n(Counter::SctpOutCtrlChunks, count.into());
        self.stats.control_out += u64::from(count);
    }

    /// Whether a message of `len` bytes fits one packet.
    pub(crate) fn fits_one(&self, len: usize) -> bool {
        len <= self.fragment_len()
    }
}

/// Bytes of SCTP packet that fit into an IP packet of `mtu` bytes.
pub(crate) fn packet_room(mtu: u32, remote: IpAddr, encapsulated: bool) -> usize {
    let ip = match remote {
        IpAddr::V4(_) => ipv4::HEADER_LEN,
        IpAddr::V6(_) => ipv6::HEADER_LEN,
    };
    let encap = if encapsulated { udp::HEADER_LEN } else { 0 };
    (mtu as usize).saturating_sub(ip + encap) & !3
}

/// RFC 9260 §3.3.1-8, §3.3.1-9, §3.3.1-10, §6.5-4.
fn emit_data(out: &mut Draft, fragment: &Fragment, tsn: u32, interleaving: bool, immediate: bool) {
    let mut flags = DataFlags::empty();
    flags.set(DataFlags::BEGIN, fragment.begin);
    flags.set(DataFlags::END, fragment.end);
    flags.set(DataFlags::UNORDERED, fragment.unordered);
    flags.set(DataFlags::IMMEDIATE, immediate || fragment.immediate);
    let data = &fragment.data;
    match interleaving {
        true => {
            let chunk = IData {
                flags,
                tsn: Tsn(tsn),
                stream: fragment.stream,
                mid: fragment.number,
                ppid: fragment.ppid,
                fsn: fragment.fsn,
                payload: data,
            };
            out.push_data(&chunk.header(data.len()), data);
        }
        false => {
            let chunk = Data {
                flags,
                tsn: Tsn(tsn),
                stream: fragment.stream,
                ssn: fragment.number as u16,
                ppid: fragment.ppid,
                payload: data,
            };
            out.push_data(&chunk.header(data.len()), data);
        }
    }
}

fn count_data(cx: &mut Context<'_>, fragment: &Fragment) {
    cx.counters.add(match fragment.unordered {
        true => Counter::SctpOutUnorderChunks,
        false => Counter::SctpOutOrderChunks,
    });
    if fragment.begin && !fragment.end {
        cx.counters.add(Counter::SctpFragUsrMsgs);
    }
}
