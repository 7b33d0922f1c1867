//! Which groups an interface listens to (RFC 1112 §6.2, RFC 4291 §2.8).
//!
//! Joining is local so far: no IGMP or MLD report tells routers of it.

use super::Interface;
use crate::Error;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Groups that one interface may listen to (Linux: `igmp_max_memberships` is 20 a socket).
pub(super) const GROUPS_MAX: usize = 4096;

/// Joined groups and how often each was joined.
#[derive(Debug, Default)]
pub(super) struct Groups(BTreeMap<IpAddr, u32>);

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
        implied || self.groups.0.contains_key(&group)
    }

    /// Listens to `group`, once more often.
    pub(crate) fn join(&mut self, group: IpAddr) -> Result<(), Error> {
        if !group.is_multicast() {
            return Err(Error::Invalid);
        }
        let groups = &mut self.groups.0;
        if groups.len() >= GROUPS_MAX && !groups.contains_key(&group) {
            return Err(Error::NoBufferSpace);
        }
        let count = groups.entry(group).or_default();
        *count = count.saturating_add(1);
        Ok(())
    }

    /// Takes back one [`join`](Self::join); false when there was none.
    pub(crate) fn leave(&mut self, group: IpAddr) -> bool {
        let Some(count) = self.groups.0.get_mut(&group) else {
            return false;
        };
        *count -= 1;
        if *count == 0 {
            self.groups.0.remove(&group);
        }
        true
    }
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
