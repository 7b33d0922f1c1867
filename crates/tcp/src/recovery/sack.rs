//! Selective acknowledgments as the sender reads them (RFC 2018 §5, RFC 6675 §4), and reports of
//! what arrived twice (RFC 2883 §5).

use super::Recovery;
use super::report::{Report, widen};
use core::time::Duration;
use smallvec::SmallVec;
use sockeye_core::{Counter, Counters, Instant};
use sockeye_wire::SeqNum;
use sockeye_wire::tcp_options::{SACK_BLOCKS_MAX, SackBlock};

/// What the reading of blocks needs of the connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    pub(crate) now: Instant,
    /// SEG.ACK
    pub(crate) ack: SeqNum,
    /// SND.UNA before this acknowledgment, and SND.NXT.
    pub(crate) una: SeqNum,
    pub(crate) nxt: SeqNum,
    /// The largest window that the peer ever offered.
    pub(crate) max_wnd: u32,
    pub(crate) rtt_min: Option<Duration>,
    pub(crate) mss: u32,
}

impl Recovery {
    /// Reads the blocks of an acknowledgment, which holds SND.UNA still.
    pub(crate) fn read_blocks(
        &mut self,
        counters: &mut Counters,
        view: &View,
        blocks: &[SackBlock],
        report: &mut Report,
    ) {
        let duplicate =
            is_dsack(blocks, view.ack) && self.read_dsack(counters, view, blocks[0], report);
        let mut valid: SmallVec<[SackBlock; SACK_BLOCKS_MAX]> = SmallVec::new();
        for (n, block) in blocks.iter().enumerate() {
            let dsack = n == 0 && duplicate;
            if !self.is_valid(view, block, dsack) {
                counters.add(match (dsack, self.undo.is_armed()) {
                    (true, true) => Counter::TcpExtTCPDSACKIgnoredOld,
                    (true, false) => Counter::TcpExtTCPDSACKIgnoredNoUndo,
                    (false, _) => Counter::TcpExtTCPSACKDiscard,
                });
                continue;
            }
            if dsack {
                self.read_block(view, block, true, report);
            } else if block.end.after(view.una) {
                valid.push(*block);
            }
        }
        valid.sort_by_key(|block| view.una.distance_to(block.start));
        for block in &valid {
            self.read_block(view, block, false, report);
        }
        self.join_arrived(view, &valid);
    }

    /// RFC 2883 §5.1, RFC 2018 §3: a block is believed when it lies in what was sent and is not
    /// acknowledged; a D-SACK may lie before, as far as what can still be undone.
    fn is_valid(&self, view: &View, block: &SackBlock, dsack: bool) -> bool {
        let (start, end) = (block.start, block.end);
        let una = view.una.later(view.ack);
        if end.after(view.nxt) || !start.before(end) || !start.before(view.nxt) {
            return false;
        }
        // One that starts at SND.UNA would be acknowledged: that is no report.
        if start.after(una) {
            return true;
        }
        let Some(marker) = self.undo.marker().filter(|_| dsack) else {
            return false;
        };
        // Below SND.UNA it is a D-SACK, and has to end there; it may be as old as what was retransmitted.
        if end.after(una) {
            return false;
        }
        if start.after_or_eq(marker) {
            return true;
        }
        end.after(marker) && start.after_or_eq(end - view.max_wnd)
    }

    /// RFC 2883 §5: `block` arrived twice. False when that can't be of our making.
    fn read_dsack(
        &mut self,
        counters: &mut Counters,
        view: &View,
        block: SackBlock,
        report: &mut Report,
    ) -> bool {
        let (start, end) = (block.start, block.end);
        counters.add(if start.before(view.ack) {
            Counter::TcpExtTCPDSACKRecv
        } else {
            Counter::TcpExtTCPDSACKOfoRecv
        });
        if !start.before(end) {
            return false;
        }
        let len = start.bytes_to(end);
        let segments = len.div_ceil(view.mss.max(1)).max(1);
        if len > view.max_wnd || end.after(view.nxt) {
            return false;
        }
        self.dsacked = self.dsacked.saturating_add(segments);
        // More was seen twice than was ever sent again: the network doubles packets.
        if self.dsacked > self.sent_again {
            counters.add(Counter::TcpExtTCPDSACKIgnoredDubious);
            return false;
        }
        report.dsack = true;
        if self.tlp.is_probe(end) {
            report.dsack_of_probe = true;
        } else {
            self.rack.saw_dsack();
        }
        // What is acknowledged is not on the scoreboard any more: it is counted off here.
        if end.before_or_eq(view.una) {
            self.undo.copy_was_in_vain(end, segments);
        }
        true
    }

    /// Marks what `block` covers.
    fn read_block(&mut self, view: &View, block: &SackBlock, dsack: bool, report: &mut Report) {
        let mut index = self.board.index_of(block.start);
        while let Some(&piece) = self.board.get(index) {
            if !piece.start.before(block.end) {
                break;
            }
            // Of a piece that is covered in part the whole segments that lie inside count.
            let first = piece.start.later(block.start);
            let last = piece.end.earlier(block.end);
            let cut = |at: SeqNum| piece.start.bytes_to(at) / piece.mss * piece.mss;
            if first != piece.start {
                let before = piece.start.bytes_to(first).div_ceil(piece.mss) * piece.mss;
                if before < piece.len() && self.board.split(index, piece.start + before) {
                    index += 1;
                    continue;
                }
                index += 1;
                continue;
            }
            if last != piece.end {
                let whole = cut(last);
                if whole == 0 || !self.board.split(index, piece.start + whole) {
                    break;
                }
            }
            self.arrived(view, index, dsack, report);
            index += 1;
        }
    }

    /// The peer has the piece at `index`, or has it twice.
    fn arrived(&mut self, view: &View, index: usize, dsack: bool, report: &mut Report) {
        let Some(&piece) = self.board.get(index) else {
            return;
        };
        if dsack && piece.ever_again {
            self.undo.copy_was_in_vain(piece.end, piece.segments);
            if piece.sacked {
                report.saw_reordered(piece.start);
            }
        }
        if piece.end.before_or_eq(view.ack) {
            // It is acknowledged: that is said in a moment.
            return;
        }
        if !piece.sacked {
            self.delivery.sample(&mut report.sampling, &piece);
            self.rack.arrived(view.now, &piece, view.rtt_min);
            if !piece.ever_again {
                // It was in a hole, and nobody sent it again: it came late.
                if piece.start.before(self.board.highest_sacked(view.una)) {
                    report.saw_reordered(piece.start);
                }
                if piece.end.before_or_eq(self.high_seq) {
                    report.original_arrived = true;
                }
                widen(&mut report.sacked_at, piece.sent_at);
            }
            self.board.mark_sacked(index);
            self.delivery.count(piece.len(), piece.segments);
            report.sacked = true;
        }
        if dsack {
            self.board.copy_arrived(index);
        }
    }

    /// Puts together what has arrived, near the blocks just read.
    fn join_arrived(&mut self, view: &View, blocks: &[SackBlock]) {
        for block in blocks {
            let mut index = self.board.index_of(block.start.later(view.una));
            while let Some(piece) = self.board.get(index)
                && piece.start.before_or_eq(block.end)
            {
                if !self.board.join(index) {
                    index += 1;
                }
            }
        }
    }
}

/// RFC 2883 §4: the first block reports a duplicate when it lies below SEG.ACK, or within the second
/// block.
fn is_dsack(blocks: &[SackBlock], ack: SeqNum) -> bool {
    match blocks {
        [] => false,
        [first, ..] if first.start.before(ack) => true,
        [first, second, ..] => {
            first.end.before_or_eq(second.end) && first.start.after_or_eq(second.start)
        }
        [_] => false,
    }
}
