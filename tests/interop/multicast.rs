//! Multicast with the kernel: its bridge, which snoops and asks, says what it has learnt of a node on
//! one of its ports; its hosts send to groups and listen to them.

use sockeye::drivers::{Tun, local_address};
use sockeye::link::Medium;
use sockeye::net::UdpSocket;
use sockeye::{Config, Counter, FilterMode, LinkConfig, Node, SourceFilter};
use sockeye_tests::{Outcome, Program, Result, Test, check, ignore, in_namespace, recorded, tests};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

#[path = "../../examples/igmp_querier.rs"]
#[expect(dead_code, unreachable_pub, reason = "it is a program of its own")]
mod igmp_querier;

pub(crate) const TESTS: &[Test] = tests![
    a_bridge_learns_groups_and_sources,
    a_bridge_keeps_what_is_answered_for,
    an_older_bridge_learns_groups,
    sources_are_filtered_between_node_and_kernel,
    queries_without_number_do_not_stop_a_node,
    a_querier_on_a_node_knows_the_kernels_groups,
];

const LIMIT: Duration = Duration::from_secs(120);
/// The node's only link.
const LINK: u32 = 2;
const GROUPS: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(239, 1, 1, 1)),
    IpAddr::V6(Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0, 0x101)),
];

/// The kernel's own addresses on the bridge, by number.
fn kernel_address(v6: bool, n: u8) -> IpAddr {
    match v6 {
        false => Ipv4Addr::new(192, 0, 2, n).into(),
        true => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n.into()).into(),
    }
}

/// A node on a port of a bridge that snoops and asks, in these versions; the kernel is another host
/// on it. `words` are more of the bridge's settings.
fn bridged(igmp: u8, mld: u8, words: &str) -> Result<Result<Node, String>> {
    let medium = Medium::Ethernet(local_address(&[9; 32], 0));
    let tap = match Tun::open("sockeye0", medium) {
        Ok(tap) => tap,
        Err(error) => return Ok(Err(format!("no TAP device can be opened: {error}"))),
    };
    let bridge = format!(
        "link add br0 type bridge mcast_snooping 1 mcast_querier 1 mcast_igmp_version {igmp} \
         mcast_mld_version {mld} {words}"
    );
    let made = Program::new("ip").args(bridge.split_whitespace()).run()?;
    if made.code != Some(0) {
        let why = made.stderr_text();
        return Ok(Err(format!("the kernel has no bridge that snoops: {why}")));
    }
    // The bridge asks from a link-local address: at once.
    std::fs::write("/proc/sys/net/ipv6/conf/br0/accept_dad", "0")?;
    ip("link set sockeye0 master br0")?;
    ip("link set sockeye0 up")?;
    ip("link set br0 up")?;
    for n in [1, 101, 102, 103] {
        ip(&format!("addr add {}/24 dev br0", kernel_address(false, n)))?;
        ip(&format!(
            "addr add {}/64 dev br0 nodad",
            kernel_address(true, n)
        ))?;
    }
    let config = LinkConfig::new()
        .address("192.0.2.2/24".parse()?)
        .address("2001:db8::2/64".parse()?)
        .detect_duplicates(false);
    let node = Node::builder()
        .config(Config::default())
        .link("tap", recorded(tap)?, config)
        .build()?;
    Ok(Ok(node))
}

macro_rules! bridged {
    ($igmp:expr, $mld:expr, $words:expr) => {
        match bridged($igmp, $mld, $words)? {
            Ok(node) => node,
            Err(reason) => return ignore!("{reason}"),
        }
    };
}

fn ip(words: &str) -> Result<()> {
    Program::new("ip").args(words.split(' ')).run()?.expect(0)?;
    Ok(())
}

/// What the bridge knows of `group` on the node's port: `include` or `exclude` and the sources that
/// it lists, or nothing.
fn learnt(group: IpAddr) -> Result<String> {
    let output = Program::new("bridge")
        .args(["-d", "-s", "mdb", "show"])
        .run()?;
    let output = output.expect(0)?;
    let group = group.to_string();
    let text = output.stdout_text();
    let line = text.lines().find(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let about = words.windows(2).any(|pair| pair == ["grp", &group]);
        about && words.contains(&"sockeye0") && !words.contains(&"src")
    });
    let Some(line) = line else {
        return Ok(String::new());
    };
    let mut words = line.split_whitespace();
    let mode = match words.find(|word| *word == "filter_mode") {
        Some(_) => words.next().unwrap_or_default(),
        None => "exclude",
    };
    let mut sources = Vec::new();
    if words.next() == Some("source_list") {
        let listed = words.next().unwrap_or_default().split(',');
        // Each with its timer; of those at zero nothing is forwarded.
        for listed in listed {
            let (source, timer) = listed.split_once('/').unwrap_or((listed, ""));
            let blocked = timer.trim_end_matches(['0', '.']).is_empty();
            if (mode == "exclude") == blocked {
                sources.push(source.to_owned());
            }
        }
    }
    sources.sort_unstable();
    Ok([vec![mode.to_owned()], sources].concat().join(" "))
}

/// Waits until the bridge knows of `group` what is wanted.
fn learns(group: IpAddr, wanted: &str) -> Result<()> {
    let limit = Instant::now() + Duration::from_secs(20);
    loop {
        let now = learnt(group)?;
        if now == wanted {
            return Ok(());
        }
        if Instant::now() > limit {
            let shown = Program::new("bridge")
                .args(["-d", "-s", "mdb", "show"])
                .run()?;
            let shown = shown.stdout_text();
            return Err(format!("of {group} it knows {now:?}, not {wanted:?}:\n{shown}").into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn filter(mode: FilterMode, v6: bool, sources: &[u8]) -> SourceFilter {
    let sources = sources.iter().map(|n| kernel_address(v6, *n)).collect();
    SourceFilter { mode, sources }
}

fn any_on(node: &Node, v6: bool, port: u16) -> Result<UdpSocket> {
    let any: IpAddr = match v6 {
        false => Ipv4Addr::UNSPECIFIED.into(),
        true => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind_on(node, (any, port))?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    Ok(socket)
}

fn a_bridge_learns_groups_and_sources() -> Result {
    let name = "interop::multicast::a_bridge_learns_groups_and_sources";
    in_namespace(name, LIMIT, || {
        // What was left is asked about for 0.2 s.
        let node = bridged!(3, 2, "mcast_last_member_interval 10");
        for group in GROUPS {
            let v6 = group.is_ipv6();
            let [one, two] = [101, 102].map(|n| kernel_address(v6, n));
            let socket = any_on(&node, v6, 0)?;
            // Any source.
            let berkeley = socket.as_socket();
            berkeley.join_group(group, LINK)?;
            learns(group, "exclude")?;
            berkeley.block_source(group, one, LINK)?;
            learns(group, &format!("exclude {one}"))?;
            berkeley.unblock_source(group, one, LINK)?;
            learns(group, "exclude")?;
            berkeley.leave_group(group, LINK)?;
            learns(group, "")?;
            // Some sources.
            socket.join_source_group(group, one, LINK)?;
            learns(group, &format!("include {one}"))?;
            socket.join_source_group(group, two, LINK)?;
            learns(group, &format!("include {one} {two}"))?;
            socket.leave_source_group(group, one, LINK)?;
            learns(group, &format!("include {two}"))?;
            // All at once, from one mode to the other.
            let exclude = filter(FilterMode::Exclude, v6, &[101, 102]);
            socket.set_source_filter(group, LINK, exclude)?;
            learns(group, &format!("exclude {one} {two}"))?;
            let include = filter(FilterMode::Include, v6, &[101]);
            socket.set_source_filter(group, LINK, include)?;
            learns(group, &format!("include {one}"))?;
            // Another socket's wishes are merged with it.
            let other = any_on(&node, v6, 0)?;
            other.join_source_group(group, two, LINK)?;
            learns(group, &format!("include {one} {two}"))?;
            drop(socket);
            learns(group, &format!("include {two}"))?;
            drop(other);
            learns(group, "")?;
        }
        Ok(Outcome::Passed)
    })
}

/// Without answers to its queries the bridge would forget everything after two seconds.
fn a_bridge_keeps_what_is_answered_for() -> Result {
    let name = "interop::multicast::a_bridge_keeps_what_is_answered_for";
    in_namespace(name, LIMIT, || {
        let node = bridged!(
            3,
            2,
            "mcast_query_interval 100 mcast_query_response_interval 20 \
             mcast_startup_query_interval 100 mcast_membership_interval 200"
        );
        let mut sockets = Vec::new();
        for group in GROUPS {
            let v6 = group.is_ipv6();
            let socket = any_on(&node, v6, 0)?;
            socket.join_source_group(group, kernel_address(v6, 101), LINK)?;
            sockets.push(socket);
        }
        let queries = |counter| -> Result<u64> { Ok(node.counters()?.get(counter)) };
        let end = Instant::now() + Duration::from_secs(6);
        while Instant::now() < end {
            std::thread::sleep(Duration::from_millis(200));
            for group in GROUPS {
                learns(
                    group,
                    &format!("include {}", kernel_address(group.is_ipv6(), 101)),
                )?;
            }
        }
        for counter in [Counter::IgmpInQueries, Counter::Icmp6InGroupMembQueries] {
            let heard = queries(counter)?;
            check!(heard >= 3, "{heard} queries of {}", counter.name());
        }
        Ok(Outcome::Passed)
    })
}

fn an_older_bridge_learns_groups() -> Result {
    let name = "interop::multicast::an_older_bridge_learns_groups";
    in_namespace(name, LIMIT, || {
        let node = bridged!(
            2,
            1,
            "mcast_last_member_interval 10 mcast_startup_query_interval 100 \
             mcast_query_response_interval 50"
        );
        for group in GROUPS {
            let v6 = group.is_ipv6();
            let socket = any_on(&node, v6, 0)?;
            // By then the node has heard which version is spoken.
            let counter = match v6 {
                false => Counter::IgmpInQueries,
                true => Counter::Icmp6InGroupMembQueries,
            };
            let limit = Instant::now() + Duration::from_secs(20);
            while node.counters()?.get(counter) == 0 {
                check!(Instant::now() < limit, "no query of {group}'s family comes");
                std::thread::sleep(Duration::from_millis(20));
            }
            socket.join_source_group(group, kernel_address(v6, 101), LINK)?;
            learns(group, "exclude")?;
            drop(socket);
            learns(group, "")?;
        }
        let counters = node.counters()?;
        check!(
            counters.get(Counter::IgmpOutLeaves) > 0
                && counters.get(Counter::Icmp6OutGroupMembReductions) > 0,
            "the groups were left without a word"
        );
        Ok(Outcome::Passed)
    })
}

fn sources_are_filtered_between_node_and_kernel() -> Result {
    let name = "interop::multicast::sources_are_filtered_between_node_and_kernel";
    in_namespace(name, LIMIT, || {
        let node = bridged!(3, 2, "mcast_last_member_interval 10");
        for group in GROUPS {
            let v6 = group.is_ipv6();
            from_the_kernel(&node, group).map_err(|e| format!("to the node, {group}: {e}"))?;
            from_the_node(&node, group).map_err(|e| format!("to the kernel, {group}: {e}"))?;
            // The kernel reaches all nodes by their group.
            if v6 {
                let receiver = any_on(&node, true, 7002)?;
                let sender = std::net::UdpSocket::bind("[::]:0")?;
                let index = index_of("br0")?;
                let all = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
                let to = std::net::SocketAddrV6::new(all, 7002, 0, index);
                sender.send_to(b"all", to)?;
                let mut buffer = [0; 9];
                let (len, _) = receiver.recv_from(&mut buffer)?;
                check!(&buffer[..len] == b"all", "something else came");
            }
        }
        Ok(Outcome::Passed)
    })
}

/// Three sources send from the kernel; by filter some are heard on the node.
fn from_the_kernel(node: &Node, group: IpAddr) -> Result<()> {
    let v6 = group.is_ipv6();
    let receiver = any_on(node, v6, 7000)?;
    receiver.join_source_group(group, kernel_address(v6, 101), LINK)?;
    for (round, (mode, sources, heard)) in [
        (FilterMode::Include, &[101, 103][..], &[101, 103][..]),
        (FilterMode::Exclude, &[102, 103], &[101]),
        (FilterMode::Exclude, &[], &[101, 102, 103]),
    ]
    .into_iter()
    .enumerate()
    {
        receiver.set_source_filter(group, LINK, filter(mode, v6, sources))?;
        let mode = match mode {
            FilterMode::Include => "include",
            FilterMode::Exclude => "exclude",
        };
        let listed = sources.iter().map(|n| kernel_address(v6, *n).to_string());
        let wanted: Vec<String> = std::iter::once(mode.to_owned()).chain(listed).collect();
        learns(group, &wanted.join(" "))?;
        let round = u8::try_from(round)?;
        for n in [101, 102, 103] {
            let sender = std::net::UdpSocket::bind((kernel_address(v6, n), 0))?;
            leave_by_bridge(&sender, v6)?;
            sender.send_to(&[round, n], SocketAddr::new(group, 7000))?;
        }
        for n in heard {
            let mut came = [0; 2];
            // What was under way when the filter changed is judged by the new one.
            while came[1] == 0 || came[0] < round {
                receiver.recv_from(&mut came)?;
            }
            let wanted = wanted.join(" ");
            check!(came[1] == *n, "{} came, not {n}, with {wanted}", came[1]);
        }
    }
    Ok(())
}

/// The node sends; the kernel's sockets hear it by their filters.
fn from_the_node(node: &Node, group: IpAddr) -> Result<()> {
    let v6 = group.is_ipv6();
    let ours = match v6 {
        false => "192.0.2.2".parse::<IpAddr>()?,
        true => "2001:db8::2".parse()?,
    };
    let any: SocketAddr = if v6 { "[::]:7001" } else { "0.0.0.0:7001" }.parse()?;
    let listener = |source: IpAddr| -> Result<std::net::UdpSocket> {
        let domain = socket2::Domain::for_address(any);
        let socket = socket2::Socket::new(domain, socket2::Type::DGRAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&any.into())?;
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
        join_source(&socket, "br0", group, source)?;
        Ok(socket.into())
    };
    let wanted = listener(ours)?;
    let other = listener(kernel_address(v6, 101))?;
    let sender = any_on(node, v6, 0)?;
    if v6 {
        sender.as_socket().set_multicast_if_v6(LINK)?;
    }
    sender.send_to(b"hello", SocketAddr::new(group, 7001))?;
    let mut buffer = [0; 9];
    let (len, from) = wanted.recv_from(&mut buffer)?;
    check!(
        &buffer[..len] == b"hello" && from.ip() == ours,
        "{from} came"
    );
    other.set_nonblocking(true)?;
    check!(
        other.recv_from(&mut buffer).is_err(),
        "who listens to another heard it"
    );
    Ok(())
}

/// MCAST_JOIN_SOURCE_GROUP on one of the kernel's devices.
fn join_source(
    socket: &socket2::Socket,
    device: &str,
    group: IpAddr,
    source: IpAddr,
) -> Result<()> {
    use std::os::fd::AsRawFd as _;
    const MCAST_JOIN_SOURCE_GROUP: i32 = 46;
    let mut request = index_of(device)?.to_ne_bytes().to_vec();
    request.resize(8, 0);
    for ip in [group, source] {
        let address = socket2::SockAddr::from(SocketAddr::new(ip, 0));
        // SAFETY: a SockAddr is at least as long as it says.
        let bytes = unsafe {
            std::slice::from_raw_parts(address.as_ptr().cast::<u8>(), address.len() as usize)
        };
        let end = request.len() + 128;
        request.extend_from_slice(bytes);
        request.resize(end, 0);
    }
    let level = match group {
        IpAddr::V4(_) => libc::IPPROTO_IP,
        IpAddr::V6(_) => libc::IPPROTO_IPV6,
    };
    // SAFETY: the descriptor is open, and the kernel reads as many bytes as there are.
    let done = unsafe {
        let len = u32::try_from(request.len())?;
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            MCAST_JOIN_SOURCE_GROUP,
            request.as_ptr().cast(),
            len,
        )
    };
    match done {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error().into()),
    }
}

fn leave_by_bridge(sender: &std::net::UdpSocket, v6: bool) -> Result<()> {
    let sender = socket2::SockRef::from(sender);
    match v6 {
        false => sender.set_multicast_if_v4(&Ipv4Addr::new(192, 0, 2, 1))?,
        true => sender.set_multicast_if_v6(index_of("br0")?)?,
    }
    Ok(())
}

pub(crate) fn index_of(device: &str) -> Result<u32> {
    let shown = Program::new("ip")
        .args(["-o", "link", "show", device])
        .run()?;
    let text = shown.expect(0)?.stdout_text();
    let (index, _) = text.split_once(':').ok_or("`ip` shows no index")?;
    Ok(index.trim().parse()?)
}

/// The kernel's raw sockets flood the node with queries, true and forged, while it serves.
fn queries_without_number_do_not_stop_a_node() -> Result {
    let name = "interop::multicast::queries_without_number_do_not_stop_a_node";
    in_namespace(name, LIMIT, || {
        let node = bridged!(3, 2, "mcast_last_member_interval 10");
        let group = GROUPS[0];
        let socket = any_on(&node, false, 7000)?;
        socket.join_source_group(group, kernel_address(false, 101), LINK)?;
        let raw = socket2::Socket::new(
            socket2::Domain::IPV4,
            socket2::Type::RAW,
            Some(socket2::Protocol::from(2)),
        )?;
        raw.set_header_included_v4(true)?;
        let to = SocketAddr::new(Ipv4Addr::new(224, 0, 0, 1).into(), 0).into();
        raw.set_multicast_if_v4(&Ipv4Addr::new(192, 0, 2, 1))?;
        let before = node.counters()?.get(Counter::IgmpOutReports);
        let start = Instant::now();
        let rounds: u32 = 20_000;
        for n in 0..rounds {
            // In turn one that asks for all, for the group, of another TTL, and a wrong checksum.
            let packet = query(group, n % 4, n);
            raw.send_to(&packet, &to)?;
        }
        let sender = std::net::UdpSocket::bind((kernel_address(false, 101), 0))?;
        socket2::SockRef::from(&sender).set_multicast_if_v4(&Ipv4Addr::new(192, 0, 2, 1))?;
        sender.send_to(b"still here", SocketAddr::new(group, 7000))?;
        let mut buffer = [0; 20];
        let (len, _) = socket.recv_from(&mut buffer)?;
        check!(&buffer[..len] == b"still here", "something else came");
        let counters = node.counters()?;
        let said = counters.get(Counter::IgmpOutReports) - before;
        // Ten answers a second, and what it says of itself.
        let bound = 10 * (start.elapsed().as_secs() + 1) + 10;
        check!(said <= bound, "{said} reports in {:?}", start.elapsed());
        let queries = counters.get(Counter::IgmpInQueries);
        let errors = counters.get(Counter::IgmpInErrors);
        check!(
            queries > 0 && errors > 0,
            "{queries} queries and {errors} errors were counted"
        );
        Ok(Outcome::Passed)
    })
}

/// An IP packet with a query of IGMPv3.
fn query(group: IpAddr, kind: u32, n: u32) -> Vec<u8> {
    use sockeye_wire::igmp::{Query, Version};
    use sockeye_wire::{IpProtocol, ipv4, ipv4_options};
    let IpAddr::V4(group) = group else {
        return Vec::new();
    };
    let sources: Vec<[u8; 4]> = (0..80).map(|s| (n * 80 + s).to_be_bytes()).collect();
    let query = Query {
        version: Version::V3,
        max_resp_code: 1,
        group: if kind == 1 {
            group
        } else {
            Ipv4Addr::UNSPECIFIED
        },
        suppress: false,
        robustness: 2,
        query_interval_code: 125,
        sources: if kind == 1 { &sources } else { &[] },
    };
    let mut message = vec![0; query.emitted_len()];
    query.emit(&mut message);
    if kind == 3 {
        message[2] ^= 1;
    }
    let from = Ipv4Addr::new(192, 0, 2, 1);
    let len = u16::try_from(message.len() + 4).unwrap_or(0);
    let mut header = ipv4::Header::new(from, Ipv4Addr::new(224, 0, 0, 1), IpProtocol::IGMP, len);
    header.ttl = if kind == 2 { 2 } else { 1 };
    header.options =
        ipv4::RawOptions::from_slice(&ipv4_options::ROUTER_ALERT_OPTION).unwrap_or_default();
    let mut packet = vec![0; header.header_len()];
    header.emit(&mut packet);
    packet.extend_from_slice(&message);
    packet
}

/// The example that asks, with the kernel's IGMPv3 as its host.
fn a_querier_on_a_node_knows_the_kernels_groups() -> Result {
    let name = "interop::multicast::a_querier_on_a_node_knows_the_kernels_groups";
    in_namespace(name, LIMIT, || {
        let node = crate::tap::node!(|tap| Box::new(tap));
        let settings = igmp_querier::Settings {
            query_interval: Duration::from_secs(3),
            query_response_interval: Duration::from_millis(500),
            last_member_query_interval: Duration::from_millis(100),
            robustness: 2,
        };
        let own = crate::tap::NODE_V4.parse()?;
        let mut querier = igmp_querier::Querier::new(&node, own, settings)?;
        let group = Ipv4Addr::new(239, 1, 1, 1);
        let mut knows = |wanted: Option<&str>| -> Result<()> {
            let limit = Instant::now() + Duration::from_secs(20);
            querier.run_until(limit, |querier| querier.state(group).as_deref() == wanted)?;
            let state = querier.state(group);
            check!(
                state.as_deref() == wanted,
                "{state:?} is known, not {wanted:?}"
            );
            Ok(())
        };
        let open = || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None);
        let some = open()?;
        join_source(
            &some,
            "sockeye0",
            group.into(),
            Ipv4Addr::new(10, 9, 9, 9).into(),
        )?;
        knows(Some("INCLUDE {10.9.9.9}"))?;
        let all = open()?;
        all.join_multicast_v4(&group, &crate::tap::KERNEL_V4.parse()?)?;
        knows(Some("EXCLUDE {} {}"))?;
        drop(all);
        knows(Some("INCLUDE {10.9.9.9}"))?;
        drop(some);
        knows(None)?;
        Ok(Outcome::Passed)
    })
}
