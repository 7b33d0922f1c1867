//! ICMP errors (RFC 9260 §10), the size of paths, and addresses of the node that come and go.

use crate::info::AddressState;
use crate::tcb::Association;
use crate::{Sctp, State};
use sockeye_core::demux::Endpoint;
use sockeye_core::transport::IcmpErrorKind;
use sockeye_core::{AddressChange, Context, Counter, Error, IcmpError, Instant, SocketId};
use sockeye_wire::sctp::ChunkType;
use std::net::IpAddr;

impl Sctp {
    /// Whether an error quotes a packet of an association (ICMP5, ICMP6).
    /// RFC 9260 §10-1, §10-2, §10-3, §12.4-1.
    pub(crate) fn icmp_error(&mut self, cx: &mut Context<'_>, error: &IcmpError<'_>) -> bool {
        let Some((header, rest)) = error.quoted.split_first_chunk::<8>() else {
            return false;
        };
        let [a, b, c, d, e, f, g, h] = *header;
        let local = Endpoint::new(error.source, u16::from_be_bytes([a, b]));
        let remote = Endpoint::new(error.destination, u16::from_be_bytes([c, d]));
        let tag = u32::from_be_bytes([e, f, g, h]);
        let Some(id) = self.find(local, remote) else {
            return false;
        };
        let Some(association) = self.association_mut(id) else {
            return false;
        };
        // ICMP6: the tag is the peer's, or 0 with an INIT that has our tag.
        let init = match rest {
            [_, _, _, _, kind, _, _, _, tag @ ..] if *kind == ChunkType::INIT.0 => {
                tag.first_chunk::<4>().copied()
            }
            _ => None,
        };
        let own_init = init.map(u32::from_be_bytes) == Some(association.tags.local);
        let right = match tag {
            0 => own_init,
            tag => tag == association.tags.peer,
        };
        if !right {
            return false;
        }
        association.icmp_error(cx, remote, error.kind, tag == 0);
        self.settle(cx, id);
        true
    }

    /// A path's MTU has changed: chunks in flight there that are larger go again, fragmented by IP
    /// where need be (RFC 9260 §6.9).
    pub(crate) fn path_mtu(&mut self, cx: &mut Context<'_>, remote: IpAddr, mtu: u32) {
        for id in self.all() {
            let Some(association) = self.association_mut(id) else {
                continue;
            };
            let before: Vec<usize> = (0..association.paths.len())
                .filter(|&at| association.paths[at].remote.ip == remote)
                .collect();
            for at in before {
                association.narrow(cx, at, mtu);
            }
            self.settle(cx, id);
        }
    }

    /// An address of the node is gone: paths that used it look for another way. Or there is one more.
    pub(crate) fn address_changed(&mut self, cx: &mut Context<'_>, change: AddressChange) {
        for id in self.all() {
            let automatic = self.changes_addresses(id);
            let Some(association) = self.association_mut(id) else {
                continue;
            };
            match change {
                AddressChange::Removed(gone) => association.address_goes(cx, gone, automatic),
                AddressChange::Added(new) if automatic => association.address_comes(cx, new),
                AddressChange::Added(_)
                | AddressChange::Deprecated(_)
                | AddressChange::Duplicate(_) => continue,
            }
            self.settle(cx, id);
        }
    }

    /// RFC 6458 §8.1.23: whether an association takes over what addresses its node gets and loses.
    fn changes_addresses(&self, id: SocketId) -> bool {
        let association = self.association(id);
        association.is_some_and(|association| {
            let owner = association.owner.and_then(|owner| self.endpoint(owner));
            let all = owner.is_some_and(|owner| owner.addresses().is_empty());
            all && association.settings.auto_asconf
        })
    }

    /// All associations.
    pub(crate) fn all(&self) -> Vec<SocketId> {
        self.names.values().copied().collect()
    }
}

impl Association {
    /// RFC 9260 §10-4, §10-5.
    fn icmp_error(
        &mut self,
        cx: &mut Context<'_>,
        remote: Endpoint,
        kind: IcmpErrorKind,
        of_init: bool,
    ) {
        match kind {
            // ICMP3: whoever speaks SCTP would have sent an ABORT.
            IcmpErrorKind::PortUnreachable => {}
            // ICMP8.
            IcmpErrorKind::ProtocolUnreachable => {
                if !of_init || self.state == State::CookieWait {
                    cx.counters.add(Counter::SctpAborteds);
                    self.lose(cx, Error::ProtocolUnreachable);
                }
            }
            // ICMP9: an error more of the path, while it is not known to work.
            IcmpErrorKind::NetworkUnreachable
            | IcmpErrorKind::HostUnreachable
            | IcmpErrorKind::Prohibited => {
                if let Some(at) = self.path_to(remote)
                    && self.state.is_up()
                    && self.paths[at].errors > 0
                {
                    self.path_fails(cx, at, false);
                }
            }
            // ICMP7: the routes learn it, and tell us.
            IcmpErrorKind::PacketTooBig { .. }
            | IcmpErrorKind::TimeExceeded
            | IcmpErrorKind::ParameterProblem
            | IcmpErrorKind::Other => {}
        }
    }

    /// What the routes say of a path has changed.
    fn narrow(&mut self, cx: &mut Context<'_>, at: usize, mtu: u32) {
        let before = self.paths[at].mtu;
        self.search_bounded(cx, at, mtu);
        let path = &mut self.paths[at];
        let _ = path.route(cx, &self.local);
        self.becomes_narrower(cx, at, before);
    }

    /// A path took `before` bytes until now: what is in flight and does not fit any more goes again,
    /// fragmented by IP (RFC 9260 §6.9-6).
    pub(crate) fn becomes_narrower(&mut self, cx: &mut Context<'_>, at: usize, before: u32) {
        let path = &self.paths[at];
        if path.mtu >= before {
            return;
        }
        let room = u64::from(path.pmdcs());
        let (chunks, bytes) = self.outstanding.lose_larger(at as u8, room);
        cx.counters
            .add_n(Counter::SctpPmtudRetransmits, chunks.into());
        let path = &mut self.paths[at];
        path.flight = path.flight.saturating_sub(bytes);
        if path.flight == 0 {
            path.t3 = Instant::FAR;
        }
        if chunks > 0 {
            self.free_packet = true;
        }
    }

    /// There is no way to a path's address now: it counts as an error, and the next path is tried.
    pub(crate) fn no_route(&mut self, cx: &mut Context<'_>, at: usize) {
        let now = cx.now;
        self.free_packet = false;
        self.ack.due = false;
        self.cookie_ack = None;
        let path = &mut self.paths[at];
        if path.t3 == Instant::FAR && path.flight > 0 {
            path.restart_t3(now);
        }
        if path.state == crate::info::PathState::Active && self.paths.len() > 1 {
            self.paths[at].state = crate::info::PathState::PotentiallyFailed;
            self.paths[at].beat.at = now + self.paths[at].rto.current();
            self.choose_path();
            self.notify_path(cx, at, AddressState::PotentiallyFailed);
        } else if self.deadlines.probe == Instant::FAR {
            // Looked at again when this runs out.
            self.deadlines.sack = now + self.paths[at].rto.current();
        }
    }
}
