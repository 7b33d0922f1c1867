//! The end of an association (RFC 9260 §9): shutdown, abort, and what users are told of it.

use crate::State;
use crate::info::{AssocChange, Notification, SndFlags, SndInfo};
use crate::tcb::Association;
use crate::timeouts::GUARD_RTO_MAXES;
use bytes::Bytes;
use sockeye_core::{Context, Counter, Error, Instant};
use sockeye_wire::sctp::{Abort, Cause, Shutdown, ShutdownAck, ShutdownComplete, Tsn};

impl Association {
    /// SHUTDOWN of the user (RFC 9260 §9.2).
    /// RFC 9260 §9.2-3.
    pub(crate) fn begin_shutdown(&mut self, cx: &mut Context<'_>) {
        match self.state {
            State::CookieWait | State::CookieEchoed => self.shutdown_wanted = true,
            State::Established => {
                self.state = State::ShutdownPending;
                self.go_on_shutting_down(cx);
            }
            // §9.2: who has heard SHUTDOWN ignores requests for it.
            State::ShutdownPending
            | State::ShutdownSent
            | State::ShutdownReceived
            | State::ShutdownAckSent
            | State::Closed => {}
        }
    }

    /// Once nothing is outstanding any more, SHUTDOWN or SHUTDOWN ACK goes out.
    /// RFC 9260 §4-11.
    pub(crate) fn go_on_shutting_down(&mut self, cx: &mut Context<'_>) {
        if !self.is_drained() {
            return;
        }
        match self.state {
            State::ShutdownPending => {
                self.state = State::ShutdownSent;
                let guard = self.settings.rto.max.saturating_mul(GUARD_RTO_MAXES);
                self.deadlines.t5 = cx.now + guard;
                self.send_shutdown(cx, false);
            }
            State::ShutdownReceived => self.send_shutdown_ack(cx),
            _ => {}
        }
    }

    /// SHUTDOWN. Where it answers data, or can't acknowledge everything itself, a SACK goes along (§9.2).
    /// RFC 9260 §3.3.8-1, §9.2-1, §9.2-7, §9.2-8.
    pub(crate) fn send_shutdown(&mut self, cx: &mut Context<'_>, answers: bool) {
        let at = self.data_path;
        let mut out = Vec::new();
        Shutdown {
            cumulative_tsn: Tsn(self.inbound.cumulative()),
        }
        .emit(&mut out);
        if self.ack.pending && (answers || self.inbound.has_gaps()) {
            let room = self.paths[at].pmdcs() as usize;
            self.emit_sack(cx, &mut out, room.saturating_sub(8));
        }
        self.acknowledged(cx.now);
        self.send_control(cx, at, &out);
        self.deadlines.t2 = cx.now + self.paths[at].rto.current();
    }

    /// RFC 9260 §3.3.9-1, §9.2-9.
    fn send_shutdown_ack(&mut self, cx: &mut Context<'_>) {
        self.state = State::ShutdownAckSent;
        self.resend_shutdown_ack(cx);
    }

    pub(crate) fn resend_shutdown_ack(&mut self, cx: &mut Context<'_>) {
        let at = self.data_path;
        let mut out = Vec::new();
        ShutdownAck.emit(&mut out);
        self.send_control(cx, at, &out);
        self.deadlines.t5 = Instant::FAR;
        self.deadlines.t2 = cx.now + self.paths[at].rto.current();
    }

    /// T2-shutdown ran out.
    /// RFC 9260 §9.2-2, §9.2-10.
    pub(crate) fn t2_expires(&mut self, cx: &mut Context<'_>) {
        if !matches!(self.state, State::ShutdownSent | State::ShutdownAckSent) {
            return;
        }
        cx.counters.add(Counter::SctpT2ShutdownExpireds);
        let at = self.data_path;
        self.paths[at].rto.back_off();
        self.path_fails(cx, at, true);
        match self.state {
            State::ShutdownSent => self.send_shutdown(cx, false),
            State::ShutdownAckSent => self.resend_shutdown_ack(cx),
            _ => {}
        }
    }

    /// A SHUTDOWN arrives.
    /// RFC 9260 §9.2-4.
    pub(crate) fn shutdown_arrives(&mut self, cx: &mut Context<'_>, shutdown: &Shutdown) {
        match self.state {
            State::Established | State::ShutdownPending => {
                self.state = State::ShutdownReceived;
                let assoc = self.assoc;
                self.notify(cx, Notification::Shutdown { assoc });
                self.cumulative_arrives(cx, shutdown.cumulative_tsn.0);
                self.go_on_shutting_down(cx);
            }
            State::ShutdownReceived => {
                self.cumulative_arrives(cx, shutdown.cumulative_tsn.0);
                self.go_on_shutting_down(cx);
            }
            State::ShutdownSent => {
                let assoc = self.assoc;
                self.notify(cx, Notification::Shutdown { assoc });
                self.send_shutdown_ack(cx);
            }
            State::ShutdownAckSent => self.resend_shutdown_ack(cx),
            // §9.2: silently discarded.
            State::CookieWait | State::CookieEchoed | State::Closed => {}
        }
    }

    /// A SHUTDOWN ACK arrives, in a state in which it is for this association.
    /// RFC 9260 §3.3.13-1, §8.5.1-7, §8.5.1-8, §9.2-11, §9.2-12.
    pub(crate) fn shutdown_ack_arrives(&mut self, cx: &mut Context<'_>) {
        if !matches!(self.state, State::ShutdownSent | State::ShutdownAckSent) {
            cx.counters.add(Counter::SctpInPktDiscards);
            return;
        }
        let mut out = Vec::new();
        let tag_reflected = false;
        ShutdownComplete { tag_reflected }.emit(&mut out);
        // RFC 9260 §6.10-7: alone in its packet.
        self.replies.clear();
        self.send_control_now(cx, self.answer_path(self.ack.path), &out);
        self.shut_down(cx);
    }

    /// A SHUTDOWN COMPLETE arrives; §8.5.1 C: in every other state it is ignored.
    /// RFC 9260 §8.5.1-11.
    pub(crate) fn shutdown_complete_arrives(&mut self, cx: &mut Context<'_>) {
        if self.state == State::ShutdownAckSent {
            self.shut_down(cx);
        }
    }

    fn shut_down(&mut self, cx: &mut Context<'_>) {
        cx.counters.add(Counter::SctpShutdowns);
        self.notify_change(cx, AssocChange::ShutdownComplete, 0);
        self.close(cx, None);
    }

    /// Ends the association with an ABORT (RFC 9260 §9.1) that says why.
    /// RFC 9260 §9.1-1.
    pub(crate) fn abort(&mut self, cx: &mut Context<'_>, causes: &[Cause<'_>]) {
        if self.state == State::Closed {
            return;
        }
        // In COOKIE-WAIT the peer has no tag yet, and knows nothing of us.
        if self.state != State::CookieWait {
            self.say_abort(cx, causes);
        }
        cx.counters.add(Counter::SctpAborteds);
        let error = causes.first().map_or(0, |cause| cause.code().0);
        let change = match self.state {
            State::CookieWait | State::CookieEchoed => AssocChange::CantStart,
            _ => AssocChange::Lost,
        };
        self.fail_messages(cx, error);
        self.notify_change(cx, change, error);
        self.close(cx, Some(Error::ConnectionAborted));
    }

    /// An ABORT arrives that has the right tag.
    /// RFC 9260 §3.3.7-4, §9.1-4, §9.1-6.
    pub(crate) fn abort_arrives(&mut self, cx: &mut Context<'_>, abort: &Abort<'_>, chunk: &[u8]) {
        cx.counters.add(Counter::SctpAborteds);
        let code = abort
            .causes()
            .flatten()
            .next()
            .map_or(0, |cause| cause.code.0);
        let (change, error) = match self.state {
            State::CookieWait | State::CookieEchoed => {
                (AssocChange::CantStart, Error::ConnectionRefused)
            }
            _ => (AssocChange::Lost, Error::ConnectionReset),
        };
        self.fail_messages(cx, code);
        self.notify_end(cx, change, code, Bytes::copy_from_slice(chunk));
        self.close(cx, Some(error));
    }

    /// Sends an ABORT, and no more.
    /// RFC 9260 §3.3.7-1, §8.5.1-3, §9.1-2, §9.1-3.
    pub(crate) fn say_abort(&mut self, cx: &mut Context<'_>, causes: &[Cause<'_>]) {
        let mut bytes = Vec::new();
        causes.iter().for_each(|cause| cause.emit(&mut bytes));
        // RFC 9260 §3.3.7-2: what else the packet is answered with goes before it.
        let mut out = core::mem::take(&mut self.replies.chunks);
        Abort {
            tag_reflected: false,
            causes: &bytes,
        }
        .emit(&mut out);
        let at = self.data_path;
        self.send_control_now(cx, at, &out);
    }

    /// Hands back what was not acknowledged (RFC 9260 §11.1.14, §11.1.15), if the socket wants it.
    pub(crate) fn fail_messages(&mut self, cx: &mut Context<'_>, error: u16) {
        use crate::info::Events;
        if !self.settings.events.contains(Events::SEND_FAILED) {
            return;
        }
        let assoc = self.assoc;
        let sent: Vec<Notification> = self
            .outstanding
            .iter()
            .map(|sent| Notification::SendFailed {
                assoc,
                sent: true,
                error,
                info: SndInfo {
                    stream: sent.fragment.stream,
                    flags: match sent.fragment.unordered {
                        true => SndFlags::UNORDERED,
                        false => SndFlags::empty(),
                    },
                    ppid: sent.fragment.ppid,
                    context: sent.fragment.context,
                    assoc,
                    ..SndInfo::default()
                },
                data: sent.fragment.data.clone(),
            })
            .collect();
        for notice in sent {
            self.notify(cx, notice);
        }
        while let Some(fragment) = self.outbound.pop(usize::MAX, cx.now) {
            let info = SndInfo {
                stream: fragment.stream,
                flags: SndFlags::empty(),
                ppid: fragment.ppid,
                context: fragment.context,
                assoc,
                ..SndInfo::default()
            };
            self.notify(
                cx,
                Notification::SendFailed {
                    assoc,
                    sent: false,
                    error,
                    info,
                    data: fragment.data,
                },
            );
        }
    }
}
