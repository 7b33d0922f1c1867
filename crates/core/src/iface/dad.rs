//! Duplicate address detection (RFC 4862 §5.4) and stable opaque interface identifiers (RFC 7217).

use super::autoconf::{self, temporary};
use super::{Address, AddressOrigin, AddressState, Interface, acd, nd, resolve};
use crate::iface::ipv6_settings;
use crate::inet::Notice;
use crate::{AddrGenMode, AddressChange, Context, Counter, Instant, InterfaceId, MacAddr, Medium};
use core::hash::Hasher;
use core::time::Duration;
use ipnet::{IpNet, Ipv6Net};
use siphasher::sip::SipHasher24;
use std::net::{IpAddr, Ipv6Addr};

/// RFC 4861 §10: MAX_RTR_SOLICITATION_DELAY, before the first message after the link came up.
const FIRST_DELAY_MAX: Duration = Duration::from_secs(1);
/// RFC 7217 §7: IDGEN_RETRIES.
const IDGEN_RETRIES: u8 = 3;
/// The prefix of all links (RFC 4291 §2.5.6).
const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0);

/// How far the detection for a tentative address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Detection {
    pub(super) sent: u8,
    pub(super) next: Instant,
}

/// Begins the detection for `address`, which is tentative from now on.
pub(crate) fn begin(cx: &mut Context<'_>, interface: InterfaceId, address: IpAddr) {
    // RFC 4862 §5.1: DupAddrDetectTransmits of 0 says that it is not to be done.
    if address.is_ipv6() && ipv6_settings(cx.config, cx.inet, interface).dad_transmits == 0 {
        crate::inet::own(cx, interface, address);
        return;
    }
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
        let sent = own.detection.map_or(0, |d| d.sent);
        match own.net.addr() {
            IpAddr::V4(address) => acd::step(cx, interface, address, sent),
            IpAddr::V6(address) => step(cx, interface, &own, address, sent),
        }
    }
}

/// The next probe for `address`, or the end of its detection.
fn step(cx: &mut Context<'_>, interface: InterfaceId, own: &Address, address: Ipv6Addr, sent: u8) {
    if sent >= ipv6_settings(cx.config, cx.inet, interface).dad_transmits {
        // RFC 4862 §5.4: nobody objected.
        succeed(cx, interface, IpAddr::V6(address), None);
        if own.origin == AddressOrigin::LinkLocal {
            autoconf::link_local_ready(cx, interface);
        }
        return;
    }
    let Some(link) = cx.inet.interface_mut(interface) else {
        return;
    };
    let next = cx.now + link.neighbours.retrans_timer(IpAddr::V6(address));
    if let Some(own) = find(cx, interface, IpAddr::V6(address)) {
        let sent = sent + 1;
        own.detection = Some(Detection { sent, next });
    }
    nd::probe(cx, interface, address);
}

/// `address` is ours from now on; `then` is to be done for it.
pub(super) fn succeed(
    cx: &mut Context<'_>,
    interface: InterfaceId,
    address: IpAddr,
    then: Option<Detection>,
) {
    let now = cx.now;
    if let Some(own) = find(cx, interface, address) {
        own.detection = then;
        own.state = own.ripe(now);
        crate::inet::own(cx, interface, address);
    }
}

/// `address` is somebody else's: it is not used, and its maker is told.
pub(super) fn fail(cx: &mut Context<'_>, interface: InterfaceId, address: IpAddr) {
    cx.counters.add(Counter::AddressConflicts);
    let Some(own) = find(cx, interface, address) else {
        return;
    };
    let was_usable = own.is_usable();
    own.state = AddressState::Duplicate;
    own.detection = None;
    if was_usable {
        cx.inet.disown(address);
    }
    cx.inet
        .notify(Notice::Address(AddressChange::Duplicate(address)));
    resolve::settle(cx, interface);
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
    let own = *own;
    fail(cx, interface, IpAddr::V6(address));
    let Some(counter) = own.generated.map(|counter| counter.saturating_add(1)) else {
        return;
    };
    if own.origin == AddressOrigin::Temporary {
        temporary::make_anew(cx, interface, &own, counter);
        return;
    }
    // RFC 7217 §6: an identifier that we made is made anew.
    if counter <= IDGEN_RETRIES {
        crate::inet::forget_address(cx, interface, IpAddr::V6(address));
        add_stable(cx, interface, counter, own, true);
    }
}

/// Gives the interface the link-local address that the node's secret, the interface's name and
/// `counter` determine.
pub(crate) fn add_link_local(
    cx: &mut Context<'_>,
    interface: InterfaceId,
    counter: u8,
    detect: bool,
) {
    let prefix = Ipv6Net::new_assert(LINK_LOCAL, 64);
    let own = Address {
        origin: AddressOrigin::LinkLocal,
        ..Address::preferred(IpNet::V6(prefix))
    };
    add_stable(cx, interface, counter, own, detect);
}

/// Gives the interface the address that its identifier makes of the prefix of `like`.
pub(super) fn add_stable(
    cx: &mut Context<'_>,
    interface: InterfaceId,
    mut counter: u8,
    like: Address,
    detect: bool,
) {
    let (Some(link), IpAddr::V6(prefix)) = (cx.inet.interface(interface), like.net.addr()) else {
        return;
    };
    let prefix = (prefix.to_bits() >> 64) as u64;
    let settings = ipv6_settings(cx.config, cx.inet, interface);
    let secret = match (settings.addr_gen_mode, settings.stable_secret) {
        (AddrGenMode::StablePrivacy, Some(secret)) => {
            let bits = secret.to_bits();
            ((bits >> 64) as u64, bits as u64)
        }
        _ => cx.inet.secret(),
    };
    let id = match (settings.addr_gen_mode, link.capabilities().medium) {
        (AddrGenMode::Eui64 | AddrGenMode::NoLinkLocal, Medium::Ethernet(mac)) if counter == 0 => {
            eui_64(mac)
        }
        // RFC 7217 §6: there is no second identifier of the first kind.
        (AddrGenMode::Eui64 | AddrGenMode::NoLinkLocal, Medium::Ethernet(_)) => return,
        _ => loop {
            let id = stable_identifier(secret, prefix, link.name(), counter);
            if !is_reserved(id) || counter == u8::MAX {
                break id;
            }
            counter += 1;
        },
    };
    let address = Ipv6Addr::from_bits(u128::from(prefix) << 64 | u128::from(id));
    let own = Address {
        net: IpNet::V6(Ipv6Net::new_assert(address, 64)),
        generated: Some(counter),
        state: like.ripe(cx.now),
        detection: None,
        ..like
    };
    // One that is there already, however it came, stays as it is.
    let _ = crate::inet::add_address_as(cx, interface, own, detect);
}

/// RFC 4291, appendix A: the Ethernet address with ff:fe in its middle, and its universal bit
/// turned round.
fn eui_64(mac: MacAddr) -> u64 {
    let [a, b, c, d, e, f] = mac.0;
    u64::from_be_bytes([a ^ 0x02, b, c, 0xff, 0xfe, d, e, f])
}

/// RFC 7217 §5: F(Prefix, Net_Iface, Network_ID, DAD_Counter, secret_key), without a Network_ID.
fn stable_identifier(secret: (u64, u64), prefix: u64, name: &str, counter: u8) -> u64 {
    let mut hasher = SipHasher24::new_with_keys(secret.0, secret.1);
    hasher.write(&prefix.to_be_bytes());
    hasher.write(name.as_bytes());
    hasher.write(&[0xff, counter]);
    hasher.finish()
}

/// RFC 5453 §3: the subnet routers' anycast, IANA's own block, and the anycast block.
pub(super) fn is_reserved(id: u64) -> bool {
    id == 0
        || id >> 24 == 0x02_005e_fffe
        || (0xfdff_ffff_ffff_ff80..=0xfdff_ffff_ffff_ffff).contains(&id)
}

pub(super) fn find<'a>(
    cx: &'a mut Context<'_>,
    interface: InterfaceId,
    address: IpAddr,
) -> Option<&'a mut Address> {
    let link = cx.inet.interface_mut(interface)?;
    link.addresses.iter_mut().find(|a| a.net.addr() == address)
}
