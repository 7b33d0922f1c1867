//! Super-segments over links that take them, and over links that don't.

use crate::common::{LINK, Probe, link, node};
use bytes::Bytes;
use sockeye_core::{Capabilities, Checksum, Gso, GsoKind, Medium, Payload, RouteQuery, SendInfo};
use sockeye_link::{GsoKinds, Tags};
use sockeye_node::{Batch, Instant, IpProtocol, Node, Packet};
use sockeye_wire::{checksum, tcp};
use std::net::IpAddr;

const NOW: Instant = Instant::ZERO;

fn pair(capabilities: Capabilities) -> (Node, Node) {
    let mut nodes = ["10.0.0.1/24", "10.0.0.2/24"].map(|a| node(1, capabilities, &[a]));
    nodes[1].register(Box::new(Probe::default()), IpProtocol::TCP);
    nodes.into()
}

/// Sends 4000 bytes of a TCP stream as one super-segment, as the TCP of a node does.
fn send_super_segment(node: &mut Node) {
    let mut cx = node.context(NOW);
    let destination: IpAddr = "10.0.0.2".parse().unwrap();
    let route = cx
        .route(&RouteQuery {
            destination,
            source: None,
            interface: None,
            foreign_source: false,
        })
        .unwrap();
    let mut payload = Payload::new();
    payload.push((0..4000).map(|n| n as u8).collect::<Vec<u8>>().into());
    payload.push(Bytes::new());
    let mut packet = Packet::with_payload(payload);
    let len = (tcp::HEADER_LEN + 4000) as u32;
    let pseudo = checksum::pseudo_header(route.source, destination, IpProtocol::TCP, len);
    let header = packet.push(tcp::HEADER_LEN);
    header[1] = 1;
    header[3] = 2;
    header[12] = 0x50;
    header[13] = 0x10;
    header[16..18].copy_from_slice(&pseudo.folded().to_be_bytes());
    packet.meta.checksum = Checksum::Partial {
        start: 0,
        offset: 16,
    };
    packet.meta.gso = Some(Gso {
        kind: GsoKind::TcpV4,
        size: 1460,
    });
    let info = SendInfo {
        route,
        destination,
        protocol: IpProtocol::TCP,
        hop_limit: 64,
        traffic_class: 0,
        flow_label: 0,
        dont_fragment: true,
        tags: Tags::default(),
    };
    cx.send(&info, packet).unwrap();
}

fn lengths(batch: &Batch) -> Vec<usize> {
    batch.iter().map(Packet::len).collect()
}

#[test]
fn a_link_that_takes_super_segments_gets_them_whole() {
    let (mut a, mut b) = pair(link(Medium::Ip, 1500));
    send_super_segment(&mut a);
    let mut batch = Batch::new();
    a.poll_transmit(NOW, LINK, &mut batch, 64);
    assert_eq!(lengths(&batch), [4040]);
    b.handle_batch(NOW, LINK, &mut batch);
    assert_eq!(
        Probe::take_log(&mut b, IpProtocol::TCP),
        ["10.0.0.1 > 10.0.0.2: 4020"]
    );
}

#[test]
fn for_another_link_they_are_cut_summed_and_merged_again() {
    let plain = Capabilities {
        tx_checksum: false,
        gso: GsoKinds::NONE,
        gso_max: 0,
        ..link(Medium::Ip, 1500)
    };
    let (mut a, mut b) = pair(plain);
    send_super_segment(&mut a);
    let mut batch = Batch::new();
    a.poll_transmit(NOW, LINK, &mut batch, 64);
    assert_eq!(lengths(&batch), [1500, 1500, 1120]);
    for packet in &batch {
        let bytes = packet.to_vec();
        let [from, to]: [IpAddr; 2] = [[10, 0, 0, 1].into(), [10, 0, 0, 2].into()];
        let len = (bytes.len() - 20) as u32;
        let sum = checksum::transport(from, to, IpProtocol::TCP, len, [&bytes[20..]]);
        assert!(sum.is_valid());
    }
    b.handle_batch(NOW, LINK, &mut batch);
    assert_eq!(
        Probe::take_log(&mut b, IpProtocol::TCP),
        ["10.0.0.1 > 10.0.0.2: 4020"]
    );
}
