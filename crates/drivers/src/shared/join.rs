//! Joining the directory of a shared switch: who is there, and a name of one's own.
//!
//! Joins take turns by a lock on the directory, so that of any two members the later one connects to
//! the earlier one, once. A lock ends with its process, and a name without a process is recognized by
//! a refused connection.

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Dir, FlockOperation, Mode, OFlags, flock, mkdir, open, unlinkat};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen};
use rustix::net::{socket_with, sockopt};
use sockeye_link::MacAddr;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Other members that a member is connected to at most.
pub const MEMBERS_MAX: usize = 64;
/// Entries of the directory that are looked at.
const ENTRIES_MAX: usize = 1024;
/// Members that may wait until a busy one has accepted them.
const BACKLOG: i32 = MEMBERS_MAX as i32;
/// How long others may take to join, and between two looks whether they have.
const LOCK_TIME: Duration = Duration::from_secs(5);
const LOCK_INTERVAL: Duration = Duration::from_millis(5);
/// What a connection may hold of what its sender has sent, in bytes, as far as the system allows.
const SEND_BUFFER: usize = 1 << 20;
/// Ends the name of each member, and says what crosses its connections.
const SUFFIX: &str = ".v1";

/// Why a shared switch could not be joined. Its text says what to do.
#[derive(Debug)]
pub struct JoinError {
    path: PathBuf,
    step: Step,
    cause: io::Error,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Length,
    Directory,
    Lock,
    Bind,
    OwnAddress(MacAddr),
    Full,
    Connect,
    System,
}

impl JoinError {
    /// What the system did not do.
    pub(super) fn system(path: &Path, cause: Errno) -> Self {
        Self {
            path: path.to_owned(),
            step: Step::System,
            cause: cause.into(),
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, step, cause } = self;
        let path = path.display();
        match step {
            Step::Length => write!(
                f,
                "the path {path} is too long for sockets in it: 88 bytes at most"
            ),
            Step::Directory => write!(
                f,
                "{path} cannot be a switch ({cause}): it is a directory, made where its parent allows"
            ),
            Step::Lock => write!(
                f,
                "{path} is being joined by another process, which does not come to its end"
            ),
            Step::Bind => write!(
                f,
                "{path} cannot be joined ({cause}): its directory must be one that you may write to"
            ),
            Step::OwnAddress(address) => write!(
                f,
                "{path} has a member with the Ethernet address {address} already: give another one by mac=, or another --seed"
            ),
            Step::Full => write!(f, "{path} has {MEMBERS_MAX} members already"),
            Step::Connect => write!(
                f,
                "a member of {path} takes no connection ({cause}): it is another user's, or stopped"
            ),
            Step::System => write!(f, "{path} cannot be joined: {cause}"),
        }
    }
}

impl std::error::Error for JoinError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

impl From<JoinError> for io::Error {
    fn from(error: JoinError) -> Self {
        Self::new(error.cause.kind(), error)
    }
}

/// A member's name in the directory. Dropping it takes the name away.
#[derive(Debug)]
pub(super) struct Membership {
    directory: OwnedFd,
    name: String,
    pub(super) listener: OwnedFd,
}

impl Drop for Membership {
    fn drop(&mut self) {
        // Before the listener is closed: as long as that answers nobody else has this name.
        let _ = unlinkat(&self.directory, &self.name, AtFlags::empty());
    }
}

/// Joins the switch `path` as `own`: its name there, and a connection to each other member.
pub(super) fn join(path: &Path, own: MacAddr) -> Result<(Membership, Vec<OwnedFd>), JoinError> {
    let failed = |step, cause: Errno| JoinError {
        path: path.to_owned(),
        step,
        cause: cause.into(),
    };
    match mkdir(path, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(failed(Step::Directory, errno)),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory =
        open(path, flags, Mode::empty()).map_err(|errno| failed(Step::Directory, errno))?;
    lock(&directory).map_err(|errno| failed(Step::Lock, errno))?;
    let name = name_of(own);
    let address = |name: &str| SocketAddrUnix::new(path.join(name));
    let own_address = address(&name).map_err(|errno| failed(Step::Length, errno))?;
    let listener = socket().map_err(|errno| failed(Step::System, errno))?;
    match bind(&listener, &own_address) {
        Ok(()) => {}
        Err(Errno::ADDRINUSE) => {
            if !matches!(reach(&own_address), Err(Errno::CONNREFUSED)) {
                return Err(failed(Step::OwnAddress(own), Errno::ADDRINUSE));
            }
            let again = unlinkat(&directory, &name, AtFlags::empty())
                .and_then(|()| bind(&listener, &own_address));
            again.map_err(|errno| failed(Step::Bind, errno))?;
        }
        Err(errno) => return Err(failed(Step::Bind, errno)),
    }
    let membership = Membership {
        directory,
        name,
        listener,
    };
    listen(&membership.listener, BACKLOG).map_err(|errno| failed(Step::System, errno))?;
    let others = membership.others();
    let mut connections = Vec::new();
    for other in others.map_err(|errno| failed(Step::System, errno))? {
        let address = address(&other).map_err(|errno| failed(Step::Length, errno))?;
        match reach(&address) {
            Ok(_) if connections.len() == MEMBERS_MAX => {
                return Err(failed(Step::Full, Errno::NOSPC));
            }
            Ok(connection) => connections.push(connection),
            // Its process was killed. One that may not be taken away disturbs nobody.
            Err(Errno::CONNREFUSED) => {
                let _ = unlinkat(&membership.directory, &other, AtFlags::empty());
            }
            // It has just left.
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(failed(Step::Connect, errno)),
        }
    }
    flock(&membership.directory, FlockOperation::Unlock)
        .map_err(|errno| failed(Step::System, errno))?;
    Ok((membership, connections))
}

impl Membership {
    /// The names of the others, the dead ones among them.
    fn others(&self) -> rustix::io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.directory)?.take(ENTRIES_MAX) {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else {
                continue;
            };
            if is_name(name) && name != self.name {
                names.push(name.to_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }
}

/// Waits for the turn to join.
fn lock(directory: &OwnedFd) -> rustix::io::Result<()> {
    let end = Instant::now() + LOCK_TIME;
    loop {
        match flock(directory, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::AGAIN) if Instant::now() < end => std::thread::sleep(LOCK_INTERVAL),
            done => return done,
        }
    }
}

fn socket() -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
}

fn reach(address: &SocketAddrUnix) -> rustix::io::Result<OwnedFd> {
    let socket = socket()?;
    connect(&socket, address)?;
    Ok(socket)
}

/// Gives a connection room for what its other end is slow to take.
pub(super) fn widen(connection: &OwnedFd) -> rustix::io::Result<()> {
    sockopt::set_socket_send_buffer_size(connection, SEND_BUFFER)
}

fn name_of(address: MacAddr) -> String {
    let digits = address.0.iter().map(|byte| format!("{byte:02x}"));
    digits.collect::<String>() + SUFFIX
}

fn is_name(name: &str) -> bool {
    name.strip_suffix(SUFFIX).is_some_and(|digits| {
        digits.len() == 12
            && digits
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}
