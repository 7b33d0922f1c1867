//! Two nodes' SCTPs on wires, in virtual time.

mod basics;
mod lossy;
mod pair;
