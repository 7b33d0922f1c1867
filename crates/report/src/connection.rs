//! What is kept of one connection.

use crate::Way;
use crate::ladder::{Ladder, Rung};
use crate::segment::Segment;
use crate::thinned::Thinned;
use crate::throughput::Throughput;
use core::time::Duration;
use sockeye_core::{Event, Instant};
use sockeye_wire::{SeqNum, tcp};
use std::net::SocketAddr;

/// Points of one series at most; of more every second, fourth, … is kept.
pub const POINTS_MAX: usize = 4096;

/// Phases of loss recovery of one connection at most; later ones are counted.
pub const SPANS_MAX: usize = 256;

/// Sequence numbers from one to another: `from..to`, counted from the SYN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Range {
    pub(crate) at: Instant,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// What one side has acknowledged, and up to where it would take more.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Edges {
    pub(crate) at: Instant,
    pub(crate) ack: u64,
    pub(crate) window: u64,
}

/// What one side has sent.
#[derive(Clone, Debug)]
pub(crate) struct Side {
    isn: Option<SeqNum>,
    scale: Option<u8>,
    /// Behind the highest number that was sent.
    pub(crate) top: u64,
    edges: Option<Edges>,
    fin: Option<u64>,
    pub(crate) segments: u64,
    pub(crate) octets: u64,
    pub(crate) octets_again: u64,
    /// Data and SYN or FIN, for the first time and again.
    pub(crate) text: Thinned<Range>,
    pub(crate) again: Thinned<Range>,
    /// Acknowledgments that said something new, and those that said the same once more.
    pub(crate) acks: Thinned<Edges>,
    pub(crate) repeated: Thinned<Edges>,
    pub(crate) sacks: Thinned<Range>,
}

impl Side {
    const fn new() -> Self {
        Self {
            isn: None,
            scale: None,
            top: 0,
            edges: None,
            fin: None,
            segments: 0,
            octets: 0,
            octets_again: 0,
            text: Thinned::new(POINTS_MAX),
            again: Thinned::new(POINTS_MAX),
            acks: Thinned::new(POINTS_MAX),
            repeated: Thinned::new(POINTS_MAX),
            sacks: Thinned::new(POINTS_MAX),
        }
    }

    /// `seq` counted from the SYN without an end; `None` before it.
    fn place(&self, seq: SeqNum) -> Option<u64> {
        let isn = self.isn?;
        // The number modulo 2^32 that `top` stands for.
        let top = SeqNum(isn.0.wrapping_add(self.top as u32));
        self.top.checked_add_signed(top.distance_to(seq).into())
    }
}

/// A round trip, and what it makes of the figures.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RoundTrip {
    pub(crate) at: Instant,
    pub(crate) rtt: Duration,
    pub(crate) srtt: Duration,
}

#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    pub(crate) begin: Instant,
    pub(crate) end: Instant,
    /// The newest state.
    pub(crate) state: Option<&'static str>,
    pub(crate) sides: [Side; 2],
    pub(crate) windows: Thinned<(Instant, u64, u64)>,
    pub(crate) round_trips: Thinned<RoundTrip>,
    pub(crate) time_outs: Thinned<(Instant, Duration)>,
    pub(crate) timers_ran_out: u64,
    /// When the state of loss recovery changed, and to which.
    pub(crate) recovery: Vec<(Instant, &'static str)>,
    pub(crate) recovery_left_out: u64,
    pub(crate) throughput: Throughput,
    pub(crate) ladder: Ladder,
    /// The SYN's acknowledgment may still come.
    opening: bool,
}

impl Connection {
    pub(crate) const fn new(at: Instant, local: SocketAddr, remote: SocketAddr) -> Self {
        Self {
            local,
            remote,
            begin: at,
            end: at,
            state: None,
            sides: [Side::new(), Side::new()],
            windows: Thinned::new(POINTS_MAX),
            round_trips: Thinned::new(POINTS_MAX),
            time_outs: Thinned::new(POINTS_MAX),
            timers_ran_out: 0,
            recovery: Vec::new(),
            recovery_left_out: 0,
            throughput: Throughput::new(at),
            ladder: Ladder { rungs: Vec::new() },
            opening: true,
        }
    }

    /// Whether a SYN begins another connection between the same ports.
    pub(crate) fn is_over_for(&self, way: Way, header: &tcp::Header) -> bool {
        let begins = header.flags.contains(tcp::Flags::SYN);
        let side = &self.sides[way.index()];
        let other = side.isn.is_some_and(|isn| isn != header.seq);
        // Of a connection that stands, such a SYN is not (RFC 5961).
        let over = matches!(self.state, None | Some("CLOSED" | "TIME-WAIT"));
        begins && !header.flags.contains(tcp::Flags::ACK) && other && over
    }

    pub(crate) fn on_segment(&mut self, at: Instant, way: Way, segment: &Segment) {
        self.end = at;
        let way = way.index();
        let count = u64::from(segment.text.div_ceil(segment.size).max(1));
        self.sides[way].segments += count;
        let header = &segment.header;
        self.numbers(way, segment);
        let Some(seq) = self.sides[way].place(header.seq) else {
            return;
        };
        // What lies beyond the window nobody takes.
        let allowed = self.sides[1 - way].edges.map_or(u64::MAX, |e| e.window);
        if seq > allowed {
            return;
        }
        let acked = self.acknowledges(at, way, segment);
        let again = self.sends(at, way, seq, segment);
        self.draw_rung(at, way, segment, seq, acked, again, count);
    }

    /// Learns the sequence numbers' beginning and the scale of windows.
    fn numbers(&mut self, way: usize, segment: &Segment) {
        let header = &segment.header;
        let [syn, ack] = [tcp::Flags::SYN, tcp::Flags::ACK].map(|flag| header.flags.contains(flag));
        let side = &mut self.sides[way];
        if syn {
            side.isn.get_or_insert(header.seq);
            side.scale = header.options.window_scale.map(|shift| shift.min(14));
        } else if side.isn.is_none() {
            // Seen from its midst on: as if the SYN had been right before.
            side.isn = Some(header.seq - 1);
            side.top = 1;
        }
        let other = &mut self.sides[1 - way];
        if ack && !syn && other.isn.is_none() {
            other.isn = Some(header.ack - 1);
            other.top = 1;
        }
    }

    /// What it acknowledges, if that is anything the other side has sent.
    fn acknowledges(&mut self, at: Instant, way: usize, segment: &Segment) -> Option<u64> {
        let header = &segment.header;
        if !header.flags.contains(tcp::Flags::ACK) {
            return None;
        }
        let other = &self.sides[1 - way];
        let ack = other.place(header.ack).filter(|ack| *ack <= other.top)?;
        let place = |seq| other.place(seq).filter(|n| *n <= other.top);
        let blocks: Vec<Range> = header
            .options
            .sack
            .as_slice()
            .iter()
            .filter_map(|block| {
                let (from, to) = (place(block.start)?, place(block.end)?);
                (from < to).then_some(Range { at, from, to })
            })
            .collect();
        let syn = header.flags.contains(tcp::Flags::SYN);
        let shift = match (self.sides[way].scale, other.scale) {
            (Some(shift), Some(_)) if !syn => shift,
            _ => 0,
        };
        let window = ack + (u64::from(header.window) << shift);
        let edges = Edges { at, ack, window };
        let side = &mut self.sides[way];
        let older = side.edges.is_some_and(|last| ack < last.ack);
        let same = side
            .edges
            .is_some_and(|last| (last.ack, last.window) == (ack, window));
        if same && segment.text == 0 && segment.header.flags == tcp::Flags::ACK {
            side.repeated.push(edges);
        } else if !same && !older {
            side.acks.push(edges);
            side.edges = Some(edges);
        }
        blocks.into_iter().for_each(|block| side.sacks.push(block));
        Some(ack)
    }

    /// Takes what it sends into the series; whether some of that was sent before.
    fn sends(&mut self, at: Instant, way: usize, seq: u64, segment: &Segment) -> bool {
        let flags = segment.header.flags;
        let side = &mut self.sides[way];
        let syn = u64::from(flags.contains(tcp::Flags::SYN));
        let fin = u64::from(flags.contains(tcp::Flags::FIN));
        let end = seq + syn + u64::from(segment.text) + fin;
        if fin == 1 {
            side.fin = Some(end);
        }
        let mut from = seq;
        let mut again = false;
        while from < end {
            let piece = end - from;
            let to = match piece > u64::from(segment.size) + syn + fin {
                true => from + u64::from(segment.size),
                false => end,
            };
            let range = Range { at, from, to };
            if from < side.top {
                again = true;
                side.again.push(range);
            } else {
                side.text.push(range);
            }
            side.top = side.top.max(to);
            from = to;
        }
        side.octets += u64::from(segment.text);
        if again {
            side.octets_again += u64::from(segment.text);
        }
        if segment.text > 0 {
            self.throughput.add(at, way, segment.text.into());
        }
        again
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "all that is known of the segment, once"
    )]
    fn draw_rung(
        &mut self,
        at: Instant,
        way: usize,
        segment: &Segment,
        seq: u64,
        ack: Option<u64>,
        again: bool,
        count: u64,
    ) {
        const MARKS: tcp::Flags = tcp::Flags::SYN
            .union(tcp::Flags::FIN)
            .union(tcp::Flags::RST);
        let header = segment.header;
        let marked = header.flags.intersects(MARKS);
        // The third segment of the handshake, and what acknowledges a FIN.
        let third = self.opening && !marked && self.sides.iter().all(|side| side.isn.is_some());
        let fin = self.sides[1 - way].fin;
        let of_fin = !marked && fin.is_some() && ack == fin && segment.text == 0;
        if third {
            self.opening = false;
        }
        if !(marked || third || of_fin) {
            return self.ladder.skip(at, way, count, segment.text.into());
        }
        self.ladder.push(Rung::Segment {
            at,
            way,
            header,
            seq,
            ack,
            text: segment.text,
            again,
        });
    }

    pub(crate) fn on_event(&mut self, at: Instant, event: &Event) {
        match *event {
            Event::State { to, .. } => {
                self.end = at;
                self.state = Some(to);
                self.ladder.push(Rung::State { at, to });
            }
            Event::Window { cwnd, ssthresh, .. } => self.windows.push((at, cwnd, ssthresh)),
            Event::RoundTrip { rtt, srtt, rto, .. } => {
                self.round_trips.push(RoundTrip { at, rtt, srtt });
                self.time_outs.push((at, rto));
            }
            Event::TimedOut { rto, .. } => {
                self.timers_ran_out += 1;
                self.time_outs.push((at, rto));
            }
            Event::Recovery { to, .. } if self.recovery.len() < SPANS_MAX => {
                self.recovery.push((at, to));
            }
            Event::Recovery { .. } => self.recovery_left_out += 1,
            _ => {}
        }
    }
}
