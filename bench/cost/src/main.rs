//! Fixed scenarios whose instructions `cargo xtask cost` counts under callgrind.
//!
//! `sockeye-cost NAME` runs one and prints what it did: `UNITS BYTES UNIT`. What lies outside
//! [`sockeye_cost_measured`] is not counted.

use sockeye_cost::dccp::Connection;
use sockeye_cost::nodes::{Link, Way};
use sockeye_cost::pair::Pair;
use sockeye_cost::sctp::Association;
use std::process::ExitCode;

/// What a scenario did.
struct Done {
    units: u64,
    unit: &'static str,
    bytes: u64,
}

/// A scenario by its name.
type Scenario = (&'static str, fn() -> Done);

const SCENARIOS: [Scenario; 9] = [
    ("bulk, MTU 1500, no offloads", || {
        bulk(Link::Wire, Way::Straight, 8 << 20)
    }),
    ("bulk, super-segments", || {
        bulk(Link::Super, Way::Straight, 64 << 20)
    }),
    ("bulk, MTU 1500, 1% loss", || {
        bulk(Link::Wire, Way::Loses, 8 << 20)
    }),
    ("bulk, MTU 1500, out of order", || {
        bulk(Link::Wire, Way::Reverses, 8 << 20)
    }),
    ("request and response of one byte", exchanges),
    ("connect and close", connections),
    ("SCTP, messages of 1 KiB", || messages(1 << 10)),
    ("SCTP, messages of 16 KiB", || messages(16 << 10)),
    ("DCCP, messages of 1 KiB", packets),
];

fn main() -> ExitCode {
    let wanted = std::env::args().nth(1);
    let Some(wanted) = wanted else {
        for (name, _) in SCENARIOS {
            println!("{name}");
        }
        return ExitCode::SUCCESS;
    };
    let Some((_, scenario)) = SCENARIOS.iter().find(|(name, _)| *name == wanted) else {
        eprintln!("there is no scenario {wanted:?}; without a name they are listed");
        return ExitCode::FAILURE;
    };
    let Done { units, unit, bytes } = scenario();
    println!("{units} {bytes} {unit}");
    ExitCode::SUCCESS
}

/// callgrind counts while this runs.
#[unsafe(no_mangle)]
#[inline(never)]
fn sockeye_cost_measured(work: &mut dyn FnMut()) {
    work();
}

/// `length` bytes from one node to another on a connection that stands.
fn bulk(link: Link, way: Way, length: u64) -> Done {
    let mut pair = Pair::new(link);
    let (client, server) = pair.connect();
    // The window opens, and buffers grow.
    pair.send(client, server, length / 8);
    pair.nodes.way = way;
    let before = pair.nodes.packets;
    sockeye_cost_measured(&mut || pair.send(client, server, length));
    let (units, unit) = match link {
        Link::Wire => (pair.nodes.packets - before, "segment"),
        // How large a super-segment is, is part of what it costs.
        Link::Super => (length >> 16, "64 KiB"),
    };
    Done {
        units,
        unit,
        bytes: length,
    }
}

fn exchanges() -> Done {
    const COUNT: u64 = 2000;
    let mut pair = Pair::new(Link::Wire);
    let (client, server) = pair.connect();
    pair.exchange(client, server, 100);
    sockeye_cost_measured(&mut || pair.exchange(client, server, COUNT));
    Done {
        units: COUNT,
        unit: "exchange",
        bytes: 2 * COUNT,
    }
}

fn connections() -> Done {
    const COUNT: u64 = 1000;
    let mut pair = Pair::new(Link::Wire);
    let (client, server) = pair.connect();
    pair.close(client, server);
    sockeye_cost_measured(&mut || {
        for _ in 0..COUNT {
            let (client, server) = pair.connect();
            pair.close(client, server);
        }
    });
    Done {
        units: COUNT,
        unit: "connection",
        bytes: 0,
    }
}

/// 8 MiB in messages of `size` bytes, MTU 1500, checksums on.
fn messages(size: usize) -> Done {
    const LENGTH: u64 = 8 << 20;
    let mut association = Association::new(size);
    let count = LENGTH / size as u64;
    association.send(count / 8);
    let before = association.nodes.packets;
    sockeye_cost_measured(&mut || association.send(count));
    Done {
        units: association.nodes.packets - before,
        unit: "packet",
        bytes: LENGTH,
    }
}

/// 8 MiB in packets of DCCP, MTU 1500, checksums on.
fn packets() -> Done {
    const SIZE: u64 = 1 << 10;
    const COUNT: u64 = 8 << 10;
    let mut connection = Connection::new(SIZE as usize);
    connection.send(COUNT / 8);
    sockeye_cost_measured(&mut || connection.send(COUNT));
    Done {
        units: COUNT,
        unit: "packet",
        bytes: COUNT * SIZE,
    }
}
