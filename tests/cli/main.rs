//! The command line: what it says of a mistake, what its help lists, what `doctor` reports.

use sockeye_tests::{Outcome, Program, Result, check, harness, sockeye, tests};

fn main() {
    harness(&[tests![
        an_unknown_command_names_the_known_ones,
        no_command_prints_the_help,
        each_command_in_the_help_has_help,
        doctor_says_what_to_do_about_each_no,
        doctor_prints_json,
        a_reader_that_went_away_is_success,
    ]]);
}

fn run(args: &[&str]) -> Result<sockeye_tests::Output> {
    Program::new(sockeye()?).args(args).run()
}

/// The names under "Commands:" in the help.
fn commands(help: &str) -> Vec<String> {
    help.lines()
        .skip_while(|line| !line.starts_with("Commands:"))
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

fn an_unknown_command_names_the_known_ones() -> Result {
    let names = commands(&run(&["--help"])?.expect(0)?.stdout_text());
    let said = run(&["pnig"])?.expect(2)?.stderr_text();
    check!(said.contains("'pnig'"), "it does not name it: {said}");
    let names = names.join(", ");
    check!(said.contains(&names), "it does not list {names}: {said}");
    Ok(Outcome::Passed)
}

fn no_command_prints_the_help() -> Result {
    let said = run(&[])?.expect(2)?.stderr_text();
    check!(said.contains("Usage: sockeye"), "no usage: {said}");
    Ok(Outcome::Passed)
}

fn each_command_in_the_help_has_help() -> Result {
    let help = run(&["--help"])?.expect(0)?.stdout_text();
    let names = commands(&help);
    check!(names.iter().any(|n| n == "doctor"), "no doctor: {help}");
    for name in names {
        let help = run(&[&name, "--help"])?.expect(0)?.stdout_text();
        let usage = format!("Usage: sockeye {name}");
        check!(help.contains(&usage), "{name} --help: {help}");
    }
    Ok(Outcome::Passed)
}

fn doctor_says_what_to_do_about_each_no() -> Result {
    let report = run(&["doctor"])?;
    let worked = matches!(report.code, Some(0 | 1));
    check!(worked, "{}", report.stderr_text());
    let text = report.stdout_text();
    let verdicts: Vec<&str> = text.lines().filter(|l| !l.starts_with(' ')).collect();
    check!(verdicts.len() >= 4, "too few things looked at: {text}");
    for line in &verdicts {
        let known = line.starts_with("yes  ") || line.starts_with("no   ");
        check!(known, "neither yes nor no: {line}");
    }
    let refused = verdicts.iter().filter(|l| l.starts_with("no")).count();
    let remedies = text.lines().filter(|l| l.starts_with("     ")).count();
    check!(
        refused == remedies,
        "{refused} no, {remedies} remedies: {text}"
    );
    Ok(Outcome::Passed)
}

fn doctor_prints_json() -> Result {
    let text = run(&["doctor", "--json"])?.stdout_text();
    check!(text.starts_with('[') && text.ends_with("]\n"), "{text}");
    check!(text.contains("\"name\": \"user notification\""), "{text}");
    Ok(Outcome::Passed)
}

fn a_reader_that_went_away_is_success() -> Result {
    let script = "exec 3>&1; { sleep 0.1; \"$0\" doctor --json; echo $? >&3; } | true";
    let run = Program::new("bash")
        .args(["-c", script])
        .arg(sockeye()?)
        .run()?
        .expect(0)?;
    let (said, status) = (run.stderr_text(), run.stdout_text());
    check!(said.is_empty(), "it complains: {said}");
    check!(matches!(status.trim(), "0" | "1"), "exit status {status}");
    Ok(Outcome::Passed)
}
