//! What this machine allows of what a run needs, each with what to do about a 'no'.

use crate::backend::Errno;
use crate::child::StartError;
use crate::sys;
use rustix::process::{PidfdFlags, pidfd_open};
use std::path::Path;

/// What was found about one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// A short name, such as `user notification`.
    pub name: &'static str,
    /// What it is needed for.
    pub purpose: &'static str,
    /// Nothing if it is there; else why not, and what to do.
    pub missing: Option<Missing>,
    /// Whether `sockeye run` works without it.
    pub optional: bool,
}

/// What a machine lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Missing {
    /// What the kernel says.
    pub reason: String,
    /// What to do about it.
    pub advice: &'static str,
}

/// Looks at everything that a run uses.
#[must_use]
pub fn examine() -> Vec<Finding> {
    let finding = |name, purpose, optional, result: Result<(), String>, advice| Finding {
        name,
        purpose,
        optional,
        missing: result.err().map(|reason| Missing { reason, advice }),
    };
    vec![
        finding(
            "user notification",
            "answers a program's socket calls",
            false,
            crate::child::try_start(crate::filter::program()).map_err(|error| error.to_string()),
            "use Linux 5.14 or later with CONFIG_SECCOMP_FILTER; in a container, run with a seccomp profile that allows \
             seccomp(2) (docker: --security-opt seccomp=unconfined), and not under another supervisor",
        ),
        finding(
            "pidfd_getfd",
            "tells whose descriptor a call names",
            false,
            own_descriptor().map_err(|error| error.to_string()),
            "use Linux 5.6 or later; in a container, allow pidfd_getfd(2) and process_vm_readv(2) in its seccomp profile",
        ),
        finding(
            "process memory",
            "reads the addresses that a program passes",
            false,
            own_memory().map_err(|error| error.to_string()),
            "set kernel.yama.ptrace_scope to 1 or 0 (sysctl -w kernel.yama.ptrace_scope=1), or run as root",
        ),
        finding(
            "thread pidfds",
            "finds descriptors of threads that do not share their process's table",
            true,
            sys::open_thread_only(rustix::thread::gettid().as_raw_nonzero().get())
                .map(drop)
                .map_err(|e| e.to_string()),
            "use Linux 6.9 or later; without it, only the rare program that unshares its descriptor table is affected",
        ),
        finding(
            "killable waits",
            "make every answer arrive, whatever signals come",
            true,
            if sys::can_wait_killably() {
                Ok(())
            } else {
                Err("the seccomp flag is not known".to_owned())
            },
            "use Linux 5.19 or later; without it, a UDP call may be lost or made twice if a signal comes in the moment of its answer",
        ),
        finding(
            "network namespaces",
            "give a run abstract AF_UNIX names of its own",
            true,
            crate::names::Names::new()
                .refusal()
                .map_or(Ok(()), |error| Err(error.to_string())),
            "let users make namespaces: sysctl -w kernel.unprivileged_userns_clone=1 or \
             kernel.apparmor_restrict_unprivileged_userns=0, or run as root; without them a program reaches no abstract name",
        ),
        finding(
            "mount namespaces",
            "show the node in a program's /proc/net (--proc-net)",
            true,
            crate::child::try_view().map_err(|error| match error {
                StartError::NoView(reason) => reason.to_string(),
                error => error.to_string(),
            }),
            "use Linux 5.2 or later, and let users make namespaces: sysctl -w kernel.unprivileged_userns_clone=1 or \
             kernel.apparmor_restrict_unprivileged_userns=0, or run as root; without them a program reads the host's /proc/net",
        ),
        finding(
            "ping",
            "carries a program's pings to the host's network",
            true,
            ping_allowed(),
            "let every group ping: sysctl -w net.ipv4.ping_group_range='0 2147483647'",
        ),
        finding(
            "TUN and TAP",
            "attach a node to the host's network (--link tap:NAME)",
            true,
            device("/dev/net/tun"),
            "load the tun module and give yourself access to /dev/net/tun, or use the default link, which needs neither",
        ),
    ]
}

fn own_descriptor() -> Result<(), Errno> {
    let own = pidfd_open(rustix::process::getpid(), PidfdFlags::empty())?;
    let (stdin, none) = (0, rustix::process::PidfdGetfdFlags::empty());
    match rustix::process::pidfd_getfd(&own, stdin, none) {
        Ok(_) | Err(Errno::BADF) => Ok(()),
        Err(error) => Err(error),
    }
}

fn own_memory() -> Result<(), Errno> {
    // Yama looks at what may be read of others: a descendant at scope 1, nothing without privilege from 2 on.
    let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    if matches!(scope.trim(), "2" | "3") && !rustix::process::geteuid().is_root() {
        return Err(Errno::PERM);
    }
    let mut copy = [0];
    let octet = 7_u8;
    sys::read_memory(
        rustix::process::getpid().as_raw_pid(),
        (&raw const octet) as u64,
        &mut copy,
    )
}

fn ping_allowed() -> Result<(), String> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with};
    let icmp = Some(ipproto::ICMP);
    socket_with(
        AddressFamily::INET,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        icmp,
    )
    .map(drop)
    .map_err(|e| e.to_string())
}

fn device(path: &str) -> Result<(), String> {
    let device = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(Path::new(path));
    device.map(drop).map_err(|error| format!("{path}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_no_comes_with_something_to_do() {
        let findings = examine();
        assert_eq!(findings.len(), 9);
        for missing in findings
            .iter()
            .filter_map(|finding| finding.missing.as_ref())
        {
            assert!(!missing.reason.is_empty() && !missing.advice.is_empty());
        }
    }

    #[test]
    fn a_program_can_be_supervised_here_if_doctor_says_so() {
        let no = examine()
            .into_iter()
            .find(|finding| !finding.optional && finding.missing.is_some());
        let started = crate::child::try_start(crate::filter::program());
        assert_eq!(no.is_none(), started.is_ok(), "{no:?} {started:?}");
    }
}
