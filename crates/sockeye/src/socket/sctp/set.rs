//! setsockopt(2) at SOL_SCTP (RFC 6458 §8), with Linux's structures and what Linux says of them.

use super::SOL_SCTP;
use super::get::no_entry;
use super::layout::Fields;
use super::numbers::{self as n, EVENTS_IN_ORDER, FIRST_EVENT, spp};
use crate::error::to_io;
use crate::socket::{Kind, Socket};
use sockeye_core::{Context, Error, SctpConfig, SocketId};
use sockeye_node::Sctp;
use sockeye_sctp::{AssocId, Events, PathSettings, PrInfo, Settings, SndFlags, SndInfo, Style};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// RFC 9260 §6.2: the longest delay of an acknowledgment.
const SACK_DELAY_MAX: Duration = Duration::from_millis(500);
/// Bytes of the smallest packet that a path is taken for (SCTP_DEFAULT_MINSEGMENT).
const MTU_MIN: u32 = 512;
/// Bytes of a message that one chunk has at the most, and at the least by SCTP_MAXSEG.
const FRAGMENT: (u32, u32) = (MTU_MIN - 20 - 12 - 16, 65_532 - 16);
/// INT_MAX / 1000: the most seconds of SCTP_AUTOCLOSE.
const AUTOCLOSE_MAX: u32 = 2_147_483;

impl Socket {
    /// setsockopt(2) at SOL_SCTP, where this is a socket of SCTP.
    pub(in crate::socket) fn set_sctp_raw(
        &self,
        level: i32,
        name: i32,
        value: &[u8],
    ) -> Option<io::Result<()>> {
        let Kind::Sctp(style) = self.0.kind else {
            return None;
        };
        if level != SOL_SCTP {
            return None;
        }
        let addresses = || {
            let mut fields = Fields::at_least(value, 1).map_err(to_io)?;
            fields.sockaddrs().map_err(to_io)
        };
        Some(match name {
            n::BINDX_ADD => addresses().and_then(|all| self.bind_add(&all)),
            n::BINDX_REM => addresses().and_then(|all| self.bind_remove(&all)),
            n::CONNECTX | n::CONNECTX_OLD => {
                addresses().and_then(|all| self.connect_multi(&all).map(|_| ()))
            }
            _ => self.sctp(|sctp, cx, id| {
                Set {
                    sctp,
                    cx,
                    id,
                    style,
                }
                .set(name, value)
            }),
        })
    }
}

pub(super) struct Set<'a, 'c> {
    pub(super) sctp: &'a mut Sctp,
    pub(super) cx: &'a mut Context<'c>,
    pub(super) id: SocketId,
    style: Style,
}

impl Set<'_, '_> {
    fn set(&mut self, name: i32, value: &[u8]) -> Result<(), Error> {
        match name {
            n::RTOINFO => self.rto(value),
            n::ASSOCINFO => self.assoc_info(value),
            n::INITMSG => self.init(value),
            n::NODELAY => self.flag(value, |settings, on| settings.no_delay = on),
            n::AUTOCLOSE => self.autoclose(value),
            n::PRIMARY_ADDR => {
                let mut fields = Fields::exactly(value, 132)?;
                let assoc = fields.assoc()?;
                let addr = fields.storage()?.ok_or(Error::Invalid)?;
                invalid(self.sctp.set_primary(self.cx, self.id, assoc, addr))
            }
            n::ADAPTATION_LAYER => {
                let indication = Fields::exactly(value, 4)?.u32()?;
                self.own(|settings| settings.adaptation = Some(indication))
            }
            n::DISABLE_FRAGMENTS => self.flag(value, |settings, on| settings.no_fragments = on),
            n::PEER_ADDR_PARAMS => self.path_params(value),
            n::DEFAULT_SEND_PARAM => self.default_send_param(value),
            n::DEFAULT_SNDINFO => self.default_send_info(value),
            n::EVENTS => self.events(value),
            n::EVENT => self.event(value),
            n::I_WANT_MAPPED_V4_ADDR => {
                self.flag(value, |settings, on| settings.told.plain_v4 = !on)
            }
            n::MAXSEG => self.fragment_max(value),
            n::DELAYED_SACK => self.delayed_sack(value),
            n::CONTEXT => {
                let (assoc, value) = assoc_value(value)?;
                self.change(assoc, |settings| settings.context = value)
            }
            n::FRAGMENT_INTERLEAVE => {
                let interleave = Fields::exactly(value, 4)?.u32()?;
                self.own(|settings| settings.told.interleave = interleave.min(1))
            }
            n::MAX_BURST => {
                let (assoc, burst) = match value.len() {
                    4 => (AssocId::FUTURE, Fields::exactly(value, 4)?.u32()?),
                    _ => assoc_value(value)?,
                };
                self.change(assoc, |settings| settings.max_burst = burst)
            }
            n::RECVRCVINFO => self.flag(value, |settings, on| settings.told.receive_info = on),
            n::RECVNXTINFO => self.flag(value, |settings, on| settings.told.next_info = on),
            n::PEER_ADDR_THLDS | n::PEER_ADDR_THLDS_V2 => {
                self.thresholds(value, name == n::PEER_ADDR_THLDS_V2)
            }
            n::REUSE_PORT => self.reuse_port(value),
            n::REMOTE_UDP_ENCAPS_PORT => self.encapsulation(value),
            n::PLPMTUD_PROBE_INTERVAL => self.probe_interval(value),
            n::PR_SUPPORTED => {
                self.supported(value, |settings, on| settings.partial_reliability = on)
            }
            n::RECONFIG_SUPPORTED => {
                self.supported(value, |settings, on| settings.reconfiguration = on)
            }
            n::INTERLEAVING_SUPPORTED => {
                // Linux: only with SCTP_FRAGMENT_INTERLEAVE.
                let (assoc, on) = assoc_value(value)?;
                self.interleaves()?;
                self.future(assoc, |settings| settings.interleaving = on != 0)
            }
            n::ASCONF_SUPPORTED => {
                self.supported(value, |settings, on| settings.address_configuration = on)
            }
            n::AUTH_SUPPORTED => self.supported(value, |settings, on| settings.authentication = on),
            n::ECN_SUPPORTED => self.supported(value, |settings, on| settings.ecn = on),
            _ => self.set_extension(name, value),
        }
    }

    /// Changes what `assoc` names; a name that is nobody's is EINVAL.
    pub(super) fn change(
        &mut self,
        assoc: AssocId,
        change: impl Fn(&mut Settings),
    ) -> Result<(), Error> {
        invalid(self.sctp.configure(self.cx, self.id, assoc, change))
    }

    /// Changes what the socket has, and all associations of it heed.
    pub(super) fn own(&mut self, change: impl Fn(&mut Settings)) -> Result<(), Error> {
        self.change(AssocId::ALL, change)
    }

    fn flag(&mut self, value: &[u8], change: impl Fn(&mut Settings, bool)) -> Result<(), Error> {
        let on = Fields::at_least(value, 4)?.u32()? != 0;
        self.own(|settings| change(settings, on))
    }

    /// Changes what only associations that are still to come can take over.
    fn future(&mut self, assoc: AssocId, change: impl Fn(&mut Settings)) -> Result<(), Error> {
        match self.style {
            Style::OneToMany if assoc != AssocId::FUTURE => Err(Error::Invalid),
            _ => self.change(AssocId::FUTURE, change),
        }
    }

    /// What an extension is offered by (`struct sctp_assoc_value`).
    fn supported(
        &mut self,
        value: &[u8],
        change: impl Fn(&mut Settings, bool),
    ) -> Result<(), Error> {
        let (assoc, on) = assoc_value(value)?;
        self.future(assoc, |settings| change(settings, on != 0))
    }

    fn interleaves(&self) -> Result<(), Error> {
        let settings = self.sctp.settings(self.id, AssocId::FUTURE)?;
        match settings.told.interleave {
            0 => Err(Error::NotPermitted),
            _ => Ok(()),
        }
    }

    /// `struct sctp_rtoinfo`: zero leaves a value as it is.
    fn rto(&mut self, value: &[u8]) -> Result<(), Error> {
        let mut fields = Fields::exactly(value, 16)?;
        let assoc = fields.assoc()?;
        let (initial, max, min) = (fields.millis()?, fields.millis()?, fields.millis()?);
        let now = invalid(self.sctp.settings(self.id, assoc))?.rto;
        let or = |new: Duration, old| if new.is_zero() { old } else { new };
        let (min, max) = (or(min, now.min), or(max, now.max));
        if min > max {
            return Err(Error::Invalid);
        }
        self.change(assoc, |settings| {
            settings.rto.initial = or(initial, settings.rto.initial);
            settings.rto.min = min;
            settings.rto.max = max;
        })
    }

    /// `struct sctp_assocparams`.
    fn assoc_info(&mut self, value: &[u8]) -> Result<(), Error> {
        let mut fields = Fields::exactly(value, 20)?;
        let assoc = fields.assoc()?;
        self.of_one(assoc)?;
        let retransmits = u32::from(fields.u16()?);
        fields.skip(10)?;
        let life = fields.millis()?;
        // RFC 6458 §8.1.2: no more than those of all paths together.
        if let Ok(paths) = self.sctp.paths(self.id, assoc)
            && paths.len() > 1
        {
            let each = paths.iter().filter_map(|path| {
                let settings = self.sctp.path_settings(self.id, assoc, path.address);
                settings.ok().map(|settings| settings.retransmits_max)
            });
            if retransmits > each.fold(0, u32::saturating_add) {
                return Err(Error::Invalid);
            }
        }
        self.change(assoc, |settings| {
            if retransmits != 0 {
                settings.retransmits_max = retransmits;
            }
            if !life.is_zero() {
                settings.cookie_life = life;
            }
        })
    }

    /// `struct sctp_initmsg`: zero leaves a value as it is.
    fn init(&mut self, value: &[u8]) -> Result<(), Error> {
        let mut fields = Fields::exactly(value, 8)?;
        let (out, within) = (fields.u16()?, fields.u16()?);
        let (attempts, timeout) = (fields.u16()?, fields.u16()?);
        self.change(AssocId::FUTURE, |settings| {
            let init = &mut settings.init;
            let or = |new: u16, old| if new == 0 { old } else { new };
            init.out_streams = or(out, init.out_streams);
            init.in_streams_max = or(within, init.in_streams_max);
            init.attempts_max = or(attempts, init.attempts_max);
            if timeout != 0 {
                init.timeout_max = Duration::from_millis(timeout.into());
            }
        })
    }

    /// Seconds, of one-to-many sockets alone.
    fn autoclose(&mut self, value: &[u8]) -> Result<(), Error> {
        if self.style == Style::OneToOne {
            return Err(Error::NotSupported);
        }
        let seconds = Fields::exactly(value, 4)?.u32()?.min(AUTOCLOSE_MAX);
        let time = Duration::from_secs(seconds.into());
        self.own(|settings| settings.autoclose = time)
    }

    /// `struct sctp_paddrparams`, with or without its last two members.
    fn path_params(&mut self, value: &[u8]) -> Result<(), Error> {
        if !matches!(value.len(), 152 | 156) {
            return Err(Error::Invalid);
        }
        let mut fields = Fields::at_least(value, 152)?;
        let (assoc, addr) = (fields.assoc()?, fields.storage()?);
        let (interval, retransmits) = (fields.millis()?, fields.u16()?);
        let (mtu, delay, flags) = (fields.u32()?, fields.millis()?, fields.u32()?);
        self.of_one(assoc)?;
        let (label, dscp) = (fields.u32().unwrap_or(0), fields.u8().unwrap_or(0));
        let both = |a: u32, b: u32| flags & a != 0 && flags & b != 0;
        if both(spp::HB_ENABLE, spp::HB_DISABLE)
            || both(spp::PMTUD_ENABLE, spp::PMTUD_DISABLE)
            || both(spp::SACKDELAY_ENABLE, spp::SACKDELAY_DISABLE)
            || delay > SACK_DELAY_MAX
            || (mtu != 0 && mtu < MTU_MIN)
        {
            return Err(Error::Invalid);
        }
        let said = |flag: u32| flags & flag != 0;
        let path = |settings: &mut PathSettings| {
            if said(spp::HB_ENABLE | spp::HB_DISABLE) {
                settings.heartbeat = said(spp::HB_ENABLE);
            }
            if said(spp::HB_TIME_IS_ZERO) && said(spp::HB_ENABLE) {
                settings.heartbeat_interval = Duration::ZERO;
            } else if !interval.is_zero() && !said(spp::HB_DISABLE) {
                settings.heartbeat_interval = interval;
            }
            if retransmits != 0 {
                settings.retransmits_max = retransmits.into();
            }
            if said(spp::PMTUD_ENABLE | spp::PMTUD_DISABLE) {
                settings.pmtu_discovery = said(spp::PMTUD_ENABLE);
            }
            if said(spp::PMTUD_DISABLE) && mtu != 0 {
                settings.mtu = mtu;
            }
            if said(spp::IPV6_FLOWLABEL) {
                settings.flow_label = label & 0x000f_ffff;
            }
            if said(spp::DSCP) {
                settings.traffic_class = Some(dscp & 0xfc);
            }
        };
        let Some(addr) = addr else {
            self.change(assoc, |settings| {
                path(&mut settings.path);
                if said(spp::SACKDELAY_DISABLE) {
                    settings.sack_frequency = 1;
                }
                if said(spp::SACKDELAY_ENABLE) && !delay.is_zero() {
                    settings.sack_delay = delay;
                }
            })?;
            return match said(spp::HB_DEMAND) {
                true => self.beat_all(assoc),
                false => Ok(()),
            };
        };
        let mut settings = invalid(self.sctp.path_settings(self.id, assoc, addr))?;
        path(&mut settings);
        invalid(
            self.sctp
                .configure_path(self.cx, self.id, assoc, addr, settings),
        )?;
        match said(spp::HB_DEMAND) {
            true => invalid(self.sctp.demand_heartbeat(self.cx, self.id, assoc, addr)),
            false => Ok(()),
        }
    }

    /// RFC 6458 §8.1: these are of one association, or of those to come, not of all that there are.
    pub(super) fn of_one(&self, assoc: AssocId) -> Result<(), Error> {
        let many = matches!(assoc, AssocId::CURRENT | AssocId::ALL);
        match many && self.style == Style::OneToMany {
            true => Err(Error::Invalid),
            false => Ok(()),
        }
    }

    fn beat_all(&mut self, assoc: AssocId) -> Result<(), Error> {
        for path in invalid(self.sctp.paths(self.id, assoc))? {
            let to = path.address;
            invalid(self.sctp.demand_heartbeat(self.cx, self.id, assoc, to))?;
        }
        Ok(())
    }

    /// `struct sctp_sndrcvinfo`.
    fn default_send_param(&mut self, value: &[u8]) -> Result<(), Error> {
        let mut fields = Fields::exactly(value, 32)?;
        let stream = fields.u16()?;
        fields.skip(2)?;
        let flags = fields.u16()?;
        fields.skip(2)?;
        let (ppid, context, life) = (fields.ppid()?, fields.u32()?, fields.millis()?);
        fields.skip(8)?;
        let assoc = fields.assoc()?;
        self.defaults(assoc, stream, flags, ppid, context)?;
        // sinfo_timetolive: the timed policy, or none.
        self.change(assoc, |settings| {
            settings.reliability = match (life.is_zero(), settings.reliability) {
                (false, _) => PrInfo::Timed(life),
                (true, PrInfo::Timed(_)) => PrInfo::None,
                (true, other) => other,
            };
        })
    }

    /// `struct sctp_sndinfo`.
    fn default_send_info(&mut self, value: &[u8]) -> Result<(), Error> {
        let mut fields = Fields::exactly(value, 16)?;
        let (stream, flags) = (fields.u16()?, fields.u16()?);
        let (ppid, context) = (fields.ppid()?, fields.u32()?);
        let assoc = fields.assoc()?;
        self.defaults(assoc, stream, flags, ppid, context)
    }

    fn defaults(
        &mut self,
        assoc: AssocId,
        stream: u16,
        flags: u16,
        ppid: u32,
        context: u32,
    ) -> Result<(), Error> {
        let allowed = SndFlags::UNORDERED | SndFlags::ADDR_OVER | SndFlags::ABORT | SndFlags::EOF;
        let flags = SndFlags::from_bits(flags).ok_or(Error::Invalid)?;
        if !allowed.contains(flags) {
            return Err(Error::Invalid);
        }
        self.change(assoc, |settings| {
            let info: &mut SndInfo = &mut settings.send_info;
            (info.stream, info.flags) = (stream, flags);
            (info.ppid, info.context) = (ppid, context);
        })
    }

    /// `struct sctp_event_subscribe`, as much of it as there is.
    fn events(&mut self, value: &[u8]) -> Result<(), Error> {
        if value.len() > 1 + EVENTS_IN_ORDER.len() {
            return Err(Error::Invalid);
        }
        // What it does not reach stays as it is.
        let Some((data_io, rest)) = value.split_first() else {
            return Ok(());
        };
        let said = |at: usize| rest.get(at).map(|&on| on != 0);
        let (old, new) = (
            usize::from(n::SEND_FAILED - FIRST_EVENT),
            EVENTS_IN_ORDER.len() - 1,
        );
        self.own(|settings| {
            settings.told.data_io = *data_io != 0;
            for (&event, &on) in EVENTS_IN_ORDER.iter().zip(rest).take(new) {
                settings.events.set(event, on != 0);
            }
            // Of the two kinds of one event the newer counts, where both are wanted.
            if let Some(on) = said(old) {
                let newer = said(new).unwrap_or(false);
                settings.events.set(Events::SEND_FAILED, on || newer);
                settings.told.old_send_failed = on && !newer;
            }
        })
    }

    /// `struct sctp_event`.
    fn event(&mut self, value: &[u8]) -> Result<(), Error> {
        let mut fields = Fields::at_least(value, 8)?;
        let (assoc, ty, on) = (fields.assoc()?, fields.u16()?, fields.u8()? != 0);
        if ty == FIRST_EVENT - 1 {
            return self.change(assoc, |settings| settings.told.data_io = on);
        }
        let at = ty.checked_sub(FIRST_EVENT).map(usize::from);
        let event = at.and_then(|at| EVENTS_IN_ORDER.get(at));
        let event = *event.ok_or(Error::Invalid)?;
        self.change(assoc, |settings| {
            settings.events.set(event, on);
            if event == Events::SEND_FAILED {
                settings.told.old_send_failed = on && ty == n::SEND_FAILED;
            }
        })
    }

    /// `struct sctp_assoc_value`, or an int.
    fn fragment_max(&mut self, value: &[u8]) -> Result<(), Error> {
        let (assoc, most) = match value.len() {
            4 => (AssocId::FUTURE, Fields::exactly(value, 4)?.u32()?),
            _ => assoc_value(value)?,
        };
        self.of_one(assoc)?;
        if most != 0 && !(FRAGMENT.0..=FRAGMENT.1).contains(&most) {
            return Err(Error::Invalid);
        }
        self.change(assoc, |settings| settings.fragment_max = most)
    }

    /// `struct sctp_sack_info`, or the older `struct sctp_assoc_value`, where no delay is none at all.
    fn delayed_sack(&mut self, value: &[u8]) -> Result<(), Error> {
        let (assoc, delay, frequency) = match value.len() {
            8 => {
                let (assoc, delay) = assoc_value(value)?;
                (assoc, delay, u32::from(delay == 0))
            }
            _ => {
                let mut fields = Fields::exactly(value, 12)?;
                (fields.assoc()?, fields.u32()?, fields.u32()?)
            }
        };
        let delay = Duration::from_millis(delay.into());
        if delay > SACK_DELAY_MAX {
            return Err(Error::Invalid);
        }
        self.change(assoc, |settings| {
            if !delay.is_zero() {
                settings.sack_delay = delay;
                // Linux: a delay is one, whatever was said of it before.
                settings.sack_frequency = settings.sack_frequency.max(2);
            }
            if frequency != 0 {
                settings.sack_frequency = frequency;
            }
        })
    }

    /// `struct sctp_paddrthlds`, or `struct sctp_paddrthlds_v2`, which has one member more.
    fn thresholds(&mut self, value: &[u8], has_switch: bool) -> Result<(), Error> {
        let mut fields = Fields::at_least(value, 144)?;
        let assoc = fields.assoc()?;
        fields.skip(4)?;
        let addr = fields.storage()?;
        let (retransmits, failed) = (u32::from(fields.u16()?), u32::from(fields.u16()?));
        let switch = has_switch.then(|| fields.u16()).transpose()?;
        // Linux: not before it is potentially failed.
        if switch.is_some_and(|switch| failed > u32::from(switch)) {
            return Err(Error::Invalid);
        }
        let set = self.path(assoc, addr, |path| {
            if let Some(switch) = switch {
                path.switch_primary_at = match switch {
                    u16::MAX => u32::MAX,
                    errors => errors.into(),
                };
            }
            if retransmits != 0 {
                path.retransmits_max = retransmits;
            }
            path.potentially_failed_at = failed;
        });
        match addr {
            Some(_) => set.map_err(no_entry),
            None => set,
        }
    }

    /// `struct sctp_udpencaps`: the port stands in network order.
    fn encapsulation(&mut self, value: &[u8]) -> Result<(), Error> {
        let mut fields = Fields::exactly(value, 144)?;
        let assoc = fields.assoc()?;
        fields.skip(4)?;
        let addr = fields.storage()?;
        let port = u16::from_be(fields.u16()?);
        self.path(assoc, addr, |path| path.encap_port = port)
    }

    fn probe_interval(&mut self, value: &[u8]) -> Result<(), Error> {
        let mut fields = Fields::exactly(value, 144)?;
        let assoc = fields.assoc()?;
        fields.skip(4)?;
        let addr = fields.storage()?;
        let interval = Duration::from_millis(fields.u32()?.into());
        if !interval.is_zero() && interval < SctpConfig::PROBE_INTERVAL_MIN {
            return Err(Error::Invalid);
        }
        self.path(assoc, addr, |path| path.probe_interval = interval)
    }

    /// Changes one path, or those of `assoc`.
    fn path(
        &mut self,
        assoc: AssocId,
        addr: Option<SocketAddr>,
        change: impl Fn(&mut PathSettings),
    ) -> Result<(), Error> {
        self.of_one(assoc)?;
        let Some(addr) = addr else {
            return self.change(assoc, |settings| change(&mut settings.path));
        };
        let mut settings = invalid(self.sctp.path_settings(self.id, assoc, addr))?;
        change(&mut settings);
        invalid(
            self.sctp
                .configure_path(self.cx, self.id, assoc, addr, settings),
        )
    }

    /// Of one-to-one sockets alone, and before they have an address.
    fn reuse_port(&mut self, value: &[u8]) -> Result<(), Error> {
        if self.style == Style::OneToMany {
            return Err(Error::NotSupported);
        }
        let on = Fields::at_least(value, 4)?.u32()? != 0;
        let option = sockeye_core::SocketOption::ReusePort;
        let on = sockeye_core::OptionValue::Flag(on);
        self.sctp.set_option(self.cx, self.id, option, on)
    }
}

/// `struct sctp_assoc_value`.
pub(super) fn assoc_value(value: &[u8]) -> Result<(AssocId, u32), Error> {
    let mut fields = Fields::exactly(value, 8)?;
    Ok((fields.assoc()?, fields.u32()?))
}

/// Linux says EINVAL of an association that is not there, whatever the reason.
pub(super) fn invalid<T>(done: Result<T, Error>) -> Result<T, Error> {
    done.map_err(|error| match error {
        Error::NotConnected => Error::Invalid,
        error => error,
    })
}
