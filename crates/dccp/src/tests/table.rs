//! RFC 4340 §8.4 and §8.5 as a table, written by hand from the RFC: in each state, what each valid
//! packet leads to and what it is answered with. The code has to agree with each entry.

use super::pair::{A, B, Pair, Wire};
use crate::State;
use crate::socket::Socket;
use core::time::Duration;
use sockeye_core::SocketId;
use sockeye_wire::dccp::{Header, Kind, PacketType, ResetCode, Seq};

use PacketType as T;

/// The columns: the packet types of RFC 4340, in the order of their numbers.
const EVENTS: [T; 10] = [
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
];

/// A row: the state, whether it is the server's, and for each event where it leads and what is sent at
/// once ("-" for nothing). "s" is the same state.
struct Row {
    state: State,
    server: bool,
    leads: [(&'static str, &'static str); 10],
}

const ROWS: [Row; 6] = [
    // Step 4: only Response and Reset are valid in REQUEST.
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
            ("CLOSED", "-"),
            ("s", "Reset"),
            ("s", "Reset"),
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
        ],
    },
];

/// A host in a state, whose peer is written by hand.
fn stage(state: State, server: bool) -> (Pair, usize, SocketId) {
    let mut pair = Pair::new(Wire::default());
    let (n, id) = match state {
        State::Request => {
            let a = pair.socket(A, &[]);
            pair.lose = Box::new(|_, _| true);
            pair.dial(a);
            pair.run_for(Duration::from_millis(1));
            return (pair, A, a);
        }
        State::PartOpen => {
            pair.lose = Box::new(|_, header| header.kind.packet_type() == T::Ack);
            let listener = pair.listen();
            let a = pair.socket(A, &[]);
            pair.dial(a);
            pair.run_until(|pair| pair.state(A, a) == State::PartOpen);
            let _ = listener;
            (A, a)
        }
        _ => {
            let (a, b) = pair.connection();
            pair.run_for(Duration::from_millis(100));
            if server { (B, b) } else { (A, a) }
        }
    };
    pair.lose = Box::new(|_, _| true);
    if matches!(state, State::CloseReq | State::Closing) {
        let (dccp, mut cx) = pair.host(n);
        dccp.shutdown(&mut cx, id, sockeye_core::Shutdown::Both)
            .unwrap();
    }
    pair.run_for(Duration::from_millis(1));
    assert_eq!(pair.state(n, id), state);
    (pair, n, id)
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
    let (mut pair, n, id) = stage(state, server);
    let (_, first, _, _) = pair.log.iter().find(|(from, _, _, _)| *from == n).unwrap();
    let first = *first;
    let Some(Socket::Connection(conn)) = pair.hosts[n].dccp.sockets.get(id) else {
        panic!("no connection");
    };
    let header = Header {
        source_port: first.destination_port,
        destination_port: first.source_port,
        options_len: 0,
        ccval: 0,
        coverage: 0,
        checksum: 0,
        extended: true,
        seq: conn.seqs.gsr + 1,
        kind: kind(event, conn.seqs.gss),
    };
    pair.log.clear();
    pair.inject(n, &header, &[], &[]);
    pair.step();
    let after = pair.state(n, id);
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
