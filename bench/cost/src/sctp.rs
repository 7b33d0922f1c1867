//! SCTP between the nodes.

use crate::nodes::{Link, Nodes, SERVER};
use sockeye_core::{Context, Domain, Error, SocketId};
use sockeye_sctp::{AssocId, Incoming, Sctp, SndInfo, Style};
use std::io::IoSlice;
use std::net::SocketAddr;

/// The nodes, and an association between them.
#[derive(Debug)]
pub struct Association {
    /// The nodes.
    pub nodes: Nodes,
    client: SocketId,
    server: SocketId,
    message: Vec<u8>,
    buffer: Vec<u8>,
}

impl Association {
    /// One that stands, for messages of `size` bytes.
    #[must_use]
    pub fn new(size: usize) -> Self {
        let mut nodes = Nodes::new(Link::Wire);
        let at: SocketAddr = SERVER.parse().expect("an address");
        let (sctp, mut cx) = nodes.sctp(1);
        let open = |sctp: &mut Sctp, cx: &mut Context<'_>| {
            let socket = sctp.open(cx, Domain::V4, Style::OneToOne);
            let socket = socket.expect("a socket");
            // Without Max.Burst: on a link without delay nothing is in flight when a SACK comes, and
            // four packets would be all that cross between two of them.
            let set = sctp.configure(cx, socket, AssocId(0), |settings| {
                settings.no_delay = true;
                settings.max_burst = 0;
            });
            set.expect("an open socket");
            socket
        };
        let listener = open(sctp, &mut cx);
        sctp.bind(&mut cx, listener, at).expect("a free port");
        sctp.listen(&mut cx, listener, 16).expect("a bound socket");
        let (sctp, mut cx) = nodes.sctp(0);
        let client = open(sctp, &mut cx);
        assert_eq!(sctp.connect(&mut cx, client, at), Err(Error::InProgress));
        let server = loop {
            nodes.round();
            let (sctp, mut cx) = nodes.sctp(1);
            match sctp.accept(&mut cx, listener) {
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

    /// Sends so many messages and reads them on the other side.
    pub fn send(&mut self, messages: u64) {
        let (mut unsent, mut unread) = (messages, messages);
        while unread > 0 {
            unsent -= self.write(unsent);
            self.nodes.round();
            unread -= self.read();
        }
    }

    /// Sends messages as long as they are taken, `most` of them. How many were.
    pub fn write(&mut self, most: u64) -> u64 {
        for sent in 0..most {
            let (sctp, mut cx) = self.nodes.sctp(0);
            let message = [IoSlice::new(&self.message)];
            let taken = sctp.send_msg(&mut cx, self.client, &message, None, &SndInfo::default());
            if let Err(error) = taken {
                assert_eq!(error, Error::WouldBlock);
                return sent;
            }
        }
        most
    }

    /// Reads the messages that have arrived. How many.
    pub fn read(&mut self) -> u64 {
        let mut read = 0;
        loop {
            let (sctp, mut cx) = self.nodes.sctp(1);
            match sctp.recv_msg(&mut cx, self.server, &mut self.buffer, false) {
                Ok(Incoming::Message(received)) => {
                    assert_eq!(received.len, self.message.len(), "messages are whole");
                    read += 1;
                }
                Ok(other) => panic!("{other:?} is no message"),
                Err(error) => {
                    assert_eq!(error, Error::WouldBlock);
                    return read;
                }
            }
        }
    }
}
