//! PACKET_ADD_MEMBERSHIP: what the links of a node are to let through for its packet sockets.

use super::{Packets, SocketId};
use crate::{Context, Error, InterfaceId, MacAddr, Medium, OptionValue};
use std::collections::BTreeMap;

/// Memberships of one socket.
pub const MEMBERSHIPS_MAX: usize = 64;

/// What a membership lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Member {
    /// PACKET_MR_MULTICAST, PACKET_MR_UNICAST: what is sent to a station or a group.
    Station(MacAddr),
    /// PACKET_MR_PROMISC: everything.
    Promiscuous,
    /// PACKET_MR_ALLMULTI: what is sent to groups.
    AllGroups,
}

/// How often each is wanted of one link.
#[derive(Debug, Default)]
pub(super) struct Modes(BTreeMap<Member, usize>);

impl Modes {
    pub(super) fn join(&mut self, member: Member) {
        *self.0.entry(member).or_default() += 1;
    }

    pub(super) fn leave(&mut self, member: Member) {
        if let Some(count) = self.0.get_mut(&member) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&member);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether frames to `station` are let through.
    pub(super) fn pass(&self, station: MacAddr) -> bool {
        let wants = |member| self.0.contains_key(&member);
        wants(Member::Promiscuous)
            || station.is_multicast() && wants(Member::AllGroups)
            || wants(Member::Station(station))
    }
}

/// The memberships of one socket, in the order they were added; one may be there more than once.
#[derive(Debug, Default)]
pub(super) struct Memberships(Vec<(InterfaceId, Member)>);

impl Memberships {
    /// All of them, which are gone then.
    pub(super) fn take(&mut self) -> Vec<(InterfaceId, Member)> {
        std::mem::take(&mut self.0)
    }
}

impl Packets {
    /// Linux: ENODEV without the interface, EINVAL for an address that is none there.
    pub(super) fn add_membership(
        &mut self,
        cx: &Context<'_>,
        id: SocketId,
        value: &OptionValue,
    ) -> Result<(), Error> {
        let (interface, request) = request(value)?;
        let link = cx.inet.interface(interface).ok_or(Error::NoDevice)?;
        let is_ethernet = matches!(link.capabilities().medium, Medium::Ethernet(_));
        let Some(member) = request.member()? else {
            return Ok(());
        };
        let is_station = matches!(member, Member::Station(_));
        if is_station && !is_ethernet {
            return Err(Error::Invalid);
        }
        let memberships = &mut self.socket_mut(id)?.memberships.0;
        if memberships.len() >= MEMBERSHIPS_MAX {
            return Err(Error::NoBufferSpace);
        }
        memberships.push((interface, member));
        self.modes.entry(interface).or_default().join(member);
        Ok(())
    }

    /// Linux: what was not added is not missed.
    pub(super) fn drop_membership(
        &mut self,
        id: SocketId,
        value: &OptionValue,
    ) -> Result<(), Error> {
        let (interface, request) = request(value)?;
        let memberships = &mut self.socket_mut(id)?.memberships.0;
        if let Ok(Some(member)) = request.member()
            && let Some(at) = memberships.iter().position(|m| *m == (interface, member))
        {
            memberships.remove(at);
            self.unset(interface, member);
        }
        Ok(())
    }
}

/// Bytes of `struct packet_mreq` before the address.
const ADDRESS_AT: usize = 8;

/// What `struct packet_mreq` asks for.
struct Request {
    kind: u16,
    /// Bytes of the address.
    len: u16,
    address: MacAddr,
}

impl Request {
    /// By the numbers of linux/if_packet.h; Linux takes others, and does nothing about them.
    fn member(&self) -> Result<Option<Member>, Error> {
        Ok(Some(match (self.kind, self.len) {
            (_, 7..) => return Err(Error::Invalid),
            (0 | 3, 6) => Member::Station(self.address),
            (0 | 3, _) => return Err(Error::Invalid),
            (1, _) => Member::Promiscuous,
            (2, _) => Member::AllGroups,
            _ => return Ok(None),
        }))
    }
}

fn request(value: &OptionValue) -> Result<(InterfaceId, Request), Error> {
    let OptionValue::Bytes(bytes) = value else {
        return Err(Error::Invalid);
    };
    let &[a, b, c, d, kind_0, kind_1, len_0, len_1, ref address @ ..] =
        bytes.first_chunk::<16>().ok_or(Error::Invalid)?;
    let octets = address.first_chunk().copied().ok_or(Error::Invalid)?;
    let request = Request {
        kind: u16::from_ne_bytes([kind_0, kind_1]),
        len: u16::from_ne_bytes([len_0, len_1]),
        address: MacAddr(octets),
    };
    // Linux: an address has to lie within what is given.
    if bytes.len() < ADDRESS_AT + usize::from(request.len) {
        return Err(Error::Invalid);
    }
    Ok((InterfaceId(u32::from_ne_bytes([a, b, c, d])), request))
}
