//! Partial reliability (RFC 3758): messages that are given up, and FORWARD-TSN, or I-FORWARD-TSN
//! (RFC 8260 §2.3.1), that tells the peer not to wait for them.
//!
//! A message is given up when it is about to be sent again and its policy (RFC 7496) says no. The
//! Advanced Peer Ack Point is not kept: it lies behind the chunks given up at the queue's head.

use crate::info::{Notification, PrInfo, SndFlags, SndInfo};
use crate::outbound::{Fragment, Policy};
use crate::outstanding::Fate;
use crate::receive::before;
use crate::tcb::Association;
use bytes::Bytes;
use core::time::Duration;
use sockeye_core::{Context, Instant};
use sockeye_wire::sctp::{
    CHUNK_HEADER_LEN, ForwardTsn, IForwardTsn, List, SkippedMessage, SkippedStream, Tsn,
};
use std::collections::BTreeMap;

/// Bytes of the chunk's fixed part: header and new cumulative TSN.
const FIXED_LEN: usize = CHUNK_HEADER_LEN + 4;
/// What is said again within this time is not said again (RFC 3758 §3.5 F3 allows 500 ms).
const REPEAT_MAX: Duration = Duration::from_millis(200);

/// What an association knows of messages that are given up.
#[derive(Debug, Default)]
pub(crate) struct PartialReliability {
    /// A message with a policy was sent.
    pub(crate) used: bool,
    /// The peer is to be told.
    pub(crate) due: bool,
    /// The point that it was told last, and when.
    said: Option<(u32, Instant)>,
}

impl Association {
    /// Gives up what is over: messages that wait, and those that are to be sent again.
    pub(crate) fn give_up_messages(&mut self, cx: &mut Context<'_>) {
        if !self.partial.used {
            return;
        }
        self.outbound.expire(cx.now);
        if self.abilities.forward_tsn {
            let now = cx.now;
            let is_over = |position: &u64| {
                let sent = self.outstanding.get(*position)?;
                let policy = sent.fragment.policy;
                // To send it once more would be its n-th retransmission.
                let over = policy.is_over(now, sent.transmissions.into());
                over.then_some((sent.fragment.stream, sent.fragment.message, policy))
            };
            let mut over: Vec<_> = self
                .outstanding
                .lost()
                .filter_map(|p| is_over(&p))
                .collect();
            over.dedup_by_key(|(_, message, _)| *message);
            for (stream, message, policy) in over {
                self.give_up_message(cx, stream, message, policy);
            }
        }
        self.report_unsent(cx);
    }

    /// RFC 3758 §3.5 A2, A3: all of a message is given up, and counts as acknowledged.
    fn give_up_message(&mut self, cx: &mut Context<'_>, stream: u16, message: u64, policy: Policy) {
        let failed: Vec<(Fragment, bool)> = self
            .outstanding
            .iter()
            .filter(|sent| sent.fragment.message == message && sent.fate != Fate::Abandoned)
            .map(|sent| (sent.fragment.clone(), sent.fate == Fate::Acked))
            .collect();
        let left = self
            .outstanding
            .abandon(|fragment| fragment.message == message);
        for (path, bytes) in left {
            let Some(path) = self.paths.get_mut(usize::from(path)) else {
                continue;
            };
            path.flight = path.flight.saturating_sub(bytes);
            if path.flight == 0 {
                path.t3 = Instant::FAR;
            }
            // RFC 9260 §6.3.1 C5: nothing is measured by what may never be acknowledged.
            path.timing = None;
        }
        let last = failed.last().map(|(fragment, _)| fragment.clone());
        if self.outbound.abandon(stream, message)
            && let Some(last) = last
        {
            // What was sent of it may all have arrived, though nobody has said so: FORWARD-TSN has to
            // go beyond, or the peer would take it for old and wait for the end.
            let rest = Fragment {
                data: Bytes::new(),
                begin: false,
                end: true,
                fsn: last.fsn.wrapping_add(1),
                ..last
            };
            let path = self.data_path as u8;
            self.outstanding.push_abandoned(rest, path);
        }
        self.outbound.count_abandoned(stream, policy, true);
        self.partial.due |= self.outstanding.given_up() > 0;
        for (fragment, _) in failed.into_iter().filter(|(_, acked)| !acked) {
            let info = self.info_of(&fragment);
            self.tell_failed(cx, true, info, fragment.data);
        }
    }

    /// Tells of messages that were given up before they were sent.
    fn report_unsent(&mut self, cx: &mut Context<'_>) {
        for unsent in self.outbound.take_unsent() {
            let mut flags = SndFlags::empty();
            flags.set(SndFlags::UNORDERED, unsent.unordered);
            let info = SndInfo {
                stream: unsent.stream,
                flags,
                ppid: unsent.ppid,
                context: unsent.context,
                assoc: self.assoc,
                ..SndInfo::default()
            };
            self.tell_failed(cx, unsent.begun, info, unsent.data.concat().into());
            if core::mem::take(&mut self.wants_room) {
                self.writable = true;
            }
        }
    }

    fn info_of(&self, fragment: &Fragment) -> SndInfo {
        let mut flags = SndFlags::empty();
        flags.set(SndFlags::UNORDERED, fragment.unordered);
        SndInfo {
            stream: fragment.stream,
            flags,
            ppid: fragment.ppid,
            context: fragment.context,
            assoc: self.assoc,
            ..SndInfo::default()
        }
    }

    fn tell_failed(&mut self, cx: &mut Context<'_>, sent: bool, info: SndInfo, data: Bytes) {
        let assoc = self.assoc;
        self.notify(
            cx,
            Notification::SendFailed {
                assoc,
                sent,
                error: 0,
                info,
                data,
            },
        );
    }

    /// What a message's policy is, as the user says it or the socket is set to.
    pub(crate) fn policy(&mut self, now: Instant, wanted: PrInfo) -> Policy {
        let wanted = match wanted {
            PrInfo::None => self.settings.reliability,
            wanted => wanted,
        };
        let policy = match wanted {
            PrInfo::None => Policy::None,
            PrInfo::Timed(time) => Policy::Timed(now + time),
            PrInfo::Limited(count) => Policy::Limited(count),
            PrInfo::Priority(value) => Policy::Priority(value),
        };
        self.partial.used |= policy != Policy::None;
        policy
    }

    /// RFC 7496 §3.3: a message of the priority policy takes the room of less important ones that were
    /// not sent.
    pub(crate) fn make_room(&mut self, cx: &mut Context<'_>, policy: Policy, len: usize) {
        let buffer = self.settings.common.send_buffer;
        let wanted = (self.send_held() + len).saturating_sub(buffer);
        if let Policy::Priority(value) = policy
            && wanted > 0
        {
            self.outbound.make_room(value, wanted);
            self.report_unsent(cx);
        }
    }

    /// Delivers in parts what fills the window without being complete (RFC 9260 §6.9), and tells of
    /// messages that were begun and never end.
    pub(crate) fn deliver_under_pressure(&mut self, cx: &mut Context<'_>) {
        if self.receive_window() == 0 && self.unread == 0 {
            self.inbound.deliver_partially();
        }
        while let Some(aborted) = self.inbound.pop_aborted() {
            let assoc = self.assoc;
            self.notify(
                cx,
                Notification::PartialDelivery {
                    assoc,
                    stream: aborted.stream,
                    number: aborted.number,
                },
            );
        }
    }

    /// RFC 3758 §3.5 C1 to C3: after a SACK the peer is told what it does not know yet.
    pub(crate) fn forward_after_sack(&mut self, now: Instant) {
        let cumulative = self.outstanding.cumulative();
        if let Some((said, _)) = self.partial.said
            && !before(cumulative, said)
        {
            // RFC 9260 §8.1: what acknowledges a FORWARD-TSN shows that the peer is there.
            self.errors = 0;
            self.partial.said = None;
        }
        if self.outstanding.given_up() == 0 {
            self.partial.due = false;
            self.partial.said = None;
            self.deadlines.forward = Instant::FAR;
            return;
        }
        let point = self.advanced_point();
        let rtt = self.paths[self.data_path].rto.srtt().unwrap_or(REPEAT_MAX);
        let wait = rtt.min(REPEAT_MAX);
        let again = self
            .partial
            .said
            .is_none_or(|(said, at)| said != point || now >= at + wait);
        self.partial.due |= again;
    }

    /// The peer has not acknowledged a FORWARD-TSN for as long as T3-rtx would run (C5).
    pub(crate) fn forward_expires(&mut self, cx: &mut Context<'_>) {
        if self.outstanding.given_up() == 0 {
            return;
        }
        let at = self.data_path;
        self.paths[at].rto.back_off();
        self.partial.due = true;
        self.path_fails(cx, at, true);
    }

    fn advanced_point(&self) -> u32 {
        let count = u32::try_from(self.outstanding.given_up()).unwrap_or(0);
        self.outstanding.cumulative().wrapping_add(count)
    }

    /// Appends FORWARD-TSN into `room` bytes if the peer is to be told; says whether it did.
    pub(crate) fn emit_forward(&mut self, now: Instant, out: &mut Vec<u8>, room: usize) -> bool {
        if !core::mem::take(&mut self.partial.due) || room < FIXED_LEN {
            return false;
        }
        let given_up = self.outstanding.given_up();
        if given_up == 0 {
            return false;
        }
        match self.abilities.interleaving {
            false => self.emit_plain(given_up, out, room - FIXED_LEN),
            true => self.emit_interleaved(given_up, out, room - FIXED_LEN),
        }
        self.partial.said = Some((self.advanced_point(), now));
        self.deadlines.forward = now + self.paths[self.data_path].rto.current();
        true
    }

    /// C4: of each stream the highest ordered message; the point comes down to what fits.
    fn emit_plain(&self, given_up: usize, out: &mut Vec<u8>, room: usize) {
        let mut skipped = BTreeMap::new();
        let mut count = 0;
        for sent in self.outstanding.iter().take(given_up) {
            let Fragment {
                stream,
                number,
                unordered,
                ..
            } = sent.fragment;
            if !unordered {
                let is_new = !skipped.contains_key(&stream);
                if is_new && (skipped.len() + 1) * 4 > room {
                    break;
                }
                skipped.insert(stream, number as u16);
            }
            count += 1;
        }
        let list: Vec<SkippedStream> = skipped
            .into_iter()
            .map(|(stream, ssn)| SkippedStream { stream, ssn })
            .collect();
        ForwardTsn {
            new_cumulative_tsn: Tsn(self.outstanding.cumulative().wrapping_add(count)),
            skipped: List::Values(&list),
        }
        .emit(out);
    }

    /// RFC 8260 §2.3.1: the same of ordered and unordered messages.
    fn emit_interleaved(&self, given_up: usize, out: &mut Vec<u8>, room: usize) {
        let mut skipped = BTreeMap::new();
        let mut count = 0;
        for sent in self.outstanding.iter().take(given_up) {
            let key = (sent.fragment.stream, sent.fragment.unordered);
            let is_new = !skipped.contains_key(&key);
            if is_new && (skipped.len() + 1) * 8 > room {
                break;
            }
            skipped.insert(key, sent.fragment.number);
            count += 1;
        }
        let list: Vec<SkippedMessage> = skipped
            .into_iter()
            .map(|((stream, unordered), mid)| SkippedMessage {
                stream,
                unordered,
                mid,
            })
            .collect();
        IForwardTsn {
            new_cumulative_tsn: Tsn(self.outstanding.cumulative().wrapping_add(count)),
            skipped: List::Values(&list),
        }
        .emit(out);
    }
}
