//! What users may know (RFC 6458 §8.2, §9.3 to §9.5).

use crate::endpoint::Style;
use crate::info::{AssocId, Extensions, PathInfo, Status};
use crate::{Sctp, State};
use sockeye_core::demux::Endpoint as Address;
use sockeye_core::{Error, Readiness, SocketId};
use std::net::SocketAddr;

impl Sctp {
    /// The pending error, which it clears.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn take_error(&mut self, id: SocketId) -> Result<Option<Error>, Error> {
        let endpoint = self.held_mut(id)?;
        endpoint.untold = false;
        Ok(endpoint.error.take())
    }

    /// What the socket is ready for now.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn readiness(&self, id: SocketId) -> Result<Readiness, Error> {
        let endpoint = self.held(id)?;
        let mut ready = endpoint.readiness();
        match endpoint.style {
            Style::OneToMany => ready |= Readiness::WRITABLE,
            Style::OneToOne => {
                if let Some(association) = endpoint.only().and_then(|id| self.association(id)) {
                    ready |= association.readiness();
                }
                if endpoint.only().is_none() && endpoint.backlog.is_none() && !endpoint.used {
                    ready |= Readiness::WRITABLE | Readiness::HANGUP;
                }
            }
        }
        Ok(ready)
    }

    /// Its own address: of several the first.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn local_addr(&self, id: SocketId) -> Result<SocketAddr, Error> {
        let all = self.local_addrs(id, AssocId::FUTURE)?;
        let endpoint = self.held(id)?;
        let unbound = Address::new(endpoint.settings.common.domain.unspecified(), 0);
        let unbound = endpoint.settings.show(unbound);
        // Of a connection the one that its peer is spoken to from is of the peer's family.
        let peer = self.peer_addr(id).ok();
        let spoken = |addr: &&SocketAddr| {
            let v4 = |addr: SocketAddr| addr.ip().to_canonical().is_ipv4();
            peer.is_some_and(|peer| v4(peer) == v4(**addr))
        };
        let first = all.iter().find(spoken).or(all.first());
        Ok(first.copied().unwrap_or(unbound))
    }

    /// sctp_getladdrs(3): all its own addresses, or those of one association.
    ///
    /// # Errors
    /// [`Error::BadSocket`], [`Error::Invalid`].
    pub fn local_addrs(&self, id: SocketId, assoc: AssocId) -> Result<Vec<SocketAddr>, Error> {
        let endpoint = self.held(id)?;
        let settings = &endpoint.settings;
        let own = match endpoint.style {
            Style::OneToOne => endpoint.only(),
            Style::OneToMany if assoc.0 >= AssocId::FIRST => Some(self.named(id, assoc)?),
            Style::OneToMany => None,
        };
        if let Some(association) = own.and_then(|own| self.association(own)) {
            let port = association.local_port;
            let all = association.local.iter();
            return Ok(all
                .map(|&ip| settings.show(Address::new(ip, port)))
                .collect());
        }
        let all = endpoint.bound.iter();
        Ok(all.map(|bound| settings.show(bound.local)).collect())
    }

    /// Its peer: the primary address.
    ///
    /// # Errors
    /// [`Error::NotConnected`], [`Error::BadSocket`].
    pub fn peer_addr(&self, id: SocketId) -> Result<SocketAddr, Error> {
        let endpoint = self.held(id)?;
        if endpoint.style == Style::OneToMany {
            return Err(Error::NotConnected);
        }
        let association = endpoint.only().and_then(|id| self.association(id));
        let association = association.filter(|association| association.state.is_up());
        let association = association.ok_or(Error::NotConnected)?;
        let path = association.paths.get(association.primary);
        path.map(|path| association.settings.show(path.remote))
            .ok_or(Error::NotConnected)
    }

    /// sctp_getpaddrs(3): the peer's addresses.
    ///
    /// # Errors
    /// [`Error::NotConnected`], [`Error::Invalid`], [`Error::BadSocket`].
    pub fn peer_addrs(&self, id: SocketId, assoc: AssocId) -> Result<Vec<SocketAddr>, Error> {
        let own = self.named(id, assoc)?;
        let association = self.association(own).ok_or(Error::NotConnected)?;
        let paths = association.paths.iter();
        Ok(paths
            .map(|path| association.settings.show(path.remote))
            .collect())
    }

    /// SCTP_STATUS.
    ///
    /// # Errors
    /// [`Error::NotConnected`], [`Error::Invalid`], [`Error::BadSocket`].
    pub fn status(&self, id: SocketId, assoc: AssocId) -> Result<Status, Error> {
        let own = self.named(id, assoc)?;
        let association = self.association(own).ok_or(Error::NotConnected)?;
        let short = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
        Ok(Status {
            assoc: association.assoc,
            state: association.state,
            rwnd: u32::try_from(association.rwnd).unwrap_or(u32::MAX),
            unacknowledged: short(association.outstanding.len()),
            pending: short(self.held(id)?.inbox.len()),
            in_streams: association.streams.1,
            out_streams: association.streams.0,
            fragmentation_point: u32::try_from(association.fragment_len()).unwrap_or(u32::MAX),
            primary: association.path_info(association.primary),
        })
    }

    /// The extensions of an association, or those that new ones are offered (SCTP_PR_SUPPORTED and its
    /// like, read).
    ///
    /// # Errors
    /// [`Error::BadSocket`], [`Error::Invalid`] for an association that is not the socket's.
    pub fn extensions(&self, id: SocketId, assoc: AssocId) -> Result<Extensions, Error> {
        let endpoint = self.held(id)?;
        let own = match endpoint.style {
            Style::OneToOne => endpoint.only(),
            Style::OneToMany if assoc == AssocId::FUTURE => None,
            Style::OneToMany => Some(self.named(id, assoc)?),
        };
        let settings = &endpoint.settings;
        Ok(match own.and_then(|own| self.association(own)) {
            Some(association) => Extensions {
                ecn: association.abilities.ecn,
                partial_reliability: association.abilities.forward_tsn,
                interleaving: association.abilities.interleaving,
                reconfiguration: association.abilities.reconfiguration,
                address_configuration: association.abilities.address_configuration,
                authentication: association.abilities.authentication,
            },
            None => Extensions {
                ecn: settings.ecn,
                partial_reliability: settings.partial_reliability,
                interleaving: settings.interleaving,
                reconfiguration: settings.reconfiguration,
                address_configuration: settings.address_configuration,
                authentication: settings.authentication,
            },
        })
    }

    /// SCTP_GET_PEER_ADDR_INFO of all the peer's addresses.
    ///
    /// # Errors
    /// [`Error::NotConnected`], [`Error::Invalid`], [`Error::BadSocket`].
    pub fn paths(&self, id: SocketId, assoc: AssocId) -> Result<Vec<PathInfo>, Error> {
        let own = self.named(id, assoc)?;
        let association = self.association(own).ok_or(Error::NotConnected)?;
        let count = association.paths.len();
        Ok((0..count).map(|at| association.path_info(at)).collect())
    }

    /// SCTP_GET_ASSOC_ID_LIST: the socket's associations.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn associations(&self, id: SocketId) -> Result<Vec<AssocId>, Error> {
        Ok(self.held(id)?.associations.keys().copied().collect())
    }

    /// The association of a one-to-one socket, or with an address of a peer.
    ///
    /// # Errors
    /// [`Error::NotConnected`], [`Error::BadSocket`].
    pub fn association_with(
        &self,
        id: SocketId,
        addr: Option<SocketAddr>,
    ) -> Result<AssocId, Error> {
        let endpoint = self.held(id)?;
        let remote = addr
            .map(|addr| endpoint.settings.common.remote(addr))
            .transpose()?;
        let mut all = endpoint.associations.iter();
        let found = all.find(|&(_, &own)| match remote {
            None => endpoint.style == Style::OneToOne,
            Some(remote) => self
                .association(own)
                .is_some_and(|association| association.path_to(remote).is_some()),
        });
        found.map(|(assoc, _)| *assoc).ok_or(Error::NotConnected)
    }

    /// Whether a socket takes new associations.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn is_listening(&self, id: SocketId) -> Result<bool, Error> {
        Ok(self.held(id)?.backlog.is_some())
    }

    /// Whether a socket is bound, and to all addresses of the node.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn is_bound_to_all(&self, id: SocketId) -> Result<bool, Error> {
        let endpoint = self.held(id)?;
        Ok(!endpoint.bound.is_empty() && endpoint.addresses().is_empty())
    }

    /// SCTP_DEFAULT_SNDINFO: what is sent with where nothing is said.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn send_info(&self, id: SocketId) -> Result<crate::SndInfo, Error> {
        Ok(self.held(id)?.settings.send_info)
    }

    /// Where an association stands; CLOSED when there is none.
    #[must_use]
    pub fn state(&self, assoc: AssocId) -> State {
        let id = self.names.get(&assoc);
        let association = id.and_then(|&id| self.association(id));
        association.map_or(State::Closed, |association| association.state)
    }
}
