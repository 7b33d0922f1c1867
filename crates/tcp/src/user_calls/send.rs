//! SEND (RFC 9293 §3.10.2), and the send buffer.

use crate::records::{SendFlags, Sizes};
use crate::socket::Socket;
use crate::tcb::Tcb;
use crate::{State, Tcp};
use bytes::Bytes;
use sockeye_core::{Context, Error, Readiness, SocketId};
use sockeye_wire::SeqNum;
use std::io::IoSlice;

/// Bytes of the largest super-segment (a GSO packet less its headers).
const GOAL_MAX: u32 = 65_535 - 320;
/// What a super-segment counts for beside its text (Linux: two empty sk_buffs).
const CHUNK_COST: usize = 1664;
/// What a segment's headers, and its bookkeeping, count for when the buffer is sized (Linux:
/// MAX_TCP_HEADER, skb_shared_info, sk_buff).
const HEADERS_COST: u32 = 640;
const SEGMENT_COST: u32 = 256;
/// Segments that a send buffer holds twice at the least (Linux: TCP_INIT_CWND).
const SEGMENTS_MIN: u64 = 10;
/// The room is reckoned in so many steps at the most.
const STEPS_MAX: usize = 64;

impl Tcp {
    /// SEND: takes as much of `data` as there is room for.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] when there is none, or no connection yet; [`Error::BrokenPipe`] when
    /// this side is closed; the connection's error, once.
    pub fn send(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        data: &[IoSlice<'_>],
    ) -> Result<usize, Error> {
        self.send_with(cx, id, data, SendFlags::default())
    }

    /// SEND with the URGENT flag: the last byte that is taken becomes the urgent octet (MSG_OOB).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_urgent(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        data: &[IoSlice<'_>],
    ) -> Result<usize, Error> {
        self.send_with(cx, id, data, SendFlags::URGENT)
    }

    /// SEND with flags; those that concern the end of `data` count for the end of what is taken, but
    /// for MSG_EOR, which counts only when all is.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_with(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        data: &[IoSlice<'_>],
        flags: SendFlags,
    ) -> Result<usize, Error> {
        let wanted = data.iter().map(|slice| slice.len()).sum();
        let room = self.room_for(cx, id, wanted)?;
        if wanted == 0 {
            return Ok(0);
        }
        let tcb = self.sendable(id)?;
        tcb.note_app_limited();
        tcb.restart_after_idle(cx);
        let taken = tcb.take(data, room, flags);
        tcb.marks.refused_send |= taken < wanted;
        if flags.urgent {
            tcb.mark_urgent();
        }
        tcb.note_hold(cx.now);
        self.settle(cx, id);
        Ok(taken)
    }

    /// SEND without a copy: takes as much of `data` as there is room for off its front.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_bytes(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        data: &mut Bytes,
        flags: SendFlags,
    ) -> Result<usize, Error> {
        let room = self.room_for(cx, id, data.len())?;
        if data.is_empty() {
            return Ok(0);
        }
        let tcb = self.sendable(id)?;
        tcb.note_app_limited();
        tcb.restart_after_idle(cx);
        let taken = data.split_to(room.min(data.len()));
        let len = taken.len();
        let from = tcb.queue.end();
        tcb.queue.push_bytes(taken);
        tcb.took(from, data.is_empty(), flags);
        tcb.marks.refused_send |= !data.is_empty();
        tcb.note_hold(cx.now);
        self.settle(cx, id);
        Ok(len)
    }

    /// How much of `wanted` bytes a connection that takes SENDs has room for.
    fn room_for(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        wanted: usize,
    ) -> Result<usize, Error> {
        let full = cx.memory.is_full();
        let tcb = self.sendable(id)?;
        tcb.marks.starved = full;
        let room = tcb.send_room(wanted);
        if room > 0 || wanted == 0 {
            return Ok(room);
        }
        tcb.marks.refused_send = true;
        if full {
            self.account(cx, id);
        }
        Err(Error::WouldBlock)
    }

    /// RFC 9293 §3.10.2: the connection, if it takes SENDs.
    fn sendable(&mut self, id: SocketId) -> Result<&mut Tcb, Error> {
        let tcb = match self.held_mut(id)? {
            Socket::Fresh(fresh) => {
                return Err(fresh.error.take().unwrap_or(Error::BrokenPipe));
            }
            Socket::Listening(_) | Socket::HalfOpen(_) => return Err(Error::BrokenPipe),
            other => other.tcb_mut().ok_or(Error::BrokenPipe)?,
        };
        if let Some(error) = tcb.error.take() {
            return Err(error);
        }
        match tcb.state {
            // RFC 7413 §4.2.2: a server may send before the handshake ends.
            State::SynReceived if tcb.is_unproven() && !tcb.marks.fin_queued => Ok(tcb),
            State::SynSent | State::SynReceived if !tcb.marks.fin_queued => Err(Error::WouldBlock),
            state if state.takes_sends() && !tcb.marks.fin_queued => Ok(tcb),
            _ => Err(Error::BrokenPipe),
        }
    }
}

impl Tcb {
    /// Queues as much of `data` as `room` allows; returns how much.
    pub(crate) fn take(&mut self, data: &[IoSlice<'_>], room: usize, flags: SendFlags) -> usize {
        let from = self.queue.end();
        let taken = self.queue.push(data, room);
        let all = taken == data.iter().map(|slice| slice.len()).sum();
        self.took(from, all, flags);
        taken
    }

    /// Text from `from` on was queued: `all` of what the user gave, or not.
    fn took(&mut self, from: SeqNum, all: bool, flags: SendFlags) {
        let to = self.queue.end();
        let sent = to - self.unsent();
        let sizes = Sizes {
            goal: self.goal(),
            half_window: self.snd.max_wnd / 2,
            goes: self.sendable_now().saturating_sub(sent.bytes_to(from)),
        };
        let flags = SendFlags {
            end_of_record: flags.end_of_record && all,
            ..flags
        };
        self.records.took((from, to), sent, sizes, flags);
        self.marks.more_follows = flags.more;
    }

    /// How many of `wanted` bytes SEND takes now.
    ///
    /// As in Linux, what is written goes into super-segments of [`goal`](Self::goal) bytes. A new one
    /// is begun while the buffer has any room and not too much is unsent, and then filled, so that
    /// a little more may be held than SO_SNDBUF says; and what the windows let out meanwhile is sent.
    pub(crate) fn send_room(&self, wanted: usize) -> usize {
        if self.marks.starved {
            return 0;
        }
        if wanted == 0 {
            return 0;
        }
        let low_water = self.settings.not_sent_max();
        let goal = (self.goal() as usize).max(self.send_buffer / STEPS_MAX);
        let mut held = self.held();
        let mut unsent = self.unsent() as usize;
        let mut goes = (self.sendable_now() as usize).saturating_sub(unsent);
        let mut room = 0;
        while room < wanted {
            // What is sent of a super-segment makes room at its end, while it is the last.
            let last = if unsent < goal { unsent } else { 0 };
            let step = match last {
                0 if held >= self.send_buffer || unsent >= low_water => break,
                0 => {
                    held += CHUNK_COST;
                    goal
                }
                last => goal - last,
            };
            room += step;
            held += step;
            unsent += step;
            let sent = goes.min(unsent);
            goes -= sent;
            unsent -= sent;
        }
        room.min(wanted)
    }

    /// Whether SEND is worth a try: a third of the buffer is free, and half of what may be unsent
    /// (Linux: sk_stream_is_writeable).
    pub(crate) fn is_writable(&self) -> bool {
        let len = self.queue.len() as usize;
        if len == 0 {
            return !self.marks.starved;
        }
        let held = self.held();
        let enough = held.saturating_add(held / 2) <= self.send_buffer;
        let unsent = self.unsent() as usize;
        enough && !self.marks.starved && unsent.saturating_mul(2) < self.settings.not_sent_max()
    }

    /// Transmits, and tells who waits: less is unsent then (TCP_NOTSENT_LOWAT), and ends that were kept
    /// in what was unsent count no more.
    pub(crate) fn transmit_and_tell(
        &mut self,
        cx: &mut Context<'_>,
        budget: usize,
    ) -> (usize, bool) {
        let waits = !self.is_writable();
        let done = self.transmit(cx, budget);
        if waits && self.is_writable() {
            self.marks.refused_send = false;
            self.signal(cx, Readiness::WRITABLE);
        }
        done
    }

    /// What the queued bytes count for in super-segments, of which records begin more.
    fn held(&self) -> usize {
        let len = self.queue.len() as usize;
        len + (len.div_ceil(self.goal() as usize) + self.records.len()) * CHUNK_COST
    }

    /// Bytes of a super-segment: whole segments, at most half of the largest window that the peer
    /// has offered.
    fn goal(&self) -> u32 {
        let most = GOAL_MAX.min(self.snd.max_wnd / 2);
        (most / self.mss).max(1) * self.mss
    }

    /// Bytes that the windows would let out if there were enough.
    fn sendable_now(&self) -> u32 {
        let cwnd = u32::try_from(self.cwnd()).unwrap_or(u32::MAX);
        cwnd.saturating_sub(self.pipe()).min(self.usable_window())
    }

    /// Lets the send buffer hold twice what may be in flight, up to `tcp_wmem`'s maximum. It counts as
    /// Linux does: a segment as the power of two that it fits in with its headers.
    pub(crate) fn tune_send_buffer(&mut self, cx: &Context<'_>) {
        let room = u64::from(self.pipe()) < self.cwnd();
        if self.settings.send_buffer_locked || !cx.memory.is_plenty() || !room {
            return;
        }
        let segment = (self.mss + HEADERS_COST).next_power_of_two() + SEGMENT_COST;
        let segments = (self.cwnd() / u64::from(self.mss)).max(SEGMENTS_MIN);
        let wanted = segments.saturating_mul(2).saturating_mul(segment.into());
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        self.send_buffer = self.send_buffer.max(wanted.min(cx.config.tcp_wmem.2));
    }
}
