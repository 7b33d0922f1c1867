//! Which socket a packet belongs to, and who may have which port.
//!
//! A transport keeps one [`Demux`] and in each socket the keys that socket has in it: any number
//! of [`Claim`]s (a port, held against others) and [`Flow`]s (a connected pair). Claims decide
//! what `bind` may do, by Linux's rules; entries decide who receives. Both are found by hash,
//! keyed from the node's randomness, so that nobody outside can aim at one bucket.
//!
//! Addresses in here are those of the wire: an IPv4-mapped IPv6 address is an IPv4 address, and a
//! link-local one carries its interface ([`Endpoint::scope`]).

mod flows;

use crate::{Error, InterfaceId, Rng, Route, SocketId};
use core::hash::{BuildHasher, Hash};
use flows::Flows;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use siphasher::sip::SipHasher13;
use smallvec::SmallVec;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// An address and port as on the wire.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct Endpoint {
    /// The address; never IPv4-mapped.
    pub ip: IpAddr,
    /// The port.
    pub port: u16,
    /// The interface of a link-local address (RFC 4007 §6); 0 for every other.
    pub scope: u32,
}

impl Endpoint {
    /// `ip` and `port`; mapped addresses become IPv4. A link-local address gets no scope: see
    /// [`Endpoint::on`].
    #[must_use]
    pub fn new(ip: IpAddr, port: u16) -> Self {
        Self {
            ip: ip.to_canonical(),
            port,
            scope: 0,
        }
    }

    /// As seen in a packet on `interface`, which becomes the scope of a link-local address.
    #[must_use]
    #[inline]
    pub fn on(interface: InterfaceId, ip: IpAddr, port: u16) -> Self {
        let mut endpoint = Self::new(ip, port);
        if is_scoped(endpoint.ip) {
            endpoint.scope = interface.0;
        }
        endpoint
    }

    /// Our end of a flow to `peer` by `route`. A link-local address is that of the peer's link,
    /// though the way to ourselves is the loopback.
    #[must_use]
    pub fn own(route: &Route, peer: Self, port: u16) -> Self {
        let link = peer.scope_interface().unwrap_or(route.interface);
        Self::on(link, route.source, port)
    }

    /// Whether the address is 0.0.0.0 or ::.
    #[must_use]
    pub fn is_unspecified(self) -> bool {
        self.ip.is_unspecified()
    }

    /// The interface that the scope names.
    #[must_use]
    pub fn scope_interface(self) -> Option<InterfaceId> {
        (self.scope != 0).then_some(InterfaceId(self.scope))
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(addr: SocketAddr) -> Self {
        let mut endpoint = Self::new(addr.ip(), addr.port());
        if let SocketAddr::V6(v6) = addr
            && is_scoped(endpoint.ip)
        {
            endpoint.scope = v6.scope_id();
        }
        endpoint
    }
}

impl From<Endpoint> for SocketAddr {
    fn from(endpoint: Endpoint) -> Self {
        match endpoint.ip {
            IpAddr::V4(ip) => (ip, endpoint.port).into(),
            IpAddr::V6(ip) => SocketAddrV6::new(ip, endpoint.port, 0, endpoint.scope).into(),
        }
    }
}

/// Whether an address means nothing without its interface: link-local unicast and groups of
/// interface-local and link-local scope (RFC 4007 §5, RFC 4291 §2.7).
#[must_use]
pub fn is_scoped(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(_) => false,
        IpAddr::V6(ip) => {
            let [a, b, ..] = ip.octets();
            (a == 0xfe && b & 0xc0 == 0x80) || (a == 0xff && matches!(b & 0x0f, 1 | 2))
        }
    }
}

/// A connected pair.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct Flow {
    /// Our end.
    pub local: Endpoint,
    /// The other end.
    pub remote: Endpoint,
}

/// Which addresses a binding without an address stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Family {
    /// IPv4 ones.
    V4,
    /// IPv6 ones (IPV6_V6ONLY).
    V6,
    /// Both: a dual-stack IPv6 socket.
    Both,
}

impl Family {
    /// Whether `ip` is of it.
    #[must_use]
    pub const fn contains(self, ip: IpAddr) -> bool {
        matches!(
            (self, ip),
            (Self::Both, _) | (Self::V4, IpAddr::V4(_)) | (Self::V6, IpAddr::V6(_))
        )
    }

    const fn meets(self, other: Self) -> bool {
        !matches!((self, other), (Self::V4, Self::V6) | (Self::V6, Self::V4))
    }
}

/// What a socket is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Binding {
    /// The address, or any of `family`.
    pub ip: Option<IpAddr>,
    /// The port; never 0.
    pub port: u16,
    /// The only interface it deals with: SO_BINDTODEVICE, or the scope of a link-local address.
    pub interface: Option<InterfaceId>,
    /// What an absent address stands for; the address's own family where there is one.
    pub family: Family,
}

impl Binding {
    /// A binding to `local`; `any` says what an unspecified address stands for.
    #[must_use]
    pub fn new(local: Endpoint, interface: Option<InterfaceId>, any: Family) -> Self {
        let interface = interface.or(local.scope_interface());
        if local.is_unspecified() {
            return Self {
                ip: None,
                port: local.port,
                interface,
                family: any,
            };
        }
        Self {
            ip: Some(local.ip),
            port: local.port,
            interface,
            family: match local.ip {
                IpAddr::V4(_) => Family::V4,
                IpAddr::V6(_) => Family::V6,
            },
        }
    }

    /// Whether a packet could be for both: the wildcard meets everything of its family.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let same_interface = match (self.interface, other.interface) {
            (Some(a), Some(b)) => a == b,
            _ => true,
        };
        let same_address = match (self.ip, other.ip) {
            (Some(a), Some(b)) => a == b,
            _ => self.family.meets(other.family),
        };
        self.port == other.port && same_interface && same_address
    }
}

/// How far a claim suffers others beside it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct Sharing {
    /// SO_REUSEADDR.
    pub reuse_address: bool,
    /// SO_REUSEPORT.
    pub reuse_port: bool,
    /// A stream socket in LISTEN: SO_REUSEADDR of others does not get past it.
    pub listening: bool,
    /// The port was chosen by connect, not by bind: other connections with other peers may have it
    /// too ([`Demux::may_connect`]).
    pub by_connect: bool,
}

/// A hold on a port. A socket keeps it and hands it back to [`Demux::release`] unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Claim {
    /// What is held.
    pub binding: Binding,
    /// Against whom.
    pub sharing: Sharing,
}

impl Claim {
    /// Whether a new claim `self` may not stand beside `held`, as in Linux's
    /// `inet_bind_conflict` and `udp_lib_lport_inuse`.
    #[must_use]
    pub fn conflicts(&self, held: &Self) -> bool {
        let both_reuse_address =
            self.sharing.reuse_address && held.sharing.reuse_address && !held.sharing.listening;
        let both_reuse_port = self.sharing.reuse_port && held.sharing.reuse_port;
        self.binding.overlaps(&held.binding) && !both_reuse_address && !both_reuse_port
    }
}

/// A map whose hash nobody outside can predict.
pub type KeyedMap<K, V> = HashMap<K, V, Keyed>;

/// Builds SipHash-1-3 hashers with a secret key.
#[derive(Clone, Debug)]
pub struct Keyed(u64, u64);

impl Keyed {
    /// A key from the node's randomness.
    pub fn new(rng: &mut Rng) -> Self {
        Self(rng.next_u64(), rng.next_u64())
    }
}

impl BuildHasher for Keyed {
    type Hasher = SipHasher13;
    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0, self.1)
    }
}

/// Sockets that receive under one key, the latest last.
type Receivers = SmallVec<[Receiver; 1]>;

#[derive(Clone, Copy, Debug)]
struct Receiver {
    id: SocketId,
    interface: Option<InterfaceId>,
    family: Family,
    reuse_port: bool,
}

impl Receiver {
    /// How well it fits a packet, as in Linux's `compute_score`: bound to the interface counts
    /// most, then an IPv4 socket before a dual-stack one.
    fn score(&self, ip: IpAddr, interface: InterfaceId) -> Option<u8> {
        if !self.family.contains(ip) || self.interface.is_some_and(|own| own != interface) {
            return None;
        }
        Some(u8::from(self.interface.is_some()) * 2 + u8::from(self.family != Family::Both))
    }
}

/// The tables of one transport.
#[derive(Debug)]
pub struct Demux {
    flows: Flows,
    bound: KeyedMap<(Option<IpAddr>, u16), Receivers>,
    /// Per port the distinct claims and how many sockets have each: a server's thousand
    /// connections are one line.
    claims: KeyedMap<u16, SmallVec<[(Claim, u32); 1]>>,
    group: Keyed,
}

impl Demux {
    /// Empty tables, keyed from `rng`.
    #[must_use]
    pub fn new(rng: &mut Rng) -> Self {
        Self {
            flows: Flows::new(Keyed::new(rng)),
            bound: HashMap::with_hasher(Keyed::new(rng)),
            claims: HashMap::with_hasher(Keyed::new(rng)),
            group: Keyed::new(rng),
        }
    }

    /// Takes a port for a socket, or says that others hold it against that.
    ///
    /// # Errors
    /// [`Error::AddressInUse`].
    pub fn claim(&mut self, claim: &Claim) -> Result<(), Error> {
        self.check(claim)?;
        self.share(claim);
        Ok(())
    }

    /// What [`claim`](Self::claim) would say.
    ///
    /// # Errors
    /// [`Error::AddressInUse`].
    pub fn check(&self, claim: &Claim) -> Result<(), Error> {
        let held = self.claims.get(&claim.binding.port);
        if held.is_some_and(|held| held.iter().any(|(other, _)| claim.conflicts(other))) {
            return Err(Error::AddressInUse);
        }
        Ok(())
    }

    /// Whether nothing at all that overlaps `binding` is held: what an ephemeral port wants.
    #[must_use]
    pub fn is_free(&self, binding: &Binding) -> bool {
        self.check(&Claim {
            binding: *binding,
            sharing: Sharing::default(),
        })
        .is_ok()
    }

    /// Whether an outgoing stream connection may take the port of `flow` that nobody chose: no
    /// socket was bound to it, and the pair is free. The claim that it then makes with
    /// [`share`](Self::share) says [`by_connect`](Sharing::by_connect).
    #[must_use]
    pub fn may_connect(&self, binding: &Binding, flow: &Flow) -> bool {
        let held = self.claims.get(&binding.port);
        let chosen = held.is_some_and(|held| {
            held.iter()
                .any(|(other, _)| !other.sharing.by_connect && other.binding.overlaps(binding))
        });
        !chosen && !self.has_flow(flow)
    }

    /// Counts one more socket under `claim` without asking: an accepted connection beside its
    /// listener, an outgoing connection whose pair is unique.
    pub fn share(&mut self, claim: &Claim) {
        let held = self.claims.entry(claim.binding.port).or_default();
        match held.iter_mut().find(|(other, _)| other == claim) {
            Some((_, count)) => *count += 1,
            None => held.push((*claim, 1)),
        }
    }

    /// Gives one hold back.
    pub fn release(&mut self, claim: &Claim) {
        let Entry::Occupied(mut entry) = self.claims.entry(claim.binding.port) else {
            debug_assert!(false, "a claim is released once");
            return;
        };
        let held = entry.get_mut();
        if let Some(at) = held.iter().position(|(other, _)| other == claim) {
            held[at].1 -= 1;
            if held[at].1 == 0 {
                held.remove(at);
            }
        } else {
            debug_assert!(false, "a claim is released as it was made");
        }
        if held.is_empty() {
            entry.remove();
        }
    }

    /// Changes how far `claim` is shared: options set after bind.
    pub fn reshare(&mut self, claim: &mut Claim, sharing: Sharing) {
        self.release(claim);
        claim.sharing = sharing;
        self.share(claim);
    }

    /// A stream socket goes to LISTEN: its claim is checked anew, since of several that share a
    /// port by SO_REUSEADDR one may listen.
    ///
    /// # Errors
    /// [`Error::AddressInUse`]; `claim` is as before then.
    pub fn listen(&mut self, claim: &mut Claim) -> Result<(), Error> {
        self.release(claim);
        let listening = Claim {
            sharing: Sharing {
                listening: true,
                ..claim.sharing
            },
            ..*claim
        };
        let result = self.check(&listening);
        if result.is_ok() {
            *claim = listening;
        }
        self.share(claim);
        result
    }

    /// From now on packets for the claim's binding go to `id`: a listener, a bound datagram socket.
    pub fn receive(&mut self, id: SocketId, claim: &Claim) {
        let Binding {
            ip,
            port,
            interface,
            family,
        } = claim.binding;
        self.bound.entry((ip, port)).or_default().push(Receiver {
            id,
            interface,
            family,
            reuse_port: claim.sharing.reuse_port,
        });
    }

    /// Ends [`receive`](Self::receive).
    pub fn stop_receiving(&mut self, id: SocketId, claim: &Claim) {
        let key = (claim.binding.ip, claim.binding.port);
        remove(&mut self.bound, key, id);
    }

    /// From now on packets of `flow` (by `interface`, where one is given) go to `id`. Several
    /// datagram sockets may have one flow; a stream asks [`has_flow`](Self::has_flow) before.
    pub fn connect(
        &mut self,
        id: SocketId,
        flow: Flow,
        interface: Option<InterfaceId>,
        reuse_port: bool,
    ) {
        let receiver = Receiver {
            id,
            interface,
            family: Family::Both,
            reuse_port,
        };
        self.flows.insert(&flow, receiver);
    }

    /// Ends [`connect`](Self::connect).
    pub fn disconnect(&mut self, id: SocketId, flow: Flow) {
        self.flows.remove(&flow, id);
    }

    /// Whether some socket has exactly this flow.
    #[must_use]
    pub fn has_flow(&self, flow: &Flow) -> bool {
        self.flows.contains(flow)
    }

    /// The socket connected as `flow`, and no other: what an ICMP error quotes.
    #[must_use]
    pub fn connected(&self, flow: &Flow, interface: InterfaceId) -> Option<SocketId> {
        self.best(&self.flows.get(flow)?, flow, interface)
    }

    /// All sockets connected as `flow`, whatever their interface: whom an error about it concerns.
    #[must_use]
    pub fn all_connected(&self, flow: &Flow) -> SmallVec<[SocketId; 4]> {
        let receivers = self.flows.get(flow).unwrap_or_default();
        receivers.iter().map(|receiver| receiver.id).collect()
    }

    /// Who gets a packet to `local` from `remote` that came by `interface`: the connected socket,
    /// else the one bound to the address, else one bound to any. Of sockets that share by
    /// SO_REUSEPORT the flow's hash chooses, of others the latest wins.
    #[must_use]
    pub fn lookup(
        &self,
        local: Endpoint,
        remote: Endpoint,
        interface: InterfaceId,
    ) -> Option<SocketId> {
        let flow = Flow { local, remote };
        self.connected(&flow, interface)
            .or_else(|| self.lookup_bound(&flow, interface))
    }

    /// Like [`lookup`](Self::lookup) without the connected ones: a stream's listener.
    #[must_use]
    pub fn lookup_bound(&self, flow: &Flow, interface: InterfaceId) -> Option<SocketId> {
        let Endpoint { ip, port, .. } = flow.local;
        [Some(ip), None].into_iter().find_map(|ip| {
            let receivers = self.bound.get(&(ip, port))?;
            self.best(receivers, flow, interface)
        })
    }

    /// Everyone who gets a packet to the group or broadcast address `local`.
    #[must_use]
    pub fn lookup_all(
        &self,
        local: Endpoint,
        remote: Endpoint,
        interface: InterfaceId,
    ) -> SmallVec<[SocketId; 4]> {
        let connected = self.flows.get(&Flow { local, remote });
        let bound = self.bound.get(&(Some(local.ip), local.port));
        let any = self.bound.get(&(None, local.port));
        [connected.as_ref(), bound, any]
            .into_iter()
            .flatten()
            .flatten()
            .filter(|receiver| receiver.score(local.ip, interface).is_some())
            .map(|receiver| receiver.id)
            .collect()
    }

    fn best(&self, receivers: &Receivers, flow: &Flow, interface: InterfaceId) -> Option<SocketId> {
        let score = |receiver: &&Receiver| receiver.score(flow.local.ip, interface);
        if let [only] = &receivers[..] {
            return score(&only).map(|_| only.id);
        }
        let best = receivers
            .iter()
            .filter(|receiver| score(receiver).is_some())
            .max_by_key(score)?;
        if !best.reuse_port {
            return Some(best.id);
        }
        self.of_group(receivers, flow, |receiver| score(&receiver) == score(&best))
    }

    /// The one that the flow's hash chooses of those that share by SO_REUSEPORT and are `alike`.
    fn of_group(
        &self,
        receivers: &Receivers,
        flow: &Flow,
        alike: impl Fn(&Receiver) -> bool,
    ) -> Option<SocketId> {
        let group = || receivers.iter().filter(|r| r.reuse_port && alike(r));
        let size = group().count() as u64;
        let pick = self.group.hash_one(flow).checked_rem(size)?;
        group().nth(usize::try_from(pick).ok()?).map(|r| r.id)
    }

    /// Who of the sockets that share `claim`'s binding by SO_REUSEPORT gets what is left of `flow`
    /// when one of them is gone.
    #[must_use]
    pub fn mate(&self, claim: &Claim, flow: &Flow) -> Option<SocketId> {
        let Binding {
            ip,
            port,
            interface,
            family,
        } = claim.binding;
        let receivers = self.bound.get(&(ip, port))?;
        self.of_group(receivers, flow, |receiver| {
            receiver.interface == interface && receiver.family == family
        })
    }
}

fn remove<K: Hash + Eq>(map: &mut KeyedMap<K, Receivers>, key: K, id: SocketId) {
    let Entry::Occupied(mut entry) = map.entry(key) else {
        debug_assert!(false, "an entry is removed once");
        return;
    };
    entry.get_mut().retain(|receiver| receiver.id != id);
    if entry.get().is_empty() {
        entry.remove();
    }
}

/// The IPv4-mapped form of `ip`, as an IPv6 socket shows an IPv4 peer.
#[must_use]
pub fn to_mapped(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

#[cfg(test)]
mod tests;
