//! SCTP on the Berkeley face: two nodes of two links.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use sockeye::drivers::{MemoryConfig, MemoryLink};
use sockeye::link::{MacAddr, Medium};
use sockeye::sctp::{
    AssocChange, AssocId, Events, Incoming, Notification, SctpListener, SctpSocket, SctpStream,
    SndFlags, SndInfo, State,
};
use sockeye::{Control, Domain, LinkConfig, MessageFlags, Node, Protocol, Socket, Type};
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
        [&words([2])[..], &halves(&[1, 3])].concat()
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
