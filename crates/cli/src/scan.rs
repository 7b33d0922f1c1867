//! `sockeye scan`: which hosts answer and which of their ports are open, printed as nmap(1) does.
//!
//! [`probe`] sends, waits and repeats at the [`pace`] that answers allow; [`tcp`], [`udp`],
//! [`sctp`], [`dccp`] and [`echo`] are the probes, [`verdict`] is what their answers mean, [`table`] how it is shown.

mod dccp;
mod echo;
mod pace;
mod ports;
mod probe;
mod sctp;
mod table;
mod targets;
mod tcp;
mod udp;
mod verdict;

use crate::options::{NodeOptions, seconds};
use crate::{node, report};
use anyhow::{Result, anyhow};
use indicatif::{ProgressBar, ProgressStyle};
use pace::Pace;
pub(crate) use ports::Services;
use probe::{Answer, Prober};
use serde::Serialize;
use sockeye::Node;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use table::{Host, Port};
use targets::Target;
use verdict::{Method, Reason, State};

/// Find out which hosts answer and which of their ports are open
///
/// States and reasons are nmap's: open, closed, filtered (no answer, or an ICMP error), unfiltered
/// (by --ack), open|filtered (no answer to a datagram). Of a network only the hosts that answer an
/// echo request are scanned, unless --no-ping. Scan only what you may.
/// Exit status: 0 when something is open (with --ping: a host is up), 1 when nothing is, 2 on an
/// error.
#[derive(Debug, clap::Args)]
pub(crate) struct Scan {
    /// Ask by a bare SYN, and reset what answers: needs raw sockets (the default)
    #[arg(short = 'S', long, group = "method")]
    syn: bool,

    /// Ask by whole connections
    #[arg(short = 'T', long, group = "method")]
    connect: bool,

    /// Ask by datagrams
    #[arg(short = 'U', long, group = "method")]
    udp: bool,

    /// Ask for ports of SCTP by a bare INIT: needs raw sockets
    #[arg(short = 'Y', long, group = "method")]
    sctp: bool,

    /// Ask for ports of DCCP by a bare Request: needs raw sockets
    #[arg(long, group = "method")]
    dccp: bool,

    /// Ask by a bare ACK whether a port is filtered at all: needs raw sockets
    #[arg(short = 'A', long, group = "method")]
    ack: bool,

    /// Ask for no ports, only whether the hosts answer echo requests
    #[arg(long, group = "method")]
    ping: bool,

    /// The ports: numbers, ranges and names, as in 22,http,8000-8100 or - for all
    ///
    /// Without it: 1 to 1023, and all that /etc/services names.
    #[arg(
        short,
        long,
        value_name = "PORTS",
        conflicts_with = "ping",
        allow_hyphen_values = true
    )]
    ports: Option<String>,

    /// Scan the hosts of a network whether they answer echo requests or not
    #[arg(long, conflicts_with = "ping")]
    no_ping: bool,

    /// Probes a second, at the most
    #[arg(long, value_name = "N", default_value = "1000", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: u32,

    /// How often a probe without an answer is sent again; more often where answers come late
    #[arg(long, value_name = "N", default_value = "2", value_parser = clap::value_parser!(u32).range(..=10))]
    retries: u32,

    /// How long to wait for an answer at the most; less where the round trips are short
    #[arg(short, long, value_name = "SECONDS", default_value = "3", value_parser = seconds)]
    wait: Duration,

    /// Say why each port is thought to be so
    #[arg(long)]
    reason: bool,

    /// Print one JSON document at the end
    #[arg(long)]
    json: bool,

    /// The hosts: addresses, names, networks like 192.0.2.0/24
    #[arg(value_name = "HOST", required = true)]
    hosts: Vec<String>,

    #[command(flatten)]
    node: NodeOptions,
}

/// What is known at the end.
#[derive(Debug, Serialize)]
struct Summary {
    hosts: Vec<Host>,
    elapsed_s: f64,
}

impl Scan {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let method = self.method();
        let services = Services::of(method.protocol());
        let ports = match &self.ports {
            Some(text) => ports::parse(text, &services).map_err(|error| anyhow!(error))?,
            None => services.usual(),
        };
        let node = node::start(&self.node)?;
        let started = Instant::now();
        let (mut targets, networks) = targets::resolve(&node, &self.hosts)?;
        let total = targets.len();
        let mut hosts = Vec::new();
        if method == Method::Echo || networks && !self.no_ping {
            let swept = self.sweep(&node, &targets)?;
            targets.retain(|target| swept.iter().any(|h| h.up && h.address == target.address));
            hosts = swept;
        }
        if method != Method::Echo {
            hosts.clear();
            let bar = self.bar(targets.len() * ports.len(), "ports");
            for target in &targets {
                let host = self.ask(&node, method, target, &ports, &services, &bar)?;
                if !self.json {
                    bar.suspend(|| writeln!(io::stdout(), "{host}"))?;
                }
                hosts.push(host);
            }
            bar.finish_and_clear();
        } else if !self.json {
            for host in hosts.iter().filter(|host| host.up) {
                write!(io::stdout(), "{host}")?;
            }
        }
        let elapsed = started.elapsed();
        let up = hosts.iter().filter(|host| host.up).count();
        let open = |port: &Port| matches!(port.state, State::Open | State::Unfiltered);
        let found = match method {
            Method::Echo => up > 0,
            _ => hosts.iter().flat_map(|host| &host.ports).any(open),
        };
        if self.json {
            let elapsed_s = elapsed.as_secs_f64();
            report::document("scan", &Summary { hosts, elapsed_s })?;
        } else {
            let addresses = if total == 1 { "address" } else { "addresses" };
            let are = if up == 1 { "host" } else { "hosts" };
            writeln!(
                io::stdout(),
                "{total} IP {addresses} ({up} {are} up) scanned in {:.2} seconds",
                elapsed.as_secs_f64()
            )?;
        }
        Ok(ExitCode::from(if found { 0 } else { report::NO_RESULT }))
    }

    fn method(&self) -> Method {
        let Self {
            syn: _,
            connect,
            udp,
            ack,
            ping,
            sctp,
            dccp,
            ..
        } = *self;
        if sctp {
            return Method::Sctp;
        }
        if dccp {
            return Method::Dccp;
        }
        match (connect, udp, ack, ping) {
            (true, ..) => Method::Connect,
            (_, true, ..) => Method::Udp,
            (_, _, true, _) => Method::Ack,
            (.., true) => Method::Echo,
            _ => Method::Syn,
        }
    }

    fn pace(&self) -> Pace {
        Pace::new(self.rate, self.retries, self.wait, Instant::now())
    }

    /// A bar on the standard error, where that is a terminal.
    fn bar(&self, total: usize, what: &'static str) -> ProgressBar {
        let bar = ProgressBar::new(total as u64).with_message(what);
        let template = "{elapsed_precise} [{bar:30}] {pos}/{len} {msg}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar
    }

    /// Which of the targets answer echo requests.
    fn sweep(&self, node: &Node, targets: &[Target]) -> Result<Vec<Host>> {
        let bar = self.bar(targets.len(), "hosts");
        let mut prober = echo::Echo::new(node, targets)?;
        let order = (0..targets.len()).collect();
        let mut pace = self.pace();
        let answers = probe::ask(&mut prober, Method::Echo, order, &mut pace, |_| bar.inc(1))?;
        bar.finish_and_clear();
        let host = |(target, answer): (&Target, Answer)| Host {
            address: target.address,
            name: target.name.clone(),
            up: answer.state == State::Open,
            reason: Some(answer.reason),
            latency_ms: answer.time.map(milliseconds),
            ports: Vec::new(),
            shows_reasons: self.reason,
        };
        Ok(targets.iter().zip(answers).map(host).collect())
    }

    /// The ports of one host.
    fn ask(
        &self,
        node: &Node,
        method: Method,
        target: &Target,
        ports: &[u16],
        services: &Services,
        bar: &ProgressBar,
    ) -> Result<Host> {
        let address = target.address;
        let mut prober: Box<dyn Prober> = match method {
            Method::Connect => Box::new(tcp::Connect::new(node, address, ports)),
            Method::Dccp => Box::new(dccp::Request::new(node, address, ports)?),
            Method::Sctp => Box::new(sctp::Init::new(node, address, ports)?),
            Method::Udp => Box::new(udp::Udp::new(node, address, ports)?),
            _ => Box::new(tcp::Bare::new(node, method, address, ports)?),
        };
        let mut pace = self.pace();
        let order = shuffled(ports.len(), node)?;
        let answers = probe::ask(&mut *prober, method, order, &mut pace, |_| bar.inc(1))?;
        let port = |(&port, answer): (&u16, &Answer)| Port {
            port,
            protocol: method.protocol(),
            state: answer.state,
            reason: answer.reason,
            service: services.name(port).map(str::to_owned),
        };
        let says_something = |answer: &Answer| {
            use Reason::{
                Abort, BadService, ConnRefused, Connected, InitAck, PortUnreach, Reset, Response,
                Syn, SynAck, TooBusy, UdpResponse,
            };
            let own = [
                Abort,
                BadService,
                Response,
                TooBusy,
                InitAck,
                ConnRefused,
                Connected,
                PortUnreach,
                Reset,
                Syn,
                SynAck,
                UdpResponse,
            ];
            own.contains(&answer.reason)
        };
        Ok(Host {
            address,
            name: target.name.clone(),
            up: answers.iter().any(says_something),
            reason: None,
            latency_ms: pace.latency().map(milliseconds),
            ports: ports.iter().zip(&answers).map(port).collect(),
            shows_reasons: self.reason,
        })
    }
}

/// To the microsecond.
fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// The numbers below `len` in an order that chance gives: no part of a host is asked all at once.
fn shuffled(len: usize, node: &Node) -> Result<Vec<usize>> {
    let mut order: Vec<usize> = (0..len).collect();
    for last in (1..len).rev() {
        let other = node.random()? % (last as u64 + 1);
        order.swap(last, usize::try_from(other)?);
    }
    Ok(order)
}
