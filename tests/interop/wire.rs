//! A node on an Ethernet interface of the kernel, by a packet socket and by AF_XDP, against the
//! kernel at the other end of a veth, in a namespace of the test's own.

use crate::run::{PYTHON, need};
use crate::tap::{
    KERNEL_V4, KERNEL_V6, LIMIT, NODE_V4, NODE_V6, both_ways, from_the_kernel, programs_on,
    to_the_kernel,
};
use sockeye::drivers::{AfPacket, AfXdp, local_address};
use sockeye::link::{Batch, Link};
use sockeye::{Counter, LinkConfig, Node};
use sockeye_tests::{
    Outcome, Program, Result, Test, check, have, ignore, in_namespace, is_root, recorded, sockeye,
    tests,
};
use std::time::{Duration, Instant};

pub(crate) const TESTS: &[Test] = tests![
    a_packet_socket_carries_super_segments,
    tagged_frames_are_for_others,
    a_packet_socket_outlives_its_interface_being_down,
    an_interface_that_is_deleted_is_reported,
    xdp_carries_streams_by_the_driver,
    xdp_carries_streams_without_the_driver,
    programs_on_an_interface,
];

/// The kernel's end, and the node's.
const NEAR: &str = "near0";
const FAR: &str = "far0";

fn ip(words: &str) -> Result<()> {
    let run = Program::new("ip").args(words.split(' ')).run()?;
    run.expect(0)?;
    Ok(())
}

/// A veth whose one end the kernel has; it says nothing by the other.
fn veth() -> Result<()> {
    ip(&format!("link add {NEAR} type veth peer name {FAR}"))?;
    ip(&format!("link set {FAR} addrgenmode none"))?;
    ip(&format!("link set {NEAR} up"))?;
    ip(&format!("link set {FAR} up"))?;
    ip(&format!("addr add {KERNEL_V4}/24 dev {NEAR}"))?;
    ip(&format!("addr add {KERNEL_V6}/64 dev {NEAR} nodad"))
}

fn node(link: Box<dyn Link>) -> Result<Node> {
    let config = LinkConfig::new()
        .address(format!("{NODE_V4}/24").parse()?)
        .address(format!("{NODE_V6}/64").parse()?)
        .detect_duplicates(false);
    Ok(Node::builder().link(FAR, link, config).build()?)
}

fn own() -> sockeye::link::MacAddr {
    local_address(&[7; 32], 0)
}

/// Super-segments cross whole: far fewer packets than segments, which the interface's counters show.
fn a_packet_socket_carries_super_segments() -> Result {
    const NAME: &str = "interop::wire::a_packet_socket_carries_super_segments";
    in_namespace(NAME, LIMIT, || {
        veth()?;
        let node = node(recorded(Box::new(AfPacket::open(FAR, own())?))?)?;
        for (kernel, ours) in [(KERNEL_V4, NODE_V4), (KERNEL_V6, NODE_V6)] {
            let (segments, packets) = (node.counters()?.get(Counter::TcpOutSegs), sent()?);
            to_the_kernel(&node, kernel, 256 << 20)?;
            let segments = node.counters()?.get(Counter::TcpOutSegs) - segments;
            let packets = sent()? - packets;
            check!(
                packets * 4 < segments,
                "{segments} segments left in {packets} packets"
            );
            from_the_kernel(&node, ours, 256 << 20)?;
        }
        let count = node.counters()?.get(Counter::TcpInErrs);
        check!(count == 0, "{count} segments were bad");
        Ok(Outcome::Passed)
    })
}

/// Packets that left by the node's end, one for a super-segment.
fn sent() -> Result<u64> {
    let devices = std::fs::read_to_string("/proc/net/dev")?;
    let line = devices
        .lines()
        .find_map(|line| line.trim_start().strip_prefix(FAR)?.strip_prefix(':'))
        .ok_or("the device is not listed")?;
    let fields: Vec<&str> = line.split_whitespace().collect();
    Ok(fields[9].parse()?)
}

fn tagged_frames_are_for_others() -> Result {
    in_namespace("interop::wire::tagged_frames_are_for_others", LIMIT, || {
        veth()?;
        let mut link = AfPacket::open(FAR, own())?;
        need!(PYTHON);
        let script = "import socket\n\
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)\n\
            s.bind(('near0', 0))\n\
            to, us = bytes.fromhex('ffffffffffff'), bytes.fromhex('020000000099')\n\
            s.send(to + us + bytes.fromhex('8100 0005 0800') + b'in a tagged frame'.ljust(60))\n\
            s.send(to + us + bytes.fromhex('0800') + b'in a plain frame'.ljust(60))";
        Program::new(PYTHON).args(["-c", script]).run()?.expect(0)?;
        let (mut rx, end) = (Batch::new(), Instant::now() + Duration::from_secs(20));
        let holds = |rx: &Batch, text: &[u8]| {
            let mut packets = rx.iter();
            packets.any(|packet| packet.head().windows(text.len()).any(|part| part == text))
        };
        while !holds(&rx, b"in a plain frame") {
            check!(Instant::now() < end, "the plain frame did not come");
            link.recv_batch(sockeye::link::Instant::ZERO, &mut rx, 64)?;
            std::thread::sleep(Duration::from_millis(5));
        }
        check!(
            !holds(&rx, b"tagged"),
            "the tagged frame came without its tag"
        );
        let count = link.counters().rx_tagged;
        check!(count == 1, "{count} tagged frames were counted");
        Ok(Outcome::Passed)
    })
}

fn a_packet_socket_outlives_its_interface_being_down() -> Result {
    const NAME: &str = "interop::wire::a_packet_socket_outlives_its_interface_being_down";
    in_namespace(NAME, LIMIT, || {
        veth()?;
        let node = node(Box::new(AfPacket::open(FAR, own())?))?;
        both_ways(&node, KERNEL_V4, NODE_V4, 1 << 20)?;
        ip(&format!("link set {FAR} down"))?;
        ip(&format!("link set {FAR} up"))?;
        both_ways(&node, KERNEL_V4, NODE_V4, 1 << 20)?;
        Ok(Outcome::Passed)
    })
}

fn an_interface_that_is_deleted_is_reported() -> Result {
    const NAME: &str = "interop::wire::an_interface_that_is_deleted_is_reported";
    in_namespace(NAME, LIMIT, || {
        veth()?;
        let mut link = AfPacket::open(FAR, own())?;
        ip(&format!("link del {NEAR}"))?;
        let (mut rx, end) = (Batch::new(), Instant::now() + Duration::from_secs(20));
        let error = loop {
            match link.recv_batch(sockeye::link::Instant::ZERO, &mut rx, 64) {
                Ok(_) => check!(Instant::now() < end, "nobody told of it"),
                Err(error) => break error.to_string(),
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        check!(error.contains(FAR) && error.contains("deleted"), "{error}");
        Ok(Outcome::Passed)
    })
}

fn xdp_carries_streams_by_the_driver() -> Result {
    const NAME: &str = "interop::wire::xdp_carries_streams_by_the_driver";
    in_namespace(NAME, LIMIT, || {
        veth()?;
        xdp(FAR, true)
    })
}

/// A macvlan's driver has no XDP: the kernel does it.
fn xdp_carries_streams_without_the_driver() -> Result {
    const NAME: &str = "interop::wire::xdp_carries_streams_without_the_driver";
    in_namespace(NAME, LIMIT, || {
        veth()?;
        let words = format!("link add link {FAR} name over0 type macvlan mode passthru");
        let made = Program::new("ip").args(words.split(' ')).run()?;
        if made.code != Some(0) {
            return ignore!("no macvlan can be made: {}", made.stderr_text().trim());
        }
        ip("link set over0 addrgenmode none")?;
        ip("link set over0 up")?;
        xdp("over0", false)
    })
}

fn xdp(interface: &str, by_driver: bool) -> Result {
    need!(PYTHON);
    if !is_root() {
        return ignore!("AF_XDP needs root");
    }
    sum_before_sending()?;
    let link = AfXdp::open(interface, 0, own())?;
    check!(
        link.is_by_driver() == by_driver,
        "by the driver: {}",
        link.is_by_driver()
    );
    let second = AfXdp::open(interface, 0, local_address(&[7; 32], 1));
    let text = second.err().ok_or("two have one queue")?.to_string();
    check!(text.contains("in use"), "{text}");
    let node = node(recorded(Box::new(link))?)?;
    for (kernel, ours) in [(KERNEL_V4, NODE_V4), (KERNEL_V6, NODE_V6)] {
        both_ways(&node, kernel, ours, 64 << 20)?;
    }
    let count = node.counters()?.get(Counter::TcpInErrs);
    check!(count == 0, "{count} segments were bad");
    Ok(Outcome::Passed)
}

/// Has the kernel make the sums of what it sends by its end, as `ethtool -K near0 tx off` does: XDP
/// does not tell that one was left to the device.
fn sum_before_sending() -> Result<()> {
    let script = "import ctypes, fcntl, socket, struct\n\
        value = ctypes.create_string_buffer(struct.pack('II', 0x17, 0))\n\
        request = struct.pack('16sQ16x', b'near0', ctypes.addressof(value))\n\
        fcntl.ioctl(socket.socket(), 0x8946, request)";
    Program::new(PYTHON).args(["-c", script]).run()?.expect(0)?;
    Ok(())
}

fn programs_on_an_interface() -> Result {
    in_namespace("interop::wire::programs_on_an_interface", LIMIT, || {
        need!("curl", PYTHON);
        veth()?;
        programs_on(&format!("packet:{FAR},addr={NODE_V4}/24"))?;
        if is_root() {
            sum_before_sending()?;
            programs_on(&format!("xdp:{FAR},queue=0,addr={NODE_V4}/24"))?;
        }
        let output = Program::new(sockeye()?)
            .args(["ping", "--link", "packet:lo,addr=192.0.2.9/24", "192.0.2.1"])
            .run()?
            .expect(2)?;
        let text = output.stderr_text();
        check!(text.contains("lo is no Ethernet interface"), "{text}");
        Ok(Outcome::Passed)
    })
}
