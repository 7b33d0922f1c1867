//! Explicit congestion notification (RFC 9293 §3.8.2, SHLD-8; RFC 3168 §6.1): who speaks it, what the receiver echoes, what
//! the sender does about it. More exact feedback is [`accecn`](crate::accecn)'s.

use crate::accecn::{self, Accurate};
use crate::emit::Carrier;
use crate::recovery::report::Report;
use crate::segment::Segment;
use crate::tcb::Tcb;
use sockeye_core::{Config, Context};
use sockeye_wire::tcp::Flags;
use sockeye_wire::tcp_options::AccEcn;
use sockeye_wire::{Ecn as Field, SeqNum};

/// The three bits that negotiate.
const ACE: Flags = Flags::AE.union(Flags::CWR).union(Flags::ECE);
/// RFC 3168 §6.1.1: an ECN-setup SYN.
const SETUP: Flags = Flags::CWR.union(Flags::ECE);

/// What `net.ipv4.tcp_ecn` says: what is asked for, and what is granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    ask: Wish,
    grant: Wish,
}

/// As much of it as is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wish {
    Nothing,
    Classic,
    Accurate,
}

impl Policy {
    /// `needed`: the congestion controller can't do without (RFC 8257).
    pub(crate) fn new(config: &Config, needed: bool) -> Self {
        let (ask, grant) = match config.tcp_ecn {
            0 => (Wish::Nothing, Wish::Nothing),
            1 => (Wish::Classic, Wish::Classic),
            2 => (Wish::Nothing, Wish::Classic),
            3 => (Wish::Accurate, Wish::Accurate),
            4 => (Wish::Classic, Wish::Accurate),
            _ => (Wish::Nothing, Wish::Accurate),
        };
        let least = if needed { Wish::Classic } else { Wish::Nothing };
        Self {
            ask: ask.max(least),
            grant: grant.max(least),
        }
    }

    /// What a SYN and ACK answers to a SYN with `flags` that arrived with `field`.
    pub(crate) fn answer(self, flags: Flags, field: Field) -> Answer {
        // RFC 9768 §3.1.2: what is neither empty nor a classic request is an accurate one, so that
        // later versions can ask for more.
        match (flags & ACE, self.grant) {
            (asked, _) if asked.is_empty() => Answer::Off,
            (_, Wish::Nothing) => Answer::Off,
            (SETUP, _) => Answer::Classic,
            (_, Wish::Accurate) => Answer::Accurate(Syn::new(field)),
            // RFC 3168 §6.1.1: to who does not know it, AE is a reserved bit that is ignored.
            (asked, Wish::Classic) if asked.contains(SETUP) => Answer::Classic,
            (_, Wish::Classic) => Answer::Off,
        }
    }
}

/// What was agreed on when a connection was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Answer {
    #[default]
    Off,
    Classic,
    /// Accurate, and what the SYN has told.
    Accurate(Syn),
}

/// What a server in accurate mode knows of the client's SYN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Syn {
    /// The field that the latest one arrived with.
    field: Field,
    /// One came without the three bits.
    plain: bool,
}

impl Syn {
    fn new(field: Field) -> Self {
        Self {
            field,
            plain: false,
        }
    }
}

/// Answers that have the three bits; further ones don't.
const ACCURATE_ANSWERS: u8 = 2;

impl Answer {
    /// The bits of the SYN and ACK of a connection that is small still, which has gone `before` so many
    /// times. RFC 9768 §3.1.4.2: somebody on the way may drop it for what is accurate, so that the third
    /// says nothing; the peer's feedback is given all the same, should it have seen an earlier one.
    pub(crate) fn syn_ack_flags(self, before: u8) -> Flags {
        match self {
            Self::Off => Flags::empty(),
            Self::Classic => Flags::ECE,
            Self::Accurate(syn) if before < ACCURATE_ANSWERS => reflection(syn.field),
            Self::Accurate(_) => Flags::empty(),
        }
    }

    /// The SYN came again. RFC 9768 §3.1.5: what is spoken stays; the field of the latest is told.
    pub(crate) fn syn_again(&mut self, flags: Flags, field: Field) {
        if let Self::Accurate(syn) = self {
            syn.field = field;
            syn.plain |= !flags.intersects(ACE);
        }
    }

    /// The option of that SYN and ACK: of the first alone (RFC 9768 §3.2.3.2.2).
    pub(crate) fn syn_ack_option(self, before: u8) -> Option<AccEcn> {
        let accurate = matches!(self, Self::Accurate(_));
        (accurate && before == 0).then(accecn::initial_option)
    }

    /// What of it a SYN cookie can remember: accurate feedback needs the field of the SYN.
    pub(crate) fn without_memory(self) -> Self {
        match self {
            Self::Classic => Self::Classic,
            Self::Off | Self::Accurate(_) => Self::Off,
        }
    }
}

/// How a field that arrived on a SYN, or a SYN and ACK, is told in three bits (RFC 9768 §3.1.1).
pub(crate) fn reflection(field: Field) -> Flags {
    match field {
        Field::NotEct => Flags::CWR,
        Field::Ect1 => SETUP,
        Field::Ect0 => Flags::AE,
        Field::Ce => Flags::AE | Flags::CWR,
    }
}

/// What is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Mode {
    #[default]
    Off,
    /// Asked for by our SYN.
    Asked,
    Classic,
    Accurate,
}

/// ECN of one connection.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Ecn {
    pub(crate) mode: Mode,
    /// Our SYN asks for accurate feedback.
    asks_accurate: bool,
    /// A mark arrived: ECE until the peer says CWR (RFC 3168 §6.1.3).
    echo: bool,
    /// The window was reduced: CWR with the next new text (RFC 3168 §6.1.2).
    cwr_due: bool,
    /// Text of the peer has come ECN-capable.
    ect_seen: bool,
    pub(crate) accurate: Option<Box<Accurate>>,
}

impl Ecn {
    /// The bits of our SYN, which has been sent `before` so many times; none at last, lest somebody on the
    /// way drops it for them: when it goes again (RFC 3168 §6.1.1.1), or after another try with what
    /// is accurate (RFC 9768 §3.1.4.1).
    pub(crate) fn syn_flags(&mut self, policy: Policy, before: u32) -> Flags {
        let tries = if self.asks_accurate { 2 } else { 1 };
        if before >= tries && self.mode == Mode::Asked {
            return Flags::empty();
        }
        match policy.ask {
            Wish::Nothing => Flags::empty(),
            Wish::Classic => {
                self.mode = Mode::Asked;
                SETUP
            }
            Wish::Accurate => {
                self.mode = Mode::Asked;
                self.asks_accurate = true;
                ACE
            }
        }
    }

    /// The SYN and ACK came, with `flags` and `field` (RFC 9768 §3.1.1, table 2).
    pub(crate) fn syn_ack_arrived(&mut self, flags: Flags, field: Field) {
        if self.mode != Mode::Asked {
            return;
        }
        let flags = flags & ACE;
        self.mode =
            if flags == Flags::ECE || (self.asks_accurate && flags == Flags::AE | Flags::ECE) {
                Mode::Classic
            } else if flags.is_empty() || flags == ACE || !self.asks_accurate {
                // Nothing agreed on; or somebody reflects what he does not understand.
                Mode::Off
            } else {
                self.accurate = Some(Box::new(Accurate::new(field, flags)));
                Mode::Accurate
            };
    }

    /// Whether text of the peer came ECN-capable.
    pub(crate) fn ect_seen(&self) -> bool {
        self.ect_seen
    }

    /// The bits of the SYN and ACK of a connection that is whole already, which has gone `before` so many
    /// times: as [`Answer::syn_ack_flags`] has them.
    pub(crate) fn syn_ack_flags(&mut self, before: u32) -> Flags {
        self.answers_again(before);
        match (self.mode, &self.accurate) {
            (Mode::Off | Mode::Asked, _) => Flags::empty(),
            (Mode::Accurate, Some(accurate)) if before < ACCURATE_ANSWERS.into() => {
                accurate.syn_ack_flags()
            }
            (Mode::Accurate, _) => Flags::empty(),
            (Mode::Classic, _) => Flags::ECE,
        }
    }

    /// The SYN and ACK leaves, which has gone `before` so many times. RFC 9768 §3.1.5: one without the
    /// bits makes the server unsure.
    pub(crate) fn answers_again(&mut self, before: u32) {
        if before >= ACCURATE_ANSWERS.into()
            && let Some(accurate) = &mut self.accurate
        {
            accurate.doubt();
        }
    }

    /// A connection that was asked for begins; the answer has gone again `retries` times.
    pub(crate) fn answered(&mut self, answer: Answer, retries: u8) {
        match answer {
            Answer::Off => self.mode = Mode::Off,
            Answer::Classic => self.mode = Mode::Classic,
            Answer::Accurate(syn) => {
                self.mode = Mode::Accurate;
                // RFC 9768 §3.1.5: after a SYN, or an answer, without the bits the server can't know
                // what the client speaks, and must not call its packets ECN-capable.
                self.accurate = Some(Box::new(Accurate::accepted(syn.field, !syn.plain)));
                self.answers_again(retries.into());
            }
        }
    }
}

/// What arrived text asks of the acknowledgment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Urge {
    /// At once.
    pub(crate) now: bool,
    /// The next few at once: the sender may have little left to send.
    pub(crate) quick: bool,
}

impl Ecn {
    /// RFC 3168 §6.1.3: a segment arrived with `field`.
    fn classic_arrived(&mut self, segment: &Segment) -> Urge {
        let mut urge = Urge::default();
        if segment.has(Flags::CWR) {
            self.echo = false;
            urge.now = segment.text_len > 0;
        }
        if segment.text_len == 0 {
            return urge;
        }
        match segment.ecn {
            // RFC 3168 §6.1.5: what is sent again is not ECN-capable: something was lost.
            Field::NotEct => urge.quick |= self.ect_seen,
            Field::Ce => {
                urge.quick |= !self.echo;
                self.echo = true;
                self.ect_seen = true;
            }
            Field::Ect0 | Field::Ect1 => self.ect_seen = true,
        }
        urge
    }
}

impl Tcb {
    /// A segment that is acceptable arrived: its ECN field counts.
    pub(crate) fn marks_arrive(&mut self, cx: &mut Context<'_>, segment: &Segment) {
        match self.ecn.mode {
            Mode::Off | Mode::Asked => {}
            Mode::Classic => {
                if self.congestion.needs_ecn() && segment.text_len > 0 {
                    self.scalable_mark_arrives(cx, segment);
                    return;
                }
                let urge = self.ecn.classic_arrived(segment);
                self.heed(urge);
            }
            Mode::Accurate => {
                self.ecn.ect_seen |= segment.text_len > 0 && segment.ecn != Field::NotEct;
                if let Some(accurate) = &mut self.ecn.accurate {
                    let urge = accurate.arrived(segment);
                    self.heed(urge);
                }
            }
        }
    }

    fn heed(&mut self, urge: Urge) {
        self.marks.ack_now |= urge.now;
        if urge.quick {
            self.quick_acks = self.quick_acks.max(2);
        }
    }

    /// RFC 8257 §3.2: each mark is echoed as it is. When marks begin or end, what was received before is
    /// acknowledged first, with the echo that it had.
    fn scalable_mark_arrives(&mut self, cx: &mut Context<'_>, segment: &Segment) {
        let marked = segment.ecn == Field::Ce;
        if marked != self.ecn.echo {
            if self.unacknowledged > 0
                && let Ok(route) = self.route(cx)
            {
                self.send_text(cx, &route, self.acceptable_seq(), 0, Flags::ACK);
            }
            self.ecn.echo = marked;
            self.marks.ack_now = true;
        }
    }

    /// Whether an acknowledgment tells of marks that call for a smaller window; how many bytes were
    /// marked goes into the report.
    pub(crate) fn read_marks(&mut self, segment: &Segment, report: &mut Report) -> bool {
        if report.syn_acked {
            // RFC 9768 §3.2.2.1: the bits tell of the handshake.
            if let Some(accurate) = &mut self.ecn.accurate {
                accurate.handshake_ends(segment);
            }
            return false;
        }
        let delivered = self.recovery.delivery.delivered();
        let bytes = delivered.saturating_sub(report.delivered);
        let marked = match self.ecn.mode {
            Mode::Off | Mode::Asked => return false,
            Mode::Classic => {
                let echoed = segment.has(Flags::ECE) && !segment.has(Flags::SYN);
                if echoed { bytes.max(1) } else { 0 }
            }
            Mode::Accurate => {
                let packets = bytes.div_ceil(self.mss.max(1).into());
                let accurate = self.ecn.accurate.as_mut();
                accurate.map_or(0, |accurate| {
                    accurate.acknowledged(segment, packets, self.mss)
                })
            }
        };
        report.marked = marked.min(bytes);
        self.recovery.delivery.count_marked(report.marked);
        marked > 0
    }

    /// The window has been reduced: the peer is told with the next new text.
    pub(crate) fn answer_congestion(&mut self) {
        if self.ecn.mode == Mode::Classic {
            self.ecn.cwr_due = true;
        }
    }

    /// It was not congestion after all.
    pub(crate) fn withdraw_congestion_answer(&mut self) {
        self.ecn.cwr_due = false;
    }

    /// Flags and ECN field of a segment that leaves. RFC 3168 §6.1.4, §6.1.5: acknowledgments alone and
    /// what is sent again are not ECN-capable.
    pub(crate) fn mark(
        &mut self,
        mut flags: Flags,
        carrier: &mut Carrier,
        seq: SeqNum,
        len: u32,
    ) -> Flags {
        let new_text = len > 0 && seq == self.snd.nxt;
        match self.ecn.mode {
            Mode::Off | Mode::Asked => return flags,
            Mode::Classic => {
                flags.set(Flags::ECE, self.ecn.echo);
                if new_text && core::mem::take(&mut self.ecn.cwr_due) {
                    flags |= Flags::CWR;
                }
            }
            Mode::Accurate => {
                if let Some(accurate) = &mut self.ecn.accurate {
                    flags |= accurate.flags();
                }
            }
        }
        let accurate = self.ecn.accurate.as_ref();
        let trusted = accurate.is_none_or(|accurate| accurate.is_trusted());
        let capable = trusted && (new_text || self.congestion.needs_ecn());
        let field = if capable { Field::Ect0 } else { Field::NotEct };
        carrier.traffic_class = field.put(carrier.traffic_class);
        flags
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(tcp_ecn: u8) -> Policy {
        let config = Config {
            tcp_ecn,
            ..Config::default()
        };
        Policy::new(&config, false)
    }

    /// ip-sysctl, tcp_ecn: what each value asks for and grants.
    /// RFC 9293 §3.8.2 (SHLD-8).
    #[test]
    fn each_setting_asks_and_grants() {
        let asked = |n: u8| Ecn::default().syn_flags(policy(n), 0);
        assert_eq!(
            [0, 1, 2, 3, 4, 5].map(asked),
            [
                Flags::empty(),
                SETUP,
                Flags::empty(),
                ACE,
                SETUP,
                Flags::empty()
            ]
        );
        let granted = |n: u8, asked| policy(n).answer(asked, Field::Ect0);
        let accurate = Answer::Accurate(Syn::new(Field::Ect0));
        let (off, classic) = (Answer::Off, Answer::Classic);
        assert_eq!(
            [0, 1, 2, 3, 4, 5].map(|n| granted(n, SETUP)),
            [off, classic, classic, classic, classic, classic]
        );
        assert_eq!(
            [0, 1, 2, 3, 4, 5].map(|n| granted(n, ACE)),
            [off, classic, classic, accurate, accurate, accurate]
        );
        assert_eq!(granted(3, Flags::empty()), off);
        // A later version's request is an accurate one.
        assert_eq!(granted(3, Flags::AE), accurate);
        assert_eq!(
            Policy::new(
                &Config {
                    tcp_ecn: 0,
                    ..Config::default()
                },
                true
            ),
            policy(1)
        );
    }

    /// RFC 9768 §3.1.1, table 2, as the client reads it.
    #[test]
    fn the_answer_decides() {
        let mode = |tcp_ecn, flags| {
            let mut ecn = Ecn::default();
            ecn.syn_flags(policy(tcp_ecn), 0);
            ecn.syn_ack_arrived(flags, Field::NotEct);
            ecn.mode
        };
        let table = [
            (3, Flags::CWR, Mode::Accurate),
            (3, SETUP, Mode::Accurate),
            (3, Flags::AE, Mode::Accurate),
            (3, Flags::AE | Flags::CWR, Mode::Accurate),
            (3, Flags::AE | Flags::ECE, Mode::Classic),
            (3, Flags::ECE, Mode::Classic),
            (3, Flags::empty(), Mode::Off),
            (3, ACE, Mode::Off),
            (1, Flags::ECE, Mode::Classic),
            (1, SETUP, Mode::Off),
            (1, Flags::CWR, Mode::Off),
            (0, Flags::ECE, Mode::Off),
        ];
        for (tcp_ecn, flags, expected) in table {
            assert_eq!(mode(tcp_ecn, flags), expected, "{tcp_ecn} {flags:?}");
        }
        // A SYN that goes again asks for nothing, and an answer to the first one still counts.
        let mut ecn = Ecn::default();
        ecn.syn_flags(policy(1), 0);
        assert_eq!(ecn.syn_flags(policy(1), 1), Flags::empty());
        ecn.syn_ack_arrived(Flags::ECE, Field::NotEct);
        assert_eq!(ecn.mode, Mode::Classic);
    }
}
