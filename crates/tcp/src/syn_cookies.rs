//! SYN cookies (RFC 4987 §3.6): while the SYN queue is full, a SYN is answered and forgotten. Our
//! initial sequence number says what we would have kept, under a keyed hash; the acknowledgment
//! that brings it back makes the connection.
//!
//! The number is the sum of a hash of the flow, the peer's number, the minute in the upper eight
//! bits, and in the others a hash that a place in a table of segment sizes goes into. What else the
//! SYN offered lies in the low bits of our timestamp, where the peer has timestamps; else it is
//! lost: no window scale, no SACK. Linux does it nearly so; there the place is added to the hash, so
//! that the numbers beside a right one are right too.

use crate::isn::timestamp;
use crate::options::Offer;
use core::hash::BuildHasher;
use core::time::Duration;
use sockeye_core::demux::{Flow, Keyed};
use sockeye_core::{Config, Instant, Rng};
use sockeye_wire::SeqNum;
use sockeye_wire::tcp_options::Timestamps;
use std::net::IpAddr;

/// The clock of cookies ticks once a minute.
const PERIOD_MS: u64 = 60_000;
/// Ticks for which a cookie is good.
const AGE_MAX: u32 = 2;
/// How long a listener looks for cookies after the last that it gave out.
pub(crate) const LIFETIME: Duration = Duration::from_secs(120);
/// The part of the number that carries data.
const DATA: u32 = 0x00ff_ffff;
/// Segment sizes that can be remembered, the largest that is not above the peer's counts. Over
/// IPv4: what must do, tunnels, PPPoE, Ethernet.
const MSS_V4: [u16; 4] = [536, 1300, 1440, 1460];
/// Over IPv6: the least MTU, tunnels, Ethernet, jumbo frames.
const MSS_V6: [u16; 4] = [1220, 1420, 1440, 8940];

/// Bits of the timestamp that are not the clock's.
const TIMESTAMP_BITS: u32 = 0x3f;
/// Of these, the window scale, where it is not all ones.
const SCALE: u32 = 0x0f;
const SACK: u32 = 0x10;
/// Explicit congestion notification was agreed on (RFC 3168).
const ECN: u32 = 0x20;

/// A node's cookies: their keys, made with the first of them.
#[derive(Debug, Default)]
pub(crate) struct SynCookies {
    keys: Option<Keys>,
}

#[derive(Debug)]
struct Keys {
    flow: Keyed,
    minute: Keyed,
}

impl SynCookies {
    /// The initial sequence number for a SYN with number `irs` whose sender takes segments of
    /// `mss`; `None` when he takes less than could be remembered (RFC 9293 §3.7.1, MUST-16).
    pub(crate) fn number(
        &mut self,
        rng: &mut Rng,
        flow: &Flow,
        irs: SeqNum,
        mss: u16,
        now: Instant,
    ) -> Option<SeqNum> {
        let place = table(flow.remote.ip)
            .iter()
            .rposition(|&size| size <= mss)?;
        let keys = self.keys.get_or_insert_with(|| Keys {
            flow: Keyed::new(rng),
            minute: Keyed::new(rng),
        });
        let minute = minute(now);
        let data = keys.data(flow, irs, minute, place);
        let number = keys.base(flow, irs).wrapping_add(minute << 24);
        Some(SeqNum(number.wrapping_add(data)))
    }

    /// The segment size behind `cookie`, if it is one of ours and not too old.
    pub(crate) fn check(
        &self,
        flow: &Flow,
        irs: SeqNum,
        cookie: SeqNum,
        now: Instant,
    ) -> Option<u16> {
        let keys = self.keys.as_ref()?;
        let rest = cookie.0.wrapping_sub(keys.base(flow, irs));
        let now = minute(now);
        let age = now.wrapping_sub(rest >> 24) & 0xff;
        if age >= AGE_MAX {
            return None;
        }
        let minute = now.wrapping_sub(age);
        let mut sizes = table(flow.remote.ip).iter().enumerate();
        let found = sizes.find(|&(place, _)| keys.data(flow, irs, minute, place) == rest & DATA);
        found.map(|(_, &size)| size)
    }
}

impl Keys {
    fn base(&self, flow: &Flow, irs: SeqNum) -> u32 {
        low(self.flow.hash_one(flow)).wrapping_add(irs.0)
    }

    fn data(&self, flow: &Flow, irs: SeqNum, minute: u32, place: usize) -> u32 {
        low(self.minute.hash_one((flow, irs, minute, place))) & DATA
    }
}

/// Our timestamp clock with what `offer` said in its low bits: the latest such value that is not in
/// the future.
pub(crate) fn timestamp_with(offer: &Offer, ecn: bool, now: Instant, offset: u32) -> u32 {
    let mut bits = offer.window_scale.map_or(SCALE, u32::from) & SCALE;
    if offer.sack {
        bits |= SACK;
    }
    if ecn {
        bits |= ECN;
    }
    let clock = timestamp(now, 0);
    let mut value = clock & !TIMESTAMP_BITS | bits;
    if value > clock {
        value = value.wrapping_sub(TIMESTAMP_BITS + 1);
    }
    value.wrapping_add(offset)
}

/// What the SYN had offered, and whether ECN was agreed on, by the timestamp that its sender echoes; `None` when that can't be
/// ours, as we would not have agreed to it.
pub(crate) fn recover(
    mss: u16,
    timestamps: Option<Timestamps>,
    offset: u32,
    config: &Config,
) -> Option<(Offer, bool)> {
    let Some(Timestamps { tsval, tsecr }) = timestamps else {
        let offer = Offer {
            mss,
            window_scale: None,
            sack: false,
            timestamp: None,
        };
        return Some((offer, false));
    };
    let bits = tsecr.wrapping_sub(offset) & TIMESTAMP_BITS;
    let sack = bits & SACK != 0;
    // Four bits of it.
    let scale = (bits & SCALE) as u8;
    let window_scale = (u32::from(scale) != SCALE).then_some(scale);
    let agreed = config.tcp_timestamps
        && (!sack || config.tcp_sack)
        && (window_scale.is_none() || config.tcp_window_scaling);
    let offer = Offer {
        mss,
        window_scale,
        sack,
        timestamp: Some(tsval),
    };
    agreed.then_some((offer, bits & ECN != 0))
}

fn table(remote: IpAddr) -> &'static [u16; 4] {
    match remote {
        IpAddr::V4(_) => &MSS_V4,
        IpAddr::V6(_) => &MSS_V6,
    }
}

fn minute(now: Instant) -> u32 {
    low(now.as_millis() / PERIOD_MS)
}

/// The low 32 bits: the clock and the hashes are meant to wrap.
fn low(value: u64) -> u32 {
    (value & u64::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
    use sockeye_core::demux::Endpoint;

    fn flow(port: u16) -> Flow {
        Flow {
            local: Endpoint::new([10, 0, 0, 1].into(), 80),
            remote: Endpoint::new([10, 0, 0, 2].into(), port),
        }
    }

    fn number(cookies: &mut SynCookies, seed: u8, mss: u16, now: Instant) -> Option<SeqNum> {
        cookies.number(&mut Rng::new([seed; 32]), &flow(1), SeqNum(7), mss, now)
    }

    #[test]
    fn a_cookie_is_good_for_its_flow_its_number_and_two_minutes() {
        let (mut ours, irs) = (SynCookies::default(), SeqNum(7));
        let start = Instant::from_millis(3_599_000);
        assert_eq!(ours.check(&flow(1), irs, SeqNum(0), start), None);
        let cookie = number(&mut ours, 1, 1460, start).unwrap();
        let check = |flow: &Flow, irs, cookie, at| ours.check(flow, irs, cookie, at);
        assert_eq!(check(&flow(1), irs, cookie, start), Some(1460));
        let later = |secs| start + Duration::from_secs(secs);
        assert_eq!(check(&flow(1), irs, cookie, later(60)), Some(1460));
        assert_eq!(check(&flow(1), irs, cookie, later(121)), None);
        assert_eq!(check(&flow(2), irs, cookie, start), None);
        assert_eq!(check(&flow(1), irs + 1, cookie, start), None);
        assert_eq!(check(&flow(1), irs, cookie + 1, start), None);
        let mut others = SynCookies::default();
        assert_ne!(number(&mut others, 2, 1460, start), Some(cookie));
        assert_eq!(others.check(&flow(1), irs, cookie, start), None);
    }

    #[test]
    fn a_segment_size_comes_back_rounded_down() {
        let mut ours = SynCookies::default();
        assert_eq!(number(&mut ours, 1, 535, Instant::ZERO), None);
        for (mss, back) in [(536, 536), (1459, 1440), (9000, 1460)] {
            let cookie = number(&mut ours, 1, mss, Instant::ZERO).unwrap();
            let checked = ours.check(&flow(1), SeqNum(7), cookie, Instant::ZERO);
            assert_eq!(checked, Some(back), "mss {mss}");
        }
    }

    proptest! {
        #[test]
        fn what_a_syn_offered_comes_back_in_the_timestamp(
            scale in proptest::option::of(0u8..=14),
            sack in any::<bool>(),
            ecn in any::<bool>(),
            offset in any::<u32>(),
            ms in any::<u32>(),
        ) {
            let offer = Offer { mss: 1440, window_scale: scale, sack, timestamp: Some(5) };
            let now = Instant::from_millis(u64::from(ms));
            let tsecr = timestamp_with(&offer, ecn, now, offset);
            // Not in the future, and not long ago.
            prop_assert!(timestamp(now, offset).wrapping_sub(tsecr) < 64);
            let echoed = Some(Timestamps { tsval: 5, tsecr });
            let back = recover(1440, echoed, offset, &Config::default());
            prop_assert_eq!(back, Some((offer, ecn)));
        }

        #[test]
        fn nobody_guesses_one(irs in any::<u32>(), guess in any::<u32>()) {
            let mut ours = SynCookies::default();
            number(&mut ours, 3, 1460, Instant::ZERO);
            let found = ours.check(&flow(1), SeqNum(irs), SeqNum(guess), Instant::ZERO);
            // Eight numbers of four billion are right.
            prop_assert_eq!(found, None);
        }
    }
}
