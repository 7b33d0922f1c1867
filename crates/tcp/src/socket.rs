//! What stands under a [`SocketId`](sockeye_core::SocketId), from `socket()` to the end of
//! TIME-WAIT.

use crate::State;
use crate::auth::Auth;
use crate::half_open::HalfOpen;
use crate::listen::Listener;
use crate::packed::{Packed, TcbRef};
use crate::settings::Settings;
use crate::tcb::Tcb;
use crate::time_wait::TimeWait;
use sockeye_core::Error;
use sockeye_core::demux::{Claim, Endpoint};
use std::sync::Arc;

/// A socket, or what is left of one.
#[derive(Debug)]
pub(crate) enum Socket {
    /// CLOSED: neither connected nor listening.
    Fresh(Box<Fresh>),
    /// LISTEN.
    Listening(Box<Listener>),
    /// SYN-RECEIVED from LISTEN: nobody holds it yet, so it is small.
    HalfOpen(Box<HalfOpen>),
    /// Every other state but TIME-WAIT; CLOSED too, when the connection has ended and the user has
    /// not closed the socket.
    Connection(Box<Tcb>),
    /// ESTABLISHED, at rest.
    Packed(Packed),
    /// TIME-WAIT: small again.
    TimeWait(Box<TimeWait>),
}

/// A socket that has not done anything yet, but may be bound.
#[derive(Debug)]
pub(crate) struct Fresh {
    pub(crate) settings: Arc<Settings>,
    pub(crate) bound: Option<Bound>,
    pub(crate) error: Option<Error>,
    /// Keys, where it has any.
    pub(crate) auth: Option<Box<Auth>>,
}

/// What `bind` has done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    /// Port 0 without a claim.
    pub(crate) local: Endpoint,
    /// The hold on the port; none while IP_BIND_ADDRESS_NO_PORT leaves the choice to connect.
    pub(crate) claim: Option<Claim>,
}

impl Socket {
    pub(crate) fn state(&self) -> State {
        match self {
            Self::Fresh(_) => State::Closed,
            Self::Listening(_) => State::Listen,
            Self::HalfOpen(_) => State::SynReceived,
            Self::Connection(tcb) => tcb.state,
            Self::Packed(_) => State::Established,
            Self::TimeWait(_) => State::TimeWait,
        }
    }

    /// The connection that the user holds, in TIME-WAIT too.
    pub(crate) fn tcb(&self) -> Option<TcbRef<'_>> {
        match self {
            Self::Connection(tcb) => Some(TcbRef::Held(tcb)),
            Self::Packed(packed) => Some(TcbRef::Unpacked(packed.unpack())),
            Self::TimeWait(time_wait) => time_wait.user.as_deref().map(TcbRef::Held),
            Self::Fresh(_) | Self::Listening(_) | Self::HalfOpen(_) => None,
        }
    }

    /// See [`tcb`](Self::tcb). Who changes a connection has [unpacked](crate::Tcp::unpack) it.
    pub(crate) fn tcb_mut(&mut self) -> Option<&mut Tcb> {
        match self {
            Self::Connection(tcb) => Some(tcb),
            Self::TimeWait(time_wait) => time_wait.user.as_deref_mut(),
            Self::Fresh(_) | Self::Listening(_) | Self::HalfOpen(_) | Self::Packed(_) => None,
        }
    }

    /// Whether the user holds it: what nobody holds is no socket to him.
    pub(crate) fn is_held(&self) -> bool {
        match self {
            Self::Fresh(_) | Self::Listening(_) => true,
            Self::HalfOpen(_) => false,
            Self::Connection(tcb) => tcb.marks.user,
            Self::Packed(_) => true,
            Self::TimeWait(time_wait) => time_wait.user.as_ref().is_some_and(|t| t.marks.user),
        }
    }

    /// The options of a socket that the user holds.
    pub(crate) fn settings(&self) -> Option<&Arc<Settings>> {
        match self {
            Self::Fresh(fresh) => Some(&fresh.settings),
            Self::Listening(listener) => Some(&listener.settings),
            Self::HalfOpen(_) => None,
            Self::Connection(tcb) => Some(&tcb.settings),
            Self::Packed(packed) => Some(packed.settings()),
            Self::TimeWait(time_wait) => time_wait.user.as_ref().map(|tcb| &tcb.settings),
        }
    }

    /// Its own port, 0 as long as it has none.
    pub(crate) fn local_port(&self) -> u16 {
        match self {
            Self::Fresh(fresh) => fresh.bound.map_or(0, |bound| bound.local.port),
            Self::Listening(listener) => listener.local.port,
            Self::HalfOpen(half_open) => half_open.flow.local.port,
            Self::Connection(tcb) => tcb.flow.local.port,
            Self::Packed(packed) => packed.unpack().flow.local.port,
            Self::TimeWait(time_wait) => time_wait.flow.local.port,
        }
    }

    /// The place of a socket's keys.
    pub(crate) fn auth_mut(&mut self) -> Option<&mut Option<Box<Auth>>> {
        match self {
            Self::Fresh(fresh) => Some(&mut fresh.auth),
            Self::Listening(listener) => Some(&mut listener.auth),
            Self::HalfOpen(_) | Self::Packed(_) => None,
            Self::Connection(tcb) => Some(&mut tcb.auth),
            Self::TimeWait(time_wait) => Some(time_wait.auth_mut()),
        }
    }

    /// See [`settings`](Self::settings): a copy of its own, if it was shared.
    pub(crate) fn settings_mut(&mut self) -> Option<&mut Settings> {
        let settings = match self {
            Self::Fresh(fresh) => &mut fresh.settings,
            Self::Listening(listener) => &mut listener.settings,
            Self::HalfOpen(_) | Self::Packed(_) => return None,
            Self::Connection(_) | Self::TimeWait(_) => &mut self.tcb_mut()?.settings,
        };
        Some(Arc::make_mut(settings))
    }
}
