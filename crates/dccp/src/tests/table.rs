//! RFC 4340 §8.4 and §8.5, and RFC 5596 §2.2.2, as a table, written by hand from the RFC: in each state, what each valid
//! packet leads to and what it is answered with. The code has to agree with each entry.

use super::pair::{A, B, Pair, Wire};
use crate::State;
use crate::socket::Socket;
use core::time::Duration;
use sockeye_core::Shutdown;
use sockeye_wire::dccp::{Header, Kind, PacketType, ResetCode, Seq};

use PacketType as T;

/// The port of a client that is not there.
const CLIENT: u16 = 5000;

/// The columns: the packet types, in the order of their numbers.
const EVENTS: [T; 11] = [
    T::Request,
    T::Response,
    T::Data,
    T::Ack,
    T::DataAck,
    T::CloseReq,
    T::Close,
    T::Reset,
    T::Sync,
    T::SyncAck,
    T::Listen,
];

/// A row: the state, whether it is the server's, and for each event where it leads and what is sent at
/// once ("-" for nothing). "s" is the same state.
struct Row {
    state: State,
    server: bool,
    leads: [(&'static str, &'static str); 11],
}

const ROWS: [Row; 12] = [
    // Step 2: no socket. RFC 5596 §2.2.3: a Listen is discarded silently, here and everywhere.
    Row {
        state: State::Closed,
        server: true,
        leads: [
            ("s", "Reset"),
            ("s", "Reset"),
            ("s", "Reset"),
            ("s", "Reset"),
            ("s", "Reset"),
            ("s", "Reset"),
            ("s", "Reset"),
            ("s", "-"),
            ("s", "Reset"),
            ("s", "Reset"),
            ("s", "-"),
        ],
    },
    // Step 3, and step 11 for the Request.
    Row {
        state: State::Listen,
        server: true,
        leads: [
            ("RESPOND", "Response"),
            ("s", "Reset"),
            ("s", "Reset"),
            ("s", "Reset"),
            ("s", "Reset"),
            ("s", "Reset"),
            ("s", "Reset"),
            ("s", "-"),
            ("s", "Reset"),
            ("s", "Reset"),
            ("s", "-"),
        ],
    },
    // RFC 5596 §2.2.2, step 2a.
    Row {
        state: State::Invited,
        server: true,
        leads: [
            ("RESPOND", "Response"),
            ("s", "Reset"),
            ("s", "Reset"),
            ("s", "Reset"),
            ("s", "Reset"),
            ("s", "Reset"),
            ("s", "Reset"),
            ("s", "-"),
            ("s", "Reset"),
            ("s", "Reset"),
            ("s", "-"),
        ],
    },
    // RFC 5596 §2.2.2, step 2b.
    Row {
        state: State::Listen1,
        server: true,
        leads: [
            ("RESPOND", "Response"),
            ("s", "Reset"),
            ("s", "Reset"),
            ("s", "Reset"),
            ("s", "Reset"),
            ("s", "Reset"),
            ("s", "Reset"),
            ("s", "-"),
            ("s", "Reset"),
            ("s", "Reset"),
            ("s", "-"),
        ],
    },
    // Step 4: only Response and Reset are valid in REQUEST. A Listen triggers a Request (RFC 5596 §2.2.3.1).
    Row {
        state: State::Request,
        server: false,
        leads: [
            ("s", "Reset"),
            ("PARTOPEN", "-"),
            ("s", "Reset"),
            ("s", "Reset"),
            ("s", "Reset"),
            ("s", "Reset"),
            ("s", "Reset"),
            ("TIMEWAIT", "-"),
            ("s", "Reset"),
            ("s", "Reset"),
            ("s", "Request"),
        ],
    },
    // Step 7 for Response, Data and CloseReq, step 11 for the others. Step 9 would have TIMEWAIT after a Reset,
    // which §8.3 says SHOULD be held. Here, as in Linux, none is: whoever sends Requests under addresses that
    // are not his has their hosts answer our Responses with valid Resets, and each would be kept for four
    // minutes, where RESPOND itself may cost nothing (§8.1.4). No old packet can do harm either: no data was
    // exchanged, and the next connection has other numbers (§7.2).
    Row {
        state: State::Respond,
        server: true,
        leads: [
            ("s", "Response"),
            ("s", "Sync"),
            ("s", "Sync"),
            ("OPEN", "-"),
            ("OPEN", "-"),
            ("s", "Sync"),
            ("CLOSED", "Reset"),
            ("LISTEN", "-"),
            ("OPEN", "SyncAck"),
            ("OPEN", "-"),
            ("s", "-"),
        ],
    },
    // Step 12; step 7 for the Request; steps 13 and 14 follow on the way to OPEN.
    Row {
        state: State::PartOpen,
        server: false,
        leads: [
            ("s", "Sync"),
            ("s", "Ack"),
            ("OPEN", "-"),
            ("OPEN", "-"),
            ("OPEN", "-"),
            ("CLOSING", "Close"),
            ("CLOSED", "Reset"),
            ("TIMEWAIT", "-"),
            ("s", "SyncAck"),
            ("OPEN", "-"),
            ("s", "-"),
        ],
    },
    // Step 7: P.seqno >= S.OSR for Request and Response.
    Row {
        state: State::Open,
        server: false,
        leads: [
            ("s", "Sync"),
            ("s", "Sync"),
            ("s", "-"),
            ("s", "-"),
            ("s", "-"),
            ("CLOSING", "Close"),
            ("CLOSED", "Reset"),
            ("TIMEWAIT", "-"),
            ("s", "SyncAck"),
            ("s", "-"),
            ("s", "-"),
        ],
    },
    // Step 7: a server gets neither Response nor CloseReq.
    Row {
        state: State::Open,
        server: true,
        leads: [
            ("s", "Sync"),
            ("s", "Sync"),
            ("s", "-"),
            ("s", "-"),
            ("s", "-"),
            ("s", "Sync"),
            ("CLOSED", "Reset"),
            ("TIMEWAIT", "-"),
            ("s", "SyncAck"),
            ("s", "-"),
            ("s", "-"),
        ],
    },
    Row {
        state: State::CloseReq,
        server: true,
        leads: [
            ("s", "Sync"),
            ("s", "Sync"),
            ("s", "-"),
            ("s", "-"),
            ("s", "-"),
            ("s", "Sync"),
            ("CLOSED", "Reset"),
            ("TIMEWAIT", "-"),
            ("s", "SyncAck"),
            ("s", "-"),
            ("s", "-"),
        ],
    },
    // §8.3: a CloseReq MUST be answered with a Close, again, too.
    Row {
        state: State::Closing,
        server: false,
        leads: [
            ("s", "Sync"),
            ("s", "Sync"),
            ("s", "-"),
            ("s", "-"),
            ("s", "-"),
            ("s", "Close"),
            ("CLOSED", "Reset"),
            ("TIMEWAIT", "-"),
            ("s", "SyncAck"),
            ("s", "-"),
            ("s", "-"),
        ],
    },
    // Step 2: as good as no connection.
    Row {
        state: State::TimeWait,
        server: false,
        leads: [
            ("s", "Reset"),
            ("s", "Reset"),
            ("s", "Reset"),
            ("s", "Reset"),
            ("s", "Reset"),
            ("s", "Reset"),
            ("s", "Reset"),
            ("s", "-"),
            ("s", "Reset"),
            ("s", "Reset"),
            ("s", "-"),
        ],
    },
];

/// A host in a state, whose peer is written by hand.
fn stage(state: State, server: bool) -> (Pair, usize) {
    let mut pair = Pair::new(Wire::default());
    let n = if server { B } else { A };
    match state {
        State::Closed => {}
        State::Listen | State::Respond => {
            pair.listen();
        }
        State::Invited | State::Listen1 => {
            let listener = pair.socket(B, &[]);
            let client = format!("[::ffff:10.0.0.1]:{CLIENT}").parse().unwrap();
            let (dccp, mut cx) = pair.host(B);
            dccp.bind(&mut cx, listener, "[::]:80".parse().unwrap())
                .unwrap();
            dccp.invite(&mut cx, listener, client).unwrap();
        }
        State::Request => {
            let a = pair.socket(A, &[]);
            pair.lose = Box::new(|_, _| true);
            pair.dial(a);
        }
        State::PartOpen => {
            pair.lose = Box::new(|_, header| header.kind.packet_type() == T::Ack);
            pair.listen();
            let a = pair.socket(A, &[]);
            pair.dial(a);
            pair.run_until(|pair| pair.state(A, a) == State::PartOpen);
        }
        State::Open | State::CloseReq | State::Closing | State::TimeWait => {
            let (a, b) = pair.connection();
            pair.run_for(Duration::from_millis(100));
            if state == State::TimeWait {
                pair.close(A, a);
                pair.run_for(Duration::from_millis(100));
            }
            pair.lose = Box::new(|_, _| true);
            if matches!(state, State::CloseReq | State::Closing) {
                let id = if server { b } else { a };
                let (dccp, mut cx) = pair.host(n);
                dccp.shutdown(&mut cx, id, Shutdown::Both).unwrap();
            }
        }
    }
    pair.lose = Box::new(|_, _| true);
    if state == State::Respond {
        let request = from_peer(&pair, B, T::Request);
        pair.inject(B, &request, &[], &[]);
    }
    let wait = if state == State::Listen1 { 700 } else { 1 };
    pair.run_for(Duration::from_millis(wait));
    assert_eq!(now_in(&pair, n), state);
    (pair, n)
}

/// The state of the connection; where there is none, of who listens.
fn now_in(pair: &Pair, n: usize) -> State {
    let sockets = pair.hosts[n].dccp.sockets.iter();
    let states = sockets.map(|(_, socket)| socket.state());
    let (listen, others): (Vec<State>, Vec<State>) = states.partition(|state| state.listens());
    let listens = listen.first().copied().unwrap_or(State::Closed);
    others.into_iter().max().unwrap_or(listens)
}

/// A packet of the peer that fits the connection, where there is one.
fn from_peer(pair: &Pair, n: usize, ty: T) -> Header {
    let mut numbers = (Seq::new(100), Seq::new(200));
    let mut ports = (CLIENT, 80);
    for (_, socket) in pair.hosts[n].dccp.sockets.iter() {
        let (seqs, flow) = match socket {
            Socket::Connection(conn) => (&conn.seqs, &conn.tuple.flow),
            Socket::HalfOpen(half_open) => (&half_open.seqs, &half_open.tuple.flow),
            Socket::TimeWait(time_wait) => {
                let flow = &time_wait.tuple.flow;
                ports = (flow.remote.port, flow.local.port);
                continue;
            }
            Socket::Fresh(_) | Socket::Listening(_) => continue,
        };
        numbers = (seqs.gsr + 1, seqs.gss);
        ports = (flow.remote.port, flow.local.port);
    }
    Header {
        source_port: ports.0,
        destination_port: ports.1,
        options_len: 0,
        ccval: 0,
        coverage: 0,
        checksum: 0,
        extended: true,
        seq: numbers.0,
        kind: kind(ty, numbers.1),
    }
}

fn kind(ty: T, ack: Seq) -> Kind {
    match ty {
        T::Request => Kind::Request { service: 0 },
        T::Response => Kind::Response { ack, service: 0 },
        T::Data => Kind::Data,
        T::Ack => Kind::Ack(ack),
        T::DataAck => Kind::DataAck(ack),
        T::CloseReq => Kind::CloseReq(ack),
        T::Close => Kind::Close(ack),
        T::Reset => Kind::Reset {
            ack,
            code: ResetCode::CLOSED,
            data: [0; 3],
        },
        T::Sync => Kind::Sync(ack),
        T::SyncAck => Kind::SyncAck(ack),
        T::Listen => Kind::Listen { service: 0 },
    }
}

/// One entry: what the event leads to, and what is sent at once.
fn entry(state: State, server: bool, event: T) -> (String, String) {
    let (mut pair, n) = stage(state, server);
    let header = from_peer(&pair, n, event);
    pair.log.clear();
    pair.inject(n, &header, &[], &[]);
    pair.step();
    let after = now_in(&pair, n);
    let leads = if after == state { "s" } else { after.name() };
    // An acknowledgement that is owed leaves with the next turn: what is sent at once is no Ack, but in
    // PARTOPEN.
    let answers = pair
        .log
        .iter()
        .map(|(_, header, _, _)| header.kind.packet_type());
    let mut answers =
        answers.filter(|ty| *ty != T::Ack || (state == State::PartOpen && event == T::Response));
    let answer = answers.next().map_or("-", T::name);
    (leads.to_owned(), answer.to_owned())
}

/// RFC 4340 §8.5-1, §8.3-4 and §7.5.4-8: entry by entry.
#[test]
fn every_event_in_every_state() {
    let mut wrong = Vec::new();
    for Row {
        state,
        server,
        leads,
    } in ROWS
    {
        for (event, expected) in EVENTS.into_iter().zip(leads) {
            let got = entry(state, server, event);
            if (got.0.as_str(), got.1.as_str()) != expected {
                let end = if server { "server" } else { "client" };
                wrong.push(format!(
                    "{end} {}, {event}: {got:?}, not {expected:?}",
                    state.name()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
