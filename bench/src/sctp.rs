//! SCTP beside usrsctp, both ends of one association in one thread: packets of 1500 bytes in memory,
//! and the same packets in UDP over the kernel's loopback. CRC32c is on on both sides.
//!
//! What is counted is the processor's time, since neither side ever waits: who else is on the
//! machine does not count. usrsctp's harness is in C and compiled here, against Debian's library.

use crate::udp::Loopback;
use crate::{Case, Side};
use anyhow::{Context, Result, ensure};
use rustix::time::{ClockId, clock_gettime};
use sockeye_cost::sctp::Association;
use sockeye_link::Batch;
use std::path::PathBuf;
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

const SOURCE: &str = include_str!("usrsctp.c");
const BASE: &str = "usrsctp, one thread";
/// Packets that are sent before any is received, over UDP: a few calls' worth.
const UDP_BUDGET: usize = 128;

/// usrsctp's harness, compiled to a place that goes with it.
struct Harness {
    place: PathBuf,
}

pub(crate) fn cases() -> Result<Vec<Case>> {
    let harness = Rc::new(Harness::compile()?);
    let case = |name, link, size: usize, ours: fn(usize, Duration) -> Result<f64>| {
        let harness = harness.clone();
        let base: Side = Box::new(move |time| harness.run(link, size, time));
        Case {
            name,
            unit: "Gb/s/core",
            ours: Box::new(move |time| ours(size, time)),
            base: Some((BASE, base)),
        }
    };
    Ok(vec![
        case("sctp, in memory, 1 KiB messages", "memory", 1 << 10, memory),
        case(
            "sctp, in memory, 16 KiB messages",
            "memory",
            16 << 10,
            memory,
        ),
        case("sctp, UDP loopback, 1 KiB messages", "udp", 1 << 10, udp),
        case("sctp, UDP loopback, 16 KiB messages", "udp", 16 << 10, udp),
    ])
}

impl Harness {
    fn compile() -> Result<Self> {
        let place = std::env::temp_dir().join(format!("sockeye-bench-{}", std::process::id()));
        std::fs::create_dir_all(&place)?;
        let harness = Self { place };
        let source = harness.place.join("usrsctp.c");
        std::fs::write(&source, SOURCE)?;
        let compiled = Command::new("cc")
            .args(["-O2", "-o"])
            .args([&harness.program(), &source])
            .arg("-lusrsctp")
            .output()
            .context("there is no cc")?;
        ensure!(
            compiled.status.success(),
            "usrsctp's harness does not compile (libusrsctp-dev): {}",
            String::from_utf8_lossy(&compiled.stderr)
        );
        Ok(harness)
    }

    fn program(&self) -> PathBuf {
        self.place.join("usrsctp")
    }

    fn run(&self, link: &str, size: usize, time: Duration) -> Result<f64> {
        let ran = Command::new(self.program())
            .arg(link)
            .args([size.to_string(), time.as_millis().to_string()])
            .output()?;
        let error = String::from_utf8_lossy(&ran.stderr);
        ensure!(ran.status.success(), "usrsctp's harness failed: {error}");
        let bits: f64 = String::from_utf8(ran.stdout)?.trim().parse()?;
        Ok(bits / 1e9)
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.place);
    }
}

fn memory(size: usize, time: Duration) -> Result<f64> {
    measure(size, time, |association| {
        association.nodes.round();
        Ok(())
    })
}

fn udp(size: usize, time: Duration) -> Result<f64> {
    let mut loopback = Loopback::new()?;
    let mut batch = Batch::new();
    measure(size, time, move |association| {
        association.nodes.budget = UDP_BUDGET;
        let mut moved = 0;
        for from in 0..2 {
            association.nodes.leave(from, &mut batch);
            loopback.send(from, &mut batch)?;
            loopback.receive(1 - from, &mut batch)?;
            moved += batch.len();
            association.nodes.arrive(1 - from, &mut batch);
        }
        association.nodes.pass(moved == 0);
        Ok(())
    })
}

/// Gigabits of messages that arrive in a second of the processor's time, packets being carried by
/// `round`.
fn measure(
    size: usize,
    time: Duration,
    mut round: impl FnMut(&mut Association) -> Result<()>,
) -> Result<f64> {
    let mut association = Association::new(size);
    let (mut start, mut arrived, mut warm) = (processor(), 0, false);
    loop {
        association.write(u64::MAX);
        round(&mut association)?;
        arrived += association.read();
        let spent = processor() - start;
        if !warm && spent >= time / 4 {
            (start, arrived, warm) = (processor(), 0, true);
        } else if warm && spent >= time {
            return Ok(arrived as f64 * size as f64 * 8.0 / spent.as_secs_f64() / 1e9);
        }
    }
}

/// The processor's time that this thread has had.
fn processor() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}
