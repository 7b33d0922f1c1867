//! Who hears what is sent to groups and broadcast addresses, by ip(7) and udp(7).

use super::*;
use sockeye_core::multicast::membership::SourceChange;

/// What a socket does about the group before anything comes.
#[derive(Clone, Copy, Debug)]
enum Wants {
    Nothing,
    Group,
    Source(&'static str),
    AllBut(&'static str),
}
use Wants::{AllBut, Group, Nothing, Source};

/// Three hosts send to the group in turn; the first socket has joined it as the row says, the second
/// has not and has IP_MULTICAST_ALL as the row says, the third, with the same port, listens to all.
#[test]
fn who_hears_whom() {
    let families = [
        (
            "0.0.0.0:5000",
            "239.1.1.1",
            ["10.0.0.2", "10.0.0.3", "10.0.0.4"],
        ),
        ("[::]:5000", "ff15::1", ["fe80::2", "fe80::3", "fe80::4"]),
    ];
    for (local, group, sources) in families {
        for (wants, all, first, second) in [
            (Nothing, 1, "012", "012"),
            (Nothing, 0, "", "012"),
            (Group, 1, "012", "012"),
            (Group, 0, "012", ""),
            (Source(sources[1]), 1, "1", "012"),
            (Source(sources[1]), 0, "1", ""),
            (AllBut(sources[1]), 1, "02", "012"),
            (AllBut(sources[1]), 0, "02", ""),
        ] {
            let mut a = Host::new(&["10.0.0.1/24", "fe80::1/64"]);
            let v6 = local.starts_with('[');
            let ids = [0; 3].map(|_| {
                let id = a.open(if v6 { Domain::V6 } else { Domain::V4 });
                a.set(id, SocketOption::ReuseAddress, 1).unwrap();
                a.bind(id, local).unwrap();
                id
            });
            let option = match v6 {
                false => SocketOption::MulticastAll,
                true => SocketOption::MulticastAllV6,
            };
            // Where the first asks for nothing, it is the first that the option is about.
            let about = usize::from(!matches!(wants, Nothing));
            a.set(ids[about], option, all).unwrap();
            let group: IpAddr = group.parse().unwrap();
            let at = (group, Some(a.link));
            let (udp, mut cx) = a.cx();
            udp.join_group(&mut cx, ids[2], at.0, at.1).unwrap();
            match wants {
                Nothing => {}
                Group | AllBut(_) => udp.join_group(&mut cx, ids[0], at.0, at.1).unwrap(),
                Source(source) => {
                    let source = source.parse().unwrap();
                    udp.change_source(&mut cx, ids[0], at, SourceChange::Join, source)
                        .unwrap();
                }
            }
            if let AllBut(source) = wants {
                let source = source.parse().unwrap();
                udp.change_source(&mut cx, ids[0], at, SourceChange::Block, source)
                    .unwrap();
            }
            for (n, source) in sources.iter().enumerate() {
                let from = SocketAddr::new(source.parse().unwrap(), 9).to_string();
                let to = SocketAddr::new(group, 5000).to_string();
                a.arrive(vec![packet(&from, &to, n.to_string().as_bytes())]);
            }
            let heard = ids.map(|id| {
                let texts = std::iter::from_fn(|| a.text(id).ok());
                texts.collect::<String>()
            });
            assert_eq!(heard, [first, second, "012"], "{group} {wants:?} {all}");
        }
    }
}

/// RFC 3376 §3.2: what nobody on the interface listens to is dropped there, even for who would take
/// everything.
#[test]
fn sources_that_nobody_listens_to_are_dropped() {
    let mut a = Host::new(&["10.0.0.1/24"]);
    let listener = a.bound("0.0.0.0:5000");
    let other = a.open(Domain::V4);
    let at = ("239.1.1.1".parse().unwrap(), Some(a.link));
    let (udp, mut cx) = a.cx();
    let source = "10.0.0.2".parse().unwrap();
    udp.change_source(&mut cx, other, at, SourceChange::Join, source)
        .unwrap();
    a.arrive(vec![
        packet("10.0.0.2:9", "239.1.1.1:5000", b"wanted"),
        packet("10.0.0.3:9", "239.1.1.1:5000", b"unwanted"),
    ]);
    assert_eq!(a.text(listener), Ok("wanted".into()));
    assert_eq!(a.text(listener), Err(Error::WouldBlock));
    assert_eq!(a.count(Counter::IpInAddrErrors), 1);
    // A socket that closes listens no more.
    let (udp, mut cx) = a.cx();
    udp.close(&mut cx, other).unwrap();
    a.arrive(vec![packet("10.0.0.2:9", "239.1.1.1:5000", b"over")]);
    assert_eq!(a.text(listener), Err(Error::WouldBlock));
}

/// RFC 4291 §2.8: every node is in the group of all nodes, on each link.
#[test]
fn all_nodes_hear_what_is_for_all_nodes() {
    let mut a = Host::new(&["fe80::1/64"]);
    let any = a.bound("[::]:5000");
    let bound = a.open(Domain::V6);
    a.bind(bound, "[ff02::1%2]:5001").unwrap();
    a.arrive(vec![
        packet("[fe80::9]:9", "[ff02::1]:5000", b"one"),
        packet("[fe80::9]:9", "[ff02::1]:5001", b"two"),
        packet("[fe80::9]:9", "[ff02::1]:5002", b"nobody"),
    ]);
    assert_eq!(a.recv(any), got("one", "[fe80::9%2]:9"));
    assert_eq!(a.recv(bound), got("two", "[fe80::9%2]:9"));
    // Nobody is told that there is none.
    assert_eq!(a.sent().len(), 0);
    // Who sends to all nodes is one of them.
    a.send_to(any, b"me", "[ff02::1%2]:5000").unwrap();
    a.turn_loopback();
    assert_eq!(a.text(any), Ok("me".into()));
    assert_eq!(a.sent().len(), 1);
}
