//! Large buffers, lent for as long as data is in hand: a socket that waits holds none.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

/// Octets in one buffer: what a relay moves at a time, and more than any datagram.
pub(crate) const BUFFER: usize = 256 * 1024;

/// Buffers that a thread keeps for the next one.
const KEPT_MAX: usize = 8;

thread_local! {
    static FREE: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer of [`BUFFER`] octets with whatever was in it before.
pub(crate) struct Buffer(Option<Box<[u8]>>);

impl Buffer {
    pub(crate) fn take() -> Self {
        let free = FREE.with_borrow_mut(Vec::pop);
        Self(Some(
            free.unwrap_or_else(|| vec![0; BUFFER].into_boxed_slice()),
        ))
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.0.as_deref_mut().unwrap_or_default()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let Some(buffer) = self.0.take() else { return };
        // A thread that is ending has no list any more: then it is simply freed.
        let _ = FREE.try_with(|free| {
            if let Ok(mut free) = free.try_borrow_mut()
                && free.len() < KEPT_MAX
            {
                free.push(buffer);
            }
        });
    }
}
