//! Options and what they do (RFC 4340 §5.8, §7.7, §8.1.4, §9.3, §11.6, §11.7, §13).

use super::pair::{A, B, Pair, Wire};
use crate::State;
use core::time::Duration;
use sockeye_core::transport::IcmpErrorKind;
use sockeye_core::{Counter, Error, IcmpError, OptionValue, SocketId, SocketOption, Transport};
use sockeye_wire::dccp::options::{Meaning, RawOption, ack_state, blocks, runs, walk};
use sockeye_wire::dccp::{Kind, PacketType, ResetCode, Seq};

const MS: Duration = Duration::from_millis(1);

fn opened() -> (Pair, SocketId, SocketId) {
    let mut pair = Pair::new(Wire::default());
    let (a, b) = pair.connection();
    pair.run_for(Duration::from_secs(1));
    (pair, a, b)
}

/// What B says first after an Ack with `options`, and where that leads.
fn told(options: &[u8]) -> (Vec<String>, State) {
    let (mut pair, _, b) = opened();
    let header = pair.forged(pair.last(A) + 1, Kind::Ack(pair.last(B)));
    pair.said();
    pair.inject(B, &header, options, &[]);
    pair.run_for(MS);
    (pair.said(), pair.state(B, b))
}

/// The options of the packets that `from` has sent since the log was emptied, those that are `wanted`.
fn options_of<T>(pair: &Pair, from: usize, wanted: impl Fn(Meaning<'_>) -> Option<T>) -> Vec<T> {
    let sent = pair.log.iter().filter(|(who, _, _, _)| *who == from);
    let all = sent.flat_map(|(_, _, options, _)| walk(options));
    all.map(RawOption::meaning).filter_map(wanted).collect()
}

/// RFC 4340 §5.8.2-1, §5.8-3, §5.8-4, §15-1, §15-3 and §15-4: what nobody knows is ignored, and resets behind Mandatory.
/// RFC 4340 §5.8.2-4: Mandatory before Padding is Padding.
#[test]
fn mandatory_options() {
    let nothing = (Vec::new(), State::Open);
    assert_eq!(told(&[60, 3, 7]), nothing);
    assert_eq!(told(&[1, 0]), nothing);
    assert_eq!(told(&[1, 60, 3, 7]).0, ["B Reset 6"]);
    // Two, and one at the end, are an Option Error.
    assert_eq!(told(&[1, 1, 0, 0]).0, ["B Reset 5"]);
    assert_eq!(told(&[0, 0, 0, 1]).0, ["B Reset 5"]);
    // So is an option of a CCID that is not the one agreed on (RFC 4340 §10.3-2).
    assert_eq!(told(&[1, 194, 6, 0, 0, 0, 1]).0, ["B Reset 6"]);
    // An unknown feature behind it, too (RFC 4340 §6.6.7-2 and §6.6.9-1).
    assert_eq!(told(&[1, 32, 4, 99, 1]).0, ["B Reset 6"]);
}

/// RFC 4340 §5.8.2-3, §6-2, §5.8-9, §11-2, §11.4-4, §11.7-5, §8.1.4-2, §13.2-1 and §5.8-8: on Data they
/// are ignored.
#[test]
fn options_that_data_may_not_have() {
    let (mut pair, _, b) = opened();
    let header = pair.forged(pair.last(A) + 1, Kind::Data);
    pair.said();
    // Mandatory and an unknown one; Change; Ack Vector; Data Dropped by Drop Code 1; an Init Cookie.
    let options = [
        &[1, 60, 2][..],
        &[32, 4, 99, 1],
        &[38, 3, 0xc5],
        &[40, 3, 0x90],
        &[36, 4, 1, 2],
        &[43, 4, 0, 9],
    ]
    .concat();
    pair.inject(B, &header, &options, b"data");
    pair.run_for(500 * MS);
    assert_eq!(pair.recv(B, b), Ok(b"data".to_vec()));
    // The client has not sent that, and asks.
    assert_eq!(pair.said(), ["B Ack", "A Sync"]);
    // Drop Code 1 would have ended that.
    assert!(pair.send(B, b, b"back").is_ok());
}

/// RFC 4340 §3.1-2, §3.1-3, §5.1-3, §5.1-5, §5.1-12 and §15-2: reserved fields, and CCVal where CCID 2
/// has no use for it, may be anything. RFC 4340 §5.4-1, §5.5-2 and §5.7-4: what is no data is not delivered.
#[test]
fn reserved_fields_and_areas_are_ignored() {
    let (mut pair, _, b) = opened();
    for kind in [Kind::Ack(pair.last(B)), Kind::Sync(pair.last(B))] {
        let mut header = pair.forged(pair.last(A) + 1, kind);
        header.ccval = 9;
        pair.inject(B, &header, &[], b"no data");
        pair.run_for(10 * MS);
    }
    assert_eq!(pair.recv(B, b), Err(Error::WouldBlock));
    assert_eq!(pair.state(B, b), State::Open);
}

/// RFC 4340 §5.8-5 and §5.8-6: behind a senseless length nothing counts.
#[test]
fn senseless_lengths_end_the_options() {
    assert_eq!(told(&[60, 1, 1, 60]).0, Vec::<String>::new());
    assert_eq!(told(&[60, 200, 1, 1]).0, Vec::<String>::new());
}

/// RFC 4340 §7.7-1 and §7.7.2-1: MUST be on every packet behind one without data, once it is asked for.
#[test]
fn packets_without_data_are_counted() {
    let (mut pair, a, b) = opened();
    let header = pair.forged(pair.last(A) + 1, Kind::Ack(pair.last(B)));
    // Change R (Send NDP Count, 1).
    pair.inject(B, &header, &[34, 4, 7, 1], &[]);
    pair.run_for(50 * MS);
    let ndp = |meaning: Meaning<'_>| match meaning {
        Meaning::NdpCount(count) => Some(count),
        _ => None,
    };
    let sent: Vec<bool> = { pair.log.iter() }
        .filter(|(from, _, _, _)| *from == B)
        .map(|(_, header, _, _)| header.kind.packet_type().is_data())
        .collect();
    let run = sent.iter().rev().take_while(|data| !**data).count();
    pair.log.clear();
    pair.send(B, b, b"one").unwrap();
    pair.send(B, b, b"two").unwrap();
    pair.run_for(MS);
    // The first has it, and the second follows one with data.
    assert_eq!(options_of(&pair, B, ndp), [run as u64]);
    pair.run_for(500 * MS);
    assert_eq!(pair.recv(A, a), Ok(b"one".to_vec()));
}

/// RFC 4340 §11.6: a sender whose peer can't keep up does not go faster.
#[test]
fn a_slow_receiver_slows_the_sender() {
    let windows: Vec<u64> = [false, true]
        .map(|slow| {
            let (mut pair, a, b) = opened();
            pair.host(A).0.set_slow_receiver(a, slow).unwrap();
            for _ in 0..60 {
                let _ = pair.send(B, b, &[7; 500]);
                pair.run_for(5 * MS);
                while pair.recv(A, a).is_ok() {}
            }
            while pair.send(B, b, &[7; 500]).is_ok() {}
            for _ in 0..100 {
                while pair.send(B, b, &[7; 500]).is_ok() {}
                pair.run_for(20 * MS);
                while pair.recv(A, a).is_ok() {}
            }
            let (dccp, cx) = pair.host(B);
            let info = dccp.info(&cx, b).unwrap();
            assert_eq!(info.slow_receiver, slow);
            info.window.unwrap()
        })
        .to_vec();
    assert!(windows[0] > windows[1] * 4, "{windows:?}");
}

/// RFC 4340 §13.1, §13.3-1: a timestamp comes back with how long it was kept, in units of 10 µs.
#[test]
fn timestamps_are_echoed() {
    let (mut pair, _, b) = opened();
    let header = pair.forged(pair.last(A) + 1, Kind::Ack(pair.last(B)));
    pair.inject(B, &header, &[41, 6, 0, 0, 0, 7], &[]);
    pair.run_for(50 * MS);
    pair.log.clear();
    pair.send(B, b, b"there").unwrap();
    pair.run_for(MS);
    let echo = |meaning: Meaning<'_>| match meaning {
        Meaning::TimestampEcho { echo, elapsed } => Some((echo, elapsed)),
        _ => None,
    };
    assert_eq!(options_of(&pair, B, echo), [(7, 5000)]);
}

/// RFC 4340 §13.2-3: how long an acknowledgement waited is told as it is.
#[test]
fn elapsed_time_is_told() {
    let (mut pair, a, _) = opened();
    pair.log.clear();
    pair.send(A, a, b"alone").unwrap();
    pair.run_for(500 * MS);
    let elapsed = |meaning: Meaning<'_>| match meaning {
        Meaning::ElapsedTime(units) => Some(units),
        _ => None,
    };
    // The 40 ms of a delayed acknowledgement.
    assert_eq!(options_of(&pair, B, elapsed), [4000]);
}

/// RFC 4340 §11.4-9 and §11.7-3: what finds no room is received all the same, and told as Drop Code 2. RFC
/// 4341 §5.2, RFC 4340 §11.7.1-2: the window comes down to one packet and stays there.
#[test]
fn a_full_buffer_is_told() {
    let mut pair = Pair::new(Wire::default());
    let small = [(SocketOption::ReceiveBuffer, OptionValue::Int(4096))];
    let (a, _) = pair.connection_with(&[], &small);
    pair.log.clear();
    for _ in 0..60 {
        while pair.send(A, a, &[7; 1000]).is_ok() {}
        pair.run_for(200 * MS);
    }
    let dropped = |meaning: Meaning<'_>| match meaning {
        Meaning::DataDropped(list) => Some(blocks(list).any(|(code, _)| code == Some(2))),
        _ => None,
    };
    let told = options_of(&pair, B, dropped);
    assert!(told.len() > 5 && told.iter().all(|two| *two), "{told:?}");
    let missing = |meaning: Meaning<'_>| match meaning {
        Meaning::AckVector { vector, .. } => {
            Some(runs(vector).any(|(state, _)| state == ack_state::NOT_RECEIVED))
        }
        _ => None,
    };
    assert!(options_of(&pair, B, missing).iter().all(|missing| !missing));
    let (dccp, cx) = pair.host(A);
    assert_eq!(dccp.info(&cx, a).unwrap().window, Some(1));
}

/// RFC 4340 §10-1: who takes no CCID but 3 says so, Mandatory, and has no connection with who takes none
/// but 2.
#[test]
fn a_ccid_that_is_not_shared() {
    let ccid = |ccid| [(SocketOption::DccpCcid, OptionValue::Bytes(vec![ccid]))];
    let mut pair = Pair::new(Wire::default());
    let listener = pair.socket(B, &ccid(2));
    pair.listen_on(listener, 1);
    let a = pair.socket(A, &ccid(3));
    pair.dial(a);
    pair.run_until(|pair| pair.state(A, a) == State::Closed);
    assert_eq!(pair.said(), ["A Request", "B Reset 6"]);
    let (dccp, _) = pair.host(A);
    assert_eq!(dccp.connected(a), Err(Error::NotSupported));
    // RFC 4340 §10.3-1: a server says so in its Response.
    let mut pair = Pair::new(Wire::default());
    let listener = pair.socket(B, &ccid(3));
    pair.listen_on(listener, 1);
    let a = pair.socket(A, &ccid(2));
    pair.dial(a);
    pair.run_until(|pair| pair.state(A, a) == State::Closed);
    assert!(pair.said().contains(&"A Reset 6".to_owned()) || pair.log.is_empty());
    let (dccp, _) = pair.host(A);
    assert!(dccp.connected(a).is_err());
}

/// A connection whose server has answered by an Init Cookie and lost its acknowledgement for `time`.
fn late_cookie(time: Duration) -> (Pair, SocketId, SocketId) {
    let mut pair = Pair::new(Wire::default());
    let listener = pair.socket(B, &[]);
    pair.listen_on(listener, 0);
    pair.lose = Box::new(|from, header| from == A && header.kind.packet_type() == PacketType::Ack);
    let shy = pair.socket(A, &[]);
    pair.dial(shy);
    pair.run_for(25 * MS);
    let a = pair.socket(A, &[]);
    pair.dial(a);
    pair.run_for(time);
    pair.lose = Box::new(|_, _| false);
    let (dccp, mut cx) = pair.host(A);
    dccp.abort(&mut cx, shy).unwrap();
    (pair, listener, a)
}

/// RFC 4340 §8.1.4: a cookie is good for two minutes.
#[test]
fn cookies_expire() {
    let (mut pair, listener, a) = late_cookie(Duration::from_secs(20));
    assert!(pair.accept(listener).is_some());
    assert!(pair.state(A, a) >= State::PartOpen);
    let (mut pair, _, a) = late_cookie(Duration::from_secs(130));
    pair.run_until(|pair| pair.state(A, a).has_ended());
    let failed = pair.hosts[B].parts.counters.get(Counter::DccpCookiesFailed);
    assert_eq!(failed, 1);
    assert_eq!(pair.recv(A, a), Err(Error::BadRequest));
}

/// RFC 4340 §8.1.4-3, §8.1.4-5 and §5.8-7: the cookies of the Response that is acknowledged, in their order; those
/// of the one before are gone.
#[test]
fn cookies_are_those_of_the_newest_response() {
    let mut pair = Pair::new(Wire::default());
    pair.lose = Box::new(|_, _| true);
    let a = pair.socket(A, &[]);
    pair.dial(a);
    pair.run_for(MS);
    let request = pair.log[0].1;
    let cookies = |meaning: Meaning<'_>| match meaning {
        Meaning::InitCookie(cookie) => Some(cookie.to_vec()),
        _ => None,
    };
    for (seq, options) in [(50, &[36, 3, 1, 36, 3, 2][..]), (51, &[36, 3, 3])] {
        let mut response = pair.forged(Seq::new(seq), Kind::Ack(request.seq));
        response.kind = Kind::Response {
            ack: request.seq,
            service: 0,
        };
        (response.source_port, response.destination_port) =
            (request.destination_port, request.source_port);
        pair.log.clear();
        pair.log.push((A, request, Vec::new(), 0));
        pair.inject(A, &response, options, &[]);
        pair.run_for(MS);
        let wanted = if seq == 50 {
            vec![vec![1], vec![2]]
        } else {
            vec![vec![3]]
        };
        assert_eq!(options_of(&pair, A, cookies), wanted);
    }
}

/// RFC 4340 §7.6.1-2: short numbers that nobody has agreed on MUST be ignored.
#[test]
fn short_numbers_that_were_not_agreed_on_are_ignored() {
    let (mut pair, _, b) = opened();
    let mut header = pair.forged(pair.last(A) + 1, Kind::Data);
    header.extended = false;
    header.seq = Seq::new(header.seq.value() & 0xff_ffff);
    pair.said();
    pair.inject(B, &header, &[], b"short");
    pair.run_for(500 * MS);
    assert!(pair.said().is_empty());
    assert_eq!(pair.recv(B, b), Err(Error::WouldBlock));
}

/// RFC 4340 §8.1.3-4, §11.7: data on a Request is not taken, and that is told.
#[test]
fn data_on_a_request_is_told_as_dropped() {
    let mut pair = Pair::new(Wire::default());
    let listener = pair.listen();
    let a = pair.socket(A, &[]);
    pair.dial(a);
    pair.lose = Box::new(|_, _| true);
    pair.run_for(MS);
    let mut request = pair.log[0].1;
    request.source_port = 5000;
    pair.log.clear();
    pair.inject(B, &request, &[], b"early");
    pair.run_for(MS);
    let dropped = |meaning: Meaning<'_>| match meaning {
        Meaning::DataDropped(list) => blocks(list).next(),
        _ => None,
    };
    assert_eq!(options_of(&pair, B, dropped), [(Some(0), 1)]);
    let _ = listener;
}

/// An idle connection is probed by Syncs, which are always answered (RFC 4340 §8.2), after two hours: sooner
/// than a translator forgets it (RFC 5597 §5: 124 minutes).
#[test]
fn idle_connections_are_kept_alive() {
    let (mut pair, a, _) = opened();
    let (dccp, mut cx) = pair.host(A);
    let on = OptionValue::Flag(true);
    dccp.set_option(&mut cx, a, SocketOption::KeepAlive, on)
        .unwrap();
    pair.said();
    pair.run_for(Duration::from_secs(7210));
    assert_eq!(pair.said(), ["A Sync", "B SyncAck"]);
    pair.lose = Box::new(|_, _| true);
    pair.run_until(|pair| pair.state(A, a) == State::Closed);
    // Nine probes and the farewell.
    let mut said = vec!["A Sync"; 9];
    said.push("A Reset 2");
    assert_eq!(pair.said(), said);
    assert_eq!(pair.recv(A, a), Err(Error::TimedOut));
}

fn unreachable<'a>(quoted: &'a [u8], kind: IcmpErrorKind) -> IcmpError<'a> {
    IcmpError {
        kind,
        icmp_type: 3,
        icmp_code: 1,
        from: "10.0.0.2".parse().unwrap(),
        source: "10.0.0.1".parse().unwrap(),
        destination: "10.0.0.2".parse().unwrap(),
        quoted,
    }
}

/// RFC 4340 §14.1: an error is believed when it quotes a number that was sent; it ends an attempt to connect,
/// and no connection that stands (RFC 5597 §7.3, REQ-10).
#[test]
fn errors_are_believed_by_their_numbers() {
    let mut pair = Pair::new(Wire::default());
    pair.lose = Box::new(|_, _| true);
    let a = pair.socket(A, &[]);
    pair.dial(a);
    pair.run_for(MS);
    let mut header = pair.log[0].1;
    let mut bytes = [0; 20];
    for (ahead, state) in [(5, State::Request), (0, State::Closed)] {
        header.seq = pair.log[0].1.seq + ahead;
        header.emit(&mut bytes);
        let (dccp, mut cx) = pair.host(A);
        let error = unreachable(&bytes, IcmpErrorKind::HostUnreachable);
        assert_eq!(dccp.on_icmp_error(&mut cx, &error), ahead == 0);
        assert_eq!(pair.state(A, a), state);
    }
    let (mut pair, a, _) = opened();
    let (_, last, _, _) = *pair.log.iter().rev().find(|(from, ..)| *from == A).unwrap();
    let mut bytes = [0; 24];
    last.emit(&mut bytes);
    let (dccp, mut cx) = pair.host(A);
    let error = unreachable(&bytes, IcmpErrorKind::HostUnreachable);
    assert!(dccp.on_icmp_error(&mut cx, &error));
    assert_eq!(pair.state(A, a), State::Open);
}

/// RFC 4340 §14-1, §14.1-1, §14.2-1 and §14.2-2: MPS follows the path's MTU; what no longer fits is refused,
/// and what is queued is dropped.
#[test]
fn the_packet_size_follows_the_path() {
    let (mut pair, a, b) = opened();
    let size = |pair: &mut Pair| {
        let (dccp, mut cx) = pair.host(A);
        dccp.max_packet_size(&mut cx, a).unwrap()
    };
    let before = size(&mut pair);
    pair.lose = Box::new(|_, _| true);
    while pair.send(A, a, &vec![7; before]).is_ok() {}
    pair.run_for(MS);
    let (_, mut cx) = pair.host(A);
    sockeye_core::ip::pmtu::learn(&mut cx, "10.0.0.2".parse().unwrap(), 1000);
    assert_eq!(size(&mut pair), before - 500);
    pair.lose = Box::new(|_, _| false);
    pair.log.clear();
    pair.run_for(Duration::from_secs(5));
    let too_big = pair.hosts[A].parts.counters.get(Counter::DccpTooBig);
    assert!(too_big > 0);
    assert!(pair.log.iter().all(|(_, _, _, data)| *data < before));
    assert_eq!(pair.send(A, a, &vec![7; before]), Err(Error::MessageSize));
    pair.send(A, a, &vec![7; before - 500]).unwrap();
    pair.run_for(Duration::from_secs(5));
    while pair.recv(B, b).is_ok() {}
}

/// RFC 4340 §7.5.2-2 and §7.5.2-3: the Sequence Window grows before what is under way does.
#[test]
fn the_sequence_window_follows_the_rate() {
    let mut pair = Pair::new(Wire {
        delay: Duration::from_millis(100),
        ..Wire::default()
    });
    let (a, b) = pair.connection();
    for _ in 0..400 {
        while pair.send(A, a, &[7; 100]).is_ok() {}
        pair.run_for(10 * MS);
        while pair.recv(B, b).is_ok() {}
    }
    let (dccp, cx) = pair.host(A);
    let info = dccp.info(&cx, a).unwrap();
    let window = info.window.unwrap();
    assert!(window > 200, "{window}");
    assert!(info.sequence_windows.0 >= window * 2, "{info:?}");
}

/// RFC 4340 §7.5.3, §5.6-2: a Reset says nothing in its data where it has nothing to say.
#[test]
fn resets_are_plain() {
    let (mut pair, a, b) = opened();
    pair.close(A, a);
    pair.run_for(100 * MS);
    let resets = pair
        .log
        .iter()
        .filter_map(|(_, header, _, _)| match header.kind {
            Kind::Reset { data, code, .. } => Some((header.extended, code, data)),
            _ => None,
        });
    let resets: Vec<_> = resets.collect();
    assert_eq!(resets, [(true, ResetCode::CLOSED, [0; 3])]);
    pair.close(B, b);
}

/// RFC 4342 §8.2-1, §8.2-2, §8.3-2, §8.5-1, §8.6-2 and §8.6.1-3: feedback tells how long it waited, and is
/// on acknowledgements alone. RFC 4342 §8.4-1 and §8-2: with the rate, as that is asked for. RFC 4342
/// §8.1-1: CCVal goes on by five at the most.
#[test]
fn feedback_of_ccid_3() {
    let mut pair = Pair::new(Wire::default());
    let ccid = [(SocketOption::DccpCcid, OptionValue::Bytes(vec![3]))];
    let (a, b) = pair.connection_with(&ccid, &ccid);
    pair.run_for(Duration::from_secs(1));
    pair.log.clear();
    for n in 0..100 {
        let _ = pair.send(A, a, &[7; 500]);
        // Now and then a pause, in which the counter would go round.
        pair.run_for(if n % 10 == 0 { 500 * MS } else { 5 * MS });
        while pair.recv(B, b).is_ok() {}
    }
    let mut last: Option<u8> = None;
    let mut acks = 0;
    for (from, header, options, data) in &pair.log {
        let kinds: Vec<u8> = walk(options).map(|option| option.kind).collect();
        if *from == A
            && *data > 0
            && let Some(last) = last.replace(header.ccval)
        {
            assert!(header.ccval.wrapping_sub(last) & 15 <= 5);
        }
        if *from == B && matches!(header.kind, Kind::Ack(_)) {
            acks += 1;
            // Elapsed Time, Receive Rate, Loss Intervals, Loss Event Rate.
            assert!(
                [43, 194, 193, 192].iter().all(|kind| kinds.contains(kind)),
                "{kinds:?}"
            );
        } else {
            assert!(
                !kinds.iter().any(|kind| (192..=194).contains(kind)),
                "{kinds:?}"
            );
        }
    }
    assert!(acks > 10);
}

/// RFC 4342 §8-1, §8.3-3, §8.5-2, §8.6-3 and §8.6.1-4: feedback on Data is ignored.
#[test]
fn feedback_on_data_is_ignored() {
    let mut pair = Pair::new(Wire::default());
    let ccid = [(SocketOption::DccpCcid, OptionValue::Bytes(vec![3]))];
    let (_, b) = pair.connection_with(&ccid, &ccid);
    pair.run_for(Duration::from_secs(1));
    pair.send(B, b, b"there").unwrap();
    pair.run_for(Duration::from_secs(1));
    let rate = |pair: &mut Pair| {
        let (dccp, cx) = pair.host(B);
        dccp.info(&cx, b).unwrap().rate
    };
    let before = rate(&mut pair);
    let header = pair.forged(pair.last(A) + 1, Kind::Data);
    // A Receive Rate of one, and a Loss Event Rate of a half.
    let options = [194, 6, 0, 0, 0, 1, 192, 6, 0, 0, 0, 2];
    pair.inject(B, &header, &options, b"data");
    pair.run_for(MS);
    assert_eq!(rate(&mut pair), before);
}
