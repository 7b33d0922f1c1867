//! Options of SCTP's extensions at SOL_SCTP, with Linux's structures: authenticated chunks (RFC 4895),
//! partial reliability (RFC 7496), reconfiguration (RFC 6525), schedulers (RFC 8260), addresses
//! (RFC 5061).

use super::get::Get;
use super::layout::{Fields, Writer};
use super::message::{policy_of, reliability};
use super::numbers as n;
use super::set::{Set, assoc_value, invalid};
use sockeye_core::Error;
use sockeye_sctp::Grants;

/// Identifiers of the HMACs that there are, the preferred one first: SHA-1 and SHA-256.
const HMACS: [u16; 2] = [1, 3];
/// Linux's numbers of the schedulers: FCFS, PRIO, RR, FC and WFQ, as those of the node.
const SCHEDULERS: [u32; 5] = [0, 3, 1, 4, 5];

impl Set<'_, '_> {
    /// setsockopt(2) of an extension's option.
    pub(super) fn set_extension(&mut self, name: i32, value: &[u8]) -> Result<(), Error> {
        match name {
            n::SET_PEER_PRIMARY_ADDR => {
                let mut fields = Fields::exactly(value, 132)?;
                let assoc = fields.assoc()?;
                let ip = fields.storage()?.ok_or(Error::Invalid)?.ip();
                invalid(self.sctp.set_peer_primary(self.cx, self.id, assoc, ip))
            }
            n::PARTIAL_DELIVERY_POINT => {
                let bytes = Fields::exactly(value, 4)?.u32()? as usize;
                self.own(|settings| settings.partial_delivery_point = bytes)
            }
            n::AUTH_CHUNK => {
                let kind = Fields::exactly(value, 1)?.u8()?;
                self.sctp.require_authenticated(self.id, kind)
            }
            n::HMAC_IDENT => hmacs(value),
            n::AUTH_KEY => {
                let mut fields = Fields::at_least(value, 8)?;
                let (assoc, key, len) = (fields.assoc()?, fields.u16()?, fields.u16()?);
                let secret = fields.skip(len.into())?;
                invalid(self.sctp.set_key(self.id, assoc, key, secret))
            }
            n::AUTH_ACTIVE_KEY | n::AUTH_DELETE_KEY | n::AUTH_DEACTIVATE_KEY => {
                let mut fields = Fields::exactly(value, 8)?;
                let (assoc, key) = (fields.assoc()?, fields.u16()?);
                invalid(match name {
                    n::AUTH_ACTIVE_KEY => self.sctp.activate_key(self.id, assoc, key),
                    n::AUTH_DELETE_KEY => self.sctp.delete_key(self.id, assoc, key),
                    _ => self.sctp.deactivate_key(self.id, assoc, key),
                })
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
                self.sctp.reset_association(self.cx, self.id, assoc)
            }
            n::ADD_STREAMS => {
                let mut fields = Fields::exactly(value, 8)?;
                let assoc = fields.assoc()?;
                let (incoming, outgoing) = (fields.u16()?, fields.u16()?);
                let more = (outgoing, incoming);
                self.sctp.add_streams(self.cx, self.id, assoc, more)
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
        self.sctp
            .reset_streams(self.cx, self.id, assoc, sides, &streams?)
    }
}

/// `struct sctp_hmacalgo`: the order of preference is fixed, and can be affirmed.
fn hmacs(value: &[u8]) -> Result<(), Error> {
    let mut fields = Fields::at_least(value, 4)?;
    let count = fields.u32()?;
    let asked: Result<Vec<u16>, Error> = (0..count).map(|_| fields.u16()).collect();
    match asked? == HMACS {
        true => Ok(()),
        false => Err(Error::NotSupported),
    }
}

impl Get<'_> {
    /// getsockopt(2) of an extension's option.
    pub(super) fn extension(&self, name: i32, asked: &[u8]) -> Result<Vec<u8>, Error> {
        let new = Writer::default();
        Ok(match name {
            n::PARTIAL_DELIVERY_POINT => self.int(asked, |settings| {
                u32::try_from(settings.partial_delivery_point).unwrap_or(u32::MAX)
            })?,
            n::HMAC_IDENT => {
                Fields::at_least(asked, 8)?;
                new.u32(2).u16(HMACS[0]).u16(HMACS[1]).0
            }
            n::AUTH_ACTIVE_KEY => {
                let assoc = Fields::at_least(asked, 8)?.assoc()?;
                let key = invalid(self.sctp.active_key(self.id, assoc))?;
                new.assoc(assoc).u16(key).u16(0).0
            }
            n::LOCAL_AUTH_CHUNKS | n::PEER_AUTH_CHUNKS => {
                let assoc = Fields::at_least(asked, 8)?.assoc()?;
                let kinds = invalid(match name {
                    n::LOCAL_AUTH_CHUNKS => self.sctp.local_auth_chunks(self.id, assoc),
                    _ => self.sctp.peer_auth_chunks(self.id, assoc),
                })?;
                let count = u32::try_from(kinds.len()).unwrap_or(u32::MAX);
                let mut all = new.assoc(assoc).u32(count).0;
                all.extend(kinds);
                if all.len() > asked.len() {
                    return Err(Error::Invalid);
                }
                all
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
}
