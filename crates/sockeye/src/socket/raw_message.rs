//! sendmsg(2) and recvmsg(2) with control data as bytes, as Linux takes and lays it out.

use super::ancillary::{Ancillary, MessageFlags};
use super::send::Sending;
use super::{Domain, Kind, Socket};
use crate::error::to_io;
use sockeye_core::Error;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr};

/// Bytes of a `struct cmsghdr`, and what each is aligned to.
const HEADER_LEN: usize = size_of::<usize>() + 8;
const ALIGN: usize = align_of::<usize>();

/// One control message: what a `struct cmsghdr` says, and its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Control<'a> {
    /// cmsg_level.
    pub level: i32,
    /// cmsg_type.
    pub ty: i32,
    /// CMSG_DATA.
    pub data: &'a [u8],
}

/// What recvmsg(2) returns in a `struct msghdr`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawMessage {
    /// Bytes put into the buffers; with [`MessageFlags::TRUNCATE`], of the whole datagram.
    pub len: usize,
    /// See [`RecvMessage::from`](super::RecvMessage::from).
    pub from: Option<SocketAddr>,
    /// [`MessageFlags::TRUNCATE`], [`MessageFlags::CONTROL_TRUNCATED`],
    /// [`MessageFlags::ERROR_QUEUE`].
    pub flags: MessageFlags,
    /// Bytes put into the buffer for control data.
    pub control_len: usize,
}

impl Socket {
    /// sendmsg(2) of a datagram. As on Linux a control message of another family than the
    /// destination's is not looked at.
    ///
    /// # Errors
    /// Those of [`sendmsg`](Self::sendmsg).
    pub fn sendmsg_raw(
        &self,
        data: &[IoSlice<'_>],
        to: Option<SocketAddr>,
        control: &[Control<'_>],
        flags: MessageFlags,
    ) -> io::Result<usize> {
        let v4 = match to {
            Some(to) => to.ip().to_canonical().is_ipv4(),
            None => self
                .peer_addr()
                .map_or(self.domain() == Domain::IPV4, |peer| {
                    peer.ip().to_canonical().is_ipv4()
                }),
        };
        let mut ancillary = Vec::with_capacity(control.len());
        for message in control {
            ancillary.extend(self.heeded(message, v4)?);
        }
        if let Kind::Sctp(_) = self.0.kind {
            return self.send_sctp_message(data, to, &ancillary, flags);
        }
        let options = self.send_options(&ancillary)?;
        self.send_with(Sending {
            data,
            to,
            flags,
            options: &options,
        })
    }

    /// A control message, unless it is none that counts for a destination of the family.
    fn heeded(&self, message: &Control<'_>, v4: bool) -> io::Result<Option<Ancillary>> {
        let Control { level, ty, data } = *message;
        let of_mapped = self.domain() == Domain::IPV6 && ty == libc::IPV6_PKTINFO;
        let counts = match level {
            libc::IPPROTO_IP => v4,
            libc::IPPROTO_IPV6 => !v4 || of_mapped,
            libc::IPPROTO_UDP => true,
            Ancillary::SCTP_LEVEL => matches!(self.0.kind, Kind::Sctp(_)),
            libc::SOL_DCCP => self.0.kind == Kind::Dccp,
            // Those of AF_UNIX.
            libc::SOL_SOCKET => !matches!(ty, libc::SCM_RIGHTS | libc::SCM_CREDENTIALS),
            _ => false,
        };
        if !counts {
            return Ok(None);
        }
        let read = Ancillary::from_raw(level, ty, data)?;
        match &read {
            // ipv6(7): over IPv4 the source is a mapped address.
            Ancillary::PacketInfo { address, .. }
                if v4
                    && level == libc::IPPROTO_IPV6
                    && matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_none()) =>
            {
                Err(to_io(Error::Invalid))
            }
            _ => Ok(Some(read)),
        }
    }

    /// recvmsg(2): `control` gets the control messages, one `struct cmsghdr` after the other.
    ///
    /// # Errors
    /// Those of [`recvmsg`](Self::recvmsg).
    pub fn recvmsg_raw(
        &self,
        buffers: &mut [IoSliceMut<'_>],
        control: &mut [u8],
        flags: MessageFlags,
    ) -> io::Result<RawMessage> {
        let message = self.recvmsg(buffers, flags)?;
        let (control_len, whole) = lay_out(&message.ancillary, self.domain(), control);
        let mut flags = message.flags;
        flags.set(MessageFlags::CONTROL_TRUNCATED, !whole);
        Ok(RawMessage {
            len: message.len,
            from: message.from,
            flags,
            control_len,
        })
    }
}

/// Writes control messages as put_cmsg does: the last one may be cut. False when not all had room.
fn lay_out(messages: &[Ancillary], domain: Domain, out: &mut [u8]) -> (usize, bool) {
    let (mut at, mut whole) = (0, true);
    for message in messages {
        let (level, ty, data) = message.to_raw(domain);
        let room = out.len() - at;
        if room < HEADER_LEN {
            whole = false;
            continue;
        }
        let len = (HEADER_LEN + data.len()).min(room);
        whole &= len == HEADER_LEN + data.len();
        let place = &mut out[at..at + len];
        place[..size_of::<usize>()].copy_from_slice(&len.to_ne_bytes());
        place[HEADER_LEN - 8..HEADER_LEN - 4].copy_from_slice(&level.to_ne_bytes());
        place[HEADER_LEN - 4..HEADER_LEN].copy_from_slice(&ty.to_ne_bytes());
        place[HEADER_LEN..].copy_from_slice(&data[..len - HEADER_LEN]);
        let end = (at + len.next_multiple_of(ALIGN)).min(out.len());
        out[at + len..end].fill(0);
        at = end;
    }
    (at, whole)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn control_data_is_cut_as_linux_cuts_it() {
        let messages = [Ancillary::Ttl(9), Ancillary::Tos(7)];
        let mut out = [0xee; 64];
        assert_eq!(lay_out(&messages, Domain::IPV4, &mut out), (48, true));
        assert_eq!(out[..8], 20_usize.to_ne_bytes());
        assert_eq!(
            out[8..16],
            [0_i32, libc::IP_TTL].map(i32::to_ne_bytes).concat()
        );
        assert_eq!(out[16..24], [9, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(out[24..32], 17_usize.to_ne_bytes());
        for (room, used, whole) in [
            (0, 0, false),
            (18, 18, false),
            (24, 24, false),
            (41, 41, true),
        ] {
            let laid = lay_out(&messages, Domain::IPV4, &mut out[..room]);
            assert_eq!(laid, (used, whole), "{room}");
        }
    }
}
