//! Traces: one node, packets made by hand, who receives what.

mod echo;
mod ip;
mod packet;
mod ping;

use super::*;
use crate::context::Parts;
use crate::datagram::{Received, SendOptions};
use crate::iface::{self, InterfaceConfig};
use crate::{
    Batch, Capabilities, Config, Context, Disposition, Domain, Error, Instant, InterfaceId, Medium,
    OptionValue, Packet, SocketId, SocketOption, Transport, icmp, inet,
};
use sockeye_link::GsoKinds;
use sockeye_wire::{IpProtocol, icmpv4, icmpv6, ipv4, ipv6};
use std::io::IoSlice;
use std::net::IpAddr;

struct Host {
    parts: Parts,
    raw: Raw,
    ping: Ping,
    link: InterfaceId,
}

impl Host {
    fn new() -> Self {
        Self::with(Config::default())
    }

    fn with(config: Config) -> Self {
        let mut parts = Parts::new(config, [5; 32]);
        let raw = Raw::new(&parts.config);
        let ping = Ping::new(&mut parts.rng);
        let capabilities = Capabilities {
            medium: Medium::Ip,
            mtu: 1500,
            tx_checksum: false,
            gso: GsoKinds::NONE,
            gso_max: 0,
            queues: 1,
        };
        let mut interface = InterfaceConfig::new("eth0", capabilities);
        for address in ["10.0.0.1/24", "10.0.0.3/24", "fd00::1/64", "fe80::1/64"] {
            interface = interface.with_address(address.parse().unwrap());
        }
        let link = inet::add_interface(&mut parts.context(Instant::ZERO), interface);
        let mut host = Self {
            parts,
            raw,
            ping,
            link,
        };
        // Duplicate address detection has passed.
        host.pass_time();
        host
    }

    fn pass_time(&mut self) {
        let now = Instant::from_millis(10_000);
        while let Some(owner) = self.parts.timers.expire(now) {
            let mut cx = self.parts.context(now);
            match owner {
                crate::Owner::Interface(id) => iface::on_timeout(&mut cx, id),
                crate::Owner::Inet => inet::on_timeout(&mut cx),
                crate::Owner::Socket(_) | crate::Owner::Lease(_) => {}
            }
        }
        self.sent();
    }

    fn raw(&mut self) -> (&mut Raw, Context<'_>) {
        (&mut self.raw, self.parts.context(Instant::ZERO))
    }

    fn ping(&mut self) -> (&mut Ping, Context<'_>) {
        (&mut self.ping, self.parts.context(Instant::ZERO))
    }

    fn open_raw(&mut self, domain: Domain, protocol: IpProtocol) -> SocketId {
        let (raw, mut cx) = self.raw();
        raw.open(&mut cx, domain, protocol).unwrap()
    }

    fn set_raw(
        &mut self,
        id: SocketId,
        option: SocketOption,
        value: OptionValue,
    ) -> Result<(), Error> {
        let (raw, mut cx) = self.raw();
        raw.set_option(&mut cx, id, option, value)
    }

    fn send_raw(&mut self, id: SocketId, data: &[u8], to: &str) -> Result<usize, Error> {
        let (raw, mut cx) = self.raw();
        let to = Some(with_port(to));
        let options = SendOptions::default();
        raw.send(&mut cx, id, &[IoSlice::new(data)], to, &options)
    }

    fn recv_raw(&mut self, id: SocketId) -> Result<(Vec<u8>, Received), Error> {
        let (raw, mut cx) = self.raw();
        let mut buffer = vec![0; 2000];
        let got = raw.recv(&mut cx, id, &mut buffer, false)?;
        buffer.truncate(got.copied);
        Ok((buffer, got))
    }

    /// What is on its way out of the link.
    fn sent(&mut self) -> Vec<Vec<u8>> {
        let mut batch = Batch::new();
        self.parts.inet.poll_transmit(self.link, &mut batch, 10_000);
        batch.iter().map(Packet::to_vec).collect()
    }

    /// A packet arrives by the link, as a node passes it up. Whether a raw socket took it.
    fn arrive(&mut self, packet: &[u8]) -> bool {
        let mut cx = self.parts.context(Instant::ZERO);
        let packet = Packet::from_vec(packet.to_vec());
        let Some((info, packet)) = iface::receive(&mut cx, self.link, packet) else {
            return false;
        };
        let seen = self.raw.deliver(&mut cx, &info, &packet);
        if matches!(info.protocol, IpProtocol::ICMP | IpProtocol::ICMPV6)
            && let Some(message) = icmp::receive(&mut cx, &info, packet)
        {
            let taken = self.ping.on_packet(&mut cx, &info, message);
            assert!(matches!(taken, Disposition::Taken));
        }
        self.pass_notices();
        seen
    }

    fn pass_notices(&mut self) {
        while let Some(notice) = self.parts.inet.pop_notice() {
            let mut cx = self.parts.context(Instant::ZERO);
            if let inet::Notice::IcmpError(error) = notice {
                self.raw
                    .error_arrives(&mut cx, error.protocol, &error.borrow());
                if matches!(error.protocol, IpProtocol::ICMP | IpProtocol::ICMPV6) {
                    self.ping.on_icmp_error(&mut cx, &error.borrow());
                }
            }
        }
    }
}

fn with_port(address: &str) -> std::net::SocketAddr {
    let bracketed = address.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6());
    if bracketed {
        format!("[{address}]:0").parse().unwrap()
    } else {
        format!("{address}:0").parse().unwrap()
    }
}

/// An IP packet.
fn packet(from: &str, to: &str, protocol: IpProtocol, payload: &[u8]) -> Vec<u8> {
    let mut packet = Packet::from_slice(payload);
    let length = u16::try_from(payload.len()).unwrap();
    match (from.parse().unwrap(), to.parse().unwrap()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            ipv4::Header::new(from, to, protocol, length).emit(packet.push(ipv4::HEADER_LEN));
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            ipv6::Header::new(from, to, protocol, length).emit(packet.push(ipv6::HEADER_LEN));
        }
        _ => panic!("both of one family"),
    }
    packet.to_vec()
}

/// An echo message with its IP header.
fn echo(from: &str, to: &str, kind: u8, ident: u16, seq: u16, data: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, 0, 0, 0];
    message.extend(ident.to_be_bytes());
    message.extend(seq.to_be_bytes());
    message.extend(data);
    match (from.parse().unwrap(), to.parse().unwrap()) {
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            icmpv6::fill_checksum(a, b, &mut message);
            packet(from, to, IpProtocol::ICMPV6, &message)
        }
        _ => {
            icmpv4::fill_checksum(&mut message);
            packet(from, to, IpProtocol::ICMP, &message)
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(256))]

    /// Whatever arrives for them, and whatever a program sends with its own header, nothing panics.
    #[test]
    fn arbitrary_bytes(
        v6: bool,
        bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..100),
        kind in proptest::sample::select(vec![0u8, 3, 8, 128, 129]),
        foreign: bool,
    ) {
        let mut a = Host::with(Config { foreign_sources: true, ..Config::default() });
        let (domain, protocol) = if v6 {
            (Domain::V6, IpProtocol::ICMPV6)
        } else {
            (Domain::V4, IpProtocol::ICMP)
        };
        let id = a.open_raw(domain, protocol);
        let (ping, mut cx) = a.ping();
        ping.set_intercept(&mut cx, Some(crate::Scope::Foreign));
        let socket = ping.open(&mut cx, domain).unwrap();
        let any = if v6 { "[::]:1" } else { "0.0.0.0:1" };
        ping.bind(&mut cx, socket, any.parse().unwrap()).unwrap();
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() {
            *first = kind;
        }
        let (from, to) = match (v6, foreign) {
            (true, false) => ("fd00::2", "fd00::1"),
            (true, true) => ("fd00::2", "2001:db8::1"),
            (false, false) => ("10.0.0.2", "10.0.0.1"),
            (false, true) => ("10.0.0.2", "192.0.2.1"),
        };
        let whole = packet(from, to, protocol, &bytes);
        // Once as it is, once with the right checksum.
        a.arrive(&whole);
        if bytes.len() >= 8 {
            let header = whole.len() - bytes.len();
            let mut right = whole.clone();
            match (from.parse().unwrap(), to.parse().unwrap()) {
                (IpAddr::V6(x), IpAddr::V6(y)) => {
                    icmpv6::fill_checksum(x, y, &mut right[header..]);
                }
                _ => icmpv4::fill_checksum(&mut right[header..]),
            }
            a.arrive(&right);
        }
        while a.recv_raw(id).is_ok() {}
        let sender = a.open_raw(domain, IpProtocol::RAW);
        // Whether it is sent or refused is the program's affair.
        let _ = a.send_raw(sender, &bytes, from);
        let _ = a.send_raw(id, &bytes, from);
    }
}
