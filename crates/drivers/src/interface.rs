//! An Ethernet interface of the kernel that a socket is bound to.

use crate::tun::setup;
use rustix::io::Errno;
use sockeye_link::MacAddr;
use std::io;

/// An interface, by the index that its name had when it was found.
#[derive(Debug)]
pub(crate) struct Interface {
    name: String,
    pub(crate) index: u32,
    /// The largest IP packet in bytes.
    pub(crate) mtu: u32,
    /// The kernel's own address there, where it is an Ethernet.
    pub(crate) host: Option<MacAddr>,
}

impl Interface {
    /// The interface `name` as it is now.
    pub(crate) fn find(name: &str) -> io::Result<Self> {
        Ok(Self {
            name: name.to_owned(),
            index: setup::index(name)?,
            mtu: setup::mtu(name)?,
            host: setup::ethernet_address(name)?,
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Fails for what a socket on it said, unless that is only that the interface is down.
    pub(crate) fn check(&self, errno: Errno) -> io::Result<()> {
        let index = setup::index(&self.name);
        if errno == Errno::NETDOWN && index.is_ok_and(|index| index == self.index) {
            return Ok(());
        }
        let cause = io::Error::from(errno);
        let message = format!(
            "the interface {} is gone or failed ({cause}): it was deleted, or moved away",
            self.name
        );
        Err(io::Error::new(cause.kind(), message))
    }
}
