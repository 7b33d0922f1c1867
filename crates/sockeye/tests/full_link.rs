//! What waits for room in a full link leaves when there is some, and whoever waits behind it goes on.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use sockeye::drivers::{MemoryConfig, MemoryLink};
use sockeye::link::{Batch, Instant, Link as _};
use sockeye::net::UdpSocket;
use sockeye::{LinkConfig, Node, PollFd, Readiness};
use std::io::ErrorKind;
use std::thread;
use std::time::Duration;

/// Longer than anything here takes while nothing is stuck.
const LONG: Duration = Duration::from_secs(5);

fn node(link: MemoryLink, address: &str, background: bool) -> Node {
    let config = LinkConfig::new().address(address.parse().unwrap());
    let builder = Node::builder().link("mem0", Box::new(link), config);
    builder.background(background).build().unwrap()
}

fn narrow(queue_packets_max: usize) -> (MemoryLink, MemoryLink) {
    MemoryLink::pair_ip(MemoryConfig {
        queue_packets_max,
        ..MemoryConfig::default()
    })
}

/// The queues before the link are full when it takes packets again: what is called next fills it, though
/// the first batch is one that waited and left the turn no room for more.
#[test]
fn a_queue_behind_a_full_link_leaves_to_its_end() {
    const ROOM: usize = 100;
    let (a, mut b) = narrow(ROOM);
    // Nobody drives it but these calls.
    let a = node(a, "10.0.0.1/24", false);
    let socket = UdpSocket::bind_on(&a, "10.0.0.1:7").unwrap();
    socket.connect("10.0.0.2:7").unwrap();
    socket.set_nonblocking(true).unwrap();
    let mut sent = 0;
    let refused = loop {
        match socket.send(b"datagram") {
            Ok(_) => sent += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(refused.kind(), ErrorKind::WouldBlock);
    let mut arrived = Batch::new();
    while arrived.len() < sent {
        let wanted = ROOM.min(sent - arrived.len());
        let taken = b.recv_batch(Instant::ZERO, &mut arrived, usize::MAX);
        assert_eq!(
            taken.unwrap(),
            wanted,
            "of {sent} {} have come",
            arrived.len()
        );
        let mut socket = [PollFd::new(socket.as_socket(), Readiness::WRITABLE)];
        sockeye::poll(&mut socket, Some(Duration::ZERO)).unwrap();
    }
}

/// One thread sends as fast as the link takes it, another one takes: none waits for good, however the
/// turns of the two nodes fall to them. A time-out would end such a wait well, since it ends by a look.
#[test]
fn a_flood_never_stands_still() {
    for room in [1, 40, 64, 100, 1000] {
        let (a, b) = narrow(room);
        let (a, b) = (node(a, "10.0.0.1/24", true), node(b, "10.0.0.2/24", true));
        let sender = UdpSocket::bind_on(&a, "10.0.0.1:7").unwrap();
        let receiver = UdpSocket::bind_on(&b, "10.0.0.2:7").unwrap();
        sender.connect("10.0.0.2:7").unwrap();
        sender.set_write_timeout(Some(LONG)).unwrap();
        receiver.set_read_timeout(Some(LONG)).unwrap();
        let flood = thread::spawn(move || {
            for n in 0..20_000_u32 {
                let begun = std::time::Instant::now();
                sender.send(&n.to_be_bytes()).unwrap();
                assert!(begun.elapsed() < LONG, "datagram {n} of {room}");
            }
            // The receive buffer drops what it has no room for, but not all of these.
            while sender.send(b"end").is_ok() {
                thread::sleep(Duration::from_millis(1));
            }
        });
        let mut buffer = [0; 8];
        loop {
            let begun = std::time::Instant::now();
            let len = receiver.recv(&mut buffer).unwrap();
            assert!(begun.elapsed() < LONG, "nothing came of {room}");
            if len == 3 {
                break;
            }
        }
        drop(receiver);
        flood.join().unwrap();
    }
}
