//! Sending: the header, the checksum, and data cut into datagrams of one size (UDP_SEGMENT).

use crate::{SendOptions, Udp};
use sockeye_core::datagram::{DatagramSocket, Plan, gather};
use sockeye_core::{Checksum, Context, Counter, Error, Gso, GsoKind, Packet, Payload, SocketId};
use sockeye_wire::{IpProtocol, checksum, udp};
use std::io::IoSlice;
use std::net::{IpAddr, SocketAddr};

/// Datagrams that one send may be cut into (Linux: UDP_MAX_SEGMENTS).
const SEGMENTS_MAX: usize = 128;
/// The largest payload over IPv4: 65,535 bytes less both headers.
const PAYLOAD_V4_MAX: usize = 65_507;
/// The largest payload over IPv6, whose length does not count its own header.
const PAYLOAD_V6_MAX: usize = 65_527;

impl Udp {
    /// Sends `data` as one datagram, or as several of one size, to `to` or the peer. An unbound
    /// socket gets a port.
    ///
    /// # Errors
    /// - A pending error; [`Error::BrokenPipe`] after shutdown.
    /// - [`Error::DestinationRequired`] without address and peer, [`Error::Invalid`] for port 0.
    /// - [`Error::Access`] for a broadcast without SO_BROADCAST.
    /// - [`Error::MessageSize`] when it is too long, for UDP or for the path where the socket does
    ///   not want it fragmented.
    /// - [`Error::WouldBlock`] when the interface's queue is full;
    ///   [`WRITABLE`](sockeye_core::Readiness::WRITABLE) tells when to try again.
    /// - Those of routing.
    pub fn send(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        data: &[IoSlice<'_>],
        to: Option<SocketAddr>,
        options: &SendOptions,
    ) -> Result<usize, Error> {
        let socket = self.socket_mut(id)?;
        socket.base.check_send()?;
        let to = match to {
            Some(addr) => socket.base.common.remote(addr)?,
            None => socket.peer.ok_or(Error::DestinationRequired)?,
        };
        if to.port == 0 {
            return Err(Error::Invalid);
        }
        self.autobind(cx, id)?;
        let socket = self.sockets.get_mut(id).ok_or(Error::BadSocket)?;
        let local = socket.local.ok_or(Error::AddressNotAvailable)?;
        let len: usize = data.iter().map(|slice| slice.len()).sum();
        let max = match to.ip {
            IpAddr::V4(_) => PAYLOAD_V4_MAX,
            IpAddr::V6(_) => PAYLOAD_V6_MAX,
        };
        if len > max {
            return Err(Error::MessageSize);
        }
        let plan = socket
            .base
            .plan(cx, IpProtocol::UDP, to, Some(local.ip), options)?;
        let segment = options.segment.unwrap_or(socket.segment);
        let cut = Cut::new(len, segment, &plan)?;
        let interface = plan.info.route.interface;
        self.waiters
            .ask(cx, id, &mut socket.base, interface, cut.packets)?;
        let out = Out {
            plan,
            ports: (local.port, to.port),
        };
        let sent = out.send(cx, &socket.base, gather(data), &cut);
        if sent == Err(Error::MessageSize) {
            socket.base.refused_here(to, plan.info.route.mtu);
        }
        sent.map(|()| len)
    }
}

/// How data becomes datagrams.
struct Cut {
    /// Payload bytes of each datagram but the last, when there are several.
    segment: Option<u16>,
    /// The link cuts.
    offloaded: bool,
    /// Datagrams.
    datagrams: usize,
    /// Packets that the interface's queue is to take.
    packets: usize,
}

impl Cut {
    fn new(len: usize, segment: u16, plan: &Plan) -> Result<Self, Error> {
        let size = usize::from(segment);
        if size == 0 || len <= size {
            let whole = len + udp::HEADER_LEN;
            return Ok(Self {
                segment: None,
                offloaded: false,
                datagrams: 1,
                packets: plan.packets(whole),
            });
        }
        // udp(7): each datagram has to fit the path.
        if size + udp::HEADER_LEN > plan.room || len > size * SEGMENTS_MAX {
            return Err(Error::Invalid);
        }
        let offload = plan.info.route.offload;
        let header = plan.info.route.mtu as usize - plan.room;
        let offloaded = offload.gso.udp
            && offload.tx_checksum
            && header + udp::HEADER_LEN + len <= offload.gso_max as usize;
        let datagrams = len.div_ceil(size);
        Ok(Self {
            segment: Some(segment),
            offloaded,
            datagrams,
            packets: if offloaded { 1 } else { datagrams },
        })
    }
}

/// Where datagrams go.
struct Out {
    plan: Plan,
    /// Source and destination port.
    ports: (u16, u16),
}

impl Out {
    fn send(
        &self,
        cx: &mut Context<'_>,
        socket: &DatagramSocket,
        mut data: Packet,
        cut: &Cut,
    ) -> Result<(), Error> {
        match cut.segment {
            Some(size) if !cut.offloaded => {
                let len = data.len();
                let whole = data.into_payload();
                let bytes = whole.first().ok_or(Error::Invalid)?;
                for from in (0..len).step_by(usize::from(size)) {
                    let to = len.min(from + usize::from(size));
                    let slice = Payload::from_iter([bytes.slice(from..to)]);
                    self.send_one(cx, socket, Packet::with_payload(slice))?;
                }
            }
            Some(size) => {
                data.meta.gso = Some(Gso {
                    kind: GsoKind::Udp,
                    size,
                });
                self.send_one(cx, socket, data)?;
            }
            None => self.send_one(cx, socket, data)?,
        }
        cx.counters
            .add_n(Counter::UdpOutDatagrams, cut.datagrams as u64);
        Ok(())
    }

    fn send_one(
        &self,
        cx: &mut Context<'_>,
        socket: &DatagramSocket,
        mut packet: Packet,
    ) -> Result<(), Error> {
        let (source_port, destination_port) = self.ports;
        let len = packet.len() + udp::HEADER_LEN;
        let length = u16::try_from(len).map_err(|_| Error::MessageSize)?;
        let mut header = udp::Header {
            source_port,
            destination_port,
            length,
            checksum: 0,
        };
        let info = &self.plan.info;
        let mut sum = checksum::pseudo_header(
            info.route.source,
            info.destination,
            IpProtocol::UDP,
            length.into(),
        );
        // Fragments can't be summed by a link, which sees one after the other.
        let whole = packet.meta.gso.is_some() || len <= self.plan.room;
        if info.route.offload.tx_checksum && whole {
            header.checksum = sum.folded();
            header.emit(packet.push(udp::HEADER_LEN));
            packet.meta.checksum = Checksum::Partial {
                start: 0,
                offset: udp::CHECKSUM_OFFSET as u16,
            };
        } else {
            header.emit(packet.push(udp::HEADER_LEN));
            packet.chunks().for_each(|chunk| sum.add(chunk));
            // RFC 768: a sum of zero is sent as all ones, zero means none was made.
            udp::set_checksum(packet.head_mut(), sum.finish_nonzero());
        }
        socket.transmit(cx, &self.plan, packet)
    }
}
