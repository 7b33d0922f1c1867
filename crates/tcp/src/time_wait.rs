//! TIME-WAIT (RFC 9293 §3.6.1, §3.10.7.4), in little memory, and when a new connection may follow
//! at once (RFC 6191).

use crate::auth::{Auth, Stage};
use crate::challenge_ack::ChallengeAcks;
use crate::isn::timestamp;
use crate::options::Offer;
use crate::reset;
use crate::segment::Segment;
use crate::socket::Socket;
use crate::tcb::Tcb;
use crate::window::ReceiveSequence;
use crate::{State, Tcp};
use sockeye_core::demux::{Binding, Claim, Family, Flow, Sharing};
use sockeye_core::{
    Config, Context, Event, Handle, Instant, InterfaceId, Owner, SocketId, TimerSlot, TransportId,
};
use sockeye_wire::SeqNum;
use sockeye_wire::tcp::{Flags, Header};
use sockeye_wire::tcp_options::{Options, Timestamps};

/// A connection in TIME-WAIT.
#[derive(Debug)]
pub(crate) struct TimeWait {
    pub(crate) flow: Flow,
    /// What not all of them have, boxed: a server's side of a connection rarely gets here.
    rest: Option<Box<Rest>>,
    /// It holds the port that connect chose, as [`chosen_port`] says.
    chosen_port: bool,
    /// Its own address is not the node's.
    foreign: bool,
    snd_nxt: SeqNum,
    rcv_nxt: SeqNum,
    /// The window last offered as it stood in the field, and its shift.
    window: u16,
    shift: u8,
    has_timestamps: bool,
    /// TS.Recent, and our offset.
    recent: u32,
    offset: u32,
    challenge: ChallengeAcks,
    timer: TimerSlot,
    /// What the user holds and may still read.
    pub(crate) user: Option<Box<Tcb>>,
}

/// What few connections in TIME-WAIT have.
#[derive(Debug, Default)]
struct Rest {
    /// The port it holds.
    claim: Option<Claim>,
    /// What its segments are signed with.
    auth: Option<Box<Auth>>,
}

/// What a segment for TIME-WAIT asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing.
    Drop,
    /// An acknowledgment.
    Acknowledge,
    /// The peer's FIN again: an acknowledgment, and another 2 MSL.
    Restart,
    /// The end.
    Delete,
    /// A new connection, whose ISS lies behind this number.
    Reopen(SeqNum),
}

impl TimeWait {
    fn new(tcb: &mut Tcb) -> Self {
        Self {
            flow: tcb.flow,
            chosen_port: tcb
                .claim
                .take_if(|claim| *claim == chosen_port(&tcb.flow))
                .is_some(),
            rest: Rest::of(tcb).map(Box::new),
            foreign: tcb.marks.foreign,
            snd_nxt: tcb.snd.nxt,
            rcv_nxt: tcb.rcv.nxt,
            window: u16::try_from(tcb.rcv.wnd() >> tcb.rcv.shift).unwrap_or(u16::MAX),
            shift: tcb.rcv.shift,
            has_timestamps: tcb.timestamps.is_some(),
            recent: tcb.timestamps.map_or(0, |ts| ts.recent),
            offset: tcb.timestamp_offset,
            challenge: tcb.challenge,
            timer: TimerSlot::default(),
            user: None,
        }
    }

    /// Its keys.
    pub(crate) fn auth(&self) -> Option<&Auth> {
        self.rest.as_ref()?.auth.as_deref()
    }

    /// The place of its keys.
    pub(crate) fn auth_mut(&mut self) -> &mut Option<Box<Auth>> {
        &mut self.rest.get_or_insert_default().auth
    }

    /// What is known of it to whoever verifies its segments.
    pub(crate) fn stage(&self) -> Stage {
        Stage::Synchronized {
            isns: self.auth().map(Auth::isns).unwrap_or_default(),
            una: self.snd_nxt,
            nxt: self.rcv_nxt,
        }
    }

    /// RFC 9293 §3.10.7.4 for TIME-WAIT.
    pub(crate) fn segment_arrives(&self, segment: &Segment, config: &Config) -> Next {
        // First, the exception: a SYN with which a new connection begins.
        if segment.has(Flags::SYN) && !segment.has(Flags::RST | Flags::ACK) {
            return self.syn_arrives(segment, config);
        }
        let rst = segment.has(Flags::RST);
        if !rst && self.is_old_duplicate(segment) {
            return Next::Acknowledge;
        }
        let rcv = ReceiveSequence {
            nxt: self.rcv_nxt,
            edge: self.rcv_nxt + (u32::from(self.window) << self.shift),
            ..ReceiveSequence::default()
        };
        let len = if rst { 0 } else { segment.len() };
        if !rcv.is_acceptable(segment.seq, len) {
            // The peer's FIN again is of this kind: it lies before RCV.NXT.
            return match (rst, segment.has(Flags::FIN)) {
                (true, _) => Next::Drop,
                (false, true) if segment.end() == self.rcv_nxt => Next::Restart,
                (false, _) => Next::Acknowledge,
            };
        }
        // Second. RFC 1337 §3 would ignore it; RFC 9293 deletes the TCB, when it is exact
        // (RFC 5961 §3.2).
        if rst {
            return if segment.seq == self.rcv_nxt {
                Next::Delete
            } else {
                Next::Acknowledge
            };
        }
        // Fourth: RFC 5961 §4.2.
        if segment.has(Flags::SYN) {
            return Next::Acknowledge;
        }
        // Fifth: without ACK it is dropped; what acknowledges something not sent is answered
        // (RFC 5961 §5.2); a FIN is acknowledged. Nothing else should arrive.
        if !segment.has(Flags::ACK) {
            return Next::Drop;
        }
        if segment.has(Flags::FIN) {
            return Next::Restart;
        }
        if segment.len() > 0 || segment.ack.after(self.snd_nxt) {
            return Next::Acknowledge;
        }
        Next::Drop
    }

    /// RFC 9293 §3.6.1 (MAY-2, SHLD-4), RFC 6191 §2.
    fn syn_arrives(&self, segment: &Segment, config: &Config) -> Next {
        let new = Offer::read(&segment.options, self.flow.remote.ip, config).timestamp;
        // "The last sequence number seen" is that of the peer's FIN: RCV.NXT - 1.
        let later_number = segment.seq.after_or_eq(self.rcv_nxt);
        let honoured = match (self.has_timestamps, new) {
            (true, Some(tsval)) => {
                SeqNum(tsval).after(SeqNum(self.recent)) || (tsval == self.recent && later_number)
            }
            (_, None) => later_number,
            (false, Some(_)) => true,
        };
        if honoured {
            // RFC 9293 §3.6.1 (1): larger than the largest number of the old connection.
            Next::Reopen(self.snd_nxt + u32::from(u16::MAX) + 2)
        } else {
            Next::Drop
        }
    }

    fn is_old_duplicate(&self, segment: &Segment) -> bool {
        let theirs = segment.options.timestamps;
        self.has_timestamps && theirs.is_some_and(|ts| SeqNum(ts.tsval).before(SeqNum(self.recent)))
    }

    /// SND.NXT and RCV.NXT.
    #[cfg(test)]
    pub(crate) fn numbers(&self) -> (SeqNum, SeqNum) {
        (self.snd_nxt, self.rcv_nxt)
    }

    fn acknowledge(&self, cx: &mut Context<'_>, interface: InterfaceId) {
        let timestamps = self.has_timestamps.then(|| Timestamps {
            tsval: timestamp(cx.now, self.offset),
            tsecr: self.recent,
        });
        let header = Header {
            seq: self.snd_nxt,
            ack: self.rcv_nxt,
            flags: Flags::ACK,
            window: self.window,
            options: Options {
                timestamps,
                ..Options::default()
            },
            ..Header::default()
        };
        let auth = self.auth();
        let signer = auth.and_then(|auth| auth.signer(&self.flow, auth.isns()));
        reset::send_alone(cx, &self.flow, &header, interface, signer);
    }
}

/// The hold on the port of a connection that was neither bound nor told of an interface: need not be
/// kept.
fn chosen_port(flow: &Flow) -> Claim {
    Claim {
        binding: Binding::new(flow.local, None, Family::Both),
        sharing: Sharing {
            by_connect: true,
            ..Sharing::default()
        },
    }
}

impl Rest {
    fn of(tcb: &mut Tcb) -> Option<Self> {
        let rest = Self {
            claim: tcb.claim.take(),
            auth: tcb.auth.take(),
        };
        (rest.claim.is_some() || rest.auth.is_some()).then_some(rest)
    }
}

impl Tcp {
    /// A connection has come to TIME-WAIT: its TCB goes, unless the user still holds it.
    pub(crate) fn begin_time_wait(&mut self, cx: &mut Context<'_>, id: SocketId) {
        let Some(slot) = self.sockets.get_mut(id) else {
            return;
        };
        let Socket::Connection(tcb) = slot else {
            return;
        };
        let interface = tcb
            .route
            .map_or(InterfaceId::LOOPBACK, |route| route.interface);
        let answers = tcb.marks.ack_now;
        cx.timers.disarm(&mut tcb.timer);
        tcb.queue.clear();
        let time_wait = TimeWait::new(tcb);
        tcb.deadlines = crate::timers::Deadlines::default();
        let held = tcb.marks.user || tcb.marks.unaccepted;
        if core::mem::take(&mut tcb.marks.orphan) {
            self.orphans -= 1;
        }
        if answers {
            time_wait.acknowledge(cx, interface);
        }
        if !held {
            tcb.release_memory(cx);
        }
        let old = core::mem::replace(slot, Socket::TimeWait(Box::new(time_wait)));
        if let (Socket::TimeWait(time_wait), Socket::Connection(tcb), true) = (slot, old, held) {
            time_wait.user = Some(tcb);
        }
        self.time_wait += 1;
        if self.time_wait > cx.config.tcp_time_wait_max {
            // As with tcp_max_tw_buckets: what is too much ends at once.
            self.end_time_wait(cx, id);
            return;
        }
        self.restart_time_wait(cx, id);
    }

    /// RFC 9293 §3.6.1 (MUST-13): 2 MSL from now.
    fn restart_time_wait(&mut self, cx: &mut Context<'_>, id: SocketId) {
        if let Some(Socket::TimeWait(time_wait)) = self.sockets.get_mut(id) {
            let owner = Owner::Socket(Handle {
                transport: TransportId::TCP,
                id,
            });
            let end: Instant = cx.now + cx.config.tcp_time_wait;
            cx.timers.arm(&mut time_wait.timer, owner, end);
        }
    }

    /// A segment for the connection `id` in TIME-WAIT.
    pub(crate) fn time_wait_segment(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        segment: Segment,
    ) {
        let Some(Socket::TimeWait(time_wait)) = self.sockets.get_mut(id) else {
            return;
        };
        match time_wait.segment_arrives(&segment, cx.config) {
            Next::Drop => {}
            // Two ends that find each other's segments unacceptable must not answer for ever.
            Next::Acknowledge if !time_wait.challenge.allow(cx.now) => {}
            Next::Acknowledge => time_wait.acknowledge(cx, segment.interface),
            Next::Restart => {
                time_wait.acknowledge(cx, segment.interface);
                self.restart_time_wait(cx, id);
            }
            Next::Delete => self.end_time_wait(cx, id),
            Next::Reopen(after) => {
                let (flow, foreign) = (time_wait.flow, time_wait.foreign);
                let listener = self.demux.lookup_bound(&flow, segment.interface);
                match listener {
                    Some(listener) if !self.authentic(cx, listener, &flow, &segment) => {}
                    Some(listener) => {
                        self.end_time_wait(cx, id);
                        self.in_listen(cx, listener, &flow, segment, Some(after));
                    }
                    // As if somebody had listened there.
                    None if self.intercept.catches(!foreign) => {
                        self.end_time_wait(cx, id);
                        self.intercepted(cx, flow, segment, !foreign, Some(after));
                    }
                    // Nobody would answer it: the old connection stays as it is.
                    None => {
                        if let Some(Socket::TimeWait(time_wait)) = self.sockets.get(id) {
                            time_wait.acknowledge(cx, segment.interface);
                        }
                    }
                }
            }
        }
    }

    /// TIME-WAIT TIMEOUT (RFC 9293 §3.10.8), or an earlier end.
    pub(crate) fn end_time_wait(&mut self, cx: &mut Context<'_>, id: SocketId) {
        let Some(slot) = self.sockets.get_mut(id) else {
            return;
        };
        let Socket::TimeWait(time_wait) = slot else {
            return;
        };
        cx.timers.disarm(&mut time_wait.timer);
        self.time_wait -= 1;
        self.demux.disconnect(id, time_wait.flow);
        if time_wait.foreign {
            self.intercept.foreign_ended(cx);
        }
        if time_wait.chosen_port {
            self.demux.release(&chosen_port(&time_wait.flow));
        }
        let rest = time_wait.rest.take().unwrap_or_default();
        if let Some(claim) = rest.claim {
            self.demux.release(&claim);
        }
        cx.tell(&Event::State {
            socket: Handle {
                transport: TransportId::TCP,
                id,
            },
            flow: Some(time_wait.flow),
            from: State::TimeWait.name(),
            to: State::Closed.name(),
        });
        match time_wait.user.take() {
            Some(mut tcb) => {
                tcb.state = State::Closed;
                tcb.marks.linked = false;
                tcb.auth = rest.auth;
                *slot = Socket::Connection(tcb);
            }
            None => {
                self.sockets.remove(id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockeye_core::demux::Endpoint;

    #[test]
    fn it_is_small() {
        assert!(size_of::<TimeWait>() <= 128, "{}", size_of::<TimeWait>());
        assert!(size_of::<Socket>() <= 32, "{}", size_of::<Socket>());
    }

    fn time_wait(recent: Option<u32>) -> TimeWait {
        TimeWait {
            flow: Flow {
                local: Endpoint::new([10, 0, 0, 1].into(), 80),
                remote: Endpoint::new([10, 0, 0, 2].into(), 4000),
            },
            rest: None,
            chosen_port: false,
            foreign: false,
            snd_nxt: SeqNum(500),
            rcv_nxt: SeqNum(1000),
            window: 100,
            shift: 0,
            has_timestamps: recent.is_some(),
            recent: recent.unwrap_or(0),
            offset: 0,
            challenge: ChallengeAcks::default(),
            timer: TimerSlot::default(),
            user: None,
        }
    }

    /// RFC 6191 §2, rule by rule.
    #[test]
    fn a_new_connection_may_follow() {
        let reopen = Next::Reopen(SeqNum(500 + 65_537));
        let table = [
            // TS.Recent before, TSval now, SEG.SEQ, what happens
            (Some(70), Some(71), 5, reopen),
            (Some(70), Some(70), 1000, reopen),
            (Some(70), Some(70), 999, Next::Drop),
            (Some(70), Some(69), 2000, Next::Drop),
            (Some(70), None, 1000, reopen),
            (Some(70), None, 999, Next::Drop),
            (None, Some(1), 5, reopen),
            (None, None, 1000, reopen),
            (None, None, 999, Next::Drop),
        ];
        for (before, now, seq, expected) in table {
            let mut syn = crate::segment::tests::text(seq, Flags::SYN, b"");
            syn.options.timestamps = now.map(|tsval| Timestamps { tsval, tsecr: 0 });
            let got = time_wait(before).segment_arrives(&syn, &Config::default());
            assert_eq!(got, expected, "{before:?} {now:?} {seq}");
        }
    }

    #[test]
    fn what_else_may_arrive() {
        let table = [
            (999, Flags::FIN | Flags::ACK, Next::Restart),
            (1000, Flags::ACK, Next::Drop),
            (999, Flags::ACK, Next::Acknowledge),
            (1000, Flags::RST, Next::Delete),
            (1001, Flags::RST, Next::Acknowledge),
            (1100, Flags::RST, Next::Drop),
            (1000, Flags::SYN | Flags::ACK, Next::Acknowledge),
        ];
        for (seq, flags, expected) in table {
            let segment = crate::segment::tests::text(seq, flags, b"");
            let got = time_wait(None).segment_arrives(&segment, &Config::default());
            assert_eq!(got, expected, "{seq} {flags:?}");
        }
    }
}
