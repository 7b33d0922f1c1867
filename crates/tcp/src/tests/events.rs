//! What an observer is told of a connection: one event per change of state, retransmission, phase of
//! loss recovery, sample of the round trip and change of the window.

use super::pair::{A, B, Pair, Wire};
use core::time::Duration;
use sockeye_core::{Config, Event, Instant, Observer};
use std::sync::mpsc::{Sender, channel};

const MSS: u64 = 1460;

struct Tell(Sender<Event>);

impl Observer for Tell {
    fn on_event(&mut self, _: Instant, event: &Event) {
        self.0.send(event.clone()).unwrap();
    }
}

/// Numbers of the stream count from its first byte on, windows are in segments.
fn line(event: &Event, iss: u32) -> String {
    match event {
        Event::State { from, to, .. } => format!("{from} -> {to}\n"),
        Event::Recovery { from, to, .. } => format!("recovery {from} -> {to}\n"),
        Event::Retransmitted { seq, len, .. } => format!("again {}+{len}\n", seq.wrapping_sub(iss)),
        Event::Window { cwnd, .. } => format!("window {}\n", cwnd / MSS),
        Event::RoundTrip { rtt, .. } => format!("rtt {}\n", rtt.as_millis()),
        Event::TimedOut { rto, .. } => format!("time-out, now {}\n", rto.as_millis()),
        other => format!("{other:?}\n"),
    }
}

/// A sends ten segments of which the wire loses those whose number `lose` says, and closes; B then too.
fn trace(lose: impl Fn(usize) -> bool + 'static) -> String {
    let mut pair = Pair::with(
        Wire::default(),
        Config {
            tcp_congestion: "reno".into(),
            tcp_timestamps: false,
            ..Config::default()
        },
        4,
    );
    let (tell, told) = channel();
    pair.hosts[A].parts.observer = Box::new(Tell(tell));
    let (a, b) = pair.connection();
    let iss = pair.log[0].1.seq.0;
    let mut count = 0;
    pair.lose = Box::new(move |from, _, text| {
        let counts = from == A && text > 0;
        count += usize::from(counts);
        counts && lose(count)
    });
    pair.send(A, a, &[7; 10 * MSS as usize]).unwrap();
    pair.run_for(Duration::from_secs(2));
    pair.close(A, a);
    pair.run_for(Duration::from_millis(100));
    assert_eq!(pair.recv(B, b).unwrap().len(), 10 * MSS as usize);
    pair.close(B, b);
    pair.run_dry();
    told.try_iter().map(|event| line(&event, iss)).collect()
}

const CLOSING: &str = "ESTABLISHED -> FIN-WAIT-1\nrtt 20\nFIN-WAIT-1 -> FIN-WAIT-2\n\
                       FIN-WAIT-2 -> TIME-WAIT\nTIME-WAIT -> CLOSED\n";

#[test]
fn a_lost_segment_is_told_in_order() {
    let expected = "CLOSED -> SYN-SENT\nrtt 20\nSYN-SENT -> ESTABLISHED\n\
                    rtt 20\nwindow 10\n\
                    recovery Open -> Recovery\nwindow 5\nagain 2921+1460\nrecovery Recovery -> Open\n";
    assert_eq!(trace(|n| n == 3), format!("{expected}{CLOSING}"));
}

/// The last segment and the probe for it are lost.
#[test]
fn a_time_out_is_told_in_order() {
    let expected = "CLOSED -> SYN-SENT\nrtt 20\nSYN-SENT -> ESTABLISHED\n\
                    rtt 20\nwindow 19\nagain 13141+1460\n\
                    time-out, now 440\nrecovery Open -> Loss\nwindow 1\nagain 13141+1460\n\
                    recovery Loss -> Open\nwindow 2\n";
    assert_eq!(
        trace(|n| n == 10 || n == 11),
        format!("{expected}{CLOSING}")
    );
}
