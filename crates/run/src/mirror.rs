//! Being the program in the eyes of whoever started it: exit status, death by signal, signals, job control.
//!
//! Supervisor and program are in one process group, so what the terminal sends (Ctrl-C, Ctrl-Z, a new size) reaches both; the
//! supervisor lets it pass and does as the program does. What is sent to the supervisor alone, as kill(1) does, is passed on.
//! When the program stops, the supervisor stops, so that the shell notices; when it is continued, both are.

use crate::backend::Errno;
use crate::sys;
use rustix::process::{Signal, WaitOptions, getpid, kill_process, waitpid};
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

/// Signals that are the program's to answer. Not SIGCHLD, which is the supervisor's own, nor the synchronous ones.
pub(crate) const MIRRORED: [i32; 11] = [
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGHUP,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
    libc::SIGCONT,
    libc::SIGWINCH,
];

/// The program, once it runs: whom the handler passes signals on to.
static PROGRAM: AtomicI32 = AtomicI32::new(0);

/// Signals that came before the program ran, one bit each.
static EARLY: AtomicU64 = AtomicU64::new(0);

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this status.
    Status(i32),
    /// A signal ended it.
    Signal(i32),
}

impl Exit {
    /// The status that a shell would show: the program's own, or 128 and the signal.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            Self::Status(status) => status,
            Self::Signal(signal) => 128 + signal,
        }
    }
}

/// Takes over the mirrored signals, for the whole process. What is ignored stays ignored, for us and for the program.
pub(crate) fn begin() {
    for signal in MIRRORED {
        // SAFETY: the structures are valid for the call; the handler is async-signal-safe (two atomics and kill).
        unsafe {
            let mut old = std::mem::zeroed::<libc::sigaction>();
            libc::sigaction(signal, ptr::null(), &raw mut old);
            if old.sa_sigaction == libc::SIG_IGN {
                continue;
            }
            let mut new = std::mem::zeroed::<libc::sigaction>();
            new.sa_sigaction = pass_on as *const () as usize;
            new.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
            libc::sigaction(signal, &raw const new, ptr::null_mut());
        }
    }
}

/// Says who the program is, and gives it what came before.
pub(crate) fn program_is(pid: i32) {
    PROGRAM.store(pid, Ordering::SeqCst);
    let early = EARLY.swap(0, Ordering::SeqCst);
    for signal in MIRRORED {
        if early & (1 << signal) != 0 {
            // SAFETY: kill takes two integers; the program is our child and has not been waited for.
            unsafe { libc::kill(pid, signal) };
        }
    }
}

extern "C" fn pass_on(signal: i32, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // SAFETY: the kernel gives a handler with SA_SIGINFO a valid siginfo.
    let from_a_process = unsafe { (*info).si_code } <= 0;
    if !from_a_process {
        return; // The terminal sent it, to the program as well.
    }
    // SAFETY: errno is this thread's; the interrupted code must find it as it was.
    let errno = unsafe { *libc::__errno_location() };
    match PROGRAM.load(Ordering::SeqCst) {
        0 => drop(EARLY.fetch_or(1 << signal, Ordering::SeqCst)),
        // SAFETY: kill takes two integers.
        pid => drop(unsafe { libc::kill(pid, signal) }),
    }
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

/// Waits until the program has ended, mirrors its stops, and reaps the orphans that fall to the supervisor meanwhile.
pub(crate) fn wait(program: i32) -> Result<Exit, Errno> {
    let program = sys::pid(program)?;
    loop {
        // Looked at first and taken after, so that who it is decides what is done.
        let pid = sys::pid(rustix::io::retry_on_intr(sys::changed_child)?)?;
        if pid != program {
            let _ = waitpid(Some(pid), WaitOptions::NOHANG | WaitOptions::UNTRACED);
            continue;
        }
        let Some((_, status)) = waitpid(Some(pid), WaitOptions::NOHANG | WaitOptions::UNTRACED)?
        else {
            continue;
        };
        if let Some(code) = status.exit_status() {
            PROGRAM.store(0, Ordering::SeqCst);
            return Ok(Exit::Status(code));
        }
        if let Some(signal) = status.terminating_signal() {
            PROGRAM.store(0, Ordering::SeqCst);
            return Ok(Exit::Signal(signal));
        }
        if status.stopped() && has_terminal() {
            let _ = kill_process(getpid(), Signal::STOP);
        }
    }
}

/// Only a shell with job control, which has a terminal, would ever continue us.
fn has_terminal() -> bool {
    std::fs::File::open("/dev/tty").is_ok()
}
