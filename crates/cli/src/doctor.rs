//! `sockeye doctor`: what this machine allows, and what to do about each 'no'.

use crate::report;
use anstyle::{AnsiColor, Style};
use anyhow::Result;
use serde::Serialize;
use sockeye::drivers::{af_packet, af_xdp};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::process::ExitCode;

/// How `sockeye_run` and this file call the devices of the kernel.
const TUN: &str = "TUN and TAP";

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
        let well = findings.iter().all(|f| f.works || !f.required);
        if self.json {
            let run_works = well;
            report::document(
                "doctor",
                &Report {
                    run_works,
                    findings,
                },
            )?;
        } else {
            print(&findings)?;
        }
        Ok(if well {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(report::NO_RESULT)
        })
    }
}

/// All of it.
#[derive(Debug, Serialize)]
struct Report {
    /// Whether `sockeye run` works here.
    run_works: bool,
    findings: Vec<Finding>,
}

/// What was found about one thing.
#[derive(Debug, Serialize)]
struct Finding {
    /// The thing.
    name: &'static str,
    /// What it is for.
    for_what: String,
    /// Whether it works here.
    works: bool,
    /// Whether `sockeye run` can do nothing without it.
    required: bool,
    /// What was seen.
    seen: String,
    /// What to do about a 'no'.
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
    let findings = sockeye_run::doctor::examine().into_iter();
    // Whether a device can be made is looked at more closely here.
    let findings = findings.filter(|finding| finding.name != TUN).map(of_run);
    let lan = "hosts beyond the virtual LAN of the link `user`";
    let devices = "links to the host's network: `--link tap:NAME`, `--link tun:NAME`";
    let interfaces = |kind| format!("links to the host's interfaces: `--link {kind}:IFACE`");
    findings
        .chain([
            optional(TUN, devices.to_owned(), tun()),
            optional("packet sockets", interfaces("packet"), packet()),
            optional("AF_XDP", interfaces("xdp"), xdp()),
            optional("IPv6", format!("reaches {lan} by IPv6"), ipv6()),
            optional("nameservers", format!("finds {lan} by name"), nameservers()),
        ])
        .collect()
}

fn of_run(finding: sockeye_run::doctor::Finding) -> Finding {
    let (seen, remedy) = finding
        .missing
        .map_or(("it is there".to_owned(), None), |missing| {
            (missing.reason, Some(missing.advice.to_owned()))
        });
    Finding {
        name: finding.name,
        for_what: finding.purpose.to_owned(),
        works: remedy.is_none(),
        required: !finding.optional,
        seen,
        remedy,
    }
}

fn optional(name: &'static str, for_what: String, result: Result<String, No>) -> Finding {
    let (works, seen, remedy) = match result {
        Ok(seen) => (true, seen, None),
        Err(No { seen, remedy }) => (false, seen, Some(remedy)),
    };
    Finding {
        name,
        for_what,
        works,
        required: false,
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
        let need = if *required {
            "`sockeye run` needs it"
        } else {
            "optional"
        };
        writeln!(
            out,
            "{style}{word}{style:#}  {name}: {for_what} ({need}); {seen}"
        )?;
        if let Some(remedy) = remedy {
            writeln!(out, "     {remedy}")?;
        }
    }
    Ok(())
}

fn tun() -> Result<String, No> {
    const PATH: &str = "/dev/net/tun";
    let file = File::options().read(true).write(true).open(PATH);
    let file = file.map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => no(
            format!("there is no {PATH}"),
            "have root do: modprobe tun; in a container, pass the device in",
        ),
        _ => no(
            format!("{PATH} can't be opened ({e})"),
            "run as root, or have root do: chmod 666 /dev/net/tun",
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
        "run as root, or have root make one for you: ip tuntap add NAME mode tap user USER",
    ))
}

fn packet() -> Result<String, No> {
    match af_packet::check() {
        Ok(()) => Ok("there can be one".into()),
        Err(error) => Err(no(
            format!("there can be none ({error})"),
            "run as root or with CAP_NET_RAW",
        )),
    }
}

fn xdp() -> Result<String, No> {
    match af_xdp::check() {
        Ok(()) => Ok("there can be a socket and its program".into()),
        Err(error) => Err(no(
            format!("there can be none ({error})"),
            "run as root, on a kernel with CONFIG_XDP_SOCKETS; packet sockets do without",
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
            "connect the host by IPv6; IPv4 is not affected",
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
            "add a line `nameserver ADDRESS` to it",
        ));
    }
    Ok(format!("{PATH} names {}", servers.join(", ")))
}
