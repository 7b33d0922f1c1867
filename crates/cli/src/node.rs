//! The node that a command runs on, from its options.

use crate::control::Control;
use crate::options::{Kind, LinkSpec, NodeOptions};
use crate::seeing::Output;
use anyhow::{Context, Result, bail};
use sockeye::drivers::netem::Fates;
use sockeye::drivers::{
    AfPacket, AfXdp, MemoryConfig, MemoryLink, Netem, Recorder, SharedSwitch, Tun, Watched,
    local_address,
};
use sockeye::link::{Link, MacAddr, Medium};
use sockeye::net::lookup_host;
use sockeye::{Address, AddressOrigin, AddressState, Config, LinkConfig, Node};
use sockeye_run::user::{self, Publish, UserConfig, UserLan};
use std::fs::File;
use std::io::{BufWriter, Read as _, Write as _};
use std::net::IpAddr;
use std::ops::Deref;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long what was written may take to arrive when the command ends.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// How long the detection of duplicate addresses may take: a delay of up to a second and a probe's
/// second (RFC 4862 §5.4.2), and some more.
const DETECTION: Duration = Duration::from_secs(4);

/// How long routers and servers may take to tell a link its addresses: seconds of random delays, of
/// detections (RFC 5227 takes up to seven) and of a solicitation that is lost.
const CONFIGURATION: Duration = Duration::from_secs(20);

/// A node and what it needs around it. Dropping it delivers what was written, at most for
/// [`SHUTDOWN`], and ends the node.
pub(crate) struct Started {
    node: Node,
    /// The other ends of its `user` links.
    lans: Vec<UserLan>,
    recorder: Option<Recorder>,
    report: Option<Output>,
    /// Where `sockeye ss` asks.
    control: Option<Control>,
}

impl Deref for Started {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.node
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let counters = self.node.counters().ok();
        if let Err(error) = self.node.shutdown(SHUTDOWN) {
            tracing::warn!(%error, "what was written did not all arrive");
        }
        self.control = None;
        self.lans.clear();
        if let Some(recorder) = &self.recorder
            && let Err(error) = recorder.flush()
        {
            tracing::warn!(%error, "the capture is not complete");
        }
        if let Some(report) = &mut self.report {
            let counters = self.node.counters().ok().or(counters);
            if let Err(error) = report.write(counters.as_ref()) {
                tracing::warn!("the report is missing: {error:#}");
            }
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
        report,
        allow_host_loopback,
        publish,
        deny_raw,
        allow_foreign_sources,
        settings,
    } = options;
    let recorder = pcap.as_deref().map(record_to).transpose()?;
    let report = report.as_ref().map(Output::create).transpose()?;
    let mut config = Config {
        raw_sockets: !deny_raw,
        foreign_sources: *allow_foreign_sources,
        ..Config::default()
    };
    for setting in settings {
        config.set_sysctl(&setting.name, &setting.value)?;
    }
    let seed = match seed {
        Some(number) => {
            let mut seed = [0; 32];
            seed[..8].copy_from_slice(&number.to_le_bytes());
            seed
        }
        None => random_seed()?,
    };
    let mut builder = Node::builder().config(config).seed(seed);
    for server in dns {
        builder = builder.dns(*server);
    }
    if let Some(report) = &report {
        builder = builder.observer(Box::new(report.seeing.clone()));
    }
    let default = [LinkSpec::user()];
    let links = if links.is_empty() {
        &default[..]
    } else {
        links
    };
    check_users(links, *allow_host_loopback, publish)?;
    if let Some(recorder) = &recorder {
        name_addresses(recorder, links);
    }
    let mut lans = Vec::new();
    // The link `user` is eth0 wherever it stands.
    let first_switch = usize::from(links.iter().any(|spec| spec.kind == Kind::User));
    let mut switches = (first_switch..).map(|number| format!("eth{number}"));
    for (serial, spec) in (0..).zip(links) {
        let own = || {
            spec.mac
                .map_or_else(|| local_address(&seed, serial), MacAddr)
        };
        let (name, link, config) = match &spec.kind {
            Kind::User => {
                let (near, far) = MemoryLink::pair_ip(MemoryConfig::default());
                lans.push(lan(*allow_host_loopback, publish, far)?);
                let link: Box<dyn Link> = Box::new(near);
                ("eth0".to_owned(), link, user_config())
            }
            Kind::Tap(name) => {
                let link: Box<dyn Link> = Box::new(Tun::open(name, Medium::Ethernet(own()))?);
                (name.clone(), link, device_config(spec))
            }
            Kind::Tun(name) => {
                let link: Box<dyn Link> = Box::new(Tun::open(name, Medium::Ip)?);
                (name.clone(), link, device_config(spec))
            }
            Kind::Packet(name) => {
                let link: Box<dyn Link> = Box::new(AfPacket::open(name, own())?);
                (name.clone(), link, device_config(spec))
            }
            Kind::Xdp(name) => {
                let link = AfXdp::open(name, spec.queue.unwrap_or_default(), own())?;
                let link: Box<dyn Link> = Box::new(link);
                (name.clone(), link, device_config(spec))
            }
            Kind::Switch(path) => {
                let link: Box<dyn Link> = Box::new(SharedSwitch::join(path, own())?);
                let name = switches.next().unwrap_or_default();
                (name, link, device_config(spec))
            }
        };
        let (mut link, fates) = disturbed(link, spec, &seed, serial, recorder.is_some());
        if let Some(recorder) = &recorder {
            link = Box::new(recorder.tap_with(link, &name, &spec.text, fates));
        }
        if let Some(report) = &report {
            link = Box::new(Watched::new(link, report.seeing.clone()));
        }
        builder = builder.link(&name, link, config);
    }
    let node = builder.build()?;
    lans.iter().for_each(|lan| lan.serve_names_on(&node));
    let control = Control::start(&node);
    let control = control
        .inspect_err(|error| tracing::debug!("`sockeye ss` will not see this node: {error:#}"));
    let started = Started {
        node,
        lans,
        recorder,
        report,
        control: control.ok(),
    };
    if links.iter().any(|spec| spec.slaac || spec.dhcp) {
        await_configuration(&started)?;
    }
    Ok(started)
}

/// Captures what crosses the links into `path`.
fn record_to(path: &Path) -> Result<Recorder> {
    let file = File::create(path);
    let file = file.with_context(|| format!("{} can't be written", path.display()))?;
    let epoch = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(Recorder::new(BufWriter::new(file), epoch)?)
}

/// There is one link `user` at most, and one where an option concerns it.
fn check_users(links: &[LinkSpec], allow_host_loopback: bool, publish: &[Publish]) -> Result<()> {
    let users = links.iter().filter(|link| link.kind == Kind::User).count();
    if users > 1 {
        bail!("a node has one link `user` at most: both would have the same addresses");
    }
    if allow_host_loopback && users == 0 {
        bail!("--allow-host-loopback concerns the link `user`, which this node has not");
    }
    if !publish.is_empty() && users == 0 {
        bail!(
            "--publish concerns the link `user`, which this node has not: other links' peers reach the node by its \
             own address"
        );
    }
    Ok(())
}

/// The link with what `spec` says of delay and loss before it; each has chances of its own. Where
/// somebody captures, what becomes of packets there.
fn disturbed(
    link: Box<dyn Link>,
    spec: &LinkSpec,
    seed: &[u8; 32],
    serial: u32,
    captured: bool,
) -> (Box<dyn Link>, Option<Fates>) {
    if spec.netem.is_transparent() {
        return (link, None);
    }
    let [a, b, c, d, e, f, g, h, ..] = *seed;
    let seed = u64::from_le_bytes([a, b, c, d, e, f, g, h]) ^ u64::from(serial);
    let mut netem = Netem::new(link, spec.netem, seed);
    let fates = captured.then(|| netem.fates());
    (Box::new(netem), fates)
}

/// Tells who reads a capture how the node and the virtual LAN call their addresses.
fn name_addresses(recorder: &Recorder, links: &[LinkSpec]) {
    let own = links.iter().flat_map(|spec| &spec.addresses);
    let mut names: Vec<(IpAddr, &str)> = own.map(|net| (net.addr(), "node")).collect();
    if links.iter().any(|spec| spec.kind == Kind::User) {
        let lan: [[IpAddr; 3]; 2] = [
            [
                user::NODE_V4.into(),
                user::GATEWAY_V4.into(),
                user::DNS_V4.into(),
            ],
            [
                user::NODE_V6.into(),
                user::GATEWAY_V6.into(),
                user::DNS_V6.into(),
            ],
        ];
        for addresses in lan {
            names.extend(addresses.into_iter().zip(["node", "gateway", "dns"]));
        }
    }
    recorder.names(&names);
}

/// Starts the virtual LAN behind a link `user`.
fn lan(allow_host_loopback: bool, publish: &[Publish], far: MemoryLink) -> Result<UserLan> {
    let resolv_conf = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let config = UserConfig {
        allow_host_loopback,
        host_nameservers: user::nameservers(&resolv_conf),
        publish: publish.to_vec(),
    };
    let lan = UserLan::start(config, Box::new(far)).context("the virtual LAN does not start")?;
    for (asked, got) in publish.iter().zip(lan.published()) {
        if asked.host.port() == 0 {
            let Publish {
                host,
                port,
                transport,
            } = got;
            // Who does not read the standard error does not want to know.
            let _ = writeln!(
                anstream::stderr(),
                "sockeye: {host}/{transport} leads to port {port} of the node"
            );
        }
    }
    Ok(lan)
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
    config.slaac(spec.slaac).dhcp(spec.dhcp)
}

/// The addresses of a host: one that is written, or those that the node's nameservers give. Once they
/// are known the node may have talked to them: its own addresses are in use.
pub(crate) fn resolve(node: &Node, host: &str) -> Result<Vec<IpAddr>> {
    let found = lookup_host(node, host).with_context(|| format!("{host} can't be found"))?;
    if found.iter().any(IpAddr::is_ipv6) {
        await_addresses(node)?;
    }
    Ok(found)
}

/// The first of them.
pub(crate) fn resolve_one(node: &Node, host: &str) -> Result<IpAddr> {
    let found = resolve(node, host)?;
    let first = found.first().copied();
    first.with_context(|| format!("{host} has no address"))
}

/// Waits until no address is tentative any more (RFC 4862 §5.4): nothing is sent by one that is.
pub(crate) fn await_addresses(node: &Node) -> Result<()> {
    let end = Instant::now() + DETECTION;
    let tentative = || -> Result<bool> {
        let interfaces = node.interfaces()?;
        let mut addresses = interfaces.iter().flat_map(|i| &i.addresses);
        Ok(addresses.any(|address| address.state == AddressState::Tentative))
    };
    while tentative()? && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Waits until links that are told their addresses have them. What is there counts when the time is
/// over.
fn await_configuration(node: &Node) -> Result<()> {
    let end = Instant::now() + CONFIGURATION;
    while !node.is_configured()? {
        if Instant::now() >= end {
            let interfaces = node.interfaces()?;
            let mut addresses = interfaces.iter().flat_map(|i| &i.addresses);
            let told = |a: &Address| {
                matches!(a.origin, AddressOrigin::Autoconf | AddressOrigin::Dhcp) && a.is_usable()
            };
            if !addresses.any(told) {
                bail!("no router and no server of the link told an address");
            }
            tracing::warn!("not every link was told an address of each kind");
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// A seed that nobody can guess.
fn random_seed() -> Result<[u8; 32]> {
    let mut seed = [0; 32];
    let mut source = File::open("/dev/urandom").context("the system gives no randomness")?;
    source.read_exact(&mut seed)?;
    Ok(seed)
}
