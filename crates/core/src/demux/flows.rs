//! Connected pairs, a few words each: a server may have a million of them.
//!
//! The addresses of a family lie in a map of their own, so that an IPv4 pair takes 28 bytes. One socket
//! has a pair, as a rule; where several have it, the others are elsewhere.

use super::{Endpoint, Family, Flow, Keyed, KeyedMap, Receiver, Receivers};
use crate::{InterfaceId, SocketId};
use core::hash::Hash;
use hashbrown::hash_map::Entry;
use std::net::IpAddr;

/// An IPv4 pair: addresses and ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct V4([u8; 8], [u16; 2]);

/// Any other pair, IPv4 addresses mapped, which those of an [`Endpoint`] never are: addresses, scopes
/// and ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct V6([u16; 16], [u16; 4], [u16; 2]);

enum Key {
    V4(V4),
    V6(V6),
}

impl Key {
    fn of(flow: &Flow) -> Self {
        let Flow { local, remote } = flow;
        let ports = [local.port, remote.port];
        if let (IpAddr::V4(own), IpAddr::V4(peer)) = (local.ip, remote.ip)
            && (local.scope, remote.scope) == (0, 0)
        {
            let ([a, b, c, d], [e, f, g, h]) = (own.octets(), peer.octets());
            return Self::V4(V4([a, b, c, d, e, f, g, h], ports));
        }
        let mut addresses = [0; 16];
        let own = super::to_mapped(local.ip).segments();
        addresses[..8].copy_from_slice(&own);
        addresses[8..].copy_from_slice(&super::to_mapped(remote.ip).segments());
        let halves = |Endpoint { scope, .. }: &Endpoint| [(scope >> 16) as u16, *scope as u16];
        let ([a, b], [c, d]) = (halves(local), halves(remote));
        Self::V6(V6(addresses, [a, b, c, d], ports))
    }
}

/// The first socket of a pair.
#[derive(Clone, Copy, Debug)]
struct First {
    id: SocketId,
    /// The interface that it is tied to; 0 is none's number.
    interface: u32,
    reuse_port: bool,
    /// There are others.
    more: bool,
}

impl First {
    fn of(receiver: &Receiver) -> Self {
        Self {
            id: receiver.id,
            interface: receiver.interface.map_or(0, |id| id.0),
            reuse_port: receiver.reuse_port,
            more: false,
        }
    }

    fn receiver(self) -> Receiver {
        Receiver {
            id: self.id,
            interface: (self.interface != 0).then_some(InterfaceId(self.interface)),
            family: Family::Both,
            reuse_port: self.reuse_port,
        }
    }
}

/// Who receives what of which connected pair.
#[derive(Debug)]
pub(super) struct Flows {
    v4: KeyedMap<V4, First>,
    v6: KeyedMap<V6, First>,
    /// All but the first of a pair, the latest last.
    more: KeyedMap<Flow, Receivers>,
}

impl Flows {
    pub(super) fn new(key: Keyed) -> Self {
        Self {
            v4: KeyedMap::with_hasher(key.clone()),
            v6: KeyedMap::with_hasher(key.clone()),
            more: KeyedMap::with_hasher(key),
        }
    }

    fn first(&self, flow: &Flow) -> Option<&First> {
        match Key::of(flow) {
            Key::V4(key) => self.v4.get(&key),
            Key::V6(key) => self.v6.get(&key),
        }
    }

    pub(super) fn contains(&self, flow: &Flow) -> bool {
        self.first(flow).is_some()
    }

    /// Those of `flow`, the latest last.
    pub(super) fn get(&self, flow: &Flow) -> Option<Receivers> {
        let first = self.first(flow)?;
        let mut all = Receivers::new();
        all.push(first.receiver());
        if first.more {
            all.extend(self.more.get(flow).into_iter().flatten().copied());
        }
        Some(all)
    }

    pub(super) fn insert(&mut self, flow: &Flow, receiver: Receiver) {
        let first = First::of(&receiver);
        let others = match Key::of(flow) {
            Key::V4(key) => Self::enter(&mut self.v4, key, first),
            Key::V6(key) => Self::enter(&mut self.v6, key, first),
        };
        if others {
            self.more.entry(*flow).or_default().push(receiver);
        }
    }

    /// Whether others are first.
    fn enter<K: Hash + Eq>(map: &mut KeyedMap<K, First>, key: K, first: First) -> bool {
        match map.entry(key) {
            Entry::Occupied(mut held) => {
                held.get_mut().more = true;
                true
            }
            Entry::Vacant(free) => {
                free.insert(first);
                false
            }
        }
    }

    pub(super) fn remove(&mut self, flow: &Flow, id: SocketId) {
        let mut left = self.get(flow).unwrap_or_default();
        debug_assert!(
            left.iter().any(|receiver| receiver.id == id),
            "an entry is removed once"
        );
        left.retain(|receiver| receiver.id != id);
        let mut left = left.into_iter();
        let first = left.next().map(|first| First {
            more: left.len() > 0,
            ..First::of(&first)
        });
        match Key::of(flow) {
            Key::V4(key) => Self::put(&mut self.v4, key, first),
            Key::V6(key) => Self::put(&mut self.v6, key, first),
        }
        if left.len() > 0 {
            self.more.insert(*flow, left.collect());
        } else if !self.more.is_empty() {
            self.more.remove(flow);
        }
    }

    fn put<K: Hash + Eq>(map: &mut KeyedMap<K, First>, key: K, first: Option<First>) {
        match first {
            Some(first) => map.insert(key, first),
            None => map.remove(&key),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_takes_little() {
        assert_eq!(size_of::<(V4, First)>(), 28);
        assert!(size_of::<(V6, First)>() <= 60);
    }
}
