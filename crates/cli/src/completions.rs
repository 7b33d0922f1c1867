//! `sockeye completions`: what a shell completes, from the list that the parser uses.

use anyhow::Result;
use clap::CommandFactory as _;
use clap_complete::Shell;
use std::io::{self, Write};
use std::process::ExitCode;

/// Print the completions of a shell
///
/// For example into ~/.local/share/bash-completion/completions/sockeye, or into a folder of zsh's
/// fpath under the name _sockeye.
#[derive(Debug, clap::Args)]
pub(crate) struct Completions {
    /// The shell that is to complete
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self) -> Result<ExitCode> {
        io::stdout().write_all(&completions(self.shell))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn completions(shell: Shell) -> Vec<u8> {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut crate::Args::command(), "sockeye", &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::man::tests::{long_options, subcommands};

    fn text(shell: Shell) -> String {
        String::from_utf8(completions(shell)).unwrap()
    }

    /// The part of a script between two marks; the second may be missing.
    fn part<'a>(script: &'a str, from: &str, to: &str) -> &'a str {
        let (_, rest) = script
            .split_once(from)
            .unwrap_or_else(|| panic!("no {from}"));
        rest.split_once(to).map_or(rest, |(part, _)| part)
    }

    /// Whether `word` is in the text, and ends there.
    fn has(text: &str, word: &str) -> bool {
        let ends = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '-');
        text.match_indices(word)
            .any(|(at, _)| ends(&text[at + word.len()..]))
    }

    #[test]
    fn bash_completes_the_options_of_each_command() {
        let script = text(Shell::Bash);
        for command in subcommands() {
            let options = long_options(&command);
            let lists = script
                .lines()
                .filter_map(|line| line.trim().strip_prefix("opts=\"")?.strip_suffix('"'));
            let complete = |list: &&str| {
                let words: Vec<&str> = list.split_whitespace().collect();
                let longs = words.iter().filter(|word| word.starts_with("--"));
                longs.count() == options.len() && options.iter().all(|o| words.contains(&&**o))
            };
            let found = lists.filter(complete).count();
            assert_ne!(found, 0, "{}: {options:?}", command.get_name());
        }
    }

    #[test]
    fn zsh_completes_the_options_of_each_command() {
        let script = text(Shell::Zsh);
        for command in subcommands() {
            let part = part(
                &script,
                &format!("({})\n_arguments", command.get_name()),
                "\n;;\n",
            );
            for option in long_options(&command) {
                assert!(has(part, &option), "{}: {option}", command.get_name());
            }
        }
    }

    #[test]
    fn fish_completes_the_options_of_each_command() {
        let script = text(Shell::Fish);
        for command in subcommands() {
            let name = command.get_name();
            let condition = format!("using_subcommand {name}\"");
            let lines: Vec<&str> = script.lines().filter(|l| l.contains(&condition)).collect();
            for option in long_options(&command) {
                let wanted = format!(" -l {}", &option[2..]);
                assert!(
                    lines.iter().any(|line| has(line, &wanted)),
                    "{name}: {option}"
                );
            }
        }
    }

    #[test]
    fn elvish_and_powershell_complete_the_options_of_each_command() {
        let (elvish, power) = (text(Shell::Elvish), text(Shell::PowerShell));
        for command in subcommands() {
            let name = command.get_name();
            let in_elvish = part(&elvish, &format!("&'sockeye;{name}'="), "\n        }");
            let in_power = part(&power, &format!("'sockeye;{name}' {{"), "\n        }");
            for option in long_options(&command) {
                assert!(has(in_elvish, &option), "elvish, {name}: {option}");
                assert!(has(in_power, &option), "powershell, {name}: {option}");
            }
        }
    }
}
