//! One chapter as a page: the table of contents beside it, the next and the previous chapter below.

use super::{Anchors, Entry, FOLDER, Summary, dialect};
use pulldown_cmark::{CowStr, Event, HeadingLevel, Parser, Tag, TagEnd, html};
use std::fmt::Write as _;

/// How the pages look, within each of them.
const STYLE: &str = include_str!("style.css");

/// The name of a chapter's page.
pub(super) fn name(file: &str) -> String {
    format!("{}.html", file.trim_end_matches(".md"))
}

/// The page of chapter `number`, whose Markdown is `text`.
pub(super) fn html(summary: &Summary, number: usize, text: &str, source: &str) -> String {
    let chapters = summary.chapters();
    let title = plain(chapters[number].0);
    let mut body = String::new();
    html::push_html(&mut body, events(text, source).into_iter());
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title} · sockeye</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n"
    );
    contents(&mut page, summary, chapters[number].1);
    let _ = write!(page, "<main>\n{body}<footer>");
    let neighbour = |page: &mut String, number: usize, words: &str| {
        let (title, file) = chapters[number];
        let _ = write!(page, "<a href=\"{}\">{words}{title}</a>", name(file));
    };
    if number > 0 {
        neighbour(&mut page, number - 1, "← ");
    }
    if number + 1 < chapters.len() {
        neighbour(&mut page, number + 1, "→ ");
    }
    page.push_str("</footer>\n</main>\n</body>\n</html>\n");
    page
}

fn contents(page: &mut String, summary: &Summary, current: &str) {
    page.push_str("<nav>\n<p class=\"title\">sockeye</p>\n");
    for entry in &summary.entries {
        let _ = match entry {
            Entry::Part(title) => writeln!(page, "<p>{title}</p>"),
            Entry::Chapter { title, file } => {
                let here = match file == current {
                    true => " aria-current=\"page\"",
                    false => "",
                };
                writeln!(page, "<a href=\"{}\"{here}>{title}</a>", name(file))
            }
        };
    }
    page.push_str("</nav>\n");
}

/// What a title says, without its marks.
fn plain(title: &str) -> String {
    title.replace("<code>", "").replace("</code>", "")
}

/// The chapter, with anchors at its headings, and links that lead where the page will be.
fn events<'a>(text: &'a str, source: &str) -> Vec<Event<'a>> {
    let mut anchors = Anchors::default();
    let (mut events, mut heading) = (Vec::new(), None);
    for event in Parser::new_ext(text, dialect()) {
        let event = match event {
            Event::Start(Tag::Heading { level, .. }) => {
                heading = Some((events.len(), level, String::new()));
                event
            }
            Event::End(TagEnd::Heading(_)) => {
                if let Some((at, level, text)) = heading.take() {
                    events[at] = start(level, anchors.of(&text));
                }
                event
            }
            Event::Text(ref words) | Event::Code(ref words) => {
                if let Some((_, _, text)) = &mut heading {
                    text.push_str(words);
                }
                event
            }
            Event::Start(Tag::Link {
                link_type,
                dest_url,
                title,
                id,
            }) => Event::Start(Tag::Link {
                link_type,
                dest_url: target(dest_url, source),
                title,
                id,
            }),
            event => event,
        };
        events.push(event);
    }
    events
}

fn start(level: HeadingLevel, id: String) -> Event<'static> {
    Event::Start(Tag::Heading {
        level,
        id: Some(id.into()),
        classes: Vec::new(),
        attrs: Vec::new(),
    })
}

/// A chapter's page for a chapter, the source for another file.
fn target<'a>(link: CowStr<'a>, source: &str) -> CowStr<'a> {
    if link.starts_with('#') || link.contains("://") {
        return link;
    }
    let (path, anchor) = match link.find('#') {
        Some(at) => link.split_at(at),
        None => (&*link, ""),
    };
    if !path.contains('/') && path.ends_with(".md") {
        return format!("{}{anchor}", name(path)).into();
    }
    let mut folders: Vec<&str> = FOLDER.split('/').collect();
    for part in path.split('/') {
        match part {
            ".." => drop(folders.pop()),
            part => folders.push(part),
        }
    }
    format!("{source}{}{anchor}", folders.join("/")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_pages_or_to_the_source() {
        for (link, wanted) in [
            ("#a", "#a"),
            ("https://x.org/a.md", "https://x.org/a.md"),
            ("udp.md#a", "udp.html#a"),
            ("../OPTIONS.md", "S/docs/OPTIONS.md"),
            ("../../examples/nat.rs", "S/examples/nat.rs"),
        ] {
            assert_eq!(&*target(link.into(), "S/"), wanted);
        }
    }

    #[test]
    fn headings_have_anchors_and_code_is_escaped() {
        let summary = Summary::parse("[A `b`](a.md)\n\n[C](c.md)\n");
        let text = "# A `b`\n\n## A `b`\n\n```rust\nlet a: Vec<u8>;\n```\n";
        let page = html(&summary, 0, text, "");
        assert!(page.contains("<title>A b · sockeye</title>"), "{page}");
        assert!(
            page.contains("<h1 id=\"a-b\">A <code>b</code></h1>"),
            "{page}"
        );
        assert!(page.contains("<h2 id=\"a-b-1\">"), "{page}");
        assert!(page.contains("let a: Vec&lt;u8&gt;;"), "{page}");
        assert!(page.contains("<a href=\"c.html\">→ C</a>"), "{page}");
    }
}
