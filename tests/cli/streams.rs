//! Where the output goes: a terminal gets colours and progress, a file gets neither, and a reader
//! that went away is success.

use super::run;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use sockeye_tests::{Outcome, Program, Result, TempDir, Test, check, sockeye, tests};
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::process::Stdio;

pub(crate) const TESTS: &[Test] = tests![
    a_reader_that_went_away_is_success_to_each_command,
    the_first_line_of_a_scan_is_enough,
    colours_obey_the_terminal_and_no_color,
    progress_is_shown_on_a_terminal_alone,
];

/// Nobody reads from the very beginning.
fn a_reader_that_went_away_is_success_to_each_command() -> Result {
    let dir = TempDir::new()?;
    let source = "program P { version V { int ADD(int) = 1; } = 1; } = 0x20000000;";
    let file = dir.write("p.x", source)?;
    let file = file.to_str().ok_or("a path that is text")?;
    let help = run(&["--help"])?.expect(0)?.stdout_text();
    let names = super::commands(&help);
    let helps: Vec<[&str; 2]> = names.iter().map(|name| [name, "--help"]).collect();
    let rpcgen = ["rpcgen", file];
    let mut calls: Vec<&[&str]> = vec![
        &["--help"],
        &["--version"],
        &["ping", "-c", "1", "10.0.2.2"],
        &["ping", "-c", "1", "--json", "10.0.2.2"],
        &["trace", "--tcp", "10.0.2.2"],
        &["trace", "--tcp", "--json", "10.0.2.2"],
        &["scan", "-p", "1-100", "10.0.2.2"],
        &["scan", "-p", "1-100", "--json", "10.0.2.2"],
        &["scan", "--ping", "10.0.2.2"],
        &["nc", "10.0.2.2", "13"],
        &["bench", "--time", "0.1"],
        &["bench", "--time", "0.1", "--json"],
        &rpcgen,
        &["doctor"],
        &["doctor", "--json"],
    ];
    calls.extend(helps.iter().map(|help| &help[..]));
    for args in calls {
        let (reader, writer) = std::io::pipe()?;
        drop(reader);
        let mut command = std::process::Command::new(sockeye()?);
        command.args(args).stdin(Stdio::null()).stdout(writer);
        let output = command.stderr(Stdio::piped()).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        check!(
            output.status.success(),
            "{args:?}: {}: {said}",
            output.status
        );
        check!(said.is_empty(), "{args:?} complains: {said}");
    }
    Ok(Outcome::Passed)
}

fn the_first_line_of_a_scan_is_enough() -> Result {
    let script = "\"$0\" scan -p 1-100 10.0.2.2 | head -1; echo ${PIPESTATUS[0]}";
    let shell = Program::new("bash").args(["-c", script]).arg(sockeye()?);
    let said = shell.run()?.expect(0)?;
    let text = said.stdout_text();
    check!(text == "Scan report for 10.0.2.2\n0\n", "{text}");
    check!(said.stderr_text().is_empty(), "{}", said.stderr_text());
    Ok(Outcome::Passed)
}

/// What a terminal of 80 columns gets from `sockeye ARGS`, from both of its output streams.
fn on_terminal(args: &[&str], env: &[(&str, &str)]) -> Result<String> {
    let mut master = File::from(openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?);
    grantpt(&master)?;
    unlockpt(&master)?;
    let size = Winsize {
        ws_row: 24,
        ws_col: 80,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&master, size)?;
    let name = OsString::from_vec(ptsname(&master, Vec::new())?.into_bytes());
    let terminal = File::options().read(true).write(true).open(name)?;
    let mut command = std::process::Command::new(sockeye()?);
    command.args(args).stdin(Stdio::null());
    command.stdout(terminal.try_clone()?).stderr(terminal);
    command.env("TERM", "xterm-256color");
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(name);
    }
    command.envs(env.iter().copied());
    let mut child = command.spawn()?;
    // The terminal's end, which a dropped command no longer holds, is told as EIO.
    drop(command);
    let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(len @ 1..) = master.read(&mut buffer) {
        text.extend_from_slice(&buffer[..len]);
    }
    child.wait()?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// SGR, the escape that colours.
fn is_coloured(text: &str) -> bool {
    let after = text.split("\x1b[").skip(1);
    let is_end = |c: char| !(c.is_ascii_digit() || c == ';');
    after.into_iter().any(|rest| {
        rest.find(is_end)
            .is_some_and(|at| at > 0 && rest[at..].starts_with('m'))
    })
}

fn colours_obey_the_terminal_and_no_color() -> Result {
    for args in [&["doctor"][..], &["--help"], &["pnig"]] {
        let text = on_terminal(args, &[])?;
        check!(is_coloured(&text), "{args:?}: no colour: {text:?}");
        let text = on_terminal(args, &[("NO_COLOR", "1")])?;
        check!(!is_coloured(&text), "{args:?}: colours: {text:?}");
        let output = run(args)?;
        for text in [output.stdout_text(), output.stderr_text()] {
            check!(!text.contains('\x1b'), "{args:?}: no terminal: {text:?}");
        }
    }
    Ok(Outcome::Passed)
}

fn progress_is_shown_on_a_terminal_alone() -> Result {
    for (args, sign) in [
        (&["scan", "-p", "1-600", "10.0.2.2"][..], "/600 ports"),
        (&["bench", "--time", "1"], " s  "),
    ] {
        let text = on_terminal(args, &[])?;
        check!(text.contains(sign), "{args:?}: no progress: {text:?}");
        let output = run(args)?.expect(0)?;
        let text = output.stderr_text();
        check!(text.is_empty(), "{args:?}: not on a terminal: {text:?}");
        check!(!output.stdout_text().contains(sign), "{args:?}: in a file");
    }
    Ok(Outcome::Passed)
}
