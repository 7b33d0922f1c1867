//! Sending: the header, the checksum, and data cut into datagrams of one size (UDP_SEGMENT).

use crate::lite::{Coverage, Kind};
use crate::{SendOptions, Socket, Udp};
use sockeye_core::datagram::{DatagramSocket, Plan, gather};
use sockeye_core::demux::Endpoint;
use sockeye_core::ip::extras::Extras;
use sockeye_core::{
    Checksum, Context, Counter, Domain, Error, Gso, GsoKind, Packet, Payload, SocketId,
};
use sockeye_wire::{checksum, udp};
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
        let len: usize = data.iter().map(|slice| slice.len()).sum();
        self.autobind(cx, id)?;
        let socket = self.socket(id)?;
        // Linux: of an IPv4 socket before anything else.
        if options.out_of_band && socket.base.common.domain == Domain::V4 {
            return Err(Error::NotSupported);
        }
        // udp(7): while a datagram is put together, nothing changes where it goes.
        let pending = socket.pending.as_ref().map(|pending| pending.to);
        let to = match (pending, to) {
            (Some(to), _) => to,
            (None, Some(addr)) => {
                if addr.port() == 0 {
                    return Err(Error::Invalid);
                }
                socket.base.common.remote(addr)?
            }
            (None, None) => socket.peer.ok_or(Error::DestinationRequired)?,
        };
        // Linux looks at neither over IPv6, where the first is told like every length.
        if to.ip.is_ipv4() && len > usize::from(u16::MAX) {
            return Err(Error::MessageSize);
        }
        if to.ip.is_ipv4() && options.out_of_band {
            return Err(Error::NotSupported);
        }
        if options.more || socket.cork || pending.is_some() {
            let max = payload_max(to.ip);
            self.keep(id, data, to, options, max)?;
            let socket = self.socket(id)?;
            if !options.more && !socket.cork {
                self.push_pending(cx, id)?;
            }
            return Ok(len);
        }
        self.send_now(cx, id, data, to, options).map(|()| len)
    }

    /// Sends `data` to `to` as one datagram, or as several of one size.
    pub(crate) fn send_now(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        data: &[IoSlice<'_>],
        to: Endpoint,
        options: &SendOptions,
    ) -> Result<(), Error> {
        let (kind, handle) = (self.kind, self.handle(id));
        let socket = self.sockets.get_mut(id).ok_or(Error::BadSocket)?;
        let local = socket.local.ok_or(Error::AddressNotAvailable)?;
        let len: usize = data.iter().map(|slice| slice.len()).sum();
        let mut plan = socket
            .base
            .plan(cx, kind.protocol(), to, Some(local.ip), options)?;
        plan.label(cx, (local.port, to.port));
        let segment = options.segment.unwrap_or(socket.segment);
        let fits = plan.may_fragment || segment > 0 || len + udp::HEADER_LEN <= plan.room;
        if len > payload_max(to.ip) || !fits {
            // Linux tells the port of the peer it is connected to over IPv4.
            let port = match to.ip {
                IpAddr::V4(_) => socket.peer.map_or(0, |peer| peer.port),
                IpAddr::V6(_) => to.port,
            };
            let to = Endpoint { port, ..to };
            socket.base.refused_here(cx, handle, to, &plan);
            return Err(Error::MessageSize);
        }
        socket.base.check_send()?;
        let summed = socket.sum_of(kind, to.ip);
        let cut = Cut::new(len, segment, &plan, summed)?;
        let interface = plan.info.route.interface;
        self.waiters
            .ask(cx, id, &mut socket.base, interface, cut.packets)?;
        let out = Out {
            plan,
            ports: (local.port, to.port),
            summed,
        };
        out.send(cx, &socket.base, gather(data), &cut)?;
        let sent = kind.counter(Counter::UdpOutDatagrams);
        cx.counters.add_n(sent, cut.datagrams as u64);
        Ok(())
    }
}

impl Socket {
    fn sum_of(&self, kind: Kind, to: IpAddr) -> Summed {
        let none = match to {
            IpAddr::V4(_) => self.base.settings.no_check,
            IpAddr::V6(_) => self.no_check_tx,
        };
        match kind {
            // RFC 3828 §3.1: there always is one.
            Kind::Lite => Summed::Partly(self.coverage),
            Kind::Full if none => Summed::Not,
            Kind::Full => Summed::Wholly,
        }
    }
}

/// Bytes that one datagram carries at the most.
const fn payload_max(to: IpAddr) -> usize {
    match to {
        IpAddr::V4(_) => PAYLOAD_V4_MAX,
        IpAddr::V6(_) => PAYLOAD_V6_MAX,
    }
}

/// What the checksum of a datagram covers.
#[derive(Clone, Copy, Debug)]
enum Summed {
    /// All of it.
    Wholly,
    /// Nothing: there is none (RFC 768; RFC 6935 §5 for IPv6).
    Not,
    /// As UDP-Lite has it.
    Partly(Coverage),
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
    fn new(len: usize, segment: u16, plan: &Plan, summed: Summed) -> Result<Self, Error> {
        let size = usize::from(segment);
        if size > 0 {
            // Linux: each has to fit the path, there may be so many, and links that cut also sum.
            if len.min(size) + udp::HEADER_LEN > plan.room {
                return Err(Error::MessageSize);
            }
            match summed {
                _ if len > size * SEGMENTS_MAX => return Err(Error::Invalid),
                Summed::Wholly => {}
                Summed::Not => return Err(Error::Invalid),
                Summed::Partly(_) => return Err(Error::InputOutput),
            }
        }
        if size == 0 || len <= size {
            let whole = len + udp::HEADER_LEN;
            return Ok(Self {
                segment: None,
                offloaded: false,
                datagrams: 1,
                packets: plan.packets(whole),
            });
        }
        let offload = plan.info.route.offload;
        let header = plan.info.route.mtu as usize - plan.room;
        let offloaded = offload.gso.udp
            && offload.tx_checksum
            && plan.extras == Extras::NONE
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
    summed: Summed,
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
            info.protocol,
            length.into(),
        );
        let covered = match self.summed {
            Summed::Not => {
                header.emit(packet.push(udp::HEADER_LEN));
                return socket.transmit(cx, &self.plan, packet);
            }
            Summed::Wholly => len,
            Summed::Partly(coverage) => {
                let (covered, field) = coverage.of(len);
                header.length = field;
                covered
            }
        };
        // Fragments can't be summed by a link, which sees one after the other.
        let whole = packet.meta.gso.is_some() || len <= self.plan.room;
        if info.route.offload.tx_checksum && whole && matches!(self.summed, Summed::Wholly) {
            header.checksum = sum.folded();
            header.emit(packet.push(udp::HEADER_LEN));
            packet.meta.checksum = Checksum::Partial {
                start: 0,
                offset: udp::CHECKSUM_OFFSET as u16,
            };
        } else {
            header.emit(packet.push(udp::HEADER_LEN));
            let mut left = covered;
            for chunk in packet.chunks() {
                let part = &chunk[..left.min(chunk.len())];
                sum.add(part);
                left -= part.len();
            }
            // RFC 768: a sum of zero is sent as all ones, zero means none was made.
            udp::set_checksum(packet.head_mut(), sum.finish_nonzero());
        }
        socket.transmit(cx, &self.plan, packet)
    }
}
