//! Options of SCTP's extensions at SOL_SCTP, with Linux's structures: authenticated chunks (RFC 4895),
//! partial reliability (RFC 7496), reconfiguration (RFC 6525), schedulers (RFC 8260), addresses
//! (RFC 5061).

use super::get::Get;
use super::layout::{Fields, Writer};
use super::message::{POLICY_LIMITED, POLICY_PRIORITY, POLICY_TIMED, policy_of, reliability};
use super::numbers as n;
use super::set::{Set, assoc_value, invalid};
use sockeye_core::Error;
use sockeye_sctp::{AssocId, Grants, PfExposure};

/// Identifiers of the HMACs that there are: SHA-1 and SHA-256.
const HMACS: [u16; 2] = [1, 3];
/// The most algorithms that SCTP_HMAC_IDENT names (Linux: `SCTP_AUTH_NUM_HMACS`).
const HMACS_MAX: u32 = 4;
/// Bytes of a `struct sctp_prstatus` and of a `struct sctp_assoc_stats`.
const PR_STATUS_LEN: usize = 24;
const STATS_LEN: usize = 256;
/// SCTP_PR_SCTP_ALL.
const POLICY_ALL: u16 = 0x80;
/// What is told of potentially failed paths, by Linux's numbers.
const EXPOSURES: [PfExposure; 3] = [
    PfExposure::State,
    PfExposure::Nothing,
    PfExposure::Notifications,
];
/// Linux's numbers of the schedulers: FCFS, PRIO, RR, FC and WFQ, as those of the node.
const SCHEDULERS: [u32; 5] = [0, 3, 1, 4, 5];

impl Set<'_, '_> {
    /// setsockopt(2) of an extension's option.
    pub(super) fn set_extension(&mut self, name: i32, value: &[u8]) -> Result<(), Error> {
        match name {
            n::SET_PEER_PRIMARY_ADDR => {
                let mut fields = Fields::exactly(value, 132)?;
                let assoc = fields.assoc()?;
                let ip = fields.storage()?;
                let known = invalid(self.sctp.extensions(self.id, assoc))?;
                if !known.address_configuration {
                    return Err(Error::NotPermitted);
                }
                let ip = ip.ok_or(Error::Invalid)?.ip();
                invalid(self.sctp.set_peer_primary(self.cx, self.id, assoc, ip))
            }
            n::PARTIAL_DELIVERY_POINT => {
                let bytes = Fields::exactly(value, 4)?.u32()? as usize;
                // As Linux: no more than the window is at first.
                let most = self
                    .sctp
                    .settings(self.id, AssocId::FUTURE)?
                    .receive_buffer()
                    / 2;
                if bytes > most {
                    return Err(Error::Invalid);
                }
                self.own(|settings| settings.partial_delivery_point = bytes)
            }
            n::AUTH_CHUNK => {
                let kind = Fields::exactly(value, 1)?.u8()?;
                self.offers_authentication()?;
                self.sctp.require_authenticated(self.id, kind)
            }
            n::HMAC_IDENT => self.hmacs(value),
            n::AUTH_KEY => {
                let mut fields = Fields::at_least(value, 9)?;
                let (assoc, key, len) = (fields.assoc()?, fields.u16()?, fields.u16()?);
                let secret = fields.skip(len.into())?;
                self.authenticates(assoc)?;
                invalid(self.sctp.set_key(self.id, assoc, key, secret))
            }
            n::AUTH_ACTIVE_KEY | n::AUTH_DELETE_KEY | n::AUTH_DEACTIVATE_KEY => {
                let mut fields = Fields::exactly(value, 8)?;
                let (assoc, key) = (fields.assoc()?, fields.u16()?);
                self.authenticates(assoc)?;
                invalid(match name {
                    n::AUTH_ACTIVE_KEY => self.sctp.activate_key(self.id, assoc, key),
                    n::AUTH_DELETE_KEY => self.sctp.delete_key(self.id, assoc, key),
                    _ => self.sctp.deactivate_key(self.cx, self.id, assoc, key),
                })
            }
            n::AUTO_ASCONF => self.auto_asconf(value),
            n::EXPOSE_POTENTIALLY_FAILED_STATE => {
                let (assoc, value) = assoc_value(value)?;
                let exposure = EXPOSURES.get(value as usize).ok_or(Error::Invalid)?;
                self.of_one(assoc)?;
                self.change(assoc, |settings| settings.pf_exposure = *exposure)
            }
            n::DEFAULT_PRINFO => {
                let mut fields = Fields::exactly(value, 12)?;
                let (assoc, value, policy) = (fields.assoc()?, fields.u32()?, fields.u16()?);
                let reliability = reliability(policy, value)?;
                self.change(assoc, |settings| settings.reliability = reliability)
            }
            n::ENABLE_STREAM_RESET => {
                let (assoc, bits) = assoc_value(value)?;
                let grants = Grants::from_bits(bits).ok_or(Error::Invalid)?;
                invalid(self.sctp.grant(self.cx, self.id, assoc, grants))
            }
            n::RESET_STREAMS => self.reset_streams(value),
            n::RESET_ASSOC => {
                let assoc = Fields::exactly(value, 4)?.assoc()?;
                invalid(self.sctp.reset_association(self.cx, self.id, assoc))
            }
            n::ADD_STREAMS => {
                let mut fields = Fields::exactly(value, 8)?;
                let assoc = fields.assoc()?;
                let (incoming, outgoing) = (fields.u16()?, fields.u16()?);
                let more = (outgoing, incoming);
                invalid(self.sctp.add_streams(self.cx, self.id, assoc, more))
            }
            n::STREAM_SCHEDULER => {
                let (assoc, number) = assoc_value(value)?;
                let number = SCHEDULERS.get(number as usize).ok_or(Error::Invalid)?;
                invalid(self.sctp.set_scheduler(self.cx, self.id, assoc, *number))
            }
            n::STREAM_SCHEDULER_VALUE => {
                let mut fields = Fields::exactly(value, 8)?;
                let (assoc, stream, value) = (fields.assoc()?, fields.u16()?, fields.u16()?);
                invalid(self.sctp.set_stream_value(self.id, assoc, stream, value))
            }
            _ => Err(Error::NoProtocolOption),
        }
    }

    /// Linux: without authentication nothing about it can be set (EACCES).
    fn authenticates(&self, assoc: AssocId) -> Result<(), Error> {
        let has = invalid(self.sctp.extensions(self.id, assoc))?;
        has.authentication.then_some(()).ok_or(Error::Access)
    }

    /// The same of what the socket offers to associations still to come.
    fn offers_authentication(&self) -> Result<(), Error> {
        let offers = self.sctp.settings(self.id, AssocId::FUTURE)?.authentication;
        offers.then_some(()).ok_or(Error::Access)
    }

    /// `struct sctp_hmacalgo`.
    fn hmacs(&mut self, value: &[u8]) -> Result<(), Error> {
        let mut fields = Fields::at_least(value, 4)?;
        self.offers_authentication()?;
        let count = fields.u32()?;
        if !(1..=HMACS_MAX).contains(&count) {
            return Err(Error::Invalid);
        }
        let asked: Result<Vec<u16>, Error> = (0..count).map(|_| fields.u16()).collect();
        let asked = asked?;
        if asked.iter().any(|id| !HMACS.contains(id)) {
            return Err(Error::NotSupported);
        }
        self.sctp.set_hmacs(self.id, &asked)
    }

    /// An int. As on Linux it is of sockets that are bound to all addresses alone.
    fn auto_asconf(&mut self, value: &[u8]) -> Result<(), Error> {
        let on = Fields::at_least(value, 4)?.u32()? != 0;
        if on && !self.sctp.is_bound_to_all(self.id)? {
            return Err(Error::Invalid);
        }
        self.own(|settings| settings.auto_asconf = on)
    }

    /// `struct sctp_reset_streams`.
    fn reset_streams(&mut self, value: &[u8]) -> Result<(), Error> {
        const INCOMING: u16 = 1;
        const OUTGOING: u16 = 2;
        let mut fields = Fields::at_least(value, 8)?;
        let (assoc, flags, count) = (fields.assoc()?, fields.u16()?, fields.u16()?);
        let streams: Result<Vec<u16>, Error> = (0..count).map(|_| fields.u16()).collect();
        if flags & !(INCOMING | OUTGOING) != 0 {
            return Err(Error::Invalid);
        }
        let sides = (flags & OUTGOING != 0, flags & INCOMING != 0);
        let done = self
            .sctp
            .reset_streams(self.cx, self.id, assoc, sides, &streams?);
        invalid(done)
    }
}

impl Get<'_> {
    /// getsockopt(2) of an extension's option.
    pub(super) fn extension(&mut self, name: i32, asked: &[u8]) -> Result<Vec<u8>, Error> {
        let new = Writer::default();
        Ok(match name {
            n::PARTIAL_DELIVERY_POINT => self.int(asked, |settings| {
                u32::try_from(settings.partial_delivery_point).unwrap_or(u32::MAX)
            })?,
            n::HMAC_IDENT => {
                if !self.settings(AssocId::FUTURE)?.authentication {
                    return Err(Error::Access);
                }
                let all = self.sctp.hmacs(self.id)?;
                Fields::at_least(asked, 4 + 2 * all.len())?;
                let head = new.u32(u32::try_from(all.len()).unwrap_or(u32::MAX));
                all.into_iter().fold(head, Writer::u16).0
            }
            n::AUTH_ACTIVE_KEY => {
                let assoc = Fields::at_least(asked, 8)?.assoc()?;
                self.authenticates(assoc)?;
                let key = invalid(self.sctp.active_key(self.id, assoc))?;
                new.assoc(assoc).u16(key).u16(0).0
            }
            n::LOCAL_AUTH_CHUNKS | n::PEER_AUTH_CHUNKS => {
                let assoc = Fields::at_least(asked, 8)?.assoc()?;
                let kinds = match name {
                    n::LOCAL_AUTH_CHUNKS => {
                        self.authenticates(assoc)?;
                        self.sctp.local_auth_chunks(self.id, assoc)
                    }
                    _ => self.sctp.peer_auth_chunks(self.id, assoc),
                };
                let kinds = invalid(kinds).map_err(|error| match error {
                    // As on Linux: it authenticates nothing.
                    Error::NotSupported => Error::Access,
                    error => error,
                })?;
                let count = u32::try_from(kinds.len()).unwrap_or(u32::MAX);
                let mut all = new.assoc(assoc).u32(count).0;
                all.extend(kinds);
                if all.len() > asked.len() {
                    return Err(Error::Invalid);
                }
                all
            }
            n::AUTO_ASCONF => self.int(asked, |settings| settings.auto_asconf.into())?,
            n::EXPOSE_POTENTIALLY_FAILED_STATE => {
                let assoc = Fields::at_least(asked, 8)?.assoc()?;
                let own = self.settings(assoc)?.pf_exposure;
                let at = EXPOSURES.iter().position(|exposure| *exposure == own);
                let at = at.and_then(|at| u32::try_from(at).ok());
                new.assoc(assoc).u32(at.ok_or(Error::Invalid)?).0
            }
            n::GET_ASSOC_STATS => self.stats(asked)?,
            n::PR_ASSOC_STATUS | n::PR_STREAM_STATUS => {
                self.abandoned(asked, name == n::PR_STREAM_STATUS)?
            }
            // As on Linux: they are set alone.
            n::AUTH_CHUNK | n::AUTH_KEY | n::AUTH_DELETE_KEY | n::AUTH_DEACTIVATE_KEY => {
                return Err(Error::NotSupported);
            }
            n::DEFAULT_PRINFO => {
                let assoc = Fields::at_least(asked, 12)?.assoc()?;
                let (policy, value) = policy_of(self.settings(assoc)?.reliability);
                new.assoc(assoc).u32(value).u16(policy).u16(0).0
            }
            n::ENABLE_STREAM_RESET => {
                let assoc = Fields::at_least(asked, 8)?.assoc()?;
                let grants = self.settings(assoc)?.grants;
                new.assoc(assoc).u32(grants.bits()).0
            }
            n::STREAM_SCHEDULER => {
                let assoc = Fields::at_least(asked, 8)?.assoc()?;
                let own = self.settings(assoc)?.scheduler();
                let number = SCHEDULERS.iter().position(|number| *number == own);
                let number = number.and_then(|at| u32::try_from(at).ok());
                new.assoc(assoc).u32(number.ok_or(Error::Invalid)?).0
            }
            n::STREAM_SCHEDULER_VALUE => {
                let mut fields = Fields::at_least(asked, 8)?;
                let (assoc, stream) = (fields.assoc()?, fields.u16()?);
                let value = invalid(self.sctp.stream_value(self.id, assoc, stream))?;
                new.assoc(assoc).u16(stream).u16(value).0
            }
            _ => return Err(Error::NoProtocolOption),
        })
    }

    fn authenticates(&self, assoc: AssocId) -> Result<(), Error> {
        let has = invalid(self.sctp.extensions(self.id, assoc))?;
        has.authentication.then_some(()).ok_or(Error::Access)
    }

    /// `struct sctp_prstatus`: of an association, or of one of its streams.
    fn abandoned(&self, asked: &[u8], of_stream: bool) -> Result<Vec<u8>, Error> {
        let mut fields = Fields::at_least(asked, PR_STATUS_LEN)?;
        let (assoc, stream, policy) = (fields.assoc()?, fields.u16()?, fields.u16()?);
        let counts = invalid(match of_stream {
            false => self.sctp.abandoned(self.id, assoc),
            true => self.sctp.abandoned_on(self.id, assoc, stream),
        })?;
        let count = match policy {
            POLICY_TIMED => counts.timed,
            POLICY_LIMITED => counts.limited,
            POLICY_PRIORITY => counts.priority,
            POLICY_ALL => counts.all(),
            _ => return Err(Error::Invalid),
        };
        let head = Writer::default().assoc(assoc).u16(stream).u16(policy);
        Ok(head.u64(count.unsent).u64(count.sent).0)
    }

    /// `struct sctp_assoc_stats`, as much of it as there is room for.
    fn stats(&mut self, asked: &[u8]) -> Result<Vec<u8>, Error> {
        let assoc = Fields::at_least(asked, 4)?.assoc()?;
        let stats = invalid(self.sctp.assoc_stats(self.id, assoc))?;
        let (rto, of) = stats.max_rto.unzip();
        let millis = rto.map_or(0, |rto| u64::try_from(rto.as_millis()).unwrap_or(u64::MAX));
        let head = Writer::default().assoc(assoc).storage(of);
        // The counters are aligned to eight bytes.
        let head = head.u32(0).u64(millis);
        let all = [
            stats.sacks_in,
            stats.sacks_out,
            stats.packets_out,
            stats.packets_in,
            stats.retransmitted_out,
            stats.out_of_order_in,
            stats.duplicates_in,
            stats.gaps_in,
            stats.unordered_out,
            stats.unordered_in,
            stats.ordered_out,
            stats.ordered_in,
            stats.control_out,
            stats.control_in,
        ];
        let whole = all.into_iter().fold(head, Writer::u64).0;
        debug_assert_eq!(whole.len(), STATS_LEN);
        Ok(whole)
    }
}
