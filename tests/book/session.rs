//! Sessions: commands, and what they are said to print.

use sockeye_tests::{Outcome, Result, check, fail};

/// A command, and what it is said to print.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) command: String,
    pub(crate) output: String,
}

/// The steps of a session; a command goes on after a `\` at the end of its line.
pub(crate) fn steps(text: &str) -> Result<Vec<Step>> {
    let mut steps: Vec<Step> = Vec::new();
    let mut goes_on = false;
    for line in text.lines() {
        if goes_on && let Some(step) = steps.last_mut() {
            step.command.push('\n');
            step.command.push_str(line);
            goes_on = line.ends_with('\\');
        } else if let Some(command) = line.strip_prefix("$ ") {
            goes_on = command.ends_with('\\');
            let (command, output) = (command.to_owned(), String::new());
            steps.push(Step { command, output });
        } else if let Some(step) = steps.last_mut() {
            step.output.push_str(line);
            step.output.push('\n');
        } else {
            fail!("a session begins with a command, not with '{line}'");
        }
    }
    Ok(steps)
}

/// Whether `said` is what `wanted` describes, line by line, spaces at the ends of lines aside.
pub(crate) fn matches(wanted: &str, said: &str) -> bool {
    let lines = |text: &str| text.lines().map(str::trim_end).map(str::to_owned).collect();
    let (wanted, said): (Vec<String>, Vec<String>) = (lines(wanted), lines(said));
    fit(
        &wanted,
        &said,
        |line| line == "…",
        |a, b| {
            let pieces: Vec<String> = a.split('…').map(str::to_owned).collect();
            one_line(&pieces, b)
        },
    )
}

/// Whether each of `wanted` fits one of `said`, in order; a gap fits any number of them.
fn fit(
    wanted: &[String],
    said: &[String],
    is_gap: impl Fn(&str) -> bool + Copy,
    same: impl Fn(&str, &str) -> bool + Copy,
) -> bool {
    match wanted.split_first() {
        None => said.is_empty(),
        Some((gap, rest)) if is_gap(gap) => {
            (0..=said.len()).any(|at| fit(rest, &said[at..], is_gap, same))
        }
        Some((line, rest)) => said
            .split_first()
            .is_some_and(|(first, more)| same(line, first) && fit(rest, more, is_gap, same)),
    }
}

/// Whether a line is the pieces with anything between them.
fn one_line(pieces: &[String], line: &str) -> bool {
    let Some((first, rest)) = pieces.split_first() else {
        return line.is_empty();
    };
    let Some(mut line) = line.strip_prefix(first.as_str()) else {
        return false;
    };
    let Some((last, between)) = rest.split_last() else {
        return line.is_empty();
    };
    for piece in between {
        let Some(at) = line.find(piece.as_str()) else {
            return false;
        };
        line = &line[at + piece.len()..];
    }
    line.ends_with(last.as_str())
}

/// A session that prints something else is found out.
pub(crate) fn differences_are_seen() -> Result {
    let all = steps("$ a\none\n$ b \\\n  c\n$ d\n")?;
    let commands: Vec<&str> = all.iter().map(|step| step.command.as_str()).collect();
    check!(commands == ["a", "b \\\n  c", "d"], "{commands:?}");
    check!(steps("one\n$ a\n").is_err(), "no command before it");
    for (wanted, said, fits) in [
        ("a\n", "a\n", true),
        ("a\n", "b\n", false),
        ("a\n", "a\nb\n", false),
        ("", "a\n", false),
        ("a\n…\n", "a\nb\nc\n", true),
        ("…\nc\n", "a\nb\nc\n", true),
        ("…\nd\n", "a\nb\nc\n", false),
        ("time … ms\n", "time 12.5 ms\n", true),
        ("time … ms\n", "time 12.5 s\n", false),
        ("1… 2…\n", "10 20\n", true),
        ("1… 2…\n", "10 30\n", false),
    ] {
        check!(matches(wanted, said) == fits, "{wanted:?} and {said:?}");
    }
    Ok(Outcome::Passed)
}
