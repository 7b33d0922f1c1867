//! Terms, keys, codes.

use super::*;
use sockeye_wire::sctp::{Chunks, CookieAck, Parameter, Parameters};

const RANDOMS: [[u8; 32]; 2] = [[0x11; 32], [0x22; 32]];

fn asconf_only() -> ChunkSet {
    ChunkSet::new(&[ChunkType::ASCONF.0, ChunkType::ASCONF_ACK.0])
}

/// Both ends of an association whose shared keys are these.
fn pair(keys: [SharedKeys; 2]) -> [Authenticator; 2] {
    let [a, b] = RANDOMS.map(|random| Terms::offer(&random, asconf_only(), &Algorithms::default()));
    let [ours, theirs] = keys;
    [
        Authenticator::new(ours, a.clone(), b.clone()).unwrap(),
        Authenticator::new(theirs, b, a).unwrap(),
    ]
}

fn keys(id: u16, secret: &[u8]) -> SharedKeys {
    let mut keys = SharedKeys::default();
    keys.set(id, secret).unwrap();
    keys.activate(id).unwrap();
    keys
}

/// A signed packet's chunks.
fn signed(by: &Authenticator) -> Vec<u8> {
    let mut out = vec![];
    let at = by.begin(None, &mut out);
    CookieAck.emit(&mut out);
    by.sign(None, &mut out, at);
    assert_eq!(out.len(), by.chunk_len() + 4);
    out
}

fn verdict(by: &Authenticator, bytes: &[u8]) -> Verdict {
    let mut chunks = Chunks::new(bytes);
    let auth = chunks.next().unwrap().unwrap();
    by.verify(&auth, chunks.rest())
}

/// RFC 4895 §6.2 and §6.3, with a code that another implementation of HMAC made from the text.
#[test]
fn what_one_signs_the_other_verifies() {
    let [a, b] = pair([keys(5, b"secret"), keys(5, b"secret")]);
    let packet = signed(&a);
    assert_eq!(packet[..8], [15, 0, 0, 40, 0, 5, 0, 3]);
    assert_eq!(packet[8..40], KNOWN_CODE);
    assert_eq!(verdict(&b, &packet), Verdict::Good(5));
    for index in 4..packet.len() {
        let mut forged = packet.clone();
        forged[index] ^= 0x40;
        assert!(!matches!(verdict(&b, &forged), Verdict::Good(_)));
    }
    let mut odd = packet.clone();
    odd[7] = 2;
    assert_eq!(verdict(&b, &odd), Verdict::Unsupported(HmacId(2)));
    // A code that is cut short.
    let mut short = packet[..24].to_vec();
    short[3] = 24;
    assert_eq!(verdict(&b, &short), Verdict::Bad);
}

/// RFC 4895 §6.3: another secret, another number, no key at all.
#[test]
fn wrong_keys() {
    let [a, _] = pair([keys(5, b"secret"), keys(5, b"secret")]);
    let packet = signed(&a);
    for other in [keys(5, b"other"), keys(6, b"secret"), SharedKeys::default()] {
        let [_, b] = pair([keys(5, b"secret"), other]);
        assert_eq!(verdict(&b, &packet), Verdict::Bad);
    }
    // RFC 4895 §6.1: without any shared key both have number 0, which is empty.
    let [a, b] = pair([SharedKeys::default(), SharedKeys::default()]);
    assert_eq!(verdict(&b, &signed(&a)), Verdict::Good(0));
    // The one that signed does not take its own for the peer's: the vectors make no difference,
    // but what must be signed does.
    assert!(a.must_sign(ChunkType::ASCONF) && a.must_be_signed(ChunkType::ASCONF_ACK));
    assert!(!a.must_sign(ChunkType::DATA));
}

/// RFC 6458 §8.3.2 to §8.3.5.
#[test]
fn keys_are_set_activated_deactivated_and_deleted() {
    let mut keys = SharedKeys::default();
    assert_eq!(keys.activate(1), Err(KeyError::Unknown));
    keys.set(1, b"one").unwrap();
    keys.activate(1).unwrap();
    assert_eq!(keys.delete(1), Err(KeyError::InUse));
    assert_eq!(keys.deactivate(1), Err(KeyError::InUse));
    keys.deactivate(0).unwrap();
    assert_eq!(keys.activate(0), Err(KeyError::InUse));
    let [a, mut b] = pair([SharedKeys::default(), keys]);
    // A deactivated key verifies, a deleted one does not.
    assert_eq!(verdict(&b, &signed(&a)), Verdict::Good(0));
    b.keys_mut().delete(0).unwrap();
    assert_eq!(verdict(&b, &signed(&a)), Verdict::Bad);
    assert_eq!(b.keys_mut().delete(0), Err(KeyError::Unknown));
    for id in 0..=u16::MAX {
        if b.keys_mut().set(id, b"x").is_err() {
            assert_eq!(usize::from(id), keys::KEYS_MAX);
            break;
        }
    }
    assert_eq!(
        b.keys_mut().set(1, &[0; keys::KEY_LEN_MAX + 1]),
        Err(KeyError::Limit)
    );
    assert!(!format!("{:?}", b.keys_mut()).contains("one"));
}

/// RFC 4895 §3 and §6.1: what an INIT says.
#[test]
fn terms_are_read_as_they_were_sent() {
    let mut bytes = vec![];
    let chunks = ChunkSet::new(&[0, 1, 2, 14, 15, 0xc1]);
    assert_eq!(chunks.kinds(), [0, 0xc1]);
    Parameter::EcnCapable.emit(&mut bytes);
    parameters(&RANDOMS[0], chunks, &Algorithms::default(), &mut bytes);
    let terms = Terms::read(Parameters::new(&bytes)).unwrap().unwrap();
    assert_eq!(
        terms,
        Terms::offer(&RANDOMS[0], chunks, &Algorithms::default())
    );
    // RANDOM 36 bytes, CHUNKS 6 without padding, HMAC-ALGO 8.
    assert_eq!(terms.vector.len(), 50);
    assert_eq!(terms.vector[36..42], [0x80, 3, 0, 6, 0, 0xc1]);
    assert_eq!(Terms::from_vector(&terms.vector), Some(terms));
    assert_eq!(Terms::from_vector(&[]), None);
    let read = |list: &[Parameter<'_>]| {
        let mut bytes = vec![];
        for parameter in list {
            parameter.emit(&mut bytes);
        }
        Terms::read(Parameters::new(&bytes))
    };
    use sockeye_wire::sctp::List;
    assert_eq!(read(&[]), Ok(None));
    assert_eq!(read(&[Parameter::Random(&[1; 31])]), Err(BadTerms::Random));
    assert_eq!(
        read(&[Parameter::Random(&[1; 32])]),
        Err(BadTerms::Algorithms)
    );
    assert_eq!(
        read(&[
            Parameter::Random(&[1; 32]),
            Parameter::HmacAlgorithms(List::Values(&[3]))
        ]),
        Err(BadTerms::Algorithms)
    );
    // The peer's first that is known.
    let peer = read(&[
        Parameter::Random(&[1; 32]),
        Parameter::HmacAlgorithms(List::Values(&[2, 1, 3])),
    ]);
    let local = Terms::offer(&RANDOMS[0], chunks, &Algorithms::default());
    let auth = Authenticator::new(SharedKeys::default(), local, peer.unwrap().unwrap()).unwrap();
    assert_eq!(auth.chunk_len(), 28);
}

/// RFC 4895 §6.1: as numbers.
#[test]
fn key_vectors_are_ordered() {
    use core::cmp::Ordering::{Equal, Greater, Less};
    for (one, other, order) in [
        (&[1, 2][..], &[1, 3][..], Less),
        (&[2], &[1, 0], Less),
        (&[0, 0, 2], &[1], Greater),
        (&[0, 1], &[1], Greater),
        (&[1], &[1], Equal),
    ] {
        assert_eq!(terms::compare(one, other), order);
        assert_eq!(terms::compare(other, one), order.reverse());
    }
}

/// Made by Python's hmac: a key of "secret" and both vectors, the chunks with a code of zeros.
const KNOWN_CODE: [u8; 32] = [
    0xd4, 0xda, 0x4f, 0x85, 0xa7, 0xfa, 0x90, 0xb4, 0x9a, 0x7e, 0x69, 0x62, 0xa9, 0x84, 0x58, 0x8f,
    0xe2, 0xf1, 0x43, 0x51, 0x14, 0xd0, 0x90, 0x0a, 0xb4, 0x85, 0x9c, 0x4d, 0x8d, 0x2a, 0x3e, 0x18,
];
