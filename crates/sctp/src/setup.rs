//! The handshake (RFC 9260 §5.1): INIT, INIT ACK, COOKIE ECHO, COOKIE ACK, and T1.
//!
//! What an INIT says lies in the cookie alone until it comes back.

use crate::arrival::Arrival;
use crate::auth::Terms as Terms4895;
use crate::cookie::{Contents, Failure};
use crate::endpoint::Style;
use crate::info::AssocChange;
use crate::offer::{self, Offer};
use crate::ootb::{refuse, send_alone};
use crate::path::Path;
use crate::receive::NOT_ALONE;
use crate::tcb::{Association, Tags, Terms};
use crate::{Sctp, State, addresses};
use bytes::Bytes;
use core::time::Duration;
use sockeye_core::{Context, Counter, Error, Instant, SocketId};
use sockeye_wire::sctp::{
    Cause, Chunk, CookieEcho, Init, InitAck, List, OperationError, Parameter, ParameterType, Tsn,
};

/// A peer may make its cookie live longer by so much at most.
pub(crate) const PRESERVATIVE_MAX: Duration = Duration::from_secs(10);

/// A random tag or TSN; tags are never 0 (RFC 9260 §5.3.1).
/// RFC 9260 §5.3.1-2.
pub(crate) fn random_tag(cx: &mut Context<'_>) -> u32 {
    cx.rng.next_u32().max(1)
}

impl Sctp {
    /// An INIT (RFC 9260 §5.1 B; §5.2.1 and §5.2.2 where there is an association already).
    /// RFC 9260 §3.3.2-3, §3.3.2-5, §3.3.2.1.4-2, §5.1-12, §5.1.2-2, §8.4-2, §12.2.4.1-1, §12.3-3,
    /// §8.5.1-2.
    pub(crate) fn init_arrives(
        &mut self,
        cx: &mut Context<'_>,
        arrival: &Arrival,
        existing: Option<SocketId>,
    ) {
        let mut walk = arrival.walk();
        let init = walk.next().and_then(Result::ok);
        let Some(init) = init.and_then(|chunk| Init::parse(&chunk).ok()) else {
            cx.drop_packet(Counter::SctpInPktDiscards);
            return;
        };
        // RFC 9260 §8.5.1 A: its packet has the tag 0 and nothing else in it; §3.3.2: never the
        // initiate tag 0.
        if arrival.tag != 0 || walk.next().is_some() || init.initiate_tag == 0 {
            cx.drop_packet(Counter::SctpInPktDiscards);
            return;
        }
        let Ok(offer) = Offer::read(&init) else {
            let cause = Cause::ProtocolViolation(b"malformed parameter");
            self.refuse(cx, arrival, init.initiate_tag, Some(cause));
            return;
        };
        if let Some(name) = offer.host_name {
            let cause = Cause::UnresolvableAddress(name);
            self.refuse(cx, arrival, offer.tag, Some(cause));
            return;
        }
        if offer.terms.is_err() {
            let cause = Cause::ProtocolViolation(b"malformed authentication");
            self.refuse(cx, arrival, offer.tag, Some(cause));
            return;
        }
        if !offer.is_possible() {
            self.refuse(cx, arrival, offer.tag, Some(Cause::InvalidParameter));
            return;
        }
        match existing {
            Some(id) => self.init_again(cx, arrival, &offer, id),
            None => self.init_in_closed(cx, arrival, &offer),
        }
    }

    fn init_in_closed(&mut self, cx: &mut Context<'_>, arrival: &Arrival, offer: &Offer<'_>) {
        let Some(listener) = self.listener_for(arrival) else {
            cx.counters.add(Counter::SctpOutOfBlues);
            self.refuse(cx, arrival, offer.tag, None);
            return;
        };
        if !self.has_room(cx, listener) {
            self.refuse(cx, arrival, offer.tag, Some(Cause::OutOfResource));
            return;
        }
        let Some(endpoint) = self.endpoint(listener) else {
            return;
        };
        let settings = &endpoint.settings;
        let local = addresses::local(cx, settings, &endpoint.addresses(), arrival.remote.ip);
        let tags = Tags {
            local: random_tag(cx),
            peer: offer.tag,
            ..Tags::default()
        };
        let (settings, tsn) = (settings.clone(), cx.rng.next_u32());
        self.answer_init(cx, arrival, offer, &settings, &local, tags, tsn);
    }

    /// Sends an INIT ACK with a cookie that holds all that was said.
    /// RFC 9260 §3.2.2-1, §3.3.3-9, §3.3.3-10, §3.3.3-12, §5.1-3, §5.1-4, §5.1-5, §5.1.1-1,
    /// §5.2.2-9, §3.3.3-4.
    #[allow(
        clippy::too_many_arguments,
        reason = "all that an answer is made of, from two kinds of callers"
    )]
    pub(crate) fn answer_init(
        &mut self,
        cx: &mut Context<'_>,
        arrival: &Arrival,
        offer: &Offer<'_>,
        settings: &crate::settings::Settings,
        local: &[std::net::IpAddr],
        tags: Tags,
        tsn: u32,
    ) {
        let streams = offer.streams_with(settings);
        let peers = addresses::peer(settings, arrival.remote, &offer.addresses);
        let random = settings.authentication.then(|| cx.rng.bytes());
        let peer_terms = offer.terms.as_ref().ok().and_then(Option::as_ref);
        let peer_terms = peer_terms.filter(|_| random.is_some());
        let own_terms = random.filter(|_| peer_terms.is_some()).map(|random| {
            let chunks = crate::auth::required(settings);
            Terms4895::offer(&random, chunks, &settings.algorithms)
        });
        let contents = Contents {
            local_port: arrival.local.port,
            peer_port: arrival.remote.port,
            local_tag: tags.local,
            peer_tag: tags.peer,
            local_tie: tags.local_tie,
            peer_tie: tags.peer_tie,
            local_tsn: tsn,
            peer_tsn: offer.tsn,
            peer_window: offer.window,
            streams_out: streams.0,
            streams_in: streams.1,
            source: arrival.remote.ip,
            destination: arrival.local.ip,
            addresses: peers.iter().skip(1).map(|peer| peer.ip).collect(),
            abilities: offer.abilities_with(settings),
            local_keys: own_terms
                .as_ref()
                .map_or_else(Vec::new, |t| t.vector.clone()),
            peer_keys: peer_terms.map_or_else(Vec::new, |terms| terms.vector.clone()),
        };
        let mut life = settings.cookie_life;
        if cx.config.sctp.cookie_preserve_enable {
            let more = Duration::from_millis(offer.preservative.into());
            life += more.min(PRESERVATIVE_MAX);
        }
        let cookie = self.jar.seal(cx.rng, &contents, cx.now, life);
        let mut parameters = Vec::new();
        Parameter::StateCookie(&cookie).emit(&mut parameters);
        parameters.resize(parameters.len().next_multiple_of(4), 0);
        parameters.extend(offer::parameters(
            settings,
            local,
            Some(&contents.abilities),
        ));
        if let Some(random) = random.filter(|_| own_terms.is_some()) {
            let chunks = crate::auth::required(settings);
            crate::auth::parameters(&random, chunks, &settings.algorithms, &mut parameters);
        }
        for raw in sockeye_wire::sctp::Parameters::new(&offer.unrecognized).flatten() {
            parameters.resize(parameters.len().next_multiple_of(4), 0);
            Parameter::Unrecognized(raw.bytes).emit(&mut parameters);
        }
        let mut out = Vec::new();
        InitAck(Init {
            initiate_tag: tags.local,
            a_rwnd: window_of(settings.common.receive_buffer),
            // RFC 9260 §3.3.3: not more than the INIT allows.
            outbound_streams: streams.0,
            inbound_streams: settings.init.in_streams_max,
            initial_tsn: Tsn(tsn),
            parameters: &parameters,
        })
        .emit(&mut out);
        send_alone(cx, arrival, offer.tag, &out);
    }

    /// RFC 9260 §5.1.5: a COOKIE ECHO without an association.
    /// RFC 9260 §5.3.1-2.
    pub(crate) fn cookie_echo_in_closed(
        &mut self,
        cx: &mut Context<'_>,
        arrival: &Arrival,
        chunk: &Chunk<'_>,
    ) {
        let Some((contents, stale)) = self.open_cookie(cx, arrival, chunk) else {
            return;
        };
        // §5.2.4: both sides call at the same time, and ours knows another of the peer's addresses yet.
        if let Some(id) = self.find_by_cookie(arrival, &contents) {
            match self.cookie_echo_again(cx, arrival, chunk, id) {
                true => self.rest_of_packet(cx, id, arrival, 1),
                false => self.settle(cx, id),
            }
            return;
        }
        if let Some(staleness) = stale {
            if self.may_answer(cx) {
                stale_cookie(cx, arrival, contents.peer_tag, staleness);
            }
            return;
        }
        // §5.3.1: an association has another tag than one before it with the same peer. So a cookie that
        // comes again makes none; whoever still waits for its answer learns that there is none.
        if self.spent.contains(&contents) {
            cx.counters.add(Counter::SctpCookiesSpent);
            self.refuse(cx, arrival, contents.peer_tag, None);
            return;
        }
        let Some(listener) = self.listener_for(arrival) else {
            cx.counters.add(Counter::SctpOutOfBlues);
            self.refuse(cx, arrival, contents.peer_tag, None);
            return;
        };
        if !self.has_room(cx, listener) {
            self.refuse(cx, arrival, contents.peer_tag, Some(Cause::OutOfResource));
            return;
        }
        let Some(id) = self.admit(cx, listener, arrival, &contents) else {
            return;
        };
        self.rest_of_packet(cx, id, arrival, 1);
    }

    /// The association with an address that a cookie names.
    fn find_by_cookie(&self, arrival: &Arrival, contents: &Contents) -> Option<SocketId> {
        let mut named = [contents.source]
            .into_iter()
            .chain(contents.addresses.iter().copied());
        named.find_map(|ip| self.find(arrival.local, addresses::with_scope(ip, arrival.remote)))
    }

    /// Makes the association that a cookie describes, and says COOKIE ACK.
    fn admit(
        &mut self,
        cx: &mut Context<'_>,
        listener: SocketId,
        arrival: &Arrival,
        contents: &Contents,
    ) -> Option<SocketId> {
        let endpoint = self.endpoint(listener)?;
        let settings = endpoint.settings.clone();
        let bound = endpoint.addresses();
        let local = addresses::local(cx, &settings, &bound, arrival.remote.ip);
        let owner = match endpoint.style {
            Style::OneToMany => listener,
            Style::OneToOne => self.heir(cx, listener)?,
        };
        let id = self.create(cx, owner, settings, terms_of(contents, arrival, local))?;
        let association = self.association_mut(id)?;
        // RFC 9260 §5.4: the address that the INIT ACK went to is confirmed by the cookie.
        let from = addresses::with_scope(contents.source, arrival.remote);
        for path in &mut association.paths {
            if path.remote == from {
                path.state = crate::info::PathState::Active;
            }
        }
        association.choose_path();
        association.primary = association.data_path;
        association.note_encap(arrival);
        association.adopt_keys(&contents.local_keys, &contents.peer_keys);
        association.establish(cx, false);
        let at = association.path_to(arrival.remote).unwrap_or(0);
        association.send_cookie_ack(at);
        Some(id)
    }

    /// A cookie that is this node's and belongs to the packet (RFC 9260 §5.1.5 1 to 4), and by how
    /// many microseconds it is too late, if it is.
    /// RFC 9260 §5.1.5-3.
    pub(crate) fn open_cookie(
        &mut self,
        cx: &mut Context<'_>,
        arrival: &Arrival,
        chunk: &Chunk<'_>,
    ) -> Option<(Contents, Option<u32>)> {
        let echo = CookieEcho::parse(chunk).ok()?;
        let (contents, stale) = match self.jar.open(echo.cookie, cx.now) {
            Ok(contents) => (contents, None),
            Err(Failure::Stale {
                staleness,
                contents,
            }) => (*contents, Some(staleness)),
            Err(Failure::Forged) => {
                cx.drop_packet(Counter::SctpCookiesForged);
                return None;
            }
        };
        let belongs = contents.local_port == arrival.local.port
            && contents.peer_port == arrival.remote.port
            && contents.local_tag == arrival.tag;
        if !belongs {
            cx.drop_packet(Counter::SctpInPktDiscards);
            return None;
        }
        Some((contents, stale))
    }
}

/// RFC 9260 §5.1.5 4): the peer learns that its cookie came too late.
/// RFC 9260 §4-2, §5.1.5-4, §5.2.4-1.
pub(crate) fn stale_cookie(cx: &mut Context<'_>, arrival: &Arrival, tag: u32, staleness: u32) {
    cx.drop_packet(Counter::SctpCookiesStale);
    let mut causes = Vec::new();
    Cause::StaleCookie(staleness).emit(&mut causes);
    let mut out = Vec::new();
    OperationError { causes: &causes }.emit(&mut out);
    send_alone(cx, arrival, tag, &out);
}

/// The association that a cookie describes.
pub(crate) fn terms_of(
    contents: &Contents,
    arrival: &Arrival,
    local: crate::tcb::Addresses,
) -> Terms {
    let first = addresses::with_scope(contents.source, arrival.remote);
    let mut peer: smallvec::SmallVec<[_; 4]> = smallvec::smallvec![first];
    for &ip in &contents.addresses {
        let endpoint = addresses::with_scope(ip, arrival.remote);
        if !peer.contains(&endpoint) {
            peer.push(endpoint);
        }
    }
    Terms {
        local_port: contents.local_port,
        peer_port: contents.peer_port,
        tags: Tags {
            local: contents.local_tag,
            peer: contents.peer_tag,
            ..Tags::default()
        },
        local_tsn: contents.local_tsn,
        peer_tsn: contents.peer_tsn,
        peer_window: contents.peer_window,
        streams: (contents.streams_out, contents.streams_in),
        local,
        peer,
        abilities: contents.abilities,
    }
}

/// The window that a receive buffer stands for.
/// RFC 9260 §3.3.2-6, §3.3.3-6.
pub(crate) fn window_of(buffer: usize) -> u32 {
    u32::try_from(buffer)
        .unwrap_or(u32::MAX)
        .max(offer::WINDOW_MIN)
}

impl Association {
    /// COOKIE-WAIT: the INIT goes out, to the path whose turn it is.
    /// RFC 9260 §3.1-4, §3.3.2-9, §3.3.2-12, §3-1, §5.1-1, §5.1-9, §5.1-10, §6.10-7, §8.5.1-1,
    /// §12.3-1, §12.3-2.
    pub(crate) fn send_init(&mut self, cx: &mut Context<'_>) {
        let mut parameters = offer::parameters(&self.settings, &self.local, None);
        if self.settings.authentication {
            let random = *self.random.get_or_insert_with(|| cx.rng.bytes());
            let kinds = crate::auth::required(&self.settings);
            let algorithms = &self.settings.algorithms;
            crate::auth::parameters(&random, kinds, algorithms, &mut parameters);
        }
        if self.opening.preservative > 0 {
            parameters.resize(parameters.len().next_multiple_of(4), 0);
            Parameter::CookiePreservative(self.opening.preservative).emit(&mut parameters);
        }
        let mut out = Vec::new();
        Init {
            initiate_tag: self.tags.local,
            a_rwnd: window_of(self.settings.common.receive_buffer),
            outbound_streams: self.settings.init.out_streams,
            inbound_streams: self.settings.init.in_streams_max,
            initial_tsn: Tsn(self.outstanding.next_tsn()),
            parameters: &parameters,
        }
        .emit(&mut out);
        let at = self.opening.path;
        // RFC 9260 §8.5.1 A.
        self.send_control_tagged(cx, at, 0, &out);
        self.start_t1(cx);
    }

    /// RFC 9260 §5.1.4-2.
    fn start_t1(&mut self, cx: &mut Context<'_>) {
        let at = self.opening.path;
        self.opening.sent_at = (self.opening.retries == 0).then_some(cx.now);
        let mut rto = self.paths[at].rto.current();
        if !self.settings.init.timeout_max.is_zero() {
            rto = rto.min(self.settings.init.timeout_max);
        }
        self.deadlines.t1 = cx.now + rto;
    }

    /// COOKIE-ECHOED: the cookie goes back, first in its packet (RFC 9260 §5.1.4).
    /// RFC 9260 §3.2.2-2, §3.3.11-1, §3.3.11-2, §5.1-6, §5.1.4-1, §8.5.1-12, §5.4-4, §5.4-5,
    /// §5.4-6.
    pub(crate) fn send_cookie_echo(&mut self, cx: &mut Context<'_>) {
        let cookie = self.opening.cookie.clone();
        let mut out = Vec::new();
        CookieEcho { cookie: &cookie }.emit(&mut out);
        out.extend_from_slice(&self.opening.beside);
        let at = self.opening.path;
        self.send_control_now(cx, at, &out);
        self.start_t1(cx);
    }

    /// T1-init or T1-cookie ran out (RFC 9260 §4 notes 2 and 3).
    /// RFC 9260 §4-3, §4-4, §4-5, §4-6, §4-7, §4-8, §5.1.4-3, §5.1.6-1.
    pub(crate) fn t1_expires(&mut self, cx: &mut Context<'_>) {
        cx.counters.add(match self.state {
            State::CookieWait => Counter::SctpT1InitExpireds,
            _ => Counter::SctpT1CookieExpireds,
        });
        self.opening.retries += 1;
        if self.opening.retries > self.settings.init.attempts_max.into() {
            self.lose(cx, Error::TimedOut);
            return;
        }
        let at = self.opening.path;
        self.paths[at].rto.back_off();
        // §5.1: retransmissions use all addresses of the peer.
        self.opening.path = (at + 1) % self.paths.len().max(1);
        if self.state == State::CookieEchoed {
            let confirmed = (0..self.paths.len())
                .map(|step| (at + 1 + step) % self.paths.len())
                .find(|&next| self.paths[next].is_confirmed());
            self.opening.path = confirmed.unwrap_or(at);
        }
        match self.state {
            State::CookieWait => self.send_init(cx),
            State::CookieEchoed => self.send_cookie_echo(cx),
            _ => {}
        }
    }

    /// An INIT ACK (RFC 9260 §5.1 C); §5.2.3: in any state but COOKIE-WAIT it is discarded.
    /// RFC 9260 §3.3.3-2, §3.3.3-5, §3.3.3-7, §3.3.3-8, §3.3.3-11, §3.3.3-13.
    pub(crate) fn init_ack_arrives(
        &mut self,
        cx: &mut Context<'_>,
        arrival: &Arrival,
        ack: &InitAck<'_>,
    ) {
        if self.state != State::CookieWait {
            return;
        }
        let tag = ack.0.initiate_tag;
        // RFC 9260 §6.10: it is never bundled.
        if arrival.has_several() {
            return self.give_up(cx, arrival, tag, NOT_ALONE);
        }
        let offer = Offer::read(&ack.0).ok();
        let Some(offer) = offer.filter(|offer| offer.terms.is_ok()) else {
            return self.give_up(
                cx,
                arrival,
                tag,
                Cause::ProtocolViolation(b"malformed parameter"),
            );
        };
        if tag == 0 || offer.streams.0 == 0 || offer.streams.1 == 0 {
            return self.give_up(cx, arrival, tag, Cause::InvalidParameter);
        }
        if offer.window < offer::WINDOW_MIN {
            // §3.3.3: the association stays as it is.
            refuse(cx, arrival, tag, Some(Cause::InvalidParameter));
            return;
        }
        if let Some(name) = offer.host_name {
            return self.give_up(cx, arrival, tag, Cause::UnresolvableAddress(name));
        }
        let Some(cookie) = offer.cookie else {
            let missing = [ParameterType::STATE_COOKIE.0];
            return self.give_up(
                cx,
                arrival,
                tag,
                Cause::MissingParameter(List::Values(&missing)),
            );
        };
        self.opening.cookie = Bytes::copy_from_slice(cookie);
        self.opening.beside.clear();
        if !offer.unrecognized.is_empty() {
            let mut causes = Vec::new();
            Cause::UnrecognizedParameters(&offer.unrecognized).emit(&mut causes);
            OperationError { causes: &causes }.emit(&mut self.opening.beside);
        }
        self.tags.peer = tag;
        self.abilities = offer.abilities_with(&self.settings);
        self.streams = offer.streams_with(&self.settings);
        self.agree(offer.tsn, offer.window);
        self.adopt_terms(&offer);
        self.adopt_addresses(cx, arrival, &offer);
        self.note_encap(arrival);
        self.state = State::CookieEchoed;
        self.opening.retries = 0;
        self.send_cookie_echo(cx);
    }

    /// Both sides' words are known: what depends on them is made anew.
    pub(crate) fn agree(&mut self, peer_tsn: u32, window: u32) {
        let interleaving = self.abilities.interleaving;
        self.inbound = crate::inbound::Inbound::new(peer_tsn, self.streams.1);
        self.outbound.set_streams(self.streams.0);
        self.outbound.set_interleaving(interleaving);
        self.outstanding
            .set_header_len(crate::tcb::data_header_len(interleaving));
        self.outbound.set_discipline(self.settings.discipline);
        let point = self.settings.partial_delivery_point;
        self.inbound.set_partial_delivery_point(point);
        let tsn = self.outstanding.next_tsn();
        self.reconfig = crate::reconfig::Reconfiguration::new(tsn, peer_tsn);
        self.asconf = crate::asconf::AddressConfiguration::new(tsn, peer_tsn);
        self.rwnd = window.into();
    }

    /// RFC 9260 §5.1.2: the peer's addresses are those that the INIT ACK lists and where it came from;
    /// §5.4: those that the user named are confirmed.
    fn adopt_addresses(&mut self, cx: &mut Context<'_>, arrival: &Arrival, offer: &Offer<'_>) {
        let peers = addresses::peer(&self.settings, arrival.remote, &offer.addresses);
        let asked = self.paths.get(self.opening.path).map(|path| path.remote);
        let sent_at = self.opening.sent_at;
        let mut old = core::mem::take(&mut self.paths);
        for &remote in &peers {
            let path = match old.iter().position(|path| path.remote == remote) {
                Some(at) => old.swap_remove(at),
                None => self.new_path(remote, cx.now),
            };
            self.paths.push(path);
        }
        let named = |path: &Path| path.state != crate::info::PathState::Unconfirmed;
        let at = (0..self.paths.len())
            .find(|&at| Some(self.paths[at].remote) == asked)
            .unwrap_or(0);
        // Whom the user did not name, the INIT ACK's source for one, has answered all the same.
        if !named(&self.paths[at]) {
            self.paths[at].state = crate::info::PathState::Active;
        }
        if let Some(sent_at) = sent_at {
            self.paths[at]
                .rto
                .measured(cx.now.saturating_since(sent_at));
        }
        self.opening.path = at;
        self.primary = at;
        self.choose_path();
    }

    /// What the INIT ACK says can't be: there will be no association (RFC 9260 §5.1).
    fn give_up(&mut self, cx: &mut Context<'_>, arrival: &Arrival, tag: u32, cause: Cause<'_>) {
        let code = cause.code().0;
        refuse(cx, arrival, tag, Some(cause));
        self.fail_messages(cx, code);
        self.notify_change(cx, AssocChange::CantStart, code);
        self.close(cx, Some(Error::ConnectionRefused));
    }

    /// An INIT ACK that is too short to be one: as Linux, there will be no association; its tag is not
    /// known.
    pub(crate) fn init_ack_is_malformed(&mut self, cx: &mut Context<'_>, arrival: &Arrival) {
        if self.state == State::CookieWait {
            self.give_up(
                cx,
                arrival,
                0,
                Cause::ProtocolViolation(b"malformed INIT ACK"),
            );
        }
    }

    /// COOKIE ACK: the association stands. §5.2.5: in any other state it is discarded.
    pub(crate) fn cookie_ack_arrives(&mut self, cx: &mut Context<'_>) {
        if self.state != State::CookieEchoed {
            return;
        }
        if let Some(sent_at) = self.opening.sent_at {
            let at = self.opening.path;
            self.paths[at]
                .rto
                .measured(cx.now.saturating_since(sent_at));
        }
        self.establish(cx, true);
    }

    /// COOKIE ACK, first in the next packet, with a SACK and data where there are some (RFC 9260 §5.1
    /// D); not to an address that is not confirmed (§5.4).
    /// RFC 9260 §3.3.12-1, §5.1-8, §5.1.5-5, §5.1.5-6, §5.4-2, §5.4-3.
    pub(crate) fn send_cookie_ack(&mut self, at: usize) {
        let to = match self.paths[at].is_confirmed() {
            true => at,
            false => self.data_path,
        };
        self.cookie_ack = Some(to);
    }

    /// RFC 9260 §5.2.6: the peer says that its cookie came back too late: once more, asking for a
    /// longer life.
    pub(crate) fn stale_cookie_arrives(&mut self, cx: &mut Context<'_>, staleness: u32) {
        if self.state != State::CookieEchoed {
            return;
        }
        self.opening.retries += 1;
        if self.opening.retries > self.settings.init.attempts_max.into() {
            self.lose(cx, Error::TimedOut);
            return;
        }
        let at = self.opening.path;
        let rtt = self.paths[at].rto.srtt().unwrap_or_default();
        // "no more than 1 second beyond the measured RTT".
        let most = rtt.as_millis() + 1000;
        let wanted = u128::from(staleness / 1000) + rtt.as_millis();
        self.opening.preservative = u32::try_from(wanted.min(most)).unwrap_or(1000);
        self.state = State::CookieWait;
        self.tags.peer = 0;
        self.deadlines.t1 = Instant::FAR;
        self.send_init(cx);
    }

    /// RFC 6951 §5.4: the peer's UDP port is where its packets come from.
    pub(crate) fn note_encap(&mut self, arrival: &Arrival) {
        if let Some(at) = self.path_to(arrival.remote) {
            self.paths[at].encap = arrival.encap.map(|ports| ports.source);
        }
    }
}
