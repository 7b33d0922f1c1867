//! Addresses that change while an association stands (RFC 6458 §8.1.10, §9.1; RFC 5061).

use crate::Sctp;
use crate::asconf::Change;
use crate::info::AssocId;
use sockeye_core::{Context, Error, SocketId};
use std::net::{IpAddr, SocketAddr};

impl Sctp {
    /// The peer of an association may use this address of ours from now on, too.
    ///
    /// # Errors
    /// - [`Error::NotPermitted`] when the peer knows nothing of it, or nothing is authenticated.
    /// - [`Error::AddressNotAvailable`] for an address that is none of this node's,
    ///   [`Error::Invalid`] when the association has it already.
    pub fn add_address(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        assoc: AssocId,
        ip: IpAddr,
    ) -> Result<(), Error> {
        let usable = cx.inet.interfaces().any(|(_, interface)| {
            let mut addresses = interface.addresses().iter();
            addresses.any(|address| address.net.addr() == ip && address.is_usable())
        });
        if !usable {
            return Err(Error::AddressNotAvailable);
        }
        self.change_address(cx, id, assoc, Change::Add(ip))
    }

    /// The peer of an association is not to use this address of ours any more.
    ///
    /// # Errors
    /// As [`add_address`](Self::add_address); [`Error::Invalid`] for the last one, or one that the
    /// association does not have.
    pub fn remove_address(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        assoc: AssocId,
        ip: IpAddr,
    ) -> Result<(), Error> {
        self.change_address(cx, id, assoc, Change::Delete(ip))
    }

    /// SCTP_SET_PEER_PRIMARY_ADDR: the peer is to send to this address of ours by preference.
    ///
    /// # Errors
    /// As [`remove_address`](Self::remove_address).
    pub fn set_peer_primary(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        assoc: AssocId,
        ip: IpAddr,
    ) -> Result<(), Error> {
        self.change_address(cx, id, assoc, Change::SetPrimary(ip))
    }

    /// What sctp_bindx(3) changes, the associations that there are take over where their peers can
    /// be told (RFC 6458 §9.1); others stay as they are.
    pub(super) fn tell_peers(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        addrs: &[SocketAddr],
        change: fn(IpAddr) -> Change,
    ) {
        let Ok(endpoint) = self.held(id) else {
            return;
        };
        let common = &endpoint.settings.common;
        let changes: Vec<Change> = addrs
            .iter()
            .filter_map(|addr| common.local(*addr).ok())
            .map(|local| change(local.ip))
            .collect();
        let all: Vec<SocketId> = endpoint.associations.values().copied().collect();
        for own in all {
            if let Some(association) = self.association_mut(own) {
                let _ = association.change_addresses(cx, &changes);
                self.settle(cx, own);
            }
        }
    }

    fn change_address(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        assoc: AssocId,
        change: Change,
    ) -> Result<(), Error> {
        let own = self.named(id, assoc)?;
        let association = self.association_mut(own).ok_or(Error::NotConnected)?;
        let changed = association.change_addresses(cx, &[change]);
        self.settle(cx, own);
        changed
    }
}
