//! Vectors, round trips, and arbitrary bytes.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

/// RFC 3720 appendix B.4: sums of 32 bytes; the standard writes their bytes in the order of the
/// wire.
#[test]
fn crc32c_of_rfc_3720() {
    let ascending: Vec<u8> = (0..32).collect();
    let descending: Vec<u8> = (0..32).rev().collect();
    for (bytes, sum) in [
        (&[0; 32][..], [0xaa, 0x36, 0x91, 0x8a]),
        (&[0xff; 32], [0x43, 0xab, 0xa8, 0x62]),
        (&ascending, [0x4e, 0x79, 0xdd, 0x46]),
        (&descending, [0x5c, 0xdb, 0x3f, 0x11]),
        (b"123456789", 0xe306_9283_u32.to_le_bytes()),
    ] {
        let mut crc = Crc32c::new();
        for piece in bytes.chunks(5) {
            crc.update(piece);
        }
        assert_eq!(crc.field().to_be_bytes(), sum);
        assert_eq!(crc.value().to_le_bytes(), sum);
    }
}

/// An INIT as Linux sends it: two addresses, ECN, forward TSN, no authentication.
/// RFC 9260 §3-2.
#[test]
fn an_init_of_linux() {
    let mut packet = vec![];
    Header {
        source_port: 0x1234,
        destination_port: 80,
        ..Header::default()
    }
    .begin(&mut packet);
    let mut parameters = vec![];
    for parameter in [
        Parameter::Address("10.0.0.1".parse().unwrap()),
        Parameter::Address("fd00::1".parse().unwrap()),
        Parameter::SupportedAddressTypes(List::Values(&[6, 5])),
        Parameter::EcnCapable,
        Parameter::ForwardTsnSupported,
        Parameter::SupportedExtensions(&[0xc0, 0x82, 0x40]),
    ] {
        parameter.emit(&mut parameters);
    }
    let init = Init {
        initiate_tag: 0xdead_beef,
        a_rwnd: 106_496,
        outbound_streams: 10,
        inbound_streams: 65535,
        initial_tsn: Tsn(7),
        parameters: &parameters,
    };
    init.emit(&mut packet);
    set_checksum(&mut packet);

    assert!(verify_checksum(&packet));
    // Behind the common header: type, flags and a length that counts no final padding.
    assert_eq!(packet[12..16], [1, 0, 0, 71]);
    assert_eq!(packet.len(), 12 + 72);
    assert_eq!(packet[32..40], [0, 5, 0, 8, 10, 0, 0, 1]);
    assert_eq!(packet[76..84], [0x80, 8, 0, 7, 0xc0, 0x82, 0x40, 0]);
    let mut chunks = Chunks::new(&packet[HEADER_LEN..]);
    let chunk = chunks.next().unwrap().unwrap();
    assert_eq!(Init::parse(&chunk), Ok(init));
    assert!(InitAck::parse(&chunk).is_err());
    assert!(chunks.next().is_none());
    let kinds: Vec<_> = init.parameters().map(|p| p.unwrap().kind.0).collect();
    assert_eq!(kinds, [5, 6, 12, 0x8000, 0xc000, 0x8008]);
}

/// RFC 9260 §3.3.4's own example.
/// RFC 9260 §3.3.4-1, §3.3.4-2.
#[test]
fn a_sack_with_gaps() {
    let gap = |start, end| GapAckBlock { start, end };
    let sack = Sack {
        cumulative_tsn: Tsn(12),
        a_rwnd: 4660,
        gaps: List::Values(&[gap(2, 3), gap(5, 5)]),
        duplicates: List::Values(&[Tsn(11)]),
    };
    let mut out = vec![];
    sack.emit(&mut out);
    assert_eq!(
        out,
        [
            3, 0, 0, 28, 0, 0, 0, 12, 0, 0, 0x12, 0x34, 0, 2, 0, 1, 0, 2, 0, 3, 0, 5, 0, 5, 0, 0,
            0, 11
        ]
    );
    assert_eq!(out.len(), sack.chunk_len());
    assert_eq!(Sack::parse(&only(&out)), Ok(sack));
    // Counts that say more than there is.
    out[13] = 4;
    assert_eq!(Sack::parse(&only(&out)), Err(ParseError::BadLength));
}

/// RFC 9260 §3.3.1-1.
#[test]
fn data_with_its_payload_elsewhere() {
    let data = Data {
        flags: DataFlags::WHOLE | DataFlags::IMMEDIATE,
        tsn: Tsn(1),
        stream: 2,
        ssn: 3,
        ppid: 4,
        payload: b"hello",
    };
    let mut out = vec![];
    data.emit(&mut out);
    assert_eq!(
        out[..16],
        [0, 0x0b, 0, 21, 0, 0, 0, 1, 0, 2, 0, 3, 0, 0, 0, 4]
    );
    assert_eq!(out[16..], *b"hello\0\0\0");
    assert_eq!(data.header(5), out[..16]);
    assert_eq!(Data::parse(&only(&out)), Ok(data));
    // RFC 8260 §2.1: the first fragment has the payload protocol identifier, others their number.
    let mut i_data = IData {
        flags: DataFlags::BEGIN,
        tsn: Tsn(1),
        stream: 2,
        mid: 3,
        ppid: 4,
        fsn: 0,
        payload: b"hell",
    };
    assert_eq!(
        i_data.header(4),
        [64, 2, 0, 24, 0, 0, 0, 1, 0, 2, 0, 0, 0, 0, 0, 3, 0, 0, 0, 4]
    );
    (i_data.flags, i_data.ppid, i_data.fsn) = (DataFlags::END, 0, 9);
    assert_eq!(i_data.header(4)[16..], [0, 0, 0, 9]);
}

/// RFC 5061 §4.2.1's example parameter.
#[test]
fn an_address_to_add() {
    let parameter = Parameter::AddAddress {
        correlation: 0x0102_3474,
        address: "192.0.2.1".parse().unwrap(),
    };
    let mut parameters = vec![];
    parameter.emit(&mut parameters);
    assert_eq!(
        parameters,
        [0xc0, 1, 0, 16, 1, 2, 0x34, 0x74, 0, 5, 0, 8, 192, 0, 2, 1]
    );
    let asconf = Asconf {
        serial: 9,
        address: "fd00::1".parse().unwrap(),
        parameters: &parameters,
    };
    let mut out = vec![];
    asconf.emit(&mut out);
    let chunk = only(&out);
    assert_eq!((chunk.kind, out.len()), (ChunkType::ASCONF, 44));
    assert_eq!(Asconf::parse(&chunk), Ok(asconf));
    let raw = asconf.parameters().next().unwrap().unwrap();
    assert_eq!(Parameter::parse(&raw), Ok(parameter));
}

/// RFC 9260 §3.2: the two high bits of a type say what becomes of it.
#[test]
fn what_is_unknown_says_itself_what_to_do() {
    let action = |kind| {
        let Unknown { skip, report } = ChunkType(kind).when_unknown();
        (skip, report)
    };
    assert_eq!(action(0x3e), (false, false));
    assert_eq!(action(0x7e), (false, true));
    assert_eq!(action(0xbe), (true, false));
    assert_eq!(action(0xfe), (true, true));
    let unknown = ParameterType::FORWARD_TSN.when_unknown();
    assert!(unknown.skip && unknown.report);
    assert!(!ParameterType::HOST_NAME.when_unknown().skip);
}

/// RFC 9260 §6.10-6.
#[test]
fn the_walk_ends_at_what_is_malformed() {
    let walk = |bytes: &[u8]| {
        Chunks::new(bytes)
            .map(|chunk| chunk.map(|c| c.kind.0))
            .collect::<Vec<_>>()
    };
    // A cookie acknowledgment, then an error without its last padding.
    assert_eq!(walk(&[11, 0, 0, 4, 9, 0, 0, 5, 1]), [Ok(11), Ok(9)]);
    assert_eq!(
        walk(&[11, 0, 0, 3, 11, 0, 0, 4]),
        [Err(ParseError::BadLength)]
    );
    assert_eq!(
        walk(&[11, 0, 0, 4, 9, 0, 0, 6, 1]),
        [Ok(11), Err(ParseError::Truncated)]
    );
    assert_eq!(walk(&[11, 0, 0]), [Err(ParseError::Truncated)]);
    let storm = walk(&[11, 0, 0, 4].repeat(CHUNKS_MAX + 9));
    assert_eq!(storm.len(), CHUNKS_MAX + 1);
    assert_eq!(storm.last(), Some(&Err(ParseError::TooMany)));
}

#[test]
fn what_is_too_long_is_left_out() {
    let mut out = vec![];
    Parameter::StateCookie(&[0; 65532]).emit(&mut out);
    assert!(out.is_empty());
    CookieEcho {
        cookie: &[0; 65532],
    }
    .emit(&mut out);
    assert!(out.is_empty());
}

#[test]
fn heartbeats_are_reflected() {
    let mut out = vec![];
    Heartbeat { info: b"12345" }.emit(&mut out);
    assert_eq!(
        out,
        [
            4, 0, 0, 13, 0, 1, 0, 9, b'1', b'2', b'3', b'4', b'5', 0, 0, 0
        ]
    );
    let heartbeat = Heartbeat::parse(&only(&out)).unwrap();
    let mut ack = vec![];
    HeartbeatAck {
        info: heartbeat.info,
    }
    .emit(&mut ack);
    assert_eq!((ack[0], &ack[1..]), (5, &out[1..]));
    assert_eq!(
        HeartbeatAck::parse(&only(&ack)).unwrap().info,
        heartbeat.info
    );
}

/// The only chunk in `bytes`.
fn only(bytes: &[u8]) -> Chunk<'_> {
    let mut chunks = Chunks::new(bytes);
    let chunk = chunks.next().unwrap().unwrap();
    assert!(chunks.next().is_none());
    chunk
}

/// Reads `chunk` as what it is and writes it again; `None` when it does not parse.
fn rewritten(chunk: &Chunk<'_>) -> Option<Vec<u8>> {
    let mut out = vec![];
    match chunk.kind {
        ChunkType::DATA => Data::parse(chunk).ok()?.emit(&mut out),
        ChunkType::I_DATA => IData::parse(chunk).ok()?.emit(&mut out),
        ChunkType::INIT => Init::parse(chunk).ok()?.emit(&mut out),
        ChunkType::INIT_ACK => InitAck::parse(chunk).ok()?.emit(&mut out),
        ChunkType::SACK => Sack::parse(chunk).ok()?.emit(&mut out),
        ChunkType::HEARTBEAT => Heartbeat::parse(chunk).ok()?.emit(&mut out),
        ChunkType::HEARTBEAT_ACK => HeartbeatAck::parse(chunk).ok()?.emit(&mut out),
        ChunkType::ABORT => Abort::parse(chunk).ok()?.emit(&mut out),
        ChunkType::ERROR => OperationError::parse(chunk).ok()?.emit(&mut out),
        ChunkType::SHUTDOWN => Shutdown::parse(chunk).ok()?.emit(&mut out),
        ChunkType::SHUTDOWN_ACK => ShutdownAck.emit(&mut out),
        ChunkType::SHUTDOWN_COMPLETE => ShutdownComplete::parse(chunk).ok()?.emit(&mut out),
        ChunkType::COOKIE_ECHO => CookieEcho::parse(chunk).ok()?.emit(&mut out),
        ChunkType::COOKIE_ACK => CookieAck.emit(&mut out),
        ChunkType::ECNE => Ecne::parse(chunk).ok()?.emit(&mut out),
        ChunkType::CWR => Cwr::parse(chunk).ok()?.emit(&mut out),
        ChunkType::AUTH => Auth::parse(chunk).ok()?.emit(&mut out),
        ChunkType::ASCONF => Asconf::parse(chunk).ok()?.emit(&mut out),
        ChunkType::ASCONF_ACK => AsconfAck::parse(chunk).ok()?.emit(&mut out),
        ChunkType::RE_CONFIG => Reconfig::parse(chunk).ok()?.emit(&mut out),
        ChunkType::PAD => Pad {
            len: u16::try_from(chunk.value().len()).ok()?,
        }
        .emit(&mut out),
        ChunkType::FORWARD_TSN => ForwardTsn::parse(chunk).ok()?.emit(&mut out),
        ChunkType::I_FORWARD_TSN => IForwardTsn::parse(chunk).ok()?.emit(&mut out),
        _ => chunk.emit(&mut out),
    }
    Some(out)
}

const KINDS: [u8; 24] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 64, 128, 130, 132, 192, 193, 194, 77,
];
const PARAMETERS: [u16; 29] = [
    1, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 0x8000, 0x8001, 0x8002, 0x8003, 0x8004,
    0x8005, 0x8008, 0xc000, 0xc001, 0xc002, 0xc003, 0xc004, 0xc005, 0xc006, 0xc07f,
];
const CAUSES: [u16; 20] = [
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0x105, 99,
];

fn tlv(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut out = vec![];
    emit_tlv(&mut out, kind, |out| out.extend_from_slice(value));
    out
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..200)) {
        let _ = Header::parse(&bytes);
        let _ = verify_checksum(&bytes);
        for chunk in Chunks::new(&bytes).flatten() {
            let _ = rewritten(&chunk);
        }
        for raw in Parameters::new(&bytes).flatten() {
            let _ = Parameter::parse(&raw);
        }
        for raw in Causes::new(&bytes).flatten() {
            let _ = Cause::parse(&raw);
        }
    }

    /// What parses is written as bytes that parse to the same: reading and writing once more
    /// changes nothing.
    /// RFC 9260 §3.2-4.
    #[test]
    fn chunks_survive(kind in prop::sample::select(&KINDS[..]), flags: u8, value in vec(any::<u8>(), 0..80)) {
        let mut bytes = vec![];
        chunk::emit(&mut bytes, ChunkType(kind), flags, |out| out.extend_from_slice(&value));
        prop_assert_eq!(bytes.len() % 4, 0);
        if let Some(once) = rewritten(&only(&bytes)) {
            prop_assert_eq!(once[0], kind);
            let twice = rewritten(&only(&once)).unwrap();
            prop_assert_eq!(once, twice);
        }
    }

    /// RFC 9260 §3.2.1-1, §3.2.1-2, §3.2.1-3.
    #[test]
    fn parameters_survive(kind in prop::sample::select(&PARAMETERS[..]), value in vec(any::<u8>(), 0..40)) {
        let bytes = tlv(kind, &value);
        let raw = Parameters::new(&bytes).next().unwrap().unwrap();
        prop_assert_eq!(raw.value(), &value[..]);
        if let Ok(parameter) = Parameter::parse(&raw) {
            prop_assert_eq!(parameter.kind().0, kind);
            let mut out = vec![];
            parameter.emit(&mut out);
            let again = Parameters::new(&out).next().unwrap().unwrap();
            prop_assert_eq!(Parameter::parse(&again), Ok(parameter));
        }
    }

    #[test]
    fn causes_survive(code in prop::sample::select(&CAUSES[..]), value in vec(any::<u8>(), 0..40)) {
        let bytes = tlv(code, &value);
        let raw = Causes::new(&bytes).next().unwrap().unwrap();
        if let Ok(cause) = Cause::parse(&raw) {
            prop_assert_eq!(cause.code().0, code);
            let mut out = vec![];
            cause.emit(&mut out);
            let again = Causes::new(&out).next().unwrap().unwrap();
            prop_assert_eq!(Cause::parse(&again), Ok(cause));
        }
    }

    /// Messages in any number of slices have the sum of the whole.
    #[test]
    fn the_checksum_does_not_see_slices(mut packet in vec(any::<u8>(), 12..200), cut in 12usize..200) {
        let (head, tail) = packet.split_at(cut.min(packet.len()));
        let sum = packet_checksum([head, tail]);
        prop_assert_eq!(sum, checksum_of(&packet));
        set_checksum(&mut packet);
        prop_assert!(verify_checksum(&packet));
        let mut taken = packet.clone();
        prop_assert!(take_checksum(&mut taken, &[]));
        prop_assert_eq!(Header::parse(&taken).unwrap().checksum, 0);
        let mut apart = packet.clone();
        let (head, tail) = apart.split_at_mut(cut.min(packet.len()));
        set_checksum_with(head, &[tail, &[]]);
        prop_assert_eq!(&*head, &packet[..head.len()]);
        prop_assert!(take_checksum(head, &[tail]));
        prop_assert_eq!(Header::parse(&packet).unwrap().checksum, sum);
        packet[0] ^= 1;
        prop_assert!(!verify_checksum(&packet));
    }
}
