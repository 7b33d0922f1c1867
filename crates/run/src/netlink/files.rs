//! The node as the files of /proc/net show a network, column by column as the kernel prints them.
//!
//! A socket here has neither an inode nor timers: the program's descriptor is another socket's, the kernel's.

use super::diag::Socket;
use super::errno;
use super::route::{self, Told};
use crate::backend::Errno;
use sockeye::link::{Instant, MacAddr, Medium};
use sockeye::{
    AddressState, Counter, Counters, InterfaceId, InterfaceInfo, Neighbour, NeighbourState, Node,
    SocketSummary, TransportId,
};
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// A file's name in /proc/net, and what is in it.
pub(crate) type File = (&'static str, String);

/// `RT_TABLE_MAIN`.
const TABLE_MAIN: u8 = 254;
/// The kernel pads the lines of some files to this many octets, so that it can seek in them.
const PADDED: usize = 127;
const PADDED_TCP: usize = 149;
/// `TCP_LISTEN` and `TCP_ESTABLISHED`, `TCP_CLOSE_WAIT`, `TCP_TIME_WAIT`.
const LISTEN: u8 = 10;
const ESTABLISHED: [u8; 2] = [1, 8];
const TIME_WAIT: u8 = 6;

/// All files, as the node is now.
pub(crate) fn all(node: &Node) -> Result<Vec<File>, Errno> {
    let interfaces = node.interfaces().map_err(errno)?;
    let routes = route::whole_table(node, &interfaces)?;
    let neighbours = node.neighbours().map_err(errno)?;
    let counters = node.counters().map_err(errno)?;
    let sockets = node.sockets().map_err(errno)?;
    let listed = |transport, v6| -> Vec<Socket> {
        let of = sockets.iter();
        of.filter_map(|socket| Socket::of(socket, transport, v6))
            .collect()
    };
    let mut files = vec![
        ("dev", devices(&interfaces)),
        ("if_inet6", addresses_v6(&interfaces)),
        ("route", routes_v4(&routes, &interfaces)),
        ("ipv6_route", routes_v6(&routes, &interfaces)),
        ("arp", arp(&neighbours, &interfaces)),
        (
            "snmp",
            snmp(
                &counters,
                &listed(TransportId::TCP, false),
                &listed(TransportId::TCP, true),
            ),
        ),
        ("netstat", named(&counters, &["TcpExt", "IpExt"])),
        ("snmp6", snmp6(&counters)),
        ("sockstat", sockstat(&sockets)),
        ("sockstat6", sockstat6(&sockets)),
    ];
    for (name, transport, v6, style) in TABLES {
        files.push((name, table(&listed(transport, v6), v6, style)));
    }
    Ok(files)
}

/// How a table of sockets is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Tcp,
    Udp,
    Raw,
}

const TABLES: [(&str, TransportId, bool, Style); 8] = [
    ("tcp", TransportId::TCP, false, Style::Tcp),
    ("tcp6", TransportId::TCP, true, Style::Tcp),
    ("udp", TransportId::UDP, false, Style::Udp),
    ("udp6", TransportId::UDP, true, Style::Udp),
    ("udplite", TransportId::UDPLITE, false, Style::Udp),
    ("udplite6", TransportId::UDPLITE, true, Style::Udp),
    ("raw", TransportId::RAW, false, Style::Raw),
    ("raw6", TransportId::RAW, true, Style::Raw),
];

fn table(sockets: &[Socket], v6: bool, style: Style) -> String {
    const V4: &str = "local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
    const V6: &str = "local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
    let width = match (v6, style) {
        (true, _) | (_, Style::Raw) => 0,
        (_, Style::Tcp) => PADDED_TCP,
        (_, Style::Udp) => PADDED,
    };
    let (first, columns, rest) = match (v6, style) {
        (false, Style::Udp) => ("   sl  ", V4, " ref pointer drops"),
        (false, Style::Raw) => ("  sl  ", V4, " ref pointer drops"),
        (true, Style::Udp | Style::Raw) => ("  sl  ", V6, " ref pointer drops"),
        (false, Style::Tcp) => ("  sl  ", V4, ""),
        (true, Style::Tcp) => ("  sl  ", V6, ""),
    };
    let mut text = String::new();
    line(&mut text, width, &format!("{first}{columns}{rest}"));
    let uid = rustix::process::getuid().as_raw();
    let number = match style {
        Style::Udp => 5,
        Style::Tcp | Style::Raw => 4,
    };
    for (slot, socket) in sockets.iter().enumerate() {
        let [received, written] = match socket.state {
            // Of a listener: its limit is no queue.
            LISTEN => [socket.queues[0], 0],
            _ => socket.queues,
        };
        let tail = match style {
            Style::Tcp => "1 0000000000000000 100 0 0 10 0",
            Style::Udp | Style::Raw => "2 0000000000000000 0",
        };
        let row = format!(
            "{slot:number$}: {} {} {:02X} {written:08X}:{received:08X} 00:00000000 00000000 {uid:5} {:8} 0 {tail}",
            end(socket.local),
            end(socket.remote),
            socket.state,
            0
        );
        line(&mut text, width, &row);
    }
    text
}

fn line(text: &mut String, width: usize, row: &str) {
    let _ = writeln!(text, "{row:width$}");
}

/// An address as its words in the host's order, and a port.
fn end(address: SocketAddr) -> String {
    format!("{}:{:04X}", words(address.ip()), address.port())
}

fn words(ip: IpAddr) -> String {
    let octets = route::octets_of(ip);
    let words = octets.chunks_exact(4);
    words
        .map(|word| {
            format!(
                "{:08X}",
                u32::from_ne_bytes([word[0], word[1], word[2], word[3]])
            )
        })
        .collect()
}

/// An address of IPv6 as 32 digits.
fn digits(ip: Ipv6Addr) -> String {
    format!("{:032x}", ip.to_bits())
}

fn devices(interfaces: &[InterfaceInfo]) -> String {
    let mut text = String::from(
        "Inter-|   Receive                                                |  Transmit\n \
         face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n",
    );
    for info in interfaces {
        let of = &info.traffic;
        let (got, sent, lost) = (of.rx_bytes, of.tx_bytes, of.tx_dropped);
        let _ = writeln!(
            text,
            "{:>6}: {got:7} {:7} {:4} {:4} {:4} {:5} {:10} {:9} {sent:8} {:7} {:4} {lost:4} {:4} {:5} {:7} {:10}",
            info.name, of.rx_packets, 0, 0, 0, 0, 0, 0, of.tx_packets, 0, 0, 0, 0, 0
        );
    }
    text
}

fn addresses_v6(interfaces: &[InterfaceInfo]) -> String {
    const DEPRECATED: u8 = 0x20;
    const TENTATIVE: u8 = 0x40;
    const DUPLICATE: u8 = 0x08;
    const PERMANENT: u8 = 0x80;
    let mut text = String::new();
    for info in interfaces {
        for address in &info.addresses {
            let IpAddr::V6(ip) = address.net.addr() else {
                continue;
            };
            let scope = match ip {
                ip if ip.is_loopback() => 0x10,
                ip if ip.is_unicast_link_local() => 0x20,
                _ => 0,
            };
            let state = match address.state {
                AddressState::Tentative => TENTATIVE,
                AddressState::Duplicate => TENTATIVE | DUPLICATE,
                AddressState::Deprecated => DEPRECATED,
                AddressState::Preferred => 0,
            };
            let flags = match address.lifetime.valid_until == Instant::FAR {
                true => state | PERMANENT,
                false => state,
            };
            let (digits, len) = (digits(ip), address.net.prefix_len());
            let _ = writeln!(
                text,
                "{digits} {:02x} {len:02x} {scope:02x} {flags:02x} {:>8}",
                info.id.0, info.name
            );
        }
    }
    text
}

const ROUTE_UP: u32 = 1;
const ROUTE_GATEWAY: u32 = 2;
const ROUTE_HOST: u32 = 4;

fn flags_of(route: &Told) -> u32 {
    let whole = route.destination.prefix_len() == route.destination.max_prefix_len();
    ROUTE_UP
        | if route.gateway.is_some() {
            ROUTE_GATEWAY
        } else {
            0
        }
        | if whole { ROUTE_HOST } else { 0 }
}

fn name(interfaces: &[InterfaceInfo], id: u32) -> &str {
    let found = interfaces.iter().find(|info| info.id.0 == id);
    found.map_or("*", |info| &info.name)
}

fn routes_v4(routes: &[Told], interfaces: &[InterfaceInfo]) -> String {
    let mut text = String::new();
    let head =
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT";
    line(&mut text, PADDED, head);
    let mut routes: Vec<_> = routes
        .iter()
        .filter(|route| route.table == TABLE_MAIN)
        .collect();
    // As the kernel does: by network, then by length.
    routes.sort_by_key(|route| (route.destination.network(), route.destination.prefix_len()));
    for route in routes {
        let (network, IpAddr::V4(mask)) =
            (route.destination.network(), route.destination.netmask())
        else {
            continue;
        };
        let row = format!(
            "{}\t{}\t{}\t{:04X}\t0\t0\t{}\t{}\t0\t0\t0",
            name(interfaces, route.interface),
            words(network),
            route.gateway.map_or_else(|| "00000000".into(), words),
            flags_of(route),
            route.metric.unwrap_or(0),
            words(mask.into()),
        );
        line(&mut text, PADDED, &row);
    }
    text
}

fn routes_v6(routes: &[Told], interfaces: &[InterfaceInfo]) -> String {
    /// `RTF_LOCAL`: an address of the node's own.
    const LOCAL: u32 = 1 << 31;
    let nobody = Ipv6Addr::UNSPECIFIED;
    let mut text = String::new();
    for route in routes {
        let IpAddr::V6(network) = route.destination.network() else {
            continue;
        };
        let gateway = match route.gateway {
            Some(IpAddr::V6(gateway)) => gateway,
            _ => nobody,
        };
        // An own address is no host that is to be reached.
        let flags = match route.table {
            TABLE_MAIN => flags_of(route),
            _ => ROUTE_UP | LOCAL,
        };
        let _ = writeln!(
            text,
            "{} {:02x} {} 00 {} {:08x} 00000000 00000000 {flags:08x} {:>8}",
            digits(network),
            route.destination.prefix_len(),
            digits(nobody),
            digits(gateway),
            route.metric.unwrap_or(0),
            name(interfaces, route.interface)
        );
    }
    text
}

fn arp(neighbours: &[(InterfaceId, Neighbour)], interfaces: &[InterfaceInfo]) -> String {
    let mut text = String::from(
        "IP address       HW type     Flags       HW address            Mask     Device\n",
    );
    for (interface, known) in neighbours
        .iter()
        .filter(|(_, known)| known.address.is_ipv4())
    {
        let info = interfaces.iter().find(|info| info.id == *interface);
        let ethernet = info.is_some_and(|info| matches!(info.medium, Medium::Ethernet(_)));
        let complete = known.state != NeighbourState::Incomplete;
        let MacAddr(mac) = known.mac.unwrap_or(MacAddr([0; 6]));
        let mac = mac.map(|octet| format!("{octet:02x}")).join(":");
        let (kind, flags) = (u8::from(ethernet), if complete { 2 } else { 0 });
        let _ = writeln!(
            text,
            "{:<16} 0x{kind:<10x}0x{flags:<10x}{mac}     *        {}",
            known.address.to_string(),
            name(interfaces, interface.0)
        );
    }
    text
}

/// The counters of groups, two lines each: names and values.
fn named(counters: &Counters, groups: &[&str]) -> String {
    let mut text = String::new();
    for group in groups {
        let mine = Counter::ALL
            .iter()
            .filter_map(|&counter| Some((in_group(counter.name(), group)?, counter)));
        let (mut names, mut values) = (format!("{group}:"), format!("{group}:"));
        for (name, counter) in mine {
            let _ = write!(names, " {name}");
            let _ = write!(values, " {}", counters.get(counter));
        }
        let _ = writeln!(text, "{names}\n{values}");
    }
    text
}

/// What a counter is called in a group, if it is one of it: names begin with the longest that fits.
fn in_group<'a>(name: &'a str, group: &str) -> Option<&'a str> {
    const GROUPS: [&str; 9] = [
        "TcpExt", "IpExt", "UdpLite", "Icmp6", "Ip6", "Icmp", "Udp", "Tcp", "Ip",
    ];
    let of = GROUPS.iter().find(|group| name.starts_with(**group))?;
    (*of == group).then(|| &name[group.len()..])
}

fn snmp(counters: &Counters, v4: &[Socket], v6: &[Socket]) -> String {
    let established = v4
        .iter()
        .chain(v6)
        .filter(|socket| ESTABLISHED.contains(&socket.state));
    let text = named(counters, &["Ip", "Icmp", "Tcp", "Udp", "UdpLite"]);
    // How many there are is no counter.
    let with_count = |line: &str| match line {
        line if line.starts_with("Tcp: ActiveOpens") => format!("{line} CurrEstab\n"),
        line if line.starts_with("Tcp: ") => format!("{line} {}\n", established.clone().count()),
        line => format!("{line}\n"),
    };
    text.lines().map(with_count).collect()
}

fn snmp6(counters: &Counters) -> String {
    let mut text = String::new();
    for counter in Counter::ALL {
        let name = counter.name();
        if in_group(name, "Ip6").or(in_group(name, "Icmp6")).is_some() {
            let _ = writeln!(text, "{name:<32}\t{}", counters.get(*counter));
        }
    }
    text
}

/// How many sockets of a transport and family the kernel would list.
fn count(sockets: &[SocketSummary], transport: TransportId, v6: bool) -> usize {
    let of = sockets
        .iter()
        .filter_map(|socket| Socket::of(socket, transport, v6));
    of.filter(|socket| socket.state != TIME_WAIT).count()
}

fn sockstat(sockets: &[SocketSummary]) -> String {
    let [tcp, udp, lite, raw] = TRANSPORTS.map(|transport| count(sockets, transport, false));
    let waiting = [false, true].map(|v6| {
        let of = sockets
            .iter()
            .filter_map(|socket| Socket::of(socket, TransportId::TCP, v6));
        of.filter(|socket| socket.state == TIME_WAIT).count()
    });
    let all = tcp + count(sockets, TransportId::TCP, true);
    format!(
        "sockets: used {}\nTCP: inuse {tcp} orphan 0 tw {} alloc {all} mem 0\nUDP: inuse {udp} mem 0\n\
         UDPLITE: inuse {lite}\nRAW: inuse {raw}\nFRAG: inuse 0 memory 0\n",
        sockets.len(),
        waiting[0] + waiting[1]
    )
}

const TRANSPORTS: [TransportId; 4] = [
    TransportId::TCP,
    TransportId::UDP,
    TransportId::UDPLITE,
    TransportId::RAW,
];

fn sockstat6(sockets: &[SocketSummary]) -> String {
    let [tcp, udp, lite, raw] = TRANSPORTS.map(|transport| count(sockets, transport, true));
    format!(
        "TCP6: inuse {tcp}\nUDP6: inuse {udp}\nUDPLITE6: inuse {lite}\nRAW6: inuse {raw}\nFRAG6: inuse 0 memory 0\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(files: &[File], name: &str) -> String {
        let found = files.iter().find(|(known, _)| *known == name);
        found.unwrap().1.clone()
    }

    #[test]
    fn counters_belong_to_one_group() {
        assert_eq!(in_group("TcpExtTW", "TcpExt"), Some("TW"));
        assert_eq!(in_group("TcpExtTW", "Tcp"), None);
        assert_eq!(in_group("Ip6InTooBigErrors", "Ip"), None);
        assert_eq!(in_group("UdpLiteNoPorts", "Udp"), None);
        assert_eq!(in_group("UdpNoPorts", "Udp"), Some("NoPorts"));
        assert_eq!(in_group("SctpInBadTags", "Ip"), None);
    }

    #[test]
    fn sockets_are_listed_and_counted() {
        let node = Node::builder().build().unwrap();
        let before = all(&node).unwrap();
        assert_eq!(file(&before, "udp").lines().count(), 1, "a head alone");
        let _server = sockeye::net::TcpListener::bind_on(&node, "127.0.0.1:80").unwrap();
        let _bound = sockeye::net::UdpSocket::bind_on(&node, "[::1]:53").unwrap();
        let after = all(&node).unwrap();
        let tcp = file(&after, "tcp");
        let row = tcp.lines().nth(1).unwrap();
        assert!(
            row.starts_with("   0: 0100007F:0050 00000000:0000 0A 00000000:00000000 "),
            "{row}"
        );
        assert_eq!(row.len(), PADDED_TCP);
        let udp = file(&after, "udp6");
        let wanted = "    0: 00000000000000000000000001000000:0035 00000000000000000000000000000000:0000 07 ";
        assert!(udp.lines().nth(1).unwrap().starts_with(wanted), "{udp}");
        assert!(file(&after, "sockstat").contains("\nTCP: inuse 1 orphan 0 tw 0 alloc 1 "));
        assert!(file(&after, "sockstat6").contains("\nUDP6: inuse 1\n"));
    }
}
