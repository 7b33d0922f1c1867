//! Feature negotiation (RFC 4340 §6).
//!
//! A feature has a location: each number stands for two features, ours and the peer's. [`Features`]
//! holds the value and the state (§6.6.2) of each, takes Change and Confirm options, and says which
//! options go out: Confirms on the next packet with an Acknowledgement Number, Changes on every
//! packet but Data until they are answered.

mod list;

pub(crate) use list::Feature;

use list::{COUNT, Rule};
use smallvec::SmallVec;
use sockeye_wire::dccp::options::{Meaning, Side};
use sockeye_wire::dccp::{ResetCode, Seq};

/// Values of one preference list that are looked at.
const PREFERENCES_MAX: usize = 16;
/// Bytes of Confirms that wait for a packet: a peer that asks for more in one packet gets the rest of
/// the answers when it asks again.
const CONFIRMS_MAX: usize = 256;

/// Why the connection has to be reset: Reset Code and the option's first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) code: ResetCode,
    pub(crate) data: [u8; 3],
}

impl Fault {
    /// RFC 4340 §5.6: the option's type and the first two bytes of its data.
    pub(crate) fn of(code: ResetCode, kind: u8, data: &[u8]) -> Self {
        let byte = |n: usize| data.get(n).copied().unwrap_or(0);
        Self {
            code,
            data: [kind, byte(0), byte(1)],
        }
    }
}

/// RFC 4340 §6.6.2; UNSTABLE is [`Stage::Unsent`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Stable,
    /// A Change is to be sent for the first time.
    Unsent,
    /// A Change waits for its answer.
    Changing,
}

type List = SmallVec<[u8; 4]>;

/// One feature at one location.
#[derive(Clone, Debug, Default)]
struct Entry {
    stage: Stage,
    value: u64,
    /// Our preference list, or for what is not negotiated the value that was asked for.
    preferences: List,
    wanted: u64,
    /// Another value was announced before it.
    announced_before: bool,
    mandatory: bool,
}

/// The features of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Features {
    local: [Entry; COUNT],
    remote: [Entry; COUNT],
    server: bool,
    /// §6.6.4: FGSR and FGSS.
    received: Option<Seq>,
    sent: Option<Seq>,
    confirms: SmallVec<[u8; 32]>,
}

/// What an option of feature negotiation changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Changed {
    pub(crate) feature: Feature,
    pub(crate) side: Side,
}

impl Features {
    pub(crate) fn new(server: bool) -> Self {
        let entries = || {
            Feature::ALL.map(|feature| Entry {
                value: feature.initial(),
                preferences: feature.preferences().into(),
                ..Entry::default()
            })
        };
        Self {
            local: entries(),
            remote: entries(),
            server,
            received: None,
            sent: None,
            confirms: SmallVec::new(),
        }
    }

    fn entry(&self, feature: Feature, side: Side) -> &Entry {
        match side {
            Side::Local => &self.local[feature as usize],
            Side::Remote => &self.remote[feature as usize],
        }
    }

    fn entry_mut(&mut self, feature: Feature, side: Side) -> &mut Entry {
        match side {
            Side::Local => &mut self.local[feature as usize],
            Side::Remote => &mut self.remote[feature as usize],
        }
    }

    /// The value of a feature of ours.
    pub(crate) fn local(&self, feature: Feature) -> u64 {
        self.entry(feature, Side::Local).value
    }

    /// The value of a feature of the peer's.
    pub(crate) fn remote(&self, feature: Feature) -> u64 {
        self.entry(feature, Side::Remote).value
    }

    /// Values from a cookie: they were agreed on before.
    pub(crate) fn restore(&mut self, feature: Feature, side: Side, value: u64) {
        let entry = self.entry_mut(feature, side);
        entry.value = value;
        let asked = match feature.rule() {
            Rule::Negotiated => entry.preferences.first().map(|&v| u64::from(v)),
            Rule::Announced { .. } => Some(entry.wanted),
        };
        if asked == Some(value) {
            entry.stage = Stage::Stable;
        }
    }

    /// The values that are accepted, the best first.
    pub(crate) fn prefer(&mut self, feature: Feature, side: Side, preferences: &[u8]) {
        let entry = self.entry_mut(feature, side);
        entry.preferences = preferences.iter().copied().take(PREFERENCES_MAX).collect();
    }

    /// Opens a negotiation for the values preferred, unless the best of them is what it is.
    /// RFC 4340 §6.6.5: one that is under way begins anew.
    /// RFC 4340 §6.6.5-1: UNSTABLE.
    pub(crate) fn ask(&mut self, feature: Feature, side: Side, mandatory: bool) {
        let entry = self.entry_mut(feature, side);
        entry.mandatory = mandatory;
        if entry.preferences.first().map(|&v| u64::from(v)) != Some(entry.value) {
            entry.stage = Stage::Unsent;
        }
    }

    /// Announces the value of a feature of ours that is not negotiated.
    /// RFC 4340 §6.3.2-3: by Change L alone.
    pub(crate) fn announce(&mut self, feature: Feature, value: u64) {
        let entry = self.entry_mut(feature, Side::Local);
        let current = match entry.stage {
            Stage::Stable => entry.value,
            Stage::Unsent | Stage::Changing => entry.wanted,
        };
        if current != value {
            entry.announced_before |= entry.wanted != 0;
            entry.wanted = value;
            entry.stage = Stage::Unsent;
        }
    }

    /// Whether anything waits for an answer.
    pub(crate) fn is_changing(&self) -> bool {
        let mut all = self.local.iter().chain(&self.remote);
        all.any(|entry| entry.stage != Stage::Stable)
    }

    /// Whether a Change waits to be sent for the first time, or a Confirm for a packet.
    pub(crate) fn has_news(&self) -> bool {
        let mut all = self.local.iter().chain(&self.remote);
        !self.confirms.is_empty() || all.any(|entry| entry.stage == Stage::Unsent)
    }

    /// Whether Confirms wait.
    pub(crate) fn owes(&self) -> bool {
        !self.confirms.is_empty()
    }

    /// Appends what packet `seq` is to carry: `acks` says that it has an Acknowledgement Number,
    /// without which there are no Confirms (§6.6.1). Not for DCCP-Data.
    pub(crate) fn write(&mut self, seq: Seq, acks: bool, out: &mut impl Extend<u8>) {
        // RFC 4340 §6.6.1-2: with an Acknowledgement Number alone.
        if acks {
            out.extend(core::mem::take(&mut self.confirms));
        }
        for side in [Side::Local, Side::Remote] {
            for feature in Feature::ALL {
                let entry = self.entry_mut(feature, side);
                if entry.stage == Stage::Stable {
                    continue;
                }
                // RFC 4340 §6.6.4-2: as it was written before.
                let new = core::mem::replace(&mut entry.stage, Stage::Changing) == Stage::Unsent;
                entry.write(feature, side, out);
                if new {
                    self.sent = Some(seq);
                }
            }
        }
    }

    /// Takes an option of a packet `seq` that acknowledges `ack`. The options of one packet are of
    /// one number: [`finish`](Self::finish) says that it is done.
    ///
    /// # Errors
    /// The connection has to be reset (§6.6.8, §6.6.9).
    pub(crate) fn option(
        &mut self,
        option: &Meaning<'_>,
        seq: Seq,
        ack: Option<Seq>,
        mandatory: bool,
    ) -> Result<Option<Changed>, Fault> {
        // RFC 4340 §6.6.4-1 and §6.6.4-3: Changes and Confirms of old packets are ignored.
        // §6.6.4: in strictly increasing order.
        if self.received.is_some_and(|received| !seq.after(received)) {
            return Ok(None);
        }
        match *option {
            Meaning::Change {
                side,
                feature,
                values,
            } => self.change(side, feature, values, mandatory),
            Meaning::Confirm {
                side,
                feature,
                values,
            } => {
                // RFC 4340 §6.6.4-4: it acknowledges the Change.
                let answers = ack.is_some_and(|ack| self.sent.is_none_or(|sent| !ack.before(sent)));
                match answers {
                    true => self.confirm(side, feature, values),
                    false => Ok(None),
                }
            }
            _ => Ok(None),
        }
    }

    /// The options of a packet that had any have been taken.
    pub(crate) fn finish(&mut self, seq: Seq) {
        self.received = Some(self.received.map_or(seq, |received| received.later(seq)));
    }

    /// A Change: `theirs` is the side as the peer sees it.
    fn change(
        &mut self,
        theirs: Side,
        number: u8,
        values: &[u8],
        mandatory: bool,
    ) -> Result<Option<Changed>, Fault> {
        let side = flip(theirs);
        let kind = if theirs == Side::Local { 32 } else { 34 };
        let fault = || {
            let data = [number, values.first().copied().unwrap_or(0)];
            Fault::of(ResetCode::MANDATORY_ERROR, kind, &data)
        };
        let found = Feature::from_number(number).filter(|feature| {
            // RFC 4340 §6.3.2-1, §6.3.2-2 and §15-5: any valid value.
            // §6.3.2: what is not negotiated is changed where it is.
            match feature.rule() {
                Rule::Negotiated => !values.is_empty(),
                Rule::Announced { .. } => side == Side::Remote && feature.read(values).is_some(),
            }
        });
        let Some(feature) = found else {
            // RFC 4340 §6.6.7-1, §6.6.7-2, §6.6.8-1, §6.6.9-1 and §15-6: an empty Confirm, or
            // behind Mandatory a reset.
            // §6.6.7, §6.6.8: unknown, or invalid.
            return match mandatory {
                true => Err(fault()),
                false => {
                    self.answer(side, number, &[], &[]);
                    Ok(None)
                }
            };
        };
        let server = self.server;
        let entry = self.entry_mut(feature, side);
        let before = entry.value;
        if let Rule::Announced { .. } = feature.rule() {
            entry.value = feature.read(values).unwrap_or(before);
            entry.stage = Stage::Stable;
            self.answer(side, number, values, &[]);
        } else {
            let ours = entry.preferences.clone();
            match reconcile(server, &ours, values) {
                Some(value) => entry.value = value.into(),
                // RFC 4340 §6.3.1-1: without a shared value it stays.
                None if mandatory => return Err(fault()),
                None => {}
            }
            // RFC 4340 §6.6.6-1: both lists are reconciled.
            // §6.6.6: their Change is as good as an answer to ours.
            entry.stage = Stage::Stable;
            let value = u8::try_from(entry.value).unwrap_or(0);
            self.answer(side, number, &[value], &ours);
        }
        let changed = self.entry(feature, side).value != before;
        Ok(changed.then_some(Changed { feature, side }))
    }

    /// A Confirm: `theirs` is the side as the peer sees it.
    fn confirm(
        &mut self,
        theirs: Side,
        number: u8,
        values: &[u8],
    ) -> Result<Option<Changed>, Fault> {
        let side = flip(theirs);
        // RFC 4340 §6.6.7-4: so it is.
        // §6.6.7: what nobody asked for is ignored.
        let Some(feature) = Feature::from_number(number) else {
            return Ok(None);
        };
        let server = self.server;
        let entry = self.entry_mut(feature, side);
        if entry.stage != Stage::Changing {
            return Ok(None);
        }
        let kind = if theirs == Side::Local { 33 } else { 35 };
        let fault = || {
            let data = [number, values.first().copied().unwrap_or(0)];
            Fault::of(ResetCode::OPTION_ERROR, kind, &data)
        };
        if values.is_empty() {
            // RFC 4340 §6.6.7-3: the value stays.
            // §6.6.7: every DCCP has to understand some of them.
            if feature.is_required() {
                return Err(fault());
            }
            entry.stage = Stage::Stable;
            return Ok(None);
        }
        let before = entry.value;
        match feature.rule() {
            Rule::Announced { .. } => {
                let value = feature.read(values).ok_or_else(fault)?;
                if value != entry.wanted {
                    // RFC 4340 §6.6.4: it comes too late. The acknowledgement number of its packet need
                    // not show that: the peer acknowledges what it has received last, though what was
                    // sent before, our Change for one, is still on its way.
                    return match entry.announced_before {
                        true => Ok(None),
                        false => Err(fault()),
                    };
                }
                entry.value = value;
            }
            Rule::Negotiated => {
                let (value, theirs) = (values[0], &values[1..]);
                // RFC 4340 §6.6.8-2 and §6.6.1-3: only a right Confirm changes the value.
                // §6.6.8: the wrong value by both lists is invalid. Some leave out their list.
                let right = match reconcile(server, &entry.preferences, theirs) {
                    _ if theirs.is_empty() => {
                        entry.preferences.contains(&value) || u64::from(value) == before
                    }
                    Some(agreed) => agreed == value,
                    None => u64::from(value) == before,
                };
                if !right {
                    return Err(fault());
                }
                entry.value = value.into();
            }
        }
        entry.stage = Stage::Stable;
        let changed = entry.value != before;
        Ok(changed.then_some(Changed { feature, side }))
    }

    /// Confirms for the next packet.
    /// RFC 4340 §6.2-1, §6.6.1-1 and §6.6.3-3: one for each Change, and none without.
    fn answer(&mut self, side: Side, feature: u8, value: &[u8], preferences: &[u8]) {
        let values: SmallVec<[u8; 16]> = value.iter().chain(preferences).copied().collect();
        if self.confirms.len() + values.len() + 3 > CONFIRMS_MAX {
            return;
        }
        Meaning::Confirm {
            side,
            feature,
            values: &values,
        }
        .write(&mut self.confirms);
    }
}

impl Entry {
    fn write(&self, feature: Feature, side: Side, out: &mut impl Extend<u8>) {
        let bytes;
        let values = match feature.rule() {
            Rule::Negotiated => self.preferences.as_slice(),
            Rule::Announced { len } => {
                bytes = self.wanted.to_be_bytes();
                &bytes[8 - len..]
            }
        };
        if self.mandatory {
            Meaning::Mandatory.write(out);
        }
        let feature = feature.number();
        Meaning::Change {
            side,
            feature,
            values,
        }
        .write(out);
    }
}

const fn flip(side: Side) -> Side {
    match side {
        Side::Local => Side::Remote,
        Side::Remote => Side::Local,
    }
}

/// RFC 4340 §6.3.1: the first of the server's list that is in the client's.
fn reconcile(server: bool, ours: &[u8], theirs: &[u8]) -> Option<u8> {
    let theirs = &theirs[..theirs.len().min(PREFERENCES_MAX)];
    let (first, second) = if server {
        (ours, theirs)
    } else {
        (theirs, ours)
    };
    first.iter().copied().find(|value| second.contains(value))
}

#[cfg(test)]
mod tests;
