//! SO_TIMESTAMP and SO_TIMESTAMPNS (socket(7)): recvmsg tells when data arrived.
#![cfg(not(loom))]

use sockeye::{Ancillary, Domain, ManualClock, MessageFlags, Node, Socket, Type};
use std::io::IoSliceMut;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

const HERE: &str = "127.0.0.1:7000";

/// A node by a clock of the test's own.
fn node() -> Result<(Node, ManualClock)> {
    let clock = ManualClock::new();
    let node = Node::builder().clock(clock.clone()).build()?;
    Ok((node, clock))
}

fn set(socket: &Socket, name: i32, on: bool) -> std::io::Result<()> {
    socket.set_option_raw(libc::SOL_SOCKET, name, &i32::from(on).to_ne_bytes())
}

fn read(socket: &Socket, len: usize, flags: MessageFlags) -> std::io::Result<Vec<Ancillary>> {
    let mut buffer = vec![0; len];
    let message = socket.recvmsg(&mut [IoSliceMut::new(&mut buffer)], flags)?;
    Ok(message.ancillary)
}

/// The clock's time as time of day.
fn at(clock: &ManualClock) -> SystemTime {
    SystemTime::UNIX_EPOCH + clock.now()
}

#[test]
fn a_datagram_tells_when_it_arrived() -> Result {
    let (node, clock) = node()?;
    let to: SocketAddr = HERE.parse()?;
    let receiver = Socket::new_on(&node, Domain::IPV4, Type::DGRAM, None)?;
    receiver.bind(to)?;
    let sender = Socket::new_on(&node, Domain::IPV4, Type::DGRAM, None)?;
    set(&receiver, libc::SO_TIMESTAMPNS, true)?;
    clock.advance(Duration::from_nanos(1_234_567));
    let sent = at(&clock);
    sender.send_to(b"hello", to)?;
    sender.send_to(b"again", to)?;
    clock.advance(Duration::from_secs(5));
    let told = read(&receiver, 9, MessageFlags::empty())?;
    assert_eq!(told, [Ancillary::TimestampNs(sent)]);
    let (level, ty, bytes) = told[0].to_raw(Domain::IPV4);
    assert_eq!((level, ty), (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS));
    assert_eq!(
        bytes,
        [0_i64.to_ne_bytes(), 1_234_567_i64.to_ne_bytes()].concat()
    );
    // The other one takes its place.
    set(&receiver, libc::SO_TIMESTAMP, true)?;
    let told = read(&receiver, 9, MessageFlags::empty())?;
    assert_eq!(told, [Ancillary::Timestamp(sent)]);
    let (_, ty, bytes) = told[0].to_raw(Domain::IPV4);
    assert_eq!(ty, libc::SCM_TIMESTAMP);
    assert_eq!(
        bytes,
        [0_i64.to_ne_bytes(), 1_234_i64.to_ne_bytes()].concat()
    );
    set(&receiver, libc::SO_TIMESTAMP, false)?;
    sender.send_to(b"third", to)?;
    assert_eq!(read(&receiver, 9, MessageFlags::empty())?, []);
    Ok(())
}

#[test]
fn a_stream_tells_when_what_was_read_arrived() -> Result {
    let (node, clock) = node()?;
    let listener = Socket::new_on(&node, Domain::IPV4, Type::STREAM, None)?;
    listener.bind(HERE.parse()?)?;
    listener.listen(1)?;
    let client = Socket::new_on(&node, Domain::IPV4, Type::STREAM, None)?;
    client.connect(HERE.parse()?)?;
    let (server, _) = listener.accept()?;
    client.set_tcp_nodelay(true)?;
    client.send(b"before")?;
    set(&server, libc::SO_TIMESTAMP, true)?;
    assert_eq!(
        read(&server, 6, MessageFlags::empty())?,
        [],
        "nobody asked when it came"
    );
    let mut moments = Vec::new();
    for text in [b"one", b"two"] {
        clock.advance(Duration::from_millis(7));
        moments.push(at(&clock));
        client.send(text)?;
    }
    clock.advance(Duration::from_secs(1));
    let told = |n: usize| [Ancillary::Timestamp(moments[n])];
    assert_eq!(read(&server, 2, MessageFlags::PEEK)?, told(0));
    assert_eq!(read(&server, 2, MessageFlags::empty())?, told(0));
    assert_eq!(
        read(&server, 3, MessageFlags::empty())?,
        told(1),
        "the last byte counts"
    );
    client.shutdown(std::net::Shutdown::Write)?;
    assert_eq!(read(&server, 1, MessageFlags::empty())?, told(1));
    assert_eq!(
        read(&server, 1, MessageFlags::empty())?,
        [],
        "the end has no time"
    );
    Ok(())
}
