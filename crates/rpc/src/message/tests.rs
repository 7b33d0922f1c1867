use super::*;
use crate::xdr::{from_bytes, to_bytes};
use proptest::prelude::*;

fn call(body: &[u8]) -> CallHeader<'_> {
    CallHeader {
        xid: 7,
        program: 100_003,
        version: 3,
        procedure: 1,
        credential: Auth {
            flavor: flavor::SYS,
            body,
        },
        verifier: Auth::NONE,
    }
}

fn encoded(call: &CallHeader<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    call.encode(&mut Encoder::new(&mut bytes)).unwrap();
    bytes
}

fn all_bodies() -> Vec<ReplyBody<'static>> {
    let accepted = [
        Accepted::Success,
        Accepted::ProgramUnavailable,
        Accepted::ProgramMismatch { low: 2, high: 4 },
        Accepted::ProcedureUnavailable,
        Accepted::GarbageArguments,
        Accepted::SystemError,
    ];
    let verifier = Auth {
        flavor: flavor::SHORT,
        body: b"short",
    };
    let statuses = (0..16).map(AuthStatus::from_number);
    accepted
        .into_iter()
        .map(|status| ReplyBody::Accepted { verifier, status })
        .chain([ReplyBody::Rejected(Rejected::RpcMismatch {
            low: 2,
            high: 2,
        })])
        .chain(statuses.map(|status| ReplyBody::Rejected(Rejected::Auth(status))))
        .collect()
}

#[test]
fn a_call_is_laid_out_as_in_the_rfc() {
    let bytes = encoded(&CallHeader {
        credential: Auth::NONE,
        ..call(&[])
    });
    let words = [7, 0, 2, 100_003, 3, 1, 0, 0, 0, 0_u32];
    assert_eq!(bytes, words.map(u32::to_be_bytes).concat());
}

#[test]
fn every_state_of_a_reply_comes_back() {
    for body in all_bodies() {
        let reply = ReplyHeader { xid: 9, body };
        let mut bytes = Vec::new();
        reply.encode(&mut Encoder::new(&mut bytes)).unwrap();
        let mut from = Decoder::new(&bytes);
        assert_eq!(ReplyHeader::decode(&mut from), Ok(reply));
        from.finish().unwrap();
        for cut in 0..bytes.len() {
            let short = ReplyHeader::decode(&mut Decoder::new(&bytes[..cut]));
            assert!(short.is_err(), "{body:?} cut at {cut}");
        }
    }
}

#[test]
fn what_is_no_call_says_how_to_answer_it() {
    let mut other_version = encoded(&call(b"body"));
    other_version[11] = 3;
    let decode = |bytes: &[u8]| CallHeader::decode(&mut Decoder::new(bytes)).unwrap_err();
    assert_eq!(decode(&other_version), NoCall::RpcVersion { xid: 7 });
    let mut too_long = encoded(&call(&[1; 400]));
    too_long[30..32].copy_from_slice(&[1, 0x91]);
    let status = AuthStatus::BadCredential;
    assert_eq!(decode(&too_long), NoCall::Auth { xid: 7, status });
    let mut a_reply = encoded(&call(b""));
    a_reply[7] = 1;
    assert_eq!(decode(&a_reply), NoCall::Other);
    assert_eq!(decode(&[0; 3]), NoCall::Other);
}

#[test]
fn a_user_of_a_system_has_its_bounds() {
    let mut user = AuthSys {
        stamp: 1,
        machine_name: "krypton".into(),
        uid: 1000,
        gid: 100,
        gids: vec![4, 24],
    };
    let bytes = to_bytes(&user).unwrap();
    assert_eq!(from_bytes::<AuthSys>(&bytes).as_ref(), Ok(&user));
    user.gids = vec![0; 17];
    assert!(to_bytes(&user).is_err());
    user.gids.clear();
    user.machine_name = "k".repeat(256);
    assert!(to_bytes(&user).is_err());
}

proptest! {
    #[test]
    fn calls_come_back(
        (xid, program, version, procedure) in any::<(u32, u32, u32, u32)>(),
        body in prop::collection::vec(any::<u8>(), 0..400),
        rest in any::<Vec<u8>>(),
    ) {
        let header = CallHeader { xid, program, version, procedure, ..call(&body) };
        let mut bytes = encoded(&header);
        bytes.extend(&rest);
        let mut from = Decoder::new(&bytes);
        prop_assert_eq!(CallHeader::decode(&mut from), Ok(header));
        prop_assert_eq!(from.left(), &rest[..]);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
        let _ = CallHeader::decode(&mut Decoder::new(&bytes));
        let _ = ReplyHeader::decode(&mut Decoder::new(&bytes));
    }
}
