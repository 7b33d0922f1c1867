//! Two hosts on a wire, as traces.

mod closing;
mod data;
mod hostile;
mod in_udp;
mod invite;
pub(crate) mod numbers;
mod opening;
mod options;
mod pair;
mod rates;
mod table;
