//! The groups that one socket has joined, and whom it hears in them: the calls of RFC 3678, with
//! the errors that Linux returns (ip(7), ipv6(7)).

use super::{FilterMode, SourceFilter};
use crate::{Context, Error, InterfaceId, RouteQuery};
use smallvec::SmallVec;
use std::net::IpAddr;

/// IPv6 groups that one socket may join (Linux: as many as `optmem_max` has room for).
pub const GROUPS_V6_MAX: usize = 256;

/// How the list of a group's sources changes. The first two make it a list of those that are heard,
/// the others one of those that are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SourceChange {
    /// IP_ADD_SOURCE_MEMBERSHIP, MCAST_JOIN_SOURCE_GROUP: hear one more; joins the group.
    Join,
    /// IP_DROP_SOURCE_MEMBERSHIP, MCAST_LEAVE_SOURCE_GROUP: hear one less; with the last one the
    /// group is left.
    Leave,
    /// IP_BLOCK_SOURCE, MCAST_BLOCK_SOURCE: hear one less.
    Block,
    /// IP_UNBLOCK_SOURCE, MCAST_UNBLOCK_SOURCE: hear it again.
    Unblock,
}

impl SourceChange {
    const fn mode(self) -> FilterMode {
        match self {
            Self::Join | Self::Leave => FilterMode::Include,
            Self::Block | Self::Unblock => FilterMode::Exclude,
        }
    }

    const fn adds(self) -> bool {
        matches!(self, Self::Join | Self::Block)
    }
}

/// One socket's groups.
#[derive(Debug, Default)]
pub struct Memberships(SmallVec<[Membership; 1]>);

#[derive(Debug)]
struct Membership {
    interface: InterfaceId,
    group: IpAddr,
    filter: SourceFilter,
    /// Sources were listed one by one. As on Linux the list then keeps its meaning when it is empty
    /// again.
    listed: bool,
}

impl Memberships {
    /// Joins `group` on `interface`, or on the one that its route leaves by.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is no group, [`Error::AddressInUse`] when it is joined there
    /// already, [`Error::NoBufferSpace`] beyond
    /// [`Config::igmp_max_memberships`](crate::Config::igmp_max_memberships) and
    /// [`GROUPS_V6_MAX`], [`Error::NoDevice`] without such an interface.
    pub fn join(
        &mut self,
        cx: &mut Context<'_>,
        group: IpAddr,
        interface: Option<InterfaceId>,
    ) -> Result<(), Error> {
        // As on Linux, for IPv6 one that is named by its route may be any.
        if group.is_ipv6() && group.is_multicast() && self.position(group, interface).is_some() {
            return Err(Error::AddressInUse);
        }
        let interface = find(cx, group, interface)?;
        if self.position(group, Some(interface)).is_some() {
            return Err(Error::AddressInUse);
        }
        self.add(cx, group, interface, SourceFilter::any_source())
    }

    /// Takes back [`join`](Self::join) of the same arguments, with all source filters.
    ///
    /// # Errors
    /// [`Error::AddressNotAvailable`] when it is not joined there, else as for `join`.
    pub fn leave(
        &mut self,
        cx: &mut Context<'_>,
        group: IpAddr,
        interface: Option<InterfaceId>,
    ) -> Result<(), Error> {
        let interface = self.named(cx, group, interface)?;
        let at = self.position(group, interface);
        self.remove(cx, at.ok_or(Error::AddressNotAvailable)?);
        Ok(())
    }

    /// Changes whether `source` is heard in `group`.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is no group, is not joined there (but for
    /// [`SourceChange::Join`]), or the list that it has means the opposite;
    /// [`Error::AddressNotAvailable`] when `source` is listed already, or to be taken out and is
    /// not; [`Error::NoBufferSpace`] beyond
    /// [`Config::igmp_max_msf`](crate::Config::igmp_max_msf) and
    /// [`Config::mld_max_msf`](crate::Config::mld_max_msf); and those of [`join`](Self::join).
    pub fn change(
        &mut self,
        cx: &mut Context<'_>,
        group: IpAddr,
        interface: Option<InterfaceId>,
        change: SourceChange,
        source: IpAddr,
    ) -> Result<(), Error> {
        if !group.is_multicast() || group.is_ipv4() != source.is_ipv4() {
            return Err(Error::Invalid);
        }
        let found = find(cx, group, interface)?;
        // A join names one interface, as everything does in IPv4; else any will do.
        let named = match interface {
            None if group.is_ipv6() => None,
            _ => Some(found),
        };
        let Some(at) = self.position(group, named) else {
            if change != SourceChange::Join {
                return Err(Error::Invalid);
            }
            let mut filter = SourceFilter::default();
            filter.sources.insert(source);
            return self.add(cx, group, found, filter);
        };
        let mut filter = self.0[at].filter.clone();
        if filter.mode != change.mode() {
            if self.0[at].listed {
                return Err(Error::Invalid);
            }
            filter.mode = change.mode();
        }
        if change.adds() && filter.sources.len() >= sources_max(cx, group) {
            return Err(Error::NoBufferSpace);
        }
        let changed = match change.adds() {
            true => filter.sources.insert(source),
            false => filter.sources.remove(&source),
        };
        if !changed {
            // Linux has the meaning changed by then.
            if filter.sources.is_empty() {
                self.replace(cx, at, filter)?;
            }
            return Err(Error::AddressNotAvailable);
        }
        // RFC 3376 §3.1: INCLUDE of nobody is not to be in the group.
        if filter.is_nobody() {
            self.remove(cx, at);
            return Ok(());
        }
        self.replace(cx, at, filter)?;
        self.0[at].listed = true;
        Ok(())
    }

    /// Replaces the whole filter of a joined group: IP_MSFILTER, MCAST_MSFILTER. INCLUDE of nobody
    /// leaves it.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is no group or not joined there, and those of
    /// [`change`](Self::change).
    pub fn set_filter(
        &mut self,
        cx: &mut Context<'_>,
        group: IpAddr,
        interface: Option<InterfaceId>,
        filter: SourceFilter,
    ) -> Result<(), Error> {
        if filter.sources.len() > sources_max(cx, group) {
            return Err(Error::NoBufferSpace);
        }
        if filter
            .sources
            .iter()
            .any(|s| s.is_ipv4() != group.is_ipv4())
        {
            return Err(Error::Invalid);
        }
        let found = find(cx, group, interface)?;
        if filter.is_nobody() {
            return self.leave(cx, group, interface);
        }
        let named = match interface {
            None if group.is_ipv6() => None,
            _ => Some(found),
        };
        let at = self.position(group, named).ok_or(Error::Invalid)?;
        let listed = !filter.sources.is_empty();
        self.replace(cx, at, filter)?;
        self.0[at].listed = listed;
        Ok(())
    }

    /// The filter of a joined group.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is no group, [`Error::AddressNotAvailable`] when it is not joined
    /// there, [`Error::NoDevice`].
    pub fn filter(
        &self,
        cx: &Context<'_>,
        group: IpAddr,
        interface: Option<InterfaceId>,
    ) -> Result<&SourceFilter, Error> {
        let interface = find(cx, group, interface)?;
        let at = self.position(group, Some(interface));
        let at = at.ok_or(Error::AddressNotAvailable)?;
        Ok(&self.0[at].filter)
    }

    /// Leaves all: the socket is closed.
    pub fn leave_all(&mut self, cx: &mut Context<'_>) {
        while !self.0.is_empty() {
            self.remove(cx, self.0.len() - 1);
        }
    }

    /// Whether the socket hears `source` in `group` on `interface`. What it has not joined itself
    /// but others have it hears if `all` (IP_MULTICAST_ALL, IPV6_MULTICAST_ALL).
    ///
    /// As on Linux the filter of an IPv6 group holds for all interfaces: the one joined last.
    #[must_use]
    pub fn hear(&self, group: IpAddr, source: IpAddr, interface: InterfaceId, all: bool) -> bool {
        let mut joined = self.0.iter().rev();
        let joined =
            joined.find(|m| m.group == group && (m.interface == interface || m.group.is_ipv6()));
        joined.map_or(all, |joined| joined.filter.admits(source))
    }

    /// The groups, in the order they were joined.
    pub fn groups(&self) -> impl Iterator<Item = (InterfaceId, IpAddr)> {
        self.0.iter().map(|joined| (joined.interface, joined.group))
    }

    /// The interface that a call which leaves means. For IPv4 it is that of the route where none is
    /// named; for IPv6 it may be any.
    fn named(
        &self,
        cx: &Context<'_>,
        group: IpAddr,
        interface: Option<InterfaceId>,
    ) -> Result<Option<InterfaceId>, Error> {
        match (group, interface) {
            (IpAddr::V6(v6), _) if !v6.is_multicast() => Err(Error::Invalid),
            (IpAddr::V4(_), None) => by_route(cx, group).map(Some),
            _ => Ok(interface),
        }
    }

    fn position(&self, group: IpAddr, interface: Option<InterfaceId>) -> Option<usize> {
        self.0
            .iter()
            .position(|m| m.group == group && interface.is_none_or(|i| i == m.interface))
    }

    pub(super) fn add(
        &mut self,
        cx: &mut Context<'_>,
        group: IpAddr,
        interface: InterfaceId,
        filter: SourceFilter,
    ) -> Result<(), Error> {
        let max = match group {
            IpAddr::V4(_) => cx.config.igmp_max_memberships,
            IpAddr::V6(_) => GROUPS_V6_MAX,
        };
        let same_family = self
            .0
            .iter()
            .filter(|m| m.group.is_ipv4() == group.is_ipv4());
        if same_family.count() >= max {
            return Err(Error::NoBufferSpace);
        }
        super::listen(cx, interface, group, None, Some(&filter))?;
        let listed = !filter.sources.is_empty();
        self.0.push(Membership {
            interface,
            group,
            filter,
            listed,
        });
        Ok(())
    }

    fn replace(
        &mut self,
        cx: &mut Context<'_>,
        at: usize,
        filter: SourceFilter,
    ) -> Result<(), Error> {
        let joined = &mut self.0[at];
        let (interface, group) = (joined.interface, joined.group);
        super::listen(cx, interface, group, Some(&joined.filter), Some(&filter))?;
        joined.filter = filter;
        Ok(())
    }

    fn remove(&mut self, cx: &mut Context<'_>, at: usize) {
        let left = self.0.remove(at);
        // Without the interface there is nobody to tell.
        let _ = super::listen(cx, left.interface, left.group, Some(&left.filter), None);
    }
}

/// The interface that is meant: by name, else by the group's route.
fn find(
    cx: &Context<'_>,
    group: IpAddr,
    interface: Option<InterfaceId>,
) -> Result<InterfaceId, Error> {
    if !group.is_multicast() {
        return Err(Error::Invalid);
    }
    if let Some(interface) = interface {
        cx.inet.interface(interface).ok_or(Error::NoDevice)?;
        return Ok(interface);
    }
    by_route(cx, group)
}

fn by_route(cx: &Context<'_>, group: IpAddr) -> Result<InterfaceId, Error> {
    let query = RouteQuery {
        destination: group,
        source: None,
        interface: None,
        foreign_source: false,
    };
    let route = cx.inet.route(&query).map_err(|_| Error::NoDevice)?;
    Ok(route.interface)
}

fn sources_max(cx: &Context<'_>, group: IpAddr) -> usize {
    match group {
        IpAddr::V4(_) => cx.config.igmp_max_msf,
        IpAddr::V6(_) => cx.config.mld_max_msf,
    }
}
