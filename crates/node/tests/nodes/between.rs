//! Who sits between the two nodes of a conversation (see [`crate::talk`]): frames are lost, doubled,
//! held back, changed, forged, by what an input of bytes says. Shared with the `fuzz/` crate.

use crate::target::mend;
use sockeye_link::{Batch, Packet};
use std::collections::VecDeque;

/// Frames of each direction that are remembered, to be sent again or to forge others of.
const REMEMBERED_MAX: usize = 64;
const ETHERNET_LEN: usize = 14;
const TCP: u8 = 6;

/// Bytes that say what happens; when they are used up, only zeros come.
pub(crate) struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.rest.split_first() else {
            return 0;
        };
        self.rest = rest;
        *first
    }

    fn word(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// A number below `bound`, which is not 0.
    fn below(&mut self, bound: usize) -> usize {
        usize::from(self.word()) % bound
    }
}

/// The way between the nodes. Direction 0 is from node 0.
#[derive(Default)]
pub(crate) struct Between {
    ways: [Way; 2],
    /// Frames were changed and their checksums made right again, or forged: nobody can tell them
    /// from true ones.
    lied: bool,
}

#[derive(Default)]
struct Way {
    /// Frames that arrive next.
    ready: VecDeque<Vec<u8>>,
    /// Frames held back, each until so many others have passed.
    held: Vec<(u8, Vec<u8>)>,
    remembered: VecDeque<Vec<u8>>,
}

impl Between {
    /// Whether every change so far broke a checksum.
    pub(crate) fn is_intact(&self) -> bool {
        !self.lied
    }

    /// What arrives of what was sent, in which form and order.
    pub(crate) fn pass(&mut self, from: usize, frames: Batch, input: &mut Input<'_>) -> Batch {
        for frame in frames {
            self.decide(from, frame.to_vec(), input);
        }
        self.ways[from]
            .ready
            .drain(..)
            .map(Packet::from_vec)
            .collect()
    }

    /// Frames that were held back come.
    pub(crate) fn let_go(&mut self) {
        for way in &mut self.ways {
            way.ready.extend(way.held.drain(..).map(|(_, frame)| frame));
        }
    }

    /// A frame that was sent before comes again.
    pub(crate) fn replay(&mut self, from: usize, input: &mut Input<'_>) {
        let way = &mut self.ways[from];
        if let Some(index) = input
            .below(REMEMBERED_MAX)
            .checked_rem(way.remembered.len())
        {
            way.ready.push_back(way.remembered[index].clone());
        }
    }

    /// A frame that nobody sent, made of one that somebody did.
    pub(crate) fn forge(&mut self, from: usize, input: &mut Input<'_>) {
        let way = &mut self.ways[from];
        let index = input
            .below(REMEMBERED_MAX)
            .checked_rem(way.remembered.len());
        let Some(index) = index else {
            return;
        };
        let mut frame = way.remembered[index].clone();
        // Where a TCP header is, its fields are hit; elsewhere any bytes are.
        match tcp_header(&frame) {
            Some(header) => forge_segment(&mut frame[header..], input),
            None => change(&mut frame, input),
        }
        mend(&mut frame);
        self.lied = true;
        way.ready.push_back(frame);
    }

    fn decide(&mut self, from: usize, mut frame: Vec<u8>, input: &mut Input<'_>) {
        let way = &mut self.ways[from];
        for (left, _) in &mut way.held {
            *left = left.saturating_sub(1);
        }
        let due = way.held.extract_if(.., |(left, _)| *left == 0);
        let due: Vec<_> = due.map(|(_, frame)| frame).collect();
        if way.remembered.len() == REMEMBERED_MAX {
            way.remembered.pop_front();
        }
        way.remembered.push_back(frame.clone());
        let what = input.byte();
        match what {
            0xc0..=0xd3 => {}
            0xd4..=0xdf => {
                way.ready.push_back(frame.clone());
                way.ready.push_back(frame);
            }
            0xe0..=0xef => way.held.push(((what & 15) + 1, frame)),
            0xf0..=0xf7 => {
                // One bit: no checksum misses that.
                let bit = input.below(frame.len() * 8);
                if covered(&frame, bit / 8) {
                    frame[bit / 8] ^= 1 << (bit % 8);
                }
                way.ready.push_back(frame);
            }
            0xf8..=0xfb => {
                frame.truncate(input.below(frame.len()) + 1);
                way.ready.push_back(frame);
            }
            0xfc.. => {
                change(&mut frame, input);
                mend(&mut frame);
                self.lied = true;
                way.ready.push_back(frame);
            }
            _ => way.ready.push_back(frame),
        }
        way.ready.extend(due);
    }
}

/// Whether a checksum of the frame covers the byte at `at`: not the Ethernet header, nor all of the
/// IPv6 header, nor ARP, which has none.
fn covered(frame: &[u8], at: usize) -> bool {
    match frame.get(12..14) {
        Some([0x08, 0x00]) => at >= ETHERNET_LEN,
        // Payload length, next header, addresses and what follows.
        Some([0x86, 0xdd]) => at >= ETHERNET_LEN + 8,
        _ => false,
    }
}

/// Where the TCP header of a frame begins.
fn tcp_header(frame: &[u8]) -> Option<usize> {
    let (protocol, header) = match frame.get(12..14)? {
        [0x08, 0x00] => {
            let ip = frame.get(ETHERNET_LEN..)?;
            (*ip.get(9)?, usize::from(ip.first()? & 15) * 4)
        }
        [0x86, 0xdd] => (*frame.get(ETHERNET_LEN + 6)?, 40),
        _ => return None,
    };
    let at = ETHERNET_LEN + header;
    (protocol == TCP && frame.len() >= at + 20).then_some(at)
}

/// Changes fields of a segment.
fn forge_segment(segment: &mut [u8], input: &mut Input<'_>) {
    let which = input.byte();
    let add = |segment: &mut [u8], at: usize, input: &mut Input<'_>| {
        let field: [u8; 4] = segment[at..at + 4].try_into().expect("four bytes");
        // A little, or far away.
        let by = i32::from(input.word() as i16);
        let by = if by & 1 == 0 { by } else { by << 12 };
        let field = u32::from_be_bytes(field).wrapping_add_signed(by);
        segment[at..at + 4].copy_from_slice(&field.to_be_bytes());
    };
    if which & 1 != 0 {
        add(segment, 4, input);
    }
    if which & 2 != 0 {
        add(segment, 8, input);
    }
    if which & 4 != 0 {
        segment[13] = input.byte();
    }
    if which & 8 != 0 {
        segment[14..16].copy_from_slice(&input.word().to_be_bytes());
    }
    if which & 16 != 0 {
        segment[12] = input.byte();
    }
    if which & 32 != 0 {
        let options = segment.len().min(60);
        if options > 20 {
            let at = 20 + input.below(options - 20);
            segment[at] = input.byte();
        }
    }
}

/// Changes a few bytes anywhere, headers rather than the rest.
fn change(frame: &mut [u8], input: &mut Input<'_>) {
    let how = input.byte();
    for _ in 0..how % 4 + 1 {
        let reach = if how & 0x80 == 0 {
            frame.len().min(90)
        } else {
            frame.len()
        };
        let at = input.below(reach);
        frame[at] = input.byte();
    }
}
