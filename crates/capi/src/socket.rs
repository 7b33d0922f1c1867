//! The calls of one socket.

#![expect(
    unsafe_code,
    reason = "what C calls is named as it is, and gets pointers"
)]

use crate::address;
use crate::error::{Failure, guard};
use crate::memory;
use crate::table::{self, Entry, Place};
use libc::{sockaddr, socklen_t, ssize_t};
use sockeye::{Domain, MessageFlags, Protocol, Socket, Type};
use std::ffi::{c_int, c_void};
use std::io::{IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::sync::Arc;

/// What may stand beside a type of socket.
const TYPE_FLAGS: c_int = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;

/// socket(2) on a node.
#[unsafe(no_mangle)]
pub extern "C" fn sockeye_socket(
    node: c_int,
    domain: c_int,
    r#type: c_int,
    protocol: c_int,
) -> c_int {
    guard(|| {
        let host = table::host(node)?;
        if !matches!(domain, libc::AF_INET | libc::AF_INET6) {
            return Err(Failure::new(
                libc::EAFNOSUPPORT,
                format!("family {domain} is neither AF_INET nor AF_INET6"),
            ));
        }
        let kind = Type::from(r#type & !TYPE_FLAGS);
        let protocol = (protocol != 0).then(|| Protocol::from(protocol));
        let place = Place::reserve()?;
        let socket = Socket::new_on(&host.node, Domain::from(domain), kind, protocol)?;
        socket.set_nonblocking(r#type & libc::SOCK_NONBLOCK != 0)?;
        Ok(place.fill(Entry::Socket(Arc::new(socket))))
    })
}

/// bind(2).
///
/// # Safety
/// The pointer is as the crate's documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sockeye_bind(
    socket: c_int,
    address: *const sockaddr,
    len: socklen_t,
) -> c_int {
    guard(|| {
        let socket = table::socket(socket)?;
        // SAFETY: the caller's promise.
        let address = unsafe { address::read(address, len) }?;
        let unspecific = || Failure::new(libc::EAFNOSUPPORT, "AF_UNSPEC is no address to have");
        socket.bind(address.ok_or_else(unspecific)?)?;
        Ok(0)
    })
}

/// listen(2).
#[unsafe(no_mangle)]
pub extern "C" fn sockeye_listen(socket: c_int, backlog: c_int) -> c_int {
    guard(|| {
        table::socket(socket)?.listen(backlog)?;
        Ok(0)
    })
}

/// accept(2).
///
/// # Safety
/// The pointers are as the crate's documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sockeye_accept(
    socket: c_int,
    address: *mut sockaddr,
    len: *mut socklen_t,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { sockeye_accept4(socket, address, len, 0) }
}

/// accept4(2): `flags` are 0 or SOCK_NONBLOCK and SOCK_CLOEXEC.
///
/// # Safety
/// The pointers are as the crate's documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sockeye_accept4(
    socket: c_int,
    address: *mut sockaddr,
    len: *mut socklen_t,
    flags: c_int,
) -> c_int {
    guard(|| {
        let socket = table::socket(socket)?;
        if flags & !TYPE_FLAGS != 0 {
            return Err(Failure::invalid(format!("flags {flags:#x} are unknown")));
        }
        // SAFETY: the caller's promise.
        let wanted = unsafe { address::wanted(address, len) }?;
        let place = Place::reserve()?;
        let (accepted, peer) = socket.accept()?;
        accepted.set_nonblocking(flags & libc::SOCK_NONBLOCK != 0)?;
        if let Some(wanted) = wanted {
            wanted.write(Some(peer));
        }
        Ok(place.fill(Entry::Socket(Arc::new(accepted))))
    })
}

/// connect(2): AF_UNSPEC takes the peer away.
///
/// # Safety
/// The pointer is as the crate's documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sockeye_connect(
    socket: c_int,
    address: *const sockaddr,
    len: socklen_t,
) -> c_int {
    guard(|| {
        let socket = table::socket(socket)?;
        // SAFETY: the caller's promise.
        match unsafe { address::read(address, len) }? {
            Some(address) => socket.connect(address)?,
            None => socket.disconnect()?,
        }
        Ok(0)
    })
}

/// send(2). No signal is ever sent.
///
/// # Safety
/// The pointer is as the crate's documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sockeye_send(
    socket: c_int,
    data: *const c_void,
    len: usize,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the caller's promise.
    unsafe { sockeye_sendto(socket, data, len, flags, std::ptr::null(), 0) }
}

/// sendto(2).
///
/// # Safety
/// The pointers are as the crate's documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sockeye_sendto(
    socket: c_int,
    data: *const c_void,
    len: usize,
    flags: c_int,
    address: *const sockaddr,
    address_len: socklen_t,
) -> ssize_t {
    guard(|| {
        let socket = table::socket(socket)?;
        // SAFETY: the caller's promise.
        let data = unsafe { memory::bytes(data, len) }?;
        let to = match address.is_null() {
            true => None,
            // SAFETY: the caller's promise.
            false => unsafe { address::read(address, address_len) }?,
        };
        let flags = MessageFlags::from_bits_truncate(flags);
        let sent = match (to, flags.is_empty()) {
            (None, true) => socket.send(data)?,
            _ => socket.sendmsg_raw(&[IoSlice::new(data)], to, &[], flags)?,
        };
        Ok(sent as ssize_t)
    })
}

/// recv(2).
///
/// # Safety
/// The pointer is as the crate's documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sockeye_recv(
    socket: c_int,
    buffer: *mut c_void,
    len: usize,
    flags: c_int,
) -> ssize_t {
    guard(|| {
        let socket = table::socket(socket)?;
        // SAFETY: the caller's promise.
        let buffer = unsafe { memory::bytes_mut(buffer, len) }?;
        let flags = MessageFlags::from_bits_truncate(flags);
        Ok(socket.recv_with(buffer, flags)? as ssize_t)
    })
}

/// recvfrom(2).
///
/// # Safety
/// The pointers are as the crate's documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sockeye_recvfrom(
    socket: c_int,
    buffer: *mut c_void,
    len: usize,
    flags: c_int,
    address: *mut sockaddr,
    address_len: *mut socklen_t,
) -> ssize_t {
    guard(|| {
        let socket = table::socket(socket)?;
        // SAFETY: the caller's promise.
        let buffer = unsafe { memory::bytes_mut(buffer, len) }?;
        // SAFETY: the caller's promise.
        let wanted = unsafe { address::wanted(address, address_len) }?;
        let flags = MessageFlags::from_bits_truncate(flags);
        let message = socket.recvmsg_raw(&mut [IoSliceMut::new(buffer)], &mut [], flags)?;
        if let Some(wanted) = wanted {
            wanted.write(message.from);
        }
        Ok(message.len as ssize_t)
    })
}

/// shutdown(2).
#[unsafe(no_mangle)]
pub extern "C" fn sockeye_shutdown(socket: c_int, how: c_int) -> c_int {
    guard(|| {
        let socket = table::socket(socket)?;
        let how = match how {
            libc::SHUT_RD => Shutdown::Read,
            libc::SHUT_WR => Shutdown::Write,
            libc::SHUT_RDWR => Shutdown::Both,
            _ => {
                let text = format!("{how} is none of SHUT_RD, SHUT_WR and SHUT_RDWR");
                return Err(Failure::invalid(text));
            }
        };
        socket.shutdown(how)?;
        Ok(0)
    })
}

/// getsockname(2).
///
/// # Safety
/// The pointers are as the crate's documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sockeye_getsockname(
    socket: c_int,
    address: *mut sockaddr,
    len: *mut socklen_t,
) -> c_int {
    guard(|| {
        let socket = table::socket(socket)?;
        // SAFETY: the caller's promise.
        let wanted = unsafe { address::needed(address, len) }?;
        wanted.write(Some(socket.local_addr()?));
        Ok(0)
    })
}

/// getpeername(2).
///
/// # Safety
/// The pointers are as the crate's documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sockeye_getpeername(
    socket: c_int,
    address: *mut sockaddr,
    len: *mut socklen_t,
) -> c_int {
    guard(|| {
        let socket = table::socket(socket)?;
        // SAFETY: the caller's promise.
        let wanted = unsafe { address::needed(address, len) }?;
        wanted.write(Some(socket.peer_addr()?));
        Ok(0)
    })
}

/// setsockopt(2), with Linux's numbers and layouts.
///
/// # Safety
/// The pointer is as the crate's documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sockeye_setsockopt(
    socket: c_int,
    level: c_int,
    name: c_int,
    value: *const c_void,
    len: socklen_t,
) -> c_int {
    guard(|| {
        let socket = table::socket(socket)?;
        // SAFETY: the caller's promise.
        let value = unsafe { memory::bytes(value, option_len(len)?) }?;
        socket.set_option_raw(level, name, value)?;
        Ok(0)
    })
}

/// getsockopt(2), with Linux's numbers and layouts.
///
/// # Safety
/// The pointers are as the crate's documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sockeye_getsockopt(
    socket: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    len: *mut socklen_t,
) -> c_int {
    guard(|| {
        let socket = table::socket(socket)?;
        // SAFETY: the caller's promise.
        let len = unsafe { memory::one_mut(len) }?;
        // SAFETY: the caller's promise; C keeps the value and its length in two places.
        let value = unsafe { memory::bytes_mut(value, option_len(*len)?) }?;
        *len = socket.option_raw(level, name, value)? as socklen_t;
        Ok(0)
    })
}

/// C's length of an option, which Linux reads as an int.
fn option_len(len: socklen_t) -> Result<usize, Failure> {
    let signed = c_int::try_from(len).map_err(|_| Failure::invalid("a length is negative"))?;
    Ok(signed as usize)
}

/// fcntl(2) with F_GETFL and F_SETFL, of which O_NONBLOCK counts.
#[unsafe(no_mangle)]
pub extern "C" fn sockeye_fcntl(socket: c_int, command: c_int, argument: c_int) -> c_int {
    guard(|| {
        let socket = table::socket(socket)?;
        match command {
            libc::F_GETFL => Ok(libc::O_RDWR
                | match socket.is_nonblocking() {
                    true => libc::O_NONBLOCK,
                    false => 0,
                }),
            libc::F_SETFL => {
                socket.set_nonblocking(argument & libc::O_NONBLOCK != 0)?;
                Ok(0)
            }
            _ => Err(Failure::invalid(format!(
                "command {command} is neither F_GETFL nor F_SETFL"
            ))),
        }
    })
}
