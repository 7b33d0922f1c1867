//! What a script is played on: the kernel of a fresh namespace, or the node in place of it.

use super::IpVersion;
use super::script::Script;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a script may take, in seconds.
const SECONDS_MAX: &str = "30";
/// What timeout(1) exits with when that was not enough.
const TIMED_OUT: i32 = 124;
/// How often the kernel may try: it runs in real time, on a machine that has other things to do.
const KERNEL_TRIES: usize = 3;

/// Plays a script in a namespace that ends with it; the script's arguments follow.
const IN_NAMESPACE: &str = "ip link set lo up && exec \"$@\"";
/// The scripts' common beginning touches the device that the tool makes for a kernel.
const IN_NAMESPACE_WITH_DEVICE: &str =
    "ip link set lo up && ip tuntap add mode tun name tun0 && exec \"$@\"";

/// What a script is played on.
#[derive(Clone, Copy)]
pub(crate) enum Stack<'a> {
    Kernel,
    /// The node, in the shared object at this path.
    Node(&'a Path),
}

/// How a script ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) passed: bool,
    timed_out: bool,
    pub(crate) output: String,
}

impl Stack<'_> {
    pub(crate) fn play(self, tool: &Path, script: &Script, version: IpVersion) -> Result<Outcome> {
        let tries = match self {
            Stack::Kernel => KERNEL_TRIES,
            Stack::Node(_) => 1,
        };
        let mut outcome = self.play_once(tool, script, version)?;
        for _ in 1..tries {
            if outcome.passed {
                break;
            }
            outcome = self.play_once(tool, script, version)?;
        }
        Ok(outcome)
    }

    fn play_once(self, tool: &Path, script: &Script, version: IpVersion) -> Result<Outcome> {
        play_in(self.namespace(), script, |command| {
            if let Stack::Node(object) = self {
                command.args(["env", &format!("LD_PRELOAD={}", object.display())]);
            }
            command.arg(tool);
            if let Stack::Node(object) = self {
                command.arg(format!("--so_filename={}", object.display()));
                command.arg(format!("--so_flags={}", flags(script, version)));
            }
            command.args(["--send_omit_free", "--tolerance_usecs=14000"]);
            command.args(arguments(version));
        })
    }

    fn namespace(self) -> &'static str {
        match self {
            Stack::Kernel => IN_NAMESPACE,
            Stack::Node(_) => IN_NAMESPACE_WITH_DEVICE,
        }
    }
}

/// Plays `script` by the command that `tool` says, in a namespace that ends with it.
pub(crate) fn run_in_namespace(
    script: &Script,
    tool: impl FnOnce(&mut Command),
) -> Result<Outcome> {
    play_in(IN_NAMESPACE, script, tool)
}

fn play_in(namespace: &str, script: &Script, tool: impl FnOnce(&mut Command)) -> Result<Outcome> {
    let (Some(folder), Some(file)) = (script.path.parent(), script.path.file_name()) else {
        bail!("{} is no script", script.path.display());
    };
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-c", namespace, "sh", "timeout", SECONDS_MAX]);
    tool(command.current_dir(folder));
    let output = command.arg(file).output();
    let output = output.context("unshare (util-linux) does not start")?;
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    Ok(Outcome {
        passed: output.status.success(),
        timed_out: output.status.code() == Some(TIMED_OUT),
        output: said,
    })
}

/// How the node is to be set up.
fn flags(script: &Script, version: IpVersion) -> String {
    let mtu = match version {
        IpVersion::V4 | IpVersion::V4Mapped => 1500,
        IpVersion::V6 => 1520,
    };
    let gso = u8::from(!script.without_gso);
    format!("follow=/proc/sys;mtu={mtu};gso={gso}")
}

/// What packetdrill's own runner passes for each version.
fn arguments(version: IpVersion) -> Vec<&'static str> {
    const V4: &[&str] = &[
        "--local_ip=192.168.0.1",
        "--gateway_ip=192.168.0.1",
        "--netmask_ip=255.255.0.0",
        "--remote_ip=192.0.2.1",
        "-DTFO_COOKIE=3021b9d889017eeb",
        "-DCODE=host_unreachable",
    ];
    const V6: &[&str] = &[
        "--mtu=1520",
        "--local_ip=fd3d:0a0b:17d6::1",
        "--gateway_ip=fd3d:0a0b:17d6:8888::1",
        "--remote_ip=fd3d:fa7b:d17d::1",
        "-DTFO_COOKIE=c1d1e9742a47a9bc",
    ];
    /// Of the errors that IPv6 sockets receive.
    const V6_SOCKET: &[&str] = &[
        "-DCMSG_LEVEL_IP=SOL_IPV6",
        "-DCMSG_TYPE_RECVERR=IPV6_RECVERR",
    ];
    const V4_SOCKET: &[&str] = &["-DCMSG_LEVEL_IP=SOL_IP", "-DCMSG_TYPE_RECVERR=IP_RECVERR"];
    match version {
        IpVersion::V4 => [&["--ip_version=ipv4"], V4, V4_SOCKET].concat(),
        IpVersion::V4Mapped => [&["--ip_version=ipv4-mapped-ipv6"], V4, V6_SOCKET].concat(),
        IpVersion::V6 => [&["--ip_version=ipv6"], V6, V6_SOCKET].concat(),
    }
}

impl Outcome {
    pub(crate) fn word(&self) -> &'static str {
        match (self.passed, self.timed_out) {
            (true, _) => "passed",
            (false, true) => "timed out",
            (false, false) => "failed",
        }
    }

    /// What the tool said of the failure: its last lines, with the packet that came.
    pub(crate) fn reason(&self, indent: &str) -> String {
        if self.timed_out {
            return format!("{indent}no end after {SECONDS_MAX} s");
        }
        let tells = |line: &&str| !line.is_empty() && !line.starts_with("sysctl: ");
        let lines: Vec<_> = self.output.lines().filter(tells).collect();
        // Python's traceback is longer; what failed is in its end and in the tool's first line.
        let last = &lines[lines.len().saturating_sub(6)..];
        let line = |line: &&str| format!("{indent}{line}");
        last.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

/// Lets the namespaces choose CUBIC, which the first one has to allow; takes that back when it is
/// dropped.
pub(crate) struct Allowed {
    before: String,
}

/// What a namespace may choose.
const PATH: &str = "/proc/sys/net/ipv4/tcp_allowed_congestion_control";

impl Allowed {
    pub(crate) fn cubic() -> Result<Self> {
        let before =
            std::fs::read_to_string(PATH).with_context(|| format!("{PATH} can't be read"))?;
        let before = before.trim().to_owned();
        if !before.split_ascii_whitespace().any(|name| name == "cubic") {
            std::fs::write(PATH, format!("{before} cubic"))
                .context("cubic can't be allowed for namespaces: this wants root")?;
        }
        Ok(Self { before })
    }
}

impl Drop for Allowed {
    fn drop(&mut self) {
        if let Err(error) = std::fs::write(PATH, &self.before) {
            eprintln!("{PATH} should be '{}' again: {error}", self.before);
        }
    }
}

/// Builds the shared object, and says where it lies.
pub(crate) fn build_object() -> Result<PathBuf> {
    let built = Command::new(env!("CARGO"))
        .args([
            "build",
            "--package",
            "sockeye-packetdrill",
            "--message-format=json-render-diagnostics",
        ])
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("cargo does not start")?;
    if !built.status.success() {
        bail!("the shared object does not build");
    }
    let messages = String::from_utf8_lossy(&built.stdout);
    let object = messages.lines().rev().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let files = message["filenames"].as_array()?.iter();
        let mut files = files.filter_map(Value::as_str);
        files
            .find(|file| file.ends_with("packetdrill.so"))
            .map(PathBuf::from)
    });
    object.context("cargo built no shared object")
}
