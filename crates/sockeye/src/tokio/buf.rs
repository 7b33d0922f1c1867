//! Receiving into growing buffers.
#![expect(
    unsafe_code,
    reason = "a `BufMut` lends its spare room as uninitialized memory"
)]

use bytes::BufMut;
use std::io;
use tokio::io::ReadBuf;

/// Lets `read` fill the spare room that `buf` lends, and keeps as much as it says.
pub(super) fn fill<T>(
    buf: &mut impl BufMut,
    read: impl FnOnce(&mut [u8]) -> io::Result<(usize, T)>,
) -> io::Result<(usize, T)> {
    let room = buf.chunk_mut();
    // SAFETY: the slice is only handed to `ReadBuf`, which never writes uninitialized bytes to it.
    let mut room = ReadBuf::uninit(unsafe { room.as_uninit_slice_mut() });
    let (len, what) = read(room.initialize_unfilled())?;
    // It panics where more was claimed than there was room for.
    room.advance(len);
    // SAFETY: `initialize_unfilled` has initialized the whole room, of which `len` bytes are a part
    // as the line above has seen.
    unsafe { buf.advance_mut(len) };
    Ok((len, what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_appended() {
        let mut buf = Vec::with_capacity(64);
        buf.extend_from_slice(b"one ");
        let read = fill(&mut buf, |room| {
            room[..3].copy_from_slice(b"two");
            Ok((3, ()))
        });
        assert_eq!((read.unwrap().0, &buf[..]), (3, &b"one two"[..]));
        let failed = fill(&mut buf, |_| {
            Err::<(usize, ()), _>(io::ErrorKind::WouldBlock.into())
        });
        failed.unwrap_err();
        assert_eq!(buf, b"one two");
    }

    #[test]
    #[should_panic(expected = "filled must not become larger")]
    fn more_than_there_was_room_for_is_not_believed() {
        let _ = fill(&mut &mut [0; 4][..], |_| Ok((5, ())));
    }
}
