//! `sockeye ping`: ICMP echo from the node, printed as ping(8) does.

use crate::options::{NodeOptions, seconds};
use crate::{node, report};
use anyhow::Result;
use serde::Serialize;
use sockeye::net::IcmpSocket;
use sockeye::{MessageFlags, Received};
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Bytes of an echo's header: type, code, checksum, identifier, sequence number.
const ECHO_HEADER_LEN: usize = 8;
/// ICMP and ICMPv6 types.
const ECHO_REQUEST_V4: u8 = 8;
const ECHO_REPLY_V4: u8 = 0;
const ECHO_REQUEST_V6: u8 = 128;
const ECHO_REPLY_V6: u8 = 129;
/// How long a wait may be before the interrupt is looked at.
const PATIENCE: Duration = Duration::from_millis(100);

/// Send ICMP echo requests from the node and report the replies
///
/// Exit status: 0 when a reply came, 1 when none did, 2 on an error.
#[derive(Debug, clap::Args)]
pub(crate) struct Ping {
    /// Stop after so many requests
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    count: Option<u16>,

    /// Seconds between requests
    #[arg(short, long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    interval: Duration,

    /// Bytes of data in each request
    #[arg(short, long, value_name = "BYTES", default_value = "56", value_parser = clap::value_parser!(u16).range(..=65_507))]
    size: u16,

    /// Time to live or hop limit of the requests
    #[arg(short, long, value_parser = clap::value_parser!(u8).range(1..))]
    ttl: Option<u8>,

    /// Seconds to wait for each reply
    #[arg(short = 'W', long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    timeout: Duration,

    /// Print one JSON document at the end
    #[arg(long)]
    json: bool,

    /// The host to ping: an address or a name
    #[arg(value_name = "HOST")]
    host: String,

    #[command(flatten)]
    node: NodeOptions,
}

impl Ping {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let node = node::start(&self.node)?;
        let address = node::resolve_one(&node, &self.host)?;
        let any = match address {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let socket = IcmpSocket::bind_on(&node, any)?;
        if let Some(ttl) = self.ttl {
            socket.set_ttl(ttl.into())?;
        }
        catch_interrupt();
        let mut session = Session::new(&self, socket, address);
        session.header()?;
        session.ping()?;
        let Session { statistics, .. } = session;
        if self.json {
            report::document("ping", &statistics)?;
        } else {
            write!(io::stdout(), "{statistics}")?;
        }
        let replied = statistics.received > 0;
        Ok(ExitCode::from(if replied { 0 } else { report::NO_RESULT }))
    }
}

/// Requests under way.
struct Session<'a> {
    options: &'a Ping,
    socket: IcmpSocket,
    address: IpAddr,
    started: Instant,
    /// When each request was sent, by its number; those that were answered stay for duplicates.
    sent: BTreeMap<u16, (Instant, bool)>,
    statistics: Statistics,
}

impl<'a> Session<'a> {
    fn new(options: &'a Ping, socket: IcmpSocket, address: IpAddr) -> Self {
        Self {
            options,
            socket,
            address,
            started: Instant::now(),
            sent: BTreeMap::new(),
            statistics: Statistics {
                host: options.host.clone(),
                address,
                transmitted: 0,
                received: 0,
                duplicates: 0,
                errors: 0,
                elapsed: Duration::ZERO,
                round_trips_ms: Vec::new(),
            },
        }
    }

    fn header(&self) -> io::Result<()> {
        let Ping {
            host, size, json, ..
        } = self.options;
        if *json {
            return Ok(());
        }
        writeln!(
            io::stdout(),
            "PING {host} ({}) {size} data bytes",
            self.address
        )
    }

    /// Sends and receives until the last reply came, or the last one's time is over.
    fn ping(&mut self) -> Result<()> {
        let Ping {
            count,
            interval,
            timeout,
            ..
        } = *self.options;
        let mut next = self.started;
        let mut end = None;
        while !INTERRUPTED.load(Ordering::Relaxed) {
            let now = Instant::now();
            if end.is_none() && now >= next {
                self.send(now)?;
                next += interval;
                if count.is_some_and(|count| self.statistics.transmitted >= count.into()) {
                    end = Some(now + timeout);
                }
            }
            let answered = self.statistics.received + self.statistics.errors;
            let finished = answered >= self.statistics.transmitted;
            if end.is_some_and(|end| finished || now >= end) {
                break;
            }
            self.receive(end.unwrap_or(next))?;
        }
        self.statistics.elapsed = self.started.elapsed();
        Ok(())
    }

    fn send(&mut self, now: Instant) -> Result<()> {
        let number = u16::try_from(self.statistics.transmitted % 0x1_0000).unwrap_or(0);
        let number = number.wrapping_add(1);
        let mut message = vec![0; ECHO_HEADER_LEN];
        message[0] = match self.address {
            IpAddr::V4(_) => ECHO_REQUEST_V4,
            IpAddr::V6(_) => ECHO_REQUEST_V6,
        };
        message[6..8].copy_from_slice(&number.to_be_bytes());
        let data = (0..=u8::MAX).cycle().take(self.options.size.into());
        message.extend(data);
        self.sent.insert(number, (now, false));
        self.statistics.transmitted += 1;
        match self.socket.send_to(&message, self.address) {
            Ok(_) => Ok(()),
            Err(error) => self.failed(&error),
        }
    }

    /// Waits for one reply, at most until `until`.
    fn receive(&mut self, until: Instant) -> Result<()> {
        let wait = until.saturating_duration_since(Instant::now());
        let wait = wait.clamp(Duration::from_millis(1), PATIENCE);
        self.socket.set_read_timeout(Some(wait))?;
        let mut buffer = vec![0; 65_536];
        let flags = MessageFlags::empty();
        match self.socket.as_socket().recv_from_with(&mut buffer, flags) {
            Ok(reply) => self.reply(&buffer[..reply.len], &reply),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) => self.failed(&error),
        }
    }

    fn reply(&mut self, message: &[u8], received: &Received) -> Result<()> {
        let [ECHO_REPLY_V4 | ECHO_REPLY_V6, 0, _, _, _, _, high, low, ..] = *message else {
            return Ok(());
        };
        let number = u16::from_be_bytes([high, low]);
        let Some((sent, answered)) = self.sent.get_mut(&number) else {
            return Ok(());
        };
        // Milliseconds to the microsecond.
        let time = (sent.elapsed().as_secs_f64() * 1e6).round() / 1e3;
        let duplicate = std::mem::replace(answered, true);
        if duplicate {
            self.statistics.duplicates += 1;
        } else {
            self.statistics.received += 1;
            self.statistics.round_trips_ms.push(time);
        }
        if self.options.json {
            return Ok(());
        }
        let length = message.len();
        let Received { from, ttl, .. } = received;
        let from = from.ip();
        let note = if duplicate { " (DUP!)" } else { "" };
        writeln!(
            io::stdout(),
            "{length} bytes from {from}: icmp_seq={number} ttl={ttl} time={time:.3} ms{note}"
        )?;
        Ok(())
    }

    fn failed(&mut self, error: &io::Error) -> Result<()> {
        self.statistics.errors += 1;
        writeln!(io::stderr(), "sockeye: {}: {error}", self.address)?;
        Ok(())
    }
}

/// Set by the interrupt: the statistics are printed then.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

extern "C" fn interrupted(_signal: libc::c_int) {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

fn catch_interrupt() {
    // SAFETY: the handler only stores to an atomic, which is async-signal-safe, and lives as long
    // as the process.
    unsafe {
        libc::signal(libc::SIGINT, interrupted as *const () as libc::sighandler_t);
    }
}

/// What is known at the end.
#[derive(Debug, Serialize)]
struct Statistics {
    host: String,
    address: IpAddr,
    transmitted: u32,
    received: u32,
    duplicates: u32,
    errors: u32,
    #[serde(skip)]
    elapsed: Duration,
    /// Milliseconds, in the order the replies came.
    round_trips_ms: Vec<f64>,
}

impl Statistics {
    /// Percent of the requests without a reply.
    fn loss(&self) -> f64 {
        let lost = self.transmitted.saturating_sub(self.received);
        f64::from(lost) * 100.0 / f64::from(self.transmitted.max(1))
    }

    /// Minimum, average, maximum and deviation of the round trips in milliseconds.
    fn summary(&self) -> Option<[f64; 4]> {
        let times = &self.round_trips_ms;
        let count = f64::from(u32::try_from(times.len()).ok().filter(|n| *n > 0)?);
        let min = times.iter().copied().fold(f64::INFINITY, f64::min);
        let max = times.iter().copied().fold(0.0, f64::max);
        let average = times.iter().sum::<f64>() / count;
        let square = times.iter().map(|t| t * t).sum::<f64>() / count;
        let deviation = (square - average * average).max(0.0).sqrt();
        Some([min, average, max, deviation])
    }
}

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            host,
            transmitted,
            received,
            duplicates,
            errors,
            ..
        } = self;
        writeln!(f, "\n--- {host} ping statistics ---")?;
        write!(
            f,
            "{transmitted} packets transmitted, {received} received, "
        )?;
        if *duplicates > 0 {
            write!(f, "+{duplicates} duplicates, ")?;
        }
        if *errors > 0 {
            write!(f, "+{errors} errors, ")?;
        }
        let loss = (self.loss() * 1e4).round() / 1e4;
        writeln!(
            f,
            "{loss}% packet loss, time {}ms",
            self.elapsed.as_millis()
        )?;
        if let Some([min, average, max, deviation]) = self.summary() {
            writeln!(
                f,
                "rtt min/avg/max/mdev = {min:.3}/{average:.3}/{max:.3}/{deviation:.3} ms"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_read_as_those_of_ping() {
        let statistics = Statistics {
            host: "10.0.2.2".into(),
            address: "10.0.2.2".parse().unwrap(),
            transmitted: 3,
            received: 2,
            duplicates: 0,
            errors: 0,
            elapsed: Duration::from_millis(2003),
            round_trips_ms: vec![1.0, 3.0],
        };
        assert_eq!(
            statistics.to_string(),
            "\n--- 10.0.2.2 ping statistics ---\n\
             3 packets transmitted, 2 received, 33.3333% packet loss, time 2003ms\n\
             rtt min/avg/max/mdev = 1.000/2.000/3.000/1.000 ms\n"
        );
    }
}
