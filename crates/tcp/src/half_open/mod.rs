//! SYN-RECEIVED from LISTEN (RFC 9293 §3.10.7.4), in little memory: what a SYN costs us is all that
//! somebody who floods us with them can make us keep.
//!
//! - `agreed`: what the handshake has settled, packed.
//! - `answer`: the SYN and ACK, and who signs it.
//! - `segment_arrives`: what comes for it, up to the connection that it becomes.
//! - `timeouts`: the answer again, and how long it is worth it.

mod agreed;
mod answer;
mod segment_arrives;
mod timeouts;

use self::agreed::Agreed;
pub(crate) use self::timeouts::{time_of_timeouts, timeouts_within};
use crate::auth::{self, Isns, Stage, ids_of};
use crate::challenge_ack::ChallengeAcks;
use crate::ecn;
use crate::listen::Listener;
use crate::options::Offer;
use crate::saved_syn::SavedSyn;
use crate::segment::Segment;
use crate::socket::Socket;
use crate::tcb::Tcb;
use crate::window::ReceiveSequence;
use crate::{State, Tcp};
use core::time::Duration;
use sockeye_core::demux::Flow;
use sockeye_core::{Context, Counter, Instant, SocketId, TimerSlot};
use sockeye_wire::SeqNum;

/// A connection that a SYN has made and no acknowledgment has confirmed.
#[derive(Debug)]
pub(crate) struct HalfOpen {
    pub(crate) flow: Flow,
    pub(crate) listener: SocketId,
    iss: SeqNum,
    irs: SeqNum,
    peer_window: u16,
    agreed: Agreed,
    ecn: ecn::Answer,
    retries: u8,
    progress: Progress,
    own_window: u16,
    /// When the first answer left, in microseconds modulo 2^32: it does not live that long.
    sent_us: u32,
    /// KeyID and RNextKeyID of the SYN's authentication option (RFC 5925 §2.2).
    ao: Option<(u8, u8)>,
    challenge: ChallengeAcks,
    timer: TimerSlot,
    /// TCP_SAVED_SYN
    saved_syn: Option<Box<SavedSyn>>,
}

/// How far a half-open connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// It waits for the acknowledgment.
    Waits,
    /// One came that could not be used yet.
    Acknowledged,
    /// A cookie has brought it back: nobody knows when the answer to its SYN left.
    Cookie,
}

impl HalfOpen {
    pub(crate) fn new(
        cx: &Context<'_>,
        listener: SocketId,
        flow: &Flow,
        syn: &Segment,
        iss: SeqNum,
        socket: &Listener,
    ) -> Self {
        let settings = &socket.settings;
        let mut offer = Offer::read(&syn.options, flow.remote.ip, cx.config);
        let md5 = socket
            .auth
            .as_ref()
            .and_then(|auth| auth.md5_key(flow.remote.ip));
        auth::limit_timestamps(md5.is_some(), &mut offer);
        let policy = ecn::Policy::new(cx.config, settings.needs_ecn());
        let mut rcv = ReceiveSequence {
            buffer: settings.common.receive_buffer,
            ..ReceiveSequence::default()
        };
        Self {
            flow: *flow,
            listener,
            iss,
            irs: syn.seq,
            peer_window: syn.window,
            agreed: Agreed::new(&offer),
            ecn: policy.answer(syn.flags, syn.ecn),
            retries: 0,
            progress: Progress::Waits,
            own_window: rcv.offer(0, offer.mss.into(), settings.window_clamp, true),
            sent_us: to_us(cx.now),
            ao: ids_of(syn),
            challenge: ChallengeAcks::default(),
            timer: TimerSlot::default(),
            saved_syn: settings.save_syn.of(syn),
        }
    }

    /// Agrees to what a cookie remembers. True when ECN is of it.
    pub(crate) fn limit_to_cookie(&mut self, offer: &Offer) -> bool {
        self.agreed = Agreed::new(offer);
        self.ecn = match offer.timestamp {
            Some(_) => self.ecn.without_memory(),
            None => ecn::Answer::Off,
        };
        self.ecn == ecn::Answer::Classic
    }

    /// Its answer leaves, which has gone `before` so many times: somebody else keeps its timer.
    pub(crate) fn answers_again(&mut self, before: u32) {
        self.retries = u8::try_from(before).unwrap_or(u8::MAX);
    }

    /// What a SYN numbered `irs` has said, known by the acknowledgment of our answer to it.
    pub(crate) fn recovered(&mut self, irs: SeqNum, offer: &Offer, ecn: bool) {
        self.irs = irs;
        self.ecn = match ecn {
            true => ecn::Answer::Classic,
            false => ecn::Answer::Off,
        };
        self.progress = Progress::Cookie;
        self.agreed = Agreed::new(offer);
    }

    /// Whether `seq` is in flight: our SYN's is all that can be.
    pub(crate) fn sent(&self, seq: SeqNum) -> bool {
        seq == self.iss
    }

    fn isns(&self) -> Isns {
        Isns {
            local: self.iss,
            remote: self.irs,
        }
    }

    /// What is known of it to whoever verifies its segments.
    pub(crate) fn stage(&self) -> Stage {
        Stage::HalfOpen {
            isns: self.isns(),
            ao: self.ao.is_some(),
        }
    }

    /// SND.NXT and RCV.NXT.
    #[cfg(test)]
    pub(crate) fn numbers(&self) -> (SeqNum, SeqNum) {
        (self.iss + 1, self.irs + 1)
    }

    /// Puts what the handshake has found into `tcb`, which is in SYN-RECEIVED then.
    pub(crate) fn hand_over(&mut self, cx: &mut Context<'_>, tcb: &mut Tcb) {
        tcb.state = State::SynReceived;
        tcb.saved_syn = self.saved_syn.take();
        tcb.set_iss(self.iss);
        tcb.snd.nxt = self.iss + 1;
        tcb.snd.wnd = self.peer_window.into();
        tcb.snd.max_wnd = tcb.snd.wnd;
        tcb.snd.wl1 = self.irs;
        tcb.rcv.irs = self.irs;
        tcb.rcv.nxt = self.irs + 1;
        tcb.rcv.edge = tcb.rcv.nxt + u32::from(self.own_window);
        tcb.rcv.ssthresh = self.own_window.into();
        tcb.rcv.last_ack_sent = tcb.rcv.nxt;
        tcb.negotiated(&self.agreed.offer(), cx.now, cx.config);
        tcb.ecn.answered(self.ecn, self.retries);
        // Its route, and with it Eff.snd.MSS; without one now, it is found when it sends.
        let _ = tcb.route(cx);
        if self.progress == Progress::Cookie {
            // The echoed timestamp tells, where there is one.
        } else if self.retries == 0 {
            tcb.timed = Some(cx.now - self.age(cx.now));
        } else {
            tcb.marks.syn_retransmitted = true;
            tcb.totals.retransmitted = self.retries.into();
        }
    }

    /// Time since the first answer.
    fn age(&self, now: Instant) -> Duration {
        Duration::from_micros(to_us(now).wrapping_sub(self.sent_us).into())
    }
}

impl Tcp {
    /// Back to LISTEN: nothing is kept of it but its flow.
    pub(crate) fn forget_half_open(&mut self, cx: &mut Context<'_>, id: SocketId) -> Option<Flow> {
        let Socket::HalfOpen(mut half_open) = self.sockets.remove(id)? else {
            return None;
        };
        half_open.disarm(cx);
        cx.counters.add(Counter::TcpAttemptFails);
        self.demux.disconnect(id, half_open.flow);
        self.half_open = self.half_open.saturating_sub(1);
        if let Some(Socket::Listening(listener)) = self.sockets.get_mut(half_open.listener) {
            listener.left_half_open(half_open.is_young());
        }
        Some(half_open.flow)
    }
}

/// Microseconds, modulo 2^32.
fn to_us(now: Instant) -> u32 {
    (now.as_micros() & u64::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_syn_costs_little() {
        assert!(size_of::<HalfOpen>() <= 128, "{}", size_of::<HalfOpen>());
    }
}
