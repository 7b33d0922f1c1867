//! SCTP's extensions with other people's stacks: what both agree on, is used, and can be seen on the
//! wire. The node connects to Linux, and usrsctp to the node.

use crate::sctp_stage::{Message, OURS, PEER, Scene, Stack, Stage};
use sockeye::Socket;
use sockeye::sctp::{
    AddressState, AssocId, Grants, Notification, PathState, PrInfo, SndFlags, SndInfo,
};
use sockeye_tests::{Outcome, Result, check, fail, ignore, in_namespace};
use sockeye_wire::sctp::ChunkType;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Plays scenes against a stack, each as a test.
macro_rules! with {
    ($module:ident, $stack:ident: $($scene:ident),* $(,)?) => {
        pub(crate) mod $module {
            use sockeye_tests::{Result, Test, tests};

            pub(crate) const TESTS: &[Test] = tests![$($scene),*];

            $(fn $scene() -> Result {
                let name = concat!(module_path!(), "::", stringify!($scene));
                super::play(name, super::Stack::$stack, super::$scene)
            })*
        }
    };
}

with!(linux, Linux:
    messages_are_given_up,
    messages_interleave,
    interleaved_messages_are_given_up,
    streams_are_reset_and_added,
    all_numbers_begin_anew,
    addresses_come_and_go,
    chunks_are_signed,
    acknowledgments_come_at_once,
    all_goes_in_udp,
    marks_of_congestion_are_told,
    a_path_potentially_fails,
    a_peer_without_zero_checksums_gets_sums,
);
with!(usrsctp, Usrsctp:
    messages_are_given_up,
    messages_interleave,
    interleaved_messages_are_given_up,
    streams_are_reset_and_added,
    all_numbers_begin_anew,
    addresses_come_and_go,
    chunks_are_signed,
    acknowledgments_come_at_once,
    all_goes_in_udp,
    marks_of_congestion_are_told,
    a_path_potentially_fails,
    a_peer_without_zero_checksums_gets_sums,
);

fn play(name: &str, stack: Stack, scene: fn(Stack) -> Result<()>) -> Result {
    if let Some(why) = stack.missing() {
        return ignore!("{why}");
    }
    // The names of tests begin behind the crate's.
    in_namespace(name, crate::uml::LIMIT, || {
        scene(stack)?;
        Ok(Outcome::Passed)
    })
}

fn on(stream: u16) -> SndInfo {
    SndInfo {
        stream,
        ..SndInfo::default()
    }
}

/// Of `sent` unreliable messages on stream 1, and the reliable one behind them, some came, in order.
fn in_order(came: &[Message], sent: u32) -> Result<()> {
    let of_stream: Vec<Message> = came.iter().filter(|m| m.stream == 1).copied().collect();
    check!(
        of_stream.is_sorted_by_key(|message| message.number),
        "out of order: {of_stream:?}"
    );
    // What was given up before it was sent has no number in the stream.
    let follows = |pair: &[Message]| pair[0].ssn < pair[1].ssn;
    check!(
        of_stream.windows(2).all(follows),
        "numbered wrongly: {of_stream:?}"
    );
    let count = of_stream.len();
    check!(
        1 < count && count <= sent as usize,
        "of {sent} messages on a bad path {count} came"
    );
    Ok(())
}

/// How many messages may be given up.
const SENT: u32 = 120;

/// RFC 3758, RFC 7496: both sides give messages up, by number of retransmissions and by time, on a bad
/// path. What is reliable arrives, and the streams stay right.
fn given_up(stack: Stack, scene: &Scene<'_>, len: usize, forward: ChunkType) -> Result<()> {
    let mut stage = Stage::set(stack, scene)?;
    for first in (0..SENT).step_by(20) {
        let policy = match first % 40 {
            0 => PrInfo::Limited(0),
            _ => PrInfo::Timed(Duration::from_millis(30)),
        };
        let unreliable = SndInfo {
            reliability: policy,
            ..on(1)
        };
        stage.send(first..first + 20, len, unreliable)?;
        stage.send(1000 + first..1001 + first, len, on(2))?;
    }
    stage.send(SENT..SENT + 1, 50, on(1))?;
    stage.send(2000..2001, 50, on(2))?;
    // The two streams end in any order.
    let mut came = stage.peer.messages_until(SENT)?;
    if !came.iter().any(|message| message.number == 2000) {
        came.extend(stage.peer.messages_until(2000)?);
    }
    in_order(&came, SENT)?;
    let reliable = came.iter().filter(|message| message.stream == 2).count();
    check!(reliable == 7, "of 7 reliable messages {reliable} came");
    check!(
        stage.seen.count(true, forward) > 0,
        "the node gave nothing up"
    );
    if stack == Stack::Usrsctp && forward == ChunkType::I_FORWARD_TSN {
        // Where messages are interleaved, usrsctp 0.9.5 now and then gives up a reliable one, too, or
        // says so of one that arrived.
        return Ok(());
    }
    // usrsctp 0.9.5 now and then neither repeats nor skips a chunk that was lost, and has nothing but
    // heartbeats to say, or ends the association: then there is another one.
    for _ in 0..SILENCES {
        if stack == Stack::Usrsctp {
            stage.socket.set_read_timeout(Some(5 * SILENCE))?;
        }
        match given_up_by_the_peer(&mut stage, stack, len, forward) {
            Err(e) if e.is::<io::Error>() && stage.peer_fell_silent(stack, SILENCE) => {}
            done => return done,
        }
        stage = stage.again(stack, scene)?;
    }
    fail!("the peer fell silent {SILENCES} times")
}

/// In how many associations the peer may fall silent.
const SILENCES: usize = 10;
/// More than two of the longest timeouts of an association in haste.
const SILENCE: Duration = Duration::from_secs(1);

/// The way back of [`given_up`].
fn given_up_by_the_peer(
    stage: &mut Stage,
    stack: Stack,
    len: usize,
    forward: ChunkType,
) -> Result<()> {
    // Linux 6.1 now and then gives up the rest of a message whose beginning has arrived without a TSN
    // for it (RFC 3758 §3.5 A3 wants one), and what follows on the stream waits for that for ever: of
    // it nothing is fragmented.
    let len = match stack {
        Stack::Usrsctp => len,
        Stack::Linux => len.min(1000),
    };
    for first in (0..SENT).step_by(20) {
        let policy = if first % 40 == 0 { "rtx 0" } else { "ttl 30" };
        stage
            .peer
            .say(&format!("send 1 {first} 20 {len} {policy}"))?;
        let number = 1000 + first;
        stage.peer.say(&format!("send 2 {number} 1 {len}"))?;
    }
    stage.peer.say(&format!("send 1 {SENT} 1 50"))?;
    stage.peer.say("send 2 2000 1 50")?;
    let mut came = stage.messages_until(SENT)?;
    if !came.iter().any(|message| message.number == 2000) {
        came.extend(stage.messages_until(2000)?);
    }
    in_order(&came, SENT)?;
    let reliable = came.iter().filter(|message| message.stream == 2).count();
    check!(reliable == 7, "of 7 reliable messages {reliable} came back");
    check!(
        stage.seen.count(false, forward) > 0,
        "the peer gave nothing up"
    );
    stage.greet(3000)
}

fn messages_are_given_up(stack: Stack) -> Result<()> {
    let scene = Scene {
        haste: true,
        netem: "delay=5ms loss=15%",
        ..Scene::default()
    };
    given_up(stack, &scene, 2500, ChunkType::FORWARD_TSN)
}

/// What has messages interleaved (RFC 8260).
const INTERLEAVED: Scene<'_> = Scene {
    ours: "net.sctp.intl_enable=1",
    linux: "net.sctp.intl_enable=1",
    usrsctp: "",
    haste: true,
    bridges: 1,
    bound: 1,
    netem: "delay=5ms",
    before: &["interleave", "round-robin"],
    prepare: |socket| {
        socket.configure_sctp(AssocId::ALL, |settings| settings.interleaving = true)?;
        // SCTP_STREAM_SCHEDULER, SCTP_SS_RR.
        let value = [0_u32, 2].map(u32::to_ne_bytes).concat();
        Ok(socket.set_option_raw(132, 123, &value)?)
    },
    node: |_| Ok(()),
};

fn interleaved_messages_are_given_up(stack: Stack) -> Result<()> {
    let scene = Scene {
        netem: "delay=5ms loss=15%",
        ..INTERLEAVED
    };
    let len = match stack {
        Stack::Usrsctp => 2500,
        // See `messages_interleave`.
        Stack::Linux => 1000,
    };
    given_up(stack, &scene, len, ChunkType::I_FORWARD_TSN)
}

/// RFC 8260: a small message on another stream overtakes what was sent before it, both ways, and what
/// is unordered too: in the middle of one large message, or, with Linux, between messages that are not
/// fragmented. It numbers fragments from the second one on, where the RFC counts the first (§2.1), so
/// nothing fragmented passes between it and others.
fn messages_interleave(stack: Stack) -> Result<()> {
    let (count, len) = match stack {
        Stack::Usrsctp => (1, 200_000),
        Stack::Linux => (200, 1000),
    };
    let mut stage = Stage::set(stack, &INTERLEAVED)?;
    if stack == Stack::Linux {
        // Less than its messages have: some of them wait to be sent when it hears of the small one.
        stage.socket.set_recv_buffer_size(32 << 10)?;
    }
    for (first, unordered) in [(0, false), (1000, true)] {
        let (last, small) = (first + count - 1, first + 500);
        let flags = match unordered {
            true => SndFlags::UNORDERED,
            false => SndFlags::empty(),
        };
        let whole = |came: &[Message]| {
            let mut of_stream = came.iter().filter(|message| message.stream == 1);
            came.len() == count as usize + 1
                && of_stream.all(|message| message.len == len && message.unordered == unordered)
        };
        let before = stage.seen.all().len();
        stage.send(first..first + count, len, SndInfo { flags, ..on(1) })?;
        stage.send(small..small + 1, 100, on(2))?;
        let mut came = stage.peer.messages_until(last)?;
        if !came.iter().any(|message| message.number == small) {
            came.extend(stage.peer.messages_until(small)?);
        }
        check!(whole(&came), "{came:?}");
        overtakes(&stage, before, true)?;

        let before = stage.seen.all().len();
        let word = if unordered { "unordered" } else { "" };
        // Both at once: the first is not to be on its way before the second is heard of.
        stage.peer.say(&format!(
            "send 1 {first} {count} {len} {word}\nsend 2 {small} 1 100"
        ))?;
        let came = stage.messages_until(last)?;
        let overtaking = came.last().is_some_and(|message| message.number == last);
        check!(whole(&came) && overtaking, "of the peer: {came:?}");
        overtakes(&stage, before, false)?;
    }
    stage.seen.both(ChunkType::I_DATA)?;
    for ours in [true, false] {
        let plain = stage.seen.count(ours, ChunkType::DATA);
        check!(plain == 0, "{plain} DATA chunks, ours: {ours}");
    }
    Ok(())
}

/// On the wire stream 2 has its say in the middle of stream 1's.
fn overtakes(stage: &Stage, before: usize, ours: bool) -> Result<()> {
    let crossed = stage.seen.all().split_off(before);
    let streams = crossed.iter().filter(|seen| seen.ours == ours);
    let streams: Vec<u16> = streams.filter_map(|seen| seen.stream).collect();
    let small = streams.iter().position(|stream| *stream == 2);
    let small = small.ok_or("the small one was not sent")?;
    check!(
        streams[..small].contains(&1) && streams[small..].contains(&1),
        "not in between, ours: {ours}: {streams:?}"
    );
    Ok(())
}

fn grant_all(socket: &Socket) -> Result<()> {
    Ok(socket.configure_sctp(AssocId::ALL, |settings| settings.grants = Grants::all())?)
}

/// What has streams reset (RFC 6525).
const RECONFIGURED: Scene<'_> = Scene {
    ours: "net.sctp.reconf_enable=1",
    linux: "net.sctp.reconf_enable=1",
    usrsctp: "",
    haste: true,
    bridges: 1,
    bound: 1,
    netem: "delay=2ms",
    before: &["grant 7"],
    prepare: grant_all,
    node: |_| Ok(()),
};

const INCOMING: u16 = 1;
const OUTGOING: u16 = 2;

/// SCTP_RESET_STREAMS.
fn reset(stage: &Stage, flags: u16, stream: u16) -> Result<()> {
    let fields = [0, 0, flags, 1, stream];
    let value: Vec<u8> = fields
        .iter()
        .flat_map(|field| field.to_ne_bytes())
        .collect();
    Ok(stage.socket.set_option_raw(132, 119, &value)?)
}

fn is_reset(notice: &Notification, expected: u16, stream: u16) -> bool {
    matches!(notice, Notification::StreamReset { flags, streams, .. }
        if *flags == expected && streams[..] == [stream])
}

/// The numbers that three messages on a stream have at the peer, or at the node.
fn numbers(stage: &mut Stage, ours: bool, stream: u16, first: u32) -> Result<Vec<u16>> {
    let last = first + 2;
    let came = if ours {
        stage.send(first..first + 3, 100, on(stream))?;
        stage.peer.messages_until(last)?
    } else {
        stage.peer.say(&format!("send {stream} {first} 3 100"))?;
        stage.messages_until(last)?
    };
    Ok(came.iter().map(|message| message.ssn).collect())
}

/// RFC 6525: each side resets its own streams and the other's, and adds some, and both are told.
fn streams_are_reset_and_added(stack: Stack) -> Result<()> {
    let mut stage = Stage::set(stack, &RECONFIGURED)?;
    let anew = [0, 1, 2];
    // Streams 1 and 3 are the sender's to reset, 2 and 4 the receiver's.
    for (ours, stream) in [(true, 1), (false, 2), (false, 3), (true, 4)] {
        let first = u32::from(stream) * 100;
        let before = numbers(&mut stage, ours, stream, first)?;
        check!(before == anew, "stream {stream} begins with {before:?}");
    }
    reset(&stage, OUTGOING, 1)?;
    stage.notice("our stream is reset", |said| is_reset(said, OUTGOING, 1))?;
    stage.peer.wait_for("reset 1: 1")?;
    reset(&stage, INCOMING, 2)?;
    stage.notice("the peer's stream is reset", |said| {
        is_reset(said, INCOMING, 2)
    })?;
    stage.peer.wait_for("reset 2: 2")?;
    stage.peer.say("reset out 3")?;
    stage.notice("the peer resets its own", |said| {
        is_reset(said, INCOMING, 3)
    })?;
    stage.peer.wait_for("reset 2: 3")?;
    stage.peer.say("reset in 4")?;
    stage.notice("the peer resets ours", |said| is_reset(said, OUTGOING, 4))?;
    stage.peer.wait_for("reset 1: 4")?;
    for (ours, stream) in [(true, 1), (false, 2), (false, 3), (true, 4)] {
        let first = u32::from(stream) * 100 + 10;
        let after = numbers(&mut stage, ours, stream, first)?;
        check!(
            after == anew,
            "after its reset stream {stream} has {after:?}"
        );
    }

    // SCTP_ADD_STREAMS: so many more in and out.
    let status = stage.socket.sctp_status(AssocId::FUTURE)?;
    let (out, inward) = (status.out_streams, status.in_streams);
    let more: Vec<u8> = [0_u16, 0, 0, 5]
        .iter()
        .flat_map(|field| field.to_ne_bytes())
        .collect();
    stage.socket.set_option_raw(132, 121, &more)?;
    stage.notice(
        "five streams more",
        |said| matches!(said, Notification::StreamChange { streams, .. } if streams.1 == out + 5),
    )?;
    stage.peer.wait_for("streams 0: ")?;
    let new = numbers(&mut stage, true, out + 4, 700)?;
    check!(new == anew, "a new stream has {new:?}");
    stage.peer.say("add-streams 3 0")?;
    stage.notice("three streams more", |said| {
        matches!(said, Notification::StreamChange { streams, .. } if streams.0 == inward + 3)
    })?;
    stage.peer.wait_for("streams 0: ")?;
    let new = numbers(&mut stage, false, inward + 2, 800)?;
    check!(new == anew, "a new stream of the peer has {new:?}");
    stage.seen.both(ChunkType::RE_CONFIG)
}

/// RFC 6525 §4.3: TSNs and all streams begin anew, asked for by either side.
fn all_numbers_begin_anew(stack: Stack) -> Result<()> {
    let mut stage = Stage::set(stack, &RECONFIGURED)?;
    for ours in [true, false] {
        for (sender, first) in [(true, 100), (false, 200)] {
            let before = numbers(&mut stage, sender, 1, first)?;
            check!(before == [0, 1, 2], "before: {before:?}");
        }
        if ours {
            // SCTP_RESET_ASSOC.
            stage.set_words(120, &[0])?;
        } else {
            stage.peer.say("reset-tsns")?;
        }
        stage.notice("new numbers", |said| {
            matches!(said, Notification::AssocReset { flags: 0, .. })
        })?;
        stage.peer.wait_for("tsns 0")?;
    }
    stage.greet(300)?;
    stage.seen.both(ChunkType::RE_CONFIG)
}

fn of(notice: &Notification, ip: &str, expected: AddressState) -> bool {
    matches!(notice, Notification::PeerAddrChange { address, state, .. }
        if address.ip().to_string() == ip && *state == expected)
}

/// RFC 5061: each side adds an address, has the other prefer it, and strikes the first.
fn addresses_come_and_go(stack: Stack) -> Result<()> {
    let scene = Scene {
        ours: "net.sctp.auth_enable=1 net.sctp.addip_enable=1",
        linux: "net.sctp.auth_enable=1 net.sctp.addip_enable=1",
        usrsctp: "auth=1 asconf=1",
        haste: true,
        bridges: 2,
        netem: "delay=2ms",
        ..Scene::default()
    };
    let mut stage = Stage::set(stack, &scene)?;
    stage.greet(1)?;
    let port = stage.socket.local_addr()?.port();
    let own = OURS.map(|ip| format!("{ip}:{port}").parse::<SocketAddr>());
    let [first, second] = own;
    let (first, second) = (first?, second?);

    stage.socket.bind_add(&[second])?;
    stage.peer.wait_for(&format!("address {} added", OURS[1]))?;
    stage
        .peer
        .wait_for(&format!("address {} confirmed", OURS[1]))?;
    stage.greet(2)?;
    prefer(&stage, second)?;
    stage
        .peer
        .wait_for(&format!("address {} primary", OURS[1]))?;
    stage.greet(3)?;
    stage.socket.bind_remove(&[first])?;
    stage
        .peer
        .wait_for(&format!("address {} removed", OURS[0]))?;
    stage.greet(4)?;

    let theirs = match stack {
        Stack::Linux => 5001,
        Stack::Usrsctp => 6000,
    };
    let say =
        |stage: &mut Stage, word: &str, ip: &str| stage.peer.say(&format!("{word} {ip} {theirs}"));
    say(&mut stage, "add-address", PEER[1])?;
    stage.notice("the peer's second is added", |said| {
        of(said, PEER[1], AddressState::Added)
    })?;
    stage.notice("and confirmed", |said| {
        of(said, PEER[1], AddressState::Confirmed)
    })?;
    stage.greet(5)?;
    say(&mut stage, "prefer", PEER[1])?;
    stage.notice("it is preferred", |said| {
        of(said, PEER[1], AddressState::MadePrimary)
    })?;
    stage.greet(6)?;
    say(&mut stage, "remove-address", PEER[0])?;
    stage.notice("the peer's first goes", |said| {
        of(said, PEER[0], AddressState::Removed)
    })?;
    stage.greet(7)?;
    let left = stage.socket.peer_addrs(AssocId::FUTURE)?;
    check!(
        left.iter().map(|addr| addr.ip().to_string()).eq([PEER[1]]),
        "the peer has {left:?}"
    );
    stage.seen.both(ChunkType::ASCONF)?;
    stage.seen.both(ChunkType::ASCONF_ACK)?;
    stage.seen.both(ChunkType::AUTH)
}

/// SCTP_SET_PEER_PRIMARY_ADDR.
fn prefer(stage: &Stage, own: SocketAddr) -> Result<()> {
    let SocketAddr::V4(own) = own else {
        return Err("an IPv4 address".into());
    };
    let mut value = vec![0; 132];
    value[4..6].copy_from_slice(&2_u16.to_ne_bytes());
    value[6..8].copy_from_slice(&own.port().to_be_bytes());
    value[8..12].copy_from_slice(&own.ip().octets());
    Ok(stage.socket.set_option_raw(132, 5, &value)?)
}

/// SCTP_AUTH_KEY.
fn set_key(socket: &Socket, id: u16, secret: &str) -> Result<()> {
    let mut value = vec![0; 4];
    value.extend(id.to_ne_bytes());
    value.extend((secret.len() as u16).to_ne_bytes());
    value.extend(secret.bytes());
    Ok(socket.set_option_raw(132, 23, &value)?)
}

/// SCTP_AUTH_ACTIVE_KEY.
fn activate(socket: &Socket, id: u16) -> Result<()> {
    let value = [[0; 2], [0; 2], id.to_ne_bytes(), [0; 2]].concat();
    Ok(socket.set_option_raw(132, 24, &value)?)
}

/// RFC 4895: DATA and SACK go signed under a shared key, that is changed on the way; what is signed
/// with another key is not taken.
fn chunks_are_signed(stack: Stack) -> Result<()> {
    let scene = Scene {
        ours: "net.sctp.auth_enable=1",
        linux: "net.sctp.auth_enable=1",
        usrsctp: "auth=1",
        haste: true,
        before: &[
            "signed-chunk 0",
            "signed-chunk 3",
            "key 1 secret",
            "active-key 1",
        ],
        prepare: |socket| {
            for kind in [0, 3] {
                socket.set_option_raw(132, 21, &[kind])?;
            }
            set_key(socket, 1, "secret")?;
            activate(socket, 1)
        },
        ..Scene::default()
    };
    let mut stage = Stage::set(stack, &scene)?;
    for round in 0..3 {
        let first = round * 100;
        stage.send(first..first + 50, 3000, on(1))?;
        stage.peer.messages_until(first + 49)?;
        stage.peer.say(&format!("send 1 {first} 50 3000"))?;
        stage.messages_until(first + 49)?;
        // A key of two, for the next round.
        let key = round + 2;
        stage.peer.say(&format!("key {key} another{key}"))?;
        set_key(&stage.socket, key as u16, &format!("another{key}"))?;
        // It is known before it is used.
        stage.greet(1000 + round)?;
        stage.peer.say(&format!("active-key {key}"))?;
        activate(&stage.socket, key as u16)?;
    }
    stage.seen.both(ChunkType::AUTH)?;
    for ours in [true, false] {
        let data = [ChunkType::DATA, ChunkType::SACK];
        let mut unsigned = 0;
        let mut signed = false;
        for crossed in stage.seen.all().iter().filter(|seen| seen.ours == ours) {
            // Each packet that has such a chunk has an AUTH chunk before it.
            signed = crossed.kind == ChunkType::AUTH || signed && data.contains(&crossed.kind);
            unsigned += usize::from(data.contains(&crossed.kind) && !signed);
        }
        check!(
            unsigned == 0,
            "{unsigned} chunks are not signed; ours: {ours}"
        );
    }

    // Both have a key 9, but not the same one.
    stage.peer.say("key 9 theirs")?;
    set_key(&stage.socket, 9, "ours")?;
    activate(&stage.socket, 9)?;
    let heard = stage.seen.count(false, ChunkType::SACK);
    stage.send(5000..5001, 100, on(1))?;
    std::thread::sleep(Duration::from_millis(600));
    let sent = stage.seen.count(true, ChunkType::DATA);
    check!(
        stage.seen.count(false, ChunkType::SACK) == heard,
        "it was acknowledged"
    );
    activate(&stage.socket, 4)?;
    let came = stage.peer.messages_until(5000)?;
    check!(came.len() == 1, "more than it came: {came:?}");
    check!(
        stage.seen.count(true, ChunkType::DATA) > sent,
        "it was not sent again"
    );
    stage.greet(6000)
}

/// RFC 7053: the receiver's acknowledgment waits, unless the sender has set the I bit.
fn acknowledgments_come_at_once(stack: Stack) -> Result<()> {
    const IMMEDIATE: u8 = 8;
    let scene = Scene {
        before: &["sack 400 9"],
        prepare: |socket| {
            Ok(socket.configure_sctp(AssocId::ALL, |settings| {
                settings.sack_delay = Duration::from_millis(400);
                settings.sack_frequency = 9;
            })?)
        },
        ..Scene::default()
    };
    let mut stage = Stage::set(stack, &scene)?;
    // The first DATA of an association is acknowledged at once.
    for number in 0..3 {
        stage.greet(number)?;
    }
    std::thread::sleep(Duration::from_millis(600));
    for (ours, at_once) in [(true, false), (true, true), (false, false), (false, true)] {
        let number = 10 + u32::from(ours) * 2 + u32::from(at_once);
        let before = stage.seen.all().len();
        if ours {
            let flags = match at_once {
                true => SndFlags::SACK_IMMEDIATELY,
                false => SndFlags::empty(),
            };
            stage.send(number..number + 1, 100, SndInfo { flags, ..on(1) })?;
            stage.peer.messages_until(number)?;
        } else {
            let word = if at_once { "now" } else { "" };
            stage.peer.say(&format!("send 1 {number} 1 100 {word}"))?;
            stage.messages_until(number)?;
        }
        std::thread::sleep(Duration::from_millis(700));
        let crossed = stage.seen.all().split_off(before);
        let data = crossed
            .iter()
            .find(|seen| seen.ours == ours && seen.kind == ChunkType::DATA);
        let data = data.ok_or("no DATA")?;
        check!(
            (data.flags & IMMEDIATE != 0) == at_once,
            "flags {:#x}, ours: {ours}, at once: {at_once}",
            data.flags
        );
        let sack = crossed
            .iter()
            .find(|seen| seen.ours != ours && seen.kind == ChunkType::SACK);
        let waited = sack.ok_or("no SACK")?.at - data.at;
        check!(
            (waited < Duration::from_millis(200)) == at_once,
            "the SACK came after {waited:?}, ours: {ours}, at once: {at_once}"
        );
    }
    Ok(())
}

/// RFC 6951: all of it goes in UDP, both ways.
fn all_goes_in_udp(stack: Stack) -> Result<()> {
    let udp = "net.sctp.udp_port=9899 net.sctp.encap_port=9899";
    let scene = Scene {
        ours: match stack {
            Stack::Linux => udp,
            // Where the peer connects, its port is learned.
            Stack::Usrsctp => "net.sctp.udp_port=9899",
        },
        linux: udp,
        usrsctp: "udp=9899",
        haste: true,
        netem: "delay=2ms loss=3% duplicate=2%",
        ..Scene::default()
    };
    let mut stage = Stage::set(stack, &scene)?;
    stage.send(0..200, 3000, on(1))?;
    let came = stage.peer.messages_until(199)?;
    check!(came.len() == 200, "{} messages came", came.len());
    stage.peer.say("send 1 0 200 3000")?;
    let came = stage.messages_until(199)?;
    check!(came.len() == 200, "{} messages came back", came.len());
    let bare = stage.seen.all().iter().filter(|seen| !seen.in_udp).count();
    check!(bare == 0, "{bare} chunks did not go in UDP");
    Ok(())
}

/// RFC 9260 appendix A of RFC 4960: marks are echoed and answered, both ways, and nothing is lost.
fn marks_of_congestion_are_told(stack: Stack) -> Result<()> {
    let scene = Scene {
        haste: true,
        // Instead of being lost, packets are marked.
        netem: "delay=2ms loss=5% ecn",
        ..Scene::default()
    };
    let mut stage = Stage::set(stack, &scene)?;
    stage.send(0..200, 3000, on(1))?;
    let came = stage.peer.messages_until(199)?;
    check!(came.len() == 200, "{} messages came", came.len());
    check!(
        stage.seen.count(false, ChunkType::ECNE) > 0,
        "the peer echoes no mark"
    );
    check!(
        stage.seen.count(true, ChunkType::CWR) > 0,
        "the node answers none"
    );
    stage.peer.say("send 1 0 200 3000")?;
    let came = stage.messages_until(199)?;
    check!(came.len() == 200, "{} messages came back", came.len());
    check!(
        stage.seen.count(true, ChunkType::ECNE) > 0,
        "the node echoes no mark"
    );
    // usrsctp 0.9.5 does not know an ECNE chunk without its own extension; what we send is the RFC's.
    let answers = stage.seen.count(false, ChunkType::CWR) > 0;
    check!(
        answers == (stack == Stack::Linux),
        "the peer answers: {answers}"
    );
    Ok(())
}

/// RFC 7829: a path that fails once is not used for data, long before it is given up; then it is back.
fn a_path_potentially_fails(stack: Stack) -> Result<()> {
    let pf = "net.sctp.pf_enable=1 net.sctp.pf_retrans=0 net.sctp.path_max_retrans=50 \
              net.sctp.association_max_retrans=100 net.sctp.pf_expose=2";
    let scene = Scene {
        ours: pf,
        linux: pf,
        haste: true,
        bridges: 2,
        bound: 2,
        ..Scene::default()
    };
    let mut stage = Stage::set(stack, &scene)?;
    stage.greet(1)?;
    // Both paths are known to work.
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    loop {
        let paths = stage.socket.sctp_paths(AssocId::FUTURE)?;
        if paths.iter().all(|path| path.state == PathState::Active) {
            break;
        }
        check!(std::time::Instant::now() < deadline, "{paths:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    crate::uml::ip("link set sockeye0 nomaster")?;
    stage.send(2..20, 3000, on(1))?;
    stage.notice("it potentially fails", |said| {
        of(said, PEER[0], AddressState::PotentiallyFailed)
    })?;
    stage.peer.messages_until(19)?;
    stage.peer.say("send 1 30 20 3000")?;
    stage.messages_until(49)?;
    if stack == Stack::Linux {
        stage
            .peer
            .wait_for(&format!("address {} potentially-failed", OURS[0]))?;
    }
    let before = stage.seen.all().len();
    crate::uml::ip("link set sockeye0 master br0")?;
    stage.notice("it is back", |said| {
        of(said, PEER[0], AddressState::Available)
    })?;
    let beats = stage.seen.all().split_off(before);
    let answered =
        |seen: &crate::sctp_stage::Crossed| !seen.ours && seen.kind == ChunkType::HEARTBEAT_ACK;
    check!(beats.iter().any(answered), "nothing showed it: {beats:?}");
    stage.greet(60)
}

/// RFC 9653: who has not said that it takes zero gets checksums, all of them.
fn a_peer_without_zero_checksums_gets_sums(stack: Stack) -> Result<()> {
    let scene = Scene {
        node: |node| {
            let mut config = node.config()?;
            config.sctp.zero_checksum = true;
            Ok(node.set_config(config)?)
        },
        ..Scene::default()
    };
    let mut stage = Stage::set(stack, &scene)?;
    stage.send(0..50, 1000, on(1))?;
    stage.peer.messages_until(49)?;
    stage.greet(100)?;
    let zero = stage
        .seen
        .all()
        .iter()
        .filter(|seen| seen.checksum == 0)
        .count();
    check!(zero == 0, "{zero} chunks went without a checksum");
    Ok(())
}
