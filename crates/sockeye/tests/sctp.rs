//! SCTP on the Berkeley face: two nodes of two links.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use sockeye::drivers::{MemoryConfig, MemoryLink};
use sockeye::link::{MacAddr, Medium};
use sockeye::sctp::{
    AssocChange, AssocId, Events, Extensions, Incoming, Notification, PrInfo, SctpListener,
    SctpSocket, SctpStream, SndFlags, SndInfo, State,
};
use sockeye::{
    Control, Domain, LinkConfig, MessageFlags, Node, OptionValue, Protocol, Socket, SocketOption,
    Type,
};
use std::io::{IoSlice, IoSliceMut};
use std::net::{Shutdown, SocketAddr};

const SOL_SCTP: i32 = 132;

fn pair() -> (Node, Node) {
    let link = |n| {
        let mac = |last| Medium::Ethernet(MacAddr([2, 0, 0, 0, n, last]));
        MemoryLink::pair(MemoryConfig::default(), mac(1), mac(2))
    };
    let ((a0, b0), (a1, b1)) = (link(0), link(1));
    let node = |first, second, n: u8| {
        let net = |at: u8| LinkConfig::new().address(format!("10.0.{at}.{n}/24").parse().unwrap());
        let builder = Node::builder().seed([n; 32]);
        let builder = builder.link("eth0", Box::new(first), net(0));
        builder
            .link("eth1", Box::new(second), net(1))
            .build()
            .unwrap()
    };
    (node(a0, a1, 1), node(b0, b1, 2))
}

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn connected(a: &Node, b: &Node) -> (SctpStream, SctpStream) {
    let both = [addr("10.0.0.2:5000"), addr("10.0.1.2:5000")];
    let listener = SctpListener::bind_on(b, &both[..]).unwrap();
    let client = SctpStream::connect_multi_on(a, &both[..]).unwrap();
    (client, listener.accept().unwrap().0)
}

fn raw<const N: usize>(socket: &Socket, name: i32, fields: &[&[u8]]) -> Result<[u8; N], i32> {
    let mut out = [0; N];
    let asked = fields.concat();
    out[..asked.len()].copy_from_slice(&asked);
    match socket.option_raw(SOL_SCTP, name, &mut out) {
        Ok(_) => Ok(out),
        Err(error) => Err(error.raw_os_error().unwrap()),
    }
}

fn words<const N: usize>(words: [u32; N]) -> Vec<u8> {
    words.map(u32::to_ne_bytes).concat()
}

#[test]
fn messages_keep_their_boundaries_streams_and_protocols() {
    let (a, b) = pair();
    let (client, server) = connected(&a, &b);
    for n in 0..10 {
        let info = SndInfo {
            stream: n,
            ppid: 100 + u32::from(n),
            ..SndInfo::default()
        };
        client
            .send_msg(&vec![7; 1000 * usize::from(n) + 1], &info)
            .unwrap();
    }
    let mut buffer = [0; 20_000];
    for n in 0..10u16 {
        let Incoming::Message(received) = server.recv_msg(&mut buffer).unwrap() else {
            panic!("a message");
        };
        assert_eq!(received.len, 1000 * usize::from(n) + 1);
        assert!(received.end_of_record);
        assert_eq!(
            (received.info.stream, received.info.ppid),
            (n, 100 + u32::from(n))
        );
    }
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(server.recv_msg(&mut buffer).unwrap(), Incoming::End);
}

#[test]
fn one_socket_has_many_associations_and_peels_one_off() {
    let (a, b) = pair();
    let hub = SctpSocket::bind_on(&b, "10.0.0.2:5000").unwrap();
    hub.configure(AssocId::ALL, |settings| {
        settings.events = Events::ASSOC_CHANGE
    })
    .unwrap();
    let client = SctpStream::connect_on(&a, "10.0.0.2:5000").unwrap();
    let mut buffer = [0; 100];
    let Incoming::Notification(Notification::AssocChange { assoc, change, .. }) =
        hub.recv_msg(&mut buffer).unwrap()
    else {
        panic!("an association comes up");
    };
    assert_eq!(change, AssocChange::Up { streams: (10, 10) });
    let spoke = hub.peel_off(assoc).unwrap();
    client.send_msg(b"hello", &SndInfo::default()).unwrap();
    assert!(matches!(spoke.recv_msg(&mut buffer), Ok(Incoming::Message(m)) if m.len == 5));
    assert_eq!(hub.as_socket().associations().unwrap(), []);
    // One that begins with a message.
    let other = SctpSocket::bind_on(&a, "10.0.0.1:6000").unwrap();
    let to = Some(addr("10.0.0.2:5000"));
    other.send_msg(b"first", to, &SndInfo::default()).unwrap();
    assert!(matches!(
        hub.recv_msg(&mut buffer),
        Ok(Incoming::Notification(_))
    ));
    let Incoming::Message(first) = hub.recv_msg(&mut buffer).unwrap() else {
        panic!("a message");
    };
    let back = SndInfo {
        assoc: first.info.assoc,
        flags: SndFlags::UNORDERED,
        ..SndInfo::default()
    };
    hub.send_msg(b"answer", None, &back).unwrap();
    assert!(matches!(
        other.recv_msg(&mut buffer),
        Ok(Incoming::Message(m)) if m.len == 6 && m.info.unordered
    ));
}

#[test]
fn one_socket_begins_with_a_peer_of_several_addresses_and_changes_its_own() {
    let (a, b) = pair();
    let hub = SctpSocket::bind_on(&b, "10.0.0.2:5000").unwrap();
    hub.bind_add(&[addr("10.0.1.2:5000")]).unwrap();
    let both = [addr("10.0.0.2:5000"), addr("10.0.1.2:5000")];
    let client = SctpSocket::bind_on(&a, "10.0.0.1:6000").unwrap();
    let assoc = client.connect_multi(&both).unwrap();
    let by_name = SndInfo {
        assoc,
        ..SndInfo::default()
    };
    client.send_msg(b"by name", None, &by_name).unwrap();
    let mut buffer = [0; 100];
    let received = hub.recv_msg(&mut buffer);
    assert!(matches!(received, Ok(Incoming::Message(m)) if m.len == 7));
    let mut known = client.as_socket().peer_addrs(assoc).unwrap();
    known.sort();
    assert_eq!(known, both);
    // The current node's.
    let _current = a.enter();
    let stream = SctpStream::connect_multi(&both[..]).unwrap();
    assert_eq!(stream.status().unwrap().state, State::Established);
    // The last address stays.
    hub.bind_remove(&both[1..]).unwrap();
    assert_eq!(
        hub.as_socket().local_addrs(AssocId::FUTURE).unwrap(),
        both[..1]
    );
    assert!(hub.bind_remove(&both[..1]).is_err());
}

#[test]
fn options_are_laid_out_as_linux_has_them() {
    let (a, b) = pair();
    let (client, server) = connected(&a, &b);
    let socket = client.as_socket();
    // SCTP_RTOINFO: initial (1 s by RFC 9260 §16), max, min; zero leaves a value.
    assert_eq!(
        raw::<16>(socket, 0, &[]).unwrap()[..],
        words([0, 1000, 60_000, 1000])
    );
    socket
        .set_option_raw(SOL_SCTP, 0, &words([0, 0, 5000, 200]))
        .unwrap();
    assert_eq!(
        raw::<16>(socket, 0, &[]).unwrap()[..],
        words([0, 1000, 5000, 200])
    );
    let wrong = socket.set_option_raw(SOL_SCTP, 0, &words([0, 0, 100, 200]));
    assert_eq!(wrong.unwrap_err().raw_os_error(), Some(libc::EINVAL));
    assert_eq!(raw::<15>(socket, 0, &[]), Err(libc::EINVAL));
    // SCTP_STATUS, of an association that is up.
    let status = raw::<176>(socket, 14, &[]).unwrap();
    assert_eq!(status[4..8], 4u32.to_ne_bytes());
    assert_eq!(status[16..20], [10u16, 10].map(u16::to_ne_bytes).concat());
    assert_eq!(
        status[28..34],
        [&2u16.to_ne_bytes()[..], &5000u16.to_be_bytes(), &[10, 0]].concat()
    );
    // SCTP_GET_PEER_ADDRS.
    let peers = raw::<100>(socket, 108, &[]).unwrap();
    assert_eq!(peers[4..8], 2u32.to_ne_bytes());
    assert_eq!(peers[8 + 4..8 + 8], [10, 0, 0, 2]);
    assert_eq!(peers[24 + 4..24 + 8], [10, 0, 1, 2]);
    // SCTP_PEER_ADDR_PARAMS of the second: no heartbeats there.
    let mut params = [0; 156];
    params[4..20].copy_from_slice(&peers[24..40]);
    params[146] = 2;
    socket.set_option_raw(SOL_SCTP, 9, &params).unwrap();
    params[146] = 0;
    let told = raw::<156>(socket, 9, &[&params]).unwrap();
    assert_eq!(told[146] & 3, 2);
    assert_eq!(raw::<156>(socket, 9, &[]).unwrap()[146] & 3, 1);
    // SCTP_INITMSG, SCTP_NODELAY, SCTP_DELAYED_SACK, SCTP_MAXSEG.
    let fresh = Socket::new_on(&a, Domain::IPV4, Type::STREAM, Some(Protocol::SCTP)).unwrap();
    let init = [5u16, 0, 3, 700].map(u16::to_ne_bytes).concat();
    fresh.set_option_raw(SOL_SCTP, 2, &init).unwrap();
    let init = [5u16, 65_535, 3, 700].map(u16::to_ne_bytes).concat();
    assert_eq!(raw::<8>(&fresh, 2, &[]).unwrap()[..], init);
    fresh.set_option_raw(SOL_SCTP, 3, &words([1])).unwrap();
    assert_eq!(raw::<4>(&fresh, 3, &[]), Ok([1, 0, 0, 0]));
    assert_eq!(raw::<12>(&fresh, 16, &[]).unwrap()[..], words([0, 200, 2]));
    let short = fresh.set_option_raw(SOL_SCTP, 13, &words([10]));
    assert_eq!(short.unwrap_err().raw_os_error(), Some(libc::EINVAL));
    assert_eq!(raw::<176>(&fresh, 14, &[]), Err(libc::EINVAL));
    assert_eq!(raw::<4>(&fresh, 99, &[]), Err(libc::ENOPROTOOPT));
    let tcp = Socket::new_on(&a, Domain::IPV4, Type::STREAM, None).unwrap();
    assert_eq!(raw::<100>(&tcp, 109, &[]), Err(libc::EOPNOTSUPP));
    assert_eq!(server.status().unwrap().state, State::Established);
}

/// struct sctp_probeinterval: by socket, or by address; as on Linux no shorter than 5 s.
#[test]
fn the_interval_of_mtu_probes() {
    const INTERVAL: i32 = 133;
    let (a, b) = pair();
    let (client, _server) = connected(&a, &b);
    let socket = client.as_socket();
    let value = |millis: u32| [&[0; 136][..], &millis.to_ne_bytes(), &[0; 4]].concat();
    let set = |millis| {
        let set = socket.set_option_raw(SOL_SCTP, INTERVAL, &value(millis));
        set.map_err(|error| error.raw_os_error().unwrap())
    };
    let get = || {
        let out: [u8; 144] = raw(socket, INTERVAL, &[&[0; 136]]).unwrap();
        u32::from_ne_bytes(out[136..140].try_into().unwrap())
    };
    assert_eq!(get(), 0);
    assert_eq!(set(4999), Err(libc::EINVAL));
    assert_eq!((set(5000), get()), (Ok(()), 5000));
    assert_eq!((set(0), get()), (Ok(()), 0));
    let sysctl =
        |value| sockeye::Config::default().set_sysctl("net.sctp.plpmtud_probe_interval", value);
    assert!(sysctl("4999").is_err() && sysctl("5000").is_ok() && sysctl("0").is_ok());
}

#[test]
fn control_messages_and_notifications_are_laid_out_as_linux_has_them() {
    let (a, b) = pair();
    let (client, server) = connected(&a, &b);
    let (client, server) = (client.as_socket(), server.as_socket());
    // SCTP_EVENTS: data io, association; SCTP_RECVRCVINFO.
    server
        .set_option_raw(SOL_SCTP, 11, &[1, 0, 0, 0, 0, 1])
        .unwrap();
    server.set_option_raw(SOL_SCTP, 32, &words([1])).unwrap();
    let head = [3u16, 1].map(u16::to_ne_bytes).concat();
    let info = [&head[..], &46u32.to_be_bytes(), &[0; 8]].concat();
    let control = Control {
        level: SOL_SCTP,
        ty: 2,
        data: &info,
    };
    let none = MessageFlags::empty();
    let sent = client.sendmsg_raw(&[IoSlice::new(b"hello")], None, &[control], none);
    assert_eq!(sent.unwrap(), 5);
    let (mut data, mut beside) = ([0; 100], [0; 200]);
    let got = server
        .recvmsg_raw(&mut [IoSliceMut::new(&mut data)], &mut beside, none)
        .unwrap();
    assert_eq!((got.len, got.flags), (5, MessageFlags::END_OF_RECORD));
    // SCTP_RCVINFO (28 bytes), then SCTP_SNDRCV (32).
    assert_eq!(got.control_len, 16 + 32 + 16 + 32);
    assert_eq!(beside[12..16], 3i32.to_ne_bytes());
    assert_eq!(beside[16..22], [3u16, 0, 1].map(u16::to_ne_bytes).concat());
    assert_eq!(beside[24..28], 46u32.to_be_bytes());
    assert_eq!(beside[48 + 12..48 + 16], 1i32.to_ne_bytes());
    client.shutdown(Shutdown::Write).unwrap();
    let got = server
        .recvmsg_raw(&mut [IoSliceMut::new(&mut data)], &mut beside, none)
        .unwrap();
    let expected = MessageFlags::NOTIFICATION | MessageFlags::END_OF_RECORD;
    assert_eq!((got.len, got.flags), (12, expected));
    // SCTP_SHUTDOWN_EVENT.
    assert_eq!(
        data[..8],
        [&0x8005u16.to_ne_bytes()[..], &[0, 0], &12u32.to_ne_bytes()].concat()
    );
    // A one-to-one socket is not ended by a message.
    let info = [&[0, 0][..], &0x200u16.to_ne_bytes(), &[0; 12]].concat();
    let control = Control {
        data: &info,
        ..control
    };
    let refused = client.sendmsg_raw(&[], None, &[control], none).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::EINVAL));
}

#[test]
fn extensions_are_had_by_options() {
    let (a, b) = pair();
    let sctp = |node| Socket::new_on(node, Domain::IPV4, Type::STREAM, Some(Protocol::SCTP));
    let (listener, client) = (sctp(&b).unwrap(), sctp(&a).unwrap());
    let halves = |all: &[u16]| -> Vec<u8> { all.iter().flat_map(|n| n.to_ne_bytes()).collect() };
    for socket in [&listener, &client] {
        let set = |name, value: &[u8]| socket.set_option_raw(SOL_SCTP, name, value).unwrap();
        // SCTP_AUTH_SUPPORTED, SCTP_RECONFIG_SUPPORTED, and SCTP_ENABLE_STREAM_RESET.
        set(129, &words([0, 1]));
        set(117, &words([0, 1]));
        set(118, &words([0, 7]));
        assert_eq!(raw::<8>(socket, 118, &[]).unwrap()[..], words([0, 7]));
        // SCTP_AUTH_KEY 1, SCTP_AUTH_ACTIVE_KEY, and SCTP_AUTH_CHUNK: DATA.
        let key = [&words([0])[..], &halves(&[1, 6]), b"secret"].concat();
        set(23, &key);
        set(24, &[&words([0])[..], &halves(&[1, 0])].concat());
        set(21, &[0]);
    }
    listener.bind(addr("10.0.0.2:5000")).unwrap();
    listener.listen(5).unwrap();
    client.connect(addr("10.0.0.2:5000")).unwrap();
    let (server, _) = listener.accept().unwrap();
    // SCTP_HMAC_IDENT, SCTP_PEER_AUTH_CHUNKS.
    assert_eq!(
        raw::<8>(&client, 22, &[]).unwrap()[..],
        [&words([2])[..], &halves(&[3, 1])].concat()
    );
    let peers = raw::<100>(&client, 26, &[]).unwrap();
    let count = u32::from_ne_bytes(peers[4..8].try_into().unwrap()) as usize;
    assert!(peers[8..8 + count].contains(&0));
    client.send(b"signed").unwrap();
    let mut data = [0; 100];
    assert_eq!(server.recv(&mut data).unwrap(), 6);
    // SCTP_STREAM_SCHEDULER: by priority; its values.
    let set = |name, value: &[u8]| client.set_option_raw(SOL_SCTP, name, value);
    set(123, &words([0, 1])).unwrap();
    assert_eq!(raw::<8>(&client, 123, &[]).unwrap()[..], words([0, 1]));
    let ranked = [&words([0])[..], &halves(&[2, 7])].concat();
    set(124, &ranked).unwrap();
    let asked = [&words([0])[..], &halves(&[2, 0])].concat();
    assert_eq!(raw::<8>(&client, 124, &[&asked]).unwrap()[..], ranked);
    let none = set(123, &words([0, 9])).unwrap_err();
    assert_eq!(none.raw_os_error(), Some(libc::EINVAL));
    // SCTP_DEFAULT_PRINFO: two retransmissions.
    let limited = [&words([0, 2])[..], &halves(&[0x20, 0])].concat();
    set(114, &limited).unwrap();
    assert_eq!(raw::<12>(&client, 114, &[]).unwrap()[..], limited);
    // SCTP_ADD_STREAMS: three more for us, which SCTP_STATUS tells when the peer has agreed.
    set(121, &[&words([0])[..], &halves(&[0, 3])].concat()).unwrap();
    let mut left = 500;
    while raw::<176>(&client, 14, &[]).unwrap()[18..20] != 13u16.to_ne_bytes() {
        left -= 1;
        assert!(left > 0, "they never came");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// RFC 6458 §6.1.1: the end of an association is told with the peer's address, though the association
/// is gone by then.
#[test]
fn the_end_of_an_association_says_whose_it_was() {
    let (a, b) = pair();
    let hub = SctpSocket::bind_on(&b, "10.0.0.2:5000").unwrap();
    hub.configure(AssocId::ALL, |settings| {
        settings.events = Events::ASSOC_CHANGE
    })
    .unwrap();
    let client = SctpStream::connect_on(&a, "10.0.0.2:5000").unwrap();
    let own = client.as_socket().local_addr().unwrap();
    let told = || {
        let mut buffer = [0; 100];
        let mut slices = [IoSliceMut::new(&mut buffer)];
        let message = hub
            .as_socket()
            .recvmsg(&mut slices, MessageFlags::empty())
            .unwrap();
        let from = message.from.unwrap();
        // `sac_state`.
        (u16::from_ne_bytes([buffer[8], buffer[9]]), from)
    };
    const COMM_UP: u16 = 0;
    const SHUTDOWN_COMP: u16 = 3;
    assert_eq!(told(), (COMM_UP, addr(&format!("10.0.0.1:{}", own.port()))));
    client.shutdown(Shutdown::Write).unwrap();
    let end = told();
    assert_eq!(
        end,
        (SHUTDOWN_COMP, addr(&format!("10.0.0.1:{}", own.port())))
    );
}

fn sctp(node: &Node, ty: Type) -> Socket {
    Socket::new_on(node, Domain::IPV4, ty, Some(Protocol::SCTP)).unwrap()
}

fn set(socket: &Socket, name: i32, value: &[u8]) -> Result<(), i32> {
    let set = socket.set_option_raw(SOL_SCTP, name, value);
    set.map_err(|error| error.raw_os_error().unwrap())
}

fn sockaddr(text: &str) -> Vec<u8> {
    let SocketAddr::V4(addr) = addr(text) else {
        panic!("IPv4");
    };
    let family = 2u16.to_ne_bytes();
    [
        &family[..],
        &addr.port().to_be_bytes(),
        &addr.ip().octets(),
        &[0; 8],
    ]
    .concat()
}

/// `struct sockaddr_storage`.
fn storage(text: &str) -> Vec<u8> {
    let mut bytes = sockaddr(text);
    bytes.resize(128, 0);
    bytes
}

/// The list of options names those that a socket has, and no others.
#[test]
fn the_list_of_options_is_that_of_sockets() {
    use sockeye_core::option::{Row, Standing};
    let (a, _) = pair();
    for ty in [Type::STREAM, Type::SEQPACKET] {
        for number in 0..=200 {
            let known = (0..=160).step_by(4).any(|len| {
                let socket = sctp(&a, ty);
                let got = socket.option_raw(SOL_SCTP, number, &mut vec![0; len]);
                let got = got.map_err(|error| error.raw_os_error().unwrap());
                got != Err(libc::ENOPROTOOPT)
                    || set(&socket, number, &vec![0; len]) != Err(libc::ENOPROTOOPT)
            });
            let row = Row::find(SOL_SCTP, number).map(|row| row.standing);
            assert_eq!(
                known,
                matches!(row, Some(Standing::Works { .. })),
                "{number}"
            );
        }
    }
}

#[test]
fn what_is_counted_and_said_of_associations() {
    let (a, b) = pair();
    let (client, server) = connected(&a, &b);
    let socket = client.as_socket();
    for n in 0..5 {
        let info = SndInfo {
            stream: n % 2,
            ..SndInfo::default()
        };
        client.send_msg(&[1; 100], &info).unwrap();
        server.recv_msg(&mut [0; 200]).unwrap();
    }
    // SCTP_GET_ASSOC_STATS: all of it, and its first half.
    let stats = socket.assoc_stats(AssocId::FUTURE).unwrap();
    assert_eq!((stats.ordered_out, stats.unordered_out), (5, 0));
    let told = raw::<256>(socket, 112, &[]).unwrap();
    let word = |at: usize| u64::from_ne_bytes(told[at..at + 8].try_into().unwrap());
    assert_eq!(word(136 + 11 * 8), 5);
    assert_eq!(word(136 + 3 * 8), stats.packets_out);
    assert_eq!(socket.option_raw(SOL_SCTP, 112, &mut [0; 12]).unwrap(), 12);
    assert_eq!(raw::<3>(socket, 112, &[]), Err(libc::EINVAL));
    // SCTP_PR_ASSOC_STATUS and SCTP_PR_STREAM_STATUS: none yet; SCTP_PR_SCTP_ALL; no policy at all.
    let of = |policy: u16, stream: u16| {
        [&[0; 4][..], &stream.to_ne_bytes(), &policy.to_ne_bytes()].concat()
    };
    for name in [115, 116] {
        assert_eq!(
            raw::<24>(socket, name, &[&of(0x80, 1)]).unwrap()[8..],
            [0; 16]
        );
        assert_eq!(raw::<24>(socket, name, &[&of(0, 1)]), Err(libc::EINVAL));
    }
    assert_eq!(raw::<24>(socket, 116, &[&of(0x10, 10)]), Err(libc::EINVAL));
    let late = SndInfo {
        reliability: PrInfo::Timed(std::time::Duration::from_nanos(1)),
        ..SndInfo::default()
    };
    client.send_msg(b"too late", &late).unwrap();
    client.send_msg(b"in time", &SndInfo::default()).unwrap();
    let abandoned = socket.abandoned(AssocId::FUTURE).unwrap();
    assert_eq!(abandoned, socket.abandoned_on(AssocId::FUTURE, 0).unwrap());
    let told = raw::<24>(socket, 115, &[&of(0x10, 0)]).unwrap();
    assert_eq!(told[8..16], abandoned.timed.unsent.to_ne_bytes());
    // What both sides know: SCTP_PR_SUPPORTED, SCTP_ASCONF_SUPPORTED, SCTP_ECN_SUPPORTED.
    let has = Extensions {
        ecn: true,
        partial_reliability: true,
        ..Extensions::default()
    };
    assert_eq!(socket.sctp_extensions(AssocId::FUTURE).unwrap(), has);
    for (name, on) in [(113, 1), (128, 0), (130, 1)] {
        assert_eq!(raw::<8>(socket, name, &[]).unwrap()[..], words([0, on]));
        // It is too late for this association.
        assert_eq!(set(socket, name, &words([0, 1 - on])), Ok(()));
        assert_eq!(raw::<8>(socket, name, &[]).unwrap()[..], words([0, on]));
        let fresh = sctp(&a, Type::STREAM);
        set(&fresh, name, &words([0, 1 - on])).unwrap();
        assert_eq!(raw::<8>(&fresh, name, &[]).unwrap()[..], words([0, 1 - on]));
    }
    // SCTP_EVENT: SCTP_SHUTDOWN_EVENT.
    let event = |on: u16| [&words([0])[..], &[5, 0x80], &on.to_ne_bytes()].concat();
    set(socket, 127, &event(1)).unwrap();
    assert_eq!(raw::<8>(socket, 127, &[&event(0)]).unwrap()[..], event(1));
    // SCTP_LOCAL_AUTH_CHUNKS: nothing is authenticated. SCTP_GET_LOCAL_ADDRS.
    assert_eq!(raw::<100>(socket, 27, &[]), Err(libc::EACCES));
    assert_eq!(
        raw::<100>(socket, 109, &[]).unwrap()[4..8],
        2u32.to_ne_bytes()
    );
    // Of one-to-many sockets: SCTP_GET_ASSOC_NUMBER, SCTP_GET_ASSOC_ID_LIST.
    let many = sctp(&a, Type::SEQPACKET);
    many.connect(server.local_addr().unwrap()).unwrap_err();
    assert_eq!(raw::<4>(&many, 28, &[]), Ok([0; 4]));
    assert_eq!(raw::<4>(&many, 29, &[]), Ok([0; 4]));
    assert_eq!(raw::<4>(socket, 28, &[]), Err(libc::EOPNOTSUPP));
    // What is read is of one association, or of those to come; so is much of what is set.
    for several in [1, 2] {
        assert_eq!(
            raw::<8>(&many, 113, &[&words([several])]),
            Err(libc::EINVAL)
        );
        assert_eq!(set(&many, 13, &words([several, 600])), Err(libc::EINVAL));
        assert_eq!(set(&many, 17, &words([several, 600])), Ok(()));
    }
}

#[test]
fn paths_and_defaults_by_options() {
    let (a, b) = pair();
    let (client, server) = connected(&a, &b);
    let socket = client.as_socket();
    // SCTP_ASSOCINFO: retransmissions, and the life of cookies; the number of paths is read.
    let info = [
        &words([0])[..],
        &7u16.to_ne_bytes(),
        &[0; 10],
        &words([5000]),
    ]
    .concat();
    set(socket, 1, &info).unwrap();
    let told = raw::<20>(socket, 1, &[]).unwrap();
    assert_eq!(
        (&told[4..8], &told[16..]),
        (&[7, 0, 2, 0][..], &words([5000])[..])
    );
    // SCTP_MAXSEG tells what a chunk carries, as SCTP_STATUS does.
    let point = raw::<176>(socket, 14, &[]).unwrap()[20..24].to_vec();
    assert_eq!(raw::<4>(socket, 13, &[]).unwrap()[..], point);
    // SCTP_HMAC_IDENT of an association that has no authentication, for the next one.
    set(socket, 129, &words([0, 1])).unwrap();
    let sha1 = [&words([1])[..], &1u16.to_ne_bytes()].concat();
    set(socket, 22, &sha1).unwrap();
    assert_eq!(raw::<6>(socket, 22, &[]).unwrap()[..], sha1);
    // SCTP_PRIMARY_ADDR, which SCTP_STATUS tells; SCTP_GET_PEER_ADDR_INFO: it is active.
    let second = storage("10.0.1.2:5000");
    set(socket, 6, &[&words([0])[..], &second].concat()).unwrap();
    assert_eq!(raw::<132>(socket, 6, &[]).unwrap()[4..12], second[..8]);
    assert_eq!(raw::<176>(socket, 14, &[]).unwrap()[28..36], second[..8]);
    let asked = [&words([0])[..], &second].concat();
    let path = raw::<152>(socket, 15, &[&asked]).unwrap();
    assert!([2, 3].contains(&path[132]), "{path:?}");
    let nobody = [&words([0])[..], &storage("10.9.9.9:1")].concat();
    assert_eq!(raw::<152>(socket, 15, &[&nobody]), Err(libc::EINVAL));
    // SCTP_PEER_ADDR_THLDS, and with the switch of the primary path.
    let thresholds = |at: &[u8], all: [u16; 4]| {
        let all = all.map(u16::to_ne_bytes).concat();
        [&words([0, 0])[..], at, &all].concat()
    };
    set(socket, 31, &thresholds(&second, [4, 2, 9, 0])).unwrap();
    set(socket, 37, &thresholds(&[0; 128], [6, 3, 4, 0])).unwrap();
    let asked = [&words([0, 0])[..], &second].concat();
    let told = raw::<144>(socket, 37, &[&asked]).unwrap();
    assert_eq!(told[136..], [6u16, 3, 4, 0].map(u16::to_ne_bytes).concat());
    assert_eq!(
        set(socket, 37, &thresholds(&second, [6, 5, 4, 0])),
        Err(libc::EINVAL)
    );
    let elsewhere = thresholds(&storage("10.9.9.9:1"), [1, 1, 1, 0]);
    assert_eq!(set(socket, 31, &elsewhere), Err(libc::ENOENT));
    // SCTP_REMOTE_UDP_ENCAPS_PORT stands in network order.
    let fresh = sctp(&a, Type::STREAM);
    let port = [
        &words([0, 0])[..],
        &[0; 128],
        &9899u16.to_be_bytes(),
        &[0; 6],
    ]
    .concat();
    set(&fresh, 132, &port).unwrap();
    assert_eq!(raw::<144>(&fresh, 132, &[]).unwrap()[..], port);
    let settings = fresh.sctp_settings(AssocId::FUTURE).unwrap();
    assert_eq!(settings.path.encap_port, 9899);
    // SCTP_MAX_BURST, SCTP_PARTIAL_DELIVERY_POINT, by name as well as by number.
    set(&fresh, 20, &words([9])).unwrap();
    assert_eq!(raw::<4>(&fresh, 20, &[]).unwrap()[..], words([9]));
    let point = SocketOption::SctpPartialDeliveryPoint;
    fresh.set_option(point, OptionValue::Int(2000)).unwrap();
    assert_eq!(fresh.option(point).unwrap(), OptionValue::Int(2000));
    assert!(fresh.set_option(point, OptionValue::Int(i32::MAX)).is_err());
    let told = fresh.option(SocketOption::SctpMaxBurst).unwrap();
    assert_eq!(told, OptionValue::Bytes(words([0, 9])));
    // SCTP_INTERLEAVING_SUPPORTED: with SCTP_FRAGMENT_INTERLEAVE alone.
    assert_eq!(set(&fresh, 125, &words([0, 1])), Err(libc::EPERM));
    set(&fresh, 18, &words([1])).unwrap();
    assert_eq!(set(&fresh, 125, &words([0, 1])), Ok(()));
    // SCTP_AUTO_ASCONF: of what is bound to all addresses.
    assert_eq!(set(&fresh, 30, &words([1])), Err(libc::EINVAL));
    fresh.bind(addr("0.0.0.0:7000")).unwrap();
    assert_eq!(set(&fresh, 30, &words([1])), Ok(()));
    assert!(fresh.sctp_settings(AssocId::FUTURE).unwrap().auto_asconf);
    // SCTP_REUSE_PORT.
    let (one, other) = (sctp(&a, Type::STREAM), sctp(&a, Type::STREAM));
    for socket in [&one, &other] {
        set(socket, 36, &words([1])).unwrap();
        assert_eq!(raw::<4>(socket, 36, &[]).unwrap()[..], words([1]));
        socket.bind(addr("10.0.0.1:7001")).unwrap();
    }
    // SCTP_DEFAULT_SNDINFO: stream 3, number 46; SCTP_CONTEXT, SCTP_RECVNXTINFO of who receives.
    let (inner, none) = (server.as_socket(), MessageFlags::empty());
    let default = [&[3, 0, 0, 0][..], &46u32.to_be_bytes(), &[0; 8]].concat();
    set(socket, 34, &default).unwrap();
    assert_eq!(raw::<16>(socket, 34, &[]).unwrap()[..], default);
    set(inner, 17, &words([0, 77])).unwrap();
    set(inner, 32, &words([1])).unwrap();
    set(inner, 33, &words([1])).unwrap();
    socket.send(b"first").unwrap();
    socket.send(b"second").unwrap();
    let mut beside = [0; 200];
    let mut waited = 0;
    while raw::<176>(inner, 14, &[]).unwrap()[14] < 2 && waited < 100 {
        std::thread::sleep(std::time::Duration::from_millis(5));
        waited += 1;
    }
    let got = inner.recvmsg_raw(&mut [IoSliceMut::new(&mut [0; 100])], &mut beside, none);
    assert_eq!(got.unwrap().len, 5);
    // SCTP_NXTINFO: stream, flags, number, length; then SCTP_RCVINFO with the context.
    assert_eq!(beside[12..16], 4i32.to_ne_bytes());
    assert_eq!(beside[16..18], 3u16.to_ne_bytes());
    assert_eq!(
        beside[20..28],
        [&46u32.to_be_bytes()[..], &6u32.to_ne_bytes()].concat()
    );
    assert_eq!(beside[32 + 16 + 20..32 + 16 + 24], 77u32.to_ne_bytes());
    // SCTP_DEFAULT_SEND_PARAM: its time to live is the timed policy (SCTP_DEFAULT_PRINFO).
    let params = [
        &[3, 0, 0, 0, 0, 0, 0, 0][..],
        &46u32.to_be_bytes(),
        &words([0, 700, 0, 0, 0]),
    ]
    .concat();
    set(socket, 10, &params).unwrap();
    assert_eq!(raw::<32>(socket, 10, &[]).unwrap()[..], params);
    assert_eq!(
        raw::<12>(socket, 114, &[]).unwrap()[4..10],
        [&words([700])[..], &[0x10, 0]].concat()
    );
    // SCTP_ADAPTATION_LAYER, SCTP_AUTOCLOSE and the old number of sctp_connectx(3).
    let hub = SctpSocket::bind_on(&b, "10.0.0.2:5100").unwrap();
    hub.configure(AssocId::ALL, |settings| {
        settings.events = Events::ADAPTATION | Events::SHUTDOWN;
    })
    .unwrap();
    let many = sctp(&a, Type::SEQPACKET);
    assert_eq!(set(socket, 4, &words([1])), Err(libc::EOPNOTSUPP));
    set(&many, 4, &words([1])).unwrap();
    set(&many, 7, &words([0x1234])).unwrap();
    set(&many, 107, &sockaddr("10.0.0.2:5100")).unwrap();
    let next = || hub.recv_msg(&mut [0; 100]).unwrap();
    let told = next();
    let Incoming::Notification(Notification::Adaptation { indication, .. }) = told else {
        panic!("{told:?}");
    };
    assert_eq!(indication, 0x1234);
    assert!(matches!(
        next(),
        Incoming::Notification(Notification::Shutdown { .. })
    ));
    // SCTP_I_WANT_MAPPED_V4_ADDR.
    let six = Socket::new_on(&a, Domain::IPV6, Type::STREAM, Some(Protocol::SCTP)).unwrap();
    six.set_option(SocketOption::OnlyV6, OptionValue::Flag(false))
        .unwrap();
    assert_eq!(raw::<4>(&six, 12, &[]).unwrap()[..], words([1]));
    six.connect(addr("[::ffff:10.0.0.2]:5100")).unwrap();
    assert_eq!(six.peer_addr().unwrap(), addr("[::ffff:10.0.0.2]:5100"));
    set(&six, 12, &words([0])).unwrap();
    assert_eq!(raw::<4>(&six, 12, &[]).unwrap()[..], words([0]));
    assert_eq!(six.peer_addr().unwrap(), addr("10.0.0.2:5100"));
    assert_eq!(
        six.peer_addrs(AssocId::FUTURE).unwrap(),
        [addr("10.0.0.2:5100")]
    );
}
