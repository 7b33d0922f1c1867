//! The segments that begin and end a connection, in their order.

use sockeye_core::Instant;
use sockeye_wire::tcp;

/// Rungs of a connection's diagram at most; in the middle of what is more, some are left out.
pub const RUNGS_MAX: usize = 48;

/// A line of the diagram.
#[derive(Clone, Debug)]
pub(crate) enum Rung {
    Segment {
        at: Instant,
        /// Sent is 0, received 1.
        way: usize,
        header: tcp::Header,
        /// Its number, and the number that it acknowledges, counted from the SYNs.
        seq: u64,
        ack: Option<u64>,
        text: u32,
        /// It was sent before.
        again: bool,
    },
    State {
        at: Instant,
        to: &'static str,
    },
    /// What is not drawn: segments and octets of data, sent and received.
    Between {
        from: Instant,
        to: Instant,
        segments: [u64; 2],
        octets: [u64; 2],
    },
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Ladder {
    pub(crate) rungs: Vec<Rung>,
}

impl Ladder {
    pub(crate) fn push(&mut self, rung: Rung) {
        self.rungs.push(rung);
        if self.rungs.len() > RUNGS_MAX {
            self.leave_out();
        }
    }

    /// A segment that is neither of the beginning nor of the end.
    pub(crate) fn skip(&mut self, at: Instant, way: usize, count: u64, text: u64) {
        if !matches!(self.rungs.last(), Some(Rung::Between { .. })) {
            self.push(Rung::Between {
                from: at,
                to: at,
                segments: [0; 2],
                octets: [0; 2],
            });
        }
        let Some(Rung::Between {
            to,
            segments,
            octets,
            ..
        }) = self.rungs.last_mut()
        else {
            return;
        };
        *to = at;
        segments[way] += count;
        octets[way] += text;
    }

    /// Merges two rungs of the middle into what is between.
    fn leave_out(&mut self) {
        let middle = RUNGS_MAX / 2;
        let second = self.rungs.remove(middle + 1);
        let first = &mut self.rungs[middle];
        let (begin, mut segments, mut octets) = summed(first);
        let (end, more, further) = summed(&second);
        for way in [0, 1] {
            segments[way] += more[way];
            octets[way] += further[way];
        }
        *first = Rung::Between {
            from: begin.0,
            to: end.1,
            segments,
            octets,
        };
    }
}

/// From when to when, and what of segments and octets, a rung is.
fn summed(rung: &Rung) -> ((Instant, Instant), [u64; 2], [u64; 2]) {
    match *rung {
        Rung::Segment { at, way, text, .. } => {
            let mut segments = [0; 2];
            let mut octets = [0; 2];
            segments[way] = 1;
            octets[way] = text.into();
            ((at, at), segments, octets)
        }
        Rung::State { at, .. } => ((at, at), [0; 2], [0; 2]),
        Rung::Between {
            from,
            to,
            segments,
            octets,
        } => ((from, to), segments, octets),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ladder_is_bounded_and_counts_what_it_leaves_out() {
        let mut ladder = Ladder::default();
        for ms in 0..1000 {
            ladder.push(Rung::Segment {
                at: Instant::from_millis(ms),
                way: 0,
                header: tcp::Header::default(),
                seq: 0,
                ack: None,
                text: 2,
                again: ms > 0,
            });
        }
        assert_eq!(ladder.rungs.len(), RUNGS_MAX);
        let total: u64 = ladder.rungs.iter().map(|rung| summed(rung).1[0]).sum();
        assert_eq!(total, 1000);
        let between = |rung: &&Rung| matches!(rung, Rung::Between { .. });
        assert_eq!(ladder.rungs.iter().filter(between).count(), 1);
    }
}
