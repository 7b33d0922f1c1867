//! A connection: what RFC 4340 keeps of it, and what it holds for its user.

use crate::ccid::ccid3_receiver::Receiver;
use crate::ccid::{CCID3, Sender};
use crate::emit::Carrier;
use crate::features::{Feature, Features};
use crate::flows::Tuple;
use crate::history::History;
use crate::queues::{ReceiveQueue, SendQueue};
use crate::reset::RateLimit;
use crate::rtt::Departures;
use crate::sequence::{Sequence, Widths};
use crate::settings::Settings;
use crate::state::State;
use core::time::Duration;
use smallvec::SmallVec;
use sockeye_core::demux::Claim;
use sockeye_core::{
    Context, Error, Event, Handle, Instant, InterfaceId, Readiness, Route, RouteQuery, TimerSlot,
    TransportId,
};
use sockeye_wire::dccp::options::Side;
use sockeye_wire::dccp::{PacketType, ResetCode, Seq, fixed_len};
use sockeye_wire::{ipv4, ipv6, udp};
use std::sync::Arc;

/// The Sequence Window that is asked for at first: RFC 4340 §7.5.2, five times what is expected to be
/// under way.
pub(crate) const SEQUENCE_WINDOW: u64 = 500;
/// Bytes that are left for options in a packet with data.
pub(crate) const OPTIONS_RESERVE: usize = 32;

/// What is true of a connection or not.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Marks {
    /// A user holds it.
    pub(crate) user: bool,
    /// It waits to be accepted.
    pub(crate) unaccepted: bool,
    /// It stands in a list of those who have something to send.
    pub(crate) listed: bool,
    /// The demux knows its flow.
    pub(crate) linked: bool,
    /// The user has not been told that it stands.
    pub(crate) untold: bool,
    /// What is queued goes out, then it closes.
    pub(crate) closing: bool,
    /// The user sends no more, or does not receive any more.
    pub(crate) write_shut: bool,
    pub(crate) read_shut: bool,
    /// The peer's application does not listen any more (RFC 4340 §11.7.2, Drop Code 1).
    pub(crate) unheard: bool,
    /// A Listen has triggered a Request (RFC 5596 §2.2.3.1).
    pub(crate) triggered: bool,
    /// Its Request was answered with a Reset: TIMEWAIT is due.
    pub(crate) refused: bool,
    /// Data of a Request or Response was delivered.
    pub(crate) early_data: bool,
    /// It held the send buffer full: the user waits for room.
    pub(crate) blocked: bool,
}

/// What waits for the next packet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Owed {
    /// An acknowledgement.
    pub(crate) ack: bool,
    /// RFC 4340 §13.1: a timestamp to be echoed, and when it came.
    pub(crate) echo: Option<(u32, Instant)>,
}

/// What is waited for; [`Instant::FAR`] is never.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    /// The packet of this state goes again: Request, Ack, CloseReq or Close.
    pub(crate) again: Instant,
    /// The state has lasted too long.
    pub(crate) give_up: Instant,
    pub(crate) delayed_ack: Instant,
    /// Change options go again.
    pub(crate) features: Instant,
    pub(crate) keep_alive: Instant,
    /// The sender lets the next data packet go.
    pub(crate) pace: Instant,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            again: Instant::FAR,
            give_up: Instant::FAR,
            delayed_ack: Instant::FAR,
            features: Instant::FAR,
            keep_alive: Instant::FAR,
            pace: Instant::FAR,
        }
    }
}

/// How often what goes again has gone, and how long was waited last.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Backoff {
    pub(crate) again: Duration,
    pub(crate) features: Duration,
    pub(crate) tries: u32,
    pub(crate) probes: u32,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) handle: Handle,
    pub(crate) tuple: Tuple,
    pub(crate) state: State,
    pub(crate) server: bool,
    pub(crate) settings: Arc<Settings>,
    pub(crate) service: u32,
    pub(crate) claim: Option<Claim>,
    pub(crate) marks: Marks,
    pub(crate) seqs: Sequence,
    pub(crate) features: Features,
    pub(crate) history: History,
    pub(crate) sender: Sender,
    /// CCID 3's receiver, where the peer sends by that.
    pub(crate) receiver: Option<Box<Receiver>>,
    pub(crate) queue: SendQueue,
    pub(crate) received: ReceiveQueue,
    pub(crate) owed: Owed,
    /// Init Cookie options as the server sent them (RFC 4340 §8.1.4).
    pub(crate) cookies: SmallVec<[u8; 64]>,
    pub(crate) deadlines: Deadlines,
    pub(crate) backoff: Backoff,
    pub(crate) timer: TimerSlot,
    pub(crate) route: Option<Route>,
    pub(crate) flow_label: u32,
    /// A server's Response: who acknowledges it may be in PARTOPEN.
    pub(crate) response: Option<Seq>,
    /// Where the last packet came in.
    pub(crate) interface: InterfaceId,
    /// Packets without data that were sent last, one after the other (RFC 4340 §7.7).
    pub(crate) no_data_run: u64,
    pub(crate) departures: Departures,
    /// Data packets received since the last acknowledgement.
    pub(crate) unacknowledged: u64,
    pub(crate) syncs: RateLimit,
    pub(crate) sync_acks: RateLimit,
    /// When the state began, when a valid packet came last, and when the newest one did.
    pub(crate) since: Instant,
    pub(crate) heard_at: Instant,
    pub(crate) newest_at: Instant,
    /// Until then the peer can't keep up (RFC 4340 §11.6).
    pub(crate) slow_until: Instant,
    pub(crate) error: Option<Error>,
    pub(crate) soft_error: Option<Error>,
    /// How it was reset, by us or the peer.
    pub(crate) reset: Option<ResetCode>,
    pub(crate) charged: usize,
}

impl Conn {
    /// One at its beginning; nothing has been sent.
    pub(crate) fn new(
        cx: &Context<'_>,
        handle: Handle,
        tuple: Tuple,
        server: bool,
        settings: Arc<Settings>,
        iss: Seq,
    ) -> Self {
        let service = settings.service;
        Self {
            handle,
            tuple,
            state: State::Closed,
            server,
            service,
            claim: None,
            marks: Marks::default(),
            seqs: Sequence::new(iss),
            features: Self::features(&settings, server),
            settings,
            history: History::default(),
            sender: Sender::new(crate::ccid::CCID2, 1400, cx.now),
            receiver: None,
            queue: SendQueue::default(),
            received: ReceiveQueue::default(),
            owed: Owed::default(),
            cookies: SmallVec::new(),
            deadlines: Deadlines::default(),
            backoff: Backoff::default(),
            timer: TimerSlot::default(),
            route: None,
            flow_label: 0,
            response: None,
            interface: InterfaceId::LOOPBACK,
            no_data_run: 0,
            departures: Departures::default(),
            unacknowledged: 0,
            syncs: RateLimit::default(),
            sync_acks: RateLimit::default(),
            since: cx.now,
            heard_at: Instant::ZERO,
            newest_at: cx.now,
            slow_until: Instant::ZERO,
            error: None,
            soft_error: None,
            reset: None,
            charged: 0,
        }
    }

    /// What is preferred and asked for at the beginning.
    pub(crate) fn features(settings: &Settings, server: bool) -> Features {
        let mut features = Features::new(server);
        for (side, ccids) in [
            (Side::Local, &settings.tx_ccids),
            (Side::Remote, &settings.rx_ccids),
        ] {
            features.prefer(Feature::Ccid, side, ccids);
            // RFC 4340 §10-1 and §10.3-1: of clients and servers.
            // RFC 4340 §10: who does not take the default MUST say so, Mandatory.
            let mandatory = !ccids.contains(&crate::ccid::CCID2);
            features.ask(Feature::Ccid, side, mandatory);
        }
        for (side, coverage) in [
            (Side::Remote, settings.send_coverage),
            (Side::Local, settings.receive_coverage),
        ] {
            let upwards: SmallVec<[u8; 16]> = (coverage..=15).collect();
            if coverage > 0 {
                features.prefer(Feature::MinimumCoverage, side, &upwards);
                features.ask(Feature::MinimumCoverage, side, false);
            }
        }
        // RFC 4341 §4-1: Change R(Send Ack Vector, 1).
        // RFC 4341 §4: MUST be asked for; both directions are, so that the handshake settles it.
        // CCID 3 does without (RFC 4342 §6).
        if settings.tx_ccids.contains(&crate::ccid::CCID2) {
            features.ask(Feature::SendAckVector, Side::Remote, true);
        }
        if settings.rx_ccids.contains(&crate::ccid::CCID2) {
            features.ask(Feature::SendAckVector, Side::Local, false);
        }
        if settings.short {
            // §7.6.1: it is for who sends them to ask, and for both to want them.
            features.prefer(Feature::AllowShort, Side::Local, &[1, 0]);
            features.prefer(Feature::AllowShort, Side::Remote, &[1, 0]);
            features.ask(Feature::AllowShort, Side::Local, false);
        }
        if settings.data_checksum {
            // RFC 4340 §9.3.1: Mandatory, as it is of no use else.
            features.ask(Feature::CheckDataChecksum, Side::Remote, true);
        }
        features.announce(Feature::SequenceWindow, SEQUENCE_WINDOW);
        features
    }

    /// The widths of both windows.
    pub(crate) fn widths(&self) -> Widths {
        Widths {
            local: self.features.local(Feature::SequenceWindow),
            remote: self.features.remote(Feature::SequenceWindow),
        }
    }

    /// The CCIDs are agreed on: congestion control begins.
    pub(crate) fn begin_ccids(&mut self, cx: &mut Context<'_>) {
        let size = self
            .route(cx)
            .map_or(0, |route| self.max_packet_size(&route));
        let size = u32::try_from(size).unwrap_or(u32::MAX).clamp(1, 65_535);
        let ccid = u8::try_from(self.features.local(Feature::Ccid)).unwrap_or(crate::ccid::CCID2);
        self.sender = Sender::new(ccid, size, cx.now);
        self.begin_receiving(cx);
        if ccid == CCID3 {
            // RFC 4342 §8.4-1: negotiated.
            // RFC 4342 §8.4: the rate beside the intervals.
            self.features
                .ask(Feature::SendLossEventRate, Side::Remote, false);
        }
    }

    /// What the peer's CCID asks of its receiver.
    pub(crate) fn begin_receiving(&mut self, cx: &Context<'_>) {
        let ccid3 = self.features.remote(Feature::Ccid) == u64::from(CCID3);
        self.receiver = ccid3.then(|| Box::new(Receiver::new(cx.now, self.sender.rtt())));
    }

    /// Enters a state, and tells.
    pub(crate) fn enter(&mut self, cx: &mut Context<'_>, state: State) {
        let from = core::mem::replace(&mut self.state, state);
        if from == state {
            return;
        }
        self.since = cx.now;
        self.deadlines.again = Instant::FAR;
        self.deadlines.give_up = Instant::FAR;
        self.backoff.again = Duration::ZERO;
        self.backoff.tries = 0;
        cx.tell(&Event::State {
            socket: self.handle,
            flow: Some(self.tuple.flow),
            from: from.name(),
            to: state.name(),
        });
    }

    /// The connection has ended. `error` is what its user is told.
    pub(crate) fn ended(&mut self, cx: &mut Context<'_>, state: State, error: Option<Error>) {
        self.enter(cx, state);
        self.error = error.or(self.error);
        self.queue.clear();
        self.owed = Owed::default();
        self.deadlines = Deadlines::default();
        self.signal(
            cx,
            Readiness::READABLE
                | Readiness::WRITABLE
                | Readiness::HANGUP
                | Readiness::READ_CLOSED
                | match error {
                    Some(_) => Readiness::ERROR,
                    None => Readiness::empty(),
                },
        );
    }

    /// Says that the user can go on.
    pub(crate) fn signal(&self, cx: &mut Context<'_>, what: Readiness) {
        if self.marks.user {
            cx.set_ready(self.handle, what);
        }
    }

    /// The way to the peer, looked up again when routes have changed.
    pub(crate) fn route(&mut self, cx: &mut Context<'_>) -> Result<Route, Error> {
        if let Some(route) = self.route
            && route.version == cx.inet.route_version()
        {
            return Ok(route);
        }
        let common = &self.settings.common;
        let route = cx.route(&RouteQuery {
            destination: self.tuple.flow.remote.ip,
            source: Some(self.tuple.flow.local.ip),
            interface: common.out_interface(self.tuple.flow.remote),
            foreign_source: common.may_bind_anywhere(),
        })?;
        self.route = Some(route);
        Ok(route)
    }

    /// What the IP headers say.
    pub(crate) fn carrier(&self) -> Carrier {
        let carrier = Carrier::new(
            &self.settings.common,
            self.tuple.flow.remote.ip,
            self.flow_label,
        );
        // RFC 4340 §12.1-2: so they are.
        // RFC 4340 §12.1: MUST be sent as ECN incapable to who can't read it.
        match self.features.remote(Feature::EcnIncapable) == 1 {
            true => carrier,
            false => carrier.ecn_capable(),
        }
    }

    /// Bytes of DCCP packet that the path carries.
    pub(crate) fn room(&self, route: &Route) -> usize {
        let header = match self.tuple.flow.remote.ip.is_ipv4() {
            true => ipv4::HEADER_LEN,
            false => ipv6::HEADER_LEN,
        };
        // RFC 6773 §3.7.
        let encap = self.tuple.encap.map_or(0, |_| udp::HEADER_LEN);
        (route.mtu as usize).saturating_sub(header + encap)
    }

    /// RFC 4340 §14: MPS, the largest packet that the user may send.
    /// RFC 4340 §14-1 and §14.1-1: as the route has the path's MTU.
    pub(crate) fn max_packet_size(&self, route: &Route) -> usize {
        let header = fixed_len(PacketType::DataAck, true) + OPTIONS_RESERVE;
        self.room(route).saturating_sub(header)
    }

    /// Whether short sequence numbers may go.
    pub(crate) fn sends_short(&self) -> bool {
        self.features.local(Feature::AllowShort) == 1
    }

    /// Bytes that it holds, for the node's account.
    pub(crate) fn account(&mut self, cx: &mut Context<'_>) {
        let held = self.queue.bytes() + self.received.pinned();
        cx.memory.charge(TransportId::DCCP, &mut self.charged, held);
    }

    pub(crate) fn release_memory(&mut self, cx: &mut Context<'_>) {
        cx.memory.charge(TransportId::DCCP, &mut self.charged, 0);
    }
}
