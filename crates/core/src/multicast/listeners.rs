//! Who on this node listens to a group of an interface, and what that comes to (RFC 3376 §3.2,
//! RFC 3810 §4.2).

use super::{FilterMode, SourceFilter};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The filters of all who listen to one group on one interface, counted: what comes of them is
/// known without asking the sockets.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    /// How many filters are INCLUDE, and EXCLUDE.
    including: u32,
    excluding: u32,
    /// In how many of each a source is listed.
    sources: BTreeMap<IpAddr, Listed>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Listed {
    including: u32,
    excluding: u32,
}

impl Listeners {
    /// Whether nobody listens.
    pub(super) fn is_empty(&self) -> bool {
        self.including == 0 && self.excluding == 0
    }

    /// Sources that are listed by anybody.
    pub(super) fn listed(&self) -> usize {
        self.sources.len()
    }

    /// How many of `filter`'s sources nobody has listed yet.
    pub(super) fn new_sources(&self, filter: &SourceFilter) -> usize {
        let sources = filter.sources.iter();
        sources.filter(|s| !self.sources.contains_key(s)).count()
    }

    pub(super) fn add(&mut self, filter: &SourceFilter) {
        *self.of(filter.mode) += 1;
        for source in &filter.sources {
            *self.sources.entry(*source).or_default().of(filter.mode) += 1;
        }
    }

    /// Takes back [`add`](Self::add) of the same filter.
    pub(super) fn remove(&mut self, filter: &SourceFilter) {
        let count = self.of(filter.mode);
        *count = count.saturating_sub(1);
        for source in &filter.sources {
            let Some(listed) = self.sources.get_mut(source) else {
                debug_assert!(false, "a filter is taken back as it was given");
                continue;
            };
            let count = listed.of(filter.mode);
            *count = count.saturating_sub(1);
            if listed.including == 0 && listed.excluding == 0 {
                self.sources.remove(source);
            }
        }
    }

    /// The filter of the interface. Where somebody excludes, it is EXCLUDE of what all of these
    /// exclude and nobody includes; else INCLUDE of all that anybody includes.
    pub(super) fn merged(&self) -> SourceFilter {
        let mode = match self.excluding {
            0 => FilterMode::Include,
            _ => FilterMode::Exclude,
        };
        let listed = self.sources.iter().filter(|(_, listed)| match mode {
            FilterMode::Include => listed.including > 0,
            FilterMode::Exclude => self.nobody_wants(listed),
        });
        SourceFilter {
            mode,
            sources: listed.map(|(source, _)| *source).collect(),
        }
    }

    /// Whether the merged filter admits `source`.
    pub(super) fn admits(&self, source: IpAddr) -> bool {
        match self.sources.get(&source) {
            Some(listed) => listed.including > 0 || listed.excluding < self.excluding,
            None => self.excluding > 0,
        }
    }

    fn nobody_wants(&self, listed: &Listed) -> bool {
        listed.including == 0 && listed.excluding == self.excluding
    }

    fn of(&mut self, mode: FilterMode) -> &mut u32 {
        match mode {
            FilterMode::Include => &mut self.including,
            FilterMode::Exclude => &mut self.excluding,
        }
    }
}

impl Listed {
    fn of(&mut self, mode: FilterMode) -> &mut u32 {
        match mode {
            FilterMode::Include => &mut self.including,
            FilterMode::Exclude => &mut self.excluding,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::multicast::tests::filter;

    /// RFC 3376 §3.2: the examples of the chapter, the rule's edges, and the way back.
    #[test]
    fn filters_of_sockets_merge() {
        for (sockets, merged) in [
            (&["EX a b c d", "EX b c d e", "IN d e f"][..], "EX b c"),
            (&["EX a b c d", "EX b c d e"], "EX b c d"),
            (&["IN a b c", "IN b c d", "IN e f"], "IN a b c d e f"),
            (&["EX"], "EX"),
            (&["EX a", "IN a"], "EX"),
            (&["EX a", "EX"], "EX"),
            (&["IN a"], "IN a"),
            (&["IN"], "IN"),
            (&[], "IN"),
        ] {
            let mut listeners = Listeners::default();
            let filters: Vec<SourceFilter> = sockets.iter().map(|text| filter(text)).collect();
            filters.iter().for_each(|filter| listeners.add(filter));
            assert_eq!(listeners.merged(), filter(merged), "{sockets:?}");
            for source in filter("IN a b c d e f g").sources {
                let admitted = listeners.merged().admits(source);
                assert_eq!(listeners.admits(source), admitted, "{sockets:?} {source}");
            }
            filters.iter().for_each(|filter| listeners.remove(filter));
            assert!(listeners.is_empty() && listeners.listed() == 0);
        }
    }
}
