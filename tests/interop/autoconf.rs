//! A node that is told its addresses by radvd and dnsmasq, over TAP, with the kernel as its router and
//! as a neighbour that wants the same address.

use crate::run::need;
use sockeye::drivers::{Tun, local_address};
use sockeye::link::Medium;
use sockeye::{
    Address, AddressOrigin, AddressState, Config, Counter, InterfaceInfo, LinkConfig, Node,
};
use sockeye_tests::{
    Outcome, Program, Result, Running, TempDir, Test, check, fail, have, ignore, in_namespace,
    recorded, sockeye, tests,
};
use std::io::Write;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

pub(crate) const TESTS: &[Test] = tests![
    a_node_is_told_all_it_needs,
    a_duplicate_address_is_found_on_both_sides,
    an_address_that_a_server_gave_twice_is_declined,
    an_address_of_former_times_is_leased_again,
    an_address_of_another_network_is_refused,
    a_command_is_told_its_addresses,
];

const LIMIT: Duration = Duration::from_secs(120);
/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);
const DEVICE: &str = "sockeye0";
/// The kernel's addresses behind the link, which only a router leads to.
const FAR_V4: &str = "198.51.100.1";
const FAR_V6: &str = "2001:db8:9::1";

const RADVD: &str = "
interface sockeye0 {
    AdvSendAdvert on;
    MinRtrAdvInterval 3;
    MaxRtrAdvInterval 4;
    AdvLinkMTU 1400;
    AdvCurHopLimit 77;
    AdvDefaultPreference high;
    prefix 2001:db8:1::/64 { };
    route 2001:db8:7::/48 { AdvRoutePreference low; };
    RDNSS 2001:db8:9::53 { };
};
";

/// The servers of the link, and their files.
struct Servers {
    _radvd: Running,
    _dnsmasq: Running,
    files: TempDir,
}

fn ip(words: &str) -> Result<String> {
    let output = Program::new("ip").args(words.split(' ')).run()?.expect(0)?;
    Ok(output.stdout_text())
}

/// Sets the kernel's side of the device up as a router.
fn set_up() -> Result<()> {
    std::fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1")?;
    for words in [
        "link set sockeye0 up",
        "addr add 192.0.2.1/24 dev sockeye0",
        "addr add 2001:db8:1::1/64 dev sockeye0 nodad",
        &format!("addr add {FAR_V4}/32 dev lo"),
        &format!("addr add {FAR_V6}/128 dev lo nodad"),
    ] {
        ip(words)?;
    }
    // radvd does not start before its own link-local address may be used.
    let end = Instant::now() + PATIENCE;
    while ip("-6 addr show dev sockeye0 scope link")?.contains("tentative") {
        check!(Instant::now() < end, "the kernel's address stays tentative");
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Starts both servers; dnsmasq leases the addresses `from` to `to`.
fn serve(from: &str, to: &str) -> Result<Servers> {
    let files = TempDir::new()?;
    let config = files.write("radvd.conf", RADVD)?;
    let radvd = Program::new("radvd")
        .args(["-n", "-m", "none", "-C"])
        .arg(&config)
        .arg("-p")
        .arg(files.path().join("radvd.pid"))
        .start()?;
    let mut leases = std::ffi::OsString::from("--dhcp-leasefile=");
    leases.push(files.path().join("leases"));
    let dnsmasq = Program::new("dnsmasq")
        .args([
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--pid-file=",
            "--user=root",
            "--port=0",
            "--no-ping",
            "--dhcp-authoritative",
            "--interface=sockeye0",
            "--bind-interfaces",
            "--dhcp-option=option:router,192.0.2.1",
            "--dhcp-option=option:dns-server,192.0.2.53",
            "--dhcp-option=option:mtu,1300",
        ])
        .arg(format!("--dhcp-range={from},{to},1h"))
        .arg(leases)
        .start()?;
    Ok(Servers {
        _radvd: radvd,
        _dnsmasq: dnsmasq,
        files,
    })
}

impl Servers {
    fn leases(&self) -> String {
        std::fs::read_to_string(self.files.path().join("leases")).unwrap_or_default()
    }
}

/// Makes the device, which stays when nobody has it open.
fn make_device() -> Result<Result<(), String>> {
    let words = "tuntap add mode tap name sockeye0";
    let made = Program::new("ip").args(words.split(' ')).run()?;
    Ok(match made.code {
        Some(0) => Ok(()),
        _ => Err(format!("no TAP device can be made: {}", made.stderr_text())),
    })
}

/// A node on the device, whose other side the kernel has as a router.
fn open(config: LinkConfig) -> Result<Result<Node, String>> {
    if let Err(reason) = make_device()? {
        return Ok(Err(reason));
    }
    let medium = Medium::Ethernet(local_address(&[7; 32], 0));
    let tap = match Tun::open(DEVICE, medium) {
        Ok(tap) => tap,
        Err(error) => return Ok(Err(format!("no TAP device can be opened: {error}"))),
    };
    let mut settings = Config::default();
    settings.set_sysctl("net.ipv6.conf.default.use_tempaddr", "2")?;
    let node = Node::builder().config(settings);
    let node = node.link("eth0", recorded(tap)?, config).build()?;
    set_up()?;
    Ok(Ok(node))
}

fn link(node: &Node) -> Result<InterfaceInfo> {
    let last = node.interfaces()?.pop();
    Ok(last.ok_or("the link is gone")?)
}

/// The address of a kind that is in use.
fn own(node: &Node, origin: AddressOrigin) -> Result<IpAddr> {
    let addresses = link(node)?.addresses;
    let usable = |a: &&Address| a.origin == origin && a.is_usable();
    match addresses.iter().find(usable) {
        Some(address) => Ok(address.net.addr()),
        None => fail!("no {origin:?} address among {addresses:?}"),
    }
}

fn wait(what: &str, mut done: impl FnMut() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while !done()? {
        check!(Instant::now() < end, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Fetches a word from the kernel's `to`, which must see the node as `from`.
fn talk(node: &Node, to: &str, from: IpAddr) -> Result<()> {
    let listener = TcpListener::bind(SocketAddr::new(to.parse()?, 0))?;
    let stream = sockeye::net::TcpStream::connect_on(node, listener.local_addr()?)?;
    let (mut served, seen) = listener.accept()?;
    check!(seen.ip() == from, "{to} saw {seen}, not {from}");
    served.write_all(b"hello")?;
    drop(served);
    let mut text = Vec::new();
    std::io::Read::read_to_end(&mut { stream }, &mut text)?;
    check!(text == b"hello", "{to} said {text:?}");
    Ok(())
}

fn a_node_is_told_all_it_needs() -> Result {
    const NAME: &str = "interop::autoconf::a_node_is_told_all_it_needs";
    in_namespace(NAME, LIMIT, || {
        need!("radvd", "dnsmasq", "ping");
        let node = match open(LinkConfig::new().slaac(true).dhcp(true))? {
            Ok(node) => node,
            Err(reason) => return ignore!("{reason}"),
        };
        let servers = serve("192.0.2.50", "192.0.2.50")?;
        wait("the node is configured", || Ok(node.is_configured()?))?;
        let leased = own(&node, AddressOrigin::Dhcp)?;
        let stable = own(&node, AddressOrigin::Autoconf)?;
        let temporary = own(&node, AddressOrigin::Temporary)?;
        check!(leased.to_string() == "192.0.2.50", "leased: {leased}");
        for address in [stable, temporary] {
            let text = address.to_string();
            check!(text.starts_with("2001:db8:1:0:"), "made: {text}");
        }
        let seen = link(&node)?;
        check!(
            (seen.mtu_v4, seen.mtu_v6) == (1300, 1400),
            "MTUs: {}, {}",
            seen.mtu_v4,
            seen.mtu_v6
        );
        let servers_told = node.dns_servers();
        let told = ["192.0.2.53".parse::<IpAddr>()?, "2001:db8:9::53".parse()?];
        check!(servers_told == told, "name servers: {servers_told:?}");
        let routes = node.routes()?;
        let ways = |net: &str| {
            let all = routes.iter().filter(|r| r.destination.to_string() == net);
            all.map(|r| (r.gateway, r.metric)).collect::<Vec<_>>()
        };
        let router = seen.routers.first().map(|r| IpAddr::V6(r.address));
        check!(router.is_some(), "no router is known");
        check!(ways("::/0") == [(router, 1023)], "routes: {routes:?}");
        check!(ways("2001:db8:7::/48") == [(router, 1025)], "{routes:?}");
        let kernel = Some("192.0.2.1".parse()?);
        check!(ways("0.0.0.0/0") == [(kernel, 1024)], "{routes:?}");
        talk(&node, FAR_V4, leased)?;
        talk(&node, FAR_V6, temporary)?;
        // The kernel finds its neighbour and gets an answer.
        for address in [leased, stable, temporary] {
            let ping = Program::new("ping").args(["-c", "1", "-W", "10"]);
            ping.arg(address.to_string()).run()?.expect(0)?;
            let known = ip(&format!("neigh show to {address} dev {DEVICE}"))?;
            check!(known.contains("lladdr"), "the kernel's neighbour: {known}");
        }
        check!(servers.leases().contains("192.0.2.50"), "no lease is kept");
        drop(node);
        wait("the lease is given back", || {
            Ok(!servers.leases().contains("192.0.2.50"))
        })?;
        Ok(Outcome::Passed)
    })
}

fn a_duplicate_address_is_found_on_both_sides() -> Result {
    const NAME: &str = "interop::autoconf::a_duplicate_address_is_found_on_both_sides";
    in_namespace(NAME, LIMIT, || {
        let ours = LinkConfig::new().address("2001:db8:1::5/64".parse()?);
        let node = match open(ours)? {
            Ok(node) => node,
            Err(reason) => return ignore!("{reason}"),
        };
        wait("the node's own address is in use", || {
            Ok(node.is_configured()?)
        })?;
        // The kernel wants what the node has.
        ip("addr add 2001:db8:1::5/64 dev sockeye0")?;
        wait("the kernel finds the duplicate", || {
            Ok(ip("-6 addr show dev sockeye0")?.contains("dadfailed"))
        })?;
        let state = |text: &str| -> Result<AddressState> {
            let address: IpAddr = text.parse()?;
            let addresses = link(&node)?.addresses;
            let found = addresses.iter().find(|a| a.net.addr() == address);
            Ok(found.ok_or("the address is gone")?.state)
        };
        check!(
            state("2001:db8:1::5")? == AddressState::Preferred,
            "given up"
        );
        // The node wants what the kernel has.
        ip("addr add 2001:db8:1::6/64 dev sockeye0 nodad")?;
        node.add_address(link(&node)?.id, "2001:db8:1::6/64".parse()?)?;
        wait("the node finds the duplicate", || {
            Ok(state("2001:db8:1::6")? == AddressState::Duplicate)
        })?;
        let conflicts = node.counters()?.get(Counter::AddressConflicts);
        check!(conflicts == 1, "{conflicts} conflicts");
        Ok(Outcome::Passed)
    })
}

fn an_address_that_a_server_gave_twice_is_declined() -> Result {
    const NAME: &str = "interop::autoconf::an_address_that_a_server_gave_twice_is_declined";
    in_namespace(NAME, LIMIT, || {
        need!("radvd", "dnsmasq");
        let node = match open(LinkConfig::new().dhcp(true))? {
            Ok(node) => node,
            Err(reason) => return ignore!("{reason}"),
        };
        // The kernel has whichever the server gives first.
        let servers = serve("192.0.2.50", "192.0.2.51")?;
        let mut first = None;
        wait("something is offered", || {
            let lease = link(&node)?.lease;
            first = lease.map(|lease| lease.address.addr());
            Ok(first.is_some())
        })?;
        let first = IpAddr::V4(first.ok_or("no lease")?);
        ip(&format!("addr add {first}/24 dev sockeye0"))?;
        wait("another one is leased", || {
            Ok(own(&node, AddressOrigin::Dhcp).is_ok_and(|address| address != first))
        })?;
        check!(
            node.counters()?.get(Counter::AddressConflicts) == 1,
            "no conflict was counted"
        );
        talk(&node, FAR_V4, own(&node, AddressOrigin::Dhcp)?)?;
        drop(servers);
        Ok(Outcome::Passed)
    })
}

/// What dnsmasq leases to a node that remembers to have had `address`.
fn leased_after(address: &str) -> Result<Result<IpAddr, String>> {
    let config = LinkConfig::new().dhcp(true);
    let node = match open(config.dhcp_remembered(address.parse()?))? {
        Ok(node) => node,
        Err(reason) => return Ok(Err(reason)),
    };
    let _servers = serve("192.0.2.50", "192.0.2.60")?;
    let mut leased = None;
    wait("a lease", || {
        leased = own(&node, AddressOrigin::Dhcp).ok();
        Ok(leased.is_some())
    })?;
    let leased = leased.ok_or("no lease")?;
    talk(&node, FAR_V4, leased)?;
    Ok(Ok(leased))
}

/// RFC 2131 §3.2: dnsmasq chooses by the client's station, and another one than this.
fn an_address_of_former_times_is_leased_again() -> Result {
    const NAME: &str = "interop::autoconf::an_address_of_former_times_is_leased_again";
    in_namespace(NAME, LIMIT, || {
        need!("radvd", "dnsmasq");
        match leased_after("192.0.2.57")? {
            Ok(leased) => check!(leased.to_string() == "192.0.2.57", "it leased {leased}"),
            Err(reason) => return ignore!("{reason}"),
        }
        Ok(Outcome::Passed)
    })
}

fn an_address_of_another_network_is_refused() -> Result {
    const NAME: &str = "interop::autoconf::an_address_of_another_network_is_refused";
    in_namespace(NAME, LIMIT, || {
        need!("radvd", "dnsmasq");
        let leased = match leased_after("198.18.0.7")? {
            Ok(leased) => leased.to_string(),
            Err(reason) => return ignore!("{reason}"),
        };
        let last = leased.strip_prefix("192.0.2.").and_then(|n| n.parse().ok());
        let ours = last.is_some_and(|n: u8| (50..=60).contains(&n) && n != 57);
        check!(ours, "it leased {leased}");
        Ok(Outcome::Passed)
    })
}

fn a_command_is_told_its_addresses() -> Result {
    const NAME: &str = "interop::autoconf::a_command_is_told_its_addresses";
    in_namespace(NAME, LIMIT, || {
        need!("radvd", "dnsmasq", "curl");
        if let Err(reason) = make_device()? {
            return ignore!("{reason}");
        }
        set_up_without_carrier()?;
        let _servers = serve("192.0.2.50", "192.0.2.60")?;
        let command = |words: &[&str]| -> Result<String> {
            let program = Program::new(sockeye()?).args(words).limit(PATIENCE);
            Ok(program.run()?.expect(0)?.stdout_text())
        };
        let ping = ["ping", "-c", "1", "--link", "tap:sockeye0,addr=auto"];
        for far in [FAR_V4, FAR_V6] {
            let text = command(&[&ping[..], &[far]].concat())?;
            check!(text.contains("1 received"), "{text}");
        }
        let listener = TcpListener::bind(SocketAddr::new(FAR_V4.parse()?, 0))?;
        let url = format!("http://{}/", listener.local_addr()?);
        let serving = std::thread::spawn(move || -> std::io::Result<()> {
            let (mut stream, _) = listener.accept()?;
            crate::host::read_request(&mut stream)?;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntold")
        });
        let link = "tap:sockeye0,addr=dhcp";
        let text = command(&["run", "--link", link, "--", "curl", "-s", &url])?;
        check!(text == "told", "curl fetched {text:?}");
        serving.join().map_err(|_| "the server panicked")??;
        Ok(Outcome::Passed)
    })
}

/// As [`set_up`], for a device that nobody has opened yet: its link-local address is added by hand.
fn set_up_without_carrier() -> Result<()> {
    std::fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1")?;
    for words in [
        "link set sockeye0 up",
        "addr add fe80::1/64 dev sockeye0 nodad",
        "addr add 192.0.2.1/24 dev sockeye0",
        "addr add 2001:db8:1::1/64 dev sockeye0 nodad",
        &format!("addr add {FAR_V4}/32 dev lo"),
        &format!("addr add {FAR_V6}/128 dev lo nodad"),
    ] {
        ip(words)?;
    }
    Ok(())
}
