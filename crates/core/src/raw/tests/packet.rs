//! Packet sockets: packet(7).

use super::*;
use crate::raw::Packets;
use crate::raw::packet::{ETH_P_ALL, FrameInfo, LinkAddr, MEMBERSHIPS_MAX, PacketType, Vlan};
use crate::{Counter, MacAddr, Readiness};
use sockeye_wire::{EtherType, arp, ethernet};

const OWN: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const PEER: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
const OTHER: MacAddr = MacAddr([2, 0, 0, 0, 0, 9]);
const GROUP: MacAddr = MacAddr([1, 0, 0x5e, 1, 2, 3]);
const IPV4: u16 = EtherType::IPV4.0;

struct Station {
    parts: Parts,
    packets: Packets,
    ethernet: InterfaceId,
    bare: InterfaceId,
}

impl Station {
    fn new() -> Self {
        Self::with(Config::default())
    }

    /// One with an Ethernet and a link of bare IP.
    fn with(config: Config) -> Self {
        let mut parts = Parts::new(config, [5; 32]);
        let mut add = |name, medium, address: &str| {
            let capabilities = Capabilities {
                medium,
                mtu: 1500,
                tx_checksum: false,
                gso: GsoKinds::NONE,
                gso_max: 0,
                queues: 1,
            };
            let mut interface = InterfaceConfig::new(name, capabilities);
            interface.link_local = false;
            interface.detect_duplicates = false;
            interface = interface.with_address(address.parse().unwrap());
            inet::add_interface(&mut parts.context(Instant::ZERO), interface)
        };
        let ethernet = add("eth0", Medium::Ethernet(OWN), "10.0.0.1/24");
        let bare = add("tun0", Medium::Ip, "10.1.0.1/24");
        Self {
            parts,
            packets: Packets::default(),
            ethernet,
            bare,
        }
    }

    fn packets(&mut self) -> (&mut Packets, Context<'_>) {
        (&mut self.packets, self.parts.context(Instant::ZERO))
    }

    fn open(&mut self, cooked: bool, protocol: u16) -> SocketId {
        let (packets, mut cx) = self.packets();
        packets.open(&mut cx, cooked, protocol).unwrap()
    }

    fn bind(&mut self, id: SocketId, addr: &LinkAddr) -> Result<(), Error> {
        let (packets, mut cx) = self.packets();
        packets.bind_link(&mut cx, id, addr)
    }

    fn set(&mut self, id: SocketId, option: SocketOption, value: OptionValue) -> Result<(), Error> {
        let (packets, mut cx) = self.packets();
        packets.set_option(&mut cx, id, option, value)
    }

    fn option(&mut self, id: SocketId, option: SocketOption) -> Result<OptionValue, Error> {
        let (packets, mut cx) = self.packets();
        packets.option(&mut cx, id, option)
    }

    fn send(&mut self, id: SocketId, data: &[u8], to: Option<LinkAddr>) -> Result<usize, Error> {
        let (packets, mut cx) = self.packets();
        packets.send_link(&mut cx, id, &[IoSlice::new(data)], to.as_ref())
    }

    fn arrive(&mut self, frame: &[u8]) {
        self.arrive_by(self.ethernet, frame);
    }

    fn arrive_by(&mut self, interface: InterfaceId, frame: &[u8]) {
        let (packets, mut cx) = self.packets();
        packets.arrives(&mut cx, interface, &Packet::from_slice(frame));
    }

    /// What leaves by the Ethernet, shown on its way.
    fn leave(&mut self) -> Vec<Vec<u8>> {
        let mut batch = Batch::new();
        let interface = self.ethernet;
        self.parts.inet.poll_transmit(interface, &mut batch, 10_000);
        let (packets, mut cx) = self.packets();
        for frame in &batch {
            packets.leaves(&mut cx, interface, frame);
        }
        batch.iter().map(Packet::to_vec).collect()
    }

    fn recv(&mut self, id: SocketId) -> Option<(Vec<u8>, FrameInfo)> {
        let mut buffer = vec![0; 2000];
        let (got, info) = self.packets.recv_link(id, &mut buffer, false).ok()?;
        buffer.truncate(got.copied);
        Some((buffer, info))
    }

    /// How many frames wait, which are gone then.
    fn count(&mut self, id: SocketId) -> usize {
        std::iter::from_fn(|| self.recv(id)).count()
    }
}

fn frame(to: MacAddr, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    frame_from(PEER, to, ethertype, payload)
}

fn frame_from(from: MacAddr, to: MacAddr, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; ethernet::HEADER_LEN];
    let header = ethernet::Header {
        destination: to,
        source: from,
        ethertype: EtherType(ethertype),
    };
    header.emit(&mut frame);
    frame.extend(payload);
    frame
}

/// `struct packet_mreq`.
fn member(interface: InterfaceId, kind: u16, address: &[u8]) -> OptionValue {
    let mut raw = interface.0.to_ne_bytes().to_vec();
    raw.extend(kind.to_ne_bytes());
    raw.extend(u16::try_from(address.len()).unwrap().to_ne_bytes());
    raw.extend(address);
    raw.resize(16, 0);
    OptionValue::Bytes(raw)
}

#[test]
fn a_raw_one_gets_the_link_header_and_a_cooked_one_does_not() {
    let mut a = Station::new();
    let raw = a.open(false, IPV4);
    let cooked = a.open(true, IPV4);
    let ip = packet("10.0.0.2", "10.0.0.1", IpProtocol(253), b"data");
    let whole = frame(OWN, IPV4, &ip);
    a.arrive(&whole);
    let (bytes, info) = a.recv(raw).unwrap();
    assert_eq!((bytes, info.network_offset), (whole, 14));
    let (bytes, info) = a.recv(cooked).unwrap();
    assert_eq!((bytes, info.network_offset), (ip.clone(), 0));
    let from = LinkAddr {
        protocol: IPV4,
        interface: a.ethernet.0,
        hardware: 1,
        packet_type: PacketType::Host,
        address: Some(PEER),
    };
    assert_eq!(info.from, from);

    // Bare IP has no link header, and its senders no stations.
    a.arrive_by(a.bare, &ip);
    for id in [raw, cooked] {
        let (bytes, info) = a.recv(id).unwrap();
        assert_eq!(bytes, ip);
        let LinkAddr {
            hardware, address, ..
        } = info.from;
        assert_eq!((hardware, address), (0xfffe, None));
    }
}

/// What a socket asks for, and how many of five frames it gets.
#[test]
fn protocols_and_interfaces_are_chosen() {
    let arp = EtherType::ARP.0;
    let ip = packet("10.0.0.2", "10.0.0.1", IpProtocol(253), b"data");
    let table = [
        (ETH_P_ALL, 0, 5),
        (IPV4, 0, 2),
        (arp, 0, 1),
        (ETH_P_ALL, 2, 4),
        (IPV4, 3, 1),
        (0, 0, 0),
        // ETH_P_802_2 and ETH_P_802_3: a length stands where the type would.
        (4, 0, 1),
        (1, 0, 1),
    ];
    for (protocol, interface, wanted) in table {
        let mut a = Station::new();
        let id = a.open(false, 0);
        a.bind(id, &LinkAddr::new(protocol, interface)).unwrap();
        a.arrive(&frame(OWN, IPV4, &ip));
        a.arrive(&frame(MacAddr::BROADCAST, arp, &[0; 28]));
        a.arrive(&frame(OWN, 46, &[0x42; 46]));
        a.arrive(&frame(OWN, 46, &[0xff; 46]));
        a.arrive_by(a.bare, &ip);
        assert_eq!(a.count(id), wanted, "{protocol:#x} by {interface}");
        let addr = a.parts.context(Instant::ZERO);
        let addr = a.packets.link_addr(&addr, id).unwrap();
        assert_eq!((addr.protocol, addr.interface), (protocol, interface));
    }
    let mut a = Station::new();
    let id = a.open(false, ETH_P_ALL);
    let nowhere = a.bind(id, &LinkAddr::new(0, 99));
    assert_eq!(nowhere, Err(Error::NoDevice));
}

#[test]
fn it_is_told_whom_a_frame_was_for() {
    let mut a = Station::new();
    let id = a.open(true, ETH_P_ALL);
    let everything = member(a.ethernet, 1, &[]);
    a.set(id, SocketOption::PacketAddMembership, everything)
        .unwrap();
    for (to, packet_type) in [
        (OWN, PacketType::Host),
        (MacAddr::BROADCAST, PacketType::Broadcast),
        (GROUP, PacketType::Multicast),
        (OTHER, PacketType::OtherHost),
    ] {
        a.arrive(&frame(to, 0x88b5, b"experiment"));
        assert_eq!(a.recv(id).unwrap().1.from.packet_type, packet_type);
    }
}

/// What is asked for, and whether a group's frame and another station's come through then.
#[test]
fn a_link_lets_through_what_a_membership_asks_for() {
    let table: [(u16, &[u8], [bool; 2]); 6] = [
        (1, &[], [true, true]),
        (2, &[], [true, false]),
        (0, &GROUP.0, [true, false]),
        (0, &[1, 0, 0x5e, 9, 9, 9], [false, false]),
        (3, &OTHER.0, [false, true]),
        (1, &[0; 6], [true, true]),
    ];
    for (kind, address, wanted) in table {
        let mut a = Station::new();
        let id = a.open(true, ETH_P_ALL);
        // Whoever asks, everybody sees it: it is the link's.
        let asks = a.open(true, 0);
        let value = member(a.ethernet, kind, address);
        let seen = |a: &mut Station| {
            [GROUP, OTHER].map(|to| {
                a.arrive(&frame(to, 0x88b5, b"experiment"));
                a.count(id) == 1
            })
        };
        assert_eq!(seen(&mut a), [false, false]);
        let add = SocketOption::PacketAddMembership;
        let drop = SocketOption::PacketDropMembership;
        for _ in 0..2 {
            a.set(asks, add, value.clone()).unwrap();
        }
        assert_eq!(seen(&mut a), wanted, "{kind} {address:?}");
        a.set(asks, drop, value.clone()).unwrap();
        assert_eq!(seen(&mut a), wanted, "it was asked for twice");
        a.set(asks, drop, value.clone()).unwrap();
        assert_eq!(seen(&mut a), [false, false]);
        a.set(asks, drop, value.clone()).unwrap();

        a.set(asks, add, value).unwrap();
        let (packets, mut cx) = a.packets();
        packets.close(&mut cx, asks).unwrap();
        assert_eq!(seen(&mut a), [false, false], "who asked is gone");
    }
}

#[test]
fn what_no_membership_can_ask_for() {
    let mut a = Station::new();
    let id = a.open(true, ETH_P_ALL);
    let add = SocketOption::PacketAddMembership;
    for (value, error) in [
        (member(InterfaceId(99), 1, &[]), Error::NoDevice),
        (member(a.ethernet, 0, &[1, 2]), Error::Invalid),
        (member(a.ethernet, 0, &[1; 8]), Error::Invalid),
        (member(a.bare, 0, &GROUP.0), Error::Invalid),
        (OptionValue::Bytes(vec![0; 15]), Error::Invalid),
        (member(a.ethernet, 1, &[1; 9]), Error::Invalid),
    ] {
        assert_eq!(a.set(id, add, value), Err(error));
    }
    for _ in 0..MEMBERSHIPS_MAX {
        a.set(id, add, member(a.ethernet, 1, &[])).unwrap();
    }
    let more = a.set(id, add, member(a.ethernet, 1, &[]));
    assert_eq!(more, Err(Error::NoBufferSpace));
}

#[test]
fn groups_that_the_node_listens_to_come_through() {
    let mut a = Station::new();
    let id = a.open(true, ETH_P_ALL);
    let group = "239.1.2.3".parse().unwrap();
    let to_group = frame(GROUP, 0x88b5, b"experiment");
    a.arrive(&to_group);
    assert_eq!(a.count(id), 0);
    let mut cx = a.parts.context(Instant::ZERO);
    crate::multicast::join(&mut cx, a.ethernet, group).unwrap();
    a.arrive(&to_group);
    let all_hosts = MacAddr::of_group_v4("224.0.0.1".parse().unwrap());
    a.arrive(&frame(all_hosts, 0x88b5, b"experiment"));
    assert_eq!(a.count(id), 2);
}

#[test]
fn what_leaves_is_seen_by_those_who_see_everything() {
    let mut a = Station::new();
    let all = a.open(false, ETH_P_ALL);
    let of_protocol = a.open(false, 0x88b5);
    let ignores = a.open(false, ETH_P_ALL);
    let on = OptionValue::Int(1);
    a.set(ignores, SocketOption::PacketIgnoreOutgoing, on)
        .unwrap();
    let two = a.set(all, SocketOption::PacketIgnoreOutgoing, OptionValue::Int(2));
    assert_eq!(two, Err(Error::Invalid));
    let sender = a.open(false, ETH_P_ALL);
    let sent = frame_from(OWN, PEER, 0x88b5, b"experiment");
    let to = LinkAddr::new(0, a.ethernet.0);
    a.send(sender, &sent, Some(to)).unwrap();
    assert_eq!(a.leave(), [&sent[..]]);
    let (bytes, info) = a.recv(all).unwrap();
    assert_eq!(bytes, sent);
    assert_eq!(info.from.packet_type, PacketType::Outgoing);
    assert_eq!(info.from.address, Some(OWN));
    for id in [of_protocol, ignores, sender] {
        assert_eq!(a.count(id), 0, "{id:?}");
    }
}

#[test]
fn a_cooked_frame_gets_its_header() {
    let mut a = Station::new();
    let id = a.open(true, 0x88b5);
    let to = LinkAddr::new(0x88b6, a.ethernet.0);
    assert_eq!(a.send(id, b"text", Some(to)), Err(Error::Invalid));
    a.send(id, b"text", Some(to.with_address(PEER))).unwrap();
    assert_eq!(a.leave(), [frame_from(OWN, PEER, 0x88b6, b"text")]);
    // Without being told it sends where it is bound to, but not to any station.
    a.bind(id, &LinkAddr::new(0, a.ethernet.0)).unwrap();
    assert_eq!(a.send(id, b"text", None), Err(Error::Invalid));
    // Bare IP has no stations.
    let ip = packet("10.1.0.1", "10.1.0.2", IpProtocol(253), b"data");
    let to = LinkAddr::new(IPV4, a.bare.0);
    assert_eq!(a.send(id, &ip, Some(to)), Ok(ip.len()));
    assert_eq!(a.send(id, b"text", Some(to)), Err(Error::Invalid));
}

#[test]
fn what_can_not_be_sent() {
    let mut a = Station::new();
    let id = a.open(false, ETH_P_ALL);
    let to = LinkAddr::new(0, a.ethernet.0);
    let text = |len| frame_from(OWN, PEER, 0x88b5, &vec![0; len]);
    let tagged = |len| frame_from(OWN, PEER, 0x8100, &vec![0; len]);
    assert_eq!(a.send(id, &text(9), None), Err(Error::NoAddress));
    let nowhere = LinkAddr::new(0, 99);
    assert_eq!(a.send(id, &text(9), Some(nowhere)), Err(Error::NoAddress));
    assert_eq!(a.send(id, &[0; 13], Some(to)), Err(Error::Invalid));
    assert_eq!(a.send(id, &text(1500), Some(to)), Ok(1514));
    assert_eq!(a.send(id, &text(1501), Some(to)), Err(Error::MessageSize));
    assert_eq!(a.send(id, &tagged(1504), Some(to)), Ok(1518));
    assert_eq!(a.send(id, &tagged(1505), Some(to)), Err(Error::MessageSize));
    let room = iface::TX_QUEUE_LIMIT - 2;
    for _ in 0..room {
        a.send(id, &text(9), Some(to)).unwrap();
    }
    assert_eq!(a.send(id, &text(9), Some(to)), Err(Error::WouldBlock));
    let writable = Readiness::WRITABLE;
    assert!(!a.packets.readiness(id).unwrap().contains(writable));
    a.leave();
    let link = a.ethernet;
    let (packets, mut cx) = a.packets();
    assert!(packets.has_output(link));
    packets.poll_transmit(&mut cx, link, 1);
    assert!(a.packets.readiness(id).unwrap().contains(writable));
    let mut cx = a.parts.context(Instant::ZERO);
    inet::set_up(&mut cx, link, false);
    assert_eq!(a.send(id, &text(9), Some(to)), Err(Error::NetworkDown));
    let down = a.bind(id, &LinkAddr::new(0, link.0));
    assert_eq!(down, Err(Error::NetworkDown));
}

/// Frames that say to come from elsewhere, one way or another.
#[test]
fn a_foreign_source_takes_a_grant_of_its_own() {
    let ip = |from, to| packet(from, to, IpProtocol(253), b"data");
    let ask = |mac: MacAddr, ip: &str| {
        let header = arp::Header::request(mac, ip.parse().unwrap(), "10.0.0.9".parse().unwrap());
        let mut bytes = vec![0; arp::HEADER_LEN];
        header.emit(&mut bytes);
        frame_from(OWN, MacAddr::BROADCAST, EtherType::ARP.0, &bytes)
    };
    let own = |ethertype, payload: &[u8]| frame_from(OWN, PEER, ethertype, payload);
    let tag =
        |ethertype: u16, payload: &[u8]| [&[0, 5], &ethertype.to_be_bytes()[..], payload].concat();
    let ours = ip("10.0.0.1", "10.0.0.2");
    let theirs = ip("192.0.2.1", "10.0.0.2");
    let v6 = ip("2001:db8::1", "2001:db8::2");
    let table = [
        (own(IPV4, &ours), true),
        (own(IPV4, &ip("0.0.0.0", "255.255.255.255")), true),
        (own(0x88b5, b"experiment"), true),
        (own(IPV4, b"short"), true),
        (ask(OWN, "10.0.0.1"), true),
        (ask(OWN, "0.0.0.0"), true),
        (own(0x8100, &tag(IPV4, &ours)), true),
        (frame_from(OTHER, PEER, 0x88b5, b"experiment"), false),
        (own(IPV4, &theirs), false),
        (own(EtherType::IPV6.0, &v6), false),
        (ask(OTHER, "10.0.0.1"), false),
        (ask(OWN, "10.0.0.7"), false),
        (own(0x8100, &tag(IPV4, &theirs)), false),
        (own(0x88a8, &tag(0x8100, &tag(IPV4, &theirs))), false),
    ];
    for foreign_sources in [false, true] {
        let mut a = Station::with(Config {
            foreign_sources,
            ..Config::default()
        });
        let id = a.open(false, 0);
        let to = LinkAddr::new(0, a.ethernet.0);
        for (frame, is_own) in &table {
            let sent = a.send(id, frame, Some(to)).map(|_| ());
            let allowed = *is_own || foreign_sources;
            let wanted = allowed.then_some(()).ok_or(Error::NotPermitted);
            assert_eq!(sent, wanted, "{frame:02x?}");
        }
        let to = LinkAddr::new(0, a.bare.0);
        let sent = a.send(id, &theirs, Some(to)).is_ok();
        assert_eq!(sent, foreign_sources);
    }
}

#[test]
fn without_the_capability_there_are_none() {
    let mut a = Station::with(Config {
        raw_sockets: false,
        ..Config::default()
    });
    let (packets, mut cx) = a.packets();
    let refused = packets.open(&mut cx, false, ETH_P_ALL);
    assert_eq!(refused, Err(Error::NotPermitted));
}

#[test]
fn a_full_queue_drops_and_counts() {
    let mut a = Station::new();
    let id = a.open(false, ETH_P_ALL);
    let size = OptionValue::Int(4096);
    a.set(id, SocketOption::ReceiveBuffer, size).unwrap();
    for _ in 0..100 {
        a.arrive(&frame(OWN, 0x88b5, &[0; 1000]));
    }
    let statistics = |a: &mut Station| a.option(id, SocketOption::PacketStatistics).unwrap();
    let held = u32::try_from(a.count(id)).unwrap();
    assert!((2..=8).contains(&held), "{held}");
    let words = |packets: u32, drops: u32| {
        OptionValue::Bytes([packets.to_ne_bytes(), drops.to_ne_bytes()].concat())
    };
    assert_eq!(statistics(&mut a), words(100, 100 - held));
    assert_eq!(statistics(&mut a), words(0, 0));
    let lost = a.parts.counters.get(Counter::RawRcvbufErrors);
    assert_eq!(lost, u64::from(100 - held));
}

#[test]
fn a_tag_is_taken_off_and_told() {
    let mut a = Station::new();
    let id = a.open(false, ETH_P_ALL);
    let of_protocol = a.open(false, IPV4);
    let ip = packet("10.0.0.2", "10.0.0.1", IpProtocol(253), b"data");
    let tagged = [&[0x20, 5, 8, 0], &ip[..]].concat();
    a.arrive(&frame(OWN, 0x8100, &tagged));
    // As on Linux, to those who receive one protocol: not by its tag, but as somebody else's.
    let (bytes, info) = a.recv(of_protocol).unwrap();
    assert_eq!(bytes, frame(OWN, IPV4, &ip));
    assert_eq!(info.vlan, None);
    assert_eq!(info.from.packet_type, PacketType::OtherHost);
    let (bytes, info) = a.recv(id).unwrap();
    assert_eq!(bytes, frame(OWN, IPV4, &ip));
    let vlan = Vlan {
        tci: 0x2005,
        tpid: 0x8100,
    };
    assert_eq!(info.vlan, Some(vlan));
    // TP_STATUS_USER, _VLAN_VALID, _VLAN_TPID_VALID.
    assert_eq!(info.auxdata(bytes.len())[..4], 81_u32.to_ne_bytes());
    // One that is cut short within its tag.
    a.arrive(&frame(OWN, 0x8100, &[0x20, 5, 8]));
    assert_eq!(a.count(of_protocol), 0);
}

#[test]
fn options_are_those_of_sockets_and_its_own() {
    let mut a = Station::new();
    let id = a.open(false, ETH_P_ALL);
    let on = || OptionValue::Flag(true);
    for option in [
        SocketOption::PacketAuxdata,
        SocketOption::PacketOriginalDevice,
        SocketOption::Timestamp,
    ] {
        assert_eq!(a.set(id, option, on()), Ok(()), "{option:?}");
        assert_eq!(a.option(id, option), Ok(on()), "{option:?}");
    }
    for option in [
        SocketOption::Tos,
        SocketOption::ReceiveErrors,
        SocketOption::HeaderIncluded,
        SocketOption::NoDelay,
    ] {
        assert_eq!(
            a.set(id, option, OptionValue::Int(1)),
            Err(Error::NoProtocolOption),
            "{option:?}"
        );
    }
    let (packets, mut cx) = a.packets();
    let peer = Some(with_port("10.0.0.2"));
    let connected = packets.connect(&mut cx, id, peer);
    assert_eq!(connected, Err(Error::NotSupported));
    packets.close(&mut cx, id).unwrap();
    assert_eq!(packets.close(&mut cx, id), Err(Error::BadSocket));
    assert!(!packets.listens(), "it costs nothing any more");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(256))]

    /// Whatever arrives and whatever a program sends, nothing panics.
    #[test]
    fn arbitrary_frames(
        ethertype in proptest::sample::select(vec![0u16, 46, 0x800, 0x806, 0x86dd, 0x8100, 0x88a8]),
        bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..60),
        cut in 0usize..20,
    ) {
        let mut a = Station::new();
        let id = a.open(false, ETH_P_ALL);
        let cooked = a.open(true, ethertype);
        let mut whole = frame_from(OWN, OWN, ethertype, &bytes);
        let to = Some(LinkAddr::new(ethertype, a.ethernet.0).with_address(PEER));
        for socket in [id, cooked] {
            let _ = a.send(socket, &whole, to);
            let _ = a.send(socket, &bytes, to);
        }
        a.leave();
        a.arrive(&whole);
        whole.truncate(cut);
        a.arrive(&whole);
        a.arrive_by(a.bare, &bytes);
        let _ = a.send(id, &bytes, Some(LinkAddr::new(0, a.bare.0)));
        a.count(id);
        a.count(cooked);
    }
}
