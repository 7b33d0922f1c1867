//! The node that a command runs on, from its options.

use crate::options::{Kind, LinkSpec, NodeOptions};
use anyhow::{Context, Result, bail};
use sockeye::drivers::{MemoryConfig, MemoryLink, Netem, Recorder, Tun, local_address};
use sockeye::link::{Link, MacAddr, Medium};
use sockeye::net::lookup_host;
use sockeye::{Config, LinkConfig, Node};
use sockeye_run::user::{self, UserConfig, UserLan};
use std::fs::File;
use std::io::{BufWriter, Read as _};
use std::net::IpAddr;
use std::ops::Deref;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long what was written may take to arrive when the command ends.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// A node and what it needs around it. Dropping it delivers what was written, at most for
/// [`SHUTDOWN`], and ends the node.
pub(crate) struct Started {
    node: Node,
    /// The other ends of its `user` links.
    lans: Vec<UserLan>,
    recorder: Option<Recorder>,
}

impl Deref for Started {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.node
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if let Err(error) = self.node.shutdown(SHUTDOWN) {
            tracing::warn!(%error, "what was written did not all arrive");
        }
        self.lans.clear();
        if let Some(recorder) = &self.recorder
            && let Err(error) = recorder.flush()
        {
            tracing::warn!(%error, "the capture is not complete");
        }
    }
}

/// Makes the node that `options` describe.
pub(crate) fn start(options: &NodeOptions) -> Result<Started> {
    let NodeOptions {
        links,
        dns,
        seed,
        pcap,
        allow_host_loopback,
        deny_raw,
    } = options;
    let recorder = match pcap {
        Some(path) => {
            let file = File::create(path);
            let file = file.with_context(|| format!("{} can't be written", path.display()))?;
            let epoch = SystemTime::now().duration_since(UNIX_EPOCH)?;
            Some(Recorder::new(BufWriter::new(file), epoch)?)
        }
        None => None,
    };
    let config = Config {
        raw_sockets: !deny_raw,
        ..Config::default()
    };
    let mut builder = Node::builder().config(config);
    for server in dns {
        builder = builder.dns(*server);
    }
    let seed = match seed {
        Some(number) => {
            let mut seed = [0; 32];
            seed[..8].copy_from_slice(&number.to_le_bytes());
            seed
        }
        None => random_seed()?,
    };
    builder = builder.seed(seed);
    let default = [LinkSpec::user()];
    let links = if links.is_empty() {
        &default[..]
    } else {
        links
    };
    if links.iter().filter(|link| link.kind == Kind::User).count() > 1 {
        bail!("a node has one link `user` at most: both would have the same addresses");
    }
    if *allow_host_loopback && links.iter().all(|link| link.kind != Kind::User) {
        bail!("--allow-host-loopback concerns the link `user`, which this node has not");
    }
    let mut lans = Vec::new();
    for (serial, spec) in (0..).zip(links) {
        let (name, link, config) = match &spec.kind {
            Kind::User => {
                let (near, far) = MemoryLink::pair_ip(MemoryConfig::default());
                lans.push(lan(*allow_host_loopback, far)?);
                let link: Box<dyn Link> = Box::new(near);
                ("eth0", link, user_config())
            }
            Kind::Tap(name) => {
                let made = || local_address(&seed, serial);
                let medium = Medium::Ethernet(spec.mac.map_or_else(made, MacAddr));
                let link: Box<dyn Link> = Box::new(Tun::open(name, medium)?);
                (name.as_str(), link, device_config(spec))
            }
            Kind::Tun(name) => {
                let link: Box<dyn Link> = Box::new(Tun::open(name, Medium::Ip)?);
                (name.as_str(), link, device_config(spec))
            }
        };
        let [a, b, c, d, e, f, g, h, ..] = seed;
        let netem_seed = u64::from_le_bytes([a, b, c, d, e, f, g, h]) ^ u64::from(serial);
        let mut link = match spec.netem.is_transparent() {
            true => link,
            false => Box::new(Netem::new(link, spec.netem, netem_seed)),
        };
        if let Some(recorder) = &recorder {
            link = Box::new(recorder.tap(link, name));
        }
        builder = builder.link(name, link, config);
    }
    let node = builder.build()?;
    lans.iter().for_each(|lan| lan.serve_names_on(&node));
    Ok(Started {
        node,
        lans,
        recorder,
    })
}

/// Starts the virtual LAN behind a link `user`.
fn lan(allow_host_loopback: bool, far: MemoryLink) -> Result<UserLan> {
    let resolv_conf = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let config = UserConfig {
        allow_host_loopback,
        host_nameservers: user::nameservers(&resolv_conf),
    };
    UserLan::start(config, Box::new(far)).context("the virtual LAN does not start")
}

fn user_config() -> LinkConfig {
    let net = |ip: IpAddr, bits| ipnet::IpNet::new(ip, bits).expect("a prefix that fits");
    LinkConfig::new()
        .address(net(user::NODE_V4.into(), 24))
        .address(net(user::NODE_V6.into(), 64))
        .gateway(user::GATEWAY_V4.into())
        .gateway(user::GATEWAY_V6.into())
        .dns(user::DNS_V4.into())
        .detect_duplicates(false)
}

fn device_config(spec: &LinkSpec) -> LinkConfig {
    let mut config = LinkConfig::new();
    config.addresses.clone_from(&spec.addresses);
    config.gateways.clone_from(&spec.gateways);
    config
}

/// The addresses of a host: one that is written, or those that the node's nameservers give.
pub(crate) fn resolve(node: &Node, host: &str) -> Result<Vec<IpAddr>> {
    lookup_host(node, host).with_context(|| format!("{host} can't be found"))
}

/// A seed that nobody can guess.
fn random_seed() -> Result<[u8; 32]> {
    let mut seed = [0; 32];
    let mut source = File::open("/dev/urandom").context("the system gives no randomness")?;
    source.read_exact(&mut seed)?;
    Ok(seed)
}
