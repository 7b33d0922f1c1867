//! Nodes whose clock the test moves: hours pass at once, and at the same moments in every run.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use sockeye::drivers::{MemoryConfig, MemoryLink};
use sockeye::net::{TcpListener, TcpStream, UdpSocket};
use sockeye::{LinkConfig, ManualClock, Node};
use std::io::ErrorKind;
use std::thread;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn node(clock: &ManualClock, link: MemoryLink, address: &str) -> Node {
    let config = LinkConfig::new().address(address.parse().unwrap());
    Node::builder()
        .clock(clock.clone())
        .link("eth0", Box::new(link), config)
        .build()
        .unwrap()
}

/// Two nodes on one cable and one clock.
fn pair(clock: &ManualClock) -> (Node, Node) {
    let (a, b) = MemoryLink::pair_ip(MemoryConfig::default());
    (node(clock, a, "10.0.0.1/24"), node(clock, b, "10.0.0.2/24"))
}

#[test]
fn time_stands_still_until_it_is_moved() {
    let clock = ManualClock::new();
    let (a, _b) = pair(&clock);
    let socket = UdpSocket::bind_on(&a, "10.0.0.1:7").unwrap();
    socket.set_read_timeout(Some(60 * SECOND)).unwrap();
    let waiting = thread::spawn(move || socket.recv(&mut [0; 8]).unwrap_err());
    thread::sleep(Duration::from_millis(50));
    assert!(!waiting.is_finished());
    clock.advance(59 * SECOND);
    assert!(!waiting.is_finished());
    assert_eq!(clock.now(), 59 * SECOND);
    // On the way to the hour it stops at the minute until the thread is out of its call.
    clock.advance(3600 * SECOND);
    assert_eq!(waiting.join().unwrap().kind(), ErrorKind::WouldBlock);
    assert_eq!(clock.now(), 3659 * SECOND);
}

#[test]
fn what_a_woken_thread_does_while_it_holds_belongs_to_the_moment() {
    let clock = ManualClock::new();
    let (a, b) = pair(&clock);
    let asked = UdpSocket::bind_on(&b, "10.0.0.2:7").unwrap();
    let asking = UdpSocket::bind_on(&a, "10.0.0.1:7").unwrap();
    let (ready, is_ready) = std::sync::mpsc::channel();
    let answering = {
        let clock = clock.clone();
        thread::spawn(move || {
            let _held = clock.hold();
            ready.send(()).unwrap();
            let (len, from) = asked.recv_from(&mut [0; 8]).unwrap();
            thread::sleep(Duration::from_millis(50));
            asked.send_to(&vec![0; len], from).unwrap();
            clock.now()
        })
    };
    is_ready.recv().unwrap();
    clock.advance(SECOND);
    asking.send_to(b"question", "10.0.0.2:7").unwrap();
    clock.advance(SECOND);
    assert_eq!(asking.recv(&mut [0; 8]).unwrap(), 8);
    assert_eq!(answering.join().unwrap(), SECOND);
}

#[test]
fn a_thread_alone_drives_the_clock_to_where_its_call_ends() {
    let clock = ManualClock::new();
    let (a, _nobody) = MemoryLink::pair_ip(MemoryConfig::default());
    let a = node(&clock, a, "10.0.0.1/24");
    let _driving = clock.drive();
    let failed = TcpStream::connect_on(&a, "10.0.0.2:80").unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::TimedOut);
    // RFC 6298: seven SYNs, one second after the first, then twice as long each time.
    assert_eq!(clock.now(), 127 * SECOND);
}

#[test]
fn nothing_is_due_on_an_idle_node() {
    let clock = ManualClock::new();
    let (a, b) = pair(&clock);
    assert!(!clock.advance_to_next());
    let listener = TcpListener::bind_on(&b, "10.0.0.2:80").unwrap();
    let stream = TcpStream::connect_on(&a, "10.0.0.2:80").unwrap();
    let (served, _) = listener.accept().unwrap();
    assert_eq!(clock.now(), Duration::ZERO);
    drop((stream, served));
    // TIME-WAIT ends, and with it the last timer.
    while clock.advance_to_next() {}
    assert!(a.sockets().unwrap().is_empty());
    assert_eq!(clock.now(), 60 * SECOND);
}
