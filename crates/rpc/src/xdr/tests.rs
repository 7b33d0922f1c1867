use super::*;
use proptest::prelude::*;

fn round_trip<T: Xdr + PartialEq + std::fmt::Debug>(value: &T) -> Result<(), TestCaseError> {
    let bytes = to_bytes(value).unwrap();
    prop_assert_eq!(bytes.len() % 4, 0);
    prop_assert_eq!(&from_bytes::<T>(&bytes).unwrap(), value);
    for cut in (0..bytes.len()).step_by(1 + bytes.len() / 64) {
        prop_assert!(from_bytes::<T>(&bytes[..cut]).is_err(), "cut at {}", cut);
    }
    Ok(())
}

proptest! {
    #[test]
    fn numbers_come_back(a: i32, b: u32, c: i64, d: u64) {
        round_trip(&((a, b), (c, d)))?;
    }

    #[test]
    fn bits_of_floats_come_back(a: u32, b: u64, c: [u8; 16]) {
        let value = ((f32::from_bits(a), f64::from_bits(b)), Quadruple(c));
        let bytes = to_bytes(&value).unwrap();
        let ((x, y), z) = from_bytes::<((f32, f64), Quadruple)>(&bytes).unwrap();
        prop_assert_eq!((x.to_bits(), y.to_bits(), z.0), (a, b, c));
    }

    #[test]
    fn what_has_a_length_comes_back(
        text: String,
        bytes: Vec<u8>,
        words: Vec<Vec<u32>>,
        some: Option<Option<bool>>,
        fixed: [i64; 3],
    ) {
        round_trip(&(((text, Opaque(bytes)), (words, some)), fixed))?;
    }

    #[test]
    fn anything_decodes_or_is_refused(bytes: Vec<u8>) {
        let _ = from_bytes::<Vec<Vec<String>>>(&bytes);
        let _ = from_bytes::<Vec<()>>(&bytes);
        let _ = from_bytes::<(Opaque, Option<Box<Option<u64>>>)>(&bytes);
    }
}

#[test]
fn items_are_those_of_the_rfc() {
    // RFC 4506 §7: a file "sillyprog", EXEC with the interpreter "lisp", of "john", with "(quit)".
    let value = (
        ("sillyprog".to_owned(), (2_u32, "lisp".to_owned())),
        ("john".to_owned(), Opaque(b"(quit)".to_vec())),
    );
    let bytes = to_bytes(&value).unwrap();
    let expected: &[&[u8]] = &[
        &[0, 0, 0, 9],
        b"sillyprog\0\0\0",
        &[0, 0, 0, 2],
        &[0, 0, 0, 4],
        b"lisp",
        &[0, 0, 0, 4],
        b"john",
        &[0, 0, 0, 6],
        b"(quit)\0\0",
    ];
    assert_eq!(bytes, expected.concat());
}

#[test]
fn a_length_is_believed_only_as_far_as_the_message_goes() {
    let announced = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1];
    assert!(matches!(
        from_bytes::<Opaque>(&announced),
        Err(Error::Truncated { left: 4, .. })
    ));
    assert!(matches!(
        from_bytes::<Vec<()>>(&announced),
        Err(Error::Truncated { left: 4, .. })
    ));
    let bounded = Decoder::new(&announced).opaque(16);
    assert_eq!(
        bounded,
        Err(Error::TooLong {
            length: 0xffff_ffff,
            bound: 16
        })
    );
}

/// Data that holds itself.
#[derive(Debug)]
struct Chain(Option<Box<Self>>);

impl Xdr for Chain {
    fn encode(&self, to: &mut Encoder<'_>) -> Result<(), Error> {
        self.0.encode(to)
    }
    fn decode(from: &mut Decoder<'_>) -> Result<Self, Error> {
        Option::decode(from).map(Self)
    }
}

#[test]
fn nesting_ends_before_the_stack_does() {
    let mut links = [0, 0, 0, 1].repeat(DEPTH_MAX as usize);
    links.extend([0; 4]);
    assert!(from_bytes::<Chain>(&links).is_ok());
    let links = [0, 0, 0, 1].repeat(1_000_000);
    assert_eq!(from_bytes::<Chain>(&links).unwrap_err(), Error::TooDeep);
}

#[test]
fn booleans_and_text_are_checked() {
    assert!(from_bytes::<bool>(&[0, 0, 0, 2]).is_err());
    assert_eq!(
        from_bytes::<String>(&[0, 0, 0, 1, 0xff, 0, 0, 0]),
        Err(Error::NotText)
    );
    assert_eq!(from_bytes::<u32>(&[0; 8]), Err(Error::Trailing { left: 4 }));
}

#[test]
fn the_limit_of_a_message_holds() {
    let mut out = vec![9];
    let mut to = Encoder::with_limit(&mut out, 8);
    to.u64(1).unwrap();
    assert_eq!(to.u32(1), Err(Error::MessageTooLong { limit: 8 }));
    assert_eq!(out.len(), 9);
}
