//! RPC with libtirpc at the other end, its rpcgen over the same interface, and Debian's rpcbind and
//! rpcinfo.

mod binder;
mod libtirpc;
mod values;

use crate::tap::{KERNEL_V4, LIMIT, NODE_V4};
use libtirpc::{Showcase, run, started};
use sockeye::Node;
use sockeye_rpc::xdr::to_bytes;
use sockeye_rpc::{Call, Client, Fault, Peer, Programs, Server};
use sockeye_tests::{Outcome, Result, Test, check, ignore, in_namespace, tests};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;
use values::Values;

/// What our rpcgen makes of the interface.
#[expect(dead_code, reason = "a constant of the interface is for bounds alone")]
pub(crate) mod showcase {
    include!(concat!(env!("OUT_DIR"), "/showcase.rs"));
}

/// What it makes of Debian's.
#[allow(
    dead_code,
    reason = "that they compile is all that is asked, and there may be none"
)]
mod debian {
    include!(concat!(env!("OUT_DIR"), "/debian.rs"));
}

use showcase::{
    Everything, SHOWCASE_PROG, SHOWCASE_VERS, ShowcaseVers, ShowcaseVersClient, ShowcaseVersServer,
};

pub(crate) const TESTS: &[Test] = tests![
    every_type_is_the_same_to_libtirpc,
    a_client_of_libtirpc_calls_our_server,
    our_client_calls_a_server_of_libtirpc,
    unix_streams_carry_calls_of_both,
    interfaces_of_debian_compile,
];

/// Both TESTS and those about rpcbind.
pub(crate) const BINDER_TESTS: &[Test] = binder::TESTS;

/// Says what it hears.
#[derive(Default)]
struct Echo(AtomicI32);

impl ShowcaseVers for Echo {
    fn showcase_echo(&self, _: &Call, argument: Everything) -> Result<Everything, Fault> {
        Ok(argument)
    }

    fn showcase_count(&self, _: &Call) -> Result<i32, Fault> {
        Ok(self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn showcase_greet(&self, _: &Call, argument: String) -> Result<String, Fault> {
        Ok(format!("hello {argument}"))
    }
}

fn server() -> Server {
    Server::new(
        Programs::new()
            .with(ShowcaseVersServer(Echo::default()))
            .with_shorthands(),
    )
}

macro_rules! program {
    () => {
        match Showcase::build()? {
            Ok(program) => program,
            Err(reason) => return ignore!("{reason}"),
        }
    };
}

/// A node on a TAP device, with the kernel at the other end; or why there can be none.
pub(crate) fn node() -> Result<Result<Node, String>> {
    crate::tap::open(|tap| Box::new(tap))
}

macro_rules! node {
    () => {
        match node()? {
            Ok(node) => node,
            Err(reason) => return ignore!("{reason}"),
        }
    };
}

/// An independent codec gives back the same bytes, for 500 values of every type.
fn every_type_is_the_same_to_libtirpc() -> Result {
    let program = program!();
    let mut values = Values::new();
    let values: Vec<Vec<u8>> = (0..500)
        .map(|_| to_bytes(&values.everything()))
        .collect::<Result<_, _>>()?;
    let echoed = run(&program, &["codec"], &values)?;
    check!(echoed.len() == values.len(), "{} came back", echoed.len());
    for (value, echoed) in values.iter().zip(&echoed) {
        check!(value == echoed, "{value:?} became {echoed:?}");
    }
    Ok(Outcome::Passed)
}

fn a_client_of_libtirpc_calls_our_server() -> Result {
    let name = "interop::rpc::a_client_of_libtirpc_calls_our_server";
    in_namespace(name, LIMIT, || {
        let (program, node) = (program!(), node!());
        let listener = sockeye::net::TcpListener::bind_on(&node, (NODE_V4, 2049))?;
        let socket = sockeye::net::UdpSocket::bind_on(&node, (NODE_V4, 2049))?;
        let (server, other) = (server(), server());
        let (by_stream, by_datagram) = (server.clone(), other.clone());
        thread::spawn(move || by_stream.serve(&listener));
        thread::spawn(move || by_datagram.serve_datagrams(&socket));
        let mut values = Values::new();
        let values: Vec<Vec<u8>> = (0..100)
            .map(|_| to_bytes(&values.everything()))
            .collect::<Result<_, _>>()?;
        for (transport, server) in [("tcp", &server), ("udp", &other)] {
            let echoed = run(&program, &["client", transport, NODE_V4, "2049"], &values)?;
            check!(echoed == values, "{transport}: {} came back", echoed.len());
            let count = server.counters().replies.get();
            check!(count == 101, "{transport}: {count} calls were answered");
        }
        Ok(Outcome::Passed)
    })
}

fn calls(client: Client) -> Result<()> {
    let client = ShowcaseVersClient(client);
    client.showcase_null()?;
    let mut values = Values::new();
    for _ in 0..100 {
        let value = values.everything();
        let echoed = client.showcase_echo(&value)?;
        check!(
            to_bytes(&echoed)? == to_bytes(&value)?,
            "{value:?} became {echoed:?}"
        );
    }
    check!(
        client.showcase_greet("Nerka")? == "hello Nerka",
        "no greeting"
    );
    let counts = (client.showcase_count()?, client.showcase_count()?);
    check!(counts == (1, 2), "it counts {counts:?}");
    Ok(())
}

fn our_client_calls_a_server_of_libtirpc() -> Result {
    let name = "interop::rpc::our_client_calls_a_server_of_libtirpc";
    in_namespace(name, LIMIT, || {
        let (program, node) = (program!(), node!());
        let (_tcp, port) = started(&program, &["server", "tcp", KERNEL_V4])?;
        let stream = sockeye::net::TcpStream::connect_on(&node, (KERNEL_V4, port))?;
        calls(Client::stream(stream, SHOWCASE_PROG, SHOWCASE_VERS))?;
        let (_udp, port) = started(&program, &["server", "udp", KERNEL_V4])?;
        let socket = sockeye::net::UdpSocket::bind_on(&node, (NODE_V4, 0))?;
        let server = format!("{KERNEL_V4}:{port}").parse()?;
        calls(Client::datagram(
            socket,
            server,
            SHOWCASE_PROG,
            SHOWCASE_VERS,
        ))?;
        Ok(Outcome::Passed)
    })
}

fn unix_streams_carry_calls_of_both() -> Result {
    let program = program!();
    let path = program.dir.path().join("ours");
    let listener = UnixListener::bind(&path)?;
    let server = server();
    let serving = server.clone();
    thread::spawn(move || {
        let (stream, _) = listener.accept()?;
        serving.serve_stream(&stream, Peer::Local)
    });
    let mut values = Values::new();
    let values = [to_bytes(&values.everything())?];
    let path = path.to_str().ok_or("a path that is text")?;
    let echoed = run(&program, &["client", "unix", path, "0"], &values)?;
    check!(echoed == values, "{} came back", echoed.len());
    let path = program.dir.path().join("theirs");
    let text = path.to_str().ok_or("a path that is text")?;
    let (_unix, _) = started(&program, &["server", "unix", text])?;
    let stream = UnixStream::connect(&path)?;
    calls(Client::stream(stream, SHOWCASE_PROG, SHOWCASE_VERS))?;
    Ok(Outcome::Passed)
}

/// As the build script of these tests compiled them, and rustc what came of that.
fn interfaces_of_debian_compile() -> Result {
    if debian::FILES.is_empty() {
        return ignore!("there is no rpcsvc-proto");
    }
    for (file, became) in debian::FILES {
        // Those of NIS+ lean on one another by C's headers, which are not read.
        let expected = match *file {
            "/usr/include/rpcsvc/nis.x" => {
                Err("57:1: #include is not read here: run cpp -P over the file first")
            }
            "/usr/include/rpcsvc/nis_callback.x" => Err("51:9: 'nis_object' is no type"),
            _ => Ok(()),
        };
        let expected = expected.map_err(|error| format!("{file}:{error}"));
        check!(
            became.map_err(str::to_owned) == expected,
            "{file}: {became:?}"
        );
    }
    let compiled = debian::FILES.iter().filter(|(_, became)| became.is_ok());
    check!(compiled.count() >= 15, "only {:?}", debian::FILES);
    Ok(Outcome::Passed)
}
