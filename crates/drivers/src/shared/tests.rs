use super::*;
use crate::switch::tests::{frame, mac};
use sockeye_link::{Checksum, Gso, GsoKind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

const NOW: Instant = Instant::ZERO;

/// A directory of the test's own, which goes with it.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let name = format!("sockeye-switch-{}-{serial}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn join(&self, last: u8) -> SharedSwitch {
        SharedSwitch::join(&self.0, mac(last)).unwrap()
    }

    fn names(&self) -> usize {
        std::fs::read_dir(&self.0).unwrap().count()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn send(member: &mut SharedSwitch, packet: Packet) {
    assert_eq!(member.send_batch(NOW, &mut [packet].into()).unwrap(), 1);
}

fn receive(member: &mut SharedSwitch) -> Batch {
    let mut rx = Batch::new();
    member.recv_batch(NOW, &mut rx, 64).unwrap();
    rx
}

/// Each takes what came, so that it accepts who joined, too.
fn counts<const N: usize>(members: &mut [SharedSwitch; N]) -> [usize; N] {
    members.each_mut().map(|member| receive(member).len())
}

/// A process that speaks to a member by itself.
fn stranger(place: &Place, last: u8) -> OwnedFd {
    let name = format!("02000000000{last:x}.v1");
    let address = net::SocketAddrUnix::new(place.0.join(name)).unwrap();
    let socket = net::socket(net::AddressFamily::UNIX, net::SocketType::SEQPACKET, None);
    let socket = socket.unwrap();
    net::connect(&socket, &address).unwrap();
    socket
}

#[test]
fn stations_are_learnt_and_others_flooded() {
    let place = Place::new();
    let mut members = [1, 2, 3].map(|last| place.join(last));
    assert_eq!(counts(&mut members), [0; 3]);
    assert_eq!(members.each_ref().map(SharedSwitch::members), [2; 3]);
    send(&mut members[0], frame(mac(2), mac(1), b"unknown"));
    assert_eq!(counts(&mut members), [0, 1, 1]);
    send(&mut members[1], frame(mac(1), mac(2), b"known"));
    assert_eq!(counts(&mut members), [1, 0, 0]);
    send(&mut members[0], frame(mac(2), mac(1), b"known now"));
    assert_eq!(counts(&mut members), [0, 1, 0]);
    send(&mut members[2], frame(MacAddr::BROADCAST, mac(3), b"all"));
    assert_eq!(counts(&mut members), [1, 1, 0]);
    assert_eq!(members[0].counters().flooded, 1);
    assert_eq!(members[0].counters().forwarded, 1);
}

#[test]
fn a_super_segment_crosses_whole() {
    let place = Place::new();
    let [mut a, mut b] = [1, 2].map(|last| place.join(last));
    receive(&mut a);
    let mut packet = frame(mac(2), mac(1), &[7; 60_000]);
    packet.meta.checksum = Checksum::Partial {
        start: 34,
        offset: 16,
    };
    packet.meta.gso = Some(Gso {
        kind: GsoKind::TcpV4,
        size: 1448,
    });
    let (octets, meta) = (packet.to_vec(), packet.meta);
    send(&mut a, packet);
    let received = receive(&mut b).pop_front().unwrap();
    assert_eq!(received.to_vec(), octets);
    assert_eq!(received.meta.checksum, meta.checksum);
    assert_eq!(received.meta.gso, meta.gso);
}

#[test]
fn who_leaves_is_forgotten_and_its_name_is_free() {
    let place = Place::new();
    let [mut a, b] = [1, 2].map(|last| place.join(last));
    receive(&mut a);
    assert!(a.has_carrier());
    let error = SharedSwitch::join(&place.0, mac(2)).unwrap_err();
    assert!(
        error.to_string().contains("02:00:00:00:00:02 already"),
        "{error}"
    );
    drop(b);
    receive(&mut a);
    assert!(!a.has_carrier());
    assert_eq!(place.names(), 1);
    let mut b = place.join(2);
    send(&mut a, frame(mac(2), mac(1), b"nobody was there yet"));
    assert_eq!(receive(&mut b).len(), 0, "it has not been accepted");
    receive(&mut a);
    send(&mut a, frame(mac(2), mac(1), b"there it is"));
    assert_eq!(receive(&mut b).len(), 1);
}

/// As a process leaves it that is killed: the sockets are closed, the name stays.
#[test]
fn the_name_of_a_dead_member_is_taken_away() {
    let place = Place::new();
    let mut a = place.join(1);
    let dead = |last| {
        let member = place.join(last);
        let name = place.0.join(format!("02000000000{last}.v1"));
        let kept = place.0.join("kept");
        std::fs::hard_link(&name, &kept).unwrap();
        drop(member);
        std::fs::rename(kept, name).unwrap();
    };
    dead(2);
    assert_eq!(place.names(), 2);
    let mut b = place.join(2);
    dead(3);
    assert_eq!(place.names(), 3);
    let _c = place.join(4);
    assert_eq!(place.names(), 3, "3 is gone");
    receive(&mut a);
    send(&mut b, frame(mac(1), mac(2), b"anew"));
    assert_eq!(receive(&mut a).len(), 1);
}

#[test]
fn a_slow_member_holds_up_nobody() {
    let place = Place::new();
    let mut members = [1, 2, 3].map(|last| place.join(last));
    counts(&mut members);
    let mut got = 0;
    let sent = 4000;
    for _ in 0..sent {
        send(
            &mut members[0],
            frame(MacAddr::BROADCAST, mac(1), &[0; 1400]),
        );
        got += receive(&mut members[1]).len();
    }
    assert_eq!(got, sent, "the quick one got all");
    let dropped = members[0].counters().dropped;
    assert!(
        dropped > 0,
        "4000 frames are more than a queue and a socket hold"
    );
    // What waited follows as the slow one takes something, and the order is kept.
    let mut late = 0;
    loop {
        let round = receive(&mut members[2]).len();
        receive(&mut members[0]);
        late += round;
        if round == 0 {
            break;
        }
    }
    assert_eq!(late as u64 + dropped, sent as u64);
    assert_eq!(members[0].members(), 2);
}

#[test]
fn what_is_no_frame_is_dropped_and_counted() {
    let place = Place::new();
    let mut member = place.join(1);
    let stranger = stranger(&place, 1);
    let none = RecvFlags::DONTWAIT;
    let say = |octets: &[u8]| net::send(&stranger, octets, SendFlags::empty()).unwrap();
    say(b"short");
    say(&[0; vnet::LEN + 13]);
    // A checksum's place behind the end, a super-segment of nothing, a sender that is a group.
    let with = |header: [u8; vnet::LEN], source| {
        let frame = frame(mac(1), source, &[0; 60]);
        [&header[..], &frame.to_vec()].concat()
    };
    say(&with([1, 0, 0, 0, 0, 0, 60, 0, 16, 0], mac(9)));
    say(&with([1, 1, 0, 0, 0, 0, 34, 0, 16, 0], mac(9)));
    say(&with([0; vnet::LEN], MacAddr::BROADCAST));
    let mut long = with([0; vnet::LEN], mac(9));
    long.resize(MESSAGE_MAX + 1, 0);
    say(&long);
    say(&with([0; vnet::LEN], mac(9)));
    assert_eq!(receive(&mut member).len(), 1, "the last one is a frame");
    assert_eq!(member.counters().rx_malformed, 6);
    // Nothing at all is the end.
    net::send(&stranger, &[], SendFlags::empty()).unwrap();
    receive(&mut member);
    assert_eq!(member.members(), 0);
    assert_eq!(net::recv(&stranger, &mut [0; 1], none).unwrap().1, 0);
}

#[test]
fn one_who_claims_many_stations_fills_a_bounded_table() {
    let place = Place::new();
    let mut member = place.join(1);
    let stranger = stranger(&place, 1);
    for i in 0..=crate::switch::STATIONS_MAX as u32 {
        let [a, b, c, d] = i.to_be_bytes();
        let frame = frame(mac(1), MacAddr([2, 1, a, b, c, d]), b"me, too");
        let message = [&[0; vnet::LEN][..], &frame.to_vec()].concat();
        net::send(&stranger, &message, SendFlags::empty()).unwrap();
        assert_eq!(receive(&mut member).len(), 1);
    }
    assert_eq!(member.stations.len(), crate::switch::STATIONS_MAX);
    assert_eq!(member.counters().table_full, 1);
    drop(stranger);
    receive(&mut member);
    assert_eq!(member.stations.len(), 0);
}

#[test]
fn there_is_no_room_for_more_members_than_the_limit() {
    let place = Place::new();
    let mut member = place.join(1);
    let mut strangers = Vec::new();
    for _ in 0..MEMBERS_MAX + 3 {
        strangers.push(stranger(&place, 1));
        receive(&mut member);
    }
    assert_eq!(member.members(), MEMBERS_MAX);
    assert_eq!(member.counters().members_refused, 3);
}

#[test]
fn errors_say_what_to_do() {
    let fault = |path: &Path| SharedSwitch::join(path, mac(1)).unwrap_err().to_string();
    assert!(fault(Path::new("/proc/none")).contains("cannot be a switch"));
    assert!(fault(Path::new("/dev/null")).contains("it is a directory"));
    let place = Place::new();
    let long = place.0.with_file_name("long".repeat(30));
    assert!(fault(&long).contains("too long"));
    std::fs::remove_dir(long).unwrap();
}
