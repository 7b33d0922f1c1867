//! A second Linux as an ordinary process: Debian's user-mode-linux, 6.1, whose kernel has what others
//! lack or have dropped: SCTP, DCCP and netem. It sees the host's files, read-only, under their own
//! paths, and is another host on bridges of the namespace that a test made.

use crate::conversation::Heard;
use crate::{Program, Result, TempDir, have};
use rustix::process::{Signal, set_parent_process_death_signal};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The kernel, as the package user-mode-linux installs it, and its modules.
const KERNEL: &str = "/usr/bin/linux.uml";
const MODULES: &str = "/usr/lib/uml/modules";
/// What is loaded before a script begins. Hashes first: without them SCTP signs no cookie and
/// listen(2) fails with ENOSYS.
const LOADED: &[&str] = &[
    "ipv6",
    "md5",
    "hmac",
    "sha1_generic",
    "sctp",
    "dccp_ipv4",
    "dccp_ipv6",
    "sch_netem",
];
/// What the guest's init says once the kernel has said all it has to say.
const BEGUN: &str = "uml: up";
/// What it says when the script has ended, before its exit status.
const ENDED: &str = "uml: exit status ";
/// How long a guest may live unless a test says otherwise.
const LIMIT: Duration = Duration::from_secs(120);

/// Bytes that the guest's kernel has for a process's vector registers.
const EXTENDED_STATE_MAX: u32 = 2696;
/// What serves it on processors that have more.
const PTRACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/uml_ptrace.c");

/// A guest to be started.
#[derive(Debug)]
pub struct Uml {
    /// The bridge and the addresses of each interface: `vec0`, `vec1`, …
    interfaces: Vec<(String, Vec<String>)>,
    limit: Duration,
}

impl Default for Uml {
    fn default() -> Self {
        Self::new()
    }
}

impl Uml {
    /// One without a network.
    #[must_use]
    pub fn new() -> Self {
        Self {
            interfaces: Vec::new(),
            limit: LIMIT,
        }
    }

    /// Why there can be none on this machine, if so.
    #[must_use]
    pub fn missing() -> Option<String> {
        if !Path::new(KERNEL).exists() {
            return Some(format!("there is no {KERNEL} (Debian's user-mode-linux)"));
        }
        let modprobe = have("modprobe") || Path::new("/usr/sbin/modprobe").exists();
        if !modprobe {
            return Some("there is no modprobe (kmod)".to_owned());
        }
        let lacking = !extended_state_fits() && !have("cc");
        lacking.then(|| {
            format!("{KERNEL} does not run on this processor without help, and there is no cc")
        })
    }

    /// One more interface, `vec0` being the first, on `bridge` of this namespace (see [`bridge`]).
    #[must_use]
    pub fn interface(mut self, bridge: &str, addresses: &[&str]) -> Self {
        let addresses = addresses.iter().copied().map(str::to_owned).collect();
        self.interfaces.push((bridge.to_owned(), addresses));
        self
    }

    /// It is killed when it takes longer; two minutes unless set.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs `script`, for sh(1), as the guest's root until it ends, and returns what it printed.
    ///
    /// # Errors
    /// The guest does not start or takes too long, or the script fails.
    pub fn run(self, script: &str) -> Result<String> {
        self.start(script)?.finish()
    }

    /// Starts a guest that runs `script` for sh(1) and then powers off.
    ///
    /// # Errors
    /// The guest or a device for it can't be made.
    pub fn start(self, script: &str) -> Result<Guest> {
        let dir = TempDir::new()?;
        let script = dir.write("script", script)?;
        let init = dir.write("init", self.init(&script))?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&init, mode)?;
        let mut command = Command::new(KERNEL);
        command.args("mem=256M root=/dev/root rootfstype=hostfs rootflags=/ ro quiet".split(' '));
        // The console is the standard input and output; the management socket goes with the folder.
        command.args(["con=null", "con0=fd:0,fd:1", "umid=guest"]);
        command.arg(format!("uml_dir={}", dir.path().display()));
        command.arg(format!("init={}", init.display()));
        for (n, (bridge, _)) in self.interfaces.iter().enumerate() {
            command.arg(format!(
                "vec{n}:transport=tap,ifname={},depth=64",
                tap(bridge)?
            ));
        }
        if !extended_state_fits() {
            let flags = ["-O2", "-shared", "-fPIC"];
            let shim = crate::compiled(PTRACE, "ptrace.so", &dir, &flags, &["-ldl"])?;
            command.env("LD_PRELOAD", shim);
        }
        // SAFETY: between fork and exec one system call is made, on values; nothing is allocated.
        unsafe {
            // A test that is killed takes its guests along.
            command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
        }
        // The guest's processes are processes here: they end with their group.
        let spawned = command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut child = spawned.map_err(|error| format!("{KERNEL} does not start: {error}"))?;
        let input = child.stdin.take().ok_or("it has no input")?;
        let output = child.stdout.take().ok_or("it has no output")?;
        let mut guest = Guest {
            child,
            input,
            heard: Heard::new(output, self.limit),
            _dir: dir,
        };
        guest.wait_for(BEGUN)?;
        guest.heard.said.clear();
        Ok(guest)
    }

    /// What the guest's first process runs.
    fn init(&self, script: &Path) -> String {
        let mut text = format!(
            "#!/bin/sh\nexport PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/run\nstty -echo -onlcr\n\
             for at in proc:/proc sysfs:/sys tmpfs:/run; do mount -t ${{at%:*}} none ${{at#*:}}; done\n\
             mkdir /run/lib; ln -s {MODULES} /run/lib/modules; cd /run\n\
             echo {BEGUN}\nfor module in {}; do modprobe -d /run $module || echo no module $module; done\n\
             ip link set lo up\n",
            LOADED.join(" ")
        );
        for (n, (_, addresses)) in self.interfaces.iter().enumerate() {
            text += &format!("ip link set vec{n} up\n");
            for address in addresses {
                let nodad = if address.contains(':') { "nodad" } else { "" };
                text += &format!("ip addr add {address} dev vec{n} {nodad}\n");
            }
        }
        // The interface says `o` for power off (proc(5), sysrq).
        text + &format!(
            "sh {}\necho {ENDED}$?\necho o >/proc/sysrq-trigger\nwhile :; do sleep 1; done\n",
            script.display()
        )
    }
}

/// A guest that runs until its script ends or this is dropped.
#[derive(Debug)]
pub struct Guest {
    child: Child,
    input: ChildStdin,
    heard: Heard,
    _dir: TempDir,
}

impl Guest {
    /// Waits for a line that contains `text`, and returns the line.
    ///
    /// # Errors
    /// The guest ends, or the time is over, before there is one.
    pub fn wait_for(&mut self, text: &str) -> Result<String> {
        let ends = |line: &str| line.starts_with(ENDED);
        self.heard.wait_for(text, ends)
    }

    /// All that it has said.
    pub fn said(&mut self) -> Vec<String> {
        self.heard.all()
    }

    /// Gives the script a line to read.
    ///
    /// # Errors
    /// The guest has ended.
    pub fn say(&mut self, line: &str) -> Result<()> {
        Ok(writeln!(self.input, "{line}")?)
    }

    /// Waits until the script has ended, and returns what it printed.
    ///
    /// # Errors
    /// It fails, or takes too long.
    pub fn finish(mut self) -> Result<String> {
        let last = self.wait_for(ENDED)?;
        self.heard.said.pop();
        let said = std::mem::take(&mut self.heard.said).join("\n");
        match last.ends_with(&format!("{ENDED}0")) {
            true => Ok(said),
            false => Err(format!("in the guest: {last}\n{said}").into()),
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if let Some(group) = rustix::process::Pid::from_raw(self.child.id().cast_signed()) {
            // It may have ended by itself.
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// Whether the vector registers of this processor fit what the guest's kernel has for them. With
/// tiles (AMX) they do not, and it would panic as its first program begins.
fn extended_state_fits() -> bool {
    #[cfg(target_arch = "x86_64")]
    let needed = std::arch::x86_64::__cpuid_count(0xd, 0).ebx;
    #[cfg(not(target_arch = "x86_64"))]
    let needed = 0;
    needed <= EXTENDED_STATE_MAX
}

/// Makes a bridge of that name in this namespace, which passes on all frames.
///
/// # Errors
/// The kernel lets this user make none, or has none.
pub fn bridge(name: &str) -> Result<()> {
    ip(&format!("link add {name} type bridge mcast_snooping 0"))?;
    ip(&format!("link set {name} up"))
}

/// A new TAP device on a bridge.
fn tap(bridge: &str) -> Result<String> {
    static SERIAL: AtomicU32 = AtomicU32::new(0);
    let name = format!("uml{}", SERIAL.fetch_add(1, Ordering::Relaxed));
    ip(&format!("tuntap add mode tap name {name}"))?;
    ip(&format!("link set {name} master {bridge} up"))?;
    Ok(name)
}

fn ip(words: &str) -> Result<()> {
    Program::new("ip").args(words.split(' ')).run()?.expect(0)?;
    Ok(())
}
