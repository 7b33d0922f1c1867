//! MLD on the wire: what is received of it, and how reports leave (RFC 3810 §5, RFC 2710 §3).

use super::compat::Mode;
use super::query::Query;
use super::report::{Record, Report, pack};
use super::{Protocol, with_host};
use crate::iface::output;
use crate::{Context, Counter, InterfaceId, IpInfo, Packet, Payload};
use core::time::Duration;
use sockeye_wire::ipv6_ext::{self, ROUTER_ALERT_LEN};
use sockeye_wire::mld::{
    self, ALL_ROUTERS, HOP_LIMIT, Message, REPORT_V2_GROUP, REPORT_V2_LEN, V1_LEN, Version,
};
use sockeye_wire::{IpProtocol, icmpv6, ipv6, multicast};
use std::net::{IpAddr, Ipv6Addr};

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// Bytes of the IP header with a router alert behind it.
const IP_LEN: usize = ipv6::HEADER_LEN + ROUTER_ALERT_LEN;

/// Takes a message whose checksum holds; the window of `packet` stands at its ICMPv6 type.
pub(crate) fn receive(
    cx: &mut Context<'_>,
    ip: &IpInfo,
    source: Ipv6Addr,
    packet: &Packet,
) -> Result<(), Counter> {
    const BAD: Counter = Counter::IcmpInErrors;
    match Message::parse(packet.head()).map_err(|_| BAD)? {
        Message::Query(query) => {
            let alert = packet.before(ip.header_len.into()).and_then(router_alert);
            if !is_acceptable(ip, source, &query, alert) {
                return Err(BAD);
            }
            cx.counters.add(Counter::Icmp6InGroupMembQueries);
            queried(cx, ip.interface, &query);
        }
        // RFC 2710 §5: of neighbours alone.
        Message::Report { group } if ip.hop_limit == HOP_LIMIT => {
            cx.counters.add(Counter::Icmp6InGroupMembResponses);
            with_host(cx, ip.interface, Protocol::Mld, |host, env| {
                host.heard_report(env, IpAddr::V6(group));
            });
        }
        // RFC 3810 §6: not for hosts.
        Message::Report { .. } | Message::Done { .. } | Message::ReportV2(_) => {}
    }
    Ok(())
}

/// RFC 3810 §6.2; a general query goes to all nodes or to one (§5.1.15), and asks for no sources.
fn is_acceptable(
    ip: &IpInfo,
    source: Ipv6Addr,
    query: &mld::Query<'_>,
    alert: Option<u16>,
) -> bool {
    let general = query.group.is_unspecified();
    let strayed = ip.destination.is_multicast() && ip.destination != IpAddr::V6(ALL_NODES);
    mld::query_is_acceptable(source, ip.hop_limit, alert)
        && (general || query.group.is_multicast())
        && !(general && (strayed || !query.sources.is_empty()))
}

/// The router alert of an IPv6 header and what follows it.
fn router_alert(headers: &[u8]) -> Option<u16> {
    let header = ipv6::Header::parse(headers).ok()?;
    let behind = headers.get(ipv6::HEADER_LEN..)?;
    let chain = ipv6_ext::walk(header.next_header, behind).ok()?;
    chain.router_alert
}

fn queried(cx: &mut Context<'_>, interface: InterfaceId, query: &mld::Query<'_>) {
    let group = (!query.group.is_unspecified()).then_some(IpAddr::V6(query.group));
    let query = Query {
        mode: match query.version {
            Version::V1 => Mode::V2,
            Version::V2 => Mode::V3,
        },
        response: Duration::from_millis(query.max_resp_delay_ms().into()),
        group,
        sources: query.sources.iter().map(|s| IpAddr::from(*s)).collect(),
        robustness: query.robustness,
        interval_s: query.query_interval_s(),
    };
    let too_many = with_host(cx, interface, Protocol::Mld, |host, env| {
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
            let room = (mtu as usize).saturating_sub(IP_LEN + REPORT_V2_LEN);
            for records in pack(records, 16, room) {
                cx.counters.add(Counter::Icmp6OutMLDv2Reports);
                send_records(cx, interface, &records);
            }
        }
        Report::Member(_, IpAddr::V6(group)) => {
            cx.counters.add(Counter::Icmp6OutGroupMembResponses);
            let mut message = [0; V1_LEN];
            mld::emit_report(group, &mut message);
            transmit(cx, interface, group, &mut message);
        }
        Report::Leave(IpAddr::V6(group)) => {
            cx.counters.add(Counter::Icmp6OutGroupMembReductions);
            let mut message = [0; V1_LEN];
            mld::emit_done(group, &mut message);
            transmit(cx, interface, ALL_ROUTERS, &mut message);
        }
        Report::Member(_, IpAddr::V4(_)) | Report::Leave(IpAddr::V4(_)) => {
            debug_assert!(false, "an IPv4 group is IGMP's");
        }
    }
}

fn send_records(cx: &mut Context<'_>, interface: InterfaceId, records: &[Record]) {
    let octets = |address: &IpAddr| match address {
        IpAddr::V4(_) => [0; 16],
        IpAddr::V6(v6) => v6.octets(),
    };
    let sources: Vec<Vec<[u8; 16]>> = records
        .iter()
        .map(|record| record.sources.iter().map(octets).collect())
        .collect();
    let records: Vec<multicast::Record<'_, 16>> = records
        .iter()
        .zip(&sources)
        .map(|(record, sources)| multicast::Record {
            kind: record.kind,
            group: octets(&record.group),
            sources,
        })
        .collect();
    let mut message = vec![0; mld::report_v2_len(&records)];
    mld::emit_report_v2(&records, &mut message);
    transmit(cx, interface, REPORT_V2_GROUP, &mut message);
}

/// Sends a message with a router alert, from a link-local address, or from none as long as there
/// is none that is known to be unique (RFC 3810 §5.2.13).
fn transmit(cx: &mut Context<'_>, interface: InterfaceId, to: Ipv6Addr, message: &mut [u8]) {
    let Some(link) = cx.inet.interface(interface) else {
        return;
    };
    let mut ours = link.addresses().iter().filter(|a| a.is_usable());
    let source = ours.find_map(|a| match a.net.addr() {
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Some(v6),
        _ => None,
    });
    let source = source.unwrap_or(Ipv6Addr::UNSPECIFIED);
    icmpv6::fill_checksum(source, to, message);
    let Ok(len) = u16::try_from(message.len() + ROUTER_ALERT_LEN) else {
        return;
    };
    let mut packet = Packet::with_payload(Payload::new());
    packet.push(message.len()).copy_from_slice(message);
    ipv6_ext::emit_router_alert(IpProtocol::ICMPV6, 0, packet.push(ROUTER_ALERT_LEN));
    let mut header = ipv6::Header::new(source, to, IpProtocol::HOP_BY_HOP, len);
    header.hop_limit = HOP_LIMIT;
    header.emit(packet.push(ipv6::HEADER_LEN));
    cx.counters.add(Counter::IpOutRequests);
    cx.counters.add(Counter::IcmpOutMsgs);
    // A full queue is counted there; reports are repeated.
    let _ = output(cx, interface, IpAddr::V6(to), packet);
}
