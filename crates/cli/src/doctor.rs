//! `sockeye doctor`: what this machine allows, and what to do about each 'no'.

use crate::report;
use anstyle::{AnsiColor, Style};
use anyhow::Result;
use rustix::net::{AddressFamily, SocketType};
use serde::Serialize;
use std::ffi::c_long;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::process::ExitCode;

/// Say what this machine allows, and what to do about each 'no'
///
/// Exit status: 0 when `sockeye run` works here, 1 when it does not.
#[derive(Debug, clap::Args)]
pub(crate) struct Doctor {
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Doctor {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let findings = examine();
        if self.json {
            report::json(&findings)?;
        } else {
            print(&findings)?;
        }
        let well = findings.iter().all(|f| f.works || !f.required);
        Ok(if well {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(report::NO_RESULT)
        })
    }
}

/// What was found about one thing.
#[derive(Debug, Serialize)]
struct Finding {
    /// The thing.
    name: &'static str,
    /// What it is for.
    for_what: &'static str,
    /// Whether it works here.
    works: bool,
    /// Whether `sockeye run` can do nothing without it.
    required: bool,
    /// What was seen.
    seen: String,
    /// What to do about a 'no'.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

/// Why something does not work, and what to do.
struct No {
    seen: String,
    remedy: String,
}

fn no(seen: impl Into<String>, remedy: impl Into<String>) -> No {
    No {
        seen: seen.into(),
        remedy: remedy.into(),
    }
}

fn examine() -> Vec<Finding> {
    vec![
        finding(
            "user notification",
            "`sockeye run`",
            true,
            user_notification(),
        ),
        finding(
            "reading a child's memory",
            "`sockeye run`",
            true,
            ptrace_scope(),
        ),
        finding(
            "TUN and TAP",
            "`--link tun:NAME` and `--link tap:NAME`",
            false,
            tun(),
        ),
        finding(
            "ping sockets",
            "ping to hosts beyond the virtual LAN of the link `user`",
            false,
            ping(),
        ),
        finding(
            "IPv6",
            "IPv6 to hosts beyond the virtual LAN of the link `user`",
            false,
            ipv6(),
        ),
        finding(
            "nameservers",
            "names of hosts beyond the virtual LAN of the link `user`",
            false,
            nameservers(),
        ),
    ]
}

fn finding(
    name: &'static str,
    for_what: &'static str,
    required: bool,
    result: Result<String, No>,
) -> Finding {
    let (works, seen, remedy) = match result {
        Ok(seen) => (true, seen, None),
        Err(No { seen, remedy }) => (false, seen, Some(remedy)),
    };
    Finding {
        name,
        for_what,
        works,
        required,
        seen,
        remedy,
    }
}

fn print(findings: &[Finding]) -> Result<()> {
    let mut out = anstream::stdout().lock();
    let good = Style::new().fg_color(Some(AnsiColor::Green.into()));
    let bad = Style::new().fg_color(Some(AnsiColor::Red.into())).bold();
    for finding in findings {
        let Finding {
            name,
            for_what,
            works,
            required,
            seen,
            remedy,
        } = finding;
        let (style, word) = match works {
            true => (good, "yes"),
            false => (bad, "no "),
        };
        writeln!(out, "{style}{word}{style:#}  {name}: {seen}")?;
        if let Some(remedy) = remedy {
            let without = if *required { "Needed for" } else { "Only for" };
            writeln!(out, "     {without} {for_what}. {remedy}")?;
        }
    }
    Ok(())
}

/// Seccomp filters that ask a supervisor (Linux 5.0), with what 5.9 added to them.
fn user_notification() -> Result<String, No> {
    let action: u32 = libc::SECCOMP_RET_USER_NOTIF;
    // SAFETY: SECCOMP_GET_ACTION_AVAIL reads the 32-bit number pointed to, which outlives the call.
    let answer: c_long = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_GET_ACTION_AVAIL,
            0,
            &raw const action,
        )
    };
    if answer == 0 {
        return Ok("the kernel has SECCOMP_RET_USER_NOTIF".into());
    }
    let error = io::Error::last_os_error();
    Err(no(
        format!("the kernel refuses SECCOMP_RET_USER_NOTIF ({error})"),
        "Use Linux 5.9 or later; inside a container, let its own filter pass seccomp(2).",
    ))
}

/// The supervisor reads the addresses that the program passes.
fn ptrace_scope() -> Result<String, No> {
    match std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope") {
        Err(_) => Ok("no Yama restricts it".into()),
        Ok(scope) if matches!(scope.trim(), "0" | "1") => {
            Ok(format!("kernel.yama.ptrace_scope is {}", scope.trim()))
        }
        Ok(scope) => Err(no(
            format!("kernel.yama.ptrace_scope is {}", scope.trim()),
            "Run as root, or have root do: sysctl kernel.yama.ptrace_scope=1",
        )),
    }
}

fn tun() -> Result<String, No> {
    const PATH: &str = "/dev/net/tun";
    let file = File::options().read(true).write(true).open(PATH);
    let file = file.map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => no(
            format!("there is no {PATH}"),
            "Have root do: modprobe tun; in a container, pass the device in.",
        ),
        _ => no(
            format!("{PATH} can't be opened ({e})"),
            "Run as root, or have root do: chmod 666 /dev/net/tun",
        ),
    })?;
    // SAFETY: an ifreq of zeroes is a valid one: it holds integers and bytes.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"sockeye%d") {
        *to = from.cast_signed();
    }
    let flags = libc::IFF_TAP | libc::IFF_NO_PI;
    request.ifr_ifru.ifru_flags = i16::try_from(flags).unwrap_or(0);
    // SAFETY: TUNSETIFF reads and fills the ifreq, which outlives the call, and whose name ends in
    // zero. The device it makes goes away with the file at the end of this function.
    let made = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &mut request) };
    if made == 0 {
        return Ok("a device can be made".into());
    }
    let error = io::Error::last_os_error();
    Err(no(
        format!("no device can be made ({error})"),
        "Run as root, or have root make one for you: ip tuntap add NAME mode tap user USER",
    ))
}

fn ping() -> Result<String, No> {
    let protocol = Some(rustix::net::ipproto::ICMP);
    match rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, protocol) {
        Ok(_) => Ok("this user may open them".into()),
        Err(error) => Err(no(
            format!("this user may not open them ({error})"),
            "Have root do: sysctl net.ipv4.ping_group_range=\"0 2147483647\"",
        )),
    }
}

fn ipv6() -> Result<String, No> {
    // Connecting a datagram socket sends nothing: it asks for a route.
    let global = std::net::SocketAddr::from(([0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x1111], 53));
    let route = std::net::UdpSocket::bind("[::]:0").and_then(|socket| socket.connect(global));
    match route {
        Ok(()) => Ok("the machine has a route to the internet".into()),
        Err(error) => Err(no(
            format!("the machine has no route to the internet ({error})"),
            "IPv4 is not affected.",
        )),
    }
}

fn nameservers() -> Result<String, No> {
    const PATH: &str = "/etc/resolv.conf";
    let text = std::fs::read_to_string(PATH).unwrap_or_default();
    let servers: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("nameserver"))
        .map(str::trim)
        .collect();
    if servers.is_empty() {
        return Err(no(
            format!("{PATH} names none"),
            "Add a line `nameserver ADDRESS` to it, or give --dns ADDRESS.",
        ));
    }
    Ok(format!("{PATH} names {}", servers.join(", ")))
}
