//! Conflicts of IPv4 addresses: probing, announcing, defending (RFC 5227).
//!
//! An address is tentative while it is probed; it is announced when it is taken, and given up when
//! somebody insists on having it (§2.4 (b)). Only interfaces that were told to do so.

use super::dad::{Detection, fail, find, succeed};
use super::{AddressOrigin, AddressState, arp};
use crate::{Context, Instant, InterfaceId, MacAddr, Medium};
use core::time::Duration;
use sockeye_wire::arp::Header;
use std::net::{IpAddr, Ipv4Addr};

/// RFC 5227 §1.1: PROBE_NUM. PROBE_WAIT, up to a second before the first, is
/// [`dad::begin`](super::dad::begin)'s.
const PROBE_NUM: u8 = 3;
/// RFC 5227 §1.1: PROBE_MIN and PROBE_MAX.
const PROBE_SPACING_MS: (u32, u32) = (1000, 2000);
/// RFC 5227 §1.1: ANNOUNCE_WAIT, after the last probe.
const ANNOUNCE_WAIT: Duration = Duration::from_secs(2);
/// RFC 5227 §1.1: ANNOUNCE_INTERVAL, between the two announcements.
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(2);
/// RFC 5227 §1.1: DEFEND_INTERVAL.
const DEFEND_INTERVAL: Duration = Duration::from_secs(10);

/// The next probe or announcement of `address` is due, after `sent` of them.
pub(super) fn step(cx: &mut Context<'_>, interface: InterfaceId, address: Ipv4Addr, sent: u8) {
    let now = cx.now;
    let again = |after| {
        let (sent, next) = (sent + 1, now + after);
        Some(Detection { sent, next })
    };
    if sent < PROBE_NUM {
        let (least, most) = PROBE_SPACING_MS;
        let spacing = least + cx.rng.below(most - least);
        let after = match sent + 1 {
            PROBE_NUM => ANNOUNCE_WAIT,
            _ => Duration::from_millis(u64::from(spacing)),
        };
        set(cx, interface, address, again(after));
        broadcast(cx, interface, |mac| Header::probe(mac, address));
        return;
    }
    if sent == PROBE_NUM {
        // RFC 5227 §2.3: it may be used as soon as the first announcement is out.
        succeed(cx, interface, IpAddr::V4(address), again(ANNOUNCE_INTERVAL));
    } else {
        set(cx, interface, address, None);
    }
    announce(cx, interface, address);
}

/// An ARP packet came: it may claim an address of ours.
pub(super) fn heard(cx: &mut Context<'_>, interface: InterfaceId, header: &Header) {
    let Some(link) = cx.inet.interface(interface) else {
        return;
    };
    // RFC 5227 §2.1.1: our own packets may come back by some hubs.
    let ours = matches!(link.capabilities().medium, Medium::Ethernet(mac) if mac == header.sender_hardware);
    if ours {
        return;
    }
    let always = link.detects_conflicts();
    let is_probe = header.sender_protocol.is_unspecified();
    let claimed = match is_probe {
        true => header.target_protocol,
        false => header.sender_protocol,
    };
    let Some(own) = find(cx, interface, IpAddr::V4(claimed)) else {
        return;
    };
    // RFC 2131 §4.4.1: what a server gives is checked in any case.
    if !always && own.origin != AddressOrigin::Dhcp {
        return;
    }
    match own.state {
        AddressState::Tentative => fail(cx, interface, IpAddr::V4(claimed)),
        // RFC 5227 §2.5: who only asks is answered.
        AddressState::Preferred | AddressState::Deprecated if !is_probe => {
            defend(cx, interface, claimed);
        }
        _ => {}
    }
}

/// RFC 5227 §2.4 (b): the first claim is answered by an announcement, a second one soon after it is
/// given way to.
fn defend(cx: &mut Context<'_>, interface: InterfaceId, address: Ipv4Addr) {
    let now = cx.now;
    let Some(own) = find(cx, interface, IpAddr::V4(address)) else {
        return;
    };
    let recent = |at: Instant| now < at + DEFEND_INTERVAL;
    if own.defended.is_some_and(recent) {
        fail(cx, interface, IpAddr::V4(address));
        return;
    }
    own.defended = Some(now);
    announce(cx, interface, address);
}

fn announce(cx: &mut Context<'_>, interface: InterfaceId, address: Ipv4Addr) {
    broadcast(cx, interface, |mac| Header::announcement(mac, address));
}

fn broadcast(cx: &mut Context<'_>, interface: InterfaceId, header: impl FnOnce(MacAddr) -> Header) {
    let link = cx.inet.interface(interface);
    if let Some(Medium::Ethernet(mac)) = link.map(|link| link.capabilities().medium) {
        arp::send(cx, interface, &header(mac), MacAddr::BROADCAST);
    }
}

fn set(
    cx: &mut Context<'_>,
    interface: InterfaceId,
    address: Ipv4Addr,
    detection: Option<Detection>,
) {
    if let Some(own) = find(cx, interface, IpAddr::V4(address)) {
        own.detection = detection;
    }
}
