//! Traces: sockets change their filters, queries come, and what a node says on the link is read
//! back from its packets.

mod changes;
mod compat;
mod hostile;
mod queries;
mod sockets;

use super::*;
use crate::context::Parts;
use crate::iface::{self, InterfaceConfig};
use crate::{Batch, Capabilities, Counter, MacAddr, Medium, Packet, icmp, inet};
use core::time::Duration;
use sockeye_link::GsoKinds;
use sockeye_wire::multicast::{RecordKind, Records};
use sockeye_wire::{IpProtocol, icmpv6, ipv4, ipv4_options, ipv6, ipv6_ext};
use sockeye_wire::{igmp as igmp_wire, mld as mld_wire};

/// A family, with what its traces are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

pub(super) const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

impl Family {
    /// The group of most traces.
    pub(super) fn group(self) -> IpAddr {
        self.nth_group(1)
    }

    pub(super) fn nth_group(self, n: u16) -> IpAddr {
        let [high, low] = n.to_be_bytes();
        match self {
            Self::V4 => IpAddr::from([239, 1, high, low]),
            Self::V6 => IpAddr::from([0xff05, 0, 0, 0, 0, 0, 1, n]),
        }
    }

    /// The source that a letter stands for.
    pub(super) fn source(self, letter: &str) -> IpAddr {
        let letter = letter.as_bytes()[0];
        match self {
            Self::V4 => IpAddr::from([10, 0, 9, letter]),
            Self::V6 => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 9, letter.into()]),
        }
    }

    /// `IN a b`, `EX c`: a filter of sources with a letter each.
    pub(super) fn filter(self, text: &str) -> SourceFilter {
        let mut words = text.split_whitespace();
        let mode = match words.next() {
            Some("IN") => FilterMode::Include,
            Some("EX") => FilterMode::Exclude,
            other => panic!("{other:?} is no mode"),
        };
        let sources = words.map(|word| self.source(word)).collect();
        SourceFilter { mode, sources }
    }
}

pub(super) fn filter(text: &str) -> SourceFilter {
    Family::V4.filter(text)
}

/// A node with one link, and sockets by number.
pub(super) struct Host {
    pub(super) parts: Parts,
    pub(super) link: InterfaceId,
    pub(super) now: Instant,
    pub(super) sockets: Vec<Memberships>,
}

impl Host {
    pub(super) fn new(config: Config) -> Self {
        Self::with(config, &["10.0.0.1/24", "fe80::1/64"])
    }

    pub(super) fn with(config: Config, addresses: &[&str]) -> Self {
        let mut parts = Parts::new(config, [3; 32]);
        let capabilities = Capabilities {
            medium: Medium::Ip,
            mtu: 1500,
            tx_checksum: false,
            gso: GsoKinds::NONE,
            gso_max: 0,
            queues: 1,
        };
        let mut interface = InterfaceConfig::new("test0", capabilities);
        interface.link_local = false;
        interface.addresses = addresses.iter().map(|a| a.parse().unwrap()).collect();
        let now = Instant::from_millis(1);
        let link = inet::add_interface(&mut parts.context(now), interface);
        Self {
            parts,
            link,
            now,
            sockets: (0..3).map(|_| Memberships::default()).collect(),
        }
    }

    /// A node whose link is an Ethernet, with duplicate address detection.
    pub(super) fn ethernet(addresses: &[&str]) -> Self {
        let mut host = Self::with(Config::default(), &[]);
        let capabilities = Capabilities {
            medium: Medium::Ethernet(MacAddr([2, 0, 0, 0, 0, 1])),
            ..*host.parts.inet.interface(host.link).unwrap().capabilities()
        };
        let mut interface = InterfaceConfig::new("test1", capabilities);
        interface.link_local = false;
        interface.addresses = addresses.iter().map(|a| a.parse().unwrap()).collect();
        host.link = inet::add_interface(&mut host.parts.context(host.now), interface);
        host
    }

    /// Gives a socket a filter of `group`, or takes it away.
    pub(super) fn set(&mut self, socket: usize, group: IpAddr, filter: Option<&SourceFilter>) {
        let link = Some(self.link);
        let cx = &mut self.parts.context(self.now);
        let memberships = &mut self.sockets[socket];
        let joined = memberships.groups().any(|(_, joined)| joined == group);
        match filter {
            None => memberships.leave(cx, group, link).unwrap(),
            Some(filter) if joined => {
                memberships
                    .set_filter(cx, group, link, filter.clone())
                    .unwrap();
            }
            // What RFC 3678 has no call for: a membership that begins with a filter.
            Some(filter) => memberships
                .add(cx, group, self.link, filter.clone())
                .unwrap(),
        }
    }

    pub(super) fn join(&mut self, socket: usize, group: IpAddr) {
        self.set(socket, group, Some(&SourceFilter::any_source()));
    }

    /// What is said up to `span` from now; time has passed then.
    pub(super) fn said_within(&mut self, span: Duration) -> Vec<(Duration, String)> {
        let start = self.now;
        let end = start + span;
        let mut said = Vec::new();
        loop {
            while self.parts.timers.expire(self.now).is_some() {
                iface::on_timeout(&mut self.parts.context(self.now), self.link);
            }
            let mut batch = Batch::new();
            while self.parts.inet.poll_transmit(self.link, &mut batch, 64) {}
            let at = self.now.saturating_since(start);
            said.extend(batch.iter().filter_map(read).map(|text| (at, text)));
            match self.parts.timers.next().filter(|next| *next <= end) {
                Some(next) => self.now = next,
                None => break,
            }
        }
        self.now = end;
        said
    }

    /// What is said at once.
    pub(super) fn said(&mut self) -> Vec<String> {
        let said = self.said_within(Duration::ZERO);
        said.into_iter().map(|(_, text)| text).collect()
    }

    /// What is said in the next minute.
    pub(super) fn said_later(&mut self) -> Vec<String> {
        let said = self.said_within(Duration::from_secs(60));
        said.into_iter().map(|(_, text)| text).collect()
    }

    /// A packet arrives by the link.
    pub(super) fn arrive(&mut self, packet: Packet) {
        let cx = &mut self.parts.context(self.now);
        if let Some((info, packet)) = iface::receive(cx, self.link, packet) {
            match info.protocol {
                IpProtocol::IGMP => igmp::receive(cx, &info, packet),
                _ => assert!(icmp::receive(cx, &info, packet).is_none()),
            }
        }
    }

    pub(super) fn query(&mut self, query: &Query<'_>) {
        let packet = query.packet();
        self.arrive(packet);
    }

    pub(super) fn count(&self, counter: Counter) -> u64 {
        self.parts.counters.get(counter)
    }
}

/// A query, as a querier would send it; what differs is changed before it is sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query<'a> {
    pub(super) family: Family,
    /// 1 to 3 as IGMP counts.
    pub(super) version: u8,
    pub(super) group: Option<IpAddr>,
    pub(super) sources: &'a str,
    pub(super) response_ms: u32,
    pub(super) robustness: u8,
    pub(super) interval_s: u8,
    pub(super) from: &'a str,
    pub(super) to: &'a str,
    pub(super) ttl: u8,
    pub(super) alert: bool,
}

impl Query<'_> {
    /// A general query of the latest version.
    pub(super) fn general(family: Family) -> Self {
        let (from, to) = match family {
            Family::V4 => ("10.0.0.254", "224.0.0.1"),
            Family::V6 => ("fe80::254", "ff02::1"),
        };
        Self {
            family,
            version: 3,
            group: None,
            sources: "",
            response_ms: 10_000,
            robustness: 2,
            interval_s: 125,
            from,
            to,
            ttl: 1,
            alert: true,
        }
    }

    pub(super) fn packet(&self) -> Packet {
        let sources = self.sources.split_whitespace();
        let sources: Vec<IpAddr> = sources.map(|word| self.family.source(word)).collect();
        self.packet_with(&sources)
    }

    pub(super) fn packet_with(&self, sources: &[IpAddr]) -> Packet {
        match self.family {
            Family::V4 => self.igmp(sources),
            Family::V6 => self.mld(sources),
        }
    }

    fn igmp(&self, sources: &[IpAddr]) -> Packet {
        let v4 = |ip: &IpAddr| match ip {
            IpAddr::V4(v4) => v4.octets(),
            IpAddr::V6(_) => panic!("{ip} is not IPv4"),
        };
        let sources: Vec<[u8; 4]> = sources.iter().map(v4).collect();
        let query = igmp_wire::Query {
            version: match self.version {
                1 => igmp_wire::Version::V1,
                2 => igmp_wire::Version::V2,
                _ => igmp_wire::Version::V3,
            },
            max_resp_code: match self.version {
                1 => 0,
                _ => u8::try_from(self.response_ms / 100).unwrap(),
            },
            group: self.group.map_or(Ipv4Addr::UNSPECIFIED, |g| v4(&g).into()),
            suppress: false,
            robustness: self.robustness,
            query_interval_code: self.interval_s,
            sources: &sources,
        };
        let mut message = vec![0; query.emitted_len()];
        query.emit(&mut message);
        ipv4_packet(self.from, self.to, self.ttl, self.alert, &message)
    }

    fn mld(&self, sources: &[IpAddr]) -> Packet {
        let v6 = |ip: &IpAddr| match ip {
            IpAddr::V6(v6) => v6.octets(),
            IpAddr::V4(_) => panic!("{ip} is not IPv6"),
        };
        let sources: Vec<[u8; 16]> = sources.iter().map(v6).collect();
        let query = mld_wire::Query {
            version: match self.version {
                1 | 2 => mld_wire::Version::V1,
                _ => mld_wire::Version::V2,
            },
            max_resp_code: u16::try_from(self.response_ms).unwrap(),
            group: self.group.map_or(Ipv6Addr::UNSPECIFIED, |g| v6(&g).into()),
            suppress: false,
            robustness: self.robustness,
            query_interval_code: self.interval_s,
            sources: &sources,
        };
        let mut message = vec![0; query.emitted_len()];
        query.emit(&mut message);
        ipv6_packet(self.from, self.to, self.ttl, self.alert, message)
    }
}

pub(super) fn ipv4_packet(from: &str, to: &str, ttl: u8, alert: bool, message: &[u8]) -> Packet {
    let mut packet = Packet::from_slice(message);
    let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
    let options: &[u8] = match alert {
        true => &ipv4_options::ROUTER_ALERT_OPTION,
        false => &[],
    };
    let len = u16::try_from(message.len() + options.len()).unwrap();
    let mut header = ipv4::Header::new(from, to, IpProtocol::IGMP, len);
    header.ttl = ttl;
    header.options = ipv4::RawOptions::from_slice(options).unwrap();
    header.emit(packet.push(header.header_len()));
    packet
}

pub(super) fn ipv6_packet(
    from: &str,
    to: &str,
    ttl: u8,
    alert: bool,
    mut message: Vec<u8>,
) -> Packet {
    let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
    icmpv6::fill_checksum(from, to, &mut message);
    let mut packet = Packet::from_slice(&message);
    let mut protocol = IpProtocol::ICMPV6;
    if alert {
        let header = packet.push(ipv6_ext::ROUTER_ALERT_LEN);
        ipv6_ext::emit_router_alert(protocol, 0, header);
        protocol = IpProtocol::HOP_BY_HOP;
    }
    let len = u16::try_from(packet.len()).unwrap();
    let mut header = ipv6::Header::new(from, to, protocol, len);
    header.hop_limit = ttl;
    header.emit(packet.push(ipv6::HEADER_LEN));
    packet
}

/// A report that a node sent, as text: to whom, and its records with sources by letter. `None` for
/// everything else. What every report has in common is checked here.
fn read(packet: &Packet) -> Option<String> {
    let bytes = packet.to_vec();
    let bytes = match bytes.get(12..14) {
        Some([0x86, 0xdd]) => &bytes[14..],
        _ => &bytes[..],
    };
    match bytes[0] >> 4 {
        4 => read_igmp(bytes),
        _ => read_mld(bytes),
    }
}

fn read_igmp(bytes: &[u8]) -> Option<String> {
    let header = ipv4::Header::parse(bytes).unwrap();
    if header.protocol != IpProtocol::IGMP {
        return None;
    }
    // RFC 3376 §4: TTL 1, internetwork control, router alert.
    assert_eq!((header.ttl, header.tos), (1, 0xc0));
    assert_eq!(&header.options[..], ipv4_options::ROUTER_ALERT_OPTION);
    let to = header.destination;
    Some(match igmp_wire::Message::parse(&bytes[24..]).unwrap() {
        igmp_wire::Message::ReportV1 { group } => format!("{to}: v1 {group}"),
        igmp_wire::Message::ReportV2 { group } => format!("{to}: v2 {group}"),
        igmp_wire::Message::Leave { group } => format!("{to}: leave {group}"),
        igmp_wire::Message::ReportV3(records) => {
            assert_eq!(to, igmp_wire::REPORT_V3_GROUP);
            read_records(records)
        }
        igmp_wire::Message::Query(_) => panic!("a host does not ask"),
    })
}

fn read_mld(bytes: &[u8]) -> Option<String> {
    let header = ipv6::Header::parse(bytes).unwrap();
    if header.next_header != IpProtocol::HOP_BY_HOP {
        return None;
    }
    let chain = ipv6_ext::walk(header.next_header, &bytes[40..]).unwrap();
    // RFC 3810 §5: hop limit 1, router alert, from a link-local address or none.
    assert_eq!((header.hop_limit, chain.router_alert), (1, Some(0)));
    let from = match header.source.is_unspecified() {
        true => ":: ",
        false => {
            assert!(header.source.is_unicast_link_local());
            ""
        }
    };
    let to = header.destination;
    Some(match mld_wire::Message::parse(&bytes[48..]).unwrap() {
        mld_wire::Message::Report { group } => format!("{from}{to}: v2 {group}"),
        mld_wire::Message::Done { group } => format!("{from}{to}: leave {group}"),
        mld_wire::Message::ReportV2(records) => {
            assert_eq!(to, mld_wire::REPORT_V2_GROUP);
            format!("{from}{}", read_records(records))
        }
        mld_wire::Message::Query(_) => panic!("a host does not ask"),
    })
}

/// `TO_EX(a b)` for the group of most traces, `239.1.0.2 TO_EX(a b)` for others.
fn read_records<const N: usize>(records: Records<'_, N>) -> String {
    let record = |record: sockeye_wire::multicast::Record<'_, N>| {
        let group = address(record.group);
        let kind = match record.kind {
            RecordKind::ModeIsInclude => "IS_IN",
            RecordKind::ModeIsExclude => "IS_EX",
            RecordKind::ChangeToInclude => "TO_IN",
            RecordKind::ChangeToExclude => "TO_EX",
            RecordKind::AllowNewSources => "ALLOW",
            RecordKind::BlockOldSources => "BLOCK",
        };
        let letter = |source: &[u8; N]| char::from(source[N - 1]).to_string();
        let sources: Vec<String> = record.sources.iter().map(letter).collect();
        let sources = sources.join(" ");
        match FAMILIES.iter().any(|family| family.group() == group) {
            true => format!("{kind}({sources})"),
            false => format!("{group} {kind}({sources})"),
        }
    };
    let records: Vec<String> = records.into_iter().map(record).collect();
    records.join(", ")
}

fn address<const N: usize>(octets: [u8; N]) -> IpAddr {
    match octets.first_chunk::<16>() {
        Some(v6) => IpAddr::from(*v6),
        None => IpAddr::from(*octets.first_chunk::<4>().unwrap()),
    }
}
