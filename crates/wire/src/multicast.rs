//! What IGMPv3 (RFC 3376) and MLDv2 (RFC 3810) have in common: group records, and numbers coded
//! like floating point.

/// What a group record says (RFC 3376 §4.2.12, RFC 3810 §5.2.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// MODE_IS_INCLUDE: the sources that are listened to.
    ModeIsInclude = 1,
    /// MODE_IS_EXCLUDE: all sources but these.
    ModeIsExclude = 2,
    /// CHANGE_TO_INCLUDE_MODE.
    ChangeToInclude = 3,
    /// CHANGE_TO_EXCLUDE_MODE.
    ChangeToExclude = 4,
    /// ALLOW_NEW_SOURCES.
    AllowNewSources = 5,
    /// BLOCK_OLD_SOURCES.
    BlockOldSources = 6,
}

impl RecordKind {
    const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::ModeIsInclude,
            2 => Self::ModeIsExclude,
            3 => Self::ChangeToInclude,
            4 => Self::ChangeToExclude,
            5 => Self::AllowNewSources,
            6 => Self::BlockOldSources,
            _ => return None,
        })
    }
}

/// What a report says about one group, with addresses of `N` bytes in network order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a, const N: usize> {
    /// What is said.
    pub kind: RecordKind,
    /// Of which group.
    pub group: [u8; N],
    /// Of which sources.
    pub sources: &'a [[u8; N]],
}

impl<const N: usize> Record<'_, N> {
    /// Bytes that it takes.
    #[must_use]
    pub fn emitted_len(&self) -> usize {
        4 + N + self.sources.as_flattened().len()
    }

    /// Writes the record into the front of `out`.
    ///
    /// # Panics
    /// When `out` is shorter than [`emitted_len`](Self::emitted_len), or with more than 65535
    /// sources.
    pub(crate) fn emit(&self, out: &mut [u8]) {
        let Self {
            kind,
            group,
            sources,
        } = self;
        let [high, low] = count(sources.len());
        out[..4].copy_from_slice(&[*kind as u8, 0, high, low]);
        let (address, list) = out[4..self.emitted_len()].split_at_mut(N);
        address.copy_from_slice(group);
        list.copy_from_slice(sources.as_flattened());
    }
}

/// The records of a report: as many whole ones as it announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Records<'a, const N: usize> {
    count: u16,
    bytes: &'a [u8],
}

impl<'a, const N: usize> Records<'a, N> {
    /// Checks that `bytes` hold `count` whole records; more may follow.
    pub(crate) fn parse(count: u16, bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes;
        for _ in 0..count {
            (_, rest) = split_record::<N>(rest)?;
        }
        Some(Self { count, bytes })
    }
}

impl<'a, const N: usize> IntoIterator for Records<'a, N> {
    type Item = Record<'a, N>;
    type IntoIter = RecordIter<'a, N>;

    fn into_iter(self) -> RecordIter<'a, N> {
        RecordIter(self)
    }
}

/// Walks over [`Records`]; those of an unknown kind are left out (RFC 3376 §4.2.12).
#[derive(Clone, Debug)]
pub struct RecordIter<'a, const N: usize>(Records<'a, N>);

impl<'a, const N: usize> Iterator for RecordIter<'a, N> {
    type Item = Record<'a, N>;

    fn next(&mut self) -> Option<Record<'a, N>> {
        loop {
            self.0.count = self.0.count.checked_sub(1)?;
            let (record, rest) = split_record(self.0.bytes)?;
            self.0.bytes = rest;
            if record.is_some() {
                return record;
            }
        }
    }
}

/// The record at the front, `None` inside when its kind is unknown, and what lies behind it and
/// its auxiliary data.
fn split_record<const N: usize>(bytes: &[u8]) -> Option<(Option<Record<'_, N>>, &[u8])> {
    let &[kind, auxiliary_words, high, low, ref rest @ ..] = bytes else {
        return None;
    };
    let (&group, rest) = rest.split_first_chunk()?;
    let sources = usize::from(u16::from_be_bytes([high, low]));
    let (sources, rest) = rest.split_at_checked(sources * N)?;
    let rest = rest.get(4 * usize::from(auxiliary_words)..)?;
    let sources = sources.as_chunks().0;
    let record = RecordKind::from_byte(kind).map(|kind| Record {
        kind,
        group,
        sources,
    });
    Some((record, rest))
}

/// A number of things in a 16-bit field.
///
/// # Panics
/// When they are more than 65535.
pub(crate) fn count(n: usize) -> [u8; 2] {
    assert!(
        n <= usize::from(u16::MAX),
        "{n} sources or records in one message, 65535 at most"
    );
    (n as u16).to_be_bytes()
}

/// RFC 3376 §4.1.1, §4.1.7: numbers from 128 on have an exponent of 3 bits and 4 bits of mantissa.
pub(crate) const fn decode_8(code: u8) -> u32 {
    if code < 0x80 {
        return code as u32;
    }
    ((code & 0x0f) as u32 | 0x10) << ((code >> 4 & 0x07) + 3)
}

/// RFC 3810 §5.1.3: numbers from 32768 on have an exponent of 3 bits and 12 bits of mantissa.
pub(crate) const fn decode_16(code: u16) -> u32 {
    if code < 0x8000 {
        return code as u32;
    }
    ((code & 0x0fff) as u32 | 0x1000) << ((code >> 12 & 0x07) + 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_like_floating_point() {
        assert_eq!(decode_8(127), 127);
        assert_eq!(decode_8(128), 128);
        assert_eq!(decode_8(0x8f), 31 << 3);
        assert_eq!(decode_8(0xff), 31 << 10);
        assert_eq!(decode_16(0x7fff), 32767);
        assert_eq!(decode_16(0x8000), 32768);
        assert_eq!(decode_16(0xffff), 8191 << 10);
    }

    #[test]
    fn unknown_kinds_and_auxiliary_data_are_skipped() {
        let bytes = [
            9, 0, 0, 1, 224, 1, 1, 1, 10, 0, 0, 1, //
            4, 1, 0, 0, 224, 1, 1, 2, 0xaa, 0xaa, 0xaa, 0xaa, //
            6, 0, 0, 1, 224, 1, 1, 3, 10, 0, 0, 2,
        ];
        let records = Records::<4>::parse(3, &bytes).unwrap();
        let groups: Vec<_> = records
            .into_iter()
            .map(|r| (r.kind, r.group[3], r.sources))
            .collect();
        let none: &[[u8; 4]] = &[];
        assert_eq!(
            groups,
            [
                (RecordKind::ChangeToExclude, 2, none),
                (RecordKind::BlockOldSources, 3, &[[10, 0, 0, 2]][..]),
            ]
        );
        assert!(Records::<4>::parse(4, &bytes).is_none());
        assert!(Records::<4>::parse(3, &bytes[..35]).is_none());
        assert_eq!(
            Records::<4>::parse(1, &bytes).unwrap().into_iter().count(),
            0
        );
    }
}
