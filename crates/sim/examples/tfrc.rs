//! TFRC by the equation of RFC 5348 §3.1, and both CCIDs beside TCP: a table on the standard output, and
//! a picture in the file that is named. `cargo xtask tfrc FILE.svg`.

use sockeye_sim::rates::{Tfrc, beside_tcp, equation, tfrc};
use std::error::Error;
use std::fmt::Write as _;
use std::time::Duration;

const LOSSES: [f64; 5] = [0.1, 0.3, 1.0, 2.5, 5.0];
const RTTS_MS: [u64; 2] = [10, 100];
const BOTTLENECKS: [&str; 3] = [
    "delay=5ms,rate=10mbit,limit=20",
    "delay=20ms,rate=10mbit,limit=50",
    "delay=50ms,rate=10mbit,limit=100",
];
const SIZE: f64 = 1400.0;
const PANEL: (f64, f64) = (300.0, 240.0);
const MARGIN: f64 = 60.0;

fn main() -> Result<(), Box<dyn Error>> {
    println!("| loss | RTT | sent, kB/s | loss event rate | equation, kB/s | sent / equation |");
    println!("|---|---|---|---|---|---|");
    let mut rows = Vec::new();
    for rtt_ms in RTTS_MS {
        for loss in LOSSES {
            let rtt = Duration::from_millis(rtt_ms);
            let measured = tfrc(loss, rtt, Duration::from_secs(60), 7)?;
            let Tfrc {
                rate,
                events,
                equation,
            } = measured;
            println!(
                "| {loss}% | {rtt_ms} ms | {:.0} | {:.3}% | {:.0} | {:.2} |",
                rate / 1e3,
                events * 100.0,
                equation / 1e3,
                rate / equation
            );
            rows.push((rtt_ms, loss, rate));
        }
    }
    println!("\n| bottleneck | CCID | TCP, Mbit/s | DCCP, Mbit/s | DCCP / TCP |");
    println!("|---|---|---|---|---|");
    for bottleneck in BOTTLENECKS {
        for ccid in [2, 3] {
            let [tcp, dccp] = beside_tcp(bottleneck, ccid, Duration::from_secs(120), 11)?;
            let ratio = dccp / tcp;
            println!("| {bottleneck} | {ccid} | {tcp:.2} | {dccp:.2} | {ratio:.2} |");
        }
    }
    if let Some(path) = std::env::args().nth(1) {
        std::fs::write(path, svg(&rows)?)?;
    }
    Ok(())
}

/// Loss to the right, rate upwards, both logarithmic: the equation as a line, what was sent as dots.
fn svg(rows: &[(u64, f64, f64)]) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    let width = MARGIN + (PANEL.0 + MARGIN) * RTTS_MS.len() as f64;
    let height = PANEL.1 + 2.0 * MARGIN;
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{MARGIN}\" y=\"20\" font-size=\"14\">CCID 3: bytes a second (dots) and RFC 5348's equation for each \
         loss rate (line)</text>"
    )?;
    for (n, rtt_ms) in RTTS_MS.into_iter().enumerate() {
        let left = MARGIN + (PANEL.0 + MARGIN) * n as f64;
        writeln!(
            out,
            "<g transform=\"translate({left},{MARGIN})\"><rect width=\"{}\" height=\"{}\" fill=\"none\" \
             stroke=\"#999\"/><text x=\"4\" y=\"-4\">RTT {rtt_ms} ms</text>",
            PANEL.0, PANEL.1
        )?;
        for decade in 4..=7 {
            let y = y_of(10_f64.powi(decade));
            writeln!(
                out,
                "<line x1=\"0\" x2=\"{}\" y1=\"{y}\" y2=\"{y}\" stroke=\"#e4e4e4\"/>\
                 <text x=\"-6\" y=\"{}\" text-anchor=\"end\">1e{decade}</text>",
                PANEL.0,
                y + 4.0
            )?;
        }
        let rtt = Duration::from_millis(rtt_ms);
        let line: Vec<String> = (0..=40)
            .map(|step| 0.05 * 200_f64.powf(f64::from(step) / 40.0))
            .map(|loss| {
                let y = y_of(equation(SIZE, rtt, loss / 100.0));
                format!("{:.1},{y:.1}", x_of(loss))
            })
            .collect();
        let line = line.join(" ");
        writeln!(
            out,
            "<polyline points=\"{line}\" fill=\"none\" stroke=\"#555555\"/>"
        )?;
        for &(_, loss, rate) in rows.iter().filter(|row| row.0 == rtt_ms) {
            let (x, y) = (x_of(loss), y_of(rate));
            writeln!(
                out,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"#0b6fc2\"/>\
                 <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{loss}%</text>",
                PANEL.1 + 14.0
            )?;
        }
        writeln!(out, "</g>")?;
    }
    writeln!(out, "</svg>")?;
    Ok(out)
}

/// From 0.05% to 10%.
fn x_of(loss: f64) -> f64 {
    PANEL.0 * (loss / 0.05).ln() / 200_f64.ln()
}

/// From 10^4 to 10^7 bytes a second.
fn y_of(rate: f64) -> f64 {
    PANEL.1 * (1.0 - (rate.log10() - 4.0) / 3.0)
}
