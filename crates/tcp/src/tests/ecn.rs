//! Marks on the wire, and what the sender learns of them.

use super::pair::{A, Pair, Wire};
use crate::Info;
use sockeye_core::Config;

/// A megabyte from A to B over a wire that marks a twentieth and loses nothing: A's figures, and how many
/// bytes arrived marked.
fn marked_transfer(tcp_ecn: u8, congestion: &str) -> (Info, u64) {
    let wire = Wire {
        mark: 50,
        ..Wire::default()
    };
    let config = Config {
        tcp_ecn,
        tcp_congestion: congestion.into(),
        ..Config::default()
    };
    let mut pair = Pair::with(wire, config, 3);
    let (a, b) = pair.connection();
    let data = vec![7; 1 << 20];
    assert!(pair.transfer(A, [a, b], &data) == data);
    pair.run_until(|pair| pair.hosts[A].tcp.info(pair.now, a).unwrap().unacked == 0);
    let info = pair.hosts[A].tcp.info(pair.now, a).unwrap();
    (info, pair.marked[A])
}

/// RFC 9768 §3.2: each byte that arrived marked is told, whatever the controller makes of it.
#[test]
fn accurate_feedback_tells_each_marked_byte() {
    for congestion in ["reno", "cubic", "bbr", "dctcp"] {
        let (info, marked) = marked_transfer(3, congestion);
        assert!(info.accurate_ecn.is_some() && marked > 0);
        assert_eq!(info.delivered_ce, marked, "{congestion}");
    }
}

/// RFC 8257 §3.2: where each mark is echoed as it came, the part of the bytes that was marked is known
/// but for what an acknowledgment puts together.
#[test]
fn a_scalable_receiver_tells_the_extent() {
    let (info, marked) = marked_transfer(1, "dctcp");
    assert!(info.ecn && info.accurate_ecn.is_none());
    let told = info.delivered_ce;
    assert!(told.abs_diff(marked) <= marked / 4, "{told} of {marked}");
}

/// RFC 3168 §6.1.5, RFC 9768 §3.1.5: who does not speak ECN sends nothing that can be marked.
#[test]
fn without_ecn_nothing_is_marked() {
    for tcp_ecn in [0, 2, 5] {
        let (info, marked) = marked_transfer(tcp_ecn, "cubic");
        assert!(!info.ecn && info.accurate_ecn.is_none());
        assert_eq!((info.delivered_ce, marked), (0, 0));
    }
}
