//! What the documents tell to type: each block of commands in README, the book and the index of the
//! examples is run as it stands, and each example, too.
//!
//! A block marked `sh` is a script for bash, which ends at the first failure; `sh root` wants root,
//! and gets a network namespace of its own. One marked `console` is a session: lines after `$ ` are
//! commands, what follows is what they print, where `…` stands for anything, and for any lines when
//! it is a line. `sockeye` is the program of this tree, and $BOOK the folder of the chapters. A
//! line that calls cargo is not run again here: .ci/run has to have it.

mod blocks;
mod examples;
mod session;

use blocks::{Block, Language};
use sockeye_tests::{Body, Outcome, Program, Result, TempDir, check, fail, have, ignore, is_root};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Programs that a block may call; what a machine lacks of them makes the block ignored.
const PROGRAMS: [&str; 5] = ["curl", "ip", "ping", "python3", "tshark"];

fn main() {
    let mut found: Vec<(String, Body)> = Vec::new();
    for file in documents() {
        let name = file.strip_prefix(root()).unwrap_or(&file).display();
        let text = fs::read_to_string(&file).unwrap_or_default();
        for block in blocks::of(&text) {
            let name = format!("{name}:{}", block.line);
            found.push((name, Box::new(move || run(&block))));
        }
    }
    found.push(("blocks".into(), Box::new(there_are_blocks)));
    found.push(("session".into(), Box::new(session::differences_are_seen)));
    found.extend(examples::tests());
    sockeye_tests::harness_of(found);
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Where commands are that this runs.
fn documents() -> Vec<PathBuf> {
    let mut files = vec![root().join("README.md"), root().join("examples/README.md")];
    let chapters = fs::read_dir(root().join("docs/book")).into_iter().flatten();
    let paths = chapters.flatten().map(|entry| entry.path());
    files.extend(paths.filter(|path| path.extension().is_some_and(|e| e == "md")));
    files.sort();
    files
}

/// The search finds what is there: README's first commands, and a session of the book.
fn there_are_blocks() -> Result {
    let text = fs::read_to_string(root().join("README.md"))?;
    let first = blocks::of(&text).into_iter().next().ok_or("no block")?;
    check!(first.text.starts_with("cargo run "), "{}", first.text);
    let text = fs::read_to_string(root().join("docs/book/run.md"))?;
    let sessions = blocks::of(&text);
    let sessions = sessions.iter().filter(|b| b.language == Language::Console);
    check!(sessions.count() >= 3, "too few sessions");
    Ok(Outcome::Passed)
}

fn run(block: &Block) -> Result {
    let text = without_cargo(&block.text)?;
    if let Some(reason) = lacks(block, &text)? {
        return ignore!("{reason}");
    }
    let dir = TempDir::new()?;
    match block.language {
        Language::Sh => {
            let script = format!("trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{text}");
            let run = shell(&dir, block.root)?.args(["-eu", "-c", &script]);
            run.run()?.expect(0)?;
        }
        Language::Console => {
            for step in session::steps(&text)? {
                let run = shell(&dir, block.root)?.args(["-u", "-c", &step.command]);
                let said = run.run()?.expect(0)?.stdout_text();
                if !session::matches(&step.output, &said) {
                    let (command, output) = (step.command, step.output);
                    fail!("`{command}` is said to print\n{output}\nbut printed\n{said}");
                }
            }
        }
    }
    Ok(Outcome::Passed)
}

/// A shell that finds the program of this tree.
fn shell(dir: &TempDir, root: bool) -> Result<Program> {
    let folder = sockeye_tests::sockeye()?.parent().ok_or("a folder")?;
    let mut path = vec![folder.to_owned()];
    path.extend(std::env::split_paths(
        &std::env::var_os("PATH").unwrap_or_default(),
    ));
    // Debian has ip there, which an ordinary user's PATH may lack.
    path.extend(["/usr/sbin", "/sbin"].map(PathBuf::from));
    let shell = match root {
        true => Program::new("unshare").args(["--net", "bash"]),
        false => Program::new("bash"),
    };
    Ok(shell
        .env("PATH", std::env::join_paths(path)?)
        .env("BOOK", crate::root().join("docs/book"))
        .current_dir(dir.path()))
}

/// The text without lines that call cargo, which .ci/run has to have: all their words, in order, in
/// one of its lines.
fn without_cargo(text: &str) -> Result<String> {
    let ci = fs::read_to_string(root().join(".ci/run"))?;
    let mut rest = String::new();
    for line in text.lines() {
        if !line.starts_with("cargo ") {
            rest.push_str(line);
            rest.push('\n');
            continue;
        }
        let words: Vec<&str> = line
            .split_whitespace()
            .take_while(|w| !w.starts_with('#'))
            .collect();
        let has_all = |line: &str| {
            let mut there = line.split_whitespace();
            words.iter().all(|word| there.any(|other| other == *word))
        };
        check!(ci.lines().any(has_all), ".ci/run has no line like `{line}`");
    }
    Ok(rest)
}

/// What the machine lacks for a block.
fn lacks(block: &Block, text: &str) -> Result<Option<String>> {
    if block.root && !is_root() {
        return Ok(Some("it takes root".into()));
    }
    let words: Vec<&str> = text
        .split(|c: char| !(c.is_alphanumeric() || "-_./".contains(c)))
        .filter(|word| !word.is_empty())
        .collect();
    // `ping` is also what sockeye calls a command of its own.
    let own = |at: usize| at > 0 && words[at - 1] == "sockeye";
    for (at, word) in words.iter().enumerate() {
        let sbin = Path::new("/usr/sbin").join(word).is_file();
        if PROGRAMS.contains(word) && !own(at) && !have(word) && !sbin {
            return Ok(Some(format!("there is no {word} on this machine")));
        }
    }
    let wants_run = text.contains("sockeye run ") || text.contains("sockeye doctor");
    if wants_run && !run_works()? {
        return Ok(Some("`sockeye run` does not work on this machine".into()));
    }
    Ok(None)
}

fn run_works() -> Result<bool> {
    static WORKS: OnceLock<bool> = OnceLock::new();
    if let Some(works) = WORKS.get() {
        return Ok(*works);
    }
    let doctor = Program::new(sockeye_tests::sockeye()?)
        .arg("doctor")
        .run()?;
    Ok(*WORKS.get_or_init(|| doctor.code == Some(0)))
}
