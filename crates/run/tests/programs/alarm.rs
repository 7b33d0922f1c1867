//! An alarm every millisecond while calls wait: nothing is done twice, nothing is lost.
//!
//! The program is this binary itself, and makes the plain system calls, so that no library repeats or hides anything.

use crate::{Outcome, PASSED, needs, this_binary};
use sockeye_tests::{Program, Test, check, tests};
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::mem::{size_of, zeroed};
use std::net::{SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

pub(crate) const TESTS: &[Test] = tests![
    accepts,
    connects,
    sends,
    receives,
    accepts_on_a_node,
    connects_on_a_node,
    sends_on_a_node,
    receives_on_a_node,
    as_before_6_18,
];

/// Calls of each kind.
const COUNT: u32 = 400;

static ALARMS: AtomicU32 = AtomicU32::new(0);

extern "C" fn on_alarm(_: i32) {
    ALARMS.fetch_add(1, Ordering::Relaxed);
}

/// Plays a program: what to do, whether system calls are to be restarted, a port, and whether the partner is to be started too.
pub(crate) fn play(arguments: &[OsString]) -> ! {
    let words: Vec<&str> = arguments
        .iter()
        .map(|word| word.to_str().unwrap())
        .collect();
    let [role, restart, port, company] = words[..] else {
        panic!("--play ROLE RESTART PORT COMPANY")
    };
    let restart = restart == "restart";
    let address = SocketAddrV4::new([127, 0, 0, 1].into(), port.parse().unwrap());
    // Made before the alarms: these calls are never interrupted without them.
    let kind = if role == "accept" || role == "connect" {
        libc::SOCK_STREAM
    } else {
        libc::SOCK_DGRAM
    };
    // SAFETY: integers alone.
    let sockets: Vec<i32> = (0..COUNT)
        .map(|_| unsafe { libc::socket(libc::AF_INET, kind | libc::SOCK_CLOEXEC, 0) })
        .collect();
    let partner = || {
        let mut partner = Command::new(std::env::current_exe().unwrap());
        let mut partner = partner
            .args(["--partner", role, port])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut there = [0; 6];
        partner
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut there)
            .unwrap();
        partner
    };
    let mut interrupted = 0;
    // Who is waited for is made ready first.
    match role {
        "accept" => {
            bind(sockets[0], address, &mut interrupted);
            // SAFETY: integers alone.
            insist(&mut interrupted, || unsafe {
                libc::listen(sockets[0], 64) as isize
            })
            .unwrap();
        }
        "receive" => bind(sockets[0], address, &mut interrupted),
        _ => {}
    }
    println!("ready");
    let partner = (company == "together").then(partner);
    start_alarms(restart);
    match role {
        "accept" => accept(sockets[0], &mut interrupted),
        "connect" => connect(&sockets, address, &mut interrupted),
        "send" => send(sockets[0], address, &mut interrupted),
        "receive" => receive(sockets[0], address, &mut interrupted),
        role => panic!("there is no role {role}"),
    }
    stop_alarms();
    let alarms = ALARMS.load(Ordering::Relaxed);
    assert!(
        !restart || interrupted == 0,
        "{interrupted} calls were interrupted that were to be restarted"
    );
    if let Some(mut partner) = partner {
        assert!(
            partner.wait().unwrap().success(),
            "the partner saw something else"
        );
    }
    println!("{alarms} alarms, {interrupted} interrupted calls");
    std::process::exit(0)
}

fn stop_alarms() {
    // SAFETY: zeros are a timer that is off.
    unsafe {
        let off: libc::itimerval = zeroed();
        assert_eq!(
            libc::setitimer(libc::ITIMER_REAL, &raw const off, std::ptr::null_mut()),
            0
        );
    }
}

fn start_alarms(restart: bool) {
    // SAFETY: the handler is async-signal-safe, the structures are valid, and zeros are valid values of them.
    unsafe {
        let mut action: libc::sigaction = zeroed();
        action.sa_sigaction = on_alarm as *const () as usize;
        action.sa_flags = if restart { libc::SA_RESTART } else { 0 };
        assert_eq!(
            libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut()),
            0
        );
        let mut timer: libc::itimerval = zeroed();
        (timer.it_interval.tv_usec, timer.it_value.tv_usec) = (1000, 1000);
        assert_eq!(
            libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()),
            0
        );
    }
}

fn raw(address: SocketAddrV4) -> libc::sockaddr_in {
    // SAFETY: zeros are a valid address.
    let mut raw: libc::sockaddr_in = unsafe { zeroed() };
    raw.sin_family = libc::AF_INET as u16;
    raw.sin_port = address.port().to_be();
    raw.sin_addr.s_addr = u32::from_ne_bytes(address.ip().octets());
    raw
}

/// Makes a call until it is not interrupted; counts how often it was.
fn insist(interrupted: &mut u32, mut call: impl FnMut() -> isize) -> Result<usize, i32> {
    loop {
        let result = call();
        if result >= 0 {
            return Ok(result as usize);
        }
        match std::io::Error::last_os_error().raw_os_error().unwrap() {
            libc::EINTR => *interrupted += 1,
            error => return Err(error),
        }
    }
}

const ADDRESS_LEN: libc::socklen_t = size_of::<libc::sockaddr_in>() as libc::socklen_t;

fn bind(fd: i32, address: SocketAddrV4, interrupted: &mut u32) {
    let raw = raw(address);
    // SAFETY: an address and its length.
    insist(interrupted, || unsafe {
        libc::bind(fd, (&raw const raw).cast(), ADDRESS_LEN) as isize
    })
    .unwrap();
}

/// Accepts `COUNT` connections, each of which sends its number, and sees every number once.
fn accept(fd: i32, interrupted: &mut u32) {
    let mut seen = vec![0; COUNT as usize];
    for _ in 0..COUNT {
        let null = std::ptr::null_mut();
        // SAFETY: no address is asked for.
        let peer = insist(interrupted, || unsafe {
            libc::accept(fd, null, null.cast()) as isize
        });
        let (peer, mut number) = (peer.unwrap() as i32, [0; 4]);
        // SAFETY: four octets are read into four.
        let len = insist(interrupted, || unsafe {
            libc::read(peer, number.as_mut_ptr().cast(), 4)
        });
        assert_eq!(len, Ok(4));
        seen[u32::from_ne_bytes(number) as usize] += 1;
        // SAFETY: the descriptor is ours.
        unsafe { libc::close(peer) };
    }
    assert!(seen.iter().all(|count| *count == 1), "{seen:?}");
}

/// Connects `COUNT` sockets, each of which sends its number.
fn connect(sockets: &[i32], address: SocketAddrV4, interrupted: &mut u32) {
    for (number, fd) in sockets.iter().enumerate() {
        let raw = raw(address);
        // SAFETY: an address and its length.
        let result = insist(interrupted, || unsafe {
            libc::connect(*fd, (&raw const raw).cast(), ADDRESS_LEN) as isize
        });
        // A call that was interrupted goes on behind; the next one may find it complete.
        assert!(matches!(result, Ok(0) | Err(libc::EISCONN)), "{result:?}");
        let number = (number as u32).to_ne_bytes();
        // SAFETY: four octets are written from four.
        let written = insist(interrupted, || unsafe {
            libc::write(*fd, number.as_ptr().cast(), 4)
        });
        assert_eq!(written, Ok(4));
        // SAFETY: the descriptor is ours.
        unsafe { libc::close(*fd) };
    }
}

/// Sends `COUNT` numbered datagrams.
fn send(fd: i32, address: SocketAddrV4, interrupted: &mut u32) {
    for number in 0..COUNT {
        let (raw, number) = (raw(address), number.to_ne_bytes());
        // SAFETY: four octets, and an address and its length.
        let sent = insist(interrupted, || unsafe {
            let to = (&raw const raw).cast();
            libc::sendto(fd, number.as_ptr().cast(), 4, 0, to, ADDRESS_LEN)
        });
        assert_eq!(sent, Ok(4));
        // So that no queue overflows, which would lose a datagram honestly.
        thread::sleep(Duration::from_micros(300));
    }
}

/// Receives `COUNT` numbered datagrams in their order.
fn receive(fd: i32, address: SocketAddrV4, interrupted: &mut u32) {
    for expected in 0..COUNT {
        let (mut from, mut len, mut number) = (raw(address), ADDRESS_LEN, [0; 4]);
        from.sin_port = 0;
        // SAFETY: four octets, and room for an address with its length.
        let received = insist(interrupted, || unsafe {
            let (from, len) = ((&raw mut from).cast(), &raw mut len);
            libc::recvfrom(fd, number.as_mut_ptr().cast(), 4, 0, from, len)
        });
        assert_eq!((received, u32::from_ne_bytes(number)), (Ok(4), expected));
        assert_ne!(from.sin_port, 0, "where it came from is told");
    }
}

/// Who talks to a program of ours, without alarms.
enum Partner {
    Connector(u16),
    Listener(TcpListener),
    Receiver(UdpSocket),
    Sender(u16),
}

impl Partner {
    /// The partner of a role, with the port where they meet; 0 leaves that to chance.
    fn of(role: &str, port: u16) -> (Self, u16) {
        let here = ("127.0.0.1", port);
        match role {
            "accept" => {
                let port = if port == 0 {
                    TcpListener::bind(here)
                        .unwrap()
                        .local_addr()
                        .unwrap()
                        .port()
                } else {
                    port
                };
                (Self::Connector(port), port)
            }
            "receive" => {
                let port = if port == 0 {
                    UdpSocket::bind(here).unwrap().local_addr().unwrap().port()
                } else {
                    port
                };
                (Self::Sender(port), port)
            }
            "connect" => {
                let listener = TcpListener::bind(here).unwrap();
                let port = listener.local_addr().unwrap().port();
                (Self::Listener(listener), port)
            }
            _ => {
                let receiver = UdpSocket::bind(here).unwrap();
                let port = receiver.local_addr().unwrap().port();
                (Self::Receiver(receiver), port)
            }
        }
    }

    /// Does its part; panics if it sees anything twice, or misses it.
    fn play(&self) {
        match self {
            Self::Connector(port) => {
                for number in 0..COUNT {
                    let mut peer = TcpStream::connect(("127.0.0.1", *port)).unwrap();
                    peer.write_all(&number.to_ne_bytes()).unwrap();
                    thread::sleep(Duration::from_micros(u64::from(number % 5) * 500));
                }
            }
            Self::Listener(listener) => {
                for number in 0..COUNT {
                    let (mut peer, _) = listener.accept().unwrap();
                    let mut data = Vec::new();
                    peer.read_to_end(&mut data).unwrap();
                    assert_eq!(data, number.to_ne_bytes());
                }
            }
            Self::Receiver(receiver) => {
                let mut buffer = [0; 100];
                receiver
                    .set_read_timeout(Some(Duration::from_secs(20)))
                    .unwrap();
                for number in 0..COUNT {
                    let len = receiver.recv(&mut buffer).unwrap();
                    assert_eq!(buffer[..len], number.to_ne_bytes());
                }
                receiver
                    .set_read_timeout(Some(Duration::from_millis(200)))
                    .unwrap();
                assert!(
                    receiver.recv(&mut buffer).is_err(),
                    "something was sent twice"
                );
            }
            Self::Sender(port) => {
                let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
                for number in 0..COUNT {
                    sender
                        .send_to(&number.to_ne_bytes(), ("127.0.0.1", *port))
                        .unwrap();
                    thread::sleep(Duration::from_micros(u64::from(number % 5) * 500));
                }
            }
        }
    }
}

/// Is the partner, in a process of its own: `--partner ROLE PORT`.
pub(crate) fn be_partner(arguments: &[OsString]) -> ! {
    let [role, port] = arguments else {
        panic!("--partner ROLE PORT")
    };
    let (partner, _) = Partner::of(
        role.to_str().unwrap(),
        port.to_str().unwrap().parse().unwrap(),
    );
    println!("there");
    partner.play();
    std::process::exit(0)
}

/// Runs a role over the kernel's sockets with the partner outside, with and without restarting.
fn run(role: &str) -> Outcome {
    run_with("--supervise", role)
}

fn run_with(supervise: &str, role: &str) -> Outcome {
    needs!();
    for restart in ["restart", "interrupt"] {
        let (partner, port) = Partner::of(role, 0);
        let mut program = Program::new(this_binary())
            .arg(supervise)
            .arg(this_binary())
            .args(["--play", role, restart, &port.to_string(), "alone"]);
        program.command().stdout(Stdio::piped());
        let mut running = program.start()?;
        let mut output = BufReader::new(running.0.stdout.take().ok_or("no output")?);
        let mut text = String::new();
        if matches!(partner, Partner::Connector(_) | Partner::Sender(_)) {
            output.read_line(&mut text)?;
            check!(
                text == "ready\n",
                "{text:?} in the place of a sign that it is ready"
            );
        }
        let partner = thread::spawn(move || partner.play());
        output.read_to_string(&mut text)?;
        let status = running.0.wait()?;
        check!(status.success(), "{restart}: {status:?} {text}");
        check!(
            partner.join().is_ok(),
            "{restart}: the partner saw something else"
        );
        check!(
            !text.contains("\n0 alarms") && text.contains("alarms"),
            "there was no alarm: {text}"
        );
    }
    PASSED
}

/// Runs a role on a node, with the partner in another process of the same run.
fn run_on_a_node(role: &str) -> Outcome {
    needs!();
    for restart in ["restart", "interrupt"] {
        let program = Program::new(this_binary())
            .arg("--on-a-node")
            .arg(this_binary());
        let output = program
            .args(["--play", role, restart, "7777", "together"])
            .run()?
            .expect(0)?;
        let text = output.stdout_text();
        check!(
            !text.contains("\n0 alarms") && text.contains("alarms"),
            "there was no alarm: {text}"
        );
    }
    PASSED
}

fn accepts() -> Outcome {
    run("accept")
}

fn connects() -> Outcome {
    run("connect")
}

fn sends() -> Outcome {
    run("send")
}

fn receives() -> Outcome {
    run("receive")
}

/// Kernels before 6.18 need a look at the thread before each answer.
fn as_before_6_18() -> Outcome {
    for role in ["accept", "connect", "send", "receive"] {
        run_with("--supervise-as-before-6.18", role)?;
    }
    PASSED
}

fn accepts_on_a_node() -> Outcome {
    run_on_a_node("accept")
}

fn connects_on_a_node() -> Outcome {
    run_on_a_node("connect")
}

fn sends_on_a_node() -> Outcome {
    run_on_a_node("send")
}

fn receives_on_a_node() -> Outcome {
    run_on_a_node("receive")
}
