//! The cost guard: what fixed scenarios take in instructions, compared with figures that are
//! committed.
//!
//! Instructions are counted by valgrind's callgrind, which repeats exactly on one machine, however
//! busy, and nearly on others with the same compiler and C library. The scenarios are those of
//! `bench/cost`, built in the profile `cost`; the figures lie in [`FIGURES`]. They are changed on
//! purpose, in a commit that says why.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The committed figures.
const FIGURES: &str = "bench/cost.txt";
/// More than this over its figure fails; as much below it should be written down.
const TOLERANCE_PERCENT: f64 = 5.0;
/// Where callgrind counts, and not elsewhere.
const MEASURED: &str = "sockeye_cost_measured";
/// Scenarios at the same time.
const JOBS: usize = 2;

/// What one scenario takes.
#[derive(Clone, Debug, PartialEq)]
struct Figure {
    scenario: String,
    /// Segments, connections or the like, and what they are called.
    units: u64,
    unit: String,
    per_unit: f64,
    /// Instructions per byte of text, where there is any to speak of.
    per_byte: Option<f64>,
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            scenario,
            units,
            unit,
            per_unit,
            per_byte,
        } = self;
        write!(
            f,
            "{scenario:<34} | {units:>5} | {per_unit:>9.1} per {unit}"
        )?;
        match per_byte {
            Some(per_byte) => write!(f, " | {per_byte:.3} per byte"),
            None => Ok(()),
        }
    }
}

impl Figure {
    /// From a line of the file.
    fn parse(line: &str) -> Option<Self> {
        let mut columns = line.split('|').map(str::trim);
        let (scenario, units) = (columns.next()?.to_owned(), columns.next()?.parse().ok()?);
        let (per_unit, unit) = columns.next()?.split_once(" per ")?;
        let per_byte = match columns.next() {
            Some(column) => Some(column.strip_suffix(" per byte")?.parse().ok()?),
            None => None,
        };
        Some(Self {
            scenario,
            units,
            unit: unit.to_owned(),
            per_unit: per_unit.parse().ok()?,
            per_byte,
        })
    }

    /// How far above `old` it is, in percent, by the worse of its two figures.
    fn above(&self, old: &Self) -> f64 {
        let percent = |new: f64, old: f64| (new / old - 1.0) * 100.0;
        let by_unit = percent(self.per_unit, old.per_unit);
        match (self.per_byte, old.per_byte) {
            (Some(new), Some(old)) => by_unit.max(percent(new, old)),
            _ => by_unit,
        }
    }
}

/// Counts, and compares with the committed figures or writes them anew.
pub(crate) fn run(update: bool) -> Result<()> {
    let program = build()?;
    let compiler = text(Command::new("rustc").arg("--version"))?;
    let names = text(&mut Command::new(&program))?;
    let names: Vec<&str> = names.lines().collect();
    let mut figures = Vec::new();
    for some in names.chunks(JOBS) {
        let counted: Result<Vec<Figure>> = std::thread::scope(|scope| {
            let threads: Vec<_> = some
                .iter()
                .map(|name| scope.spawn(|| count(&program, name)))
                .collect();
            let joined = threads.into_iter().map(|thread| thread.join());
            joined
                .map(|result| result.expect("counting does not panic"))
                .collect()
        });
        figures.extend(counted?);
    }
    if update {
        std::fs::write(FIGURES, file(&figures, &compiler))
            .with_context(|| format!("{FIGURES} could not be written"))?;
        println!("{FIGURES} is written");
        return Ok(());
    }
    let old = std::fs::read_to_string(FIGURES)
        .with_context(|| format!("{FIGURES} could not be read: `cargo xtask cost --update`"))?;
    compare(&figures, &old, &compiler)
}

/// The file with the figures.
fn file(figures: &[Figure], compiler: &str) -> String {
    let mut text = format!(
        "# Instructions that fixed scenarios take, both nodes together, as `cargo xtask cost` counts them.\n\
         # More than {TOLERANCE_PERCENT}% above fails. Written by `cargo xtask cost --update`, on purpose and in a\n\
         # commit that says why. The compiler was {compiler}.\n"
    );
    for figure in figures {
        text += &format!("{figure}\n");
    }
    text
}

/// Prints new beside old.
fn compare(figures: &[Figure], old: &str, compiler: &str) -> Result<()> {
    let lines = old.lines().filter(|line| !line.starts_with('#'));
    let known: Option<Vec<Figure>> = lines.map(Figure::parse).collect();
    let known = known.with_context(|| format!("{FIGURES} has a line that is no figure"))?;
    let (mut worse, mut better) = (0, 0);
    for figure in figures {
        let old = known.iter().find(|old| old.scenario == figure.scenario);
        let Some(old) = old else {
            worse += 1;
            println!("{figure}   not in {FIGURES}");
            continue;
        };
        let above = figure.above(old);
        worse += usize::from(above > TOLERANCE_PERCENT);
        better += usize::from(above < -TOLERANCE_PERCENT);
        println!("{figure}   {above:+.2}%");
    }
    if better > 0 {
        println!(
            "{better} of them cost more than {TOLERANCE_PERCENT}% less: renew {FIGURES} with `cargo xtask cost --update`"
        );
    }
    if worse > 0 {
        let other = if old.contains(compiler) {
            String::new()
        } else {
            format!("; it was made with another compiler than {compiler}")
        };
        bail!(
            "{worse} of them cost more than {TOLERANCE_PERCENT}% more than {FIGURES} says{other}"
        );
    }
    Ok(())
}

/// Builds the scenarios, and says where the program is.
fn build() -> Result<PathBuf> {
    let output = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "sockeye-cost"])
        .args(["--profile", "cost", "--message-format=json"])
        // Flags of the caller's would change what is counted.
        .env_remove("RUSTFLAGS")
        .output()
        .context("cargo could not be started")?;
    let stdout = checked(output, "building the scenarios")?;
    let program = stdout.lines().rev().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        Some(PathBuf::from(message.get("executable")?.as_str()?))
    });
    program.context("cargo did not say where it put the program")
}

/// Runs a scenario under callgrind.
fn count(program: &Path, name: &str) -> Result<Figure> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(format!("--toggle-collect={MEASURED}"))
        .args([program.as_os_str(), name.as_ref()])
        // The environment lies on the stack: the same one, the same alignment.
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .output()
        .context("valgrind could not be started: install it")?;
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let stdout = checked(output, name)?;
    let (instructions, done) = (collected(&stderr), done(&stdout));
    let instructions = instructions.with_context(|| format!("callgrind said:\n{stderr}"))?;
    let (units, bytes, unit) = done.with_context(|| format!("the scenario said: {stdout}"))?;
    ensure!(
        instructions > 0,
        "callgrind did not find {MEASURED} in {}",
        program.display()
    );
    Ok(Figure {
        scenario: name.to_owned(),
        units,
        unit,
        per_unit: instructions as f64 / units as f64,
        // A few bytes are carried for something else than themselves.
        per_byte: (bytes > 1 << 20).then(|| instructions as f64 / bytes as f64),
    })
}

/// The sum in `==123== Collected : 456`.
fn collected(stderr: &str) -> Option<u64> {
    let line = stderr.lines().find(|line| line.contains("Collected :"))?;
    line.rsplit(' ').next()?.parse().ok()
}

/// `UNITS BYTES UNIT`
fn done(stdout: &str) -> Option<(u64, u64, String)> {
    let (units, rest) = stdout.trim_end().split_once(' ')?;
    let (bytes, unit) = rest.split_once(' ')?;
    Some((units.parse().ok()?, bytes.parse().ok()?, unit.to_owned()))
}

fn text(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("{command:?} could not be started"))?;
    Ok(checked(output, &format!("{command:?}"))?.trim().to_owned())
}

/// The standard output of what ended well.
fn checked(output: Output, what: &str) -> Result<String> {
    if !output.status.success() {
        bail!(
            "{what}: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(per_unit: f64, per_byte: Option<f64>) -> Figure {
        Figure {
            scenario: "bulk, far".into(),
            units: 7,
            unit: "segment".into(),
            per_unit,
            per_byte,
        }
    }

    #[test]
    fn a_figure_is_read_as_it_is_written() {
        for one in [figure(1234.5, Some(0.125)), figure(9.0, None)] {
            assert_eq!(Figure::parse(&one.to_string()), Some(one));
        }
        assert_eq!(Figure::parse("bulk | many | 1 per segment"), None);
    }

    #[test]
    fn more_than_five_percent_fails() {
        let old = file(&[figure(100.0, Some(1.0))], "rustc 1");
        let passes = |new| compare(&[new], &old, "rustc 1").is_ok();
        assert!(passes(figure(104.9, Some(1.0))));
        assert!(!passes(figure(105.2, Some(1.0))));
        // Fewer bytes in each segment.
        assert!(!passes(figure(100.0, Some(1.2))));
        assert!(passes(figure(50.0, Some(0.5))));
        let mut other = figure(1.0, None);
        other.scenario = "new".into();
        assert!(!passes(other));
    }

    #[test]
    fn valgrinds_words_are_understood() {
        let words = "==9== Events    : Ir\n==9== Collected : 123456\n==9==\n";
        assert_eq!(collected(words), Some(123_456));
        assert_eq!(done("12 99 64 KiB\n"), Some((12, 99, "64 KiB".into())));
    }
}
