//! ECN (RFC 3168) and accurate ECN (RFC 9768) with the kernel's TCP, over TAP: what is agreed on, and what
//! becomes of marks.

use crate::tap::{KERNEL_V4, KERNEL_V6, LIMIT, NODE_V4, NODE_V6, Stream, carry, node};
use sockeye::drivers::netem::Netem;
use sockeye::{Counter, Domain, Node, Socket, Type};
use sockeye_tests::{Outcome, Result, Test, check, ignore, in_namespace, tests};
use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;

pub(crate) const TESTS: &[Test] = tests![
    each_pair_of_settings_agrees_as_the_tables_say,
    marks_slow_both_down_and_lose_nothing,
    accurate_counts_of_marks_agree,
];

/// What two ends speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mode {
    Off,
    Classic,
    Accurate,
}

/// ip-sysctl, tcp_ecn: what each value asks for as a client, and grants as a server.
const ASKS: [Mode; 6] = [
    Mode::Off,
    Mode::Classic,
    Mode::Off,
    Mode::Accurate,
    Mode::Classic,
    Mode::Off,
];
const GRANTS: [Mode; 6] = [
    Mode::Off,
    Mode::Classic,
    Mode::Classic,
    Mode::Accurate,
    Mode::Accurate,
    Mode::Accurate,
];

/// RFC 9768 §3.1.1, table 2: an older end is met where it is.
fn agreed(client: usize, server: usize) -> Mode {
    ASKS[client].min(GRANTS[server])
}

fn set(node: &Node, ours: usize, kernel: usize) -> Result<()> {
    let mut settings = node.config()?;
    settings.set_sysctl("net.ipv4.tcp_ecn", &ours.to_string())?;
    node.set_config(settings)?;
    Ok(std::fs::write(
        "/proc/sys/net/ipv4/tcp_ecn",
        kernel.to_string(),
    )?)
}

/// The values that this kernel takes.
fn kernels_values() -> usize {
    let accurate = std::fs::write("/proc/sys/net/ipv4/tcp_ecn", "3").is_ok();
    if accurate { 6 } else { 3 }
}

/// What both ends say of a connection.
struct Ends {
    ours: Socket,
    kernels: TcpStream,
}

impl Ends {
    /// The node asks.
    fn from_node(node: &Node, kernel: IpAddr) -> Result<Self> {
        let listener = TcpListener::bind((kernel, 0))?;
        let to = listener.local_addr()?;
        let ours = Socket::new_on(node, Domain::for_address(to), Type::STREAM, None)?;
        ours.connect(to)?;
        let kernels = listener.accept()?.0;
        Ok(Self { ours, kernels })
    }

    /// The kernel asks.
    fn from_kernel(node: &Node, ours: IpAddr) -> Result<Self> {
        let any = SocketAddr::new(ours, 0);
        let listener = Socket::new_on(node, Domain::for_address(any), Type::STREAM, None)?;
        listener.bind(any)?;
        listener.listen(1)?;
        let kernels = TcpStream::connect(listener.local_addr()?)?;
        let (ours, _) = listener.accept()?;
        Ok(Self { ours, kernels })
    }

    /// Some text each way, acknowledged.
    fn talk(&mut self) -> Result<()> {
        let mut buffer = [0; 5];
        for _ in 0..3 {
            self.ours.send(b"hello")?;
            self.kernels.read_exact(&mut buffer)?;
            self.kernels.write_all(b"world")?;
            let mut filled = 0;
            while filled < buffer.len() {
                filled += self.ours.recv(&mut buffer[filled..])?;
            }
        }
        Ok(())
    }

    fn our_mode(&self) -> Result<Mode> {
        let info = self.ours.tcp_info()?;
        Ok(match (info.ecn, info.accurate_ecn) {
            (_, Some(_)) => Mode::Accurate,
            (true, None) => Mode::Classic,
            (false, None) => Mode::Off,
        })
    }

    /// Whether the kernel's TCP_INFO shows ECN, of either kind.
    fn kernel_speaks(&self) -> Result<bool> {
        Ok(Info::of(&self.kernels)?.options & TCPI_OPT_ECN != 0)
    }
}

/// Of linux/tcp.h.
const TCPI_OPT_ECN: u8 = 8;

/// Of the kernel's `struct tcp_info`.
#[derive(Debug)]
struct Info {
    options: u8,
    ssthresh: u32,
    delivered_ce: u32,
    received_ce: u32,
}

impl Info {
    fn of(socket: &impl AsRawFd) -> Result<Self> {
        let mut bytes = [0u8; 280];
        let mut len = bytes.len() as libc::socklen_t;
        // SAFETY: getsockopt writes `len` bytes at the most into `bytes`; both live through the call.
        let got = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::IPPROTO_TCP,
                libc::TCP_INFO,
                bytes.as_mut_ptr().cast(),
                &raw mut len,
            )
        };
        check!(got == 0, "TCP_INFO: {}", std::io::Error::last_os_error());
        let word = |at: usize| {
            let word = bytes[at..].first_chunk().copied();
            u32::from_ne_bytes(word.unwrap_or_default())
        };
        Ok(Self {
            options: bytes[5],
            ssthresh: word(76),
            delivered_ce: word(196),
            received_ce: word(248),
        })
    }
}

fn each_pair_of_settings_agrees_as_the_tables_say() -> Result {
    in_namespace(
        "interop::ecn::each_pair_of_settings_agrees_as_the_tables_say",
        LIMIT,
        || {
            let node = node!(|tap| Box::new(tap));
            for ours in 0..6 {
                for kernel in 0..kernels_values() {
                    set(&node, ours, kernel)?;
                    for (k, n) in [(KERNEL_V4, NODE_V4), (KERNEL_V6, NODE_V6)] {
                        let ends = [
                            (Ends::from_node(&node, k.parse()?)?, agreed(ours, kernel)),
                            (Ends::from_kernel(&node, n.parse()?)?, agreed(kernel, ours)),
                        ];
                        for (n, (mut ends, expected)) in ends.into_iter().enumerate() {
                            ends.talk()?;
                            let said = (ends.our_mode()?, ends.kernel_speaks()?);
                            let who = ["the node", "the kernel"][n];
                            check!(
                                said == (expected, expected != Mode::Off),
                                "tcp_ecn {ours} here and {kernel} at the kernel, {who} asks by {k}: \
                                 {said:?}, not {expected:?}"
                            );
                        }
                    }
                }
            }
            Ok(Outcome::Passed)
        },
    )
}

/// A counter of the kernel's in this namespace.
fn kernels_counter(group: &str, name: &str) -> Result<u64> {
    let text = std::fs::read_to_string("/proc/net/netstat")?;
    let mut lines = text
        .lines()
        .filter_map(|line| line.strip_prefix(group)?.strip_prefix(": "));
    let names = lines.next().ok_or("no such group")?.split(' ');
    let mut values = lines.next().ok_or("no such group")?.split(' ');
    let at = names.into_iter().position(|known| known == name);
    let value = values.nth(at.ok_or("no such counter")?);
    Ok(value.ok_or("no value")?.parse()?)
}

/// Packets that the kernel has received with CE.
fn kernels_marks() -> Result<u64> {
    kernels_counter("IpExt", "InCEPkts")
}

/// Losses that either side has found. Its timers may send again when the machine stands still.
fn losses(node: &Node) -> Result<u64> {
    let counters = node.counters()?;
    Ok(counters.get(Counter::TcpExtTCPSackRecovery)
        + counters.get(Counter::TcpExtTCPFastRetrans)
        + kernels_counter("TcpExt", "TCPSackRecovery")?
        + kernels_counter("TcpExt", "TCPFastRetrans")?)
}

fn marks_slow_both_down_and_lose_nothing() -> Result {
    in_namespace(
        "interop::ecn::marks_slow_both_down_and_lose_nothing",
        LIMIT,
        || marks(1),
    )
}

fn accurate_counts_of_marks_agree() -> Result {
    in_namespace(
        "interop::ecn::accurate_counts_of_marks_agree",
        LIMIT,
        || {
            if kernels_values() <= 3 {
                return ignore!("this kernel has no accurate ECN: tcp_ecn takes no 3");
            }
            marks(3)
        },
    )
}

/// A stream each way with `tcp_ecn` at `setting` on both sides, over a wire that marks one packet in a
/// hundred.
fn marks(setting: usize) -> Result {
    const LEN: usize = 8 << 20;
    let netem = "delay=2ms,loss=1%,ecn,limit=10000".parse()?;
    let node = node!(|tap| Box::new(Netem::new(tap, netem, 42)));
    // BBR's window is not made smaller by marks.
    std::fs::write("/proc/sys/net/ipv4/tcp_congestion_control", "reno")?;
    set(&node, setting, setting)?;
    let marks = kernels_marks()?;
    let ends = Ends::from_node(&node, KERNEL_V4.parse()?)?;
    let (ours, kernels) = (Arc::new(ends.ours), ends.kernels);
    carry(
        Stream(Arc::clone(&ours)),
        |s| s.0.shutdown(Shutdown::Write),
        kernels.try_clone()?,
        LEN,
    )?;
    let info = ours.tcp_info()?;
    let kernel = Info::of(&kernels)?;
    let case = format!("tcp_ecn {setting}, node to kernel: {info:?} {kernel:?}");
    check!(info.ssthresh != u64::MAX, "no reduction; {case}");
    check!(losses(&node)? == 0, "something was lost; {case}");
    check!(kernels_marks()? > marks + 20, "too few marks; {case}");
    if let Some(accurate) = info.accurate_ecn {
        check!(
            accurate.delivered_ce == kernel.received_ce,
            "the counts of marks differ; {case}"
        );
    }

    let marks = node.counters()?.get(Counter::IpExtInCEPkts);
    let ends = Ends::from_kernel(&node, NODE_V4.parse()?)?;
    let (ours, kernels) = (Arc::new(ends.ours), ends.kernels);
    carry(
        kernels.try_clone()?,
        |s| s.shutdown(Shutdown::Write),
        Stream(Arc::clone(&ours)),
        LEN,
    )?;
    let info = ours.tcp_info()?;
    let kernel = Info::of(&kernels)?;
    let case = format!("tcp_ecn {setting}, kernel to node: {info:?} {kernel:?}");
    check!(kernel.ssthresh < 0x7fff_ffff, "no reduction; {case}");
    check!(losses(&node)? == 0, "something was lost; {case}");
    let seen = node.counters()?.get(Counter::IpExtInCEPkts) - marks;
    check!(seen > 20, "too few marks; {case}");
    if let Some(accurate) = info.accurate_ecn {
        check!(
            accurate.received_ce == kernel.delivered_ce,
            "the counts of marks differ; {case}"
        );
    }
    Ok(Outcome::Passed)
}
