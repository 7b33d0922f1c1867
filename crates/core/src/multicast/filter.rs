//! Which sources of a group are heard (RFC 3376 §2): none but those listed, or all but those.

use std::collections::BTreeSet;
use std::net::IpAddr;

/// What the list of a filter means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum FilterMode {
    /// The listed sources alone are heard.
    #[default]
    Include,
    /// All sources but the listed ones are heard.
    Exclude,
}

/// The sources of a group that somebody listens to. The default, INCLUDE of none, is that of
/// somebody who is not in the group (RFC 3376 §5.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceFilter {
    /// What `sources` means.
    pub mode: FilterMode,
    /// The list.
    pub sources: BTreeSet<IpAddr>,
}

impl SourceFilter {
    /// All sources: EXCLUDE of none.
    #[must_use]
    pub fn any_source() -> Self {
        Self {
            mode: FilterMode::Exclude,
            sources: BTreeSet::new(),
        }
    }

    /// Whether packets from `source` are heard.
    #[must_use]
    pub fn admits(&self, source: IpAddr) -> bool {
        self.sources.contains(&source) == (self.mode == FilterMode::Include)
    }

    /// Whether nobody is heard: as good as not being in the group.
    #[must_use]
    pub fn is_nobody(&self) -> bool {
        self.mode == FilterMode::Include && self.sources.is_empty()
    }
}
