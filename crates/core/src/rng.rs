//! The node's only source of chance.

use rand_chacha::ChaCha12Rng;
use rand_core::{RngCore, SeedableRng};

/// A seeded random number generator, strong enough for sequence numbers, ports and hash keys.
#[derive(Debug, Clone)]
pub struct Rng(ChaCha12Rng);

impl Rng {
    /// The generator that `seed` determines.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        Self(ChaCha12Rng::from_seed(seed))
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// The next 32 bits.
    pub fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// A number below `bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u32) -> u32 {
        // Lemire's multiply-and-shift: the bias of 2^-32 per value is of no use to anyone here.
        let wide = u64::from(self.next_u32()).wrapping_mul(u64::from(bound));
        u32::try_from(wide >> 32).unwrap_or(0)
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.0.fill_bytes(&mut out);
        out
    }

    /// A seed for a generator of its own.
    pub fn fork(&mut self) -> Self {
        Self::new(self.bytes())
    }
}
