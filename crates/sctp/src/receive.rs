//! Packets for an association: its verification tag (RFC 9260 §8.5), then its chunks in their order
//! (§6.10), then what follows from the packet as a whole.

use crate::arrival::{Apart, Arrival};
use crate::inbound::{Arrival as Verdict, Arrived};
use crate::info::Notification;
use crate::settings::SACK_DELAY_MAX;
use crate::tcb::Association;
use crate::{Sctp, State};
use bytes::Bytes;
use sockeye_core::{Context, Counter, SocketId};
use sockeye_wire::sctp::{
    Abort, Asconf, AsconfAck, Cause, CauseCode, Chunk, ChunkType, Cwr, Data, DataFlags, Ecne,
    ForwardTsn, Heartbeat, HeartbeatAck, IData, IForwardTsn, InitAck, OperationError, RawCause,
    Reconfig, Sack, Shutdown, ShutdownComplete,
};

/// Of chunks that share a packet though they must not.
pub(crate) const NOT_ALONE: Cause<'static> = Cause::ProtocolViolation(b"not alone in its packet");

/// What one packet brought.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// DATA chunks.
    data: u32,
    /// New ones among them.
    new: u32,
    duplicates: u32,
    /// The sender wants the SACK at once, or something was dropped.
    at_once: bool,
    /// The lowest TSN.
    lowest: Option<u32>,
}

/// Whether the next chunk of the packet counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Next,
    /// It does not count itself.
    Skip,
    Stop,
}

impl Sctp {
    /// A packet for the association `id`.
    /// RFC 9260 §8.5-2, §8.5-3, §8.5-4, §8.5.1-5, §8.5.1-6, §8.5.1-10, §9.1-5.
    pub(crate) fn packet_for(&mut self, cx: &mut Context<'_>, id: SocketId, arrival: &Arrival) {
        let Some(first) = arrival.first() else {
            cx.drop_packet(Counter::SctpInPktDiscards);
            return;
        };
        let Some(association) = self.association_mut(id) else {
            return;
        };
        let tags = association.tags;
        let state = association.state;
        match first.kind {
            ChunkType::INIT => {
                self.init_arrives(cx, arrival, Some(id));
                self.settle(cx, id);
                return;
            }
            // RFC 9260 §8.5.1 D: the cookie is compared with the tag.
            ChunkType::COOKIE_ECHO => {
                if self.cookie_echo_again(cx, arrival, &first, id) {
                    self.rest_of_packet(cx, id, arrival, 1);
                } else {
                    self.settle(cx, id);
                }
                return;
            }
            // §8.5.1 E.
            ChunkType::SHUTDOWN_ACK if matches!(state, State::CookieWait | State::CookieEchoed) => {
                self.answer(cx, arrival);
                return;
            }
            _ => {}
        }
        // §8.5; §8.5.1 B and C: ABORT and SHUTDOWN COMPLETE may reflect our tag for the peer.
        let reflected = reflects(&first);
        let right = match reflected {
            true => tags.peer != 0 && arrival.tag == tags.peer,
            false => arrival.tag == tags.local,
        };
        if !right {
            cx.drop_packet(Counter::SctpInBadTags);
            return;
        }
        self.rest_of_packet(cx, id, arrival, 0);
    }

    /// The chunks of a packet from the one after `skip` others on.
    /// RFC 9260 §6-7, §6.10-5, §6.10-6.
    pub(crate) fn rest_of_packet(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        arrival: &Arrival,
        skip: usize,
    ) {
        let Some(association) = self.association_mut(id) else {
            return;
        };
        let at = association.begin_packet(arrival);
        let mut tally = Tally::default();
        let mut walk = arrival.walk();
        for _ in 0..skip {
            walk.next();
        }
        let mut signed = false;
        // Data and acknowledgments alone change nothing that the next packet is found by; a cookie may.
        let mut plain = skip == 0;
        while let Some(chunk) = walk.next() {
            // RFC 9260 §6.10: a partial chunk is dropped.
            let Ok(chunk) = chunk else {
                break;
            };
            plain &= matches!(
                chunk.kind,
                ChunkType::DATA | ChunkType::I_DATA | ChunkType::SACK
            );
            let step = match association.admits(cx, at, &chunk, walk.rest(), &mut signed) {
                Step::Next => association.chunk_arrives(cx, arrival, at, &chunk, &mut tally),
                Step::Skip => Step::Next,
                Step::Stop => Step::Stop,
            };
            if step == Step::Stop || association.state == State::Closed {
                break;
            }
        }
        association.end_packet(cx, arrival, at, &tally);
        match plain && association.state == State::Established {
            true => self.settle_later(id),
            false => self.settle(cx, id),
        }
    }

    /// Whether an association takes a DATA chunk as it comes: it stands, and nothing need be signed.
    pub(crate) fn takes_apart(&self, id: SocketId) -> bool {
        self.association(id).is_some_and(|association| {
            association.state == State::Established && association.authenticator.is_none()
        })
    }

    /// A packet that is one DATA chunk, whose user data lies apart.
    pub(crate) fn data_for(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        arrival: &Arrival,
        apart: Apart,
    ) {
        let (Some((arrived, flags)), Some(association)) =
            (apart.into_data(), self.association_mut(id))
        else {
            return;
        };
        if arrival.tag != association.tags.local {
            cx.drop_packet(Counter::SctpInBadTags);
            return;
        }
        let at = association.begin_packet(arrival);
        let mut tally = Tally::default();
        association.take_data(cx, arrived, flags, &mut tally);
        association.end_packet(cx, arrival, at, &tally);
        match association.state {
            State::Established => self.settle_later(id),
            _ => self.settle(cx, id),
        }
    }
}

/// Whether an error says that the peer does not know ASCONF (RFC 5061 §5.1 A9).
fn refuses_asconf(raw: &RawCause<'_>) -> bool {
    raw.code == CauseCode::UNRECOGNIZED_CHUNK && raw.value().first() == Some(&ChunkType::ASCONF.0)
}

/// Whether a chunk says that its packet's tag is reflected.
fn reflects(chunk: &Chunk<'_>) -> bool {
    match chunk.kind {
        ChunkType::ABORT => Abort::parse(chunk).is_ok_and(|abort| abort.tag_reflected),
        ChunkType::SHUTDOWN_COMPLETE => {
            ShutdownComplete::parse(chunk).is_ok_and(|complete| complete.tag_reflected)
        }
        _ => false,
    }
}

impl Association {
    fn chunk_arrives(
        &mut self,
        cx: &mut Context<'_>,
        arrival: &Arrival,
        at: Option<usize>,
        chunk: &Chunk<'_>,
        tally: &mut Tally,
    ) -> Step {
        match chunk.kind {
            ChunkType::DATA | ChunkType::I_DATA => {
                return self.data_chunk(cx, arrival, chunk, tally);
            }
            _ => {
                cx.counters.add(Counter::SctpInCtrlChunks);
                self.stats.control_in += 1;
            }
        }
        let malformed = match chunk.kind {
            ChunkType::SACK => Sack::parse(chunk).map(|sack| {
                // RFC 9260 §6: in the states in which DATA is sent; MAY be in COOKIE-ECHOED.
                if self.state.sends() {
                    self.sack_arrives(cx, &sack);
                }
            }),
            ChunkType::HEARTBEAT => Heartbeat::parse(chunk).map(|_| {
                self.heartbeat_arrives(cx, arrival, chunk);
            }),
            ChunkType::HEARTBEAT_ACK => HeartbeatAck::parse(chunk).map(|ack| {
                self.heartbeat_ack_arrives(cx, ack.info);
            }),
            ChunkType::ABORT if self.asconf.is_leaving(arrival.local.ip) => Ok(()),
            ChunkType::ABORT => Abort::parse(chunk).map(|abort| {
                self.abort_arrives(cx, &abort, chunk.bytes);
            }),
            ChunkType::SHUTDOWN => Shutdown::parse(chunk).map(|shutdown| {
                self.ack.path = at.unwrap_or(self.ack.path);
                self.shutdown_arrives(cx, &shutdown);
            }),
            ChunkType::SHUTDOWN_ACK => {
                self.ack.path = at.unwrap_or(self.ack.path);
                self.shutdown_ack_arrives(cx);
                Ok(())
            }
            ChunkType::SHUTDOWN_COMPLETE => {
                // RFC 9260 §3: it and INIT ACK are alone in their packets.
                match arrival.has_several() {
                    true => self.abort(cx, &[NOT_ALONE]),
                    false => self.shutdown_complete_arrives(cx),
                }
                Ok(())
            }
            ChunkType::ERROR => OperationError::parse(chunk).map(|error| {
                self.error_arrives(cx, &error);
            }),
            ChunkType::INIT_ACK => match InitAck::parse(chunk) {
                Ok(ack) => {
                    self.init_ack_arrives(cx, arrival, &ack);
                    Ok(())
                }
                Err(error) => {
                    self.init_ack_is_malformed(cx, arrival);
                    Err(error)
                }
            },
            ChunkType::COOKIE_ACK => {
                self.cookie_ack_arrives(cx);
                Ok(())
            }
            ChunkType::ECNE => Ecne::parse(chunk).map(|ecne| {
                self.ecne_arrives(cx, at, ecne.lowest_tsn.0);
            }),
            ChunkType::CWR => Cwr::parse(chunk).map(|cwr| self.cwr_arrives(cwr.lowest_tsn.0)),
            ChunkType::FORWARD_TSN => ForwardTsn::parse(chunk).map(|forward| {
                self.forward_tsn_arrives(forward.new_cumulative_tsn.0, tally, |inbound| {
                    let skipped = forward.skipped.iter();
                    inbound.forward_tsn(
                        forward.new_cumulative_tsn.0,
                        skipped.map(|skip| (skip.stream, skip.ssn)),
                    );
                });
            }),
            ChunkType::I_FORWARD_TSN => IForwardTsn::parse(chunk).map(|forward| {
                self.forward_tsn_arrives(forward.new_cumulative_tsn.0, tally, |inbound| {
                    let skipped = forward.skipped.iter();
                    inbound.i_forward_tsn(
                        forward.new_cumulative_tsn.0,
                        skipped.map(|skip| (skip.stream, skip.unordered, skip.mid)),
                    );
                });
            }),
            ChunkType::RE_CONFIG if self.abilities.reconfiguration => {
                Reconfig::parse(chunk).map(|reconfig| self.reconfig_arrives(cx, at, &reconfig))
            }
            ChunkType::ASCONF if self.abilities.address_configuration => {
                Asconf::parse(chunk).map(|asconf| self.asconf_arrives(cx, arrival, &asconf))
            }
            ChunkType::ASCONF_ACK if self.abilities.address_configuration => {
                AsconfAck::parse(chunk).map(|ack| self.asconf_ack_arrives(cx, &ack))
            }
            ChunkType::PAD => Ok(()),
            // An INIT is alone in its packet, a cookie the first in it.
            ChunkType::INIT | ChunkType::COOKIE_ECHO => return Step::Stop,
            _ => return self.unknown_chunk(at, chunk),
        };
        match malformed {
            Ok(()) => Step::Next,
            Err(_) => {
                cx.drop_packet(Counter::SctpInPktDiscards);
                Step::Stop
            }
        }
    }

    /// RFC 9260 §3.2, table 2.
    fn unknown_chunk(&mut self, at: Option<usize>, chunk: &Chunk<'_>) -> Step {
        let what = chunk.kind.when_unknown();
        if what.report && self.state.is_up() {
            let most = self.fragment_len().min(chunk.bytes.len());
            // As Linux: with its padding.
            let mut whole = chunk.bytes[..most].to_vec();
            whole.resize(most.next_multiple_of(4), 0);
            self.send_error(at, &Cause::UnrecognizedChunk(&whole));
        }
        match what.skip {
            true => Step::Next,
            false => Step::Stop,
        }
    }

    fn data_chunk(
        &mut self,
        cx: &mut Context<'_>,
        arrival: &Arrival,
        chunk: &Chunk<'_>,
        tally: &mut Tally,
    ) -> Step {
        // A small piece would keep all of its packet alive.
        let keep = |payload: &[u8]| match payload.len() * 4 < arrival.chunks.len() {
            true => Bytes::copy_from_slice(payload),
            false => arrival.chunks.slice_ref(payload),
        };
        let read = match chunk.kind {
            ChunkType::I_DATA => IData::parse(chunk)
                .map(|data| (Arrived::interleaved(&data, keep(data.payload)), data.flags)),
            _ => Data::parse(chunk)
                .map(|data| (Arrived::data(&data, keep(data.payload)), data.flags)),
        };
        match read {
            Ok((arrived, flags)) => self.take_data(cx, arrived, flags, tally),
            Err(_) => {
                cx.drop_packet(Counter::SctpInPktDiscards);
                Step::Stop
            }
        }
    }

    /// RFC 9260 §6.2-2, §6.2-3, §6.2-4.
    fn take_data(
        &mut self,
        cx: &mut Context<'_>,
        arrived: Arrived,
        flags: DataFlags,
        tally: &mut Tally,
    ) -> Step {
        let (tsn, stream, unordered) = (arrived.tsn, arrived.stream, arrived.unordered);
        cx.counters.add(match unordered {
            true => Counter::SctpInUnorderChunks,
            false => Counter::SctpInOrderChunks,
        });
        self.stats.data_arrives(unordered);
        // RFC 9260 §6: DATA in any other state is discarded.
        if !self.state.receives() {
            cx.counters.add(Counter::SctpInDataChunkDiscards);
            return Step::Next;
        }
        // RFC 8260 §2.1: one kind or the other, as it was agreed.
        if arrived.interleaved != self.abilities.interleaving {
            self.abort(cx, &[Cause::ProtocolViolation(b"wrong kind of DATA")]);
            return Step::Stop;
        }
        if arrived.payload.is_empty() {
            // §6.2.
            self.abort(cx, &[Cause::NoUserData(sockeye_wire::sctp::Tsn(tsn))]);
            return Step::Stop;
        }
        tally.data += 1;
        tally.lowest = Some(tally.lowest.map_or(tsn, |low| match before(tsn, low) {
            true => tsn,
            false => low,
        }));
        tally.at_once |= flags.contains(DataFlags::IMMEDIATE);
        // §6.2: with a closed window nothing beyond what has come is taken.
        if self.is_full() && before(self.inbound.highest(), tsn) {
            cx.counters.add(Counter::SctpInDataChunkDiscards);
            tally.at_once = true;
            return Step::Next;
        }
        if before(self.inbound.cumulative().wrapping_add(1), tsn) {
            self.stats.out_of_order_in += 1;
        }
        let verdict = self.inbound.data(arrived);
        self.judge(cx, stream, verdict, tally)
    }

    fn judge(
        &mut self,
        cx: &mut Context<'_>,
        stream: u16,
        verdict: Verdict,
        tally: &mut Tally,
    ) -> Step {
        match verdict {
            Verdict::New => tally.new += 1,
            Verdict::Duplicate => {
                tally.duplicates += 1;
                self.stats.duplicates_in += 1;
            }
            Verdict::BadStream => {
                // RFC 9260 §6.5: acknowledged, reported, dropped.
                tally.new += 1;
                cx.counters.add(Counter::SctpInDataChunkDiscards);
                let at = self.data_path;
                self.send_error(Some(at), &Cause::InvalidStream(stream));
            }
            Verdict::Refused => {
                cx.counters.add(Counter::SctpInDataChunkDiscards);
                tally.at_once = true;
            }
            Verdict::Violation => {
                self.abort(cx, &[Cause::ProtocolViolation(b"fragments contradict")]);
                return Step::Stop;
            }
        }
        Step::Next
    }

    fn forward_tsn_arrives(
        &mut self,
        cumulative: u32,
        tally: &mut Tally,
        forward: impl FnOnce(&mut crate::inbound::Inbound),
    ) {
        if !self.state.receives() || !self.abilities.forward_tsn {
            return;
        }
        if before(self.inbound.cumulative(), cumulative) {
            forward(&mut self.inbound);
        }
        // RFC 3758 §3.6: it is acknowledged as data is.
        tally.data += 1;
        tally.at_once = true;
    }

    /// HEARTBEAT (RFC 9260 §8.3): sent back as it came, to where it came from.
    /// RFC 9260 §3.3.6-1, §3.3.6-2, §8.3-1.
    fn heartbeat_arrives(&mut self, cx: &mut Context<'_>, arrival: &Arrival, chunk: &Chunk<'_>) {
        // From COOKIE-ECHOED on, until SHUTDOWN-SENT or SHUTDOWN-ACK-SENT.
        let answers = matches!(
            self.state,
            State::CookieEchoed
                | State::Established
                | State::ShutdownPending
                | State::ShutdownReceived
                | State::ShutdownSent
        );
        if !answers {
            return;
        }
        let mut out = chunk.bytes.to_vec();
        out[0] = ChunkType::HEARTBEAT_ACK.0;
        out[1] = 0;
        out.resize(out.len().next_multiple_of(4), 0);
        match self.path_to(arrival.remote) {
            Some(at) => self.send_control(cx, at, &out),
            None => crate::ootb::send_alone(cx, arrival, self.tags.peer, &out),
        }
    }

    fn error_arrives(&mut self, cx: &mut Context<'_>, error: &OperationError<'_>) {
        for raw in error.causes().flatten() {
            if raw.code == CauseCode::STALE_COOKIE {
                if let Ok(Cause::StaleCookie(staleness)) = Cause::parse(&raw) {
                    self.stale_cookie_arrives(cx, staleness);
                }
                continue;
            }
            if refuses_asconf(&raw) {
                self.asconf_unknown();
            }
            let assoc = self.assoc;
            self.notify(
                cx,
                Notification::RemoteError {
                    assoc,
                    error: raw.code.0,
                    data: Bytes::copy_from_slice(raw.bytes),
                },
            );
        }
    }

    /// ECNE (RFC 4960 appendix A): the window of the path that the TSN went by comes down, once for
    /// what was outstanding then; CWR says so.
    fn ecne_arrives(&mut self, cx: &mut Context<'_>, at: Option<usize>, tsn: u32) {
        if !self.abilities.ecn {
            return;
        }
        let offset = tsn.wrapping_sub(self.outstanding.cumulative().wrapping_add(1));
        let position = self.outstanding.base() + u64::from(offset);
        let sent = self.outstanding.get(position);
        let by = sent.map_or(self.data_path, |sent| usize::from(sent.path));
        let end = self.outstanding.end();
        let path = &mut self.paths[by];
        let answered = path.reduced_to.is_some_and(|to| match sent {
            Some(_) => position < to,
            None => self.outstanding.base() < to,
        });
        if !answered {
            path.reduced_to = Some(end);
            let flight = path.flight;
            path.window
                .lost(cx.now, flight, sockeye_core::congestion::Cause::Ecn);
        }
        self.send_cwr(cx, at.unwrap_or(by), tsn);
    }

    fn cwr_arrives(&mut self, tsn: u32) {
        if self.ack.marked.is_some_and(|marked| !before(tsn, marked)) {
            self.ack.marked = None;
        }
    }

    /// A packet has come: says by which path. What its chunks are answered with is gathered until
    /// [`end_packet`](Self::end_packet).
    fn begin_packet(&mut self, arrival: &Arrival) -> Option<usize> {
        self.stats.packets_in += 1;
        self.note_encap(arrival);
        self.replies.gather = true;
        self.path_to(arrival.remote)
    }

    /// What follows from a packet as a whole.
    fn end_packet(
        &mut self,
        cx: &mut Context<'_>,
        arrival: &Arrival,
        at: Option<usize>,
        tally: &Tally,
    ) {
        if self.state != State::Closed {
            self.after_packet(cx, arrival, at, tally);
        }
        self.replies.gather = false;
    }

    /// RFC 9260 §6.2, §6.7: what of the packet is to be acknowledged, and when.
    /// RFC 9260 §4-9, §5.1-13, §6.2-1, §6.2-6, §6.2-7, §6.2-9, §6.2-10, §6.2-14.
    fn after_packet(
        &mut self,
        cx: &mut Context<'_>,
        arrival: &Arrival,
        at: Option<usize>,
        tally: &Tally,
    ) {
        if self.state == State::ShutdownSent && tally.data == 0 {
            // §9.2: whatever the peer sends shows that it is there.
            self.errors = 0;
        }
        if tally.data == 0 {
            return;
        }
        self.touch_autoclose(cx.now);
        if let Some(at) = at {
            self.ack.path = at;
        }
        if arrival.marked && self.abilities.ecn && self.ack.marked.is_none() {
            self.ack.marked = tally.lowest;
        }
        self.reset_due(cx, at);
        self.deliver_under_pressure(cx);
        while let Some(delivered) = self.inbound.pop() {
            self.unread += delivered.data.iter().map(Bytes::len).sum::<usize>();
            if delivered.begin && delivered.end && delivered.data.len() > 1 {
                cx.counters.add(Counter::SctpReasmUsrMsgs);
            }
            self.delivered.push_back(delivered);
        }
        self.ack.pending = true;
        self.ack.packets += 1;
        let first = !core::mem::replace(&mut self.ack.begun, true);
        // §5.1: the first DATA is acknowledged at once; §6.2: duplicates without anything new, and
        // what a probe of a closed window brings; §6.7: as long as there is a gap.
        let at_once = first
            || tally.at_once
            || (tally.duplicates > 0 && tally.new == 0)
            || self.inbound.has_gaps()
            || self.ack.marked.is_some()
            || self.ack.packets >= self.settings.sack_frequency
            || self.settings.sack_delay.is_zero();
        if self.state == State::ShutdownSent {
            // §9.2: at once, by SHUTDOWN.
            self.errors = 0;
            self.send_shutdown(cx, true);
            return;
        }
        if at_once {
            self.ack.due = true;
        } else if self.deadlines.sack == sockeye_core::Instant::FAR {
            self.deadlines.sack = cx.now + self.settings.sack_delay.min(SACK_DELAY_MAX);
        }
    }
}

/// Serial number arithmetic (RFC 9260 §1.6).
/// RFC 9260 §1.6-1, §1.6-2.
pub(crate) const fn before(a: u32, b: u32) -> bool {
    a.wrapping_sub(b).cast_signed() < 0
}
