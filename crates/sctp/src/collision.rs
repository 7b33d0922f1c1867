//! Handshake chunks for an association that there is already (RFC 9260 §5.2): both sides call each
//! other, packets come late, the peer has restarted.

use crate::arrival::Arrival;
use crate::cookie::Contents;
use crate::info::{AssocChange, PathState};
use crate::offer::Offer;
use crate::outstanding::Outstanding;
use crate::setup::{random_tag, stale_cookie};
use crate::tcb::{ADDRESSES_MAX, Acknowledgment, Association, Opening, Tags, data_header_len};
use crate::{Sctp, State, addresses};
use sockeye_core::demux::Endpoint;
use sockeye_core::{Context, Counter, Instant, SocketId};
use sockeye_wire::sctp::{Cause, Chunk, OperationError, ShutdownAck, emit_address};

/// What becomes of a cookie (RFC 9260 §5.2.4, table 12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// (A): the peer has restarted.
    Restart,
    /// (B): both sides have called each other.
    Collision,
    /// (D): the cookie of this association.
    Own,
    /// (C), and what the table does not show.
    Discard,
}

/// Table 12.
pub(crate) fn action(tags: &Tags, cookie: &Contents) -> Action {
    let local = cookie.local_tag == tags.local;
    let peer = cookie.peer_tag == tags.peer;
    let ties = cookie.local_tie != 0
        && cookie.local_tie == tags.local_tie
        && cookie.peer_tie == tags.peer_tie;
    match (local, peer) {
        (false, false) if ties => Action::Restart,
        (true, false) => Action::Collision,
        (true, true) => Action::Own,
        (false, _) => Action::Discard,
    }
}

impl Sctp {
    /// RFC 9260 §5.2.1, §5.2.2: an INIT for an association that there is.
    /// RFC 9260 §5.2.1-1, §5.2.1-2, §5.2.1-5, §5.2.1-6, §5.2.1-7, §5.2.1-8, §5.2.1-9, §5.2.1-10,
    /// §5.2.1-11, §5.2.2-1, §5.2.2-2, §5.2.2-3, §5.2.2-4, §5.2.2-5, §5.2.2-6, §5.2.2-7, §5.2.2-8.
    pub(crate) fn init_again(
        &mut self,
        cx: &mut Context<'_>,
        arrival: &Arrival,
        offer: &Offer<'_>,
        id: SocketId,
    ) {
        let Some(association) = self.association_mut(id) else {
            return;
        };
        if association.state == State::ShutdownAckSent {
            // §9.2: the SHUTDOWN COMPLETE was lost, perhaps.
            association.resend_shutdown_ack(cx);
            return;
        }
        let settings = association.settings.clone();
        let added = new_addresses(association, arrival, offer);
        if association.state != State::CookieWait && !added.is_empty() {
            let cause = Cause::RestartWithNewAddresses(&added);
            self.refuse(cx, arrival, offer.tag, Some(cause));
            return;
        }
        let local = association.local.clone();
        let Tags {
            local_tie,
            peer_tie,
            ..
        } = association.tags;
        let (tags, tsn) = match association.state {
            // §5.2.1: the same parameters as in our INIT.
            State::CookieWait => (
                Tags {
                    local: association.tags.local,
                    peer: offer.tag,
                    ..Tags::default()
                },
                association.outstanding.next_tsn(),
            ),
            State::CookieEchoed => (
                Tags {
                    local: association.tags.local,
                    peer: offer.tag,
                    local_tie,
                    peer_tie,
                },
                association.outstanding.next_tsn(),
            ),
            _ => (
                Tags {
                    local: random_tag(cx),
                    peer: offer.tag,
                    local_tie,
                    peer_tie,
                },
                cx.rng.next_u32(),
            ),
        };
        let to = asked_address(self.association(id), arrival, offer);
        self.answer_init(cx, &to, offer, &settings, &local, tags, tsn);
    }

    /// RFC 9260 §5.2.4: a COOKIE ECHO for an association that there is. False when nothing behind it
    /// in its packet counts.
    pub(crate) fn cookie_echo_again(
        &mut self,
        cx: &mut Context<'_>,
        arrival: &Arrival,
        chunk: &Chunk<'_>,
        id: SocketId,
    ) -> bool {
        let Some((contents, stale)) = self.open_cookie(cx, arrival, chunk) else {
            return false;
        };
        let Some(association) = self.association_mut(id) else {
            return false;
        };
        let action = action(&association.tags, &contents);
        // 3): of this association it is valid however old.
        if let Some(staleness) = stale
            && action != Action::Own
        {
            stale_cookie(cx, arrival, contents.peer_tag, staleness);
            return false;
        }
        let at = association.path_to(arrival.remote);
        let at = at.unwrap_or(association.data_path);
        match action {
            Action::Discard => {
                cx.drop_packet(Counter::SctpInPktDiscards);
                return false;
            }
            Action::Restart if association.state == State::ShutdownAckSent => {
                association.refuse_restart(cx, at);
                return false;
            }
            Action::Restart => {
                if adds_addresses(association, arrival, &contents) {
                    cx.drop_packet(Counter::SctpInPktDiscards);
                    return false;
                }
                association.restart(cx, &contents);
            }
            Action::Collision => association.collide(cx, arrival.remote, &contents),
            Action::Own => {
                if association.state == State::CookieEchoed {
                    association.establish(cx, true);
                }
            }
        }
        association.send_cookie_ack(at);
        true
    }
}

/// RFC 9260 §5.2.1-3, §5.2.1-4: an INIT ACK in COOKIE-WAIT goes to an address that the user named, and
/// that the INIT came from or lists; then it is as if it had come from there.
fn asked_address(
    association: Option<&Association>,
    arrival: &Arrival,
    offer: &Offer<'_>,
) -> Arrival {
    let mut to = arrival.clone();
    if let Some(association) = association
        && association.path_to(arrival.remote).is_none()
    {
        let mut paths = association.paths.iter();
        let listed = paths.find(|path| offer.addresses.contains(&path.remote.ip));
        to.remote = listed.map_or(arrival.remote, |path| path.remote);
    }
    to
}

/// The address parameters of an INIT that the association does not have.
fn new_addresses(association: &Association, arrival: &Arrival, offer: &Offer<'_>) -> Vec<u8> {
    let peers = addresses::peer(&association.settings, arrival.remote, &offer.addresses);
    let mut out = Vec::new();
    for peer in peers {
        if association.path_to(peer).is_none() {
            emit_address(peer.ip, &mut out);
        }
    }
    out
}

fn adds_addresses(association: &Association, arrival: &Arrival, contents: &Contents) -> bool {
    let all = contents.addresses.iter().chain([&contents.source]);
    let mut endpoints = all.map(|&ip| addresses::with_scope(ip, arrival.remote));
    endpoints.any(|endpoint| association.path_to(endpoint).is_none())
}

impl Association {
    /// (A) in SHUTDOWN-ACK-SENT: no new association; the old one is to end first.
    /// RFC 9260 §5.2.4-3.
    fn refuse_restart(&mut self, cx: &mut Context<'_>, at: usize) {
        let mut causes = Vec::new();
        Cause::CookieWhileShuttingDown.emit(&mut causes);
        let mut out = Vec::new();
        ShutdownAck.emit(&mut out);
        OperationError { causes: &causes }.emit(&mut out);
        self.send_control(cx, at, &out);
    }

    /// (A): what there was is gone, with its congestion state; the same socket has a new association
    /// under the old name.
    /// RFC 9260 §5.2.4-2.
    fn restart(&mut self, cx: &mut Context<'_>, contents: &Contents) {
        self.fail_messages(cx, 0);
        self.tags.local = contents.local_tag;
        self.tags.peer = contents.peer_tag;
        self.renew_ties(cx);
        self.abilities = contents.abilities;
        self.streams = (contents.streams_out, contents.streams_in);
        let interleaving = self.abilities.interleaving;
        self.outbound = crate::outbound::Outbound::new(self.streams.0, interleaving);
        self.outstanding = Outstanding::new(contents.local_tsn, data_header_len(interleaving));
        self.inbound = crate::inbound::Inbound::new(contents.peer_tsn, self.streams.1);
        self.rwnd = contents.peer_window.into();
        self.window_closed = false;
        self.recovery = None;
        self.free_packet = false;
        self.burst = self.burst_len();
        self.errors = 0;
        self.ack = Acknowledgment::default();
        self.opening = Opening::default();
        self.shutdown_wanted = false;
        self.partial = crate::partial::PartialReliability::default();
        self.reconfig =
            crate::reconfig::Reconfiguration::new(contents.local_tsn, contents.peer_tsn);
        self.asconf =
            crate::asconf::AddressConfiguration::new(contents.local_tsn, contents.peer_tsn);
        self.adopt_keys(&contents.local_keys, &contents.peer_keys);
        self.deadlines = crate::deadlines::Deadlines::default();
        let primary = contents.source;
        for path in &mut self.paths {
            path.reset_window();
            path.flight = 0;
            path.t3 = Instant::FAR;
            path.timing = None;
            path.errors = 0;
            path.beat.waiting = None;
            if path.remote.ip == primary {
                path.state = PathState::Active;
            }
            path.schedule_beat(cx);
        }
        self.choose_path();
        let was_up = self.state.is_up();
        let streams = self.streams;
        self.note_cookies(cx.now);
        if was_up {
            self.state = State::Established;
            self.touch_autoclose(cx.now);
            self.writable = true;
            self.notify_change(cx, AssocChange::Restart { streams }, 0);
        } else {
            self.establish(cx, false);
        }
    }

    /// (B): the peer has a new tag. What it says of itself is in the cookie.
    /// RFC 9260 §5.2.4-4.
    fn collide(&mut self, cx: &mut Context<'_>, from: Endpoint, contents: &Contents) {
        self.tags.peer = contents.peer_tag;
        self.learn_addresses(cx, from, contents);
        if !self.ack.begun {
            self.abilities = contents.abilities;
            self.streams = (contents.streams_out, contents.streams_in);
            self.agree(contents.peer_tsn, contents.peer_window);
            self.adopt_keys(&contents.local_keys, &contents.peer_keys);
        }
        if matches!(self.state, State::CookieWait | State::CookieEchoed) {
            // §5.4 2: the INIT ACK went to where the INIT came from.
            for path in &mut self.paths {
                if path.remote.ip == contents.source {
                    path.state = PathState::Active;
                }
            }
            self.choose_path();
            self.establish(cx, true);
        }
    }

    /// The addresses that the peer's INIT listed: no INIT ACK may have told them.
    fn learn_addresses(&mut self, cx: &Context<'_>, from: Endpoint, contents: &Contents) {
        for &ip in contents.addresses.iter().chain([&contents.source]) {
            let remote = addresses::with_scope(ip, from);
            if self.path_to(remote).is_none() && self.paths.len() < ADDRESSES_MAX {
                self.paths.push(self.new_path(remote, cx.now));
            }
        }
    }

    /// New random tags by which a restart is known (RFC 9260 §5.2.2).
    pub(crate) fn renew_ties(&mut self, cx: &mut Context<'_>) {
        self.tags.local_tie = random_tag(cx);
        self.tags.peer_tie = random_tag(cx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9260 §5.2.4, table 12: M for matching, X for not, 0 for no tie tags.
    /// RFC 9260 §5.2.2-9.
    #[test]
    fn only_tie_tags_make_a_restart() {
        let tags = Tags {
            local: 1,
            peer: 2,
            local_tie: 3,
            peer_tie: 4,
        };
        for (local, peer, ties, expected) in [
            (9, 9, (3, 4), Action::Restart),
            (1, 9, (0, 0), Action::Collision),
            (1, 9, (3, 4), Action::Collision),
            (9, 2, (0, 0), Action::Discard),
            (1, 2, (0, 0), Action::Own),
            (1, 2, (3, 4), Action::Own),
            (9, 9, (0, 0), Action::Discard),
            (9, 9, (3, 9), Action::Discard),
            (9, 9, (9, 4), Action::Discard),
        ] {
            let cookie = Contents {
                local_tag: local,
                peer_tag: peer,
                local_tie: ties.0,
                peer_tie: ties.1,
                ..crate::cookie::tests::contents()
            };
            assert_eq!(action(&tags, &cookie), expected, "{local} {peer} {ties:?}");
        }
        // Without an association there are none, and they match nothing.
        let none = Tags {
            local_tie: 0,
            peer_tie: 0,
            ..tags
        };
        let cookie = Contents {
            local_tag: 9,
            peer_tag: 9,
            local_tie: 0,
            peer_tie: 0,
            ..crate::cookie::tests::contents()
        };
        assert_eq!(action(&none, &cookie), Action::Discard);
    }
}
