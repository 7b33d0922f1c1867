//! What SCTP's sockets have beside what all have (RFC 6458): several addresses, associations,
//! messages with what is known of them, options as Linux numbers and lays them out.

mod extensions;
mod get;
mod layout;
mod message;
pub(super) mod notification;
mod numbers;
mod set;

use super::op::{Kind, Op};
use super::wait::Wait;
use super::{MessageFlags, Socket, timeout};
use crate::error::to_io;
use crate::waiters::{Class, Direction};
use sockeye_core::option::{Layout, Standing};
use sockeye_core::{Context, Error, Handle, OptionValue, SocketOption};
use sockeye_core::{SocketId, TransportId};
use sockeye_node::Sctp;
use sockeye_sctp::{
    Abandoned, AssocId, AssocStats, Extensions, Incoming, PathInfo, PathSettings, Settings,
    SndInfo, Status, Style,
};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::task::{self, Poll};

/// SOL_SCTP.
pub(super) const SOL_SCTP: i32 = libc::IPPROTO_SCTP;

impl Op<'_> {
    /// A call about what SCTP alone has.
    pub(super) fn sctp<T>(
        &mut self,
        call: impl FnOnce(&mut Sctp, &mut Context<'_>, SocketId) -> Result<T, Error>,
    ) -> Result<T, Error> {
        match self.kind {
            Kind::Sctp(_) => {
                let (sctp, mut cx) = self.state.node.sctp(self.now);
                call(sctp, &mut cx, self.id)
            }
            _ => Err(Error::NotSupported),
        }
    }

    fn peel_off(&mut self, assoc: AssocId) -> Result<Handle, Error> {
        let id = self.sctp(|sctp, cx, id| sctp.peel_off(cx, id, assoc))?;
        let handle = Handle {
            transport: TransportId::SCTP,
            id,
        };
        self.state.open.insert(handle);
        Ok(handle)
    }
}

/// SCTP's sockets (RFC 6458); of others all this is EOPNOTSUPP. Of a one-to-one socket an
/// association's name counts for nothing: it has its own.
impl Socket {
    fn sctp<T>(
        &self,
        call: impl FnOnce(&mut Sctp, &mut Context<'_>, SocketId) -> Result<T, Error>,
    ) -> io::Result<T> {
        let done = self.call(|op| op.sctp(call));
        self.run();
        done
    }

    /// An option of SCTP by its name: its structure as bytes, laid out as Linux does, or an int.
    pub(super) fn set_sctp_option(
        &self,
        option: SocketOption,
        value: &OptionValue,
    ) -> Option<io::Result<()>> {
        let (number, _) = self.sctp_row(option)?;
        let bytes = match value {
            OptionValue::Bytes(bytes) => Ok(bytes.clone()),
            value => value.int().map(|n| n.to_ne_bytes().to_vec()),
        };
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(error) => return Some(Err(to_io(error))),
        };
        Some(self.set_option_raw(SOL_SCTP, number, &bytes))
    }

    /// The same, read: of what names an association it is [`AssocId::FUTURE`], which of a one-to-one
    /// socket is its own.
    pub(super) fn sctp_option(&self, option: SocketOption) -> Option<io::Result<OptionValue>> {
        let (number, layout) = self.sctp_row(option)?;
        let is_int = !matches!(layout, Layout::Struct(_));
        let mut bytes = match layout {
            Layout::Struct(len) => vec![0; len],
            _ => vec![0; 4],
        };
        let told = self.option_raw(SOL_SCTP, number, &mut bytes);
        Some(told.map(|len| {
            bytes.truncate(len);
            match (is_int, bytes.first_chunk()) {
                (true, Some(word)) => OptionValue::Int(i32::from_ne_bytes(*word)),
                _ => OptionValue::Bytes(bytes),
            }
        }))
    }

    /// Number and layout of an option that SCTP's sockets alone have.
    fn sctp_row(&self, option: SocketOption) -> Option<(i32, Layout)> {
        if !matches!(self.0.kind, Kind::Sctp(_)) {
            return None;
        }
        let row = option.row().filter(|row| row.level == SOL_SCTP)?;
        match row.standing {
            Standing::Works { layout, .. } => Some((row.number, layout)),
            Standing::Refused { .. } => None,
        }
    }

    /// sctp_bindx(3) with SCTP_BINDX_ADD_ADDR: further addresses of its own, all with one port.
    ///
    /// # Errors
    /// Those of [`bind`](Self::bind).
    pub fn bind_add(&self, addresses: &[SocketAddr]) -> io::Result<()> {
        self.sctp(|sctp, cx, id| sctp.bind_add(cx, id, addresses))
    }

    /// sctp_bindx(3) with SCTP_BINDX_REM_ADDR.
    ///
    /// # Errors
    /// EINVAL for an address that it is not bound to, EBUSY for the last one.
    pub fn bind_remove(&self, addresses: &[SocketAddr]) -> io::Result<()> {
        self.sctp(|sctp, cx, id| sctp.bind_remove(cx, id, addresses))
    }

    /// sctp_connectx(3): connects to a peer that has all these addresses. A blocking one-to-one
    /// socket waits until the attempt has ended.
    ///
    /// # Errors
    /// Those of [`connect`](Self::connect).
    pub fn connect_multi(&self, addresses: &[SocketAddr]) -> io::Result<AssocId> {
        let wait = self.patience(timeout(&self.0.write_timeout));
        self.connect_multi_within(addresses, wait).map_err(to_io)
    }

    fn connect_multi_within(&self, addresses: &[SocketAddr], wait: Wait) -> Result<AssocId, Error> {
        let begun = self.step(|op| op.sctp(|sctp, cx, id| sctp.connect_multi(cx, id, addresses)));
        self.run();
        match (begun, wait) {
            (Err(Error::InProgress), Wait::No) => return Err(Error::InProgress),
            (Err(Error::InProgress | Error::Already), _) => {}
            (done, _) => return done,
        }
        let first = addresses.first().copied();
        if self.0.kind == Kind::Sctp(Style::OneToOne) {
            let ended = self.wait(Direction::Write, Class::Shared, wait, |op| op.connected());
            match ended {
                Err(Error::WouldBlock) => return Err(Error::InProgress),
                done => done?,
            }
        }
        self.step(|op| op.sctp(|sctp, _, id| sctp.association_with(id, first)))
    }

    /// sctp_peeloff(3): an association of a one-to-many socket becomes a one-to-one socket.
    ///
    /// # Errors
    /// EINVAL when it has no such association or is one-to-one.
    pub fn peel_off(&self, assoc: AssocId) -> io::Result<Self> {
        let handle = self.call(|op| op.peel_off(assoc))?;
        let (node, domain) = (self.0.node.clone(), self.0.domain);
        let kind = Kind::Sctp(Style::OneToOne);
        Ok(Self::from_parts(
            node,
            handle,
            kind,
            domain,
            self.0.protocol,
        ))
    }

    /// sctp_getladdrs(3): its own addresses, or an association's. One that is bound to all of the
    /// node's has all of them.
    ///
    /// # Errors
    /// EINVAL for an association that it does not have.
    pub fn local_addrs(&self, assoc: AssocId) -> io::Result<Vec<SocketAddr>> {
        let bound = self.sctp(|sctp, _, id| sctp.local_addrs(id, assoc))?;
        let Some(all) = bound.iter().find(|addr| addr.ip().is_unspecified()) else {
            return Ok(bound);
        };
        let mut addresses = Vec::new();
        for interface in self.node().interfaces()? {
            for address in interface.addresses {
                let ip = address.net.addr();
                let link_local =
                    matches!(ip, std::net::IpAddr::V6(v6) if v6.is_unicast_link_local());
                if all.is_ipv4() && ip.is_ipv6() || link_local {
                    continue;
                }
                addresses.push(SocketAddr::new(ip, all.port()));
            }
        }
        Ok(addresses)
    }

    /// sctp_getpaddrs(3): the peer's addresses.
    ///
    /// # Errors
    /// ENOTCONN; EINVAL for an association that it does not have.
    pub fn peer_addrs(&self, assoc: AssocId) -> io::Result<Vec<SocketAddr>> {
        self.sctp(|sctp, _, id| sctp.peer_addrs(id, assoc))
    }

    /// SCTP_STATUS.
    ///
    /// # Errors
    /// ENOTCONN; EINVAL for an association that it does not have.
    pub fn sctp_status(&self, assoc: AssocId) -> io::Result<Status> {
        self.sctp(|sctp, _, id| sctp.status(id, assoc))
    }

    /// SCTP_GET_ASSOC_STATS: the traffic of an association. The largest RTO counts anew from then on.
    ///
    /// # Errors
    /// ENOTCONN; EINVAL for an association that it does not have.
    pub fn assoc_stats(&self, assoc: AssocId) -> io::Result<AssocStats> {
        self.sctp(|sctp, _, id| sctp.assoc_stats(id, assoc))
    }

    /// SCTP_PR_ASSOC_STATUS (RFC 7496 §4.3): messages of an association that were given up.
    ///
    /// # Errors
    /// ENOTCONN; EINVAL for an association that it does not have.
    pub fn abandoned(&self, assoc: AssocId) -> io::Result<Abandoned> {
        self.sctp(|sctp, _, id| sctp.abandoned(id, assoc))
    }

    /// SCTP_PR_STREAM_STATUS (RFC 7496 §4.4): messages of one stream that were given up.
    ///
    /// # Errors
    /// ENOTCONN; EINVAL for an association or a stream that it does not have.
    pub fn abandoned_on(&self, assoc: AssocId, stream: u16) -> io::Result<Abandoned> {
        self.sctp(|sctp, _, id| sctp.abandoned_on(id, assoc, stream))
    }

    /// Which extensions an association has, or new ones are offered.
    ///
    /// # Errors
    /// EINVAL for an association that it does not have.
    pub fn sctp_extensions(&self, assoc: AssocId) -> io::Result<Extensions> {
        self.sctp(|sctp, _, id| sctp.extensions(id, assoc))
    }

    /// SCTP_GET_PEER_ADDR_INFO of all the peer's addresses.
    ///
    /// # Errors
    /// ENOTCONN; EINVAL for an association that it does not have.
    pub fn sctp_paths(&self, assoc: AssocId) -> io::Result<Vec<PathInfo>> {
        self.sctp(|sctp, _, id| sctp.paths(id, assoc))
    }

    /// SCTP_GET_ASSOC_ID_LIST: the associations that it has.
    ///
    /// # Errors
    /// The node was shut down.
    pub fn associations(&self) -> io::Result<Vec<AssocId>> {
        self.sctp(|sctp, _, id| sctp.associations(id))
    }

    /// The association with the peer that has this address.
    ///
    /// # Errors
    /// ENOTCONN when there is none.
    pub fn association_with(&self, peer: SocketAddr) -> io::Result<AssocId> {
        self.sctp(|sctp, _, id| sctp.association_with(id, Some(peer)))
    }

    /// What `assoc` is set to: [`AssocId::FUTURE`] for associations that are still to come.
    ///
    /// # Errors
    /// EINVAL for an association that it does not have.
    pub fn sctp_settings(&self, assoc: AssocId) -> io::Result<Settings> {
        self.sctp(|sctp, _, id| sctp.settings(id, assoc).cloned())
    }

    /// Changes what `assoc` names: associations to come, those that there are, both, or one.
    ///
    /// # Errors
    /// EINVAL for an association that it does not have.
    pub fn configure_sctp(&self, assoc: AssocId, change: impl Fn(&mut Settings)) -> io::Result<()> {
        self.sctp(|sctp, cx, id| sctp.configure(cx, id, assoc, change))
    }

    /// SCTP_PEER_ADDR_PARAMS of one address of the peer.
    ///
    /// # Errors
    /// EINVAL for an address that the peer does not have.
    pub fn path_settings(&self, assoc: AssocId, peer: SocketAddr) -> io::Result<PathSettings> {
        self.sctp(|sctp, _, id| sctp.path_settings(id, assoc, peer))
    }

    /// See [`path_settings`](Self::path_settings).
    ///
    /// # Errors
    /// EINVAL for an address that the peer does not have.
    pub fn configure_path(
        &self,
        assoc: AssocId,
        peer: SocketAddr,
        settings: PathSettings,
    ) -> io::Result<()> {
        self.sctp(|sctp, cx, id| sctp.configure_path(cx, id, assoc, peer, settings))
    }

    /// SCTP_PRIMARY_ADDR: data goes to this address of the peer as long as it answers.
    ///
    /// # Errors
    /// EINVAL for an address that the peer does not have.
    pub fn set_primary(&self, assoc: AssocId, peer: SocketAddr) -> io::Result<()> {
        self.sctp(|sctp, cx, id| sctp.set_primary(cx, id, assoc, peer))
    }

    /// sctp_sendv(3): sends one message, or ends an association, as `info` says. A one-to-many socket
    /// that has no association with `to` makes one.
    ///
    /// # Errors
    /// EPIPE, ENOTCONN, EAGAIN, EMSGSIZE; EINVAL for a stream that there is not.
    pub fn send_msg(
        &self,
        data: &[IoSlice<'_>],
        to: Option<SocketAddr>,
        info: &SndInfo,
        flags: MessageFlags,
    ) -> io::Result<usize> {
        let wait = match flags.contains(MessageFlags::DONT_WAIT) {
            true => Wait::No,
            false => self.patience(timeout(&self.0.write_timeout)),
        };
        let sent = self.wait(Direction::Write, Class::Exclusive, wait, |op| {
            op.sctp(|sctp, cx, id| sctp.send_msg(cx, id, data, to, info))
        });
        self.run();
        sent.map_err(to_io)
    }

    /// [`send_msg`](Self::send_msg) for a task.
    ///
    /// # Errors
    /// Those of [`send_msg`](Self::send_msg).
    pub fn poll_send_msg(
        &self,
        cx: &mut task::Context<'_>,
        data: &[IoSlice<'_>],
        to: Option<SocketAddr>,
        info: &SndInfo,
    ) -> Poll<io::Result<usize>> {
        let polled = self.poll_step(cx, Direction::Write, |op| {
            op.sctp(|sctp, cx, id| sctp.send_msg(cx, id, data, to, info))
        });
        self.run();
        polled.map_err(to_io)
    }

    /// sctp_recvv(3): the next message, a part of it as large as the buffer, or a notification.
    ///
    /// # Errors
    /// EAGAIN, ENOTCONN, and the socket's pending error.
    pub fn recv_msg(&self, buffer: &mut [u8], flags: MessageFlags) -> io::Result<Incoming> {
        self.recv_told(buffer, flags).map(|(incoming, _)| incoming)
    }

    /// The same, and whom a notification is from.
    fn recv_told(
        &self,
        buffer: &mut [u8],
        flags: MessageFlags,
    ) -> io::Result<(Incoming, Option<SocketAddr>)> {
        let wait = self.receive_patience(flags);
        let peek = flags.contains(MessageFlags::PEEK);
        let received = self.wait(Direction::Read, Class::Exclusive, wait, |op| {
            op.sctp(|sctp, cx, id| {
                let incoming = sctp.recv_msg(cx, id, buffer, peek)?;
                Ok((incoming, sctp.notified_by(id)))
            })
        });
        self.run();
        received.map_err(to_io)
    }

    /// [`recv_msg`](Self::recv_msg) for a task.
    ///
    /// # Errors
    /// Those of [`recv_msg`](Self::recv_msg).
    pub fn poll_recv_msg(
        &self,
        cx: &mut task::Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<Incoming>> {
        let polled = self.poll_step(cx, Direction::Read, |op| {
            op.sctp(|sctp, cx, id| sctp.recv_msg(cx, id, buffer, false))
        });
        self.run();
        polled.map_err(to_io)
    }
}
