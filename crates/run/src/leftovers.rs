//! What a program leaves behind: processes whose network ends with the run.
//!
//! They are ours since this process is a subreaper. Left alone, a server among them would turn in
//! circles for ever: its listener hangs up, and accept(2) has nobody to answer it.

use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Between two looks at what is left.
const PAUSE: Duration = Duration::from_millis(5);
/// After SIGKILL a process is gone as soon as the kernel gets to it.
const KILLED_WITHIN: Duration = Duration::from_secs(2);

/// Ends every descendant of this process: asks by SIGTERM (and SIGCONT, for those that are
/// stopped), and kills what is still there after `grace`.
pub fn end_leftovers(grace: Duration) {
    for (signal, patience) in [(Signal::TERM, grace), (Signal::KILL, KILLED_WITHIN)] {
        let end = Instant::now() + patience;
        let mut told = BTreeSet::new();
        loop {
            reap();
            let left = descendants();
            if left.is_empty() {
                return;
            }
            for pid in left.difference(&told).filter_map(|pid| Pid::from_raw(*pid)) {
                // One that has just ended by itself needs no telling.
                let _ = kill_process(pid, signal);
                let _ = kill_process(pid, Signal::CONT);
            }
            told = left;
            if Instant::now() >= end {
                break;
            }
            std::thread::sleep(PAUSE);
        }
    }
}

/// Takes the status of every child that has ended.
fn reap() {
    while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
}

/// The children of this process, theirs, and so on.
fn descendants() -> BTreeSet<i32> {
    let mut found = BTreeSet::new();
    let mut open = vec![std::process::id().cast_signed()];
    while let Some(pid) = open.pop() {
        for child in children(pid) {
            if found.insert(child) {
                open.push(child);
            }
        }
    }
    found
}

fn children(pid: i32) -> Vec<i32> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let lists = tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace()
                .filter_map(|word| word.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect()
}
