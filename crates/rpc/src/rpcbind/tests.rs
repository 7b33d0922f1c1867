use super::interface::{RPCBPROG, Rpcb, RpcbRmtcallargs};
use super::*;
use crate::message::{Auth, AuthSys, CallHeader};
use crate::testing::{PROGRAM, desk};
use crate::xdr::Encoder;
use crate::{CallError, Client, Peer, Programs, Server};
use proptest::prelude::*;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

fn udp(server: SocketAddr, program: u32, version: u32) -> std::io::Result<Client> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    Ok(Client::datagram(socket, server, program, version))
}

/// A binder, and a program by UDP that is not registered yet.
fn served() -> (SocketAddr, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let binder = Binder::new(udp);
    let server = Server::new(binder.programs(NetId::Udp, &to_uaddr(address)));
    thread::spawn(move || server.serve_datagrams(&socket));
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let program = socket.local_addr().unwrap();
    let server = Server::new(Programs::new().with(desk()));
    thread::spawn(move || server.serve_datagrams(&socket));
    (address, program)
}

fn root() -> AuthSys {
    AuthSys::default()
}

fn client(address: SocketAddr) -> BinderClient {
    let client = udp(address, RPCBPROG, 4).unwrap();
    BinderClient::new(&client.with_auth_sys(&root()).unwrap(), NetId::Udp)
}

#[test]
fn what_is_set_is_found_until_it_is_unset() {
    let (binder, program) = served();
    let client = client(binder);
    assert_eq!(client.address(PROGRAM, 1).unwrap(), None);
    assert!(client.set(PROGRAM, 1, NetId::Udp, program).unwrap());
    let elsewhere = SocketAddr::new(program.ip(), 1);
    let again = client.set(PROGRAM, 1, NetId::Udp, elsewhere);
    assert!(!again.unwrap(), "it is there already");
    assert_eq!(client.address(PROGRAM, 1).unwrap(), Some(program));
    assert_eq!(
        client.port(PROGRAM, 1, NetId::Udp).unwrap(),
        Some(program.port())
    );
    // Another version is told where some version is: that says which there are.
    assert_eq!(client.address(PROGRAM, 9).unwrap(), Some(program));
    let maps = client.dump().unwrap();
    assert!(
        maps.iter()
            .any(|map| map.r_prog == PROGRAM && map.r_owner == "superuser")
    );
    assert_eq!(client.port_maps().unwrap().len(), 4);
    assert_eq!(client.addresses(PROGRAM, 1).unwrap()[0].r_nc_proto, "udp");
    let [_, _, four] = client.statistics().unwrap();
    assert_eq!((four.setinfo, four.addrinfo.len()), (1, 2));
    assert!(client.time().unwrap() > 1_700_000_000);
    assert!(client.unset(PROGRAM, 1, None).unwrap());
    assert!(!client.unset(PROGRAM, 1, None).unwrap());
    assert_eq!(client.address(PROGRAM, 1).unwrap(), None);
}

#[test]
fn only_the_owner_and_root_unset() {
    let (binder, program) = served();
    let as_user = |uid| {
        let user = AuthSys {
            uid,
            ..AuthSys::default()
        };
        let client = udp(binder, RPCBPROG, 4).unwrap();
        BinderClient::new(&client.with_auth_sys(&user).unwrap(), NetId::Udp)
    };
    assert!(as_user(1000).set(PROGRAM, 1, NetId::Udp, program).unwrap());
    assert!(!as_user(1001).unset(PROGRAM, 1, None).unwrap());
    assert!(as_user(1000).unset(PROGRAM, 1, None).unwrap());
    assert!(!as_user(0).unset(RPCBPROG, 4, None).unwrap(), "not itself");
}

#[test]
fn a_call_is_passed_on_and_a_broadcast_answered() {
    let (binder, program) = served();
    let client = client(binder);
    client.set(PROGRAM, 1, NetId::Udp, program).unwrap();
    let results = client.call_indirect((PROGRAM, 1, 1), vec![0, 0, 0, 21]);
    assert_eq!(results.unwrap(), [0, 0, 0, 42]);
    let unknown = client.call_indirect((PROGRAM, 2, 1), Vec::new());
    assert!(matches!(unknown, Err(CallError::SystemError)));

    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut heard = Vec::new();
    let limit = Duration::from_secs(20);
    broadcast(
        &socket,
        &[binder],
        (PROGRAM, 1, 1),
        &4_u32,
        limit,
        |answer| {
            heard.push(answer);
            false
        },
    )
    .unwrap();
    let results = 8_u32;
    let server = program;
    assert_eq!(heard, [Answer { server, results }]);
    // Who has no such program is silent.
    let silence = Duration::from_millis(50);
    broadcast(
        &socket,
        &[binder],
        (PROGRAM, 2, 1),
        &4_u32,
        silence,
        |_: Answer<u32>| panic!("nobody has it"),
    )
    .unwrap();
}

/// Who calls through a binder calls from its machine.
#[test]
fn no_call_is_passed_on_to_who_trusts_this_machine() {
    let passed_on = Arc::new(AtomicU32::new(0));
    let count = passed_on.clone();
    let binder = Binder::new(move |_, _, _| {
        count.fetch_add(1, Ordering::Relaxed);
        Err(std::io::ErrorKind::Unsupported.into())
    });
    let programs = binder.programs(NetId::Udp, "0.0.0.0.0.111");
    let call = |procedure, arguments: Vec<u8>| {
        let header = CallHeader {
            xid: 1,
            program: RPCBPROG,
            version: 4,
            procedure,
            credential: Auth::NONE,
            verifier: Auth::NONE,
        };
        let mut message = Vec::new();
        header.encode(&mut Encoder::new(&mut message)).unwrap();
        message.extend(arguments);
        programs.dispatch(&message, Peer::Local, &mut Vec::new(), 1000);
    };
    for (prog, proc, is_passed_on) in [
        (PROGRAM, 1, true),
        (RPCBPROG, 1, false),
        (100_003, 6, false),
        (100_005, 1, false),
        (100_005, 5, true),
        (100_007, 2, false),
        (100_007, 1, true),
        (100_004, 8, false),
    ] {
        let map = Rpcb {
            r_prog: prog,
            r_vers: 3,
            r_netid: "udp".into(),
            r_addr: "127.0.0.1.8.1".into(),
            r_owner: String::new(),
        };
        call(1, crate::xdr::to_bytes(&map).unwrap());
        let asked = RpcbRmtcallargs {
            prog,
            vers: 3,
            proc,
            args: Vec::new(),
        };
        let asked = crate::xdr::to_bytes(&asked).unwrap();
        for procedure in [5, 10] {
            let before = passed_on.load(Ordering::Relaxed);
            call(procedure, asked.clone());
            let calls = passed_on.load(Ordering::Relaxed) - before;
            assert_eq!(calls, u32::from(is_passed_on), "{prog}, {proc}");
        }
    }
}

proptest! {
    /// The short form of the fuzz target `rpc`: whatever the arguments of any procedure are, and
    /// wherever the call is cut.
    #[test]
    fn any_call_is_answered_within_the_limit(
        version in 2..5_u32,
        procedure in 0..14_u32,
        arguments: Vec<u8>,
        cut in 0..200_usize,
    ) {
        let binder = Binder::new(|_, _, _| Err(std::io::ErrorKind::Unsupported.into()));
        let programs = binder.programs(NetId::Udp, "192.0.2.1.0.111").with_shorthands();
        let header = CallHeader {
            xid: 1,
            program: RPCBPROG,
            version,
            procedure,
            credential: Auth::NONE,
            verifier: Auth::NONE,
        };
        let mut message = Vec::new();
        header.encode(&mut Encoder::new(&mut message)).unwrap();
        message.extend(arguments);
        message.truncate(cut);
        let mut out = Vec::new();
        programs.dispatch(&message, Peer::Local, &mut out, 128);
        prop_assert!(out.len() <= 128, "a reply of {} bytes", out.len());
    }
}
