//! What has to hold before a release: manifests, the oldest compiler, other systems, interfaces.

use crate::program;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::{Command, Stdio};

/// Crates that know no Linux: protocols, links in memory and the simulator.
const PORTABLE: &[&str] = &[
    "sockeye-wire",
    "sockeye-link",
    "sockeye-core",
    "sockeye-tcp",
    "sockeye-udp",
    "sockeye-sctp",
    "sockeye-dccp",
    "sockeye-unix",
    "sockeye-dhcp",
    "sockeye-node",
    "sockeye-rpcgen",
    "sockeye-sim",
];

/// A target of each other system. `cargo check` of pure Rust needs no linker for it.
const SYSTEMS: &[&str] = &["x86_64-pc-windows-gnu", "aarch64-apple-darwin"];

/// What `rustc --print target-libdir` names for an installed target is there.
pub(crate) fn has_target(target: &str) -> Result<bool> {
    let output = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", target])
        .output()
        .context("rustc does not start")?;
    let dir = String::from_utf8(output.stdout)?;
    Ok(output.status.success() && Path::new(dir.trim()).is_dir())
}

pub(crate) fn portable() -> Result<()> {
    let packages: Vec<&str> = PORTABLE.iter().flat_map(|name| ["-p", name]).collect();
    for target in SYSTEMS {
        if !has_target(target)? {
            bail!("this toolchain has no {target}: `rustup target add {target}`");
        }
        let what = ["check", "--quiet", "--locked", "--target", target];
        program::cargo(&[&what[..], &packages].concat())?;
        println!("portable: {} crates for {target}", PORTABLE.len());
    }
    Ok(())
}

pub(crate) fn publishable() -> Result<()> {
    let workspace = program::workspace()?;
    let mut args = vec![
        "package",
        "--quiet",
        "--locked",
        "--no-verify",
        "--allow-dirty",
    ];
    for name in &workspace.published {
        args.extend(["-p", name]);
    }
    let output = Command::new(env!("CARGO"))
        .args(&args)
        .output()
        .context("cargo could not be started")?;
    let said = String::from_utf8_lossy(&output.stderr);
    // The examples of the library lie beside the crates, where a reader of the repository finds them.
    let remarks: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with("warning") || line.starts_with("error"))
        .filter(|line| !line.starts_with("warning: ignoring example `"))
        .collect();
    if !output.status.success() || !remarks.is_empty() {
        bail!("cargo package has remarks:\n{said}");
    }
    println!("publishable: {} crates", workspace.published.len());
    Ok(())
}

pub(crate) fn msrv() -> Result<()> {
    let workspace = program::workspace()?;
    let version = workspace.rust_version;
    let toolchain = format!("+{version}");
    // Not through the toolchain's own cargo, which the environment names.
    let cargo = |args: &[&str]| {
        let mut command = Command::new("cargo");
        command.arg(&toolchain).args(args);
        for name in ["CARGO", "RUSTC", "RUSTUP_TOOLCHAIN", "RUSTDOC"] {
            command.env_remove(name);
        }
        command
    };
    let there = cargo(&["--version"]).stderr(Stdio::null()).output();
    if !there.is_ok_and(|output| output.status.success()) {
        bail!(
            "there is no cargo {version}: `rustup toolchain install {version} --profile minimal`"
        );
    }
    let mut args = vec!["check", "--quiet", "--locked", "--target-dir"];
    let target = workspace.target.join("msrv");
    let target = target.to_string_lossy();
    args.push(&target);
    for name in &workspace.published {
        args.extend(["-p", name]);
    }
    let status = cargo(&args)
        .status()
        .context("cargo could not be started")?;
    if !status.success() {
        bail!("the crates do not build with Rust {version}, their rust-version");
    }
    println!(
        "msrv: {} crates build with Rust {version}",
        workspace.published.len()
    );
    Ok(())
}

pub(crate) fn semver(baseline: &str) -> Result<()> {
    let installed = Command::new(env!("CARGO"))
        .args(["semver-checks", "--version"])
        .output();
    if !installed.is_ok_and(|output| output.status.success()) {
        bail!("there is no cargo-semver-checks: `cargo install cargo-semver-checks --locked`");
    }
    program::cargo(&["semver-checks", "--workspace", "--baseline-rev", baseline])
}
