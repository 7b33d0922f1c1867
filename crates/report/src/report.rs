//! A report, ready to be written.

use crate::connection::Connection;
use crate::draw;

/// What a report says beside the connections. It is shown as it is, whatever is in it.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// What was running.
    pub title: String,
    /// More about it: names and values.
    pub lines: Vec<(String, String)>,
    /// The node's counters by their names, in the order in which they are shown.
    pub counters: Vec<(&'static str, u64)>,
}

/// A report: [`Recorder::report`](crate::Recorder::report) gives it.
#[derive(Debug)]
pub struct Report<'a> {
    pub(crate) facts: Facts,
    pub(crate) connections: &'a [Connection],
    pub(crate) left_out: u64,
}

impl Report<'_> {
    /// A page of HTML that needs nothing else.
    #[must_use]
    pub fn html(&self) -> String {
        draw::page(self)
    }

    /// One picture of all connections, one below the other.
    #[must_use]
    pub fn svg(&self) -> String {
        draw::picture(self)
    }
}
