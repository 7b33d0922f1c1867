//! Two nodes: `near` (10.0.0.1, fd00::1), which sends everything else to `far` (10.0.0.2, fd00::2).

use sockeye::drivers::memory::{MemoryConfig, MemoryLink};
use sockeye::tokio::{TcpListener, TcpStream};
use sockeye::{LinkConfig, Node};
use std::future::Future;
use std::net::IpAddr;
use std::time::Duration;
use tokio::time::timeout;

/// Nothing in these tests takes a tenth of this.
const AT_MOST: Duration = Duration::from_secs(30);

/// A failure instead of a hang.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(AT_MOST, what).await.expect("it takes too long")
}

pub(crate) struct Pair {
    pub(crate) near: Node,
    pub(crate) far: Node,
}

pub(crate) fn pair() -> Pair {
    let (a, b) = MemoryLink::pair_ip(MemoryConfig::default());
    let near = LinkConfig::new()
        .address(net("10.0.0.1/24"))
        .address(net("fd00::1/64"))
        .gateway(ip("10.0.0.2"))
        .gateway(ip("fd00::2"))
        .dns(ip("10.0.0.2"));
    let far = LinkConfig::new()
        .address(net("10.0.0.2/24"))
        .address(net("fd00::2/64"));
    Pair {
        near: Node::builder()
            .link("lan", Box::new(a), near)
            .build()
            .unwrap(),
        far: Node::builder()
            .link("lan", Box::new(b), far)
            .build()
            .unwrap(),
    }
}

impl Pair {
    /// A connection: the near end, which opened it, and the far one.
    pub(crate) async fn connection(&self) -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind_on(&self.far, "10.0.0.2:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let near = soon(TcpStream::connect_on(&self.near, at)).await.unwrap();
        let (far, from) = soon(listener.accept()).await.unwrap();
        assert_eq!(from, near.local_addr().unwrap());
        (near, far)
    }
}

fn net(text: &str) -> ipnet::IpNet {
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// `len` bytes of which no stretch repeats soon.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i ^ (i >> 8) ^ (i >> 16)) as u8).collect()
}
