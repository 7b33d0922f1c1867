//! A script's commands of the shell, where they are about what a node has as well: its cache of
//! Fast Open cookies, its counters, its table of sockets.

use crate::world::World;
use sockeye::{Counters, SocketSummary, TransportId};
use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Once;

/// Groups of counters, as /proc/net/netstat and /proc/net/snmp name them: the longest first where one
/// begins like another.
const GROUPS: &[&str] = &["TcpExt", "Tcp", "Udp", "Icmp", "Ip"];
/// Words of 32 bits that an IPv4 address and an IPv6 address take.
const V4_WORDS: usize = 1;
const V6_WORDS: usize = 4;

/// Does for the node what `command` does for the kernel, and returns the command that looks at the
/// node where this one looks at the kernel.
pub(crate) fn prepare(world: &World, command: &str) -> io::Result<String> {
    if command.contains("tcp_metrics flush") {
        world.node.forget_fast_open_cookies()?;
    }
    let (counts, lists) = (command.contains("nstat"), command.contains("/proc/net/tcp"));
    if !counts && !lists {
        return Ok(command.to_owned());
    }
    world.clock.settle();
    let folder = folder()?;
    let shown = folder.display();
    std::fs::write(folder.join("netstat"), netstat(&world.node.counters()?))?;
    let sockets = world.node.sockets()?;
    for (name, words) in [("tcp", V4_WORDS), ("tcp6", V6_WORDS)] {
        std::fs::write(folder.join(name), table(&sockets, words))?;
    }
    // nstat(8) takes its files from these; what it has shown is kept for each script by itself.
    Ok(format!(
        "export PROC_NET_NETSTAT={shown}/netstat PROC_NET_SNMP=/dev/null PROC_NET_SNMP6=/dev/null \
         NSTAT_HISTORY={shown}/history; {}",
        command.replace("/proc/net/tcp", &format!("{shown}/tcp"))
    ))
}

/// A folder of this process, which goes with it.
fn folder() -> io::Result<PathBuf> {
    extern "C" fn remove() {
        let _ = std::fs::remove_dir_all(path());
    }
    static MADE: Once = Once::new();
    let path = path();
    std::fs::create_dir_all(&path)?;
    MADE.call_once(|| {
        // SAFETY: a function without arguments that never unwinds.
        unsafe { libc::atexit(remove) };
    });
    Ok(path)
}

fn path() -> PathBuf {
    Path::new("/tmp").join(format!("sockeye-packetdrill-{}", std::process::id()))
}

/// As /proc/net/netstat has them: a line of names and a line of numbers for each group.
fn netstat(counters: &Counters) -> String {
    let mut groups = vec![(String::new(), String::new()); GROUPS.len()];
    for (counter, value) in counters.iter() {
        let name = counter.name();
        let group = GROUPS.iter().position(|group| name.starts_with(group));
        if let Some(group) = group {
            let (names, numbers) = &mut groups[group];
            let _ = write!(names, " {}", &name[GROUPS[group].len()..]);
            let _ = write!(numbers, " {value}");
        }
    }
    let groups = GROUPS.iter().zip(groups);
    let groups = groups.filter(|(_, (names, _))| !names.is_empty());
    groups.fold(String::new(), |mut text, (group, (names, numbers))| {
        let _ = writeln!(text, "{group}:{names}\n{group}:{numbers}");
        text
    })
}

/// As /proc/net/tcp and tcp6 (proc_net_tcp(5)): sockets whose addresses have so many words.
fn table(sockets: &[SocketSummary], words: usize) -> String {
    let of_tcp = sockets
        .iter()
        .filter(|socket| socket.handle.transport == TransportId::TCP)
        .filter(|socket| address(socket.local).len() / 8 == words);
    let mut text = "  sl  local_address rem_address   st tx_queue rx_queue\n".to_owned();
    for (n, socket) in of_tcp.enumerate() {
        let Some(state) = state(socket.state) else {
            continue;
        };
        let nobody = || format!("{}:0000", "0".repeat(8 * words));
        let shown = |at: SocketAddr| format!("{}:{:04X}", address(at), at.port());
        let _ = writeln!(
            text,
            "{n:4}: {} {} {state:02X} {:08X}:{:08X}",
            shown(socket.local),
            socket.remote.map_or_else(nobody, shown),
            socket.send_queue,
            socket.recv_queue,
        );
    }
    text
}

/// An address as its words are, read by this machine.
fn address(address: SocketAddr) -> String {
    let octets = match address.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let words = octets.as_chunks::<4>().0.iter();
    words
        .map(|word| format!("{:08X}", u32::from_ne_bytes(*word)))
        .collect()
}

/// The kernel's number of a state that ss(8) names.
fn state(name: &str) -> Option<u8> {
    const NAMES: [&str; 11] = [
        "ESTAB",
        "SYN-SENT",
        "SYN-RECV",
        "FIN-WAIT-1",
        "FIN-WAIT-2",
        "TIME-WAIT",
        "UNCONN",
        "CLOSE-WAIT",
        "LAST-ACK",
        "LISTEN",
        "CLOSING",
    ];
    (1..)
        .zip(NAMES)
        .find(|(_, known)| *known == name)
        .map(|(n, _)| n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockeye::Counter;

    #[test]
    fn counters_are_grouped_as_the_kernel_groups_them() {
        let mut counters = Counters::default();
        counters.add_n(Counter::TcpExtOutOfWindowIcmps, 2);
        counters.add(Counter::TcpPassiveOpens);
        let text = netstat(&counters);
        let lines = [
            "TcpExt: OutOfWindowIcmps",
            "TcpExt: 2",
            "Tcp: PassiveOpens",
            "Tcp: 1",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), lines);
    }

    #[test]
    fn addresses_and_states_are_numbers() {
        let here = "127.0.0.1:8080".parse().unwrap();
        assert_eq!(
            address(here),
            format!("{:08X}", u32::from_ne_bytes([127, 0, 0, 1]))
        );
        assert_eq!(address("[::1]:1".parse().unwrap()).len(), 32);
        assert_eq!(
            (state("LISTEN"), state("ESTAB"), state("?")),
            (Some(10), Some(1), None)
        );
    }
}
