//! One datagram out of several sends: UDP_CORK and MSG_MORE (udp(7)).

use super::*;

fn more() -> SendOptions {
    SendOptions {
        more: true,
        ..SendOptions::default()
    }
}

#[test]
fn what_is_corked_leaves_as_one_datagram() {
    let (mut a, mut b) = pair();
    let c = a.bound("10.0.0.1:7");
    let s = b.bound("10.0.0.2:9");
    a.set(c, SocketOption::UdpCork, 1).unwrap();
    assert_eq!(a.send_to(c, b"a whole ", "10.0.0.2:9"), Ok(8));
    // Where it goes was said by the first.
    assert_eq!(a.send_to(c, b"datagram", "10.0.0.3:9"), Ok(8));
    assert!(a.sent().is_empty());
    a.set(c, SocketOption::UdpCork, 0).unwrap();
    b.arrive(a.sent());
    assert_eq!(b.text(s), Ok("a whole datagram".into()));
    assert_eq!(a.count(Counter::UdpOutDatagrams), 1);
}

#[test]
fn msg_more_keeps_what_the_next_send_lets_out() {
    let (mut a, mut b) = pair();
    let c = a.bound("10.0.0.1:7");
    let s = b.bound("10.0.0.2:9");
    a.send_with(c, b"first, ", "10.0.0.2:9", &more()).unwrap();
    a.send_with(c, b"second, ", "10.0.0.2:9", &more()).unwrap();
    assert!(a.sent().is_empty());
    // Nothing is said any more of where it goes.
    assert_eq!(a.send(c, b"last"), Ok(4));
    b.arrive(a.sent());
    assert_eq!(b.text(s), Ok("first, second, last".into()));
    assert_eq!(a.send(c, b"next"), Err(Error::DestinationRequired));
}

#[test]
fn too_much_is_lost_as_a_whole() {
    let mut a = Host::new(&["10.0.0.1/24"]);
    let c = a.bound("10.0.0.1:7");
    let half = vec![0; 40_000];
    a.send_with(c, &half, "10.0.0.2:9", &more()).unwrap();
    let long = a.send_with(c, &half, "10.0.0.2:9", &more());
    assert_eq!(long, Err(Error::MessageSize));
    a.set(c, SocketOption::UdpCork, 0).unwrap();
    assert!(a.sent().is_empty());
    assert_eq!(a.send_to(c, b"x", "10.0.0.2:9"), Ok(1));
    assert_eq!(a.sent()[0].len(), 29);
}
