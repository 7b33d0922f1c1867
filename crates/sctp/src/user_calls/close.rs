//! The end, as users want it (RFC 6458 §3.1.6, §4.1.7): shutdown, close, abort.

use crate::endpoint::{Item, Style};
use crate::table::Entry;
use crate::{Sctp, State};
use core::time::Duration;
use sockeye_core::socket::Shutdown;
use sockeye_core::{Context, Error, Readiness, SocketId};
use sockeye_wire::sctp::Cause;

impl Sctp {
    /// shutdown(2) of a one-to-one socket: SHUT_WR shuts the association down, in both directions, as
    /// SCTP has it (RFC 9260 §9).
    ///
    /// # Errors
    /// [`Error::NotConnected`]; [`Error::NotSupported`] for a one-to-many socket.
    pub fn shutdown(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        how: Shutdown,
    ) -> Result<(), Error> {
        let endpoint = self.held_mut(id)?;
        if endpoint.style == Style::OneToMany {
            return Err(Error::NotSupported);
        }
        if endpoint.backlog.is_some() {
            if how.reads() {
                self.stop_listening(cx, id);
            }
            return Ok(());
        }
        let only = endpoint.only().ok_or(Error::NotConnected)?;
        if how.reads() {
            endpoint.read_shut = true;
            cx.set_ready(
                Self::handle(id),
                Readiness::READABLE | Readiness::READ_CLOSED,
            );
        }
        if how.writes() {
            self.held_mut(id)?.write_shut = true;
            if let Some(association) = self.association_mut(only) {
                association.begin_shutdown(cx);
            }
            self.settle(cx, only);
        }
        Ok(())
    }

    /// Shuts the association of a one-to-one socket down.
    ///
    /// # Errors
    /// Those of [`shutdown`](Self::shutdown).
    pub fn shutdown_association(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
    ) -> Result<(), Error> {
        let only = self.held(id)?.only().ok_or(Error::NotConnected)?;
        if let Some(association) = self.association_mut(only) {
            association.begin_shutdown(cx);
        }
        self.settle(cx, only);
        Ok(())
    }

    /// close(2). What was sent still goes out, then each association is shut down; with data unread,
    /// or SO_LINGER of zero, it is aborted.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn close(&mut self, cx: &mut Context<'_>, id: SocketId) -> Result<(), Error> {
        let linger = self.held(id)?.settings.linger;
        self.stop_listening(cx, id);
        self.discard(cx, id, linger == Some(Duration::ZERO));
        Ok(())
    }

    /// Gives a socket up, whoever holds it.
    pub(crate) fn discard(&mut self, cx: &mut Context<'_>, id: SocketId, abort: bool) {
        let Some(Entry::Endpoint(endpoint)) = self.entries.remove(id) else {
            return;
        };
        for bound in &endpoint.bound {
            self.demux.release(&bound.claim);
        }
        for &own in endpoint.associations.values() {
            let unread = endpoint.inbox.iter().any(
                |item| matches!(item, Item::Message { association, .. } if *association == own),
            );
            let Some(association) = self.association_mut(own) else {
                continue;
            };
            association.owner = None;
            association.settings.events = crate::Events::empty();
            let unborn = matches!(association.state, State::CookieWait | State::CookieEchoed)
                && association.is_drained();
            if abort || unread || unborn {
                association.abort(cx, &[Cause::UserAbort(&[])]);
            } else {
                association.begin_shutdown(cx);
            }
            self.settle(cx, own);
        }
    }

    /// Ends the associations of a socket with an ABORT, now. The user keeps the socket.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn abort(&mut self, cx: &mut Context<'_>, id: SocketId) -> Result<(), Error> {
        let all: Vec<SocketId> = self.held(id)?.associations.values().copied().collect();
        for own in all {
            if let Some(association) = self.association_mut(own) {
                association.abort(cx, &[Cause::UserAbort(&[])]);
                association.failure = None;
            }
            self.settle(cx, own);
        }
        Ok(())
    }

    /// Associations that nobody holds any more and that are not done.
    #[must_use]
    pub fn pending_close(&self) -> usize {
        let owing = self.entries.iter().filter(|(_, entry)| {
            matches!(entry, Entry::Association(association) if association.owner.is_none())
        });
        owing.count()
    }

    /// Ends with an ABORT what [`pending_close`](Self::pending_close) counts: the node goes.
    pub fn abort_closed(&mut self, cx: &mut Context<'_>) {
        for id in self.all() {
            let Some(association) = self.association_mut(id) else {
                continue;
            };
            if association.owner.is_none() {
                association.abort(cx, &[Cause::UserAbort(&[])]);
            }
            self.settle(cx, id);
        }
    }
}
