//! Bulk throughput in one process, a writing and a reading thread.

use crate::nodes::{Kind, pair};
use crate::{Case, kernel};
use anyhow::Result;

/// Bytes of one call.
const SIZE: usize = 128 << 10;

pub(crate) fn cases() -> Result<Vec<Case>> {
    let case = |name, kind| Case {
        name,
        unit: "Gb/s",
        ours: Box::new(move |time| {
            let pair = pair(kind)?;
            kernel::bulk(pair.client, pair.server, SIZE, time)
        }),
        base: Some((
            "kernel loopback TCP, CUBIC",
            Box::new(|time| {
                let (client, server) = kernel::pair()?;
                kernel::bulk(client, server, SIZE, time)
            }),
        )),
    };
    Ok(vec![
        case("memory link, bulk, MTU 1500, checksums", Kind::Wire),
        case("memory link, bulk, 64 KiB, no checksums", Kind::Jumbo),
    ])
}
