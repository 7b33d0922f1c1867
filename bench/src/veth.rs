//! Frames a second over a veth: AF_XDP beside AF_PACKET, each way, both through this project's
//! drivers. What sends to the one measured, or receives from it, is the same for both: AF_PACKET.

use crate::{Case, tun::in_namespace};
use anyhow::{Context, Result, ensure};
use sockeye::drivers::{AfPacket, AfXdp};
use sockeye::link::{Batch, Instant, Link, MacAddr, Packet};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const NEAR: &str = "near0";
const FAR: &str = "far0";
/// Bytes of a frame, without its checksum.
const FRAME_LEN: usize = 1514;
/// Frames of a batch.
const BATCH: usize = 64;
const NEAR_ADDRESS: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const FAR_ADDRESS: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

pub(crate) fn cases() -> Result<Vec<Case>> {
    // Told once, before the first round.
    in_namespace(|| {
        veth()?;
        AfXdp::open(FAR, 0, FAR_ADDRESS)?;
        Ok(())
    })?;
    let case = |name, measure: fn(Kind, Duration) -> Result<f64>| Case {
        name,
        unit: "kp/s",
        ours: Box::new(move |time| in_namespace(move || measure(Kind::Xdp, time))),
        base: Some((
            "AF_PACKET, by the same drivers",
            Box::new(move |time| in_namespace(move || measure(Kind::Packet, time))),
        )),
    };
    Ok(vec![
        case("AF_XDP on a veth, 1514-byte frames out", out),
        case("AF_XDP on a veth, 1514-byte frames in", inward),
    ])
}

/// What is measured.
#[derive(Clone, Copy)]
enum Kind {
    Packet,
    Xdp,
}

fn open(kind: Kind) -> Result<Box<dyn Link>> {
    Ok(match kind {
        Kind::Packet => Box::new(AfPacket::open(FAR, FAR_ADDRESS)?),
        Kind::Xdp => Box::new(AfXdp::open(FAR, 0, FAR_ADDRESS)?),
    })
}

fn veth() -> Result<()> {
    for words in [
        "link add near0 type veth peer name far0",
        "link set near0 addrgenmode none",
        "link set far0 addrgenmode none",
        "link set near0 up",
        "link set far0 up",
    ] {
        let status = Command::new("ip")
            .args(words.split(' '))
            .status()
            .context("ip (iproute2) is needed")?;
        ensure!(status.success(), "`ip {words}` ended with {status}");
    }
    Ok(())
}

/// Frames of an experimental protocol (IEEE 802 number 1), which no host heeds.
fn frame() -> Packet {
    let mut bytes = vec![0; FRAME_LEN];
    bytes[..6].copy_from_slice(&[2, 0, 0, 0, 0, 9]);
    bytes[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 8]);
    bytes[12..14].copy_from_slice(&[0x88, 0xb5]);
    Packet::from_vec(bytes)
}

/// Sends for `time`; says how many frames the device took.
fn send(link: &mut dyn Link, until: impl Fn() -> bool) -> Result<u64> {
    let mut tx = Batch::new();
    let mut sent = 0;
    while until() {
        while tx.len() < BATCH {
            tx.push_back(frame());
        }
        sent += link.send_batch(Instant::ZERO, &mut tx)? as u64;
    }
    Ok(sent)
}

/// Thousands of frames a second that leave by the driver and arrive at the other end.
fn out(kind: Kind, time: Duration) -> Result<f64> {
    veth()?;
    let mut link = open(kind)?;
    let before = arrived(NEAR)?;
    let began = std::time::Instant::now();
    send(&mut *link, || began.elapsed() < time)?;
    let elapsed = began.elapsed();
    Ok((arrived(NEAR)? - before) as f64 / elapsed.as_secs_f64() / 1e3)
}

/// Packets that arrived at the interface.
fn arrived(interface: &str) -> Result<u64> {
    let devices = std::fs::read_to_string("/proc/thread-self/net/dev")?;
    let line = devices
        .lines()
        .find_map(|line| line.trim_start().strip_prefix(interface)?.strip_prefix(':'))
        .context("the device is not listed")?;
    let packets = line.split_whitespace().nth(1).context("a count")?;
    Ok(packets.parse()?)
}

/// Thousands of frames a second that the driver receives while another floods it.
fn inward(kind: Kind, time: Duration) -> Result<f64> {
    veth()?;
    let mut link = open(kind)?;
    let mut source = AfPacket::open(NEAR, NEAR_ADDRESS)?;
    let ends = Arc::new(AtomicBool::new(false));
    let ended = ends.clone();
    let flood = std::thread::spawn(move || send(&mut source, || !ended.load(Ordering::Relaxed)));
    let (mut rx, mut received) = (Batch::new(), 0);
    let began = std::time::Instant::now();
    let mut result = Ok(());
    while result.is_ok() && began.elapsed() < time {
        match link.recv_batch(Instant::ZERO, &mut rx, BATCH) {
            Ok(count) => received += count,
            Err(error) => result = Err(error),
        }
        rx.clear();
    }
    let elapsed = began.elapsed();
    ends.store(true, Ordering::Relaxed);
    flood.join().expect("the thread does not panic")?;
    result?;
    Ok(received as f64 / elapsed.as_secs_f64() / 1e3)
}
