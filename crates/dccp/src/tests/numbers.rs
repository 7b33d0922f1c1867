//! What every packet has to say: numbers, Service Codes, and options where they may be.

use super::pair::{A, B, Pair, Wire};
use crate::State;
use crate::features::Feature;
use crate::flows::Tuple;
use crate::secrets::Secrets;
use crate::socket::Socket;
use core::time::Duration;
use sockeye_core::demux::{Endpoint, Flow};
use sockeye_core::{Instant, OptionValue, Rng, SocketOption};
use sockeye_wire::dccp::options::{Meaning, RawOption, walk};
use sockeye_wire::dccp::{Kind, PacketType, Seq};

const MS: Duration = Duration::from_millis(1);

/// RFC 4340 §7.2-1, §7.2-2, §7.2-4 and §7.3-1: each tuple has a space of its own, which goes on with time,
/// and another one after the node's next start.
#[test]
fn initial_numbers_are_independent() {
    let secrets = |seed| Secrets::new(&mut Rng::new([seed; 32]));
    let tuple = |port| Tuple {
        flow: Flow {
            local: Endpoint::new("10.0.0.1".parse().unwrap(), port),
            remote: Endpoint::new("10.0.0.2".parse().unwrap(), 80),
        },
        encap: None,
    };
    let (one, now) = (secrets(1), Instant::from_millis(10_000));
    let first = one.isn(&tuple(5000), now);
    let later = one.isn(&tuple(5000), now + Duration::from_secs(1));
    assert_eq!(first.packets_to(later), 250_000);
    let far = |other: Seq| first.distance_to(other).unsigned_abs() > 1 << 32;
    assert!(far(one.isn(&tuple(5001), now)) && far(secrets(2).isn(&tuple(5000), now)));
}

/// RFC 4340 §7.4-1: the Acknowledgement Number is GSR. RFC 4340 §5.3-2: the Service Code comes back.
/// RFC 4340 §5.1-2: CCVal is zero, as CCID 2 has none. RFC 4340 §5.8-1, §5.8-2 and §5.8.1-1: options fill
/// whole words.
#[test]
fn the_fields_of_a_handshake() {
    let mut pair = Pair::new(Wire::default());
    let code = OptionValue::Bytes(vec![0, 0, 0, 9]);
    let service = [(SocketOption::DccpService, code)];
    pair.connection_with(&service, &service);
    pair.run_for(100 * MS);
    let headers: Vec<_> = pair.log.iter().map(|(_, header, _, _)| *header).collect();
    let (request, response, ack) = (headers[0], headers[1], headers[2]);
    assert_eq!(request.kind, Kind::Request { service: 9 });
    let answer = Kind::Response {
        ack: request.seq,
        service: 9,
    };
    assert_eq!(response.kind, answer);
    assert_eq!(ack.kind, Kind::Ack(response.seq));
    for (_, header, options, _) in &pair.log {
        assert_eq!((header.ccval, options.len() % 4), (0, 0));
    }
}

/// RFC 4340 §8.1.2-6: nobody serves 4,294,967,295.
#[test]
fn no_service_is_refused() {
    let mut pair = Pair::new(Wire::default());
    pair.listen();
    let a = pair.socket(A, &[]);
    pair.dial(a);
    pair.run_for(100 * MS);
    let kind = Kind::Request { service: u32::MAX };
    let mut request = pair.forged(Seq::new(5), kind);
    request.source_port = 5000;
    pair.log.clear();
    pair.inject(B, &request, &[], &[]);
    pair.run_for(MS);
    assert_eq!(pair.said(), ["B Reset 8"]);
}

/// RFC 4340 §4.3-1, §8.1.5-1 and §8.1.4-4: in PARTOPEN data goes with an acknowledgement.
#[test]
fn data_of_a_client_that_knows_little_is_acknowledged() {
    let mut pair = Pair::new(Wire::default());
    let mut silent = false;
    pair.lose = Box::new(move |from, header| {
        silent |= from == B && header.kind.packet_type() == PacketType::Response;
        silent && from == B && header.kind.packet_type() != PacketType::Response
    });
    pair.listen();
    let a = pair.socket(A, &[]);
    pair.dial(a);
    pair.run_until(|pair| pair.state(A, a) == State::PartOpen);
    pair.said();
    for _ in 0..3 {
        pair.send(A, a, b"data").unwrap();
    }
    pair.run_for(MS);
    assert_eq!(pair.state(A, a), State::PartOpen);
    let said = pair.said();
    let data = said.iter().filter(|what| what.contains("Data"));
    assert!(
        data.clone().count() > 0 && { data }.all(|what| what == "A DataAck"),
        "{said:?}"
    );
}

/// RFC 4340 §8.2-1 and §8.2-2, §7.5.4-7, §5.7-3: a SyncAck at once, by the number of the Sync.
#[test]
fn syncs_are_answered_by_their_numbers() {
    let mut pair = Pair::new(Wire::default());
    pair.connection();
    pair.run_for(Duration::from_secs(1));
    let sync = pair.forged(pair.last(A) + 3, Kind::Sync(pair.last(B)));
    let (before, now) = (pair.last(B), pair.now);
    pair.log.truncate(1);
    pair.inject(B, &sync, &[], &[]);
    pair.step();
    assert_eq!(pair.now, now);
    let (_, answer, _, _) = pair.log.last().unwrap();
    assert_eq!(
        (answer.kind, answer.seq),
        (Kind::SyncAck(sync.seq), before + 1)
    );
}

/// RFC 4340 §5.8.2-2, §6-1, §11.4-3, §11.7-4 and §8.1.4-1: what must not be on Data and Requests is not.
/// RFC 4340 §5.2-1, §5.3-1, §5.5-1, §5.6-1 and §5.7-1: short numbers are for Data, Ack and DataAck.
#[test]
fn data_carries_what_it_may() {
    let mut pair = Pair::new(Wire {
        loss: 20,
        ..Wire::default()
    });
    let a = pair.socket(A, &[]);
    let listener = pair.socket(B, &[]);
    for (n, id) in [(A, a), (B, listener)] {
        let (dccp, _) = pair.host(n);
        dccp.set_short_sequences(id, true).unwrap();
        dccp.set_data_checksum(id, true).unwrap();
    }
    pair.listen_on(listener, 1);
    pair.dial(a);
    let b = pair.accept(listener).unwrap();
    for _ in 0..100 {
        for (n, id) in [(A, a), (B, b)] {
            while pair.send(n, id, &[7; 300]).is_ok() {}
        }
        pair.run_for(10 * MS);
        for (n, id) in [(A, a), (B, b)] {
            while pair.recv(n, id).is_ok() {}
        }
    }
    pair.close(A, a);
    pair.close(B, b);
    pair.run_for(Duration::from_secs(10));
    let mut seen = Vec::new();
    for (_, header, options, _) in &pair.log {
        let ty = header.kind.packet_type();
        seen.push(ty);
        assert!(header.extended || ty.may_be_short(), "{ty}");
        for meaning in walk(options).map(RawOption::meaning) {
            match ty {
                PacketType::Data => assert!(meaning.is_for_data(), "{meaning:?}"),
                PacketType::Request => assert!(!matches!(
                    meaning,
                    Meaning::InitCookie(_) | Meaning::AckVector { .. } | Meaning::DataDropped(_)
                )),
                _ => {}
            }
        }
    }
    assert!(seen.contains(&PacketType::Data) && seen.contains(&PacketType::DataAck));
}

/// RFC 4340 §6.6.3-1 and §6.6.3-2: a Change goes again, by a timer of not less than a round trip, less and
/// less often, until there is an answer.
#[test]
fn changes_go_again() {
    let mut pair = Pair::new(Wire::default());
    let (a, _) = pair.connection();
    pair.run_for(Duration::from_secs(1));
    pair.lose = Box::new(|_, _| true);
    let start = pair.now;
    let (dccp, mut cx) = pair.host(A);
    let Some(Socket::Connection(conn)) = dccp.sockets.get_mut(a) else {
        panic!("no connection");
    };
    conn.features.announce(Feature::SequenceWindow, 1000);
    conn.owed.ack = true;
    dccp.settle(&mut cx, a);
    pair.log.clear();
    let mut times = Vec::new();
    while pair.now - start < Duration::from_secs(20) {
        let before = pair.log.len();
        pair.step();
        if pair.log.len() > before {
            times.push(pair.now - start);
        }
    }
    let changes =
        pair.count_options(|meaning| matches!(meaning, Meaning::Change { feature: 3, .. }));
    // The first two leave together.
    assert!(changes >= times.len(), "{times:?}");
    let waits: Vec<Duration> = times.windows(2).map(|two| two[1] - two[0]).collect();
    assert!(waits.len() > 4 && waits[0] >= 20 * MS, "{waits:?}");
    assert!(waits.windows(2).all(|two| two[1] >= two[0]), "{waits:?}");
    pair.lose = Box::new(|_, _| false);
    pair.run_for(Duration::from_secs(60));
    let (dccp, cx) = pair.host(A);
    assert_eq!(dccp.info(&cx, a).unwrap().sequence_windows.0, 1000);
}

/// RFC 4340 §8.5-2: of two Responses with data, that of one is delivered.
#[test]
fn data_of_one_response_is_delivered() {
    let mut pair = Pair::new(Wire::default());
    pair.lose = Box::new(|_, _| true);
    let a = pair.socket(A, &[]);
    pair.dial(a);
    pair.run_for(MS);
    let request = pair.log[0].1;
    for seq in [50, 51] {
        let mut response = request;
        (response.source_port, response.destination_port) =
            (request.destination_port, request.source_port);
        response.seq = Seq::new(seq);
        response.kind = Kind::Response {
            ack: request.seq,
            service: 0,
        };
        pair.inject(A, &response, &[], &seq.to_be_bytes());
        pair.run_for(MS);
    }
    assert_eq!(pair.recv(A, a), Ok(50_u64.to_be_bytes().to_vec()));
    assert!(pair.recv(A, a).is_err());
}

/// RFC 4340 §12.1-2: who can't read ECN gets none.
#[test]
fn an_ecn_incapable_peer_gets_no_ecn() {
    let mut pair = Pair::new(Wire::default());
    let (_, b) = pair.connection();
    pair.run_for(Duration::from_secs(1));
    let carrier = |pair: &Pair| match pair.hosts[B].dccp.sockets.get(b) {
        Some(Socket::Connection(conn)) => format!("{:?}", conn.carrier()),
        _ => String::new(),
    };
    assert!(carrier(&pair).contains("traffic_class: 2"));
    let header = pair.forged(pair.last(A) + 1, Kind::Ack(pair.last(B)));
    // Change L (ECN Incapable, 1).
    pair.inject(B, &header, &[32, 4, 4, 1], &[]);
    pair.run_for(MS);
    assert!(carrier(&pair).contains("traffic_class: 0"));
}
