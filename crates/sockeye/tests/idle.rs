//! Who waits uses no processor, whatever timers the node has armed meanwhile.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
use rustix::time::{ClockId, clock_gettime};
use sockeye::drivers::{MemoryConfig, MemoryLink};
use sockeye::net::TcpStream;
use sockeye::{LinkConfig, Node};
use std::time::Duration;

/// What this process has used of the processor.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        time.tv_sec.try_into().unwrap(),
        time.tv_nsec.try_into().unwrap(),
    )
}

#[test]
fn a_connect_that_nobody_answers_sleeps() {
    let (near, far) = MemoryLink::pair_ip(MemoryConfig::default());
    let node = |link, address: &str| {
        let config = LinkConfig::new().address(address.parse().unwrap());
        Node::builder().link("mem", Box::new(link), config).build()
    };
    let node_a = node(near, "192.0.2.1/24").unwrap();
    let _node_b = node(far, "192.0.2.2/24").unwrap();
    let nobody = "192.0.2.9:80".parse().unwrap();
    let before = processor_time();
    let result = TcpStream::connect_timeout_on(&node_a, &nobody, Duration::from_millis(1500));
    assert_eq!(result.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    let used = processor_time() - before;
    assert!(used < Duration::from_millis(150), "{used:?} in 1.5 s");
}
