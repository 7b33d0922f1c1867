//! Sockeye beside its peers in one run: every contest runs all its sides in turn, round after round,
//! the acting side on one core and the answering on another. Written as JSON, as a table in Markdown
//! and as charts; a peer that is missing is named in all of them.

mod chart;
mod contests;
mod inside;
mod lwip;
mod report;
mod smol;
mod through;

use crate::{kernel, machine, pin, spread};
use anyhow::{Context, Result};
use clap::{Parser, ValueEnum as _};
use contests::{Contest, Group};
use report::{Report, Row, Side};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the table is in a README.
const BEGIN: &str = "<!-- compare: begin -->\n";
const END: &str = "<!-- compare: end -->";

/// Measure sockeye beside its peers: the kernel, smoltcp, lwIP, usrsctp, libtirpc, pasta, slirp4netns.
///
/// Writes compare.json, compare.md and a chart for each group (GROUP.svg) into a folder. Ratios within
/// one run are what holds from machine to machine.
#[derive(Parser, Debug)]
#[command(name = "compare")]
struct Args {
    /// Rounds of each contest; each runs every side once.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,
    /// Milliseconds that one side runs in one round; iperf3 and wrk run for whole seconds, at least
    /// one, and redis-benchmark for 40,000 requests each of them.
    #[arg(long, default_value_t = 700, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    millis: u64,
    /// Only these groups.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "GROUP,…")]
    groups: Vec<Group>,
    /// Where the results go.
    #[arg(long, default_value = "docs/charts", value_name = "FOLDER")]
    out: PathBuf,
    /// Put the table and the charts into this file, too, between its lines
    /// `<!-- compare: begin -->` and `<!-- compare: end -->`.
    #[arg(long, value_name = "FILE")]
    readme: Option<PathBuf>,
    /// Measure nothing: write table and charts anew from the folder's compare.json.
    #[arg(long)]
    draw: bool,
}

/// The program `compare`: its arguments are the process's.
///
/// # Errors
/// CUBIC may not be used here, or the results can't be read or written. A side that can't be measured
/// is named in the results as missing.
pub fn run() -> Result<()> {
    let args = Args::parse();
    let json = args.out.join("compare.json");
    let report = if args.draw {
        let text = read(&json)?;
        serde_json::from_str(&text).with_context(|| format!("{} is no report", json.display()))?
    } else {
        let report = measure(&args)?;
        std::fs::create_dir_all(&args.out)
            .with_context(|| format!("{} can't be made", args.out.display()))?;
        write(&json, &(serde_json::to_string_pretty(&report)? + "\n"))?;
        report
    };
    let table = report::markdown(&report);
    write(&args.out.join("compare.md"), &table)?;
    let mut pictures = String::new();
    for group in Group::value_variants() {
        let name = group.name();
        let rows: Vec<&Row> = report.rows.iter().filter(|row| row.group == name).collect();
        if let Some(svg) = chart::svg(group.title(), &rows) {
            let path = args.out.join(format!("{name}.svg"));
            write(&path, &svg)?;
            pictures += &format!("![{}]({})\n\n", group.title(), path.display());
        }
    }
    if let Some(readme) = &args.readme {
        let text = read(readme)?;
        let inner = format!("{table}\n{pictures}");
        let text = replace(&text, &inner)
            .with_context(|| format!("{} has no lines {BEGIN:?} and {END:?}", readme.display()))?;
        write(readme, &text)?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("{} can't be read", path.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("{} can't be written", path.display()))
}

/// The text with `inner` between its two lines.
fn replace(text: &str, inner: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{inner}{END}{after}"))
}

fn measure(args: &Args) -> Result<Report> {
    kernel::choose_cubic()
        .context("the kernel's side needs CUBIC: net.ipv4.tcp_allowed_congestion_control")?;
    // Asked before this thread is on one core, of which it would count no other.
    let machine = machine();
    let cores = pin::start();
    let mut report = Report {
        machine,
        build: report::build(),
        rounds: args.rounds,
        millis: args.millis,
        cores,
        rows: Vec::new(),
        not_there: report::not_there(),
    };
    for group in Group::value_variants() {
        if !args.groups.is_empty() && !args.groups.contains(group) {
            continue;
        }
        for contest in contests::of(*group) {
            let row = compete(contest, args.rounds, Duration::from_millis(args.millis));
            eprintln!("{}", report::line(&row));
            report.rows.push(row);
        }
    }
    Ok(report)
}

/// All sides in turn, round after round. One that fails once is missing.
fn compete(contest: Contest, rounds: u32, time: Duration) -> Row {
    let mut sides: Vec<_> = contest
        .sides
        .into_iter()
        .map(|(name, side)| (name, side, Vec::new()))
        .collect();
    for _ in 0..rounds {
        for (_, side, figures) in &mut sides {
            let Ok(run) = side else { continue };
            if contest.group == Group::Tun {
                // A node's threads at a device start where they like; so does the peer's side.
                pin::nowhere();
            } else {
                pin::acting();
            }
            match run(time) {
                Ok(figure) => figures.push(figure),
                Err(error) => *side = Err(error),
            }
        }
    }
    let sides = sides
        .into_iter()
        .map(|(name, side, rounds)| Side {
            name,
            missing: side.as_ref().err().map(|error| format!("{error:#}")),
            spread: side.is_ok().then(|| spread(rounds.clone())),
            rounds,
        })
        .collect();
    Row::new(
        &contest.group.name(),
        contest.name,
        contest.unit,
        sides,
        &contest.goals,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_between_the_lines_is_replaced() {
        let text = format!("a\n{BEGIN}old\n{END}\nb\n");
        let new = replace(&text, "new\n").unwrap();
        assert_eq!(new, format!("a\n{BEGIN}new\n{END}\nb\n"));
        assert_eq!(replace(&new, "new\n").unwrap(), new);
        assert_eq!(replace("nothing", "new"), None);
    }

    #[test]
    fn a_side_that_fails_is_missing_and_the_others_are_not() {
        let contest = Contest {
            group: Group::Bulk,
            name: "a contest".into(),
            unit: "1/s",
            sides: vec![
                ("one".into(), Ok(Box::new(|_| Ok(3.0)))),
                ("two".into(), Ok(Box::new(|_| anyhow::bail!("no device")))),
                ("three".into(), Err(anyhow::anyhow!("not installed"))),
                ("four".into(), Ok(Box::new(|_| Ok(2.0)))),
            ],
            goals: vec![
                contests::Goal::Times(1.4, "four"),
                contests::Goal::Times(1.0, "two"),
                contests::Goal::Times(2.0, "four"),
            ],
        };
        let row = compete(contest, 3, Duration::ZERO);
        assert_eq!(row.sides[0].rounds, [3.0; 3]);
        assert_eq!(row.sides[1].missing.as_deref(), Some("no device"));
        assert_eq!(row.sides[2].missing.as_deref(), Some("not installed"));
        let reached: Vec<_> = row.goals.iter().map(|goal| goal.reached).collect();
        assert_eq!(reached, [Some(true), None, Some(false)]);
        let report = Report {
            machine: "a machine".into(),
            build: report::build(),
            rounds: 3,
            millis: 0,
            cores: None,
            rows: vec![row],
            not_there: report::not_there(),
        };
        let table = report::markdown(&report);
        assert!(table.contains("two: missing (no device)"), "{table}");
        let svg = chart::svg("title", &report.rows.iter().collect::<Vec<_>>()).unwrap();
        assert!(svg.contains("missing: not installed"), "{svg}");
        assert!(!svg.contains("NaN"), "{svg}");
    }
}
