//! Packet sockets: what they see of two nodes that talk over an Ethernet, and what they send there.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use sockeye::drivers::{MemoryConfig, MemoryLink};
use sockeye::link::{MacAddr, Medium};
use sockeye::net::{IcmpSocket, PacketSocket, RawSocket, UdpSocket};
use sockeye::{
    Ancillary, Config, Domain, LinkAddr, LinkConfig, MessageFlags, Node, OptionValue, PacketType,
    PollFd, Protocol, Readiness, Socket, SocketOption, Type, poll,
};
use std::io::{self, IoSliceMut};
use std::net::IpAddr;
use std::time::Duration;

const MAC_A: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xa]);
const MAC_B: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xb]);
const EXPERIMENT: u16 = 0x88b5;
/// The only link of a node.
const LINK: u32 = 2;

fn pair() -> (Node, Node) {
    pair_with(Config::default())
}

fn pair_with(config: Config) -> (Node, Node) {
    let (a, b) = MemoryLink::pair(
        MemoryConfig::default(),
        Medium::Ethernet(MAC_A),
        Medium::Ethernet(MAC_B),
    );
    let node = |link, address: &str, config| {
        let mut link_config = LinkConfig::new().address(address.parse().unwrap());
        link_config.link_local = false;
        let builder = Node::builder().config(config).seed([1; 32]);
        builder.link("eth0", Box::new(link), link_config).build()
    };
    (
        node(a, "10.0.0.1/24", config).unwrap(),
        node(b, "10.0.0.2/24", Config::default()).unwrap(),
    )
}

fn ping(node: &Node, to: &str) {
    let any: IpAddr = "0.0.0.0".parse().unwrap();
    let socket = IcmpSocket::bind_on(node, any).unwrap();
    let request = [8, 0, 0, 0, 0, 0, 0, 1];
    socket.send_to(&request, to.parse().unwrap()).unwrap();
    socket.recv_from(&mut [0; 64]).unwrap();
}

/// A frame as tcpdump would say it: which way, from whom, what.
fn said(info: &LinkAddr, frame: &[u8]) -> String {
    let way = match info.packet_type {
        PacketType::Outgoing => "Out",
        PacketType::Broadcast => "B",
        PacketType::Multicast => "M",
        PacketType::OtherHost => "P",
        PacketType::Host => "In",
    };
    let what = match (info.protocol, frame) {
        (0x0806, [_, _, _, _, _, _, _, 1, ..]) => "ARP who-has",
        (0x0806, _) => "ARP reply",
        (0x0800, ip) if ip[9] == 1 && ip[20] == 8 => "ICMP echo request",
        (0x0800, ip) if ip[9] == 1 && ip[20] == 0 => "ICMP echo reply",
        _ => "?",
    };
    format!("{way} {} {what}", info.address.unwrap())
}

#[test]
fn one_sees_what_tcpdump_would() {
    let (a, b) = pair();
    let sees = PacketSocket::cooked_on(&b, Protocol::ALL_FRAMES).unwrap();
    ping(&a, "10.0.0.2");
    let mut trace = Vec::new();
    sees.set_nonblocking(true).unwrap();
    let mut buffer = [0; 2000];
    while let Ok((len, from)) = sees.recv_from(&mut buffer) {
        assert_eq!((from.interface, from.hardware), (LINK, 1));
        trace.push(said(&from, &buffer[..len]));
    }
    let wanted = [
        "B 02:00:00:00:00:0a ARP who-has",
        "Out 02:00:00:00:00:0b ARP reply",
        "In 02:00:00:00:00:0a ICMP echo request",
        "Out 02:00:00:00:00:0b ICMP echo reply",
    ];
    assert_eq!(trace, wanted);
    assert_eq!(sees.statistics().unwrap(), (4, 0));
    assert_eq!(sees.statistics().unwrap(), (0, 0));
}

#[test]
fn the_loopback_shows_each_packet_twice() {
    let (a, _b) = pair();
    let sees = PacketSocket::new_on(&a, Protocol::ALL_FRAMES).unwrap();
    sees.bind(&LinkAddr::new(0, 1)).unwrap();
    ping(&a, "127.0.0.1");
    sees.set_nonblocking(true).unwrap();
    let mut buffer = [0; 2000];
    let seen = std::iter::from_fn(|| {
        let (_, from) = sees.recv_from(&mut buffer).ok()?;
        Some((from.packet_type, buffer[20]))
    });
    let (out, host) = (PacketType::Outgoing, PacketType::Host);
    let wanted = [(out, 8), (host, 8), (out, 0), (host, 0)];
    assert_eq!(seen.collect::<Vec<_>>(), wanted);
}

#[test]
fn frames_go_from_node_to_node() {
    let (a, b) = pair();
    let sender = PacketSocket::cooked_on(&a, Protocol::of_frames(EXPERIMENT)).unwrap();
    let receiver = PacketSocket::new_on(&b, Protocol::of_frames(EXPERIMENT)).unwrap();
    let wait = Duration::from_secs(20);
    receiver.set_read_timeout(Some(wait)).unwrap();
    let to = LinkAddr::new(EXPERIMENT, LINK).with_address(MAC_B);
    assert_eq!(sender.send_to(b"frame", &to).unwrap(), 5);
    let mut buffer = [0; 64];
    let (len, from) = receiver.recv_from(&mut buffer).unwrap();
    let header = [&MAC_B.0[..], &MAC_A.0, &EXPERIMENT.to_be_bytes(), b"frame"];
    assert_eq!(buffer[..len], header.concat());
    assert_eq!(from.address, Some(MAC_A));
    // And back as it came, by the interface it is bound to.
    let back = [&MAC_A.0[..], &MAC_B.0, &EXPERIMENT.to_be_bytes(), b"back"].concat();
    let nowhere = receiver.send(&back).unwrap_err();
    assert_eq!(nowhere.raw_os_error(), Some(libc::ENXIO));
    receiver.bind(&LinkAddr::new(0, LINK)).unwrap();
    receiver.send(&back).unwrap();
    assert_eq!(sender.recv(&mut buffer).unwrap(), 4);
    let own = receiver.local_addr().unwrap();
    assert_eq!((own.protocol, own.address), (EXPERIMENT, Some(MAC_B)));
}

#[test]
fn promiscuous_it_sees_what_is_for_others() {
    let (a, b) = pair();
    let sender = PacketSocket::cooked_on(&a, Protocol::of_frames(EXPERIMENT)).unwrap();
    let sees = PacketSocket::cooked_on(&b, Protocol::of_frames(EXPERIMENT)).unwrap();
    sees.set_nonblocking(true).unwrap();
    let other = MacAddr([2, 0, 0, 0, 0, 0xc]);
    let to = LinkAddr::new(EXPERIMENT, LINK).with_address(other);
    let mut buffer = [0; 64];
    for on in [false, true] {
        sender.send_to(b"for another", &to).unwrap();
        // What came before it has been seen then.
        ping(&a, "10.0.0.2");
        let seen = sees.recv_from(&mut buffer);
        assert_eq!(seen.is_ok(), on);
        if let Ok((_, from)) = seen {
            assert_eq!(from.packet_type, PacketType::OtherHost);
        }
        sees.set_promiscuous(LINK, !on).unwrap();
    }
}

#[test]
fn recvmsg_tells_what_was_asked_for() {
    let (a, b) = pair();
    let socket = Socket::new_on(&b, Domain::PACKET, Type::RAW, Some(Protocol::ALL_FRAMES));
    let socket = socket.unwrap();
    for option in [
        SocketOption::PacketAuxdata,
        SocketOption::PacketOriginalDevice,
        SocketOption::TimestampNs,
    ] {
        socket.set_option(option, OptionValue::Flag(true)).unwrap();
    }
    ping(&a, "10.0.0.2");
    let mut fds = [PollFd::new(&socket, Readiness::READABLE)];
    assert_eq!(poll(&mut fds, Some(Duration::from_secs(20))).unwrap(), 1);
    let mut buffer = [0; 20];
    let buffers = &mut [IoSliceMut::new(&mut buffer)];
    let message = socket.recvmsg(buffers, MessageFlags::TRUNCATE).unwrap();
    assert_eq!((message.len, message.flags), (42, MessageFlags::TRUNCATE));
    assert_eq!(message.link.unwrap().interface, LINK);
    let [Ancillary::TimestampNs(_), aux] = &message.ancillary[..] else {
        panic!("{:?}", message.ancillary);
    };
    let (level, ty, data) = aux.to_raw(Domain::PACKET);
    assert_eq!((level, ty, data.len()), (263, 8, 20));
    let word = |at: usize| u32::from_ne_bytes(data[at..at + 4].try_into().unwrap());
    // TP_STATUS_USER, both lengths, and the network's header.
    assert_eq!((word(0) & 1, word(4), word(8)), (1, 42, 42));
    assert_eq!(data[12..16], [[0, 0], 14_u16.to_ne_bytes()].concat());
    // recvmmsg(2): the answer to that question of ARP, and the echo request.
    let (mut one, mut other) = ([0; 20], [0; 20]);
    let buffers = &mut [&mut one[..], &mut other[..]];
    let messages = socket.recvmmsg(buffers, MessageFlags::WAIT_FOR_ONE);
    let told = messages.unwrap().into_iter().map(|message| {
        assert_eq!(message.ancillary.len(), 2, "{message:?}");
        message.link.unwrap().packet_type
    });
    let expected = [PacketType::Outgoing, PacketType::Host];
    assert_eq!(told.collect::<Vec<_>>(), expected);
    // The same by the numbers of setsockopt(2).
    let mut value = [0; 8];
    assert_eq!(socket.option_raw(263, 8, &mut value).unwrap(), 4);
    assert_eq!(value[0], 1);
    assert_eq!(socket.option_raw(263, 6, &mut value).unwrap(), 8);
    let rings = socket.set_option_raw(263, 5, &[0; 16]).unwrap_err();
    assert_eq!(rings.raw_os_error(), Some(libc::ENOPROTOOPT));
}

/// Raw, packet, and what needs no capability.
#[test]
fn raw_sockets_are_a_capability_and_foreign_sources_another() {
    let (a, _b) = pair_with(Config {
        raw_sockets: false,
        ..Config::default()
    });
    let eperm = |refused: io::Error| assert_eq!(refused.raw_os_error(), Some(libc::EPERM));
    for domain in [Domain::IPV4, Domain::IPV6] {
        eperm(RawSocket::new_on(&a, domain, Protocol::UDP).unwrap_err());
    }
    eperm(PacketSocket::new_on(&a, Protocol::ALL_FRAMES).unwrap_err());
    eperm(PacketSocket::cooked_on(&a, Protocol::ALL_FRAMES).unwrap_err());
    ping(&a, "10.0.0.2");
    UdpSocket::bind_on(&a, "10.0.0.1:0").unwrap();

    for foreign_sources in [false, true] {
        let (a, b) = pair_with(Config {
            foreign_sources,
            ..Config::default()
        });
        let sees = PacketSocket::new_on(&b, Protocol::of_frames(EXPERIMENT)).unwrap();
        let frames = PacketSocket::new_on(&a, Protocol::ALL_FRAMES).unwrap();
        let forged = [&MAC_B.0[..], &[2, 9, 9, 9, 9, 9], &EXPERIMENT.to_be_bytes()].concat();
        let sent = frames.send_to(&forged, &LinkAddr::new(0, LINK));
        let raw = RawSocket::new_on(&a, Domain::IPV4, Protocol::from(255)).unwrap();
        let mut packet = [0; 20];
        packet[0] = 0x45;
        packet[9] = 253;
        packet[12..16].copy_from_slice(&[192, 0, 2, 1]);
        packet[16..20].copy_from_slice(&[10, 0, 0, 2]);
        let raw = raw.send_to(&packet, "10.0.0.2".parse().unwrap());
        if foreign_sources {
            assert_eq!((sent.unwrap(), raw.unwrap()), (14, 20));
            let mut buffer = [0; 64];
            let (_, from) = sees.recv_from(&mut buffer).unwrap();
            assert_eq!(from.address, Some(MacAddr([2, 9, 9, 9, 9, 9])));
        } else {
            eperm(sent.unwrap_err());
            eperm(raw.unwrap_err());
        }
    }
}

#[test]
fn calls_of_other_sockets_are_refused() {
    let (a, _b) = pair();
    let socket = |ty| Socket::new_on(&a, Domain::PACKET, ty, Some(Protocol::ALL_FRAMES));
    let errno = |error: io::Error| error.raw_os_error().unwrap();
    assert_eq!(
        errno(socket(Type::STREAM).unwrap_err()),
        libc::ESOCKTNOSUPPORT
    );
    let frames = socket(Type::RAW).unwrap();
    let peer = "10.0.0.2:1".parse().unwrap();
    assert_eq!(errno(frames.connect(peer).unwrap_err()), libc::EOPNOTSUPP);
    assert_eq!(errno(frames.listen(1).unwrap_err()), libc::EOPNOTSUPP);
    assert_eq!(errno(frames.bind(peer).unwrap_err()), libc::EINVAL);
    assert_eq!(errno(frames.peer_addr().unwrap_err()), libc::EOPNOTSUPP);
    let udp = Socket::new_on(&a, Domain::IPV4, Type::DGRAM, None).unwrap();
    assert_eq!(errno(udp.link_addr().unwrap_err()), libc::EOPNOTSUPP);
    assert_eq!(
        errno(udp.frame_statistics().unwrap_err()),
        libc::ENOPROTOOPT
    );
    assert_eq!(i32::from(frames.protocol()), 0x0300);
    assert_eq!(frames.r#type(), Type::RAW);
}
