//! NODE OPTIONS: what all commands with a node share.

use crate::seeing::ReportFile;
use ipnet::IpNet;
use sockeye::drivers::netem::{NETEM_KEYS, NetemConfig};
use sockeye::{Config, SysctlError, sysctl};
use sockeye_run::user::Publish;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// The kinds of link, as `--link` names them.
const KINDS: &str = "user, tap:NAME, tun:NAME, packet:IFACE, xdp:IFACE, switch:DIRECTORY";
/// The keys of a link beside the netem words.
const KEYS: &str = "addr=CIDR|auto|slaac|dhcp, gw=IP, mac=MAC, queue=N";

/// The node that a command runs on.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Node options")]
pub(crate) struct NodeOptions {
    /// A link: user, tap:NAME, tun:NAME, packet:IFACE, xdp:IFACE or switch:DIRECTORY, then ,key=value...
    ///
    /// Repeatable; without one it is `user`, a virtual LAN with a way out through the host's own
    /// sockets. Nodes of several processes that name one directory by switch: share one Ethernet.
    /// packet: makes the node a host beside this one on an Ethernet interface, as root; xdp: takes
    /// what arrives by a queue of an interface for itself.
    /// Keys: addr=CIDR (repeatable), gw=IP, mac=MAC (all but user and tun), queue=N (xdp);
    /// addr=slaac (there, too), for IPv6 as the routers of the link tell, addr=dhcp, for IPv4 as a DHCP
    /// server tells, addr=auto for both; and the words of tc-netem(8), for each direction by itself: delay=TIME, jitter=TIME, loss=PERCENT,
    /// duplicate=PERCENT, reorder=PERCENT, gap=N, corrupt=PERCENT, rate=RATE, limit=PACKETS, ecn (mark
    /// instead of losing), ce_threshold=TIME (mark what waits longer under the rate).
    #[arg(long = "link", value_name = "KIND[:NAME][,KEY=VALUE...]")]
    pub(crate) links: Vec<LinkSpec>,

    /// A nameserver to ask instead of the link's own
    #[arg(long, value_name = "IP")]
    pub(crate) dns: Vec<IpAddr>,

    /// Draw all of the node's chance from this number: ports, sequence numbers, losses
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,

    /// Write all packets of all links to this file
    #[arg(long, value_name = "FILE.pcapng")]
    pub(crate) pcap: Option<PathBuf>,

    /// Draw what the node's TCP connections did: a page (FILE.html) or a picture (FILE.svg)
    ///
    /// Of each connection that crosses a link: time-sequence graphs, window, round trips and throughput
    /// by time, handshake and teardown; and the node's counters. Written at the end.
    #[arg(long, value_name = "FILE.html|FILE.svg")]
    pub(crate) report: Option<ReportFile>,

    /// Let `10.0.2.2:PORT` and `[fd00:2::2]:PORT` of the link `user` reach the host's own loopback
    #[arg(long)]
    pub(crate) allow_host_loopback: bool,

    /// Open a port of the host that leads to PORT of the node, by the link `user`
    ///
    /// Repeatable. ADDR is an address of the host, 127.0.0.1 without one; an IPv6 address stands in brackets and
    /// leads to the node's IPv6 address. HOSTPORT 0 takes any free port, and the standard error says which; without
    /// PORT it is the number of HOSTPORT. What comes is from 10.0.2.2 or fd00:2::2 for the program.
    #[arg(long, value_name = "[ADDR:]HOSTPORT[:PORT][/tcp|/udp]")]
    pub(crate) publish: Vec<Publish>,

    /// Refuse raw and packet sockets (EPERM); ping sockets need no permission
    #[arg(long)]
    pub(crate) deny_raw: bool,

    /// Let raw and packet sockets send from addresses that are not the node's
    #[arg(long, conflicts_with = "deny_raw")]
    pub(crate) allow_foreign_sources: bool,

    /// Set what Linux's sysctl(8) calls so, such as net.ipv4.tcp_congestion_control=bbr
    ///
    /// Repeatable; of two for one name the last counts.
    #[arg(long = "sysctl", value_name = "NAME=VALUE")]
    pub(crate) settings: Vec<Setting>,
}

/// A setting of the node that a config has taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| format!("'{text}' is no NAME=VALUE"))?;
        match Config::default().set_sysctl(name, value) {
            Ok(()) => Ok(Self {
                name: name.into(),
                value: value.into(),
            }),
            Err(error @ SysctlError::Unknown(_)) => {
                let names: Vec<_> = sysctl::names().collect();
                Err(format!("{error}; they are {}", names.join(", ")))
            }
            Err(error @ SysctlError::Invalid { .. }) => Err(error.to_string()),
        }
    }
}

/// One link.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LinkSpec {
    /// As it was written.
    pub(crate) text: String,
    pub(crate) kind: Kind,
    pub(crate) addresses: Vec<IpNet>,
    /// It gets addresses from routers.
    pub(crate) slaac: bool,
    /// It gets one from a DHCP server.
    pub(crate) dhcp: bool,
    pub(crate) gateways: Vec<IpAddr>,
    pub(crate) mac: Option<[u8; 6]>,
    /// Which queue of its interface it has.
    pub(crate) queue: Option<u32>,
    /// What happens to packets on the way, in each direction by itself.
    pub(crate) netem: NetemConfig,
}

/// What kind of link it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The virtual LAN in the process.
    User,
    /// A TAP device of the kernel.
    Tap(String),
    /// A TUN device of the kernel.
    Tun(String),
    /// An Ethernet interface of the kernel, by a packet socket.
    Packet(String),
    /// A queue of one, by an AF_XDP socket.
    Xdp(String),
    /// A switch between processes, in a directory.
    Switch(PathBuf),
}

impl LinkSpec {
    /// The link of a node that names none.
    pub(crate) fn user() -> Self {
        Self {
            text: "user".into(),
            kind: Kind::User,
            addresses: Vec::new(),
            slaac: false,
            dhcp: false,
            gateways: Vec::new(),
            mac: None,
            queue: None,
            netem: NetemConfig::default(),
        }
    }
}

impl FromStr for LinkSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',');
        let mut link = Self {
            text: text.to_owned(),
            kind: parts.next().unwrap_or_default().parse()?,
            ..Self::user()
        };
        for part in parts {
            let (key, value) = match part.split_once('=') {
                Some(pair) => pair,
                None if part == "ecn" => (part, ""),
                None => return Err(format!("'{part}' is no KEY=VALUE; the keys are {}", keys())),
            };
            match key {
                "addr" if value == "auto" => (link.slaac, link.dhcp) = (true, true),
                "addr" if value == "slaac" => link.slaac = true,
                "addr" if value == "dhcp" => link.dhcp = true,
                "addr" => link.addresses.push(address(value)?),
                "gw" => link.gateways.push(parsed(value, "an IP address")?),
                "mac" => link.mac = Some(mac(value)?),
                "queue" => link.queue = Some(parsed(value, "the number of a queue, from 0 on")?),
                _ if NETEM_KEYS.contains(&key) => {
                    link.netem.set(key, value).map_err(|e| e.to_string())?;
                }
                _ => return Err(format!("'{key}' is no key; they are {}", keys())),
            }
        }
        link.netem.check().map_err(|e| e.to_string())?;
        link.check()?;
        Ok(link)
    }
}

impl LinkSpec {
    /// What fits together.
    fn check(&self) -> Result<(), String> {
        let Self {
            text: _,
            kind,
            addresses,
            slaac,
            dhcp,
            gateways,
            mac,
            queue,
            netem: _,
        } = self;
        let configures_itself = *slaac || *dhcp;
        match kind {
            Kind::User if !addresses.is_empty() || !gateways.is_empty() || configures_itself => {
                Err("the link user has its own addresses: no addr= or gw= there".into())
            }
            Kind::User | Kind::Tun(_) if mac.is_some() => {
                Err("only a tap, packet, xdp or switch link has a mac=".into())
            }
            _ if queue.is_some() && !matches!(kind, Kind::Xdp(_)) => {
                Err("only an xdp link has a queue=".into())
            }
            Kind::Tun(_) if configures_itself => Err(
                "a tun link can't be told its address, since it is no Ethernet: addr=CIDR here"
                    .into(),
            ),
            kind if *kind != Kind::User && addresses.is_empty() && !configures_itself => Err(
                "this link needs an address: add ,addr=CIDR such as ,addr=192.0.2.2/24, or \
                     ,addr=auto on any but a tun link"
                    .into(),
            ),
            _ => gateways.iter().try_for_each(|gateway| {
                let near = addresses.iter().any(|net| net.contains(gateway));
                let what = format!("the gateway {gateway} lies in none of the link's networks");
                if near { Ok(()) } else { Err(what) }
            }),
        }
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || format!("'{text}' is no kind of link; they are {KINDS}");
        match text.split_once(':') {
            None if text == "user" => Ok(Self::User),
            Some(("tap", name)) => device(name).map(Self::Tap),
            Some(("tun", name)) => device(name).map(Self::Tun),
            Some(("packet", name)) => device(name).map(Self::Packet),
            Some(("xdp", name)) => device(name).map(Self::Xdp),
            Some(("switch", path)) if !path.is_empty() => Ok(Self::Switch(path.into())),
            _ => Err(unknown()),
        }
    }
}

/// A name that the kernel takes for a device.
fn device(name: &str) -> Result<String, String> {
    // IFNAMSIZ, less the byte that ends it.
    const LENGTH_MAX: usize = 15;
    let fits = (1..=LENGTH_MAX).contains(&name.len());
    if fits && !name.contains(|c: char| c == '/' || c.is_whitespace() || c == '%') {
        return Ok(name.to_owned());
    }
    Err(format!(
        "'{name}' is no device name: 1 to {LENGTH_MAX} bytes without '/' and spaces"
    ))
}

fn address(text: &str) -> Result<IpNet, String> {
    let example = "an address with its prefix length like 192.0.2.2/24 or 2001:db8::2/64, nor auto, slaac or dhcp";
    parsed(text, example)
}

fn mac(text: &str) -> Result<[u8; 6], String> {
    let wrong = || format!("'{text}' is not an Ethernet address like 02:00:00:00:00:01");
    let mut bytes = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut bytes {
        let part = parts.next().filter(|p| p.len() == 2).ok_or_else(wrong)?;
        *byte = u8::from_str_radix(part, 16).map_err(|_| wrong())?;
    }
    if parts.next().is_some() || bytes[0] & 1 == 1 {
        return Err(wrong());
    }
    Ok(bytes)
}

fn parsed<T: FromStr>(text: &str, what: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("'{text}' is not {what}"))
}

/// All keys of a link.
fn keys() -> String {
    format!("{KEYS}, {}", NETEM_KEYS.join(", "))
}

/// Reads a number of seconds, with or without a fraction.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let range = "a number of seconds above 0 such as 2 or 0.5";
    let seconds: f64 = parsed(text, range)?;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|time| !time.is_zero())
        .ok_or_else(|| format!("'{text}' is not {range}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(text: &str) -> Result<LinkSpec, String> {
        text.parse()
    }

    #[test]
    fn links_are_read() {
        assert_eq!(link("user").unwrap(), LinkSpec::user());
        let tap = link("tap:t0,addr=192.0.2.2/24,gw=192.0.2.1,mac=02:00:00:00:00:01").unwrap();
        assert_eq!(tap.kind, Kind::Tap("t0".into()));
        assert_eq!(tap.addresses, ["192.0.2.2/24".parse().unwrap()]);
        assert_eq!(tap.gateways, ["192.0.2.1".parse::<IpAddr>().unwrap()]);
        assert_eq!(tap.mac, Some([2, 0, 0, 0, 0, 1]));
        let shared = link("switch:/tmp/lan,addr=192.0.2.2/24,mac=02:00:00:00:00:01").unwrap();
        assert_eq!(shared.kind, Kind::Switch("/tmp/lan".into()));
        assert_eq!(shared.mac, Some([2, 0, 0, 0, 0, 1]));
        let queue = link("xdp:eth0,addr=auto,queue=3").unwrap();
        assert_eq!(
            (queue.kind, queue.queue),
            (Kind::Xdp("eth0".into()), Some(3))
        );
        let lossy = link("user,delay=10ms,loss=1%").unwrap();
        assert_eq!(lossy.netem, "delay=10ms,loss=1%".parse().unwrap());
        assert!(link("user,loss=1%,ecn").unwrap().netem.ecn);
        let told = |text: &str| link(text).map(|link| (link.slaac, link.dhcp));
        assert_eq!(told("tap:t0,addr=auto"), Ok((true, true)));
        assert_eq!(told("tap:t0,addr=slaac"), Ok((true, false)));
        assert_eq!(
            told("tap:t0,addr=2001:db8::2/64,addr=dhcp"),
            Ok((false, true))
        );
    }

    #[test]
    fn settings_are_read() {
        let setting = "net.ipv4.tcp_rmem=4096 131072 6291456".parse::<Setting>();
        assert_eq!(setting.unwrap().value, "4096 131072 6291456");
        let fault = |text: &str| text.parse::<Setting>().unwrap_err();
        assert_eq!(fault("tcp_sack"), "'tcp_sack' is no NAME=VALUE");
        assert!(fault("net.ipv4.tcp_magic=1").contains("they are net.core.rmem_default, "));
        assert!(
            fault("net.ipv4.tcp_congestion_control=vegas").contains("which takes reno, cubic, ")
        );
    }

    #[test]
    fn a_mistake_is_named_with_what_would_be_right() {
        let fault = |text| link(text).unwrap_err();
        assert!(fault("tape:t0").contains("'tape:t0' is no kind of link; they are user, tap:NAME"));
        assert!(fault("tap").contains("they are user"));
        assert!(fault("tap:t0").contains("needs an address"));
        assert!(fault("switch:lan").contains("needs an address"));
        assert!(fault("switch:").contains("no kind of link"));
        assert!(fault("tap:a-name-much-too-long,addr=1.2.3.4/8").contains("device name"));
        assert!(fault("tun:t0,addr=dhcp").contains("can't be told its address"));
        assert!(fault("packet:eth0").contains("needs an address"));
        assert!(fault("packet:eth0,addr=auto,queue=1").contains("only an xdp link"));
        assert!(fault("xdp:eth0,addr=auto,queue=a").contains("the number of a queue"));
        assert!(fault("tun:t0,addr=1.2.3.4/8,mac=02:00:00:00:00:01").contains("tap, packet, xdp"));
        assert!(fault("user,addr=auto").contains("its own addresses"));
        assert!(fault("user,lag=3").contains("'lag' is no key; they are addr=CIDR"));
        assert!(fault("user,loss").contains("no KEY=VALUE"));
        assert!(fault("user,loss=1").contains("percentage"));
        assert!(fault("tun:t0,addr=192.0.2.300/24").contains("192.0.2.2/24"));
        assert!(
            fault("tun:t0,addr=192.0.2.2/24,gw=192.0.3.1").contains("none of the link's networks")
        );
        assert!(fault("user,addr=1.2.3.4/8").contains("its own addresses"));
    }
}
