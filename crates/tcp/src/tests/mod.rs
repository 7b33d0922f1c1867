//! Two nodes' TCPs on one wire, in virtual time.

mod authentication;
mod basics;
mod bulk;
mod closing;
mod counters;
mod ecn;
mod events;
mod fast_open;
mod hostile;
mod interception;
mod listening;
mod lossy;
mod memory;
mod migration;
mod opening;
mod options;
mod packed;
mod pair;
mod path_mtu;
mod receivers;
mod receiving;
mod reports;
mod saved_syn;
mod sending;
mod stage;
mod urgent;
// The table is read by eye, column by column.
#[rustfmt::skip]
mod table;
