//! Heap bytes that an idle connection costs, both ends counted by the allocator.

use crate::Case;
use crate::nodes::{Kind, pair};
use anyhow::{Result, ensure};
use sockeye::net::TcpStream;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Connections that are opened.
const CONNECTIONS: usize = 2000;

static LIVE: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, with a count of the bytes that are out.
pub(crate) struct CountingAllocator;

// SAFETY: every call goes to `System` unchanged; counting touches no memory of the caller's.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise about `pointer` and `layout` is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

pub(crate) fn cases() -> Result<Vec<Case>> {
    Ok(vec![Case {
        name: "heap of an idle connection, one end",
        unit: "bytes",
        ours: Box::new(|_| idle()),
        base: None,
    }])
}

fn idle() -> Result<f64> {
    let pair = pair(Kind::Wire)?;
    let mut kept = Vec::with_capacity(2 * CONNECTIONS);
    let open = |kept: &mut Vec<TcpStream>, count| -> Result<()> {
        for _ in 0..count {
            kept.push(TcpStream::connect_on(&pair.nodes.0, "192.0.2.2:7000")?);
            kept.push(pair.listener.accept()?.0);
        }
        Ok(())
    };
    // Tables have grown to their size before the count begins.
    open(&mut kept, CONNECTIONS / 2)?;
    let before = LIVE.load(Ordering::Relaxed);
    open(&mut kept, CONNECTIONS / 2)?;
    let after = LIVE.load(Ordering::Relaxed);
    ensure!(kept.len() == 2 * CONNECTIONS, "every connection is kept");
    Ok(after.saturating_sub(before) as f64 / CONNECTIONS as f64)
}
