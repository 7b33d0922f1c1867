//! `cargo xtask capi`: the C library, built and put where programs find it.

use crate::program;
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// What `crates/capi/build.rs` gives the library as its name.
const SONAME: &str = "libsockeye.so.0";

/// Build the C library, and install it with its header and its pkg-config file.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where it is to lie: lib/, include/ and lib/pkgconfig/ are below
    #[arg(long, default_value = "/usr/local")]
    prefix: PathBuf,
    /// Put before the prefix while installing, for packages
    #[arg(long, value_name = "DIR")]
    destdir: Option<PathBuf>,
    /// Build fast instead of for speed
    #[arg(long)]
    debug: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let profile = if args.debug { "dev" } else { "release" };
    // With the command, so that both share what they are made of.
    let packages = ["-p", "sockeye-capi", "-p", "sockeye-cli"];
    program::cargo(&[&["build", "--locked", "--profile", profile], &packages[..]].concat())?;
    let workspace = program::workspace()?;
    let built = workspace
        .target
        .join(if args.debug { "debug" } else { "release" });
    let root = match &args.destdir {
        Some(dir) => dir.join(args.prefix.strip_prefix("/").unwrap_or(&args.prefix)),
        None => args.prefix.clone(),
    };
    let (lib, include) = (root.join("lib"), root.join("include"));
    let pkgconfig = lib.join("pkgconfig");
    for dir in [&include, &pkgconfig] {
        fs::create_dir_all(dir).with_context(|| format!("{} can't be made", dir.display()))?;
    }
    let version = &workspace.version;
    let shared = format!("libsockeye.so.{version}");
    put(&built.join("libsockeye_c.so"), &lib.join(&shared), 0o755)?;
    put(
        &built.join("libsockeye_c.a"),
        &lib.join("libsockeye.a"),
        0o644,
    )?;
    link(&shared, &lib.join(SONAME))?;
    link(SONAME, &lib.join("libsockeye.so"))?;
    let capi = workspace.root.join("crates/capi");
    let header = Path::new("sockeye.h");
    put(
        &capi.join("include").join(header),
        &include.join(header),
        0o644,
    )?;
    let template = fs::read_to_string(capi.join("sockeye.pc.in"))?;
    let filled = template
        .replace("@PREFIX@", &args.prefix.to_string_lossy())
        .replace("@VERSION@", version)
        .replace("@URL@", &workspace.repository);
    fs::write(pkgconfig.join("sockeye.pc"), filled)?;
    println!("capi: libsockeye {version} lies in {}", root.display());
    Ok(())
}

fn put(from: &Path, to: &Path, mode: u32) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("{} -> {}", from.display(), to.display()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode))?;
    Ok(())
}

/// A symbolic link in the place of whatever had its name.
fn link(to: &str, at: &Path) -> Result<()> {
    if at.symlink_metadata().is_ok() {
        fs::remove_file(at)?;
    }
    symlink(to, at).with_context(|| format!("{} can't be linked", at.display()))
}
