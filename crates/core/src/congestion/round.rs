//! Round trips told apart by what was delivered in them.

use super::Ack;

/// A round: it is over once all that was in flight when it began has been acknowledged.
///
/// Bytes are counted, not sequence numbers, which not every transport has. Where nothing was lost
/// that is the same; a loss lengthens the round by what is sent again.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Round {
    /// [`Ack::delivered`] at the end of the round.
    end: Option<u64>,
}

impl Round {
    /// Whether `ack` acknowledges something sent after the round began; then the next begins.
    pub(super) fn is_over(&mut self, ack: &Ack) -> bool {
        if self.end.is_some_and(|end| ack.delivered <= end) {
            return false;
        }
        self.end = Some(ack.delivered.saturating_add(ack.in_flight));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_ends_with_what_was_sent_after_it_began() {
        let mut round = Round::default();
        let ack = |delivered, in_flight| Ack {
            delivered,
            in_flight,
            ..Ack::default()
        };
        assert!(round.is_over(&ack(2, 8)), "the first");
        // 10 had been sent: they end with the tenth delivered.
        assert!(!round.is_over(&ack(4, 10)));
        assert!(!round.is_over(&ack(10, 12)));
        assert!(round.is_over(&ack(11, 13)));
        assert!(!round.is_over(&ack(24, 20)));
        assert!(round.is_over(&ack(25, 20)));
    }
}
