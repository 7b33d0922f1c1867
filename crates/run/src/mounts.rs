//! System calls about namespaces and mounts that rustix does not wrap. All are async-signal-safe.

use crate::backend::Errno;
use std::ffi::CStr;

/// -1 is the call's error.
fn checked(result: i64) -> Result<i64, Errno> {
    if result == -1 {
        Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
    } else {
        Ok(result)
    }
}

/// unshare(2).
pub(crate) fn unshare(flags: i32) -> Result<(), Errno> {
    // SAFETY: the call takes one integer. A namespace is nothing that memory depends upon.
    checked(unsafe { libc::syscall(libc::SYS_unshare, libc::c_long::from(flags)) }).map(drop)
}

/// What is mounted below there from now on is seen in this mount namespace alone.
pub(crate) fn make_private(at: &CStr) -> Result<(), Errno> {
    let none = std::ptr::null::<libc::c_char>();
    // SAFETY: the path ends, and the other pointers may be null for a change of propagation.
    let done = unsafe { libc::mount(none, at.as_ptr(), none, libc::MS_PRIVATE, none.cast()) };
    checked(done.into()).map(drop)
}

/// Mounts one symbolic link upon another.
pub(crate) fn mount_link(link: &CStr, at: &CStr) -> Result<(), Errno> {
    const OPEN_TREE_CLONE: i32 = 1;
    const MOVE_MOUNT_F_EMPTY_PATH: i32 = 4;
    let flags = OPEN_TREE_CLONE | libc::O_CLOEXEC | libc::AT_SYMLINK_NOFOLLOW;
    // SAFETY: the path ends; the call makes a descriptor, which is closed below.
    let tree = checked(unsafe {
        libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, link.as_ptr(), flags)
    })?;
    let from = MOVE_MOUNT_F_EMPTY_PATH;
    // SAFETY: both paths end.
    let moved = checked(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            tree,
            c"".as_ptr(),
            libc::AT_FDCWD,
            at.as_ptr(),
            from,
        )
    });
    // SAFETY: the descriptor is the one made above, and nobody else's.
    unsafe { libc::close(tree as i32) };
    moved.map(drop)
}
