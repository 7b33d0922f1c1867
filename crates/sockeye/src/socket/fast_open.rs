//! TCP Fast Open (RFC 7413) by socket calls: sendto(2) and sendmsg(2) with MSG_FASTOPEN, and the
//! first send after a connect(2) that TCP_FASTOPEN_CONNECT has put off.

use super::Socket;
use super::wait::Wait;
use crate::waiters::{Class, Direction};
use sockeye_core::Error;
use sockeye_tcp::{Opened, SendFlags};
use std::io::IoSlice;
use std::net::SocketAddr;

impl Socket {
    /// Connects and sends at once; how much of `data` was taken. A call that waits gives all of it
    /// to the connection and returns when that stands; another one what the SYN carries.
    ///
    /// # Errors
    /// Those of connect(2), EINPROGRESS where the SYN carries nothing; EOPNOTSUPP where the node
    /// forbids it.
    pub(super) fn send_open(
        &self,
        to: Option<SocketAddr>,
        data: &[IoSlice<'_>],
        wait: Wait,
    ) -> Result<usize, Error> {
        let waits = !matches!(wait, Wait::No);
        let begun = self.step(|op| op.send_open(to, data, waits));
        self.run();
        let taken = match begun {
            Ok(Opened::Begun(taken)) if !waits => return Ok(taken),
            Ok(Opened::Begun(taken)) => taken,
            Ok(Opened::Stands) => return self.send_stream(data, wait, SendFlags::default()),
            // A call that waits joins an attempt that is under way.
            Err(Error::Already) if waits => 0,
            Err(error) => return Err(error),
        };
        match self.wait(Direction::Write, Class::Shared, wait, |op| op.connected()) {
            Ok(()) => Ok(taken),
            Err(Error::WouldBlock) if taken > 0 => Ok(taken),
            Err(Error::WouldBlock) => Err(Error::InProgress),
            Err(error) => Err(error),
        }
    }
}
