//! Dynamic addresses (RFC 5061): either side adds and strikes addresses of its own, or says which one
//! the other should prefer, while the association stands.
//!
//! - What is kept, and how chunks are numbered: here.
//! - Our own changes (§5.1, §5.3): `own`.
//! - The peer's (§5.2, §5.3): `requests`; what becomes of its addresses: `paths`.
//!
//! All of it goes behind AUTH chunks (RFC 4895) and is taken behind them alone; an association
//! without authentication has none of it.

mod own;
mod paths;
mod requests;

use crate::tcb::Addresses;
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::net::IpAddr;

/// Changes of ours that wait at most.
pub(crate) const CHANGES_MAX: usize = 64;
/// Requests of the peer whose answers are kept.
const ANSWERS_MAX: usize = 8;

/// A change of our addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The peer may use this address.
    Add(IpAddr),
    /// It may no longer.
    Delete(IpAddr),
    /// It is to send here by preference.
    SetPrimary(IpAddr),
}

/// An ASCONF chunk that was sent and is not answered.
#[derive(Debug)]
struct Flight {
    serial: u32,
    /// The chunk, as it goes again (§5.1 B4).
    chunk: Vec<u8>,
    /// Its requests by their correlation.
    changes: SmallVec<[(u32, Change); 4]>,
    /// The path that it went by.
    path: usize,
}

/// The changes of addresses of an association.
#[derive(Debug)]
pub(crate) struct AddressConfiguration {
    /// The serial number of our next chunk.
    next: u32,
    /// That of the peer's last.
    peer_last: u32,
    correlation: u32,
    wanted: VecDeque<Change>,
    flight: Option<Flight>,
    /// The peer's last chunks, and their answers.
    answers: VecDeque<(u32, Vec<u8>)>,
    /// Addresses of ours that the peer has not confirmed to have added: packets to them are taken,
    /// none is sent from them (§5.3 F1).
    joining: Addresses,
    /// Those that it has not confirmed to have struck (F4).
    leaving: Addresses,
    /// Our last address, which the node has lost, until it gets another.
    lost: Option<IpAddr>,
    /// The peer does not know ASCONF (§5.1 A9).
    refused: bool,
}

impl AddressConfiguration {
    /// RFC 5061 §5.1 A2: chunks are numbered from the initial TSN on.
    pub(crate) fn new(local_tsn: u32, peer_tsn: u32) -> Self {
        Self {
            next: local_tsn,
            peer_last: peer_tsn.wrapping_sub(1),
            correlation: 0,
            wanted: VecDeque::new(),
            flight: None,
            answers: VecDeque::new(),
            joining: Addresses::new(),
            leaving: Addresses::new(),
            lost: None,
            refused: false,
        }
    }

    /// Whether this address of ours is being struck: §5.3 F4: an ABORT that comes to it does not count.
    pub(crate) fn is_leaving(&self, ip: IpAddr) -> bool {
        self.leaving.contains(&ip)
    }

    /// Whether packets to this address of ours are the association's although it is not, or no
    /// longer, one of its sources.
    pub(crate) fn receives_at(&self, ip: IpAddr) -> bool {
        self.joining.contains(&ip) || self.leaving.contains(&ip)
    }
}
