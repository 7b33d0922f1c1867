//! How fast DCCP sends: CCID 3 by the equation of RFC 5348 §3.1, CCID 2 as TCP (Reno) does, each alone on
//! a path that loses packets; and both beside TCP in a bottleneck. Tables on the standard output, and a
//! picture in the file that is named. `cargo xtask tfrc FILE.svg`.

use sockeye_sim::rates::{Flow, Tfrc, alone, beside_tcp, equation, tfrc};
use std::error::Error;
use std::time::Duration;

const LOSSES: [f64; 5] = [0.1, 0.3, 1.0, 2.5, 5.0];
const RTTS_MS: [u64; 2] = [10, 100];
/// The delay varies by the time of a packet, so that two windows don't run in step; and then it does not.
const BOTTLENECKS: [&str; 6] = [
    "delay=5ms,jitter=1ms,rate=10mbit,limit=20",
    "delay=20ms,jitter=1ms,rate=10mbit,limit=50",
    "delay=50ms,jitter=1ms,rate=10mbit,limit=100",
    "delay=5ms,rate=10mbit,limit=20",
    "delay=20ms,rate=10mbit,limit=50",
    "delay=50ms,rate=10mbit,limit=100",
];
/// Round trips that a flow is measured for.
const ROUND_TRIPS: u32 = 5000;
const SIZE: f64 = 1400.0;

/// What was measured at one loss rate and round-trip time, in packets a second.
struct Cell {
    rtt_ms: u64,
    loss: f64,
    equation: f64,
    ccid_3: f64,
    ccid_2: f64,
    tcp: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("Alone on a path that loses, packets a second:\n");
    println!(
        "| RTT | loss | loss events | equation | CCID 3 | of the equation | TCP | CCID 2 | of TCP |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let mut cells = Vec::new();
    for rtt_ms in RTTS_MS {
        for loss in LOSSES {
            cells.push(measure(rtt_ms, loss)?);
        }
    }
    println!("\nBeside TCP, Mbit/s of data:\n");
    println!("| bottleneck, in netem's words | beside TCP | TCP | it | it / TCP |");
    println!("|---|---|---|---|---|");
    let others = [
        ("CCID 2", Flow::Dccp(2)),
        ("CCID 3", Flow::Dccp(3)),
        ("TCP, as short packets as CCID 2's", Flow::SmallTcp(1396)),
    ];
    for bottleneck in BOTTLENECKS {
        for (name, other) in others {
            let time = Duration::from_secs(300);
            let [tcp, it] = beside_tcp(bottleneck, other, Duration::ZERO, time, 11)?;
            let ratio = it / tcp;
            println!("| {bottleneck} | {name} | {tcp:.2} | {it:.2} | {ratio:.2} |");
        }
    }
    if let Some(path) = std::env::args().nth(1) {
        std::fs::write(path, picture::svg(&cells)?)?;
    }
    Ok(())
}

/// Measures a cell, and prints its row.
fn measure(rtt_ms: u64, loss: f64) -> Result<Cell, Box<dyn Error>> {
    let rtt = Duration::from_millis(rtt_ms);
    let time = rtt * ROUND_TRIPS;
    let Tfrc {
        rate,
        events,
        equation,
    } = tfrc(loss, rtt, time, 7)?;
    let cell = Cell {
        rtt_ms,
        loss,
        equation: equation / SIZE,
        ccid_3: rate / SIZE,
        ccid_2: alone(Flow::Dccp(2), loss, rtt, time, 7)?,
        tcp: alone(Flow::Tcp, loss, rtt, time, 7)?,
    };
    println!(
        "| {rtt_ms} ms | {loss}% | {:.2}% | {:.0} | {:.0} | {:.2} | {:.0} | {:.0} | {:.2} |",
        events * 100.0,
        cell.equation,
        cell.ccid_3,
        cell.ccid_3 / cell.equation,
        cell.tcp,
        cell.ccid_2,
        cell.ccid_2 / cell.tcp
    );
    Ok(cell)
}

/// The picture: a panel for each round-trip time, loss to the right and packets a second upwards, both
/// logarithmic; the equation is a line, what was measured are marks.
mod picture {
    use super::{Cell, Duration, LOSSES, RTTS_MS, SIZE, equation};
    use std::fmt::Write as _;

    const PANEL: (f64, f64) = (330.0, 280.0);
    const LEFT: f64 = 64.0;
    const TOP: f64 = 84.0;
    const BOTTOM: f64 = 52.0;
    const GAP: f64 = 60.0;
    /// The axes: from and to, in percent and in packets a second.
    const LOSS: (f64, f64) = (0.05, 10.0);
    const RATE: (f64, f64) = (10.0, 10_000.0);
    /// Okabe and Ito's, which all eyes tell apart.
    const CCID_3: &str = "#0072b2";
    const CCID_2: &str = "#d55e00";
    const TCP: &str = "#000000";

    pub(super) fn svg(cells: &[Cell]) -> Result<String, std::fmt::Error> {
        let panels = RTTS_MS.len() as f64;
        let width = LEFT + PANEL.0 * panels + GAP * (panels - 1.0) + 20.0;
        let height = TOP + PANEL.1 + BOTTOM;
        let mut out = String::new();
        writeln!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" font-family=\"sans-serif\" font-size=\"11\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
             <text x=\"{LEFT}\" y=\"22\" font-size=\"15\">One flow on a path that loses packets</text>"
        )?;
        legend(&mut out)?;
        for (n, rtt_ms) in RTTS_MS.into_iter().enumerate() {
            let left = LEFT + (PANEL.0 + GAP) * n as f64;
            writeln!(out, "<g transform=\"translate({left},{TOP})\">")?;
            axes(&mut out, rtt_ms)?;
            curve(&mut out, rtt_ms)?;
            for cell in cells.iter().filter(|cell| cell.rtt_ms == rtt_ms) {
                let x = x_of(cell.loss);
                writeln!(
                    out,
                    "{}{}{}",
                    circle(x, y_of(cell.ccid_3)),
                    square(x, y_of(cell.ccid_2)),
                    cross(x, y_of(cell.tcp))
                )?;
            }
            writeln!(out, "</g>")?;
        }
        writeln!(out, "</svg>")?;
        Ok(out)
    }

    fn legend(out: &mut String) -> std::fmt::Result {
        let y = 46.0;
        let line =
            format!("<line x1=\"-10\" x2=\"10\" y1=\"{y}\" y2=\"{y}\" stroke=\"{CCID_3}\"/>");
        let marks = [
            (line, "equation of RFC 5348 §3.1"),
            (circle(0.0, y), "DCCP, CCID 3"),
            (square(0.0, y), "DCCP, CCID 2"),
            (cross(0.0, y), "TCP (Reno)"),
        ];
        for ((mark, text), at) in marks.iter().zip([10.0, 190.0, 310.0, 430.0]) {
            writeln!(
                out,
                "<g transform=\"translate({},0)\">{mark}<text x=\"16\" y=\"{}\">{text}</text></g>",
                LEFT + at,
                y + 4.0
            )?;
        }
        Ok(())
    }

    fn axes(out: &mut String, rtt_ms: u64) -> std::fmt::Result {
        let (w, h) = PANEL;
        writeln!(
            out,
            "<text x=\"{}\" y=\"-8\" text-anchor=\"middle\">round-trip time {rtt_ms} ms</text>",
            w / 2.0
        )?;
        let mut rate = RATE.0;
        while rate <= RATE.1 {
            let y = y_of(rate);
            writeln!(
                out,
                "<line x1=\"0\" x2=\"{w}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#e0e0e0\"/>\
                 <text x=\"-6\" y=\"{:.1}\" text-anchor=\"end\">{rate}</text>",
                y + 4.0
            )?;
            rate *= 10.0;
        }
        for loss in LOSSES {
            let x = x_of(loss);
            writeln!(
                out,
                "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"0\" y2=\"{h}\" stroke=\"#e0e0e0\"/>\
                 <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{loss}%</text>",
                h + 16.0
            )?;
        }
        writeln!(
            out,
            "<rect width=\"{w}\" height=\"{h}\" fill=\"none\" stroke=\"#808080\"/>\
             <text x=\"{}\" y=\"{}\" text-anchor=\"middle\">packets lost</text>\
             <text transform=\"translate(-44,{}) rotate(-90)\" text-anchor=\"middle\">packets a second</text>",
            w / 2.0,
            h + 38.0,
            h / 2.0
        )
    }

    /// What the equation gives where each lost packet is a loss event.
    fn curve(out: &mut String, rtt_ms: u64) -> std::fmt::Result {
        let rtt = Duration::from_millis(rtt_ms);
        let steps = (0..=60).map(|n| LOSS.0 * (LOSS.1 / LOSS.0).powf(f64::from(n) / 60.0));
        let points: Vec<String> = steps
            .map(|loss| {
                let y = y_of(equation(SIZE, rtt, loss / 100.0) / SIZE);
                format!("{:.1},{y:.1}", x_of(loss))
            })
            .collect();
        let points = points.join(" ");
        writeln!(
            out,
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"{CCID_3}\"/>"
        )
    }

    fn circle(x: f64, y: f64) -> String {
        format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{CCID_3}\"/>")
    }

    fn square(x: f64, y: f64) -> String {
        format!(
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"10\" height=\"10\" fill=\"none\" stroke=\"{CCID_2}\" \
             stroke-width=\"1.5\"/>",
            x - 5.0,
            y - 5.0
        )
    }

    fn cross(x: f64, y: f64) -> String {
        format!(
            "<path d=\"M{:.1},{:.1}l10,10m0,-10l-10,10\" stroke=\"{TCP}\" stroke-width=\"1.5\"/>",
            x - 5.0,
            y - 5.0
        )
    }

    fn x_of(loss: f64) -> f64 {
        PANEL.0 * (loss / LOSS.0).ln() / (LOSS.1 / LOSS.0).ln()
    }

    fn y_of(rate: f64) -> f64 {
        PANEL.1 * (1.0 - (rate / RATE.0).ln() / (RATE.1 / RATE.0).ln())
    }
}
