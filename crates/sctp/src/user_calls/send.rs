//! Sending messages (RFC 6458 §3.1.4, §9.12).

use crate::endpoint::Style;
use crate::info::{AssocId, SndFlags, SndInfo};
use crate::outbound::{Manner, Outgoing, Refusal};
use crate::{Sctp, State};
use bytes::Bytes;
use sockeye_core::{Context, Error, Readiness, SocketId};
use sockeye_wire::sctp::Cause;
use std::io::IoSlice;
use std::net::SocketAddr;

impl Sctp {
    /// Sends one message, or ends the association, as `info` says. A one-to-many socket that has none
    /// with `to` makes one.
    ///
    /// # Errors
    /// - A pending error; [`Error::BrokenPipe`] when the association is being shut down or gone.
    /// - [`Error::NotConnected`] without an association, [`Error::DestinationRequired`] without an
    ///   address to make one.
    /// - [`Error::WouldBlock`] when the send buffer is full.
    /// - [`Error::MessageSize`] when it is longer than the send buffer, or than one packet carries and
    ///   may not be fragmented.
    /// - [`Error::Invalid`] for a stream or a key that there is not, and for nothing at all.
    /// - [`Error::AddressNotAvailable`] when a connected one-to-one socket names an address that is
    ///   not its peer's.
    pub fn send_msg(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        data: &[IoSlice<'_>],
        to: Option<SocketAddr>,
        info: &SndInfo,
    ) -> Result<usize, Error> {
        let endpoint = self.held_mut(id)?;
        if endpoint.style == Style::OneToOne
            && let Some(error) = endpoint.error.take()
        {
            return Err(error);
        }
        if endpoint.write_shut {
            return Err(Error::BrokenPipe);
        }
        if info.flags.contains(SndFlags::SENDALL) && endpoint.style == Style::OneToMany {
            return self.send_to_all(cx, id, data, info);
        }
        // As Linux: what a one-to-one socket names is where it goes, as if by SCTP_ADDR_OVER.
        let over = endpoint.style == Style::OneToOne || info.flags.contains(SndFlags::ADDR_OVER);
        let association = self.target(cx, id, to, info)?;
        let sent = self.send_on(cx, association, data, to.filter(|_| over), info);
        // One more message behind others that will be sent changes nothing in the tables.
        if self
            .association(association)
            .is_some_and(|own| !own.is_waiting_to_send())
        {
            self.settle(cx, association);
        }
        sent
    }

    fn send_to_all(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        data: &[IoSlice<'_>],
        info: &SndInfo,
    ) -> Result<usize, Error> {
        let all: Vec<SocketId> = self.held(id)?.associations.values().copied().collect();
        for association in all {
            // Who can't take it goes without, as on Linux.
            let _ = self.send_on(cx, association, data, None, info);
            self.settle(cx, association);
        }
        Ok(data.iter().map(|slice| slice.len()).sum())
    }

    /// The association that a message is for.
    fn target(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        to: Option<SocketAddr>,
        info: &SndInfo,
    ) -> Result<SocketId, Error> {
        let endpoint = self.held(id)?;
        if endpoint.style == Style::OneToOne {
            return match (endpoint.only(), to) {
                (Some(only), _) => Ok(only),
                (None, _) if endpoint.used => Err(Error::BrokenPipe),
                (None, None) => Err(Error::NotConnected),
                // RFC 6458 §4.1.9: whom a message names, that one is connected to.
                (None, Some(to)) => self.begin_by_sending(cx, id, to, info),
            };
        }
        if info.assoc.0 >= AssocId::FIRST {
            let named = self.named(id, info.assoc);
            return named.map_err(|_| Error::BrokenPipe);
        }
        let to = to.ok_or(Error::DestinationRequired)?;
        let remote = endpoint.settings.common.remote(to)?;
        let mut own = endpoint.associations.values().copied();
        let found = own.find(|&own| {
            self.association(own)
                .is_some_and(|association| association.path_to(remote).is_some())
        });
        if let Some(found) = found {
            return Ok(found);
        }
        self.begin_by_sending(cx, id, to, info)
    }

    fn begin_by_sending(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        to: SocketAddr,
        info: &SndInfo,
    ) -> Result<SocketId, Error> {
        if self.held(id)?.style == Style::OneToOne && self.held(id)?.backlog.is_some() {
            return Err(Error::BrokenPipe);
        }
        if info.flags.intersects(SndFlags::EOF | SndFlags::ABORT) {
            return Err(Error::Invalid);
        }
        let assoc = self.begin(cx, id, &[to])?;
        self.named(id, assoc)
    }

    fn send_on(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        data: &[IoSlice<'_>],
        to: Option<SocketAddr>,
        info: &SndInfo,
    ) -> Result<usize, Error> {
        let association = self.association_mut(id).ok_or(Error::BrokenPipe)?;
        let len: usize = data.iter().map(|slice| slice.len()).sum();
        if info.flags.contains(SndFlags::ABORT) {
            let reason = gather(data, len);
            let most = association.fragment_len().min(reason.len());
            association.abort(cx, &[Cause::UserAbort(&reason[..most])]);
            association.failure = None;
            return Ok(len);
        }
        if !association.state.takes() || association.shutdown_wanted {
            return Err(Error::BrokenPipe);
        }
        if len > 0 {
            association.take_message(cx, data, len, to, info)?;
        } else if !info.flags.contains(SndFlags::EOF) {
            return Err(Error::Invalid);
        }
        if info.flags.contains(SndFlags::EOF) {
            association.begin_shutdown(cx);
        }
        Ok(len)
    }
}

impl crate::tcb::Association {
    /// RFC 9260 §3.3.1-5, §6.5-1, §6.9-3, §6.9-4, §6.9-5.
    fn take_message(
        &mut self,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
        len: usize,
        to: Option<SocketAddr>,
        info: &SndInfo,
    ) -> Result<(), Error> {
        if info.stream >= self.streams.0 {
            return Err(Error::Invalid);
        }
        let manner = self.manner(to, info)?;
        let policy = self.policy(cx.now, info.reliability);
        let buffer = self.settings.common.send_buffer;
        if len > buffer || (self.settings.no_fragments && !self.fits_one(len)) {
            return Err(Error::MessageSize);
        }
        self.make_room(cx, policy, len);
        if self.send_held() >= buffer {
            self.wants_room = true;
            return Err(Error::WouldBlock);
        }
        let taken = self.outbound.push(
            info.stream,
            Outgoing {
                data: gather(data, len),
                ppid: info.ppid,
                unordered: info.flags.contains(SndFlags::UNORDERED),
                immediate: info.flags.contains(SndFlags::SACK_IMMEDIATELY),
                context: info.context,
                policy,
                manner,
            },
        );
        match taken {
            Ok(()) => Ok(()),
            Err(Refusal::Full) => {
                self.wants_room = true;
                Err(Error::WouldBlock)
            }
            Err(Refusal::NoStream | Refusal::Empty) => Err(Error::Invalid),
        }
    }

    /// Whether it stands in the list of senders already, and has nothing to tell its socket.
    fn is_waiting_to_send(&self) -> bool {
        let quiet = self.delivered.is_empty() && self.notices.is_empty() && !self.writable;
        quiet && self.listed && self.state == State::Established
    }

    /// How a message goes: to an address of the peer that its user named, signed with a key.
    fn manner(&self, to: Option<SocketAddr>, info: &SndInfo) -> Result<Manner, Error> {
        if info.key.is_some_and(|key| !self.settings.keys.signs(key)) {
            return Err(Error::Invalid);
        }
        let path = match to {
            None => None,
            Some(to) => {
                let remote = self.settings.common.remote(to)?;
                Some(self.path_to(remote).ok_or(Error::AddressNotAvailable)? as u8)
            }
        };
        Ok(Manner {
            path,
            key: info.key,
        })
    }

    /// Whether a message would be taken now.
    pub(crate) fn readiness(&self) -> Readiness {
        let room = self.send_held() < self.settings.common.send_buffer;
        match self.state {
            State::CookieWait | State::CookieEchoed => Readiness::empty(),
            State::Established if !room => Readiness::empty(),
            _ => Readiness::WRITABLE,
        }
    }
}

fn gather(data: &[IoSlice<'_>], len: usize) -> Bytes {
    if let [only] = data {
        return Bytes::copy_from_slice(only);
    }
    let mut all = Vec::with_capacity(len);
    data.iter().for_each(|slice| all.extend_from_slice(slice));
    all.into()
}
