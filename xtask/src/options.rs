//! docs/OPTIONS.md from the list of socket options in `crates/core/src/option/list.rs`: what each
//! takes, whether it works, else with which errno and why not, and the test that shows its effect.

use anyhow::{Context, Result, bail};
use sockeye_core::Error;
use sockeye_core::option::{Access, Layout, ROWS, Row, Standing, Takes};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the table is written to.
const PATH: &str = "docs/OPTIONS.md";
/// Writes the table, or checks that it is as the list says.
pub(crate) fn run(check: bool) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    tests_are_there(&root)?;
    let path = root.join(PATH);
    let table = table();
    if !check {
        fs::create_dir_all(root.join("docs"))?;
        return fs::write(&path, table).context("the table can't be written");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    if written != table {
        bail!("{PATH} is not what the list of options says: run `cargo xtask options`");
    }
    Ok(())
}

/// The tests that the list names exist.
fn tests_are_there(root: &Path) -> Result<()> {
    for row in ROWS {
        let Standing::Works {
            test: Some((file, name)),
            ..
        } = row.standing
        else {
            continue;
        };
        let path: PathBuf = root.join(file);
        let text = fs::read_to_string(&path).with_context(|| {
            format!(
                "{} names the test file {file}, which is not there",
                row.name
            )
        })?;
        if !text.contains(&format!("fn {name}(")) {
            bail!("{} names the test {name}, which is not in {file}", row.name);
        }
    }
    Ok(())
}

fn table() -> String {
    let mut out = String::from(
        "# Socket options\n\n\
         Written by `cargo xtask options` from `crates/core/src/option/list.rs`; CI checks that it \
         is up to date. The pages socket(7), tcp(7), udp(7), ip(7), ipv6(7), raw(7), sctp(7) and packet(7) are \
         complete; of the others stands what works.\n\n\
         What works is set and read as Linux does it: \
         [tests/interop/options.rs](../tests/interop/options.rs) makes the same calls on a socket of \
         the kernel and on one of a node. The last column names the test of the effect. What is not \
         in the tables is ENOPROTOOPT.\n",
    );
    let mut page = "";
    for row in ROWS {
        if row.page != page {
            page = row.page;
            let _ = write!(
                out,
                "\n## {page}\n\n| option | | takes | what it does, or why it does not | test |\n\
                 |---|---|---|---|---|\n"
            );
        }
        let _ = writeln!(out, "{}", line(row));
    }
    out
}

fn line(row: &Row) -> String {
    let name = row.name;
    let about = row.about;
    match row.standing {
        Standing::Works {
            access,
            layout,
            takes,
            test,
            ..
        } => {
            let access = match access {
                Access::ReadWrite => "works",
                Access::ReadOnly => "works, read only",
                Access::WriteOnly => "works, set only",
            };
            let takes = match access {
                "works, read only" => String::new(),
                _ => words(layout, takes),
            };
            let test = test.map_or(String::new(), |(file, test)| format!("[{test}](../{file})"));
            format!("| `{name}` | {access} | {takes} | {about} | {test} |")
        }
        Standing::Refused { set, get } => {
            let (set, get) = (errno(set), errno(get));
            let errno = match set == get {
                true => set.to_owned(),
                false => format!("{set}, read {get}"),
            };
            format!("| `{name}` | {errno} | | {about} | |")
        }
    }
}

fn words(layout: Layout, takes: Takes) -> String {
    let unit = match layout {
        Layout::Seconds | Layout::SecondsOrNone | Layout::SecondsOrZero => " s",
        Layout::Millis => " ms",
        Layout::Micros => " µs",
        _ => "",
    };
    match (takes, layout) {
        (Takes::Any, Layout::Flag) => "0 or not 0".into(),
        (Takes::Any, Layout::Linger) => "struct linger".into(),
        (Takes::Any, Layout::Mask(n) | Layout::Struct(n)) => format!("{n} bytes"),
        (Takes::Any, _) => "any number".into(),
        (Takes::Range(low, high), _) => format!("{low} to {high}{unit}"),
        (Takes::Held(low, high), _) => format!("any number, held to {low} to {high}{unit}"),
        (Takes::Said(said), _) => match unit {
            "" => said.into(),
            unit => format!("{}: {said}", unit.trim_start()),
        },
    }
}

/// The errnos that the list refuses options with.
fn errno(error: Error) -> &'static str {
    match error {
        Error::NoProtocolOption => "ENOPROTOOPT",
        Error::NotPermitted => "EPERM",
        Error::Access => "EACCES",
        Error::Invalid => "EINVAL",
        Error::NoEntry => "ENOENT",
        Error::NotSupported => "EOPNOTSUPP",
        _ => "another",
    }
}
