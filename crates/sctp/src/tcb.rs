//! One association: its transmission control block (RFC 9260 §14.2 of RFC 4960's numbering), and what
//! every chapter does to it.

use crate::State;
use crate::asconf::AddressConfiguration;
use crate::auth::{Authenticator, RANDOM_LEN};
use crate::control::Replies;
use crate::deadlines::Deadlines;
use crate::inbound::{Delivered, Inbound};
use crate::info::{AssocChange, AssocId, KeyChange, Notification, PathInfo, PathState};
use crate::outbound::Outbound;
use crate::outstanding::Outstanding;
use crate::partial::PartialReliability;
use crate::path::{Beat, Path};
use crate::reconfig::Reconfiguration;
use crate::rto::Rto;
use crate::settings::Settings;
use crate::setup::PRESERVATIVE_MAX;
use crate::statistics::AssocStats;
use bytes::Bytes;
use smallvec::SmallVec;
use sockeye_core::TransportId;
use sockeye_core::demux::{Claim, Endpoint};
use sockeye_core::{Context, Counter, Error, Handle, Instant, SocketId, TimerSlot};
use sockeye_wire::sctp::{DATA_HEADER_LEN, I_DATA_HEADER_LEN};
use std::collections::VecDeque;
use std::net::IpAddr;

/// The most addresses that one side of an association has.
pub(crate) const ADDRESSES_MAX: usize = 16;

/// Addresses of one side.
pub(crate) type Addresses = SmallVec<[IpAddr; 4]>;

/// Verification tags, and the random ones that a restarting peer's cookie is known again by
/// (RFC 9260 §5.2.2); 0 for not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tags {
    pub(crate) local: u32,
    pub(crate) peer: u32,
    pub(crate) local_tie: u32,
    pub(crate) peer_tie: u32,
}

/// What the peer's INIT or INIT ACK says that it knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Abilities {
    pub(crate) ecn: bool,
    pub(crate) forward_tsn: bool,
    pub(crate) interleaving: bool,
    pub(crate) reconfiguration: bool,
    pub(crate) address_configuration: bool,
    pub(crate) authentication: bool,
    pub(crate) adaptation: Option<u32>,
    /// The alternate error detection method under which it takes packets without a checksum.
    pub(crate) zero_checksum: Option<u32>,
}

/// The handshake of the side that began it.
#[derive(Debug, Default)]
pub(crate) struct Opening {
    /// The peer's cookie, once it came.
    pub(crate) cookie: Bytes,
    /// The chunks that are sent with the cookie: errors about the INIT ACK.
    pub(crate) beside: Vec<u8>,
    /// INITs, or COOKIE ECHOs, sent again.
    pub(crate) retries: u32,
    /// The path that the last one went by.
    pub(crate) path: usize,
    /// When the last one went, if it was the first.
    pub(crate) sent_at: Option<Instant>,
    /// A stale cookie was answered by a new INIT with this preservative.
    pub(crate) preservative: u32,
}

/// Acknowledgments that are due (RFC 9260 §6.2).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Acknowledgment {
    /// Something is not acknowledged.
    pub(crate) pending: bool,
    /// It is to be acknowledged now.
    pub(crate) due: bool,
    /// Packets with data since the last SACK.
    pub(crate) packets: u32,
    /// The path that the last data came by.
    pub(crate) path: usize,
    /// DATA has come.
    pub(crate) begun: bool,
    /// The window that was advertised last.
    pub(crate) advertised: u32,
    /// The lowest TSN of a packet that was marked with CE, until the peer says CWR.
    pub(crate) marked: Option<u32>,
}

/// What makes an association.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) local_port: u16,
    pub(crate) peer_port: u16,
    pub(crate) tags: Tags,
    pub(crate) local_tsn: u32,
    pub(crate) peer_tsn: u32,
    pub(crate) peer_window: u32,
    /// Streams out and in.
    pub(crate) streams: (u16, u16),
    pub(crate) local: Addresses,
    /// The primary path's first.
    pub(crate) peer: SmallVec<[Endpoint; 4]>,
    pub(crate) abilities: Abilities,
}

/// An association.
#[derive(Debug)]
pub(crate) struct Association {
    pub(crate) id: SocketId,
    pub(crate) assoc: AssocId,
    /// Whose it is; nobody's once its user has closed it.
    pub(crate) owner: Option<SocketId>,
    pub(crate) state: State,
    pub(crate) local_port: u16,
    pub(crate) peer_port: u16,
    pub(crate) local: Addresses,
    pub(crate) tags: Tags,
    pub(crate) abilities: Abilities,
    pub(crate) settings: Settings,
    pub(crate) paths: Vec<Path>,
    pub(crate) primary: usize,
    /// Where data goes now.
    pub(crate) data_path: usize,
    pub(crate) opening: Opening,
    /// Streams out and in.
    pub(crate) streams: (u16, u16),
    pub(crate) outbound: Outbound,
    pub(crate) outstanding: Outstanding,
    /// The peer's window, less what is in flight.
    pub(crate) rwnd: u64,
    /// The peer's window was closed when it was last told.
    pub(crate) window_closed: bool,
    /// A closed window may be probed now.
    pub(crate) probe_due: bool,
    /// Fast recovery ends when this position is acknowledged.
    pub(crate) recovery: Option<u64>,
    /// One packet may go whatever the window says (RFC 9260 §7.2.4, §6.3.3).
    pub(crate) free_packet: bool,
    /// Bytes of new data that may go until the next SACK (RFC 9260 §6.1 D).
    pub(crate) burst: u64,
    /// Errors in a row, over all paths.
    pub(crate) errors: u32,
    pub(crate) inbound: Inbound,
    pub(crate) ack: Acknowledgment,
    /// COOKIE ACK goes first in the next packet, by this path.
    pub(crate) cookie_ack: Option<usize>,
    /// Chunks that wait for the next packet: answers to what came.
    pub(crate) replies: Replies,
    /// Bytes that the socket has not read.
    pub(crate) unread: usize,
    /// The user wants the end as soon as the association stands.
    pub(crate) shutdown_wanted: bool,
    pub(crate) delivered: VecDeque<Delivered>,
    pub(crate) notices: VecDeque<Notification>,
    /// Why it ended.
    pub(crate) failure: Option<Error>,
    /// The socket may write again.
    pub(crate) writable: bool,
    /// Nobody wrote because there was no room.
    pub(crate) wants_room: bool,
    pub(crate) partial: PartialReliability,
    pub(crate) reconfig: Reconfiguration,
    pub(crate) asconf: AddressConfiguration,
    /// How chunks are signed, once both sides have said how (RFC 4895).
    pub(crate) authenticator: Option<Authenticator>,
    /// The key that the peer signed with last.
    pub(crate) peer_key: u16,
    /// Deactivated keys that messages still need.
    pub(crate) retiring_keys: Vec<u16>,
    /// The random number of our INIT.
    pub(crate) random: Option<[u8; RANDOM_LEN]>,
    pub(crate) deadlines: Deadlines,
    pub(crate) timer: TimerSlot,
    /// It stands in the list of those who have something to send.
    pub(crate) listed: bool,
    /// What a packet has changed is not in the tables yet.
    pub(crate) unsettled: bool,
    /// The addresses under which it stands in the table.
    pub(crate) linked: SmallVec<[Endpoint; 4]>,
    /// It has left CLOSED once.
    pub(crate) opened: bool,
    /// It counts to SctpCurrEstab.
    pub(crate) counted: bool,
    pub(crate) claims: SmallVec<[Claim; 1]>,
    /// When it last heard or said data.
    pub(crate) active_at: Instant,
    pub(crate) udp_port: u16,
    /// Cookies that say our tag are good until then; long ago where there was none.
    pub(crate) cookies_until: Instant,
    pub(crate) stats: AssocStats,
}

impl Association {
    pub(crate) fn new(
        cx: &Context<'_>,
        id: SocketId,
        assoc: AssocId,
        owner: SocketId,
        settings: Settings,
        terms: Terms,
    ) -> Self {
        let paths: Vec<Path> = terms
            .peer
            .iter()
            .map(|&remote| Path::new(remote, settings.path, Rto::new(settings.rto), cx.now))
            .collect();
        let header_len = data_header_len(terms.abilities.interleaving);
        let mut outbound = Outbound::new(terms.streams.0, terms.abilities.interleaving);
        outbound.set_discipline(settings.discipline);
        let mut inbound = Inbound::new(terms.peer_tsn, terms.streams.1);
        inbound.set_partial_delivery_point(settings.partial_delivery_point);
        Self {
            id,
            assoc,
            owner: Some(owner),
            state: State::Closed,
            local_port: terms.local_port,
            peer_port: terms.peer_port,
            local: terms.local,
            tags: terms.tags,
            abilities: terms.abilities,
            paths,
            primary: 0,
            data_path: 0,
            opening: Opening::default(),
            streams: terms.streams,
            outbound,
            outstanding: Outstanding::new(terms.local_tsn, header_len),
            rwnd: terms.peer_window.into(),
            window_closed: false,
            probe_due: false,
            recovery: None,
            free_packet: false,
            burst: 0,
            errors: 0,
            inbound,
            ack: Acknowledgment::default(),
            cookie_ack: None,
            replies: Replies::default(),
            unread: 0,
            shutdown_wanted: false,
            delivered: VecDeque::new(),
            notices: VecDeque::new(),
            failure: None,
            writable: false,
            wants_room: false,
            partial: PartialReliability::default(),
            reconfig: Reconfiguration::new(terms.local_tsn, terms.peer_tsn),
            asconf: AddressConfiguration::new(terms.local_tsn, terms.peer_tsn),
            authenticator: None,
            peer_key: 0,
            retiring_keys: Vec::new(),
            random: None,
            deadlines: Deadlines::default(),
            timer: TimerSlot::default(),
            listed: false,
            unsettled: false,
            linked: SmallVec::new(),
            opened: false,
            counted: false,
            claims: SmallVec::new(),
            active_at: cx.now,
            udp_port: cx.config.sctp.udp_port,
            cookies_until: Instant::ZERO,
            stats: AssocStats::default(),
            settings,
        }
    }

    pub(crate) const fn handle(&self) -> Handle {
        Handle {
            transport: TransportId::SCTP,
            id: self.id,
        }
    }

    /// The path to `remote`.
    pub(crate) fn path_to(&self, remote: Endpoint) -> Option<usize> {
        self.paths.iter().position(|path| path.remote == remote)
    }

    /// A path to `remote`, not confirmed yet.
    pub(crate) fn new_path(&self, remote: Endpoint, now: Instant) -> Path {
        Path::new(remote, self.settings.path, Rto::new(self.settings.rto), now)
    }

    /// Bytes of user data that one chunk carries (RFC 9260 §6.9, AMDCS less the chunk's header).
    /// RFC 9260 §6.9-7, §6.9-8.
    pub(crate) fn fragment_len(&self) -> usize {
        let pmdcs = self.paths.iter().map(Path::pmdcs).min().unwrap_or(0);
        let header = data_header_len(self.abilities.interleaving) + self.auth_room();
        let most = (pmdcs as usize).saturating_sub(header).max(4);
        match self.settings.fragment_max as usize {
            0 => most,
            wanted => most.min(wanted),
        }
    }

    /// Max.Burst packets.
    pub(crate) fn burst_len(&self) -> u64 {
        let pmdcs = u64::from(self.paths[self.data_path].pmdcs());
        match self.settings.max_burst {
            0 => u64::MAX,
            packets => pmdcs.saturating_mul(packets.into()),
        }
    }

    /// Bytes that wait to be sent or acknowledged.
    pub(crate) fn send_held(&self) -> usize {
        self.outbound.queued() + self.outstanding.held()
    }

    /// Everything that was given to be sent is acknowledged.
    pub(crate) fn is_drained(&self) -> bool {
        self.outbound.is_empty() && self.outstanding.is_empty()
    }

    /// Bytes that the peer may send (RFC 9260 §6.2), in steps that avoid silly windows.
    /// RFC 9260 §6.2-5.
    pub(crate) fn receive_window(&self) -> u32 {
        let buffer = self.settings.common.receive_buffer;
        let used = self.inbound.held() + self.unread;
        let free = buffer.saturating_sub(used);
        let silly = free < buffer / 2 && free < self.fragment_len();
        match silly {
            true => 0,
            false => u32::try_from(free).unwrap_or(u32::MAX),
        }
    }

    /// Whether what is new is dropped (RFC 9260 §6.2): the peer was told that the window is closed, and it
    /// is. What the peer was told of before that has its place, however little of it is left.
    /// RFC 9260 §6.2-1, §6.2-2.
    pub(crate) fn is_full(&self) -> bool {
        let used = self.inbound.held() + self.unread;
        let told = self.ack.advertised == 0 || used >= self.settings.common.receive_buffer;
        told && self.receive_window() == 0
    }

    /// The association stands.
    pub(crate) fn establish(&mut self, cx: &mut Context<'_>, opener: bool) {
        self.state = State::Established;
        self.opened = true;
        self.deadlines.t1 = Instant::FAR;
        self.opening = Opening::default();
        self.errors = 0;
        self.active_at = cx.now;
        self.note_cookies(cx.now);
        self.writable = true;
        self.burst = self.burst_len();
        if !self.counted {
            self.counted = true;
            cx.counters.add(Counter::SctpCurrEstab);
            cx.counters.add(match opener {
                true => Counter::SctpActiveEstabs,
                false => Counter::SctpPassiveEstabs,
            });
        }
        for path in &mut self.paths {
            path.errors = 0;
            path.resume_search(cx.now);
            path.schedule_beat(cx);
        }
        self.touch_autoclose(cx.now);
        self.notify_change(
            cx,
            AssocChange::Up {
                streams: self.streams,
            },
            0,
        );
        if let Some(indication) = self.abilities.adaptation {
            let assoc = self.assoc;
            self.notify(cx, Notification::Adaptation { assoc, indication });
        }
        if self.settings.authentication && self.authenticator.is_none() {
            self.notify_key(cx, 0, KeyChange::NoAuthentication);
        }
        if self.shutdown_wanted {
            self.begin_shutdown(cx);
        }
    }

    /// No cookie that was made until now says our tag for longer than this; with later ones go others.
    pub(crate) fn note_cookies(&mut self, now: Instant) {
        self.cookies_until = now + self.settings.cookie_life + PRESERVATIVE_MAX;
    }

    /// SCTP_AUTOCLOSE counts from the last data.
    pub(crate) fn touch_autoclose(&mut self, now: Instant) {
        self.active_at = now;
        self.deadlines.autoclose = crate::settings::end_of(now, self.settings.autoclose);
    }

    /// It is over: nothing is sent or waited for any more.
    pub(crate) fn close(&mut self, cx: &mut Context<'_>, failure: Option<Error>) {
        if self.state == State::Closed {
            return;
        }
        self.state = State::Closed;
        self.failure = failure;
        self.deadlines = Deadlines::default();
        for path in &mut self.paths {
            path.t3 = Instant::FAR;
            path.beat = Beat::NEVER;
        }
        if core::mem::take(&mut self.counted) {
            cx.counters.add_n(Counter::SctpCurrEstab, u64::MAX);
        }
    }

    /// Chooses where data goes: to the primary path while it answers (RFC 9260 §6.4), else to another
    /// one that does, else to one that has failed less (RFC 7829 §3).
    pub(crate) fn choose_path(&mut self) {
        let rank = |state: PathState| match state {
            PathState::Active => 0,
            PathState::PotentiallyFailed => 1,
            PathState::Inactive => 2,
            PathState::Unconfirmed => 3,
        };
        let primary = self.primary;
        let best = (0..self.paths.len()).min_by_key(|&at| {
            let path = &self.paths[at];
            let errors = match path.state {
                PathState::Active => 0,
                _ => path.errors,
            };
            (rank(path.state), errors, at != primary, at)
        });
        self.data_path = best.unwrap_or(primary);
    }

    /// What SCTP_GET_PEER_ADDR_INFO tells of a path.
    pub(crate) fn path_info(&self, at: usize) -> PathInfo {
        let path = &self.paths[at];
        PathInfo {
            address: self.settings.show(path.remote),
            state: path.state,
            cwnd: path.window.cwnd(),
            ssthresh: path.window.ssthresh(),
            flight: path.flight,
            srtt: path.rto.srtt(),
            rto: path.rto.current(),
            mtu: path.mtu,
            errors: path.errors,
        }
    }
}

/// Bytes of a chunk before the user data.
pub(crate) const fn data_header_len(interleaving: bool) -> usize {
    match interleaving {
        true => I_DATA_HEADER_LEN,
        false => DATA_HEADER_LEN,
    }
}
