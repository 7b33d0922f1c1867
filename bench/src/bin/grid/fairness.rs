//! Two flows that began together through one bottleneck, one of ours and one of the kernel's: Jain's
//! index of what they get. Before it, as the measure of what is possible there, two of the kernel's.

use crate::hosts::{Host, Whose};
use crate::stage::{Stage, Words};
use crate::transfer::Flow;
use anyhow::{Context, Result};
use std::time::{Duration, Instant};

/// Both directions; the queue holds the product of bandwidth and delay (165 frames) besides what is
/// on its way (83).
///
/// The jitter is the time that a frame takes. Without it each acknowledgment lets a sender's
/// frames arrive at the same moment between two departures, and in a full queue those of the sender that
/// answers a little later always find a place: the one whose phase is worse loses frame after
/// frame, whoever it is (Floyd and Jacobson, "Traffic phase effects in packet-switched gateways",
/// 1992, which has this remedy, too).
const PATH: &str = "delay=10ms,jitter=120us,rate=100mbit,limit=250";
const TIME: Duration = Duration::from_secs(60);
const INDEX_MIN: f64 = 0.95;

/// Runs both. False when ours and the kernel's are not even.
pub(crate) fn run(congestion: &str, percent: u32) -> Result<bool> {
    // SAFETY: setpriority takes three numbers; without the right to, it changes nothing.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -10) };
    let total = TIME * percent / 100;
    println!("{congestion}, {PATH}, to the kernel");
    let control = beside([Whose::Kernel, Whose::Kernel], congestion, total)?;
    println!("Jain's index over all of it: {control:.3}, the kernel beside itself");
    let index = beside([Whose::Ours, Whose::Kernel], congestion, total)?;
    println!("Jain's index over all of it: {index:.3}, ours beside the kernel's (bar {INDEX_MIN})");
    Ok(index >= INDEX_MIN)
}

/// Jain's index of two flows after `total`.
fn beside(whose: [Whose; 2], congestion: &str, total: Duration) -> Result<f64> {
    let mut senders = [
        Host::new(whose[0], 1, congestion)?,
        Host::new(whose[1], 2, congestion)?,
    ];
    let mut receiver = Host::new(Whose::Kernel, 3, congestion)?;
    let near = senders.iter_mut().filter_map(|host| host.link.take());
    let near = near.collect();
    let stage = Stage::start(near, receiver.link.take().context("a host has a link")?)?;
    for sender in &senders {
        sender.greet(&receiver)?;
    }
    std::thread::sleep(Duration::from_millis(100));
    stage.begin(Words {
        path: PATH.into(),
        reorder: String::new(),
        seed: 1,
    });
    let listener = receiver.listen()?;
    let flows = [
        Flow::start(&senders[0], &receiver, &listener)?,
        Flow::start(&senders[1], &receiver, &listener)?,
    ];
    let began = Instant::now();
    let mut before = [0; 2];
    let [first, second] = whose.map(|whose| format!("{whose:?}").to_lowercase());
    println!("{:>8} {first:>12} {second:>12}  Mbit/s", "s");
    for _ in 0..6 {
        let start = Instant::now();
        std::thread::sleep(total / 6);
        let now = [flows[0].received(), flows[1].received()];
        let rate = |n: usize| (now[n] - before[n]) as f64 * 8e-6 / start.elapsed().as_secs_f64();
        println!(
            "{:>8.0} {:>12.2} {:>12.2}",
            began.elapsed().as_secs_f64(),
            rate(0),
            rate(1)
        );
        before = now;
    }
    for flow in flows {
        flow.end();
    }
    stage.end()?;
    Ok(jain(&before.map(|bytes| bytes as f64)))
}

/// 1 when all get the same, 1/n when one gets everything.
fn jain(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    sum * sum / (shares.len() as f64 * squares)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jains_index() {
        assert!((jain(&[3.0, 3.0]) - 1.0).abs() < 1e-9);
        assert!((jain(&[1.0, 0.0]) - 0.5).abs() < 1e-9);
        assert!((jain(&[2.0, 1.0]) - 0.9).abs() < 1e-9);
    }
}
