//! `cargo xtask package`: a static binary, as a Debian package and as an archive, with man pages and
//! completions that the binary itself prints.

use crate::deb::{self, Description, File};
use crate::{program, release};
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where each shell looks for completions that packages bring; for the others they lie among the
/// documents.
const COMPLETIONS: [(&str, &str); 5] = [
    ("bash", "usr/share/bash-completion/completions/sockeye"),
    ("zsh", "usr/share/zsh/vendor-completions/_sockeye"),
    ("fish", "usr/share/fish/vendor_completions.d/sockeye.fish"),
    ("elvish", "usr/share/doc/sockeye/completions/sockeye.elv"),
    (
        "powershell",
        "usr/share/doc/sockeye/completions/sockeye.ps1",
    ),
];

/// Build a static binary, and pack it with its man pages and completions: a .deb and a .tar.gz.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// For which machine: one with a libc that links statically
    #[arg(long, default_value = "x86_64-unknown-linux-musl")]
    target: String,
    /// Where both go; target/package without it
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Install the package into a root of its own with dpkg, and try what is there
    #[arg(long)]
    check: bool,
    /// Build fast instead of for speed
    #[arg(long)]
    debug: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let target = &args.target;
    if !release::has_target(target)? {
        bail!("this toolchain has no {target}: `rustup target add {target}`");
    }
    let (profile, folder) = match args.debug {
        true => ("dev", "debug"),
        false => ("release", "release"),
    };
    let strip = format!("profile.{profile}.strip=true");
    program::cargo(&[
        "build",
        "--locked",
        "-p",
        "sockeye-cli",
        "--target",
        target,
        "--profile",
        profile,
        "--config",
        &strip,
    ])?;
    let workspace = program::workspace()?;
    let binary = workspace.target.join(target).join(folder).join("sockeye");
    let files = files(&workspace.root, &binary)?;
    let mtime = mtime(&workspace.root)?;
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| workspace.target.join("package"));
    fs::create_dir_all(&out).with_context(|| format!("{} can't be made", out.display()))?;

    let version = &workspace.version;
    let architecture = debian_name(target)?;
    let description = Description {
        name: "sockeye",
        version,
        architecture,
        homepage: &workspace.repository,
        synopsis: "network sockets in user space: a whole node of one's own",
        text: "Runs programs that nobody changed on a network node in user space, and brings\n\
               ping, trace, scan, nc and others that work from such a node. Nothing of it is in\n\
               the kernel, and nothing needs root.",
    };
    let package = out.join(format!("sockeye_{version}_{architecture}.deb"));
    fs::write(&package, deb::build(&description, &files, mtime)?)?;
    let root = format!("sockeye-{version}-{target}/");
    let archive = out.join(format!("sockeye-{version}-{target}.tar.gz"));
    fs::write(&archive, deb::gzip(&deb::tar(&root, &files, mtime)?)?)?;
    for made in [&package, &archive] {
        println!(
            "package: {}, {} bytes",
            made.display(),
            fs::metadata(made)?.len()
        );
    }
    match args.check {
        true => check(&package, &out, version),
        false => Ok(()),
    }
}

fn debian_name(target: &str) -> Result<&'static str> {
    match target.split('-').next() {
        Some("x86_64") => Ok("amd64"),
        Some("aarch64") => Ok("arm64"),
        _ => bail!("{target} is no machine that packages are made for: x86_64 and aarch64 are"),
    }
}

/// All that is installed.
fn files(root: &Path, binary: &Path) -> Result<Vec<File>> {
    let mut files = Vec::new();
    let mut add = |path: String, mode, content| {
        files.push(File {
            path,
            mode,
            content,
        });
    };
    let read = |path: PathBuf| fs::read(&path).with_context(|| format!("no {}", path.display()));
    add("usr/bin/sockeye".into(), 0o755, read(binary.to_owned())?);
    let pages = said(binary, &["man", "--list"])?;
    for name in String::from_utf8(pages)?.lines() {
        let page = said(binary, &["man", name])?;
        let path = format!("usr/share/man/man1/{name}.1.gz");
        add(path, 0o644, deb::gzip(&page)?);
    }
    for (shell, path) in COMPLETIONS {
        add(path.into(), 0o644, said(binary, &["completions", shell])?);
    }
    let docs = "usr/share/doc/sockeye";
    let changelog = deb::gzip(&read(root.join("CHANGELOG.md"))?)?;
    add(format!("{docs}/changelog.gz"), 0o644, changelog);
    add(
        format!("{docs}/README.md"),
        0o644,
        read(root.join("README.md"))?,
    );
    let mut copyright = b"sockeye may be used by the terms of either of two licenses, MIT or \
        Apache 2.0, which follow.\n\n"
        .to_vec();
    copyright.extend(read(root.join("LICENSE-MIT"))?);
    copyright.push(b'\n');
    copyright.extend(read(root.join("LICENSE-APACHE"))?);
    add(format!("{docs}/copyright"), 0o644, copyright);
    Ok(files)
}

/// What the binary prints.
fn said(binary: &Path, args: &[&str]) -> Result<Vec<u8>> {
    let output = Command::new(binary).args(args).output();
    let output = output.with_context(|| {
        format!(
            "{} does not run on this machine, which packs it",
            binary.display()
        )
    })?;
    ensure!(
        output.status.success() && !output.stdout.is_empty(),
        "sockeye {}: {}",
        args.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output.stdout)
}

/// The time of all files: of the last commit, so that the same tree makes the same package, or what
/// SOURCE_DATE_EPOCH says.
fn mtime(root: &Path) -> Result<u64> {
    if let Ok(told) = std::env::var("SOURCE_DATE_EPOCH") {
        let told = told
            .parse()
            .with_context(|| format!("SOURCE_DATE_EPOCH={told} is no number"));
        return told;
    }
    let git = Command::new("git")
        .args(["log", "-1", "--format=%ct"])
        .current_dir(root)
        .output();
    // Without a repository it is the epoch's first day.
    let time = git.ok().and_then(|out| String::from_utf8(out.stdout).ok());
    Ok(time
        .and_then(|time| time.trim().parse().ok())
        .unwrap_or(86400))
}

/// Installs the package below a root of its own, as dpkg does, and looks at what is there.
fn check(package: &Path, out: &Path, version: &str) -> Result<()> {
    let root = out.join("root");
    if root.exists() {
        fs::remove_dir_all(&root)?;
    }
    let admin = root.join("var/lib/dpkg");
    for folder in ["updates", "info", "triggers"] {
        fs::create_dir_all(admin.join(folder))?;
    }
    for file in ["status", "available"] {
        fs::write(admin.join(file), "")?;
    }
    let dpkg = |args: &[&str]| -> Result<String> {
        let output = Command::new("dpkg")
            .arg(format!("--root={}", root.display()))
            .args([
                "--force-not-root",
                "--force-architecture",
                "--log=/dev/null",
            ])
            .args(args)
            .output()
            .context("there is no dpkg: packages are checked on a Debian machine")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(
            output.status.success(),
            "dpkg {}: {}",
            args.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(text)
    };
    dpkg(&["--install", &package.to_string_lossy()])?;
    let status = dpkg(&["--status", "sockeye"])?;
    ensure!(status.contains("install ok installed"), "{status}");
    let listed = dpkg(&["--listfiles", "sockeye"])?;
    for path in listed.lines().filter(|path| path.len() > 1) {
        let path = root.join(&path[1..]);
        ensure!(path.exists(), "{} is not there", path.display());
    }
    let binary = root.join("usr/bin/sockeye");
    let told = String::from_utf8(said(&binary, &["--version"])?)?;
    ensure!(told.trim() == format!("sockeye {version}"), "{told}");
    let elf = fs::read(&binary)?;
    ensure!(!is_dynamic(&elf), "the binary is not static");
    let page = root.join("usr/share/man/man1/sockeye-run.1.gz");
    ensure!(page.exists(), "there is no {}", page.display());
    let changed = dpkg(&["--verify", "sockeye"])?;
    ensure!(changed.is_empty(), "files are not as packed:\n{changed}");
    dpkg(&["--remove", "sockeye"])?;
    ensure!(!binary.exists(), "the binary is there after --remove");
    println!("package: installs, runs, and can be removed");
    Ok(())
}

/// Whether an ELF file of 64 bits names a program that loads it (PT_INTERP), as what needs shared
/// libraries does.
fn is_dynamic(elf: &[u8]) -> bool {
    const PT_INTERP: u32 = 3;
    let number = |at: usize, len: usize| -> usize {
        let bytes = elf.get(at..at + len).unwrap_or_default();
        bytes
            .iter()
            .rev()
            .fold(0, |all, byte| all << 8 | usize::from(*byte))
    };
    let (table, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    (0..count).any(|index| number(table + index * size, 4) == PT_INTERP as usize)
}
