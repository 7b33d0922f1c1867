//! Settings of interfaces: `net.ipv4.conf.IFACE.KEY` and `net.ipv6.conf.IFACE.KEY`, where IFACE is
//! an interface's name, `all` or `default`.

use super::{flag, reverse_path};
use crate::Config;
use crate::config::{FamilySettings, Interfaces};

/// What is set for each interface, by its name with `all`.
pub(super) static KEYS: &[Key] = &[
    Key {
        all: "net.ipv4.conf.all.forwarding",
        name: "net.ipv4.conf.IFACE.forwarding",
        what: What::Forwarding,
    },
    Key {
        all: "net.ipv4.conf.all.rp_filter",
        name: "net.ipv4.conf.IFACE.rp_filter",
        what: What::RpFilter,
    },
    Key {
        all: "net.ipv4.conf.all.send_redirects",
        name: "net.ipv4.conf.IFACE.send_redirects",
        what: What::SendRedirects,
    },
    Key {
        all: "net.ipv6.conf.all.forwarding",
        name: "net.ipv6.conf.IFACE.forwarding",
        what: What::Forwarding,
    },
    Key {
        all: "net.ipv6.conf.all.rp_filter",
        name: "net.ipv6.conf.IFACE.rp_filter",
        what: What::RpFilter,
    },
    Key {
        all: "net.ipv6.conf.all.send_redirects",
        name: "net.ipv6.conf.IFACE.send_redirects",
        what: What::SendRedirects,
    },
];

/// One setting.
pub(super) struct Key {
    pub(super) all: &'static str,
    /// For messages.
    pub(super) name: &'static str,
    what: What,
}

#[derive(Clone, Copy)]
enum What {
    Forwarding,
    RpFilter,
    SendRedirects,
}

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
        match self.what {
            What::Forwarding => flag::show(&family.forwarding),
            What::RpFilter => reverse_path::show(&family.rp_filter),
            What::SendRedirects => flag::show(&family.send_redirects),
        }
    }

    pub(super) fn set(&self, config: &mut Config, interface: &str, text: &str) -> Option<()> {
        let interfaces = &mut config.interfaces;
        if let (What::Forwarding, "all") = (self.what, interface) {
            let on = flag::read(text)?;
            match self.is_v4() {
                true => interfaces.set_forwarding_v4(on),
                false => interfaces.set_forwarding_v6(on),
            }
            return Some(());
        }
        let mut family = FamilySettings::default();
        match self.what {
            What::Forwarding => family.forwarding = flag::read(text)?,
            What::RpFilter => family.rp_filter = reverse_path::read(text)?,
            What::SendRedirects => family.send_redirects = flag::read(text)?,
        }
        let settings = match interface {
            "all" => &mut interfaces.all,
            "default" => &mut interfaces.default,
            name => interfaces.get_mut(name),
        };
        let own = if self.is_v4() {
            &mut settings.v4
        } else {
            &mut settings.v6
        };
        match self.what {
            What::Forwarding => own.forwarding = family.forwarding,
            What::RpFilter => own.rp_filter = family.rp_filter,
            What::SendRedirects => own.send_redirects = family.send_redirects,
        }
        Some(())
    }

    pub(super) fn takes(&self) -> String {
        match self.what {
            What::Forwarding | What::SendRedirects => flag::takes(),
            What::RpFilter => reverse_path::takes(),
        }
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
        ] {
            config.set_sysctl(name, text).unwrap();
            assert_eq!(config.sysctl(name).unwrap(), text, "{name}");
        }
        let settings = |name| *config.interfaces.get(name);
        assert!(settings("eth0").v4.forwarding && !settings("eth0").v6.forwarding);
        assert!(settings("eth0.7").v6.forwarding);
        assert_eq!(settings("eth1").v4.rp_filter, ReversePath::Loose);
        assert!(!settings("eth0").v4.send_redirects);
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
