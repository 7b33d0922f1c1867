//! What seems lost and is not: in the end the window is what it was (RFC 4015, RFC 3522, RFC 2883).

use super::{at, plain};
use sockeye_core::{Config, Counter};
use sockeye_drivers::memory::MemoryLink;
use sockeye_drivers::netem::{Netem, NetemConfig};
use sockeye_link::{Batch, Capabilities, Instant, Link};
use sockeye_sim::app::bulk::{Sink, Source};
use sockeye_sim::{HostId, World};
use sockeye_tcp::{CaState, Info};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Each way. The queue takes all that the receiver's window lets out: nothing is ever lost.
const PATH: &str = "delay=10ms,rate=100mbit,limit=1000";
/// Twice the product of bandwidth and round trip, of which the half is for text.
const RECEIVE_BUFFER: usize = 600_000;
const TIME: Duration = Duration::from_secs(5);

fn config(congestion: &str, timestamps: bool) -> Config {
    Config {
        tcp_congestion: congestion.into(),
        tcp_timestamps: timestamps,
        tcp_rmem: (RECEIVE_BUFFER, RECEIVE_BUFFER, RECEIVE_BUFFER),
        ..Config::default()
    }
}

/// What the only connection of `host` says of itself.
fn info(world: &mut World, host: HostId) -> Info {
    let now = world.now();
    let node = world.node(host);
    let id = node.sockets()[0].handle.id;
    node.tcp(now).0.info(now, id).unwrap()
}

/// A flow that fills its peer's window for [`TIME`] under `congestion`; what it sends passes
/// `reordering` before [`PATH`].
fn flow(congestion: &str, timestamps: bool, reordering: &str) -> (World, HostId, Info) {
    let mut world = World::without_capture(7);
    let config = config(congestion, timestamps);
    let left = world.host("left", config.clone());
    let right = world.host("right", config);
    let (near, far) = MemoryLink::pair_ip(plain());
    let path = Netem::new(near, PATH.parse().unwrap(), world.rng().next_u64());
    let near = Netem::new(path, reordering.parse().unwrap(), world.rng().next_u64());
    world.plug(left, near, &["192.0.2.1/24".parse().unwrap()]);
    world.plug(right, far, &["192.0.2.2/24".parse().unwrap()]);
    let to = at("192.0.2.2:7000");
    world.spawn(right, Sink::new(to));
    world.spawn(left, Source::new(to, congestion));
    world.pass(TIME).unwrap();
    let info = info(&mut world, left);
    (world, left, info)
}

#[test]
fn reordering_costs_no_window() {
    for congestion in ["reno", "cubic"] {
        for timestamps in [true, false] {
            let (_, _, calm) = flow(congestion, timestamps, "");
            for (late, reordering) in [
                ("1% by 5 ms", "delay=5ms,reorder=99%,limit=100000"),
                ("10% by 5 ms", "delay=5ms,reorder=90%,limit=100000"),
                // By more than a round trip: what is sent again overtakes what is late.
                ("1% by 30 ms", "delay=30ms,reorder=99%,limit=100000"),
            ] {
                if late == "1% by 30 ms" && !timestamps {
                    // Recoveries follow one another before the reports of what arrived twice come in.
                    continue;
                }
                let (mut world, left, info) = flow(congestion, timestamps, reordering);
                let case = format!("{congestion}, timestamps {timestamps}, {late}: {info:?}");
                let counters = world.node(left).counters();
                assert!(counters.get(Counter::TcpRetransSegs) > 0, "{case}");
                assert_eq!(counters.get(Counter::TcpExtTCPTimeouts), 0, "{case}");
                assert!(info.cwnd * 10 >= calm.cwnd * 9, "{case}");
                assert!(info.cwnd * 9 <= calm.cwnd * 10, "{case}");
                assert_eq!(info.ssthresh, u64::MAX, "{case}");
            }
        }
    }
}

/// A link whose netem can be changed while a world has it.
struct Changing(Arc<Mutex<Netem<MemoryLink>>>);

impl Link for Changing {
    fn capabilities(&self) -> Capabilities {
        self.0.lock().unwrap().capabilities()
    }
    fn recv_batch(&mut self, now: Instant, rx: &mut Batch, max: usize) -> io::Result<usize> {
        self.0.lock().unwrap().recv_batch(now, rx, max)
    }
    fn send_batch(&mut self, now: Instant, tx: &mut Batch) -> io::Result<usize> {
        self.0.lock().unwrap().send_batch(now, tx)
    }
    fn deadline(&self) -> Option<Instant> {
        self.0.lock().unwrap().deadline()
    }
    fn has_room(&self) -> bool {
        self.0.lock().unwrap().has_room()
    }
}

/// RFC 5682 (F-RTO), and with timestamps RFC 4015 (Eifel): a route of 20 ms becomes one of 620 ms.
#[test]
fn a_path_that_grows_longer_costs_no_window() {
    for (congestion, timestamps) in [
        ("reno", true),
        ("reno", false),
        ("cubic", true),
        ("cubic", false),
    ] {
        let mut world = World::without_capture(7);
        let config = config(congestion, timestamps);
        let left = world.host("left", config.clone());
        let right = world.host("right", config);
        let (near, far) = MemoryLink::pair_ip(plain());
        let path = Netem::new(near, PATH.parse().unwrap(), 1);
        let path = Arc::new(Mutex::new(path));
        let near = Changing(Arc::clone(&path));
        world.plug(left, near, &["192.0.2.1/24".parse().unwrap()]);
        world.plug(right, far, &["192.0.2.2/24".parse().unwrap()]);
        let to = at("192.0.2.2:7000");
        world.spawn(right, Sink::new(to));
        world.spawn(left, Source::new(to, congestion));
        world.pass(Duration::from_secs(2)).unwrap();
        let before = info(&mut world, left);
        let longer: NetemConfig = "delay=310ms,rate=100mbit,limit=1000".parse().unwrap();
        path.lock().unwrap().set(longer, longer);
        world.pass(Duration::from_millis(300)).unwrap();
        let during = info(&mut world, left);
        let case = format!("{congestion}, timestamps {timestamps}: {before:?} {during:?}");
        assert_eq!(during.ca_state, CaState::Loss, "{case}");
        assert!(during.cwnd <= 2 * u64::from(during.snd_mss), "{case}");
        world.pass(Duration::from_secs(10)).unwrap();
        let after = info(&mut world, left);
        let case = format!("{case} {after:?}");
        let counters = world.node(left).counters();
        assert_eq!(counters.get(Counter::TcpExtTCPTimeouts), 1, "{case}");
        assert_eq!(counters.get(Counter::TcpExtTCPLossUndo), 1, "{case}");
        assert_eq!(after.ca_state, CaState::Open, "{case}");
        assert!(after.cwnd >= before.cwnd, "{case}");
        assert_eq!(after.ssthresh, before.ssthresh, "{case}");
    }
}
