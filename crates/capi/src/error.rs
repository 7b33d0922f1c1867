//! How a call ends: a value, or -1, `errno` and words.

#![expect(
    unsafe_code,
    reason = "errno is a place in memory, and text is written to C's"
)]

use crate::memory;
use std::any::Any;
use std::cell::RefCell;
use std::error::Error;
use std::ffi::{c_char, c_int};
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Why a call failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) errno: c_int,
    text: String,
}

impl Failure {
    /// An errno with words of our own.
    pub(crate) fn new(errno: c_int, text: impl Into<String>) -> Self {
        Self {
            errno,
            text: text.into(),
        }
    }

    /// A text that cannot be read as what it stands for.
    pub(crate) fn invalid(error: impl std::fmt::Display) -> Self {
        Self::new(libc::EINVAL, error.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(errno_of(&error), error.to_string())
    }
}

/// The errno of an error, or of what caused it.
fn errno_of(error: &io::Error) -> c_int {
    if let Some(errno) = error.raw_os_error() {
        return errno;
    }
    let mut cause: Option<&dyn Error> = error.get_ref().map(|inner| inner as _);
    while let Some(inner) = cause {
        let system = inner.downcast_ref::<io::Error>();
        if let Some(errno) = system.and_then(io::Error::raw_os_error) {
            return errno;
        }
        cause = inner.source();
    }
    match error.kind() {
        ErrorKind::InvalidInput => libc::EINVAL,
        ErrorKind::NotFound => libc::ENOENT,
        ErrorKind::PermissionDenied => libc::EACCES,
        ErrorKind::AddrInUse => libc::EADDRINUSE,
        ErrorKind::TimedOut => libc::ETIMEDOUT,
        _ => libc::EIO,
    }
}

thread_local! {
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Makes a call; its failure or panic becomes -1, `errno` and the thread's last error.
pub(crate) fn guard<T: From<i8>>(call: impl FnOnce() -> Result<T, Failure>) -> T {
    let failure = match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => return value,
        Ok(Err(failure)) => failure,
        Err(panic) => panicked(panic),
    };
    // A thread that is ending has no place for words any more.
    let _ = LAST.try_with(|last| last.replace(failure.text));
    // SAFETY: __errno_location returns the address of the calling thread's errno, which lives as long
    // as the thread and which no other thread uses.
    unsafe { *libc::__errno_location() = failure.errno };
    T::from(-1)
}

fn panicked(panic: Box<dyn Any + Send>) -> Failure {
    let said = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    // Its end might panic again.
    std::mem::forget(panic);
    Failure::new(
        libc::ENOTRECOVERABLE,
        format!("a mistake of sockeye's own, please report it: {said}"),
    )
}

/// The thread's last failure in words, cut to `room` bytes with the NUL; returns how many bytes the
/// whole takes without it, 0 where nothing has failed. Leaves `errno` alone.
///
/// # Safety
/// `out` is as the crate's documentation asks, for `room` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sockeye_error(out: *mut c_char, room: usize) -> usize {
    let text = LAST
        .try_with(|last| last.borrow().clone())
        .unwrap_or_default();
    // SAFETY: the caller's promise.
    let Ok(out) = (unsafe { memory::bytes_mut(out.cast(), room) }) else {
        return text.len();
    };
    if let Some(most) = out.len().checked_sub(1) {
        let len = text.len().min(most);
        out[..len].copy_from_slice(&text.as_bytes()[..len]);
        out[len] = 0;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errno() -> c_int {
        io::Error::last_os_error().raw_os_error().unwrap_or(0)
    }

    #[test]
    fn a_panic_is_an_error_of_the_call() {
        let done: c_int = guard(|| panic!("on purpose"));
        assert_eq!((done, errno()), (-1, libc::ENOTRECOVERABLE));
        let mut text = [1; 128];
        // SAFETY: the buffer is as long as it is said to be.
        let len = unsafe { sockeye_error(text.as_mut_ptr().cast(), text.len()) };
        assert!(text[..len].ends_with(b"on purpose"), "{text:?}");
        assert_eq!(text[len], 0);
    }

    #[test]
    fn the_errno_of_a_cause_is_found() {
        let cause = io::Error::from_raw_os_error(libc::EMFILE);
        let wrapped = io::Error::other(cause);
        assert_eq!(Failure::from(wrapped).errno, libc::EMFILE);
        let plain = io::Error::other("nobody knows");
        assert_eq!(Failure::from(plain).errno, libc::EIO);
    }
}
