//! The groups that one socket has joined. What the interface then listens to is
//! [`Inet::join_group`](crate::Inet::join_group)'s; who of a node's sockets gets a group's packets
//! is the [`Demux`](crate::Demux)'s: as on Linux (IP_MULTICAST_ALL), everyone bound to its port.

use crate::{Context, Error, InterfaceId, RouteQuery};
use smallvec::SmallVec;
use std::net::IpAddr;

/// IPv4 groups that one socket may join (Linux: `igmp_max_memberships`).
pub const GROUPS_V4_MAX: usize = 20;
/// IPv6 groups that one socket may join.
pub const GROUPS_V6_MAX: usize = 256;

/// One socket's groups.
#[derive(Debug, Default)]
pub struct Memberships(SmallVec<[(InterfaceId, IpAddr); 1]>);

impl Memberships {
    /// Joins `group` on `interface`, or on the one that its route leaves by.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is no group, [`Error::AddressInUse`] when it is joined there
    /// already, [`Error::NoBufferSpace`] beyond [`GROUPS_V4_MAX`] and [`GROUPS_V6_MAX`],
    /// [`Error::NoDevice`] without such an interface.
    pub fn join(
        &mut self,
        cx: &mut Context<'_>,
        group: IpAddr,
        interface: Option<InterfaceId>,
    ) -> Result<(), Error> {
        let key = Self::find(cx, group, interface)?;
        if self.0.contains(&key) {
            return Err(Error::AddressInUse);
        }
        let max = if group.is_ipv4() {
            GROUPS_V4_MAX
        } else {
            GROUPS_V6_MAX
        };
        let joined = self
            .0
            .iter()
            .filter(|(_, g)| g.is_ipv4() == group.is_ipv4());
        if joined.count() >= max {
            return Err(Error::NoBufferSpace);
        }
        cx.inet.join_group(key.0, key.1)?;
        self.0.push(key);
        Ok(())
    }

    /// Takes back [`join`](Self::join) of the same arguments.
    ///
    /// # Errors
    /// [`Error::AddressNotAvailable`] when it is not joined there, else as for `join`.
    pub fn leave(
        &mut self,
        cx: &mut Context<'_>,
        group: IpAddr,
        interface: Option<InterfaceId>,
    ) -> Result<(), Error> {
        let of_group = |(_, g): &&(InterfaceId, IpAddr)| *g == group;
        let key = match (interface, self.0.iter().find(of_group)) {
            (None, Some(&key)) => key,
            _ => Self::find(cx, group, interface)?,
        };
        let at = self.0.iter().position(|k| *k == key);
        self.0.remove(at.ok_or(Error::AddressNotAvailable)?);
        cx.inet.leave_group(key.0, key.1);
        Ok(())
    }

    /// Leaves all: the socket is closed.
    pub fn leave_all(&mut self, cx: &mut Context<'_>) {
        for (interface, group) in self.0.drain(..) {
            cx.inet.leave_group(interface, group);
        }
    }

    /// The groups, in the order they were joined.
    #[must_use]
    pub fn groups(&self) -> &[(InterfaceId, IpAddr)] {
        &self.0
    }

    fn find(
        cx: &Context<'_>,
        group: IpAddr,
        interface: Option<InterfaceId>,
    ) -> Result<(InterfaceId, IpAddr), Error> {
        if !group.is_multicast() {
            return Err(Error::Invalid);
        }
        if let Some(interface) = interface {
            return Ok((interface, group));
        }
        let query = RouteQuery {
            destination: group,
            source: None,
            interface: None,
            foreign_source: false,
        };
        let route = cx.inet.route(&query).map_err(|_| Error::NoDevice)?;
        Ok((route.interface, group))
    }
}
