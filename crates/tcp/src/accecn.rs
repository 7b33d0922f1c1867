//! Accurate ECN feedback (RFC 9768): how many packets and bytes arrived marked, in the three bits that
//! were ECE, CWR and NS, and in an option.

use crate::ecn::{Urge, reflection};
use crate::segment::Segment;
use sockeye_wire::Ecn as Field;
use sockeye_wire::tcp::Flags;
use sockeye_wire::tcp_options::AccEcn;

/// RFC 9768 §3.2.1: r.cep and s.cep start at 5.
const CEP_INITIAL: u32 = 5;
/// The counters of an option have 24 bits.
const COUNTER_MASK: u32 = 0xff_ffff;
/// RFC 9768 §3.2.1: where r.ceb, r.e0b and r.e1b start.
const BYTES_INITIAL: [u32; 3] = [0, 1, 1];
/// RFC 9768 §3.2.2.5.1: marks that an acknowledgment waits for at most.
const MARKS_MAX: u32 = 2;
/// Packets in one acknowledgment up to which three bits can't have wrapped.
const UNAMBIGUOUS: u64 = 7;

/// What a connection counts, as a receiver (`r`) and as a sender (`s`).
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Accurate {
    /// r.cep: packets that arrived marked.
    r_cep: u32,
    /// r.ceb, r.e0b, r.e1b: bytes of text that arrived marked, with ECT(0), with ECT(1).
    r_bytes: [u32; 3],
    /// These when they were last told.
    told_bytes: [u32; 3],
    /// r.cep when it was last told.
    told_cep: u32,
    /// The field of the segment before.
    last: Field,
    /// Options that are still to be sent: another counter runs.
    demand: u8,
    /// The first acknowledgment tells how the SYN and ACK arrived.
    handshake: Option<Field>,
    /// How the peer's SYN, or SYN and ACK, arrived.
    syn: Field,
    /// s.cep: packets that the peer says to have arrived marked.
    s_cep: u32,
    /// s.ceb, s.e0b and s.e1b, as an option said them last.
    s_bytes: Option<[u32; 3]>,
    /// The peer's three bits were zero where they can't be: somebody clears them.
    cleared: bool,
    /// Our SYN, or SYN and ACK, which was not ECN-capable, arrived as if it were: somebody rewrites the
    /// field (RFC 9768 §3.2.2.3).
    mangled: bool,
    /// The client may not know that this is spoken (RFC 9768 §3.1.5).
    unsure: bool,
}

impl Accurate {
    fn fresh(syn: Field, handshake: Option<Field>) -> Self {
        Self {
            r_cep: CEP_INITIAL,
            r_bytes: BYTES_INITIAL,
            told_bytes: BYTES_INITIAL,
            told_cep: CEP_INITIAL,
            last: Field::NotEct,
            demand: 1,
            handshake,
            syn,
            s_cep: CEP_INITIAL,
            s_bytes: None,
            cleared: false,
            mangled: false,
            unsure: false,
        }
    }

    /// As the client, whose SYN and ACK came with `field` and says by `flags` how the SYN came.
    pub(crate) fn new(field: Field, flags: Flags) -> Self {
        let mut accurate = Self::fresh(field, Some(field));
        // RFC 9768 §3.2.2.1: a marked SYN and ACK counts.
        accurate.r_cep += u32::from(field == Field::Ce);
        accurate.mangled = flags != reflection(Field::NotEct);
        accurate
    }

    /// Whether what is sent may be ECN-capable: its marks would be told, and be marks
    /// (RFC 9768 §3.1.5, §3.2.2.3, §3.2.2.4).
    pub(crate) fn is_trusted(&self) -> bool {
        !self.cleared && !self.mangled && !self.unsure
    }

    /// Packets that arrived marked.
    pub(crate) fn received_ce(&self) -> u32 {
        self.r_cep.wrapping_sub(CEP_INITIAL)
    }

    /// Packets of ours that did.
    pub(crate) fn delivered_ce(&self) -> u32 {
        self.s_cep.wrapping_sub(CEP_INITIAL)
    }

    /// Bytes of text that arrived marked, with ECT(0), with ECT(1), modulo 2^24.
    pub(crate) fn received_bytes(&self) -> [u32; 3] {
        counted(self.r_bytes)
    }

    /// The same of what we have sent, as far as the peer's options told of it.
    pub(crate) fn delivered_bytes(&self) -> [u32; 3] {
        self.s_bytes.map_or([0; 3], counted)
    }

    /// As the server, to which a SYN came with `field`: the SYN and ACK tell of it. `sure`: the client
    /// speaks it too.
    pub(crate) fn accepted(field: Field, sure: bool) -> Self {
        Self {
            unsure: !sure,
            ..Self::fresh(field, None)
        }
    }

    /// The peer may not know that this is spoken.
    pub(crate) fn doubt(&mut self) {
        self.unsure = true;
    }

    /// How the SYN came, in three bits.
    pub(crate) fn syn_ack_flags(&self) -> Flags {
        reflection(self.syn)
    }

    /// A segment arrived.
    pub(crate) fn arrived(&mut self, segment: &Segment) -> Urge {
        let mut urge = Urge::default();
        let place = match segment.ecn {
            Field::NotEct => None,
            Field::Ce => Some(0),
            Field::Ect0 => Some(1),
            Field::Ect1 => Some(2),
        };
        if let Some(place) = place {
            let counter = &mut self.r_bytes[place];
            *counter = counter.wrapping_add(segment.text_len) & COUNTER_MASK;
        }
        if segment.ecn == Field::Ce {
            self.r_cep = self.r_cep.wrapping_add(segment.wire_segments);
        }
        if segment.text_len > 0 && segment.ecn != self.last {
            // RFC 9768 §3.2.3.3: a change is told at once, and twice, as acknowledgments get lost.
            urge.now = segment.ecn == Field::Ce || self.last == Field::Ce;
            self.last = segment.ecn;
            self.demand = 2;
        }
        // RFC 9768 §3.2.2.5.1: with text, after so many marks at the latest.
        urge.now |= segment.text_len > 0 && self.r_cep.wrapping_sub(self.told_cep) >= MARKS_MAX;
        urge
    }

    /// The three bits of a segment that leaves.
    pub(crate) fn flags(&mut self) -> Flags {
        if let Some(field) = self.handshake.take() {
            // RFC 9768 §3.2.2.1: the acknowledgment that ends the handshake tells how the SYN and ACK came.
            return reflection(field);
        }
        self.told_cep = self.r_cep;
        ace(self.r_cep)
    }

    /// Whether CWR is a bit of a counter now: then a device must not take it for what it was.
    pub(crate) fn counts_with_cwr(&self) -> bool {
        self.handshake.is_some() || ace(self.r_cep).contains(Flags::CWR)
    }

    /// The option of an acknowledgment that leaves, where one is called for. RFC 9768 §3.2.3.3: whenever
    /// a counter has run since the last one, and twice when it is another counter.
    pub(crate) fn option(&mut self) -> Option<AccEcn> {
        if self.demand == 0 && self.told_bytes == self.r_bytes {
            return None;
        }
        self.demand = self.demand.saturating_sub(1);
        self.told_bytes = self.r_bytes;
        Some(told(self.r_bytes))
    }

    /// An acknowledgment of `packets` packets came: how many bytes arrived marked, in full segments of
    /// `mss` where no option tells better (RFC 9768 §3.2.2.5, §3.2.3.2).
    pub(crate) fn acknowledged(&mut self, segment: &Segment, packets: u64, mss: u32) -> u64 {
        let marked_bytes = self.read_option(segment);
        let bits = bits(segment.flags);
        if self.cleared {
            return 0;
        }
        let delta = u64::from(bits.wrapping_sub(self.s_cep) & 7);
        let delta = self.resolve(delta, packets, marked_bytes, mss);
        self.s_cep = self
            .s_cep
            .wrapping_add((delta & u64::from(u32::MAX)) as u32);
        match marked_bytes {
            Some(bytes) if bytes > 0 || delta == 0 => bytes.into(),
            _ => delta.saturating_mul(mss.into()),
        }
    }

    /// RFC 9768 §3.2.2.5.2: three bits wrap when many packets are acknowledged at once. The option
    /// decides; without one the worst is assumed that `packets` allow.
    fn resolve(&self, delta: u64, packets: u64, bytes: Option<u32>, mss: u32) -> u64 {
        if packets <= UNAMBIGUOUS {
            return delta;
        }
        let worst = packets - ((packets - delta) & 7);
        match bytes {
            Some(0) => delta,
            Some(bytes) if u64::from(bytes) * 2 < worst * u64::from(mss) => delta,
            _ => worst,
        }
    }

    /// Bytes that an option says to have arrived marked since the last one.
    fn read_option(&mut self, segment: &Segment) -> Option<u32> {
        let option = segment.options.accecn?;
        let read = |n: usize| {
            let bytes: [u8; 3] = option.counters.get(3 * n..3 * n + 3)?.try_into().ok()?;
            Some(u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]))
        };
        // RFC 9768 §3.2.3: what is in the middle is ECEB in both orders, and the last may be left out.
        let ceb = read(1)?;
        let [_, e0b, e1b] = self.s_bytes.unwrap_or(BYTES_INITIAL);
        let (e0b, e1b) = match option.reversed {
            false => (read(0).unwrap_or(e0b), read(2).unwrap_or(e1b)),
            true => (read(2).unwrap_or(e0b), read(0).unwrap_or(e1b)),
        };
        let before = self.s_bytes.map_or(0, |[ceb, ..]| ceb);
        let delta = ceb.wrapping_sub(before) & COUNTER_MASK;
        // A counter that runs backwards is that of an acknowledgment that was overtaken.
        if delta > COUNTER_MASK / 2 {
            return None;
        }
        self.s_bytes = Some([ceb, e0b, e1b]);
        Some(delta)
    }

    /// What acknowledges the server's SYN came (RFC 9768 §3.2.2.1, table 4): if it is nothing else, its
    /// bits tell how the SYN and ACK arrived. With text they are the counter, which the next
    /// acknowledgment repeats.
    pub(crate) fn handshake_ends(&mut self, segment: &Segment) {
        let told = segment.flags & (Flags::AE | Flags::CWR | Flags::ECE);
        // RFC 9768 §3.2.2.4: zero is none of what can stand there, either way.
        self.cleared = told.is_empty();
        if segment.text_len > 0 || !segment.options.sack.is_empty() {
            return;
        }
        let marked = told == reflection(Field::Ce);
        self.s_cep = self.s_cep.wrapping_add(marked.into());
        // What has no meaning yet is no reason for distrust.
        self.mangled = marked || [Field::Ect0, Field::Ect1].map(reflection).contains(&told);
    }
}

/// The option of a connection that has received nothing yet.
pub(crate) fn initial_option() -> AccEcn {
    told(BYTES_INITIAL)
}

fn told([ceb, e0b, e1b]: [u32; 3]) -> AccEcn {
    let mut option = AccEcn {
        reversed: false,
        counters: sockeye_wire::Bounded::new(),
    };
    for counter in [e0b, ceb, e1b] {
        for byte in &counter.to_be_bytes()[1..] {
            option.counters.push(*byte);
        }
    }
    option
}

/// How far the counters of an option have come.
fn counted(mut counters: [u32; 3]) -> [u32; 3] {
    for (counter, start) in counters.iter_mut().zip(BYTES_INITIAL) {
        *counter = counter.wrapping_sub(start) & COUNTER_MASK;
    }
    counters
}

/// The three low bits of a counter, as flags.
fn ace(counter: u32) -> Flags {
    let mut flags = Flags::empty();
    flags.set(Flags::AE, counter & 4 != 0);
    flags.set(Flags::CWR, counter & 2 != 0);
    flags.set(Flags::ECE, counter & 1 != 0);
    flags
}

/// See [`ace`].
fn bits(flags: Flags) -> u32 {
    let bit = |flag, value| if flags.contains(flag) { value } else { 0 };
    bit(Flags::AE, 4) + bit(Flags::CWR, 2) + bit(Flags::ECE, 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::tests::text;
    use sockeye_wire::tcp_options::Options;

    fn arrives(accurate: &mut Accurate, ecn: Field) -> Urge {
        let mut segment = text(1, Flags::ACK, b"0123456789");
        segment.ecn = ecn;
        accurate.arrived(&segment)
    }

    /// What a receiver sends: bits, and ECEB of the option.
    fn tells(accurate: &mut Accurate) -> Segment {
        let mut segment = text(1, Flags::ACK, b"");
        segment.flags |= accurate.flags();
        segment.options = Options {
            accecn: accurate.option(),
            ..Options::default()
        };
        segment
    }

    #[test]
    fn marks_are_counted_and_told() {
        let (mut receiver, mut sender) = (
            Accurate::accepted(Field::NotEct, true),
            Accurate::new(Field::NotEct, Flags::CWR),
        );
        assert_eq!(
            tells(&mut receiver).flags,
            Flags::ACK | Flags::AE | Flags::ECE
        ); // 5
        assert_eq!(arrives(&mut receiver, Field::Ect0), Urge::default());
        assert!(arrives(&mut receiver, Field::Ce).now);
        let ack = tells(&mut receiver);
        assert_eq!(ack.flags, Flags::ACK | Flags::AE | Flags::CWR); // 6
        assert_eq!(sender.acknowledged(&ack, 2, 10), 10);
        // The option was lost: the bits alone.
        assert!(!arrives(&mut receiver, Field::Ce).now);
        arrives(&mut receiver, Field::Ce);
        let mut ack = tells(&mut receiver);
        ack.options = Options::default();
        assert_eq!(sender.acknowledged(&ack, 2, 10), 20);
        assert_eq!(sender.acknowledged(&ack, 1, 10), 0);
    }

    /// RFC 9768 §3.2.2.5.2.
    #[test]
    fn a_wrap_is_assumed_where_there_may_be_one() {
        let mut sender = Accurate::new(Field::NotEct, Flags::CWR);
        let mut ack = text(1, Flags::ACK, b"");
        ack.flags |= ace(CEP_INITIAL + 1);
        // 20 packets at once: 1, 9 or 17 of them were marked.
        assert_eq!(sender.acknowledged(&ack, 20, 10), 170);
        // An option says that it was one.
        let mut sender = Accurate::new(Field::NotEct, Flags::CWR);
        let mut counters = sockeye_wire::Bounded::new();
        for byte in [0, 0, 101, 0, 0, 10, 0, 0, 1u8] {
            counters.push(byte);
        }
        ack.options.accecn = Some(AccEcn {
            reversed: false,
            counters,
        });
        assert_eq!(sender.acknowledged(&ack, 20, 10), 10);
        assert_eq!(sender.s_cep, CEP_INITIAL + 1);
    }

    #[test]
    fn the_handshake_reflects_its_fields() {
        let mut client = Accurate::new(Field::Ce, Flags::CWR);
        assert_eq!(client.flags(), Flags::AE | Flags::CWR);
        assert_eq!(client.flags(), ace(6));
        let mut server = Accurate::accepted(Field::NotEct, true);
        server.handshake_ends(&text(1, Flags::ACK | Flags::AE | Flags::CWR, b""));
        assert_eq!(server.s_cep, 6);
        assert!(!server.is_trusted(), "our SYN and ACK can't be marked");
        // Somebody clears the bits: no feedback can be had.
        let mut server = Accurate::accepted(Field::NotEct, true);
        server.handshake_ends(&text(1, Flags::ACK, b""));
        assert_eq!(server.acknowledged(&text(1, Flags::ACK, b""), 1, 10), 0);
        assert!(!server.is_trusted());
        let mut server = Accurate::accepted(Field::NotEct, true);
        server.handshake_ends(&text(1, Flags::ACK | Flags::CWR, b""));
        assert!(server.is_trusted());
        // The acknowledgment was lost: what comes with text is the counter, here 6.
        let mut server = Accurate::accepted(Field::NotEct, true);
        server.handshake_ends(&text(1, Flags::ACK | Flags::AE | Flags::CWR, b"text"));
        assert!(server.is_trusted() && server.s_cep == CEP_INITIAL);
        let client = |flags| Accurate::new(Field::NotEct, flags).is_trusted();
        assert!(client(Flags::CWR));
        assert!(!client(Flags::AE) && !client(Flags::CWR | Flags::ECE));
    }

    /// What TCP_INFO tells: bytes from zero on, whatever the counters on the wire begin with.
    #[test]
    fn what_arrived_is_told() {
        let mut receiver = Accurate::accepted(Field::NotEct, true);
        for field in [
            Field::Ce,
            Field::Ect0,
            Field::Ect0,
            Field::Ect1,
            Field::NotEct,
        ] {
            arrives(&mut receiver, field);
        }
        assert_eq!(receiver.received_ce(), 1);
        assert_eq!(receiver.received_bytes(), [10, 20, 10]);
    }

    #[test]
    fn a_bulk_of_marks_is_told_every_second_one() {
        let mut receiver = Accurate::accepted(Field::NotEct, true);
        arrives(&mut receiver, Field::Ce);
        tells(&mut receiver);
        let urges = [0; 4].map(|_| {
            let urge = arrives(&mut receiver, Field::Ce).now;
            if urge {
                tells(&mut receiver);
            }
            urge
        });
        assert_eq!(urges, [false, true, false, true]);
    }
}
