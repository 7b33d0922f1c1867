//! Time-outs: of the packets of each state, of acknowledgements, of congestion control and of idle
//! connections.

use crate::conn::{Conn, Deadlines};
use crate::output::{BACKOFF_MAX, REQUEST_RETRIES};
use crate::state::State;
use core::time::Duration;
use sockeye_core::{Context, Error, Instant, Owner};
use sockeye_wire::dccp::{Kind, ResetCode};

/// As TCP's (`net.ipv4.tcp_keepalive_time`, `_intvl`, `_probes`).
const KEEP_IDLE: Duration = Duration::from_secs(7200);
const KEEP_INTERVAL: Duration = Duration::from_secs(75);
const KEEP_COUNT: u32 = 9;

impl Deadlines {
    fn next(&self, sender: Instant) -> Option<Instant> {
        let next = self
            .again
            .min(self.give_up)
            .min(self.delayed_ack)
            .min(self.features)
            .min(self.keep_alive)
            .min(self.pace)
            .min(sender);
        (next != Instant::FAR).then_some(next)
    }
}

impl Conn {
    /// Arms the timer for the earliest deadline, unless it is armed for an earlier moment.
    pub(crate) fn arm(&mut self, cx: &mut Context<'_>) {
        let sender = match self.state.has_ended() {
            true => Instant::FAR,
            false => self.sender.deadline(),
        };
        let Some(next) = self.deadlines.next(sender) else {
            return;
        };
        if self
            .timer
            .deadline()
            .is_some_and(|armed| armed <= next && armed > cx.now)
        {
            return;
        }
        cx.timers
            .arm(&mut self.timer, Owner::Socket(self.handle), next);
    }

    /// What is due is done.
    pub(crate) fn on_timeout(&mut self, cx: &mut Context<'_>) {
        if self.state.has_ended() {
            return;
        }
        if self.deadlines.give_up <= cx.now {
            // RFC 4340 §8.1.5: SHOULD reset with "Aborted".
            self.give_up(cx);
            return;
        }
        if self.deadlines.again <= cx.now {
            self.again(cx);
        }
        if self.deadlines.delayed_ack <= cx.now {
            self.deadlines.delayed_ack = Instant::FAR;
            self.owed.ack = true;
        }
        if self.deadlines.features <= cx.now {
            // RFC 4340 §6.6.3-1: MUST go on until there is an answer; a packet of its own if need
            // be.
            self.deadlines.features = Instant::FAR;
            if self.features.is_changing() {
                self.schedule_features(cx.now);
                self.owed.ack |= self.state >= State::PartOpen;
            }
        }
        if self.deadlines.pace <= cx.now {
            self.deadlines.pace = Instant::FAR;
        }
        if self.sender.deadline() <= cx.now {
            self.sender.timeout(cx.now);
        }
        if self.deadlines.keep_alive <= cx.now {
            self.keep_alive(cx);
        }
    }

    /// The packet of the state goes again, or the attempt is over.
    pub(crate) fn again(&mut self, cx: &mut Context<'_>) {
        self.backoff.tries += 1;
        if self.state == State::Request && self.backoff.tries > REQUEST_RETRIES {
            self.give_up(cx);
            return;
        }
        // RFC 4340 §8.3-3: CloseReq and Close, too.
        self.backoff.again = (self.backoff.again * 2).min(BACKOFF_MAX);
        self.send_state_packet(cx);
    }

    fn give_up(&mut self, cx: &mut Context<'_>) {
        self.send_reset(cx, ResetCode::ABORTED, [0; 3]);
        self.reset = Some(ResetCode::ABORTED);
        let error = self.soft_error.unwrap_or(Error::TimedOut);
        self.ended(cx, State::Closed, Some(error));
    }

    pub(crate) fn schedule_keep_alive(&mut self, now: Instant) {
        self.deadlines.keep_alive = match self.settings.keep_alive && self.state == State::Open {
            true => now + KEEP_IDLE,
            false => Instant::FAR,
        };
    }

    /// An idle connection is probed by a Sync, which is always answered (RFC 4340 §8.2).
    fn keep_alive(&mut self, cx: &mut Context<'_>) {
        self.deadlines.keep_alive = Instant::FAR;
        if !self.settings.keep_alive || self.state != State::Open {
            return;
        }
        let idle = cx.now - self.heard_at;
        if idle < KEEP_IDLE {
            self.deadlines.keep_alive = self.heard_at + KEEP_IDLE;
            return;
        }
        if self.backoff.probes >= KEEP_COUNT {
            self.give_up(cx);
            return;
        }
        self.backoff.probes += 1;
        self.send_packet(cx, Kind::Sync(self.seqs.gsr));
        self.deadlines.keep_alive = cx.now + KEEP_INTERVAL;
    }
}
