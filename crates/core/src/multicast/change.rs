//! What routers are told when the filter of an interface changes (RFC 3376 §5.1, RFC 3810 §6.1),
//! and in older versions when a group is joined and left (RFC 2236 §3, RFC 2710 §4).
//!
//! A change is reported at once, with all others of the same moment in one message, and
//! `robustness - 1` times more.

use super::compat::Mode;
use super::host::{Env, Host};
use super::report::{Record, Report};
use super::{FilterMode, SourceFilter, is_source_specific};
use core::time::Duration;
use sockeye_wire::multicast::RecordKind;
use std::net::IpAddr;

impl Host {
    /// The filter of `group` was one thing and is another; whether nobody had or has one is said
    /// beside it.
    pub(super) fn changed(
        &mut self,
        env: &mut Env<'_>,
        group: IpAddr,
        (was_empty, before): (bool, &SourceFilter),
        (is_empty, after): (bool, &SourceFilter),
    ) {
        if !self.protocol.reports(group, env.config) {
            return;
        }
        match self.mode(env) {
            Mode::V3 => self.filter_changed(env, group, before, after),
            Mode::V1 | Mode::V2 if was_empty != is_empty => {
                self.membership_changed(env, group, is_empty);
            }
            Mode::V1 | Mode::V2 => {}
        }
    }

    /// The difference joins what is still to be told.
    fn filter_changed(
        &mut self,
        env: &mut Env<'_>,
        group: IpAddr,
        before: &SourceFilter,
        after: &SourceFilter,
    ) {
        let robustness = self.queriers.robustness(self.protocol, env.config);
        let Some(entry) = self.groups.get_mut(&group) else {
            return;
        };
        let changes = &mut entry.changes;
        if before.mode != after.mode {
            // A record of the mode tells all sources.
            changes.mode = robustness;
            changes.sources.clear();
        } else if before.sources == after.sources {
            return;
        } else {
            let changed = before.sources.symmetric_difference(&after.sources);
            changes.sources.extend(changed.map(|s| (*s, robustness)));
        }
        changes.at = Some(env.now);
        self.due(env.now);
    }

    /// A group was joined, or left: reports of older versions tell no more.
    fn membership_changed(&mut self, env: &mut Env<'_>, group: IpAddr, left: bool) {
        let robustness = self.queriers.robustness(self.protocol, env.config);
        let v1 = self.mode(env) == Mode::V1;
        let Some(entry) = self.groups.get_mut(&group) else {
            return;
        };
        entry.answer = None;
        // RFC 2236 §3: who was not the last to report may leave in silence; RFC 1112 has no leave.
        let silent = left && (v1 || !entry.last_reporter);
        entry.changes.mode = match left {
            true => 1,
            false => robustness,
        };
        entry.changes.at = (!silent).then_some(env.now);
        if !silent {
            self.due(env.now);
        }
    }

    /// Every group is told anew: the interface came up, or it has an address to send from now
    /// (RFC 3810 §5.2.13).
    pub(super) fn tell_all(&mut self, env: &mut Env<'_>) {
        let nobody = SourceFilter::default();
        let groups: Vec<IpAddr> = self.groups.keys().copied().collect();
        for group in groups {
            let Some(entry) = self.groups.get(&group) else {
                continue;
            };
            if !entry.listeners.is_empty() {
                let now = entry.listeners.merged();
                self.changed(env, group, (true, &nobody), (false, &now));
            }
        }
    }

    /// The reports of changes that are due.
    pub(super) fn due_changes(&mut self, env: &mut Env<'_>, out: &mut Vec<Report>) {
        let mode = self.mode(env);
        let mut records = Vec::new();
        let due: Vec<IpAddr> = self
            .groups
            .iter()
            .filter(|(_, g)| g.changes.at.is_some_and(|at| at <= env.now))
            .map(|(group, _)| *group)
            .collect();
        for group in due {
            match mode {
                Mode::V3 => self.tell_change(group, &mut records),
                Mode::V1 | Mode::V2 => self.tell_membership(group, mode, out),
            }
            self.again(env, group, mode);
            self.forget_if_done(group);
        }
        if !records.is_empty() {
            out.push(Report::Records(records));
        }
    }

    /// RFC 3376 §5.1: the second table.
    fn tell_change(&mut self, group: IpAddr, records: &mut Vec<Record>) {
        let Some(entry) = self.groups.get_mut(&group) else {
            return;
        };
        let now = entry.listeners.merged();
        let changes = &mut entry.changes;
        if changes.mode > 0 {
            changes.mode -= 1;
            let kind = match now.mode {
                FilterMode::Include => RecordKind::ChangeToInclude,
                FilterMode::Exclude => RecordKind::ChangeToExclude,
            };
            // RFC 4604 §2.2.2: such records mean nothing for source-specific groups.
            if now.mode == FilterMode::Include || !is_source_specific(group) {
                records.push(Record::new(kind, group, now.sources.iter().copied()));
            }
        } else {
            for (kind, wanted) in [
                (RecordKind::AllowNewSources, true),
                (RecordKind::BlockOldSources, false),
            ] {
                let sources = changes.sources.keys().filter(|s| now.admits(**s) == wanted);
                let record = Record::new(kind, group, sources.copied());
                if !record.sources.is_empty() {
                    records.push(record);
                }
            }
        }
        changes.sources.retain(|_, left| {
            *left -= 1;
            *left > 0
        });
    }

    fn tell_membership(&mut self, group: IpAddr, mode: Mode, out: &mut Vec<Report>) {
        let Some(entry) = self.groups.get_mut(&group) else {
            return;
        };
        entry.changes.mode = entry.changes.mode.saturating_sub(1);
        entry.last_reporter = !entry.listeners.is_empty();
        out.push(match entry.last_reporter {
            true => Report::Member(mode, group),
            false => Report::Leave(group),
        });
    }

    /// Plans the next report of a change, if there is to be one.
    fn again(&mut self, env: &mut Env<'_>, group: IpAddr, mode: Mode) {
        // RFC 3376 §8.11, RFC 2236 §8.10, RFC 3810 §9.11, RFC 2710 §7.10.
        let interval = match mode {
            Mode::V3 => env.settings.report_interval,
            Mode::V1 | Mode::V2 => env.settings.report_interval_older,
        };
        let Some(entry) = self.groups.get_mut(&group) else {
            return;
        };
        let changes = &mut entry.changes;
        let done = changes.mode == 0 && changes.sources.is_empty();
        // RFC 3376 §5.1: at random in (0, [Unsolicited Report Interval]), and not at once.
        changes.at = (!done).then(|| env.within(interval) + Duration::from_micros(1));
    }
}
