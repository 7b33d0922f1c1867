//! What links see of a packet's sender: SO_PRIORITY and SO_MARK.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use sockeye::link::{Batch, Capabilities, GsoKinds, Instant, Link, Medium, Notify, Tags};
use sockeye::{Domain, LinkConfig, Node, PollFd, Readiness, Socket, Type, poll};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A link that notes what its packets are tagged with, and loses them.
#[derive(Clone, Default)]
struct Watched(Arc<Mutex<Vec<Tags>>>);

impl Link for Watched {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            medium: Medium::Ip,
            mtu: 1500,
            tx_checksum: true,
            gso: GsoKinds::NONE,
            gso_max: 0,
            queues: 1,
        }
    }

    fn recv_batch(&mut self, _: Instant, _: &mut Batch, _: usize) -> io::Result<usize> {
        Ok(0)
    }

    fn send_batch(&mut self, _: Instant, tx: &mut Batch) -> io::Result<usize> {
        let tags = tx.drain(..).map(|packet| packet.meta.tags);
        let mut seen = self.0.lock().unwrap();
        let before = seen.len();
        seen.extend(tags);
        Ok(seen.len() - before)
    }

    fn set_notify(&mut self, _: Notify) {}
}

impl Watched {
    /// The tags of the first packet, once it has left.
    fn first(&self, socket: &Socket) -> Tags {
        loop {
            if let Some(first) = self.0.lock().unwrap().first() {
                return *first;
            }
            let mut fds = [PollFd::new(socket, Readiness::READABLE)];
            poll(&mut fds, Some(Duration::from_millis(1))).unwrap();
        }
    }
}

#[test]
fn links_see_priority_and_mark() {
    let link = Watched::default();
    let mut config = LinkConfig::new().address("10.0.0.1/24".parse().unwrap());
    // What the node says by itself would come between.
    config.link_local = false;
    let builder = Node::builder().link("eth0", Box::new(link.clone()), config);
    let node = builder.build().unwrap();
    let peer = "10.0.0.2:9".parse().unwrap();
    for ty in [Type::DGRAM, Type::STREAM] {
        let socket = Socket::new_on(&node, Domain::IPV4, ty, None).unwrap();
        let set = |name, value: i32| {
            let set = socket.set_option_raw(libc::SOL_SOCKET, name, &value.to_ne_bytes());
            set.unwrap();
        };
        set(libc::SO_PRIORITY, 5);
        set(libc::SO_MARK, -2);
        socket.set_nonblocking(true).unwrap();
        // The one sends a datagram, the other a SYN.
        let _ = socket.connect(peer);
        let _ = socket.send(b"data");
        let expected = Tags {
            priority: 5,
            mark: u32::MAX - 1,
        };
        assert_eq!(link.first(&socket), expected, "{ty:?}");
        // Its SYN may go again.
        drop(socket);
        link.0.lock().unwrap().clear();
    }
    let plain = Socket::new_on(&node, Domain::IPV4, Type::DGRAM, None).unwrap();
    plain.send_to(b"data", peer).unwrap();
    assert_eq!(link.first(&plain), Tags::default());
}
