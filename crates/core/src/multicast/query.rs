//! Queries, and their answers after a random delay (RFC 3376 §5.2, RFC 3810 §6.2 and §6.3); in
//! older versions, the reports of others too (RFC 2236 §3).

use super::compat::Mode;
use super::host::{ANSWER_GAP, Answer, Env, Host};
use super::report::{Record, Report};
use super::{FilterMode, Protocol, SourceFilter, is_source_specific};
use crate::Instant;
use core::time::Duration;
use sockeye_wire::multicast::RecordKind;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Sources that are kept of queries about one group (RFC 3376 §9.1 asks for a bound): as many as one
/// query on an Ethernet names. More of them count as a query about the whole group.
pub(super) const QUERIED_SOURCES_MAX: usize = 366;

/// A query that may be believed.
#[derive(Clone, Debug)]
pub(super) struct Query {
    /// Its version.
    pub(super) mode: Mode,
    /// Max Resp Time.
    pub(super) response: Duration,
    /// The group asked for; none in a general query.
    pub(super) group: Option<IpAddr>,
    /// The sources asked for.
    pub(super) sources: BTreeSet<IpAddr>,
    /// The querier's robustness variable, and seconds between its queries; 0 when it says nothing.
    pub(super) robustness: u8,
    pub(super) interval_s: u32,
}

impl Host {
    /// A query was heard. True when it asks for more sources than are kept.
    pub(super) fn queried(&mut self, env: &mut Env<'_>, query: Query) -> bool {
        self.note_querier(env, &query);
        if self.groups.is_empty() {
            return false;
        }
        let at = env.within(query.response).max(self.answer_from);
        match (self.mode(env), query.group) {
            // What a newer querier asks for is answered in the older way, and whole.
            (Mode::V1 | Mode::V2, group) => {
                self.plan_plain(env, group, at);
                false
            }
            // RFC 3376 §5.2, rule 1.
            (Mode::V3, _) if self.general.is_some_and(|general| general <= at) => false,
            // Rule 2.
            (Mode::V3, None) => {
                self.general = Some(at);
                self.due(at);
                false
            }
            (Mode::V3, Some(group)) => self.plan(group, query.sources, at),
        }
    }

    /// RFC 3376 §7.2.1: another version may be in force from now on.
    fn note_querier(&mut self, env: &Env<'_>, query: &Query) {
        let before = self.mode(env);
        let who = (self.protocol, env.now, env.config);
        // IGMPv2: general queries alone count.
        let general = query.group.is_none() || self.protocol == Protocol::Mld;
        match query.mode {
            Mode::V3 => {
                if before == Mode::V3 {
                    self.queriers
                        .heard_latest(query.robustness, query.interval_s);
                }
            }
            Mode::V2 if !general => {}
            mode => self.queriers.heard_older(mode, who, query.response),
        }
        if self.mode(env) != before {
            self.cancel();
        }
    }

    /// RFC 3376 §5.2, rules 3 to 5.
    fn plan(&mut self, group: IpAddr, mut sources: BTreeSet<IpAddr>, at: Instant) -> bool {
        let Some(entry) = self.groups.get_mut(&group) else {
            return false;
        };
        if entry.listeners.is_empty() {
            return false;
        }
        let at = match entry.answer.take() {
            None => at,
            Some(pending) => {
                match pending.sources.is_empty() || sources.is_empty() {
                    true => sources.clear(),
                    false => sources.extend(pending.sources),
                }
                pending.at.min(at)
            }
        };
        let too_many = sources.len() > QUERIED_SOURCES_MAX;
        if too_many {
            sources.clear();
        }
        entry.answer = Some(Answer { at, sources });
        self.due(at);
        too_many
    }

    /// RFC 2236 §3: a timer for each group that was asked for, which a query may only shorten.
    fn plan_plain(&mut self, env: &mut Env<'_>, group: Option<IpAddr>, latest: Instant) {
        let span = latest.saturating_since(env.now);
        let mut first = None;
        for (address, entry) in &mut self.groups {
            let asked = group.is_none_or(|group| group == *address);
            let reported = self.protocol.reports(*address, env.config);
            if !asked || !reported || entry.listeners.is_empty() {
                continue;
            }
            // Each group at a time of its own, the last of them when the query's own delay ends.
            let at = match group {
                Some(_) => latest,
                None => env.within(span).max(self.answer_from),
            };
            let at = entry.answer.as_ref().map_or(at, |answer| answer.at.min(at));
            entry.answer = Some(Answer {
                at,
                sources: BTreeSet::new(),
            });
            first = Some(first.map_or(at, |first: Instant| first.min(at)));
        }
        if let Some(first) = first {
            self.due(first);
        }
    }

    /// Another host reports `group`: in older versions one of them is enough.
    pub(super) fn heard_report(&mut self, env: &Env<'_>, group: IpAddr) {
        // RFC 4604 §2.2.1: never for source-specific groups.
        if self.mode(env) == Mode::V3 || is_source_specific(group) {
            return;
        }
        let Some(entry) = self.groups.get_mut(&group) else {
            return;
        };
        entry.answer = None;
        entry.last_reporter = false;
        if !entry.listeners.is_empty() {
            entry.changes.mode = 0;
            entry.changes.at = None;
        }
    }

    /// The answers that are due.
    pub(super) fn due_answers(&mut self, env: &mut Env<'_>, out: &mut Vec<Report>) {
        let mode = self.mode(env);
        let mut records = Vec::new();
        let general = self.general.take_if(|at| *at <= env.now).is_some();
        let said = out.len();
        for (group, entry) in &mut self.groups {
            let asked = entry.answer.take_if(|answer| answer.at <= env.now);
            let listens = !entry.listeners.is_empty();
            if !listens || !self.protocol.reports(*group, env.config) {
                continue;
            }
            let now = entry.listeners.merged();
            match (mode, general, asked) {
                (_, false, None) => {}
                (Mode::V1 | Mode::V2, _, _) => {
                    entry.last_reporter = true;
                    out.push(Report::Member(mode, *group));
                }
                (Mode::V3, true, _) => records.extend(state(*group, &now)),
                (Mode::V3, false, Some(answer)) if answer.sources.is_empty() => {
                    records.extend(state(*group, &now));
                }
                (Mode::V3, false, Some(answer)) => {
                    records.extend(state_of(*group, &now, &answer.sources));
                }
            }
        }
        if !records.is_empty() {
            out.push(Report::Records(records));
        }
        if out.len() > said {
            self.answer_from = env.now + ANSWER_GAP;
        }
    }
}

/// The Current-State Record of a group.
fn state(group: IpAddr, now: &SourceFilter) -> Option<Record> {
    let kind = match now.mode {
        FilterMode::Include => RecordKind::ModeIsInclude,
        // RFC 4604 §2.2.2: such records mean nothing for source-specific groups.
        FilterMode::Exclude if is_source_specific(group) => return None,
        FilterMode::Exclude => RecordKind::ModeIsExclude,
    };
    // INCLUDE of nobody is no state.
    (!now.is_nobody()).then(|| Record::new(kind, group, now.sources.iter().copied()))
}

/// RFC 3376 §5.2: the Current-State Record that answers for some sources.
///
/// INCLUDE (A) asked for B is IS_IN (A*B), EXCLUDE (A) asked for B is IS_IN (B-A).
fn state_of(group: IpAddr, now: &SourceFilter, asked: &BTreeSet<IpAddr>) -> Option<Record> {
    let wanted = asked.iter().copied().filter(|source| now.admits(*source));
    let record = Record::new(RecordKind::ModeIsInclude, group, wanted);
    (!record.sources.is_empty()).then_some(record)
}
