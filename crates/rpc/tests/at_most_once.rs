//! Calls on datagrams, over a link that loses a fifth of all packets and doubles another fifth:
//! each is executed once.
#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use sockeye::drivers::netem::{Loss, Netem, NetemConfig, Probability};
use sockeye::drivers::{MemoryConfig, MemoryLink};
use sockeye::net::UdpSocket;
use sockeye::{LinkConfig, Node};
use sockeye_rpc::backoff::Backoff;
use sockeye_rpc::{Client, Fault, Programs, Server, service_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

const PROGRAM: u32 = 0x2000_0011;
const CALLS: u32 = 10_000;
const CALLERS: u32 = 16;

fn node(link: MemoryLink, address: &str, seed: u64) -> Node {
    let netem = NetemConfig {
        loss: Loss::Random(Probability::percent(20.0)),
        duplicate: Probability::percent(20.0),
        ..NetemConfig::default()
    };
    let link = Box::new(Netem::new(link, netem, seed));
    let config = LinkConfig::new().address(address.parse().unwrap());
    Node::builder().link("eth0", link, config).build().unwrap()
}

#[test]
fn a_counter_called_ten_thousand_times_is_at_ten_thousand() {
    let (a, b) = MemoryLink::pair_ip(MemoryConfig::default());
    let (here, there) = (node(a, "10.0.0.1/24", 1), node(b, "10.0.0.2/24", 2));
    let count = Arc::new(AtomicU32::new(0));
    let counting = count.clone();
    let counter = service_fn(PROGRAM, 1, move |_, _, results| {
        let count = counting.fetch_add(1, Ordering::Relaxed) + 1;
        results.u32(count).map_err(|_| Fault::SystemError)
    });
    let server = Server::new(Programs::new().with(counter));
    let socket = UdpSocket::bind_on(&there, "10.0.0.2:700").unwrap();
    let serving = server.clone();
    thread::spawn(move || serving.serve_datagrams(&socket));

    let socket = UdpSocket::bind_on(&here, "10.0.0.1:0").unwrap();
    let backoff = Backoff {
        first: Duration::from_millis(4),
        longest: Duration::from_millis(16),
    };
    let client = Client::datagram(socket, "10.0.0.2:700".parse().unwrap(), PROGRAM, 1);
    let client = client
        .with_backoff(backoff)
        .with_timeout(Duration::from_secs(60));
    let mut answers: Vec<u32> = thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let client = client.clone();
                scope.spawn(move || {
                    (0..CALLS / CALLERS)
                        .map(|_| client.call::<u32>(1, &()).unwrap())
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        callers
            .into_iter()
            .flat_map(|caller| caller.join().unwrap())
            .collect()
    });
    assert_eq!(count.load(Ordering::Relaxed), CALLS);
    // And each caller was told a number of its own.
    answers.sort_unstable();
    assert_eq!(answers, (1..=CALLS).collect::<Vec<_>>());
    // It was not the link's kindness.
    assert!(server.counters().duplicates.get() > u64::from(CALLS / 4));
}
