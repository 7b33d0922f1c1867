//! The peer's requests (RFC 6525 §5.2).

use super::{Answer, Grants, Request, StreamIds};
use crate::info::Notification;
use crate::tcb::Association;
use sockeye_core::Context;
use sockeye_wire::sctp::{List, Parameter, Reconfig, ReconfigResult, Sack, Tsn};

/// SCTP_STREAM_RESET_INCOMING_SSN.
const RESET_INCOMING: u16 = 1;

impl Association {
    /// A RE-CONFIG chunk (RFC 6525 §5.2.1): each parameter, then one chunk with all answers.
    pub(crate) fn reconfig_arrives(
        &mut self,
        cx: &mut Context<'_>,
        at: Option<usize>,
        chunk: &Reconfig<'_>,
    ) {
        let mut answers = Vec::new();
        // §3.1: at most two.
        for raw in chunk.parameters().flatten().take(2) {
            let Ok(parameter) = Parameter::parse(&raw) else {
                continue;
            };
            if let Parameter::ReconfigResponse {
                response,
                result,
                next_tsns,
            } = parameter
            {
                self.reconfig_answered(cx, response, result, next_tsns);
            } else if let Some(number) = request_number(&parameter) {
                let answer = self.reconfig_requested(cx, number, &parameter);
                answer.emit(number, &mut answers);
            }
        }
        if !answers.is_empty() {
            let at = at.unwrap_or(self.data_path);
            self.send_reconfig(cx, at, &answers);
        }
        self.advance_reconfig(cx);
    }

    fn reconfig_requested(
        &mut self,
        cx: &mut Context<'_>,
        number: u32,
        parameter: &Parameter<'_>,
    ) -> Answer {
        // §5.2.1: what comes again is answered as it was.
        let known = self.reconfig.answered.iter();
        if let Some((_, answer)) = known.clone().find(|(id, _)| *id == number) {
            let answer = *answer;
            if answer.result.is_none() {
                self.resend_reconfig(cx);
            }
            return answer;
        }
        if number != self.reconfig.peer_next {
            return Answer::of(ReconfigResult::BAD_SEQUENCE_NUMBER);
        }
        self.reconfig.peer_next = number.wrapping_add(1);
        let answer = match *parameter {
            Parameter::OutgoingReset {
                response,
                last_tsn,
                streams,
                ..
            } => Answer::of(self.peer_resets(cx, number, response, last_tsn.0, streams)),
            Parameter::IncomingReset { streams, .. } => self.peer_wants_reset(number, streams),
            Parameter::TsnReset { .. } => self.peer_resets_tsns(cx),
            Parameter::AddOutgoing { count, .. } => Answer::of(self.peer_adds(cx, count)),
            Parameter::AddIncoming { count, .. } => self.peer_wants_more(count),
            _ => Answer::of(ReconfigResult::DENIED),
        };
        self.reconfig.remember(number, answer);
        answer
    }

    /// The peer numbers its messages anew (§5.2.2).
    fn peer_resets(
        &mut self,
        cx: &mut Context<'_>,
        number: u32,
        response: u32,
        last_tsn: u32,
        streams: List<'_, u16>,
    ) -> ReconfigResult {
        // E1: it may be what we asked for.
        let asked = self.reconfig_implied(|id, request| {
            id == response && matches!(request, Request::Incoming(_))
        });
        if !asked && !self.settings.grants.contains(Grants::STREAMS) {
            return ReconfigResult::DENIED;
        }
        let count = self.inbound.streams();
        if streams.iter().any(|stream| stream >= count) {
            return ReconfigResult::WRONG_SSN;
        }
        let streams: StreamIds = streams.iter().collect();
        if !self.inbound.reset_behind(last_tsn, &streams) {
            return ReconfigResult::ALREADY_IN_PROGRESS;
        }
        if self.finish_reset(cx) {
            return ReconfigResult::PERFORMED;
        }
        // E2.
        self.reconfig.deferred = Some(number);
        ReconfigResult::IN_PROGRESS
    }

    /// Does the reset that waits if what was sent before it has arrived (§5.2.2 E3 and E4); says
    /// whether it did.
    fn finish_reset(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(streams) = self.inbound.take_reset() else {
            return false;
        };
        self.notify_reset(cx, RESET_INCOMING, streams.into());
        true
    }

    /// A reset that waited may be done now; the peer is told (§5.2.2 E5).
    pub(crate) fn reset_due(&mut self, cx: &mut Context<'_>, at: Option<usize>) {
        let Some(number) = self.reconfig.deferred else {
            return;
        };
        if !self.finish_reset(cx) {
            return;
        }
        self.reconfig.deferred = None;
        let done = Answer::of(ReconfigResult::PERFORMED);
        self.reconfig.remember(number, done);
        let mut answer = Vec::new();
        done.emit(number, &mut answer);
        self.send_reconfig(cx, at.unwrap_or(self.data_path), &answer);
    }

    /// The peer would have us number our messages anew (§5.2.3).
    fn peer_wants_reset(&mut self, number: u32, streams: List<'_, u16>) -> Answer {
        if !self.settings.grants.contains(Grants::STREAMS) {
            return Answer::of(ReconfigResult::DENIED);
        }
        let count = self.outbound.streams();
        if streams.iter().any(|stream| stream >= count) {
            return Answer::of(ReconfigResult::WRONG_SSN);
        }
        let streams: StreamIds = streams.iter().collect();
        if self.reconfig.is_busy() {
            // What is under way may be just that.
            let result = match self.reconfig_resets(&streams) {
                true => ReconfigResult::NOTHING_TO_DO,
                false => ReconfigResult::ALREADY_IN_PROGRESS,
            };
            return Answer::of(result);
        }
        self.outbound.pause(&streams, true);
        let reset = Request::Outgoing(streams, Some(number));
        self.reconfig.wanted.push(reset);
        // F1: our request is the answer.
        Answer {
            result: None,
            tsns: None,
        }
    }

    /// Everything begins anew (§5.2.4).
    fn peer_resets_tsns(&mut self, cx: &mut Context<'_>) -> Answer {
        if !self.settings.grants.contains(Grants::ASSOCIATION) {
            return Answer::of(ReconfigResult::DENIED);
        }
        if self.reconfig.is_busy() {
            return Answer::of(ReconfigResult::ALREADY_IN_PROGRESS);
        }
        // G1: so far ahead that nothing old is taken for new.
        let theirs = self.inbound.cumulative().wrapping_add(1 + (1 << 31));
        // G2.
        let ours = self.outstanding.next_tsn();
        // G3: whatever is in flight counts as acknowledged.
        let all = Sack {
            cumulative_tsn: Tsn(ours.wrapping_sub(1)),
            a_rwnd: u32::try_from(self.rwnd + self.outstanding.flight()).unwrap_or(u32::MAX),
            gaps: List::default(),
            duplicates: List::default(),
        };
        self.sack_arrives(cx, &all);
        // G4, G5.
        self.inbound.reset_tsns(theirs);
        self.reconfig.deferred = None;
        self.outbound.reset_streams(&[]);
        self.notify_tsns(cx, 0, (ours, theirs));
        Answer {
            result: Some(ReconfigResult::PERFORMED),
            tsns: Some((ours, theirs)),
        }
    }

    /// The peer has more streams (§5.2.5).
    fn peer_adds(&mut self, cx: &mut Context<'_>, count: u16) -> ReconfigResult {
        let asked = self.reconfig_implied(|_, request| *request == Request::AddIncoming(count));
        if !asked && !self.settings.grants.contains(Grants::CHANGE) {
            return ReconfigResult::DENIED;
        }
        let most = self.settings.init.in_streams_max;
        let fits = self.inbound.streams().checked_add(count);
        if fits.is_none_or(|sum| sum > most) || !self.inbound.add_streams(count) {
            return ReconfigResult::DENIED;
        }
        self.streams.1 = self.inbound.streams();
        self.notify_streams(cx, 0);
        ReconfigResult::PERFORMED
    }

    /// The peer would have us use more streams (§5.2.6).
    fn peer_wants_more(&mut self, count: u16) -> Answer {
        if !self.settings.grants.contains(Grants::CHANGE)
            || self.outbound.streams().checked_add(count).is_none()
        {
            return Answer::of(ReconfigResult::DENIED);
        }
        if self.reconfig.is_busy() {
            return Answer::of(ReconfigResult::ALREADY_IN_PROGRESS);
        }
        self.reconfig.wanted.push(Request::AddOutgoing(count));
        Answer {
            result: None,
            tsns: None,
        }
    }

    /// Tells of streams that begin anew.
    pub(crate) fn notify_reset(&mut self, cx: &mut Context<'_>, flags: u16, streams: StreamIds) {
        let assoc = self.assoc;
        self.notify(
            cx,
            Notification::StreamReset {
                assoc,
                flags,
                streams,
            },
        );
    }

    /// Tells of TSNs that begin anew.
    pub(crate) fn notify_tsns(&mut self, cx: &mut Context<'_>, flags: u16, tsns: (u32, u32)) {
        let assoc = self.assoc;
        self.notify(cx, Notification::AssocReset { assoc, flags, tsns });
    }

    /// Tells of more streams.
    pub(crate) fn notify_streams(&mut self, cx: &mut Context<'_>, flags: u16) {
        let (assoc, streams) = (self.assoc, (self.streams.1, self.streams.0));
        self.notify(
            cx,
            Notification::StreamChange {
                assoc,
                flags,
                streams,
            },
        );
    }
}

/// The number of a request; `None` of what is none.
fn request_number(parameter: &Parameter<'_>) -> Option<u32> {
    match *parameter {
        Parameter::OutgoingReset { request, .. }
        | Parameter::IncomingReset { request, .. }
        | Parameter::TsnReset { request }
        | Parameter::AddOutgoing { request, .. }
        | Parameter::AddIncoming { request, .. } => Some(request),
        _ => None,
    }
}
