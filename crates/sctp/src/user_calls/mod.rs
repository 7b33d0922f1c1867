//! The user's calls (RFC 9260 §11.1) in the words of RFC 6458.

mod addresses;
mod authentication;
mod close;
mod open;
mod options;
mod receive;
mod reconfiguration;
mod send;
mod statistics;
mod status;

pub use receive::Incoming;

use crate::Sctp;
use crate::endpoint::Endpoint;
use crate::info::AssocId;
use sockeye_core::{Error, SocketId};

impl Sctp {
    /// A socket that the user holds.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    fn held(&self, id: SocketId) -> Result<&Endpoint, Error> {
        self.endpoint(id)
            .filter(|endpoint| endpoint.parent.is_none())
            .ok_or(Error::BadSocket)
    }

    /// See [`held`](Self::held).
    fn held_mut(&mut self, id: SocketId) -> Result<&mut Endpoint, Error> {
        self.endpoint_mut(id)
            .filter(|endpoint| endpoint.parent.is_none())
            .ok_or(Error::BadSocket)
    }

    /// The association of a socket that `assoc` names; of a one-to-one socket its own, whatever is
    /// said.
    ///
    /// # Errors
    /// [`Error::BadSocket`], [`Error::NotConnected`] without an association, [`Error::Invalid`] when
    /// it is another socket's.
    fn named(&self, id: SocketId, assoc: AssocId) -> Result<SocketId, Error> {
        let endpoint = self.held(id)?;
        match endpoint.style {
            crate::Style::OneToOne => endpoint.only().ok_or(Error::NotConnected),
            crate::Style::OneToMany => endpoint
                .associations
                .get(&assoc)
                .copied()
                .ok_or(Error::Invalid),
        }
    }
}
