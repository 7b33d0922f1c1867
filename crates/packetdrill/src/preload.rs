//! Calls that the tool makes past its interface: getsockopt(2) in `%{ }%` blocks, getpeername(2),
//! sendfile(2), and system(3) for commands. With this object preloaded they come here first; those for other
//! descriptors go on to libc, and commands do, too.

use crate::calls::{options, transfer};
use crate::commands;
use crate::pointers::{place, put_address};
use crate::world::{World, enter};
use libc::{c_char, c_int, c_void, off_t, size_t, sockaddr, socklen_t, ssize_t};
use std::ffi::{CStr, CString};
use std::io;
use std::sync::OnceLock;

/// getsockopt(2).
///
/// # Safety
/// getsockopt(2)'s contract with its caller.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getsockopt(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    len: *mut socklen_t,
) -> c_int {
    type Next = unsafe extern "C" fn(c_int, c_int, c_int, *mut c_void, *mut socklen_t) -> c_int;
    static NEXT: OnceLock<Option<Next>> = OnceLock::new();
    if let Some(world) = whose(fd) {
        // SAFETY: the caller's promise, handed on.
        return enter(world, |world| unsafe {
            options::get(world, fd, level, name, value, len)
        });
    }
    // SAFETY: libc's function of that name has this type.
    let next = NEXT.get_or_init(|| unsafe {
        next(c"getsockopt").map(|f| std::mem::transmute::<*mut c_void, Next>(f))
    });
    match next {
        // SAFETY: the caller's promise, handed on.
        Some(next) => unsafe { next(fd, level, name, value, len) },
        None => missing(),
    }
}

/// getpeername(2).
///
/// # Safety
/// getpeername(2)'s contract with its caller.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getpeername(
    fd: c_int,
    address: *mut sockaddr,
    len: *mut socklen_t,
) -> c_int {
    type Next = unsafe extern "C" fn(c_int, *mut sockaddr, *mut socklen_t) -> c_int;
    static NEXT: OnceLock<Option<Next>> = OnceLock::new();
    if let Some(world) = whose(fd) {
        return enter(world, |world| {
            let peer = world.socket(fd)?.peer_addr()?;
            // SAFETY: the caller's promise, handed on.
            unsafe { put_address(peer, address, len)? };
            Ok(0)
        });
    }
    // SAFETY: libc's function of that name has this type.
    let next = NEXT.get_or_init(|| unsafe {
        next(c"getpeername").map(|f| std::mem::transmute::<*mut c_void, Next>(f))
    });
    match next {
        // SAFETY: the caller's promise, handed on.
        Some(next) => unsafe { next(fd, address, len) },
        None => missing(),
    }
}

/// sendfile(2).
///
/// # Safety
/// sendfile(2)'s contract with its caller.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sendfile(
    to: c_int,
    from: c_int,
    offset: *mut off_t,
    len: size_t,
) -> ssize_t {
    type Next = unsafe extern "C" fn(c_int, c_int, *mut off_t, size_t) -> ssize_t;
    static NEXT: OnceLock<Option<Next>> = OnceLock::new();
    if let Some(world) = whose(to) {
        return enter(world, |world| {
            let mut data = vec![0; len];
            let into = data.as_mut_ptr().cast();
            // SAFETY: the caller's promise: null, or an offset.
            let got = match unsafe { offset.as_ref() } {
                // SAFETY: `data` has `len` bytes.
                Some(at) => unsafe { libc::pread(from, into, len, *at) },
                // SAFETY: as above.
                None => unsafe { libc::read(from, into, len) },
            };
            let got = usize::try_from(got).map_err(|_| io::Error::last_os_error())?;
            let sent = world.socket(to)?.send(&data[..got])?;
            let sent = transfer::count(sent)?;
            // SAFETY: the caller's promise: null, or a place for an offset.
            if let Ok(at) = unsafe { place(offset) } {
                *at += sent as off_t;
            }
            Ok(sent)
        });
    }
    // SAFETY: libc's function of that name has this type.
    let next = NEXT.get_or_init(|| unsafe {
        next(c"sendfile").map(|f| std::mem::transmute::<*mut c_void, Next>(f))
    });
    match next {
        // SAFETY: the caller's promise, handed on.
        Some(next) => unsafe { next(to, from, offset, len) },
        None => missing(),
    }
}

/// system(3).
///
/// # Safety
/// system(3)'s contract with its caller.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn system(command: *const c_char) -> c_int {
    type Next = unsafe extern "C" fn(*const c_char) -> c_int;
    static NEXT: OnceLock<Option<Next>> = OnceLock::new();
    // SAFETY: the caller's promise: null, or a C string.
    let given = (!command.is_null()).then(|| unsafe { CStr::from_ptr(command) });
    let text = given.and_then(|given| given.to_str().ok());
    let prepared = match (World::installed(), text) {
        (Some(world), Some(text)) => commands::prepare(world, text).ok(),
        _ => None,
    };
    let prepared = prepared.and_then(|text| CString::new(text).ok());
    let command = prepared.as_ref().map_or(command, |text| text.as_ptr());
    // SAFETY: libc's function of that name has this type.
    let next = NEXT.get_or_init(|| unsafe {
        next(c"system").map(|f| std::mem::transmute::<*mut c_void, Next>(f))
    });
    match next {
        // SAFETY: the caller's promise, handed on; the other string lives until the end of this call.
        Some(next) => unsafe { next(command) },
        None => missing(),
    }
}

/// The world, if `fd` is one of its descriptors.
fn whose(fd: c_int) -> Option<&'static World> {
    World::installed().filter(|world| world.descriptors().contains(fd))
}

/// libc's function of a name that this object has as well.
fn next(name: &CStr) -> Option<*mut c_void> {
    let name: *const c_char = name.as_ptr();
    // SAFETY: a C string; the call only looks the name up.
    let found = unsafe { libc::dlsym(libc::RTLD_NEXT, name) };
    (!found.is_null()).then_some(found)
}

fn missing<T: From<i8>>() -> T {
    // SAFETY: the place of the calling thread's errno, which libc keeps.
    unsafe { *libc::__errno_location() = libc::ENOSYS };
    T::from(-1)
}
