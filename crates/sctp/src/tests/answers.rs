//! What single packets of another implementation are answered with, as ETSI's scripts want it.

use super::hostile::{cookie, echo, first, last};
use super::pair::{A, B, PORT, Pair};
use sockeye_wire::sctp::{
    ChunkType, Chunks, Data, DataFlags, HEADER_LEN, Init, InitAck, Parameter, ParameterType,
    Parameters, Tsn,
};

const PEER: u16 = 5555;

fn init_with<'a>(parameters: &'a [u8]) -> Init<'a> {
    Init {
        initiate_tag: 7,
        a_rwnd: 100_000,
        outbound_streams: 10,
        inbound_streams: 10,
        initial_tsn: Tsn(1000),
        parameters,
    }
}

fn data() -> Vec<u8> {
    let mut out = Vec::new();
    Data {
        flags: DataFlags::BEGIN | DataFlags::END,
        tsn: Tsn(1000),
        stream: 0,
        ssn: 0,
        ppid: 0,
        payload: b"four",
    }
    .emit(&mut out);
    out
}

fn kinds(chunks: &[u8]) -> Vec<ChunkType> {
    Chunks::new(chunks)
        .map(|chunk| chunk.unwrap().kind)
        .collect()
}

/// RFC 9260 §3.3.3: the cookie; what the INIT offered, too, and no more; what was not known.
/// RFC 9260 §3.2.2-1.
#[test]
fn an_init_ack_offers_what_the_init_offered() {
    let answer = |parameters: &[u8]| {
        let mut pair = Pair::new();
        pair.listen();
        let mut init = Vec::new();
        init_with(parameters).emit(&mut init);
        pair.inject(B, (PEER, PORT), 0, &init);
        let chunks = last(&mut pair);
        let ack = InitAck::parse(&first(&chunks)).unwrap().0;
        let all = Parameters::new(ack.parameters).flatten();
        all.map(|raw| raw.kind).collect::<Vec<_>>()
    };
    assert_eq!(answer(&[]), [ParameterType::STATE_COOKIE]);
    let mut some = Vec::new();
    Parameter::EcnCapable.emit(&mut some);
    some.extend([0xc0, 0xcc, 0, 5, 1, 0, 0, 0]);
    let known = [
        ParameterType::STATE_COOKIE,
        Parameter::EcnCapable.kind(),
        ParameterType::UNRECOGNIZED,
    ];
    assert_eq!(answer(&some), known);
}

/// RFC 9260 §5.1 D: COOKIE ACK and a SACK share a packet where DATA came with the cookie.
/// RFC 9260 §3.3.12-1, §5.1-8, §5.1.5-5, §5.1.5-6, §6-7.
#[test]
fn data_beside_the_cookie_is_acknowledged_beside_it() {
    let mut pair = Pair::new();
    pair.listen();
    let mut init = Vec::new();
    init_with(&[]).emit(&mut init);
    pair.inject(B, (PEER, PORT), 0, &init);
    let (cookie, tag) = cookie(&last(&mut pair));
    pair.inject(B, (PEER, PORT), tag, &[echo(&cookie), data()].concat());
    let answer = last(&mut pair);
    assert_eq!(kinds(&answer), [ChunkType::COOKIE_ACK, ChunkType::SACK]);
}

/// RFC 9260 §3: an INIT ACK is the only chunk of its packet.
/// RFC 9260 §3-1.
#[test]
fn an_init_ack_with_data_beside_it_violates_the_protocol() {
    let mut pair = Pair::new();
    pair.dial();
    let init = last(&mut pair);
    let tag = Init::parse(&first(&init)).unwrap().initiate_tag;
    let header = &pair.log.last().unwrap().bytes[..HEADER_LEN];
    let port = u16::from_be_bytes([header[0], header[1]]);
    let mut parameters = Vec::new();
    Parameter::StateCookie(b"bake").emit(&mut parameters);
    let mut ack = Vec::new();
    InitAck(init_with(&parameters)).emit(&mut ack);
    pair.inject(A, (PORT, port), tag, &[ack, data()].concat());
    assert_eq!(kinds(&last(&mut pair)), [ChunkType::ABORT]);
}
