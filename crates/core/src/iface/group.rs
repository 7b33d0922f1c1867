//! Which groups an interface listens to (RFC 1112 §6.2, RFC 4291 §2.8). Who joined them, and what
//! routers are told of it, is [`multicast`](crate::multicast)'s.

use super::Interface;
use crate::{Context, InterfaceId, MacAddr, Medium, multicast};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

impl Interface {
    /// Whether packets to `group` are received here: it was joined, or every node is in it.
    #[must_use]
    pub fn is_member(&self, group: IpAddr) -> bool {
        let implied = match group {
            // RFC 1112 §4: all hosts. RFC 1812 §4.2.2.11 with RFC 5771 §4: a router is in the group
            // of all routers.
            IpAddr::V4(v4) => {
                v4 == Ipv4Addr::new(224, 0, 0, 1)
                    || v4 == Ipv4Addr::new(224, 0, 0, 2) && self.settings.v4.forwarding
            }
            IpAddr::V6(v6) => {
                // RFC 4291 §2.8: all nodes, in interface and link scope, and the solicited-node
                // group of each address, tentative ones too (RFC 4862 §5.4.2).
                matches!(v6.segments(), [0xff01 | 0xff02, 0, 0, 0, 0, 0, 0, 1])
                    || self.settings.v6.forwarding && is_all_routers(v6)
                    || self.addresses.iter().any(|a| match a.net.addr() {
                        IpAddr::V6(own) => solicited_node(own) == v6,
                        IpAddr::V4(_) => false,
                    })
            }
        };
        implied || self.groups.has(group)
    }

    /// Whether a frame to the stations of `group` may be for a group of [`is_member`](Self::is_member).
    #[must_use]
    pub fn listens_to(&self, group: MacAddr) -> bool {
        let all = [
            MacAddr::of_group_v4(Ipv4Addr::new(224, 0, 0, 1)),
            MacAddr::of_group_v6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1)),
        ];
        let is = |joined: &IpAddr| match *joined {
            IpAddr::V4(v4) => MacAddr::of_group_v4(v4) == group,
            IpAddr::V6(v6) => MacAddr::of_group_v6(v6) == group,
        };
        all.contains(&group)
            || self.groups.all().any(is)
            || self.addresses.iter().any(|a| match a.net.addr() {
                IpAddr::V6(own) => is(&solicited_node(own).into()),
                IpAddr::V4(_) => false,
            })
    }

    /// Whether packets from `source` to `group` are received here: somebody listens to it, or every
    /// node is in the group.
    #[must_use]
    pub(crate) fn hears(&self, group: IpAddr, source: IpAddr) -> bool {
        match self.groups.has(group) {
            true => self.groups.admits(group, source),
            false => self.is_member(group),
        }
    }
}

/// An address came to an interface, or went: with it goes its solicited-node group, where there are
/// neighbours to solicit (RFC 4861 §7.2.1).
pub(crate) fn follow_address(
    cx: &mut Context<'_>,
    interface: InterfaceId,
    address: IpAddr,
    came: bool,
) {
    let link = cx.inet.interface(interface);
    let ethernet =
        link.is_some_and(|link| matches!(link.capabilities().medium, Medium::Ethernet(_)));
    let IpAddr::V6(address) = address else {
        return;
    };
    if !ethernet {
        return;
    }
    let group = IpAddr::V6(solicited_node(address));
    // One group too many is heard all the same (`is_member`), though nobody is told of it.
    let _ = match came {
        true => multicast::join(cx, interface, group).is_ok(),
        false => multicast::leave(cx, interface, group),
    };
}

/// RFC 4291 §2.7.1: all routers, in interface, link and site scope.
fn is_all_routers(group: Ipv6Addr) -> bool {
    matches!(
        group.segments(),
        [0xff01 | 0xff02 | 0xff05, 0, 0, 0, 0, 0, 0, 2]
    )
}

/// RFC 4291 §2.7.1: the group of all nodes whose address has the same last 24 bits.
pub(crate) fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    let low = u16::from_be_bytes([b, c]);
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), low)
}
