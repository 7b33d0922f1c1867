//! TCP between the nodes.

use crate::nodes::{Link, Nodes, SERVER};
use sockeye_core::{Domain, Error, SocketId};
use std::io::IoSlice;
use std::net::SocketAddr;

/// Bytes of one call.
const CALL: usize = 64 << 10;

/// The nodes, a listener at the server's, and what is sent.
#[derive(Debug)]
pub struct Pair {
    /// The nodes.
    pub nodes: Nodes,
    listener: SocketId,
    data: Vec<u8>,
    buffer: Vec<u8>,
}

impl Pair {
    /// New nodes; the server listens.
    ///
    /// # Panics
    /// The node refuses what it allows.
    #[must_use]
    pub fn new(link: Link) -> Self {
        let mut nodes = Nodes::new(link);
        let (tcp, mut cx) = nodes.tcp(1);
        let listener = tcp.open(&mut cx, Domain::V4).expect("a socket");
        let at: SocketAddr = SERVER.parse().expect("an address");
        tcp.bind(&mut cx, listener, at).expect("a free port");
        tcp.listen(&mut cx, listener, 16).expect("a bound socket");
        Self {
            nodes,
            listener,
            data: vec![7; CALL],
            buffer: vec![0; CALL],
        }
    }

    /// A new connection: the client's socket and the server's.
    ///
    /// # Panics
    /// The other end answers otherwise than it should.
    pub fn connect(&mut self) -> (SocketId, SocketId) {
        let (tcp, mut cx) = self.nodes.tcp(0);
        let client = tcp.open(&mut cx, Domain::V4).expect("a socket");
        let to: SocketAddr = SERVER.parse().expect("an address");
        assert_eq!(tcp.connect(&mut cx, client, to), Err(Error::InProgress));
        loop {
            self.nodes.round();
            let (tcp, mut cx) = self.nodes.tcp(1);
            match tcp.accept(&mut cx, self.listener) {
                Ok((server, _)) => return (client, server),
                Err(error) => assert_eq!(error, Error::WouldBlock),
            }
        }
    }

    /// Sends `length` bytes, and reads them on the other side.
    ///
    /// # Panics
    /// The other end answers otherwise than it should.
    pub fn send(&mut self, client: SocketId, server: SocketId, length: u64) {
        let (mut unsent, mut unread) = (length, length);
        while unread > 0 {
            while unsent > 0 {
                let len = usize::try_from(unsent).unwrap_or(CALL).min(CALL);
                let (tcp, mut cx) = self.nodes.tcp(0);
                match tcp.send(&mut cx, client, &[IoSlice::new(&self.data[..len])]) {
                    Ok(sent) => unsent -= sent as u64,
                    Err(error) => {
                        assert_eq!(error, Error::WouldBlock);
                        break;
                    }
                }
            }
            self.nodes.round();
            loop {
                let (tcp, mut cx) = self.nodes.tcp(1);
                match tcp.recv(&mut cx, server, &mut self.buffer) {
                    Ok(len) => {
                        assert!(len > 0, "the stream goes on");
                        unread -= len as u64;
                    }
                    Err(error) => {
                        assert_eq!(error, Error::WouldBlock);
                        break;
                    }
                }
            }
        }
    }

    /// Sends one byte there and back, `count` times.
    ///
    /// # Panics
    /// The other end answers otherwise than it should.
    pub fn exchange(&mut self, client: SocketId, server: SocketId, count: u64) {
        for _ in 0..count {
            for (from, to) in [(0, 1), (1, 0)] {
                let sockets = [client, server];
                let (tcp, mut cx) = self.nodes.tcp(from);
                let sent = tcp.send(&mut cx, sockets[from], &[IoSlice::new(&[7])]);
                assert_eq!(sent, Ok(1));
                loop {
                    self.nodes.round();
                    let (tcp, mut cx) = self.nodes.tcp(to);
                    match tcp.recv(&mut cx, sockets[to], &mut self.buffer) {
                        Ok(len) => break assert_eq!(len, 1),
                        Err(error) => assert_eq!(error, Error::WouldBlock),
                    }
                }
            }
        }
    }

    /// Closes both ends, the client first, and waits until the server's is gone. The client's is in
    /// TIME-WAIT then.
    ///
    /// # Panics
    /// The other end answers otherwise than it should.
    pub fn close(&mut self, client: SocketId, server: SocketId) {
        let (tcp, mut cx) = self.nodes.tcp(0);
        tcp.close(&mut cx, client).expect("a socket");
        self.nodes.round();
        self.nodes.round();
        let (tcp, mut cx) = self.nodes.tcp(1);
        assert_eq!(tcp.recv(&mut cx, server, &mut self.buffer), Ok(0));
        tcp.close(&mut cx, server).expect("a socket");
        while self.nodes.tcp(1).0.readiness(server).is_ok() {
            self.nodes.round();
        }
    }
}
