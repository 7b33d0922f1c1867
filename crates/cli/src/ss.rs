//! `sockeye ss`: the sockets of the nodes that run, as ss(8) shows the kernel's.

mod filter;
mod show;

use crate::control::{self, Row, Snapshot};
use crate::report;
use anyhow::Result;
use filter::Filter;
use std::io::{self, Write as _};
use std::process::ExitCode;

/// List the sockets of running nodes
///
/// Of `sockeye run` and every other command with a node that the user has.
/// Columns and flags are those of ss(8). Without -a or -l, what listens and what is not connected is
/// left out; without a kind, every kind is shown. A program's Unix sockets are the kernel's: ss(8) shows
/// them.
#[derive(Debug, clap::Args)]
#[command(override_usage = "sockeye ss [OPTIONS] [FILTER...]")]
pub(crate) struct Ss {
    /// TCP sockets
    #[arg(short, long)]
    tcp: bool,

    /// UDP and UDP-Lite sockets
    #[arg(short, long)]
    udp: bool,

    /// Raw, packet and ping sockets
    #[arg(short = 'w', long)]
    raw: bool,

    /// SCTP sockets
    #[arg(short = 'S', long)]
    sctp: bool,

    /// DCCP sockets
    #[arg(short, long)]
    dccp: bool,

    /// Those that listen and those that do not
    #[arg(short, long)]
    all: bool,

    /// Those alone that listen, or wait for anybody
    #[arg(short, long, conflicts_with = "all")]
    listening: bool,

    /// IPv4 alone
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    ipv4: bool,

    /// IPv6 alone
    #[arg(short = '6', long)]
    ipv6: bool,

    /// Ports as numbers
    #[arg(short, long)]
    numeric: bool,

    /// Add the figures of TCP_INFO
    #[arg(short, long)]
    info: bool,

    /// Add the timers
    #[arg(short, long)]
    options: bool,

    /// Add the memory of TCP connections' queues
    #[arg(short, long)]
    memory: bool,

    /// Add the process that the node lives in
    #[arg(short, long)]
    processes: bool,

    /// Leave the heading out
    #[arg(short = 'H', long)]
    no_header: bool,

    /// Print JSON: a list of nodes, each with its process and its sockets
    #[arg(long)]
    json: bool,

    /// state NAME, exclude NAME, src ADDRESS, dst ADDRESS, sport = :PORT, dport = :PORT; all have to hold
    #[arg(value_name = "FILTER")]
    filter: Vec<String>,
}

impl Ss {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let filter = Filter::parse(&self.filter)?;
        let mut nodes = control::ask_all()?;
        for node in &mut nodes {
            node.sockets
                .retain(|row| self.wants(row, &filter) && filter.admits(row));
            node.sockets.sort_by(|a, b| order(a).cmp(&order(b)));
        }
        if self.json {
            report::json(&nodes)?;
        } else {
            self.print(&nodes)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Whether the options ask for it.
    fn wants(&self, row: &Row, filter: &Filter) -> bool {
        let kinds = [
            (self.tcp, &["tcp"][..]),
            (self.udp, &["udp", "udpl"]),
            (self.raw, &["raw", "p_raw", "icmp"]),
            (self.sctp, &["sctp"]),
            (self.dccp, &["dccp"]),
        ];
        let any = kinds.iter().all(|(on, _)| !on);
        let kind = any
            || kinds
                .iter()
                .any(|(on, names)| *on && names.contains(&row.netid.as_str()));
        let family = match (self.ipv4, self.ipv6) {
            (true, _) => row.local.is_ipv4(),
            (_, true) => row.local.is_ipv6(),
            _ => true,
        };
        // "Waiting for anybody" is a state of datagram sockets, and no other is asked for by -l.
        let listens = ["LISTEN", "UNCONN"].contains(&row.state.as_str());
        let state = filter.names_states() || self.all || listens == self.listening;
        kind && family && state
    }

    fn print(&self, nodes: &[Snapshot]) -> Result<()> {
        let shown = show::Shown {
            numeric: self.numeric,
            info: self.info,
            timers: self.options,
            memory: self.memory,
            processes: self.processes,
            heading: !self.no_header,
        };
        let mut out = io::stdout().lock();
        out.write_all(show::table(nodes, &shown).as_bytes())?;
        Ok(())
    }
}

/// Kinds together, what listens first.
fn order(
    row: &Row,
) -> (
    &str,
    bool,
    std::net::SocketAddr,
    Option<std::net::SocketAddr>,
    u64,
) {
    let connected = row.peer.is_some();
    (&row.netid, connected, row.local, row.peer, row.cookie)
}
