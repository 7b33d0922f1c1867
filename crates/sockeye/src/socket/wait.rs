//! How a step is repeated until it is done: with a waker in line, or with the thread parked.

use super::Socket;
use super::op::{Kind, Op};
use crate::clock::Deadline;
use crate::driver::block_on;
use crate::error::to_io;
use crate::shard::{Shard, State};
use crate::waiters::{Class, Direction, Ticket};
use sockeye_core::{Error, Instant, Readiness};
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

impl Socket {
    pub(super) fn shard(&self) -> &Arc<Shard> {
        self.0.node.shard()
    }

    fn op<'a>(&self, state: &'a mut State, now: Instant) -> Op<'a> {
        Op {
            state,
            now,
            kind: self.0.kind,
            id: self.0.handle.id,
        }
    }

    /// One step under the lock.
    pub(super) fn step<R>(
        &self,
        step: impl FnOnce(&mut Op<'_>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.shard()
            .with(|state, now| step(&mut self.op(state, now)))
    }

    /// One step that never waits.
    pub(super) fn call<R>(
        &self,
        step: impl FnOnce(&mut Op<'_>) -> Result<R, Error>,
    ) -> io::Result<R> {
        self.step(step).map_err(to_io)
    }

    /// Lets out what a step made the node say.
    pub(super) fn run(&self) {
        self.shard().run();
    }

    /// A step for a task that names itself by its waker alone.
    pub(super) fn poll_step<R>(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        mut step: impl FnMut(&mut Op<'_>) -> Result<R, Error>,
    ) -> Poll<Result<R, Error>> {
        let mut wants_turn = false;
        let polled = self.shard().with(|state, now| {
            let done = step(&mut self.op(state, now));
            if matches!(done, Err(Error::WouldBlock)) {
                state
                    .waiters
                    .join_once(self.0.handle, direction, cx.waker());
                wants_turn = self.wants_turn(state, now);
                return Ok(Poll::Pending);
            }
            Ok(Poll::Ready(done))
        });
        let polled = polled.unwrap_or_else(|error| Poll::Ready(Err(error)));
        if polled.is_pending() {
            self.serve_task(wants_turn);
        }
        polled
    }

    /// A task waits for the socket. Inside the node nobody has to move that for it.
    fn serve_task(&self, wants_turn: bool) {
        if !matches!(self.0.kind, Kind::Unix(_)) {
            self.shard().serve_task(wants_turn);
        }
    }

    /// Whether a step that has to wait has left something for a turn. What comes by a link is for
    /// whoever drives the node, who is called.
    fn wants_turn(&self, state: &mut State, now: Instant) -> bool {
        !matches!(self.0.kind, Kind::Unix(_)) && self.op(state, now).wants_turn()
    }

    /// A step that a blocking socket waits for, at most as long as `timeout`.
    pub(super) fn wait<R>(
        &self,
        direction: Direction,
        class: Class,
        wait: Wait,
        mut step: impl FnMut(&mut Op<'_>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        match self.step(&mut step) {
            Err(Error::WouldBlock) => {}
            done => return done,
        }
        let deadline = match wait {
            // What has come in meanwhile counts.
            Wait::No => {
                self.run();
                return self.step(step);
            }
            Wait::Forever => None,
            Wait::Until(deadline) => deadline,
        };
        let mut waiting = Waiting::new(self, direction, class);
        let shards = || vec![self.shard().clone()];
        let done = block_on(shards, deadline, |cx| waiting.poll_parked(cx, &mut step));
        done.unwrap_or(Err(Error::WouldBlock))
    }

    /// How long a call waits: by the socket's mode and a time-out of it.
    pub(super) fn patience(&self, timeout: Option<Duration>) -> Wait {
        match (self.is_nonblocking(), timeout) {
            (true, _) => Wait::No,
            (false, None) => Wait::Forever,
            (false, Some(timeout)) => Wait::Until(self.shard().clock.after(timeout)),
        }
    }
}

/// How long a call waits.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wait {
    No,
    Forever,
    /// `None` for a moment beyond the clock's end.
    Until(Option<Deadline>),
}

/// One call's place in the line of a socket, until it is dropped.
pub(crate) struct Waiting<'a> {
    socket: &'a Socket,
    direction: Direction,
    class: Class,
    ticket: Option<Ticket>,
}

impl<'a> Waiting<'a> {
    pub(crate) fn new(socket: &'a Socket, direction: Direction, class: Class) -> Self {
        Self {
            socket,
            direction,
            class,
            ticket: None,
        }
    }

    /// A step of a task.
    pub(crate) fn poll<R>(
        &mut self,
        cx: &mut Context<'_>,
        step: impl FnMut(&mut Op<'_>) -> Result<R, Error>,
    ) -> Poll<Result<R, Error>> {
        let socket = self.socket;
        let mut wants_turn = false;
        let polled = self.poll_joined(cx, step, |state, now| {
            wants_turn = socket.wants_turn(state, now);
        });
        if polled.is_pending() {
            socket.serve_task(wants_turn);
        }
        polled
    }

    /// A step of a thread that drives the node itself.
    pub(crate) fn poll_parked<R>(
        &mut self,
        cx: &mut Context<'_>,
        step: impl FnMut(&mut Op<'_>) -> Result<R, Error>,
    ) -> Poll<Result<R, Error>> {
        self.poll_joined(cx, step, |_, _| {})
    }

    /// Calls `waits` under the lock where the step has to wait.
    fn poll_joined<R>(
        &mut self,
        cx: &mut Context<'_>,
        mut step: impl FnMut(&mut Op<'_>) -> Result<R, Error>,
        waits: impl FnOnce(&mut State, Instant),
    ) -> Poll<Result<R, Error>> {
        let socket = self.socket;
        let polled = socket.shard().with(|state, now| {
            let done = step(&mut socket.op(state, now));
            if matches!(done, Err(Error::WouldBlock)) {
                state.waiters.join(
                    socket.0.handle,
                    self.direction,
                    self.class,
                    &mut self.ticket,
                    cx.waker(),
                );
                waits(state, now);
                return Ok(Poll::Pending);
            }
            // Served: the place in the line is given up at once, not under the lock again.
            if let Some(ticket) = self.ticket.take() {
                self.leave(ticket, state, now);
            }
            Ok(Poll::Ready(done))
        });
        polled.unwrap_or_else(|error| Poll::Ready(Err(error)))
    }

    /// Gives up a place in the line. Where there is more to take, the next one is woken.
    fn leave(&self, ticket: Ticket, state: &mut State, now: Instant) {
        let handle = self.socket.0.handle;
        state.waiters.leave(handle, self.direction, ticket);
        if self.class != Class::Exclusive {
            return;
        }
        let wanted = match self.direction {
            Direction::Read => Readiness::READABLE,
            Direction::Write => Readiness::WRITABLE,
        };
        // One that is closed has told all who waited.
        let ready = self.socket.op(state, now).readiness();
        if ready.is_ok_and(|ready| ready.contains(wanted)) {
            let State { waiters, woken, .. } = state;
            waiters.next(handle, self.direction, woken);
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else {
            return;
        };
        // After the end of the node nobody waits.
        let _ = self.socket.shard().with(|state, now| {
            self.leave(ticket, state, now);
            Ok(())
        });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::{Domain, Node, Type};
    use sockeye_core::{Owner, TimerSlot, Timers};

    const SOON: Instant = Instant::from_nanos(1_000_000);
    const LATER: Instant = Instant::from_nanos(2_000_000);

    /// A call begins when a turn is planned soon, and waits; that turn has come and gone when its
    /// step sets a timer for later. Nobody else knows of that.
    #[test]
    fn a_step_that_sets_a_timer_wants_a_turn_whatever_was_planned_when_its_call_began() {
        let node = Node::builder().background(false).build().unwrap();
        let socket = Socket::new_on(&node, Domain::IPV4, Type::STREAM, None).unwrap();
        let owner = Owner::Socket(socket.0.handle);
        let (mut one, mut other) = (TimerSlot::default(), TimerSlot::default());
        let wants_turn = |change: &mut dyn FnMut(&mut Timers)| {
            let wanted = socket.step(|op| {
                change(op.state.node.tcp(op.now).1.timers);
                Ok(op.wants_turn())
            });
            wanted.unwrap()
        };
        let turn = || node.shard().with_turn(|_| {}).0;
        assert!(wants_turn(&mut |timers| timers.arm(&mut one, owner, SOON)));
        assert_eq!(turn(), SOON);
        // The turn that is planned finds this one, and loses nothing by one that is gone.
        assert!(!wants_turn(
            &mut |timers| timers.arm(&mut other, owner, LATER)
        ));
        assert!(!wants_turn(&mut |timers| {
            timers.disarm(&mut one);
            timers.disarm(&mut other);
        }));
        assert_eq!(turn(), Instant::FAR);
        assert!(wants_turn(
            &mut |timers| timers.arm(&mut other, owner, LATER)
        ));
    }
}
