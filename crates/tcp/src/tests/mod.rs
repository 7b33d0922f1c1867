//! Two nodes' TCPs on one wire, in virtual time.

mod basics;
mod bulk;
mod closing;
mod hostile;
mod interception;
mod lossy;
mod opening;
mod pair;
mod receiving;
mod sending;
mod stage;
// The table is read by eye, column by column.
#[rustfmt::skip]
mod table;
