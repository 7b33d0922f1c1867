//! What connections cost when there are many: from ten to a million, both ends in this process, in
//! virtual time. Prints a table, and writes `target/million.json` and a chart, `target/million.svg`.

#[path = "../idle/counting.rs"]
mod counting;

use anyhow::{Context, Result, ensure};
use counting::{CountingAllocator, live};
use serde::Serialize;
use sockeye_cost::crowd::Crowd;
use std::fmt::Write as _;
use std::time::Instant;

#[global_allocator]
static HEAP: CountingAllocator = CountingAllocator;

/// Connections at which it is measured.
const COUNTS: [usize; 6] = [10, 100, 1000, 10_000, 100_000, 1_000_000];
/// Exchanges of one byte on ten of them, and how often that is timed.
const EXCHANGES: usize = 5000;
const ROUNDS: usize = 9;
/// What both ends of a million may take, bytes of resident memory: 1.2 GiB.
const RESIDENT_MAX: usize = (6 << 30) / 5;

/// A part of the chart: its title, and what of a row it shows.
type Panel = (&'static str, fn(&Row) -> f64);

#[derive(Serialize, Debug)]
struct Row {
    connections: usize,
    /// Of the heap, of each end.
    bytes_per_end: usize,
    resident_bytes: usize,
    /// One byte there and one back, the least of the rounds.
    exchange_ns: f64,
}

fn main() -> Result<()> {
    let most = match std::env::args().nth(1) {
        Some(most) => most.parse().context("the most connections, a number")?,
        None => usize::MAX,
    };
    let empty = live();
    let mut crowd = Crowd::new(COUNTS[0]);
    let mut rows = Vec::new();
    println!("connections  bytes an end  resident MiB  ns an exchange");
    for connections in COUNTS.into_iter().filter(|count| *count <= most) {
        crowd.grow(connections);
        let row = Row {
            connections,
            bytes_per_end: (live() - empty) / (2 * connections),
            resident_bytes: resident()?,
            exchange_ns: exchange(&mut crowd),
        };
        println!(
            "{:>11}  {:>12}  {:>12}  {:>14.0}",
            row.connections,
            row.bytes_per_end,
            row.resident_bytes >> 20,
            row.exchange_ns
        );
        rows.push(row);
    }
    std::fs::create_dir_all("target")?;
    std::fs::write("target/million.json", serde_json::to_string_pretty(&rows)?)?;
    std::fs::write("target/million.svg", chart(&rows))?;
    println!("written: target/million.json, target/million.svg");
    let resident = rows.last().map_or(0, |row| row.resident_bytes);
    ensure!(
        resident <= RESIDENT_MAX,
        "{} MiB are resident, more than 1.2 GiB",
        resident >> 20
    );
    Ok(())
}

/// Nanoseconds that an exchange takes: the least of the rounds, since others use the machine, too.
fn exchange(crowd: &mut Crowd) -> f64 {
    let round = || {
        let began = Instant::now();
        crowd.exchange(EXCHANGES);
        began.elapsed().as_nanos() as f64 / EXCHANGES as f64
    };
    std::iter::repeat_with(round)
        .take(ROUNDS)
        .fold(f64::INFINITY, f64::min)
}

/// Bytes of this process that are in memory: proc_pid_status(5), VmRSS.
fn resident() -> Result<usize> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    Ok(kib.context("no VmRSS")?.parse::<usize>()? << 10)
}

/// Nanoseconds an exchange and bytes an end, over the number of connections.
fn chart(rows: &[Row]) -> String {
    const WIDTH: f64 = 640.0;
    const HEIGHT: f64 = 220.0;
    const LEFT: f64 = 70.0;
    const TOP: f64 = 40.0;
    let mut svg = String::from(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"740\" height=\"580\" \
         font-family=\"sans-serif\" font-size=\"12\">\n",
    );
    let panels: [Panel; 2] = [
        ("ns for a byte there and back", |row| row.exchange_ns),
        ("bytes of heap for each end", |row| row.bytes_per_end as f64),
    ];
    for (n, (title, value)) in panels.into_iter().enumerate() {
        let top = TOP + n as f64 * (HEIGHT + 60.0);
        let most = rows.iter().map(value).fold(1.0, f64::max) * 1.1;
        let decades = rows.len().saturating_sub(1).max(1) as f64;
        let at = |n: usize, row: &Row| {
            let x = LEFT + n as f64 / decades * (WIDTH - 20.0);
            (x, top + HEIGHT * (1.0 - value(row) / most))
        };
        let _ = writeln!(
            svg,
            "<text x=\"{LEFT}\" y=\"{}\">{title}</text>",
            top - 10.0
        );
        let _ = writeln!(
            svg,
            "<rect x=\"{LEFT}\" y=\"{top}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"none\" stroke=\"#999\"/>"
        );
        let points = rows.iter().enumerate().map(|(n, row)| at(n, row));
        let line: Vec<String> = points.map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"#06c\" stroke-width=\"2\"/>",
            line.join(" ")
        );
        for (n, row) in rows.iter().enumerate() {
            let (x, y) = at(n, row);
            let _ = writeln!(
                svg,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"#06c\"/>\
                 <text x=\"{x:.1}\" y=\"{:.1}\">{:.0}</text>\
                 <text x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
                y - 8.0,
                value(row),
                top + HEIGHT + 16.0,
                row.connections
            );
        }
    }
    svg + "</svg>\n"
}
