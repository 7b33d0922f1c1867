//! What the error queue tells the user of what he sent.
//!
//! Sends with MSG_ZEROCOPY (SO_ZEROCOPY): each is over when all of it has been acknowledged, or can't
//! be any more. Text is copied as it is taken, so that its buffers are free before that; the report
//! says both, as Linux's does where it had to copy.

use crate::Tcp;
use crate::tcb::Tcb;
use sockeye_core::{Context, Error, ErrorQueue, Readiness, Report, SocketId};
use sockeye_wire::SeqNum;
use std::collections::VecDeque;

/// Sends with MSG_ZEROCOPY that are not over, each by itself; those beyond end together.
const ZERO_COPIES_MAX: usize = 64;

/// The error queue, and what is going to be told there.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    queue: ErrorQueue,
    zero_copies: VecDeque<ZeroCopy>,
    /// The number of the next send.
    next: u32,
}

/// Sends that are not over: the numbers of the first and the last, and where the last one ends.
#[derive(Clone, Copy, Debug)]
struct ZeroCopy {
    first: u32,
    last: u32,
    end: SeqNum,
}

impl Tcp {
    /// A send with MSG_ZEROCOPY has taken all that it could, and not nothing: with SO_ZEROCOPY the
    /// error queue will tell that it is over.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn sent_zero_copy(&mut self, cx: &mut Context<'_>, id: SocketId) -> Result<(), Error> {
        if let Some(tcb) = self.held_mut(id)?.tcb_mut()
            && tcb.settings.common.zero_copy
        {
            let end = tcb.queue.end();
            tcb.reports.get_or_insert_default().add(end);
            tcb.end_zero_copies(cx);
        }
        Ok(())
    }

    /// Takes the next report of the error queue.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] when there is none, [`Error::BadSocket`].
    pub fn recv_error(&mut self, id: SocketId) -> Result<Report, Error> {
        let tcb = self.held_mut(id)?.tcb_mut();
        let reports = tcb.and_then(|tcb| tcb.reports.as_mut());
        let report = reports.and_then(|reports| reports.queue.pop());
        report.ok_or(Error::WouldBlock)
    }
}

impl Tcb {
    /// Whether there are reports.
    pub(crate) fn has_reports(&self) -> bool {
        let reports = self.reports.as_ref();
        reports.is_some_and(|reports| !reports.queue.is_empty())
    }

    /// Tells which sends are over, since more has been acknowledged or nothing can be any more.
    pub(crate) fn end_zero_copies(&mut self, cx: &mut Context<'_>) {
        let start = self.queue.start();
        if let Some(reports) = &mut self.reports
            && reports.end_before(start)
        {
            self.signal(cx, Readiness::ERROR_QUEUE);
        }
    }
}

impl Reports {
    fn add(&mut self, end: SeqNum) {
        let number = self.next;
        self.next = number.wrapping_add(1);
        if self.zero_copies.len() >= ZERO_COPIES_MAX
            && let Some(last) = self.zero_copies.back_mut()
        {
            last.last = number;
            last.end = end;
            return;
        }
        self.zero_copies.push_back(ZeroCopy {
            first: number,
            last: number,
            end,
        });
    }

    /// Reports the sends that end before or at `una`. True if there are any.
    fn end_before(&mut self, una: SeqNum) -> bool {
        let mut ended = false;
        while let Some(&ZeroCopy { first, last, end }) = self.zero_copies.front()
            && end.before_or_eq(una)
        {
            self.zero_copies.pop_front();
            self.queue.push(Report::ZeroCopy { first, last });
            ended = true;
        }
        ended
    }
}
