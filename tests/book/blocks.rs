//! The blocks of commands in a document.

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};

/// How a block is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    /// A script.
    Sh,
    /// Commands and what they print.
    Console,
}

/// A block of commands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) language: Language,
    /// It wants root.
    pub(crate) root: bool,
    /// The line of the document where it begins, from 1.
    pub(crate) line: usize,
    pub(crate) text: String,
}

impl Block {
    /// An empty one, if its info string names a language of commands.
    fn begin(info: &str, line: usize) -> Option<Self> {
        let mut words = info.split_whitespace();
        let language = match words.next()? {
            "sh" => Language::Sh,
            "console" => Language::Console,
            _ => return None,
        };
        Some(Self {
            language,
            root: words.next() == Some("root"),
            line,
            text: String::new(),
        })
    }
}

/// All of a document in Markdown.
pub(crate) fn of(markdown: &str) -> Vec<Block> {
    let (mut blocks, mut block) = (Vec::new(), None);
    for (event, range) in Parser::new(markdown).into_offset_iter() {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                let line = markdown[..range.start].lines().count() + 1;
                block = Block::begin(&info, line);
            }
            Event::Text(text) => {
                if let Some(block) = &mut block {
                    block.text.push_str(&text);
                }
            }
            Event::End(TagEnd::CodeBlock) => blocks.extend(block.take()),
            _ => {}
        }
    }
    blocks
}
