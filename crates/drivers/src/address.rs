//! Ethernet addresses for a node's own side.

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};
use sockeye_link::MacAddr;

/// A locally administered unicast address: the same for the same seed and index, and with
/// overwhelming probability another one for others.
#[must_use]
pub fn local_address(seed: &[u8; 32], index: u32) -> MacAddr {
    let mut rng = ChaCha8Rng::from_seed(*seed);
    // The node's own generator begins at stream 0.
    rng.set_stream(u64::MAX - u64::from(index));
    let mut bytes = [0; 6];
    rng.fill_bytes(&mut bytes);
    // IEEE 802: the lowest bit of the first byte is the group bit, the next one says that the
    // address is not from a manufacturer's range.
    bytes[0] = bytes[0] & !0b01 | 0b10;
    MacAddr(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_local_and_differ() {
        let of = |seed, index| local_address(&[seed; 32], index);
        assert_eq!(of(1, 0), of(1, 0));
        assert_ne!(of(1, 0), of(1, 1));
        assert_ne!(of(1, 0), of(2, 0));
        for index in 0..100 {
            assert!(of(3, index).is_unicast());
            assert_eq!(of(3, index).0[0] & 0b10, 0b10);
        }
    }
}
