//! The error queue: MSG_ZEROCOPY.

use super::stage::{Stage, ack, peer};
use sockeye_core::{Error, OptionValue, Readiness, Report, SocketOption};
use sockeye_wire::tcp::Flags;

impl Stage {
    /// A send with MSG_ZEROCOPY.
    fn write_zero_copy(&mut self, len: usize) {
        self.write(len).unwrap();
        let id = self.id;
        let (tcp, mut cx) = self.host();
        tcp.sent_zero_copy(&mut cx, id).unwrap();
    }

    /// Numbers of the sends that the next report is about.
    fn told(&mut self) -> Result<(u32, u32), Error> {
        let id = self.id;
        match self.host().0.recv_error(id)? {
            Report::ZeroCopy { first, last } => Ok((first, last)),
            Report::Error(error) => panic!("{error:?}"),
        }
    }
}

fn stage() -> Stage {
    let mut s = Stage::plain();
    s.set(SocketOption::ZeroCopy, OptionValue::Int(1));
    s
}

#[test]
fn a_zero_copy_send_is_over_when_it_was_acknowledged() {
    let mut s = stage();
    s.write_zero_copy(1500);
    s.write(500).unwrap();
    s.write_zero_copy(1000);
    s.sent();
    s.arrives(ack(1, 1001));
    assert_eq!(s.told(), Err(Error::WouldBlock));
    assert!(!s.ready().contains(Readiness::ERROR_QUEUE));
    s.arrives(ack(1, 2001));
    assert!(s.ready().contains(Readiness::ERROR_QUEUE));
    assert!(!s.ready().contains(Readiness::ERROR));
    assert_eq!(s.told(), Ok((0, 0)));
    s.arrives(ack(1, 3001));
    s.write_zero_copy(10);
    s.sent();
    s.arrives(ack(1, 3011));
    assert_eq!(s.told(), Ok((1, 2)), "in one, since nobody has read");
    assert_eq!(s.told(), Err(Error::WouldBlock));
}

#[test]
fn without_the_option_nothing_is_told() {
    let mut s = Stage::plain();
    s.write_zero_copy(10);
    s.sent();
    s.arrives(ack(1, 11));
    assert_eq!(s.told(), Err(Error::WouldBlock));
    s.set(SocketOption::ZeroCopy, OptionValue::Int(1));
    s.write_zero_copy(10);
    s.sent();
    s.arrives(ack(1, 21));
    assert_eq!(s.told(), Ok((0, 0)), "it was not counted");
}

#[test]
fn a_reset_ends_all_zero_copy_sends() {
    let mut s = stage();
    s.write_zero_copy(10);
    s.write_zero_copy(10);
    s.sent();
    s.arrives(peer(Flags::RST | Flags::ACK, 1, 1));
    assert_eq!(s.state(), "CLOSED");
    let both = Readiness::ERROR | Readiness::ERROR_QUEUE;
    assert!(s.ready().contains(both));
    assert_eq!(s.told(), Ok((0, 1)));
    assert_eq!(s.error(), Some(Error::ConnectionReset));
}

/// Bytes sent one by one hold no more than a limit.
#[test]
fn many_zero_copy_sends_end_together() {
    let mut s = stage();
    for _ in 0..1000 {
        s.write_zero_copy(1);
    }
    s.sent();
    s.arrives(ack(1, 101));
    s.sent();
    assert_eq!(s.told(), Ok((0, 62)), "each of the first by itself");
    s.arrives(ack(1, 1001));
    assert_eq!(s.told(), Ok((63, 999)));
}
