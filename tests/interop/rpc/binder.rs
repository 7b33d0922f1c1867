//! rpcbind: ours asked by Debian's rpcinfo, and Debian's by `sockeye rpcinfo`.

use super::node;
use crate::tap::{KERNEL_V4, LIMIT, NODE_V4};
use sockeye_rpc::rpcbind::{Binder, BinderClient, NetId, to_uaddr};
use sockeye_rpc::{Client, Server};
use sockeye_tests::{
    Outcome, Program, Result, Running, Test, check, have, ignore, in_namespace, is_root, sockeye,
    tests,
};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

pub(super) const TESTS: &[Test] = tests![
    rpcinfo_of_debian_asks_our_binder,
    sockeye_rpcinfo_prints_what_debians_does,
];

const BINDER: u32 = 100_000;

macro_rules! need {
    ($($program:literal),*) => { $(
        if !have($program) {
            return ignore!("there is no {}", $program);
        }
    )* };
}

fn output(program: &str, args: &[&str]) -> Result<String> {
    Ok(Program::new(program)
        .args(args)
        .run()?
        .expect(0)?
        .stdout_text())
}

/// Our binder at port 111 of a node.
fn rpcinfo_of_debian_asks_our_binder() -> Result {
    let name = "interop::rpc::binder::rpcinfo_of_debian_asks_our_binder";
    in_namespace(name, LIMIT, || {
        need!("rpcinfo");
        let node = match node()? {
            Ok(node) => node,
            Err(reason) => return ignore!("{reason}"),
        };
        let at: SocketAddr = (NODE_V4.parse::<std::net::Ipv4Addr>()?, 111).into();
        let reach = node.clone();
        let binder = Binder::new(move |server, program, version| {
            let socket = sockeye::net::UdpSocket::bind_on(&reach, (NODE_V4, 0))?;
            Ok(Client::datagram(socket, server, program, version))
        });
        let socket = sockeye::net::UdpSocket::bind_on(&node, at)?;
        let listener = sockeye::net::TcpListener::bind_on(&node, at)?;
        let by_datagram = Server::new(binder.programs(NetId::Udp, &to_uaddr(at)));
        let by_stream = Server::new(binder.programs(NetId::Tcp, &to_uaddr(at)));
        thread::spawn(move || by_datagram.serve_datagrams(&socket));
        thread::spawn(move || by_stream.serve(&listener));

        let ports = output("rpcinfo", &["-p", NODE_V4])?;
        for line in [
            "100000    2   udp    111  portmapper",
            "100000    4   tcp    111",
        ] {
            check!(ports.contains(line), "no {line} in\n{ports}");
        }
        let all = output("rpcinfo", &[NODE_V4])?;
        check!(all.matches("superuser").count() == 6, "{all}");
        let short = output("rpcinfo", &["-s", NODE_V4])?;
        check!(
            short.contains("4,3,2") || short.contains("2,3,4"),
            "{short}"
        );
        for transport in ["tcp", "udp"] {
            let pinged = output("rpcinfo", &["-T", transport, NODE_V4, "100000"])?;
            let ready = pinged.matches("ready and waiting").count();
            check!(ready == 3, "{transport}: {pinged}");
        }
        let addresses = output("rpcinfo", &["-l", NODE_V4, "100000", "4"])?;
        check!(addresses.contains("inet/tcp/cots_ord"), "{addresses}");
        let statistics = output("rpcinfo", &["-m", NODE_V4])?;
        check!(
            statistics.contains("RPCBIND (version 4) statistics"),
            "{statistics}"
        );
        // A program that is not there.
        let missing = Program::new("rpcinfo").args(["-T", "tcp", NODE_V4, "100003", "3"]);
        check!(missing.run()?.code == Some(1), "it found one");
        Ok(Outcome::Passed)
    })
}

/// Debian's rpcbind with a /run of its own; or why there can be none.
fn rpcbind() -> Result<Result<Running, String>> {
    if !is_root() {
        return Ok(Err("only root can give rpcbind a /run of its own".into()));
    }
    let mount = "mount --make-rprivate / && mount -t tmpfs run /run && mkdir -p /run/rpcbind";
    Program::new("sh").args(["-c", mount]).run()?.expect(0)?;
    let running = Program::new("rpcbind").args(["-f", "-w", "-i"]).start()?;
    let end = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect("127.0.0.1:111").is_err() {
        check!(Instant::now() < end, "rpcbind does not listen");
        thread::sleep(Duration::from_millis(20));
    }
    Ok(Ok(running))
}

fn sockeye_rpcinfo_prints_what_debians_does() -> Result {
    sockeye()?;
    let name = "interop::rpc::binder::sockeye_rpcinfo_prints_what_debians_does";
    in_namespace(name, LIMIT, || {
        need!("rpcbind", "rpcinfo");
        // The device stays, from our node to those of the command.
        let made = Program::new("ip").args("tuntap add mode tap name sockeye0".split(' '));
        made.run()?.expect(0)?;
        let node = match node()? {
            Ok(node) => node,
            Err(reason) => return ignore!("{reason}"),
        };
        let _rpcbind = match rpcbind()? {
            Ok(running) => running,
            Err(reason) => return ignore!("{reason}"),
        };
        let server: SocketAddr = format!("{KERNEL_V4}:111").parse()?;
        // Our client knows its way in there, over both transports.
        let stream = sockeye::net::TcpStream::connect_on(&node, server)?;
        let client = BinderClient::new(&Client::stream(stream, BINDER, 4), NetId::Tcp);
        check!(
            client.address(BINDER, 4)?.is_some(),
            "it does not know itself"
        );
        check!(client.port(BINDER, 2, NetId::Udp)? == Some(111), "no port");
        check!(client.dump()?.len() > 6, "too few are registered");
        check!(client.statistics()?[2].info[4] > 0, "it counted no dump");
        drop(client);
        drop(node);
        let link = format!("tap:sockeye0,addr={NODE_V4}/24");
        let both: [&[&str]; 6] = [
            &["-p", KERNEL_V4],
            &[KERNEL_V4],
            &["-s", KERNEL_V4],
            &["-T", "udp", KERNEL_V4, "100000"],
            &["-T", "tcp", KERNEL_V4, "100000", "4"],
            &["-l", KERNEL_V4, "100000", "4"],
        ];
        for args in both {
            let theirs = output("rpcinfo", args)?;
            let ours = Program::new(sockeye()?).args(["rpcinfo", "--link", &link]);
            let ours = ours.args(args).run()?.expect(0)?.stdout_text();
            let (mut theirs, mut ours): (Vec<&str>, Vec<&str>) =
                (theirs.lines().collect(), ours.lines().collect());
            theirs.sort_unstable();
            ours.sort_unstable();
            check!(theirs == ours, "{args:?}: {theirs:#?}\n{ours:#?}");
        }
        let missing = Program::new(sockeye()?).args(["rpcinfo", "--link", &link]);
        let missing = missing
            .args(["-T", "tcp", KERNEL_V4, "100003", "3"])
            .run()?;
        check!(missing.code == Some(1), "{}", missing.status_text());
        Ok(Outcome::Passed)
    })
}
