//! C's memory as slices and text. Whoever calls these passes on what the crate's documentation asks
//! of pointers: each is NULL or leads to what its type and length say, and nobody else is at it.

#![expect(unsafe_code, reason = "C's memory comes as pointers")]

use crate::error::Failure;
use std::ffi::{CStr, c_char, c_void};
use std::slice;

/// What one call carries at most, in bytes; Linux's MAX_RW_COUNT. A longer buffer is used to here.
pub(crate) const CALL_MAX: usize = 0x7fff_f000;

fn null(what: &str) -> Failure {
    Failure::new(libc::EFAULT, format!("{what} is NULL"))
}

/// Bytes that a call reads.
///
/// # Safety
/// See the module.
pub(crate) unsafe fn bytes<'a>(at: *const c_void, len: usize) -> Result<&'a [u8], Failure> {
    match (len, at.is_null()) {
        (0, _) => Ok(&[]),
        (_, true) => Err(null("the data")),
        // SAFETY: not NULL, so by the caller's promise `len` bytes that nobody writes during the
        // call, after which the slice is gone; bytes have no alignment, and CALL_MAX is below
        // isize::MAX.
        (_, false) => Ok(unsafe { slice::from_raw_parts(at.cast(), len.min(CALL_MAX)) }),
    }
}

/// Bytes that a call writes.
///
/// # Safety
/// See the module.
pub(crate) unsafe fn bytes_mut<'a>(at: *mut c_void, len: usize) -> Result<&'a mut [u8], Failure> {
    match (len, at.is_null()) {
        (0, _) => Ok(&mut []),
        (_, true) => Err(null("the buffer")),
        // SAFETY: as in `bytes`, and nobody else reads them either. What C has not initialized holds
        // some bytes, which are only written over.
        (_, false) => Ok(unsafe { slice::from_raw_parts_mut(at.cast(), len.min(CALL_MAX)) }),
    }
}

/// Whether so many structures can lie there.
fn check<T>(at: *const T, len: usize) -> Result<(), Failure> {
    if at.is_null() || !at.is_aligned() {
        return Err(Failure::new(
            libc::EFAULT,
            "a structure is NULL or not aligned for its type",
        ));
    }
    match len <= CALL_MAX / size_of::<T>().max(1) {
        true => Ok(()),
        false => Err(Failure::invalid(
            "an array has more elements than memory has room",
        )),
    }
}

/// Structures that a call reads.
///
/// # Safety
/// See the module.
pub(crate) unsafe fn list<'a, T>(at: *const T, len: usize) -> Result<&'a [T], Failure> {
    if len == 0 {
        return Ok(&[]);
    }
    check(at, len)?;
    // SAFETY: neither NULL nor unaligned, so by the caller's promise `len` initialized structures that
    // nobody writes during the call; together they have at most CALL_MAX bytes.
    Ok(unsafe { slice::from_raw_parts(at, len) })
}

/// Structures that a call reads and writes.
///
/// # Safety
/// See the module.
pub(crate) unsafe fn list_mut<'a, T>(at: *mut T, len: usize) -> Result<&'a mut [T], Failure> {
    if len == 0 {
        return Ok(&mut []);
    }
    check(at, len)?;
    // SAFETY: as in `list`, and nobody else reads them either.
    Ok(unsafe { slice::from_raw_parts_mut(at, len) })
}

/// A structure that a call reads.
///
/// # Safety
/// See the module.
pub(crate) unsafe fn one<'a, T>(at: *const T) -> Result<&'a T, Failure> {
    check(at, 1)?;
    // SAFETY: as in `list`, for one.
    Ok(unsafe { &*at })
}

/// A structure that a call reads and writes.
///
/// # Safety
/// See the module.
pub(crate) unsafe fn one_mut<'a, T>(at: *mut T) -> Result<&'a mut T, Failure> {
    check(at, 1)?;
    // SAFETY: as in `list_mut`, for one.
    Ok(unsafe { &mut *at })
}

/// Text.
///
/// # Safety
/// See the module.
pub(crate) unsafe fn text<'a>(at: *const c_char, what: &str) -> Result<&'a str, Failure> {
    // SAFETY: the caller's promise.
    let text = unsafe { text_or_none(at, what) }?;
    text.ok_or_else(|| null(what))
}

/// Text, or nothing for NULL.
///
/// # Safety
/// See the module.
pub(crate) unsafe fn text_or_none<'a>(
    at: *const c_char,
    what: &str,
) -> Result<Option<&'a str>, Failure> {
    if at.is_null() {
        return Ok(None);
    }
    // SAFETY: not NULL, so by the caller's promise bytes up to a NUL that nobody writes during the
    // call, after which the text is gone.
    let text = unsafe { CStr::from_ptr(at) };
    let text = text.to_str();
    text.map(Some)
        .map_err(|_| Failure::invalid(format!("{what} is no UTF-8 text")))
}
