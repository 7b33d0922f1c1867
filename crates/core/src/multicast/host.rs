//! What one interface keeps of one protocol, IGMP or MLD: groups, what is to be reported of them,
//! and the queriers that were heard.

use super::compat::{Mode, Queriers};
use super::listeners::Listeners;
use super::{Protocol, SourceFilter};
use crate::config::FamilySettings;
use crate::{Config, Error, Instant, Rng};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Groups that one interface may listen to in each family (Linux limits sockets alone).
pub const GROUPS_MAX: usize = 4096;
/// Sources of one group that the sockets of a node may list in all.
pub const GROUP_SOURCES_MAX: usize = 4096;
/// The least time between answers to queries, whatever a querier asks for: it bounds what a storm
/// of queries makes a host say.
pub(super) const ANSWER_GAP: Duration = Duration::from_millis(100);

/// One protocol on one interface, as a host speaks it.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) protocol: Protocol,
    pub(super) groups: BTreeMap<IpAddr, Group>,
    pub(super) queriers: Queriers,
    /// When a general query is to be answered (RFC 3376 §5.2: the interface timer).
    pub(super) general: Option<Instant>,
    /// See [`ANSWER_GAP`].
    pub(super) answer_from: Instant,
    /// Not after what is due first; perhaps before it.
    next: Option<Instant>,
}

/// One group of an interface.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) listeners: Listeners,
    pub(super) changes: Changes,
    pub(super) answer: Option<Answer>,
    /// Of all hosts, this one was the last to report the group (RFC 2236 §6).
    pub(super) last_reporter: bool,
}

/// What routers are still to be told of a change (RFC 3376 §5.1). All counts are of reports.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Reports that tell of a changed filter mode; in older versions, plain reports.
    pub(super) mode: u8,
    /// Sources that changed, and the reports that include each.
    pub(super) sources: BTreeMap<IpAddr, u8>,
    /// When the next report is due.
    pub(super) at: Option<Instant>,
}

/// A query about one group that waits for its answer (RFC 3376 §5.2: the group timer).
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) at: Instant,
    /// The sources that were asked for; none for the group as a whole.
    pub(super) sources: BTreeSet<IpAddr>,
}

/// What a step needs beside the host itself.
pub(super) struct Env<'a> {
    pub(super) now: Instant,
    pub(super) rng: &'a mut Rng,
    pub(super) config: &'a Config,
    /// Those of the interface, for the protocol's family.
    pub(super) settings: FamilySettings,
}

impl Env<'_> {
    /// A moment at random within `span` from now.
    pub(super) fn within(&mut self, span: Duration) -> Instant {
        let micros = u32::try_from(span.as_micros()).unwrap_or(u32::MAX);
        self.now + Duration::from_micros(self.rng.below(micros).into())
    }
}

impl Host {
    pub(super) fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            groups: BTreeMap::new(),
            queriers: Queriers::default(),
            general: None,
            answer_from: Instant::ZERO,
            next: None,
        }
    }

    pub(super) fn mode(&self, env: &Env<'_>) -> Mode {
        self.queriers
            .mode(self.protocol, env.now, env.settings.force_version)
    }

    /// Replaces one listener's filter of `group` by another; none is that of nobody.
    ///
    /// # Errors
    /// [`Error::NoBufferSpace`] beyond [`GROUPS_MAX`] and [`GROUP_SOURCES_MAX`]; nothing has
    /// changed then.
    pub(super) fn listen(
        &mut self,
        env: &mut Env<'_>,
        group: IpAddr,
        old: Option<&SourceFilter>,
        new: Option<&SourceFilter>,
    ) -> Result<(), Error> {
        let full = self.groups.len() >= GROUPS_MAX && !self.groups.contains_key(&group);
        if full && new.is_some() {
            return Err(Error::NoBufferSpace);
        }
        let entry = self.groups.entry(group).or_default();
        if let Some(new) = new
            && entry.listeners.listed() + entry.listeners.new_sources(new) > GROUP_SOURCES_MAX
        {
            return Err(Error::NoBufferSpace);
        }
        let before = entry.listeners.merged();
        let was_empty = entry.listeners.is_empty();
        // The new one first: a group that stays is never left in between.
        if let Some(new) = new {
            entry.listeners.add(new);
        }
        if let Some(old) = old {
            entry.listeners.remove(old);
        }
        let after = entry.listeners.merged();
        let is_empty = entry.listeners.is_empty();
        self.changed(env, group, (was_empty, &before), (is_empty, &after));
        self.forget_if_done(group);
        Ok(())
    }

    /// Whether somebody listens to `group`.
    pub(super) fn has(&self, group: IpAddr) -> bool {
        let group = self.groups.get(&group);
        group.is_some_and(|group| !group.listeners.is_empty())
    }

    /// Whether somebody listens to `source` in `group`.
    pub(super) fn admits(&self, group: IpAddr, source: IpAddr) -> bool {
        let group = self.groups.get(&group);
        group.is_some_and(|group| group.listeners.admits(source))
    }

    /// Drops what is kept of a group that nobody listens to and nobody is to be told of.
    pub(super) fn forget_if_done(&mut self, group: IpAddr) {
        let done = |g: &Group| g.listeners.is_empty() && g.changes.at.is_none();
        if self.groups.get(&group).is_some_and(done) {
            self.groups.remove(&group);
        }
    }

    /// When [`on_timeout`](Self::on_timeout) is to be called.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// Something is due at `at`.
    pub(super) fn due(&mut self, at: Instant) {
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }

    /// What is due first, looked for anew.
    pub(super) fn rearm(&mut self) {
        let groups = self.groups.values();
        let of_groups = groups.flat_map(|g| [g.changes.at, g.answer.as_ref().map(|a| a.at)]);
        self.next = of_groups.chain([self.general]).flatten().min();
    }

    /// Forgets what was to be reported.
    pub(super) fn cancel(&mut self) {
        self.general = None;
        for group in self.groups.values_mut() {
            group.answer = None;
            group.changes = Changes::default();
        }
        self.groups.retain(|_, group| !group.listeners.is_empty());
        self.next = None;
    }
}
