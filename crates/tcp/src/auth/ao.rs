//! The algorithms of TCP-AO (RFC 5926) and what they are run over (RFC 5925 §5): traffic keys from
//! master keys, codes from segments, and numbers of 64 bits from sequence numbers.

use super::covered::Covered;
use aes::Aes128;
use cmac::Cmac;
use core::fmt;
use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::Sha256;
use sockeye_core::demux::{Endpoint, Flow};
use sockeye_wire::tcp_options::AO_MAC_LEN_MAX;
use sockeye_wire::{Bounded, SeqNum};
use std::net::IpAddr;
use zeroize::Zeroizing;

/// What a key makes codes with; each has its own way of deriving traffic keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AoAlgorithm {
    /// HMAC-SHA-1 and KDF_HMAC_SHA1 (RFC 5926 §3.2.1, §3.1.1.1).
    #[default]
    HmacSha1,
    /// AES-128-CMAC and KDF_AES_128_CMAC (RFC 5926 §3.2.2, §3.1.1.2).
    AesCmac128,
    /// HMAC-SHA-256, with the key derivation of HMAC-SHA-1: no RFC has it, Linux does.
    HmacSha256,
}

impl AoAlgorithm {
    /// Bytes of a whole code, and of a traffic key.
    #[must_use]
    pub const fn digest_len(self) -> usize {
        match self {
            Self::HmacSha1 => 20,
            Self::AesCmac128 => 16,
            Self::HmacSha256 => 32,
        }
    }

    /// The traffic key of `context` under `master_key`.
    pub(crate) fn derive(self, master_key: &[u8], context: &KeyContext) -> TrafficKey {
        TrafficKey::new(self, &self.derived_bytes(master_key, context))
    }

    /// RFC 5926 §3.1.1: the bytes of the traffic key.
    pub(crate) fn derived_bytes(
        self,
        master_key: &[u8],
        context: &KeyContext,
    ) -> Zeroizing<Vec<u8>> {
        // One round gives as many bytes as the key needs, for each of them.
        let bits = (self.digest_len() * 8) as u16;
        let mut prf = match self {
            Self::HmacSha1 | Self::HmacSha256 => TrafficKey::new(self, master_key),
            // RFC 5926 §3.1.1.2, step 1: a master key of another length is extracted first.
            Self::AesCmac128 if master_key.len() == 16 => TrafficKey::new(self, master_key),
            Self::AesCmac128 => {
                let mut extractor = TrafficKey::new(self, &[0; 16]);
                extractor.update(master_key);
                TrafficKey::new(self, &extractor.finish())
            }
        };
        // i || Label || Context || Output_Length
        prf.update(&[1]);
        prf.update(b"TCP-AO");
        context.feed(&mut |bytes| prf.update(bytes));
        prf.update(&bits.to_be_bytes());
        prf.finish()
    }
}

/// RFC 5925 §5.2: what a traffic key is derived for: one direction of one connection. `source` is
/// who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyContext {
    source: (Endpoint, SeqNum),
    destination: (Endpoint, SeqNum),
}

impl KeyContext {
    /// For what we send.
    pub(crate) fn sending(flow: &Flow, isns: Isns) -> Self {
        Self {
            source: (flow.local, isns.local),
            destination: (flow.remote, isns.remote),
        }
    }

    /// For what the peer sends.
    pub(crate) fn receiving(flow: &Flow, isns: Isns) -> Self {
        Self {
            source: (flow.remote, isns.remote),
            destination: (flow.local, isns.local),
        }
    }

    fn feed(&self, to: &mut dyn FnMut(&[u8])) {
        let ends = [self.source, self.destination];
        for (end, _) in ends {
            match end.ip {
                IpAddr::V4(ip) => to(&ip.octets()),
                IpAddr::V6(ip) => to(&ip.octets()),
            }
        }
        for (end, _) in ends {
            to(&end.port.to_be_bytes());
        }
        for (_, isn) in ends {
            to(&isn.0.to_be_bytes());
        }
    }
}

/// The initial sequence numbers of a connection. RFC 5925 §5.2: for a SYN alone, the one of who is
/// to receive it counts as zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Isns {
    pub(crate) local: SeqNum,
    pub(crate) remote: SeqNum,
}

/// A traffic key, ready to run: its key schedule, or the first blocks of its hash.
#[derive(Clone)]
pub(crate) enum TrafficKey {
    Sha1(Box<Hmac<Sha1>>),
    Sha256(Box<Hmac<Sha256>>),
    Aes(Box<Cmac<Aes128>>),
}

impl TrafficKey {
    /// With the bytes of `key`, of which CMAC takes 16.
    pub(crate) fn new(algorithm: AoAlgorithm, key: &[u8]) -> Self {
        match algorithm {
            AoAlgorithm::HmacSha1 => Self::Sha1(Box::new(hmac(key))),
            AoAlgorithm::HmacSha256 => Self::Sha256(Box::new(hmac(key))),
            AoAlgorithm::AesCmac128 => {
                let mut whole = Zeroizing::new([0; 16]);
                for (to, from) in whole.iter_mut().zip(key) {
                    *to = *from;
                }
                Self::Aes(Box::new(<Cmac<Aes128> as KeyInit>::new((&*whole).into())))
            }
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(mac) => mac.update(bytes),
            Self::Sha256(mac) => mac.update(bytes),
            Self::Aes(mac) => mac.update(bytes),
        }
    }

    /// The whole output.
    fn finish(self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(match self {
            Self::Sha1(mac) => mac.finalize().into_bytes().to_vec(),
            Self::Sha256(mac) => mac.finalize().into_bytes().to_vec(),
            Self::Aes(mac) => mac.finalize().into_bytes().to_vec(),
        })
    }

    fn feed(&mut self, sne: u32, covered: &Covered<'_>, excludes_options: bool) {
        self.update(&sne.to_be_bytes());
        covered.feed_authenticated(excludes_options, &mut |bytes| self.update(bytes));
    }

    /// RFC 5925 §5.1: the code of a segment, `len` bytes of it.
    pub(crate) fn code(
        &self,
        sne: u32,
        covered: &Covered<'_>,
        excludes_options: bool,
        len: usize,
    ) -> Bounded<u8, AO_MAC_LEN_MAX> {
        let mut mac = self.clone();
        mac.feed(sne, covered, excludes_options);
        let mut code = Bounded::new();
        for byte in mac.finish().iter().take(len) {
            code.push(*byte);
        }
        code
    }

    /// Whether `code` is that of the segment; how long it takes does not tell where it differs.
    pub(crate) fn verify(
        &self,
        sne: u32,
        covered: &Covered<'_>,
        excludes_options: bool,
        code: &[u8],
    ) -> bool {
        let mut mac = self.clone();
        mac.feed(sne, covered, excludes_options);
        match mac {
            Self::Sha1(mac) => mac.verify_truncated_left(code).is_ok(),
            Self::Sha256(mac) => mac.verify_truncated_left(code).is_ok(),
            Self::Aes(mac) => mac.verify_truncated_left(code).is_ok(),
        }
    }
}

impl fmt::Debug for TrafficKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TrafficKey")
    }
}

/// RFC 5925 §6.2: the number of 64 bits that `seq` stands for: the one nearest to `base`, which is
/// less than 2^31 away. Its upper half is the sequence number extension.
pub(crate) fn extend(base: u64, seq: SeqNum) -> u64 {
    // The lower half on purpose.
    let low = SeqNum((base & u64::from(u32::MAX)) as u32);
    base.wrapping_add_signed(low.distance_to(seq).into())
}

/// The sequence number extension of `seq`, near `base`.
pub(crate) fn sne(base: u64, seq: SeqNum) -> u32 {
    (extend(base, seq) >> 32) as u32
}

/// HMAC takes keys of any length.
fn hmac<M: Mac + KeyInit>(key: &[u8]) -> M {
    <M as Mac>::new_from_slice(key).unwrap_or_else(|_| <M as KeyInit>::new(&Default::default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
        digits
            .chunks(2)
            .map(|pair| (pair[0] * 16 + pair[1]) as u8)
            .collect()
    }

    fn of(algorithm: AoAlgorithm, key: &[u8], text: &[u8]) -> Vec<u8> {
        let mut mac = TrafficKey::new(algorithm, key);
        mac.update(text);
        mac.finish().to_vec()
    }

    /// RFC 2202 §3, RFC 4231 §4, RFC 4493 §4.
    #[test]
    fn known_answers() {
        let sha1 = AoAlgorithm::HmacSha1;
        let what = b"what do ya want for nothing?";
        assert_eq!(
            of(sha1, &[0x0b; 20], b"Hi There"),
            hex("b617318655057264e28bc0b6fb378c8ef146be00")
        );
        assert_eq!(
            of(sha1, b"Jefe", what),
            hex("effcdf6ae5eb2fa2d27416d5f184df9c259a7c79")
        );
        let larger = b"Test Using Larger Than Block-Size Key - Hash Key First";
        assert_eq!(
            of(sha1, &[0xaa; 80], larger),
            hex("aa4ae5e15272d00e95705637ce8a3b55ed402112")
        );
        let sha256 = AoAlgorithm::HmacSha256;
        assert_eq!(
            of(sha256, b"Jefe", what),
            hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
        );
        let aes = AoAlgorithm::AesCmac128;
        let key = hex("2b7e151628aed2a6abf7158809cf4f3c");
        assert_eq!(of(aes, &key, b""), hex("bb1d6929e95937287fa37d129b756746"));
        assert_eq!(
            of(aes, &key, &hex("6bc1bee22e409f96e93d7e117393172a")),
            hex("070a16b46b4d4144f79bdd9dd04a287c")
        );
        let forty =
            "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411";
        assert_eq!(
            of(aes, &key, &hex(forty)),
            hex("dfa66747de9ae63030ca32611497c827")
        );
    }

    #[test]
    fn the_extension_counts_wraps_both_ways() {
        let last = u64::from(u32::MAX);
        assert_eq!(sne(last, SeqNum(u32::MAX)), 0);
        assert_eq!(sne(last, SeqNum(0)), 1);
        assert_eq!(sne(last + 1, SeqNum(u32::MAX)), 0);
        // Before the beginning lies the end of the ring.
        assert_eq!(sne(0, SeqNum(u32::MAX)), u32::MAX);
        assert_eq!(sne(5 << 32, SeqNum(u32::MAX)), 4);
    }

    proptest! {
        /// A model with numbers of 64 bits: what lies within half a ring of the base is found again.
        #[test]
        fn numbers_near_the_base_are_found(base in (1u64 << 32)..u64::MAX / 2, away in -(1i64 << 31) + 1..1 << 31) {
            let number = base.wrapping_add_signed(away);
            prop_assert_eq!(extend(base, SeqNum(number as u32)), number);
        }
    }
}
