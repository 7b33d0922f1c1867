//! Being the program: exit status, signals, what is inherited, and the end of either side.

use crate::{Outcome, PASSED, needs, supervised};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use sockeye_tests::{Test, check, tests};
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

pub(crate) const TESTS: &[Test] = tests![
    exit_status_is_the_programs,
    death_by_signal_is_shown_as_shells_do,
    programs_that_do_not_run,
    scripts_without_an_interpreter_run_in_the_shell,
    arguments_and_environment_arrive,
    ignored_signals_stay_ignored,
    signals_to_the_supervisor_reach_the_program,
    stops_and_goes_on,
    is_at_home_in_a_terminal,
    kernel_sockets_are_withheld,
    the_program_is_killed,
    the_supervisor_is_killed,
    orphans_lose_the_network_and_live,
    limits_are_the_programs_own,
    pings,
];

/// Waits until it is so.
fn soon(what: impl Fn() -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(10);
    while Instant::now() < end {
        if what() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    false
}

fn exists(pid: i32) -> bool {
    // A zombie exists still; what counts is whether it runs.
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = status
        .rsplit(')')
        .next()
        .and_then(|rest| rest.trim().chars().next());
    test_kill_process(Pid::from_raw(pid).unwrap()).is_ok()
        && state.is_some_and(|state| state != 'Z' && state != 'X')
}

fn line(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    line.trim().to_owned()
}

fn exit_status_is_the_programs() -> Outcome {
    needs!("sh");
    for status in [0, 1, 7, 255] {
        supervised("sh")
            .args(["-c", &format!("exit {status}")])
            .run()?
            .expect(status)?;
    }
    PASSED
}

fn death_by_signal_is_shown_as_shells_do() -> Outcome {
    needs!("sh");
    for signal in [1, 2, 9, 13, 15] {
        supervised("sh")
            .args(["-c", &format!("kill -{signal} $$")])
            .run()?
            .expect(128 + signal)?;
    }
    PASSED
}

fn programs_that_do_not_run() -> Outcome {
    needs!();
    let output = supervised("there-is-no-such-program").run()?.expect(127)?;
    check!(
        output.stderr_text().contains("no such program"),
        "{}",
        output.stderr_text()
    );
    supervised("/there/is/no/such/program").run()?.expect(127)?;
    supervised("/etc/passwd").run()?.expect(126)?;
    supervised("/").run()?.expect(126)?;
    supervised("").run()?.expect(2)?;
    PASSED
}

fn scripts_without_an_interpreter_run_in_the_shell() -> Outcome {
    use std::os::unix::fs::PermissionsExt as _;
    needs!("sh");
    let dir = sockeye_tests::TempDir::new()?;
    let script = dir.write("script", "echo \"$0 $1 $2\"\n")?;
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755))?;
    let output = supervised(&script)
        .args(["one", "two three"])
        .run()?
        .expect(0)?;
    check!(
        output.stdout_text() == format!("{} one two three\n", script.display()),
        "{}",
        output.stdout_text()
    );
    PASSED
}

fn arguments_and_environment_arrive() -> Outcome {
    needs!("sh");
    let program = supervised("sh").args([
        "-c",
        "printf '%s|' \"$0\" \"$@\" \"$WORD\"; pwd",
        "zero",
        "",
        "a b",
        "ö",
    ]);
    let output = program
        .env("WORD", "of the environment")
        .current_dir("/usr")
        .run()?
        .expect(0)?;
    check!(
        output.stdout_text() == "zero||a b|ö|of the environment|/usr\n",
        "{}",
        output.stdout_text()
    );
    PASSED
}

fn ignored_signals_stay_ignored() -> Outcome {
    needs!("sh", "grep");
    // As nohup does it.
    let script = "trap '' HUP; exec \"$0\" --supervise sh -c 'kill -HUP $$; grep -E SigIgn /proc/self/status'";
    let program = sockeye_tests::Program::new("sh")
        .args(["-c", script])
        .arg(crate::this_binary());
    let output = program.run()?.expect(0)?;
    let mask = u64::from_str_radix(
        output
            .stdout_text()
            .split_whitespace()
            .nth(1)
            .unwrap_or_default(),
        16,
    )?;
    check!(mask & 1 == 1, "SIGHUP is not ignored: {mask:x}");
    check!(
        mask & (1 << 12) == 0,
        "SIGPIPE is ignored, as it is for the supervisor: {mask:x}"
    );
    PASSED
}

fn signals_to_the_supervisor_reach_the_program() -> Outcome {
    needs!("sh");
    for (signal, name) in [
        (Signal::TERM, "TERM"),
        (Signal::INT, "INT"),
        (Signal::HUP, "HUP"),
        (Signal::USR1, "USR1"),
    ] {
        let script =
            format!("trap 'echo got; exit 5' {name}; echo ready; while :; do sleep 0.02; done");
        let mut program = supervised("sh").args(["-c", &script]);
        program.command().stdout(Stdio::piped());
        let mut running = program.start()?;
        check!(line(&mut running.0) == "ready", "the program did not start");
        kill_process(Pid::from_child(&running.0), signal)?;
        check!(line(&mut running.0) == "got", "{name} did not arrive");
        let status = running.0.wait()?;
        check!(status.code() == Some(5), "{name}: {status}");
    }
    PASSED
}

fn stops_and_goes_on() -> Outcome {
    needs!("sh");
    let mut program = supervised("sh").args(["-c", "echo $$; kill -STOP $$; echo on; exit 3"]);
    program.command().stdout(Stdio::piped());
    let mut running = program.start()?;
    let mut output = BufReader::new(running.0.stdout.take().unwrap());
    let mut text = String::new();
    output.read_line(&mut text)?;
    let pid: i32 = text.trim().parse()?;
    let state = |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    check!(
        soon(|| state(pid).contains(") T ")),
        "the program did not stop"
    );
    // What continues the supervisor continues the program.
    kill_process(Pid::from_child(&running.0), Signal::CONT)?;
    text.clear();
    output.read_line(&mut text)?;
    check!(text == "on\n", "{text:?}");
    check!(
        running.0.wait()?.code() == Some(3),
        "the exit status got lost"
    );
    PASSED
}

fn is_at_home_in_a_terminal() -> Outcome {
    needs!("python3", "bash", "stty");
    let script = include_str!("python/terminal.py");
    let program = sockeye_tests::Program::new("python3")
        .args(["-c", script])
        .arg(crate::this_binary());
    program.arg("--supervise").run()?.expect(0)?;
    PASSED
}

fn kernel_sockets_are_withheld() -> Outcome {
    needs!("sh", "ls");
    let socket = TcpListener::bind("127.0.0.1:0")?;
    let unix = std::os::unix::net::UnixDatagram::unbound()?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::empty())?;
    rustix::io::fcntl_setfd(&unix, rustix::io::FdFlags::empty())?;
    let output = supervised("ls")
        .args(["-l", "/proc/self/fd"])
        .run()?
        .expect(0)?;
    let text = output.stdout_text();
    let name = |inode: u64| format!("socket:[{inode}]");
    let [withheld, inherited] = [
        rustix::fs::fstat(&socket)?.st_ino,
        rustix::fs::fstat(&unix)?.st_ino,
    ]
    .map(name);
    check!(
        !text.contains(&withheld),
        "the program has the kernel's socket: {text}"
    );
    check!(
        text.contains(&inherited),
        "the program lacks what it should inherit: {text}"
    );
    let told = format!("descriptor {} is an internet socket", socket.as_raw_fd());
    check!(
        output.stderr_text().contains(&told),
        "{}",
        output.stderr_text()
    );
    check!(
        text.matches("socket:").count() == 1,
        "the supervisor's own descriptors got through: {text}"
    );
    check!(
        !text.contains("eventpoll") && !text.contains("seccomp"),
        "the supervisor's own descriptors got through: {text}"
    );
    PASSED
}

/// A program that has connected to a server of ours and waits for data.
fn connected() -> sockeye_tests::Result<(sockeye_tests::Running, i32, TcpStream)> {
    let server = TcpListener::bind("127.0.0.1:0")?;
    let script = "import os, socket, sys\n\
                  s = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n\
                  print(os.getpid(), flush=True)\n\
                  try:\n    data = s.recv(1)\nexcept OSError as error:\n    data = error.errno\n\
                  print(data, flush=True)\n\
                  try:\n    socket.socket()\nexcept OSError as error:\n    print(error.errno, flush=True)\n";
    let port = server.local_addr()?.port().to_string();
    let mut program = supervised("python3").args(["-c", script, &port]);
    program.command().stdout(Stdio::piped());
    let mut running = program.start()?;
    let (peer, _) = server.accept()?;
    let pid = line(&mut running.0).parse()?;
    Ok((running, pid, peer))
}

fn the_program_is_killed() -> Outcome {
    needs!("python3");
    let (mut running, pid, mut peer) = connected()?;
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL)?;
    let status = running.0.wait()?;
    check!(status.code() == Some(128 + 9), "{status}");
    check!(peer.read(&mut [0])? == 0, "the peer does not see the end");
    PASSED
}

fn the_supervisor_is_killed() -> Outcome {
    needs!("python3");
    let (mut running, pid, mut peer) = connected()?;
    running.0.kill()?;
    let status = running.0.wait()?;
    check!(status.signal() == Some(9), "{status}");
    check!(soon(|| !exists(pid)), "the program is left behind");
    check!(
        peer.read(&mut [0]).unwrap_or(0) == 0,
        "the peer does not see the end"
    );
    PASSED
}

fn orphans_lose_the_network_and_live() -> Outcome {
    needs!("python3");
    // The child of the program outlives it, and the supervisor with it.
    let script = "import errno, os, socket, sys, time\n\
                  s = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n\
                  if os.fork(): os._exit(4)\n\
                  try: word = str(s.recv(1))\n\
                  except OSError as error: word = errno.errorcode[error.errno]\n\
                  try:\n    while True: socket.socket()\n\
                  except OSError as error: word += ' ' + errno.errorcode[error.errno]\n\
                  os.write(1, word.encode())\n";
    let server = TcpListener::bind("127.0.0.1:0")?;
    let port = server.local_addr()?.port().to_string();
    let output = supervised("python3")
        .args(["-c", script, &port])
        .run()?
        .expect(4)?;
    let (mut peer, _) = server.accept()?;
    check!(
        output.stdout_text() == "ECONNRESET ENOSYS",
        "{}",
        output.stdout_text()
    );
    check!(
        peer.read(&mut [0]).unwrap_or(0) == 0,
        "the peer does not see the end"
    );
    PASSED
}

fn limits_are_the_programs_own() -> Outcome {
    needs!("sh");
    let ours = sockeye_tests::Program::new("sh")
        .args(["-c", "ulimit -n; umask"])
        .run()?
        .expect(0)?;
    let theirs = supervised("sh")
        .args(["-c", "ulimit -n; umask"])
        .run()?
        .expect(0)?;
    check!(
        ours.stdout == theirs.stdout,
        "{} and {}",
        ours.stdout_text(),
        theirs.stdout_text()
    );
    PASSED
}

/// Only on a node: of the kernel's own sockets, not everybody may have those that ping takes.
fn pings() -> Outcome {
    needs!("ping");
    for address in ["127.0.0.1", "::1"] {
        let program =
            sockeye_tests::Program::new(crate::this_binary()).args(["--on-a-node", "ping"]);
        let output = program
            .args(["-c", "2", "-i", "0.2", address])
            .unprivileged()
            .run()?
            .expect(0)?;
        check!(
            output.stdout_text().contains("2 received, 0% packet loss"),
            "{}",
            output.stdout_text()
        );
        check!(
            output.stdout_text().contains("ttl=64"),
            "{}",
            output.stdout_text()
        );
    }
    PASSED
}
