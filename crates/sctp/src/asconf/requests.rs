//! The peer's changes of its addresses (RFC 5061 §5.2, §5.3).

use super::ANSWERS_MAX;
use crate::addresses;
use crate::arrival::Arrival;
use crate::tcb::Association;
use sockeye_core::Context;
use sockeye_wire::sctp::{Asconf, AsconfAck, Cause, Parameter, RawParameter};
use std::net::IpAddr;

impl Association {
    /// An ASCONF chunk that an AUTH chunk has vouched for (§5.2 E1 to E6).
    pub(crate) fn asconf_arrives(
        &mut self,
        cx: &mut Context<'_>,
        arrival: &Arrival,
        asconf: &Asconf<'_>,
    ) {
        if !self.abilities.address_configuration || !self.may_configure() {
            return;
        }
        let ahead = asconf.serial.wrapping_sub(self.asconf.peer_last);
        let answer = match ahead {
            // E4.
            1 => {
                self.asconf.peer_last = asconf.serial;
                let answer = self.perform(cx, arrival, asconf);
                if self.asconf.answers.len() >= ANSWERS_MAX {
                    self.asconf.answers.pop_front();
                }
                let kept = (asconf.serial, answer.clone());
                self.asconf.answers.push_back(kept);
                answer
            }
            // E5.
            ahead if ahead.cast_signed() > 0 => return,
            // E2: as it was answered, if that is still known.
            _ => {
                let mut kept = self.asconf.answers.iter();
                match kept.find(|(serial, _)| *serial == asconf.serial) {
                    Some((_, answer)) => answer.clone(),
                    None => return,
                }
            }
        };
        // E6: to where it came from.
        let at = self.path_to(arrival.remote).unwrap_or(self.data_path);
        self.send_control(cx, at, &answer);
    }

    /// §5.2 V1 to V4: does what is asked, in order, and says what could not be done.
    fn perform(&mut self, cx: &mut Context<'_>, arrival: &Arrival, asconf: &Asconf<'_>) -> Vec<u8> {
        let mut answers = Vec::new();
        // §5.3 F11: once an address is refused for want of room, all further ones are.
        let mut refusing = false;
        for raw in asconf.parameters().flatten() {
            let mut causes = Vec::new();
            let correlation = match Parameter::parse(&raw) {
                Ok(Parameter::AddAddress {
                    correlation,
                    address,
                }) => {
                    let done =
                        !refusing && self.add_address(cx, arrival, address, &raw, &mut causes);
                    if refusing || (!done && causes.is_empty()) {
                        refusing = true;
                        Cause::ResourceShortage(raw.bytes).emit(&mut causes);
                    }
                    correlation
                }
                Ok(Parameter::DeleteAddress {
                    correlation,
                    address,
                }) => {
                    if refusing {
                        Cause::ResourceShortage(raw.bytes).emit(&mut causes);
                    } else {
                        self.delete_address(cx, arrival, address, &raw, &mut causes);
                    }
                    correlation
                }
                Ok(Parameter::SetPrimary {
                    correlation,
                    address,
                }) => {
                    self.prefer_address(cx, arrival, address, &raw, &mut causes);
                    correlation
                }
                _ => {
                    let what = raw.kind.when_unknown();
                    if what.report {
                        Cause::UnrecognizedParameters(raw.bytes).emit(&mut causes);
                    }
                    correlation_of(&raw)
                }
            };
            if !causes.is_empty() {
                Parameter::ErrorIndication {
                    correlation,
                    causes: &causes,
                }
                .emit(&mut answers);
            }
        }
        let mut out = Vec::new();
        AsconfAck {
            serial: asconf.serial,
            parameters: &answers,
        }
        .emit(&mut out);
        out
    }

    /// Add IP Address; §4.2.1: the unspecified address stands for the packet's source. False without
    /// a cause when there is no room.
    fn add_address(
        &mut self,
        cx: &mut Context<'_>,
        arrival: &Arrival,
        address: IpAddr,
        raw: &RawParameter<'_>,
        causes: &mut Vec<u8>,
    ) -> bool {
        let address = match address.is_unspecified() {
            true => arrival.remote.ip,
            false => address.to_canonical(),
        };
        let remote = addresses::with_scope(address, arrival.remote);
        let possible = addresses::peer(&self.settings, arrival.remote, &[address]);
        if !possible.contains(&remote) {
            Cause::UnresolvableAddress(address_of(raw)).emit(causes);
            return false;
        }
        self.path_to(remote).is_some() || self.add_path(cx, remote)
    }

    /// Delete IP Address; §4.2.2: the unspecified address stands for all but the packet's source.
    fn delete_address(
        &mut self,
        cx: &mut Context<'_>,
        arrival: &Arrival,
        address: IpAddr,
        raw: &RawParameter<'_>,
        causes: &mut Vec<u8>,
    ) {
        let source = arrival.remote;
        if address.is_unspecified() {
            while self.paths.len() > 1
                && let Some(at) = self.paths.iter().position(|path| path.remote != source)
            {
                self.remove_path(cx, at);
            }
            return;
        }
        let remote = addresses::with_scope(address.to_canonical(), source);
        let Some(at) = self.path_to(remote) else {
            // It is struck already.
            return;
        };
        // §5.3 F7, then F8.
        if self.paths.len() == 1 {
            Cause::DeleteLastAddress(raw.bytes).emit(causes);
        } else if remote == source {
            Cause::DeleteSourceAddress(raw.bytes).emit(causes);
        } else {
            self.remove_path(cx, at);
        }
    }

    /// Set Primary Address (§4.2.4).
    fn prefer_address(
        &mut self,
        cx: &mut Context<'_>,
        arrival: &Arrival,
        address: IpAddr,
        raw: &RawParameter<'_>,
        causes: &mut Vec<u8>,
    ) {
        let address = match address.is_unspecified() {
            true => arrival.remote.ip,
            false => address.to_canonical(),
        };
        let remote = addresses::with_scope(address, arrival.remote);
        match self.path_to(remote) {
            Some(at) => self.prefer_path(cx, at),
            None => Cause::UnresolvableAddress(address_of(raw)).emit(causes),
        }
    }
}

/// The address parameter of a request that has one.
fn address_of<'a>(raw: &RawParameter<'a>) -> &'a [u8] {
    raw.bytes.get(8..).unwrap_or_default()
}

/// V3: the correlation of a request that is not known, which comes first in all.
fn correlation_of(raw: &RawParameter<'_>) -> u32 {
    let first = raw.value().first_chunk().copied();
    first.map_or(0, u32::from_be_bytes)
}
