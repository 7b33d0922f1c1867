//! What a node's TCP connections did, drawn.
//!
//! - A [`Recorder`] is told each packet that crosses a link and each [`Event`](sockeye_core::Event) of
//!   the node, and keeps of both what is drawn.
//! - A [`Report`] is what it has kept: as one page of HTML ([`Report::html`]), or as one picture
//!   ([`Report::svg`]). Both stand alone: they fetch nothing.
//!
//! Of each connection there are a time-sequence graph for each direction with data (data, what was
//! sent again, acknowledgments, SACK blocks, the window), of a long one the first loss closer, cwnd
//! and ssthresh, round trips and the time-out, throughput, and a diagram of its handshake and
//! teardown.
//!
//! What is kept is bounded by [`CONNECTIONS_MAX`], [`POINTS_MAX`], [`RUNGS_MAX`] and [`SPANS_MAX`],
//! whatever passes; of a series that is longer every second, fourth, … point is drawn, and the report
//! says so. The same packets and events at the same times give the same bytes.
//!
//! Not here: other transports, and the packets of connections within a node, which cross no link (of
//! those the node's own events are drawn).
#![forbid(unsafe_code)]

mod connection;
mod draw;
mod ladder;
mod recorder;
mod report;
mod segment;
mod thinned;
mod throughput;

pub use connection::{POINTS_MAX, SPANS_MAX};
pub use ladder::RUNGS_MAX;
pub use recorder::{CONNECTIONS_MAX, Recorder, Way};
pub use report::{Facts, Report};

#[cfg(test)]
mod tests;
