//! Names of sockets inside a node.

/// Which transport a socket belongs to: the IP protocol number, with a few of our own above 255.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct TransportId(pub u16);

impl TransportId {
    /// ICMP and ICMPv6 echo ("ping") sockets.
    pub const PING: Self = Self(1);
    /// TCP.
    pub const TCP: Self = Self(6);
    /// UDP.
    pub const UDP: Self = Self(17);
    /// DCCP.
    pub const DCCP: Self = Self(33);
    /// SCTP.
    pub const SCTP: Self = Self(132);
    /// UDP-Lite.
    pub const UDPLITE: Self = Self(136);
    /// Raw IP sockets.
    pub const RAW: Self = Self(256);
    /// Packet sockets.
    pub const PACKET: Self = Self(257);
    /// Node-internal (Unix) sockets.
    pub const UNIX: Self = Self(258);
}

/// A socket within its transport: a slot and the generation that used it. A stale one finds
/// nothing, never another socket.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct SocketId {
    index: u32,
    generation: u32,
}

impl SocketId {
    /// Stands for a transport's queue of intercepted flows, where a [`Handle`] is wanted.
    pub const INTERCEPT: Self = Self {
        index: u32::MAX,
        generation: 0,
    };

    /// A number that no other socket of the transport has or had: SO_COOKIE.
    #[must_use]
    pub const fn cookie(self) -> u64 {
        ((self.generation as u64) << 32 | self.index as u64) + 1
    }

    /// The slot's number: dense, reused.
    #[must_use]
    pub const fn index(self) -> u32 {
        self.index
    }
}

/// A socket of a node.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct Handle {
    /// Its transport.
    pub transport: TransportId,
    /// Which of the transport's sockets.
    pub id: SocketId,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

/// Values under [`SocketId`]s, in slots that are reused.
#[derive(Debug)]
pub struct Slab<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    len: usize,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            len: 0,
        }
    }
}

impl<T> Slab<T> {
    /// Keeps `value` and names it.
    ///
    /// # Panics
    /// With 2³² - 1 values in it; callers have a limit far below.
    pub fn insert(&mut self, value: T) -> SocketId {
        self.len += 1;
        if let Some(index) = self.free.pop() {
            let slot = &mut self.slots[index as usize];
            slot.value = Some(value);
            return SocketId {
                index,
                generation: slot.generation,
            };
        }
        let index = u32::try_from(self.slots.len()).expect("fewer than 2^32 sockets");
        self.slots.push(Slot {
            generation: 0,
            value: Some(value),
        });
        SocketId {
            index,
            generation: 0,
        }
    }

    /// The value under `id`, if it is still there.
    #[must_use]
    pub fn get(&self, id: SocketId) -> Option<&T> {
        let slot = self.slots.get(id.index as usize)?;
        slot.value
            .as_ref()
            .filter(|_| slot.generation == id.generation)
    }

    /// The value under `id`, if it is still there.
    pub fn get_mut(&mut self, id: SocketId) -> Option<&mut T> {
        let slot = self.slots.get_mut(id.index as usize)?;
        slot.value
            .as_mut()
            .filter(|_| slot.generation == id.generation)
    }

    /// Takes the value out and frees its slot.
    pub fn remove(&mut self, id: SocketId) -> Option<T> {
        let slot = self.slots.get_mut(id.index as usize)?;
        if slot.generation != id.generation {
            return None;
        }
        let value = slot.value.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(id.index);
        self.len -= 1;
        Some(value)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All, in slot order.
    pub fn iter(&self) -> impl Iterator<Item = (SocketId, &T)> {
        (0..).zip(&self.slots).filter_map(|(index, slot)| {
            let id = SocketId {
                index,
                generation: slot.generation,
            };
            slot.value.as_ref().map(|value| (id, value))
        })
    }

    /// All, in slot order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (SocketId, &mut T)> {
        (0..).zip(&mut self.slots).filter_map(|(index, slot)| {
            let id = SocketId {
                index,
                generation: slot.generation,
            };
            slot.value.as_mut().map(|value| (id, value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_id_finds_nothing() {
        let mut slab = Slab::default();
        let a = slab.insert('a');
        assert_eq!(slab.remove(a), Some('a'));
        let b = slab.insert('b');
        assert_eq!(b.index(), a.index());
        assert_eq!(slab.get(a), None);
        assert_eq!(slab.remove(a), None);
        assert_eq!(slab.get(b), Some(&'b'));
        assert_eq!(slab.len(), 1);
    }
}
