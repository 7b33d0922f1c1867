//! What stands under a [`SocketId`](sockeye_core::SocketId), from `socket()` to the end of TIMEWAIT.

use crate::conn::Conn;
use crate::half_open::HalfOpen;
use crate::listen::Listener;
use crate::settings::Settings;
use crate::state::State;
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
    /// RESPOND: nobody holds it yet.
    HalfOpen(Box<HalfOpen>),
    /// Every other state; CLOSED and TIMEWAIT too while the user has not closed the socket.
    Connection(Box<Conn>),
    /// TIMEWAIT of what nobody holds.
    TimeWait(TimeWait),
}

/// A socket that has not done anything yet, but may be bound.
#[derive(Debug)]
pub(crate) struct Fresh {
    pub(crate) settings: Arc<Settings>,
    pub(crate) bound: Option<(Endpoint, Claim)>,
    pub(crate) error: Option<Error>,
}

impl Socket {
    pub(crate) fn state(&self) -> State {
        match self {
            Self::Fresh(_) => State::Closed,
            Self::Listening(listener) => listener.state(),
            Self::HalfOpen(_) => State::Respond,
            Self::Connection(conn) => conn.state,
            Self::TimeWait(_) => State::TimeWait,
        }
    }

    /// Whether the user holds it: what nobody holds is no socket to him.
    pub(crate) fn is_held(&self) -> bool {
        match self {
            Self::Fresh(_) | Self::Listening(_) => true,
            Self::HalfOpen(_) | Self::TimeWait(_) => false,
            Self::Connection(conn) => conn.marks.user,
        }
    }

    /// The options of a socket that the user holds.
    pub(crate) fn settings(&self) -> Option<&Arc<Settings>> {
        match self {
            Self::Fresh(fresh) => Some(&fresh.settings),
            Self::Listening(listener) => Some(&listener.settings),
            Self::Connection(conn) => Some(&conn.settings),
            Self::HalfOpen(_) | Self::TimeWait(_) => None,
        }
    }

    /// See [`settings`](Self::settings): a copy of its own, if it was shared.
    pub(crate) fn settings_mut(&mut self) -> Option<&mut Settings> {
        let settings = match self {
            Self::Fresh(fresh) => &mut fresh.settings,
            Self::Listening(listener) => &mut listener.settings,
            Self::Connection(conn) => &mut conn.settings,
            Self::HalfOpen(_) | Self::TimeWait(_) => return None,
        };
        Some(Arc::make_mut(settings))
    }
}
