//! Addresses of an interface and what they may be used for (RFC 4862 §2).

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
}

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address, with the prefix length of its network.
    pub net: IpNet,
    /// What it may be used for.
    pub state: AddressState,
}

impl Address {
    pub(crate) fn preferred(net: IpNet) -> Self {
        Self {
            net,
            state: AddressState::Preferred,
        }
    }

    /// Whether packets may carry it.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.state != AddressState::Tentative
    }
}
