//! The grid as a picture: a panel for each round-trip time and kind of reordering, loss to the
//! right, goodput upwards on a logarithmic scale, with the range of the runs.

use crate::cells::{LOSSES, Path, RTTS_MS};
use crate::report::{Report, Row};
use std::fmt::Write as _;

const PANEL: (f64, f64) = (260.0, 220.0);
const MARGIN: (f64, f64) = (56.0, 44.0);
/// Megabits a second at the bottom and at the top, as powers of ten.
const DECADES: (f64, f64) = (-1.0, 2.0);

/// A path's name and colour.
fn style(path: Path) -> (&'static str, &'static str) {
    match path {
        Path::KernelToKernel => ("kernel to kernel", "#555555"),
        Path::OursToKernel => ("ours to kernel", "#0b6fc2"),
        Path::KernelToOurs => ("kernel to ours", "#d1570b"),
    }
}

/// The picture, in SVG.
pub(crate) fn svg(report: &Report) -> String {
    let width = MARGIN.0 + (PANEL.0 + MARGIN.0) * RTTS_MS.len() as f64;
    let height = 40.0 + (PANEL.1 + MARGIN.1) * 2.0 + 30.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{}\" y=\"20\" font-size=\"14\">Goodput, Mbit/s: {}, rate=100mbit, limit={}, median of {} runs</text>\n",
        MARGIN.0, report.congestion, report.limit, report.runs
    );
    for (y, reordering) in [false, true].into_iter().enumerate() {
        for (x, rtt_ms) in RTTS_MS.into_iter().enumerate() {
            let left = MARGIN.0 + (PANEL.0 + MARGIN.0) * x as f64;
            let top = 44.0 + (PANEL.1 + MARGIN.1) * y as f64;
            let rows: Vec<&Row> = report
                .rows
                .iter()
                .filter(|row| row.cell.rtt_ms == rtt_ms && row.cell.reordering == reordering)
                .collect();
            panel(&mut out, (left, top), rtt_ms, reordering, &rows);
        }
    }
    for (index, path) in Path::ALL.into_iter().enumerate() {
        let (name, colour) = style(path);
        let (x, y) = (MARGIN.0 + 160.0 * index as f64, height - 14.0);
        line(
            &mut out,
            format!(
                "<circle cx=\"{x}\" cy=\"{}\" r=\"4\" fill=\"{colour}\"/><text x=\"{}\" y=\"{y}\">{name}</text>",
                y - 4.0,
                x + 8.0
            ),
        );
    }
    out + "</svg>\n"
}

fn line(out: &mut String, text: String) {
    out.push_str(&text);
    out.push('\n');
}

fn panel(out: &mut String, (left, top): (f64, f64), rtt_ms: u64, reordering: bool, rows: &[&Row]) {
    let (width, height) = PANEL;
    let what = if reordering {
        "1% late by 5 ms"
    } else {
        "in order"
    };
    line(
        out,
        format!(
            "<g transform=\"translate({left},{top})\">\
         <rect width=\"{width}\" height=\"{height}\" fill=\"none\" stroke=\"#999\"/>\
         <text x=\"4\" y=\"-4\">RTT {rtt_ms} ms, {what}</text>"
        ),
    );
    for decade in DECADES.0 as i32..=DECADES.1 as i32 {
        let y = y_of(10_f64.powi(decade));
        line(
            out,
            format!(
                "<line x1=\"0\" x2=\"{width}\" y1=\"{y}\" y2=\"{y}\" stroke=\"#e4e4e4\"/>\
             <text x=\"-6\" y=\"{}\" text-anchor=\"end\">{}</text>",
                y + 4.0,
                10_f64.powi(decade)
            ),
        );
    }
    for loss in LOSSES {
        line(
            out,
            format!(
                "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{loss}</text>",
                x_of(loss),
                height + 14.0
            ),
        );
    }
    for (index, path) in Path::ALL.into_iter().enumerate() {
        let (_, colour) = style(path);
        let shift = (index as f64 - 1.0) * 7.0;
        let mut points = String::new();
        for row in rows {
            let runs = &row.runs[index];
            let (min, max) = runs.range();
            let (x, y) = (x_of(row.cell.loss) + shift, y_of(runs.median()));
            // Writing to a string does not fail.
            let _ = write!(points, "{x:.1},{y:.1} ");
            line(
                out,
                format!(
                    "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\"/>\
                 <circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>",
                    y_of(min),
                    y_of(max)
                ),
            );
        }
        line(
            out,
            format!(
                "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-opacity=\"0.5\"/>"
            ),
        );
    }
    line(out, "</g>".into());
}

fn x_of(loss: &str) -> f64 {
    let index = LOSSES.iter().position(|known| *known == loss).unwrap_or(0);
    PANEL.0 * (index as f64 + 0.5) / LOSSES.len() as f64
}

fn y_of(megabits: f64) -> f64 {
    let (bottom, top) = DECADES;
    let share = (megabits.max(1e-9).log10() - bottom) / (top - bottom);
    PANEL.1 * (1.0 - share.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cells::Cell;
    use crate::report::Runs;

    #[test]
    fn every_cell_is_in_the_picture() {
        let rows = Cell::all().into_iter().map(|cell| {
            let runs = Path::ALL.map(|path| Runs {
                path,
                goodputs: vec![1.0, 10.0, 90.0],
                lost: 0,
                over_limit: 0,
            });
            Row::new(cell, runs.into())
        });
        let report = Report {
            congestion: "cubic".into(),
            limit: 1000,
            runs: 3,
            rows: rows.collect(),
        };
        let svg = svg(&report);
        assert_eq!(svg.matches("r=\"3\"").count(), 24 * 3);
        assert_eq!(svg.matches("<g ").count(), svg.matches("</g>").count());
        assert!(!svg.contains("NaN"), "{svg}");
    }
}
