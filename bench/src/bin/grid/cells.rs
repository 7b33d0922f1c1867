//! What the grid is made of: the cells, and what is run in each.

use crate::hosts::Whose;
use crate::stage::Words;
use serde::Serialize;
use std::time::Duration;

/// Loss in each direction, as netem writes it.
pub(crate) const LOSSES: [&str; 4] = ["0%", "0.1%", "1%", "3%"];
/// Round-trip times without queues, milliseconds.
pub(crate) const RTTS_MS: [u64; 3] = [1, 20, 100];
/// Bits a second of frames.
pub(crate) const RATE: u64 = 100_000_000;
/// One packet in a hundred comes 5 ms late.
const REORDER: &str = "delay=5ms,reorder=99%,limit=100000";

/// A cell of the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Cell {
    pub(crate) loss: &'static str,
    pub(crate) rtt_ms: u64,
    pub(crate) reordering: bool,
}

impl Cell {
    /// All 24, those without reordering first.
    pub(crate) fn all() -> Vec<Self> {
        let mut cells = Vec::new();
        for reordering in [false, true] {
            for rtt_ms in RTTS_MS {
                for loss in LOSSES {
                    cells.push(Self {
                        loss,
                        rtt_ms,
                        reordering,
                    });
                }
            }
        }
        cells
    }

    /// Six that are quickly run and have something of everything. Rare losses on a long path are not
    /// among them: a short run has too few of them for its figure to repeat.
    pub(crate) fn sample() -> Vec<Self> {
        let cell = |loss, rtt_ms, reordering| Self {
            loss,
            rtt_ms,
            reordering,
        };
        vec![
            cell("0%", 1, false),
            cell("0%", 20, true),
            cell("0.1%", 20, false),
            cell("1%", 20, true),
            cell("3%", 1, false),
            cell("0%", 100, false),
        ]
    }

    /// What the stage does in this cell, in each direction.
    pub(crate) fn words(&self, limit: usize, seed: u64) -> Words {
        let Self { loss, rtt_ms, .. } = self;
        Words {
            path: format!(
                "delay={}us,loss={loss},rate=100mbit,limit={limit}",
                rtt_ms * 500
            ),
            reorder: if self.reordering { REORDER } else { "" }.into(),
            seed,
        }
    }

    /// Loss as a fraction.
    pub(crate) fn loss_fraction(&self) -> f64 {
        self.loss
            .trim_end_matches('%')
            .parse::<f64>()
            .unwrap_or(0.0)
            / 100.0
    }

    pub(crate) fn name(&self) -> String {
        let Self { loss, rtt_ms, .. } = self;
        let reordering = if self.reordering {
            "1% by 5 ms"
        } else {
            "none"
        };
        format!("{loss:>5} {rtt_ms:>4} ms  {reordering:<10}")
    }
}

/// How long a run is. After the start, which is not counted, a path with a long round trip is
/// watched for longer: its window changes more slowly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Length {
    /// Everything is scaled by this many percent.
    pub(crate) percent: u32,
}

impl Length {
    /// One second and ten round trips from when the connection stands.
    pub(crate) fn warm_up(self, cell: &Cell) -> Duration {
        Duration::from_millis(1000 + 10 * cell.rtt_ms) * self.percent / 100
    }

    /// Four seconds and forty round trips.
    pub(crate) fn measured(self, cell: &Cell) -> Duration {
        Duration::from_millis(4000 + 40 * cell.rtt_ms) * self.percent / 100
    }
}

/// Who sends to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Path {
    KernelToKernel,
    OursToKernel,
    KernelToOurs,
}

impl Path {
    /// The first is what the others are measured against.
    pub(crate) const ALL: [Self; 3] =
        [Self::KernelToKernel, Self::OursToKernel, Self::KernelToOurs];

    pub(crate) fn ends(self) -> (Whose, Whose) {
        match self {
            Self::KernelToKernel => (Whose::Kernel, Whose::Kernel),
            Self::OursToKernel => (Whose::Ours, Whose::Kernel),
            Self::KernelToOurs => (Whose::Kernel, Whose::Ours),
        }
    }
}
