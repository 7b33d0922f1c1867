//! Where segments of the outgoing text have to end, and which are pushed.
//!
//! A record (MSG_EOR) ends a packet: nothing behind its end travels with what lies before it. The
//! PSH flag marks what the user has given completely (RFC 9293 §3.9.1.2, MUST-60, MUST-61, SHLD-27):
//! the end of each SEND that does not say that more follows (MSG_MORE), unless later text has joined
//! it before it could leave; and, as in Linux, of a long SEND one place in each half of the largest
//! window that the peer has offered, so that its reader is not kept waiting.
//!
//! Like Linux, text is taken to be in super-segments: one ends when it is full, when it has been
//! sent, or where a record ends.

use sockeye_wire::SeqNum;
use std::collections::VecDeque;

/// A place in the outgoing stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct End {
    at: SeqNum,
    /// Nothing goes beyond it in one packet.
    record: bool,
    /// What ends here is pushed.
    push: bool,
}

/// How a SEND was meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendFlags {
    /// MSG_OOB: the last byte is the urgent octet.
    pub urgent: bool,
    /// MSG_EOR: a record ends behind the last byte.
    pub end_of_record: bool,
    /// MSG_MORE: more follows soon; what does not fill a segment waits for it.
    pub more: bool,
}

impl SendFlags {
    /// MSG_OOB alone.
    pub const URGENT: Self = Self {
        urgent: true,
        end_of_record: false,
        more: false,
    };
}

/// How far a super-segment goes, and how long nothing may stay without PSH.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// Bytes of a super-segment.
    pub(crate) goal: u32,
    /// Half of the largest window that the peer has offered.
    pub(crate) half_window: u32,
    /// Bytes that the windows let out at once.
    pub(crate) goes: u32,
}

/// The ends in what is not sent yet.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Records {
    #[expect(
        clippy::box_collection,
        reason = "few connections have any: one pointer, not four words"
    )]
    #[serde(skip)]
    ends: Option<Box<VecDeque<End>>>,
    /// Where the last super-segment begins.
    last: SeqNum,
    /// The last place that was pushed.
    pushed: SeqNum,
    /// The end of everything queued is pushed.
    push: bool,
}

impl Records {
    /// Whether no end is known.
    pub(crate) fn is_empty(&self) -> bool {
        self.ends.as_ref().is_none_or(|ends| ends.is_empty())
    }

    /// A SEND has taken the text between two numbers; what lies before `sent` has left.
    pub(crate) fn took(
        &mut self,
        (from, to): (SeqNum, SeqNum),
        sent: SeqNum,
        sizes: Sizes,
        flags: SendFlags,
    ) {
        if sent.after(self.last) || from.before(self.last) {
            self.last = sent;
        }
        if self.last.bytes_to(from) >= sizes.goal {
            // It is full: what follows does not join it.
            self.end_at(from, self.push);
        }
        self.push = self.fill(to, sent, sizes);
        if !flags.more || self.is_due(to, sizes) {
            self.push = true;
            self.pushed = to;
        }
        if flags.end_of_record {
            self.keep(End {
                at: to,
                record: true,
                push: self.push,
            });
            self.last = to;
        }
    }

    /// Fills super-segments up to `to`; what the windows let out of the first one as it is full
    /// makes room at its end. Returns whether the last one is pushed though it is not full.
    fn fill(&mut self, to: SeqNum, mut sent: SeqNum, sizes: Sizes) -> bool {
        let (goal, mut goes) = (sizes.goal.max(1), sizes.goes);
        let mut push = false;
        while self.last.bytes_to(to) > goal {
            let full = self.last + goal;
            let due = self.is_due(full, sizes);
            push |= due;
            if due || self.last == sent {
                let goes_now = goes.min(sent.bytes_to(full));
                goes -= goes_now;
                sent += goes_now;
            }
            if due {
                self.pushed = full;
            }
            if sent.after(self.last) && sent.before(full) {
                self.last = sent;
                continue;
            }
            self.end_at(full, push);
            push = false;
        }
        push
    }

    /// Whether nothing has been pushed for so long that what ends at `at` has to be.
    fn is_due(&self, at: SeqNum, sizes: Sizes) -> bool {
        self.pushed.bytes_to(at) > sizes.half_window
    }

    /// A super-segment ends at `at`.
    fn end_at(&mut self, at: SeqNum, push: bool) {
        self.last = at;
        if push {
            self.pushed = self.pushed.later(at);
            self.keep(End {
                at,
                record: false,
                push,
            });
        }
    }

    fn keep(&mut self, end: End) {
        self.ends.get_or_insert_default().push_back(end);
    }

    fn iter(&self) -> impl Iterator<Item = &End> {
        self.ends.iter().flat_map(|ends| ends.iter())
    }

    /// What waits is pushed, since its time has come.
    pub(crate) fn push_all(&mut self) {
        self.push = true;
    }

    /// Everything before `at` has been sent.
    pub(crate) fn sent(&mut self, at: SeqNum) {
        let Some(ends) = &mut self.ends else {
            return;
        };
        while ends.front().is_some_and(|end| end.at.before_or_eq(at)) {
            ends.pop_front();
        }
        if ends.is_empty() {
            self.ends = None;
        }
    }

    /// The first end of a record behind `at`.
    pub(crate) fn next_end(&self, at: SeqNum) -> Option<SeqNum> {
        self.iter()
            .find(|end| end.record && end.at.after(at))
            .map(|end| end.at)
    }

    /// Whether a packet that ends at `at` is pushed, where `all` says that nothing is queued behind.
    pub(crate) fn is_pushed(&self, at: SeqNum, all: bool) -> bool {
        let mut ends = self.iter().take_while(|end| end.at.before_or_eq(at));
        (all && self.push) || ends.any(|end| end.at == at && end.push)
    }

    /// Ends that are kept, each of which counts for a super-segment of its own.
    pub(crate) fn len(&self) -> usize {
        self.ends.as_ref().map_or(0, |ends| ends.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: Sizes = Sizes {
        goal: 10_000,
        half_window: 20_000,
        goes: 0,
    };
    const PLAIN: SendFlags = SendFlags {
        urgent: false,
        end_of_record: false,
        more: false,
    };
    const MORE: SendFlags = SendFlags {
        more: true,
        ..PLAIN
    };
    const RECORD: SendFlags = SendFlags {
        end_of_record: true,
        ..PLAIN
    };

    fn took(
        records: &mut Records,
        (from, to): (u32, u32),
        sent: u32,
        sizes: Sizes,
        flags: SendFlags,
    ) {
        records.took((SeqNum(from), SeqNum(to)), SeqNum(sent), sizes, flags);
    }

    #[test]
    fn the_end_of_what_is_queued_is_pushed_unless_more_follows() {
        let mut records = Records::default();
        took(&mut records, (0, 400), 0, SIZES, PLAIN);
        assert!(records.is_pushed(SeqNum(400), true));
        took(&mut records, (400, 500), 0, SIZES, MORE);
        assert!(!records.is_pushed(SeqNum(500), true));
        records.push_all();
        assert!(records.is_pushed(SeqNum(500), true));
        // It joins what waits, which is not pushed any more.
        took(&mut records, (500, 600), 0, SIZES, PLAIN);
        assert!(!records.is_pushed(SeqNum(500), false) && records.is_pushed(SeqNum(600), true));
        assert_eq!(records.len(), 0);
    }

    #[test]
    fn a_record_ends_a_packet() {
        let mut records = Records::default();
        took(&mut records, (0, 400), 0, SIZES, PLAIN);
        took(&mut records, (400, 800), 0, SIZES, RECORD);
        took(&mut records, (800, 1200), 0, SIZES, RECORD);
        took(&mut records, (1200, 1300), 0, SIZES, PLAIN);
        assert_eq!(records.next_end(SeqNum(0)), Some(SeqNum(800)));
        assert_eq!(records.next_end(SeqNum(800)), Some(SeqNum(1200)));
        assert_eq!(records.next_end(SeqNum(1200)), None);
        assert!(records.is_pushed(SeqNum(800), false) && !records.is_pushed(SeqNum(400), false));
        records.sent(SeqNum(800));
        assert_eq!(
            (records.next_end(SeqNum(0)), records.len()),
            (Some(SeqNum(1200)), 1)
        );
        records.sent(SeqNum(1300));
        assert!(records.ends.is_none());
    }

    #[test]
    fn a_long_send_is_pushed_once_in_half_a_window() {
        let mut records = Records::default();
        took(&mut records, (0, 100_000), 0, SIZES, MORE);
        let pushed: Vec<_> = records.iter().map(|end| end.at.0).collect();
        assert_eq!(pushed, [30_000, 60_000, 90_000]);
        assert!(!records.is_pushed(SeqNum(100_000), true));
    }

    #[test]
    fn what_leaves_at_once_makes_room() {
        let mut records = Records::default();
        let sizes = Sizes {
            goal: 16_000,
            half_window: 16_448,
            goes: 2_000,
        };
        took(&mut records, (0, 60_000), 0, sizes, PLAIN);
        let pushed: Vec<_> = records.iter().map(|end| end.at.0).collect();
        assert_eq!(pushed, [18_000, 50_000]);
    }

    #[test]
    fn a_full_super_segment_keeps_its_push() {
        let mut records = Records::default();
        took(&mut records, (0, 10_000), 0, SIZES, PLAIN);
        took(&mut records, (10_000, 10_100), 0, SIZES, MORE);
        assert!(
            records.is_pushed(SeqNum(10_000), false) && !records.is_pushed(SeqNum(10_100), true)
        );
        // One that was sent begins anew.
        let mut records = Records::default();
        took(&mut records, (0, 4_000), 0, SIZES, PLAIN);
        took(&mut records, (4_000, 12_000), 4_000, SIZES, PLAIN);
        assert!(
            !records.is_pushed(SeqNum(10_000), false) && records.is_pushed(SeqNum(12_000), true)
        );
    }
}
