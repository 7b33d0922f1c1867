//! IGMP versions 1 (RFC 1112), 2 (RFC 2236) and 3 (RFC 3376).

use crate::multicast::{self, Record, Records};
use crate::{ParseError, checksum, take};
use std::net::Ipv4Addr;

/// Bytes of every message but version 3's.
pub const HEADER_LEN: usize = 8;
/// Bytes of a version 3 query before its sources.
pub const QUERY_V3_LEN: usize = 12;
/// Where version 3 reports go (RFC 3376 §4.2.14).
pub const REPORT_V3_GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 22);

const QUERY: u8 = 0x11;
const REPORT_V1: u8 = 0x12;
const REPORT_V2: u8 = 0x16;
const LEAVE: u8 = 0x17;
const REPORT_V3: u8 = 0x22;

/// The version of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// RFC 1112.
    V1,
    /// RFC 2236.
    V2,
    /// RFC 3376.
    V3,
}

/// A membership query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query<'a> {
    /// Which version it is of: told from its length and response code (RFC 3376 §7.1).
    pub version: Version,
    /// Max Resp Code: 0 in version 1.
    pub max_resp_code: u8,
    /// The group asked for; unspecified in a general query.
    pub group: Ipv4Addr,
    /// S: routers do not restart their timers. Version 3.
    pub suppress: bool,
    /// QRV: the querier's robustness variable, 0 to 7. Version 3.
    pub robustness: u8,
    /// QQIC: the querier's interval, coded. Version 3.
    pub query_interval_code: u8,
    /// The sources asked for. Version 3.
    pub sources: &'a [[u8; 4]],
}

impl Query<'_> {
    /// Milliseconds within which a host answers.
    #[must_use]
    pub const fn max_resp_time_ms(&self) -> u32 {
        match self.version {
            // RFC 3376 §7.2.1, RFC 2236 §4: it counts as 10 seconds.
            Version::V1 => 10_000,
            Version::V2 => self.max_resp_code as u32 * 100,
            Version::V3 => multicast::decode_8(self.max_resp_code) * 100,
        }
    }

    /// Seconds between general queries, by the querier; 0 when it does not say.
    #[must_use]
    pub const fn query_interval_s(&self) -> u32 {
        multicast::decode_8(self.query_interval_code)
    }

    /// Bytes that [`emit`](Self::emit) writes.
    #[must_use]
    pub fn emitted_len(&self) -> usize {
        match self.version {
            Version::V1 | Version::V2 => HEADER_LEN,
            Version::V3 => QUERY_V3_LEN + self.sources.as_flattened().len(),
        }
    }

    /// Writes the query with its checksum into the front of `out`.
    ///
    /// # Panics
    /// When `out` is shorter than [`emitted_len`](Self::emitted_len).
    pub fn emit(&self, out: &mut [u8]) {
        let out = &mut out[..self.emitted_len()];
        out[..2].copy_from_slice(&[QUERY, self.max_resp_code]);
        out[4..8].copy_from_slice(&self.group.octets());
        if self.version == Version::V3 {
            let [high, low] = multicast::count(self.sources.len());
            let flags = u8::from(self.suppress) << 3 | self.robustness & 0x07;
            out[8..12].copy_from_slice(&[flags, self.query_interval_code, high, low]);
            out[12..].copy_from_slice(self.sources.as_flattened());
        }
        fill_checksum(out);
    }
}

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Membership query.
    Query(Query<'a>),
    /// Version 1 membership report.
    ReportV1 {
        /// The group that the sender listens to.
        group: Ipv4Addr,
    },
    /// Version 2 membership report.
    ReportV2 {
        /// The group that the sender listens to.
        group: Ipv4Addr,
    },
    /// Leave group.
    Leave {
        /// The group that the sender no longer listens to.
        group: Ipv4Addr,
    },
    /// Version 3 membership report.
    ReportV3(Records<'a, 4>),
}

impl<'a> Message<'a> {
    /// Reads a whole message: `bytes` are the IP payload.
    ///
    /// The checksum is verified. Groups are not judged, nor are TTL and router alert.
    ///
    /// # Errors
    /// [`BadChecksum`](ParseError::BadChecksum); [`Truncated`](ParseError::Truncated) when it ends
    /// early; [`BadLength`](ParseError::BadLength) for a query of 9 to 11 bytes (RFC 3376 §7.1);
    /// [`Unsupported`](ParseError::Unsupported) for other types. All are dropped silently
    /// (RFC 3376 §4).
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let &[kind, max_resp_code, _, _, a, b, c, d] = take::<HEADER_LEN>(bytes)?;
        if checksum::of(bytes) != 0 {
            return Err(ParseError::BadChecksum);
        }
        let group = Ipv4Addr::new(a, b, c, d);
        Ok(match kind {
            QUERY => Self::Query(query(bytes, max_resp_code, group)?),
            REPORT_V1 => Self::ReportV1 { group },
            REPORT_V2 => Self::ReportV2 { group },
            LEAVE => Self::Leave { group },
            REPORT_V3 => {
                let records = Records::parse(u16::from_be_bytes([c, d]), &bytes[HEADER_LEN..]);
                Self::ReportV3(records.ok_or(ParseError::Truncated)?)
            }
            _ => return Err(ParseError::Unsupported),
        })
    }
}

fn query(bytes: &[u8], max_resp_code: u8, group: Ipv4Addr) -> Result<Query<'_>, ParseError> {
    let mut query = Query {
        version: if max_resp_code == 0 {
            Version::V1
        } else {
            Version::V2
        },
        max_resp_code,
        group,
        suppress: false,
        robustness: 0,
        query_interval_code: 0,
        sources: &[],
    };
    let &[flags, qqic, high, low, ref sources @ ..] = &bytes[HEADER_LEN..] else {
        return if bytes.len() == HEADER_LEN {
            Ok(query)
        } else {
            Err(ParseError::BadLength)
        };
    };
    let sources = sources.as_chunks().0;
    query.version = Version::V3;
    query.suppress = flags & 0x08 != 0;
    query.robustness = flags & 0x07;
    query.query_interval_code = qqic;
    query.sources = sources
        .get(..usize::from(u16::from_be_bytes([high, low])))
        .ok_or(ParseError::Truncated)?;
    Ok(query)
}

/// Writes a version 1 report of 8 bytes, with its checksum, into the front of `out`.
///
/// # Panics
/// When `out` is shorter than 8 bytes.
pub fn emit_report_v1(group: Ipv4Addr, out: &mut [u8]) {
    emit_plain(REPORT_V1, group, out);
}

/// Writes a version 2 report of 8 bytes, with its checksum, into the front of `out`.
///
/// # Panics
/// When `out` is shorter than 8 bytes.
pub fn emit_report_v2(group: Ipv4Addr, out: &mut [u8]) {
    emit_plain(REPORT_V2, group, out);
}

/// Writes a leave message of 8 bytes, with its checksum, into the front of `out`.
///
/// # Panics
/// When `out` is shorter than 8 bytes.
pub fn emit_leave(group: Ipv4Addr, out: &mut [u8]) {
    emit_plain(LEAVE, group, out);
}

/// Bytes of a version 3 report.
#[must_use]
pub fn report_v3_len(records: &[Record<'_, 4>]) -> usize {
    HEADER_LEN + records.iter().map(Record::emitted_len).sum::<usize>()
}

/// Writes a version 3 report, with its checksum, into the front of `out`.
///
/// # Panics
/// When `out` is shorter than [`report_v3_len`].
pub fn emit_report_v3(records: &[Record<'_, 4>], out: &mut [u8]) {
    let out = &mut out[..report_v3_len(records)];
    let [high, low] = multicast::count(records.len());
    out[..HEADER_LEN].copy_from_slice(&[REPORT_V3, 0, 0, 0, 0, 0, high, low]);
    let mut at = HEADER_LEN;
    for record in records {
        record.emit(&mut out[at..]);
        at += record.emitted_len();
    }
    fill_checksum(out);
}

fn emit_plain(kind: u8, group: Ipv4Addr, out: &mut [u8]) {
    let out = &mut out[..HEADER_LEN];
    out[..2].copy_from_slice(&[kind, 0]);
    out[4..].copy_from_slice(&group.octets());
    fill_checksum(out);
}

fn fill_checksum(message: &mut [u8]) {
    message[2..4].fill(0);
    let checksum = checksum::of(message);
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::multicast::RecordKind;
    use proptest::prelude::*;

    const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);

    #[test]
    fn plain_messages() {
        let mut out = [0xee; 8];
        emit_report_v2(GROUP, &mut out);
        assert_eq!(out, [0x16, 0, 0xf8, 0xfa, 239, 1, 2, 3]);
        assert_eq!(Message::parse(&out), Ok(Message::ReportV2 { group: GROUP }));
        emit_report_v1(GROUP, &mut out);
        assert_eq!(Message::parse(&out), Ok(Message::ReportV1 { group: GROUP }));
        emit_leave(GROUP, &mut out);
        assert_eq!(Message::parse(&out), Ok(Message::Leave { group: GROUP }));
        out[7] ^= 1;
        assert_eq!(Message::parse(&out), Err(ParseError::BadChecksum));
    }

    #[test]
    fn the_version_of_a_query_is_told_by_length_and_code() {
        let version = |max_resp_code, len| {
            let mut bytes = vec![QUERY, max_resp_code, 0, 0, 0, 0, 0, 0];
            bytes.resize(len, 0);
            fill_checksum(&mut bytes);
            Message::parse(&bytes).map(|m| match m {
                Message::Query(query) => (query.version, query.max_resp_time_ms()),
                _ => panic!("not a query"),
            })
        };
        assert_eq!(version(0, 8), Ok((Version::V1, 10_000)));
        assert_eq!(version(100, 8), Ok((Version::V2, 10_000)));
        assert_eq!(version(200, 8), Ok((Version::V2, 20_000)));
        assert_eq!(version(200, 12), Ok((Version::V3, (24 << 7) * 100)));
        assert_eq!(version(0, 10), Err(ParseError::BadLength));
        assert_eq!(version(0, 7), Err(ParseError::Truncated));
    }

    #[test]
    fn a_version_3_report() {
        let sources = [[10, 0, 0, 1], [10, 0, 0, 2]];
        let records = [
            Record {
                kind: RecordKind::ChangeToExclude,
                group: GROUP.octets(),
                sources: &[],
            },
            Record {
                kind: RecordKind::AllowNewSources,
                group: [232, 0, 0, 1],
                sources: &sources,
            },
        ];
        let mut out = vec![0xee; report_v3_len(&records)];
        assert_eq!(out.len(), 8 + 8 + 16);
        emit_report_v3(&records, &mut out);
        let Ok(Message::ReportV3(read)) = Message::parse(&out) else {
            panic!("not a report")
        };
        assert!(read.into_iter().eq(records));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(
            kind in prop::sample::select(vec![0x11u8, 0x12, 0x16, 0x17, 0x22, 0x30]),
            mut bytes in proptest::collection::vec(any::<u8>(), 0..60),
            few in 0u8..3,
        ) {
            if bytes.len() >= 12 {
                bytes[0] = kind;
                (bytes[6], bytes[7], bytes[10], bytes[11]) = (0, few, 0, few);
                fill_checksum(&mut bytes);
            }
            match Message::parse(&bytes) {
                Ok(Message::ReportV3(records)) => prop_assert!(records.into_iter().count() <= usize::from(few)),
                Ok(Message::Query(query)) => {
                    let mut out = vec![0xee; query.emitted_len()];
                    query.emit(&mut out);
                    prop_assert_eq!(Message::parse(&out), Ok(Message::Query(query)));
                }
                _ => {}
            }
        }
    }
}
