//! TIMEWAIT (RFC 4340 §8.3): whoever received the Reset keeps the pair of ends for 2 MSL.

use crate::Dccp;
use crate::flows::Tuple;
use crate::output::MSL;
use crate::socket::Socket;
use crate::state::State;
use sockeye_core::demux::Claim;
use sockeye_core::{Context, Counter, Owner, SocketId, TimerSlot};

/// Connections in TIMEWAIT; more end at once.
const TIME_WAIT_MAX: usize = 1 << 16;

/// What is left of a connection.
#[derive(Debug)]
pub(crate) struct TimeWait {
    pub(crate) tuple: Tuple,
    claim: Option<Claim>,
    timer: TimerSlot,
}

impl Dccp {
    /// A connection has received its Reset. What the user holds stays readable beside.
    pub(crate) fn begin_time_wait(&mut self, cx: &mut Context<'_>, id: SocketId) {
        let Some(Socket::Connection(conn)) = self.sockets.get_mut(id) else {
            return;
        };
        if !conn.marks.linked {
            self.retire(cx, id);
            return;
        }
        let held = conn.marks.user || conn.marks.unaccepted;
        if held {
            if conn.deadlines.give_up == sockeye_core::Instant::FAR {
                conn.deadlines.give_up = conn.since + MSL * 2;
                let at = conn.deadlines.give_up;
                cx.timers
                    .arm(&mut conn.timer, Owner::Socket(conn.handle), at);
            }
            return;
        }
        if self.time_wait >= TIME_WAIT_MAX {
            cx.counters.add(Counter::DccpTimeWaitOverflow);
            conn.state = State::Closed;
            self.retire(cx, id);
            return;
        }
        self.time_wait += 1;
        cx.timers.disarm(&mut conn.timer);
        conn.release_memory(cx);
        let mut timer = TimerSlot::default();
        let at = conn.since + MSL * 2;
        cx.timers.arm(&mut timer, Owner::Socket(conn.handle), at);
        let time_wait = TimeWait {
            tuple: conn.tuple,
            claim: conn.claim.take(),
            timer,
        };
        if let Some(socket) = self.sockets.get_mut(id) {
            *socket = Socket::TimeWait(time_wait);
        }
    }

    /// RFC 4340 §8.5, step 9, in REQUEST: as Linux does, TIMEWAIT has the pair of ends for itself, and the
    /// socket whose connection was refused is its user's.
    pub(crate) fn leave_time_wait(&mut self, cx: &mut Context<'_>, id: SocketId) {
        let Some(Socket::Connection(conn)) = self.sockets.get_mut(id) else {
            return;
        };
        if !core::mem::take(&mut conn.marks.refused) || !conn.marks.linked {
            return;
        }
        if self.time_wait >= TIME_WAIT_MAX {
            cx.counters.add(Counter::DccpTimeWaitOverflow);
            return;
        }
        conn.marks.linked = false;
        let (tuple, tie) = (conn.tuple, conn.settings.common.device);
        let at = conn.since + MSL * 2;
        let time_wait = TimeWait {
            tuple,
            claim: conn.claim.take(),
            timer: TimerSlot::default(),
        };
        self.flows.disconnect(id, &tuple);
        let left = self.sockets.insert(Socket::TimeWait(time_wait));
        self.flows.connect(left, &tuple, tie);
        self.time_wait += 1;
        if let Some(Socket::TimeWait(time_wait)) = self.sockets.get_mut(left) {
            let owner = Owner::Socket(Self::handle(left));
            cx.timers.arm(&mut time_wait.timer, owner, at);
        }
    }

    /// 2 MSL have passed.
    pub(crate) fn end_time_wait(&mut self, cx: &mut Context<'_>, id: SocketId) {
        let Some(Socket::TimeWait(_)) = self.sockets.get(id) else {
            return;
        };
        if let Some(Socket::TimeWait(mut time_wait)) = self.sockets.remove(id) {
            cx.timers.disarm(&mut time_wait.timer);
            self.flows.disconnect(id, &time_wait.tuple);
            if let Some(claim) = time_wait.claim {
                self.flows.demux.release(&claim);
            }
            self.time_wait = self.time_wait.saturating_sub(1);
        }
    }
}
