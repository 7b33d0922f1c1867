//! Chores that are programs of other crates.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;

/// Builds the program `name` of the crate `bench` in a profile, and runs it.
pub(crate) fn bench(name: &str, profile: &str, args: &[String]) -> Result<()> {
    let what = [
        "--package",
        "sockeye-bench",
        "--bin",
        name,
        "--profile",
        profile,
    ];
    run(name, &what, args)
}

/// Builds `compare` and the program it runs beside itself, and runs it: without arguments for README.
pub(crate) fn compare(mut args: Vec<String>) -> Result<()> {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--package", "sockeye-cli"])
        .status()
        .context("cargo could not be started")?;
    if !built.success() {
        bail!("building sockeye ended with {built}");
    }
    if args.is_empty() {
        args = vec!["--readme".into(), "README.md".into()];
    }
    bench("compare", "release", &args)
}

/// Builds the example `name` of a crate for speed, and runs it.
pub(crate) fn example(package: &str, name: &str, args: &[String]) -> Result<()> {
    let what = ["--package", package, "--example", name, "--release"];
    run(name, &what, args)
}

/// Runs cargo, which prints for itself.
pub(crate) fn cargo(args: &[&str]) -> Result<()> {
    let status = Command::new(env!("CARGO")).args(args).status();
    let status = status.context("cargo could not be started")?;
    if !status.success() {
        bail!("cargo {} ended with {status}", args.join(" "));
    }
    Ok(())
}

/// What `cargo metadata` says of the workspace.
pub(crate) struct Workspace {
    /// Its folder.
    pub(crate) root: PathBuf,
    /// Where builds go.
    pub(crate) target: PathBuf,
    /// The version of the command, which all crates share.
    pub(crate) version: String,
    /// Where the project lives.
    pub(crate) repository: String,
    /// The oldest compiler that builds it.
    pub(crate) rust_version: String,
    /// The names of the crates that are published.
    pub(crate) published: Vec<String>,
}

/// Looks at the workspace.
pub(crate) fn workspace() -> Result<Workspace> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps"])
        .output()
        .context("cargo metadata does not start")?;
    let metadata: Value = serde_json::from_slice(&output.stdout).with_context(|| {
        let said = String::from_utf8_lossy(&output.stderr);
        format!("cargo metadata printed no JSON: {}", said.trim())
    })?;
    let text = |value: &Value, key: &str| -> Result<String> {
        let text = value[key].as_str().map(str::to_owned);
        text.with_context(|| format!("cargo metadata names no {key}"))
    };
    let packages = metadata["packages"].as_array();
    let packages = packages.context("cargo metadata lists no packages")?;
    let cli = packages.iter().find(|p| p["name"] == "sockeye-cli");
    let cli = cli.context("the workspace has no sockeye-cli")?;
    // `publish = false` is an empty list of registries.
    let published = packages.iter().filter(|p| p["publish"].is_null());
    Ok(Workspace {
        root: text(&metadata, "workspace_root")?.into(),
        target: text(&metadata, "target_directory")?.into(),
        version: text(cli, "version")?,
        repository: text(cli, "repository")?,
        rust_version: text(cli, "rust_version")?,
        published: published.map(|p| text(p, "name")).collect::<Result<_>>()?,
    })
}

fn run(name: &str, what: &[&str], args: &[String]) -> Result<()> {
    let status = Command::new(env!("CARGO"))
        .args(["run", "--quiet"])
        .args(what)
        .arg("--")
        .args(args)
        .status()
        .context("cargo could not be started")?;
    if !status.success() {
        bail!("{name} ended with {status}");
    }
    Ok(())
}
