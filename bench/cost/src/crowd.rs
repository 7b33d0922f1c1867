//! Many TCP connections between two nodes, of which few are in use.

use crate::nodes::{Link, Nodes, SERVER};
use sockeye_core::{Domain, Error, SocketId};
use sockeye_tcp::Tcp;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::time::Duration;

/// Connections to one port of the server: the client has 28,232 ports to each.
const A_PORT: usize = 20_000;
/// Those in use.
const BUSY: usize = 10;

/// The nodes and both ends of every connection.
#[derive(Debug)]
pub struct Crowd {
    nodes: Nodes,
    listener: Option<SocketId>,
    pairs: Vec<(SocketId, SocketId)>,
    used: usize,
}

impl Crowd {
    /// `count` connections, all but the busy ones and those used last at rest and packed.
    #[must_use]
    pub fn new(count: usize) -> Self {
        let mut crowd = Self {
            nodes: Nodes::new(Link::Wire),
            listener: None,
            pairs: Vec::with_capacity(count),
            used: 0,
        };
        crowd.grow(count);
        crowd
    }

    /// Opens more, until there are `count`, and lets them come to rest.
    pub fn grow(&mut self, count: usize) {
        while self.pairs.len() < count {
            self.open();
        }
        self.rest();
    }

    /// How many connections there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    fn open(&mut self) {
        let mut to: SocketAddr = SERVER.parse().expect("an address");
        let port = 7000 + self.pairs.len() / A_PORT;
        to.set_port(u16::try_from(port).expect("fewer than a billion connections"));
        if self.pairs.len().is_multiple_of(A_PORT) {
            let (tcp, mut cx) = self.nodes.tcp(1);
            let listener = tcp.open(&mut cx, Domain::V4).expect("a socket");
            tcp.bind(&mut cx, listener, to).expect("a free port");
            tcp.listen(&mut cx, listener, 16).expect("a bound socket");
            self.listener = Some(listener);
        }
        let (tcp, mut cx) = self.nodes.tcp(0);
        let client = tcp.open(&mut cx, Domain::V4).expect("a socket");
        assert_eq!(tcp.connect(&mut cx, client, to), Err(Error::InProgress));
        let server = loop {
            self.nodes.round();
            let (tcp, mut cx) = self.nodes.tcp(1);
            match tcp.accept(&mut cx, self.listener.expect("a listener")) {
                Ok((server, _)) => break server,
                Err(error) => assert_eq!(error, Error::WouldBlock),
            }
        };
        self.pairs.push((client, server));
    }

    /// Time passes, and with the packets of the busy ones those that have been at rest are packed.
    fn rest(&mut self) {
        // A second connects some thousands.
        for _ in 0..4 {
            self.nodes.skip(Duration::from_secs(2));
            self.exchange(100);
        }
    }

    /// So much time passes.
    pub fn skip(&mut self, time: Duration) {
        self.nodes.skip(time);
    }

    /// One byte there and back, `count` times, on the busy connections in turn.
    pub fn exchange(&mut self, count: usize) {
        for _ in 0..count {
            self.used = (self.used + 1) % BUSY.min(self.pairs.len());
            let (client, server) = self.pairs[self.used];
            for (from, to) in [(0, 1), (1, 0)] {
                let sockets = [client, server];
                let (tcp, mut cx) = self.nodes.tcp(from);
                let sent = tcp.send(&mut cx, sockets[from], &[IoSlice::new(&[7])]);
                assert_eq!(sent, Ok(1));
                self.nodes.round();
                let (tcp, mut cx) = self.nodes.tcp(to);
                assert_eq!(tcp.recv(&mut cx, sockets[to], &mut [0]), Ok(1));
            }
        }
    }

    /// Closes all but the busy ones, the client first: its ends are in TIME-WAIT then, the server's
    /// gone.
    pub fn close(&mut self) {
        for (client, server) in self.pairs.split_off(BUSY) {
            let close = |nodes: &mut Nodes, at, id| {
                let (tcp, mut cx): (&mut Tcp, _) = nodes.tcp(at);
                tcp.close(&mut cx, id).expect("a socket");
                nodes.round();
            };
            close(&mut self.nodes, 0, client);
            close(&mut self.nodes, 1, server);
        }
        (0..8).for_each(|_| self.exchange(1));
    }

    /// A SYN for each of `count` connections comes to the server, which answers with cookies once its
    /// listener's table is full; nobody answers.
    pub fn flood(&mut self, count: usize) {
        let to: SocketAddr = SERVER.parse().expect("an address");
        for _ in 0..count {
            let (tcp, mut cx) = self.nodes.tcp(0);
            let client = tcp.open(&mut cx, Domain::V4).expect("a socket");
            assert_eq!(tcp.connect(&mut cx, client, to), Err(Error::InProgress));
            self.nodes.cross(0);
            // The client forgets, and the server's answers are lost.
            let (tcp, mut cx) = self.nodes.tcp(0);
            tcp.close(&mut cx, client).expect("a socket");
            self.nodes.lose(1);
        }
    }
}
