//! How often a SYN is answered (RFC 9293 §3.8.1: retransmission, here of the SYN and ACK), and what
//! TCP_DEFER_ACCEPT makes of it.

use super::{HalfOpen, Progress};
use crate::Tcp;
use crate::listen::Listener;
use crate::rtt::{RTO_INITIAL, RTO_MAX};
use crate::socket::Socket;
use core::time::Duration;
use sockeye_core::{Config, Context, Counter, Owner, SocketId};

impl HalfOpen {
    /// Whether the first answer has not timed out yet.
    pub(crate) fn is_young(&self) -> bool {
        self.retries == 0
    }

    pub(crate) fn disarm(&mut self, cx: &mut Context<'_>) {
        cx.timers.disarm(&mut self.timer);
    }

    /// Starts the timer, for twice the time with each time that it has fired.
    pub(super) fn arm(&mut self, cx: &mut Context<'_>, id: SocketId) {
        let owner = Owner::Socket(Tcp::handle(id));
        let at = cx.now + timeout(self.retries);
        cx.timers.arm(&mut self.timer, owner, at);
    }
}

impl Tcp {
    /// The timer of a half-open connection fired: the SYN and ACK again, or the end.
    pub(crate) fn half_open_timeout(&mut self, cx: &mut Context<'_>, id: SocketId) {
        let Some(Socket::HalfOpen(half_open)) = self.sockets.get(id) else {
            return;
        };
        let acknowledged = half_open.progress == Progress::Acknowledged;
        let retries = half_open.retries;
        let listener = half_open.listener;
        let next = match self.sockets.get(listener) {
            Some(Socket::Listening(listener)) => {
                listener.after_timeout(retries, acknowledged, cx.config)
            }
            _ => AfterTimeout::End,
        };
        cx.counters.add(Counter::TcpExtTCPTimeouts);
        if next == AfterTimeout::End {
            self.forget_half_open(cx, id);
            return;
        }
        if let Some(Socket::Listening(listener)) = self.sockets.get_mut(listener)
            && retries == 0
        {
            listener.young = listener.young.saturating_sub(1);
        }
        if let Some(Socket::HalfOpen(half_open)) = self.sockets.get_mut(id) {
            half_open.retries = retries.saturating_add(1);
            half_open.arm(cx, id);
        }
        if next == AfterTimeout::Answer {
            cx.counters.add(Counter::TcpRetransSegs);
            self.answer_half_open(cx, id, None);
        }
    }
}

/// What follows when an answer has waited long enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AfterTimeout {
    /// It is sent again.
    Answer,
    /// TCP_DEFER_ACCEPT: the peer has acknowledged it, so it is text that is missing.
    Wait,
    End,
}

impl Listener {
    /// What becomes of a half-open connection whose timer has fired `retries` times before.
    fn after_timeout(&self, retries: u8, acknowledged: bool, config: &Config) -> AfterTimeout {
        // tcp(7), TCP_SYNCNT: it counts for listeners, too.
        let mut limit = match self.settings.syn_retries {
            0 => config.tcp_synack_retries,
            count => count,
        };
        // Half of the queue is for young ones: with more in it, the old ones go sooner, the sooner
        // the more of them there are (Linux: reqsk_timer_handler).
        if self.half_open * 2 > self.backlog.max(8) {
            let mut young = self.young * 2;
            while limit > 2 && self.half_open >= young {
                limit -= 1;
                young *= 2;
            }
        }
        let defer = self.settings.defer_accept;
        let over = u32::from(retries) >= limit;
        if over && (defer == 0 || !acknowledged || retries >= defer) {
            AfterTimeout::End
        } else if defer == 0 || !acknowledged || retries + 1 >= defer {
            AfterTimeout::Answer
        } else {
            AfterTimeout::Wait
        }
    }
}

/// tcp(7), TCP_DEFER_ACCEPT: how many times an answer has timed out when `wait` is over.
pub(crate) fn timeouts_within(wait: Duration) -> u8 {
    (0..=u8::MAX)
        .find(|&count| time_of_timeouts(count) >= wait)
        .unwrap_or(u8::MAX)
}

/// When an answer has timed out `count` times: what TCP_DEFER_ACCEPT tells.
pub(crate) fn time_of_timeouts(count: u8) -> Duration {
    (0..count).map(timeout).sum()
}

/// How long an answer is waited for that has timed out `count` times (RFC 6298 §5.5).
fn timeout(count: u8) -> Duration {
    RTO_INITIAL.saturating_mul(1 << count.min(8)).min(RTO_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_of_patience_are_rounded_up_to_time_outs() {
        for (asked, told) in [
            (0, 0),
            (1, 1),
            (2, 3),
            (3, 3),
            (4, 7),
            (8, 15),
            (128, 247),
            (500, 607),
            (1460, 1567),
        ] {
            let count = timeouts_within(Duration::from_secs(asked));
            assert_eq!(time_of_timeouts(count).as_secs(), told, "{asked} s");
        }
        assert_eq!(timeouts_within(Duration::MAX), u8::MAX);
    }
}
