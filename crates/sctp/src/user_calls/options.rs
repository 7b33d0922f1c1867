//! Options (RFC 6458 §8): those of every socket, and those of SCTP as fields of
//! [`Settings`](crate::Settings).

use crate::info::AssocId;
use crate::{Sctp, Settings, Style};
use core::time::Duration;
use sockeye_core::{Context, Error, OptionValue, SocketId, SocketOption};
use std::net::SocketAddr;

impl Sctp {
    /// Sets an option that sockets of every transport have.
    ///
    /// # Errors
    /// Those of [`SocketCommon::set_option`](sockeye_core::SocketCommon::set_option).
    pub fn set_option(
        &mut self,
        _cx: &mut Context<'_>,
        id: SocketId,
        option: SocketOption,
        value: OptionValue,
    ) -> Result<(), Error> {
        if option == SocketOption::Linger {
            self.held_mut(id)?.settings.linger = value.time()?;
            return Ok(());
        }
        let common = &mut self.held_mut(id)?.settings.common;
        common.set_option(option, &value)?;
        let common = common.clone();
        // What there is already goes by it, too.
        let all: Vec<SocketId> = self.held(id)?.associations.values().copied().collect();
        for own in all {
            if let Some(association) = self.association_mut(own) {
                association.adopt_common(common.clone());
            }
        }
        Ok(())
    }

    /// What such an option is set to.
    ///
    /// # Errors
    /// Those of [`SocketCommon::option`](sockeye_core::SocketCommon::option).
    pub fn option(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        option: SocketOption,
    ) -> Result<OptionValue, Error> {
        let endpoint = self.held_mut(id)?;
        match option {
            SocketOption::Linger => Ok(OptionValue::Time(endpoint.settings.linger)),
            _ => endpoint.settings.common.option(option, cx.config),
        }
    }

    /// What a socket's new associations are set to, or one association of it.
    ///
    /// # Errors
    /// [`Error::BadSocket`], [`Error::Invalid`] for an association that is not the socket's, or for all of
    /// them, which need not agree.
    pub fn settings(&self, id: SocketId, assoc: AssocId) -> Result<&Settings, Error> {
        let endpoint = self.held(id)?;
        let own = match endpoint.style {
            Style::OneToOne => endpoint.only(),
            Style::OneToMany if assoc == AssocId::FUTURE => None,
            Style::OneToMany => Some(self.named(id, assoc)?),
        };
        match own.and_then(|own| self.association(own)) {
            Some(association) => Ok(&association.settings),
            None => Ok(&endpoint.settings),
        }
    }

    /// Changes what `assoc` names: new associations, those that there are, both, or one. A one-to-one
    /// socket and its association are one.
    ///
    /// # Errors
    /// [`Error::BadSocket`], [`Error::Invalid`] for an association that is not the socket's.
    pub fn configure(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        assoc: AssocId,
        change: impl Fn(&mut Settings),
    ) -> Result<(), Error> {
        let endpoint = self.held_mut(id)?;
        let one_to_one = endpoint.style == Style::OneToOne;
        if one_to_one || matches!(assoc, AssocId::FUTURE | AssocId::ALL) {
            change(&mut endpoint.settings);
        }
        let own: Vec<SocketId> = match assoc {
            _ if one_to_one => endpoint.only().into_iter().collect(),
            AssocId::FUTURE => Vec::new(),
            AssocId::CURRENT | AssocId::ALL => endpoint.associations.values().copied().collect(),
            assoc => vec![self.named(id, assoc)?],
        };
        for own in own {
            let Some(association) = self.association_mut(own) else {
                continue;
            };
            change(&mut association.settings);
            let (rto, path) = (association.settings.rto, association.settings.path);
            for at in &mut association.paths {
                at.rto.set_bounds(rto);
                at.configure(cx.now, path);
            }
            let point = association.settings.partial_delivery_point;
            association.inbound.set_partial_delivery_point(point);
            let at = association.settings.autoclose;
            association.deadlines.autoclose = crate::settings::end_of(association.active_at, at);
            self.settle(cx, own);
        }
        Ok(())
    }

    /// SCTP_PRIMARY_ADDR: data goes to this address of the peer as long as it answers.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an address that the peer does not have.
    pub fn set_primary(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        assoc: AssocId,
        addr: SocketAddr,
    ) -> Result<(), Error> {
        let own = self.named(id, assoc)?;
        let association = self.association_mut(own).ok_or(Error::NotConnected)?;
        let remote = association.settings.common.remote(addr)?;
        let at = association.path_to(remote).ok_or(Error::Invalid)?;
        association.primary = at;
        association.choose_path();
        self.settle(cx, own);
        Ok(())
    }

    /// SCTP_PEER_ADDR_PARAMS of one address of the peer.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an address that the peer does not have.
    pub fn configure_path(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        assoc: AssocId,
        addr: SocketAddr,
        settings: crate::PathSettings,
    ) -> Result<(), Error> {
        let own = self.named(id, assoc)?;
        let association = self.association_mut(own).ok_or(Error::NotConnected)?;
        let remote = association.settings.common.remote(addr)?;
        let at = association.path_to(remote).ok_or(Error::Invalid)?;
        association.paths[at].configure(cx.now, settings);
        if association.state.is_up() {
            association.paths[at].schedule_beat(cx);
        }
        self.settle(cx, own);
        Ok(())
    }

    /// SCTP_PEER_ADDR_PARAMS of one address of the peer, as it stands.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an address that the peer does not have.
    pub fn path_settings(
        &self,
        id: SocketId,
        assoc: AssocId,
        addr: SocketAddr,
    ) -> Result<crate::PathSettings, Error> {
        let own = self.named(id, assoc)?;
        let association = self.association(own).ok_or(Error::NotConnected)?;
        let remote = association.settings.common.remote(addr)?;
        let at = association.path_to(remote).ok_or(Error::Invalid)?;
        Ok(association.paths[at].settings)
    }

    /// SPP_HB_DEMAND: a heartbeat now.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an address that the peer does not have.
    pub fn demand_heartbeat(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        assoc: AssocId,
        addr: SocketAddr,
    ) -> Result<(), Error> {
        let own = self.named(id, assoc)?;
        let association = self.association_mut(own).ok_or(Error::NotConnected)?;
        let remote = association.settings.common.remote(addr)?;
        let at = association.path_to(remote).ok_or(Error::Invalid)?;
        if association.state.is_up() {
            association.send_heartbeat(cx, at);
        }
        self.settle(cx, own);
        Ok(())
    }

    /// Whether a socket lingers as it closes, and how long.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn linger(&self, id: SocketId) -> Result<Option<Duration>, Error> {
        Ok(self.held(id)?.settings.linger)
    }
}

impl crate::tcb::Association {
    /// The socket's options are others now. RFC 9260 §7.2.5-1, §7.2.5.1-1: with another DSCP packets
    /// may wait in other queues, so what was learnt of the paths counts no more.
    fn adopt_common(&mut self, common: sockeye_core::SocketCommon) {
        let before = core::mem::replace(&mut self.settings.common, common);
        let common = &self.settings.common;
        for path in &mut self.paths {
            let ip = path.remote.ip;
            if path.settings.traffic_class.is_none() && common.class(ip) != before.class(ip) {
                path.reset_window();
            }
        }
    }
}
