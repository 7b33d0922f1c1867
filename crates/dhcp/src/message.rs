//! Messages as a client sends them (RFC 2131, table 5) and what it checks of those that come.

use dhcproto::v4::{DhcpOption, Flags, HType, Message, MessageType, Opcode, OptionCode};
use dhcproto::{Decodable, Encodable};
use sockeye_core::MacAddr;
use std::net::Ipv4Addr;
use std::ops::Range;

/// Bytes before the options: the fixed part and the magic cookie (RFC 2131 §2, §3).
const FIXED_LEN: usize = 240;
/// Where the magic cookie lies, and what it is.
const COOKIE: (usize, [u8; 4]) = (236, [99, 130, 83, 99]);
/// The fields that may have options in them (RFC 2131 §2).
const SNAME: Range<usize> = 44..108;
const FILE: Range<usize> = 108..236;
/// RFC 2132 §3.1, §3.2, §9.3.
const PAD: u8 = 0;
const END: u8 = 255;
const OVERLOAD: u8 = 52;
/// What a client reads of a reply.
const READ: [OptionCode; 10] = [
    OptionCode::MessageType,
    OptionCode::ServerIdentifier,
    OptionCode::AddressLeaseTime,
    OptionCode::Renewal,
    OptionCode::Rebinding,
    OptionCode::SubnetMask,
    OptionCode::ClasslessStaticRoute,
    OptionCode::Router,
    OptionCode::DomainNameServer,
    OptionCode::InterfaceMtu,
];
/// RFC 2132 §9.10: the largest message that we take, what every Ethernet carries in one packet.
const SIZE_MAX: u16 = 1472;

/// What the message is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draft {
    pub(crate) kind: MessageType,
    pub(crate) xid: u32,
    pub(crate) secs: u16,
    /// The address that we have already, or unspecified.
    pub(crate) ciaddr: Ipv4Addr,
    /// Options 50 and 54.
    pub(crate) requested: Option<Ipv4Addr>,
    pub(crate) server: Option<Ipv4Addr>,
}

impl Draft {
    /// The message, as it goes into a datagram of the station `mac`.
    pub(crate) fn write(&self, mac: MacAddr) -> Vec<u8> {
        let Self {
            kind,
            xid,
            secs,
            ciaddr,
            requested,
            server,
        } = *self;
        // dhcproto's own constructors draw the operating system's randomness for a transaction id.
        let mut blank = [0; FIXED_LEN];
        blank[COOKIE.0..].copy_from_slice(&COOKIE.1);
        let Ok(mut message) = Message::from_bytes(&blank) else {
            return Vec::new();
        };
        message
            .set_opcode(Opcode::BootRequest)
            .set_htype(HType::Eth)
            .set_chaddr(&mac.0)
            .set_xid(xid)
            .set_secs(secs)
            .set_ciaddr(ciaddr);
        let asks = matches!(kind, MessageType::Discover | MessageType::Request);
        // RFC 2131 §4.1: without an address nothing can be sent to us alone.
        if asks && ciaddr.is_unspecified() {
            message.set_flags(Flags::default().set_broadcast());
        }
        let opts = message.opts_mut();
        opts.insert(DhcpOption::MessageType(kind));
        // RFC 2132 §9.14: the hardware type and the address.
        let mut id = vec![1];
        id.extend(mac.0);
        opts.insert(DhcpOption::ClientIdentifier(id));
        if let Some(address) = requested {
            opts.insert(DhcpOption::RequestedIpAddress(address));
        }
        if let Some(server) = server {
            opts.insert(DhcpOption::ServerIdentifier(server));
        }
        if asks {
            opts.insert(DhcpOption::MaxMessageSize(SIZE_MAX));
            opts.insert(DhcpOption::ParameterRequestList(vec![
                OptionCode::SubnetMask,
                // RFC 3442: before the routers.
                OptionCode::ClasslessStaticRoute,
                OptionCode::Router,
                OptionCode::DomainNameServer,
                OptionCode::InterfaceMtu,
                OptionCode::Renewal,
                OptionCode::Rebinding,
            ]));
        }
        message.to_vec().unwrap_or_default()
    }
}

/// Reads a reply to the station `mac`; `None` for anything else.
pub(crate) fn read(bytes: &[u8], mac: MacAddr) -> Option<(MessageType, Message)> {
    if bytes.get(COOKIE.0..FIXED_LEN)? != COOKIE.1 {
        return None;
    }
    let message = Message::from_bytes(&unfolded(bytes)?).ok()?;
    // Its length first: `chaddr` takes the message's word for it.
    let ours = usize::from(message.hlen()) == mac.0.len() && message.chaddr() == mac.0;
    if message.opcode() != Opcode::BootReply || !ours {
        return None;
    }
    Some((message.opts().msg_type()?, message))
}

/// RFC 2131 §4.1, RFC 2132 §9.3: the message with the options that lie in `file` (1) and `sname` (2),
/// in this order, behind those of the options field; `None` when one of them is cut short. Only what a
/// client reads is in it: dhcproto takes some of the others' lengths on trust.
fn unfolded(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut all = bytes.get(..FIXED_LEN)?.to_vec();
    all[SNAME.start..FILE.end].fill(0);
    let fields = options(&bytes[FIXED_LEN..], &mut all)?;
    for (bit, field) in [(1, FILE), (2, SNAME)] {
        if fields & bit != 0 {
            options(&bytes[field], &mut all)?;
        }
    }
    all.push(END);
    Some(all)
}

/// Adds the options of a field that a client reads to `all`; returns the value of the one that says
/// which fields have more of them.
fn options(mut field: &[u8], all: &mut Vec<u8>) -> Option<u8> {
    let mut fields = 0;
    while let [code, rest @ ..] = field {
        match *code {
            PAD => field = rest,
            END => break,
            code => {
                let len = usize::from(*rest.first()?);
                let option = field.get(..2 + len)?;
                if code == OVERLOAD {
                    fields = *option.get(2)?;
                } else if READ.contains(&OptionCode::from(code)) {
                    all.extend(option);
                }
                field = &field[2 + len..];
            }
        }
    }
    Some(fields)
}
