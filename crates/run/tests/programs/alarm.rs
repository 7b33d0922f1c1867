//! An alarm every millisecond while calls wait: nothing is done twice, nothing is lost.
//!
//! The program is this binary itself, and makes the plain system calls, so that no library repeats or hides anything.

use crate::{Outcome, PASSED, needs, supervised, this_binary};
use sockeye_tests::{Result, Test, check, tests};
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read as _};
use std::mem::{size_of, zeroed};
use std::net::{SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

pub(crate) const TESTS: &[Test] = tests![accepts, connects, sends, receives];

/// Calls of each kind.
const COUNT: u32 = 400;

static ALARMS: AtomicU32 = AtomicU32::new(0);

extern "C" fn on_alarm(_: i32) {
    ALARMS.fetch_add(1, Ordering::Relaxed);
}

/// Plays a program: what to do, whether system calls are to be restarted, and a port.
pub(crate) fn play(arguments: &[OsString]) -> ! {
    let [role, restart, port] = arguments else {
        panic!("--play ROLE RESTART PORT")
    };
    let restart = restart == "restart";
    let port: u16 = port.to_str().unwrap().parse().unwrap();
    let address = SocketAddrV4::new([127, 0, 0, 1].into(), port);
    // Made before the alarms: these calls are never interrupted without them.
    let kind = if role == "accept" || role == "connect" {
        libc::SOCK_STREAM
    } else {
        libc::SOCK_DGRAM
    };
    // SAFETY: integers alone.
    let sockets: Vec<i32> = (0..COUNT)
        .map(|_| unsafe { libc::socket(libc::AF_INET, kind, 0) })
        .collect();
    start_alarms(restart);
    let interrupted = match role.to_str().unwrap() {
        "accept" => accept(sockets[0], address),
        "connect" => connect(&sockets, address),
        "send" => send(sockets[0], address),
        "receive" => receive(sockets[0], address),
        role => panic!("there is no role {role}"),
    };
    let alarms = ALARMS.load(Ordering::Relaxed);
    assert!(
        !restart || interrupted == 0,
        "{interrupted} calls were interrupted that were to be restarted"
    );
    println!("{alarms} alarms, {interrupted} interrupted calls");
    std::process::exit(0)
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
fn insist(
    interrupted: &mut u32,
    mut call: impl FnMut() -> isize,
) -> std::result::Result<usize, i32> {
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
fn accept(fd: i32, address: SocketAddrV4) -> u32 {
    let mut interrupted = 0;
    bind(fd, address, &mut interrupted);
    // SAFETY: integers alone.
    insist(&mut interrupted, || unsafe {
        libc::listen(fd, 64) as isize
    })
    .unwrap();
    println!("ready");
    let mut seen = vec![0; COUNT as usize];
    for _ in 0..COUNT {
        let null = std::ptr::null_mut();
        // SAFETY: no address is asked for.
        let peer = insist(&mut interrupted, || unsafe {
            libc::accept(fd, null, null.cast()) as isize
        })
        .unwrap() as i32;
        let mut number = [0; 4];
        // SAFETY: four octets are read into four.
        let len = insist(&mut interrupted, || unsafe {
            libc::read(peer, number.as_mut_ptr().cast(), 4)
        })
        .unwrap();
        assert_eq!(len, 4);
        seen[u32::from_ne_bytes(number) as usize] += 1;
        // SAFETY: the descriptor is ours.
        unsafe { libc::close(peer) };
    }
    assert!(seen.iter().all(|count| *count == 1), "{seen:?}");
    interrupted
}

/// Connects `COUNT` sockets, each of which sends its number.
fn connect(sockets: &[i32], address: SocketAddrV4) -> u32 {
    let mut interrupted = 0;
    for (number, fd) in sockets.iter().enumerate() {
        let raw = raw(address);
        // SAFETY: an address and its length.
        let result = insist(&mut interrupted, || unsafe {
            libc::connect(*fd, (&raw const raw).cast(), ADDRESS_LEN) as isize
        });
        // A call that was interrupted goes on behind; the next one may find it complete.
        assert!(matches!(result, Ok(0) | Err(libc::EISCONN)), "{result:?}");
        let number = (number as u32).to_ne_bytes();
        // SAFETY: four octets are written from four; the descriptor is ours.
        unsafe {
            assert_eq!(
                insist(&mut interrupted, || libc::write(
                    *fd,
                    number.as_ptr().cast(),
                    4
                )),
                Ok(4)
            );
            libc::close(*fd);
        }
    }
    interrupted
}

/// Sends `COUNT` numbered datagrams.
fn send(fd: i32, address: SocketAddrV4) -> u32 {
    let mut interrupted = 0;
    for number in 0..COUNT {
        let (raw, number) = (raw(address), number.to_ne_bytes());
        // SAFETY: four octets, and an address and its length.
        let sent = insist(&mut interrupted, || unsafe {
            libc::sendto(
                fd,
                number.as_ptr().cast(),
                4,
                0,
                (&raw const raw).cast(),
                ADDRESS_LEN,
            )
        });
        assert_eq!(sent, Ok(4));
        // So that no queue overflows, which would lose a datagram honestly.
        thread::sleep(Duration::from_micros(300));
    }
    interrupted
}

/// Receives `COUNT` numbered datagrams in their order.
fn receive(fd: i32, address: SocketAddrV4) -> u32 {
    let mut interrupted = 0;
    bind(fd, address, &mut interrupted);
    println!("ready");
    for expected in 0..COUNT {
        let (mut from, mut len, mut number) = (raw(address), ADDRESS_LEN, [0; 4]);
        // SAFETY: four octets, and room for an address with its length.
        let received = insist(&mut interrupted, || unsafe {
            let (from, len) = ((&raw mut from).cast(), &raw mut len);
            libc::recvfrom(fd, number.as_mut_ptr().cast(), 4, 0, from, len)
        });
        assert_eq!((received, u32::from_ne_bytes(number)), (Ok(4), expected));
        assert_ne!(from.sin_port, 0, "where it came from is told");
    }
    interrupted
}

/// Runs a role under the supervisor, with and without restarting, against `other`, which gets the port, when the program is
/// ready if it says so.
fn run(
    role: &str,
    port: impl Fn() -> u16,
    says_ready: bool,
    other: impl Fn(u16) + Sync,
) -> Outcome {
    needs!();
    for restart in ["restart", "interrupt"] {
        let port = port();
        let mut program =
            supervised(this_binary()).args(["--play", role, restart, &port.to_string()]);
        program.command().stdout(Stdio::piped());
        let mut running = program.start()?;
        let mut output = BufReader::new(running.0.stdout.take().ok_or("no output")?);
        let mut text = String::new();
        if says_ready {
            output.read_line(&mut text)?;
            check!(
                text == "ready\n",
                "{text:?} in the place of a sign that it is ready"
            );
        }
        let other: Result<_> = thread::scope(|scope| {
            let other = scope.spawn(|| other(port));
            let end = output.read_to_string(&mut text);
            let status = running.0.wait();
            check!(
                end.is_ok() && status.as_ref().is_ok_and(|status| status.success()),
                "{restart}: {status:?} {text}"
            );
            Ok(other.join())
        });
        let other: thread::Result<()> = other?;
        check!(
            other.is_ok(),
            "{restart}: the other side saw something else"
        );
        check!(
            !text.contains("\n0 alarms") && text.contains("alarms"),
            "there was no alarm: {text}"
        );
    }
    PASSED
}

fn accepts() -> Outcome {
    let port = || {
        TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port()
    };
    run("accept", port, true, |port| {
        for number in 0..COUNT {
            use std::io::Write as _;
            let mut peer = TcpStream::connect(("127.0.0.1", port)).unwrap();
            peer.write_all(&number.to_ne_bytes()).unwrap();
            thread::sleep(Duration::from_micros(u64::from(number % 5) * 500));
        }
    })
}

fn connects() -> Outcome {
    let server = TcpListener::bind("127.0.0.1:0")?;
    let port = server.local_addr()?.port();
    run(
        "connect",
        || port,
        false,
        |_| {
            for number in 0..COUNT {
                let (mut peer, _) = server.accept().unwrap();
                let mut data = Vec::new();
                peer.read_to_end(&mut data).unwrap();
                assert_eq!(data, number.to_ne_bytes());
            }
        },
    )
}

fn sends() -> Outcome {
    let receiver = UdpSocket::bind("127.0.0.1:0")?;
    receiver.set_read_timeout(Some(Duration::from_secs(10)))?;
    let port = receiver.local_addr()?.port();
    run(
        "send",
        || port,
        false,
        |_| {
            let mut buffer = [0; 100];
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
            receiver
                .set_read_timeout(Some(Duration::from_secs(10)))
                .unwrap();
        },
    )
}

fn receives() -> Outcome {
    let port = || {
        UdpSocket::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port()
    };
    run("receive", port, true, |port| {
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        for number in 0..COUNT {
            sender
                .send_to(&number.to_ne_bytes(), ("127.0.0.1", port))
                .unwrap();
            thread::sleep(Duration::from_micros(u64::from(number % 5) * 500));
        }
    })
}
