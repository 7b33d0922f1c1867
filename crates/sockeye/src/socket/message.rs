//! sendmsg(2) and recvmsg(2).

use super::ancillary::{Ancillary, MessageFlags, RecvMessage, SendMessage};
use super::receive::Notes;
use super::send::Sending;
use super::{Kind, Received, Socket};
use crate::error::to_io;
use bytes::Bytes;
use sockeye_core::datagram::{Control, SendOptions};
use sockeye_core::ip::extras::{Extras, Ipv4Options};
use sockeye_core::socket::Stamp;
use sockeye_core::{Error, Instant, InterfaceId};
use sockeye_wire::IpProtocol;
use std::io::{self, IoSliceMut};

impl Socket {
    /// sendmsg(2).
    ///
    /// # Errors
    /// Those of [`send_to`](Self::send_to); EINVAL for a control message that can't be sent.
    pub fn sendmsg(&self, message: &SendMessage<'_>) -> io::Result<usize> {
        if let Kind::Sctp(_) = self.0.kind {
            let SendMessage {
                to,
                data,
                ancillary,
                flags,
            } = *message;
            return self.send_sctp_message(data, to, ancillary, flags);
        }
        let options = self.send_options(message.ancillary)?;
        self.send_with(Sending {
            data: message.data,
            to: message.to,
            flags: message.flags,
            options: &options,
        })
    }

    /// What control messages say of a datagram.
    pub(super) fn send_options(&self, ancillary: &[Ancillary]) -> io::Result<SendOptions> {
        let mut options = SendOptions::default();
        let header = |kind, bytes: &Bytes| Extras::header(kind, bytes).map_err(to_io);
        for ancillary in ancillary {
            match ancillary {
                Ancillary::PacketInfo {
                    interface, address, ..
                } => {
                    options.interface = (*interface != 0).then_some(InterfaceId(*interface));
                    options.source = (!address.is_unspecified()).then_some(*address);
                }
                Ancillary::Ttl(ttl) => options.ttl = Some(*ttl),
                Ancillary::Tos(tos) => options.tos = Some(*tos),
                Ancillary::HopLimit(hops) => options.hop_limit = *hops,
                Ancillary::TrafficClass(class) => options.traffic_class = *class,
                Ancillary::FlowInfo(info) => options.flow_label = Some(*info),
                Ancillary::DontFragment(on) => options.dont_fragment = Some(*on),
                Ancillary::Segment(size) => options.segment = Some(*size),
                Ancillary::ReturnOptions(bytes) => {
                    let privileged = self.0.node.config()?.raw_sockets;
                    let read = Ipv4Options::new(bytes, privileged).map_err(to_io)?;
                    options.extras.options = read;
                }
                Ancillary::HopOptions(bytes) => {
                    options.extras.hop_options = header(IpProtocol::HOP_BY_HOP, bytes)?;
                }
                Ancillary::RoutingDestinationOptions(bytes) => {
                    options.extras.routing_options =
                        header(IpProtocol::DESTINATION_OPTIONS, bytes)?;
                }
                Ancillary::DestinationOptions(bytes) => {
                    options.extras.destination_options =
                        header(IpProtocol::DESTINATION_OPTIONS, bytes)?;
                }
                Ancillary::Mark(mark) => options.mark = Some(*mark),
                Ancillary::Priority(priority) => options.priority = Some(*priority),
                Ancillary::QueuePriority(priority) => options.queue_priority = Some(*priority),
                Ancillary::Inq(_)
                | Ancillary::Timestamp(_)
                | Ancillary::TimestampNs(_)
                | Ancillary::PacketAuxdata { .. }
                | Ancillary::Error(_)
                | Ancillary::Options(_)
                | Ancillary::RoutingHeader(_)
                | Ancillary::OriginalDestination(_)
                | Ancillary::FragmentSize(_)
                | Ancillary::FragmentSizeV6(_)
                | Ancillary::PathMtu { .. }
                | Ancillary::Rfc2292(_)
                | Ancillary::Sctp { .. }
                | Ancillary::Dropped(_) => return Err(to_io(Error::Invalid)),
            }
        }
        Ok(options)
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
        } else if let Kind::Sctp(_) = self.0.kind {
            self.recv_sctp_message(buffer, flags)?
        } else if matches!(self.0.kind, Kind::Packet { .. }) {
            self.recv_frame_message(buffer, flags)?
        } else if self.0.kind.is_datagram() {
            let (received, controls) = self.recv_message_with(buffer, flags)?;
            self.describe(&received, controls, flags)
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
    pub(super) fn describe(
        &self,
        received: &Received,
        controls: Vec<Control>,
        flags: MessageFlags,
    ) -> RecvMessage {
        let ancillary = controls
            .into_iter()
            .filter_map(|control| self.ancillary(control));
        let cut = received.full_len > received.len;
        RecvMessage {
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
            ancillary: ancillary.collect(),
        }
    }

    fn ancillary(&self, control: Control) -> Option<Ancillary> {
        let renumbered = |old: bool, ancillary| match old {
            true => Ancillary::Rfc2292(Box::new(ancillary)),
            false => ancillary,
        };
        Some(match control {
            Control::Arrived(stamp, at) => return self.stamped(stamp, at),
            Control::Dropped(count) => Ancillary::Dropped(count),
            Control::Segment(size) => Ancillary::Segment(size),
            Control::PacketInfo {
                interface,
                local,
                destination,
            } => Ancillary::PacketInfo {
                interface: interface.0,
                address: destination.into(),
                local: local.into(),
            },
            Control::PacketInfoV6 {
                old,
                interface,
                destination,
            } => renumbered(old, Ancillary::packet_info(interface.0, destination.into())),
            Control::Ttl(ttl) => Ancillary::Ttl(ttl),
            Control::Tos(tos) => Ancillary::Tos(tos),
            Control::Options(options) => Ancillary::Options(options),
            Control::ReturnOptions(options) => Ancillary::ReturnOptions(options),
            Control::OriginalDestination(to) => Ancillary::OriginalDestination(to.into()),
            Control::FragmentSize { v6: false, bytes } => Ancillary::FragmentSize(bytes),
            Control::FragmentSize { v6: true, bytes } => Ancillary::FragmentSizeV6(bytes),
            Control::HopLimit { old, hops } => renumbered(old, Ancillary::HopLimit(Some(hops))),
            Control::TrafficClass(class) => Ancillary::TrafficClass(Some(class)),
            Control::FlowInfo(info) => Ancillary::FlowInfo(info),
            Control::Header { old, kind, bytes } => {
                let header = match kind {
                    IpProtocol::HOP_BY_HOP => Ancillary::HopOptions(bytes),
                    IpProtocol::ROUTING => Ancillary::RoutingHeader(bytes),
                    _ => Ancillary::DestinationOptions(bytes),
                };
                renumbered(old, header)
            }
            Control::PathMtu { mtu, to } => Ancillary::PathMtu { mtu, to: to.into() },
        })
    }
}
