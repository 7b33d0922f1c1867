//! Netlink: what a program asks of the network's interfaces, addresses, routes and sockets, answered for the node.
//!
//! [`format`] is the framing, [`route`] and [`diag`] the two families, [`events`] what is told unasked, [`files`] the same as text, as /proc/net has it, [`socket`] what the
//! program's sockets are. Each request is
//! answered whole as it comes; the answers lie in the program's end as datagrams, so that plain receives and polls see them.

pub(crate) mod diag;
pub(crate) mod events;
pub(crate) mod files;
mod format;
pub(crate) mod route;
pub(crate) mod socket;

use crate::backend::Errno;
use format::{Message, Request, control, flags};
use sockeye::Node;

/// Netlink families that are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// `NETLINK_ROUTE`.
    Route,
    /// `NETLINK_SOCK_DIAG`.
    Diag,
}

impl Family {
    pub(crate) fn of(protocol: i32) -> Option<Self> {
        match protocol {
            libc::NETLINK_ROUTE => Some(Self::Route),
            libc::NETLINK_SOCK_DIAG => Some(Self::Diag),
            _ => None,
        }
    }

    pub(crate) fn number(self) -> i32 {
        match self {
            Self::Route => libc::NETLINK_ROUTE,
            Self::Diag => libc::NETLINK_SOCK_DIAG,
        }
    }
}

/// The largest datagram that answers are put into, but for a single message that is longer: a page less what the kernel needs
/// of it, since programs receive into a page (`NLMSG_GOODSIZE`).
const DATAGRAM: usize = 3776;

/// The answers to a request, as they are made.
#[derive(Debug, Default)]
struct Answers(Vec<Message>);

impl Answers {
    fn add(&mut self, message: Message) {
        self.0.push(message);
    }
}

/// Who asks, as far as the answers depend on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker {
    pub(crate) family: Family,
    pub(crate) port: u32,
    /// `NETLINK_CAP_ACK`: errors quote no more than the header.
    pub(crate) capped: bool,
    /// Answers of a dump are waiting still: there is one at a time.
    pub(crate) dumping: bool,
}

/// Answers what a program has sent: datagrams for it, in their order.
pub(crate) fn answer(node: &Node, asker: Asker, octets: &[u8]) -> Vec<Vec<u8>> {
    let mut datagrams = Vec::new();
    let mut dumping = asker.dumping;
    for request in format::requests(octets) {
        let asks = request.flags & flags::REQUEST != 0 && request.ty >= control::FIRST_OF_FAMILY;
        let dumps = asks && request.dumps();
        let mut answers = Answers::default();
        let result = match asks {
            true if dumps && dumping => Err(Errno::BUSY),
            true => one(node, asker.family, &request, &mut answers),
            false => Ok(()),
        };
        if result.is_ok() && dumps {
            dumping = true;
            pack(&mut datagrams, answers, &request, asker.port);
            continue;
        }
        if result.is_ok() {
            let finish = |message: Message| message.finish(0, request.seq, asker.port);
            datagrams.extend(answers.0.into_iter().map(finish));
        }
        if result.is_err() || request.flags & flags::ACK != 0 {
            let outcome = format::outcome(&request, result, asker.capped, asker.port);
            datagrams.push(outcome);
        }
    }
    datagrams
}

fn one(node: &Node, family: Family, request: &Request<'_>, to: &mut Answers) -> Result<(), Errno> {
    match family {
        Family::Route => route::answer(node, request, to),
        Family::Diag => diag::answer(node, request, to),
    }
}

/// The answers of a dump: several messages a datagram, then one that says that this was all.
fn pack(datagrams: &mut Vec<Vec<u8>>, answers: Answers, request: &Request<'_>, port: u32) {
    let done = Message::new(control::DONE, &0_i32.to_ne_bytes());
    let mut open = Vec::new();
    for message in answers.0 {
        let octets = message.finish(flags::MULTI, request.seq, port);
        if !open.is_empty() && open.len() + octets.len() > DATAGRAM {
            datagrams.push(std::mem::take(&mut open));
        }
        open.extend(octets);
    }
    if !open.is_empty() {
        datagrams.push(open);
    }
    datagrams.push(done.finish(flags::MULTI, request.seq, port));
}

/// The errno of an error of a node: each has one.
#[expect(
    clippy::needless_pass_by_value,
    reason = "it is what map_err calls, with the error it owns"
)]
pub(crate) fn errno(error: std::io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn asker(family: Family) -> Asker {
        Asker {
            family,
            port: 77,
            capped: false,
            dumping: false,
        }
    }

    fn request(ty: u16, flags: u16, body: &[u8]) -> Vec<u8> {
        Message::new(ty, body).finish(flags, 5, 0)
    }

    fn types(datagrams: &[Vec<u8>]) -> Vec<u16> {
        let all = datagrams.iter().flat_map(|octets| format::requests(octets));
        all.map(|message| message.ty).collect()
    }

    fn error(datagram: &[u8]) -> i32 {
        let message = format::requests(datagram).next().unwrap();
        assert_eq!(message.ty, control::ERROR);
        i32::from_ne_bytes(*message.body.first_chunk().unwrap())
    }

    #[test]
    fn a_dump_tells_all_and_ends() {
        let node = Node::builder().build().unwrap();
        let ask = |ty| answer(&node, asker(Family::Route), &request(ty, 0x301, &[0; 4]));
        assert_eq!(types(&ask(18)), [16, 3], "the loopback interface");
        assert_eq!(types(&ask(22)), [20, 20, 3], "its two addresses");
        assert_eq!(types(&ask(30)), [3], "no neighbours");
        assert_eq!(types(&ask(34)).len(), 6, "five rules");
        let message = ask(18).remove(0);
        let message = format::requests(&message).next().unwrap();
        assert_eq!((message.flags, message.seq), (flags::MULTI, 5));
        assert_eq!(
            format::word(message.whole, 12),
            Some(77),
            "the asker's port"
        );
    }

    #[test]
    fn changes_are_refused_and_what_is_not_known_too() {
        let node = Node::builder().build().unwrap();
        let ask = |ty, flags| answer(&node, asker(Family::Route), &request(ty, flags, &[0; 16]));
        for ty in [16, 17, 20, 21, 24, 25, 28, 29, 32] {
            assert_eq!(error(&ask(ty, 1)[0]), -libc::EPERM, "type {ty}");
        }
        assert_eq!(error(&ask(38, 0x301)[0]), -libc::EOPNOTSUPP);
        assert_eq!(error(&ask(999, 1)[0]), -libc::EOPNOTSUPP);
        assert_eq!(ask(20, 0).len(), 0, "what is no request is not answered");
        assert_eq!(
            error(&ask(20, 4)[0]),
            0,
            "but acknowledged if it asks for that"
        );
    }

    #[test]
    fn one_dump_at_a_time() {
        let node = Node::builder().build().unwrap();
        let twice = [request(18, 0x301, &[0; 16]), request(22, 0x301, &[0; 16])].concat();
        let answers = answer(&node, asker(Family::Route), &twice);
        assert_eq!(types(&answers), [16, 3, 2]);
        assert_eq!(error(&answers[2]), -libc::EBUSY);
    }

    #[test]
    fn answers_fit_a_page() {
        let many = (0..100).map(|_| Message::new(20, &[0; 96]));
        let octets = request(22, 0x301, &[0; 4]);
        let request = format::requests(&octets).next().unwrap();
        let mut datagrams = Vec::new();
        pack(&mut datagrams, Answers(many.collect()), &request, 1);
        assert!(datagrams.iter().all(|octets| octets.len() <= DATAGRAM));
        assert_eq!(types(&datagrams).len(), 101);
        assert!(datagrams.len() < 8);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever a program sends is answered within bounds: at most one dump, and an error for each header's worth.
        #[test]
        fn nothing_that_is_sent_makes_it_panic(
            diag: bool,
            requests in prop::collection::vec(
                (prop::sample::select(vec![2_u16, 18, 20, 22, 26, 30, 34, 38]), any::<u16>(),
                 prop::collection::vec(any::<u8>(), 0..80), any::<bool>()),
                0..8,
            ),
            rest in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let node = Node::builder().build().unwrap();
            let family = if diag { Family::Diag } else { Family::Route };
            let mut octets = Vec::new();
            for (ty, flags, body, dump) in &requests {
                let flags = if *dump { flags | 0x301 } else { *flags };
                let ty = if diag && *dump { 20 } else { *ty };
                octets.extend(request(ty, flags, body));
            }
            octets.extend(&rest);
            let answers = answer(&node, asker(family), &octets);
            let dones = types(&answers).iter().filter(|ty| **ty == control::DONE).count();
            prop_assert!(dones <= 1);
            prop_assert!(answers.len() <= 2 * (requests.len() + rest.len()) + 8);
        }
    }
}
