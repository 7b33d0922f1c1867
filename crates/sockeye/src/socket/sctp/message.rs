//! sendmsg(2) and recvmsg(2) of SCTP (RFC 6458 §4, §5): its control messages as Linux lays them out.

use super::SOL_SCTP;
use super::layout::{Fields, Writer};
use super::notification;
use crate::error::to_io;
use crate::socket::{Ancillary, Kind, MessageFlags, RecvMessage, Socket};
use bytes::Bytes;
use sockeye_core::Error;
use sockeye_sctp::{AssocId, Incoming, InitMsg, PrInfo, Received, SndFlags, SndInfo, Style, Told};
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Types of control messages.
const INIT: i32 = 0;
const SNDRCV: i32 = 1;
const SNDINFO: i32 = 2;
const RCVINFO: i32 = 3;
const NXTINFO: i32 = 4;
const PRINFO: i32 = 5;
const AUTHINFO: i32 = 6;
const DSTADDRV4: i32 = 7;
const DSTADDRV6: i32 = 8;

/// SCTP_PR_SCTP_MASK, SCTP_PR_SCTP_ALL: bits of sinfo_flags that are not [`SndFlags`].
const POLICY_BITS: u16 = 0x30;
/// SCTP_PR_SCTP_TTL, _RTX and _PRIO.
pub(super) const POLICY_TIMED: u16 = 0x10;
pub(super) const POLICY_LIMITED: u16 = 0x20;
pub(super) const POLICY_PRIORITY: u16 = 0x30;
/// SCTP_NOTIFICATION of nxt_flags.
const NOTIFICATION: u16 = 0x8000;

/// What the control messages of a send say.
#[derive(Debug)]
struct Said {
    info: SndInfo,
    init: Option<InitMsg>,
    /// Further addresses of the peer.
    also: Vec<IpAddr>,
}

impl Said {
    fn read(&mut self, ty: i32, data: &[u8]) -> Result<(), Error> {
        match ty {
            INIT => {
                let mut fields = Fields::exactly(data, 8)?;
                self.init = Some(InitMsg {
                    out_streams: fields.u16()?,
                    in_streams_max: fields.u16()?,
                    attempts_max: fields.u16()?,
                    timeout_max: Duration::from_millis(fields.u16()?.into()),
                });
            }
            SNDRCV => {
                let mut fields = Fields::exactly(data, 32)?;
                self.info.stream = fields.u16()?;
                fields.skip(2)?;
                let bits = fields.u16()?;
                self.flags(bits)?;
                fields.skip(2)?;
                (self.info.ppid, self.info.context) = (fields.ppid()?, fields.u32()?);
                let value = fields.u32()?;
                // As Linux: a time to live alone is a policy, too.
                self.info.reliability = match bits & POLICY_BITS {
                    0 if value > 0 => reliability(POLICY_TIMED, value)?,
                    policy => reliability(policy, value)?,
                };
                fields.skip(8)?;
                self.info.assoc = fields.assoc()?;
            }
            SNDINFO => {
                let mut fields = Fields::exactly(data, 16)?;
                self.info.stream = fields.u16()?;
                self.flags(fields.u16()?)?;
                (self.info.ppid, self.info.context) = (fields.ppid()?, fields.u32()?);
                self.info.assoc = fields.assoc()?;
            }
            PRINFO => {
                let mut fields = Fields::exactly(data, 8)?;
                let policy = fields.u16()?;
                fields.skip(2)?;
                self.info.reliability = reliability(policy, fields.u32()?)?;
            }
            AUTHINFO => self.info.key = Some(Fields::exactly(data, 2)?.u16()?),
            DSTADDRV4 => {
                let octets: [u8; 4] = data.try_into().map_err(|_| Error::Invalid)?;
                self.also.push(octets.into());
            }
            DSTADDRV6 => {
                let octets: [u8; 16] = data.try_into().map_err(|_| Error::Invalid)?;
                self.also.push(octets.into());
            }
            _ => return Err(Error::Invalid),
        }
        Ok(())
    }

    fn flags(&mut self, bits: u16) -> Result<(), Error> {
        self.info.flags = SndFlags::from_bits(bits & !POLICY_BITS).ok_or(Error::Invalid)?;
        Ok(())
    }
}

/// What a policy and its value mean (RFC 7496 §4.1): milliseconds, retransmissions, or a rank.
pub(super) fn reliability(policy: u16, value: u32) -> Result<PrInfo, Error> {
    Ok(match policy {
        0 => PrInfo::None,
        POLICY_TIMED if value == 0 => PrInfo::None,
        POLICY_TIMED => PrInfo::Timed(Duration::from_millis(value.into())),
        POLICY_LIMITED => PrInfo::Limited(value),
        POLICY_PRIORITY => PrInfo::Priority(value),
        _ => return Err(Error::Invalid),
    })
}

/// The policy and its value.
pub(super) fn policy_of(reliability: PrInfo) -> (u16, u32) {
    match reliability {
        PrInfo::None => (0, 0),
        PrInfo::Timed(time) => {
            let millis = u32::try_from(time.as_millis());
            (POLICY_TIMED, millis.unwrap_or(u32::MAX))
        }
        PrInfo::Limited(count) => (POLICY_LIMITED, count),
        PrInfo::Priority(rank) => (POLICY_PRIORITY, rank),
    }
}

impl Socket {
    pub(in crate::socket) fn send_sctp_message(
        &self,
        data: &[IoSlice<'_>],
        to: Option<SocketAddr>,
        ancillary: &[Ancillary],
        flags: MessageFlags,
    ) -> io::Result<usize> {
        if flags.contains(MessageFlags::OUT_OF_BAND) {
            return Err(to_io(Error::NotSupported));
        }
        let mut said = Said {
            info: self.sctp(|sctp, _, id| sctp.send_info(id))?,
            init: None,
            also: Vec::new(),
        };
        for message in ancillary {
            match message {
                Ancillary::Sctp { ty, data } => said.read(*ty, data).map_err(to_io)?,
                _ => return Err(to_io(Error::Invalid)),
            }
        }
        let len: usize = data.iter().map(|slice| slice.len()).sum();
        self.may_send(&said.info, len).map_err(to_io)?;
        if !said.also.is_empty()
            && let Some(to) = to
            && self.association_with(to).is_err()
        {
            let port = to.port();
            let also = said.also.iter().map(|&ip| SocketAddr::new(ip, port));
            let all: Vec<SocketAddr> = std::iter::once(to).chain(also).collect();
            self.begin_with(&said, || self.connect_multi(&all))?;
        }
        self.begin_with(&said, || self.send_msg(data, to, &said.info, flags))
    }

    /// Linux: a one-to-one socket ends by shutdown and close alone, what ends an association may carry
    /// a reason but no message, and what does not end it carries something.
    fn may_send(&self, info: &SndInfo, len: usize) -> Result<(), Error> {
        let ends = info.flags.intersects(SndFlags::EOF | SndFlags::ABORT);
        let one_to_one = self.0.kind == Kind::Sctp(Style::OneToOne);
        let eof = info.flags.contains(SndFlags::EOF);
        match (one_to_one && ends) || (eof && len > 0) || (!ends && len == 0) {
            true => Err(Error::Invalid),
            false => Ok(()),
        }
    }

    /// SCTP_INIT counts for the association that a send begins.
    fn begin_with<T>(&self, said: &Said, call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let Some(init) = said.init else {
            return call();
        };
        let before = self.sctp_settings(AssocId::FUTURE)?.init;
        let or = |new: u16, old| if new == 0 { old } else { new };
        self.configure_sctp(AssocId::FUTURE, |settings| {
            settings.init.out_streams = or(init.out_streams, before.out_streams);
            settings.init.in_streams_max = or(init.in_streams_max, before.in_streams_max);
            settings.init.attempts_max = or(init.attempts_max, before.attempts_max);
            if !init.timeout_max.is_zero() {
                settings.init.timeout_max = init.timeout_max;
            }
        })?;
        let done = call();
        self.configure_sctp(AssocId::FUTURE, |settings| settings.init = before)?;
        done
    }

    pub(in crate::socket) fn recv_sctp_message(
        &self,
        buffer: &mut [u8],
        flags: MessageFlags,
    ) -> io::Result<RecvMessage> {
        let (incoming, by) = self.recv_told(buffer, flags)?;
        self.describe_sctp(incoming, by, buffer)
    }

    /// recvmsg(2) of an SCTP socket for who passes messages on, without waiting: what is taken stays in
    /// the receive window of the association that is named beside it, until
    /// [`give_back`](Self::give_back) says that it has been read. So a peer is held up by a reader
    /// that is slow, however fast this is called.
    ///
    /// # Errors
    /// Those of [`recvmsg`](Self::recvmsg); EOPNOTSUPP for other sockets.
    pub fn recvmsg_charged(&self, buffer: &mut [u8]) -> io::Result<(RecvMessage, AssocId)> {
        let (incoming, by) = self.sctp(|sctp, _, id| {
            let incoming = sctp.recv_msg_charged(id, buffer)?;
            Ok((incoming, sctp.notified_by(id)))
        })?;
        let assoc = match &incoming {
            Incoming::Message(received) => received.info.assoc,
            _ => AssocId::FUTURE,
        };
        Ok((self.describe_sctp(incoming, by, buffer)?, assoc))
    }

    /// So many bytes that [`recvmsg_charged`](Self::recvmsg_charged) has given from an association have
    /// been read. Of an association that is over, or another socket's, nothing is done.
    ///
    /// # Errors
    /// EOPNOTSUPP for other sockets than SCTP's.
    pub fn give_back(&self, assoc: AssocId, len: usize) -> io::Result<()> {
        self.sctp(|sctp, cx, id| {
            sctp.give_back(cx, id, assoc, len);
            Ok(())
        })
    }

    fn describe_sctp(
        &self,
        incoming: Incoming,
        by: Option<SocketAddr>,
        buffer: &mut [u8],
    ) -> io::Result<RecvMessage> {
        let told = self.sctp(|sctp, _, id| Ok(sctp.settings(id, AssocId::FUTURE)?.told))?;
        // As on Linux it comes from the peer's primary address, also when the association is over.
        let by = by.filter(|_| matches!(incoming, Incoming::Notification(_)));
        let mut message = describe(incoming, &told, buffer);
        message.from = message.from.or(by);
        Ok(message)
    }
}

/// What recvmsg says of what was read.
fn describe(incoming: Incoming, told: &Told, buffer: &mut [u8]) -> RecvMessage {
    let mut message = RecvMessage {
        len: 0,
        from: None,
        link: None,
        flags: MessageFlags::empty(),
        ancillary: Vec::new(),
    };
    match incoming {
        Incoming::End => {}
        Incoming::Notification(notification) => {
            let bytes = notification::lay_out(&notification, told);
            message.len = bytes.len().min(buffer.len());
            buffer[..message.len].copy_from_slice(&bytes[..message.len]);
            message.flags = MessageFlags::NOTIFICATION;
            let whole = message.len == bytes.len();
            message.flags.set(MessageFlags::END_OF_RECORD, whole);
        }
        Incoming::Message(received) => {
            message.len = received.len;
            message.from = received.from;
            let whole = received.end_of_record;
            message.flags.set(MessageFlags::END_OF_RECORD, whole);
            message.ancillary = beside(&received, told);
        }
    }
    message
}

/// Control messages of what was received, in Linux's order.
fn beside(received: &Received, told: &Told) -> Vec<Ancillary> {
    let mut all = Vec::new();
    let mut put = |ty, data: Writer| {
        let data = Bytes::from(data.0);
        all.push(Ancillary::Sctp { ty, data });
    };
    let unordered = |on: bool| u16::from(on) * SndFlags::UNORDERED.bits();
    if told.next_info
        && let Some(next) = received.next
    {
        let notification = u16::from(next.notification) * NOTIFICATION;
        let new = Writer::default().u16(next.stream);
        let new = new
            .u16(unordered(next.unordered) | notification)
            .ppid(next.ppid);
        put(NXTINFO, new.u32(next.length).assoc(next.assoc));
    }
    let info = received.info;
    if told.receive_info {
        let new = Writer::default().u16(info.stream).u16(info.ssn);
        let new = new.u16(unordered(info.unordered)).u16(0).ppid(info.ppid);
        let new = new.u32(info.tsn).u32(info.cumulative_tsn);
        put(RCVINFO, new.u32(info.context).assoc(info.assoc));
    }
    if told.data_io {
        let new = Writer::default().u16(info.stream).u16(info.ssn);
        let new = new.u16(unordered(info.unordered)).u16(0).ppid(info.ppid);
        let new = new.u32(info.context).u32(0).u32(info.tsn);
        put(SNDRCV, new.u32(info.cumulative_tsn).assoc(info.assoc));
    }
    all
}

impl Ancillary {
    /// One of SCTP, to be read where it is sent.
    pub(in crate::socket) fn of_sctp(ty: i32, data: &[u8]) -> Self {
        let data = Bytes::copy_from_slice(data);
        Self::Sctp { ty, data }
    }

    /// The level of SCTP's control messages.
    pub(in crate::socket) const SCTP_LEVEL: i32 = SOL_SCTP;
}
