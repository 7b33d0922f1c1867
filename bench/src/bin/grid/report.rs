//! The table, the bars, and the figures as JSON.

use crate::cells::{Cell, Path};
use crate::transfer::Outcome;
use serde::Serialize;

/// The geometric mean of the ratios has to be at least this.
const MEAN_MIN: f64 = 0.95;
/// And every one at least this.
const RATIO_MIN: f64 = 0.80;

/// Runs of one path in one cell.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Runs {
    pub(crate) path: Path,
    /// Megabits a second, a run each, in the order of the seeds.
    pub(crate) goodputs: Vec<f64>,
    /// Frames with data that the stage lost, and dropped for its limit.
    pub(crate) lost: u64,
    pub(crate) over_limit: u64,
}

impl Runs {
    pub(crate) fn new(path: Path, outcomes: &[Outcome]) -> Self {
        Self {
            path,
            goodputs: outcomes.iter().map(|o| o.goodput / 1e6).collect(),
            lost: outcomes.iter().map(|o| o.frames.lost).sum(),
            over_limit: outcomes.iter().map(|o| o.frames.over_limit).sum(),
        }
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.goodputs.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }

    pub(crate) fn median(&self) -> f64 {
        median(&self.goodputs)
    }

    pub(crate) fn range(&self) -> (f64, f64) {
        let sorted = self.sorted();
        (sorted[0], sorted[sorted.len() - 1])
    }
}

/// The value in the middle, or between the two there.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) {
        f64::midpoint(sorted[half - 1], sorted[half])
    } else {
        sorted[half]
    }
}

/// A cell with its runs.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) cell: Cell,
    /// In the order of [`Path::ALL`].
    pub(crate) runs: Vec<Runs>,
    /// Median of the path over median of kernel to kernel: our sender's, then our receiver's.
    pub(crate) ratios: Vec<f64>,
}

impl Row {
    pub(crate) fn new(cell: Cell, runs: Vec<Runs>) -> Self {
        let base = runs[0].median();
        let ratios = runs[1..].iter().map(|r| r.median() / base).collect();
        Self { cell, runs, ratios }
    }

    pub(crate) fn print(&self) {
        print!("{}", self.cell.name());
        for (index, runs) in self.runs.iter().enumerate() {
            let (min, max) = runs.range();
            print!("  {:>6.2} [{min:>5.2}-{max:>5.2}]", runs.median());
            match index.checked_sub(1).and_then(|n| self.ratios.get(n)) {
                Some(ratio) if *ratio < RATIO_MIN => print!(" {ratio:>5.2} !"),
                Some(ratio) => print!(" {ratio:>5.2}  "),
                None => {}
            }
        }
        println!();
    }
}

pub(crate) fn print_header() {
    println!(
        "{:<22}  {:<20}  {:<28}  {:<28}",
        " loss  RTT    reordering",
        "kernel to kernel",
        "ours to kernel, ratio",
        "kernel to ours, ratio"
    );
}

/// All that was found.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) congestion: String,
    pub(crate) limit: usize,
    pub(crate) runs: u32,
    pub(crate) rows: Vec<Row>,
}

impl Report {
    /// The cells for which a bar may be missed.
    pub(crate) fn doubtful(&self) -> Vec<Cell> {
        let below = |row: &&Row| row.ratios.iter().any(|ratio| *ratio < MEAN_MIN);
        self.rows.iter().filter(below).map(|row| row.cell).collect()
    }

    /// Takes what was measured anew of some of the cells.
    pub(crate) fn replace(&mut self, anew: Self) {
        for row in anew.rows {
            let name = row.cell.name();
            if let Some(old) = self.rows.iter_mut().find(|old| old.cell.name() == name) {
                *old = row;
            }
        }
    }

    /// Prints the means. Whether the bars are met.
    pub(crate) fn judge(&self) -> bool {
        let mut met = true;
        println!();
        for (index, what) in ["our sender", "our receiver"].iter().enumerate() {
            let ratios: Vec<f64> = self.rows.iter().map(|row| row.ratios[index]).collect();
            let mean = geometric_mean(&ratios);
            let min = ratios.iter().copied().fold(f64::INFINITY, f64::min);
            println!(
                "{what}: geometric mean {mean:.3} (bar {MEAN_MIN}), least {min:.2} (bar {RATIO_MIN:.2})"
            );
            met &= mean >= MEAN_MIN && min >= RATIO_MIN;
        }
        met
    }
}

pub(crate) fn geometric_mean(values: &[f64]) -> f64 {
    let logs: f64 = values.iter().map(|value| value.max(1e-9).ln()).sum();
    (logs / values.len() as f64).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!((geometric_mean(&[0.5, 2.0]) - 1.0).abs() < 1e-9);
    }

    fn row(goodputs: [f64; 3]) -> Row {
        let runs = Path::ALL.iter().zip(goodputs).map(|(path, goodput)| Runs {
            path: *path,
            goodputs: vec![goodput],
            lost: 0,
            over_limit: 0,
        });
        Row::new(Cell::all()[0], runs.collect())
    }

    #[test]
    fn both_bars_have_to_be_met() {
        let judge = |rows: &[[f64; 3]]| {
            Report {
                congestion: "cubic".into(),
                limit: 1,
                runs: 1,
                rows: rows.iter().map(|goodputs| row(*goodputs)).collect(),
            }
            .judge()
        };
        assert!(judge(&[[10.0, 9.6, 10.0], [10.0, 9.6, 9.5]]));
        assert!(!judge(&[[10.0, 9.4, 10.0], [10.0, 9.4, 10.0]]), "the mean");
        assert!(!judge(&[[10.0, 12.0, 7.9], [10.0, 9.6, 13.0]]), "one cell");
    }

    #[test]
    fn what_was_measured_anew_takes_the_place_of_what_was() {
        let report = |goodputs| Report {
            congestion: "cubic".into(),
            limit: 1,
            runs: 1,
            rows: vec![row(goodputs)],
        };
        let mut doubted = report([10.0, 10.0, 7.9]);
        assert_eq!(doubted.doubtful().len(), 1);
        doubted.replace(report([10.0, 9.6, 9.7]));
        assert!(doubted.doubtful().is_empty() && doubted.judge());
    }
}
