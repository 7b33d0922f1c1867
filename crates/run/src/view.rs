//! /proc/net as the program sees it: files that tell of the node, in the place of the kernel's.
//!
//! The files lie in a folder of ours. In a mount namespace of its own the program finds a link to it where /proc/net, a link
//! itself, was: a link can be mounted upon another one. /proc/PID/net stays the kernel's. The files are written anew, each
//! whole by a rename, when what they say has changed.

use crate::backend::Errno;
use crate::mounts;
use crate::netlink::files;
use sockeye::Node;
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Between two looks at the node, at least.
const INTERVAL: Duration = Duration::from_millis(100);
/// A look that takes longer is followed by so many times its length without one.
const REST: u32 = 20;
/// Names that are tried for the folder.
const NAMES_MAX: u32 = 100;
/// What concerns no network but the program's own kernel.
const KERNELS: [&str; 2] = ["unix", "psched"];

/// Files that are kept as the node is, until dropped.
#[derive(Debug)]
pub(crate) struct View {
    folder: PathBuf,
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl View {
    /// Makes the files.
    ///
    /// # Errors
    /// The folder for temporary files can't be written, or no thread be started.
    pub(crate) fn new(node: Node) -> io::Result<Self> {
        let mut view = Self {
            folder: folder()?,
            stop: None,
            thread: None,
        };
        let files = view.folder.join("files");
        fs::create_dir(&files)?;
        fs::set_permissions(&files, Permissions::from_mode(0o755))?;
        symlink(&files, view.folder.join("net"))?;
        for name in KERNELS {
            symlink(Path::new("/proc/self/net").join(name), files.join(name))?;
        }
        let mut known = HashMap::new();
        write_changed(&node, &files, &mut known)?;
        let (stop, stopped) = sync_channel::<()>(0);
        let keep = move || {
            let mut pause = INTERVAL;
            while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                let begun = Instant::now();
                if let Err(error) = write_changed(&node, &files, &mut known) {
                    tracing::warn!(%error, "/proc/net is no longer kept as the node is");
                    return;
                }
                pause = INTERVAL.max(begun.elapsed() * REST);
            }
        };
        view.thread = Some(
            std::thread::Builder::new()
                .name("sockeye-view".into())
                .spawn(keep)?,
        );
        view.stop = Some(stop);
        Ok(view)
    }

    /// The link that is to be in the place of /proc/net.
    pub(crate) fn link(&self) -> io::Result<CString> {
        Ok(CString::new(
            self.folder.join("net").as_os_str().as_bytes(),
        )?)
    }
}

impl Drop for View {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        // What somebody else has put there is theirs.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A folder that was not there before: others may look into it and not write.
fn folder() -> io::Result<PathBuf> {
    let (parent, pid) = (std::env::temp_dir(), std::process::id());
    let mut builder = fs::DirBuilder::new();
    builder.mode(0o700);
    for n in 0..NAMES_MAX {
        let path = parent.join(format!("sockeye-net-{pid}-{n}"));
        match builder.create(&path) {
            Ok(()) => {
                fs::set_permissions(&path, Permissions::from_mode(0o755))?;
                // The link has to lead there from wherever it is looked at.
                return fs::canonicalize(path);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::from(io::ErrorKind::AlreadyExists))
}

fn write_changed(node: &Node, folder: &Path, known: &mut HashMap<&str, String>) -> io::Result<()> {
    for (name, text) in files::all(node)? {
        if known.get(name) != Some(&text) {
            let fresh = folder.join(".fresh");
            fs::write(&fresh, &text)?;
            fs::set_permissions(&fresh, Permissions::from_mode(0o444))?;
            fs::rename(&fresh, folder.join(name))?;
            known.insert(name, text);
        }
    }
    Ok(())
}

/// What the child of a fork needs to show the view.
#[derive(Debug)]
pub(crate) struct Mount {
    link: CString,
    /// What is written to /proc/self/uid_map and gid_map: the user stays who it is.
    maps: [CString; 2],
}

impl Mount {
    pub(crate) fn new(link: CString) -> Self {
        let ids = [
            rustix::process::geteuid().as_raw(),
            rustix::process::getegid().as_raw(),
        ];
        // Digits and spaces have no end in them.
        let maps = ids.map(|id| CString::new(format!("{id} {id} 1")).unwrap_or_default());
        Self { link, maps }
    }

    /// Puts the link into the place of /proc/net, for the calling process and its children: in a mount namespace of its own,
    /// whose mounts are otherwise those of ours, or where that takes a privilege, in a user namespace, too. Async-signal-safe;
    /// for a process of one thread.
    pub(crate) fn show(&self) -> Result<(), Errno> {
        match mounts::unshare(libc::CLONE_NEWNS) {
            Err(Errno::PERM) => {
                mounts::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS)?;
                write_file(c"/proc/self/setgroups", c"deny")?;
                write_file(c"/proc/self/uid_map", &self.maps[0])?;
                write_file(c"/proc/self/gid_map", &self.maps[1])?;
            }
            done => done?,
        }
        // Nobody else is to see it. What is mounted elsewhere is still seen by all.
        mounts::make_private(c"/proc")?;
        mounts::mount_link(&self.link, c"/proc/net")
    }
}

/// Async-signal-safe.
fn write_file(path: &CStr, text: &CStr) -> Result<(), Errno> {
    use rustix::fs::{Mode, OFlags};
    let file = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&file, text.to_bytes()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_follow_the_node_and_go_with_the_view() {
        let node = Node::builder().build().unwrap();
        let view = View::new(node.clone()).unwrap();
        let (folder, link) = (view.folder.clone(), view.folder.join("net"));
        let read = |name: &str| fs::read_to_string(link.join(name)).unwrap();
        assert!(read("dev").contains("    lo: "));
        assert_eq!(read("udp").lines().count(), 1);
        let socket = sockeye::net::UdpSocket::bind_on(&node, "127.0.0.1:9").unwrap();
        while read("udp").lines().count() != 2 {
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(socket);
        while read("udp").lines().count() != 1 {
            std::thread::sleep(Duration::from_millis(5));
        }
        let mode = fs::metadata(link.join("udp")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o444);
        drop(view);
        assert!(!folder.exists());
    }
}
