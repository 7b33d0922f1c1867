//! The results, and the table of them.

use super::contests::{Goal, NOT_THERE};
use crate::{Short, Spread};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

#[derive(Serialize, Deserialize, Debug)]
pub(crate) struct Report {
    pub(crate) machine: String,
    /// How sockeye was compiled.
    pub(crate) build: String,
    pub(crate) rounds: u32,
    pub(crate) millis: u64,
    /// The cores of the acting and the answering side, where they are pinned.
    pub(crate) cores: Option<(usize, usize)>,
    pub(crate) rows: Vec<Row>,
    pub(crate) not_there: Vec<NotThere>,
}

/// A goal without a figure.
#[derive(Serialize, Deserialize, Debug)]
pub(crate) struct NotThere {
    pub(crate) name: String,
    pub(crate) goal: String,
    pub(crate) why: String,
}

#[derive(Serialize, Deserialize, Debug)]
pub(crate) struct Row {
    pub(crate) group: String,
    pub(crate) name: String,
    pub(crate) unit: String,
    /// Ours is the first.
    pub(crate) sides: Vec<Side>,
    pub(crate) goals: Vec<Outcome>,
}

#[derive(Serialize, Deserialize, Debug)]
pub(crate) struct Side {
    pub(crate) name: String,
    /// Why there are no figures.
    pub(crate) missing: Option<String>,
    pub(crate) spread: Option<Spread>,
    /// The figure of each round.
    pub(crate) rounds: Vec<f64>,
}

#[derive(Serialize, Deserialize, Debug)]
pub(crate) struct Outcome {
    pub(crate) goal: String,
    /// The median of ours, over that of the peer where there is one.
    pub(crate) figure: Option<f64>,
    /// Nothing where a side is missing.
    pub(crate) reached: Option<bool>,
}

impl Row {
    pub(crate) fn new(
        group: &str,
        name: String,
        unit: &str,
        sides: Vec<Side>,
        goals: &[Goal],
    ) -> Self {
        let median = |side: &Side| side.spread.map(|spread| spread.median);
        let ours = sides.first().and_then(median);
        let outcome = |goal: &Goal| match *goal {
            Goal::Times(factor, peer) => {
                let peers = sides.iter().find(|side| side.name == peer).and_then(median);
                let figure = ours.zip(peers).map(|(ours, peers)| ours / peers);
                Outcome {
                    goal: format!("≥ {factor}x {peer}"),
                    figure,
                    reached: figure.map(|figure| figure >= factor),
                }
            }
            Goal::AtMost(most) => Outcome {
                goal: format!("≤ {most} {unit}"),
                figure: ours,
                reached: ours.map(|ours| ours <= most),
            },
        };
        let goals = goals.iter().map(outcome).collect();
        Self {
            group: group.into(),
            name,
            unit: unit.into(),
            sides,
            goals,
        }
    }
}

/// How this program was compiled.
pub(crate) fn build() -> String {
    if cfg!(debug_assertions) {
        "development build, with its checks".into()
    } else {
        "release build".into()
    }
}

pub(crate) fn not_there() -> Vec<NotThere> {
    let row = |(name, goal, why): (&str, &str, &str)| NotThere {
        name: name.into(),
        goal: goal.into(),
        why: why.into(),
    };
    NOT_THERE.into_iter().map(row).collect()
}

/// A figure in three digits, thousands as k and millions as M where the unit is a rate.
pub(crate) fn short(figure: f64, unit: &str) -> String {
    let (scaled, letter) = match figure {
        n if !unit.starts_with("1/") => (n, ""),
        n if n >= 1e6 => (n / 1e6, " M"),
        n if n >= 1e3 => (n / 1e3, " k"),
        n => (n, " "),
    };
    format!("{}{letter}", Short(scaled))
}

/// A side's median and range.
pub(crate) fn range(spread: Spread, unit: &str) -> String {
    let figure = |n| short(n, unit).trim_end().to_owned();
    format!(
        "{} [{}–{}]",
        figure(spread.median),
        figure(spread.min),
        figure(spread.max)
    )
}

fn show(side: &Side, unit: &str) -> String {
    match (side.spread, &side.missing) {
        (Some(spread), _) => range(spread, unit),
        (None, Some(why)) => format!("missing ({})", cell(why)),
        (None, None) => "missing".into(),
    }
}

/// What may stand in a table's cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

/// A row as it is told while others are measured.
pub(crate) fn line(row: &Row) -> String {
    let mut line = format!("{} ({})", row.name, row.unit);
    for side in &row.sides {
        // Writing to a string does not fail.
        let _ = write!(line, "\n    {:<36} {}", side.name, show(side, &row.unit));
    }
    line
}

/// The table, with what is said above it.
pub(crate) fn markdown(report: &Report) -> String {
    let mut out = format!(
        "{}; {}; {} rounds of {} ms a side, median [min–max]{}.\n\n| case | sockeye | peers in the same run | goal |\n|---|---|---|---|\n",
        report.machine,
        report.build,
        report.rounds,
        report.millis,
        report
            .cores
            .map_or_else(String::new, |(acting, answering)| format!(
                "; acting side on core {acting}, answering side on core {answering}"
            )),
    );
    for row in &report.rows {
        let mut sides = row.sides.iter();
        let ours = sides
            .next()
            .map_or_else(String::new, |side| show(side, &row.unit));
        let peers: Vec<_> = sides
            .map(|side| format!("{}: {}", side.name, show(side, &row.unit)))
            .collect();
        let goals: Vec<_> = row.goals.iter().map(outcome).collect();
        let _ = writeln!(
            out,
            "| {}, {} | {ours} | {} | {} |",
            row.name,
            row.unit,
            peers.join("<br>"),
            goals.join("<br>")
        );
    }
    for row in &report.not_there {
        let _ = writeln!(
            out,
            "| {} | not measured: {} | | {} |",
            row.name, row.why, row.goal
        );
    }
    out
}

fn outcome(outcome: &Outcome) -> String {
    let goal = &outcome.goal;
    match (outcome.figure, outcome.reached) {
        (Some(figure), Some(true)) => format!("{goal}: {} ✓", Short(figure)),
        (Some(figure), Some(false)) => format!("{goal}: {}, **not reached**", Short(figure)),
        _ => format!("{goal}: not measured"),
    }
}
