//! Init Cookies (RFC 4340 §8.1.4): while a listener is flooded, a Request is answered and forgotten.
//! The Response carries what would have been kept, under a keyed hash; the client brings it back with
//! the acknowledgement that makes the connection.

use crate::features::Feature;
use crate::half_open::HalfOpen;
use core::hash::BuildHasher;
use core::time::Duration;
use smallvec::SmallVec;
use sockeye_core::demux::Keyed;
use sockeye_core::{Instant, Rng};
use sockeye_wire::dccp::Seq;
use sockeye_wire::dccp::options::Side;

/// How long a cookie is good.
const LIFETIME: Duration = Duration::from_secs(120);
/// Bytes of the hash behind the rest.
const HASH_LEN: usize = 16;

/// A node's cookies: their keys, made with the first of them.
#[derive(Debug, Default)]
pub(crate) struct Cookies(Option<[Keyed; 2]>);

type Baked = SmallVec<[u8; 128]>;

impl Cookies {
    /// What is to be known of `half_open` when its client comes back.
    pub(crate) fn bake(&mut self, rng: &mut Rng, half_open: &HalfOpen, now: Instant) -> Baked {
        let keys = self
            .0
            .get_or_insert_with(|| [Keyed::new(rng), Keyed::new(rng)]);
        let mut out = Baked::new();
        out.extend_from_slice(&now.as_millis().to_be_bytes());
        // The Response that carries it is the first packet.
        for seq in [half_open.seqs.gss + 1, half_open.seqs.isr] {
            out.extend_from_slice(&seq.value().to_be_bytes()[2..]);
        }
        out.extend_from_slice(&half_open.service.to_be_bytes());
        for feature in Feature::ALL {
            let features = &half_open.features;
            for value in [features.local(feature), features.remote(feature)] {
                out.extend_from_slice(&value.to_be_bytes()[8 - feature.value_len()..]);
            }
        }
        let hash = hash(keys, half_open, &out);
        out.extend_from_slice(&hash);
        out
    }

    /// Fills `half_open` from a cookie. False when it is none of ours for its flow, or too old.
    pub(crate) fn restore(&self, cookie: &[u8], half_open: &mut HalfOpen, now: Instant) -> bool {
        let Some(keys) = &self.0 else {
            return false;
        };
        let Some((body, said)) = cookie.split_last_chunk::<HASH_LEN>() else {
            return false;
        };
        // Nobody learns of a hash by how long this takes: it is compared as a whole.
        if u128::from_be_bytes(*said) != u128::from_be_bytes(hash(keys, half_open, body)) {
            return false;
        }
        read(body, half_open, now).is_some()
    }
}

fn hash(keys: &[Keyed; 2], half_open: &HalfOpen, body: &[u8]) -> [u8; HASH_LEN] {
    let mut out = [0; HASH_LEN];
    for (key, half) in keys.iter().zip(out.chunks_mut(8)) {
        half.copy_from_slice(&key.hash_one((half_open.tuple, body)).to_be_bytes());
    }
    out
}

fn read(body: &[u8], half_open: &mut HalfOpen, now: Instant) -> Option<()> {
    let mut rest = body;
    let mut take = |len: usize| {
        let (head, tail) = rest.split_at_checked(len)?;
        rest = tail;
        Some(head.iter().fold(0u64, |n, &b| n << 8 | u64::from(b)))
    };
    let baked = Instant::from_millis(take(8)?);
    if now - baked > LIFETIME {
        return None;
    }
    let (iss, isr) = (Seq::new(take(6)?), Seq::new(take(6)?));
    half_open.seqs = crate::sequence::Sequence::new(iss);
    half_open.seqs.next();
    half_open.seqs.start_receiving(isr);
    half_open.service = u32::try_from(take(4)?).ok()?;
    for feature in Feature::ALL {
        for side in [Side::Local, Side::Remote] {
            let value = take(feature.value_len())?;
            half_open.features.restore(feature, side, value);
        }
    }
    Some(())
}
