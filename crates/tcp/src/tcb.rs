//! The transmission control block: everything a connection is (RFC 9293 §3.3.1).
//!
//! The chapters that work on it have files of their own: [`segment_arrives`](crate::segment_arrives)
//! and [`ack`](crate::ack) for what comes in, [`output`](crate::output) for what goes out,
//! [`timeouts`](crate::timeouts), [`user_calls`](crate::user_calls). Here are its parts and the
//! changes of its state.

use crate::State;
use crate::auth::Auth;
use crate::challenge_ack::ChallengeAcks;
use crate::ecn::Ecn;
use crate::fast_open::FastOpen;
use crate::isn;
use crate::path_mtu::Search;
use crate::rate::WindowUse;
use crate::reassembly::Reassembly;
use crate::receive_queue::ReceiveQueue;
use crate::records::Records;
use crate::recovery::Recovery;
use crate::reports::Reports;
use crate::rtt::RttEstimator;
use crate::saved_syn::SavedSyn;
use crate::send_queue::SendQueue;
use crate::settings::Settings;
use crate::timers::{Deadlines, Retransmit};
use crate::totals::Totals;
use crate::urgent::Urgent;
use crate::window::ReceiveSequence;
use sockeye_core::congestion::Pacer;
use sockeye_core::demux::{Claim, Flow};
use sockeye_core::{
    CongestionController, Context, Counter, Error, Event, Handle, Instant, InterfaceId, Readiness,
    Route, SocketId, TimerSlot, congestion,
};
use sockeye_wire::SeqNum;
use std::sync::Arc;

/// SND.* of RFC 9293 §3.3.1.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct SendSequence {
    /// SND.UNA
    pub(crate) una: SeqNum,
    /// SND.NXT
    pub(crate) nxt: SeqNum,
    /// SND.WND, bytes: 32 bits of them (RFC 9293 §3.1, REC-1).
    pub(crate) wnd: u32,
    /// SND.WL1
    pub(crate) wl1: SeqNum,
    /// SND.WL2
    pub(crate) wl2: SeqNum,
    /// ISS
    pub(crate) iss: SeqNum,
    /// MAX.SND.WND (RFC 5961 §5.2), also Max (SND.WND) of RFC 9293 §3.8.6.2.1.
    pub(crate) max_wnd: u32,
    /// Snd.Wind.Shift (RFC 7323 §2.3)
    pub(crate) shift: u8,
    /// End of the last segment sent that was not full (Minshall's variant of Nagle's algorithm).
    pub(crate) small: SeqNum,
}

/// Timestamps in use (RFC 7323 §3).
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Timestamping {
    /// TS.Recent
    pub(crate) recent: u32,
    /// When TS.Recent was set: it does not count after 24 days (RFC 7323 §5.5).
    pub(crate) recent_at: Instant,
}

/// How a connection began: what a reset in SYN-RECEIVED means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Origin {
    /// Active OPEN.
    Active,
    /// From this listener.
    Passive(SocketId),
    /// Intercepted and accepted by hand.
    Intercepted,
}

/// Marks that are either set or not.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Marks {
    /// The user holds the socket.
    pub(crate) user: bool,
    /// The accept queue holds it.
    pub(crate) unaccepted: bool,
    /// A FIN follows the last byte queued.
    pub(crate) fin_queued: bool,
    /// The user reads no more.
    pub(crate) read_shut: bool,
    /// The SYN, or SYN and ACK, is to be sent.
    pub(crate) syn_due: bool,
    /// An acknowledgment is due now.
    pub(crate) ack_now: bool,
    /// A window or keep-alive probe is due now.
    pub(crate) probe_due: bool,
    /// What waits goes out though it is small (RFC 9293 §3.8.6.2.1 (4)).
    pub(crate) override_sws: bool,
    /// MSG_MORE was said: what does not fill a segment waits for more, or for the peer to be heard.
    pub(crate) more_follows: bool,
    /// The send buffer was full when the user last had something to send.
    pub(crate) refused_send: bool,
    /// Text is spaced whatever the congestion controller says.
    pub(crate) paced: bool,
    /// The user was refused memory, and the list of those who wait for it knows.
    pub(crate) starved: bool,
    pub(crate) queued_starved: bool,
    /// A tail loss probe is due now.
    pub(crate) tail_probe_due: bool,
    /// The SYN was sent more than once.
    pub(crate) syn_retransmitted: bool,
    /// The peer takes SACK options.
    pub(crate) sack: bool,
    /// Windows are scaled (RFC 7323 §2.2).
    pub(crate) scaled: bool,
    /// It stands in the list of those that have something to send.
    pub(crate) listed: bool,
    /// It stands in the list of those at rest.
    pub(crate) resting: bool,
    /// It is counted among the orphans.
    pub(crate) orphan: bool,
    /// The demultiplexer knows its flow.
    pub(crate) linked: bool,
    /// Its local address is not the node's: intercepted.
    pub(crate) foreign: bool,
    /// TCP_QUICKACK was set.
    pub(crate) quick_ack: bool,
    /// connect(2) has left it to the first SEND to send the SYN (TCP_FASTOPEN_CONNECT).
    pub(crate) deferred: bool,
    /// The user has not been told how his attempt to connect ended.
    pub(crate) untold: bool,
}

/// One connection.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Tcb {
    pub(crate) handle: Handle,
    pub(crate) state: State,
    pub(crate) origin: Origin,
    pub(crate) flow: Flow,
    pub(crate) claim: Option<Claim>,
    /// The interface it is tied to, where something ties it.
    pub(crate) interface: Option<InterfaceId>,
    #[serde(skip, default = "crate::packed::no_settings")]
    pub(crate) settings: Arc<Settings>,
    pub(crate) marks: Marks,
    /// Keys, where it has any.
    #[serde(skip)]
    pub(crate) auth: Option<Box<Auth>>,
    /// TCP_SAVED_SYN
    #[serde(skip)]
    pub(crate) saved_syn: Option<Box<SavedSyn>>,

    pub(crate) snd: SendSequence,
    pub(crate) queue: SendQueue,
    /// Where segments of it have to end.
    pub(crate) records: Records,
    /// The limit of SO_SNDBUF, bytes.
    pub(crate) send_buffer: usize,
    /// SendMSS: what the peer takes (RFC 9293 §3.7.1).
    pub(crate) peer_mss: u16,
    /// Eff.snd.MSS: bytes of text in a full segment without SACK blocks.
    pub(crate) mss: u32,

    pub(crate) rcv: ReceiveSequence,
    pub(crate) received: ReceiveQueue,
    #[serde(skip)]
    pub(crate) reassembly: Reassembly,
    /// SND.UP and RCV.UP, once there was urgent data.
    #[serde(skip)]
    pub(crate) urgent: Option<Box<Urgent>>,
    /// Bytes of memory that received text kept after it was last copied together.
    pub(crate) compacted: usize,
    /// Bytes of memory that the node's account has it down for.
    pub(crate) charged: usize,
    /// Position of the peer's FIN, where it came before what precedes it.
    pub(crate) fin_at: Option<u64>,

    pub(crate) timestamps: Option<Timestamping>,
    pub(crate) timestamp_offset: u32,
    pub(crate) flow_label: u32,

    pub(crate) rtt: RttEstimator,
    /// When the SYN left, while it was sent once.
    pub(crate) timed: Option<Instant>,
    #[serde(with = "congestion::saved")]
    pub(crate) congestion: Box<dyn CongestionController>,
    pub(crate) recovery: Recovery,
    /// How much of the window is used.
    pub(crate) window_use: WindowUse,
    pub(crate) pacer: Pacer,
    /// Percent of the window that a paced round trip takes, in slow start and after it.
    pub(crate) pacing_ratios: (u32, u32),
    /// Bytes of text that leave as one packet at most.
    pub(crate) burst: u32,
    pub(crate) ecn: Ecn,
    pub(crate) challenge: ChallengeAcks,

    pub(crate) route: Option<Route>,
    pub(crate) timer: TimerSlot,
    pub(crate) deadlines: Deadlines,
    /// Time-outs in a row without progress.
    pub(crate) retries: u32,
    /// Probes of the window or of a silent peer that nothing answered, since when, and doublings of the
    /// interval between them.
    pub(crate) probes: u32,
    pub(crate) probing_since: Instant,
    pub(crate) probe_backoff: u8,
    /// When something last arrived, and when data was last sent.
    pub(crate) heard_at: Instant,
    pub(crate) sent_at: Instant,
    /// Bytes of the largest packet that is known to have arrived.
    pub(crate) largest_acked: u16,
    /// The search for the size of packets that the path takes, where one is on.
    #[serde(skip)]
    pub(crate) search: Option<Box<Search>>,
    /// Bytes of the largest segment received.
    pub(crate) largest_received: u32,
    /// Segments received since the last acknowledgment, full ones counted.
    pub(crate) unacknowledged: u32,
    /// Acknowledgments left that are sent at once (slow start of the peer).
    pub(crate) quick_acks: u8,

    /// What the next call is told: RFC 9293 §3.6 (MUST-12).
    #[serde(skip)]
    pub(crate) error: Option<Error>,
    /// RFC 9293 §3.9.1.8, §3.9.2.2 (MUST-47, SHLD-25): a soft error: told if the connection ends for
    /// want of an answer.
    #[serde(skip)]
    pub(crate) soft_error: Option<Error>,
    pub(crate) totals: Totals,
    /// The error queue, once something is to be told there.
    #[serde(skip)]
    pub(crate) reports: Option<Box<Reports>>,
    /// What Fast Open has to do with it.
    pub(crate) fast_open: Option<Box<FastOpen>>,
}

impl Tcb {
    /// A connection in CLOSED, between the ends of `flow`.
    pub(crate) fn new(
        cx: &Context<'_>,
        handle: Handle,
        flow: Flow,
        origin: Origin,
        settings: Arc<Settings>,
        secrets: &isn::Secrets,
    ) -> Self {
        let iss = secrets.isn(&flow, cx.now);
        let mss = crate::options::default_mss(flow.remote.ip);
        let setup = crate::rate::setup(cx.config, mss.into(), iss);
        let congestion = congestion::by_name(settings.congestion, &setup)
            .unwrap_or_else(|| Box::new(congestion::Reno::new(mss.into())));
        let rcv = ReceiveSequence {
            buffer: settings.common.receive_buffer,
            ..ReceiveSequence::default()
        };
        let mut rtt = RttEstimator::default();
        rtt.set_bounds(settings.rto_min, settings.rto_max);
        Self {
            handle,
            state: State::Closed,
            origin,
            flow,
            claim: None,
            interface: settings.common.device.or(flow.remote.scope_interface()),
            marks: Marks::default(),
            auth: None,
            saved_syn: None,
            snd: SendSequence {
                una: iss,
                nxt: iss,
                wl1: SeqNum(0),
                wl2: iss,
                iss,
                small: iss,
                ..SendSequence::default()
            },
            queue: SendQueue::new(iss + 1),
            records: Records::default(),
            send_buffer: settings.common.send_buffer,
            peer_mss: mss,
            mss: mss.into(),
            rcv,
            received: ReceiveQueue::default(),
            reassembly: Reassembly::default(),
            urgent: None,
            compacted: 0,
            charged: 0,
            fin_at: None,
            timestamps: None,
            timestamp_offset: secrets.timestamp_offset(&flow),
            flow_label: secrets.flow_label(&flow),
            rtt,
            timed: None,
            congestion,
            recovery: Recovery::new(iss),
            window_use: WindowUse::default(),
            pacer: Pacer::new(congestion::initial_window(mss.into())),
            pacing_ratios: cx.config.tcp_pacing_ratios,
            burst: u32::MAX,
            ecn: Ecn::default(),
            challenge: ChallengeAcks::default(),
            route: None,
            timer: TimerSlot::default(),
            deadlines: Deadlines::default(),
            retries: 0,
            probes: 0,
            probing_since: Instant::FAR,
            probe_backoff: 0,
            heard_at: cx.now,
            sent_at: cx.now,
            largest_acked: 0,
            search: None,
            largest_received: 0,
            unacknowledged: 0,
            quick_acks: match settings.quick_ack {
                true => crate::output::QUICK_ACKS,
                false => 0,
            },
            error: None,
            soft_error: None,
            totals: Totals {
                text_heard_at: cx.now,
                ..Totals::default()
            },
            reports: None,
            fast_open: None,
            settings,
        }
    }

    /// Begins with `iss` instead, before anything was sent.
    pub(crate) fn set_iss(&mut self, iss: SeqNum) {
        self.snd.iss = iss;
        self.snd.una = iss;
        self.snd.nxt = iss;
        self.snd.small = iss;
        self.snd.wl2 = iss;
        self.queue = SendQueue::new(iss + 1);
        self.recovery = Recovery::new(iss);
    }

    /// Changes the state, and tells it.
    pub(crate) fn enter(&mut self, cx: &mut Context<'_>, to: State) {
        let from = core::mem::replace(&mut self.state, to);
        cx.tell(&Event::State {
            socket: self.handle,
            flow: Some(self.flow),
            from: from.name(),
            to: to.name(),
        });
    }

    /// Enters ESTABLISHED: the handshake is done.
    pub(crate) fn established(&mut self, cx: &mut Context<'_>) {
        self.enter(cx, State::Established);
        self.deadlines.cancel_retransmit();
        self.retries = 0;
        self.recovery.forget_copies();
        self.totals.text_heard_at = cx.now;
        self.begin_search(cx.config, cx.now);
        self.begin_rates(cx.config);
        if self.marks.syn_retransmitted {
            self.rtt.syn_was_retransmitted();
        } else {
            self.rtt.forget_backoff();
        }
        if self.totals.retransmitted > 1 {
            // RFC 6928 §2: so far only the SYN can have been sent again. Once may have been in vain;
            // after more the initial window is one segment.
            let ssthresh = self.congestion.ssthresh();
            self.congestion.set_window(self.mss.into(), ssthresh);
        }
        self.soft_error = None;
        self.restart_keep_alive(cx.now);
        self.tune_send_buffer(cx);
        self.signal(cx, Readiness::WRITABLE);
    }

    /// Enters CLOSED for `error`, or for none where the connection came to its regular end.
    ///
    /// RFC 9293 §3.10.7.4 flushes all queues on a reset. Text that arrived before stays readable
    /// here, as it does in Linux: the user reads it, then gets the error, then the end.
    pub(crate) fn closed(&mut self, cx: &mut Context<'_>, error: Option<Error>) {
        // RFC 4022: tcpAttemptFails and tcpEstabResets are ways straight to CLOSED, whoever goes them.
        match self.state {
            State::SynSent | State::SynReceived => cx.counters.add(Counter::TcpAttemptFails),
            State::Established | State::CloseWait => cx.counters.add(Counter::TcpEstabResets),
            State::Closed => return,
            State::Listen
            | State::FinWait1
            | State::FinWait2
            | State::Closing
            | State::LastAck
            | State::TimeWait => {}
        }
        self.enter(cx, State::Closed);
        self.queue.clear();
        self.end_zero_copies(cx);
        self.reassembly.clear();
        self.deadlines = Deadlines::default();
        self.marks.ack_now = false;
        self.marks.syn_due = false;
        self.marks.probe_due = false;
        self.marks.tail_probe_due = false;
        self.recovery.board.clear();
        if error.is_some() {
            self.error = error;
        }
        let mut what =
            Readiness::READABLE | Readiness::WRITABLE | Readiness::HANGUP | Readiness::READ_CLOSED;
        what.set(Readiness::ERROR, error.is_some());
        self.signal(cx, what);
    }

    /// Tells whoever waits on the socket.
    pub(crate) fn signal(&self, cx: &mut Context<'_>, what: Readiness) {
        if self.marks.user {
            cx.set_ready(self.handle, what);
        }
    }

    /// Sequence number of our FIN, once the user has closed.
    pub(crate) fn fin_seq(&self) -> Option<SeqNum> {
        self.marks.fin_queued.then(|| self.queue.end())
    }

    /// Whether our FIN has been sent.
    pub(crate) fn fin_sent(&self) -> bool {
        self.fin_seq().is_some_and(|fin| self.snd.nxt.after(fin))
    }

    /// Whether our FIN has been acknowledged.
    pub(crate) fn fin_acked(&self) -> bool {
        self.fin_seq().is_some_and(|fin| self.snd.una.after(fin))
    }

    /// Bytes queued and never sent.
    pub(crate) fn unsent(&self) -> u32 {
        let next = self.snd.nxt.later(self.queue.start());
        if next.before(self.queue.end()) {
            next.bytes_to(self.queue.end())
        } else {
            0
        }
    }

    /// Bytes never sent that may travel together: up to the end of a record, or all.
    pub(crate) fn unsent_record(&self) -> u32 {
        let unsent = self.unsent();
        let next = self.queue.end() - unsent;
        let record = self.records.next_end(next);
        record.map_or(unsent, |end| next.bytes_to(end))
    }

    /// Numbers sent and not acknowledged.
    pub(crate) fn outstanding(&self) -> u32 {
        self.snd.una.bytes_to(self.snd.nxt)
    }

    /// Bytes in flight.
    pub(crate) fn pipe(&self) -> u32 {
        self.recovery.pipe()
    }

    /// There is no route: try again after a while.
    pub(crate) fn wait_for_route(&mut self, now: Instant) {
        if self.deadlines.pending().is_none() {
            self.schedule(Retransmit::Timeout, now + self.rtt.rto());
        }
    }

    /// The largest segment that the peer is taken to send: what was offered to it, as far as it uses
    /// that.
    pub(crate) fn rcv_mss(&self) -> u32 {
        u32::from(crate::options::default_mss(self.flow.remote.ip)).max(self.largest_received)
    }

    /// Bytes that wait for the user.
    pub(crate) fn waiting(&self) -> usize {
        self.received.len()
    }

    /// The way to the peer; found anew when the routes have changed.
    ///
    /// # Errors
    /// As [`Context::route`].
    pub(crate) fn route(&mut self, cx: &mut Context<'_>) -> Result<Route, Error> {
        if let Some(route) = self.route
            && route.version == cx.inet.route_version()
        {
            return Ok(route);
        }
        self.route = None;
        let route = cx.route(&sockeye_core::RouteQuery {
            destination: self.flow.remote.ip,
            source: (!self.flow.local.ip.is_unspecified()).then_some(self.flow.local.ip),
            interface: self.interface,
            foreign_source: self.marks.foreign || self.settings.common.free_bind,
        })?;
        // socket(7), SO_DONTROUTE: only hosts that are directly connected.
        if self.settings.dont_route && route.next_hop != self.flow.remote.ip && !route.local {
            return Err(Error::NetworkUnreachable);
        }
        self.route = Some(route);
        self.update_mss(&route);
        Ok(route)
    }
}
