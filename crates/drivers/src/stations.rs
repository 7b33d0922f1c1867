//! What a switch has learnt: which station is behind which port (IEEE 802.1D).

use sockeye_link::{Instant, MacAddr};
use std::collections::BTreeMap;
use std::time::Duration;

/// Stations that a switch remembers at most. Frames for further ones are flooded.
pub const STATIONS_MAX: usize = 4096;
/// How long a station is remembered without a frame from it (IEEE 802.1D's default).
pub const STATION_AGE_MAX: Duration = Duration::from_secs(300);
/// How often a full table is searched for stations to forget.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Stations and their ports.
#[derive(Debug, Default)]
pub(crate) struct Stations {
    table: BTreeMap<MacAddr, Station>,
    next_sweep: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Station {
    port: u32,
    seen: Instant,
}

impl Stations {
    /// The port that `address` was last seen at.
    pub(crate) fn port(&self, address: MacAddr) -> Option<u32> {
        self.table.get(&address).map(|station| station.port)
    }

    /// A frame from `address` came by `port`. False when the table is full and it is not learnt.
    pub(crate) fn learn(&mut self, now: Instant, address: MacAddr, port: u32) -> bool {
        if let Some(station) = self.table.get_mut(&address) {
            *station = Station { port, seen: now };
            return true;
        }
        if self.table.len() >= STATIONS_MAX && now >= self.next_sweep {
            self.next_sweep = now + SWEEP_INTERVAL;
            self.table
                .retain(|_, s| now.saturating_since(s.seen) < STATION_AGE_MAX);
        }
        if self.table.len() >= STATIONS_MAX {
            return false;
        }
        self.table.insert(address, Station { port, seen: now });
        true
    }

    /// Nobody is behind `port` any more.
    pub(crate) fn forget(&mut self, port: u32) {
        self.table.retain(|_, station| station.port != port);
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }
}
