//! How a thread waits for the answer to its call, and what it misses meanwhile.
//!
//! Where the kernel can (`SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV`, Linux 5.19), a thread whose call has been taken is woken by
//! its answer or its death alone: an answer that commits something is always heeded. In return the supervisor looks itself for
//! signals that a held call is to be interrupted for: soon after it began, and less often the longer it lasts.

use crate::filter;
use crate::sys;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

/// The first look for a signal comes after this time, the next ones after twice the time of the one before.
const FIRST_LOOK: Duration = Duration::from_millis(1);

/// The longest time between two looks.
const LONGEST_LOOK: Duration = Duration::from_millis(50);

/// From this time on it is looked at whether the process is being stopped, too: that takes a look at each of its threads.
const STOPS_FROM: Duration = Duration::from_millis(16);

/// Looks at a signal for the whole of a process of several threads, before it is taken for this thread's.
const LOOKS_AT_A_SHARED_SIGNAL: u32 = 4;

/// What is read of a thread's status: more than comes before the last line that is wanted.
const STATUS_START: usize = 2048;

/// The first kernel on which an answer that comes before the thread has begun to wait for nothing else is safe, too.
const AT_ONCE_SINCE: (u32, u32) = (6, 18);

/// How threads of the program wait for their answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// For the answer or death, from the moment the call was taken.
    Firmly,
    /// For the answer or death, from a moment after the call was taken that has to be waited for (before Linux 6.18).
    FirmlySoon,
    /// For the answer or any signal: one that comes in the very moment of the answer can make the thread miss it.
    Lightly,
}

impl Waiting {
    /// The best that this kernel has.
    #[must_use]
    pub fn best() -> Self {
        if !sys::can_wait_killably() {
            Self::Lightly
        } else if kernel() >= AT_ONCE_SINCE {
            Self::Firmly
        } else {
            Self::FirmlySoon
        }
    }

    /// Whether signals have to be looked for.
    pub(crate) fn hides_signals(self) -> bool {
        self != Self::Lightly
    }
}

/// The kernel's version.
fn kernel() -> (u32, u32) {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy();
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map_while(|number| number.parse().ok());
    (
        numbers.next().unwrap_or_default(),
        numbers.next().unwrap_or_default(),
    )
}

/// Waits until the thread has something to do that only the end of its call lets it do. For ever, if nobody can tell.
pub(crate) async fn interruption(tid: i32) {
    let Some(mut watch) = Watch::open(tid) else {
        return std::future::pending().await;
    };
    let mut interval = FIRST_LOOK;
    loop {
        tokio::time::sleep(interval).await;
        if watch.look(interval >= STOPS_FROM) {
            return;
        }
        interval = (interval * 2).min(LONGEST_LOOK);
    }
}

/// Looks at one thread.
struct Watch {
    tid: i32,
    status: File,
    /// Looks in a row that found a signal which another thread may be about to take.
    shared: u32,
    traced: Option<bool>,
}

impl Watch {
    fn open(tid: i32) -> Option<Self> {
        Some(Self {
            tid,
            status: File::open(format!("/proc/{tid}/status")).ok()?,
            shared: 0,
            traced: None,
        })
    }

    /// Whether the thread's call is to be interrupted.
    fn look(&mut self, at_stops: bool) -> bool {
        let mut text = [0; STATUS_START];
        let Ok(len) = self.status.read_at(&mut text, 0) else {
            return false; // it is gone
        };
        let Some(status) = Status::parse(&String::from_utf8_lossy(&text[..len])) else {
            return false;
        };
        let for_all = status.for_all & !status.blocked != 0;
        self.shared = if for_all { self.shared + 1 } else { 0 };
        // A tracer that has come may want it to stop, which shows nowhere.
        let traced_now = self.traced.replace(status.traced) == Some(false) && status.traced;
        status.own & !status.blocked != 0
            || for_all && (status.threads == 1 || self.shared >= LOOKS_AT_A_SHARED_SIGNAL)
            || traced_now
            || at_stops && status.threads > 1 && a_thread_has_stopped(status.group, self.tid)
    }
}

/// Of a thread's `status`, see proc_pid_status(5).
#[derive(Debug, Default, PartialEq, Eq)]
struct Status {
    group: i32,
    traced: bool,
    threads: u32,
    /// Signals that wait for this thread, for any thread of the process, and that this one has blocked: a bit each.
    own: u64,
    for_all: u64,
    blocked: u64,
}

impl Status {
    fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name));
            value.map(str::trim)
        };
        let signals = |name| u64::from_str_radix(field(name)?, 16).ok();
        Some(Self {
            group: field("Tgid:")?.parse().ok()?,
            traced: field("TracerPid:")? != "0",
            threads: field("Threads:")?.parse().ok()?,
            own: signals("SigPnd:")?,
            for_all: signals("ShdPnd:")?,
            blocked: signals("SigBlk:")?,
        })
    }
}

/// Whether a thread waits in a call that is not trapped, such as poll(2). One that is gone does.
pub(crate) fn waits_by_itself(tid: i32) -> bool {
    let Ok(call) = std::fs::read_to_string(format!("/proc/{tid}/syscall")) else {
        // Where that may not be read there is no better sign than its sleep.
        let stat = std::fs::read(format!("/proc/{tid}/stat"));
        return stat.map_or(true, |stat| state(&stat) == Some(b'S'));
    };
    let number = call.split(' ').next().and_then(|nr| nr.parse().ok());
    // At work, there is a word in the place of the number.
    let trapped =
        |nr| [libc::SYS_socket, libc::SYS_sendto].contains(&nr) || filter::TRAPPED.contains(&nr);
    number.is_some_and(|nr| !trapped(nr))
}

/// Whether a thread of the process but this one is stopped: then all are to stop.
fn a_thread_has_stopped(group: i32, but: i32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{group}/task")) else {
        return false;
    };
    threads.flatten().any(|thread| {
        let number = thread.file_name();
        number.to_str() != Some(but.to_string().as_str())
            && std::fs::read(thread.path().join("stat"))
                .is_ok_and(|stat| state(&stat) == Some(b'T'))
    })
}

/// The state in a thread's `stat`, or in its start: behind the name, which may hold anything.
pub(crate) fn state(stat: &[u8]) -> Option<u8> {
    let name_ends = stat.windows(2).rposition(|pair| pair == b") ")?;
    stat.get(name_ends + 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_as_the_kernel_writes_it() {
        let text = "Name:\ta: b\nTgid:\t7\nPid:\t8\nTracerPid:\t0\nThreads:\t2\nSigQ:\t0/9\n\
                    SigPnd:\t0000000000000001\nShdPnd:\t0000000000002000\nSigBlk:\t8000000000000000\n";
        let status = Status::parse(text).unwrap();
        let expected = Status {
            group: 7,
            traced: false,
            threads: 2,
            own: 1,
            for_all: 0x2000,
            blocked: 1 << 63,
        };
        assert_eq!(status, expected);
        assert_eq!(Status::parse("Tgid:\t7\n"), None);
    }

    #[test]
    fn this_thread_has_a_status_that_fits() {
        let tid = rustix::thread::gettid().as_raw_nonzero().get();
        let mut watch = Watch::open(tid).unwrap();
        assert!(!watch.look(true));
        assert_eq!(watch.traced, Some(false), "it was read");
    }

    #[test]
    fn a_state_stands_behind_the_name() {
        assert_eq!(state(b"12 (a) R (b) S 1 "), Some(b'S'));
        assert_eq!(state(b"12 (a"), None);
    }
}
