//! Heap bytes that an idle connection costs, both ends counted by the allocator.

pub(crate) mod counting;

use crate::Case;
use crate::nodes::{Kind, Pair, pair};
use anyhow::{Result, ensure};
use counting::live;
use sockeye::net::TcpStream;
use std::io::{Read, Write};
use std::time::Duration;

/// Connections that are opened.
const CONNECTIONS: usize = 2000;
/// Longer than a connection has to be at rest before it is packed.
const REST: Duration = Duration::from_millis(1200);

pub(crate) fn cases() -> Result<Vec<Case>> {
    Ok(vec![Case {
        name: "heap of an idle connection, one end",
        unit: "bytes",
        ours: Box::new(|_| idle()),
        base: None,
    }])
}

fn idle() -> Result<f64> {
    let mut pair = pair(Kind::Wire)?;
    let mut kept = Vec::with_capacity(2 * CONNECTIONS);
    let open = |pair: &mut Pair, kept: &mut Vec<TcpStream>, count| -> Result<()> {
        for _ in 0..count {
            kept.push(TcpStream::connect_on(&pair.nodes.0, "192.0.2.2:7000")?);
            kept.push(pair.listener.accept()?.0);
        }
        std::thread::sleep(REST);
        // Those at rest are packed while packets come.
        for _ in 0..count {
            pair.client.write_all(&[1])?;
            pair.server.read_exact(&mut [0])?;
        }
        Ok(())
    };
    // Tables have grown to their size before the count begins.
    open(&mut pair, &mut kept, CONNECTIONS / 2)?;
    let before = live();
    open(&mut pair, &mut kept, CONNECTIONS / 2)?;
    let after = live();
    ensure!(kept.len() == 2 * CONNECTIONS, "every connection is kept");
    Ok(after.saturating_sub(before) as f64 / CONNECTIONS as f64)
}
