//! `--report`: what crosses the links and happens in the node goes to a recorder, and at the end to a
//! file.

use anyhow::{Context as _, Result};
use sockeye::drivers::Watch;
use sockeye::drivers::watched::Direction;
use sockeye::link::{Instant, Medium, Packet};
use sockeye::{Counters, Event, Observer};
use sockeye_report::{Facts, Recorder, Way};
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

/// Where a report goes, and in which form: the name's ending says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReportFile {
    path: PathBuf,
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Html,
    Svg,
}

impl FromStr for ReportFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = PathBuf::from(text);
        let ending = path.extension().and_then(|ending| ending.to_str());
        let form = match ending.map(str::to_ascii_lowercase).as_deref() {
            Some("html" | "htm") => Form::Html,
            Some("svg") => Form::Svg,
            _ => {
                return Err(format!(
                    "'{text}' does not say which form it has: FILE.html for a page, FILE.svg for a picture"
                ));
            }
        };
        Ok(Self { path, form })
    }
}

/// A report in the making. Clones are handles to the same one.
#[derive(Clone)]
pub(crate) struct Seeing(Arc<Mutex<Recorder>>);

impl Seeing {
    fn with<R>(&self, look: impl FnOnce(&mut Recorder) -> R) -> R {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Watch for Seeing {
    fn on_packet(&mut self, now: Instant, medium: Medium, direction: Direction, packet: &Packet) {
        let way = match direction {
            Direction::Inbound => Way::Received,
            Direction::Outbound => Way::Sent,
        };
        self.with(|recorder| recorder.on_packet(now, medium, way, packet));
    }
}

impl Observer for Seeing {
    fn on_event(&mut self, at: Instant, event: &Event) {
        self.with(|recorder| recorder.on_event(at, event));
    }
}

/// The file that a report is written to at the end.
pub(crate) struct Output {
    pub(crate) seeing: Seeing,
    file: File,
    form: Form,
    path: PathBuf,
}

impl Output {
    /// Makes the file, so that one that can't be made is known at the beginning.
    pub(crate) fn create(report: &ReportFile) -> Result<Self> {
        let ReportFile { path, form } = report;
        let file = File::create(path);
        Ok(Self {
            seeing: Seeing(Arc::default()),
            file: file.with_context(|| cant_write(path))?,
            form: *form,
            path: path.clone(),
        })
    }

    /// Writes the report.
    pub(crate) fn write(&mut self, counters: Option<&Counters>) -> Result<()> {
        let words = std::env::args_os().skip(1);
        let words: Vec<_> = words
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        let counters = counters.into_iter().flat_map(Counters::iter);
        let facts = Facts {
            title: format!("sockeye {}", words.join(" ")),
            lines: vec![("version".into(), env!("CARGO_PKG_VERSION").into())],
            counters: counters.map(|(counter, n)| (counter.name(), n)).collect(),
        };
        let text = self.seeing.with(|recorder| {
            let report = recorder.report(facts);
            match self.form {
                Form::Html => report.html(),
                Form::Svg => report.svg(),
            }
        });
        let written = self.file.write_all(text.as_bytes());
        written.with_context(|| cant_write(&self.path))
    }
}

fn cant_write(path: &Path) -> String {
    format!("{} can't be written", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_says_the_form() {
        let form = |text: &str| text.parse::<ReportFile>().map(|report| report.form);
        assert_eq!(form("a/b.html"), Ok(Form::Html));
        assert_eq!(form("b.SVG"), Ok(Form::Svg));
        for wrong in ["b", "b.pdf", "svg"] {
            assert!(form(wrong).unwrap_err().contains("FILE.html for a page"));
        }
    }
}
