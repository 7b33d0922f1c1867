//! A node under packets from somebody who means harm: mutated copies of real traffic, and noise.
//!
//! The `fuzz/` crate drives the same [`Target`] with libFuzzer.

use crate::target::{Target, mend, readdress, recorded};
use sockeye_core::{Counter, Rng};

/// Nodes that are attacked, and packets that each gets; a few seconds in all.
const ROUNDS: u8 = 250;
const PACKETS: usize = 6000;
/// What is counted deep inside: the attack must come that far.
const REACHED: [Counter; 12] = [
    Counter::IpReasmOKs,
    Counter::IpReasmFails,
    Counter::IcmpOutMsgs,
    Counter::IcmpInUnmatched,
    Counter::NeighbourInErrors,
    Counter::IpInUnknownProtos,
    Counter::TcpPassiveOpens,
    Counter::TcpOutRsts,
    Counter::UdpInDatagrams,
    Counter::Icmp6InRouterAdvertisements,
    Counter::Icmp6InRedirects,
    Counter::RedirectsIgnored,
];

/// A packet of `corpus`, or noise, after a few changes.
fn mutated(rng: &mut Rng, corpus: &[Vec<u8>]) -> Vec<u8> {
    let any = |rng: &mut Rng| corpus[rng.below(corpus.len() as u32) as usize].clone();
    let mut bytes = match rng.below(20) {
        0 => (0..rng.below(200)).map(|_| rng.next_u32() as u8).collect(),
        // The front of one and the back of another.
        1 => {
            let (mut front, back) = (any(rng), any(rng));
            front.truncate(rng.below(front.len() as u32 + 1) as usize);
            front.extend_from_slice(&back[rng.below(back.len() as u32) as usize..]);
            front
        }
        _ => any(rng),
    };
    for _ in 0..rng.below(4) {
        let Some(last) = bytes.len().checked_sub(1) else {
            break;
        };
        // Headers are where it hurts.
        let reach = if rng.below(4) == 0 {
            last
        } else {
            last.min(90)
        };
        let at = rng.below(reach as u32 + 1) as usize;
        match rng.below(8) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, rng.next_u32() as u8),
            2 => {
                bytes.remove(at);
            }
            3 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][rng.below(5) as usize],
            4 => bytes[at] = bytes[at].wrapping_add(1),
            5 => bytes.resize(at + rng.below(3000) as usize, 0),
            _ => bytes[at] ^= 1 << rng.below(8),
        }
    }
    if rng.below(4) > 0 {
        mend(&mut bytes);
    }
    bytes
}

/// What is counted where packets are sent on.
const REACHED_FORWARDING: [Counter; 10] = [
    Counter::IpForwDatagrams,
    Counter::IpFragOKs,
    Counter::IpFragFails,
    Counter::Ip6InTooBigErrors,
    Counter::IpInMartians,
    Counter::IpExtInNoRoutes,
    Counter::IpInHdrErrors,
    Counter::IpReasmTiny,
    Counter::IcmpOutRedirects,
    Counter::IcmpOutRateLimitHost,
];

#[test]
fn a_router_comes_to_no_harm_by_what_it_sends_on() {
    let mut corpus = recorded();
    let mut beyond: Vec<Vec<u8>> = corpus.iter().chain(&corpus).cloned().collect();
    for (n, frame) in beyond.iter_mut().enumerate() {
        readdress(frame, n >= corpus.len());
    }
    // To the router itself, behind it, and back where it came from.
    corpus.extend(beyond);
    let mut reached = [0; REACHED_FORWARDING.len()];
    for seed in 0..ROUNDS / 5 {
        let mut rng = Rng::new([seed; 32]);
        let mut target = Target::router();
        for n in 0..PACKETS {
            let bytes = mutated(&mut rng, &corpus);
            let meta = if rng.below(8) == 0 { rng.next_u32() } else { 0 };
            target.packet(&bytes, meta);
            if n % 64 == 0 {
                target.pass_time(rng.below(300));
            }
        }
        target.check();
        for (sum, reached) in reached.iter_mut().zip(REACHED_FORWARDING) {
            *sum += target.count(reached);
        }
        target.rest();
    }
    for (sum, reached) in reached.iter().zip(REACHED_FORWARDING) {
        assert!(*sum > 20, "too little came as far as {reached:?}: {sum}");
    }
}

#[test]
fn mutated_traffic_does_no_harm() {
    let corpus = recorded();
    assert!(corpus.len() > 20, "{} packets to start from", corpus.len());
    let mut reached = [0; REACHED.len()];
    for seed in 0..ROUNDS {
        let mut rng = Rng::new([seed; 32]);
        let mut target = Target::new();
        // Connections stand first, for some of what follows to be about.
        let honest = rng.below(corpus.len() as u32) as usize;
        for frame in &corpus[..honest] {
            target.packet(frame, 0);
        }
        for n in 0..PACKETS {
            let bytes = mutated(&mut rng, &corpus);
            let meta = if rng.below(8) == 0 { rng.next_u32() } else { 0 };
            target.packet(&bytes, meta);
            if n % 64 == 0 {
                target.pass_time(rng.below(300));
            }
        }
        target.check();
        for (sum, reached) in reached.iter_mut().zip(REACHED) {
            *sum += target.count(reached);
        }
        target.rest();
    }
    for (sum, reached) in reached.iter().zip(REACHED) {
        assert!(*sum > 50, "too little came as far as {reached:?}: {sum}");
    }
}
