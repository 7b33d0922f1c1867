//! How fast CCIDs send: TFRC by its equation (RFC 5348 §3.1), and both beside each other.

use super::pair::{A, B, Pair, Wire};
use crate::ccid::tfrc;
use crate::socket::Socket;
use core::time::Duration;
use sockeye_core::{Config, Error, OptionValue, SocketId, SocketOption};
use sockeye_wire::dccp::PacketType;
use sockeye_wire::dccp::options::Meaning;

const SIZE: usize = 1000;

fn by_ccid(ccid: u8) -> [(SocketOption, OptionValue); 1] {
    [(SocketOption::DccpCcid, OptionValue::Bytes(vec![ccid]))]
}

/// Keeps `flows` busy for a while; the bytes that each delivered.
fn run(pair: &mut Pair, flows: &[(SocketId, SocketId)], time: Duration) -> Vec<u64> {
    let end = pair.now + time;
    let mut got = vec![0; flows.len()];
    while pair.now < end {
        for (n, &(a, b)) in flows.iter().enumerate() {
            while pair.send(A, a, &[7; SIZE]).is_ok() {}
            while let Ok(message) = pair.recv(B, b) {
                got[n] += message.len() as u64;
            }
        }
        assert!(pair.step());
    }
    got
}

/// RFC 5348 §3.1: over loss and round-trip times the rate is what the equation says.
#[test]
fn tfrc_keeps_to_its_equation() {
    for (loss, seconds) in [(1, 12u32), (10, 30), (50, 60)] {
        for rtt in [10u64, 100] {
            let rtt = Duration::from_millis(rtt);
            let wire = Wire {
                delay: rtt / 2,
                ..Wire::default()
            };
            let mut pair = Pair::with(wire, Config::default(), 7);
            pair.record = false;
            let flow = pair.connection_with(&by_ccid(3), &by_ccid(3));
            pair.wire.loss = loss;
            run(&mut pair, &[flow], Duration::from_secs(8));
            let bytes = run(&mut pair, &[flow], Duration::from_secs(seconds.into()))[0];
            let rate = bytes as f64 / f64::from(seconds);
            let p = f64::from(loss) / 1000.0;
            let equation = tfrc::throughput(SIZE as f64, rtt, p);
            let share = rate / equation;
            println!("loss {p} rtt {rtt:?}: {rate:.0} bytes/s, equation {equation:.0}: {share:.2}");
            // Several losses in a round trip are one event, so that the event rate is below the loss
            // rate where many packets are under way; a packet lost is not delivered.
            assert!((0.5..2.0).contains(&share), "loss {p} rtt {rtt:?}: {share}");
        }
    }
}

/// RFC 5348 §1: reasonably fair: within a factor of two of a TCP-like flow.
#[test]
fn both_ccids_share_a_bottleneck() {
    // Four megabits a second, a queue of half as much again as is under way.
    let mut pair = Pair::with(
        Wire {
            delay: Duration::from_millis(20),
            byte: Duration::from_micros(2),
            queue: 30_000,
            ..Wire::default()
        },
        Config::default(),
        3,
    );
    pair.record = false;
    let two = pair.connection_with(&by_ccid(2), &by_ccid(2));
    pair.port = 81;
    let three = pair.connection_with(&by_ccid(3), &by_ccid(3));
    run(&mut pair, &[two, three], Duration::from_secs(30));
    let got = run(&mut pair, &[two, three], Duration::from_secs(120));
    let [two, three] = [got[0] as f64, got[1] as f64];
    println!("CCID 2 {two}, CCID 3 {three}");
    assert!((0.5..2.0).contains(&(two / three)), "{two} {three}");
    // Nothing is left over: 60 MB with their headers.
    assert!(two + three > 45e6, "{two} {three}");
}

/// Each direction has a CCID of its own.
#[test]
fn half_connections_differ() {
    let mut pair = Pair::new(Wire::default());
    let list = |list: &[u8]| OptionValue::Bytes(list.to_vec());
    let (a, b) = pair.connection_with(
        &[
            (SocketOption::DccpTxCcid, list(&[3])),
            (SocketOption::DccpRxCcid, list(&[2, 3])),
        ],
        &[
            (SocketOption::DccpTxCcid, list(&[2])),
            (SocketOption::DccpRxCcid, list(&[2, 3])),
        ],
    );
    pair.run_for(Duration::from_secs(1));
    let (dccp, cx) = pair.host(A);
    assert_eq!(dccp.info(&cx, a).unwrap().ccids, (3, 2));
    let (dccp, cx) = pair.host(B);
    assert_eq!(dccp.info(&cx, b).unwrap().ccids, (2, 3));
    let got = run(&mut pair, &[(a, b)], Duration::from_secs(2));
    assert!(got[0] > 100_000);
}

/// DCCP_SOCKOPT_CCID_TX_INFO and _RX_INFO, as linux/tfrc.h lays them out; CCID 2 has none.
#[test]
fn the_figures_of_ccid_3() {
    let wire = Wire {
        delay: Duration::from_millis(50),
        ..Wire::default()
    };
    let mut pair = Pair::with(wire, Config::default(), 7);
    pair.record = false;
    let flow = pair.connection_with(&by_ccid(3), &by_ccid(3));
    pair.wire.loss = 10;
    run(&mut pair, &[flow], Duration::from_secs(30));
    let bytes = |pair: &mut Pair, n, id, option| {
        let (dccp, mut cx) = pair.host(n);
        match dccp.option(&mut cx, id, option)? {
            OptionValue::Bytes(bytes) => Ok(bytes),
            other => panic!("{other:?}"),
        }
    };
    let word = |bytes: &[u8]| f64::from(u32::from_ne_bytes(bytes.try_into().unwrap()));
    let wide = |bytes: &[u8]| u64::from_ne_bytes(bytes.try_into().unwrap()) as f64;
    let near = |a: f64, b: f64, by: f64| assert!((a / b - 1.0).abs() < by, "{a} {b}");
    let tx = bytes(&mut pair, A, flow.0, SocketOption::DccpTxInfo).unwrap();
    assert_eq!(tx.len(), 40);
    let (dccp, cx) = pair.host(A);
    let (rate, p) = dccp.info(&cx, flow.0).unwrap().rate.unwrap();
    near(wide(&tx[..8]) / 64.0, rate, 0.01);
    // X_recv is what arrives, about a hundredth less than what is sent.
    near(wide(&tx[8..16]) / 64.0, rate, 0.3);
    near(word(&tx[20..24]), 100_000.0, 0.05);
    near(word(&tx[24..28]) / 1e6, p, 0.01);
    let rtt = Duration::from_micros(word(&tx[20..24]) as u64);
    near(
        word(&tx[16..20]),
        tfrc::throughput(SIZE as f64, rtt, p),
        0.01,
    );
    near(word(&tx[28..32]), 400_000.0, 0.05);
    near(word(&tx[32..36]), SIZE as f64 / rate * 1e6, 0.01);
    let rx = bytes(&mut pair, B, flow.1, SocketOption::DccpRxInfo).unwrap();
    assert_eq!(rx.len(), 12);
    near(word(&rx[..4]), wide(&tx[8..16]) / 64.0, 0.3);
    near(word(&rx[4..8]), 100_000.0, 0.1);
    near(word(&rx[8..]) / 1e6, p, 0.3);
    // Linux: ENOPROTOOPT of all other CCIDs, and where there is no connection.
    let mut pair = Pair::new(Wire::default());
    let two = pair.connection_with(&by_ccid(2), &by_ccid(2));
    let fresh = pair.socket(A, &by_ccid(3));
    for id in [two.0, fresh] {
        for option in [SocketOption::DccpTxInfo, SocketOption::DccpRxInfo] {
            assert_eq!(
                bytes(&mut pair, A, id, option),
                Err(Error::NoProtocolOption)
            );
        }
    }
}

/// RFC 4340 §11.5-1, RFC 4342 §6.3-1 and §6.3-2: where Ack Vectors were agreed on they are sent by CCID 3, too, and about
/// once for each round trip it is told that they have come; where they were not, nothing of this is done.
#[test]
fn ack_vectors_beside_feedback() {
    let list = |option, list: &[u8]| [(option, OptionValue::Bytes(list.to_vec()))];
    for (ccids, vectors) in [(&[3, 2][..], true), (&[3][..], false)] {
        // Four megabits a second.
        let wire = Wire {
            byte: Duration::from_micros(2),
            queue: 30_000,
            ..Wire::default()
        };
        let mut pair = Pair::new(wire);
        let client = list(SocketOption::DccpTxCcid, ccids);
        let flow = pair.connection_with(&client, &list(SocketOption::DccpRxCcid, ccids));
        run(&mut pair, &[flow], Duration::from_secs(1));
        pair.log.clear();
        let time = Duration::from_secs(2);
        run(&mut pair, &[flow], time);
        let (dccp, cx) = pair.host(A);
        let info = dccp.info(&cx, flow.0).unwrap();
        assert_eq!(info.ccids.0, 3);
        let told = pair.count_options(|meaning| matches!(meaning, Meaning::AckVector { .. }));
        let packets = pair.log.iter();
        let spared = packets.filter(|(from, header, _, _)| {
            *from == A && header.kind.packet_type() == PacketType::DataAck
        });
        let spared = spared.count();
        let round_trips = (time.as_nanos() / info.rtt.as_nanos()) as usize;
        assert_eq!(told > 20, vectors, "{told}");
        let often = round_trips / 2..=round_trips * 2;
        assert_eq!(often.contains(&spared), vectors, "{spared} {round_trips}");
        let Some(Socket::Connection(conn)) = pair.hosts[B].dccp.sockets.get(flow.1) else {
            panic!("it stands");
        };
        let packets = 4 * pair.log.len() / round_trips;
        assert!(!vectors || conn.history.window() < packets, "{packets}");
    }
}

/// RFC 4342 §6.3-1, RFC 4340 §11.7: what CCID 3's receiver dropped is told until that has come, and no longer.
#[test]
fn dropped_data_is_not_told_for_ever() {
    let small = [
        (SocketOption::DccpCcid, OptionValue::Bytes(vec![3])),
        (SocketOption::ReceiveBuffer, OptionValue::Int(4096)),
    ];
    let mut pair = Pair::new(Wire::default());
    let (a, b) = pair.connection_with(&by_ccid(3), &small);
    let dropped =
        |pair: &Pair| pair.count_options(|meaning| matches!(meaning, Meaning::DataDropped(_)));
    let send = |pair: &mut Pair, reads: bool| {
        pair.log.clear();
        for _ in 0..50 {
            let _ = pair.send(A, a, &[7; SIZE]);
            pair.run_for(Duration::from_millis(20));
            while reads && pair.recv(B, b).is_ok() {}
        }
    };
    send(&mut pair, false);
    assert!(dropped(&pair) > 3);
    send(&mut pair, true);
    send(&mut pair, true);
    assert_eq!(dropped(&pair), 0);
}
