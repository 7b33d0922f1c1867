//! Addresses of an interface and what they may be used for (RFC 4862 §2).

use super::dad::Detection;
use ipnet::IpNet;

/// What an address may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressState {
    /// Not yet known to be unique: nothing is received or sent by it.
    Tentative,
    /// Anything.
    Preferred,
    /// What is under way goes on; nothing new starts from it where there is another.
    Deprecated,
    /// Another node has it: nothing is received or sent by it (RFC 4862 §5.4.5).
    Duplicate,
}

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address, with the prefix length of its network.
    pub net: IpNet,
    /// What it may be used for.
    pub state: AddressState,
    /// The detection of duplicates, while it is under way.
    pub(super) detection: Option<Detection>,
    /// RFC 7217's DAD_Counter of an address that the node made itself.
    pub(super) generated: Option<u8>,
}

impl Address {
    pub(crate) fn preferred(net: IpNet) -> Self {
        Self {
            net,
            state: AddressState::Preferred,
            detection: None,
            generated: None,
        }
    }

    /// Whether packets may carry it.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        matches!(
            self.state,
            AddressState::Preferred | AddressState::Deprecated
        )
    }
}
