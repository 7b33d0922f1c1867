//! The binary under test, and programs that a test builds.

use crate::{Result, TempDir};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

static BINARY: OnceLock<Result<(TempDir, PathBuf), String>> = OnceLock::new();

/// The binary `sockeye`, built from this tree, at a place that every user can reach.
///
/// # Errors
/// It doesn't build.
pub fn sockeye() -> Result<&'static Path> {
    match BINARY.get_or_init(|| build().map_err(|error| error.to_string())) {
        Ok((_, path)) => Ok(path),
        Err(error) => Err(error.clone().into()),
    }
}

/// Removes the copy of the binary, if one was made: a static is never dropped.
pub(crate) fn remove() {
    if let Some(Ok((dir, _))) = BINARY.get() {
        dir.remove();
    }
}

/// An example, built from this tree.
///
/// # Errors
/// It doesn't build.
pub fn example(name: &str) -> Result<PathBuf> {
    cargo_build(&["--package", "sockeye", "--example", name])?;
    Ok(built_here()?.join("examples").join(name))
}

fn cargo_build(what: &[&str]) -> Result<()> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(["build", "--quiet"])
        .args(what)
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let output = command.output()?;
    crate::check!(
        output.status.success(),
        "{what:?} does not build: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// Where this build's binaries lie.
fn built_here() -> Result<PathBuf> {
    // target/debug/deps/interop-… lies two folders below target/debug/sockeye.
    let test = std::env::current_exe()?;
    let here = test.ancestors().nth(2);
    Ok(here
        .ok_or("a test binary lies in target/PROFILE/deps")?
        .to_owned())
}

fn build() -> Result<(TempDir, PathBuf)> {
    cargo_build(&["--package", "sockeye-cli"])?;
    let built = built_here()?.join("sockeye");
    let dir = TempDir::new()?;
    let path = dir.path().join("sockeye");
    std::fs::copy(&built, &path).map_err(|error| format!("{}: {error}", built.display()))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    let path = crate::captures::capturing(path, dir.path())?;
    Ok((dir, path))
}

/// Compiles the C file `source` to `name` in `dir`, with flags of the compiler and, at the end, libraries.
///
/// # Errors
/// There is no cc, or the file doesn't compile.
pub fn compiled(
    source: &str,
    name: &str,
    dir: &TempDir,
    flags: &[&str],
    libraries: &[&str],
) -> Result<PathBuf> {
    let path = dir.path().join(name);
    let mut command = Command::new("cc");
    command
        .args(flags)
        .arg("-o")
        .args([&path, Path::new(source)]);
    let output = command.args(libraries).output()?;
    crate::check!(
        output.status.success(),
        "{source} does not compile: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(path)
}

/// Compiles one Rust file to a static binary in `dir`.
///
/// # Errors
/// There is no compiler, or the file doesn't compile.
pub fn static_program(source: &str, dir: &TempDir) -> Result<PathBuf> {
    let file = dir.write("program.rs", source)?;
    let path = dir.path().join("program");
    let output = Command::new("rustc")
        .args([
            "--edition=2021",
            "-O",
            "-C",
            "target-feature=+crt-static",
            "-o",
        ])
        .args([&path, &file])
        .current_dir(dir.path())
        .output()?;
    crate::check!(
        output.status.success(),
        "rustc: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    Ok(path)
}
