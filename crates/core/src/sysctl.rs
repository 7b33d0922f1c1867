//! A node's settings by the names that Linux gives them: the one table between a sysctl such as
//! `net.ipv4.tcp_sack`, its text and the field of [`Config`].
//!
//! A row here is all that a new setting needs to be set by name, wherever names are taken.

mod interface;
mod text;

use crate::Config;
use text::{
    addr_gen_mode, congestion_control, count, ecn, fast_open, flag, keys, millis, number, pair,
    pf_expose, probe_interval, robustness, seconds, secret, syn_cookies, temporary, triple,
};

impl Config {
    /// Sets what Linux calls `name` (`net.ipv4.tcp_sack`, or with slashes, or as the path under
    /// `/proc/sys`) from the text that Linux takes for it.
    ///
    /// # Errors
    /// [`SysctlError::Unknown`] for what the node has no setting for, [`SysctlError::Invalid`] for
    /// a text that says no value of it.
    pub fn set_sysctl(&mut self, name: &str, text: &str) -> Result<(), SysctlError> {
        let (text, dotted) = (text.trim(), dotted(name));
        let (set, name, takes) = match interface::find(&dotted) {
            Some((key, of)) => (key.set(self, of, text), key.name, (key.takes)()),
            None => {
                let (row, of) = find_named(name, &dotted)?;
                let done = match of {
                    None => (row.set)(self, text),
                    Some(interface) => self.as_default(interface, |own| (row.set)(own, text)),
                };
                (done, row.name, (row.takes)())
            }
        };
        set.ok_or_else(|| SysctlError::Invalid {
            name,
            text: text.into(),
            takes,
        })
    }

    /// What Linux calls `name`, as the text that sysctl(8) shows.
    ///
    /// # Errors
    /// [`SysctlError::Unknown`].
    pub fn sysctl(&self, name: &str) -> Result<String, SysctlError> {
        let dotted = dotted(name);
        match interface::find(&dotted) {
            Some((key, of)) => Ok(key.get(self, of)),
            None => match find_named(name, &dotted)? {
                (row, None) => Ok((row.get)(self)),
                (row, Some(interface)) => {
                    let mut shown = Self {
                        ipv6: self.ipv6_of(interface).clone(),
                        ..self.clone()
                    };
                    shown.ipv6_named.clear();
                    Ok((row.get)(&shown))
                }
            },
        }
    }
}

impl Config {
    /// Changes what `interface` has of `net.ipv6.conf` as if it were what all have.
    fn as_default(
        &mut self,
        interface: &str,
        change: impl FnOnce(&mut Self) -> Option<()>,
    ) -> Option<()> {
        let mut own = self.ipv6_of(interface).clone();
        std::mem::swap(&mut self.ipv6, &mut own);
        let done = change(self);
        std::mem::swap(&mut self.ipv6, &mut own);
        done?;
        *self.ipv6_of_mut(interface) = own;
        Some(())
    }
}

/// The names that a node knows; of those for each interface the one for all.
pub fn names() -> impl Iterator<Item = &'static str> {
    let of_interfaces = interface::KEYS.iter().map(|key| key.all);
    TABLE.iter().map(|row| row.name).chain(of_interfaces)
}

/// Why a setting was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SysctlError {
    /// There is none of that name.
    #[error("a node has no setting named '{0}'")]
    Unknown(String),
    /// The text is no value of it.
    #[error("'{text}' is no value for {name}, which takes {takes}")]
    Invalid {
        /// The setting.
        name: &'static str,
        /// What it was to be set to.
        text: String,
        /// What it can be set to.
        takes: String,
    },
}

struct Row {
    name: &'static str,
    get: fn(&Config) -> String,
    set: fn(&mut Config, &str) -> Option<()>,
    /// What the text may be.
    takes: fn() -> String,
}

/// A name, the field, and the module below that reads, shows and describes its text.
macro_rules! row {
    ($name:literal, $($field:tt).+, $kind:ident) => {
        Row {
            name: $name,
            get: |config| $kind::show(&config.$($field).+),
            set: |config, text| {
                config.$($field).+ = $kind::read(text)?;
                Some(())
            },
            takes: $kind::takes,
        }
    };
}

static TABLE: &[Row] = &[
    row!("net.core.rmem_default", rmem.0, number),
    row!("net.core.rmem_max", rmem.1, number),
    row!("net.core.somaxconn", backlog_max, number),
    row!("net.core.wmem_default", wmem.0, number),
    row!("net.core.wmem_max", wmem.1, number),
    row!("net.dccp.encap_port", dccp.encap_port, number),
    row!("net.dccp.udp_port", dccp.udp_port, number),
    row!(
        "net.ipv4.conf.default.accept_redirects",
        accept_redirects,
        flag
    ),
    row!("net.ipv4.icmp_msgs_burst", icmp_errors.1, number),
    row!("net.ipv4.icmp_msgs_per_sec", icmp_errors.0, number),
    row!("net.ipv4.icmp_ratelimit", icmp_ratelimit, millis),
    row!(
        "net.ipv4.igmp_link_local_mcast_reports",
        igmp_link_local_mcast_reports,
        flag
    ),
    row!(
        "net.ipv4.igmp_max_memberships",
        igmp_max_memberships,
        number
    ),
    row!("net.ipv4.igmp_max_msf", igmp_max_msf, number),
    row!("net.ipv4.igmp_qrv", igmp_qrv, robustness),
    row!("net.ipv4.ip_default_ttl", ttl, number),
    Row {
        name: "net.ipv4.ip_forward",
        get: |config| flag::show(&config.interfaces.all.v4.forwarding),
        set: |config, text| {
            config.interfaces.set_forwarding_v4(flag::read(text)?);
            Some(())
        },
        takes: flag::takes,
    },
    row!("net.ipv4.ip_local_port_range", local_ports, pair),
    row!("net.ipv4.ipfrag_high_thresh", reassembly_max, number),
    row!(
        "net.ipv4.tcp_abort_on_overflow",
        tcp_abort_on_overflow,
        flag
    ),
    row!("net.ipv4.tcp_base_mss", tcp_base_mss, number),
    row!(
        "net.ipv4.tcp_congestion_control",
        tcp_congestion,
        congestion_control
    ),
    row!("net.ipv4.tcp_early_retrans", tcp_tail_probes, flag),
    row!("net.ipv4.tcp_ecn", tcp_ecn, ecn),
    row!("net.ipv4.tcp_fastopen", tcp_fast_open, fast_open),
    row!(
        "net.ipv4.tcp_fastopen_blackhole_timeout_sec",
        tcp_fast_open_pause,
        seconds
    ),
    row!("net.ipv4.tcp_fastopen_key", tcp_fast_open_keys, keys),
    row!("net.ipv4.tcp_fin_timeout", tcp_fin_timeout, seconds),
    row!("net.ipv4.tcp_frto", tcp_frto, flag),
    row!("net.ipv4.tcp_max_orphans", tcp_max_orphans, number),
    row!("net.ipv4.tcp_max_syn_backlog", syn_backlog_max, number),
    row!("net.ipv4.tcp_max_tw_buckets", tcp_time_wait_max, number),
    row!("net.ipv4.tcp_mem", tcp_mem, triple),
    row!("net.ipv4.tcp_migrate_req", tcp_migrate_req, flag),
    row!("net.ipv4.tcp_min_tso_segs", tcp_min_tso_segs, number),
    row!("net.ipv4.tcp_moderate_rcvbuf", tcp_moderate_rcvbuf, flag),
    row!("net.ipv4.tcp_mtu_probing", tcp_mtu_probing, number),
    row!("net.ipv4.tcp_notsent_lowat", tcp_notsent_lowat, number),
    row!("net.ipv4.tcp_pacing_ca_ratio", tcp_pacing_ratios.1, number),
    row!("net.ipv4.tcp_pacing_ss_ratio", tcp_pacing_ratios.0, number),
    row!("net.ipv4.tcp_probe_interval", tcp_probe_interval, seconds),
    row!("net.ipv4.tcp_probe_threshold", tcp_probe_threshold, number),
    row!("net.ipv4.tcp_retries2", tcp_retries2, number),
    row!("net.ipv4.tcp_rmem", tcp_rmem, triple),
    row!("net.ipv4.tcp_sack", tcp_sack, flag),
    row!(
        "net.ipv4.tcp_slow_start_after_idle",
        tcp_slow_start_after_idle,
        flag
    ),
    row!("net.ipv4.tcp_stdurg", tcp_stdurg, flag),
    row!("net.ipv4.tcp_syn_retries", tcp_syn_retries, number),
    row!("net.ipv4.tcp_synack_retries", tcp_synack_retries, number),
    row!("net.ipv4.tcp_syncookies", tcp_syn_cookies, syn_cookies),
    row!("net.ipv4.tcp_timestamps", tcp_timestamps, flag),
    row!("net.ipv4.tcp_window_scaling", tcp_window_scaling, flag),
    row!("net.ipv4.tcp_wmem", tcp_wmem, triple),
    row!("net.ipv6.conf.default.accept_ra", ipv6.accept_ra, flag),
    row!(
        "net.ipv6.conf.default.accept_ra_defrtr",
        ipv6.accept_ra_defrtr,
        flag
    ),
    row!(
        "net.ipv6.conf.default.accept_ra_min_hop_limit",
        ipv6.accept_ra_min_hop_limit,
        number
    ),
    row!(
        "net.ipv6.conf.default.accept_ra_mtu",
        ipv6.accept_ra_mtu,
        flag
    ),
    row!(
        "net.ipv6.conf.default.accept_ra_pinfo",
        ipv6.accept_ra_pinfo,
        flag
    ),
    row!(
        "net.ipv6.conf.default.accept_ra_rt_info_max_plen",
        ipv6.accept_ra_rt_info_max_plen,
        number
    ),
    row!(
        "net.ipv6.conf.default.accept_ra_rtr_pref",
        ipv6.accept_ra_rtr_pref,
        flag
    ),
    row!(
        "net.ipv6.conf.default.accept_redirects",
        ipv6.accept_redirects,
        flag
    ),
    row!(
        "net.ipv6.conf.default.addr_gen_mode",
        ipv6.addr_gen_mode,
        addr_gen_mode
    ),
    row!("net.ipv6.conf.default.autoconf", ipv6.autoconf, flag),
    row!(
        "net.ipv6.conf.default.dad_transmits",
        ipv6.dad_transmits,
        number
    ),
    row!(
        "net.ipv6.conf.default.max_addresses",
        ipv6.max_addresses,
        number
    ),
    row!(
        "net.ipv6.conf.default.max_desync_factor",
        ipv6.max_desync_factor,
        seconds
    ),
    row!(
        "net.ipv6.conf.default.regen_max_retry",
        ipv6.regen_max_retry,
        number
    ),
    row!(
        "net.ipv6.conf.default.router_probe_interval",
        ipv6.router_probe_interval,
        seconds
    ),
    row!(
        "net.ipv6.conf.default.router_solicitation_delay",
        ipv6.router_solicitation_delay,
        seconds
    ),
    row!(
        "net.ipv6.conf.default.router_solicitation_interval",
        ipv6.router_solicitation_interval,
        seconds
    ),
    row!(
        "net.ipv6.conf.default.router_solicitation_max_interval",
        ipv6.router_solicitation_max_interval,
        seconds
    ),
    row!(
        "net.ipv6.conf.default.router_solicitations",
        ipv6.router_solicitations,
        count
    ),
    row!(
        "net.ipv6.conf.default.stable_secret",
        ipv6.stable_secret,
        secret
    ),
    row!(
        "net.ipv6.conf.default.temp_prefered_lft",
        ipv6.temp_prefered_lft,
        seconds
    ),
    row!(
        "net.ipv6.conf.default.temp_valid_lft",
        ipv6.temp_valid_lft,
        seconds
    ),
    row!(
        "net.ipv6.conf.default.use_tempaddr",
        ipv6.use_tempaddr,
        temporary
    ),
    row!("net.ipv6.icmp.ratelimit", icmp_ratelimit_v6, millis),
    row!("net.ipv6.mld_max_msf", mld_max_msf, number),
    row!("net.ipv6.mld_qrv", mld_qrv, robustness),
    row!("net.sctp.addip_enable", sctp.addip_enable, flag),
    row!(
        "net.sctp.addip_noauth_enable",
        sctp.addip_noauth_enable,
        flag
    ),
    row!(
        "net.sctp.association_max_retrans",
        sctp.association_max_retrans,
        number
    ),
    row!("net.sctp.auth_enable", sctp.auth_enable, flag),
    row!(
        "net.sctp.cookie_preserve_enable",
        sctp.cookie_preserve_enable,
        flag
    ),
    row!(
        "net.sctp.default_auto_asconf",
        sctp.default_auto_asconf,
        flag
    ),
    row!("net.sctp.ecn_enable", sctp.ecn_enable, flag),
    row!("net.sctp.encap_port", sctp.encap_port, number),
    row!("net.sctp.hb_interval", sctp.hb_interval, millis),
    row!("net.sctp.intl_enable", sctp.intl_enable, flag),
    row!("net.sctp.max_burst", sctp.max_burst, number),
    row!(
        "net.sctp.max_init_retransmits",
        sctp.max_init_retransmits,
        number
    ),
    row!("net.sctp.path_max_retrans", sctp.path_max_retrans, number),
    row!("net.sctp.pf_enable", sctp.pf_enable, flag),
    row!("net.sctp.pf_expose", sctp.pf_expose, pf_expose),
    row!("net.sctp.pf_retrans", sctp.pf_retrans, number),
    row!(
        "net.sctp.plpmtud_probe_interval",
        sctp.plpmtud_probe_interval,
        probe_interval
    ),
    row!("net.sctp.prsctp_enable", sctp.prsctp_enable, flag),
    row!("net.sctp.ps_retrans", sctp.ps_retrans, number),
    row!("net.sctp.reconf_enable", sctp.reconf_enable, flag),
    row!("net.sctp.rto_initial", sctp.rto_initial, millis),
    row!("net.sctp.rto_max", sctp.rto_max, millis),
    row!("net.sctp.rto_min", sctp.rto_min, millis),
    row!("net.sctp.sack_timeout", sctp.sack_timeout, millis),
    row!("net.sctp.sctp_rmem", sctp.rmem, triple),
    row!("net.sctp.sctp_wmem", sctp.wmem, triple),
    row!("net.sctp.udp_port", sctp.udp_port, number),
    row!("net.sctp.valid_cookie_life", sctp.valid_cookie_life, millis),
    row!("net.unix.max_dgram_qlen", unix_max_dgram_qlen, number),
];

/// A name with dots, however it is written.
fn dotted(name: &str) -> String {
    let path = name.strip_prefix("/proc/sys/").unwrap_or(name);
    path.replace('/', ".")
}

/// The row of a name, and whose it is: `net.ipv6.conf.IFACE.KEY` is the row of `default` for one
/// interface. Of `all` Linux has these too, and none of them does anything: here there is none.
fn find_named<'a>(
    name: &str,
    dotted: &'a str,
) -> Result<(&'static Row, Option<&'a str>), SysctlError> {
    let unknown = || SysctlError::Unknown(name.into());
    if let Ok(row) = find(name, dotted) {
        return Ok((row, None));
    }
    let rest = dotted.strip_prefix(IPV6_CONF).ok_or_else(unknown)?;
    // A name may have dots in it (`eth0.7`), a key has none.
    let (interface, key) = rest.rsplit_once('.').ok_or_else(unknown)?;
    if interface.is_empty() || interface == "all" {
        return Err(unknown());
    }
    let row = find(name, &format!("{IPV6_CONF}default.{key}"))?;
    Ok((row, Some(interface)))
}

/// Before the name of an interface.
const IPV6_CONF: &str = "net.ipv6.conf.";

fn find(name: &str, dotted: &str) -> Result<&'static Row, SysctlError> {
    let row = TABLE.iter().find(|row| row.name == dotted);
    row.ok_or_else(|| SysctlError::Unknown(name.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    #[test]
    fn an_interface_configures_itself_by_its_name() {
        let mut config = Config::default();
        for (name, text) in [
            ("net.ipv6.conf.eth0.accept_ra", "0"),
            ("net/ipv6/conf/eth0.7/use_tempaddr", "2"),
            ("net.ipv6.conf.default.autoconf", "0"),
        ] {
            config.set_sysctl(name, text).unwrap();
            assert_eq!(config.sysctl(name).unwrap(), text, "{name}");
        }
        assert!(!config.ipv6_of("eth0").accept_ra && config.ipv6_of("eth1").accept_ra);
        assert_eq!(config.ipv6_of("eth0.7").use_tempaddr, 2);
        // What was set before the default changed stays as it was.
        assert!(config.ipv6_of("eth0").autoconf && !config.ipv6_of("eth1").autoconf);
        for name in ["all.accept_ra", ".accept_ra", "eth0.nothing", "accept_ra"] {
            let error = config.set_sysctl(&format!("{IPV6_CONF}{name}"), "1");
            assert!(matches!(error, Err(SysctlError::Unknown(_))), "{name}");
        }
        let bad = config.set_sysctl("net.ipv6.conf.eth0.accept_ra", "some");
        assert!(matches!(bad, Err(SysctlError::Invalid { .. })));
    }

    /// Every name can be read, and takes back what it shows.
    #[test]
    fn what_is_shown_can_be_set() {
        let mut config = Config::default();
        for name in names() {
            let text = config.sysctl(name).unwrap();
            config.set_sysctl(name, &text).unwrap();
            assert_eq!(config.sysctl(name).unwrap(), text, "{name}");
        }
        let sorted = TABLE.is_sorted_by_key(|row| row.name);
        assert!(sorted, "a name is looked for where it belongs");
    }

    #[test]
    fn values_are_read_as_linux_reads_them() {
        let mut config = Config::default();
        config.set_sysctl("net.ipv4.tcp_sack", "0").unwrap();
        assert!(!config.tcp_sack);
        config
            .set_sysctl("/proc/sys/net/ipv4/tcp_sack", "1\n")
            .unwrap();
        assert!(config.tcp_sack);
        config
            .set_sysctl("net/ipv4/tcp_rmem", "4096 540000\t0xf00000")
            .unwrap();
        assert_eq!(config.tcp_rmem, (4096, 540_000, 15 << 20));
        config
            .set_sysctl("net.ipv4.tcp_fin_timeout", "010")
            .unwrap();
        assert_eq!(config.tcp_fin_timeout, Duration::from_secs(8));
        config
            .set_sysctl(
                "net.ipv4.tcp_fastopen_key",
                "04030201-0-0-1,a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4",
            )
            .unwrap();
        let keys = &config.tcp_fast_open_keys;
        assert_eq!(keys[0], [1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
        assert_eq!(keys[1][12..], [0xd4; 4]);
        config
            .set_sysctl("net.ipv4.tcp_fastopen", "0x70403")
            .unwrap();
        assert!(config.tcp_fast_open.contains(crate::FastOpenMode::SERVER));
        config.set_sysctl("net.core.rmem_max", "7").unwrap();
        assert_eq!(config.rmem, (212_992, 7));
    }

    #[test]
    fn what_is_no_value_changes_nothing() {
        let mut config = Config::default();
        for (name, text) in [
            ("net.ipv4.tcp_sack", "on"),
            ("net.ipv4.tcp_sack", ""),
            ("net.ipv4.tcp_sack", "+1"),
            ("net.ipv4.ip_default_ttl", "256"),
            ("net.ipv4.tcp_ecn", "6"),
            ("net.ipv4.tcp_rmem", "1 2"),
            ("net.ipv4.tcp_rmem", "1 2 3 4"),
            ("net.ipv4.ip_local_port_range", "2 1"),
            ("net.ipv4.tcp_congestion_control", "none"),
            ("net.ipv4.tcp_syncookies", "3"),
            ("net.ipv4.tcp_fastopen_key", "1-2-3"),
            ("net.ipv4.tcp_fastopen_key", "1-2-3-4-5"),
            ("net.ipv4.tcp_fastopen_key", "1-2-3-4,1-2-3-4,1-2-3-4"),
        ] {
            let before = config.sysctl(name).unwrap();
            let error = config.set_sysctl(name, text).unwrap_err();
            assert!(
                matches!(error, SysctlError::Invalid { .. }),
                "{name}={text}"
            );
            let starts = format!("'{text}' is no value for {name}, which takes ");
            assert!(error.to_string().starts_with(&starts), "{error}");
            assert_eq!(config.sysctl(name).unwrap(), before);
        }
        let unknown = config.set_sysctl("net.ipv4.tcp_magic", "1").unwrap_err();
        assert_eq!(
            unknown.to_string(),
            "a node has no setting named 'net.ipv4.tcp_magic'"
        );
    }
}
