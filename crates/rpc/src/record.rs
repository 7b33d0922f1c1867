//! Messages on a byte stream: record marking (RFC 5531 §11).
//!
//! A record is fragments, each behind four bytes: whether it is the last, and its length.

use std::io;

/// Marks the last fragment of a record.
const LAST: u32 = 1 << 31;

/// A mark's length.
pub(crate) const MARK: usize = 4;

/// The longest record, unless another limit is set: a read or write of NFS with 1 MiB, and its
/// header.
pub const RECORD_MAX: usize = (1 << 20) + (16 << 10);

/// The most fragments that a record may have: more serve nobody.
pub const FRAGMENTS_MAX: u32 = 1024;

/// What is asked of the stream at once, while no long fragment is expected.
const READ_AHEAD: usize = 16 << 10;

/// Why a stream can't go on: where its next record begins is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The fragments together.
    #[error("a record is longer than {limit} bytes")]
    TooLong {
        /// What is allowed.
        limit: usize,
    },
    /// See [`FRAGMENTS_MAX`].
    #[error("a record has more than {FRAGMENTS_MAX} fragments")]
    TooManyFragments,
}

impl From<RecordError> for io::Error {
    fn from(error: RecordError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

/// Puts records together from what a stream brings.
///
/// ```text
///    taken          + joined      scan          filled
/// ────┬──────────────┬─────────────┬─────────────┬──────
///     │ fragments of │ marks that  │ the next    │ room
///     │ this record  │ were there  │ mark …      │
/// ```
#[derive(Debug)]
pub struct RecordReader {
    buffer: Vec<u8>,
    taken: usize,
    joined: usize,
    scan: usize,
    filled: usize,
    fragments: u32,
    limit: usize,
}

impl RecordReader {
    /// Takes records of `limit` bytes at most.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            buffer: Vec::new(),
            taken: 0,
            joined: 0,
            scan: 0,
            filled: 0,
            fragments: 0,
            limit,
        }
    }

    /// Where the stream's next bytes go; [`filled`](Self::filled) says how many came.
    ///
    /// The room is what the current fragment lacks, as far as that is within the limit, and a
    /// little more.
    pub fn room(&mut self) -> &mut [u8] {
        let wanted = READ_AHEAD.max(self.lacking() + MARK);
        if self.buffer.len() - self.filled < wanted / 2 {
            self.close_gaps();
            if self.buffer.len() - self.filled < wanted {
                let doubled = (2 * self.filled).min(self.limit + READ_AHEAD);
                self.buffer.resize(doubled.max(self.filled + wanted), 0);
            }
        }
        &mut self.buffer[self.filled..]
    }

    fn close_gaps(&mut self) {
        let joined = self.taken..self.taken + self.joined;
        self.buffer.copy_within(joined, 0);
        self.buffer.copy_within(self.scan..self.filled, self.joined);
        self.filled -= self.scan - self.joined;
        self.scan = self.joined;
        self.taken = 0;
    }

    /// That the stream brought `count` more bytes into [`room`](Self::room).
    pub fn filled(&mut self, count: usize) {
        self.filled = (self.filled + count).min(self.buffer.len());
    }

    /// Whether the stream may end here: between records.
    #[must_use]
    pub fn is_between_records(&self) -> bool {
        self.scan == self.filled && self.fragments == 0
    }

    /// How many bytes of the current fragment are still to come, of those that are allowed.
    fn lacking(&self) -> usize {
        self.mark().map_or(0, |(_, length)| {
            let allowed = length.min(self.limit - self.joined);
            (self.scan + MARK + allowed).saturating_sub(self.filled)
        })
    }

    fn mark(&self) -> Option<(bool, usize)> {
        let mark = self.buffer[self.scan..self.filled].first_chunk()?;
        let mark = u32::from_be_bytes(*mark);
        Some((mark & LAST != 0, (mark & !LAST) as usize))
    }

    /// The next record, if it is complete.
    ///
    /// # Errors
    /// The stream can't go on.
    pub fn next_record(&mut self) -> Result<Option<&[u8]>, RecordError> {
        while let Some((last, length)) = self.mark() {
            if length > self.limit - self.joined {
                return Err(RecordError::TooLong { limit: self.limit });
            }
            if self.fragments == FRAGMENTS_MAX {
                return Err(RecordError::TooManyFragments);
            }
            let fragment = self.scan + MARK..self.scan + MARK + length;
            if self.filled < fragment.end {
                break;
            }
            self.scan = fragment.end;
            if self.joined == 0 {
                self.taken = fragment.start;
            } else {
                let joined = self.taken + self.joined;
                self.buffer.copy_within(fragment, joined);
            }
            self.joined += length;
            self.fragments += 1;
            if last {
                let record = self.taken..self.taken + self.joined;
                (self.joined, self.fragments) = (0, 0);
                self.taken = self.scan;
                return Ok(Some(&self.buffer[record]));
            }
        }
        if self.scan == self.filled && self.joined == 0 {
            (self.taken, self.scan, self.filled) = (0, 0, 0);
        }
        Ok(None)
    }
}

/// Begins a record at the end of `out`; [`end`] ends it.
pub(crate) fn begin(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend([0; MARK]);
    start
}

/// Ends the record that began at `start`, as one fragment.
pub(crate) fn end(out: &mut [u8], start: usize) {
    let length = out.len() - start - MARK;
    // A record is bounded by the limit of its encoder, which is less than 2³¹.
    let mark = LAST | u32::try_from(length).unwrap_or(0);
    out[start..start + MARK].copy_from_slice(&mark.to_be_bytes());
}

/// Appends `message` as one record to `out`.
pub fn mark(message: &[u8], out: &mut Vec<u8>) {
    let start = begin(out);
    out.extend_from_slice(message);
    end(out, start);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fragment(last: bool, bytes: &[u8]) -> Vec<u8> {
        let mark = u32::from(last) << 31 | bytes.len() as u32;
        [&mark.to_be_bytes(), bytes].concat()
    }

    fn feed(reader: &mut RecordReader, mut bytes: &[u8], step: usize) -> Vec<Vec<u8>> {
        let mut records = Vec::new();
        while !bytes.is_empty() {
            let room = reader.room();
            let count = bytes.len().min(step).min(room.len());
            room[..count].copy_from_slice(&bytes[..count]);
            reader.filled(count);
            bytes = &bytes[count..];
            while let Some(record) = reader.next_record().unwrap() {
                records.push(record.to_vec());
            }
        }
        records
    }

    proptest! {
        #[test]
        fn records_come_back_however_they_are_cut(
            records in prop::collection::vec(
                prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..4), 0..6),
            step in 1..50_usize,
        ) {
            let mut stream = Vec::new();
            for fragments in &records {
                for (n, bytes) in fragments.iter().enumerate() {
                    stream.extend(fragment(n + 1 == fragments.len(), bytes));
                }
            }
            let mut reader = RecordReader::new(1000);
            let got = feed(&mut reader, &stream, step);
            let expected: Vec<Vec<u8>> = records.iter().map(|r| r.concat()).collect();
            prop_assert_eq!(got, expected);
            prop_assert!(reader.is_between_records());
        }

        #[test]
        fn any_stream_is_read_within_the_limit(stream: Vec<u8>, step in 1..9_usize) {
            let mut reader = RecordReader::new(64);
            for piece in stream.chunks(step) {
                let room = reader.room();
                room[..piece.len()].copy_from_slice(piece);
                reader.filled(piece.len());
                while let Ok(Some(record)) = reader.next_record() {
                    prop_assert!(record.len() <= 64);
                }
            }
            prop_assert!(reader.buffer.len() <= 4 * READ_AHEAD);
        }
    }

    #[test]
    fn a_record_of_more_than_the_limit_ends_the_stream() {
        let mut reader = RecordReader::new(100);
        let long = fragment(true, &[0; 101]);
        let room = reader.room();
        room[..4].copy_from_slice(&long[..4]);
        reader.filled(4);
        // Its mark is enough.
        assert_eq!(
            reader.next_record(),
            Err(RecordError::TooLong { limit: 100 })
        );
        let mut reader = RecordReader::new(100);
        let parts = [fragment(false, &[0; 60]), fragment(false, &[0; 41])].concat();
        reader.room()[..parts.len()].copy_from_slice(&parts);
        reader.filled(parts.len());
        assert!(reader.next_record().is_err());
    }

    #[test]
    fn fragments_of_nothing_come_to_an_end() {
        let mut reader = RecordReader::new(100);
        let nothing = fragment(false, &[]).repeat(FRAGMENTS_MAX as usize + 1);
        reader.room()[..nothing.len()].copy_from_slice(&nothing);
        reader.filled(nothing.len());
        assert_eq!(reader.next_record(), Err(RecordError::TooManyFragments));
    }

    #[test]
    fn a_long_record_is_announced_and_then_given_its_room() {
        let mut reader = RecordReader::new(RECORD_MAX);
        let long = fragment(true, &vec![7; RECORD_MAX]);
        let got = feed(&mut reader, &long, 1 << 20);
        assert_eq!(got, [vec![7; RECORD_MAX]]);
        assert!(reader.buffer.len() <= RECORD_MAX + 2 * READ_AHEAD);
    }
}
