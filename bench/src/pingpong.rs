//! Round trips of one byte, both ends in this process: on one thread, and on two.

use crate::nodes::{Kind, pair};
use crate::{Case, kernel};
use anyhow::Result;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

pub(crate) fn cases() -> Result<Vec<Case>> {
    Ok(vec![
        Case {
            name: "memory link, 1-byte round trips, one thread",
            unit: "1/s",
            ours: Box::new(|time| {
                let mut pair = pair(Kind::Wire)?;
                alternate(&mut pair.client, &mut pair.server, time)
            }),
            base: Some((
                "kernel loopback TCP, one thread",
                Box::new(|time| {
                    let (mut client, mut server) = kernel::pair()?;
                    alternate(&mut client, &mut server, time)
                }),
            )),
        },
        Case {
            name: "memory link, 1-byte round trips, two threads",
            unit: "1/s",
            ours: Box::new(|time| {
                let pair = pair(Kind::Wire)?;
                kernel::round_trips(pair.client, pair.server, time)
            }),
            base: Some((
                "kernel loopback TCP, two threads",
                Box::new(|time| {
                    let (client, server) = kernel::pair()?;
                    kernel::round_trips(client, server, time)
                }),
            )),
        },
    ])
}

/// One thread plays both ends: every read finds its byte there.
pub(crate) fn alternate(
    a: &mut (impl Read + Write),
    b: &mut (impl Read + Write),
    time: Duration,
) -> Result<f64> {
    let start = Instant::now();
    let mut trips = 0_u64;
    let mut byte = [7];
    while start.elapsed() < time {
        for _ in 0..64 {
            a.write_all(&byte)?;
            b.read_exact(&mut byte)?;
            b.write_all(&byte)?;
            a.read_exact(&mut byte)?;
        }
        trips += 64;
    }
    Ok(trips as f64 / start.elapsed().as_secs_f64())
}
