//! The Linux of user-mode-linux as another host: what it has that the tests of SCTP and DCCP need, and
//! that a node reaches it.

use crate::run::PYTHON;
use sockeye::drivers::{Tun, local_address};
use sockeye::link::{Link, Medium};
use sockeye::{Config, LinkConfig, Node};
use sockeye_tests::{
    Outcome, Program, Result, Test, Uml, bridge, check, ignore, in_namespace, recorded, tests,
};
use std::time::Duration;

pub(crate) const TESTS: &[Test] = tests![has_what_peers_need, pings_a_node, a_late_guest_is_ended];

pub(crate) const LIMIT: Duration = Duration::from_secs(180);

/// A guest, or the test is ignored.
macro_rules! need_uml {
    () => {
        if let Some(why) = Uml::missing() {
            return ignore!("{why}");
        }
    };
}

pub(crate) use need_uml;

/// A node with one TAP on each bridge, `sockeye0` and on, and these addresses on each.
pub(crate) fn node(bridges: &[(&str, &[&str])]) -> Result<Node> {
    node_shaped("", bridges, |tap| Box::new(tap))
}

/// The same, with settings like `net.ipv4.tcp_sack=0`, and links made of the TAPs by `shape`.
pub(crate) fn node_shaped(
    settings: &str,
    bridges: &[(&str, &[&str])],
    shape: impl Fn(Tun) -> Box<dyn Link>,
) -> Result<Node> {
    let mut config = Config::default();
    for setting in settings.split_whitespace() {
        let (name, value) = setting.split_once('=').ok_or("a setting has a value")?;
        config.set_sysctl(name, value)?;
    }
    let mut node = Node::builder().config(config);
    for (n, (bridge, addresses)) in (0..).zip(bridges) {
        let name = format!("sockeye{n}");
        let tap = Tun::open(&name, Medium::Ethernet(local_address(&[11 + n; 32], 0)))?;
        ip(&format!("link set {name} master {bridge} up"))?;
        // Nobody else has them: they may be used at once.
        let mut config = LinkConfig::new().detect_duplicates(false);
        for address in *addresses {
            config = config.address(address.parse()?);
        }
        node = node.link(&name, recorded(shape(tap))?, config);
    }
    Ok(node.build()?)
}

pub(crate) fn ip(words: &str) -> Result<()> {
    Program::new("ip").args(words.split(' ')).run()?.expect(0)?;
    Ok(())
}

fn has_what_peers_need() -> Result {
    need_uml!();
    in_namespace("interop::uml::has_what_peers_need", LIMIT, || {
        bridge("br0")?;
        let said = Uml::new()
            .interface("br0", &["192.0.2.1/24"])
            .run(&format!(
                "tc qdisc add dev vec0 root netem loss 10% || exit 1\n{PYTHON} - <<'END'\n\
             import socket\n\
             for family in socket.AF_INET, socket.AF_INET6:\n    \
                 socket.socket(family, socket.SOCK_STREAM, 132).listen()\n    \
                 socket.socket(family, socket.SOCK_SEQPACKET, 132)\n    \
                 socket.socket(family, 6, 33)\n\
             END"
            ))?;
        check!(said.is_empty(), "it complains: {said}");
        Ok(Outcome::Passed)
    })
}

fn pings_a_node() -> Result {
    need_uml!();
    in_namespace("interop::uml::pings_a_node", LIMIT, || {
        bridge("br0")?;
        bridge("br1")?;
        let node = node(&[
            ("br0", &["192.0.2.2/24", "2001:db8::2/64"]),
            ("br1", &["198.51.100.2/24"]),
        ])?;
        let mut guest = Uml::new()
            .interface("br0", &["192.0.2.1/24", "2001:db8::1/64"])
            .interface("br1", &["198.51.100.1/24"])
            .start("while read host; do ping -c 1 -W 30 $host | grep 'bytes from'; done")?;
        for host in ["192.0.2.2", "2001:db8::2", "198.51.100.2"] {
            guest.say(host)?;
            let line = guest.wait_for("bytes from")?;
            check!(line.contains(host), "of {host}: {line}");
        }
        drop(node);
        Ok(Outcome::Passed)
    })
}

fn a_late_guest_is_ended() -> Result {
    need_uml!();
    let late = Uml::new().limit(Duration::from_secs(4)).run("sleep 1000");
    let why = late.expect_err("it sleeps for longer").to_string();
    check!(why.contains("its time was over"), "{why}");
    let failed = Uml::new().run("exit 3").expect_err("it exits with 3");
    check!(
        failed.to_string().contains("exit status 3"),
        "another status: {failed}"
    );
    Ok(Outcome::Passed)
}
