//! Resets and more streams (RFC 6525 §6.3), schedulers (RFC 8260 §4.3).

use crate::Sctp;
use crate::info::AssocId;
use crate::outbound::Discipline;
use crate::reconfig::{Grants, Request};
use crate::tcb::Association;
use smallvec::{SmallVec, smallvec};
use sockeye_core::{Context, Error, SocketId};

impl Sctp {
    /// SCTP_RESET_STREAMS: numbers the messages of our streams, or of the peer's, or of both, anew;
    /// of all streams when none is named. A notification tells how it went.
    ///
    /// # Errors
    /// - [`Error::NoProtocolOption`] when the peer can't, or resets are not enabled
    ///   (SCTP_ENABLE_STREAM_RESET).
    /// - [`Error::Invalid`] for a stream that there is not, or neither direction.
    /// - [`Error::InProgress`] while another request is under way.
    pub fn reset_streams(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        assoc: AssocId,
        (outgoing, incoming): (bool, bool),
        streams: &[u16],
    ) -> Result<(), Error> {
        let mut requests = SmallVec::new();
        if outgoing {
            requests.push(Request::Outgoing(streams.into(), None));
        }
        if incoming {
            requests.push(Request::Incoming(streams.into()));
        }
        self.reconfigure(cx, id, assoc, Grants::STREAMS, requests, |association| {
            let own = !outgoing || streams.iter().all(|id| *id < association.streams.0);
            let peers = !incoming || streams.iter().all(|id| *id < association.streams.1);
            own && peers
        })
    }

    /// SCTP_RESET_ASSOC: streams and TSNs of both sides begin anew.
    ///
    /// # Errors
    /// As [`reset_streams`](Self::reset_streams).
    pub fn reset_association(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        assoc: AssocId,
    ) -> Result<(), Error> {
        let requests = smallvec![Request::Tsns];
        self.reconfigure(cx, id, assoc, Grants::ASSOCIATION, requests, |_| true)
    }

    /// SCTP_ADD_STREAMS: so many streams more for us, and for the peer.
    ///
    /// # Errors
    /// As [`reset_streams`](Self::reset_streams).
    pub fn add_streams(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        assoc: AssocId,
        (outgoing, incoming): (u16, u16),
    ) -> Result<(), Error> {
        let mut requests = SmallVec::new();
        if outgoing > 0 {
            requests.push(Request::AddOutgoing(outgoing));
        }
        if incoming > 0 {
            requests.push(Request::AddIncoming(incoming));
        }
        self.reconfigure(cx, id, assoc, Grants::CHANGE, requests, |association| {
            association.streams.0.checked_add(outgoing).is_some()
                && association.streams.1.checked_add(incoming).is_some()
        })
    }

    fn reconfigure(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        assoc: AssocId,
        grant: Grants,
        requests: SmallVec<[Request; 2]>,
        is_possible: impl Fn(&Association) -> bool,
    ) -> Result<(), Error> {
        let own = self.named(id, assoc)?;
        let association = self.association_mut(own).ok_or(Error::NotConnected)?;
        if !association.state.is_up() {
            return Err(Error::NotConnected);
        }
        if !association.abilities.reconfiguration || !association.settings.grants.contains(grant) {
            return Err(Error::NoProtocolOption);
        }
        if requests.is_empty() || !is_possible(association) {
            return Err(Error::Invalid);
        }
        let begun = association.request_reconfig(cx, requests);
        self.settle(cx, own);
        begun.then_some(()).ok_or(Error::InProgress)
    }

    /// SCTP_ENABLE_STREAM_RESET: which requests are granted.
    ///
    /// # Errors
    /// Those of [`configure`](Self::configure).
    pub fn grant(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        assoc: AssocId,
        grants: Grants,
    ) -> Result<(), Error> {
        self.configure(cx, id, assoc, |settings| settings.grants = grants)
    }

    /// SCTP_STREAM_SCHEDULER, by its number (RFC 8260 §4.3.2).
    ///
    /// # Errors
    /// [`Error::Invalid`] for a number that no scheduler has; those of
    /// [`configure`](Self::configure).
    pub fn set_scheduler(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        assoc: AssocId,
        number: u32,
    ) -> Result<(), Error> {
        let discipline = Discipline::from_number(number).ok_or(Error::Invalid)?;
        self.configure(cx, id, assoc, |settings| settings.discipline = discipline)?;
        if let Ok(own) = self.named(id, assoc)
            && let Some(association) = self.association_mut(own)
        {
            association.outbound.set_discipline(discipline);
        }
        Ok(())
    }

    /// SCTP_STREAM_SCHEDULER_VALUE: a stream's priority or weight (RFC 8260 §4.3.3).
    ///
    /// # Errors
    /// [`Error::Invalid`] for a stream that there is not, [`Error::NotConnected`] without an
    /// association.
    pub fn set_stream_value(
        &mut self,
        id: SocketId,
        assoc: AssocId,
        stream: u16,
        value: u16,
    ) -> Result<(), Error> {
        let own = self.named(id, assoc)?;
        let association = self.association_mut(own).ok_or(Error::NotConnected)?;
        let set = association.outbound.set_value(stream, value);
        set.then_some(()).ok_or(Error::Invalid)
    }

    /// What [`set_stream_value`](Self::set_stream_value) said.
    ///
    /// # Errors
    /// As there.
    pub fn stream_value(&self, id: SocketId, assoc: AssocId, stream: u16) -> Result<u16, Error> {
        let own = self.named(id, assoc)?;
        let association = self.association(own).ok_or(Error::NotConnected)?;
        association.outbound.value(stream).ok_or(Error::Invalid)
    }
}
