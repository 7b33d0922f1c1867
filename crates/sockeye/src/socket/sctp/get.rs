//! getsockopt(2) at SOL_SCTP (RFC 6458 §8), with Linux's structures and what Linux says of them.

use super::SOL_SCTP;
use super::layout::{Fields, Writer};
use super::numbers::{self as n, EVENTS_IN_ORDER, FIRST_EVENT, spp};
use super::set::invalid;
use crate::error::to_io;
use crate::option_table::put;
use crate::socket::{Kind, Socket};
use sockeye_core::{Error, SocketId};
use sockeye_node::Sctp;
use sockeye_sctp::{
    AssocId, Events, Extensions, PathInfo, PathSettings, PathState, PfExposure, PrInfo, Settings,
    State, Style,
};
use std::io;
use std::time::Duration;

impl Socket {
    /// getsockopt(2) at SOL_SCTP, where this is a socket of SCTP.
    pub(in crate::socket) fn sctp_raw(
        &self,
        level: i32,
        name: i32,
        out: &mut [u8],
    ) -> Option<io::Result<usize>> {
        let Kind::Sctp(style) = self.0.kind else {
            return None;
        };
        if level != SOL_SCTP {
            return None;
        }
        Some(match name {
            n::GET_PEER_ADDRS | n::GET_LOCAL_ADDRS => self.addresses_raw(name, out),
            n::CONNECTX3 => self.connectx_raw(out),
            // They make descriptors, which is not for bytes to do: see `peel_off`.
            n::PEELOFF | n::PEELOFF_FLAGS => Err(to_io(Error::NotSupported)),
            _ => {
                let asked = &*out;
                let told = self.sctp(|sctp, _, id| Get { sctp, id, style }.get(name, asked));
                told.map(|told| put(&told, out))
            }
        })
    }

    /// `struct sctp_getaddrs`: the association, how many, and the addresses behind each other.
    fn addresses_raw(&self, name: i32, out: &mut [u8]) -> io::Result<usize> {
        let assoc = Fields::at_least(out, 8).and_then(|mut fields| fields.assoc());
        let assoc = assoc.map_err(to_io)?;
        let all = match name {
            n::GET_PEER_ADDRS => self.peer_addrs(assoc),
            _ => self.local_addrs(assoc),
        };
        let all = all.map_err(|error| match error.raw_os_error() {
            Some(libc::ENOTCONN) => to_io(Error::Invalid),
            _ => error,
        })?;
        let count = u32::try_from(all.len()).unwrap_or(u32::MAX);
        let head = Writer::default().assoc(assoc).u32(count);
        let whole = all
            .iter()
            .fold(head, |writer, addr| writer.sockaddr(*addr))
            .0;
        if whole.len() > out.len() {
            return Err(to_io(Error::NoMemory));
        }
        out[..whole.len()].copy_from_slice(&whole);
        Ok(whole.len())
    }

    /// `struct sctp_getaddrs_old`, with the addresses behind it instead of a pointer to them; the
    /// association's name comes back in it.
    fn connectx_raw(&self, out: &mut [u8]) -> io::Result<usize> {
        let parsed = Fields::at_least(out, 16).and_then(|mut fields| {
            fields.skip(4)?;
            let len = fields.u32()? as usize;
            fields.skip(8)?;
            let bytes = fields.skip(len)?;
            Fields::at_least(bytes, 1)?.sockaddrs()
        });
        let all = parsed.map_err(to_io)?;
        let done = self.connect_multi(&all);
        // As on Linux it is told of one that is still being set up, too.
        if let Some(first) = all.first()
            && let Ok(assoc) = self.association_with(*first)
        {
            out[..4].copy_from_slice(&assoc.0.to_ne_bytes());
        }
        done.map(|_| 16)
    }
}

pub(super) struct Get<'a> {
    pub(super) sctp: &'a mut Sctp,
    pub(super) id: SocketId,
    pub(super) style: Style,
}

impl Get<'_> {
    fn get(&mut self, name: i32, asked: &[u8]) -> Result<Vec<u8>, Error> {
        let new = Writer::default();
        Ok(match name {
            n::RTOINFO => self.rto(asked)?,
            n::ASSOCINFO => self.assoc_info(asked)?,
            n::INITMSG => {
                Fields::at_least(asked, 8)?;
                let own = self.own()?;
                let init = own.init;
                let longest = match init.timeout_max {
                    Duration::ZERO => own.rto.max,
                    some => some,
                };
                let timeout = u16::try_from(longest.as_millis()).unwrap_or(u16::MAX);
                let streams = new.u16(init.out_streams).u16(init.in_streams_max);
                streams.u16(init.attempts_max).u16(timeout).0
            }
            n::NODELAY => self.int(asked, |settings| settings.no_delay.into())?,
            n::AUTOCLOSE if self.style == Style::OneToOne => return Err(Error::NotSupported),
            n::AUTOCLOSE => self.int(asked, |settings| {
                u32::try_from(settings.autoclose.as_secs()).unwrap_or(u32::MAX)
            })?,
            n::PRIMARY_ADDR => {
                let assoc = Fields::at_least(asked, 132)?.assoc()?;
                let primary = self.status(assoc)?.primary.address;
                new.assoc(assoc).storage(Some(primary)).0
            }
            n::ADAPTATION_LAYER => self.int(asked, |settings| settings.adaptation.unwrap_or(0))?,
            n::DISABLE_FRAGMENTS => self.int(asked, |settings| settings.no_fragments.into())?,
            n::PEER_ADDR_PARAMS => self.path_params(asked)?,
            n::DEFAULT_SEND_PARAM => {
                let mut fields = Fields::at_least(asked, 32)?;
                fields.skip(28)?;
                let assoc = fields.assoc()?;
                let info = self.settings(assoc)?.send_info;
                let head = new.u16(info.stream).u16(0).u16(info.flags.bits()).u16(0);
                let body = head.ppid(info.ppid).u32(info.context);
                let life = match self.settings(assoc)?.reliability {
                    PrInfo::Timed(time) => time,
                    _ => Duration::ZERO,
                };
                body.millis(life).u32(0).u32(0).assoc(assoc).0
            }
            n::DEFAULT_SNDINFO => {
                let mut fields = Fields::at_least(asked, 16)?;
                fields.skip(12)?;
                let assoc = fields.assoc()?;
                let info = self.settings(assoc)?.send_info;
                let head = new.u16(info.stream).u16(info.flags.bits()).ppid(info.ppid);
                head.u32(info.context).assoc(assoc).0
            }
            n::EVENTS => self.events(asked)?,
            n::EVENT => self.event(asked)?,
            n::I_WANT_MAPPED_V4_ADDR => {
                self.int(asked, |settings| (!settings.told.plain_v4).into())?
            }
            n::MAXSEG => self.fragment_max(asked)?,
            n::STATUS => self.status_raw(asked)?,
            n::GET_PEER_ADDR_INFO => {
                let mut fields = Fields::at_least(asked, 152)?;
                let assoc = fields.assoc()?;
                let addr = fields.storage()?.ok_or(Error::Invalid)?;
                let paths = invalid(self.sctp.paths(self.id, assoc))?;
                let wanted = (addr.ip(), addr.port());
                let mut paths = paths.iter();
                let path = paths.find(|path| (path.address.ip(), path.address.port()) == wanted);
                let path = path.ok_or(Error::Invalid)?;
                let exposure = self.settings(assoc)?.pf_exposure;
                if path.state == PathState::PotentiallyFailed && exposure == PfExposure::Nothing {
                    return Err(Error::Access);
                }
                path_info(new, assoc, path).0
            }
            n::DELAYED_SACK => self.delayed_sack(asked)?,
            n::CONTEXT => self.assoc_value(asked, |settings| settings.context)?,
            n::FRAGMENT_INTERLEAVE => self.int(asked, |settings| settings.told.interleave)?,
            n::MAX_BURST => self.int_or_assoc(asked, |settings| settings.max_burst)?,
            n::GET_ASSOC_NUMBER | n::GET_ASSOC_ID_LIST if self.style == Style::OneToOne => {
                return Err(Error::NotSupported);
            }
            n::GET_ASSOC_NUMBER => {
                Fields::at_least(asked, 4)?;
                let count = self.sctp.associations(self.id)?.len();
                new.u32(u32::try_from(count).unwrap_or(u32::MAX)).0
            }
            n::GET_ASSOC_ID_LIST => {
                let all = self.sctp.associations(self.id)?;
                Fields::at_least(asked, 4 + 4 * all.len())?;
                let head = new.u32(u32::try_from(all.len()).unwrap_or(u32::MAX));
                all.into_iter().fold(head, Writer::assoc).0
            }
            n::RECVRCVINFO => self.int(asked, |settings| settings.told.receive_info.into())?,
            n::RECVNXTINFO => self.int(asked, |settings| settings.told.next_info.into())?,
            n::PEER_ADDR_THLDS | n::PEER_ADDR_THLDS_V2 => self.thresholds(asked)?,
            n::REUSE_PORT => self.int(asked, |settings| settings.reuse_port().into())?,
            n::REMOTE_UDP_ENCAPS_PORT => self.encapsulation(asked)?,
            n::PLPMTUD_PROBE_INTERVAL => self.probe_interval(asked)?,
            _ => return self.supported(name, asked),
        })
    }

    /// Which extensions are offered, or an association has, by `struct sctp_assoc_value`.
    fn supported(&mut self, name: i32, asked: &[u8]) -> Result<Vec<u8>, Error> {
        let what: fn(&Extensions) -> bool = match name {
            n::PR_SUPPORTED => |has| has.partial_reliability,
            n::RECONFIG_SUPPORTED => |has| has.reconfiguration,
            n::INTERLEAVING_SUPPORTED => |has| has.interleaving,
            n::ASCONF_SUPPORTED => |has| has.address_configuration,
            n::AUTH_SUPPORTED => |has| has.authentication,
            n::ECN_SUPPORTED => |has| has.ecn,
            _ => return self.extension(name, asked),
        };
        let assoc = Fields::at_least(asked, 8)?.assoc()?;
        let has = invalid(self.sctp.extensions(self.id, assoc))?;
        Ok(Writer::default().assoc(assoc).u32(what(&has).into()).0)
    }

    pub(super) fn settings(&self, assoc: AssocId) -> Result<&Settings, Error> {
        invalid(self.sctp.settings(self.id, assoc))
    }

    fn own(&self) -> Result<&Settings, Error> {
        self.settings(AssocId::FUTURE)
    }

    pub(super) fn int(
        &self,
        asked: &[u8],
        what: impl Fn(&Settings) -> u32,
    ) -> Result<Vec<u8>, Error> {
        Fields::at_least(asked, 4)?;
        Ok(Writer::default().u32(what(self.own()?)).0)
    }

    /// `struct sctp_assoc_value`.
    fn assoc_value(&self, asked: &[u8], what: impl Fn(&Settings) -> u32) -> Result<Vec<u8>, Error> {
        let assoc = Fields::at_least(asked, 8)?.assoc()?;
        let value = what(self.settings(assoc)?);
        Ok(Writer::default().assoc(assoc).u32(value).0)
    }

    /// An int where there is no room for the structure.
    fn int_or_assoc(
        &self,
        asked: &[u8],
        what: impl Fn(&Settings) -> u32,
    ) -> Result<Vec<u8>, Error> {
        match asked.len() {
            4 => self.int(asked, what),
            _ => self.assoc_value(asked, what),
        }
    }

    /// As on Linux an association tells how much a chunk of its carries now, whoever decided that.
    fn fragment_max(&self, asked: &[u8]) -> Result<Vec<u8>, Error> {
        let assoc = match asked.len() {
            4 => AssocId::FUTURE,
            _ => Fields::at_least(asked, 8)?.assoc()?,
        };
        let now = self.sctp.status(self.id, assoc).ok();
        self.int_or_assoc(asked, |settings| match &now {
            Some(status) if status.state.is_up() => status.fragmentation_point,
            _ => settings.fragment_max,
        })
    }

    /// `struct sctp_rtoinfo`.
    fn rto(&self, asked: &[u8]) -> Result<Vec<u8>, Error> {
        let assoc = Fields::at_least(asked, 16)?.assoc()?;
        let rto = self.settings(assoc)?.rto;
        let new = Writer::default().assoc(assoc);
        Ok(new.millis(rto.initial).millis(rto.max).millis(rto.min).0)
    }

    /// `struct sctp_assocparams`.
    fn assoc_info(&self, asked: &[u8]) -> Result<Vec<u8>, Error> {
        let assoc = Fields::at_least(asked, 20)?.assoc()?;
        let settings = self.settings(assoc)?;
        let short = |n: u32| u16::try_from(n).unwrap_or(u16::MAX);
        let (paths, rwnd) = match self.sctp.status(self.id, assoc) {
            Ok(status) => (self.sctp.paths(self.id, assoc)?.len(), status.rwnd),
            Err(_) => (0, 0),
        };
        let local = match paths {
            0 => 0,
            _ => settings.receive_buffer() / 2,
        };
        let new = Writer::default()
            .assoc(assoc)
            .u16(short(settings.retransmits_max));
        let new = new.u16(u16::try_from(paths).unwrap_or(u16::MAX)).u32(rwnd);
        let local = u32::try_from(local).unwrap_or(u32::MAX);
        Ok(new.u32(local).millis(settings.cookie_life).0)
    }

    /// `struct sctp_paddrparams`.
    fn path_params(&self, asked: &[u8]) -> Result<Vec<u8>, Error> {
        let mut fields = Fields::at_least(asked, 152)?;
        let (assoc, addr) = (fields.assoc()?, fields.storage()?);
        let settings = self.settings(assoc)?;
        let path = match addr {
            Some(addr) => invalid(self.sctp.path_settings(self.id, assoc, addr))?,
            None => settings.path,
        };
        let choose = |on: bool, yes: u32, no: u32| if on { yes } else { no };
        let mut flags = choose(path.heartbeat, spp::HB_ENABLE, spp::HB_DISABLE)
            | choose(path.pmtu_discovery, spp::PMTUD_ENABLE, spp::PMTUD_DISABLE)
            | choose(
                settings.sack_frequency != 1,
                spp::SACKDELAY_ENABLE,
                spp::SACKDELAY_DISABLE,
            );
        if path.flow_label != 0 {
            flags |= spp::IPV6_FLOWLABEL;
        }
        if path.traffic_class.is_some() {
            flags |= spp::DSCP;
        }
        let mtu = match addr {
            Some(addr) => {
                let paths = invalid(self.sctp.paths(self.id, assoc))?;
                paths
                    .iter()
                    .find(|path| path.address == addr)
                    .map_or(0, |path| path.mtu)
            }
            None => path.mtu,
        };
        let new = Writer::default().assoc(assoc).storage(addr);
        let new = new
            .millis(path.heartbeat_interval)
            .u16(retransmits(&path))
            .u32(mtu);
        let new = new
            .millis(settings.sack_delay)
            .u32(flags)
            .u32(path.flow_label);
        let mut whole = new.u8(path.traffic_class.unwrap_or(0)).pad_to(156).0;
        // All of it, or as it was before it had its last two members.
        if asked.len() < whole.len() {
            whole.truncate(152);
        }
        Ok(whole)
    }

    /// `struct sctp_event_subscribe`.
    fn events(&self, asked: &[u8]) -> Result<Vec<u8>, Error> {
        Fields::at_least(asked, 1)?;
        let settings = self.own()?;
        let head = Writer::default().u8(settings.told.data_io.into());
        let each = (FIRST_EVENT..).zip(EVENTS_IN_ORDER);
        let all = each.map(|(ty, event)| has_event(settings, ty, event));
        Ok(all.fold(head, |writer, on| writer.u8(on.into())).0)
    }

    /// `struct sctp_event`.
    fn event(&self, asked: &[u8]) -> Result<Vec<u8>, Error> {
        let mut fields = Fields::at_least(asked, 8)?;
        let (assoc, ty) = (fields.assoc()?, fields.u16()?);
        let settings = self.settings(assoc)?;
        let on = match ty.checked_sub(FIRST_EVENT) {
            None if ty == FIRST_EVENT - 1 => settings.told.data_io,
            at => {
                let event = at.and_then(|at| EVENTS_IN_ORDER.get(usize::from(at)));
                has_event(settings, ty, *event.ok_or(Error::Invalid)?)
            }
        };
        Ok(Writer::default()
            .assoc(assoc)
            .u16(ty)
            .u8(on.into())
            .pad_to(8)
            .0)
    }

    fn status(&self, assoc: AssocId) -> Result<sockeye_sctp::Status, Error> {
        let status = invalid(self.sctp.status(self.id, assoc))?;
        // Linux: a one-to-one socket has none until it is connected.
        match self.style {
            Style::OneToOne if !status.state.is_up() => Err(Error::Invalid),
            _ => Ok(status),
        }
    }

    /// `struct sctp_status`.
    fn status_raw(&self, asked: &[u8]) -> Result<Vec<u8>, Error> {
        let assoc = Fields::at_least(asked, 176)?.assoc()?;
        let status = self.status(assoc)?;
        let new = Writer::default()
            .assoc(status.assoc)
            .u32(number(status.state));
        let new = new
            .u32(status.rwnd)
            .u16(status.unacknowledged)
            .u16(status.pending);
        let new = new.u16(status.in_streams).u16(status.out_streams);
        let new = new.u32(status.fragmentation_point);
        Ok(path_info(new, status.assoc, &status.primary).0)
    }

    /// `struct sctp_sack_info`, or the older `struct sctp_assoc_value`.
    fn delayed_sack(&self, asked: &[u8]) -> Result<Vec<u8>, Error> {
        let mut fields = Fields::at_least(asked, 8)?;
        let assoc = fields.assoc()?;
        let settings = self.settings(assoc)?;
        let (delay, frequency) = match settings.sack_frequency {
            1 => (Duration::ZERO, 1),
            frequency => (settings.sack_delay, frequency),
        };
        let new = Writer::default().assoc(assoc).millis(delay);
        Ok(match asked.len() {
            8..12 => new.0,
            _ => new.u32(frequency).0,
        })
    }

    /// `struct sctp_paddrthlds_v2`: as on Linux its last member is told in any case.
    fn thresholds(&self, asked: &[u8]) -> Result<Vec<u8>, Error> {
        let (assoc, addr, path) = self.asked_path(asked, 144, Error::NoEntry)?;
        let failed = u16::try_from(path.potentially_failed_at).unwrap_or(u16::MAX);
        let new = Writer::default().assoc(assoc).u32(0).storage(addr);
        let new = new.u16(retransmits(&path)).u16(failed);
        let switch = u16::try_from(path.switch_primary_at).unwrap_or(u16::MAX);
        Ok(new.u16(switch).pad_to(144).0)
    }

    /// `struct sctp_udpencaps`.
    fn encapsulation(&self, asked: &[u8]) -> Result<Vec<u8>, Error> {
        let (assoc, addr, path) = self.asked_path(asked, 144, Error::Invalid)?;
        let new = Writer::default().assoc(assoc).u32(0).storage(addr);
        Ok(new.u16(path.encap_port.to_be()).pad_to(144).0)
    }

    fn probe_interval(&self, asked: &[u8]) -> Result<Vec<u8>, Error> {
        let (assoc, addr, path) = self.asked_path(asked, 144, Error::Invalid)?;
        let new = Writer::default().assoc(assoc).u32(0).storage(addr);
        let millis = path.probe_interval.as_millis();
        let millis = u32::try_from(millis).unwrap_or(u32::MAX);
        Ok(new.u32(millis).pad_to(144).0)
    }

    /// An association, then the address of a path, as structures begin that are not packed; of an address
    /// that the peer does not have `unknown` is said.
    fn asked_path(
        &self,
        asked: &[u8],
        len: usize,
        unknown: Error,
    ) -> Result<(AssocId, Option<std::net::SocketAddr>, PathSettings), Error> {
        let mut fields = Fields::at_least(asked, len)?;
        let assoc = fields.assoc()?;
        fields.skip(4)?;
        let addr = fields.storage()?;
        let path = match addr {
            Some(addr) => {
                let known = invalid(self.sctp.path_settings(self.id, assoc, addr));
                known.map_err(|error| match error {
                    Error::Invalid => unknown,
                    error => error,
                })?
            }
            None => self.settings(assoc)?.path,
        };
        Ok((assoc, addr, path))
    }
}

/// Linux says ENOENT of an address that the peer does not have, here.
pub(super) fn no_entry(error: Error) -> Error {
    match error {
        Error::Invalid => Error::NoEntry,
        error => error,
    }
}

fn has_event(settings: &Settings, ty: u16, event: Events) -> bool {
    let old = settings.told.old_send_failed;
    settings.events.contains(event)
        && (event != Events::SEND_FAILED || (ty == n::SEND_FAILED) == old)
}

fn retransmits(path: &PathSettings) -> u16 {
    u16::try_from(path.retransmits_max).unwrap_or(u16::MAX)
}

/// `struct sctp_paddrinfo`.
fn path_info(new: Writer, assoc: AssocId, path: &PathInfo) -> Writer {
    let state = match path.state {
        PathState::Inactive => 0,
        PathState::PotentiallyFailed => 1,
        PathState::Active => 2,
        PathState::Unconfirmed => 3,
    };
    let cwnd = u32::try_from(path.cwnd).unwrap_or(u32::MAX);
    let new = new
        .assoc(assoc)
        .storage(Some(path.address))
        .u32(state)
        .u32(cwnd);
    let new = new.millis(path.srtt.unwrap_or_default()).millis(path.rto);
    new.u32(path.mtu)
}

/// `enum sctp_sstat_state`.
const fn number(state: State) -> u32 {
    match state {
        State::Closed => 1,
        State::CookieWait => 2,
        State::CookieEchoed => 3,
        State::Established => 4,
        State::ShutdownPending => 5,
        State::ShutdownSent => 6,
        State::ShutdownReceived => 7,
        State::ShutdownAckSent => 8,
    }
}
