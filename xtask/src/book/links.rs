//! The links of the documents: each to a file of the repository, or to a heading of a document,
//! leads to something that is there. Links to the world are not followed.

use super::{Anchors, dialect};
use anyhow::{Context, Result};
use pulldown_cmark::{Event, Parser, Tag, TagEnd};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Where documents are; in each folder alone, and in `docs` further down.
const FOLDERS: [&str; 3] = [".", "docs", "examples"];

/// What a document says about links.
#[derive(Debug, Default)]
struct Document {
    links: Vec<String>,
    anchors: HashSet<String>,
}

impl Document {
    fn parse(text: &str) -> Self {
        let (mut document, mut anchors) = (Self::default(), Anchors::default());
        let mut heading = None;
        for event in Parser::new_ext(text, dialect()) {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    let text = heading.take().unwrap_or_default();
                    document.anchors.insert(anchors.of(&text));
                }
                Event::Text(text) | Event::Code(text) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    }
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    document.links.push(dest_url.to_string());
                }
                _ => {}
            }
        }
        document
    }
}

/// The links that lead nowhere, one a line, of all documents below `root`.
pub(super) fn broken(root: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for folder in FOLDERS {
        collect(&root.join(folder), folder == "docs", &mut files)?;
    }
    files.sort();
    let mut documents = HashMap::new();
    for file in files {
        let text = fs::read_to_string(&file)
            .with_context(|| format!("{} can't be read", file.display()))?;
        documents.insert(fs::canonicalize(&file)?, Document::parse(&text));
    }
    let mut broken = Vec::new();
    for (file, document) in &documents {
        for link in &document.links {
            if link.starts_with("https://") || link.starts_with("http://") {
                continue;
            }
            if let Some(why) = trouble(&documents, file, document, link) {
                broken.push(format!("{}: {link}: {why}", file.display()));
            }
        }
    }
    broken.sort();
    Ok(broken)
}

fn collect(folder: &Path, deep: bool, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("no {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() && deep {
            collect(&path, deep, files)?;
        } else if path.extension().is_some_and(|extension| extension == "md") {
            files.push(path);
        }
    }
    Ok(())
}

/// What is wrong with a link of `file`.
fn trouble(
    documents: &HashMap<PathBuf, Document>,
    file: &Path,
    document: &Document,
    link: &str,
) -> Option<&'static str> {
    let (path, anchor) = match link.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor)),
        None => (link, None),
    };
    if path.is_empty() {
        let there = anchor.is_some_and(|anchor| document.anchors.contains(anchor));
        return (!there).then_some("there is no such heading in it");
    }
    let Ok(target) = fs::canonicalize(file.parent()?.join(path)) else {
        return Some("there is no such file");
    };
    let anchor = anchor?;
    let Some(target) = documents.get(&target) else {
        return Some("a heading of a file that is no document");
    };
    let there = target.anchors.contains(anchor);
    (!there).then_some("there is no such heading in that document")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_nowhere_is_named() {
        let root = std::env::temp_dir().join(format!("sockeye-links-{}", std::process::id()));
        for folder in ["docs/deep", "examples"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        fs::write(root.join("code.rs"), "").unwrap();
        fs::write(
            root.join("A.md"),
            "# One two\n[a](#one-two) [b](#three) [c](code.rs) [d](code.rs#L1) [e](https://x.org)",
        )
        .unwrap();
        fs::write(
            root.join("docs/deep/b.md"),
            "[a](../../A.md#one-two) [b](../../A.md#no) [c](A.md)\n```\n[d](none)\n```\n",
        )
        .unwrap();
        let broken = broken(&root).unwrap();
        fs::remove_dir_all(&root).unwrap();
        let links: Vec<&str> = broken
            .iter()
            .filter_map(|line| line.split(": ").nth(1))
            .collect();
        assert_eq!(links, ["#three", "code.rs#L1", "../../A.md#no", "A.md"]);
    }
}
