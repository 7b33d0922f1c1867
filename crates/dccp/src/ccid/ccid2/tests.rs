//! A sender, told by hand what has arrived.

use super::*;
use sockeye_wire::dccp::options::run;

const MS: Duration = Duration::from_millis(1);

struct Flow {
    sender: Ccid2,
    now: Instant,
    next: u64,
}

impl Flow {
    fn new() -> Self {
        let now = Instant::from_millis(1000);
        Self {
            sender: Ccid2::new(1400, now),
            now,
            next: 100,
        }
    }

    /// Sends as much as may leave; the last number.
    fn fill(&mut self) -> u64 {
        while self.sender.when() == When::Now {
            self.sender.departed(&Departed {
                seq: Seq::new(self.next),
                at: self.now,
                data: true,
                size: 1400,
                last: false,
            });
            self.next += 1;
        }
        self.next - 1
    }

    fn report(&mut self, ack: u64, vector: &[u8], dropped: &[u8]) {
        self.now += 100 * MS;
        self.sender.reported(&Report {
            now: self.now,
            ack: Seq::new(ack),
            vector,
            dropped,
            elapsed: None,
            slow_receiver: false,
            feedback: &crate::ccid::ccid3_receiver::Feedback::default(),
        });
    }
}

/// RFC 4341 §5: three packets of 1,400 bytes by RFC 3390, then one for every two acknowledged.
/// RFC 4341 §5-1: no more than the window.
#[test]
fn slow_start_takes_one_packet_for_two() {
    let mut flow = Flow::new();
    assert_eq!(flow.fill(), 102);
    flow.report(102, &[run(0, 3)], &[]);
    assert_eq!((flow.sender.cwnd(), flow.sender.pipe()), (4, 0));
    assert_eq!(flow.sender.rtt.srtt(), Some(100 * MS));
    flow.fill();
    flow.report(104, &[run(0, 2)], &[]);
    flow.report(106, &[run(0, 2)], &[]);
    assert_eq!(flow.sender.cwnd(), 6);
}

/// RFC 4341 §5.1: after a pause it starts again, after a long one from the initial window.
#[test]
fn a_pause_takes_the_window_back() {
    for (pause, halved) in [(1, 0), (2, 1), (3, 2), (100, 63)] {
        let mut flow = grown();
        let (cwnd, rto) = (flow.sender.cwnd(), flow.sender.rtt.rto());
        flow.sender.last_data = flow.now;
        flow.now += rto * pause - MS;
        flow.fill();
        assert_eq!(flow.sender.cwnd(), (cwnd >> halved).max(3), "{pause}");
    }
}

/// RFC 4341 §5.1, RFC 2861: what was not used does not grow, though it was once.
#[test]
fn a_window_that_is_not_used_does_not_grow() {
    let mut flow = grown();
    let cwnd = flow.sender.cwnd();
    let alone = |flow: &mut Flow| {
        let seq = flow.next;
        flow.sender.departed(&Departed {
            seq: Seq::new(seq),
            at: flow.now,
            data: true,
            size: 1400,
            last: true,
        });
        flow.next += 1;
        flow.report(seq, &[run(0, 1)], &[]);
    };
    (0..50).for_each(|_| alone(&mut flow));
    assert!(flow.sender.cwnd() <= cwnd + 1, "{}", flow.sender.cwnd());
}

fn grown() -> Flow {
    let mut flow = Flow::new();
    while flow.sender.cwnd() < 16 {
        let last = flow.fill();
        let packets = u8::try_from(flow.sender.pipe()).unwrap();
        flow.report(last, &[run(0, packets)], &[]);
    }
    flow
}

/// RFC 4341 §5: NUMDUPACK, and one event for a window.
/// RFC 4341 §5-2, §5-3 and §5-4: what was acknowledged or lost is so once.
/// RFC 4340 §11.4.1-1: what is not remembered counts for nothing.
#[test]
fn losses_halve_the_window_once() {
    let mut flow = grown();
    let cwnd = flow.sender.cwnd();
    let first = flow.next;
    flow.fill();
    // Two are missing, two came behind them: not lost yet.
    flow.report(first + 3, &[run(0, 2), run(3, 2)], &[]);
    assert_eq!(flow.sender.pipe(), cwnd - 2);
    let pipe = flow.sender.pipe();
    let cwnd = flow.sender.cwnd();
    flow.report(first + 4, &[run(0, 3), run(3, 2)], &[]);
    assert_eq!(flow.sender.pipe(), pipe - 3);
    assert_eq!(flow.sender.cwnd(), cwnd / 2);
    // One more of the same window.
    flow.report(
        first + 9,
        &[run(0, 4), run(3, 1), run(0, 3), run(3, 2)],
        &[],
    );
    assert_eq!(flow.sender.cwnd(), cwnd / 2);
    // What was thought lost arrives: pipe stays as it is.
    let pipe = flow.sender.pipe();
    flow.report(first + 9, &[run(0, 10)], &[]);
    assert_eq!(flow.sender.pipe(), pipe);
}

/// RFC 4341 §5: what was sent before the loss was detected is part of one event, though packets of the
/// next window show it.
#[test]
fn the_last_packets_of_a_window_halve_it_once() {
    let mut flow = grown();
    let cwnd = flow.sender.cwnd();
    let first = flow.next;
    flow.fill();
    // The first of the window is lost, and its last.
    let last = first + cwnd - 1;
    let between = u8::try_from(cwnd - 2).unwrap();
    flow.report(last - 1, &[run(0, between), run(3, 1)], &[]);
    assert_eq!(flow.sender.cwnd(), cwnd / 2);
    flow.fill();
    flow.report(last + 3, &[run(0, 3), run(3, 1), run(0, 5)], &[]);
    assert_eq!(flow.sender.cwnd(), cwnd / 2);
    // One of the next window is another event.
    let cwnd = flow.sender.cwnd();
    let first = flow.next;
    flow.fill();
    flow.report(first + 3, &[run(0, 3), run(3, 1)], &[]);
    assert_eq!(flow.sender.cwnd(), cwnd / 2);
}

#[test]
fn a_mark_halves_the_window() {
    let mut flow = grown();
    let cwnd = flow.sender.cwnd();
    let last = flow.fill();
    flow.report(last, &[run(1, 1), run(0, 15)], &[]);
    assert_eq!(flow.sender.cwnd(), cwnd / 2);
}

/// RFC 4341 §5.2.
/// RFC 4341 §5.2-1: slow start ends.
/// RFC 4340 §11.7-1, §11.7-2, §11.7.1-1, §11.7.1-2 and §11.7.2-1: the smaller window.
#[test]
fn a_full_receiver_takes_one_packet_each_and_ends_slow_start() {
    let mut flow = grown();
    let cwnd = flow.sender.cwnd();
    let last = flow.fill();
    flow.report(
        last,
        &[run(0, u8::try_from(cwnd).unwrap())],
        &[sockeye_wire::dccp::options::block(Some(2), 3)],
    );
    assert_eq!(flow.sender.cwnd(), cwnd - 3);
    assert!(flow.sender.control.ssthresh() <= flow.sender.cwnd());
    // Nor does the window grow in congestion avoidance, and one packet is left.
    for _ in 0..3 {
        let last = flow.fill();
        let all = sockeye_wire::dccp::options::block(Some(2), 8);
        flow.report(last, &[run(0, 8)], &[all]);
    }
    assert_eq!(flow.sender.cwnd(), 1);
}

/// RFC 4341 §5: rounded down, cwnd to one and ssthresh to two at the least.
#[test]
fn a_small_window_comes_down_to_one() {
    let mut flow = Flow::new();
    assert_eq!((flow.fill(), flow.sender.cwnd()), (102, 3));
    flow.report(102, &[run(1, 1), run(0, 2)], &[]);
    let window = |flow: &Flow| (flow.sender.cwnd(), flow.sender.control.ssthresh());
    assert_eq!(window(&flow), (1, 2));
    assert_eq!(flow.fill(), 103);
    flow.report(103, &[run(1, 1)], &[]);
    assert_eq!(window(&flow), (1, 2));
    // Slow start, as far as ssthresh.
    for last in [104, 105] {
        assert_eq!(flow.fill(), last);
        flow.report(last, &[run(0, 1)], &[]);
    }
    assert_eq!(window(&flow), (2, 2));
}

/// RFC 4341 §5: pipe is zero, cwnd is one, ssthresh half of what it was.
#[test]
fn a_timeout_begins_with_one_packet() {
    let mut flow = grown();
    let cwnd = flow.sender.cwnd();
    flow.fill();
    let deadline = flow.sender.deadline();
    assert_ne!(deadline, Instant::FAR);
    flow.sender.timeout(deadline);
    assert_eq!((flow.sender.pipe(), flow.sender.cwnd()), (0, 1));
    assert_eq!(flow.sender.control.ssthresh(), cwnd / 2);
}

/// RFC 4341 §6.1.2.
#[test]
fn the_ack_ratio_follows_losses_of_acknowledgements() {
    let mut flow = grown();
    let later = |flow: &mut Flow, congested| {
        flow.now += 200 * MS;
        flow.sender.acks_congested(flow.now, congested);
        flow.sender.ack_ratio()
    };
    assert_eq!(later(&mut flow, true), 4);
    assert_eq!(later(&mut flow, true), 8);
    // No more than half of the window.
    let half = flow.sender.cwnd().div_ceil(2);
    assert_eq!(later(&mut flow, true), half);
    assert_eq!(later(&mut flow, false), half - 1);
}

/// RFC 4341 §6.1.2: one for a window of one or two packets, two for one of four.
#[test]
fn each_packet_of_a_small_window_is_acknowledged() {
    let mut flow = Flow::new();
    let later = |flow: &mut Flow| {
        flow.now += 200 * MS;
        flow.sender.acks_congested(flow.now, false);
        flow.sender.ack_ratio()
    };
    assert_eq!((flow.sender.cwnd(), later(&mut flow)), (3, 2));
    flow.fill();
    flow.report(102, &[run(1, 1), run(0, 2)], &[]);
    assert_eq!((flow.sender.cwnd(), later(&mut flow)), (1, 1));
    let mut ratios = Vec::new();
    while flow.sender.cwnd() < 4 {
        let last = flow.fill();
        let all = u8::try_from(flow.sender.pipe()).unwrap();
        flow.report(last, &[run(0, all)], &[]);
        ratios.push((flow.sender.cwnd(), later(&mut flow)));
    }
    ratios.dedup();
    assert_eq!(ratios, [(1, 1), (2, 1), (3, 1), (4, 2)]);
}

/// RFC 4341 §5-5: what carries no data is not in the pipe.
#[test]
fn acknowledgements_are_not_in_the_pipe() {
    let mut flow = Flow::new();
    flow.sender.departed(&Departed {
        seq: Seq::new(100),
        at: flow.now,
        data: false,
        size: 0,
        last: true,
    });
    assert_eq!(flow.sender.pipe(), 0);
    flow.report(100, &[run(0, 1)], &[]);
    assert_eq!(flow.sender.pipe(), 0);
}
