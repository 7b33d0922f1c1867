//! Packets out of the blue, and answers that belong to no association (RFC 9260 §8.4).

use crate::Sctp;
use crate::arrival::Arrival;
use crate::packet::{self, Carrier, Draft};
use sockeye_core::{Context, Counter, RouteQuery};
use sockeye_wire::sctp::{Abort, Cause, CauseCode, ChunkType, OperationError, ShutdownComplete};

/// Answers a second, at most, to packets that belong to no association: ABORTs, and SHUTDOWN COMPLETEs,
/// which anybody can have sent to whom he likes.
pub(crate) const ANSWERS_PER_SECOND: u32 = 1024;

impl Sctp {
    /// RFC 9260 §8.4: a packet that belongs to no association.
    /// RFC 9260 §3.3.7-3, §8.4-1, §8.4-3.
    pub(crate) fn out_of_the_blue(&mut self, cx: &mut Context<'_>, arrival: &Arrival) {
        let Some(first) = arrival.first() else {
            cx.drop_packet(Counter::SctpInPktDiscards);
            return;
        };
        // 2): whatever contains an ABORT is not answered.
        if arrival.has(ChunkType::ABORT) {
            cx.counters.add(Counter::SctpOutOfBlues);
            return;
        }
        match first.kind {
            // 3).
            ChunkType::INIT => self.init_arrives(cx, arrival, None),
            // 4).
            ChunkType::COOKIE_ECHO => self.cookie_echo_in_closed(cx, arrival, &first),
            _ => {
                cx.counters.add(Counter::SctpOutOfBlues);
                self.answer(cx, arrival);
            }
        }
    }

    /// Answers what belongs to no association, unless too much was answered already.
    pub(crate) fn answer(&mut self, cx: &mut Context<'_>, arrival: &Arrival) {
        if let Some(chunks) = answer_to(cx, arrival)
            && self.may_answer(cx)
        {
            send_alone(cx, arrival, arrival.tag, &chunks);
        }
    }

    /// Refuses an INIT or a cookie, within the same limit.
    pub(crate) fn refuse(
        &mut self,
        cx: &mut Context<'_>,
        arrival: &Arrival,
        tag: u32,
        cause: Option<Cause<'_>>,
    ) {
        if self.may_answer(cx) {
            refuse(cx, arrival, tag, cause);
        }
    }

    /// Whether one answer more may go; it is counted then.
    pub(crate) fn may_answer(&mut self, cx: &mut Context<'_>) -> bool {
        let allowed = self.answers.allows(cx.now, ANSWERS_PER_SECOND);
        if !allowed {
            cx.drop_packet(Counter::SctpOutOfBluesLimited);
        }
        allowed
    }
}

/// The cases 5) to 8).
/// RFC 9260 §3.1-5, §3.3.7-5, §3.3.13-2, §8.4-4, §8.4-5, §8.4-6, §8.4-7, §8.5.1-2, §8.5.1-4,
/// §8.5.1-9.
fn answer_to(cx: &mut Context<'_>, arrival: &Arrival) -> Option<Vec<u8>> {
    // RFC 9260 §8.5.1 A: only INIT has the tag 0.
    if arrival.tag == 0 {
        cx.drop_packet(Counter::SctpInPktDiscards);
        return None;
    }
    let mut out = Vec::new();
    let tag_reflected = true;
    if arrival.has(ChunkType::SHUTDOWN_ACK) {
        ShutdownComplete { tag_reflected }.emit(&mut out);
    } else if arrival.has(ChunkType::SHUTDOWN_COMPLETE)
        || arrival.has(ChunkType::COOKIE_ACK)
        || has_stale_cookie(arrival)
    {
        return None;
    } else {
        Abort {
            tag_reflected,
            causes: &[],
        }
        .emit(&mut out);
    }
    Some(out)
}

fn has_stale_cookie(arrival: &Arrival) -> bool {
    arrival
        .walk()
        .flatten()
        .filter_map(|chunk| OperationError::parse(&chunk).ok())
        .flat_map(|error| error.causes().flatten())
        .any(|cause| cause.code == CauseCode::STALE_COOKIE)
}

/// Sends chunks back to where `arrival` came from, without an association.
/// RFC 9260 §5.1-2, §5.1-11, §5.1.2-5.
pub(crate) fn send_alone(cx: &mut Context<'_>, arrival: &Arrival, tag: u32, chunks: &[u8]) {
    let route = cx.route(&RouteQuery {
        destination: arrival.remote.ip,
        source: Some(arrival.local.ip),
        interface: arrival.remote.scope_interface(),
        foreign_source: false,
    });
    let Ok(route) = route else { return };
    let len = chunks.len() + sockeye_wire::sctp::HEADER_LEN;
    let mut draft = Draft::new(arrival.local.port, arrival.remote.port, tag, len);
    draft.chunks().extend_from_slice(chunks);
    cx.counters.add(Counter::SctpOutCtrlChunks);
    let carrier = Carrier::of_nobody(arrival.encap_back());
    let _ = packet::send(cx, &route, arrival.remote, &carrier, draft);
}

/// Refuses an INIT or INIT ACK: its initiate tag is the tag of the ABORT, which reflects nothing
/// (RFC 9260 §5.1, §8.4 3). Where it has said none, the packet's own is reflected (§3.3.3).
pub(crate) fn refuse(cx: &mut Context<'_>, arrival: &Arrival, tag: u32, cause: Option<Cause<'_>>) {
    let mut causes = Vec::new();
    if let Some(cause) = cause {
        cause.emit(&mut causes);
    }
    let (tag, tag_reflected) = match tag {
        0 => (arrival.tag, true),
        tag => (tag, false),
    };
    let mut out = Vec::new();
    Abort {
        tag_reflected,
        causes: &causes,
    }
    .emit(&mut out);
    send_alone(cx, arrival, tag, &out);
}
