//! Resets that no connection sends (RFC 4340 §8.3.1), and what a received one means to the user.

use crate::emit::{self, Outgoing};
use crate::flows::Tuple;
use crate::packet::Incoming;
use core::time::Duration;
use sockeye_core::{Context, Counter, Error, Instant};
use sockeye_wire::dccp::{Kind, PacketType, ResetCode, Seq};

/// RFC 4340 §8.1.3: Resets a second, at most.
const RESETS_PER_SECOND: u32 = 1024;

/// So many of something in a second.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RateLimit {
    since: Instant,
    count: u32,
}

impl RateLimit {
    /// Whether one more may be.
    pub(crate) fn allows(&mut self, now: Instant, per_second: u32) -> bool {
        if now - self.since >= Duration::from_secs(1) {
            *self = Self {
                since: now,
                count: 0,
            };
        }
        self.count = self.count.saturating_add(1);
        self.count <= per_second
    }
}

/// RFC 4340 §8.3.1: the numbers of a Reset come from the packet that it answers. None answers a Reset;
/// none a Listen, either, whose client may not have begun yet (RFC 5596 §2.2.3: MUST be discarded
/// silently; RFC 5597 §4.3: an answer would end what the translators between have learnt).
pub(crate) fn answer_to(packet: &Incoming, code: ResetCode, data: [u8; 3]) -> Option<(Kind, Seq)> {
    if matches!(packet.ty(), PacketType::Reset | PacketType::Listen) {
        return None;
    }
    let low = |seq: Seq| match packet.extended {
        true => seq,
        false => Seq::new(seq.value() & 0xff_ffff),
    };
    let seq = packet.ack().map_or(Seq::default(), |ack| low(ack + 1));
    let ack = low(packet.seq);
    Some((Kind::Reset { ack, code, data }, seq))
}

/// Answers a packet that belongs to no connection.
/// RFC 4340 §5.6-2: Data 1 to 3 are zero.
pub(crate) fn refuse(
    cx: &mut Context<'_>,
    limit: &mut RateLimit,
    tuple: &Tuple,
    packet: &Incoming,
    code: ResetCode,
) {
    if !limit.allows(cx.now, RESETS_PER_SECOND) {
        cx.drop_packet(Counter::DccpResetsLimited);
        return;
    }
    if let Some((kind, seq)) = answer_to(packet, code, [0; 3]) {
        emit::send_alone(cx, tuple, packet.interface, Outgoing::plain(kind, seq));
    }
}

/// What the user is told of a Reset, as Linux's `dccp_reset_code_convert` does where there is such an
/// error here. `None` for the normal end.
pub(crate) fn error_of(code: ResetCode) -> Option<Error> {
    match code.known() {
        ResetCode::UNSPECIFIED | ResetCode::CLOSED => None,
        ResetCode::ABORTED => Some(Error::ConnectionReset),
        ResetCode::NO_CONNECTION | ResetCode::CONNECTION_REFUSED => Some(Error::ConnectionRefused),
        ResetCode::TOO_BUSY => Some(Error::Users),
        ResetCode::AGGRESSION_PENALTY => Some(Error::Quota),
        ResetCode::PACKET_ERROR => Some(Error::NoMessage),
        ResetCode::BAD_INIT_COOKIE => Some(Error::BadRequest),
        ResetCode::BAD_SERVICE_CODE => Some(Error::BadRequestCode),
        ResetCode::OPTION_ERROR => Some(Error::IllegalSequence),
        _ => Some(Error::NotSupported),
    }
}
