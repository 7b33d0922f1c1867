//! What RFCs ask for, rule by rule.
//!
//! RFC 9293 numbers its requirements (`MUST-35`). Where an RFC does not, they have the number of
//! their section and their place in it: `6.2-4` is the fourth MUST of §6.2, cited as `RFC 9260 §6.2-4`.

mod rfc4340;
mod rfc4341;
mod rfc4342;
mod rfc9260;
mod rfc9293;

/// All requirements of an RFC.
#[derive(Clone, Copy, Debug)]
pub(super) struct List {
    pub(super) rfc: u32,
    /// Which they are.
    pub(super) about: &'static str,
    pub(super) rows: &'static [Requirement],
}

/// The RFCs that are gone through rule by rule.
pub(super) const LISTS: &[List] = &[
    List {
        rfc: 9293,
        about: "All of its appendix B, by number.",
        rows: rfc9293::ROWS,
    },
    List {
        rfc: 4340,
        about: "Each MUST that it has for an implementation, by its place in its section. What it asks of CCID profiles (§10.4), of links (§18.1) and of registries (§19.9) is not here.",
        rows: rfc4340::ROWS,
    },
    List {
        rfc: 4341,
        about: "Each MUST, by its place in its section.",
        rows: rfc4341::ROWS,
    },
    List {
        rfc: 4342,
        about: "Each MUST, by its place in its section.",
        rows: rfc4342::ROWS,
    },
    List {
        rfc: 9260,
        about: "Each MUST of its text, by section, in the order in which they stand.",
        rows: rfc9260::ROWS,
    },
];

/// One of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Requirement {
    /// Its number.
    pub(super) id: &'static str,
    /// Where the RFC states it, unless the number says so.
    section: Option<&'static str>,
    /// What it asks for.
    pub(super) what: &'static str,
    /// Why it is not kept, where it is not.
    pub(super) left_out: Option<&'static str>,
}

impl Requirement {
    /// One that is kept.
    const fn kept(id: &'static str, what: &'static str) -> Self {
        Self {
            id,
            section: None,
            what,
            left_out: None,
        }
    }

    /// One that is not.
    const fn left(id: &'static str, what: &'static str, why: &'static str) -> Self {
        Self {
            left_out: Some(why),
            ..Self::kept(id, what)
        }
    }

    /// Stated in `section`.
    const fn at(self, section: &'static str) -> Self {
        Self {
            section: Some(section),
            ..self
        }
    }

    /// Where the RFC states it.
    pub(super) fn section(&self) -> &'static str {
        let before = self.id.split_once('-').map_or("", |(section, _)| section);
        self.section.unwrap_or(before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_that_are_numbered_by_section_have_no_gaps() {
        for list in LISTS.iter().filter(|list| list.rfc != 9293) {
            let mut last = ("", 0);
            for row in list.rows {
                let place = if last.0 == row.section() {
                    last.1 + 1
                } else {
                    1
                };
                last = (row.section(), place);
                assert_eq!(
                    row.id,
                    format!("{}-{place}", row.section()),
                    "RFC {}",
                    list.rfc
                );
            }
        }
    }
}
