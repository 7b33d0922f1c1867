//! Proportional rate reduction (RFC 6937): over a recovery the window comes down in step with what
//! arrives, from what was in flight when it began to ssthresh at its end.

/// The variables of RFC 6937 §3, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Prr {
    /// RecoverFS: the window that the recovery began with.
    recover_fs: u64,
    ssthresh: u64,
    /// Delivered, and sent, since it began.
    prr_delivered: u64,
    prr_out: u64,
    /// The window now.
    cwnd: u64,
}

impl Prr {
    /// A recovery begins with `recover_fs` bytes, and shall end with `ssthresh`.
    pub(crate) fn new(recover_fs: u64, ssthresh: u64) -> Self {
        Self {
            recover_fs: recover_fs.max(1),
            ssthresh,
            prr_delivered: 0,
            prr_out: 0,
            cwnd: recover_fs,
        }
    }

    /// The window now.
    pub(crate) fn cwnd(&self) -> u64 {
        self.cwnd
    }

    /// `bytes` were sent, new or again.
    pub(crate) fn on_sent(&mut self, bytes: u32) {
        self.prr_out = self.prr_out.saturating_add(bytes.into());
    }

    /// An acknowledgment that delivered `delivered` bytes has left `pipe` in flight; `good`: it moved
    /// SND.UNA and showed no further loss. Sets the window: what is in flight and what may follow it.
    pub(crate) fn window(&mut self, delivered: u64, pipe: u64, smss: u64, good: bool) -> u64 {
        self.prr_delivered = self.prr_delivered.saturating_add(delivered);
        let whole = |bytes: u64| bytes.div_ceil(smss.max(1)).saturating_mul(smss);
        let mut sndcnt = if pipe > self.ssthresh {
            // RFC 6937 §3: sndcnt = CEIL(prr_delivered * ssthresh / RecoverFS) - prr_out. Rounded up to
            // whole segments: that is what is sent.
            let due = u128::from(self.prr_delivered) * u128::from(self.ssthresh);
            let due = due.div_ceil(u128::from(self.recover_fs));
            whole(u64::try_from(due).unwrap_or(u64::MAX)).saturating_sub(self.prr_out)
        } else {
            // PRR-SSRB while it goes well; the conservative bound when more is lost.
            let mut limit = self
                .prr_delivered
                .saturating_sub(self.prr_out)
                .max(delivered);
            if good {
                limit += smss;
            }
            whole(limit).min(whole(self.ssthresh - pipe))
        };
        if self.prr_out == 0 {
            // The first retransmission goes out whatever the window says (RFC 5681 §3.2 (3)).
            sndcnt = sndcnt.max(smss);
        }
        self.cwnd = pipe.saturating_add(sndcnt);
        self.cwnd
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMSS: u64 = 1000;

    /// RFC 6937 §4, figure 2: one loss of 20 segments; CUBIC-like reduction to 14.
    #[test]
    fn sends_in_proportion_and_ends_at_ssthresh() {
        let mut prr = Prr::new(20_000, 14_000);
        let mut pipe = 19_000;
        let mut sent = 0;
        for _ in 0..19 {
            pipe -= SMSS;
            let window = prr.window(SMSS, pipe, SMSS, false);
            while pipe + SMSS <= window {
                prr.on_sent(1000);
                pipe += SMSS;
                sent += 1;
            }
        }
        assert_eq!((sent, pipe), (14, 14_000));
    }

    /// RFC 6937 §4, figure 3: many losses: the window grows back to ssthresh by slow start.
    #[test]
    fn after_a_burst_of_losses_it_grows_back() {
        let mut prr = Prr::new(20_000, 10_000);
        let mut pipe: u64 = 4000;
        assert_eq!(prr.window(SMSS, pipe, SMSS, false), 5000);
        prr.on_sent(1000);
        pipe += 1000;
        pipe -= 1000;
        assert_eq!(prr.window(SMSS, pipe, SMSS, true), 6000);
        prr.on_sent(2000);
        // More is lost: packet conservation.
        pipe = 5000;
        assert_eq!(prr.window(SMSS, pipe, SMSS, false), 6000);
        // Never beyond ssthresh.
        assert_eq!(prr.window(9 * SMSS, 9500, SMSS, true), 10_500);
    }

    #[test]
    fn the_first_retransmission_goes_out() {
        let mut prr = Prr::new(2000, 1000);
        assert_eq!(prr.window(0, 2000, SMSS, false), 3000);
        prr.on_sent(1000);
        assert_eq!(prr.window(0, 3000, SMSS, false), 3000);
    }
}
