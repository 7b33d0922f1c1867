//! What is measured: each contest has our side and those of the peers, and goals for ours.

use super::inside::{self, Use};
use super::lwip;
use super::smol::{self, Setting};
use super::through::{self, Load, Network};
use crate::nodes::{Kind, pair};
use crate::pingpong::alternate;
use crate::{Case, Side, idle, kernel, pin, rpc, sctp, tun, unix};
use anyhow::Result;
use clap::ValueEnum;
use sockeye_cost::nodes::Link;
use std::rc::Rc;

const SIZE: usize = 128 << 10;
/// The kernel's loopback TCP with CUBIC.
pub(crate) const BASE: &str = "kernel TCP (BASE)";
const ONE_CORE: &str = "kernel TCP, one core";
const SMOLTCP: &str = "smoltcp";
const KERNEL: &str = "kernel";
const TOKIO_KERNEL: &str = "kernel, tokio";
const OURS: &str = "sockeye";

const WIRE: Setting = Setting {
    mtu: 1500,
    checksums: true,
    buffer: 65_535,
};
const JUMBO: Setting = Setting {
    mtu: 65_535,
    checksums: false,
    buffer: 256 << 10,
};

/// Contests that are drawn in one picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Group {
    Bulk,
    Trips,
    Connections,
    Datagrams,
    Unix,
    Memory,
    Sctp,
    Rpc,
    Tun,
    Run,
}

impl Group {
    /// The file's name.
    pub(crate) fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Bulk => "One TCP flow between two ends in one process",
            Self::Trips => "Round trips of one byte over TCP, in one process",
            Self::Connections => "TCP connections opened, accepted and closed",
            Self::Datagrams => "UDP datagrams of 1400 bytes, sent and received in one thread",
            Self::Unix => "Sockets inside a node beside AF_UNIX",
            Self::Memory => "Memory",
            Self::Sctp => "SCTP beside usrsctp, a core",
            Self::Rpc => "ONC RPC null calls beside libtirpc, a second of processor time",
            Self::Tun => "A node and the kernel over TUN",
            Self::Run => "Unmodified programs under run, beside pasta and slirp4netns",
        }
    }
}

/// What our side has to reach.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// This many times the side of that name.
    Times(f64, &'static str),
    /// At most this, in the contest's unit.
    AtMost(f64),
}

pub(crate) struct Contest {
    pub(crate) group: Group,
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    /// Ours first. One that can't be measured says why.
    pub(crate) sides: Vec<(String, Result<Side>)>,
    pub(crate) goals: Vec<Goal>,
}

impl Contest {
    fn new(group: Group, name: &str, unit: &'static str, goals: &[Goal]) -> Self {
        Self {
            group,
            name: name.into(),
            unit,
            sides: Vec::new(),
            goals: goals.to_vec(),
        }
    }

    fn side(
        mut self,
        name: &str,
        side: impl FnMut(std::time::Duration) -> Result<f64> + 'static,
    ) -> Self {
        self.sides.push((name.into(), Ok(Box::new(side))));
        self
    }

    fn lwip(mut self, harness: &Harness, what: &'static str, scale: f64) -> Self {
        let side = match harness {
            Ok(harness) => {
                let harness = harness.clone();
                let side: Side = Box::new(move |time| Ok(harness.run(what, time)? / scale));
                Ok(side)
            }
            Err(why) => Err(anyhow::anyhow!("{why}")),
        };
        self.sides.push(("lwIP".into(), side));
        self
    }
}

type Harness = Result<Rc<lwip::Harness>, String>;

/// The contests of a group.
pub(crate) fn of(group: Group) -> Vec<Contest> {
    match group {
        Group::Bulk => bulk(&harness()),
        Group::Trips => trips(&harness()),
        Group::Connections => connections(),
        Group::Datagrams => datagrams(),
        Group::Unix => from_cases(group, unix::cases()),
        Group::Memory => from_cases(group, idle::cases()),
        Group::Sctp => from_cases(group, sctp::cases()),
        Group::Rpc => from_cases(group, rpc::cases()),
        Group::Tun => over_tun(),
        Group::Run => run(),
    }
}

fn harness() -> Harness {
    lwip::Harness::compile()
        .map(Rc::new)
        .map_err(|error| format!("{error:#}"))
}

fn kernel_bulk(contest: Contest) -> Contest {
    contest
        .side(BASE, |time| {
            let (client, server) = kernel::pair()?;
            kernel::bulk(client, server, SIZE, time)
        })
        .side("kernel TCP, tokio, one thread", |time| {
            inside::tokio_kernel(Use::Bulk, time)
        })
}

fn bulk(lwip: &Harness) -> Vec<Contest> {
    let ours = |contest: Contest, kind, link, jumbo| {
        contest
            .side(OURS, move |time| {
                let pair = pair(kind)?;
                kernel::bulk(pair.client, pair.server, SIZE, time)
            })
            .side("sockeye, tokio, one thread", move |time| {
                inside::tokio_ours(jumbo, Use::Bulk, time)
            })
            .side("sockeye, no I/O, one thread", move |time| {
                inside::bulk(link, time)
            })
    };
    let jumbo = Contest::new(
        Group::Bulk,
        "bulk, 64 KiB packets, no checksums, copied",
        "Gb/s",
        &[Goal::Times(3.0, BASE), Goal::Times(1.0, SMOLTCP)],
    );
    let wire = Contest::new(
        Group::Bulk,
        "bulk, MTU 1500, checksums",
        "Gb/s",
        &[Goal::Times(1.5, SMOLTCP), Goal::Times(1.5, ONE_CORE)],
    );
    vec![
        kernel_bulk(ours(jumbo, Kind::Jumbo, Link::Super, true))
            .side(SMOLTCP, |time| smol::bulk(JUMBO, time)),
        kernel_bulk(ours(wire, Kind::Wire, Link::Wire, false))
            .side(ONE_CORE, |time| {
                pin::together(|| {
                    let (client, server) = kernel::pair()?;
                    kernel::bulk(client, server, SIZE, time)
                })
            })
            .side(SMOLTCP, |time| smol::bulk(WIRE, time))
            .lwip(lwip, "bulk", 1e9),
    ]
}

fn trips(lwip: &Harness) -> Vec<Contest> {
    let contest = |name, goals: &[Goal]| Contest::new(Group::Trips, name, "1/s", goals);
    let without_io = contest("round trips, no I/O", &[Goal::Times(1.2, SMOLTCP)])
        .side(OURS, inside::round_trips)
        .side(SMOLTCP, |time| smol::round_trips(WIRE, time))
        .lwip(lwip, "trips", 1.0);
    let one_thread = contest(
        "round trips, blocking calls, one thread",
        &[Goal::Times(10.0, KERNEL)],
    )
    .side(OURS, |time| {
        let mut pair = pair(Kind::Wire)?;
        alternate(&mut pair.client, &mut pair.server, time)
    })
    .side(KERNEL, |time| {
        let (mut client, mut server) = kernel::pair()?;
        alternate(&mut client, &mut server, time)
    });
    let tokio = contest(
        "round trips, tokio, one thread",
        &[Goal::Times(5.0, TOKIO_KERNEL)],
    )
    .side(OURS, |time| inside::tokio_ours(false, Use::Trips, time))
    .side(TOKIO_KERNEL, |time| inside::tokio_kernel(Use::Trips, time));
    let two_threads = contest("round trips, blocking calls, two threads", &[])
        .side(OURS, |time| {
            let pair = pair(Kind::Wire)?;
            kernel::round_trips(pair.client, pair.server, time)
        })
        .side(KERNEL, |time| {
            let (client, server) = kernel::pair()?;
            kernel::round_trips(client, server, time)
        });
    vec![without_io, one_thread, tokio, two_threads]
}

fn connections() -> Vec<Contest> {
    let goals = [Goal::Times(10.0, KERNEL), Goal::Times(1.0, SMOLTCP)];
    vec![
        Contest::new(Group::Connections, "connect, accept, close", "1/s", &goals)
            .side(OURS, inside::connections)
            .side("sockeye, blocking calls", inside::blocking_connections)
            .side(KERNEL, inside::kernel_connections)
            .side(SMOLTCP, |time| smol::connections(WIRE, time)),
    ]
}

fn datagrams() -> Vec<Contest> {
    vec![
        Contest::new(
            Group::Datagrams,
            "UDP, 1400 bytes, in process",
            "1/s",
            &[Goal::Times(10.0, KERNEL)],
        )
        .side(OURS, inside::datagrams)
        .side(KERNEL, inside::kernel_datagrams)
        .side(TOKIO_KERNEL, inside::tokio_datagrams),
    ]
}

/// What `sockeye-bench` measures, too, with the goals it has.
fn from_cases(group: Group, cases: Result<Vec<Case>>) -> Vec<Contest> {
    let cases = match cases {
        Ok(cases) => cases,
        Err(error) => {
            let name = group.title();
            let mut contest = Contest::new(group, name, "", &[]);
            contest.sides.push((OURS.into(), Err(error)));
            return vec![contest];
        }
    };
    let contest = |case: Case| {
        let goals = case_goals(case.name, case.base.as_ref().map(|(name, _)| *name));
        let mut contest = Contest::new(group, case.name, case.unit, &goals);
        contest.sides.push((OURS.into(), Ok(case.ours)));
        if let Some((name, side)) = case.base {
            contest.sides.push((name.into(), Ok(side)));
        }
        contest
    };
    cases.into_iter().map(contest).collect()
}

fn case_goals(name: &str, base: Option<&'static str>) -> Vec<Goal> {
    let times = |factor| base.map(|base| Goal::Times(factor, base));
    let goal = match name {
        "sctp, in memory, 1 KiB messages" => times(5.0),
        "sctp, in memory, 16 KiB messages" => times(8.0),
        "TUN with offloads, node to kernel" | "TUN with offloads, kernel to node" => times(0.9),
        "RPC null calls, memory link, 1 caller" | "RPC null calls, memory link, 64 callers" => {
            times(5.0)
        }
        "heap of an idle connection, one end" => Some(Goal::AtMost(512.0)),
        _ => None,
    };
    goal.into_iter().collect()
}

fn over_tun() -> Vec<Contest> {
    let mut contests = from_cases(Group::Tun, tun::cases());
    let across = "kernel loopback TCP, two cores";
    contests.push(
        Contest::new(
            Group::Tun,
            "TUN round trips, sleeping",
            "1/s",
            &[Goal::Times(1.2, across)],
        )
        .side(OURS, tun::round_trips)
        .side(across, |time| {
            let (client, server) = kernel::pair()?;
            kernel::round_trips(client, server, time)
        }),
    );
    contests
}

fn run() -> Vec<Contest> {
    let mut contests = Vec::new();
    let iperf = |inward, flows| Load::Iperf { inward, flows };
    for (name, unit, load, goal) in [
        ("iperf3 out, 1 flow", "Gb/s", iperf(false, 1), 0.45),
        ("iperf3 in, 1 flow", "Gb/s", iperf(true, 1), 0.45),
        ("iperf3 out, 8 flows", "Gb/s", iperf(false, 8), 0.45),
        ("iperf3 in, 8 flows", "Gb/s", iperf(true, 8), 0.45),
        ("redis-benchmark GET", "1/s", Load::Redis, 0.5),
        ("wrk, requests", "1/s", Load::Wrk { close: false }, 0.5),
        (
            "wrk, a connection each",
            "1/s",
            Load::Wrk { close: true },
            0.5,
        ),
    ] {
        let sides = [
            ("sockeye run", Network::Sockeye),
            (BASE, Network::Kernel),
            ("pasta", Network::Pasta),
            ("slirp4netns", Network::Slirp),
        ];
        contests.push(programs(name, unit, load, goal, &sides));
    }
    let sides = [("sockeye run", Network::Inside), (BASE, Network::Kernel)];
    contests.push(programs(
        "iperf3 between two programs of one node",
        "Gb/s",
        iperf(false, 1),
        1.0,
        &sides,
    ));
    contests
}

fn programs(
    name: &str,
    unit: &'static str,
    load: Load,
    goal: f64,
    sides: &[(&str, Network)],
) -> Contest {
    let mut contest = Contest::new(Group::Run, name, unit, &[Goal::Times(goal, BASE)]);
    for (name, network) in sides {
        let network = *network;
        let side = through::available(network, load)
            .map(|()| -> Side { Box::new(move |time| through::run(network, load, time)) });
        contest.sides.push(((*name).into(), side));
    }
    contest
}

/// Goals of the project for which there is nothing to measure yet, or no measure.
pub(crate) const NOT_THERE: [(&str, &str, &str); 11] = [
    (
        "bulk, 64 KiB packets, no checksums, buffers handed over",
        "≥ 5x BASE",
        "no measure yet",
    ),
    ("TUN with offloads, IPv6", "≥ 0.9x BASE", "no measure yet"),
    (
        "TUN beside gVisor",
        "≥ 1.6x gVisor",
        "gVisor is no part of this run",
    ),
    (
        "TUN without offloads, out",
        "≥ 0.10x BASE",
        "no measure yet",
    ),
    (
        "TUN round trips, polling",
        "≥ 3x the kernel",
        "no measure yet",
    ),
    (
        "UDP over TUN with USO and GRO",
        "≥ 0.8x the kernel's GSO and GRO",
        "no measure yet",
    ),
    (
        "AF_XDP on veth, each way",
        "≥ 1.3x AF_PACKET",
        "by `sockeye-bench --only AF_XDP` alone",
    ),
    (
        "8 flows, 2 shards against 1",
        "≥ 1.7x",
        "there are no shards yet",
    ),
    (
        "heap in TIME-WAIT / half-open under cookies",
        "≤ 128 B / 0 B",
        "counted by `bench/cost/tests/memory.rs`",
    ),
    (
        "a million idle connections",
        "≤ 1.2 GiB",
        "by `cargo xtask long million`",
    ),
    (
        "instructions a packet, a million connections against ten",
        "≤ 1.10x",
        "by `cargo xtask long million`",
    ),
];
