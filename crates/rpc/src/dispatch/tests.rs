use super::*;

/// Adds two numbers.
fn adder(version: u32) -> impl Service {
    service_fn(7, version, |call, arguments, results| {
        let written = match call.procedure {
            0 => Ok(()),
            1 => {
                let (a, b): (u32, u32) = arguments.value()?;
                results.u32(a + b)
            }
            2 => return Err(Fault::Auth(AuthStatus::TooWeak)),
            3 => return Err(Fault::Silent),
            4 => match &call.credential {
                Credential::Sys(user) => results.u32(user.uid),
                Credential::None => return Err(Fault::Auth(AuthStatus::TooWeak)),
            },
            _ => return Err(Fault::ProcedureUnavailable),
        };
        written.map_err(|_| Fault::SystemError)
    })
}

fn programs() -> Programs {
    Programs::new()
        .with(adder(2))
        .with(adder(4))
        .with_shorthands()
}

fn header(version: u32, procedure: u32) -> CallHeader<'static> {
    CallHeader {
        xid: 5,
        program: 7,
        version,
        procedure,
        credential: Auth::NONE,
        verifier: Auth::NONE,
    }
}

fn say(programs: &Programs, header: &CallHeader<'_>, arguments: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    header.encode(&mut Encoder::new(&mut message)).unwrap();
    message.extend(arguments);
    let mut out = Vec::new();
    programs.dispatch(&message, Peer::Local, &mut out, 1000);
    out
}

fn body(reply: &[u8]) -> ReplyBody<'_> {
    ReplyHeader::decode(&mut Decoder::new(reply)).unwrap().body
}

fn status(reply: &[u8]) -> Accepted {
    match body(reply) {
        ReplyBody::Accepted { status, .. } => status,
        ReplyBody::Rejected(why) => panic!("rejected: {why:?}"),
    }
}

#[test]
fn each_state_is_reached() {
    let programs = programs();
    let two = [0, 0, 0, 2, 0, 0, 0, 3];
    let sum = say(&programs, &header(2, 1), &two);
    assert_eq!(status(&sum), Accepted::Success);
    assert_eq!(sum[sum.len() - 4..], [0, 0, 0, 5]);
    let status_of = |header, arguments: &[u8]| status(&say(&programs, &header, arguments));
    assert_eq!(
        status_of(header(3, 1), &two),
        Accepted::ProgramMismatch { low: 2, high: 4 }
    );
    assert_eq!(
        status_of(header(2, 9), &two),
        Accepted::ProcedureUnavailable
    );
    assert_eq!(
        status_of(header(2, 1), &two[..7]),
        Accepted::GarbageArguments
    );
    let elsewhere = CallHeader {
        program: 8,
        ..header(2, 1)
    };
    assert_eq!(status_of(elsewhere, &two), Accepted::ProgramUnavailable);
    let weak = Rejected::Auth(AuthStatus::TooWeak);
    let refused = say(&programs, &header(4, 2), &[]);
    assert_eq!(body(&refused), ReplyBody::Rejected(weak));
    assert!(say(&programs, &header(4, 3), &[]).is_empty());
}

#[test]
fn another_version_of_the_protocol_is_told_ours() {
    let mut message = Vec::new();
    let call = header(2, 0);
    call.encode(&mut Encoder::new(&mut message)).unwrap();
    message[11] = 1;
    let mut out = Vec::new();
    programs().dispatch(&message, Peer::Local, &mut out, 1000);
    let (low, high) = (2, 2);
    assert_eq!(
        body(&out),
        ReplyBody::Rejected(Rejected::RpcMismatch { low, high })
    );
}

#[test]
fn a_shorthand_stands_for_the_user_until_it_is_forgotten() {
    let programs = programs();
    let user = AuthSys {
        uid: 1000,
        ..AuthSys::default()
    };
    let sys = xdr::to_bytes(&user).unwrap();
    let with = |flavor, body| CallHeader {
        credential: Auth { flavor, body },
        ..header(2, 4)
    };
    let reply = say(&programs, &with(flavor::SYS, &sys), &[]);
    let ReplyBody::Accepted { verifier, .. } = body(&reply) else {
        panic!("rejected");
    };
    assert_eq!(verifier.flavor, flavor::SHORT);
    let again = say(&programs, &with(flavor::SHORT, verifier.body), &[]);
    assert_eq!(again[again.len() - 4..], 1000_u32.to_be_bytes());
    let rejected = say(&programs, &with(flavor::SHORT, b"unknown!"), &[]);
    let why = Rejected::Auth(AuthStatus::RejectedCredential);
    assert_eq!(body(&rejected), ReplyBody::Rejected(why));
    let broken = say(&programs, &with(flavor::SYS, &sys[..6]), &[]);
    let why = Rejected::Auth(AuthStatus::BadCredential);
    assert_eq!(body(&broken), ReplyBody::Rejected(why));
}

#[test]
fn tls_begins_only_where_it_is_spoken() {
    let tls = Auth {
        flavor: flavor::TLS,
        body: &[],
    };
    let probe = CallHeader {
        credential: tls,
        ..header(2, 0)
    };
    let why = ReplyBody::Rejected(Rejected::Auth(AuthStatus::BadCredential));
    assert_eq!(body(&say(&programs(), &probe, &[])), why);
    let speaking = programs().with_starttls();
    let reply = say(&speaking, &probe, &[]);
    let ReplyBody::Accepted { verifier, status } = body(&reply) else {
        panic!("rejected");
    };
    assert_eq!((verifier.body, status), (&STARTTLS[..], Accepted::Success));
    let elsewhere = CallHeader {
        procedure: 1,
        ..probe
    };
    assert_eq!(body(&say(&speaking, &elsewhere, &[])), why);
}

#[test]
fn a_reply_longer_than_its_transport_takes_is_an_error_of_the_system() {
    let mut out = Vec::new();
    assert!(answer(&mut out, 1, Ok(&[0; 100]), 100));
    assert_eq!(status(&out), Accepted::SystemError);
    out.clear();
    assert!(!answer(&mut out, 1, Err(Fault::Silent), 100));
    assert!(out.is_empty());
}
