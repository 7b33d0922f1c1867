//! RACK: a segment is lost when one that was sent later has arrived, and the time in which
//! reordering may explain that is over (RFC 8985 §6).

use super::scoreboard::{Piece, Scoreboard};
use crate::isn::timestamp;
use core::time::Duration;
use sockeye_core::Instant;
use sockeye_wire::SeqNum;

/// RFC 8985 §6.2.4: recoveries that a widened reordering window outlives.
const REO_WND_PERSIST: u8 = 16;

/// RACK's variables (RFC 8985 §5.3), by their names there.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Rack {
    /// RACK.xmit_ts and RACK.end_seq: of those that arrived, the segment that was sent last.
    xmit_ts: Instant,
    end_seq: SeqNum,
    /// RACK.rtt: its round-trip time.
    rtt: Duration,
    /// Something has arrived since the last look.
    advanced: bool,
    /// RACK.reo_wnd_mult: quarters of the shortest round trip that the window takes.
    reo_wnd_mult: u8,
    /// RACK.reo_wnd_persist
    reo_wnd_persist: u8,
    /// RACK.dsack_round, in bytes delivered: once in a round trip the window may grow.
    dsack_round: u64,
    /// A D-SACK has come since.
    dsack_seen: bool,
}

impl Default for Rack {
    fn default() -> Self {
        Self {
            xmit_ts: Instant::ZERO,
            end_seq: SeqNum(0),
            rtt: Duration::ZERO,
            advanced: false,
            reo_wnd_mult: 1,
            reo_wnd_persist: 0,
            dsack_round: 0,
            dsack_seen: false,
        }
    }
}

/// The timestamp that a cumulative acknowledgment echoes, and the offset of our clock. What a report
/// echoes is that of the last segment in order (RFC 7323 §4.3), which says nothing of what is reported.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Echo {
    pub(crate) tsecr: u32,
    pub(crate) offset: u32,
}

impl Echo {
    /// RFC 8985 §6.2, step 2: it is older than the last copy of `piece`: an earlier one arrived.
    pub(crate) fn precedes(self, piece: &Piece) -> bool {
        let copy = SeqNum(timestamp(piece.sent_at, self.offset));
        piece.ever_again && SeqNum(self.tsecr).before(copy)
    }
}

/// RFC 8985 §6.2: RACK_sent_after.
fn sent_after(a: (Instant, SeqNum), b: (Instant, SeqNum)) -> bool {
    a.0 > b.0 || (a.0 == b.0 && a.1.after(b.1))
}

impl Rack {
    /// RFC 8985 §6.2, steps 1 and 2: `piece` has arrived. Its round trip does not count where it
    /// was shorter than any can be: then the original arrived, not the copy.
    pub(crate) fn arrived(&mut self, now: Instant, piece: &Piece, rtt_min: Option<Duration>) {
        let rtt = now - piece.sent_at;
        if piece.ever_again && rtt_min.is_some_and(|min| rtt < min) {
            return;
        }
        self.advanced = true;
        self.rtt = rtt;
        if sent_after((piece.sent_at, piece.end), (self.xmit_ts, self.end_seq)) {
            self.xmit_ts = piece.sent_at;
            self.end_seq = piece.end;
        }
    }

    /// A D-SACK came: something was sent again in vain (RFC 8985 §6.2.4).
    pub(crate) fn saw_dsack(&mut self) {
        self.dsack_seen = true;
    }

    /// RFC 8985 §6.2, step 4: the window widens by a quarter of the shortest round trip for each
    /// round trip with a D-SACK. `delivered_before`: what had been delivered when the segment was
    /// sent that is acknowledged now.
    pub(crate) fn update_window(&mut self, delivered_before: Option<u64>, delivered: u64) {
        let Some(before) = delivered_before else {
            return;
        };
        if before < self.dsack_round {
            self.dsack_seen = false;
        }
        if core::mem::take(&mut self.dsack_seen) {
            self.reo_wnd_mult = self.reo_wnd_mult.saturating_add(1);
            self.reo_wnd_persist = REO_WND_PERSIST;
            self.dsack_round = delivered;
        } else if self.reo_wnd_persist == 0 {
            self.reo_wnd_mult = 1;
        }
    }

    /// A recovery ended without having been in vain.
    pub(crate) fn recovered(&mut self) {
        self.reo_wnd_persist = self.reo_wnd_persist.saturating_sub(1);
    }

    /// A recovery has been undone by D-SACKs: the window stays wide for longer.
    pub(crate) fn was_in_vain(&mut self) {
        self.reo_wnd_persist = (self.reo_wnd_persist + 1).min(REO_WND_PERSIST);
    }

    /// RACK.reo_wnd (RFC 8985 §6.2, step 4): none while no reordering was seen and losses are
    /// certain enough.
    pub(crate) fn reo_wnd(
        &self,
        certain: bool,
        rtt_min: Option<Duration>,
        srtt: Option<Duration>,
    ) -> Duration {
        if certain {
            return Duration::ZERO;
        }
        let quarter = rtt_min.unwrap_or_default() / 4;
        (quarter * u32::from(self.reo_wnd_mult)).min(srtt.unwrap_or_default())
    }

    /// Whether something has arrived since this was asked.
    pub(crate) fn take_advanced(&mut self) -> bool {
        core::mem::take(&mut self.advanced)
    }

    /// When `piece` is lost at the latest, after `now`; zero when it is.
    pub(crate) fn remaining(&self, now: Instant, piece: &Piece, reo_wnd: Duration) -> Duration {
        (self.rtt + reo_wnd).saturating_sub(now - piece.sent_at)
    }

    /// RFC 8985 §6.2, step 5: marks what is lost by now; `lost` is shown each. Returns when to look
    /// again, if something may turn out to be lost by the time alone.
    pub(crate) fn detect(
        &self,
        board: &mut Scoreboard,
        now: Instant,
        reo_wnd: Duration,
        lost: impl FnMut(&Piece),
    ) -> Option<Duration> {
        let mut wait = Duration::ZERO;
        let newest = (self.xmit_ts, self.end_seq);
        board.judge(
            |piece| {
                if !sent_after(newest, (piece.sent_at, piece.end)) {
                    return false;
                }
                let remaining = self.remaining(now, piece, reo_wnd);
                wait = wait.max(remaining);
                remaining.is_zero()
            },
            lost,
        );
        // Those behind the first that has to wait were sent later, and wait longer: at most as long
        // as what was sent together with the newest that arrived.
        if wait > Duration::ZERO {
            wait = wait.max((self.rtt + reo_wnd).saturating_sub(now - self.xmit_ts));
        }
        (wait > Duration::ZERO).then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::super::delivery::Snapshot;
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn board(times: &[u64]) -> Scoreboard {
        let mut board = Scoreboard::default();
        for (n, &at) in times.iter().enumerate() {
            let start = SeqNum(n as u32 * 100);
            board.push(Piece {
                start,
                end: start + 100,
                sent_at: Instant::from_millis(at),
                segments: 1,
                mss: 100,
                fin: false,
                push: false,
                sacked: false,
                lost: false,
                again: false,
                ever_again: false,
                snapshot: Snapshot::default(),
            });
        }
        board
    }

    fn arrive(rack: &mut Rack, board: &mut Scoreboard, index: usize, at: u64) {
        let piece = *board.get(index).unwrap();
        rack.arrived(Instant::from_millis(at), &piece, Some(10 * MS));
        board.mark_sacked(index);
    }

    /// RFC 8985 §3.3: what was sent before something that arrived is lost after the window.
    #[test]
    fn time_decides_what_is_lost() {
        let mut board = board(&[0, 1, 2, 3]);
        let mut rack = Rack::default();
        arrive(&mut rack, &mut board, 2, 102);
        let now = Instant::from_millis(102);
        let wait = rack.detect(&mut board, now, 25 * MS, |_| {});
        // What was sent at 2 ms would be certain to be lost at 2 + 100 + 25 ms.
        assert_eq!(wait, Some(25 * MS));
        assert_eq!(board.lost().segments, 0);
        let now = Instant::from_millis(125);
        let mut lost = Vec::new();
        let wait = rack.detect(&mut board, now, 25 * MS, |p| lost.push(p.start.0));
        assert_eq!((lost, wait), (vec![0], Some(2 * MS)));
        let wait = rack.detect(&mut board, now, Duration::ZERO, |_| {});
        assert_eq!((board.lost().segments, wait), (2, None));
        // What was sent later than what arrived is not judged.
        assert!(!board.get(3).unwrap().lost);
    }

    #[test]
    fn a_lost_copy_is_found() {
        let mut board = board(&[0, 1, 2, 3]);
        let mut rack = Rack::default();
        arrive(&mut rack, &mut board, 1, 101);
        let at = Instant::from_millis(101);
        rack.detect(&mut board, at, Duration::ZERO, |_| {});
        board.sent_again(0, at, 100, Snapshot::default());
        // A segment that was sent after the copy arrives: the copy is lost, too.
        let start = SeqNum(400);
        board.push(Piece {
            start,
            end: start + 100,
            sent_at: at + MS,
            ..*board.get(3).unwrap()
        });
        arrive(&mut rack, &mut board, 4, 202);
        let mut lost = Vec::new();
        let now = Instant::from_millis(202);
        rack.detect(&mut board, now, Duration::ZERO, |p| lost.push(p.start.0));
        assert_eq!(lost, [200, 300, 0]);
    }

    #[test]
    fn an_original_that_arrives_late_says_nothing_of_its_copy() {
        let mut board = board(&[0, 1]);
        let mut rack = Rack::default();
        let now = Instant::from_millis(100);
        board.mark_lost(0);
        board.sent_again(0, now, 100, Snapshot::default());
        let piece = *board.get(0).unwrap();
        rack.arrived(now + 5 * MS, &piece, Some(10 * MS));
        assert!(!rack.take_advanced());
        rack.arrived(now + 15 * MS, &piece, Some(10 * MS));
        assert!(rack.take_advanced());
    }

    /// RFC 8985 §6.2, step 4.
    #[test]
    fn the_window_follows_dsacks() {
        let mut rack = Rack::default();
        let wnd = |rack: &Rack| rack.reo_wnd(false, Some(40 * MS), Some(100 * MS));
        assert_eq!(wnd(&rack), 10 * MS);
        rack.saw_dsack();
        rack.update_window(Some(0), 5000);
        assert_eq!(wnd(&rack), 20 * MS);
        // Once a round trip.
        rack.saw_dsack();
        rack.update_window(Some(4999), 6000);
        assert_eq!(wnd(&rack), 20 * MS);
        for _ in 0..REO_WND_PERSIST {
            rack.recovered();
        }
        rack.update_window(Some(7000), 8000);
        assert_eq!(wnd(&rack), 10 * MS);
        assert_eq!(rack.reo_wnd(true, Some(40 * MS), None), Duration::ZERO);
        for n in 0..300 {
            rack.saw_dsack();
            rack.update_window(Some(n * 10_000 + 10_000), n * 10_000 + 10_001);
        }
        assert_eq!(wnd(&rack), 100 * MS);
    }
}
