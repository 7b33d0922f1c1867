//! Two nodes' TCPs on one wire, in virtual time.

mod basics;
mod bulk;
mod lossy;
mod pair;
// The table is read by eye, column by column.
#[rustfmt::skip]
mod table;
