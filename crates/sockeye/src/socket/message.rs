//! sendmsg(2) and recvmsg(2).

use super::ancillary::{Ancillary, MessageFlags, RecvMessage, SendMessage};
use super::receive::Notes;
use super::send::Sending;
use super::{Domain, Kind, Received, Socket};
use crate::error::to_io;
use sockeye_core::SocketOption;
use sockeye_core::datagram::SendOptions;
use sockeye_core::socket::Stamp;
use sockeye_core::{Error, Instant, InterfaceId};
use std::io::{self, IoSliceMut};

impl Socket {
    /// sendmsg(2).
    ///
    /// # Errors
    /// Those of [`send_to`](Self::send_to); EINVAL for a control message that can't be sent.
    pub fn sendmsg(&self, message: &SendMessage<'_>) -> io::Result<usize> {
        let mut options = SendOptions::default();
        for ancillary in message.ancillary {
            match *ancillary {
                Ancillary::PacketInfo { interface, address } => {
                    options.interface = (interface != 0).then_some(InterfaceId(interface));
                    options.source = (!address.is_unspecified()).then_some(address);
                }
                Ancillary::Ttl(ttl) => options.ttl = Some(ttl),
                Ancillary::Tos(tos) => options.tos = Some(tos),
                Ancillary::Segment(size) => options.segment = Some(size),
                Ancillary::Inq(_)
                | Ancillary::Timestamp(_)
                | Ancillary::TimestampNs(_)
                | Ancillary::PacketAuxdata { .. }
                | Ancillary::Error(_) => return Err(to_io(Error::Invalid)),
            }
        }
        self.send_with(Sending {
            data: message.data,
            to: message.to,
            flags: message.flags,
            options,
        })
    }

    /// recvmsg(2).
    ///
    /// # Errors
    /// Those of [`recv_from`](Self::recv_from); with [`MessageFlags::ERROR_QUEUE`] EAGAIN alone.
    pub fn recvmsg(
        &self,
        buffers: &mut [IoSliceMut<'_>],
        flags: MessageFlags,
    ) -> io::Result<RecvMessage> {
        let room = buffers.iter().map(|buffer| buffer.len()).sum();
        let mut scratch;
        let (buffer, single) = match buffers {
            [single] => (&mut **single, true),
            _ => {
                scratch = vec![0; room];
                (&mut scratch[..], false)
            }
        };
        let message = if flags.contains(MessageFlags::ERROR_QUEUE) {
            self.recv_error_queue(buffer)?
        } else if matches!(self.0.kind, Kind::Packet { .. }) {
            self.recv_frame_message(buffer, flags)?
        } else if self.0.kind.is_datagram() {
            let received = self.recv_from_with(buffer, flags)?;
            self.describe(&received, flags)?
        } else {
            let mut notes = Notes::default();
            let len = self.recv_noted(buffer, flags, &mut notes)?;
            let arrived = notes.arrived.filter(|_| len > 0);
            let arrived = arrived.and_then(|(stamp, at)| self.stamped(stamp, at));
            let left = notes.inq.map(Ancillary::Inq);
            RecvMessage {
                len,
                from: None,
                link: None,
                flags: MessageFlags::empty(),
                ancillary: arrived.into_iter().chain(left).collect(),
            }
        };
        if !single {
            let mut left = &buffer[..message.len.min(room)];
            let copied = left.to_vec();
            left = &copied;
            for out in buffers {
                let (head, rest) = left.split_at(left.len().min(out.len()));
                out[..head.len()].copy_from_slice(head);
                left = rest;
            }
        }
        Ok(message)
    }

    pub(super) fn stamped(&self, stamp: Stamp, at: Instant) -> Option<Ancillary> {
        let at = self.shard().to_system(at)?;
        Some(match stamp {
            Stamp::Micros => Ancillary::Timestamp(at),
            Stamp::Nanos => Ancillary::TimestampNs(at),
        })
    }

    /// What recvmsg says of a datagram, as far as the options ask for it.
    fn describe(&self, received: &Received, flags: MessageFlags) -> io::Result<RecvMessage> {
        let ancillary = self.call(|op| {
            let mut wanted = |v4, v6| {
                let option = match self.0.domain {
                    Domain::IPV6 => v6,
                    _ => v4,
                };
                match op.option(option) {
                    Ok(value) => value.flag(),
                    Err(Error::NoProtocolOption) => Ok(false),
                    Err(error) => Err(error),
                }
            };
            let mut ancillary = Vec::new();
            for (option, stamp) in [
                (SocketOption::Timestamp, Stamp::Micros),
                (SocketOption::TimestampNs, Stamp::Nanos),
            ] {
                if wanted(option, option)? {
                    ancillary.extend(self.stamped(stamp, received.at));
                }
            }
            if wanted(SocketOption::PacketInfo, SocketOption::ReceivePacketInfoV6)? {
                ancillary.push(Ancillary::PacketInfo {
                    interface: received.interface.0,
                    address: received.to.ip(),
                });
            }
            if wanted(SocketOption::ReceiveTtl, SocketOption::ReceiveHopLimit)? {
                ancillary.push(Ancillary::Ttl(received.ttl));
            }
            if wanted(SocketOption::ReceiveTos, SocketOption::ReceiveTrafficClass)? {
                ancillary.push(Ancillary::Tos(received.tos));
            }
            ancillary.extend(received.segment.map(Ancillary::Segment));
            Ok(ancillary)
        })?;
        let cut = received.full_len > received.len;
        Ok(RecvMessage {
            len: match flags.contains(MessageFlags::TRUNCATE) {
                true => received.full_len,
                false => received.len,
            },
            from: Some(received.from),
            link: None,
            flags: match cut {
                true => MessageFlags::TRUNCATE,
                false => MessageFlags::empty(),
            },
            ancillary,
        })
    }
}
