//! Settings of single interfaces: what Linux keeps under `net.ipv4.conf` and `net.ipv6.conf`.

use core::time::Duration;
use std::collections::BTreeMap;

/// How the source of a received packet is compared with the routes (RFC 3704): `rp_filter`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReversePath {
    /// Not at all (0).
    #[default]
    Off,
    /// The best route to the source leaves by the interface that the packet came by (1; §2.2).
    Strict,
    /// There is a route to the source, by whatever interface (2; §2.4).
    Loose,
}

/// Settings of an interface for one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FamilySettings {
    /// `forwarding`: packets that come by it and are for others are sent on, and it behaves as a
    /// router's does. Off.
    ///
    /// In Linux the IPv6 one decides for the behaviour alone, and `all` whether packets are sent on.
    pub forwarding: bool,
    /// `rp_filter`. Off. For IPv6 Linux has no such setting and leaves it to its packet filter.
    pub rp_filter: ReversePath,
    /// `send_redirects`: neighbours are told of better first hops. On; for IPv6 Linux knows no other.
    pub send_redirects: bool,
    /// `force_igmp_version`, `force_mld_version`: the version that is spoken whatever queriers speak:
    /// of IGMP 1 to 3, of MLD 1 or 2; 0, as they do.
    pub force_version: u8,
    /// `igmpv2_unsolicited_report_interval`, `mldv1_unsolicited_report_interval`: the longest time
    /// between reports of a group that was joined, in versions before the newest: 10 s.
    pub report_interval_older: Duration,
    /// `igmpv3_unsolicited_report_interval`, `mldv2_unsolicited_report_interval`: the same in the
    /// newest version: 1 s.
    pub report_interval: Duration,
}

impl Default for FamilySettings {
    fn default() -> Self {
        Self {
            forwarding: false,
            rp_filter: ReversePath::Off,
            send_redirects: true,
            force_version: 0,
            report_interval_older: Duration::from_secs(10),
            report_interval: Duration::from_secs(1),
        }
    }
}

/// Settings of an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterfaceSettings {
    /// `net.ipv4.conf.IFACE`.
    pub v4: FamilySettings,
    /// `net.ipv6.conf.IFACE`.
    pub v6: FamilySettings,
}

/// Settings of all interfaces by their names, those that are not there yet included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interfaces {
    /// `conf.all`: added to those of each interface, as Linux does: the larger `rp_filter`, redirects
    /// where either allows them, and a version of IGMP and MLD before the interface's own.
    pub all: InterfaceSettings,
    /// `conf.default`: what interfaces have of which nothing else is said.
    pub default: InterfaceSettings,
    named: BTreeMap<String, InterfaceSettings>,
}

impl Interfaces {
    /// What is set for the interface `name`, without what holds for all.
    #[must_use]
    pub fn get(&self, name: &str) -> &InterfaceSettings {
        self.named.get(name).unwrap_or(&self.default)
    }

    /// What is set for the interface `name`, to be changed.
    pub fn get_mut(&mut self, name: &str) -> &mut InterfaceSettings {
        let Self { default, named, .. } = self;
        named.entry(name.into()).or_insert(*default)
    }

    /// What holds for the interface `name`.
    #[must_use]
    pub fn effective(&self, name: &str) -> InterfaceSettings {
        let own = self.get(name);
        InterfaceSettings {
            v4: own.v4.and(&self.all.v4),
            v6: own.v6.and(&self.all.v6),
        }
    }

    /// `net.ipv4.ip_forward`, which is `net.ipv4.conf.all.forwarding`: for all interfaces, present
    /// and future.
    pub fn set_forwarding_v4(&mut self, on: bool) {
        self.each(|settings| settings.v4.forwarding = on);
    }

    /// `net.ipv6.conf.all.forwarding`: likewise.
    pub fn set_forwarding_v6(&mut self, on: bool) {
        self.each(|settings| settings.v6.forwarding = on);
    }

    fn each(&mut self, mut change: impl FnMut(&mut InterfaceSettings)) {
        let Self {
            all,
            default,
            named,
        } = self;
        change(all);
        change(default);
        named.values_mut().for_each(change);
    }
}

impl FamilySettings {
    fn and(&self, all: &Self) -> Self {
        Self {
            rp_filter: self.rp_filter.max(all.rp_filter),
            send_redirects: self.send_redirects || all.send_redirects,
            force_version: match all.force_version {
                0 => self.force_version,
                forced => forced,
            },
            ..*self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_for_all_is_added_to_each() {
        let mut settings = Interfaces::default();
        settings.get_mut("eth0").v4.rp_filter = ReversePath::Strict;
        settings.get_mut("eth0").v4.send_redirects = false;
        assert!(settings.effective("eth0").v4.send_redirects);
        settings.all.v4.send_redirects = false;
        assert!(!settings.effective("eth0").v4.send_redirects);
        assert!(settings.effective("eth1").v4.send_redirects);
        settings.all.v4.rp_filter = ReversePath::Loose;
        assert_eq!(settings.effective("eth0").v4.rp_filter, ReversePath::Loose);
        settings.get_mut("eth0").v6.force_version = 2;
        let forced = |settings: &Interfaces| settings.effective("eth0").v6.force_version;
        assert_eq!(forced(&settings), 2);
        settings.all.v6.force_version = 1;
        assert_eq!(forced(&settings), 1);
    }

    #[test]
    fn forwarding_is_set_for_all_and_then_for_one() {
        let mut settings = Interfaces::default();
        settings.get_mut("eth0").v6.forwarding = false;
        settings.set_forwarding_v6(true);
        settings.get_mut("eth1").v6.forwarding = false;
        let forwards = |name| settings.effective(name).v6.forwarding;
        assert!(forwards("eth0") && !forwards("eth1") && forwards("eth2"));
        assert!(!settings.effective("eth0").v4.forwarding);
    }
}
