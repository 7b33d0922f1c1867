//! What INIT and INIT ACK say (RFC 9260 §3.3.2, §3.3.3, §5.1.1, §5.1.2): read from the peer's, and
//! written into ours.

use crate::settings::Settings;
use crate::tcb::{ADDRESSES_MAX, Abilities, Addresses};
use sockeye_core::Domain;
use sockeye_wire::ParseError;
use sockeye_wire::sctp::{ChunkType, Init, List, Parameter, ParameterType};
use std::net::IpAddr;

/// RFC 9260 §3.3.2: a window below this is refused.
pub(crate) const WINDOW_MIN: u32 = 1500;
/// Bytes of parameters that are sent back as not known.
const REPORTED_MAX: usize = 512;

/// What the peer offers.
#[derive(Debug)]
pub(crate) struct Offer<'a> {
    pub(crate) tag: u32,
    pub(crate) window: u32,
    /// Streams that it wants to send on, and that it takes.
    pub(crate) streams: (u16, u16),
    pub(crate) tsn: u32,
    /// Addresses beside the packet's source.
    pub(crate) addresses: Addresses,
    pub(crate) cookie: Option<&'a [u8]>,
    pub(crate) abilities: Abilities,
    /// Milliseconds by which it wants its cookie to live longer.
    pub(crate) preservative: u32,
    /// Whole parameters that are not known and are to be reported, padded but for the last.
    pub(crate) unrecognized: Vec<u8>,
    /// What it says of authentication (RFC 4895), or why that can't be.
    pub(crate) terms: Result<Option<crate::auth::Terms>, crate::auth::BadTerms>,
    /// A host name, as it came.
    pub(crate) host_name: Option<&'a [u8]>,
}

impl<'a> Offer<'a> {
    /// Reads an INIT, or what an INIT ACK has of one. More addresses than an association may have are
    /// left out.
    ///
    /// # Errors
    /// A parameter is malformed.
    /// RFC 9260 §3.3.2.1.5-2.
    pub(crate) fn read(init: &Init<'a>) -> Result<Self, ParseError> {
        let mut offer = Self {
            tag: init.initiate_tag,
            window: init.a_rwnd,
            streams: (init.outbound_streams, init.inbound_streams),
            tsn: init.initial_tsn.0,
            addresses: Addresses::new(),
            cookie: None,
            abilities: Abilities::default(),
            preservative: 0,
            unrecognized: Vec::new(),
            terms: crate::auth::Terms::read(init.parameters()),
            host_name: None,
        };
        for raw in init.parameters() {
            let raw = raw?;
            match Parameter::parse(&raw)? {
                Parameter::Address(ip) => offer.add_address(ip),
                Parameter::StateCookie(cookie) => offer.cookie = Some(cookie),
                Parameter::CookiePreservative(millis) => offer.preservative = millis,
                Parameter::HostName(_) => offer.host_name = Some(raw.bytes),
                Parameter::EcnCapable => offer.abilities.ecn = true,
                Parameter::ForwardTsnSupported => offer.abilities.forward_tsn = true,
                Parameter::ZeroChecksum(method) => offer.abilities.zero_checksum = Some(method),
                Parameter::Adaptation(number) => offer.abilities.adaptation = Some(number),
                Parameter::SupportedExtensions(kinds) => offer.extensions(kinds),
                Parameter::Random(_) => offer.abilities.authentication = true,
                Parameter::SupportedAddressTypes(_)
                | Parameter::ChunkList(_)
                | Parameter::HmacAlgorithms(_)
                | Parameter::SetPrimary { .. }
                | Parameter::Unrecognized(_)
                | Parameter::Padding(_) => {}
                _ => {
                    // RFC 9260 §3.2.1.
                    let what = raw.kind.when_unknown();
                    if what.report {
                        offer.report(raw.bytes);
                    }
                    if !what.skip {
                        break;
                    }
                }
            }
        }
        Ok(offer)
    }

    fn add_address(&mut self, ip: IpAddr) {
        // RFC 9260 §3.3.2.1.2: nobody may send an IPv4-mapped one.
        let ip = ip.to_canonical();
        if self.addresses.len() < ADDRESSES_MAX && !self.addresses.contains(&ip) {
            self.addresses.push(ip);
        }
    }

    fn extensions(&mut self, kinds: &[u8]) {
        for &kind in kinds {
            match ChunkType(kind) {
                ChunkType::FORWARD_TSN => self.abilities.forward_tsn = true,
                ChunkType::I_DATA => self.abilities.interleaving = true,
                ChunkType::RE_CONFIG => self.abilities.reconfiguration = true,
                ChunkType::ASCONF => self.abilities.address_configuration = true,
                _ => {}
            }
        }
    }

    fn report(&mut self, bytes: &[u8]) {
        if self.unrecognized.len() + bytes.len() <= REPORTED_MAX {
            // RFC 9260 §3.2: the padding of the last one is the chunk's, which does not count it.
            let padded = self.unrecognized.len().next_multiple_of(4);
            self.unrecognized.resize(padded, 0);
            self.unrecognized.extend_from_slice(bytes);
        }
    }

    /// RFC 9260 §3.3.2: whether the fixed fields can be: the tag is not judged here.
    /// RFC 9260 §3.3.2-7, §3.3.2-8, §3.3.2-10, §3.3.2-11, §3.3.2-13, §3.3.2-14.
    pub(crate) fn is_possible(&self) -> bool {
        self.window >= WINDOW_MIN && self.streams.0 > 0 && self.streams.1 > 0 && self.terms.is_ok()
    }

    /// Streams out and in of the association, as both sides want and allow them (RFC 9260 §5.1.1).
    /// RFC 9260 §5.1.1-2, §5.1.1-3, §5.1.1-4.
    pub(crate) fn streams_with(&self, settings: &Settings) -> (u16, u16) {
        let (theirs, allowed) = self.streams;
        (
            settings.init.out_streams.min(allowed),
            settings.init.in_streams_max.min(theirs),
        )
    }

    /// What both sides know.
    pub(crate) fn abilities_with(&self, settings: &Settings) -> Abilities {
        let Abilities {
            ecn,
            forward_tsn,
            interleaving,
            reconfiguration,
            address_configuration,
            authentication,
            adaptation,
            zero_checksum,
        } = self.abilities;
        Abilities {
            ecn: ecn && settings.ecn,
            forward_tsn: forward_tsn && settings.partial_reliability,
            interleaving: interleaving && settings.interleaving,
            reconfiguration: reconfiguration && settings.reconfiguration,
            // RFC 5061 §4.2.7: it takes authentication, unless the node is told to do without.
            address_configuration: address_configuration
                && settings.address_configuration
                && (settings.unsigned_addresses || authentication && settings.authentication),
            authentication: authentication && settings.authentication,
            adaptation,
            zero_checksum,
        }
    }
}

/// The parameters of our INIT, or of our INIT ACK, which offers nothing that the peer has not offered:
/// what both sides know is in `agreed`.
/// RFC 9260 §3.3.2-1, §3.3.2-2, §3.3.2.1.2-1, §3.3.2.1.4-1, §3.3.2.1.5-1, §3.3.3-1, §3.3.3.1-1.
pub(crate) fn parameters(
    settings: &Settings,
    local: &[IpAddr],
    agreed: Option<&Abilities>,
) -> Vec<u8> {
    let mut out = Vec::new();
    let mut put = |parameter: Parameter<'_>| {
        out.resize(out.len().next_multiple_of(4), 0);
        parameter.emit(&mut out);
    };
    // With one address alone the packet's source says it, and NATs do no harm.
    if local.len() > 1 {
        for &ip in local {
            put(Parameter::Address(ip));
        }
    }
    if agreed.is_none() {
        let both = [ParameterType::IPV4.0, ParameterType::IPV6.0];
        let kinds = match settings.common.domain {
            Domain::V4 => &both[..1],
            Domain::V6 if settings.common.only_v6 => &both[1..],
            Domain::V6 => &both[..],
        };
        put(Parameter::SupportedAddressTypes(List::Values(kinds)));
    }
    let offers = |ours: bool, both: fn(&Abilities) -> bool| agreed.map_or(ours, both);
    if offers(settings.ecn, |both| both.ecn) {
        put(Parameter::EcnCapable);
    }
    let mut extensions = Vec::new();
    if offers(settings.partial_reliability, |both| both.forward_tsn) {
        put(Parameter::ForwardTsnSupported);
        extensions.push(ChunkType::FORWARD_TSN.0);
    }
    if offers(settings.interleaving, |both| both.interleaving) {
        extensions.push(ChunkType::I_DATA.0);
        extensions.push(ChunkType::I_FORWARD_TSN.0);
    }
    if offers(settings.reconfiguration, |both| both.reconfiguration) {
        extensions.push(ChunkType::RE_CONFIG.0);
    }
    if offers(settings.authentication, |both| both.authentication) {
        extensions.push(ChunkType::AUTH.0);
    }
    let possible = settings.authentication || settings.unsigned_addresses;
    if offers(settings.address_configuration && possible, |both| {
        both.address_configuration
    }) {
        extensions.push(ChunkType::ASCONF.0);
        extensions.push(ChunkType::ASCONF_ACK.0);
    }
    if !extensions.is_empty() {
        put(Parameter::SupportedExtensions(&extensions));
    }
    if let Some(method) = settings.error_detection {
        put(Parameter::ZeroChecksum(method));
    }
    if let Some(number) = settings.adaptation {
        put(Parameter::Adaptation(number));
    }
    out
}
