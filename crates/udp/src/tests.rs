//! Traces: two hosts on one link, or one host and hand-made packets.

mod checksums;
mod corking;
mod delivery;
mod errors;
mod groups;
mod headers;
mod intercepted;
mod lite;
mod sending;
mod states;

use super::*;
use sockeye_core::context::Parts;
use sockeye_core::iface::{self, InterfaceConfig};
use sockeye_core::{
    Batch, Capabilities, Counter, Domain, Instant, Medium, OptionValue, Readiness, SocketOption,
    inet,
};
use sockeye_link::GsoKinds;
use sockeye_wire::{ipv4, ipv6, udp};
use std::io::IoSlice;
use std::net::{IpAddr, SocketAddr};

/// A node with UDP alone, on one IP link.
struct Host {
    parts: Parts,
    udp: Udp,
    link: InterfaceId,
    now: Instant,
}

fn capabilities() -> Capabilities {
    Capabilities {
        medium: Medium::Ip,
        mtu: 1500,
        tx_checksum: false,
        gso: GsoKinds::NONE,
        gso_max: 0,
        queues: 1,
    }
}

impl Host {
    fn new(addresses: &[&str]) -> Self {
        Self::with(Config::default(), capabilities(), addresses)
    }

    fn with(config: Config, capabilities: Capabilities, addresses: &[&str]) -> Self {
        let mut parts = Parts::new(config, [7; 32]);
        let udp = Udp::new(&parts.config, &mut parts.rng);
        Self::made(parts, udp, capabilities, addresses)
    }

    /// A node with UDP-Lite alone.
    fn lite(addresses: &[&str]) -> Self {
        let mut parts = Parts::new(Config::default(), [7; 32]);
        let udp = Udp::lite(&parts.config, &mut parts.rng);
        Self::made(parts, udp, capabilities(), addresses)
    }

    fn made(mut parts: Parts, udp: Udp, capabilities: Capabilities, addresses: &[&str]) -> Self {
        let mut interface = InterfaceConfig::new("eth0", capabilities);
        for address in addresses {
            interface = interface.with_address(address.parse().unwrap());
        }
        let link = inet::add_interface(&mut parts.context(Instant::ZERO), interface);
        Self {
            parts,
            udp,
            link,
            now: Instant::ZERO,
        }
    }

    fn cx(&mut self) -> (&mut Udp, Context<'_>) {
        (&mut self.udp, self.parts.context(self.now))
    }

    fn open(&mut self, domain: Domain) -> SocketId {
        let (udp, mut cx) = self.cx();
        udp.open(&mut cx, domain).unwrap()
    }

    fn set(&mut self, id: SocketId, option: SocketOption, value: i32) -> Result<(), Error> {
        let (udp, mut cx) = self.cx();
        udp.set_option(&mut cx, id, option, OptionValue::Int(value))
    }

    fn bind(&mut self, id: SocketId, local: &str) -> Result<(), Error> {
        let (udp, mut cx) = self.cx();
        udp.bind(&mut cx, id, local.parse().unwrap())
    }

    fn bound(&mut self, local: &str) -> SocketId {
        let id = self.open(match local.parse().unwrap() {
            SocketAddr::V4(_) => Domain::V4,
            SocketAddr::V6(_) => Domain::V6,
        });
        self.bind(id, local).unwrap();
        id
    }

    fn connect(&mut self, id: SocketId, peer: &str) -> Result<(), Error> {
        let (udp, mut cx) = self.cx();
        udp.connect(&mut cx, id, Some(peer.parse().unwrap()))
    }

    fn send(&mut self, id: SocketId, data: &[u8]) -> Result<usize, Error> {
        let (udp, mut cx) = self.cx();
        let options = SendOptions::default();
        udp.send(&mut cx, id, &[IoSlice::new(data)], None, &options)
    }

    fn send_to(&mut self, id: SocketId, data: &[u8], to: &str) -> Result<usize, Error> {
        let (udp, mut cx) = self.cx();
        let to = Some(to.parse().unwrap());
        let options = SendOptions::default();
        udp.send(&mut cx, id, &[IoSlice::new(data)], to, &options)
    }

    fn send_with(
        &mut self,
        id: SocketId,
        data: &[u8],
        to: &str,
        options: &SendOptions,
    ) -> Result<usize, Error> {
        let (udp, mut cx) = self.cx();
        let to = Some(to.parse().unwrap());
        udp.send(&mut cx, id, &[IoSlice::new(data)], to, options)
    }

    fn set_bytes(&mut self, id: SocketId, option: SocketOption, bytes: &[u8]) -> Result<(), Error> {
        let (udp, mut cx) = self.cx();
        udp.set_option(&mut cx, id, option, OptionValue::Bytes(bytes.to_vec()))
    }

    /// What recvmsg tells of the next datagram.
    fn told(&mut self, id: SocketId) -> Vec<Control> {
        let (udp, mut cx) = self.cx();
        udp.recv_message(&mut cx, id, &mut [0; 9000], false)
            .unwrap()
            .1
    }

    /// The next datagram: its text and who sent it.
    fn recv(&mut self, id: SocketId) -> Result<(String, String), Error> {
        let (udp, mut cx) = self.cx();
        let mut buffer = [0; 70_000];
        let got = udp.recv(&mut cx, id, &mut buffer, false)?;
        let text = String::from_utf8_lossy(&buffer[..got.copied]).into_owned();
        Ok((text, got.from.to_string()))
    }

    fn text(&mut self, id: SocketId) -> Result<String, Error> {
        self.recv(id).map(|(text, _)| text)
    }

    fn local(&self, id: SocketId) -> String {
        self.udp.local_addr(id).unwrap().to_string()
    }

    /// What is on its way out of the link.
    fn sent(&mut self) -> Vec<Packet> {
        let mut batch = Batch::new();
        self.parts.inet.poll_transmit(self.link, &mut batch, 10_000);
        batch.into()
    }

    /// Packets arrive by the link. Gives back what nobody wanted.
    fn arrive(&mut self, packets: Vec<Packet>) -> Vec<Disposition> {
        let mut unwanted = Vec::new();
        for packet in packets {
            let mut cx = self.parts.context(self.now);
            let Some((info, packet)) = iface::receive(&mut cx, self.link, packet) else {
                continue;
            };
            match self.udp.on_packet(&mut cx, &info, packet) {
                Disposition::Taken => {}
                other => unwanted.push(other),
            }
        }
        unwanted
    }

    /// What it sent to itself arrives.
    fn turn_loopback(&mut self) {
        while let Some((interface, packet)) = self.parts.inet.pop_loopback() {
            let mut cx = self.parts.context(self.now);
            if let Some((info, packet)) = iface::receive_own(&mut cx, interface, packet) {
                self.udp.on_packet(&mut cx, &info, packet);
            }
        }
    }

    fn count(&self, counter: Counter) -> u64 {
        self.parts.counters.get(counter)
    }

    fn ready(&self, id: SocketId) -> Readiness {
        self.udp.readiness(id).unwrap()
    }

    /// Whom the node said to be ready, since it was asked last.
    fn became_ready(&mut self) -> Vec<(SocketId, Readiness)> {
        let next = || self.parts.ready.pop();
        std::iter::from_fn(next)
            .map(|(handle, what)| (handle.id, what))
            .collect()
    }
}

/// A and B on one link.
fn pair() -> (Host, Host) {
    (
        Host::new(&["10.0.0.1/24", "fd00::1/64", "fe80::1/64"]),
        Host::new(&["10.0.0.2/24", "fd00::2/64", "fe80::2/64"]),
    )
}

/// A datagram as it comes by the link, right checksum and all.
fn packet(from: &str, to: &str, data: &[u8]) -> Packet {
    let from: SocketAddr = from.parse().unwrap();
    let to: SocketAddr = to.parse().unwrap();
    let length = u16::try_from(udp::HEADER_LEN + data.len()).unwrap();
    let mut packet = Packet::from_slice(data);
    udp::Header {
        source_port: from.port(),
        destination_port: to.port(),
        length,
        checksum: 0,
    }
    .emit(packet.push(udp::HEADER_LEN));
    let sum = sockeye_wire::checksum::transport(
        from.ip(),
        to.ip(),
        IpProtocol::UDP,
        length.into(),
        packet.chunks(),
    );
    udp::set_checksum(packet.head_mut(), sum.finish_nonzero());
    with_ip_header(packet, from.ip(), to.ip())
}

fn with_ip_header(mut packet: Packet, from: IpAddr, to: IpAddr) -> Packet {
    let length = u16::try_from(packet.len()).unwrap();
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            ipv4::Header::new(from, to, IpProtocol::UDP, length)
                .emit(packet.push(ipv4::HEADER_LEN));
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            ipv6::Header::new(from, to, IpProtocol::UDP, length)
                .emit(packet.push(ipv6::HEADER_LEN));
        }
        _ => panic!("both of one family"),
    }
    packet
}

fn got(text: &str, from: &str) -> Result<(String, String), Error> {
    Ok((text.into(), from.into()))
}
