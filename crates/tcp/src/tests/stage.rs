//! One host whose peer is written by hand: a [`Stage`] for traces.
//!
//! Numbers count from the initial ones, ours and the peer's: the first byte of text is 1. What the
//! host sends reads `FLAGS start:end ack N win N` with extras behind it: `up N`, `sack a:b`, `mss N`.

use super::pair::{A, Pair, Wire};
use crate::SendFlags;
use crate::Tcp;
use crate::socket::Socket;
use core::time::Duration;
use sockeye_core::demux::Flow;
use sockeye_core::{
    Checksum, Config, Context, Domain, Error, Instant, InterfaceId, IpInfo, Packet, Readiness,
    SocketId, SocketOption, Transport,
};
use sockeye_wire::tcp::{Flags, Header};
use sockeye_wire::tcp_options::{Options, SackBlock, Timestamps};
use sockeye_wire::{IpProtocol, SeqNum};
use std::io::IoSlice;
use std::net::SocketAddr;

pub(crate) const LINK: InterfaceId = InterfaceId(2);
/// The peer's initial sequence number: text crosses the end of the number space.
pub(crate) const PEER_ISS: u32 = u32::MAX - 50;

pub(crate) struct Stage {
    pub(crate) pair: Pair,
    pub(crate) id: SocketId,
    pub(crate) flow: Flow,
    /// Our initial sequence number, once it has been seen.
    pub(crate) iss: SeqNum,
    /// The window that the peer's segments say, and whether they have timestamps (and which).
    pub(crate) window: u16,
    pub(crate) tsval: Option<u32>,
    seen: usize,
    local: bool,
}

/// A segment from the peer, in relative numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peer {
    pub(crate) flags: Flags,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    /// The urgent pointer.
    pub(crate) up: u16,
    pub(crate) text: Vec<u8>,
    pub(crate) options: Options,
}

pub(crate) fn peer(flags: Flags, seq: u32, ack: u32) -> Peer {
    Peer {
        flags,
        seq,
        ack,
        ..Peer::default()
    }
}

/// An acknowledgment from the peer that has sent `seq` - 1 bytes.
pub(crate) fn ack(seq: u32, ack: u32) -> Peer {
    peer(Flags::ACK, seq, ack)
}

/// Text from the peer.
pub(crate) fn text(seq: u32, ack: u32, len: usize) -> Peer {
    Peer {
        text: vec![b'p'; len],
        ..peer(Flags::ACK | Flags::PSH, seq, ack)
    }
}

impl Peer {
    /// Reports `blocks`, in our relative numbers.
    pub(crate) fn sack(mut self, iss: SeqNum, blocks: &[(u32, u32)]) -> Self {
        for &(start, end) in blocks {
            self.options.sack.push(SackBlock {
                start: iss + start,
                end: iss + end,
            });
        }
        self
    }
}

impl Stage {
    /// A socket of 10.0.0.1:4000, nothing done yet.
    pub(crate) fn new(config: Config) -> Self {
        let mut pair = Pair::with(Wire::default(), config, 3);
        // Nobody is at the other end: what leaves is only looked at.
        pair.lose = Box::new(|_, _, _| true);
        let ours: SocketAddr = "10.0.0.1:4000".parse().unwrap();
        let theirs: SocketAddr = "10.0.0.2:80".parse().unwrap();
        let (tcp, mut cx) = pair.host(A);
        let id = tcp.open(&mut cx, Domain::V4).unwrap();
        tcp.bind(&mut cx, id, ours).unwrap();
        Self {
            pair,
            id,
            flow: Flow {
                local: ours.into(),
                remote: theirs.into(),
            },
            iss: SeqNum(0),
            window: 10_000,
            tsval: None,
            seen: 0,
            local: true,
        }
    }

    /// A connection that we have opened to a peer that says `options` in its SYN.
    pub(crate) fn connected(config: Config, options: Options) -> Self {
        let mut stage = Self::new(config);
        stage.connect();
        stage.sent();
        let mut syn = peer(Flags::SYN | Flags::ACK, 0, 1);
        syn.options = options;
        stage.tsval = options.timestamps.map(|ts| ts.tsval);
        stage.arrives(syn);
        stage.sent();
        stage
    }

    /// The usual one: MSS 1000, no other options.
    pub(crate) fn plain() -> Self {
        let options = Options {
            mss: Some(1000),
            ..Options::default()
        };
        Self::connected(Config::default(), options)
    }

    /// MSS 1000, SACK.
    pub(crate) fn with_sack() -> Self {
        let options = Options {
            mss: Some(1000),
            sack_permitted: true,
            ..Options::default()
        };
        Self::connected(Config::default(), options)
    }

    pub(crate) fn connect(&mut self) {
        let to: SocketAddr = self.flow.remote.into();
        let id = self.id;
        let (tcp, mut cx) = self.host();
        assert_eq!(tcp.connect(&mut cx, id, to), Err(Error::InProgress));
    }

    pub(crate) fn host(&mut self) -> (&mut Tcp, Context<'_>) {
        self.pair.host(A)
    }

    pub(crate) fn now(&self) -> Instant {
        self.pair.now
    }

    /// Bytes of text may be written.
    pub(crate) fn write(&mut self, len: usize) -> Result<usize, Error> {
        let id = self.id;
        let (tcp, mut cx) = self.host();
        tcp.send(&mut cx, id, &[IoSlice::new(&vec![b'o'; len])])
    }

    pub(crate) fn write_with(&mut self, len: usize, flags: SendFlags) -> Result<usize, Error> {
        let id = self.id;
        let (tcp, mut cx) = self.host();
        tcp.send_with(&mut cx, id, &[IoSlice::new(&vec![b'o'; len])], flags)
    }

    pub(crate) fn read(&mut self, max: usize) -> Result<usize, Error> {
        let id = self.id;
        let (tcp, mut cx) = self.host();
        tcp.recv(&mut cx, id, &mut vec![0; max])
    }

    pub(crate) fn set(&mut self, option: SocketOption, value: sockeye_core::OptionValue) {
        let id = self.id;
        let (tcp, mut cx) = self.host();
        tcp.set_option(&mut cx, id, option, value).unwrap();
    }

    pub(crate) fn error(&mut self) -> Option<Error> {
        let id = self.id;
        self.host().0.take_error(id).unwrap()
    }

    pub(crate) fn ready(&mut self) -> Readiness {
        let id = self.id;
        self.host().0.readiness(id).unwrap()
    }

    pub(crate) fn info(&mut self) -> crate::Info {
        let (id, now) = (self.id, self.now());
        self.host().0.info(now, id).unwrap()
    }

    /// Lets time pass.
    pub(crate) fn wait(&mut self, millis: u64) {
        self.pair.run_for(Duration::from_millis(millis));
    }

    /// The state, or "gone".
    pub(crate) fn state(&self) -> &'static str {
        let sockets = &self.pair.hosts[A].tcp.sockets;
        sockets
            .get(self.id)
            .map_or("gone", |socket: &Socket| socket.state().name())
    }

    /// A segment in relative numbers arrives.
    pub(crate) fn arrives(&mut self, segment: Peer) {
        let mut options = segment.options;
        if let Some(tsval) = self.tsval {
            let tsecr = options.timestamps.map_or(0, |ts| ts.tsecr);
            options.timestamps = Some(Timestamps { tsval, tsecr });
        }
        let header = Header {
            seq: SeqNum(PEER_ISS) + segment.seq,
            ack: if segment.flags.contains(Flags::ACK) {
                self.iss + segment.ack
            } else {
                SeqNum(0)
            },
            flags: segment.flags,
            window: self.window,
            urgent_pointer: segment.up,
            options,
            ..Header::default()
        };
        self.arrives_as_is(header, &segment.text);
    }

    /// A segment for an address that is not ours arrives.
    pub(crate) fn arrives_foreign(&mut self, segment: Peer) {
        self.local = false;
        self.arrives(segment);
        self.local = true;
    }

    /// A segment arrives as it is.
    pub(crate) fn arrives_as_is(&mut self, mut header: Header, text: &[u8]) {
        let (from, to) = (self.flow.remote, self.flow.local);
        if header.source_port == 0 {
            header.source_port = from.port;
        }
        header.destination_port = to.port;
        let mut bytes = vec![0; header.header_len()];
        header.emit(&mut bytes);
        bytes.extend_from_slice(text);
        let mut packet = Packet::from_slice(&bytes);
        packet.meta.checksum = Checksum::Verified;
        let info = IpInfo {
            interface: LINK,
            source: from.ip,
            destination: to.ip,
            protocol: IpProtocol::TCP,
            hop_limit: 64,
            traffic_class: 0,
            flow_label: 0,
            header_len: 20,
            local: self.local,
            broadcast: false,
        };
        let (tcp, mut cx) = self.host();
        tcp.on_packet(&mut cx, &info, packet);
    }

    /// What has left since the last time, as it is.
    pub(crate) fn headers(&mut self) -> Vec<(Header, usize)> {
        self.pair.pump();
        let new = self.pair.log[self.seen..]
            .iter()
            .map(|(_, header, text)| (*header, *text))
            .collect();
        self.seen = self.pair.log.len();
        new
    }

    /// Forgets what has left: a long test would keep it all.
    pub(crate) fn forget(&mut self) {
        self.pair.log.clear();
        self.seen = 0;
    }

    /// What has left since the last time, as text; the window is left out.
    pub(crate) fn sent(&mut self) -> Vec<String> {
        let headers = self.headers();
        let mut lines = Vec::new();
        for (header, len) in headers {
            if header.flags.contains(Flags::SYN) {
                self.iss = header.seq;
            }
            lines.push(self.describe(&header, len));
        }
        lines
    }

    fn describe(&self, header: &Header, len: usize) -> String {
        let mut line = String::new();
        let names = [
            (Flags::SYN, 'S'),
            (Flags::FIN, 'F'),
            (Flags::RST, 'R'),
            (Flags::PSH, 'P'),
            (Flags::URG, 'U'),
            (Flags::ACK, '.'),
        ];
        for (flag, name) in names {
            if header.flags.contains(flag) {
                line.push(name);
            }
        }
        let start = self.iss.bytes_to(header.seq);
        line += &format!(" {start}:{}", start.wrapping_add(len as u32));
        let theirs = |n: SeqNum| SeqNum(PEER_ISS).bytes_to(n);
        if header.flags.contains(Flags::ACK) {
            line += &format!(" ack {}", theirs(header.ack));
        }
        if header.flags.contains(Flags::URG) {
            line += &format!(" up {}", header.urgent_pointer);
        }
        for block in header.options.sack.iter() {
            line += &format!(" sack {}:{}", theirs(block.start), theirs(block.end));
        }
        line
    }
}
