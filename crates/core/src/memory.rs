//! The bytes that a node's transports hold for their users and peers, all together, and the limits
//! of it, like Linux's `tcp_mem`.
//!
//! Who holds memory says how much whenever that changes ([`Memory::charge`]), and gives it back the
//! same way. Above the second limit the node is *under pressure* until it is below the first again:
//! buffers do not grow, windows do not open further, what can be got again is let go. At the third
//! it is *full*: nothing new is taken.

use crate::TransportId;

/// Bytes of a page, which `tcp_mem` counts in.
pub const PAGE: usize = 4096;

/// What is held, and by whom.
#[derive(Clone, Debug)]
pub struct Memory {
    low: usize,
    pressure: usize,
    high: usize,
    used: usize,
    pressed: bool,
    by: Vec<(TransportId, usize)>,
}

impl Memory {
    /// With the limits low, pressure and high, in pages.
    #[must_use]
    pub const fn new(limits: (usize, usize, usize)) -> Self {
        let mut memory = Self {
            low: 0,
            pressure: 0,
            high: 0,
            used: 0,
            pressed: false,
            by: Vec::new(),
        };
        memory.set_limits(limits);
        memory
    }

    /// Other limits, which count from the next charge on.
    pub const fn set_limits(&mut self, (low, pressure, high): (usize, usize, usize)) {
        self.low = low.saturating_mul(PAGE);
        self.pressure = pressure.saturating_mul(PAGE);
        self.high = high.saturating_mul(PAGE);
    }

    /// `transport` holds `now` bytes where it held `held`, which becomes `now`. True when the
    /// pressure begins with it.
    pub fn charge(&mut self, transport: TransportId, held: &mut usize, now: usize) -> bool {
        let before = core::mem::replace(held, now);
        let own = match self.by.iter().position(|(id, _)| *id == transport) {
            Some(at) => at,
            None => {
                self.by.push((transport, 0));
                self.by.len() - 1
            }
        };
        for total in [&mut self.by[own].1, &mut self.used] {
            *total = total.saturating_sub(before).saturating_add(now);
        }
        let was = self.pressed;
        self.pressed = self.used > self.pressure || (was && self.used > self.low);
        self.pressed && !was
    }

    /// Bytes held in all.
    #[must_use]
    pub const fn used(&self) -> usize {
        self.used
    }

    /// Bytes that one transport holds.
    #[must_use]
    pub fn used_by(&self, transport: TransportId) -> usize {
        let mut by = self.by.iter();
        by.find(|(id, _)| *id == transport).map_or(0, |(_, n)| *n)
    }

    /// Whether there is enough for buffers to grow without a second thought.
    #[must_use]
    pub const fn is_plenty(&self) -> bool {
        self.used < self.low
    }

    /// Whether the node is short of memory.
    #[must_use]
    pub const fn is_under_pressure(&self) -> bool {
        self.pressed
    }

    /// Whether nothing new may be taken.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.used >= self.high
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_begins_once_and_ends_below_the_low_mark() {
        let mut memory = Memory::new((1, 2, 3));
        let (mut tcp, mut udp) = (0, 0);
        assert!(!memory.charge(TransportId::TCP, &mut tcp, 2 * PAGE));
        assert!(memory.charge(TransportId::UDP, &mut udp, 1));
        assert!(!memory.charge(TransportId::UDP, &mut udp, PAGE));
        assert!(memory.is_under_pressure() && memory.is_full());
        let udp_only = memory.used_by(TransportId::UDP);
        assert_eq!((memory.used(), udp_only), (3 * PAGE, PAGE));
        assert!(!memory.charge(TransportId::TCP, &mut tcp, 10));
        assert!(memory.is_under_pressure() && !memory.is_full());
        memory.charge(TransportId::UDP, &mut udp, 0);
        assert!(!memory.is_under_pressure() && memory.is_plenty());
        assert_eq!((tcp, udp, memory.used()), (10, 0, 10));
        assert_eq!(memory.used_by(TransportId::RAW), 0);
    }
}
