//! Netlink's framing (RFC 3549 §2.3): messages behind one another, and attributes within them.
//!
//! No crate is used for it: what serves needs a dozen fixed structures and an iterator over attributes that heeds those it
//! knows, where the crates there are parse every attribute of every family, and fail at one that is odd.

use crate::backend::Errno;

/// `sizeof(struct nlmsghdr)`.
pub(super) const HEADER: usize = 16;

/// `sizeof(struct nlattr)`.
const ATTRIBUTE: usize = 4;

/// What messages and attributes are aligned to.
const ALIGN: usize = 4;

/// The part of an attribute's type that is not flags: `NLA_TYPE_MASK`.
const TYPE_MASK: u16 = 0x3fff;

/// Types of messages that belong to the framing.
pub(super) mod control {
    pub(crate) const ERROR: u16 = 2;
    pub(crate) const DONE: u16 = 3;
    /// The first type that a family may use: `NLMSG_MIN_TYPE`.
    pub(crate) const FIRST_OF_FAMILY: u16 = 0x10;
}

/// `nlmsg_flags`.
pub(super) mod flags {
    pub(crate) const REQUEST: u16 = 1;
    pub(crate) const MULTI: u16 = 2;
    pub(crate) const ACK: u16 = 4;
    /// Of requests: `NLM_F_ROOT | NLM_F_MATCH`.
    pub(crate) const DUMP: u16 = 0x300;
    /// Of an answer: the request is not quoted whole.
    pub(crate) const CAPPED: u16 = 0x100;
}

/// A message as it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) ty: u16,
    pub(super) flags: u16,
    pub(super) seq: u32,
    /// Behind the header.
    pub(super) body: &'a [u8],
    /// With the header.
    pub(super) whole: &'a [u8],
}

impl Request<'_> {
    pub(super) fn dumps(&self) -> bool {
        self.flags & flags::DUMP == flags::DUMP
    }
}

/// The messages in what was sent, up to the first that is not one.
pub(super) fn requests(mut octets: &[u8]) -> impl Iterator<Item = Request<'_>> {
    std::iter::from_fn(move || {
        let head = octets.first_chunk::<HEADER>()?;
        let word = |at: usize| u32::from_ne_bytes(std::array::from_fn(|i| head[at + i]));
        let half = |at: usize| u16::from_ne_bytes(std::array::from_fn(|i| head[at + i]));
        let len = usize::try_from(word(0)).ok()?;
        let whole = octets.get(..len)?;
        let request = Request {
            ty: half(4),
            flags: half(6),
            seq: word(8),
            body: whole.get(HEADER..)?,
            whole,
        };
        octets = octets.get(len.next_multiple_of(ALIGN)..).unwrap_or(&[]);
        Some(request)
    })
}

/// The attributes in octets, up to the first that is not one.
pub(super) fn attributes(mut octets: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let [l0, l1, t0, t1] = *octets.first_chunk::<ATTRIBUTE>()?;
        let len = usize::from(u16::from_ne_bytes([l0, l1]));
        let value = octets.get(ATTRIBUTE..len)?;
        octets = octets.get(len.next_multiple_of(ALIGN)..).unwrap_or(&[]);
        Some((u16::from_ne_bytes([t0, t1]) & TYPE_MASK, value))
    })
}

/// The attribute of a type, if there is one behind a fixed part of that length.
pub(super) fn attribute(body: &[u8], fixed: usize, ty: u16) -> Option<&[u8]> {
    let mut all = attributes(body.get(fixed..)?);
    all.find_map(|(found, value)| (found == ty).then_some(value))
}

/// A 32-bit number at an offset, by this machine's order.
pub(super) fn word(octets: &[u8], at: usize) -> Option<u32> {
    let octets = octets.get(at..)?.first_chunk()?;
    Some(u32::from_ne_bytes(*octets))
}

/// A message being made.
#[derive(Debug)]
pub(super) struct Message(Vec<u8>);

impl Message {
    /// One of this type; whom it is for is said when it is finished.
    pub(super) fn new(ty: u16, fixed: &[u8]) -> Self {
        let mut octets = vec![0; HEADER];
        octets[4..6].copy_from_slice(&ty.to_ne_bytes());
        octets.extend(fixed);
        Self(octets)
    }

    /// Adds an attribute. None is longer than its length can say: names and tables of fixed sizes.
    pub(super) fn attribute(&mut self, ty: u16, value: &[u8]) {
        let Ok(len) = u16::try_from(ATTRIBUTE + value.len()) else {
            return;
        };
        self.0.extend(len.to_ne_bytes());
        self.0.extend(ty.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(ALIGN), 0);
    }

    pub(super) fn number(&mut self, ty: u16, value: u32) {
        self.attribute(ty, &value.to_ne_bytes());
    }

    /// A string with the zero behind it.
    pub(super) fn text(&mut self, ty: u16, text: &str) {
        self.attribute(ty, &[text.as_bytes(), &[0]].concat());
    }

    /// The octets of it, as what happened: nobody asked.
    pub(super) fn event(self) -> Vec<u8> {
        self.finish(0, 0, 0)
    }

    /// The octets of it, of a thing that is gone: of each kind the type behind that of a new one.
    pub(super) fn gone(mut self) -> Vec<u8> {
        let ty = u16::from_ne_bytes([self.0[4], self.0[5]]) + 1;
        self.0[4..6].copy_from_slice(&ty.to_ne_bytes());
        self.event()
    }

    /// The octets of it, as an answer to a request.
    pub(super) fn finish(mut self, flags: u16, seq: u32, port: u32) -> Vec<u8> {
        let len = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0[..4].copy_from_slice(&len.to_ne_bytes());
        self.0[6..8].copy_from_slice(&flags.to_ne_bytes());
        self.0[8..12].copy_from_slice(&seq.to_ne_bytes());
        self.0[12..16].copy_from_slice(&port.to_ne_bytes());
        self.0.resize(self.0.len().next_multiple_of(ALIGN), 0);
        self.0
    }
}

/// `NLMSG_ERROR`, which also says that all went well; it quotes the request, or its header alone.
pub(super) fn outcome(
    request: &Request<'_>,
    result: Result<(), Errno>,
    capped: bool,
    port: u32,
) -> Vec<u8> {
    let error = result.err().map_or(0, |error| -error.raw_os_error());
    let quoted = match result {
        Err(_) if !capped => request.whole,
        _ => &request.whole[..HEADER],
    };
    let fixed = [&error.to_ne_bytes()[..], quoted].concat();
    let flags = match quoted.len() < request.whole.len() {
        true => flags::CAPPED,
        false => 0,
    };
    Message::new(control::ERROR, &fixed).finish(flags, request.seq, port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn messages_stand_behind_one_another_up_to_one_that_is_none() {
        let mut octets = Message::new(18, &[0, 1, 2]).finish(0x301, 7, 0);
        octets.extend(Message::new(22, &[9]).finish(1, 8, 0));
        octets.extend([0; 32]);
        let all: Vec<_> = requests(&octets).collect();
        assert_eq!(all.len(), 2);
        assert_eq!(
            (all[0].ty, all[0].seq, all[0].body),
            (18, 7, &[0, 1, 2][..])
        );
        assert!(all[0].dumps() && !all[1].dumps());
        assert_eq!(all[1].body, [9], "padding is no part of it");
    }

    #[test]
    fn an_attribute_is_found_behind_the_fixed_part() {
        let mut message = Message::new(20, &[1; 8]);
        message.number(3, 77);
        message.text(4, "eth0");
        let octets = message.finish(0, 0, 0);
        let body = &octets[HEADER..];
        assert_eq!(attribute(body, 8, 3), Some(&77_u32.to_ne_bytes()[..]));
        assert_eq!(attribute(body, 8, 4), Some(&b"eth0\0"[..]));
        assert_eq!(attribute(body, 8, 5), None);
        assert_eq!(attribute(body, 99, 3), None);
    }

    #[test]
    fn an_error_quotes_the_request_and_success_its_header() {
        let octets = Message::new(16, &[5; 16]).finish(5, 9, 0);
        let request = requests(&octets).next().unwrap();
        let error = outcome(&request, Err(Errno::PERM), false, 3);
        assert_eq!(error.len(), HEADER + 4 + octets.len());
        assert_eq!(error[HEADER..HEADER + 4], (-1_i32).to_ne_bytes());
        assert_eq!(
            outcome(&request, Ok(()), false, 3).len(),
            HEADER + 4 + HEADER
        );
        assert_eq!(
            outcome(&request, Err(Errno::PERM), true, 3).len(),
            HEADER + 4 + HEADER
        );
    }

    proptest! {
        #[test]
        fn no_octets_make_it_panic(octets in prop::collection::vec(any::<u8>(), 0..256)) {
            for request in requests(&octets) {
                let _ = attributes(request.body).count();
            }
            prop_assert!(requests(&octets).count() <= octets.len() / HEADER);
            prop_assert!(attributes(&octets).count() <= octets.len() / ATTRIBUTE);
        }
    }
}
