//! DCCP on the Berkeley face: two nodes on an Ethernet.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use sockeye::drivers::{MemoryConfig, MemoryLink};
use sockeye::link::{MacAddr, Medium};
use sockeye::net::{DccpListener, DccpOptions, DccpSocket};
use sockeye::{Config, Control, Domain, LinkConfig, MessageFlags, Node, Protocol, Socket, Type};
use std::io::{ErrorKind, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

const SOL_DCCP: i32 = 269;
const SERVICE: i32 = 2;

fn pair() -> (Node, Node) {
    pair_with(&Config::default())
}

fn pair_with(settings: &Config) -> (Node, Node) {
    let mac = |n| MacAddr([2, 0, 0, 0, 0, n]);
    let (a, b) = MemoryLink::pair(
        MemoryConfig::default(),
        Medium::Ethernet(mac(1)),
        Medium::Ethernet(mac(2)),
    );
    let node = |link, n: u8| {
        let config = LinkConfig::new()
            .address(format!("10.0.0.{n}/24").parse().unwrap())
            .address(format!("fd00::{n}/64").parse().unwrap());
        let builder = Node::builder().seed([n; 32]).config(settings.clone());
        builder
            .link("eth0", Box::new(link), config)
            .build()
            .unwrap()
    };
    (node(a, 1), node(b, 2))
}

fn socket(node: &Node, domain: Domain) -> Socket {
    let socket = Socket::new_on(node, domain, Type::DCCP, Some(Protocol::DCCP)).unwrap();
    let service = 42u32.to_be_bytes();
    socket.set_option_raw(SOL_DCCP, SERVICE, &service).unwrap();
    socket
}

fn talk(listen: &str, connect: &str) {
    let (a, b) = pair();
    let connect: SocketAddr = connect.parse().unwrap();
    let domain = Domain::for_address(connect);
    let listener = socket(&b, domain);
    listener.bind(listen.parse().unwrap()).unwrap();
    listener.listen(5).unwrap();
    let server = std::thread::spawn(move || {
        let (peer, _) = listener.accept().unwrap();
        let mut buffer = [0; 2000];
        loop {
            let n = peer.recv(&mut buffer).unwrap();
            if n == 0 {
                return;
            }
            assert_eq!(peer.send(&buffer[..n]).unwrap(), n);
        }
    });
    let client = socket(&a, domain);
    // Until duplicate address detection is done, there is no address to speak from.
    while let Err(error) = client.connect(connect) {
        assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(client.peer_addr().unwrap(), connect);
    let mut buffer = [0; 2000];
    for n in 1..200 {
        let message = vec![n as u8; n];
        client.send(&message).unwrap();
        let got = client.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..got], message);
    }
    // DCCP_SOCKOPT_TX_CCID is read as an int.
    let mut ccid = [0; 4];
    assert_eq!(client.option_raw(SOL_DCCP, 14, &mut ccid).unwrap(), 4);
    assert_eq!(i32::from_ne_bytes(ccid), 2);
    client.shutdown(Shutdown::Both).unwrap();
    server.join().unwrap();
    assert_eq!(client.recv(&mut buffer).unwrap(), 0);
}

#[test]
fn messages_go_both_ways() {
    talk("10.0.0.2:5001", "10.0.0.2:5001");
    talk("[::]:5001", "[fd00::2]:5001");
}

#[test]
fn connecting_and_accepting_need_not_wait() {
    let (a, b) = pair();
    let listener = socket(&b, Domain::IPV4);
    listener.bind("10.0.0.2:5001".parse().unwrap()).unwrap();
    listener.listen(5).unwrap();
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    let client = socket(&a, Domain::IPV4);
    client.set_nonblocking(true).unwrap();
    let to = "10.0.0.2:5001".parse().unwrap();
    let begun = client.connect(to).unwrap_err();
    assert_eq!(begun.raw_os_error(), Some(libc::EINPROGRESS));
    listener.set_nonblocking(false).unwrap();
    let (peer, _) = listener.accept().unwrap();
    client.set_nonblocking(false).unwrap();
    peer.send(b"hello").unwrap();
    let mut buffer = [0; 10];
    assert_eq!(client.recv(&mut buffer).unwrap(), 5);
    client
        .set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    assert_eq!(
        client.recv(&mut buffer).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
}

#[test]
fn nobody_listens() {
    let (a, _b) = pair();
    let client = socket(&a, Domain::IPV4);
    let refused = client.connect("10.0.0.2:9".parse().unwrap()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn typed_sockets_tell_what_was_agreed_on() {
    let (a, b) = pair();
    let listener = DccpListener::bind_on(&b, "10.0.0.2:5001", &[1, 2]).unwrap();
    let client = DccpSocket::connect_on(&a, "10.0.0.2:5001", 2).unwrap();
    let (server, _) = listener.accept().unwrap();
    let message = vec![5; client.max_packet_size().unwrap()];
    client.send(&message).unwrap();
    let mut buffer = [0; 2000];
    let len = server.recv(&mut buffer).unwrap();
    assert_eq!(buffer[..len], message);
    assert_eq!(
        (client.tx_ccid().unwrap(), client.rx_ccid().unwrap()),
        (2, 2)
    );
    let other = DccpSocket::connect_on(&a, "10.0.0.2:5001", 3).unwrap_err();
    assert_eq!(other.raw_os_error(), Some(libc::EBADRQC));
}

/// RFC 6773, and what else is asked for before a connection opens.
#[test]
fn options_of_a_connection() {
    let mut settings = Config::default();
    settings.set_sysctl("net.dccp.udp_port", "6511").unwrap();
    let (a, b) = pair_with(&settings);
    let options = |tx_ccids: &[u8], rx_ccids: &[u8]| DccpOptions {
        tx_ccids: tx_ccids.to_vec(),
        rx_ccids: rx_ccids.to_vec(),
        send_coverage: 1,
        receive_coverage: 1,
        short_sequences: true,
        data_checksum: true,
        udp_port: Some(6511),
        ..DccpOptions::default()
    };
    let (server, client) = (options(&[2], &[3, 2]), options(&[3, 2], &[2]));
    let listener = DccpListener::bind_with(&b, "10.0.0.2:5001", &[1], &server).unwrap();
    let client = DccpSocket::connect_with(&a, "10.0.0.2:5001", 1, &client).unwrap();
    let (server, _) = listener.accept().unwrap();
    for n in 0..100u8 {
        client.send(&[n; 100]).unwrap();
        let mut buffer = [0; 200];
        assert_eq!(server.recv(&mut buffer).unwrap(), 100);
        assert_eq!(buffer[0], n);
    }
    let ccids = (client.tx_ccid().unwrap(), client.rx_ccid().unwrap());
    assert_eq!(ccids, (3, 2));
    // IPv4, UDP, DCCP with Data Checksum.
    assert_eq!(client.max_packet_size().unwrap(), 1500 - 20 - 8 - 24 - 32);
    client.set_slow_receiver(true).unwrap();
    let alone = DccpOptions {
        udp_port: Some(6511),
        ..DccpOptions::default()
    };
    let (a, _b) = pair();
    let error = DccpSocket::connect_with(&a, "10.0.0.2:5001", 1, &alone).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EOPNOTSUPP));
}

/// RFC 5596.
#[test]
fn a_server_invites_its_client() {
    let (a, b) = pair();
    let client = socket(&a, Domain::IPV4);
    client.bind("10.0.0.1:5004".parse().unwrap()).unwrap();
    let (local, to) = (
        "10.0.0.2:80".parse().unwrap(),
        "10.0.0.1:5004".parse().unwrap(),
    );
    let options = DccpOptions::default();
    let listener = DccpListener::invite_on(&b, local, to, 42, &options).unwrap();
    client.connect(local).unwrap();
    let (server, peer) = listener.accept().unwrap();
    assert_eq!(peer, to);
    server.send(b"come in").unwrap();
    let mut buffer = [0; 20];
    assert_eq!(client.recv(&mut buffer).unwrap(), 7);
}

/// DCCP_SOCKOPT_AVAILABLE_CCIDS, _CCID, _TX_CCID and _RX_CCID, with Linux's errors; and the figures that CCID 3
/// alone has.
#[test]
fn congestion_controls_are_chosen_by_number() {
    const AVAILABLE: i32 = 12;
    const CCID: i32 = 13;
    const TX: i32 = 14;
    const RX: i32 = 15;
    const RX_INFO: i32 = 128;
    const TX_INFO: i32 = 192;
    let (a, b) = pair();
    let errno = |error: std::io::Error| error.raw_os_error().unwrap();
    let read = |socket: &Socket, name, room: usize| {
        let mut out = vec![0; room];
        let len = socket.option_raw(SOL_DCCP, name, &mut out).map_err(errno)?;
        out.truncate(len);
        Ok(out)
    };
    for (ccid, has_figures) in [(2, false), (3, true)] {
        let (listener, client) = (socket(&b, Domain::IPV4), socket(&a, Domain::IPV4));
        assert_eq!(read(&client, AVAILABLE, 4), Ok(vec![2, 3]));
        let set = |bytes: &[u8]| client.set_option_raw(SOL_DCCP, CCID, bytes).map_err(errno);
        assert_eq!(set(&[]), Err(libc::EINVAL));
        assert_eq!(set(&[7]), Err(libc::EINVAL));
        assert_eq!(set(&[ccid]), Ok(()));
        listener.set_option_raw(SOL_DCCP, CCID, &[ccid]).unwrap();
        assert_eq!(read(&client, TX, 4), Err(libc::ENOPROTOOPT));
        let to = format!("10.0.0.2:500{ccid}").parse().unwrap();
        listener.bind(to).unwrap();
        listener.listen(1).unwrap();
        client.connect(to).unwrap();
        let (server, _) = listener.accept().unwrap();
        client.send(b"hello").unwrap();
        assert_eq!(server.recv(&mut [0; 9]).unwrap(), 5);
        assert_eq!(set(&[ccid]), Err(libc::EISCONN));
        for (end, name) in [(&client, TX), (&client, RX), (&server, TX), (&server, RX)] {
            assert_eq!(
                read(end, name, 4),
                Ok(i32::from(ccid).to_ne_bytes().to_vec())
            );
        }
        let lengths = [(&client, TX_INFO, 40), (&server, RX_INFO, 12)];
        for (end, name, len) in lengths {
            let expected = match has_figures {
                true => Ok(len),
                false => Err(libc::ENOPROTOOPT),
            };
            assert_eq!(read(end, name, 64).map(|bytes| bytes.len()), expected);
            if has_figures {
                assert_eq!(read(end, name, len - 1), Err(libc::EINVAL));
            }
        }
    }
}

/// DCCP_SOCKOPT_QPOLICY_ID, _TXQLEN and DCCP_SCM_PRIORITY by Linux's numbers and by names.
#[test]
fn messages_have_priorities() {
    const POLICY: i32 = 16;
    const LENGTH: i32 = 17;
    const PRIORITY: i32 = 1;
    let (a, b) = pair();
    let listener = DccpListener::bind_on(&b, "10.0.0.2:5001", &[42]).unwrap();
    let client = socket(&a, Domain::IPV4);
    let set = |name, value: i32| {
        let set = client.set_option_raw(SOL_DCCP, name, &value.to_ne_bytes());
        set.map_err(|error| error.raw_os_error().unwrap())
    };
    assert_eq!(set(POLICY, 2), Err(libc::EINVAL));
    assert_eq!(set(LENGTH, -1), Err(libc::EINVAL));
    assert_eq!((set(POLICY, 1), set(LENGTH, 10)), (Ok(()), Ok(())));
    client.connect("10.0.0.2:5001".parse().unwrap()).unwrap();
    assert_eq!(set(POLICY, 0), Err(libc::EISCONN));
    let (server, _) = listener.accept().unwrap();
    let send = |socket: &Socket, ty, data: &[u8]| {
        let control = [Control {
            level: SOL_DCCP,
            ty,
            data,
        }];
        let pieces = [IoSlice::new(b"x")];
        let sent = socket.sendmsg_raw(&pieces, None, &control, MessageFlags::empty());
        sent.map_err(|error| error.raw_os_error().unwrap())
    };
    let first = 1u32.to_ne_bytes();
    assert_eq!(send(&client, PRIORITY, &first), Ok(1));
    assert_eq!(server.recv(&mut [0; 9]).unwrap(), 1);
    assert_eq!(send(&client, PRIORITY, &first[..3]), Err(libc::EINVAL));
    assert_eq!(send(&client, 2, &first), Err(libc::EINVAL));
    // There are none where none were asked for.
    let plain = socket(&a, Domain::IPV4);
    plain.connect("10.0.0.2:5001".parse().unwrap()).unwrap();
    assert_eq!(send(&plain, PRIORITY, &first), Err(libc::EINVAL));
    let options = DccpOptions {
        priorities: true,
        queue_length: 10,
        ..DccpOptions::default()
    };
    let client = DccpSocket::connect_with(&a, "10.0.0.2:5001", 42, &options).unwrap();
    let accepted = [(); 2].map(|()| listener.accept().unwrap().0);
    assert_eq!(client.send_with_priority(b"urgent", 7).unwrap(), 6);
    assert_eq!(accepted[1].recv(&mut [0; 9]).unwrap(), 6);
}
