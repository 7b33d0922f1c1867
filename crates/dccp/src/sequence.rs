//! Sequence numbers of a connection (RFC 4340 §7): the variables of §7.1, the windows of §7.5.1, what
//! is valid in them (§7.5.3).

use sockeye_wire::dccp::{PacketType, Seq};

/// RFC 4340 §7.1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sequence {
    pub(crate) iss: Seq,
    pub(crate) isr: Seq,
    pub(crate) gss: Seq,
    pub(crate) gsr: Seq,
    pub(crate) gar: Seq,
    /// §8.5: the first packet received in OPEN.
    pub(crate) osr: Option<Seq>,
    /// How far GSS and GSR are from ISS and ISR; they do not wrap.
    sent: u64,
    received: u64,
}

/// The widths of the windows, packets: that for what we send, and that for what we receive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Widths {
    pub(crate) local: u64,
    pub(crate) remote: u64,
}

/// What the numbers of a packet say of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Validity {
    /// It belongs to the connection.
    Valid,
    /// It is ignored.
    Ignored,
    /// It does not, and a Sync with this Acknowledgement Number asks for numbers.
    Sync(Seq),
}

impl Sequence {
    /// Of an endpoint whose first packet is `iss`; nothing has been sent.
    pub(crate) fn new(iss: Seq) -> Self {
        Self {
            iss,
            isr: Seq::default(),
            gss: iss - 1,
            gsr: Seq::default(),
            gar: iss,
            osr: None,
            sent: 0,
            received: 0,
        }
    }

    /// The number of the next packet, which is GSS then.
    pub(crate) fn next(&mut self) -> Seq {
        if self.gss != self.iss - 1 {
            self.sent = self.sent.saturating_add(1);
        }
        self.gss = self.gss + 1;
        self.gss
    }

    /// The peer's first packet: ISR and GSR.
    pub(crate) fn start_receiving(&mut self, isr: Seq) {
        self.isr = isr;
        self.gsr = isr;
        self.received = 0;
    }

    /// SWL and SWH. RFC 4340 §7.5.1: at the beginning SWL is not less than ISR.
    /// RFC 4340 §7.5.1-1 and §7.5.1-2: adjusted to the initial number at the beginning alone, which
    /// is not known by comparing numbers that wrap.
    pub(crate) fn sequence_window(&self, widths: Widths) -> (Seq, Seq) {
        let below = widths.remote / 4;
        let low = match self.received < below {
            true => self.isr,
            false => self.gsr + 1 - below,
        };
        (low, self.gsr + (widths.remote - below))
    }

    /// AWL and AWH.
    pub(crate) fn ack_window(&self, widths: Widths) -> (Seq, Seq) {
        let low = match self.sent < widths.local {
            true => self.iss,
            false => self.gss + 1 - widths.local,
        };
        (low, self.gss)
    }

    /// Whether an Acknowledgement Number lies in its window.
    pub(crate) fn is_acknowledgeable(&self, ack: Seq, widths: Widths) -> bool {
        let (low, high) = self.ack_window(widths);
        ack.is_within(low, high)
    }

    /// RFC 4340 §8.5, steps 5 and 6, without what follows of it. `active`: valid packets came within
    /// the last three round trips, so that Syncs are looked at as closely as others (§7.5.3).
    pub(crate) fn check(
        &self,
        ty: PacketType,
        seq: Seq,
        ack: Option<Seq>,
        widths: Widths,
        active: bool,
    ) -> Validity {
        let (swl, swh) = self.sequence_window(widths);
        let (awl, awh) = self.ack_window(widths);
        let ack_in = |low: Seq| ack.is_none_or(|ack| ack.is_within(low, awh));
        match ty {
            // RFC 4340 §7.5.4-1: ignored.
            PacketType::Sync | PacketType::SyncAck => {
                let near = match active {
                    true => seq.is_within(swl, swh),
                    false => !seq.before(swl),
                };
                match near && ack_in(awl) {
                    true => Validity::Valid,
                    false => Validity::Ignored,
                }
            }
            PacketType::CloseReq | PacketType::Close | PacketType::Reset => {
                if seq.is_within(self.gsr + 1, swh) && ack_in(self.gar) {
                    return Validity::Valid;
                }
                // RFC 4340 §7.5.4-2, §7.5.4-3, §7.5.4-4, §7.5.4-5 and §7.5.4-6: a Sync, for a Reset
                // of GSR.
                // §7.5.4: a Reset may come from who had no numbers; ours make the next one right.
                Validity::Sync(match ty {
                    PacketType::Reset => self.gsr,
                    _ => seq,
                })
            }
            _ if seq.is_within(swl, swh) && ack_in(awl) => Validity::Valid,
            _ => Validity::Sync(seq),
        }
    }

    /// A valid packet: GSR and GAR move on.
    pub(crate) fn update(&mut self, ty: PacketType, seq: Seq, ack: Option<Seq>) {
        if seq.after(self.gsr) {
            let ahead = self.gsr.packets_to(seq);
            self.received = self.received.saturating_add(ahead);
            self.gsr = seq;
        }
        // RFC 4340 §5.7-2: of every packet but Syncs, whose acknowledgements say nothing.
        if let Some(ack) = ack
            && ty != PacketType::Sync
        {
            self.gar = self.gar.later(ack);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const W: Widths = Widths {
        local: 100,
        remote: 100,
    };

    fn started() -> Sequence {
        let mut seqs = Sequence::new(Seq::new(1000));
        seqs.next();
        seqs.start_receiving(Seq::new(5000));
        seqs
    }

    /// RFC 4340 §7.5.1: the windows and their adjustment at the beginning.
    /// RFC 4340 §7.5.1-1 and §7.5.1-2: at the beginning alone.
    #[test]
    fn windows_begin_at_the_initial_numbers_and_move_on() {
        let mut seqs = started();
        let at = Seq::new;
        assert_eq!(seqs.sequence_window(W), (at(5000), at(5075)));
        assert_eq!(seqs.ack_window(W), (at(1000), at(1000)));
        for _ in 0..150 {
            seqs.next();
        }
        assert_eq!(seqs.ack_window(W), (at(1051), at(1150)));
        seqs.update(PacketType::Data, at(5050), None);
        assert_eq!(seqs.sequence_window(W), (at(5026), at(5125)));
    }

    /// RFC 4340 §7.5.3: the table of checks.
    /// RFC 4340 §7.5.4-5, §7.5.4-6 and §5.7-2: the Syncs; a Sync acknowledges nothing.
    #[test]
    fn numbers_are_checked_by_type() {
        use PacketType as T;
        let mut seqs = started();
        for _ in 0..10 {
            seqs.next();
        }
        seqs.update(T::Ack, Seq::new(5010), Some(Seq::new(1005)));
        let check = |ty, seq, ack| {
            let ack = Some(Seq::new(ack));
            seqs.check(ty, Seq::new(seq), ack, W, false)
        };
        for ty in [T::Ack, T::DataAck, T::Response] {
            assert_eq!(check(ty, 5001, 1001), Validity::Valid, "{ty}");
            assert_eq!(
                check(ty, 4999, 1001),
                Validity::Sync(Seq::new(4999)),
                "{ty}"
            );
            assert_eq!(
                check(ty, 5011, 1011),
                Validity::Sync(Seq::new(5011)),
                "{ty}"
            );
            assert_eq!(
                check(ty, 5086, 1010),
                Validity::Sync(Seq::new(5086)),
                "{ty}"
            );
        }
        for ty in [T::Close, T::CloseReq] {
            assert_eq!(check(ty, 5011, 1005), Validity::Valid, "{ty}");
            assert_eq!(
                check(ty, 5010, 1005),
                Validity::Sync(Seq::new(5010)),
                "{ty}"
            );
            assert_eq!(
                check(ty, 5011, 1004),
                Validity::Sync(Seq::new(5011)),
                "{ty}"
            );
        }
        assert_eq!(check(T::Reset, 5011, 1004), Validity::Sync(Seq::new(5010)));
        for ty in [T::Sync, T::SyncAck] {
            assert_eq!(check(ty, 9000, 1004), Validity::Valid, "{ty}");
            assert_eq!(check(ty, 4999, 1004), Validity::Ignored, "{ty}");
            assert_eq!(check(ty, 5011, 1011), Validity::Ignored, "{ty}");
            let strict = seqs.check(ty, Seq::new(9000), Some(Seq::new(1004)), W, true);
            assert_eq!(strict, Validity::Ignored, "{ty}");
        }
        seqs.update(T::Sync, Seq::new(5012), Some(Seq::new(1009)));
        assert_eq!((seqs.gsr, seqs.gar), (Seq::new(5012), Seq::new(1005)));
    }
}
