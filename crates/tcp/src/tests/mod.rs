//! Two nodes' TCPs on one wire, in virtual time.

mod basics;
mod pair;
