//! Two hosts on a wire, as traces.

mod closing;
mod data;
mod hostile;
mod in_udp;
mod invite;
mod opening;
pub(crate) mod pair;
mod rates;
mod table;
