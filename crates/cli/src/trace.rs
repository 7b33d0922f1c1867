//! `sockeye trace`: the routers on the way to a host, printed as traceroute(8) does.
//!
//! Probes leave with a growing time to live. UDP and ICMP probes hear of the routers by their own
//! error queues; a TCP probe is a SYN, whose errors a raw socket hears.

mod probe;

use crate::options::{NodeOptions, seconds};
use crate::{node, report};
use anyhow::Result;
use probe::{Answer, Kind, Prober, What};
use serde::Serialize;
use std::io::{self, Write};
use std::net::IpAddr;
use std::process::ExitCode;
use std::time::Duration;

/// Show the routers on the way to a host
///
/// Each line is one hop: who answered, and each probe's round trip. `*`: no answer came; `!H`, `!N`,
/// `!P`, `!X`: the host, network or protocol can't be reached, or somebody forbids it.
/// Exit status: 0 when the host was reached, 1 when it was not, 2 on an error.
#[derive(Debug, clap::Args)]
pub(crate) struct Trace {
    /// Probe by ICMP echo requests
    #[arg(short = 'I', long, conflicts_with = "tcp")]
    icmp: bool,

    /// Probe by TCP SYNs
    #[arg(short = 'T', long)]
    tcp: bool,

    /// The port: of TCP probes (80 unless said), or of the first UDP probe (33434); each further UDP
    /// probe has the next one
    #[arg(short, long, value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,

    /// The first time to live
    #[arg(short, long, value_name = "TTL", default_value = "1", value_parser = clap::value_parser!(u8).range(1..))]
    first: u8,

    /// The last time to live
    #[arg(short, long, value_name = "TTL", default_value = "30", value_parser = clap::value_parser!(u8).range(1..))]
    max: u8,

    /// Probes for each hop
    #[arg(short, long, value_name = "N", default_value = "3", value_parser = clap::value_parser!(u8).range(1..=10))]
    queries: u8,

    /// Seconds to wait for the answers of a hop
    #[arg(short, long, value_name = "SECONDS", default_value = "3", value_parser = seconds)]
    wait: Duration,

    /// Print one JSON document at the end
    #[arg(long)]
    json: bool,

    /// The host: an address or a name
    #[arg(value_name = "HOST")]
    host: String,

    #[command(flatten)]
    node: NodeOptions,
}

/// One time to live.
#[derive(Debug, Serialize)]
struct Hop {
    ttl: u8,
    /// In the order of the probes; null where none came.
    answers: Vec<Option<Answer>>,
}

/// What is known at the end.
#[derive(Debug, Serialize)]
struct Path<'a> {
    host: &'a str,
    address: IpAddr,
    reached: bool,
    hops: Vec<Hop>,
}

impl Trace {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let node = node::start(&self.node)?;
        let address = node::resolve_one(&node, &self.host)?;
        let kind = match (self.icmp, self.tcp) {
            (true, _) => Kind::Icmp,
            (_, true) => Kind::Tcp,
            _ => Kind::Udp,
        };
        let mut path = Path {
            host: &self.host,
            address,
            reached: false,
            hops: Vec::new(),
        };
        let mut prober = Prober::new(&node, kind, address, self.port)?;
        if !self.json {
            let (host, max) = (&self.host, self.max);
            writeln!(io::stdout(), "trace to {host} ({address}), {max} hops max")?;
        }
        for ttl in self.first..=self.max {
            let answers = prober.ask(ttl, self.queries.into(), self.wait)?;
            let hop = Hop { ttl, answers };
            if !self.json {
                writeln!(io::stdout(), "{}", hop.line())?;
            }
            path.reached = hop.is(What::Reached);
            // Who can't be reached by one probe is not by the next ones.
            let over = path.reached || hop.answers.iter().flatten().any(Answer::ends);
            path.hops.push(hop);
            if over {
                break;
            }
        }
        if self.json {
            report::document("trace", &path)?;
        }
        let status = if path.reached { 0 } else { report::NO_RESULT };
        Ok(ExitCode::from(status))
    }
}

impl Hop {
    fn is(&self, what: What) -> bool {
        self.answers
            .iter()
            .flatten()
            .any(|answer| answer.what == what)
    }

    /// As traceroute(8) prints it: an address stands for the answers behind it, up to the next one.
    fn line(&self) -> String {
        let mut line = format!("{:2} ", self.ttl);
        let mut last = None;
        for answer in &self.answers {
            let Some(answer) = answer else {
                line.push_str(" *");
                continue;
            };
            if last.replace(answer.from) != Some(answer.from) {
                line.push_str(&format!(" {}", answer.from));
            }
            line.push_str(&format!("  {:.3} ms", answer.ms));
            if let Some(mark) = answer.what.mark() {
                line.push_str(&format!(" {mark}"));
            }
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hops_read_as_those_of_traceroute() {
        let answer = |from: &str, ms, what| {
            Some(Answer {
                from: from.parse().unwrap(),
                ms,
                what,
            })
        };
        let passed = What::Passed;
        let hop = |answers| Hop { ttl: 3, answers }.line();
        assert_eq!(
            hop(vec![
                answer("192.0.2.1", 1.0, passed),
                answer("192.0.2.1", 2.5, passed),
                None
            ]),
            " 3  192.0.2.1  1.000 ms  2.500 ms *"
        );
        assert_eq!(
            hop(vec![
                None,
                answer("192.0.2.1", 1.0, passed),
                answer("192.0.2.2", 1.0, What::HostUnreachable)
            ]),
            " 3  * 192.0.2.1  1.000 ms 192.0.2.2  1.000 ms !H"
        );
    }
}
