//! Reading and writing.

use crate::descriptors::{Object, error};
use crate::interface::UserData;
use crate::pointers::{
    address_or_none, bytes, bytes_mut, controls, given, pieces, pieces_mut, place, put_address,
    put_controls,
};
use crate::world::{World, call};
use libc::{c_int, c_void, iovec, msghdr, size_t, sockaddr, socklen_t, ssize_t};
use sockeye::{Ancillary, MessageFlags, SendMessage};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;

pub(crate) unsafe extern "C" fn read(
    userdata: UserData,
    fd: c_int,
    buffer: *mut c_void,
    len: size_t,
) -> ssize_t {
    call(userdata, |world| {
        // SAFETY: read(2)'s contract with its caller.
        let buffer = unsafe { bytes_mut(buffer, len) };
        match world.object(fd)? {
            Object::Pipe(pipe) => count(pipe.read(buffer?)?),
            _ => receive(world, fd, buffer.map(|b| vec![IoSliceMut::new(b)]), 0),
        }
    })
}

pub(crate) unsafe extern "C" fn readv(
    userdata: UserData,
    fd: c_int,
    iov: *const iovec,
    n: c_int,
) -> ssize_t {
    call(userdata, |world| {
        let n = usize::try_from(n).map_err(|_| error(libc::EINVAL))?;
        // SAFETY: readv(2)'s contract with its caller.
        receive(world, fd, unsafe { pieces_mut(iov, n) }, 0)
    })
}

pub(crate) unsafe extern "C" fn recv(
    userdata: UserData,
    fd: c_int,
    buffer: *mut c_void,
    len: size_t,
    flags: c_int,
) -> ssize_t {
    call(userdata, |world| {
        // SAFETY: recv(2)'s contract with its caller.
        let buffer = unsafe { bytes_mut(buffer, len) };
        receive(world, fd, buffer.map(|b| vec![IoSliceMut::new(b)]), flags)
    })
}

pub(crate) unsafe extern "C" fn recvfrom(
    userdata: UserData,
    fd: c_int,
    buffer: *mut c_void,
    len: size_t,
    flags: c_int,
    from: *mut sockaddr,
    from_len: *mut socklen_t,
) -> ssize_t {
    call(userdata, |world| {
        let socket = world.socket(fd)?;
        // SAFETY: recvfrom(2)'s contract with its caller.
        let buffer = unsafe { bytes_mut(buffer, len)? };
        let flags = MessageFlags::from_bits_retain(flags);
        let message = socket.recvmsg(&mut [IoSliceMut::new(buffer)], flags)?;
        if let Some(sender) = message.from {
            // SAFETY: as above.
            unsafe { put_address(sender, from, from_len)? };
        }
        count(message.len)
    })
}

pub(crate) unsafe extern "C" fn recvmsg(
    userdata: UserData,
    fd: c_int,
    message: *mut msghdr,
    flags: c_int,
) -> ssize_t {
    call(userdata, |world| {
        let socket = world.socket(fd)?;
        // SAFETY: recvmsg(2)'s contract with its caller.
        let message = unsafe { place(message)? };
        // SAFETY: as above.
        let mut buffers = unsafe { pieces_mut(message.msg_iov, message.msg_iovlen)? };
        let flags = MessageFlags::from_bits_retain(flags);
        let received = socket.recvmsg(&mut buffers, flags)?;
        message.msg_flags = received.flags.bits();
        if let Some(from) = received.from {
            // SAFETY: as above.
            unsafe { put_address(from, message.msg_name.cast(), &raw mut message.msg_namelen)? };
        }
        let controls: Vec<_> = received
            .ancillary
            .iter()
            .map(|a| a.to_raw(socket.domain()))
            .collect();
        // SAFETY: as above.
        unsafe { put_controls(message, &controls) };
        count(received.len)
    })
}

pub(crate) unsafe extern "C" fn write(
    userdata: UserData,
    fd: c_int,
    data: *const c_void,
    len: size_t,
) -> ssize_t {
    call(userdata, |world| {
        // SAFETY: write(2)'s contract with its caller.
        let data = unsafe { bytes(data, len) };
        match world.object(fd)? {
            Object::Pipe(pipe) => count(pipe.write(data?)?),
            _ => transmit(world, fd, data.map(|d| vec![IoSlice::new(d)]), None, 0),
        }
    })
}

pub(crate) unsafe extern "C" fn writev(
    userdata: UserData,
    fd: c_int,
    iov: *const iovec,
    n: c_int,
) -> ssize_t {
    call(userdata, |world| {
        let n = usize::try_from(n).map_err(|_| error(libc::EINVAL))?;
        // SAFETY: writev(2)'s contract with its caller.
        transmit(world, fd, unsafe { pieces(iov, n) }, None, 0)
    })
}

pub(crate) unsafe extern "C" fn send(
    userdata: UserData,
    fd: c_int,
    data: *const c_void,
    len: size_t,
    flags: c_int,
) -> ssize_t {
    call(userdata, |world| {
        // SAFETY: send(2)'s contract with its caller.
        let data = unsafe { bytes(data, len) };
        transmit(world, fd, data.map(|d| vec![IoSlice::new(d)]), None, flags)
    })
}

pub(crate) unsafe extern "C" fn sendto(
    userdata: UserData,
    fd: c_int,
    data: *const c_void,
    len: size_t,
    flags: c_int,
    to: *const sockaddr,
    to_len: socklen_t,
) -> ssize_t {
    call(userdata, |world| {
        // SAFETY: sendto(2)'s contract with its caller.
        let data = unsafe { bytes(data, len) };
        let to = match to.is_null() {
            true => None,
            // SAFETY: as above.
            false => Some(unsafe { receiver(to, to_len, flags)? }),
        };
        transmit(world, fd, data.map(|d| vec![IoSlice::new(d)]), to, flags)
    })
}

pub(crate) unsafe extern "C" fn sendmsg(
    userdata: UserData,
    fd: c_int,
    message: *const msghdr,
    flags: c_int,
) -> ssize_t {
    call(userdata, |world| {
        let socket = world.socket(fd)?;
        // SAFETY: sendmsg(2)'s contract with its caller.
        let message = unsafe { given(message)? };
        // SAFETY: as above.
        let data = unsafe { pieces(message.msg_iov, message.msg_iovlen)? };
        let (name, len) = (message.msg_name.cast::<sockaddr>(), message.msg_namelen);
        let to = match name.is_null() {
            true => None,
            // SAFETY: as above.
            false => Some(unsafe { receiver(name, len, flags)? }),
        };
        // SAFETY: as above.
        let controls = unsafe { controls(message) }.into_iter();
        let controls = controls.map(|(level, ty, data)| Ancillary::from_raw(level, ty, &data));
        let ancillary = controls.collect::<io::Result<Vec<_>>>()?;
        count(socket.sendmsg(&SendMessage {
            to,
            data: &data,
            ancillary: &ancillary,
            flags: MessageFlags::from_bits_retain(flags),
        })?)
    })
}

/// Whom a message is for. With MSG_FASTOPEN, AF_UNSPEC is nobody to connect to.
///
/// # Safety
/// As for [`address_or_none`].
unsafe fn receiver(to: *const sockaddr, len: socklen_t, flags: c_int) -> io::Result<SocketAddr> {
    // SAFETY: the caller's promise.
    match unsafe { address_or_none(to, len)? } {
        Some(to) => Ok(to),
        None if flags & libc::MSG_FASTOPEN != 0 => Err(error(libc::EOPNOTSUPP)),
        None => Err(error(libc::EAFNOSUPPORT)),
    }
}

/// Puts what came into `buffers`. What is wrong with these counts after what is wrong with the
/// socket.
fn receive(
    world: &World,
    fd: c_int,
    buffers: io::Result<Vec<IoSliceMut<'_>>>,
    flags: c_int,
) -> io::Result<ssize_t> {
    let socket = world.socket(fd)?;
    let mut buffers = buffers?;
    let flags = MessageFlags::from_bits_retain(flags);
    count(socket.recvmsg(&mut buffers, flags)?.len)
}

fn transmit(
    world: &World,
    fd: c_int,
    data: io::Result<Vec<IoSlice<'_>>>,
    to: Option<SocketAddr>,
    flags: c_int,
) -> io::Result<ssize_t> {
    let socket = world.socket(fd)?;
    count(socket.sendmsg(&SendMessage {
        to,
        data: &data?,
        ancillary: &[],
        flags: MessageFlags::from_bits_retain(flags),
    })?)
}

/// A number of bytes as C returns it.
pub(crate) fn count(bytes: usize) -> io::Result<ssize_t> {
    ssize_t::try_from(bytes).map_err(|_| error(libc::EINVAL))
}
