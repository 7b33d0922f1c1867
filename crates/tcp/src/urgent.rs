//! Urgent data (RFC 9293 §3.8.5, MUST-30; RFC 6093), in both directions, as Linux and BSD have it.
//!
//! The urgent pointer means the octet behind the last urgent one (RFC 9293 §3.8.5, MUST-62); with
//! `tcp_stdurg` the last one itself (RFC 1122 §4.2.2.4, which RFC 6093 §3.1 takes back). Of urgent
//! data of any length (MUST-31) the last octet is *the* urgent one (RFC 6093 §3.2). It is taken out of the stream and
//! read by itself, unless the user wants it in its place (SO_OOBINLINE). Its place is the *mark*:
//! reads stop there. A later one puts an earlier one back among the ordinary text.

use crate::segment::Segment;
use crate::socket::Socket;
use crate::tcb::Tcb;
use crate::{State, Tcp};
use sockeye_core::{Config, Context, Error, Event, Payload, Readiness, SocketId};
use sockeye_wire::SeqNum;
use sockeye_wire::tcp::{Flags, Header};

/// The urgent pointers of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Urgent {
    /// SND.UP: the number behind the last urgent octet, while it is not acknowledged.
    snd_up: Option<SeqNum>,
    /// RCV.UP: the last that was announced; it counts until the user has read beyond it.
    rcv_up: Option<Mark>,
}

/// The place of the urgent octet in the incoming stream, and what has become of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    /// RCV.UP, as a position of the stream.
    at: u64,
    octet: Octet,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Octet {
    /// Announced; it has not arrived.
    Awaited,
    /// It may be read.
    Here(u8),
    /// It was read by itself.
    Taken,
}

/// Calls of the user.
impl Tcp {
    /// RECEIVE of the urgent octet by itself (MSG_OOB); `peek` leaves it there. It never waits.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is none, it was read, or it is part of the stream
    /// (SO_OOBINLINE); [`Error::WouldBlock`] when it was announced and has not arrived;
    /// [`Error::NotConnected`].
    pub fn recv_urgent(
        &mut self,
        _cx: &mut Context<'_>,
        id: SocketId,
        out: &mut [u8],
        peek: bool,
    ) -> Result<usize, Error> {
        let tcb = match self.held_mut(id)? {
            Socket::Listening(_) => return Err(Error::NotConnected),
            other => other.tcb_mut().ok_or(Error::Invalid)?,
        };
        if tcb.settings.oob_inline {
            return Err(Error::Invalid);
        }
        let Some(mark) = tcb.urgent_mark() else {
            return Err(Error::Invalid);
        };
        let closed = tcb.state == State::Closed;
        match mark.octet {
            Octet::Taken => Err(Error::Invalid),
            _ if closed && !tcb.fin_has_arrived() => Err(Error::NotConnected),
            Octet::Here(octet) => {
                if !peek {
                    tcb.set_octet(Octet::Taken);
                }
                let Some(first) = out.first_mut() else {
                    return Ok(0);
                };
                *first = octet;
                Ok(1)
            }
            Octet::Awaited if closed || tcb.marks.read_shut || tcb.state.peer_closed() => Ok(0),
            Octet::Awaited => Err(Error::WouldBlock),
        }
    }

    /// Whether the next octet to read is at the mark (SIOCATMARK, sockatmark(3)): RFC 9293 §3.8.5
    /// (MUST-33).
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn at_mark(&self, id: SocketId) -> Result<bool, Error> {
        let tcb = self.held(id)?.tcb();
        Ok(tcb.is_some_and(|tcb| tcb.is_at_mark()))
    }
}

/// The receiving side.
impl Tcb {
    /// RFC 9293 §3.10.7.4, sixth: the URG bit. What it announces counts though the window is closed
    /// and no text came along (MUST-66).
    pub(crate) fn urgent(&mut self, cx: &mut Context<'_>, segment: &Segment) {
        if !self.state.receives_text() {
            // The FIN was before it: this should not occur. Ignored.
            return;
        }
        if let Some(up) = segment.up {
            self.announced(cx, up);
        }
        let ahead = self.rcv.nxt.bytes_to(segment.text_seq());
        self.look_for_octet(cx, self.rcv.position + u64::from(ahead), &segment.text);
    }

    /// RCV.UP <- max (RCV.UP, SEG.UP), and the user is told (MUST-32). `up` is the urgent octet's
    /// own number.
    fn announced(&mut self, cx: &mut Context<'_>, up: SeqNum) {
        if up.before(self.rcv.nxt) {
            return;
        }
        let at = self.rcv.position + u64::from(self.rcv.nxt.bytes_to(up));
        let old = self.urgent_mark();
        if old.is_some_and(|old| at <= old.at) {
            return;
        }
        if self.is_at_mark() && !self.settings.oob_inline {
            // Everything before the old octet was read: it does not come back as text.
            self.skip_octet();
        }
        self.urgent.get_or_insert_default().rcv_up = Some(Mark {
            at,
            octet: Octet::Awaited,
        });
        cx.tell(&Event::Urgent {
            socket: self.handle,
        });
    }

    /// Takes the urgent octet from text at the position `start`, if it is the one that is awaited.
    pub(crate) fn look_for_octet(&mut self, cx: &mut Context<'_>, start: u64, text: &Payload) {
        let Some(mark) = self.urgent.as_ref().and_then(|urgent| urgent.rcv_up) else {
            return;
        };
        if mark.octet != Octet::Awaited || mark.at < start {
            return;
        }
        let mut offset = mark.at - start;
        for slice in text {
            let len = slice.len() as u64;
            if offset < len {
                self.set_octet(Octet::Here(slice[offset as usize]));
                self.signal(cx, Readiness::PRIORITY);
                return;
            }
            offset -= len;
        }
    }

    fn set_octet(&mut self, octet: Octet) {
        if let Some(mark) = self.urgent.as_mut().and_then(|u| u.rcv_up.as_mut()) {
            mark.octet = octet;
        }
    }

    /// The mark, until the user has read beyond it.
    fn urgent_mark(&self) -> Option<Mark> {
        let mark = self.urgent.as_ref()?.rcv_up?;
        (mark.at >= self.read_position()).then_some(mark)
    }

    /// Position of the next octet that the user reads.
    fn read_position(&self) -> u64 {
        self.rcv.position - self.received.len() as u64
    }

    fn is_at_mark(&self) -> bool {
        self.urgent_mark()
            .is_some_and(|mark| mark.at == self.read_position())
    }

    /// Whether the urgent octet is the next in the stream and no part of it.
    fn is_before_hole(&self) -> bool {
        self.is_at_mark() && !self.settings.oob_inline
    }

    /// A read begins: the urgent octet is no ordinary one, and is lost if it was not read before.
    pub(crate) fn pass_mark(&mut self) {
        if self.is_before_hole() {
            self.skip_octet();
        }
    }

    /// Drops the octet at the mark, once it has arrived in order.
    fn skip_octet(&mut self) {
        self.received.skip(1);
    }

    /// Bytes at the front that a peek leaves out.
    pub(crate) fn hole(&self) -> usize {
        usize::from(self.is_before_hole())
    }

    /// Bytes that one read may take: up to the mark, unless it starts there.
    pub(crate) fn until_mark(&self) -> usize {
        let waiting = self.waiting();
        match self.urgent_mark() {
            Some(mark) if mark.at > self.read_position() => {
                let ahead = mark.at - self.read_position();
                usize::try_from(ahead).map_or(waiting, |ahead| ahead.min(waiting))
            }
            _ => waiting,
        }
    }

    /// What SIOCINQ tells: bytes before the urgent octet, none where it comes next.
    pub(crate) fn readable_now(&self) -> usize {
        if self.is_before_hole() && self.waiting() > 0 {
            0
        } else if self.settings.oob_inline {
            self.waiting()
        } else {
            self.until_mark()
        }
    }

    /// Whether urgent data can be read (POLLPRI).
    pub(crate) fn has_priority(&self) -> bool {
        self.urgent_mark()
            .is_some_and(|mark| matches!(mark.octet, Octet::Here(_)))
    }

    /// The peer's FIN occupies a number that is no position of the stream.
    fn fin_has_arrived(&self) -> bool {
        // Modulo 2^32 on purpose.
        self.rcv.nxt != self.rcv.irs + 1 + (self.rcv.position & u64::from(u32::MAX)) as u32
    }
}

/// The sending side.
impl Tcb {
    /// RFC 9293 §3.10.2: SND.UP moves behind all that is queued.
    pub(crate) fn mark_urgent(&mut self) {
        self.urgent.get_or_insert_default().snd_up = Some(self.queue.end());
    }

    /// Whether urgent data has not been acknowledged. Then nothing waits (RFC 9293 §3.7.4 is about
    /// ordinary text), and segments leave one by one: a device that cuts super-segments would have
    /// to move the pointer.
    pub(crate) fn is_urgent(&self) -> bool {
        self.snd_up().is_some()
    }

    /// SND.UP, while what it points behind is not acknowledged.
    fn snd_up(&self) -> Option<SeqNum> {
        let up = self.urgent.as_ref()?.snd_up?;
        up.after(self.snd.una).then_some(up)
    }

    /// Whether a probe has to say that urgent data waits behind a closed window: it lies outside, where
    /// nothing of it counts, so that another segment goes first, which lies at SND.UNA (MUST-66).
    pub(crate) fn announces_urgent(&self) -> bool {
        let reaches = |up| self.snd.una.bytes_to(up) <= u32::from(u16::MAX);
        self.snd_up().is_some_and(reaches)
    }

    /// Sets the URG bit and the pointer of a segment that leaves, where urgent data lies ahead.
    pub(crate) fn point(&mut self, header: &mut Header, config: &Config) {
        let Some(up) = self.snd_up() else {
            if let Some(urgent) = &mut self.urgent {
                // Forgotten here, so that the comparison never wraps.
                urgent.snd_up = None;
            }
            return;
        };
        // RFC 9293 §3.8.5 (MUST-62): the octet behind; RFC 1122 §4.2.2.4: the last one.
        let target = if config.tcp_stdurg { up - 1 } else { up };
        if !header.seq.before(up) {
            return;
        }
        let pointer = match u16::try_from(header.seq.bytes_to(target)) {
            Ok(pointer) => pointer,
            // It does not reach that far: as far as it goes, if that is beyond all that was sent.
            Err(_) if (header.seq + u32::from(u16::MAX)).after(self.snd.nxt) => u16::MAX,
            Err(_) => return,
        };
        header.flags |= Flags::URG;
        header.urgent_pointer = pointer;
    }
}
