//! What each event counts, and that it counts nothing else.

use super::pair::A;
use super::stage::{Stage, ack, peer, text};
use core::time::Duration;
use sockeye_core::{Config, Counters, OptionValue, SocketOption};
use sockeye_wire::tcp::Flags;
use sockeye_wire::tcp_options::{Options, Timestamps};

/// What TCP has counted since the last time.
struct Seen(Counters);

impl Seen {
    fn new(s: &Stage) -> Self {
        Self(s.pair.hosts[A].parts.counters.clone())
    }

    fn moved(&mut self, s: &mut Stage) -> String {
        s.sent();
        let now = s.pair.hosts[A].parts.counters.clone();
        let moved: Vec<String> = now
            .iter()
            .filter(|(counter, _)| counter.name().starts_with("Tcp"))
            .map(|(counter, n)| (counter, n - self.0.get(counter)))
            .filter(|(_, n)| *n > 0)
            .map(|(counter, n)| format!("{} {n}", counter.name()))
            .collect();
        self.0 = now;
        moved.join(", ")
    }
}

fn close(s: &mut Stage) {
    s.pair.close(A, s.id);
}

/// A connection to a peer with SACK, 50 ms away.
fn distant(timestamps: Option<Timestamps>) -> Stage {
    let mut s = Stage::new(Config::default());
    s.connect();
    let (syn, _) = s.headers()[0];
    s.iss = syn.seq;
    s.wait(50);
    let ours = syn.options.timestamps.map_or(0, |ts| ts.tsval);
    s.tsval = timestamps.map(|ts| ts.tsval);
    let mut answer = peer(Flags::SYN | Flags::ACK, 0, 1);
    answer.options = Options {
        mss: Some(1000),
        sack_permitted: true,
        timestamps: timestamps.map(|ts| Timestamps { tsecr: ours, ..ts }),
        ..Options::default()
    };
    s.arrives(answer);
    s.sent();
    s
}

#[test]
fn opening_by_us() {
    let mut s = Stage::new(Config::default());
    let mut seen = Seen::new(&s);
    s.connect();
    assert_eq!(seen.moved(&mut s), "TcpActiveOpens 1, TcpOutSegs 1");
    s.arrives(peer(Flags::SYN | Flags::ACK, 0, 1));
    assert_eq!(seen.moved(&mut s), "TcpInSegs 1, TcpOutSegs 1");
    // Another is refused.
    let mut s = Stage::new(Config::default());
    s.connect();
    let mut seen = Seen::new(&s);
    s.sent();
    s.arrives(peer(Flags::RST | Flags::ACK, 0, 1));
    assert_eq!(
        seen.moved(&mut s),
        "TcpAttemptFails 1, TcpInSegs 1, TcpOutSegs 1"
    );
}

#[test]
fn an_answer_that_echoes_nothing_of_ours() {
    let mut s = Stage::new(Config::default());
    s.connect();
    s.sent();
    let mut seen = Seen::new(&s);
    let mut answer = peer(Flags::SYN | Flags::ACK, 0, 1);
    answer.options.timestamps = Some(Timestamps {
        tsval: 1,
        tsecr: 77,
    });
    s.arrives(answer);
    assert_eq!(
        seen.moved(&mut s),
        "TcpInSegs 1, TcpOutSegs 1, TcpOutRsts 1, TcpExtPAWSActive 1"
    );
}

fn listener() -> Stage {
    let mut s = Stage::new(Config::default());
    let id = s.id;
    let (tcp, mut cx) = s.host();
    tcp.listen(&mut cx, id, 5).unwrap();
    s
}

#[test]
fn opening_by_the_peer() {
    let mut s = listener();
    let mut seen = Seen::new(&s);
    s.arrives(peer(Flags::SYN, 0, 0));
    assert_eq!(seen.moved(&mut s), "TcpInSegs 1, TcpOutSegs 1");
    s.wait(1000);
    assert_eq!(
        seen.moved(&mut s),
        "TcpOutSegs 1, TcpRetransSegs 1, TcpExtTCPTimeouts 1"
    );
    s.arrives(ack(1, 1));
    assert_eq!(seen.moved(&mut s), "TcpPassiveOpens 1, TcpInSegs 1");
    // Another takes its SYN back.
    let mut s = listener();
    s.arrives(peer(Flags::SYN, 0, 0));
    s.sent();
    let mut seen = Seen::new(&s);
    s.arrives(peer(Flags::RST, 1, 0));
    assert_eq!(
        seen.moved(&mut s),
        "TcpAttemptFails 1, TcpInSegs 1, TcpExtEmbryonicRsts 1"
    );
}

#[test]
fn resets_that_we_send() {
    let mut s = Stage::plain();
    s.arrives(text(1, 1, 10));
    s.sent();
    let mut seen = Seen::new(&s);
    close(&mut s);
    assert_eq!(
        seen.moved(&mut s),
        "TcpEstabResets 1, TcpOutSegs 1, TcpOutRsts 1, TcpExtTCPAbortOnClose 1"
    );
    let mut s = Stage::plain();
    let now = OptionValue::Time(Some(Duration::ZERO));
    s.set(SocketOption::Linger, now);
    let mut seen = Seen::new(&s);
    close(&mut s);
    assert_eq!(
        seen.moved(&mut s),
        "TcpEstabResets 1, TcpOutSegs 1, TcpOutRsts 1, TcpExtTCPAbortOnData 1"
    );
    let mut s = Stage::plain();
    s.set(SocketOption::Linger2, OptionValue::Time(None));
    close(&mut s);
    s.sent();
    let mut seen = Seen::new(&s);
    s.arrives(ack(1, 2));
    assert_eq!(
        seen.moved(&mut s),
        "TcpInSegs 1, TcpOutSegs 1, TcpOutRsts 1, TcpExtTCPAbortOnLinger 1"
    );
}

#[test]
fn resets_that_arrive() {
    let mut s = Stage::plain();
    let mut seen = Seen::new(&s);
    s.arrives(peer(Flags::RST, 1, 0));
    assert_eq!(seen.moved(&mut s), "TcpEstabResets 1, TcpInSegs 1");
    close(&mut s);
    assert_eq!(seen.moved(&mut s), "");
    let mut s = Stage::plain();
    s.arrives(peer(Flags::FIN | Flags::ACK, 1, 1));
    s.sent();
    let mut seen = Seen::new(&s);
    s.arrives(peer(Flags::RST, 2, 0));
    assert_eq!(seen.moved(&mut s), "TcpEstabResets 1, TcpInSegs 1");
}

#[test]
fn a_regular_end() {
    let mut s = Stage::plain();
    let mut seen = Seen::new(&s);
    close(&mut s);
    s.sent();
    s.arrives(peer(Flags::FIN | Flags::ACK, 1, 2));
    assert_eq!(seen.moved(&mut s), "TcpInSegs 1, TcpOutSegs 2");
    assert_eq!(s.state(), "TIME-WAIT");
    s.wait(60_000);
    assert_eq!(seen.moved(&mut s), "TcpExtTW 1");
    assert_eq!(s.state(), "gone");
}

#[test]
fn timers() {
    let mut s = Stage::plain();
    s.set(SocketOption::QuickAck, OptionValue::Flag(false));
    let mut seen = Seen::new(&s);
    s.arrives(text(1, 1, 10));
    assert_eq!(seen.moved(&mut s), "TcpInSegs 1");
    s.wait(40);
    assert_eq!(seen.moved(&mut s), "TcpOutSegs 1, TcpExtDelayedACKs 1");

    let mut s = Stage::plain();
    s.window = 0;
    s.arrives(ack(1, 1));
    s.write(10).unwrap();
    s.sent();
    let mut seen = Seen::new(&s);
    s.wait(300);
    assert_eq!(seen.moved(&mut s), "TcpOutSegs 1, TcpExtTCPWinProbe 1");

    let mut s = Stage::plain();
    s.set(SocketOption::KeepAlive, OptionValue::Flag(true));
    let second = OptionValue::Time(Some(Duration::from_secs(1)));
    s.set(SocketOption::KeepIdle, second.clone());
    s.set(SocketOption::KeepInterval, second);
    s.set(SocketOption::KeepCount, OptionValue::Int(1));
    let mut seen = Seen::new(&s);
    s.wait(1500);
    assert_eq!(seen.moved(&mut s), "TcpOutSegs 1, TcpExtTCPKeepAlive 1");
    s.wait(1000);
    assert_eq!(
        seen.moved(&mut s),
        "TcpEstabResets 1, TcpOutSegs 1, TcpOutRsts 1, TcpExtTCPAbortOnTimeout 1"
    );
}

#[test]
fn a_loss_that_duplicates_tell() {
    let mut s = Stage::plain();
    s.write(5000).unwrap();
    s.sent();
    let mut seen = Seen::new(&s);
    s.wait(10);
    for _ in 0..3 {
        s.arrives(ack(1, 1));
    }
    assert_eq!(
        seen.moved(&mut s),
        "TcpInSegs 3, TcpOutSegs 1, TcpRetransSegs 1, TcpExtTCPFastRetrans 1, \
         TcpExtTCPRenoRecovery 1"
    );
}

#[test]
fn a_loss_that_blocks_tell() {
    let mut s = distant(None);
    let iss = s.iss;
    s.write(4000).unwrap();
    s.sent();
    let mut seen = Seen::new(&s);
    s.wait(50);
    s.arrives(ack(1, 1).sack(iss, &[(1001, 4001)]));
    assert_eq!(
        seen.moved(&mut s),
        "TcpInSegs 1, TcpOutSegs 1, TcpRetransSegs 1, TcpExtTCPFastRetrans 1, \
         TcpExtTCPSackRecovery 1"
    );
    // It arrives twice, and the peer says so: the recovery was for nothing.
    s.wait(50);
    s.arrives(ack(1, 4001).sack(iss, &[(1, 1001)]));
    assert_eq!(
        seen.moved(&mut s),
        "TcpInSegs 1, TcpExtTCPFullUndo 1, TcpExtTCPDSACKRecv 1"
    );
    // Another copy, of which the peer tells only when there is nothing to undo any more.
    s.write(1000).unwrap();
    s.wait(300);
    assert_eq!(
        seen.moved(&mut s),
        "TcpOutSegs 2, TcpRetransSegs 1, TcpExtTCPLossProbes 1"
    );
    s.arrives(ack(1, 5001));
    s.arrives(ack(1, 5001).sack(iss, &[(1, 1001)]));
    assert_eq!(
        seen.moved(&mut s),
        "TcpInSegs 2, TcpExtTCPDSACKRecv 1, TcpExtTCPDSACKIgnoredNoUndo 1"
    );
}

#[test]
fn segments_after_a_time_out() {
    let mut s = Stage::plain();
    s.write(5000).unwrap();
    s.sent();
    let mut seen = Seen::new(&s);
    s.wait(250);
    assert_eq!(
        seen.moved(&mut s),
        "TcpOutSegs 1, TcpRetransSegs 1, TcpExtTCPTimeouts 1, TcpExtTCPSlowStartRetrans 1"
    );
}

/// RFC 2883 §5, Linux: what is told twice and can't be of our making.
#[test]
fn blocks_that_are_not_believed() {
    let mut s = distant(None);
    let iss = s.iss;
    s.write(6000).unwrap();
    s.sent();
    let mut seen = Seen::new(&s);
    // Never sent.
    s.arrives(ack(1, 1001).sack(iss, &[(9001, 9500)]));
    assert_eq!(seen.moved(&mut s), "TcpInSegs 1, TcpExtTCPSACKDiscard 1");
    // Nothing was sent twice: the network doubles packets.
    s.arrives(ack(1, 1001).sack(iss, &[(1, 1001)]));
    assert_eq!(
        seen.moved(&mut s),
        "TcpInSegs 1, TcpExtTCPDSACKRecv 1, TcpExtTCPDSACKIgnoredDubious 1, \
         TcpExtTCPSACKDiscard 1"
    );
    // In a recovery: above the acknowledgment, and older than the recovery.
    let mut s = distant(None);
    let iss = s.iss;
    s.write(9000).unwrap();
    s.sent();
    s.wait(50);
    s.arrives(ack(1, 1001));
    s.arrives(ack(1, 1001).sack(iss, &[(3001, 9001)]));
    s.sent();
    let mut seen = Seen::new(&s);
    s.arrives(ack(1, 1001).sack(iss, &[(3001, 4001), (3001, 9001)]));
    assert_eq!(seen.moved(&mut s), "TcpInSegs 1, TcpExtTCPDSACKOfoRecv 1");
    s.arrives(ack(1, 1001).sack(iss, &[(1, 1001)]));
    assert_eq!(
        seen.moved(&mut s),
        "TcpInSegs 1, TcpExtTCPDSACKRecv 1, TcpExtTCPDSACKIgnoredOld 1"
    );
}

#[test]
fn reordering_that_blocks_tell() {
    let mut s = distant(None);
    let iss = s.iss;
    s.write(4000).unwrap();
    s.sent();
    let mut seen = Seen::new(&s);
    s.wait(50);
    s.arrives(ack(1, 1).sack(iss, &[(2001, 3001)]));
    assert_eq!(seen.moved(&mut s), "TcpInSegs 1");
    s.arrives(ack(1, 3001));
    assert_eq!(seen.moved(&mut s), "TcpInSegs 1, TcpExtTCPSACKReorder 1");
}

#[test]
fn reordering_that_timestamps_tell() {
    let mut s = distant(Some(Timestamps { tsval: 1, tsecr: 0 }));
    let iss = s.iss;
    s.write(5 * 988).unwrap();
    let original = s.headers()[0].0.options.timestamps.unwrap().tsval;
    let echoes = |mut segment: super::stage::Peer| {
        segment.options.timestamps = Some(Timestamps {
            tsval: 1,
            tsecr: original,
        });
        segment
    };
    let mut seen = Seen::new(&s);
    s.wait(50);
    s.arrives(echoes(ack(1, 1).sack(iss, &[(2 * 988 + 1, 5 * 988 + 1)])));
    assert_eq!(
        seen.moved(&mut s),
        "TcpInSegs 1, TcpOutSegs 2, TcpRetransSegs 2, TcpExtTCPFastRetrans 2, \
         TcpExtTCPSackRecovery 1"
    );
    s.wait(5);
    // Segment one was late, not lost.
    s.arrives(echoes(ack(1, 989).sack(iss, &[(2 * 988 + 1, 5 * 988 + 1)])));
    assert_eq!(seen.moved(&mut s), "TcpInSegs 1, TcpExtTCPTSReorder 1");
}
