//! Addresses of an interface and what they may be used for (RFC 4862 §2).

use super::dad::Detection;
use crate::Instant;
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

/// Where an address comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressOrigin {
    /// The node's owner gave it.
    Given,
    /// The node made it for the link (RFC 4291 §2.5.6).
    LinkLocal,
    /// The node made it of a router's prefix (RFC 4862 §5.5).
    Autoconf,
    /// The node made it of a router's prefix, and for a while (RFC 8981).
    Temporary,
    /// A server leases it (RFC 2131).
    Dhcp,
}

/// Until when an address is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// Then it is deprecated.
    pub preferred_until: Instant,
    /// Then it is gone.
    pub valid_until: Instant,
}

impl Lifetime {
    /// No end.
    pub const FOREVER: Self = Self {
        preferred_until: Instant::FAR,
        valid_until: Instant::FAR,
    };
}

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address, with the prefix length of its network.
    pub net: IpNet,
    /// What it may be used for.
    pub state: AddressState,
    /// Where it comes from.
    pub origin: AddressOrigin,
    /// Until when it is good.
    pub lifetime: Lifetime,
    /// Its network is on the link. An address made of a prefix does not say so (RFC 5942 §4).
    pub(crate) connected: bool,
    /// The detection of duplicates, while it is under way.
    pub(super) detection: Option<Detection>,
    /// RFC 7217's DAD_Counter of an address that the node made itself; of a temporary one, how
    /// often it was made anew.
    pub(super) generated: Option<u8>,
    /// Of a temporary address: its longest lifetime, and whether its successor was made.
    pub(super) temporary: Option<(Lifetime, bool)>,
    /// When somebody else last claimed it (RFC 5227 §2.4).
    pub(super) defended: Option<Instant>,
}

impl Address {
    pub(crate) fn preferred(net: IpNet) -> Self {
        Self {
            net,
            state: AddressState::Preferred,
            origin: AddressOrigin::Given,
            lifetime: Lifetime::FOREVER,
            connected: true,
            detection: None,
            generated: None,
            temporary: None,
            defended: None,
        }
    }

    /// One that a server leases for `lifetime`.
    #[must_use]
    pub fn leased(net: IpNet, lifetime: Lifetime) -> Self {
        Self {
            origin: AddressOrigin::Dhcp,
            lifetime,
            ..Self::preferred(net)
        }
    }

    /// The state of a unique address at `now`.
    pub(super) fn ripe(&self, now: Instant) -> AddressState {
        match self.lifetime.preferred_until > now {
            true => AddressState::Preferred,
            false => AddressState::Deprecated,
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
