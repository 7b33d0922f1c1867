//! Changes of our own addresses (RFC 5061 §5.1), and what is answered to them.

use super::{CHANGES_MAX, Change, Flight};
use crate::addresses;
use crate::tcb::Association;
use smallvec::SmallVec;
use sockeye_core::{Context, Counter, Error, Instant};
use sockeye_wire::sctp::{Asconf, AsconfAck, Cause, Parameter};
use std::net::IpAddr;

impl Association {
    /// Wants the peer to know of changes, in this order.
    ///
    /// # Errors
    /// [`Error::NotPermitted`] when the peer knows nothing of ASCONF or of AUTH,
    /// [`Error::Invalid`] when no address would be left (RFC 5061 §5.3 F5) or it is no address of
    /// ours, [`Error::NoBufferSpace`] when too many changes wait.
    pub(crate) fn change_addresses(
        &mut self,
        cx: &mut Context<'_>,
        changes: &[Change],
    ) -> Result<(), Error> {
        if !self.can_change_addresses() {
            return Err(Error::NotPermitted);
        }
        if self.asconf.wanted.len() + changes.len() > CHANGES_MAX {
            return Err(Error::NoBufferSpace);
        }
        let mut prepared = Ok(());
        for change in changes {
            prepared = self.prepare(*change);
            if prepared.is_err() {
                break;
            }
            self.asconf.wanted.push_back(*change);
        }
        self.advance_asconf(cx);
        prepared
    }

    /// What a change means to ourselves before the peer knows of it.
    fn prepare(&mut self, change: Change) -> Result<(), Error> {
        match change {
            Change::Add(ip) => {
                if self.local.contains(&ip) || self.asconf.joining.contains(&ip) {
                    return Err(Error::Invalid);
                }
                self.asconf.joining.push(ip);
            }
            Change::Delete(ip) => {
                let left = self.local.iter().filter(|own| **own != ip).count();
                if !self.local.contains(&ip) || left + self.asconf.joining.len() == 0 {
                    return Err(Error::Invalid);
                }
                // §5.3 F4: it is no source any more, and receives until the answer.
                self.local.retain(|own| *own != ip);
                self.asconf.leaving.push(ip);
                self.forget_routes();
            }
            Change::SetPrimary(ip) => {
                if !self.local.contains(&ip) && !self.asconf.joining.contains(&ip) {
                    return Err(Error::Invalid);
                }
            }
        }
        Ok(())
    }

    /// The node has one address more, and the association is to have it, too (RFC 6458 §8.1.23).
    pub(crate) fn address_comes(&mut self, cx: &mut Context<'_>, ip: IpAddr) {
        let peer = self.paths[self.primary].remote.ip;
        if !addresses::is_near(&self.settings, ip, peer) || !self.may_configure() {
            return;
        }
        // §5.3 F6: where the last address went before this one came, one takes the other's place.
        let lost = self.asconf.lost.take();
        if lost == Some(ip) {
            return;
        }
        let change = [Some(Change::Add(ip)), lost.map(Change::Delete)];
        let changes: SmallVec<[Change; 2]> = change.into_iter().flatten().collect();
        let done = self.change_addresses(cx, &changes);
        if done.is_err() {
            self.asconf.lost = lost;
        }
    }

    /// An address of the node is gone. `automatic`: the peer is told, and after the last one the
    /// association waits for another until its time-outs end it.
    pub(crate) fn address_goes(&mut self, cx: &mut Context<'_>, ip: IpAddr, automatic: bool) {
        self.asconf.joining.retain(|other| *other != ip);
        if !self.local.contains(&ip) {
            return;
        }
        let can_tell = automatic && self.may_configure() && self.can_change_addresses();
        let last = self.local.len() + self.asconf.joining.len() == 1;
        match (can_tell, last) {
            (true, true) => {
                self.asconf.lost = Some(ip);
                self.forget_routes();
            }
            (true, false) if self.change_addresses(cx, &[Change::Delete(ip)]).is_ok() => {}
            (_, false) => self.local.retain(|own| *own != ip),
            (false, true) => self.lose(cx, Error::NetworkDown),
        }
    }

    /// Whether the peer can be told of other addresses.
    fn can_change_addresses(&self) -> bool {
        self.abilities.address_configuration
            && (self.authenticator.is_some() || self.settings.unsigned_addresses)
            && !self.asconf.refused
    }

    /// Sends what waits, in one chunk, once the one before is answered (§5.1 A3, §5.1.1 C1).
    pub(super) fn advance_asconf(&mut self, cx: &mut Context<'_>) {
        if self.asconf.flight.is_some() || self.asconf.wanted.is_empty() || !self.may_configure() {
            return;
        }
        let mut parameters = Vec::new();
        let mut changes = SmallVec::new();
        for change in core::mem::take(&mut self.asconf.wanted) {
            let correlation = self.asconf.correlation;
            self.asconf.correlation = correlation.wrapping_add(1);
            parameter(change, correlation).emit(&mut parameters);
            changes.push((correlation, change));
        }
        // §5.3 F6: not from an address that is deleted; with no other left, from the new one.
        if self.local.is_empty() {
            self.local = self.asconf.joining.clone();
        }
        let Some(&address) = self.local.first() else {
            return;
        };
        let serial = self.asconf.next;
        self.asconf.next = serial.wrapping_add(1);
        let mut chunk = Vec::new();
        Asconf {
            serial,
            address: self.lookup_address(address),
            parameters: &parameters,
        }
        .emit(&mut chunk);
        // Our new addresses may reach the peer by other paths than the old ones did.
        let count = self.paths.len();
        let mut ways = (0..count).map(|step| (self.data_path + step) % count);
        let way = ways.find(|&at| self.paths[at].route(cx, &self.local).is_ok());
        let path = way.unwrap_or(self.data_path);
        self.send_control(cx, path, &chunk);
        self.asconf.flight = Some(Flight {
            serial,
            chunk,
            changes,
            path,
        });
        // A4.
        self.deadlines.asconf = cx.now + self.paths[path].rto.current();
    }

    /// The address that the peer finds the association by (§4.1.1): one that it knows already.
    fn lookup_address(&self, source: IpAddr) -> IpAddr {
        match self.asconf.joining.contains(&source) {
            true => self.asconf.leaving.first().copied().unwrap_or(source),
            false => source,
        }
    }

    /// §5.1.1 C4: the states in which these chunks are sent.
    pub(super) fn may_configure(&self) -> bool {
        use crate::State;
        matches!(
            self.state,
            State::Established
                | State::ShutdownPending
                | State::ShutdownReceived
                | State::ShutdownSent
        )
    }

    /// T-4 ran out (§5.1 B1 to B5).
    pub(crate) fn asconf_expires(&mut self, cx: &mut Context<'_>) {
        let Some(flight) = &self.asconf.flight else {
            return;
        };
        cx.counters.add(Counter::SctpT4RtoExpireds);
        let at = flight.path.min(self.paths.len().saturating_sub(1));
        self.paths[at].rto.back_off();
        self.path_fails(cx, at, true);
        if !self.may_configure() {
            return;
        }
        // B4: by another path, if there is one that works.
        let count = self.paths.len();
        let mut others = (1..count).map(|step| (at + step) % count);
        let next = others
            .find(|&other| self.paths[other].is_active())
            .unwrap_or(at);
        let Some(flight) = &mut self.asconf.flight else {
            return;
        };
        flight.path = next;
        let chunk = flight.chunk.clone();
        self.send_control(cx, next, &chunk);
        self.deadlines.asconf = cx.now + self.paths[next].rto.current();
    }

    /// ASCONF-ACK (§5.1 A5 to A8).
    pub(crate) fn asconf_ack_arrives(&mut self, cx: &mut Context<'_>, ack: &AsconfAck<'_>) {
        let answered = |flight: &mut Flight| flight.serial == ack.serial;
        let Some(flight) = self.asconf.flight.take_if(answered) else {
            // §5.3 F0: an answer to what was never asked.
            let ahead = ack.serial.wrapping_sub(self.asconf.next).cast_signed() >= 0;
            if ahead && self.asconf.flight.is_none() {
                self.abort(cx, &[Cause::IllegalAsconfAck]);
            }
            return;
        };
        self.deadlines.asconf = Instant::FAR;
        self.errors = 0;
        if let Some(path) = self.paths.get_mut(flight.path) {
            path.errors = 0;
        }
        let (mut failed, mut succeeded) = (Vec::new(), Vec::new());
        for raw in ack.parameters().flatten() {
            match Parameter::parse(&raw) {
                Ok(Parameter::ErrorIndication { correlation, .. }) => failed.push(correlation),
                Ok(Parameter::Success { correlation }) => succeeded.push(correlation),
                _ => {}
            }
        }
        // A7: what follows a failure has failed, unless it is said to have been done.
        let mut failing = false;
        for (correlation, change) in flight.changes {
            failing |= failed.contains(&correlation);
            let done = !failing || succeeded.contains(&correlation);
            self.changed(change, done && !failed.contains(&correlation));
        }
        self.forget_routes();
        self.advance_asconf(cx);
    }

    /// The peer has done a change, or not.
    fn changed(&mut self, change: Change, done: bool) {
        match change {
            Change::Add(ip) => {
                self.asconf.joining.retain(|other| *other != ip);
                // §5.3 F2.
                if done && !self.local.contains(&ip) {
                    self.local.push(ip);
                } else if !done && self.local.len() > 1 {
                    self.local.retain(|own| *own != ip);
                }
            }
            Change::Delete(ip) => {
                self.asconf.leaving.retain(|other| *other != ip);
                if !done && !self.local.contains(&ip) {
                    self.local.push(ip);
                }
            }
            Change::SetPrimary(_) => {}
        }
    }

    /// §5.1 A9: the peer does not know the chunk.
    pub(crate) fn asconf_unknown(&mut self) {
        self.asconf.refused = true;
        self.asconf.wanted.clear();
        self.deadlines.asconf = Instant::FAR;
        if let Some(flight) = self.asconf.flight.take() {
            for (_, change) in flight.changes {
                self.changed(change, false);
            }
        }
    }

    /// Our addresses have changed: which one is a path's source is looked up anew.
    fn forget_routes(&mut self) {
        for path in &mut self.paths {
            path.forget_route();
        }
    }
}

fn parameter(change: Change, correlation: u32) -> Parameter<'static> {
    match change {
        Change::Add(address) => Parameter::AddAddress {
            correlation,
            address,
        },
        Change::Delete(address) => Parameter::DeleteAddress {
            correlation,
            address,
        },
        Change::SetPrimary(address) => Parameter::SetPrimary {
            correlation,
            address,
        },
    }
}
