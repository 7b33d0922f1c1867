//! Ephemeral ports, chosen so that nobody outside can guess them (RFC 6056).
//!
//! A connection's port comes from Algorithm 4 (§3.3.4, double hash): two connections to different
//! peers tell nothing of each other, and one peer sees a port again as late as possible. A bind to
//! port 0 has no peer to hash, so it takes Algorithm 1 (§3.3.1): a random start.

use crate::demux::{Endpoint, Keyed};
use crate::{Config, Error, Rng};
use core::hash::BuildHasher;
use std::net::IpAddr;

/// Counters of Algorithm 4: more make it harder to learn of other connections.
const TABLE_LENGTH: usize = 256;

/// Chooses ephemeral ports for one transport.
#[derive(Debug)]
pub struct Ports {
    low: u16,
    high: u16,
    offset: Keyed,
    index: Keyed,
    table: Box<[u32; TABLE_LENGTH]>,
}

impl Ports {
    /// Ports of `config`'s range, by secrets from `rng`.
    #[must_use]
    pub fn new(config: &Config, rng: &mut Rng) -> Self {
        Self::with_range(config.local_ports, rng)
    }

    /// Ports from the first to the last of `range`, by secrets from `rng`; never 0.
    #[must_use]
    pub fn with_range((low, high): (u16, u16), rng: &mut Rng) -> Self {
        let low = low.max(1);
        // RFC 6056 §3.3.4: the counters start at random.
        let mut table = Box::new([0; TABLE_LENGTH]);
        table.fill_with(|| rng.next_u32());
        Self {
            low,
            high: high.max(low),
            offset: Keyed::new(rng),
            index: Keyed::new(rng),
            table,
        }
    }

    /// Takes ports of `config`'s range from now on.
    pub fn set_config(&mut self, config: &Config) {
        self.low = config.local_ports.0.max(1);
        self.high = config.local_ports.1.max(self.low);
    }

    /// RFC 6056 §3.3.1: a port for bind(0): the first from a random start on for which `free` says yes.
    ///
    /// # Errors
    /// [`Error::AddressInUse`] when there is none.
    pub fn for_bind(&self, rng: &mut Rng, free: impl FnMut(u16) -> bool) -> Result<u16, Error> {
        let start = rng.below(self.count());
        self.first_free(start, free).ok_or(Error::AddressInUse)
    }

    /// A port for a connection from `local` to `remote` for which `free` says yes.
    ///
    /// # Errors
    /// [`Error::AddressNotAvailable`] when there is none.
    pub fn for_connect(
        &mut self,
        local: IpAddr,
        remote: Endpoint,
        free: impl FnMut(u16) -> bool,
    ) -> Result<u16, Error> {
        let offset = low_half(self.offset.hash_one((local, remote)));
        let index = low_half(self.index.hash_one((local, remote))) as usize % TABLE_LENGTH;
        let count = self.count();
        let start = offset.wrapping_add(self.table[index]) % count;
        let port = self
            .first_free(start, free)
            .ok_or(Error::AddressNotAvailable)?;
        // RFC 6056 §3.3.4: the counter moves on by the ports that were tried.
        let found = u32::from(port - self.low);
        let tried = (found + count - start) % count + 1;
        self.table[index] = self.table[index].wrapping_add(tried);
        Ok(port)
    }

    fn count(&self) -> u32 {
        u32::from(self.high - self.low) + 1
    }

    fn first_free(&self, start: u32, mut free: impl FnMut(u16) -> bool) -> Option<u16> {
        let count = self.count();
        (0..count)
            .filter_map(|step| u16::try_from((start + step) % count).ok())
            .map(|offset| self.low + offset)
            .find(|&port| free(port))
    }
}

fn low_half(hash: u64) -> u32 {
    (hash & u64::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn ports(low: u16, high: u16) -> (Ports, Rng) {
        let mut rng = Rng::new([3; 32]);
        let config = Config {
            local_ports: (low, high),
            ..Config::default()
        };
        (Ports::new(&config, &mut rng), rng)
    }

    /// RFC 6056 §3.3.4.
    #[test]
    fn every_port_of_the_range_is_found_and_no_other() {
        let (mut ports, _) = ports(40_000, 40_099);
        let local = "10.0.0.1".parse().unwrap();
        let remote = Endpoint::new("10.0.0.2".parse().unwrap(), 80);
        let mut seen = BTreeSet::new();
        for _ in 0..100 {
            let port = ports
                .for_connect(local, remote, |p| !seen.contains(&p))
                .unwrap();
            assert!((40_000..=40_099).contains(&port));
            assert!(seen.insert(port));
        }
        let none = ports.for_connect(local, remote, |p| !seen.contains(&p));
        assert_eq!(none, Err(Error::AddressNotAvailable));
    }

    #[test]
    fn bind_says_in_use_when_all_are() {
        let (ports, mut rng) = ports(40_000, 40_001);
        assert!(ports.for_bind(&mut rng, |p| p == 40_001).is_ok());
        assert_eq!(
            ports.for_bind(&mut rng, |_| false),
            Err(Error::AddressInUse)
        );
    }

    /// RFC 6056 §3.3.4: the double hash.
    #[test]
    fn one_peer_sees_ports_in_sequence_and_two_peers_do_not_match() {
        let (mut ports, _) = ports(32_768, 60_999);
        let local = "fd00::1".parse().unwrap();
        let a = Endpoint::new("fd00::2".parse().unwrap(), 443);
        let b = Endpoint::new("fd00::3".parse().unwrap(), 443);
        let first = ports.for_connect(local, a, |_| true).unwrap();
        let second = ports.for_connect(local, a, |_| true).unwrap();
        let wrapped = if first == 60_999 { 32_768 } else { first + 1 };
        assert_eq!(second, wrapped);
        let other = ports.for_connect(local, b, |_| true).unwrap();
        assert!(other.abs_diff(second) > 1);
    }

    /// RFC 6056 §3.3.1: no port tells the next one.
    #[test]
    fn binds_start_anywhere() {
        let (ports, mut rng) = ports(32_768, 60_999);
        let found: Vec<u16> = (0..64)
            .map(|_| ports.for_bind(&mut rng, |_| true).unwrap())
            .collect();
        let follow = found.windows(2).filter(|two| two[0] + 1 == two[1]).count();
        assert!(follow < 2, "{found:?}");
        assert!(found.iter().any(|port| *port < 46_884) && found.iter().any(|port| *port > 46_884));
    }

    #[test]
    fn the_whole_port_space_works_as_a_range() {
        let (ports, mut rng) = ports(0, u16::MAX);
        for wanted in [1, 2, 65_535] {
            assert_eq!(ports.for_bind(&mut rng, |p| p == wanted), Ok(wanted));
        }
        assert!(ports.for_bind(&mut rng, |p| p == 0).is_err());
    }
}
