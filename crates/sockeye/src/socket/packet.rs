//! What packet sockets alone have: addresses of links.

use super::ancillary::{Ancillary, MessageFlags, RecvMessage};
use super::op::Op;
use super::wait::{Wait, Waiting};
use super::{Kind, Socket, timeout};
use crate::error::to_io;
use crate::waiters::{Class, Direction};
use sockeye_core::raw::packet::{FrameInfo, LinkAddr};
use sockeye_core::socket::Stamp;
use sockeye_core::{Error, Instant, MacAddr, OptionValue, SocketOption, datagram};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::task::{Context, Poll};

/// PACKET_MR_* of linux/if_packet.h.
const MEMBER_MULTICAST: u16 = 0;
const MEMBER_PROMISCUOUS: u16 = 1;
const MEMBER_ALL_MULTICAST: u16 = 2;

/// A frame that was received, without its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceivedFrame {
    /// Bytes put into the buffer.
    pub len: usize,
    /// Bytes of the whole frame.
    pub full_len: usize,
    /// Who sent it, by which interface, and whom it was for.
    pub from: LinkAddr,
    /// What else is known of it.
    pub info: FrameInfo,
    /// When it was seen.
    at: Instant,
}

/// Packet sockets ([`Domain::PACKET`](super::Domain::PACKET)); on others all fail with EOPNOTSUPP.
impl Socket {
    /// bind(2): receives frames of a protocol (0: as before) and an interface (0: any) alone.
    ///
    /// # Errors
    /// ENODEV, ENETDOWN.
    pub fn bind_link(&self, address: &LinkAddr) -> io::Result<()> {
        self.call(|op| op.packets(|packets, cx, id| packets.bind_link(cx, id, address)))
    }

    /// getsockname(2).
    ///
    /// # Errors
    /// The node was shut down.
    pub fn link_addr(&self) -> io::Result<LinkAddr> {
        self.call(|op| op.packets(|packets, cx, id| packets.link_addr(cx, id)))
    }

    /// recvfrom(2): one frame, and who sent it. What does not fit is lost.
    ///
    /// # Errors
    /// EAGAIN.
    pub fn recv_from_link(&self, buffer: &mut [u8]) -> io::Result<(usize, LinkAddr)> {
        let received = self.recv_frame(buffer, MessageFlags::empty())?;
        Ok((received.len, received.from))
    }

    /// recvfrom(2) with flags, and all that is known of the frame.
    ///
    /// # Errors
    /// EAGAIN.
    pub fn recv_frame(&self, buffer: &mut [u8], flags: MessageFlags) -> io::Result<ReceivedFrame> {
        let peek = flags.contains(MessageFlags::PEEK);
        let wait = match flags.contains(MessageFlags::DONT_WAIT) {
            true => Wait::No,
            false => self.patience(timeout(&self.0.read_timeout)),
        };
        let received = self.wait(Direction::Read, Class::Exclusive, wait, |op| {
            op.recv_frame(buffer, peek)
        });
        received.map_err(to_io)
    }

    /// [`recv_frame`](Self::recv_frame) for a task.
    ///
    /// # Errors
    /// EAGAIN.
    pub fn poll_recv_frame(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<ReceivedFrame>> {
        self.poll_step(cx, Direction::Read, |op| op.recv_frame(buffer, false))
            .map_err(to_io)
    }

    /// Receives a frame without blocking the thread.
    ///
    /// # Errors
    /// The node was shut down.
    pub async fn recv_frame_async(&self, buffer: &mut [u8]) -> io::Result<ReceivedFrame> {
        let mut waiting = Waiting::new(self, Direction::Read, Class::Exclusive);
        poll_fn(|cx| waiting.poll(cx, |op| op.recv_frame(buffer, false)))
            .await
            .map_err(to_io)
    }

    /// sendto(2): one frame by the interface of `to`, or by the one that the socket is bound to. A
    /// cooked socket's gets its link header from `to`.
    ///
    /// # Errors
    /// ENXIO without an interface, EMSGSIZE, ENETDOWN, EINVAL for what is no frame, EPERM for a
    /// source that is not the node's, EAGAIN.
    pub fn send_to_link(&self, frame: &[u8], to: Option<&LinkAddr>) -> io::Result<usize> {
        let wait = self.patience(timeout(&self.0.write_timeout));
        let sent = self.wait(Direction::Write, Class::Exclusive, wait, |op| {
            op.send_frame(frame, to)
        });
        self.run();
        sent.map_err(to_io)
    }

    /// [`send_to_link`](Self::send_to_link) for a task.
    ///
    /// # Errors
    /// Those of [`send_to_link`](Self::send_to_link).
    pub fn poll_send_to_link(
        &self,
        cx: &mut Context<'_>,
        frame: &[u8],
        to: Option<&LinkAddr>,
    ) -> Poll<io::Result<usize>> {
        let polled = self.poll_step(cx, Direction::Write, |op| op.send_frame(frame, to));
        self.run();
        polled.map_err(to_io)
    }

    /// PACKET_MR_PROMISC: the interface lets through what is for other stations, too, or no longer.
    ///
    /// # Errors
    /// ENODEV.
    pub fn set_promiscuous(&self, interface: u32, on: bool) -> io::Result<()> {
        self.link_membership(interface, MEMBER_PROMISCUOUS, None, on)
    }

    /// PACKET_MR_ALLMULTI: the interface lets through what is for any group, or no longer.
    ///
    /// # Errors
    /// ENODEV.
    pub fn set_all_multicast(&self, interface: u32, on: bool) -> io::Result<()> {
        self.link_membership(interface, MEMBER_ALL_MULTICAST, None, on)
    }

    /// PACKET_MR_MULTICAST: the interface lets through what is for a group of stations.
    ///
    /// # Errors
    /// ENODEV, EINVAL where there are no stations.
    pub fn join_link_group(&self, interface: u32, group: MacAddr) -> io::Result<()> {
        self.link_membership(interface, MEMBER_MULTICAST, Some(group), true)
    }

    /// Takes back [`join_link_group`](Self::join_link_group).
    ///
    /// # Errors
    /// The node was shut down.
    pub fn leave_link_group(&self, interface: u32, group: MacAddr) -> io::Result<()> {
        self.link_membership(interface, MEMBER_MULTICAST, Some(group), false)
    }

    /// PACKET_STATISTICS: frames that were received and those of them that were dropped, since they
    /// were last asked for.
    ///
    /// # Errors
    /// ENOPROTOOPT on other sockets.
    pub fn frame_statistics(&self) -> io::Result<(u32, u32)> {
        let read = self.option(SocketOption::PacketStatistics)?;
        let OptionValue::Bytes(bytes) = read else {
            return Err(to_io(Error::Invalid));
        };
        let word = |at: usize| {
            let word = bytes.get(at..).and_then(<[u8]>::first_chunk);
            word.map_or(0, |word| u32::from_ne_bytes(*word))
        };
        Ok((word(0), word(4)))
    }

    fn link_membership(
        &self,
        interface: u32,
        kind: u16,
        address: Option<MacAddr>,
        add: bool,
    ) -> io::Result<()> {
        let option = match add {
            true => SocketOption::PacketAddMembership,
            false => SocketOption::PacketDropMembership,
        };
        // struct packet_mreq.
        let mut request = vec![0; 16];
        request[..4].copy_from_slice(&interface.to_ne_bytes());
        request[4..6].copy_from_slice(&kind.to_ne_bytes());
        if let Some(MacAddr(octets)) = address {
            request[6..8].copy_from_slice(&6_u16.to_ne_bytes());
            request[8..14].copy_from_slice(&octets);
        }
        self.set_option(option, OptionValue::Bytes(request))
    }

    /// recvmsg(2).
    pub(super) fn recv_frame_message(
        &self,
        buffer: &mut [u8],
        flags: MessageFlags,
    ) -> io::Result<RecvMessage> {
        let received = self.recv_frame(buffer, flags)?;
        self.describe_frame(&received, flags)
    }

    /// recvmmsg(2), as of datagrams.
    pub(super) fn recv_frame_messages(
        &self,
        buffers: &mut [&mut [u8]],
        flags: MessageFlags,
    ) -> io::Result<Vec<RecvMessage>> {
        let mut messages = Vec::new();
        let mut how = flags;
        for buffer in buffers {
            match self.recv_frame_message(buffer, how) {
                Ok(message) => messages.push(message),
                Err(error) if messages.is_empty() => return Err(error),
                Err(_) => break,
            }
            // A peek leaves it where it is, and would see it again.
            if flags.contains(MessageFlags::PEEK) {
                break;
            }
            if flags.contains(MessageFlags::WAIT_FOR_ONE) {
                how |= MessageFlags::DONT_WAIT;
            }
        }
        Ok(messages)
    }

    /// [`recv_frame_messages`](Self::recv_frame_messages) that waits for the first, and not in a thread.
    pub(super) async fn recv_frame_messages_async(
        &self,
        buffers: &mut [&mut [u8]],
        flags: MessageFlags,
    ) -> io::Result<Vec<RecvMessage>> {
        let Some((first, others)) = buffers.split_first_mut() else {
            return Ok(Vec::new());
        };
        let peek = flags.contains(MessageFlags::PEEK);
        let mut waiting = Waiting::new(self, Direction::Read, Class::Exclusive);
        let received = poll_fn(|cx| waiting.poll(cx, |op| op.recv_frame(first, peek))).await;
        let mut messages = vec![self.describe_frame(&received.map_err(to_io)?, flags)?];
        if !peek {
            let more = self.recv_frame_messages(others, flags | MessageFlags::DONT_WAIT);
            messages.extend(more.unwrap_or_default());
        }
        Ok(messages)
    }

    fn describe_frame(
        &self,
        received: &ReceivedFrame,
        flags: MessageFlags,
    ) -> io::Result<RecvMessage> {
        let flag = |option| self.option(option)?.flag().map_err(to_io);
        let mut ancillary = Vec::new();
        for (option, stamp) in [
            (SocketOption::Timestamp, Stamp::Micros),
            (SocketOption::TimestampNs, Stamp::Nanos),
        ] {
            if flag(option)? {
                ancillary.extend(self.stamped(stamp, received.at));
            }
        }
        if flag(SocketOption::PacketAuxdata)? {
            ancillary.push(Ancillary::PacketAuxdata {
                info: received.info,
                len: received.full_len,
            });
        }
        Ok(RecvMessage {
            len: match flags.contains(MessageFlags::TRUNCATE) {
                true => received.full_len,
                false => received.len,
            },
            from: None,
            link: Some(received.from),
            flags: match received.full_len > received.len {
                true => MessageFlags::TRUNCATE,
                false => MessageFlags::empty(),
            },
            ancillary,
        })
    }
}

impl Op<'_> {
    fn packets<T>(
        &mut self,
        call: impl FnOnce(
            &mut sockeye_node::Packets,
            &mut sockeye_core::Context<'_>,
            sockeye_core::SocketId,
        ) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if !matches!(self.kind, Kind::Packet { .. }) {
            return Err(Error::NotSupported);
        }
        let (packets, mut cx) = self.state.node.packets(self.now);
        call(packets, &mut cx, self.id)
    }

    fn recv_frame(&mut self, out: &mut [u8], peek: bool) -> Result<ReceivedFrame, Error> {
        self.packets(|packets, _, id| {
            let (received, info) = packets.recv_link(id, out, peek)?;
            let datagram::Received {
                len, copied, at, ..
            } = received;
            Ok(ReceivedFrame {
                len: copied,
                full_len: len,
                from: info.from,
                info,
                at,
            })
        })
    }

    fn send_frame(&mut self, frame: &[u8], to: Option<&LinkAddr>) -> Result<usize, Error> {
        self.packets(|packets, cx, id| packets.send_link(cx, id, &[IoSlice::new(frame)], to))
    }
}
