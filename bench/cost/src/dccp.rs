//! DCCP with CCID 2 between the nodes.

use crate::nodes::{Link, Nodes, SERVER};
use sockeye_core::datagram::SendOptions;
use sockeye_core::{Domain, Error, SocketId};
use std::io::IoSlice;
use std::net::SocketAddr;

/// The nodes, and a connection between them.
#[derive(Debug)]
pub struct Connection {
    /// The nodes.
    pub nodes: Nodes,
    client: SocketId,
    server: SocketId,
    message: Vec<u8>,
    buffer: Vec<u8>,
}

impl Connection {
    /// One that stands, for messages of `size` bytes.
    #[must_use]
    pub fn new(size: usize) -> Self {
        let mut nodes = Nodes::new(Link::Wire);
        let at: SocketAddr = SERVER.parse().expect("an address");
        let (dccp, mut cx) = nodes.dccp(1);
        let listener = dccp.open(&mut cx, Domain::V4).expect("a socket");
        dccp.bind(&mut cx, listener, at).expect("a free port");
        dccp.listen(&mut cx, listener, 16).expect("a bound socket");
        let (dccp, mut cx) = nodes.dccp(0);
        let client = dccp.open(&mut cx, Domain::V4).expect("a socket");
        assert_eq!(dccp.connect(&mut cx, client, at), Err(Error::InProgress));
        let server = loop {
            nodes.round();
            let (dccp, mut cx) = nodes.dccp(1);
            match dccp.accept(&mut cx, listener) {
                Ok((server, _)) => break server,
                Err(error) => assert_eq!(error, Error::WouldBlock),
            }
        };
        Self {
            nodes,
            client,
            server,
            message: vec![7; size],
            buffer: vec![0; size],
        }
    }

    /// Sends so many messages and reads them on the other side: none is lost on this link.
    pub fn send(&mut self, messages: u64) {
        let (mut unsent, mut unread) = (messages, messages);
        while unread > 0 {
            unsent -= self.write(unsent);
            self.nodes.round();
            unread -= self.read();
        }
    }

    fn write(&mut self, most: u64) -> u64 {
        for sent in 0..most {
            let (dccp, mut cx) = self.nodes.dccp(0);
            let message = [IoSlice::new(&self.message)];
            let options = SendOptions::default();
            if let Err(error) = dccp.send(&mut cx, self.client, &message, None, &options) {
                assert_eq!(error, Error::WouldBlock);
                return sent;
            }
        }
        most
    }

    fn read(&mut self) -> u64 {
        let mut read = 0;
        loop {
            let (dccp, mut cx) = self.nodes.dccp(1);
            match dccp.recv(&mut cx, self.server, &mut self.buffer, false) {
                Ok(received) => {
                    assert_eq!(received.len, self.message.len(), "messages are whole");
                    read += 1;
                }
                Err(error) => {
                    assert_eq!(error, Error::WouldBlock);
                    return read;
                }
            }
        }
    }
}
