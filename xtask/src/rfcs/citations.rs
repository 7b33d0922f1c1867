//! Finds citations of RFCs in comments.

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where citations are looked for.
const FOLDERS: [&str; 2] = ["crates", "tests"];
/// The kinds of requirement of RFC 9293, which numbers them itself.
const KINDS: [&str; 4] = ["MUST-", "SHLD-", "MAY-", "REC-"];

/// A file that cites, and whether it does so in a test.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// From the workspace's root.
    pub(super) file: String,
    pub(super) is_test: bool,
}

/// A section's number, so that 3.10 comes after 3.9.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Section(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Number(u32),
    Word(String),
}

impl Section {
    fn parse(text: &str) -> Self {
        let part = |part: &str| match part.parse() {
            Ok(number) => Part::Number(number),
            Err(_) => Part::Word(part.to_owned()),
        };
        Self(
            text.split('.')
                .filter(|p| !p.is_empty())
                .map(part)
                .collect(),
        )
    }
}

impl std::fmt::Display for Section {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (n, part) in self.0.iter().enumerate() {
            let dot = if n > 0 { "." } else { "" };
            match part {
                Part::Number(number) => write!(f, "{dot}{number}")?,
                Part::Word(word) => write!(f, "{dot}{word}")?,
            }
        }
        Ok(())
    }
}

/// All citations of the tree.
#[derive(Debug, Default)]
pub(super) struct Citations {
    sections: BTreeMap<u32, BTreeMap<Section, Vec<Place>>>,
    requirements: BTreeMap<(u32, String), Vec<Place>>,
}

impl Citations {
    /// Reads every file of Rust and every script.
    pub(super) fn collect(root: &Path) -> Result<Self> {
        let mut files = Vec::new();
        for folder in FOLDERS {
            list(&root.join(folder), &mut files)?;
        }
        files.sort();
        let mut citations = Self::default();
        for path in files {
            let text = std::fs::read_to_string(&path);
            let text = text.with_context(|| path.display().to_string())?;
            let name = path.strip_prefix(root).unwrap_or(&path);
            citations.read(&name.display().to_string(), &text);
        }
        Ok(citations)
    }

    fn read(&mut self, file: &str, text: &str) {
        let script = file.ends_with(".script");
        let tests =
            file.starts_with("tests/") || file.contains("/tests/") || file.ends_with("/tests.rs");
        for (comment, in_tests) in comments(text, script) {
            let place = Place {
                file: file.to_owned(),
                is_test: tests || in_tests,
            };
            self.read_comment(&comment, &place);
        }
    }

    fn read_comment(&mut self, comment: &str, place: &Place) {
        let mut rest = comment;
        while let Some(at) = rest.find("RFC ") {
            rest = &rest[at + 4..];
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let Ok(rfc) = rest[..digits].parse() else {
                continue;
            };
            rest = &rest[digits..];
            while let Some((section, after)) = next_section(rest) {
                rest = after;
                if let Some((place_in, after)) = next_number(rest) {
                    rest = after;
                    let id = format!("{section}-{place_in}");
                    add(self.requirements.entry((rfc, id)).or_default(), place);
                }
                let sections = self.sections.entry(rfc).or_default();
                add(sections.entry(section).or_default(), place);
            }
        }
        for kind in KINDS {
            for (at, _) in comment.match_indices(kind) {
                let digits = comment[at + kind.len()..].chars();
                let digits: String = digits.take_while(char::is_ascii_digit).collect();
                if !digits.is_empty() {
                    let id = (9293, format!("{kind}{digits}"));
                    add(self.requirements.entry(id).or_default(), place);
                }
            }
        }
    }

    /// Where the requirement is cited.
    pub(super) fn requirement(&self, rfc: u32, id: &str) -> &[Place] {
        let places = self.requirements.get(&(rfc, id.to_owned()));
        places.map_or(&[], Vec::as_slice)
    }

    /// All requirements that are cited.
    pub(super) fn requirements(&self) -> impl Iterator<Item = &(u32, String)> {
        self.requirements.keys()
    }

    /// All sections that are cited, by RFC.
    pub(super) fn by_rfc(&self) -> impl Iterator<Item = (u32, &BTreeMap<Section, Vec<Place>>)> {
        self.sections.iter().map(|(rfc, sections)| (*rfc, sections))
    }
}

/// One place more, unless it is the last.
fn add(places: &mut Vec<Place>, place: &Place) {
    if places.last() != Some(place) {
        places.push(place.clone());
    }
}

/// The number of a requirement behind its section, as in "§6.2-4", and what follows it.
fn next_number(text: &str) -> Option<(u32, &str)> {
    let digits = text.strip_prefix('-')?;
    let len = digits.len()
        - digits
            .trim_start_matches(|c: char| c.is_ascii_digit())
            .len();
    Some((digits[..len].parse().ok()?, &digits[len..]))
}

/// The next "§3.8.5" of a list behind the RFC's number, and what follows it.
fn next_section(text: &str) -> Option<(Section, &str)> {
    let mut text = text;
    for word in [" and", " to", ","] {
        text = text.strip_prefix(word).unwrap_or(text);
    }
    let text = text.strip_prefix(' ')?.strip_prefix('§')?;
    let len = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '.'))
        .unwrap_or(text.len());
    let number = text[..len].trim_end_matches('.');
    (!number.is_empty()).then(|| (Section::parse(number), &text[number.len()..]))
}

/// The comments of a file, each as one line, and whether it stands among the tests of the file.
fn comments(text: &str, script: bool) -> Vec<(String, bool)> {
    let mut all: Vec<(String, bool)> = Vec::new();
    let (mut open, mut in_tests, mut before) = (false, false, "");
    for line in text.lines() {
        let line = line.trim();
        // The module of tests is the last of its file.
        in_tests |= before == "#[cfg(test)]" && line.contains("mod ") && line.ends_with('{');
        before = line;
        let comment = if script {
            line.find('#').map(|at| (at == 0, &line[at + 1..]))
        } else {
            let at = line.find("//");
            at.map(|at| (at == 0, line[at..].trim_start_matches(['/', '!'])))
        };
        match comment {
            Some((true, comment)) if open => {
                if let Some((last, _)) = all.last_mut() {
                    last.push(' ');
                    last.push_str(comment.trim());
                }
            }
            Some((alone, comment)) => {
                all.push((comment.trim().to_owned(), in_tests));
                open = alone;
                continue;
            }
            None => {}
        }
        open &= matches!(comment, Some((true, _)));
    }
    all
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            list(&path, files)?;
        } else if path.extension().is_some_and(|e| e == "rs" || e == "script") {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &str, text: &str) -> Citations {
        let mut citations = Citations::default();
        citations.read(file, text);
        citations
    }

    fn sections(citations: &Citations) -> Vec<String> {
        let all = citations.by_rfc();
        all.flat_map(|(rfc, sections)| sections.keys().map(move |s| format!("{rfc} {s}")))
            .collect()
    }

    #[test]
    fn a_citation_may_list_sections_and_go_over_lines() {
        let text = "/// As RFC 9293 §3.10, §3.9.1 and\n/// §3.2 (MUST-64, MAY-1) say; RFC\n/// 793 not.\nfn f() {} // RFC 6298 §5 (5.1).";
        let read = read("crates/tcp/src/ack.rs", text);
        assert_eq!(
            sections(&read),
            ["6298 5", "9293 3.2", "9293 3.9.1", "9293 3.10"]
        );
        assert_eq!(read.requirement(9293, "MUST-64").len(), 1);
        assert!(!read.requirement(9293, "MAY-1")[0].is_test);
    }

    #[test]
    fn a_requirement_may_stand_behind_its_section() {
        let text = "// RFC 9260 §6.2-4 and §6.2-12, §8.4: some (§6.3-1 not).";
        let read = read("crates/sctp/src/sack.rs", text);
        let ids: Vec<_> = read
            .requirements()
            .map(|(rfc, id)| (*rfc, &id[..]))
            .collect();
        assert_eq!(ids, [(9260, "6.2-12"), (9260, "6.2-4")]);
        assert_eq!(sections(&read), ["9260 6.2", "9260 8.4"]);
    }

    #[test]
    fn tests_are_told_from_code() {
        let text = "// MUST-1\n#[cfg(test)]\nmod tests {\n// MUST-2\n}";
        let read_code = read("crates/tcp/src/ack.rs", text);
        assert!(!read_code.requirement(9293, "MUST-1")[0].is_test);
        assert!(read_code.requirement(9293, "MUST-2")[0].is_test);
        let script = read(
            "tests/scripts/rfc9293/a.script",
            "# RFC 9293 §3.1 (MUST-3)\nlisten # MUST-4",
        );
        assert!(
            script.requirement(9293, "MUST-3")[0].is_test
                && script.requirement(9293, "MUST-4")[0].is_test
        );
    }
}
