//! RFCS.md: which section of which RFC is kept where, and which test shows it.
//!
//! A rule is cited where it is kept, as `RFC 9293 §3.10.7.4: …`, in comments of the code, of tests
//! and of packet scripts. Some RFCs are gone through requirement by requirement: RFC 9293's have
//! numbers (`MUST-35`), which stand beside; others' are numbered within their section
//! (`RFC 9260 §6.2-4`). This collects them; [`requirements`] says what each number is about, and why
//! some are left out.

mod citations;
mod requirements;

use anyhow::{Context, Result, bail};
use citations::{Citations, Place};
use requirements::{LISTS, List, Requirement};
use std::fmt::Write as _;
use std::path::Path;

const FILE: &str = "RFCS.md";

/// How to be called.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write nothing: fail unless RFCS.md is what would be written.
    #[arg(long)]
    check: bool,
}

/// Writes RFCS.md, or checks it.
///
/// # Errors
/// A requirement that is not left out is kept nowhere or shown by no test; RFCS.md is out of date.
pub(crate) fn run(args: &Args) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let root = root.context("xtask lies in the workspace")?;
    let citations = Citations::collect(root)?;
    let missing = missing(&citations);
    for line in &missing {
        eprintln!("{line}");
    }
    let text = render(&citations);
    let path = root.join(FILE);
    if args.check {
        let is = std::fs::read_to_string(&path).unwrap_or_default();
        if is != text {
            bail!("{FILE} is out of date: 'cargo xtask rfcs' writes it anew");
        }
    } else {
        std::fs::write(&path, text).with_context(|| path.display().to_string())?;
    }
    if !missing.is_empty() {
        bail!("{} requirements have no place or no test", missing.len());
    }
    Ok(())
}

/// What the rows of the requirements lack.
fn missing(citations: &Citations) -> Vec<String> {
    let mut lines = Vec::new();
    for list in LISTS {
        let rfc = list.rfc;
        for Requirement { id, left_out, .. } in list.rows {
            let places = citations.requirement(rfc, id);
            let code = places.iter().any(|place| !place.is_test);
            let test = places.iter().any(|place| place.is_test);
            let lack = match left_out {
                None if !code => "is cited nowhere in the code",
                None if !test => "is cited by no test and no script",
                Some(_) if code => "is left out, but the code cites it",
                _ => continue,
            };
            lines.push(format!("RFC {rfc}: {id} {lack}"));
        }
    }
    for (rfc, id) in citations.requirements() {
        let known = LISTS.iter().find(|list| list.rfc == *rfc);
        if !known.is_some_and(|list| list.rows.iter().any(|row| row.id == id)) {
            lines.push(format!("RFC {rfc} has no requirement {id}"));
        }
    }
    lines
}

fn render(citations: &Citations) -> String {
    let mut out = String::from(
        "# RFCs, section by section\n\n\
         Written by `cargo xtask rfcs` from the citations in comments; do not edit. A rule is cited \
         where it is kept (`RFC 9293 §3.10.7.4: …`), and where a test or a packet script shows it.\n",
    );
    for list in LISTS {
        render_list(&mut out, citations, list);
    }
    out.push_str("\n## All citations\n");
    for (rfc, sections) in citations.by_rfc() {
        let _ = write!(
            out,
            "\n### RFC {rfc}\n\n| § | Code | Tests |\n|---|---|---|\n"
        );
        for (section, places) in sections {
            let code = files(places.iter().filter(|place| !place.is_test));
            let tests = files(places.iter().filter(|place| place.is_test));
            let _ = writeln!(out, "| {section} | {code} | {tests} |");
        }
    }
    out
}

/// The requirements of one RFC.
fn render_list(out: &mut String, citations: &Citations, list: &List) {
    let List { rfc, about, rows } = list;
    // Writing to a string does not fail.
    let _ = write!(
        out,
        "\n## The requirements of RFC {rfc}\n\n\
         {about} What is left out has the reason in the place of files.\n\n\
         | | § | What | Kept in | Shown by |\n|---|---|---|---|---|\n"
    );
    for row in *rows {
        let places = citations.requirement(*rfc, row.id);
        let kept = match row.left_out {
            Some(reason) => format!("*left out:* {reason}"),
            None => files(places.iter().filter(|place| !place.is_test)),
        };
        let shown = files(places.iter().filter(|place| place.is_test));
        let Requirement { id, what, .. } = row;
        let section = row.section();
        let _ = writeln!(out, "| {id} | {section} | {what} | {kept} | {shown} |");
    }
}

/// The files of `places`, each once, as they are sorted.
fn files<'a>(places: impl Iterator<Item = &'a Place>) -> String {
    let mut names: Vec<String> = places.map(|place| short(&place.file)).collect();
    names.dedup();
    names.join("<br>")
}

/// The path without what all of its kind have.
fn short(path: &str) -> String {
    let path = path.strip_prefix("crates/").unwrap_or(path);
    let path = path.replacen("/src/", "/", 1);
    path.replacen("tests/scripts/", "", 1)
}
