//! A socket: what it is bound to, who waits at it, what it has to be read.
//!
//! A one-to-one socket has one association at most, or listens; a one-to-many socket has any number,
//! and takes new ones without accept. What associations deliver lies in one queue, in the order in
//! which it became complete.

use crate::inbound::Delivered;
use crate::info::{AssocId, Notification};
use crate::settings::Settings;
use bytes::Bytes;
use smallvec::SmallVec;
use sockeye_core::demux::{Claim, Endpoint as Address};
use sockeye_core::{Error, Readiness, SocketId};
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

/// How a socket deals with associations (RFC 6458 §3, §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// SOCK_STREAM.
    OneToOne,
    /// SOCK_SEQPACKET.
    OneToMany,
}

/// One address that a socket is bound to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    pub(crate) local: Address,
    pub(crate) claim: Claim,
}

/// What waits to be read.
#[derive(Debug)]
pub(crate) enum Item {
    /// A message, or a piece of one.
    Message {
        association: SocketId,
        assoc: AssocId,
        from: SocketAddr,
        cumulative: u32,
        delivered: Delivered,
        /// Bytes of it that have been read.
        read: usize,
    },
    /// Something beside data, and the peer's primary address as it happened.
    Notification(Notification, Option<SocketAddr>),
}

/// A socket.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) style: Style,
    pub(crate) settings: Settings,
    pub(crate) bound: SmallVec<[Bound; 1]>,
    /// It takes new associations: how many may wait to be accepted.
    pub(crate) backlog: Option<usize>,
    /// One-to-one: sockets that wait to be accepted.
    pub(crate) waiting: VecDeque<SocketId>,
    pub(crate) associations: BTreeMap<AssocId, SocketId>,
    pub(crate) inbox: VecDeque<Item>,
    pub(crate) error: Option<Error>,
    /// The listener at which it waits to be accepted.
    pub(crate) parent: Option<SocketId>,
    /// shutdown(2) has ended reading, writing.
    pub(crate) read_shut: bool,
    pub(crate) write_shut: bool,
    /// One-to-one: it had an association.
    pub(crate) used: bool,
    /// One-to-one: the user has asked to connect and was not told how it went.
    pub(crate) untold: bool,
    /// Whom the notification was from that was read last.
    pub(crate) notified_by: Option<SocketAddr>,
}

impl Endpoint {
    pub(crate) fn new(style: Style, settings: Settings) -> Self {
        Self {
            style,
            settings,
            bound: SmallVec::new(),
            backlog: None,
            waiting: VecDeque::new(),
            associations: BTreeMap::new(),
            inbox: VecDeque::new(),
            error: None,
            parent: None,
            read_shut: false,
            write_shut: false,
            used: false,
            untold: false,
            notified_by: None,
        }
    }

    /// The addresses that it is bound to; none where it is bound to all, or not bound.
    pub(crate) fn addresses(&self) -> SmallVec<[IpAddr; 4]> {
        let all = self.bound.iter().map(|bound| bound.local);
        match self.bound.iter().any(|bound| bound.local.is_unspecified()) {
            true => SmallVec::new(),
            false => all.map(|local| local.ip).collect(),
        }
    }

    /// Its port, if it has one.
    pub(crate) fn port(&self) -> Option<u16> {
        self.bound.first().map(|bound| bound.local.port)
    }

    /// The association of a one-to-one socket.
    pub(crate) fn only(&self) -> Option<SocketId> {
        self.associations.values().next().copied()
    }

    /// Whether there is an end to be read: nothing will come any more.
    pub(crate) fn is_at_end(&self) -> bool {
        self.style == Style::OneToOne
            && self.inbox.is_empty()
            && (self.read_shut || (self.used && self.associations.is_empty()))
    }

    /// Whether it has something to be read, or accepted.
    pub(crate) fn readiness(&self) -> Readiness {
        let mut ready = Readiness::empty();
        if !self.inbox.is_empty() || !self.waiting.is_empty() || self.error.is_some() {
            ready |= Readiness::READABLE;
        }
        if self.is_at_end() {
            ready |= Readiness::READABLE | Readiness::READ_CLOSED;
        }
        if self.error.is_some() {
            ready |= Readiness::ERROR;
        }
        let over = self.used && self.associations.is_empty();
        if self.style == Style::OneToOne && over && !self.untold {
            ready |= Readiness::HANGUP | Readiness::WRITABLE;
        }
        ready
    }
}

/// The bytes of a message.
pub(crate) fn len_of(delivered: &Delivered) -> usize {
    delivered.data.iter().map(Bytes::len).sum()
}
