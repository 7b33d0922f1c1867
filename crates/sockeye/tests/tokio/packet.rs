use crate::common::{pair, soon};
use sockeye::tokio::{PacketSocket, UdpSocket};
use sockeye::{LinkAddr, PacketType, Protocol};

#[tokio::test]
async fn frames_are_waited_for_and_sent() {
    let pair = pair();
    let ipv4 = Protocol::of_frames(0x0800);
    let far = PacketSocket::cooked_on(&pair.far, ipv4).unwrap();
    // Somebody is there, or the answer would be an error.
    let _listener = UdpSocket::bind_on(&pair.far, "10.0.0.2:53").await.unwrap();
    let near = UdpSocket::bind_on(&pair.near, "10.0.0.1:0").await.unwrap();
    let mut buf = [0; 100];
    let seen = async { soon(far.recv_from(&mut buf)).await.unwrap() };
    let send = async { near.send_to(b"datagram", "10.0.0.2:53").await.unwrap() };
    let ((len, from), _) = tokio::join!(seen, send);
    assert_eq!(&buf[len - 8..len], b"datagram");
    assert_eq!(from.packet_type, PacketType::Host);

    // An IP packet of its own making, for nobody at all.
    let mut packet = [0; 20];
    packet[0] = 0x45;
    packet[12..16].copy_from_slice(&[10, 0, 0, 2]);
    far.bind(&LinkAddr::new(0, from.interface)).unwrap();
    let near = PacketSocket::new_on(&pair.near, ipv4).unwrap();
    assert_eq!(soon(far.send(&packet)).await.unwrap(), 20);
    let len = soon(near.recv(&mut buf)).await.unwrap();
    assert_eq!(buf[..len], packet);
}
