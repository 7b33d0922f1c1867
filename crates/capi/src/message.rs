//! sendmsg(2) and recvmsg(2).

#![expect(
    unsafe_code,
    reason = "what C calls is named as it is, and gets pointers"
)]

use crate::address::{self, Wanted};
use crate::error::{Failure, guard};
use crate::memory::{self, CALL_MAX};
use crate::table;
use libc::{iovec, msghdr, sockaddr, socklen_t, ssize_t};
use sockeye::{Control, MessageFlags};
use std::ffi::{c_int, c_void};
use std::io::{IoSlice, IoSliceMut};

/// Pieces of one message at most (UIO_MAXIOV).
const PIECES_MAX: usize = 1024;
/// Bytes of control messages at most, where Linux has the setting `net.core.optmem_max`.
const CONTROL_MAX: usize = 1 << 17;
/// Bytes of a `struct cmsghdr`, and what each is aligned to.
const HEADER_LEN: usize = size_of::<libc::cmsghdr>();
const ALIGN: usize = align_of::<libc::cmsghdr>();

/// sendmsg(2).
///
/// # Safety
/// The pointer and those in the structure are as the crate's documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sockeye_sendmsg(
    socket: c_int,
    message: *const msghdr,
    flags: c_int,
) -> ssize_t {
    guard(|| {
        let socket = table::socket(socket)?;
        // SAFETY: the caller's promise.
        let message = unsafe { memory::one(message) }?;
        // SAFETY: the caller's promise.
        let pieces = unsafe { memory::list(message.msg_iov, pieces(message)?) }?;
        let mut data = Vec::with_capacity(pieces.len());
        for piece in pieces.iter() {
            // SAFETY: the caller's promise.
            let bytes = unsafe { memory::bytes(piece.iov_base, piece.iov_len) }?;
            data.push(IoSlice::new(bytes));
        }
        let to = match message.msg_name.is_null() {
            true => None,
            // SAFETY: the caller's promise.
            false => unsafe { address::read(message.msg_name.cast(), message.msg_namelen) }?,
        };
        let room = control_len(message);
        if room > CONTROL_MAX {
            return Err(Failure::new(
                libc::ENOBUFS,
                format!("{room} bytes of control messages are more than {CONTROL_MAX}"),
            ));
        }
        // SAFETY: the caller's promise.
        let control = unsafe { memory::bytes(message.msg_control, room) }?;
        let control = split(control)?;
        let flags = MessageFlags::from_bits_truncate(flags);
        Ok(socket.sendmsg_raw(&data, to, &control, flags)? as ssize_t)
    })
}

/// recvmsg(2). The pieces and the place of control messages must not overlap.
///
/// # Safety
/// The pointer and those in the structure are as the crate's documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sockeye_recvmsg(
    socket: c_int,
    message: *mut msghdr,
    flags: c_int,
) -> ssize_t {
    guard(|| {
        let socket = table::socket(socket)?;
        // SAFETY: the caller's promise.
        let message = unsafe { memory::one_mut(message) }?;
        // SAFETY: the caller's promise.
        let pieces = unsafe { memory::list(message.msg_iov, pieces(message)?) }?;
        let control_len = control_len(message).min(CALL_MAX);
        apart(pieces, message.msg_control, control_len)?;
        let mut data = Vec::with_capacity(pieces.len());
        for piece in pieces.iter() {
            // SAFETY: the caller's promise, and no other slice of this call has any of the bytes.
            let bytes = unsafe { memory::bytes_mut(piece.iov_base, piece.iov_len) }?;
            data.push(IoSliceMut::new(bytes));
        }
        // SAFETY: as for the pieces.
        let control = unsafe { memory::bytes_mut(message.msg_control, control_len) }?;
        let (name, len): (*mut sockaddr, *mut socklen_t) =
            (message.msg_name.cast(), &raw mut message.msg_namelen);
        // SAFETY: the caller's promise for the name; the length lies in the structure, of which no
        // other field is touched while the place is in use.
        let wanted: Option<Wanted<'_>> = unsafe { address::wanted(name, len) }?;
        let flags = MessageFlags::from_bits_truncate(flags);
        let received = socket.recvmsg_raw(&mut data, control, flags)?;
        match wanted {
            Some(wanted) => wanted.write(received.from),
            None => message.msg_namelen = 0,
        }
        message.msg_flags = received.flags.bits();
        message.msg_controllen = received.control_len as _;
        Ok(received.len as ssize_t)
    })
}

/// A length or count of the system's; more than there can be where it is negative.
fn size(number: impl TryInto<usize>) -> usize {
    number.try_into().unwrap_or(usize::MAX)
}

/// How many pieces a message has. musl's field is an int.
fn pieces(message: &msghdr) -> Result<usize, Failure> {
    let count = size(message.msg_iovlen);
    match count <= PIECES_MAX {
        true => Ok(count),
        false => Err(Failure::new(
            libc::EMSGSIZE,
            format!("{count} pieces are more than {PIECES_MAX}"),
        )),
    }
}

/// How many bytes of control messages there are. musl's field is a socklen_t.
fn control_len(message: &msghdr) -> usize {
    match message.msg_control.is_null() {
        true => 0,
        false => size(message.msg_controllen),
    }
}

/// Checks that no byte lies in two of the places that a call writes.
fn apart(pieces: &[iovec], control: *mut c_void, control_len: usize) -> Result<(), Failure> {
    let pieces = pieces.iter().map(|piece| (piece.iov_base, piece.iov_len));
    let mut ranges: Vec<(usize, usize)> = pieces
        .chain([(control, control_len)])
        .filter(|(_, len)| *len > 0)
        .map(|(at, len)| (at.addr(), at.addr().saturating_add(len.min(CALL_MAX))))
        .collect();
    ranges.sort_unstable();
    match ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0) {
        true => Ok(()),
        false => Err(Failure::invalid("places that are to be written overlap")),
    }
}

/// The control messages in a buffer: each begins where the one before it ends, aligned.
fn split(mut bytes: &[u8]) -> Result<Vec<Control<'_>>, Failure> {
    let cut = || Failure::invalid("a control message is longer than what is left of the buffer");
    let mut messages = Vec::new();
    while bytes.len() >= HEADER_LEN {
        let word = |at: usize| -> Option<i32> {
            let word = bytes.get(at..)?.first_chunk()?;
            Some(i32::from_ne_bytes(*word))
        };
        // Of a socklen_t (musl) and a size_t on the machines that Linux's layout is little-endian on,
        // the first four bytes are the length; the rest is padding or zero.
        let len = bytes.first_chunk().map(|len| usize::from_ne_bytes(*len));
        let len = len.ok_or_else(cut)?;
        let len = match cfg!(target_env = "musl") {
            true => len & 0xffff_ffff,
            false => len,
        };
        let data = bytes.get(HEADER_LEN..len).ok_or_else(cut)?;
        let (Some(level), Some(ty)) = (word(HEADER_LEN - 8), word(HEADER_LEN - 4)) else {
            return Err(cut());
        };
        messages.push(Control { level, ty, data });
        bytes = bytes.get(len.next_multiple_of(ALIGN)..).unwrap_or_default();
    }
    Ok(messages)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(len: usize, level: i32, ty: i32, data: &[u8]) -> Vec<u8> {
        let mut out = len.to_ne_bytes().to_vec();
        out.extend(level.to_ne_bytes());
        out.extend(ty.to_ne_bytes());
        out.extend(data);
        out.resize(out.len().next_multiple_of(ALIGN), 0);
        out
    }

    #[test]
    fn control_messages_are_found_one_after_the_other() {
        let mut bytes = message(HEADER_LEN + 4, 1, 2, &[9, 8, 7, 6]);
        bytes.extend(message(HEADER_LEN + 1, 3, 4, &[5]));
        let found = split(&bytes).unwrap();
        let seen: Vec<_> = found.iter().map(|m| (m.level, m.ty, m.data)).collect();
        assert_eq!(seen, [(1, 2, &[9, 8, 7, 6][..]), (3, 4, &[5][..])]);
        assert!(split(&bytes[..3]).unwrap().is_empty());
    }

    #[test]
    fn control_messages_that_lie_about_their_length_are_refused() {
        for len in [0, 1, HEADER_LEN - 1, HEADER_LEN + 9, usize::MAX] {
            let bytes = message(len, 1, 2, &[0; 8]);
            assert_eq!(split(&bytes).unwrap_err().errno, libc::EINVAL, "{len}");
        }
    }

    #[test]
    fn places_that_overlap_are_found() {
        let memory = [0_u8; 16];
        let at = |offset: usize| memory.as_ptr().wrapping_add(offset).cast_mut().cast();
        let piece = |offset, iov_len| iovec {
            iov_base: at(offset),
            iov_len,
        };
        assert!(apart(&[piece(8, 8), piece(0, 8)], at(0), 0).is_ok());
        assert!(apart(&[piece(0, 9), piece(8, 8)], at(0), 0).is_err());
        assert!(apart(&[piece(0, 8)], at(7), 2).is_err());
        assert!(apart(&[piece(0, 0), piece(0, 8)], at(8), 8).is_ok());
    }
}
