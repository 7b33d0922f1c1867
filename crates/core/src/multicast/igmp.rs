//! IGMP on the wire: what is received of it, and how reports leave (RFC 3376 §4).

use super::compat::Mode;
use super::query::Query;
use super::report::{Record, Report, pack};
use super::{Protocol, with_host};
use crate::iface::{AddressState, output};
use crate::{Context, Counter, InterfaceId, IpInfo, Packet, Payload};
use core::time::Duration;
use sockeye_wire::igmp::{self, HEADER_LEN, Message, REPORT_V3_GROUP, Version};
use sockeye_wire::ipv4_options::{self, Ipv4Option, ROUTER_ALERT_OPTION};
use sockeye_wire::{IpProtocol, ipv4, multicast};
use std::net::{IpAddr, Ipv4Addr};

const ALL_SYSTEMS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
const ALL_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 2);
/// RFC 3376 §4: IP precedence of internetwork control.
const TOS: u8 = 0xc0;
/// RFC 3376 §4: the TTL of every message.
const TTL: u8 = 1;
/// Bytes of the IP header with a router alert.
const IP_LEN: usize = ipv4::HEADER_LEN + ROUTER_ALERT_OPTION.len();

/// Takes an IGMP message at its header.
pub fn receive(cx: &mut Context<'_>, ip: &IpInfo, mut packet: Packet) {
    if !ip.local {
        return;
    }
    packet.linearize();
    let alert = packet
        .before(ip.header_len.into())
        .is_some_and(has_router_alert);
    let counter = match Message::parse(packet.head()) {
        Err(_) => Counter::IgmpInErrors,
        Ok(Message::Query(query)) if !is_acceptable(ip, &query, alert) => Counter::IgmpInErrors,
        Ok(Message::Query(query)) => {
            queried(cx, ip.interface, &query);
            Counter::IgmpInQueries
        }
        Ok(Message::ReportV1 { group } | Message::ReportV2 { group }) => {
            with_host(cx, ip.interface, Protocol::Igmp, |host, env| {
                host.heard_report(env, IpAddr::V4(group));
            });
            Counter::IgmpInReports
        }
        // RFC 3376 §5: not for hosts.
        Ok(Message::ReportV3(_) | Message::Leave { .. }) => return,
    };
    match counter {
        Counter::IgmpInErrors => cx.drop_packet(counter),
        _ => cx.counters.add(counter),
    }
}

/// RFC 3376 §4, §9.1: a query has a TTL of 1, of versions 2 and 3 a router alert, and, when it is
/// general, goes to all systems or to one. It asks for a group.
fn is_acceptable(ip: &IpInfo, query: &igmp::Query<'_>, alert: bool) -> bool {
    let general = query.group.is_unspecified();
    let strayed = ip.destination.is_multicast() && ip.destination != IpAddr::V4(ALL_SYSTEMS);
    ip.hop_limit == TTL
        && (alert || query.version == Version::V1)
        && (general || query.group.is_multicast())
        && !(general && (strayed || ip.broadcast || !query.sources.is_empty()))
}

fn has_router_alert(header: &[u8]) -> bool {
    let Ok(header) = ipv4::Header::parse_quoted(header) else {
        return false;
    };
    ipv4_options::iter(&header.options).any(|o| matches!(o, Ok(Ipv4Option::RouterAlert(0))))
}

fn queried(cx: &mut Context<'_>, interface: InterfaceId, query: &igmp::Query<'_>) {
    let group = (!query.group.is_unspecified()).then_some(IpAddr::V4(query.group));
    let query = Query {
        mode: match query.version {
            Version::V1 => Mode::V1,
            Version::V2 => Mode::V2,
            Version::V3 => Mode::V3,
        },
        response: Duration::from_millis(query.max_resp_time_ms().into()),
        group: group.filter(|_| query.version != Version::V1),
        sources: query.sources.iter().map(|s| IpAddr::from(*s)).collect(),
        robustness: query.robustness,
        interval_s: query.query_interval_s(),
    };
    let too_many = with_host(cx, interface, Protocol::Igmp, |host, env| {
        host.queried(env, query)
    });
    if too_many == Some(true) {
        cx.counters.add(Counter::MulticastSourcesOverflow);
    }
}

/// Sends what is to be said.
pub(super) fn send(cx: &mut Context<'_>, interface: InterfaceId, report: Report) {
    match report {
        Report::Records(records) => {
            let mtu = cx.inet.interface(interface).map_or(0, |link| link.mtu());
            let room = (mtu as usize).saturating_sub(IP_LEN + HEADER_LEN);
            for records in pack(records, 4, room) {
                cx.counters.add(Counter::IgmpOutReports);
                send_records(cx, interface, &records);
            }
        }
        Report::Member(mode, IpAddr::V4(group)) => {
            cx.counters.add(Counter::IgmpOutReports);
            let mut message = [0; HEADER_LEN];
            match mode {
                Mode::V1 => igmp::emit_report_v1(group, &mut message),
                Mode::V2 | Mode::V3 => igmp::emit_report_v2(group, &mut message),
            }
            transmit(cx, interface, group, &message);
        }
        Report::Leave(IpAddr::V4(group)) => {
            cx.counters.add(Counter::IgmpOutLeaves);
            let mut message = [0; HEADER_LEN];
            igmp::emit_leave(group, &mut message);
            // RFC 2236 §3: to all routers.
            transmit(cx, interface, ALL_ROUTERS, &message);
        }
        Report::Member(_, IpAddr::V6(_)) | Report::Leave(IpAddr::V6(_)) => {
            debug_assert!(false, "an IPv6 group is MLD's");
        }
    }
}

fn send_records(cx: &mut Context<'_>, interface: InterfaceId, records: &[Record]) {
    let octets = |address: &IpAddr| match address {
        IpAddr::V4(v4) => v4.octets(),
        IpAddr::V6(_) => [0; 4],
    };
    let sources: Vec<Vec<[u8; 4]>> = records
        .iter()
        .map(|record| record.sources.iter().map(octets).collect())
        .collect();
    let records: Vec<multicast::Record<'_, 4>> = records
        .iter()
        .zip(&sources)
        .map(|(record, sources)| multicast::Record {
            kind: record.kind,
            group: octets(&record.group),
            sources,
        })
        .collect();
    let mut message = vec![0; igmp::report_v3_len(&records)];
    igmp::emit_report_v3(&records, &mut message);
    transmit(cx, interface, REPORT_V3_GROUP, &message);
}

/// Sends a message with a router alert, from an address of the link or from none
/// (RFC 3376 §4.2.13).
fn transmit(cx: &mut Context<'_>, interface: InterfaceId, to: Ipv4Addr, message: &[u8]) {
    let Some(link) = cx.inet.interface(interface) else {
        return;
    };
    let ours = link.addresses().iter().filter(|a| a.is_usable());
    let best = ours
        .filter_map(|a| match a.net.addr() {
            IpAddr::V4(v4) => Some((a.state == AddressState::Preferred, v4)),
            IpAddr::V6(_) => None,
        })
        // The first of the best.
        .reduce(|best, other| if other.0 && !best.0 { other } else { best });
    let source = best.map_or(Ipv4Addr::UNSPECIFIED, |(_, v4)| v4);
    let mut packet = Packet::with_payload(Payload::new());
    packet.push(message.len()).copy_from_slice(message);
    let Ok(len) = u16::try_from(message.len() + ROUTER_ALERT_OPTION.len()) else {
        return;
    };
    let mut header = ipv4::Header::new(source, to, IpProtocol::IGMP, len);
    header.tos = TOS;
    header.ttl = TTL;
    header.options = ipv4::RawOptions::from_slice(&ROUTER_ALERT_OPTION).unwrap_or_default();
    header.emit(packet.push(header.header_len()));
    cx.counters.add(Counter::IpOutRequests);
    // A full queue is counted there; reports are repeated.
    let _ = output(cx, interface, IpAddr::V4(to), packet);
}
