//! What two sides know of each other.

/// What the peer's INIT or INIT ACK says that it knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Abilities {
    pub(crate) ecn: bool,
    pub(crate) forward_tsn: bool,
    pub(crate) interleaving: bool,
    pub(crate) reconfiguration: bool,
    pub(crate) address_configuration: bool,
    pub(crate) authentication: bool,
    pub(crate) adaptation: Option<u32>,
    /// The alternate error detection method under which it takes packets without a checksum.
    pub(crate) zero_checksum: Option<u32>,
}
