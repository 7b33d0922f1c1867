//! What is sent, so that each byte that arrives can be told right from wrong.

use anyhow::{Result, ensure};

/// Bytes after which the pattern repeats: a prime, so that no buffer's length divides it.
const PERIOD: usize = 65_521;
/// Bytes of the number that a message begins with, where it has room for one.
pub(crate) const NUMBER_LEN: usize = 8;
/// Bytes between the pattern's places in one message and the next.
const STEP: u64 = 7919;

/// Bytes without order that are the same each time.
pub(crate) struct Pattern(Vec<u8>);

impl Pattern {
    pub(crate) fn new() -> Self {
        let mut state = 0x9e37_79b9_u32;
        let byte = |_| {
            // xorshift.
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 24) as u8
        };
        let once: Vec<u8> = (0..PERIOD).map(byte).collect();
        Self([&once[..], &once].concat())
    }

    /// So many bytes of it, at most a period, from `offset` of an endless stream on.
    pub(crate) fn at(&self, offset: u64, len: usize) -> &[u8] {
        let begin = (offset % PERIOD as u64) as usize;
        &self.0[begin..begin + len.min(PERIOD)]
    }

    /// Writes the message of this number.
    pub(crate) fn write(&self, number: u64, message: &mut [u8]) {
        let source = self.at(number.wrapping_mul(STEP), message.len());
        message.copy_from_slice(source);
        if let Some(head) = message.first_chunk_mut::<NUMBER_LEN>() {
            *head = number.to_le_bytes();
        }
    }

    /// The number of a message that arrived whole and right; where it has no room for one, `expected` is
    /// what it has to be.
    ///
    /// # Errors
    /// It is not what was sent.
    pub(crate) fn read(&self, message: &[u8], size: usize, expected: u64) -> Result<u64> {
        ensure!(
            message.len() == size,
            "{} bytes arrived of a message of {size}",
            message.len()
        );
        let (number, skip) = match message.first_chunk::<NUMBER_LEN>() {
            Some(head) => (u64::from_le_bytes(*head), NUMBER_LEN),
            None => (expected, 0),
        };
        let right = self.at(number.wrapping_mul(STEP), size);
        ensure!(
            message[skip..] == right[skip..],
            "message {number} did not arrive as it was sent"
        );
        Ok(number)
    }

    /// Checks bytes of a stream that begin at `offset`.
    ///
    /// # Errors
    /// They are not what was sent.
    pub(crate) fn check(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let mut at = offset;
        for piece in bytes.chunks(PERIOD) {
            ensure!(
                piece == self.at(at, piece.len()),
                "the stream differs from what was sent behind byte {at}"
            );
            at += piece.len() as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_found() {
        let pattern = Pattern::new();
        for size in [1, 7, 8, 9, 1200, 65_507] {
            let mut message = vec![0; size];
            pattern.write(77, &mut message);
            assert_eq!(pattern.read(&message, size, 77).unwrap(), 77);
            assert!(pattern.read(&message[1..], size, 77).is_err());
            *message.last_mut().unwrap() ^= 1;
            let wrong = pattern.read(&message, size, 77);
            // Of eight bytes all are the number.
            assert!(size == NUMBER_LEN || wrong.is_err(), "{size}");
        }
        let mut stream = pattern.at(65_000, 60_000).to_vec();
        pattern.check(65_000, &stream).unwrap();
        assert!(pattern.check(65_001, &stream).is_err());
        stream[59_999] ^= 1;
        assert!(pattern.check(65_000, &stream).is_err());
    }
}
