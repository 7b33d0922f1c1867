//! Multicast listener discovery versions 1 (RFC 2710) and 2 (RFC 3810). Messages are ICMPv6: their
//! checksum is [`icmpv6`](crate::icmpv6)'s.

use crate::icmpv6::Type;
use crate::multicast::{self, Record, Records};
use crate::{ParseError, take};
use std::net::Ipv6Addr;

/// Bytes of every message of version 1.
pub const V1_LEN: usize = 24;
/// Bytes of a version 2 query before its sources.
pub const QUERY_V2_LEN: usize = 28;
/// Bytes of a version 2 report before its records.
pub const REPORT_V2_LEN: usize = 8;
/// Hop limit of every message (RFC 3810 §5).
pub const HOP_LIMIT: u8 = 1;
/// Where version 2 reports go (RFC 3810 §5.2.14).
pub const REPORT_V2_GROUP: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);
/// All routers: where version 1 done messages go (RFC 2710 §4).
pub const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

/// The version of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// RFC 2710.
    V1,
    /// RFC 3810.
    V2,
}

/// A multicast listener query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query<'a> {
    /// Which version it is of: told from its length (RFC 3810 §8.1).
    pub version: Version,
    /// Maximum Response Code.
    pub max_resp_code: u16,
    /// The group asked for; unspecified in a general query.
    pub group: Ipv6Addr,
    /// S: routers do not restart their timers. Version 2.
    pub suppress: bool,
    /// QRV: the querier's robustness variable, 0 to 7. Version 2.
    pub robustness: u8,
    /// QQIC: the querier's interval, coded. Version 2.
    pub query_interval_code: u8,
    /// The sources asked for. Version 2.
    pub sources: &'a [[u8; 16]],
}

impl Query<'_> {
    /// Milliseconds within which a host answers.
    #[must_use]
    pub const fn max_resp_delay_ms(&self) -> u32 {
        match self.version {
            Version::V1 => self.max_resp_code as u32,
            Version::V2 => multicast::decode_16(self.max_resp_code),
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
            Version::V1 => V1_LEN,
            Version::V2 => QUERY_V2_LEN + self.sources.as_flattened().len(),
        }
    }

    /// Writes the query, with a checksum of 0, into the front of `out`.
    ///
    /// # Panics
    /// When `out` is shorter than [`emitted_len`](Self::emitted_len).
    pub fn emit(&self, out: &mut [u8]) {
        let out = &mut out[..self.emitted_len()];
        emit_plain(Type::MLD_QUERY, self.group, out);
        out[4..6].copy_from_slice(&self.max_resp_code.to_be_bytes());
        if self.version == Version::V2 {
            let [high, low] = multicast::count(self.sources.len());
            let flags = u8::from(self.suppress) << 3 | self.robustness & 0x07;
            out[24..28].copy_from_slice(&[flags, self.query_interval_code, high, low]);
            out[28..].copy_from_slice(self.sources.as_flattened());
        }
    }
}

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Multicast listener query.
    Query(Query<'a>),
    /// Version 1 report.
    Report {
        /// The group that the sender listens to.
        group: Ipv6Addr,
    },
    /// Version 1 done.
    Done {
        /// The group that the sender no longer listens to.
        group: Ipv6Addr,
    },
    /// Version 2 report.
    ReportV2(Records<'a, 16>),
}

impl<'a> Message<'a> {
    /// Reads a whole message from its ICMPv6 type on.
    ///
    /// Neither the checksum nor groups are judged; source, hop limit and router alert are
    /// [`query_is_acceptable`]'s.
    ///
    /// # Errors
    /// [`Truncated`](ParseError::Truncated) when it ends early; [`BadLength`](ParseError::BadLength)
    /// for a query of 25 to 27 bytes (RFC 3810 §8.1); [`Unsupported`](ParseError::Unsupported) for
    /// other types.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let &[kind, _, _, _, _, _, high, low] = take::<8>(bytes)?;
        if Type(kind) == Type::MLD_REPORT_V2 {
            let count = u16::from_be_bytes([high, low]);
            let records = Records::parse(count, &bytes[REPORT_V2_LEN..]);
            return records.map(Self::ReportV2).ok_or(ParseError::Truncated);
        }
        let group = Ipv6Addr::from(*take::<16>(&bytes[8..])?);
        Ok(match Type(kind) {
            Type::MLD_QUERY => Self::Query(query(bytes, group)?),
            Type::MLD_REPORT => Self::Report { group },
            Type::MLD_DONE => Self::Done { group },
            _ => return Err(ParseError::Unsupported),
        })
    }
}

fn query(bytes: &[u8], group: Ipv6Addr) -> Result<Query<'_>, ParseError> {
    let mut query = Query {
        version: Version::V1,
        max_resp_code: u16::from_be_bytes([bytes[4], bytes[5]]),
        group,
        suppress: false,
        robustness: 0,
        query_interval_code: 0,
        sources: &[],
    };
    let &[flags, qqic, high, low, ref sources @ ..] = &bytes[V1_LEN..] else {
        return if bytes.len() == V1_LEN {
            Ok(query)
        } else {
            Err(ParseError::BadLength)
        };
    };
    let sources = sources.as_chunks().0;
    query.version = Version::V2;
    query.suppress = flags & 0x08 != 0;
    query.robustness = flags & 0x07;
    query.query_interval_code = qqic;
    query.sources = sources
        .get(..usize::from(u16::from_be_bytes([high, low])))
        .ok_or(ParseError::Truncated)?;
    Ok(query)
}

/// Whether a query with this IPv6 source, hop limit and hop-by-hop router alert is to be believed.
///
/// RFC 3810 §5.1.14, §6.2: the source is link-local, the hop limit 1, and a router alert is there.
#[must_use]
pub const fn query_is_acceptable(
    source: Ipv6Addr,
    hop_limit: u8,
    router_alert: Option<u16>,
) -> bool {
    source.is_unicast_link_local() && hop_limit == HOP_LIMIT && matches!(router_alert, Some(0))
}

/// Writes a version 1 report of 24 bytes, with a checksum of 0, into the front of `out`.
///
/// # Panics
/// When `out` is shorter than 24 bytes.
pub fn emit_report(group: Ipv6Addr, out: &mut [u8]) {
    emit_plain(Type::MLD_REPORT, group, out);
}

/// Writes a done message of 24 bytes, with a checksum of 0, into the front of `out`.
///
/// # Panics
/// When `out` is shorter than 24 bytes.
pub fn emit_done(group: Ipv6Addr, out: &mut [u8]) {
    emit_plain(Type::MLD_DONE, group, out);
}

/// Bytes of a version 2 report.
#[must_use]
pub fn report_v2_len(records: &[Record<'_, 16>]) -> usize {
    REPORT_V2_LEN + records.iter().map(Record::emitted_len).sum::<usize>()
}

/// Writes a version 2 report, with a checksum of 0, into the front of `out`.
///
/// # Panics
/// When `out` is shorter than [`report_v2_len`].
pub fn emit_report_v2(records: &[Record<'_, 16>], out: &mut [u8]) {
    let out = &mut out[..report_v2_len(records)];
    let [high, low] = multicast::count(records.len());
    out[..REPORT_V2_LEN].copy_from_slice(&[Type::MLD_REPORT_V2.0, 0, 0, 0, 0, 0, high, low]);
    let mut at = REPORT_V2_LEN;
    for record in records {
        record.emit(&mut out[at..]);
        at += record.emitted_len();
    }
}

fn emit_plain(kind: Type, group: Ipv6Addr, out: &mut [u8]) {
    out[..8].copy_from_slice(&[kind.0, 0, 0, 0, 0, 0, 0, 0]);
    out[8..V1_LEN].copy_from_slice(&group.octets());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::multicast::RecordKind;
    use proptest::prelude::*;

    const GROUP: Ipv6Addr = Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0, 0x1234);
    const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

    #[test]
    fn version_1_messages() {
        let mut out = [0xee; 24];
        emit_report(GROUP, &mut out);
        assert_eq!(out[..10], [131, 0, 0, 0, 0, 0, 0, 0, 0xff, 0x05]);
        assert_eq!(Message::parse(&out), Ok(Message::Report { group: GROUP }));
        emit_done(GROUP, &mut out);
        assert_eq!(Message::parse(&out), Ok(Message::Done { group: GROUP }));
        assert_eq!(Message::parse(&out[..23]), Err(ParseError::Truncated));
    }

    #[test]
    fn the_version_of_a_query_is_told_by_its_length() {
        let mut bytes = [0; 28];
        (bytes[0], bytes[4], bytes[5]) = (130, 0x90, 0x00);
        let delay = |len: usize| {
            Message::parse(&bytes[..len]).map(|m| match m {
                Message::Query(query) => (query.version, query.max_resp_delay_ms()),
                _ => panic!("not a query"),
            })
        };
        assert_eq!(delay(24), Ok((Version::V1, 0x9000)));
        assert_eq!(delay(28), Ok((Version::V2, 0x1000 << 4)));
        assert_eq!(delay(26), Err(ParseError::BadLength));
    }

    #[test]
    fn queries_come_from_a_neighbour() {
        assert!(query_is_acceptable(LINK_LOCAL, 1, Some(0)));
        assert!(!query_is_acceptable(GROUP, 1, Some(0)));
        assert!(!query_is_acceptable(LINK_LOCAL, 2, Some(0)));
        assert!(!query_is_acceptable(LINK_LOCAL, 1, None));
        assert!(!query_is_acceptable(LINK_LOCAL, 1, Some(1)));
    }

    #[test]
    fn a_version_2_report() {
        let sources = [LINK_LOCAL.octets()];
        let records = [
            Record {
                kind: RecordKind::ModeIsExclude,
                group: GROUP.octets(),
                sources: &[],
            },
            Record {
                kind: RecordKind::BlockOldSources,
                group: GROUP.octets(),
                sources: &sources,
            },
        ];
        let mut out = vec![0xee; report_v2_len(&records)];
        assert_eq!(out.len(), 8 + 20 + 36);
        emit_report_v2(&records, &mut out);
        let Ok(Message::ReportV2(read)) = Message::parse(&out) else {
            panic!("not a report")
        };
        assert!(read.into_iter().eq(records));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(
            kind in prop::sample::select(vec![130u8, 131, 132, 143, 144]),
            mut bytes in proptest::collection::vec(any::<u8>(), 0..100),
            few in 0u8..3,
        ) {
            if bytes.len() >= 28 {
                bytes[0] = kind;
                (bytes[6], bytes[7], bytes[26], bytes[27]) = (0, few, 0, few);
            }
            match Message::parse(&bytes) {
                Ok(Message::ReportV2(records)) => {
                    prop_assert!(records.into_iter().count() <= 5000);
                }
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
