//! Traces of the search for the size of packets that a path takes (RFC 4821), and of what is believed of
//! ICMP errors (RFC 5927).

use super::pair::A;
use super::stage::{Stage, ack};
use crate::CaState;
use core::time::Duration;
use sockeye_core::transport::{IcmpError, IcmpErrorKind};
use sockeye_core::{Config, Counter, OptionValue, SocketOption, Transport};
use sockeye_wire::tcp_options::Options;

fn stage(tcp_mtu_probing: u8) -> Stage {
    stage_with(Config {
        tcp_mtu_probing,
        ..Config::default()
    })
}

fn stage_with(config: Config) -> Stage {
    let config = Config {
        tcp_congestion: "reno".into(),
        ..config
    };
    let options = Options {
        mss: Some(1460),
        sack_permitted: true,
        ..Options::default()
    };
    let mut stage = Stage::connected(config, options);
    stage.set(SocketOption::SendBuffer, OptionValue::Int(200_000));
    stage.window = 60_000;
    stage.arrives(ack(1, 1));
    stage
}

fn lens(s: &mut Stage) -> Vec<usize> {
    s.headers().iter().map(|(_, len)| *len).collect()
}

/// Everything written arrives, a round trip at a time. Returns the sizes of what was sent, and what is acknowledged
/// then.
fn drain(s: &mut Stage) -> (Vec<usize>, u32) {
    let (mut sizes, mut acked) = (Vec::new(), 0);
    loop {
        let out = s.headers();
        let Some((last, len)) = out.iter().rfind(|(_, len)| *len > 0) else {
            return (sizes, acked);
        };
        acked = s.iss.bytes_to(last.seq) + *len as u32;
        sizes.extend(out.iter().map(|(_, len)| *len));
        s.wait(5);
        s.arrives(ack(1, acked));
    }
}

/// Acknowledges all that was sent.
fn acknowledge_all(s: &mut Stage) {
    let socket = s.pair.hosts[A].tcp.sockets.get(s.id);
    let nxt = socket.and_then(|socket| socket.tcb()).unwrap().snd.nxt;
    s.arrives(ack(1, s.iss.bytes_to(nxt)));
}

fn count(s: &mut Stage, counter: Counter) -> u64 {
    s.host().1.counters.get(counter)
}

#[test]
fn it_begins_small_and_a_probe_that_arrives_makes_it_larger() {
    let mut s = stage(2);
    assert_eq!(s.info().snd_mss, 1024);
    s.write(60_000).unwrap();
    let (sizes, _) = drain(&mut s);
    // Halfway between 1064 and 1500 bytes of packet, and on from there.
    assert!(sizes.contains(&1242), "{sizes:?}");
    assert!(sizes.contains(&1351), "{sizes:?}");
    assert!(s.info().snd_mss >= 1351, "{}", s.info().snd_mss);
    assert!(count(&mut s, Counter::TcpExtTCPMTUPSuccess) >= 2);
}

#[test]
fn a_probe_that_is_lost_costs_no_window() {
    let mut s = stage(2);
    // As much as the window, so that it grows, and too little for a probe.
    s.write(10_240).unwrap();
    let (_, acked) = drain(&mut s);
    s.write(15_000).unwrap();
    let out = s.headers();
    let (probe, len) = out.iter().find(|(_, len)| *len == 1242).unwrap();
    let at = s.iss.bytes_to(probe.seq);
    let cwnd = s.info().cwnd;
    // Everything before it arrives, and three segments behind it are reported.
    assert_eq!(at, acked, "the probe goes first");
    let behind = at + *len as u32;
    s.wait(5);
    for n in 1..=3 {
        let report = ack(1, at).sack(s.iss, &[(behind, behind + n * 1024)]);
        s.arrives(report);
    }
    let again = s.sent();
    assert!(
        again
            .iter()
            .any(|line| line.contains(&format!("{at}:{}", at + 1024))),
        "{again:?}"
    );
    let info = s.info();
    assert_eq!((info.ca_state, info.ssthresh), (CaState::Loss, u64::MAX));
    assert!(info.cwnd >= cwnd);
    assert_eq!(info.snd_mss, 1024);
    assert_eq!(count(&mut s, Counter::TcpExtTCPMTUPFail), 1);
}

/// Writes what a probe needs until one leaves, a round trip of 5 ms at a time; says after how many
/// milliseconds it did and what size it has.
fn until_probe(s: &mut Stage) -> (u64, usize) {
    let (began, before) = (s.now(), count(s, Counter::TcpExtTCPMTUPProbes));
    for _ in 0..20_000 {
        s.write(15_000).unwrap();
        let out = s.headers();
        if count(s, Counter::TcpExtTCPMTUPProbes) > before {
            // It goes before everything else.
            return ((s.now() - began).as_millis() as u64, out[0].1);
        }
        s.wait(5);
        acknowledge_all(s);
    }
    panic!("no probe came");
}

/// Sends until the window takes a probe. Returns where the probe begins.
fn probe(s: &mut Stage) -> u32 {
    for _ in 0..40 {
        // The smoothed round trip comes near the 5 ms that each one takes.
        s.write(100).unwrap();
        drain(s);
    }
    s.write(10_240).unwrap();
    let (_, acked) = drain(s);
    s.write(15_000).unwrap();
    let out = s.headers();
    assert_eq!(out[0].1, 1242, "the probe goes first");
    acked
}

#[test]
fn after_a_probe_that_failed_the_next_one_waits_for_as_many_round_trips_as_the_window_has_segments()
{
    let mut s = stage(2);
    let at = probe(&mut s);
    let segments = s.info().cwnd / 1024;
    s.wait(5);
    for n in 1..=3 {
        let behind = at + 1242;
        s.arrives(ack(1, at).sack(s.iss, &[(behind, behind + n * 1024)]));
    }
    assert_eq!(count(&mut s, Counter::TcpExtTCPMTUPFail), 1);
    let (waited, size) = until_probe(&mut s);
    assert!(
        waited >= 4 * segments,
        "{waited} ms for {segments} segments"
    );
    assert!(
        waited <= 8 * segments,
        "{waited} ms for {segments} segments"
    );
    // Halfway between 1064 and what failed.
    assert_eq!(size, (1064 + 1281) / 2 - 40);
}

#[test]
fn a_probe_whose_loss_the_timer_finds_has_failed_and_the_next_one_waits_five_times_as_long() {
    let mut s = stage(2);
    probe(&mut s);
    let segments = s.info().cwnd / 1024;
    s.wait(400);
    s.headers();
    assert_eq!(count(&mut s, Counter::TcpExtTCPMTUPFail), 1);
    assert_eq!((s.info().ca_state, s.info().cwnd), (CaState::Loss, 1024));
    acknowledge_all(&mut s);
    let (waited, _) = until_probe(&mut s);
    assert!(
        waited >= 4 * segments * 5 - 400,
        "{waited} ms for {segments} segments"
    );
    assert_eq!(count(&mut s, Counter::TcpExtTCPMTUPSuccess), 0);
}

#[test]
fn a_probe_among_losses_tells_nothing_and_is_made_again() {
    let mut s = stage(2);
    s.write(10_240).unwrap();
    let (_, acked) = drain(&mut s);
    // A segment before the probe is lost, and so is the probe.
    s.write(1024).unwrap();
    s.headers();
    s.write(15_000).unwrap();
    let out = s.headers();
    assert_eq!(out[0].1, 1242);
    let behind = acked + 1024 + 1242;
    s.wait(5);
    for n in 1..=4 {
        s.arrives(ack(1, acked).sack(s.iss, &[(behind, behind + n * 1024)]));
    }
    s.headers();
    s.wait(5);
    acknowledge_all(&mut s);
    assert_eq!(count(&mut s, Counter::TcpExtTCPMTUPFail), 0);
    assert_eq!(count(&mut s, Counter::TcpExtTCPMTUPSuccess), 0);
    let (_, size) = until_probe(&mut s);
    assert_eq!(size, 1242, "the same size again");
}

#[test]
fn a_search_that_is_over_begins_anew_after_the_interval() {
    let mut s = stage_with(Config {
        tcp_mtu_probing: 2,
        tcp_probe_interval: Duration::from_secs(60),
        tcp_probe_threshold: 250,
        ..Config::default()
    });
    let at = probe(&mut s);
    s.wait(5);
    for n in 1..=3 {
        let behind = at + 1242;
        s.arrives(ack(1, at).sack(s.iss, &[(behind, behind + n * 1024)]));
    }
    assert_eq!(count(&mut s, Counter::TcpExtTCPMTUPFail), 1);
    // Less than the threshold lies between 1064 and 1281 bytes less one: only time brings another probe.
    let (waited, size) = until_probe(&mut s);
    assert!((60_000..60_100).contains(&waited), "{waited} ms");
    assert_eq!(size, 1242, "halfway to 1500 again");
}

#[test]
fn a_black_hole_is_found_by_time_outs() {
    let mut s = stage(1);
    assert_eq!(s.info().snd_mss, 1460);
    s.write(6000).unwrap();
    s.headers();
    let mut sizes = Vec::new();
    for _ in 0..600 {
        s.wait(100);
        sizes.extend(lens(&mut s));
    }
    // A tail loss probe, time-outs, a size that passes nearly everywhere, one that passes everywhere.
    assert_eq!(sizes[..5], [160, 1460, 1460, 1024, 536], "{sizes:?}");
    assert!(sizes[5..].iter().all(|size| *size == 536), "{sizes:?}");
    // What is small arrives: it goes on so, and larger sizes are tried from there.
    s.arrives(ack(1, 537));
    assert!(lens(&mut s).iter().all(|len| *len <= 2 * 536));
}

#[test]
fn a_size_that_has_arrived_is_not_talked_away() {
    let mut s = stage(0);
    s.write(3000).unwrap();
    s.headers();
    s.arrives(ack(1, 3001));
    s.write(3000).unwrap();
    let (first, _) = s.headers()[0];
    let mut quoted = [0; 8];
    quoted[..2].copy_from_slice(&s.flow.local.port.to_be_bytes());
    quoted[2..4].copy_from_slice(&s.flow.remote.port.to_be_bytes());
    quoted[4..].copy_from_slice(&first.seq.0.to_be_bytes());
    let (source, destination) = (s.flow.local.ip, s.flow.remote.ip);
    let believed = |s: &mut Stage| {
        let error = IcmpError {
            kind: IcmpErrorKind::PacketTooBig { mtu: 600 },
            source,
            destination,
            quoted: &quoted,
            icmp_type: 3,
            icmp_code: 4,
            from: destination,
        };
        let (tcp, mut cx) = s.host();
        tcp.on_icmp_error(&mut cx, &error)
    };
    // RFC 5927 §7.2: packets of 1500 bytes are known to arrive.
    assert!(!believed(&mut s));
    // Nothing arrives any more: perhaps the path has changed.
    s.wait(400);
    assert!(believed(&mut s));
}
