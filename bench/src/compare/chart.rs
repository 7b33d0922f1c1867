//! Bars in SVG: a block for each contest, a bar for each side, with a line from the least to the most
//! of its rounds. Each block has its own scale. Colours suit the reader's theme, light or dark.

use super::report::{Row, Side, range};
use std::fmt::Write as _;

const WIDTH: f64 = 860.0;
/// Where bars begin.
const LEFT: f64 = 250.0;
/// The longest bar with its range; what is behind it is for the figures.
const LENGTH: f64 = 390.0;
const BAR: f64 = 22.0;
const HEAD: f64 = 34.0;
const TOP: f64 = 52.0;
/// Characters of a reason that fit.
const REASON: usize = 70;

/// Plain colours, since not everything that draws SVG knows variables.
const STYLE: &str = "<style>
.paper { fill: #ffffff; } text { fill: #1f2328; } .faint { fill: #59636e; }
.ours { fill: #0969da; } .peer { fill: #8c959f; }
.range { stroke: #1f2328; stroke-width: 1.5; } .rule { stroke: #d1d9e0; }
@media (prefers-color-scheme: dark) {
.paper { fill: #0d1117; } text { fill: #f0f6fc; } .faint { fill: #9198a1; }
.ours { fill: #4493f8; } .peer { fill: #656c76; }
.range { stroke: #f0f6fc; } .rule { stroke: #3d444d; }
}
</style>
";

/// The picture; nothing where there are no rows.
pub(crate) fn svg(title: &str, rows: &[&Row]) -> Option<String> {
    if rows.is_empty() {
        return None;
    }
    let bars: usize = rows.iter().map(|row| row.sides.len()).sum();
    let height = TOP + rows.len() as f64 * HEAD + bars as f64 * BAR + 12.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"12\" role=\"img\">\n\
         <title>{title}</title>\n{STYLE}<rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n\
         <text x=\"16\" y=\"26\" font-size=\"16\" font-weight=\"bold\">{title}</text>\n\
         <text x=\"16\" y=\"44\" class=\"faint\">median, and a line from the least to the most of the rounds</text>\n",
        title = escape(title)
    );
    let mut top = TOP;
    for row in rows {
        block(&mut out, row, top);
        top += HEAD + row.sides.len() as f64 * BAR;
    }
    Some(out + "</svg>\n")
}

fn block(out: &mut String, row: &Row, top: f64) {
    let goals: Vec<&str> = row.goals.iter().map(|goal| goal.goal.as_str()).collect();
    let goals = if goals.is_empty() {
        String::new()
    } else {
        format!("; goal: {}", goals.join(", "))
    };
    // Writing to a string does not fail.
    let _ = write!(
        out,
        "<line class=\"rule\" x1=\"16\" x2=\"{}\" y1=\"{y}\" y2=\"{y}\"/>\n\
         <text x=\"16\" y=\"{}\"><tspan font-weight=\"bold\">{}</tspan>, {}<tspan class=\"faint\">{}</tspan></text>\n",
        WIDTH - 16.0,
        top + 22.0,
        escape(&row.name),
        escape(&row.unit),
        escape(&goals),
        y = top + 4.0,
    );
    let most = row
        .sides
        .iter()
        .filter_map(|side| side.spread)
        .fold(f64::MIN_POSITIVE, |most, spread| most.max(spread.max));
    for (index, side) in row.sides.iter().enumerate() {
        bar(out, side, &row.unit, most, top + HEAD + index as f64 * BAR);
    }
}

fn bar(out: &mut String, side: &Side, unit: &str, most: f64, top: f64) {
    let text = top + 13.0;
    let _ = writeln!(
        out,
        "<text x=\"{}\" y=\"{text}\" text-anchor=\"end\">{}</text>",
        LEFT - 8.0,
        escape(&side.name)
    );
    let Some(spread) = side.spread else {
        let why = side.missing.as_deref().unwrap_or("no figures");
        let why: String = why.chars().take(REASON).collect();
        let _ = writeln!(
            out,
            "<text class=\"faint\" x=\"{LEFT}\" y=\"{text}\">missing: {}</text>",
            escape(&why)
        );
        return;
    };
    let class = if side.name.starts_with("sockeye") {
        "ours"
    } else {
        "peer"
    };
    let length = |figure: f64| LENGTH * figure / most;
    let middle = top + 9.0;
    let _ = write!(
        out,
        "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{top}\" width=\"{:.1}\" height=\"{}\" rx=\"2\"/>\n\
         <line class=\"range\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{middle}\" y2=\"{middle}\"/>\n\
         <text x=\"{:.1}\" y=\"{text}\">{}</text>\n",
        length(spread.median),
        BAR - 4.0,
        LEFT + length(spread.min),
        LEFT + length(spread.max),
        LEFT + length(spread.max) + 8.0,
        escape(&range(spread, unit)),
    );
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
