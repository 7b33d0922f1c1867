//! The book in docs/book as HTML pages, and whether the links of all documents lead somewhere.
//!
//! - [`summary`](Summary): SUMMARY.md says which chapters there are, and in which order.
//! - [`page`]: one chapter as a page that needs no other file and no script.
//! - [`links`]: every link of every document of the repository to a file or a heading of it.

mod links;
mod page;

use anyhow::{Context, Result, bail};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the chapters are.
const FOLDER: &str = "docs/book";

/// What `cargo xtask book` takes.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only check that every link of the documents and of the pages leads somewhere.
    #[arg(long)]
    check: bool,
    /// The folder for the pages.
    #[arg(long, value_name = "FOLDER", default_value = "target/book")]
    out: PathBuf,
    /// Where links to files of the source lead: what stands before a path in the repository.
    #[arg(long, value_name = "URL", default_value = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/"))]
    source: String,
}

/// Writes the pages, or checks the links.
pub(crate) fn run(args: &Args) -> Result<()> {
    let root = root();
    let broken = links::broken(&root)?;
    if !broken.is_empty() {
        bail!("links that lead nowhere:\n{}", broken.join("\n"));
    }
    let pages = pages(&root, &args.source)?;
    if args.check {
        return Ok(());
    }
    let out = root.join(&args.out);
    fs::create_dir_all(&out).with_context(|| format!("{} can't be made", out.display()))?;
    for (name, html) in &pages {
        let path = out.join(name);
        fs::write(&path, html).with_context(|| format!("{} can't be written", path.display()))?;
    }
    println!("{}", out.join("index.html").display());
    Ok(())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The dialect of all documents: GitHub's.
fn dialect() -> Options {
    Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH
}

/// A line of the table of contents.
#[derive(Debug, PartialEq)]
enum Entry {
    /// The heading of a part.
    Part(String),
    /// A chapter: its title as HTML, and its file.
    Chapter { title: String, file: String },
}

/// The table of contents.
#[derive(Debug)]
struct Summary {
    entries: Vec<Entry>,
}

impl Summary {
    /// Every link is a chapter, every paragraph without one a part.
    fn parse(text: &str) -> Self {
        let (mut entries, mut events, mut file) = (Vec::new(), Vec::new(), None);
        let mut in_heading = false;
        for event in Parser::new_ext(text, dialect()) {
            match event {
                Event::Start(Tag::Heading { .. }) => in_heading = true,
                Event::End(TagEnd::Heading(_)) => {
                    in_heading = false;
                    events.clear();
                }
                Event::Start(Tag::Link { dest_url, .. }) => file = Some(dest_url.to_string()),
                Event::End(TagEnd::Link) => {
                    let mut title = String::new();
                    pulldown_cmark::html::push_html(&mut title, events.drain(..));
                    entries.extend(file.take().map(|file| Entry::Chapter { title, file }));
                }
                Event::End(TagEnd::Paragraph) if !events.is_empty() => {
                    let mut title = String::new();
                    pulldown_cmark::html::push_html(&mut title, events.drain(..));
                    entries.push(Entry::Part(title.trim_end_matches(':').to_owned()));
                }
                Event::Text(_) | Event::Code(_) if !in_heading => events.push(event),
                _ => {}
            }
        }
        Self { entries }
    }

    fn chapters(&self) -> Vec<(&str, &str)> {
        fn chapter(entry: &Entry) -> Option<(&str, &str)> {
            match entry {
                Entry::Chapter { title, file } => Some((title, file)),
                Entry::Part(_) => None,
            }
        }
        self.entries.iter().filter_map(chapter).collect()
    }
}

/// All pages, by their names; the first chapter is the index, too.
fn pages(root: &Path, source: &str) -> Result<Vec<(String, String)>> {
    let folder = root.join(FOLDER);
    let read = |name: &str| {
        let path = folder.join(name);
        fs::read_to_string(&path).with_context(|| format!("{} can't be read", path.display()))
    };
    let summary = Summary::parse(&read("SUMMARY.md")?);
    let chapters = summary.chapters();
    let mut pages = Vec::new();
    for (number, (_, file)) in chapters.iter().enumerate() {
        let text = read(file)?;
        let html = page::html(&summary, number, &text, source);
        if number == 0 {
            pages.push(("index.html".to_owned(), html.clone()));
        }
        pages.push((page::name(file), html));
    }
    Ok(pages)
}

/// The anchor that GitHub gives a heading: small letters, digits, `-` and `_`, and a hyphen for a
/// space; a number follows where there was one like it.
#[derive(Debug, Default)]
struct Anchors {
    seen: HashMap<String, usize>,
}

impl Anchors {
    fn of(&mut self, heading: &str) -> String {
        let mut anchor = String::new();
        for c in heading.chars().flat_map(char::to_lowercase) {
            match c {
                ' ' => anchor.push('-'),
                c if c.is_alphanumeric() || c == '-' || c == '_' => anchor.push(c),
                _ => {}
            }
        }
        let count = self.seen.entry(anchor.clone()).or_default();
        let number = *count;
        *count += 1;
        match number {
            0 => anchor,
            n => format!("{anchor}-{n}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_summary_has_parts_and_chapters() {
        let summary =
            Summary::parse("# T\n\n[What](a.md)\n\n- [`x` & y](b.md)\n\nMore:\n\n- [z](c.md)\n");
        let chapter = |title: &str, file: &str| Entry::Chapter {
            title: title.into(),
            file: file.into(),
        };
        let wanted = [
            chapter("What", "a.md"),
            chapter("<code>x</code> &amp; y", "b.md"),
            Entry::Part("More".into()),
            chapter("z", "c.md"),
        ];
        assert_eq!(summary.entries, wanted);
    }

    #[test]
    fn anchors_are_those_of_github() {
        let mut anchors = Anchors::default();
        assert_eq!(anchors.of("What `run` can't show"), "what-run-cant-show");
        assert_eq!(anchors.of("The end"), "the-end");
        assert_eq!(anchors.of("The end"), "the-end-1");
    }

    #[test]
    fn each_chapter_is_in_the_table_of_contents() {
        let text = fs::read_to_string(root().join(FOLDER).join("SUMMARY.md")).unwrap();
        let summary = Summary::parse(&text);
        let listed: HashSet<&str> = summary.chapters().iter().map(|(_, file)| *file).collect();
        for entry in fs::read_dir(root().join(FOLDER)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".md") && name != "SUMMARY.md" {
                assert!(
                    listed.contains(name.as_str()),
                    "{name} is not in SUMMARY.md"
                );
            }
        }
    }

    /// What the pages link to among themselves is there, headings too.
    #[test]
    fn each_link_between_pages_leads_somewhere() {
        let pages = pages(&root(), "https://example.org/").unwrap();
        let values = |html: &str, attribute: &str| -> Vec<String> {
            let begin = format!(" {attribute}=\"");
            let value = |rest: &str| rest.split('"').next().unwrap_or_default().to_owned();
            html.split(&begin).skip(1).map(value).collect()
        };
        let mut places: HashSet<String> = HashSet::new();
        for (name, html) in &pages {
            places.insert(name.clone());
            places.extend(values(html, "id").iter().map(|id| format!("{name}#{id}")));
        }
        let mut looked_at = 0;
        for (name, html) in &pages {
            for link in values(html, "href") {
                if link.starts_with("https://") {
                    continue;
                }
                looked_at += 1;
                let place = match link.strip_prefix('#') {
                    Some(anchor) => format!("{name}#{anchor}"),
                    None => link,
                };
                assert!(places.contains(&place), "{name} links to {place}");
            }
        }
        assert!(looked_at > 100, "{looked_at} links");
    }

    #[test]
    fn each_link_of_the_documents_leads_somewhere() {
        let broken = links::broken(&root()).unwrap();
        assert!(broken.is_empty(), "{}", broken.join("\n"));
    }
}
