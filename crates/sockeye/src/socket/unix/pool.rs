//! Buffers for the copies of a stream, used again and again: memory that is fresh from the system is
//! faulted in page by page, which takes longer than the copy.

use super::transfer::CHUNK;
use crate::shard::lock;
use bytes::Bytes;
use std::sync::Mutex;

/// Buffers that the process keeps: what two streams have under way.
const KEPT_MAX: usize = 12;

/// From so many bytes on, a buffer of the pool is used.
const WORTH: usize = 16 << 10;

/// What nobody uses now; the last one that was given back goes out first, since it is in the cache.
static KEPT: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// One in use, by whoever has a part of it.
struct Lent(Vec<u8>);

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut kept = lock(&KEPT);
        if kept.len() < KEPT_MAX {
            kept.push(std::mem::take(&mut self.0));
        }
    }
}

/// A copy of at most [`CHUNK`] bytes.
pub(super) fn copy(data: &[u8]) -> Bytes {
    if data.len() < WORTH {
        return Bytes::copy_from_slice(data);
    }
    let kept = lock(&KEPT).pop();
    let mut buffer = kept.unwrap_or_else(|| Vec::with_capacity(CHUNK));
    buffer.clear();
    buffer.extend_from_slice(data);
    Bytes::from_owner(Lent(buffer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_when_nobody_has_a_part_of_it() {
        let first = copy(&[1; CHUNK]);
        let part = first.slice(5..7);
        let place = first.as_ptr();
        drop(first);
        assert_eq!(&*part, [1, 1]);
        let second = copy(&[2; CHUNK]);
        assert_ne!(second.as_ptr(), place, "somebody has a part of it");
        assert_eq!(&*part, [1, 1]);
        drop(part);
        // Other threads of this test's process have no streams.
        assert_eq!(copy(&[3; WORTH]).as_ptr(), place);
        let all: Vec<_> = (0..2 * KEPT_MAX).map(|_| copy(&[4; WORTH])).collect();
        drop(all);
        assert_eq!(lock(&KEPT).len(), KEPT_MAX);
    }
}
