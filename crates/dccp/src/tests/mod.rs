//! Two hosts on a wire, as traces.

mod closing;
mod data;
mod hostile;
mod opening;
pub(crate) mod pair;
mod rates;
mod table;
