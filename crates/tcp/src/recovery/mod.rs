//! Loss recovery: *which* bytes are sent again. How many may be in flight is for congestion control
//! to say (`sockeye_core::congestion`).
//!
//! [`Recovery`] is what the rest of TCP sees: it is told what acknowledgments and time-outs say
//! ([`Recovery::on_ack`], [`Recovery::on_duplicate`], [`Recovery::on_timeout`]) and answers what to
//! send next ([`Recovery::next`]) and how much is in flight ([`Recovery::pipe`]).
//!
//! - [`new_reno`]: fast retransmit and fast recovery of RFC 5681 and RFC 6582, limited transmit of
//!   RFC 3042. It counts duplicate acknowledgments; blocks that the peer reports (RFC 2018) only
//!   show which acknowledgments count.

mod new_reno;

pub(crate) use new_reno::{Outcome, Recovery};
