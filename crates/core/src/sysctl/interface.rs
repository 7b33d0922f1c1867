//! Settings of interfaces: `net.ipv4.conf.IFACE.KEY` and `net.ipv6.conf.IFACE.KEY`, where IFACE is
//! an interface's name, `all` or `default`.

use super::text::{flag, igmp_version, millis, mld_version, reverse_path};
use crate::Config;
use crate::config::{FamilySettings, Interfaces};

/// One setting.
pub(super) struct Key {
    pub(super) all: &'static str,
    /// For messages.
    pub(super) name: &'static str,
    show: fn(&FamilySettings) -> String,
    read: fn(&mut FamilySettings, &str) -> Option<()>,
    pub(super) takes: fn() -> String,
}

/// The family, the key, the field, and the module that reads, shows and describes its text.
macro_rules! key {
    ($family:literal, $key:literal, $field:ident, $kind:ident) => {
        Key {
            all: concat!("net.", $family, ".conf.all.", $key),
            name: concat!("net.", $family, ".conf.IFACE.", $key),
            show: |settings| $kind::show(&settings.$field),
            read: |settings, text| {
                settings.$field = $kind::read(text)?;
                Some(())
            },
            takes: $kind::takes,
        }
    };
}

/// What is set for each interface.
pub(super) static KEYS: &[Key] = &[
    key!("ipv4", "force_igmp_version", force_version, igmp_version),
    key!("ipv4", "forwarding", forwarding, flag),
    key!(
        "ipv4",
        "igmpv2_unsolicited_report_interval",
        report_interval_older,
        millis
    ),
    key!(
        "ipv4",
        "igmpv3_unsolicited_report_interval",
        report_interval,
        millis
    ),
    key!("ipv4", "rp_filter", rp_filter, reverse_path),
    key!("ipv4", "send_redirects", send_redirects, flag),
    key!("ipv6", "force_mld_version", force_version, mld_version),
    key!("ipv6", "forwarding", forwarding, flag),
    key!(
        "ipv6",
        "mldv1_unsolicited_report_interval",
        report_interval_older,
        millis
    ),
    key!(
        "ipv6",
        "mldv2_unsolicited_report_interval",
        report_interval,
        millis
    ),
    key!("ipv6", "rp_filter", rp_filter, reverse_path),
    key!("ipv6", "send_redirects", send_redirects, flag),
];

/// The setting that `dotted` names, and the interface's name.
pub(super) fn find(dotted: &str) -> Option<(&'static Key, &str)> {
    let (family, rest) = dotted.split_at_checked("net.ipv4.conf.".len())?;
    // A name may have dots in it (`eth0.7`), a key has none.
    let (interface, key) = rest.rsplit_once('.')?;
    let key = KEYS.iter().find(|known| {
        let (prefix, suffix) = known.name.split_at(family.len());
        prefix == family && suffix.strip_prefix("IFACE.") == Some(key)
    })?;
    (!interface.is_empty()).then_some((key, interface))
}

impl Key {
    pub(super) fn get(&self, config: &Config, interface: &str) -> String {
        let Interfaces { all, default, .. } = &config.interfaces;
        let settings = match interface {
            "all" => all,
            "default" => default,
            name => config.interfaces.get(name),
        };
        let family = if self.is_v4() {
            &settings.v4
        } else {
            &settings.v6
        };
        (self.show)(family)
    }

    pub(super) fn set(&self, config: &mut Config, interface: &str, text: &str) -> Option<()> {
        let interfaces = &mut config.interfaces;
        if self.name.ends_with(".forwarding") && interface == "all" {
            let on = flag::read(text)?;
            match self.is_v4() {
                true => interfaces.set_forwarding_v4(on),
                false => interfaces.set_forwarding_v6(on),
            }
            return Some(());
        }
        let mut settings = match interface {
            "all" => interfaces.all,
            "default" => interfaces.default,
            name => *interfaces.get(name),
        };
        let family = match self.is_v4() {
            true => &mut settings.v4,
            false => &mut settings.v6,
        };
        // What can't be read makes no interface known.
        (self.read)(family, text)?;
        *match interface {
            "all" => &mut interfaces.all,
            "default" => &mut interfaces.default,
            name => interfaces.get_mut(name),
        } = settings;
        Some(())
    }

    fn is_v4(&self) -> bool {
        self.name.starts_with("net.ipv4.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SysctlError;
    use crate::config::ReversePath;

    #[test]
    fn an_interface_is_set_by_its_name() {
        let mut config = Config::default();
        for (name, text) in [
            ("net.ipv4.conf.eth0.forwarding", "1"),
            ("net/ipv6/conf/eth0.7/forwarding", "1"),
            ("net.ipv4.conf.default.rp_filter", "2"),
            ("net.ipv4.conf.eth0.send_redirects", "0"),
            ("net.ipv4.conf.eth0.force_igmp_version", "2"),
            (
                "net.ipv6.conf.eth0.mldv2_unsolicited_report_interval",
                "500",
            ),
        ] {
            config.set_sysctl(name, text).unwrap();
            assert_eq!(config.sysctl(name).unwrap(), text, "{name}");
        }
        let settings = |name| *config.interfaces.get(name);
        assert!(settings("eth0").v4.forwarding && !settings("eth0").v6.forwarding);
        assert!(settings("eth0.7").v6.forwarding);
        assert_eq!(settings("eth1").v4.rp_filter, ReversePath::Loose);
        assert!(!settings("eth0").v4.send_redirects);
        let version = |name| settings(name).v4.force_version;
        assert_eq!((version("eth0"), version("eth1")), (2, 0));
    }

    #[test]
    fn ip_forward_is_forwarding_of_all() {
        let mut config = Config::default();
        config.set_sysctl("net.ipv4.ip_forward", "1").unwrap();
        for name in ["all", "default", "eth0"] {
            let name = format!("net.ipv4.conf.{name}.forwarding");
            assert_eq!(config.sysctl(&name).unwrap(), "1");
        }
        config
            .set_sysctl("net.ipv4.conf.all.forwarding", "0")
            .unwrap();
        assert_eq!(config.sysctl("net.ipv4.ip_forward").unwrap(), "0");
    }

    #[test]
    fn what_is_no_setting_of_an_interface_is_not_known() {
        let mut config = Config::default();
        for name in [
            "net.ipv4.conf.forwarding",
            "net.ipv4.conf..forwarding",
            "net.ipv4.conf.eth0.",
            "net.ipv5.conf.eth0.forwarding",
        ] {
            let error = config.set_sysctl(name, "1").unwrap_err();
            assert!(matches!(error, SysctlError::Unknown(_)), "{name}");
        }
        let error = config.set_sysctl("net.ipv4.conf.eth0.rp_filter", "3");
        assert_eq!(
            error.unwrap_err().to_string(),
            "'3' is no value for net.ipv4.conf.IFACE.rp_filter, which takes 0, 1 (strict) or 2 (loose)"
        );
    }
}
