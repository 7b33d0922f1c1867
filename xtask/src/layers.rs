//! The floors of the house: which crate may know which.
//!
//! [`FLOORS`] is the one list. A dependency between crates points to a lower floor, so neither up
//! nor sideways; the crates without I/O know no driver and no crate that makes system calls,
//! forbid unsafe code and carry one and the same clippy.toml.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The floors from the ground up, by the names of the folders under `crates/`.
const FLOORS: &[&[&str]] = &[
    // The compiler of RPC interfaces is for build scripts: nothing of the rest is built for it.
    &["wire", "rpcgen"],
    &["link"],
    &["core", "drivers"],
    &["tcp", "udp", "sctp", "dccp", "unix", "dhcp", "report"],
    &["node"],
    &["sim", "sockeye"],
    &["run", "rpc", "packetdrill"],
    &["cli", "capi"],
];

/// Crates that protocols live in: all they know of the world comes in as arguments.
const WITHOUT_IO: &[&str] = &[
    "wire", "link", "core", "tcp", "udp", "sctp", "dccp", "unix", "dhcp", "node", "report",
];

/// Crates held to the same lints as [`WITHOUT_IO`], but that may use a driver in memory.
const DETERMINISTIC: &[&str] = &["sim"];

/// Crates from the registry that make system calls or start threads.
const SYSTEM: &[&str] = &[
    "libc",
    "rustix",
    "socket2",
    "tokio",
    "mio",
    "getrandom",
    "rand",
];

/// A crate under `crates/` and what it depends on (not for its tests alone).
#[derive(Debug)]
struct Member {
    /// Its folder's name.
    name: String,
    folder: PathBuf,
    depends_on: Vec<Dependency>,
}

#[derive(Debug, PartialEq)]
enum Dependency {
    /// A crate under `crates/`, by its folder's name.
    Member(String),
    /// One elsewhere in the workspace: tests, bench, xtask.
    Outside(String),
    /// One from the registry.
    Registry(String),
}

/// What is wrong, with the rule it breaks.
#[derive(Debug, PartialEq)]
struct Fault {
    arrow: String,
    rule: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.arrow, self.rule)
    }
}

/// Checks the workspace that the current directory lies in.
pub fn run() -> Result<()> {
    let members = members(&metadata()?)?;
    let mut faults: Vec<Fault> = members.iter().flat_map(arrows).collect();
    faults.extend(lints(&members)?);
    let arrow_count: usize = members
        .iter()
        .flat_map(|m| &m.depends_on)
        .filter(|d| matches!(d, Dependency::Member(_)))
        .count();
    if faults.is_empty() {
        println!(
            "layers: {} crates, {arrow_count} arrows, all point down",
            members.len()
        );
        return Ok(());
    }
    for fault in &faults {
        eprintln!("layers: {fault}");
    }
    bail!(
        "{} faults against the floors in ARCHITECTURE.md",
        faults.len()
    );
}

fn metadata() -> Result<Value> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--no-deps"])
        .output()
        .context("cargo metadata does not start")?;
    if !output.status.success() {
        bail!(
            "cargo metadata failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    serde_json::from_slice(&output.stdout)
        .context("cargo metadata printed something else than JSON")
}

/// The crates under `crates/`, from the output of `cargo metadata`.
fn members(metadata: &Value) -> Result<Vec<Member>> {
    let root = metadata["workspace_root"]
        .as_str()
        .context("cargo metadata names no workspace_root")?;
    let home = Path::new(root).join("crates");
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata lists no packages")?;
    let mut members = Vec::new();
    for package in packages {
        let Some(folder) = folder(package) else {
            bail!("a package has no manifest_path: {package}");
        };
        if folder.parent() != Some(&home) {
            continue;
        }
        let dependencies = package["dependencies"].as_array().into_iter().flatten();
        members.push(Member {
            name: file_name(&folder),
            depends_on: dependencies
                .filter(|d| d["kind"].as_str() != Some("dev"))
                .map(|d| dependency(d, &home))
                .collect(),
            folder,
        });
    }
    members.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(members)
}

fn folder(package: &Value) -> Option<PathBuf> {
    let manifest = Path::new(package["manifest_path"].as_str()?);
    Some(manifest.parent()?.to_owned())
}

fn dependency(dependency: &Value, home: &Path) -> Dependency {
    let name = dependency["name"].as_str().unwrap_or("?").to_owned();
    match dependency["path"].as_str().map(Path::new) {
        Some(path) if path.parent() == Some(home) => Dependency::Member(file_name(path)),
        Some(_) => Dependency::Outside(name),
        None => Dependency::Registry(name),
    }
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

fn floor(name: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&name))
}

/// The faults among the arrows that start at `from`.
fn arrows(from: &Member) -> Vec<Fault> {
    let Some(own) = floor(&from.name) else {
        return vec![Fault {
            arrow: from.name.clone(),
            rule: "has no floor; give it one in xtask/src/layers.rs and ARCHITECTURE.md".into(),
        }];
    };
    let without_io = WITHOUT_IO.contains(&from.name.as_str());
    let broken = |to: &Dependency| match to {
        Dependency::Member(to) => match floor(to) {
            None => Some("the target has no floor".to_owned()),
            Some(theirs) if theirs > own => Some(format!(
                "points up, from floor {own} to floor {theirs}; arrows point down only"
            )),
            Some(theirs) if theirs == own => Some(format!(
                "points sideways on floor {own}; crates side by side do not know each other"
            )),
            Some(_) if without_io && to == "drivers" => {
                Some("a crate without I/O knows no driver; packets are handed to it".to_owned())
            }
            Some(_) => None,
        },
        Dependency::Outside(_) => {
            Some("points out of crates/; tests, bench and xtask are users only".to_owned())
        }
        Dependency::Registry(to) if without_io && SYSTEM.contains(&to.as_str()) => {
            Some("a crate without I/O makes no system call and knows no clock".to_owned())
        }
        Dependency::Registry(_) => None,
    };
    from.depends_on
        .iter()
        .filter_map(|to| {
            let rule = broken(to)?;
            let (Dependency::Member(name)
            | Dependency::Outside(name)
            | Dependency::Registry(name)) = to;
            let arrow = format!("{} -> {name}", from.name);
            Some(Fault { arrow, rule })
        })
        .collect()
}

/// The faults among the lints of the crates without I/O and of the simulator.
fn lints(members: &[Member]) -> Result<Vec<Fault>> {
    let mut faults = Vec::new();
    let mut first: Option<(&str, String)> = None;
    for member in members {
        let name = member.name.as_str();
        if !WITHOUT_IO.contains(&name) && !DETERMINISTIC.contains(&name) {
            continue;
        }
        let mut fault = |rule: String| {
            faults.push(Fault {
                arrow: format!("crates/{name}"),
                rule,
            });
        };
        let lib = member.folder.join("src/lib.rs");
        let source = std::fs::read_to_string(&lib)
            .with_context(|| format!("{} can't be read", lib.display()))?;
        if !source.lines().any(|line| line == "#![forbid(unsafe_code)]") {
            fault("src/lib.rs lacks #![forbid(unsafe_code)]".into());
        }
        let Ok(clippy) = std::fs::read_to_string(member.folder.join("clippy.toml")) else {
            fault("has no clippy.toml; copy the one of crates/wire".into());
            continue;
        };
        match &first {
            None => first = Some((name, clippy)),
            Some((other, text)) if *text != clippy => {
                fault(format!(
                    "its clippy.toml differs from the one of crates/{other}"
                ));
            }
            Some(_) => {}
        }
    }
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, depends_on: Vec<Dependency>) -> Member {
        Member {
            name: name.into(),
            folder: PathBuf::from("/w/crates").join(name),
            depends_on,
        }
    }

    fn to(name: &str) -> Dependency {
        Dependency::Member(name.into())
    }

    fn faults(name: &str, depends_on: Vec<Dependency>) -> Vec<String> {
        let member = member(name, depends_on);
        arrows(&member).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn arrows_down_are_fine() {
        assert!(faults("tcp", vec![to("core"), to("link"), to("wire")]).is_empty());
        assert!(faults("sim", vec![to("node"), to("drivers"), to("tcp")]).is_empty());
        assert!(faults("cli", vec![to("run"), to("sockeye")]).is_empty());
    }

    #[test]
    fn an_upward_arrow_is_found() {
        let found = faults("core", vec![to("wire"), to("tcp")]);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("core -> tcp: points up, from floor 2"));
    }

    #[test]
    fn a_sideways_arrow_among_transports_is_found() {
        let found = faults("tcp", vec![to("udp")]);
        assert!(found[0].starts_with("tcp -> udp: points sideways"));
    }

    #[test]
    fn protocols_know_no_driver_and_no_system_call() {
        assert!(faults("node", vec![to("drivers")])[0].contains("no driver"));
        let libc = Dependency::Registry("libc".into());
        assert!(faults("udp", vec![libc])[0].contains("no system call"));
        let libc = Dependency::Registry("libc".into());
        assert!(faults("drivers", vec![libc]).is_empty());
    }

    #[test]
    fn a_crate_without_a_floor_is_found() {
        assert!(faults("attic", vec![])[0].contains("has no floor"));
    }

    #[test]
    fn metadata_is_read_without_dev_dependencies() {
        let metadata = serde_json::json!({
            "workspace_root": "/w",
            "packages": [
                { "manifest_path": "/w/crates/core/Cargo.toml", "dependencies": [
                    { "name": "sockeye-wire", "kind": null, "path": "/w/crates/wire" },
                    { "name": "sockeye-tcp", "kind": "build", "path": "/w/crates/tcp" },
                    { "name": "sockeye-node", "kind": "dev", "path": "/w/crates/node" },
                    { "name": "sockeye-tests", "kind": null, "path": "/w/tests" },
                    { "name": "bytes", "kind": null },
                ]},
                { "manifest_path": "/w/xtask/Cargo.toml", "dependencies": [] },
            ],
        });
        let members = members(&metadata).unwrap();
        assert_eq!(members.len(), 1);
        assert_eq!(
            members[0].depends_on,
            [
                to("wire"),
                to("tcp"),
                Dependency::Outside("sockeye-tests".into()),
                Dependency::Registry("bytes".into()),
            ]
        );
        assert_eq!(arrows(&members[0]).len(), 2);
    }
}
