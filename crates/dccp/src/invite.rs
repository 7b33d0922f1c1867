//! Near-simultaneous open (RFC 5596): a server whose client is known sends it Listens, so that the
//! middleboxes on the server's side let the client's Request in.

use crate::Dccp;
use crate::emit::{self, Carrier, Outgoing};
use crate::flows::Tuple;
use crate::packet::Incoming;
use crate::socket::Socket;
use crate::state::State;
use core::time::Duration;
use sockeye_core::{Context, Counter, Owner, RouteQuery, SocketId, TimerSlot};
use sockeye_wire::dccp::{Kind, PacketType, ResetCode, Seq};

/// RFC 5596 §2.2.2: between two Listens.
const LISTEN_INTERVAL: Duration = Duration::from_millis(200);
/// RFC 5596 §2.2.2: the first one and two repetitions.
const LISTENS_MAX: u32 = 3;

/// The client of a fully specified server.
#[derive(Debug)]
pub(crate) struct Invitation {
    pub(crate) tuple: Tuple,
    /// INVITED or LISTEN1.
    pub(crate) state: State,
    /// Packets of the tuple are for the listener; else a connection has them.
    pub(crate) linked: bool,
    sent: u32,
    pub(crate) timer: TimerSlot,
}

impl Invitation {
    /// One that has not been sent.
    pub(crate) fn new(tuple: Tuple) -> Self {
        Self {
            tuple,
            state: State::Invited,
            linked: true,
            sent: 0,
            timer: TimerSlot::default(),
        }
    }
}

impl Dccp {
    /// The next Listen, or LISTEN1 after the last one.
    pub(crate) fn invite_again(&mut self, cx: &mut Context<'_>, id: SocketId) {
        let Some(Socket::Listening(listener)) = self.sockets.get_mut(id) else {
            return;
        };
        let Some(invitation) = &mut listener.invitation else {
            return;
        };
        if invitation.state != State::Invited {
            return;
        }
        if invitation.sent >= LISTENS_MAX {
            invitation.state = State::Listen1;
            return;
        }
        invitation.sent += 1;
        let at = cx.now + LISTEN_INTERVAL;
        let owner = Owner::Socket(Self::handle(id));
        cx.timers.arm(&mut invitation.timer, owner, at);
        let (tuple, settings) = (invitation.tuple, &listener.settings);
        let remote = tuple.flow.remote;
        let route = cx.route(&RouteQuery {
            destination: remote.ip,
            source: Some(tuple.flow.local.ip),
            interface: settings.common.out_interface(remote),
            foreign_source: settings.common.may_bind_anywhere(),
        });
        let label = self.secrets.flow_label(&tuple.flow);
        let carrier = Carrier::new(&settings.common, remote.ip, label).fragmentable();
        // RFC 5596 §2.2.1: X MUST be 1, CCVal and CsCov MUST be 0; the Sequence Number SHOULD be 0.
        let service = settings.service;
        let outgoing = Outgoing::plain(Kind::Listen { service }, Seq::new(0));
        if let Ok(route) = route {
            let _ = emit::send(cx, &route, &tuple, &carrier, outgoing);
        }
    }

    /// RFC 5596 §2.2.2, steps 2a and 2b: a packet from the client that was invited.
    pub(crate) fn invited_packet(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        tuple: &Tuple,
        packet: &Incoming,
    ) {
        match packet.ty() {
            PacketType::Request => {
                if let Some(Socket::Listening(listener)) = self.sockets.get_mut(id)
                    && let Some(invitation) = &mut listener.invitation
                {
                    cx.timers.disarm(&mut invitation.timer);
                    invitation.state = State::Listen1;
                }
                self.request_arrives(cx, id, tuple, packet);
            }
            // Two servers wait for each other; a Reset would be allowed. Resets are not answered.
            PacketType::Listen | PacketType::Reset => {}
            _ => {
                cx.counters.add(Counter::DccpNoPorts);
                self.refuse(cx, tuple, packet, ResetCode::NO_CONNECTION);
            }
        }
    }
}
