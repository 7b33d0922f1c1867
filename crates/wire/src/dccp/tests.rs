use super::options::{Meaning, RawOption, Side, block, blocks, run, runs, walk};
use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

fn header(kind: Kind, extended: bool) -> Header {
    Header {
        source_port: 5001,
        destination_port: 80,
        options_len: 0,
        ccval: 3,
        coverage: 1,
        checksum: 0x1234,
        extended,
        seq: Seq::new(0x0000_0012_3456),
        kind,
    }
}

/// RFC 4340 §5.1, §5.2.
#[test]
fn a_request_as_it_lies_on_the_wire() {
    let request = header(
        Kind::Request {
            service: 0x6664_707a,
        },
        true,
    );
    let mut out = [0xee; 20];
    request.emit(&mut out);
    let expected = [
        0x13, 0x89, 0, 80, 5, 0x31, 0x12, 0x34, 1, 0, 0, 0, 0, 0x12, 0x34, 0x56, 0x66, 0x64, 0x70,
        0x7a,
    ];
    assert_eq!(out, expected);
    assert_eq!(Header::parse(&out), Ok(request));
}

/// RFC 4340 §5.1-9 and §5.1-10: X = 0 is for Data, Ack and DataAck.
#[test]
fn short_numbers_are_for_three_types() {
    let ack = header(Kind::Ack(Seq::new(7)), false);
    let mut out = [0xee; 16];
    ack.emit(&mut out);
    assert_eq!(&out[8..], [6, 0x12, 0x34, 0x56, 0, 0, 0, 7]);
    assert_eq!(Header::parse(&out), Ok(ack));
    for ty in PacketType::ALL {
        out[8] = ty.number() << 1;
        out[4] = 4;
        let parsed = Header::parse(&out);
        assert_eq!(parsed.is_ok(), ty.may_be_short(), "{ty}");
    }
}

/// RFC 4340 §3.1-1 and §3.1-2, §5.1-4 and §5.1-5, §5.1-11 and §5.1-12: zero where they are written,
/// ignored where they are read.
#[test]
fn reserved_bits_are_zero_and_ignored() {
    let ack = header(Kind::Ack(Seq::new(7)), true);
    let mut out = [0xee; 24];
    ack.emit(&mut out);
    assert_eq!((out[8] >> 5, out[9], &out[16..18]), (0, 0, &[0, 0][..]));
    out[8] |= 0xe0;
    out[9] = 0xff;
    out[16..18].copy_from_slice(&[0xff, 0xff]);
    assert_eq!(Header::parse(&out), Ok(ack));
}

/// RFC 4340 §13.2-2: more than 0.65535 s in the long form. RFC 4340 §5.8-10 and §5.8-11: a wrong length is
/// an invalid value.
#[test]
fn times_are_as_long_as_they_need() {
    let written = |units| {
        let mut out = Vec::new();
        Meaning::ElapsedTime(units).write(&mut out);
        out
    };
    assert_eq!(written(65_535), [43, 4, 0xff, 0xff]);
    assert_eq!(written(65_536), [43, 6, 0, 1, 0, 0]);
    for invalid in [&[44, 4, 1, 2][..], &[43, 3, 1], &[41, 4, 1, 2]] {
        let option = walk(invalid).next().unwrap();
        assert!(
            matches!(option.meaning(), Meaning::Unknown(_)),
            "{invalid:?}"
        );
    }
}

/// RFC 4340 §5.1-1, §5.1-6, §5.1-7 and §5.1-8.
#[test]
fn malformed_headers_are_refused() {
    let mut out = [0; 24];
    header(Kind::Ack(Seq::new(7)), true).emit(&mut out);
    assert_eq!(Header::parse(&out[..11]), Err(ParseError::Truncated));
    assert_eq!(Header::parse(&out[..23]), Err(ParseError::Truncated));
    out[4] = 5;
    assert_eq!(Header::parse(&out), Err(ParseError::BadLength));
    out[4] = 6;
    out[8] = 11 << 1 | 1;
    assert_eq!(Header::parse(&out), Err(ParseError::BadValue));
}

/// RFC 4340 §6.5.
#[test]
fn the_encodings_of_the_rfc() {
    let change = |side, feature, values| Meaning::Change {
        side,
        feature,
        values,
    };
    let confirm = |side, feature, values| Meaning::Confirm {
        side,
        feature,
        values,
    };
    let all: [(Meaning<'_>, &[u8]); 7] = [
        (change(Side::Local, 1, &[2, 3]), &[32, 5, 1, 2, 3]),
        (
            change(Side::Local, 3, &[0, 0, 0, 0, 4, 0]),
            &[32, 9, 3, 0, 0, 0, 0, 4, 0],
        ),
        (confirm(Side::Local, 1, &[2, 2, 3]), &[33, 6, 1, 2, 2, 3]),
        (confirm(Side::Local, 126, &[]), &[33, 3, 126]),
        (change(Side::Remote, 1, &[3, 2]), &[34, 5, 1, 3, 2]),
        (confirm(Side::Remote, 1, &[2, 3, 2]), &[35, 6, 1, 2, 3, 2]),
        (confirm(Side::Remote, 126, &[]), &[35, 3, 126]),
    ];
    for (meaning, bytes) in all {
        let mut out = Vec::new();
        meaning.write(&mut out);
        assert_eq!(out, bytes);
        let read: Vec<_> = walk(bytes).map(RawOption::meaning).collect();
        assert_eq!(read, [meaning]);
    }
}

/// RFC 4340 §11.4, §11.7: the examples.
#[test]
fn vectors_of_the_rfc() {
    let vector: Vec<_> = runs(&[0, 192, 3, 64, 5]).collect();
    assert_eq!(vector, [(0, 1), (3, 1), (0, 4), (1, 1), (0, 6)]);
    let dropped: Vec<_> = blocks(&[0, 160, 3, 162]).collect();
    assert_eq!(dropped, [(None, 1), (Some(2), 1), (None, 4), (Some(2), 3)]);
}

/// RFC 4340 §5.8-5 and §5.8-6: a length that makes no sense ends the options.
#[test]
fn a_senseless_length_ends_the_walk() {
    let kinds = |bytes| walk(bytes).map(|o| o.kind).collect::<Vec<_>>();
    assert_eq!(kinds(&[0, 2, 37, 3, 1, 1]), [0, 2, 37, 1]);
    assert_eq!(kinds(&[2, 37, 1, 2]), [2]);
    assert_eq!(kinds(&[2, 37, 9, 2]), [2]);
    assert_eq!(kinds(&[37]), []);
}

fn kinds() -> impl Strategy<Value = Kind> {
    let seq = (0..1u64 << 48).prop_map(Seq::new);
    prop_oneof![
        any::<u32>().prop_map(|service| Kind::Request { service }),
        any::<u32>().prop_map(|service| Kind::Listen { service }),
        (seq.clone(), any::<u32>()).prop_map(|(ack, service)| Kind::Response { ack, service }),
        Just(Kind::Data),
        seq.clone().prop_map(Kind::Ack),
        seq.clone().prop_map(Kind::DataAck),
        seq.clone().prop_map(Kind::CloseReq),
        seq.clone().prop_map(Kind::Close),
        seq.clone().prop_map(Kind::Sync),
        seq.clone().prop_map(Kind::SyncAck),
        (seq, any::<u8>(), any::<[u8; 3]>()).prop_map(|(ack, code, data)| Kind::Reset {
            ack,
            code: ResetCode(code),
            data
        }),
    ]
}

proptest! {
    #[test]
    fn what_is_emitted_parses_alike(
        kind in kinds(), ports in any::<(u16, u16)>(), seq in 0..1u64 << 48, nibbles in any::<u8>(),
        checksum in any::<u16>(), words in 0u16..50, short in any::<bool>(),
    ) {
        let extended = !(short && kind.packet_type().may_be_short());
        let width = if extended { u64::MAX } else { 0xff_ffff };
        let narrow = |seq: Seq| Seq::new(seq.value() & width);
        let header = Header {
            source_port: ports.0, destination_port: ports.1, options_len: words * 4,
            ccval: nibbles >> 4, coverage: nibbles & 15, checksum, extended,
            seq: narrow(Seq::new(seq)),
            kind: kind.ack().map_or(kind, |ack| kind.with_ack(narrow(ack))),
        };
        let mut out = vec![0; header.header_len()];
        header.emit(&mut out);
        prop_assert_eq!(Header::announced_len(&out), Ok(header.header_len()));
        prop_assert_eq!(Header::parse(&out), Ok(header));
    }

    #[test]
    fn nothing_received_panics(bytes in vec(any::<u8>(), 0..80)) {
        if let Ok(header) = Header::parse(&bytes) {
            let options = &bytes[header.fixed_len()..header.header_len()];
            for option in walk(options) {
                let _ = option.meaning();
            }
            let _ = coverage::covered(header.coverage, header.header_len(), bytes.len());
        }
    }

    #[test]
    fn options_read_as_they_were_written(bytes in vec(any::<u8>(), 0..80)) {
        for option in walk(&bytes) {
            let mut out = Vec::new();
            let meaning = option.meaning();
            meaning.write(&mut out);
            let back: Vec<_> = walk(&out).map(RawOption::meaning).collect();
            prop_assert_eq!(back, [meaning]);
        }
    }

    #[test]
    fn runs_and_blocks_read_as_they_were_written(state in 0u8..4, code in 0u8..8, n in 1u8..=128) {
        prop_assert_eq!(blocks(&[block(None, n)]).next(), Some((None, n)));
        let few = n.min(16);
        prop_assert_eq!(blocks(&[block(Some(code), few)]).next(), Some((Some(code), few)));
        let some = n.min(64);
        prop_assert_eq!(runs(&[run(state, some)]).next(), Some((state, some)));
    }
}
