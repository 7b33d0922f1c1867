//! A transport of one's own over a raw socket: a window of messages, acknowledged and repeated, across a cable that loses,
//! doubles and reorders.
//!
//! `cargo run -p sockeye --example windowed_raw`. The protocol itself is `windowed/protocol.rs`; `windowed_transport` plugs the
//! same one into the node.

#[path = "windowed/demonstration.rs"]
mod demonstration;
#[path = "windowed/protocol.rs"]
mod protocol;

use demonstration::{MESSAGES, content, disturbed};
use protocol::{Endpoint, PROTOCOL};
use sockeye::drivers::memory::{MemoryConfig, MemoryLink};
use sockeye::net::RawSocket;
use sockeye::{Domain, LinkConfig, Node, Protocol};
use std::error::Error;
use std::io;
use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn Error>> {
    let repeated = demonstrate()?;
    println!("{MESSAGES} messages arrived once and in order; {repeated} were sent again");
    Ok(())
}

/// Sends the messages, and says how many of them went more than once.
fn demonstrate() -> Result<u64, Box<dyn Error>> {
    let (one_end, other_end) = MemoryLink::pair_ip(MemoryConfig::default());
    let sender = Connection::new(&node(one_end, "10.0.0.1/24", 1)?, "10.0.0.2")?;
    let mut receiver = Connection::new(&node(other_end, "10.0.0.2/24", 2)?, "10.0.0.1")?;
    let sending = thread::spawn(move || send_all(sender));
    for expected in 0..MESSAGES {
        let message = receiver.receive()?;
        if message != content(expected) {
            return Err(format!("message {expected} is another one").into());
        }
    }
    // The last acknowledgment may have been lost: the sender asks again. Once it is gone, its node may
    // say so, by ICMP.
    while !sending.is_finished() && receiver.turn().is_ok() {}
    Ok(sending.join().map_err(|_| "the sender panicked")??)
}

fn send_all(mut connection: Connection) -> io::Result<u64> {
    for number in 0..MESSAGES {
        connection.send(&content(number))?;
    }
    connection.finish()?;
    Ok(connection.endpoint.repeated)
}

/// An endpoint of the protocol with the socket that carries its packets.
struct Connection {
    endpoint: Endpoint,
    socket: RawSocket,
    begun: Instant,
}

impl Connection {
    fn new(node: &Node, peer: &str) -> Result<Self, Box<dyn Error>> {
        let socket = RawSocket::new_on(node, Domain::IPV4, Protocol::from(PROTOCOL))?;
        socket.connect(peer.parse::<IpAddr>()?)?;
        Ok(Self {
            endpoint: Endpoint::new(),
            socket,
            begun: Instant::now(),
        })
    }

    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        while !self.endpoint.has_room() {
            self.turn()?;
        }
        self.endpoint.send(self.begun.elapsed(), message);
        self.flush()
    }

    fn receive(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(message) = self.endpoint.receive() {
                return Ok(message);
            }
            self.turn()?;
        }
    }

    /// Waits until all has arrived.
    fn finish(&mut self) -> io::Result<()> {
        while !self.endpoint.is_idle() {
            self.turn()?;
        }
        Ok(())
    }

    /// Waits for a packet, or for the time when something is to be sent again.
    fn turn(&mut self) -> io::Result<()> {
        let now = self.begun.elapsed();
        let until = self
            .endpoint
            .deadline()
            .unwrap_or(now + Duration::from_millis(20));
        // No time at all would be for ever.
        let wait = until.saturating_sub(now).max(Duration::from_millis(1));
        self.socket.set_read_timeout(Some(wait))?;
        let mut buffer = [0; 2048];
        match self.socket.recv_from(&mut buffer) {
            Ok((len, _)) => {
                // raw(7): of IPv4 the header comes along.
                let header = usize::from(buffer[0] & 0x0f) * 4;
                let packet = buffer.get(header..len).unwrap_or_default();
                self.endpoint.on_packet(self.begun.elapsed(), packet);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        self.endpoint.tick(self.begun.elapsed());
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        while let Some(packet) = self.endpoint.transmit() {
            self.socket.as_socket().send(&packet)?;
        }
        Ok(())
    }
}

fn node(link: MemoryLink, address: &str, seed: u64) -> Result<Node, Box<dyn Error>> {
    let link = disturbed(link, seed)?;
    let config = LinkConfig::new().address(address.parse()?);
    Ok(Node::builder()
        .link("eth0", Box::new(link), config)
        .build()?)
}

#[test]
fn all_messages_arrive_and_some_had_to_go_again() {
    assert!(demonstrate().unwrap() > 0, "the cable lost nothing");
}
