//! What the demonstrations of the protocol share: the messages, and a cable that loses, doubles and reorders.

use crate::protocol::MESSAGE_MAX;
use sockeye::drivers::memory::MemoryLink;
use sockeye::drivers::{Netem, NetemConfig};
use std::error::Error;

pub(crate) const MESSAGES: usize = 2000;

/// Messages of different lengths, each another one.
pub(crate) fn content(number: usize) -> Vec<u8> {
    let mut message = number.to_be_bytes().to_vec();
    message.resize(8 + number % (MESSAGE_MAX - 8), number as u8);
    message
}

/// One end of the cable.
pub(crate) fn disturbed(link: MemoryLink, seed: u64) -> Result<Netem<MemoryLink>, Box<dyn Error>> {
    let words = "loss=3%,delay=1ms,jitter=1ms,duplicate=2%,corrupt=1%";
    let disturbance: NetemConfig = words.parse()?;
    Ok(Netem::new(link, disturbance, seed))
}
