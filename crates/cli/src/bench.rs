//! `sockeye bench`: what the transports carry, between two nodes of this process.

mod flow;
mod pattern;
mod tally;

use crate::report;
use anyhow::{Context, Result, bail};
use flow::{Ends, Plan};
use indicatif::ProgressBar;
use serde::Serialize;
use sockeye::drivers::netem::NetemConfig;
use sockeye::drivers::{MemoryConfig, MemoryLink, Netem};
use sockeye::link::Link;
use sockeye::{LinkConfig, Node};
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tally::{RoundTrips, Tally};

/// Bytes of a message where nothing is said: of bulk, of datagrams, and of a round trip.
const BULK: usize = 16 * 1024;
const DATAGRAM: usize = 1200;
const PINGPONG: usize = 64;
/// The longest message, that of a UDP datagram over IPv4 among them.
const SIZE_MAX: u64 = 65_507;
/// How often the progress is shown.
const REFRESH: Duration = Duration::from_millis(200);

/// Measure what a transport carries between two nodes of this process
///
/// Both nodes are made for it and joined by a link in memory, which --loss and --delay make worse. Every
/// byte is compared with what was sent. Without --pingpong one side sends as fast as it can, and the
/// figures are those of what arrived; with it, one message goes to and fro.
///
/// Exit status: 0 when something arrived, 1 when nothing did, 2 on an error.
#[derive(Debug, clap::Args)]
pub(crate) struct Bench {
    #[command(flatten)]
    transports: Transports,

    /// Bytes of each message or write: 16384, of datagrams 1200, of a round trip 64 unless given
    #[arg(short, long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..=SIZE_MAX))]
    size: Option<u64>,

    /// Seconds to measure for
    #[arg(short, long, value_name = "SECONDS", default_value = "5", value_parser = crate::options::seconds)]
    time: Duration,

    /// Connections at once, each with a thread of its own at both ends
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    streams: u16,

    /// One message to and fro, instead of many one way
    #[arg(short, long)]
    pingpong: bool,

    /// Lose so many of a hundred packets, in each direction
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0, conflicts_with = "unix", value_parser = percent)]
    loss: f64,

    /// Delay each packet by so many milliseconds, in each direction
    #[arg(long, value_name = "MS", default_value_t = 0.0, conflicts_with = "unix", value_parser = millis)]
    delay: f64,

    /// Draw all chance from this number
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// Print one JSON document at the end
    #[arg(long)]
    json: bool,
}

/// What is spoken.
#[derive(Clone, Copy, Debug, clap::Args)]
#[group(multiple = false)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one flag of the command line each, of which one is set at most"
)]
struct Transports {
    /// TCP, which is measured unless another is named
    #[arg(long)]
    tcp: bool,
    /// UDP: what arrives of as many datagrams as can be sent
    #[arg(short, long)]
    udp: bool,
    /// SCTP: ordered messages
    #[arg(long)]
    sctp: bool,
    /// DCCP with CCID 2
    #[arg(long)]
    dccp: bool,
    /// A stream between two sockets within one node
    #[arg(long, id = "unix")]
    unix: bool,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Transport {
    Tcp,
    Udp,
    Sctp,
    Dccp,
    Unix,
}

impl Transport {
    /// Messages keep their boundaries.
    fn has_messages(self) -> bool {
        matches!(self, Self::Udp | Self::Sctp | Self::Dccp)
    }

    /// Messages may be lost, or overtake each other.
    fn loses(self) -> bool {
        matches!(self, Self::Udp | Self::Dccp)
    }
}

/// What came out.
#[derive(Debug, Serialize)]
struct Outcome {
    transport: Transport,
    size: usize,
    streams: u16,
    loss_percent: f64,
    delay_ms: f64,
    seconds: f64,
    bytes: u64,
    messages: u64,
    lost: u64,
    gigabits_per_second: f64,
    messages_per_second: f64,
    round_trips: Option<RoundTrips>,
}

impl Bench {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let transport = self.transports.chosen();
        let plan = Plan {
            transport,
            size: self.size_of(transport),
            pingpong: self.pingpong,
        };
        let nodes = self.nodes()?;
        let ends = (0..self.streams).map(|n| Ends::new(&plan, &nodes, n));
        let ends: Vec<Ends> = ends.collect::<Result<_>>()?;
        let tally = Arc::new(Tally::default());
        let begun = Instant::now();
        let threads: Vec<_> = ends
            .into_iter()
            .flat_map(|ends| ends.start(&plan, begun + self.time, &tally))
            .collect();
        self.watch(begun, &plan, &tally);
        for thread in threads {
            match thread.join() {
                Ok(done) => done?,
                Err(_) => bail!("a thread of the measurement panicked"),
            }
        }
        let outcome = self.outcome(&plan, begun, &tally);
        for node in [&nodes.0, &nodes.1] {
            node.shutdown(Duration::from_secs(1)).or_else(|error| {
                // What a datagram transport still held does not count.
                match error.kind() {
                    io::ErrorKind::TimedOut => Ok(()),
                    _ => Err(error),
                }
            })?;
        }
        match self.json {
            true => report::document("bench", &outcome)?,
            false => outcome.print()?,
        }
        Ok(ExitCode::from(match outcome.messages {
            0 => report::NO_RESULT,
            _ => 0,
        }))
    }

    fn size_of(&self, transport: Transport) -> usize {
        let given = self.size.and_then(|size| usize::try_from(size).ok());
        given.unwrap_or(match (self.pingpong, transport.loses()) {
            (true, _) => PINGPONG,
            (false, true) => DATAGRAM,
            (false, false) => BULK,
        })
    }

    /// Two nodes, joined by a link in memory.
    fn nodes(&self) -> Result<(Node, Node)> {
        let mut netem = NetemConfig::default();
        let words = [
            ("loss", self.loss > 0.0, format!("{}%", self.loss)),
            ("delay", self.delay > 0.0, format!("{}ms", self.delay)),
        ];
        for (key, _, value) in words.iter().filter(|(_, wanted, _)| *wanted) {
            netem.set(key, value)?;
        }
        let (one, other) = MemoryLink::pair_ip(MemoryConfig::default());
        // Both directions of the link are disturbed at one end.
        let one: Box<dyn Link> = match netem.is_transparent() {
            true => Box::new(one),
            false => Box::new(Netem::new(one, netem, self.seed)),
        };
        let node = |link, last: u8| -> Result<Node> {
            let mut seed = [last; 32];
            seed[..8].copy_from_slice(&self.seed.to_le_bytes());
            let config = LinkConfig::new().address(format!("192.0.2.{last}/24").parse()?);
            let node = Node::builder().seed(seed).link("mem0", link, config);
            node.build().context("the node does not start")
        };
        Ok((node(one, 1)?, node(Box::new(other), 2)?))
    }

    /// Shows on a terminal how it goes, until the time is over.
    fn watch(&self, begun: Instant, plan: &Plan, tally: &Tally) {
        let bar = match self.json {
            true => ProgressBar::hidden(),
            false => ProgressBar::new_spinner(),
        };
        while begun.elapsed() < self.time && !tally.has_failed() {
            std::thread::sleep(REFRESH.min(self.time.saturating_sub(begun.elapsed())));
            let seconds = begun.elapsed().as_secs_f64();
            let bytes = tally.bytes();
            bar.set_message(match plan.pingpong {
                true => format!(
                    "{seconds:.1} s  {:.0} round trips/s",
                    tally.messages() as f64 / seconds
                ),
                false => format!("{seconds:.1} s  {:.2} Gb/s", gigabits(bytes, seconds)),
            });
            bar.tick();
        }
        bar.finish_and_clear();
    }

    fn outcome(&self, plan: &Plan, begun: Instant, tally: &Tally) -> Outcome {
        let last = tally.last_arrival().unwrap_or(begun);
        let seconds = last.saturating_duration_since(begun).as_secs_f64();
        let bytes = tally.bytes();
        let messages = match plan.transport.has_messages() || plan.pingpong {
            true => tally.messages(),
            // Of a stream, writes.
            false => bytes / plan.size as u64,
        };
        let rate = |count: f64| if seconds > 0.0 { count / seconds } else { 0.0 };
        Outcome {
            transport: plan.transport,
            size: plan.size,
            streams: self.streams,
            loss_percent: self.loss,
            delay_ms: self.delay,
            seconds,
            bytes,
            messages,
            lost: tally.sent().saturating_sub(tally.messages()) * u64::from(plan.transport.loses()),
            gigabits_per_second: if seconds > 0.0 {
                gigabits(bytes, seconds)
            } else {
                0.0
            },
            messages_per_second: rate(messages as f64),
            round_trips: plan.pingpong.then(|| tally.round_trips(seconds)),
        }
    }
}

impl Transports {
    fn chosen(self) -> Transport {
        match (self.udp, self.sctp, self.dccp, self.unix) {
            (true, ..) => Transport::Udp,
            (_, true, ..) => Transport::Sctp,
            (_, _, true, _) => Transport::Dccp,
            (.., true) => Transport::Unix,
            _ => Transport::Tcp,
        }
    }
}

impl Outcome {
    fn print(&self) -> Result<()> {
        let mut out = io::stdout().lock();
        let name = format!("{:?}", self.transport).to_uppercase();
        let many = match self.streams {
            1 => String::new(),
            n => format!(", {n} connections"),
        };
        writeln!(out, "{name}, {} bytes each{many}", self.size)?;
        match &self.round_trips {
            Some(trips) => {
                writeln!(
                    out,
                    "{} round trips in {:.2} s: {:.0}/s",
                    trips.count, self.seconds, trips.per_second
                )?;
                writeln!(
                    out,
                    "min {:.1} µs, median {:.1}, 90% {:.1}, 99% {:.1}, 99.9% {:.1}, max {:.1}",
                    trips.min, trips.p50, trips.p90, trips.p99, trips.p999, trips.max
                )?;
            }
            None => {
                writeln!(
                    out,
                    "{} bytes in {:.2} s: {:.3} Gb/s, {:.0} messages/s",
                    self.bytes, self.seconds, self.gigabits_per_second, self.messages_per_second
                )?;
            }
        }
        if self.transport.loses() {
            writeln!(out, "{} lost", self.lost)?;
        }
        Ok(())
    }
}

fn gigabits(bytes: u64, seconds: f64) -> f64 {
    bytes as f64 * 8.0 / 1e9 / seconds
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|n| (0.0..=100.0).contains(n));
    number.ok_or_else(|| format!("'{text}' is no percentage: 0 to 100, such as 0.5"))
}

fn millis(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|n| (0.0..=60_000.0).contains(n));
    number.ok_or_else(|| format!("'{text}' is no delay: 0 to 60000 milliseconds, such as 2.5"))
}
