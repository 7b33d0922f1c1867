//! Socket options.

use crate::interface::UserData;
use crate::pointers::{bytes, bytes_mut, place};
use crate::world::{World, call};
use libc::{c_int, c_void, socklen_t};
use std::io;

pub(crate) unsafe extern "C" fn setsockopt(
    userdata: UserData,
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *const c_void,
    len: socklen_t,
) -> c_int {
    call(userdata, |world| {
        let socket = world.socket(fd)?;
        // SAFETY: setsockopt(2)'s contract with its caller.
        let value = unsafe { bytes(value, len as usize)? };
        socket.set_option_raw(level, name, value)?;
        Ok(0)
    })
}

pub(crate) unsafe extern "C" fn getsockopt(
    userdata: UserData,
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    len: *mut socklen_t,
) -> c_int {
    // SAFETY: the caller's promise, handed on.
    call(userdata, |world| unsafe {
        get(world, fd, level, name, value, len)
    })
}

/// getsockopt(2).
///
/// # Safety
/// getsockopt(2)'s contract with its caller.
pub(crate) unsafe fn get(
    world: &World,
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    len: *mut socklen_t,
) -> io::Result<c_int> {
    let socket = world.socket(fd)?;
    // SAFETY: the caller's promise.
    let len = unsafe { place(len)? };
    // SAFETY: as above.
    let value = unsafe { bytes_mut(value, *len as usize)? };
    let written = socket.option_raw(level, name, value)?;
    *len = socklen_t::try_from(written).unwrap_or(*len);
    Ok(0)
}
