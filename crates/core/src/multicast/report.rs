//! What is reported, and how it fits messages (RFC 3376 §4.2.16, RFC 3810 §5.2.15).

use super::compat::Mode;
use sockeye_wire::multicast::RecordKind;
use std::net::IpAddr;

/// One thing to be said; records may take several messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Report {
    /// Version 3.
    Records(Vec<Record>),
    /// A report of an older version.
    Member(Mode, IpAddr),
    /// A leave (MLD: done).
    Leave(IpAddr),
}

/// What is said of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) kind: RecordKind,
    pub(super) group: IpAddr,
    pub(super) sources: Vec<IpAddr>,
}

impl Record {
    pub(super) fn new(
        kind: RecordKind,
        group: IpAddr,
        sources: impl Iterator<Item = IpAddr>,
    ) -> Self {
        Self {
            kind,
            group,
            sources: sources.collect(),
        }
    }

    fn excludes(&self) -> bool {
        matches!(
            self.kind,
            RecordKind::ModeIsExclude | RecordKind::ChangeToExclude
        )
    }
}

/// Bytes of a record's type and counts.
const RECORD_HEADER_LEN: usize = 4;

/// Spreads `records`, whose addresses have `address_len` bytes, over messages with `room` bytes for
/// them. A record that fits no message is split, or, where it excludes, cut: it is the highest
/// addresses that are not reported, every time.
pub(super) fn pack(records: Vec<Record>, address_len: usize, room: usize) -> Vec<Vec<Record>> {
    let len = |sources: usize| RECORD_HEADER_LEN + address_len * (1 + sources);
    let most = (room.saturating_sub(len(0)) / address_len).max(1);
    let mut messages: Vec<Vec<Record>> = Vec::new();
    let mut left = 0;
    for mut record in records {
        if record.sources.len() > most && record.excludes() {
            record.sources.truncate(most);
        }
        let needed = len(record.sources.len());
        if needed <= left {
            left -= needed;
            if let Some(last) = messages.last_mut() {
                last.push(record);
            }
            continue;
        }
        left = room.saturating_sub(needed);
        if record.sources.len() <= most {
            messages.push(vec![record]);
            continue;
        }
        messages.extend(record.sources.chunks(most).map(|part| {
            let sources = part.to_vec();
            vec![Record { sources, ..record }]
        }));
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: RecordKind, group: u8, sources: u8) -> Record {
        let sources = (1..=sources).map(|n| IpAddr::from([10, 0, 0, n]));
        Record::new(kind, IpAddr::from([224, 1, 1, group]), sources)
    }

    fn shape(messages: &[Vec<Record>]) -> Vec<Vec<usize>> {
        let sources = |records: &Vec<Record>| records.iter().map(|r| r.sources.len()).collect();
        messages.iter().map(sources).collect()
    }

    #[test]
    fn records_fill_messages() {
        use RecordKind::{BlockOldSources, ModeIsExclude, ModeIsInclude};
        // A record of two sources takes 16 bytes; one message has room for five sources.
        for (records, messages) in [
            (vec![record(ModeIsInclude, 1, 2)], vec![vec![2]]),
            (
                vec![record(ModeIsExclude, 1, 0), record(ModeIsInclude, 2, 2)],
                vec![vec![0, 2]],
            ),
            (
                vec![record(ModeIsInclude, 1, 2), record(ModeIsInclude, 2, 2)],
                vec![vec![2], vec![2]],
            ),
            // What lists sources that are wanted is split, and so is what lists those that are not.
            (
                vec![record(BlockOldSources, 1, 12)],
                vec![vec![5], vec![5], vec![2]],
            ),
            (vec![record(ModeIsExclude, 1, 12)], vec![vec![5]]),
        ] {
            assert_eq!(shape(&pack(records, 4, 28)), messages);
        }
    }
}
