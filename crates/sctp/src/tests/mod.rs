//! Two nodes' SCTPs on wires, in virtual time.

mod answers;
mod basics;
mod dynamic;
mod hostile;
mod icmp;
mod lossy;
mod multihomed;
mod opening;
mod out_of_the_blue;
mod pair;
mod partial;
mod plpmtud;
mod reconfig;
mod sending;
mod statistics;
// The table is read by eye, column by column.
#[rustfmt::skip]
mod table;
