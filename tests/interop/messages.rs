//! Programs under `sockeye run` whose sockets carry messages: SCTP and DCCP by Linux's own numbers.

use crate::run::{PYTHON, python};
use crate::uml::{ip, node};
use sockeye::net::{DccpListener, DccpSocket};
use sockeye_tests::{
    Outcome, Program, Result, Running, Test, bridge, check, have, ignore, in_namespace, sockeye,
    tests,
};
use std::io::{BufRead as _, BufReader};
use std::net::Shutdown;
use std::process::{ChildStdout, Stdio};
use std::time::Duration;

pub(crate) const TESTS: &[Test] = tests![
    one_to_many_sctp,
    one_to_one_sctp,
    an_unread_sctp_window,
    dccp_over_ipv4,
    dccp_over_ipv6,
    dccp_between_two_programs_of_a_run,
    dccp_between_two_runs,
    dccp_with_a_node_apart,
];

/// What all the scripts begin with.
const COMMON: &str = include_str!("messages.py");

/// Runs a script, which says that it came to its end.
fn plays(script: &str, args: &[&str]) -> Result {
    if !have(PYTHON) && !std::path::Path::new(PYTHON).exists() {
        return ignore!("there is no {PYTHON} on this machine");
    }
    let said = python(&[], &format!("{COMMON}\n{script}"), args)?.stdout_text();
    check!(said == "done\n", "{said:?}");
    Ok(Outcome::Passed)
}

fn one_to_many_sctp() -> Result {
    plays(include_str!("one_to_many.py"), &[])
}

fn one_to_one_sctp() -> Result {
    plays(include_str!("one_to_one.py"), &[])
}

fn an_unread_sctp_window() -> Result {
    plays(include_str!("full_window.py"), &[])
}

fn dccp_over_ipv4() -> Result {
    plays(include_str!("dccp_run.py"), &["4"])
}

fn dccp_over_ipv6() -> Result {
    plays(include_str!("dccp_run.py"), &["6"])
}

/// What stands at one end of a connection, the other end being elsewhere.
const APART: &str = include_str!("dccp_apart.py");
const LIMIT: Duration = Duration::from_secs(120);
const SERVICE: u32 = 42;
/// By family: addresses of a node of this process, and of two runs.
const NODE: [&str; 2] = ["192.0.2.2", "2001:db8::2"];
const RUNS: [(&str, [&str; 2]); 2] = [
    ("sockeye8", ["192.0.2.8", "2001:db8::8"]),
    ("sockeye9", ["192.0.2.9", "2001:db8::9"]),
];

fn dccp_between_two_programs_of_a_run() -> Result {
    for (family, host) in [("4", "10.0.2.15"), ("4", "127.0.0.1"), ("6", "fd00:2::15")] {
        let played = plays(APART, &["pair", family, host, "5001"])?;
        if let Outcome::Ignored(_) = played {
            return Ok(played);
        }
    }
    Ok(Outcome::Passed)
}

/// A program under `sockeye run` on a TAP device at the bridge `br0`, and what it says.
fn runs(
    (device, addresses): (&str, [&str; 2]),
    words: &[&str],
) -> Result<(Running, BufReader<ChildStdout>)> {
    let link = format!(
        "tap:{device},addr={}/24,addr={}/64",
        addresses[0], addresses[1]
    );
    let script = format!("{COMMON}\n{APART}");
    let program = Program::new(sockeye()?).args(["run", "--link", &link, "--", PYTHON, "-c"]);
    let mut program = program.arg(script).args(words);
    program.command().stdout(Stdio::piped());
    let mut running = program.start()?;
    let output = running.0.stdout.take().ok_or("a pipe")?;
    Ok((running, BufReader::new(output)))
}

fn says(output: &mut BufReader<ChildStdout>, expected: &str) -> Result<()> {
    let mut line = String::new();
    output.read_line(&mut line)?;
    check!(line.trim_end() == expected, "{line:?}, not {expected:?}");
    Ok(())
}

/// Two TAP devices at a bridge, as RUNS names them; or why there are none.
fn devices() -> Result<std::result::Result<(), String>> {
    bridge("br0")?;
    for (device, _) in RUNS {
        let words = format!("tuntap add mode tap name {device}");
        let made = Program::new("ip").args(words.split(' ')).run()?;
        if made.code != Some(0) {
            return Ok(Err(format!("no TAP device: {}", made.stderr_text().trim())));
        }
        ip(&format!("link set {device} master br0 up"))?;
    }
    Ok(Ok(()))
}

fn dccp_between_two_runs() -> Result {
    sockeye()?;
    in_namespace("interop::messages::dccp_between_two_runs", LIMIT, || {
        if let Err(reason) = devices()? {
            return ignore!("{reason}");
        }
        for (n, family) in ["4", "6"].into_iter().enumerate() {
            let host = RUNS[0].1[n];
            let (_server, mut server) = runs(RUNS[0], &["serve", family, host, "5001"])?;
            says(&mut server, "listening")?;
            let (_client, mut client) =
                runs(RUNS[1], &["call", family, host, "5001", RUNS[1].1[n]])?;
            says(&mut client, "done")?;
            says(&mut server, "done")?;
        }
        Ok(Outcome::Passed)
    })
}

/// The library's node at the other end, of either role.
fn dccp_with_a_node_apart() -> Result {
    sockeye()?;
    in_namespace("interop::messages::dccp_with_a_node_apart", LIMIT, || {
        if let Err(reason) = devices()? {
            return ignore!("{reason}");
        }
        let own = [format!("{}/24", NODE[0]), format!("{}/64", NODE[1])];
        let node = node(&[("br0", &[&own[0], &own[1]])])?;
        for (n, family) in ["4", "6"].into_iter().enumerate() {
            let listener = DccpListener::bind_on(&node, (NODE[n], 5001), &[SERVICE])?;
            let (_client, mut client) =
                runs(RUNS[0], &["call", family, NODE[n], "5001", RUNS[0].1[n]])?;
            let (peer, from) = listener.accept()?;
            check!(from.ip().to_string() == RUNS[0].1[n], "{from}");
            let mut buffer = [0; 2000];
            loop {
                match peer.recv(&mut buffer)? {
                    0 => break,
                    len => peer.send(&buffer[..len])?,
                };
            }
            says(&mut client, "done")?;
            let host = RUNS[1].1[n];
            let (_server, mut server) = runs(RUNS[1], &["serve", family, host, "5001"])?;
            says(&mut server, "listening")?;
            let socket = DccpSocket::connect_on(&node, (host, 5001), SERVICE)?;
            for n in 0..300u32 {
                let message = n.to_be_bytes().repeat(1 + n as usize % 300);
                socket.send(&message)?;
                let len = socket.recv(&mut buffer)?;
                check!(buffer[..len] == message, "message {n} is another");
            }
            socket.shutdown(Shutdown::Both)?;
            says(&mut server, "done")?;
        }
        Ok(Outcome::Passed)
    })
}
