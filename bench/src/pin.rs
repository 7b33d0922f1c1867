//! Which core a thread runs on, where the program that measures wants it to be fixed.

use rustix::thread::{CpuSet, sched_setaffinity};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The cores of the side that acts and of the side that answers.
static CORES: OnceLock<(usize, usize)> = OnceLock::new();
/// Both sides are where the acting one is.
static TOGETHER: AtomicBool = AtomicBool::new(false);

/// From here on the acting side, whose thread this is, is on the last core, and the answering side
/// is on the first. Says which they are; where there is one core, nothing is pinned.
pub(crate) fn start() -> Option<(usize, usize)> {
    let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    if count < 2 {
        return None;
    }
    let cores = *CORES.get_or_init(|| (count - 1, 0));
    to(&[cores.0]);
    Some(cores)
}

/// This thread answers the acting side's.
pub(crate) fn answering() {
    if let Some((acting, core)) = CORES.get() {
        to(&[if TOGETHER.load(Relaxed) {
            *acting
        } else {
            *core
        }]);
    }
}

/// This thread acts and answers: it, and those it starts, are where the acting side is.
pub(crate) fn acting() {
    if let Some((core, _)) = CORES.get() {
        to(&[*core]);
    }
}

/// Does something with all its threads on one core.
pub(crate) fn together<T>(work: impl FnOnce() -> T) -> T {
    TOGETHER.store(true, Relaxed);
    let done = work();
    TOGETHER.store(false, Relaxed);
    done
}

/// This thread, and those it starts, may be anywhere.
pub(crate) fn nowhere() {
    if let Some((last, _)) = CORES.get() {
        to(&(0..=*last).collect::<Vec<_>>());
    }
}

fn to(cores: &[usize]) {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core);
    }
    // A container may forbid a core; the figures are then those of a thread that is not pinned.
    let _ = sched_setaffinity(None, &set);
}
