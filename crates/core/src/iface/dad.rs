//! Duplicate address detection (RFC 4862 §5.4) and stable opaque interface identifiers (RFC 7217).

use super::neighbour::RETRANS_TIMER;
use super::{Address, AddressState, Interface, nd, resolve};
use crate::{Context, Counter, Instant, InterfaceId};
use core::hash::Hasher;
use core::time::Duration;
use ipnet::{IpNet, Ipv6Net};
use siphasher::sip::SipHasher24;
use std::net::{IpAddr, Ipv6Addr};

/// RFC 4862 §5.1: DupAddrDetectTransmits.
const DUP_ADDR_DETECT_TRANSMITS: u8 = 1;
/// RFC 4861 §10: MAX_RTR_SOLICITATION_DELAY, before the first message after the link came up.
const FIRST_DELAY_MAX: Duration = Duration::from_secs(1);
/// RFC 7217 §7: IDGEN_RETRIES.
const IDGEN_RETRIES: u8 = 3;

/// How far the detection for a tentative address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Detection {
    sent: u8,
    next: Instant,
}

/// Begins the detection for `address`, which is tentative from now on.
pub(crate) fn begin(cx: &mut Context<'_>, interface: InterfaceId, address: IpAddr) {
    let delay_ms = cx.rng.below(FIRST_DELAY_MAX.as_millis() as u32);
    let next = cx.now + Duration::from_millis(u64::from(delay_ms));
    if let Some(own) = find(cx, interface, address) {
        own.state = AddressState::Tentative;
        own.detection = Some(Detection { sent: 0, next });
    }
    resolve::settle(cx, interface);
}

/// When the next step of a detection is due.
pub(super) fn deadline(link: &Interface) -> Option<Instant> {
    let detections = link.addresses.iter().filter_map(|a| a.detection);
    detections.map(|d| d.next).min()
}

pub(super) fn on_timeout(cx: &mut Context<'_>, interface: InterfaceId) {
    let Some(link) = cx.inet.interface(interface) else {
        return;
    };
    let now = cx.now;
    let due: Vec<Address> = link
        .addresses()
        .iter()
        .filter(|a| a.detection.is_some_and(|d| d.next <= now))
        .copied()
        .collect();
    for own in due {
        let IpAddr::V6(address) = own.net.addr() else {
            continue;
        };
        let sent = own.detection.map_or(0, |d| d.sent);
        if sent < DUP_ADDR_DETECT_TRANSMITS {
            if let Some(own) = find(cx, interface, IpAddr::V6(address)) {
                own.detection = Some(Detection {
                    sent: sent + 1,
                    next: now + RETRANS_TIMER,
                });
            }
            nd::probe(cx, interface, address);
        } else {
            // RFC 4862 §5.4: nobody objected.
            if let Some(own) = find(cx, interface, IpAddr::V6(address)) {
                own.detection = None;
                own.state = AddressState::Preferred;
            }
            cx.inet.own(IpAddr::V6(address));
        }
    }
}

/// Somebody else has, or wants, `address`.
pub(super) fn conflict(cx: &mut Context<'_>, interface: InterfaceId, address: Ipv6Addr) {
    cx.counters.add(Counter::NeighbourInErrors);
    let Some(own) = find(cx, interface, IpAddr::V6(address)) else {
        return;
    };
    // RFC 4862 §5.4.4: an address in use is not given up for another's word.
    if own.state != AddressState::Tentative {
        return;
    }
    own.state = AddressState::Duplicate;
    own.detection = None;
    let retry = own.generated.map(|counter| counter.saturating_add(1));
    resolve::settle(cx, interface);
    // RFC 7217 §6: an identifier that we made is made anew.
    if let Some(counter) = retry.filter(|&counter| counter <= IDGEN_RETRIES) {
        crate::inet::forget_address(cx, interface, IpAddr::V6(address));
        add_link_local(cx, interface, counter, true);
    }
}

/// Gives the interface the link-local address that the node's secret, the interface's name and
/// `counter` determine.
pub(crate) fn add_link_local(
    cx: &mut Context<'_>,
    interface: InterfaceId,
    mut counter: u8,
    detect: bool,
) {
    let Some(link) = cx.inet.interface(interface) else {
        return;
    };
    let net = loop {
        let address = stable_address(cx.inet.secret(), link.name(), counter);
        if !is_reserved(address) || counter == u8::MAX {
            break Ipv6Net::new_assert(address, 64);
        }
        counter += 1;
    };
    if crate::inet::add_address(cx, interface, IpNet::V6(net), detect).is_ok()
        && let Some(own) = find(cx, interface, IpAddr::V6(net.addr()))
    {
        own.generated = Some(counter);
    }
}

/// RFC 7217 §5: F(Prefix, Net_Iface, Network_ID, DAD_Counter, secret_key), without a Network_ID.
fn stable_address(secret: (u64, u64), name: &str, counter: u8) -> Ipv6Addr {
    const PREFIX: u64 = 0xfe80 << 48;
    let mut hasher = SipHasher24::new_with_keys(secret.0, secret.1);
    hasher.write(&PREFIX.to_be_bytes());
    hasher.write(name.as_bytes());
    hasher.write(&[0xff, counter]);
    Ipv6Addr::from_bits(u128::from(PREFIX) << 64 | u128::from(hasher.finish()))
}

/// RFC 5453 §3: the subnet routers' anycast, IANA's own block, and the anycast block.
fn is_reserved(address: Ipv6Addr) -> bool {
    let id = address.to_bits() as u64;
    id == 0
        || id >> 24 == 0x02_005e_fffe
        || (0xfdff_ffff_ffff_ff80..=0xfdff_ffff_ffff_ffff).contains(&id)
}

fn find<'a>(
    cx: &'a mut Context<'_>,
    interface: InterfaceId,
    address: IpAddr,
) -> Option<&'a mut Address> {
    let link = cx.inet.interface_mut(interface)?;
    link.addresses.iter_mut().find(|a| a.net.addr() == address)
}
