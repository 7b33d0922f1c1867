//! Threads that wait in a call, and what comes meanwhile: signals, stops, time limits. Each script says the same as over the
//! kernel's own sockets.

use crate::{Outcome, PASSED, needs, supervised};
use rustix::process::{Pid, Signal, kill_process};
use sockeye_tests::{Program, Test, check, tests};
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

pub(crate) const TESTS: &[Test] = tests![
    a_stop_stops_threads_that_wait,
    a_limit_makes_a_handler_interrupt,
    a_signal_for_one_thread_leaves_the_others_waiting,
    a_signal_for_the_process_is_taken_by_a_thread_that_waits,
];

/// The plain calls of libc, since python makes an interrupted call again by itself.
const CALLS: &str = r#"
import ctypes, errno, os, signal, socket, struct, threading, time
libc = ctypes.CDLL(None, use_errno=True)
def receive(fd):
    buffer, source, size = ctypes.create_string_buffer(64), ctypes.create_string_buffer(16), ctypes.c_uint(16)
    n = libc.recvfrom(fd, buffer, 64, 0, source, ctypes.byref(size))
    return buffer.raw[:n].decode() if n >= 0 else errno.errorcode[ctypes.get_errno()]
def handle(restart):
    signal.signal(signal.SIGALRM, lambda *_: print("alarm"))
    signal.siginterrupt(signal.SIGALRM, not restart)
def bound():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.1", 0))
    return s
def say_later(to, what, after):
    def say():
        time.sleep(after)
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(what, to)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    threading.Thread(target=say, daemon=True).start()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
"#;

/// Runs a script with and without the supervisor, and finds the same output.
fn says(script: &str, expected: &str) -> Outcome {
    needs!("python3");
    let script = format!("{CALLS}{script}");
    for program in [Program::new("python3"), supervised("python3")] {
        let output = program.args(["-u", "-c", &script]).run()?.expect(0)?;
        check!(
            output.stdout_text() == expected,
            "{:?} in the place of {expected:?}",
            output.stdout_text()
        );
    }
    PASSED
}

/// signal(7): with SO_RCVTIMEO even a handler with SA_RESTART interrupts; without one the call goes on.
fn a_limit_makes_a_handler_interrupt() -> Outcome {
    says(
        r#"
s = bound()
for limit in 0, 30:
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", limit, 0))
    handle(restart=True)
    say_later(s.getsockname(), b"later", 1.0)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    print(receive(s.fileno()))
handle(restart=False)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 0))
print(receive(s.fileno()))
signal.setitimer(signal.ITIMER_REAL, 0.3)
print(receive(s.fileno()))
"#,
        "alarm\nlater\nalarm\nEINTR\nlater\nalarm\nEINTR\n",
    )
}

fn a_signal_for_one_thread_leaves_the_others_waiting() -> Outcome {
    says(
        r#"
a, b, heard = bound(), bound(), {}
handle(restart=False)
def listen(name, s): heard[name] = receive(s.fileno())
threads = [threading.Thread(target=listen, args=pair) for pair in [("a", a), ("b", b)]]
for t in threads: t.start()
time.sleep(0.3)
signal.pthread_kill(threads[1].ident, signal.SIGALRM)
threads[1].join()
say_later(a.getsockname(), b"hello", 0.3)
threads[0].join()
print(sorted(heard.items()))
"#,
        "alarm\n[('a', 'hello'), ('b', 'EINTR')]\n",
    )
}

/// A signal to the process that the first thread has blocked goes to the one that has not.
fn a_signal_for_the_process_is_taken_by_a_thread_that_waits() -> Outcome {
    says(
        r#"
s, heard = bound(), []
handle(restart=False)
t = threading.Thread(target=lambda: heard.append(receive(s.fileno())))
t.start()
time.sleep(0.2)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
os.kill(os.getpid(), signal.SIGALRM)
t.join()
print(heard)
"#,
        "alarm\n['EINTR']\n",
    )
}

fn a_stop_stops_threads_that_wait() -> Outcome {
    needs!("python3");
    let mut program = supervised("python3").args([
        "-u",
        "-c",
        r#"
import os, socket, threading, time
s = socket.create_server(("127.0.0.1", 0))
t = threading.Thread(target=lambda: print("accepted", s.accept()[0].recv(9)))
t.start()
time.sleep(0.2)
print(os.getpid(), s.getsockname()[1])
t.join()
"#,
    ]);
    program.command().stdout(Stdio::piped());
    let mut running = program.start()?;
    let mut output = BufReader::new(running.0.stdout.take().ok_or("no output")?);
    let mut text = String::new();
    output.read_line(&mut text)?;
    let (pid, port) = text.trim().split_once(' ').ok_or(text.clone())?;
    let (pid, port): (i32, u16) = (pid.parse()?, port.parse()?);
    let all_stopped = || {
        let threads = std::fs::read_dir(format!("/proc/{pid}/task"));
        let stats =
            threads.into_iter().flatten().flatten().map(|thread| {
                std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default()
            });
        stats.into_iter().all(|stat| stat.contains(") T "))
    };
    kill_process(Pid::from_raw(pid).ok_or("no pid")?, Signal::STOP)?;
    let end = Instant::now() + Duration::from_secs(10);
    while !all_stopped() {
        check!(Instant::now() < end, "a thread goes on waiting");
        std::thread::sleep(Duration::from_millis(5));
    }
    // What continues the supervisor continues the program.
    kill_process(Pid::from_child(&running.0), Signal::CONT)?;
    let mut peer = TcpStream::connect(("127.0.0.1", port))?;
    std::io::Write::write_all(&mut peer, b"on")?;
    drop(peer);
    text.clear();
    output.read_to_string(&mut text)?;
    check!(text == "accepted b'on'\n", "{text:?}");
    check!(running.0.wait()?.success(), "it failed");
    PASSED
}
