//! `kill -9` of the program and of the supervisor: nothing stays, nobody hangs.

use crate::host::{Server, pattern};
use crate::run::{PYTHON, need};
use sockeye_tests::{Outcome, Program, Result, Test, check, have, ignore, sockeye, tests};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

pub(crate) const TESTS: &[Test] = tests![the_program, the_supervisor];

const PATIENCE: Duration = Duration::from_secs(20);

/// Downloads for ever and says its pid when the first bytes are there.
const DOWNLOAD: &str = r#"
import os, socket, sys
s = socket.create_connection(("10.0.2.2", int(sys.argv[1])), 20)
s.settimeout(None)
assert s.recv(65536)
print(os.getpid(), flush=True)
try:
    while s.recv(65536): pass
except OSError: pass
"#;

/// A server that sends until its client goes, and tells when that was.
fn endless() -> Result<(Server, Receiver<()>)> {
    let (sent, gone) = sync_channel(1);
    let block = pattern(1 << 16);
    let server = Server::start(move |mut stream| {
        while stream.write_all(&block).is_ok() {}
        Ok(sent.send(())?)
    })?;
    Ok((server, gone))
}

fn children_of(pid: u32) -> BTreeSet<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten();
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace()
                .filter_map(|word| word.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect()
}

fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // A zombie holds nothing; its parent has not asked for it yet.
    stat.rsplit(')')
        .next()
        .is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

fn gone(pids: &BTreeSet<u32>) -> bool {
    let end = Instant::now() + PATIENCE;
    while pids.iter().any(|pid| lives(*pid)) {
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

fn kill(pid: u32) -> Result<()> {
    let pid = rustix::process::Pid::from_raw(pid.try_into()?).ok_or("a pid is not zero")?;
    Ok(rustix::process::kill_process(
        pid,
        rustix::process::Signal::KILL,
    )?)
}

struct Transfer {
    supervisor: sockeye_tests::Running,
    program: u32,
    all: BTreeSet<u32>,
    client_gone: Receiver<()>,
    _server: Server,
}

fn transfer() -> Result<Transfer> {
    let (server, client_gone) = endless()?;
    let mut program = Program::new(sockeye()?)
        .args([
            "run",
            "--allow-host-loopback",
            "--",
            PYTHON,
            "-c",
            DOWNLOAD,
            &server.port(),
        ])
        .unprivileged();
    program.command().stdout(Stdio::piped());
    let mut supervisor = program.start()?;
    let mut line = String::new();
    BufReader::new(supervisor.0.stdout.take().ok_or("a pipe")?).read_line(&mut line)?;
    let program = line
        .trim()
        .parse()
        .map_err(|_| format!("the program said {line:?}, not its pid"))?;
    let mut all = children_of(supervisor.0.id());
    check!(
        all.contains(&program),
        "{program} is no child of the supervisor: {all:?}"
    );
    all.insert(program);
    Ok(Transfer {
        supervisor,
        program,
        all,
        client_gone,
        _server: server,
    })
}

fn the_program() -> Result {
    need!(PYTHON);
    let mut transfer = transfer()?;
    kill(transfer.program)?;
    let end = Instant::now() + PATIENCE;
    let status = loop {
        match transfer.supervisor.0.try_wait()? {
            Some(status) => break status,
            None => check!(Instant::now() < end, "the supervisor outlives its program"),
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    check!(
        status.code() == Some(128 + 9),
        "the supervisor ended with {status}"
    );
    check!(gone(&transfer.all), "a process stays");
    transfer
        .client_gone
        .recv_timeout(PATIENCE)
        .map_err(|_| "the host's connection stays open")?;
    Ok(Outcome::Passed)
}

fn the_supervisor() -> Result {
    need!(PYTHON);
    let mut transfer = transfer()?;
    kill(transfer.supervisor.0.id())?;
    transfer.supervisor.0.wait()?;
    check!(
        gone(&transfer.all),
        "the program hangs or goes on without its network"
    );
    transfer
        .client_gone
        .recv_timeout(PATIENCE)
        .map_err(|_| "the host's connection stays open")?;
    Ok(Outcome::Passed)
}
