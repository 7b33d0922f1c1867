//! Authenticated chunks (RFC 4895).
//!
//! - Shared keys, and the keys that come of them: `keys`.
//! - What both sides said in INIT and INIT ACK: `terms`.
//! - Which packets of an association are signed and verified: `packets`.
//!
//! An [`Authenticator`] belongs to an association. It says which chunks go, and are taken, behind an
//! AUTH chunk only ([`must_sign`](Authenticator::must_sign),
//! [`must_be_signed`](Authenticator::must_be_signed)), signs a packet's tail
//! ([`begin`](Authenticator::begin), [`sign`](Authenticator::sign)) and
//! [`verify`](Authenticator::verify)s one.

mod keys;
mod packets;
mod terms;
#[cfg(test)]
mod tests;

pub(crate) use keys::{KeyError, SharedKeys};
pub(crate) use packets::{PacketKey, required};
pub(crate) use terms::{Algorithms, BadTerms, ChunkSet, Terms, parameters};

use hmac::digest::{KeyInit, Update};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::Sha256;
use sockeye_wire::sctp::{Auth, Chunk, ChunkType, HmacId};
use zeroize::Zeroizing;

/// RFC 4895 §6.1: bytes of the random number.
pub(crate) const RANDOM_LEN: usize = 32;
/// The algorithms that are known, best first (RFC 4895 §6.1: SHA-1 is among them).
const ALGORITHMS: [u16; 2] = [HmacId::SHA256.0, HmacId::SHA1.0];

/// Whether a packet's AUTH chunk is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// What follows it is the peer's, signed with the key of this number.
    Good(u16),
    /// It is not; what follows is discarded without a word.
    Bad,
    /// RFC 4895 §6.3: it uses an algorithm that was not offered; an ERROR says so.
    Unsupported(HmacId),
}

/// How an association signs and verifies.
#[derive(Clone, Debug)]
pub(crate) struct Authenticator {
    keys: SharedKeys,
    local: Terms,
    peer: Terms,
    algorithm: HmacId,
}

impl Authenticator {
    /// For two sides that have said these terms; `None` when the peer's name no algorithm that is
    /// known.
    pub(crate) fn new(keys: SharedKeys, local: Terms, peer: Terms) -> Option<Self> {
        // RFC 4895 §6.1: the first of the peer's that is supported.
        let algorithm = peer.first_known_algorithm()?;
        Some(Self {
            keys,
            local,
            peer,
            algorithm,
        })
    }

    /// The shared keys, to change them.
    pub(crate) fn keys_mut(&mut self) -> &mut SharedKeys {
        &mut self.keys
    }

    /// The chunks that the peer takes signed only.
    pub(crate) fn peer_chunks(&self) -> ChunkSet {
        self.peer.chunks
    }

    /// Whether a chunk goes to the peer behind an AUTH chunk only (RFC 4895 §6.2).
    pub(crate) fn must_sign(&self, kind: ChunkType) -> bool {
        self.peer.chunks.contains(kind)
    }

    /// Whether a chunk of the peer is discarded unless an AUTH chunk is before it (RFC 4895 §6.3).
    pub(crate) fn must_be_signed(&self, kind: ChunkType) -> bool {
        self.local.chunks.contains(kind)
    }

    /// Bytes of an AUTH chunk.
    pub(crate) fn chunk_len(&self) -> usize {
        Auth::CODE_OFFSET + self.algorithm.code_len().unwrap_or(0)
    }

    /// Appends an AUTH chunk under `key`, or the active one, without its code. Gives its place: once all other
    /// chunks are behind it, [`sign`](Self::sign) fills it in.
    pub(crate) fn begin(&self, key: Option<u16>, out: &mut Vec<u8>) -> usize {
        let at = out.len();
        Auth {
            key_id: key.unwrap_or(self.keys.active()),
            hmac_id: self.algorithm,
            code: &[0; 32][..self.algorithm.code_len().unwrap_or(0)],
        }
        .emit(out);
        at
    }

    /// Fills in the code of the AUTH chunk at `at` over all that follows it (RFC 4895 §6.2).
    pub(crate) fn sign(&self, key: Option<u16>, packet: &mut [u8], at: usize) {
        let key = key.unwrap_or(self.keys.active());
        let key = self.association_key(key).unwrap_or_default();
        let code = compute(self.algorithm, &key, &[&packet[at..]]);
        let start = at + Auth::CODE_OFFSET;
        packet[start..start + code.len()].copy_from_slice(&code);
    }

    /// Whether `chunk`, an AUTH chunk, is right, with `rest` behind it (RFC 4895 §6.3).
    pub(crate) fn verify(&self, chunk: &Chunk<'_>, rest: &[u8]) -> Verdict {
        let Ok(auth) = Auth::parse(chunk) else {
            return Verdict::Bad;
        };
        if !self.local.algorithms.contains(&auth.hmac_id.0) {
            return Verdict::Unsupported(auth.hmac_id);
        }
        if auth.hmac_id.code_len() != Some(auth.code.len()) {
            return Verdict::Bad;
        }
        let Some(key) = self.association_key(auth.key_id) else {
            return Verdict::Bad;
        };
        let mut zeroed = [0; Auth::CODE_OFFSET + 32];
        zeroed[..Auth::CODE_OFFSET].copy_from_slice(&chunk.bytes[..Auth::CODE_OFFSET]);
        let zeroed = &zeroed[..Auth::CODE_OFFSET + auth.code.len()];
        if matches(auth.hmac_id, &key, &[zeroed, rest], auth.code) {
            Verdict::Good(auth.key_id)
        } else {
            Verdict::Bad
        }
    }

    /// RFC 4895 §6.1: a shared key, then the smaller of the key vectors, then the larger.
    fn association_key(&self, id: u16) -> Option<Zeroizing<Vec<u8>>> {
        let shared = self.keys.secret(id)?;
        let (one, other) = (&self.local.vector[..], &self.peer.vector[..]);
        let (smaller, larger) = match terms::compare(one, other).is_le() {
            true => (one, other),
            false => (other, one),
        };
        let mut key = Zeroizing::new(Vec::with_capacity(
            shared.len() + smaller.len() + larger.len(),
        ));
        for part in [shared, smaller, larger] {
            key.extend_from_slice(part);
        }
        Some(key)
    }
}

/// A code of `pieces`.
fn compute(algorithm: HmacId, key: &[u8], pieces: &[&[u8]]) -> Vec<u8> {
    match algorithm {
        HmacId::SHA1 => run::<Hmac<Sha1>>(key, pieces)
            .map(|mac| mac.finalize().into_bytes().to_vec())
            .unwrap_or_default(),
        _ => run::<Hmac<Sha256>>(key, pieces)
            .map(|mac| mac.finalize().into_bytes().to_vec())
            .unwrap_or_default(),
    }
}

/// Whether `code` is that of `pieces`, found out in constant time.
fn matches(algorithm: HmacId, key: &[u8], pieces: &[&[u8]], code: &[u8]) -> bool {
    match algorithm {
        HmacId::SHA1 => {
            run::<Hmac<Sha1>>(key, pieces).is_some_and(|mac| mac.verify_slice(code).is_ok())
        }
        _ => run::<Hmac<Sha256>>(key, pieces).is_some_and(|mac| mac.verify_slice(code).is_ok()),
    }
}

fn run<M: KeyInit + Update>(key: &[u8], pieces: &[&[u8]]) -> Option<M> {
    // HMAC takes keys of any length.
    let mut mac = <M as KeyInit>::new_from_slice(key).ok()?;
    for piece in pieces {
        mac.update(piece);
    }
    Some(mac)
}
