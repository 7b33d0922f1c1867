//! `sockeye man`: manual pages, from the list that the parser uses.

use anyhow::{Result, bail};
use clap::{Command, CommandFactory as _};
use std::io::{self, Write};
use std::process::ExitCode;

/// Print a manual page in the language of man(7)
///
/// `sockeye man sockeye-run | man -l -` shows one.
#[derive(Debug, clap::Args)]
pub(crate) struct Man {
    /// Its name: sockeye, or sockeye-COMMAND
    #[arg(value_name = "PAGE", default_value = "sockeye")]
    page: String,

    /// Name the pages that there are
    #[arg(long)]
    list: bool,
}

impl Man {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let mut out = io::stdout().lock();
        let pages = pages();
        if self.list {
            for page in &pages {
                writeln!(out, "{}", name(page))?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        let Some(page) = pages.iter().find(|page| name(page) == self.page) else {
            let names: Vec<String> = pages.iter().map(name).collect();
            bail!(
                "there is no page {}; the pages are {}",
                self.page,
                names.join(", ")
            );
        };
        out.write_all(&render(page)?)?;
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The command and its subcommands, each with what it inherits.
fn pages() -> Vec<Command> {
    let mut command = crate::Args::command().disable_help_subcommand(true);
    command.build();
    let mut pages = vec![command.clone()];
    pages.extend(
        command
            .get_subcommands()
            .filter(|c| !c.is_hide_set())
            .cloned(),
    );
    pages
}

/// `sockeye-run`, as git has it.
fn name(page: &Command) -> String {
    let name = page.get_display_name().unwrap_or(page.get_name());
    name.to_owned()
}

fn render(page: &Command) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    clap_mangen::Man::new(page.clone())
        .title(name(page).to_uppercase())
        .source(concat!("sockeye ", env!("CARGO_PKG_VERSION")))
        .manual("Network sockets in user space")
        .render(&mut out)?;
    Ok(out)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The subcommands as the parser has them.
    pub(crate) fn subcommands() -> Vec<Command> {
        pages().split_off(1)
    }

    /// The long options of a command, with their dashes.
    pub(crate) fn long_options(command: &Command) -> Vec<String> {
        let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
        let longs = shown.filter_map(|arg| arg.get_long());
        longs.map(|long| format!("--{long}")).collect()
    }

    /// A page without roff's ways to write a dash and a font.
    fn plain(page: &Command) -> String {
        let text = String::from_utf8(render(page).unwrap()).unwrap();
        let text = text.replace("\\-", "-");
        ["\\fB", "\\fI", "\\fR", "\\fP"]
            .iter()
            .fold(text, |text, font| text.replace(font, ""))
    }

    #[test]
    fn the_page_and_the_help_of_each_command_name_what_its_parser_takes() {
        let commands = subcommands();
        assert!(commands.len() > 8, "{}", commands.len());
        for command in commands {
            let name = command.get_name().to_owned();
            let page = plain(&command);
            let help = command.clone().render_long_help().to_string();
            let start = format!(".SH NAME\nsockeye-{name} - ");
            assert!(page.contains(&start), "{page}");
            for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
                let names: Vec<String> = match (arg.get_long(), arg.get_short()) {
                    (None, None) => {
                        let value = arg.get_value_names().unwrap_or_default();
                        value.iter().map(ToString::to_string).collect()
                    }
                    (long, short) => {
                        let long = long.map(|long| format!("--{long}"));
                        let short = short.map(|short| format!("-{short}"));
                        long.into_iter().chain(short).collect()
                    }
                };
                assert!(!names.is_empty(), "{name}: {arg:?}");
                for word in names {
                    assert!(
                        page.contains(&word),
                        "{name}: the page lacks {word}\n{page}"
                    );
                    assert!(
                        help.contains(&word),
                        "{name}: the help lacks {word}\n{help}"
                    );
                }
                let said = arg.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(!said.is_empty(), "{name}: nothing is said of {arg}");
            }
        }
    }

    #[test]
    fn the_first_page_names_the_others() {
        let page = plain(&pages()[0]);
        for command in subcommands() {
            let other = format!("sockeye-{}(1)", command.get_name());
            assert!(page.contains(&other), "{other} in {page}");
        }
    }
}
