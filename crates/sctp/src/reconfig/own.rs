//! Requests of ours (RFC 6525 §5.1), and what is answered to them (§5.2.7).

use super::{Flight, Request, StreamIds};
use crate::tcb::Association;
use smallvec::SmallVec;
use sockeye_core::{Context, Instant};
use sockeye_wire::sctp::{List, Parameter, Reconfig, ReconfigResult, Tsn};

/// SCTP_STREAM_RESET_INCOMING_SSN, and OUTGOING_SSN.
const RESET_INCOMING: u16 = 1;
const RESET_OUTGOING: u16 = 1 << 1;
/// The peer has refused it; of all three events.
const DENIED: u16 = 1 << 2;
/// It has failed; of all three events.
const FAILED: u16 = 1 << 3;

impl Association {
    /// Requests that are to be sent together (RFC 6525 §3.1): as soon as they can be. False when
    /// others are under way.
    pub(crate) fn request_reconfig(
        &mut self,
        cx: &mut Context<'_>,
        requests: SmallVec<[Request; 2]>,
    ) -> bool {
        if self.reconfig.is_busy() {
            return false;
        }
        for request in &requests {
            match request {
                // §5.1.2 A1.
                Request::Outgoing(streams, _) => self.outbound.pause(streams, true),
                // §5.1.4 C2.
                Request::Tsns => self.outbound.pause(&[], true),
                _ => {}
            }
        }
        self.reconfig.wanted = requests;
        self.advance_reconfig(cx);
        true
    }

    /// Sends what is wanted if it can be sent now.
    pub(crate) fn advance_reconfig(&mut self, cx: &mut Context<'_>) {
        let idle = self.reconfig.flight.is_none() && self.reconfig.is_waiting();
        if !idle || !self.state.is_up() {
            return;
        }
        let ready = self.reconfig.wanted.iter().all(|request| match request {
            Request::Outgoing(streams, _) => !self.outbound.is_under_way(streams),
            Request::Tsns => !self.outbound.is_under_way(&[]) && self.outstanding.is_empty(),
            _ => true,
        });
        if !ready {
            return;
        }
        let wanted = core::mem::take(&mut self.reconfig.wanted);
        let last_tsn = Tsn(self.outstanding.next_tsn().wrapping_sub(1));
        let mut parameters = Vec::new();
        let mut requests = SmallVec::new();
        for wish in wanted {
            let number = self.reconfig.next;
            self.reconfig.next = number.wrapping_add(1);
            let seen = self.reconfig.peer_next.wrapping_sub(1);
            parameter(&wish, number, seen, last_tsn).emit(&mut parameters);
            requests.push((number, wish));
        }
        let path = self.data_path;
        self.send_reconfig(cx, path, &parameters);
        self.reconfig.flight = Some(Flight {
            parameters,
            requests,
            in_progress: false,
            path,
        });
        self.deadlines.reconfig = cx.now + self.paths[path].rto.current();
    }

    /// Sends a RE-CONFIG chunk; a SACK follows it, since what is to be reset may wait for it
    /// (RFC 6525 §5.2.1).
    pub(super) fn send_reconfig(&mut self, cx: &mut Context<'_>, at: usize, parameters: &[u8]) {
        let mut out = Vec::new();
        Reconfig { parameters }.emit(&mut out);
        self.send_control(cx, at, &out);
        self.ack.due = self.ack.pending;
    }

    /// Sends the requests in flight again.
    pub(super) fn resend_reconfig(&mut self, cx: &mut Context<'_>) {
        if let Some(flight) = &self.reconfig.flight {
            let (parameters, at) = (flight.parameters.clone(), flight.path);
            self.send_reconfig(cx, at, &parameters);
        }
    }

    /// The reconfiguration timer ran out (RFC 6525 §5.1.1).
    pub(crate) fn reconfig_expires(&mut self, cx: &mut Context<'_>) {
        let Some(flight) = &mut self.reconfig.flight else {
            return;
        };
        // §5.2.7 H2: a peer that is at it has not failed.
        let counts = !core::mem::take(&mut flight.in_progress);
        let at = flight.path.min(self.paths.len().saturating_sub(1));
        self.paths[at].rto.back_off();
        if counts {
            self.path_fails(cx, at, true);
        }
        if !self.state.is_up() {
            return;
        }
        let next = self.data_path;
        if let Some(flight) = &mut self.reconfig.flight {
            flight.path = next;
        }
        self.resend_reconfig(cx);
        self.deadlines.reconfig = cx.now + self.paths[next].rto.current();
    }

    /// An answer (RFC 6525 §5.2.7).
    pub(super) fn reconfig_answered(
        &mut self,
        cx: &mut Context<'_>,
        number: u32,
        result: ReconfigResult,
        next_tsns: Option<(Tsn, Tsn)>,
    ) {
        let now = cx.now;
        let Some(flight) = &mut self.reconfig.flight else {
            return;
        };
        let Some(at) = flight.requests.iter().position(|(id, _)| *id == number) else {
            return;
        };
        // H2.
        if result == ReconfigResult::IN_PROGRESS {
            flight.in_progress = true;
            let path = flight.path.min(self.paths.len().saturating_sub(1));
            self.deadlines.reconfig = now + self.paths[path].rto.current();
            return;
        }
        let (_, request) = flight.requests.remove(at);
        self.reconfig_done();
        self.errors = 0;
        let refused = match result {
            ReconfigResult::DENIED => DENIED,
            result if result.is_success() => 0,
            _ => FAILED,
        };
        self.apply_own(cx, request, result, refused, next_tsns);
    }

    /// H3 to H6: a request is over, well unless it was `refused`.
    fn apply_own(
        &mut self,
        cx: &mut Context<'_>,
        request: Request,
        result: ReconfigResult,
        refused: u16,
        next_tsns: Option<(Tsn, Tsn)>,
    ) {
        match request {
            Request::Outgoing(streams, _) => {
                if result == ReconfigResult::PERFORMED {
                    self.outbound.reset_streams(&streams);
                }
                self.outbound.pause(&streams, false);
                self.notify_reset(cx, RESET_OUTGOING | refused, streams);
            }
            // That it was done is told as the peer does it.
            Request::Incoming(streams) => {
                if refused != 0 || result == ReconfigResult::NOTHING_TO_DO {
                    self.notify_reset(cx, RESET_INCOMING | refused, streams);
                }
            }
            Request::Tsns => {
                if let (0, Some((theirs, ours))) = (refused, next_tsns) {
                    self.outstanding.set_next_tsn(ours.0);
                    self.inbound.reset_tsns(theirs.0);
                    self.outbound.reset_streams(&[]);
                }
                self.outbound.pause(&[], false);
                let theirs = self.inbound.cumulative().wrapping_add(1);
                let tsns = (self.outstanding.next_tsn(), theirs);
                self.notify_tsns(cx, refused, tsns);
            }
            Request::AddOutgoing(count) => {
                if refused == 0 && self.outbound.add_streams(count) {
                    self.streams.0 = self.outbound.streams();
                }
                self.notify_streams(cx, refused);
            }
            Request::AddIncoming(_) => {
                if refused != 0 {
                    self.notify_streams(cx, refused);
                }
            }
        }
    }

    /// H1: with the last answer the timer stops.
    fn reconfig_done(&mut self) {
        let done = |flight: &mut Flight| flight.requests.is_empty();
        if self.reconfig.flight.take_if(done).is_some() {
            self.deadlines.reconfig = Instant::FAR;
        }
    }

    /// A request of the peer may be the answer to one of ours (RFC 6525 §5.2.2 E1).
    pub(super) fn reconfig_implied(&mut self, is: impl Fn(u32, &Request) -> bool) -> bool {
        let Some(flight) = &mut self.reconfig.flight else {
            return false;
        };
        let at = flight
            .requests
            .iter()
            .position(|(id, request)| is(*id, request));
        let Some(at) = at else {
            return false;
        };
        flight.requests.remove(at);
        self.reconfig_done();
        true
    }

    /// Whether the reset of ours that is under way covers these streams.
    pub(super) fn reconfig_resets(&self, streams: &StreamIds) -> bool {
        let flight = self.reconfig.flight.iter();
        let mut sent = flight.flat_map(|flight| &flight.requests);
        sent.any(|(_, request)| match request {
            Request::Outgoing(own, _) if own.is_empty() => true,
            Request::Outgoing(own, _) => {
                !streams.is_empty() && streams.iter().all(|stream| own.contains(stream))
            }
            _ => false,
        })
    }
}

/// The parameter of a request.
fn parameter(request: &Request, number: u32, seen: u32, last_tsn: Tsn) -> Parameter<'_> {
    match request {
        // §5.1.2 A2 to A4.
        Request::Outgoing(streams, asked) => Parameter::OutgoingReset {
            request: number,
            response: asked.unwrap_or(seen),
            last_tsn,
            streams: List::Values(streams),
        },
        Request::Incoming(streams) => Parameter::IncomingReset {
            request: number,
            streams: List::Values(streams),
        },
        Request::Tsns => Parameter::TsnReset { request: number },
        Request::AddOutgoing(count) => Parameter::AddOutgoing {
            request: number,
            count: *count,
        },
        Request::AddIncoming(count) => Parameter::AddIncoming {
            request: number,
            count: *count,
        },
    }
}
