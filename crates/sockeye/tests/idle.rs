//! Who waits uses no processor, whatever timers the node has armed meanwhile. One test: the time is
//! the whole process's.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use rustix::time::{ClockId, clock_gettime};
use sockeye::drivers::{MemoryConfig, MemoryLink};
use sockeye::link::{Batch, Capabilities, GsoKinds, Instant, Link, Medium};
use sockeye::net::{TcpListener, TcpStream, UdpSocket};
use sockeye::{LinkConfig, Node};
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

/// How long each case waits.
const WAIT: Duration = Duration::from_millis(500);
/// What it may use meanwhile.
const USED_MAX: Duration = Duration::from_millis(80);

/// A device that brings nothing and swallows everything.
struct Silence(UnixDatagram);

impl Link for Silence {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            medium: Medium::Ip,
            mtu: 1500,
            tx_checksum: false,
            gso: GsoKinds::NONE,
            gso_max: 0,
            queues: 1,
        }
    }

    fn recv_batch(&mut self, _: Instant, _: &mut Batch, _: usize) -> io::Result<usize> {
        Ok(0)
    }

    fn send_batch(&mut self, _: Instant, tx: &mut Batch) -> io::Result<usize> {
        Ok(tx.drain(..).count())
    }

    fn as_raw_fd(&self) -> Option<RawFd> {
        Some(self.0.as_raw_fd())
    }
}

fn node(link: impl Link + 'static) -> Node {
    let config = LinkConfig::new().address("192.0.2.1/24".parse().unwrap());
    let builder = Node::builder().link("link", Box::new(link), config);
    builder.build().unwrap()
}

/// What this process uses of the processor while `work` is done.
fn processor_time(work: impl FnOnce()) -> Duration {
    let time = || {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        let (secs, nanos) = (time.tv_sec.try_into(), time.tv_nsec.try_into());
        Duration::new(secs.unwrap(), nanos.unwrap())
    };
    let before = time();
    work();
    time() - before
}

/// Every way to wait on `node`, whose SYN nobody answers.
fn wait(name: &str, node: &Node) {
    let nobody = "192.0.2.9:80".parse().unwrap();
    let check = |how: &str, used: Duration| {
        assert!(used < USED_MAX, "{name}, {how}: {used:?} in {WAIT:?}");
    };
    let used = processor_time(|| {
        let result = TcpStream::connect_timeout_on(node, &nobody, WAIT);
        assert_eq!(result.unwrap_err().kind(), ErrorKind::TimedOut);
    });
    check("connecting", used);
    let socket = UdpSocket::bind_on(node, "0.0.0.0:7").unwrap();
    socket.set_read_timeout(Some(WAIT)).unwrap();
    let used = processor_time(|| {
        let result = socket.recv(&mut [0; 8]);
        assert_eq!(result.unwrap_err().kind(), ErrorKind::WouldBlock);
    });
    check("receiving", used);
    let listener = TcpListener::bind_on(node, "0.0.0.0:80").unwrap();
    let used = processor_time(|| std::thread::sleep(WAIT));
    check("nobody in a call", used);
    drop(listener);
    #[cfg(feature = "tokio")]
    check("in a task", processor_time(|| in_a_task(node, nobody)));
}

#[cfg(feature = "tokio")]
fn in_a_task(node: &Node, nobody: std::net::SocketAddr) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let connecting = sockeye::tokio::TcpStream::connect_on(node, nobody);
        tokio::time::timeout(WAIT, connecting).await.unwrap_err();
    });
}

#[test]
fn who_waits_sleeps() {
    let (near, far) = MemoryLink::pair_ip(MemoryConfig::default());
    // Its other end is plugged in nowhere, and still there.
    wait("memory link", &node(near));
    drop(far);
    let (silence, _other) = UnixDatagram::pair().unwrap();
    wait("device", &node(Silence(silence)));
}
