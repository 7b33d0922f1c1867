//! The client against a server played by hand: what it says, and when.

use crate::client::{Action, Client, State};
use dhcproto::v4::{DhcpOption, Message, MessageType, Opcode, OptionCode};
use dhcproto::{Decodable, Encodable};
use proptest::prelude::*;
use sockeye_core::{Instant, MacAddr, Rng};
use std::net::Ipv4Addr;
use std::time::Duration;

const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 7]);
const OWN: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 50);
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// A client, its time, and the last message that it sent.
struct Play {
    client: Client,
    rng: Rng,
    now: Instant,
    last: Option<Message>,
}

impl Play {
    fn new() -> Self {
        let mut rng = Rng::new([3; 32]);
        Self {
            client: Client::new(Instant::ZERO, &mut rng, MAC),
            rng,
            now: Instant::ZERO,
            last: None,
        }
    }

    /// One that is bound, for an hour.
    fn bound() -> Self {
        let mut play = Self::new();
        play.due();
        play.hears(MessageType::Offer, &hour());
        play.hears(MessageType::Ack, &hour());
        play.client.confirmed();
        assert_eq!(play.client.state(), State::Bound);
        play
    }

    /// Lets the client do what is due next.
    fn due(&mut self) -> Vec<String> {
        self.now = self.client.deadline();
        let actions = self.client.on_timeout(self.now, &mut self.rng);
        self.read(actions)
    }

    /// The server answers the last message.
    fn hears(&mut self, kind: MessageType, options: &[DhcpOption]) -> Vec<String> {
        let message = self.reply(kind, options);
        self.hears_bytes(&message.to_vec().unwrap())
    }

    fn hears_bytes(&mut self, bytes: &[u8]) -> Vec<String> {
        let actions = self.client.handle(self.now, &mut self.rng, bytes);
        self.read(actions)
    }

    fn reply(&self, kind: MessageType, options: &[DhcpOption]) -> Message {
        let mut message = self.last.clone().unwrap();
        message.set_opcode(Opcode::BootReply).set_yiaddr(OWN);
        let opts = message.opts_mut();
        opts.clear();
        opts.insert(DhcpOption::MessageType(kind));
        opts.insert(DhcpOption::ServerIdentifier(SERVER));
        for option in options {
            opts.insert(option.clone());
        }
        message
    }

    fn read(&mut self, actions: Vec<Action>) -> Vec<String> {
        let mut all = Vec::new();
        for action in actions {
            all.push(match action {
                Action::Unconfigure => "unconfigure".into(),
                Action::Configure(lease, _) => format!("configure {}", lease.address),
                Action::Send { from, to, message } => {
                    let message = Message::from_bytes(&message).unwrap();
                    let text = describe(from, to, &message);
                    self.last = Some(message);
                    text
                }
            });
        }
        all
    }
}

fn describe(from: Option<Ipv4Addr>, to: Option<Ipv4Addr>, message: &Message) -> String {
    let opts = message.opts();
    let mut text = format!("{:?}", opts.msg_type().unwrap());
    if let Some(from) = from {
        text += &format!(" from {from}");
    }
    match to {
        Some(to) => text += &format!(" to {to}"),
        None => text += " to all",
    }
    if let Some(DhcpOption::RequestedIpAddress(ip)) = opts.get(OptionCode::RequestedIpAddress) {
        text += &format!(" for {ip}");
    }
    if let Some(DhcpOption::ServerIdentifier(ip)) = opts.get(OptionCode::ServerIdentifier) {
        text += &format!(" of {ip}");
    }
    if !message.ciaddr().is_unspecified() {
        text += &format!(" having {}", message.ciaddr());
    }
    if message.flags().broadcast() {
        text += " (broadcast)";
    }
    text
}

fn hour() -> Vec<DhcpOption> {
    vec![
        DhcpOption::AddressLeaseTime(3600),
        DhcpOption::SubnetMask(Ipv4Addr::new(255, 255, 255, 0)),
        DhcpOption::Router(vec![SERVER]),
    ]
}

#[test]
fn four_messages_make_a_lease() {
    let mut play = Play::new();
    assert!(play.client.deadline() < Instant::from_millis(1000));
    assert_eq!(play.due(), ["Discover to all (broadcast)"]);
    assert_eq!(
        play.hears(MessageType::Offer, &hour()),
        ["Request to all for 192.0.2.50 of 192.0.2.1 (broadcast)"]
    );
    assert_eq!(
        play.hears(MessageType::Ack, &hour()),
        ["configure 192.0.2.50/24"]
    );
    assert_eq!(play.client.state(), State::Checking);
    play.client.confirmed();
    assert_eq!(play.client.state(), State::Bound);
    assert_eq!(play.client.lease().unwrap().routers, [SERVER]);
}

/// RFC 2131 §4.1: 4, 8, 16, 32, 64, 64 seconds, each a second more or less.
#[test]
fn silence_is_asked_into_ever_less_often() {
    let mut play = Play::new();
    play.due();
    for seconds in [4, 8, 16, 32, 64, 64] {
        let wait = (play.client.deadline() - play.now).as_millis();
        let middle = seconds * 1000;
        assert!((middle - 1000..=middle + 1000).contains(&wait), "{wait}");
        assert_eq!(play.due(), ["Discover to all (broadcast)"]);
    }
}

/// RFC 2131 §3.1 (5): a server that does not answer the request is left after four.
#[test]
fn a_server_that_offers_and_falls_silent_is_left() {
    let mut play = Play::new();
    play.due();
    play.hears(MessageType::Offer, &hour());
    for _ in 0..3 {
        assert!(play.due()[0].starts_with("Request to all"));
    }
    assert_eq!(play.due(), [""; 0]);
    assert_eq!(play.due(), ["Discover to all (broadcast)"]);
}

#[test]
fn a_refusal_begins_anew() {
    let mut play = Play::new();
    play.due();
    play.hears(MessageType::Offer, &hour());
    assert_eq!(play.hears(MessageType::Nak, &[]), [""; 0]);
    assert_eq!(play.client.state(), State::Init);
    assert_eq!(play.due(), ["Discover to all (broadcast)"]);

    let mut play = Play::bound();
    play.due();
    assert_eq!(play.hears(MessageType::Nak, &[]), ["unconfigure"]);
    assert_eq!(play.due(), ["Discover to all (broadcast)"]);
}

/// RFC 2131 §3.2, §4.3.2: the address is asked for, without a server and without having it.
#[test]
fn an_address_of_former_times_is_asked_for_first() {
    let asks = "Request to all for 192.0.2.50 (broadcast)";
    let remembering = || {
        let mut play = Play::new();
        play.client.remember(OWN);
        assert_eq!(play.due(), [asks]);
        assert_eq!(play.client.state(), State::Rebooting);
        play
    };
    let mut play = remembering();
    let configured = play.hears(MessageType::Ack, &hour());
    assert_eq!(configured, ["configure 192.0.2.50/24"]);
    play.client.confirmed();
    assert_eq!(play.client.state(), State::Bound);

    // It is somebody else's now, or that of another network.
    let mut play = remembering();
    assert_eq!(play.hears(MessageType::Nak, &[]), [""; 0]);
    assert_eq!(play.due(), ["Discover to all (broadcast)"]);

    // Nobody knows of it.
    let mut play = remembering();
    assert_eq!(play.due(), [asks]);
    assert_eq!(play.due(), [""; 0]);
    assert_eq!(play.due(), ["Discover to all (broadcast)"]);
}

/// RFC 2131 §3.7: the link that is up again may be another one.
#[test]
fn a_link_that_was_down_is_asked_anew() {
    let mut play = Play::bound();
    let actions = play.client.reboot(play.now);
    assert_eq!(play.read(actions), ["unconfigure"]);
    assert_eq!(play.due(), ["Request to all for 192.0.2.50 (broadcast)"]);
    play.hears(MessageType::Ack, &hour());
    play.client.confirmed();
    assert_eq!(play.client.state(), State::Bound);
    // What was declined, given back or is over is not asked for again.
    let mut declined = Play::bound();
    declined.client.conflict(declined.now);
    let mut over = Play::bound();
    while over.client.state() != State::Init {
        over.due();
    }
    let mut returned = Play::bound();
    returned.client.release(returned.now);
    for play in [&mut declined, &mut over, &mut returned] {
        assert!(play.client.reboot(play.now).is_empty());
        assert_eq!(play.due(), ["Discover to all (broadcast)"]);
    }
}

/// RFC 2131 §4.1, RFC 2132 §9.3: `file` is read before `sname`.
#[test]
fn options_may_lie_in_other_fields() {
    const MASK: [u8; 7] = [1, 4, 255, 255, 255, 0, 255];
    const TIME: [u8; 7] = [51, 4, 0, 0, 14, 16, 255];
    // Without the lease time it is no lease; the class of the address has the same mask.
    for (fields, granted) in [(3, true), (2, true), (1, false), (0, false)] {
        let mut play = Play::new();
        play.due();
        play.hears(MessageType::Offer, &hour());
        let reply = play.reply(MessageType::Ack, &[DhcpOption::OptionOverload(fields)]);
        let mut bytes = reply.to_vec().unwrap();
        bytes[44..51].copy_from_slice(&TIME);
        // The overload option counts in the options field alone.
        bytes[108..111].copy_from_slice(&[52, 1, 0]);
        bytes[111..118].copy_from_slice(&MASK);
        let done = play.hears_bytes(&bytes);
        assert_eq!(
            done.contains(&"configure 192.0.2.50/24".into()),
            granted,
            "{fields}"
        );
    }
    let mut play = Play::new();
    play.due();
    play.hears(MessageType::Offer, &hour());
    let mask = DhcpOption::SubnetMask(Ipv4Addr::new(255, 255, 0, 0));
    let reply = play.reply(MessageType::Ack, &[DhcpOption::OptionOverload(2), mask]);
    let mut bytes = reply.to_vec().unwrap();
    bytes[44..51].copy_from_slice(&TIME);
    assert_eq!(play.hears_bytes(&bytes), ["configure 192.0.2.50/16"]);
}

/// RFC 2131 §3.1 (5): the server is told, and left alone for ten seconds.
#[test]
fn a_duplicate_address_is_declined() {
    let mut play = Play::new();
    play.due();
    play.hears(MessageType::Offer, &hour());
    play.hears(MessageType::Ack, &hour());
    let now = play.now;
    let actions = play.client.conflict(now);
    assert_eq!(
        play.read(actions),
        ["unconfigure", "Decline to all for 192.0.2.50 of 192.0.2.1"]
    );
    assert_eq!(play.client.deadline(), now + Duration::from_secs(10));
    // RFC 5227 §2.1.1: after ten of them, a minute.
    for _ in 0..10 {
        play.due();
        play.hears(MessageType::Offer, &hour());
        play.hears(MessageType::Ack, &hour());
        let actions = play.client.conflict(play.now);
        play.read(actions);
    }
    assert_eq!(play.client.deadline(), play.now + Duration::from_secs(60));
}

/// RFC 2131 §4.4.5, for a lease of an hour: T1 1800 s, T2 3150 s.
#[test]
fn a_lease_is_renewed_then_rebound_then_over() {
    let mut play = Play::bound();
    let start = play.now;
    let since = |play: &Play| (play.now - start).as_secs();
    let renew = "Request from 192.0.2.50 to 192.0.2.1 having 192.0.2.50";
    let rebind = "Request from 192.0.2.50 to all having 192.0.2.50";
    let mut trace = Vec::new();
    loop {
        let said = play.due().remove(0);
        if said == "unconfigure" {
            break;
        }
        let state = play.client.state();
        let expected = match state {
            State::Renewing => renew,
            State::Rebinding => rebind,
            _ => panic!("{state:?}"),
        };
        assert_eq!(said, expected);
        trace.push(since(&play));
    }
    // Half of what is left each time, a minute at least.
    let renewing = [1800, 2475, 2812, 2981, 3065, 3125];
    let rebinding = [3150, 3375, 3487, 3547];
    assert_eq!(trace, [&renewing[..], &rebinding[..]].concat());
    assert_eq!(since(&play), 3600);
    assert_eq!(play.due(), ["Discover to all (broadcast)"]);
}

#[test]
fn an_answer_to_a_renewal_gives_more_time() {
    let mut play = Play::bound();
    play.due();
    let asked = play.now;
    play.now = asked + Duration::from_secs(5);
    // From when it was asked, not from when it was answered.
    assert_eq!(
        play.hears(MessageType::Ack, &hour()),
        ["configure 192.0.2.50/24"]
    );
    assert_eq!(play.client.state(), State::Bound);
    assert_eq!(play.client.deadline(), asked + Duration::from_secs(1800));
    // For ever is for ever.
    play.due();
    let ever = [DhcpOption::AddressLeaseTime(u32::MAX)];
    play.hears(MessageType::Ack, &ever);
    assert_eq!(play.client.deadline(), Instant::FAR);
}

#[test]
fn a_lease_is_given_back() {
    let mut play = Play::bound();
    let actions = play.client.release(play.now);
    assert_eq!(
        play.read(actions),
        [
            "Release from 192.0.2.50 to 192.0.2.1 of 192.0.2.1 having 192.0.2.50",
            "unconfigure"
        ]
    );
    assert_eq!(play.client.deadline(), Instant::FAR);
}

#[test]
fn options_are_read_with_their_limits() {
    let ip = |text: &str| text.parse::<Ipv4Addr>().unwrap();
    let mut play = Play::new();
    play.due();
    play.hears(MessageType::Offer, &hour());
    let routes = vec![
        ("198.51.100.0/24".parse().unwrap(), Ipv4Addr::UNSPECIFIED),
        ("0.0.0.0/0".parse().unwrap(), ip("192.0.2.9")),
        ("10.0.0.0/8".parse().unwrap(), ip("224.0.0.1")),
    ];
    let many = (0..60).map(|n| Ipv4Addr::new(192, 0, 2, n)).collect();
    let options = [
        DhcpOption::AddressLeaseTime(3600),
        // No mask: the class's. T1 behind T2: both as if unsaid.
        DhcpOption::Renewal(3000),
        DhcpOption::Rebinding(2000),
        DhcpOption::Router(vec![SERVER]),
        DhcpOption::ClasslessStaticRoute(routes),
        DhcpOption::DomainNameServer(many),
        DhcpOption::InterfaceMtu(68),
    ];
    play.hears(MessageType::Ack, &options);
    let lease = play.client.lease().unwrap();
    assert_eq!(lease.address.to_string(), "192.0.2.50/24");
    let seconds = Duration::from_secs;
    assert_eq!(lease.renewal, (seconds(1800), seconds(3150)));
    // RFC 3442: the routers are not heeded where there are routes.
    assert!(lease.routers.is_empty());
    assert_eq!(
        lease.routes,
        [
            ("198.51.100.0/24".parse().unwrap(), None),
            ("0.0.0.0/0".parse().unwrap(), Some(ip("192.0.2.9"))),
        ]
    );
    assert_eq!(lease.dns.len(), crate::DNS_MAX);
    assert_eq!(lease.mtu, None);
}

#[test]
fn what_is_not_for_the_client_is_not_heard() {
    let mut play = Play::new();
    play.due();
    let offer = play.reply(MessageType::Offer, &hour());
    let mut other = offer.clone();
    other.set_xid(offer.xid() ^ 1);
    let mut stranger = offer.clone();
    stranger.set_chaddr(&[2, 0, 0, 0, 0, 8]);
    let mut request = offer.clone();
    request.set_opcode(Opcode::BootRequest);
    let mut nobody = offer.clone();
    nobody.opts_mut().remove(OptionCode::ServerIdentifier);
    for message in [other, stranger, request, nobody] {
        assert_eq!(play.hears_bytes(&message.to_vec().unwrap()), [""; 0]);
    }
    let mut bytes = offer.to_vec().unwrap();
    bytes[236] ^= 1;
    assert_eq!(play.hears_bytes(&bytes), [""; 0]);
    // An address length that no message has room for.
    bytes[236] ^= 1;
    bytes[2] = 255;
    assert_eq!(play.hears_bytes(&bytes), [""; 0]);
    // An acknowledgement by another server than the one that was asked; one without a lease time.
    play.hears(MessageType::Offer, &hour());
    let mut ack = play.reply(MessageType::Ack, &hour());
    let another = DhcpOption::ServerIdentifier(Ipv4Addr::new(192, 0, 2, 66));
    ack.opts_mut().insert(another);
    assert_eq!(play.hears_bytes(&ack.to_vec().unwrap()), [""; 0]);
    assert_eq!(play.hears(MessageType::Ack, &[]), [""; 0]);
    assert_eq!(play.client.state(), State::Requesting);
}

/// Options that nobody asked for, each of every length up to 8.
#[test]
fn options_of_wrong_lengths_do_no_harm() {
    for code in 0..=255 {
        for len in 0..=8 {
            let mut play = Play::new();
            play.due();
            let mut bytes = play.reply(MessageType::Offer, &hour()).to_vec().unwrap();
            let end = bytes.iter().rposition(|byte| *byte == 255).unwrap();
            bytes.truncate(end);
            bytes.extend([code, len]);
            bytes.resize(bytes.len() + usize::from(len), 1);
            bytes.push(255);
            let _ = play.hears_bytes(&bytes);
        }
    }
}

proptest! {
    /// Replies with any bytes changed do no harm, wherever the client is.
    #[test]
    fn mangled_replies_do_no_harm(
        ack in any::<bool>(),
        changes in proptest::collection::vec((0usize..400, any::<u8>()), 0..8),
        cut in 0usize..400,
    ) {
        let mut play = Play::new();
        play.due();
        let mut kind = MessageType::Offer;
        if ack {
            play.hears(kind, &hour());
            kind = MessageType::Ack;
        }
        let mut bytes = play.reply(kind, &hour()).to_vec().unwrap();
        for (at, byte) in changes {
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
        }
        bytes.truncate(cut);
        let _ = play.hears_bytes(&bytes);
        for _ in 0..4 {
            play.due();
        }
    }
}
