//! Starting the program: fork, filter, exec.
//!
//! Between fork and exec the child makes only async-signal-safe system calls, over memory that was made ready before. It installs
//! the filter, tells the number of its listener through a pipe (reads and writes are not trapped), waits until the supervisor has
//! taken the listener by pidfd_getfd, and executes the program. A failed exec comes back through the same pipe, which a
//! successful one closes.
//!
//! The filter is tried first without `no_new_privs`, so that what root runs keeps its setuid programs; an ordinary user's
//! program runs with it. The child is killed when the thread that started it ends, so that no program outlives a supervisor that
//! was itself killed.

use crate::backend::Errno;
use crate::mirror::MIRRORED;
use crate::sys;
use crate::threads::Threads;
use crate::view::Mount;
use crate::waiting::Waiting;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use std::ffi::{CString, OsStr, OsString, c_char};
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::ptr;

/// Where programs are looked for if there is no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// What runs a script that names no interpreter.
const SHELL: &std::ffi::CStr = c"/bin/sh";

/// Why a program did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// No program was named.
    #[error("no program is named: write it after `--`")]
    NoProgram,
    /// There is no such file.
    #[error(
        "cannot run {program}: no such program; give a path, or a name that is found along PATH"
    )]
    NotFound {
        /// As it was named.
        program: String,
    },
    /// There is such a file, but it does not run.
    #[error("cannot run {program}: {reason}")]
    NotExecutable {
        /// As it was named.
        program: String,
        /// What the kernel says.
        reason: io::Error,
    },
    /// The kernel does not let system calls be supervised.
    #[error(
        "this machine does not allow system calls to be supervised ({step}: {reason}); `sockeye doctor` tells more"
    )]
    NotSupervisable {
        /// What was being done.
        step: &'static str,
        /// What the kernel says.
        reason: io::Error,
    },
    /// The kernel does not let /proc/net be the node's.
    #[error(
        "this machine does not let a program see the node in /proc/net ({0}); `sockeye doctor` tells more, and without \
         --proc-net it sees the host there"
    )]
    NoView(io::Error),
    /// Something that a start needs is used up.
    #[error("cannot start a program: {step}: {reason}")]
    System {
        /// What was being done.
        step: &'static str,
        /// What the kernel says.
        reason: io::Error,
    },
}

impl StartError {
    /// The exit status that shells give: 127 if there is no such program, 126 if it does not run, 2 for all else.
    #[must_use]
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::NotFound { .. } => 127,
            Self::NotExecutable { .. } => 126,
            Self::NoProgram
            | Self::NotSupervisable { .. }
            | Self::NoView(_)
            | Self::System { .. } => 2,
        }
    }
}

/// A program that runs under a filter.
pub(crate) struct Child {
    pub(crate) pid: i32,
    pub(crate) listener: OwnedFd,
    pub(crate) threads: Threads,
    /// Internet sockets of ours that the program did not inherit.
    pub(crate) withheld: Vec<RawFd>,
}

/// What the child reports: a step and a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
enum Step {
    /// The filter stands; the number is its listener's.
    Listening = 1,
    /// The filter was refused; the number is the errno.
    Filter = 2,
    /// The program was not executed; the number is the errno.
    Exec = 3,
    /// /proc/net could not be made the node's; the number is the errno.
    View = 4,
}

/// Everything the child needs, made ready before the fork.
struct Plan {
    /// Files to try in turn, with what comes of them if they are scripts without an interpreter.
    candidates: Vec<(CString, Vec<*const c_char>)>,
    arguments: Vec<*const c_char>,
    environment: *const *const c_char,
    filter: Vec<libc::sock_filter>,
    killably: bool,
    mount: Option<Mount>,
    withheld: Vec<RawFd>,
    parent: i32,
    report: RawFd,
    go: RawFd,
    /// The other side of `go`, which the child must not hold.
    gate: RawFd,
    mask: libc::sigset_t,
}

/// A child that has its filter and waits to be let go.
struct Ready {
    pid: i32,
    listener: OwnedFd,
    reports: io::PipeReader,
    gate: io::PipeWriter,
}

/// Starts `argv` under `filter`. The program is killed when the calling thread ends.
pub(crate) fn start(
    argv: &[OsString],
    filter: Vec<libc::sock_filter>,
    waiting: Waiting,
    mount: Option<Mount>,
) -> Result<Child, StartError> {
    let program = argv
        .first()
        .filter(|name| !name.is_empty())
        .ok_or(StartError::NoProgram)?;
    let shown = program.to_string_lossy().into_owned();
    let not_found = || StartError::NotFound {
        program: shown.clone(),
    };
    let owned: Vec<CString> = argv
        .iter()
        .map(|argument| CString::new(argument.as_bytes()))
        .collect::<Result<_, _>>()
        .map_err(|_| not_found())?;
    let candidates = candidates(program)
        .ok_or_else(not_found)?
        .into_iter()
        .map(|file| {
            let as_script = [SHELL, file.as_c_str()]
                .into_iter()
                .chain(owned.iter().skip(1).map(CString::as_c_str));
            let pointers = pointers(as_script);
            (file, pointers)
        })
        .collect();
    let withheld = inherited_sockets().map_err(|reason| StartError::System {
        step: "look through /proc/self/fd",
        reason,
    })?;
    let arguments = pointers(owned.iter().map(CString::as_c_str));
    let Ready {
        pid,
        listener,
        mut reports,
        mut gate,
    } = prepare(
        candidates,
        arguments,
        (filter, waiting, mount),
        withheld.clone(),
    )?;
    // Until the gate opens the child sleeps.
    let threads = Threads::new(waiting);
    threads.try_with_sleeper(pid);
    if let Err(reason) = gate.write_all(&[1]) {
        return Err(failed(
            pid,
            "start the program",
            Errno::from_io_error(&reason).unwrap_or(Errno::IO),
        ));
    }
    match read_report(&mut reports) {
        None => Ok(Child {
            pid,
            listener,
            threads,
            withheld,
        }),
        Some((_, errno)) => {
            reap(pid);
            match Errno::from_raw_os_error(errno) {
                Errno::NOENT | Errno::NOTDIR => Err(not_found()),
                error => Err(StartError::NotExecutable {
                    program: shown,
                    reason: error.into(),
                }),
            }
        }
    }
}

/// Whether a program could be started under `filter`: does everything but execute one.
pub(crate) fn try_start(filter: Vec<libc::sock_filter>) -> Result<(), StartError> {
    let Ready {
        pid,
        listener,
        reports,
        gate,
    } = prepare(
        Vec::new(),
        vec![ptr::null()],
        (filter, Waiting::best(), None),
        Vec::new(),
    )?;
    // Killed, not told by the gate's end: another thread's child may hold a copy of that end.
    // SAFETY: kill takes two integers; the pid is our child's, which nobody has waited for.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    reap(pid);
    drop((gate, reports, listener));
    Ok(())
}

/// Whether a program could be shown the node in /proc/net: does it, in a child that ends.
pub(crate) fn try_view() -> Result<(), StartError> {
    // Any link will do, and this one leads nowhere else.
    let mount = Mount::new(c"/proc/self".to_owned());
    let nothing = (Vec::new(), Waiting::best(), Some(mount));
    match prepare(Vec::new(), vec![ptr::null()], nothing, Vec::new()) {
        Err(error @ (StartError::NoView(_) | StartError::System { .. })) => Err(error),
        // Without a filter it goes no further.
        Err(_) => Ok(()),
        Ok(ready) => {
            // SAFETY: kill takes two integers; the pid is our child's, which nobody has waited for.
            unsafe { libc::kill(ready.pid, libc::SIGKILL) };
            reap(ready.pid);
            Ok(())
        }
    }
}

fn prepare(
    candidates: Vec<(CString, Vec<*const c_char>)>,
    arguments: Vec<*const c_char>,
    (filter, waiting, mount): (Vec<libc::sock_filter>, Waiting, Option<Mount>),
    withheld: Vec<RawFd>,
) -> Result<Ready, StartError> {
    let system = |step| move |reason: io::Error| StartError::System { step, reason };
    let (mut reports, report) = io::pipe().map_err(system("make a pipe"))?;
    let (go, gate) = io::pipe().map_err(system("make a pipe"))?;
    let mut plan = Plan {
        candidates,
        arguments,
        environment: environment(),
        filter,
        killably: waiting.hides_signals(),
        mount,
        withheld,
        parent: rustix::process::getpid().as_raw_pid(),
        report: report.as_raw_fd(),
        go: go.as_raw_fd(),
        gate: gate.as_raw_fd(),
        mask: empty_mask(),
    };
    let pid = fork(&mut plan).map_err(system("fork"))?;
    drop((report, go));
    match read_report(&mut reports) {
        Some((Step::Listening, fd)) => {
            let listener =
                take(pid, fd).map_err(|error| failed(pid, "take the listener", error))?;
            Ok(Ready {
                pid,
                listener,
                reports,
                gate,
            })
        }
        Some((Step::View, errno)) => {
            reap(pid);
            Err(StartError::NoView(io::Error::from_raw_os_error(errno)))
        }
        Some((_, errno)) => Err(failed(
            pid,
            "install the filter",
            Errno::from_raw_os_error(errno),
        )),
        None => Err(failed(pid, "install the filter", Errno::CHILD)),
    }
}

fn failed(pid: i32, step: &'static str, error: Errno) -> StartError {
    // SAFETY: kill takes two integers; the pid is our child's, which nobody has waited for.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    reap(pid);
    StartError::NotSupervisable {
        step,
        reason: error.into(),
    }
}

fn reap(pid: i32) {
    if let Ok(pid) = sys::pid(pid) {
        let _ = rustix::io::retry_on_intr(|| {
            rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty())
        });
    }
}

fn take(pid: i32, fd: RawFd) -> Result<OwnedFd, Errno> {
    let child = pidfd_open(sys::pid(pid)?, PidfdFlags::empty())?;
    pidfd_getfd(&child, fd, PidfdGetfdFlags::empty())
}

fn read_report(pipe: &mut impl io::Read) -> Option<(Step, i32)> {
    let mut octets = [0; 8];
    pipe.read_exact(&mut octets).ok()?;
    let [step, value] =
        [0, 4].map(|at| i32::from_ne_bytes(std::array::from_fn(|i| octets[at + i])));
    let step = [Step::Listening, Step::Filter, Step::Exec, Step::View]
        .into_iter()
        .find(|known| *known as i32 == step)?;
    Some((step, value))
}

fn pointers<'a>(strings: impl Iterator<Item = &'a std::ffi::CStr>) -> Vec<*const c_char> {
    strings
        .map(std::ffi::CStr::as_ptr)
        .chain([ptr::null()])
        .collect()
}

/// The files a name may stand for, as execvp(3) looks for them.
fn candidates(program: &OsStr) -> Option<Vec<CString>> {
    if program.as_bytes().contains(&b'/') {
        return CString::new(program.as_bytes()).ok().map(|file| vec![file]);
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
    std::env::split_paths(&path)
        .map(|folder| {
            if folder.as_os_str().is_empty() {
                Path::new(".").join(program)
            } else {
                folder.join(program)
            }
        })
        .map(|file| CString::new(file.as_os_str().as_bytes()).ok())
        .collect()
}

fn environment() -> *const *const c_char {
    unsafe extern "C" {
        static environ: *const *const c_char;
    }
    // SAFETY: the C library keeps this pointer; it is read once, before the fork.
    unsafe { environ }
}

/// Internet sockets, and others that reach a network, that a program would inherit from us. The standard streams are left alone:
/// who connects them to a socket (as inetd does) means the program to have it.
fn inherited_sockets() -> io::Result<Vec<RawFd>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let Some(fd) = entry?
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<RawFd>().ok())
        else {
            continue;
        };
        let foreign = sys::socket_domain(fd).is_some_and(|domain| domain != libc::AF_UNIX);
        if fd > 2 && foreign && inherits(fd) {
            found.push(fd);
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn inherits(fd: RawFd) -> bool {
    // SAFETY: F_GETFD takes no argument, and a number that is no descriptor is an error.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
    flags != -1 && flags & libc::FD_CLOEXEC == 0
}

fn empty_mask() -> libc::sigset_t {
    let mut mask = std::mem::MaybeUninit::uninit();
    // SAFETY: sigemptyset makes the whole set valid.
    unsafe {
        libc::sigemptyset(mask.as_mut_ptr());
        mask.assume_init()
    }
}

/// Forks with all signals blocked, so that no handler of ours runs in the child.
fn fork(plan: &mut Plan) -> io::Result<i32> {
    // SAFETY: both sets are valid; the mask is this thread's own and is put back below, in the child by `child`.
    unsafe {
        let mut all = empty_mask();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut plan.mask);
    }
    // SAFETY: the child does async-signal-safe things alone, see `child`.
    let pid = unsafe { libc::fork() };
    let error = io::Error::last_os_error();
    if pid == 0 {
        // SAFETY: this is the child of a fork with all signals blocked.
        unsafe { child(plan) }
    }
    // SAFETY: the mask was filled in above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const plan.mask, ptr::null_mut()) };
    if pid == -1 { Err(error) } else { Ok(pid) }
}

/// What the child does instead of returning.
///
/// # Safety
/// To be called in the child of a fork, with all signals blocked. It allocates nothing, takes no lock and does not unwind.
unsafe fn child(plan: &Plan) -> ! {
    // SAFETY: system calls alone, on numbers and on memory that `plan` keeps alive in this process.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        if libc::getppid() != plan.parent {
            libc::_exit(libc::EXIT_FAILURE);
        }
        // Rust ignores SIGPIPE, and the mirror handles some; what was ignored before stays ignored, as it does with nohup.
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        for signal in MIRRORED {
            let mut old = std::mem::zeroed::<libc::sigaction>();
            libc::sigaction(signal, ptr::null(), &raw mut old);
            if old.sa_sigaction != libc::SIG_IGN {
                libc::signal(signal, libc::SIG_DFL);
            }
        }
        libc::sigprocmask(libc::SIG_SETMASK, &raw const plan.mask, ptr::null_mut());
        libc::close(plan.gate);
        for fd in &plan.withheld {
            libc::close(*fd);
        }
    }
    if let Some(Err(error)) = plan.mount.as_ref().map(Mount::show) {
        report(plan, Step::View, error.raw_os_error());
        // SAFETY: _exit runs nothing.
        unsafe { libc::_exit(libc::EXIT_FAILURE) }
    }
    let listener = match sys::install_filter(&plan.filter, plan.killably) {
        Err(Errno::ACCESS) => {
            // SAFETY: prctl of integers.
            unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
            sys::install_filter(&plan.filter, plan.killably)
        }
        result => result,
    };
    match listener {
        Ok(listener) => {
            report(plan, Step::Listening, listener);
            let mut gate = [0_u8];
            // SAFETY: one octet is read into one; the listener is the child's own, which the supervisor has taken by now.
            let opened = unsafe { libc::read(plan.go, gate.as_mut_ptr().cast(), 1) } == 1;
            // SAFETY: as above.
            unsafe { libc::close(listener) };
            if opened {
                let error = execute(plan);
                report(plan, Step::Exec, error);
            }
        }
        Err(error) => report(plan, Step::Filter, error.raw_os_error()),
    }
    // SAFETY: _exit runs nothing.
    unsafe { libc::_exit(libc::EXIT_FAILURE) }
}

fn report(plan: &Plan, step: Step, value: i32) {
    let mut octets = [0; 8];
    octets[..4].copy_from_slice(&(step as i32).to_ne_bytes());
    octets[4..].copy_from_slice(&value.to_ne_bytes());
    // SAFETY: eight octets are written from eight.
    unsafe { libc::write(plan.report, octets.as_ptr().cast(), octets.len()) };
}

/// Tries each file; returns the errno that tells most.
fn execute(plan: &Plan) -> i32 {
    let mut told = libc::ENOENT;
    for (file, as_script) in &plan.candidates {
        // SAFETY: all arrays end with a null pointer, and their strings live in `plan` and in the caller of `start`.
        let error = unsafe {
            libc::execve(file.as_ptr(), plan.arguments.as_ptr(), plan.environment);
            if *libc::__errno_location() == libc::ENOEXEC {
                libc::execve(SHELL.as_ptr(), as_script.as_ptr(), plan.environment);
            }
            *libc::__errno_location()
        };
        match error {
            libc::ENOENT | libc::ENOTDIR => {}
            libc::EACCES => told = error,
            _ => return error,
        }
    }
    told
}
