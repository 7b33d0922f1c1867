//! What the tool's pointers point to. A null pointer where there is something to be read or
//! written is EFAULT, as from a kernel; others are believed, as libc believes them.

use crate::descriptors::error;
use libc::{c_int, c_void, iovec, msghdr, sockaddr, socklen_t};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::ptr::NonNull;

/// Pieces of one message at the most (UIO_MAXIOV).
const PIECES_MAX: usize = 1024;

/// Bytes to read.
///
/// # Safety
/// `start` is null or `len` bytes may be read there for as long as `'a`.
pub(crate) unsafe fn bytes<'a>(start: *const c_void, len: usize) -> io::Result<&'a [u8]> {
    if len == 0 {
        return Ok(&[]);
    }
    let start = NonNull::new(start.cast_mut()).ok_or_else(|| error(libc::EFAULT))?;
    // SAFETY: not null, and else the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts(start.cast().as_ptr(), len) })
}

/// Bytes to write.
///
/// # Safety
/// `start` is null or `len` bytes may be written there by nobody else for as long as `'a`.
pub(crate) unsafe fn bytes_mut<'a>(start: *mut c_void, len: usize) -> io::Result<&'a mut [u8]> {
    if len == 0 {
        return Ok(&mut []);
    }
    let start = NonNull::new(start).ok_or_else(|| error(libc::EFAULT))?;
    // SAFETY: not null, and else the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts_mut(start.cast().as_ptr(), len) })
}

/// The pieces of an iovec to read from.
///
/// # Safety
/// `start` is null or `count` pieces lie there, each as for [`bytes`].
pub(crate) unsafe fn pieces<'a>(start: *const iovec, count: usize) -> io::Result<Vec<IoSlice<'a>>> {
    // SAFETY: the caller's promise, handed on.
    let pieces = unsafe { table(start, count)? }.iter();
    let slice = |piece: &iovec| {
        // SAFETY: the caller's promise.
        unsafe { bytes(piece.iov_base, piece.iov_len) }.map(IoSlice::new)
    };
    pieces.map(slice).collect()
}

/// The pieces of an iovec to write to.
///
/// # Safety
/// `start` is null or `count` pieces lie there, each as for [`bytes_mut`].
pub(crate) unsafe fn pieces_mut<'a>(
    start: *const iovec,
    count: usize,
) -> io::Result<Vec<IoSliceMut<'a>>> {
    // SAFETY: the caller's promise, handed on.
    let pieces = unsafe { table(start, count)? }.iter();
    let slice = |piece: &iovec| {
        // SAFETY: the caller's promise.
        unsafe { bytes_mut(piece.iov_base, piece.iov_len) }.map(IoSliceMut::new)
    };
    pieces.map(slice).collect()
}

unsafe fn table<'a>(start: *const iovec, count: usize) -> io::Result<&'a [iovec]> {
    if count > PIECES_MAX {
        return Err(error(libc::EMSGSIZE));
    }
    if count == 0 {
        return Ok(&[]);
    }
    if start.is_null() {
        return Err(error(libc::EFAULT));
    }
    // SAFETY: not null, and else the promise of both callers.
    Ok(unsafe { std::slice::from_raw_parts(start, count) })
}

/// The address of a call that has to have one.
///
/// # Safety
/// `address` is null or `len` bytes may be read there.
pub(crate) unsafe fn address(address: *const sockaddr, len: socklen_t) -> io::Result<SocketAddr> {
    // SAFETY: the caller's promise.
    let bytes = unsafe { bytes(address.cast(), len as usize)? };
    let short = || error(libc::EINVAL);
    let at = |offset: usize| bytes.get(offset..).unwrap_or_default();
    let family = at(0).first_chunk().copied().ok_or_else(short)?;
    let port = at(2).first_chunk().copied().ok_or_else(short)?;
    let port = u16::from_be_bytes(port);
    match c_int::from(u16::from_ne_bytes(family)) {
        libc::AF_INET => {
            let ip: [u8; 4] = at(4).first_chunk().copied().ok_or_else(short)?;
            Ok(SocketAddrV4::new(Ipv4Addr::from(ip), port).into())
        }
        libc::AF_INET6 => {
            let flow: [u8; 4] = at(4).first_chunk().copied().ok_or_else(short)?;
            let ip: [u8; 16] = at(8).first_chunk().copied().ok_or_else(short)?;
            let scope: [u8; 4] = at(24).first_chunk().copied().ok_or_else(short)?;
            let scope = u32::from_ne_bytes(scope);
            let flow = u32::from_be_bytes(flow);
            Ok(SocketAddrV6::new(Ipv6Addr::from(ip), port, flow, scope).into())
        }
        _ => Err(error(libc::EAFNOSUPPORT)),
    }
}

/// Like [`address`], with `None` for AF_UNSPEC.
///
/// # Safety
/// As for [`address`].
pub(crate) unsafe fn address_or_none(
    given: *const sockaddr,
    len: socklen_t,
) -> io::Result<Option<SocketAddr>> {
    // SAFETY: the caller's promise.
    let bytes = unsafe { bytes(given.cast(), len as usize)? };
    let family = bytes
        .first_chunk()
        .map(|family| u16::from_ne_bytes(*family));
    if family.is_some_and(|family| c_int::from(family) == libc::AF_UNSPEC) {
        return Ok(None);
    }
    // SAFETY: as above.
    unsafe { address(given, len) }.map(Some)
}

/// Writes `address` as far as there is room for it, and says how long it is.
///
/// # Safety
/// `len` is null or points to how many bytes may be written at `out`, which is null or so long.
pub(crate) unsafe fn put_address(
    address: SocketAddr,
    out: *mut sockaddr,
    len: *mut socklen_t,
) -> io::Result<()> {
    if out.is_null() {
        return Ok(());
    }
    let mut encoded = Vec::with_capacity(28);
    let family = match address {
        SocketAddr::V4(_) => libc::AF_INET,
        SocketAddr::V6(_) => libc::AF_INET6,
    };
    encoded.extend_from_slice(&(family as u16).to_ne_bytes());
    encoded.extend_from_slice(&address.port().to_be_bytes());
    match address {
        SocketAddr::V4(v4) => {
            encoded.extend_from_slice(&v4.ip().octets());
            encoded.extend_from_slice(&[0; 8]);
        }
        SocketAddr::V6(v6) => {
            encoded.extend_from_slice(&v6.flowinfo().to_be_bytes());
            encoded.extend_from_slice(&v6.ip().octets());
            encoded.extend_from_slice(&v6.scope_id().to_ne_bytes());
        }
    }
    // SAFETY: the caller's promise.
    let len = unsafe { len.as_mut() }.ok_or_else(|| error(libc::EFAULT))?;
    let room = encoded.len().min(*len as usize);
    // SAFETY: the caller's promise; no more than there is room for.
    unsafe { bytes_mut(out.cast(), room)? }.copy_from_slice(&encoded[..room]);
    *len = encoded.len() as socklen_t;
    Ok(())
}

/// A structure that a call reads or writes.
///
/// # Safety
/// `place` is null or points to a `T` that nobody else uses for as long as `'a`.
pub(crate) unsafe fn place<'a, T>(place: *mut T) -> io::Result<&'a mut T> {
    // SAFETY: the caller's promise.
    unsafe { place.as_mut() }.ok_or_else(|| error(libc::EFAULT))
}

/// A structure that a call only reads.
///
/// # Safety
/// `place` is null or points to a `T` for as long as `'a`.
pub(crate) unsafe fn given<'a, T>(place: *const T) -> io::Result<&'a T> {
    // SAFETY: the caller's promise.
    unsafe { place.as_ref() }.ok_or_else(|| error(libc::EFAULT))
}

/// The control messages of `message`: level, type and data of each.
///
/// # Safety
/// The message's control buffer is as it says.
pub(crate) unsafe fn controls(message: &msghdr) -> Vec<(c_int, c_int, Vec<u8>)> {
    let mut all = Vec::new();
    // SAFETY: the caller's promise; the macros' functions stay inside the control buffer.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(message) };
    // SAFETY: as above: null, or a header inside the buffer.
    while let Some(header) = unsafe { next.as_ref() } {
        // SAFETY: the length of a header without data is a constant.
        let head = unsafe { libc::CMSG_LEN(0) } as usize;
        let len = header.cmsg_len.saturating_sub(head);
        // SAFETY: the data follows the header, in the buffer by the caller's promise.
        let data = unsafe { std::slice::from_raw_parts(libc::CMSG_DATA(header), len) };
        all.push((header.cmsg_level, header.cmsg_type, data.to_vec()));
        // SAFETY: as for the first.
        next = unsafe { libc::CMSG_NXTHDR(message, header) };
    }
    all
}

/// Writes control messages as far as there is room, and MSG_CTRUNC where there is not.
///
/// # Safety
/// The message's control buffer may be written for as long as it says, or is null.
pub(crate) unsafe fn put_controls(message: &mut msghdr, all: &[(c_int, c_int, Vec<u8>)]) {
    let room = match message.msg_control.is_null() {
        true => 0,
        false => message.msg_controllen,
    };
    let mut out = Vec::new();
    for (level, ty, data) in all {
        // SAFETY: lengths alone; no memory is touched.
        let (len, space) = unsafe {
            let len = data.len() as u32;
            (libc::CMSG_LEN(len) as usize, libc::CMSG_SPACE(len) as usize)
        };
        if out.len() + len > room {
            message.msg_flags |= libc::MSG_CTRUNC;
            break;
        }
        let end = (out.len() + space).min(room);
        out.extend_from_slice(&len.to_ne_bytes());
        out.extend_from_slice(&level.to_ne_bytes());
        out.extend_from_slice(&ty.to_ne_bytes());
        out.extend_from_slice(data);
        out.resize(end, 0);
    }
    message.msg_controllen = out.len();
    if !out.is_empty() {
        // SAFETY: the caller's promise: the buffer has `room` bytes, and `out` is no longer.
        unsafe {
            std::ptr::copy_nonoverlapping(out.as_ptr(), message.msg_control.cast(), out.len());
        }
    }
}
