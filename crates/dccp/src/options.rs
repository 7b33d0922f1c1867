//! The options of packets: what is taken from those that arrive (RFC 4340 §8.5, step 8), and what is
//! put into those that leave.

use crate::ccid::Report;
use crate::ccid::ccid3_receiver::Feedback;
use crate::conn::Conn;
use crate::features::{Fault, Feature, Features};
use crate::packet::Incoming;
use crate::state::State;
use core::time::Duration;
use smallvec::SmallVec;
use sockeye_core::{Context, Counter, Instant, Payload};
use sockeye_wire::dccp::options::{Meaning, RawOption, Side};
use sockeye_wire::dccp::{PacketType, ResetCode, Seq};
use sockeye_wire::sctp::Crc32c;

/// Bytes of Init Cookies that are echoed; a server that sends more gets no connection.
const COOKIES_MAX: usize = 512;
/// Options that one packet may have; what follows is not looked at.
const OPTIONS_MAX: usize = 128;
/// RFC 4340 §13.3-1: hundredths of milliseconds.
/// RFC 4340 §13: units of times in options.
const UNIT: Duration = Duration::from_micros(10);
/// Elapsed times from here on are told.
const ELAPSED_MIN: Duration = Duration::from_millis(1);

/// The options of a packet that leaves.
pub(crate) type Bytes = SmallVec<[u8; 64]>;

/// One option after the other, with whether Mandatory stood before it.
/// RFC 4340 §5.8-3, §5.8-8, §15-1 and §15-2: in their order; what may not be there and what nobody
/// knows is passed over.
pub(crate) fn each<'a>(
    packet: &'a Incoming,
    mut take: impl FnMut(Meaning<'a>, RawOption<'a>, bool) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut mandatory = false;
    for raw in packet.options().take(OPTIONS_MAX) {
        let meaning = raw.meaning();
        // RFC 4340 §5.8-9, §5.8.2-3, §6-2, §11.4-4, §11.7-5 and §13.2-1: ignored there.
        // RFC 4340 §5.8: on Data, only what can't do harm (§7.5.5).
        if packet.ty() == PacketType::Data && !meaning.is_for_data() {
            continue;
        }
        if meaning == Meaning::Mandatory {
            if mandatory {
                return Err(Fault::of(ResetCode::OPTION_ERROR, raw.kind, &[]));
            }
            mandatory = true;
            continue;
        }
        // RFC 4340 §5.8.2-1, §5.8.2-4 and §15-4: what stands behind Mandatory; before Padding it is
        // padding.
        // RFC 4340 §5.8.2: MUST reset for what is not understood.
        if let (true, Meaning::Unknown(_)) = (mandatory, meaning) {
            return Err(Fault::of(ResetCode::MANDATORY_ERROR, raw.kind, raw.data));
        }
        take(meaning, raw, mandatory)?;
        mandatory = false;
    }
    match mandatory {
        true => Err(Fault::of(ResetCode::OPTION_ERROR, 1, &[])),
        false => Ok(()),
    }
}

/// Feature negotiation alone, and Mandatory: what a half-open connection takes.
pub(crate) fn negotiate(features: &mut Features, packet: &Incoming) -> Result<(), Fault> {
    let (seq, ack) = (packet.seq, packet.ack());
    let mut any = false;
    each(packet, |meaning, raw, mandatory| {
        match meaning {
            Meaning::Change { .. } | Meaning::Confirm { .. } => {
                any = true;
                features.option(&meaning, seq, ack, mandatory)?;
            }
            Meaning::Ccid(_) if mandatory => {
                return Err(Fault::of(ResetCode::MANDATORY_ERROR, raw.kind, raw.data));
            }
            _ => {}
        }
        Ok(())
    })?;
    if any {
        features.finish(seq);
    }
    Ok(())
}

/// RFC 4340 §9.3: whether the data is what its Data Checksum says, where it has one.
/// RFC 4340 §9.3-1 and §9.3.1-1: always, whether it was asked for or not.
pub(crate) fn data_is_intact(packet: &Incoming) -> bool {
    let mut checksums = packet.options().filter_map(|raw| match raw.meaning() {
        Meaning::DataChecksum(crc) => Some(crc),
        _ => None,
    });
    let crc = crc(&packet.data);
    checksums.all(|said| said == crc)
}

/// CRC-32c (RFC 4340 §9.3; of nothing it is zero).
fn crc(data: &Payload) -> u32 {
    let mut crc = Crc32c::new();
    data.iter().for_each(|slice| crc.update(slice));
    crc.value()
}

/// What a packet's options said beside what has been done.
#[derive(Default)]
struct Said {
    vector: SmallVec<[u8; 64]>,
    dropped: SmallVec<[u8; 16]>,
    elapsed: Option<Duration>,
    slow: bool,
    negotiates: bool,
    feedback: Feedback,
}

impl Conn {
    /// RFC 4340 §8.5 step 8.
    ///
    /// # Errors
    /// The connection has to be reset.
    pub(crate) fn take_options(
        &mut self,
        cx: &mut Context<'_>,
        packet: &Incoming,
    ) -> Result<(), Fault> {
        let mut said = Said::default();
        if packet.ty() == PacketType::Response && packet.seq == self.seqs.gsr {
            // RFC 4340 §8.1.4-5: the cookies that are echoed are those of the Response that is acknowledged.
            self.cookies.clear();
        }
        each(packet, |meaning, raw, mandatory| {
            self.take_option(cx, packet, meaning, raw, mandatory, &mut said)
        })?;
        if said.negotiates {
            self.features.finish(packet.seq);
            self.negotiated();
        }
        if said.slow {
            self.slow_until = cx.now + self.sender.rtt();
        }
        if let Some(ack) = packet.ack().filter(|_| packet.ty() != PacketType::Sync) {
            let slow_receiver = cx.now < self.slow_until;
            self.report(
                cx,
                &Report {
                    now: cx.now,
                    ack,
                    vector: &said.vector,
                    dropped: &said.dropped,
                    elapsed: said.elapsed,
                    slow_receiver,
                    feedback: &said.feedback,
                },
            );
        }
        Ok(())
    }

    fn take_option(
        &mut self,
        cx: &mut Context<'_>,
        packet: &Incoming,
        meaning: Meaning<'_>,
        raw: RawOption<'_>,
        mandatory: bool,
        said: &mut Said,
    ) -> Result<(), Fault> {
        let seq = packet.seq;
        let ack = packet.ack();
        match meaning {
            Meaning::Change { .. } | Meaning::Confirm { .. } => {
                said.negotiates = true;
                let changed = self.features.option(&meaning, seq, ack, mandatory)?;
                if let Some(changed) = changed.filter(|c| c.feature == Feature::Ccid)
                    && self.state >= State::PartOpen
                {
                    match changed.side {
                        Side::Local => self.begin_ccids(cx),
                        Side::Remote => self.begin_receiving(cx),
                    }
                }
            }
            // RFC 4340 §5.8-7 and §11-2: each of several, but on packets that acknowledge alone.
            // §11.4: nothing is acknowledged by what has no Acknowledgement Number.
            Meaning::AckVector { vector, .. } if ack.is_some() => {
                said.vector.extend_from_slice(vector);
            }
            Meaning::DataDropped(blocks) if ack.is_some() => {
                said.dropped.extend_from_slice(blocks);
                // §11.7.2: nobody listens there any more.
                let codes = sockeye_wire::dccp::options::blocks(blocks);
                self.marks.unheard |= { codes }.any(|(code, _)| code == Some(1));
            }
            Meaning::ElapsedTime(units) if ack.is_some() => said.elapsed = Some(UNIT * units),
            Meaning::SlowReceiver => said.slow = true,
            Meaning::Timestamp(time) => self.owed.echo = Some((time, cx.now)),
            Meaning::InitCookie(cookie)
                if matches!(self.state, State::Request | State::PartOpen)
                    && packet.ty() == PacketType::Response
                    && seq == self.seqs.gsr =>
            {
                // §8.1.4: MUST be echoed, in the same order.
                if self.cookies.len() + cookie.len() + 2 > COOKIES_MAX {
                    return Err(Fault::of(ResetCode::OPTION_ERROR, raw.kind, raw.data));
                }
                Meaning::InitCookie(cookie).write(&mut self.cookies);
            }
            // RFC 4340 §10.3-2: those of the CCID that was agreed on alone.
            // RFC 4342 §8-1, §8.3-3, §8.5-2, §8.6-3 and §8.6.1-4: ignored on Data, and wherever
            // nothing is acknowledged.
            // RFC 4342 §8: not on Data.
            Meaning::Ccid(option)
                if ack.is_some() && self.sender.rate().is_some() && said.feedback.take(option) => {}
            Meaning::Ccid(_) if mandatory => {
                return Err(Fault::of(ResetCode::MANDATORY_ERROR, raw.kind, raw.data));
            }
            // RFC 4340 §5.8-4 and §15-3: ignored.
            Meaning::Ccid(_) | Meaning::Unknown(_) => {
                cx.counters.add(Counter::DccpUnknownOptions);
            }
            _ => {}
        }
        Ok(())
    }

    /// Something was negotiated: what follows from it.
    fn negotiated(&mut self) {
        if !self.features.is_changing() {
            self.deadlines.features = Instant::FAR;
            self.backoff.features = Duration::ZERO;
        }
        // §6.6.1: Confirms go on what would have been sent anyway, or on an Ack of their own.
        if self.features.owes() && self.state >= State::PartOpen {
            self.owed.ack = true;
        }
    }

    /// The options of packet `seq`, which carries `data`.
    pub(crate) fn options_for(
        &mut self,
        now: Instant,
        ty: PacketType,
        seq: Seq,
        data: &Payload,
    ) -> Bytes {
        let mut out = Bytes::new();
        let acks = !matches!(
            ty,
            PacketType::Request | PacketType::Data | PacketType::Listen
        );
        // RFC 4340 §8.1.4-1, §8.1.4-3 and §8.1.5-2: on every packet in PARTOPEN, which sends
        // neither Requests nor Data.
        if self.state == State::PartOpen && acks && ty != PacketType::Reset {
            out.extend_from_slice(&self.cookies);
        }
        // RFC 4340 §7.7-1 and §7.7.2-1: MUST where it was asked for.
        if self.no_data_run > 0 && self.features.local(Feature::SendNdpCount) == 1 {
            Meaning::NdpCount(self.no_data_run).write(&mut out);
        }
        if let Some((echo, at)) = self.owed.echo.take() {
            let elapsed = units(now - at);
            Meaning::TimestampEcho { echo, elapsed }.write(&mut out);
        }
        if self.settings.data_checksum && !data.is_empty() {
            Meaning::DataChecksum(crc(data)).write(&mut out);
        }
        if self.settings.slow_receiver && acks {
            Meaning::SlowReceiver.write(&mut out);
        }
        // RFC 4340 §5.8.2-2 and §6-1: no negotiation on Data.
        if ty != PacketType::Data && ty != PacketType::Reset {
            self.features.write(seq, acks, &mut out);
        }
        if matches!(ty, PacketType::Ack | PacketType::DataAck) {
            self.acknowledge(now, seq, &mut out);
        }
        out
    }

    /// What acknowledgements carry.
    /// RFC 4340 §11-1, §11.4-3, §11.5-1, §11.7-4 and §13.2-3: Ack Vector or feedback, dropped data,
    /// and how long the newest packet has waited; not on Data.
    fn acknowledge(&mut self, now: Instant, seq: Seq, out: &mut Bytes) {
        let elapsed = now - self.newest_at;
        // RFC 4342 §8.2-1 and §8.2-2: Elapsed Time.
        // RFC 4342 §8.2: MUST be on all feedback.
        if elapsed >= ELAPSED_MIN || self.receiver.is_some() {
            Meaning::ElapsedTime(units(elapsed)).write(out);
        }
        if let Some(receiver) = &mut self.receiver {
            let loss_rate = self.features.local(Feature::SendLossEventRate) == 1;
            // RFC 4342 §8.3-2, §8.5-1, §8.6-2 and §8.6.1-3: on acknowledgements alone.
            receiver.write(now, loss_rate, out);
        }
        // RFC 4340 §11.5-1: where it was asked for, whatever the CCID; CCID 2 asks.
        // RFC 4341 §6-1: on all acknowledgements.
        match self.features.local(Feature::SendAckVector) {
            1 => self.history.write(out),
            _ => self.history.write_dropped(out),
        }
        self.history.told(seq);
    }
}

/// RFC 4340 §13.2: in units of 10 µs; the largest value stands for all above.
fn units(time: Duration) -> u32 {
    u32::try_from(time.as_micros() / UNIT.as_micros()).unwrap_or(u32::MAX)
}
