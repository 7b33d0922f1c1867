//! Two nodes' SCTPs on wires, in virtual time.

mod answers;
mod basics;
mod dynamic;
mod hostile;
mod lossy;
mod multihomed;
mod pair;
mod partial;
mod plpmtud;
mod reconfig;
// The table is read by eye, column by column.
#[rustfmt::skip]
mod table;
