//! `--json`: what each command prints follows docs/sockeye.schema.json, which the book explains.

use super::run;
use boon::{Compiler, Schemas};
use serde_json::Value;
use sockeye::drivers::{SharedSwitch, local_address};
use sockeye::net::{TcpListener, UdpSocket};
use sockeye::{LinkConfig, Node};
use sockeye_rpc::rpcbind::{Binder, BinderClient, NetId};
use sockeye_rpc::{Client, Programs, Server, service_fn};
use sockeye_tests::{Outcome, Result, TempDir, Test, check, tests};
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

pub(crate) const TESTS: &[Test] = tests![
    documents_follow_the_schema,
    documents_of_rpcinfo_follow_the_schema,
    another_document_does_not_follow_the_schema,
    the_book_explains_each_member,
];

/// Where the schema is found under, which nobody fetches.
const NAME: &str = "https://sockeye.invalid/sockeye.schema.json";

/// A program of the test's own.
const PROGRAM: u32 = 0x2000_0077;

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

fn schema() -> Result<Value> {
    let text = fs::read_to_string(docs().join("sockeye.schema.json"))?;
    Ok(serde_json::from_str(&text)?)
}

/// What is wrong with a document, if anything is.
fn trouble(document: &Value) -> Result<Option<String>> {
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.add_resource(NAME, schema()?)?;
    let index = compiler
        .compile(NAME, &mut schemas)
        .map_err(|error| error.to_string())?;
    let result = schemas.validate(document, index);
    Ok(result.err().map(|error| format!("{error:#}")))
}

/// The one document that a command prints, which follows the schema.
fn document(args: &[&str], code: i32) -> Result<Value> {
    let text = run(args)?.expect(code)?.stdout_text();
    let document = serde_json::from_str(&text).map_err(|e| format!("{args:?}: {e}: {text}"))?;
    if let Some(trouble) = trouble(&document)? {
        return Err(format!("{args:?}: {trouble}\n{text}").into());
    }
    let command = document["command"].as_str();
    check!(
        command == Some(args[0]),
        "{args:?} calls itself {command:?}"
    );
    Ok(document)
}

fn documents_follow_the_schema() -> Result {
    let nobody = ["--link", "user,loss=100%", "--json", "10.0.2.2"];
    for (args, code) in [
        (
            &["ping", "-c", "2", "-i", "0.01", "--json", "10.0.2.2"][..],
            0,
        ),
        (&["ping", "-c", "1", "--json", "fd00:2::2"], 0),
        (&["trace", "--tcp", "--json", "10.0.2.2"], 0),
        (&["trace", "-q", "1", "--json", "fd00:2::2"], 0),
        (&["scan", "--json", "-p", "1-100", "10.0.2.2"], 0),
        (&["scan", "--json", "--connect", "-p", "7,8", "10.0.2.2"], 0),
        (&["scan", "--json", "--udp", "-p", "7", "10.0.2.2"], 0),
        (&["scan", "--json", "--sctp", "-p", "7", "10.0.2.2"], 1),
        (&["scan", "--json", "--ack", "-p", "7", "10.0.2.2"], 0),
        (&["scan", "--json", "--ping", "10.0.2.0/30"], 0),
        (&["bench", "--json", "--udp", "--time", "0.1"], 0),
        (&["bench", "--json", "--pingpong", "--time", "0.1"], 0),
        (
            &[&["ping", "-c", "1", "-W", "0.1"], &nobody[..]].concat(),
            1,
        ),
        (
            &[&["trace", "-m", "1", "-w", "0.1"], &nobody[..]].concat(),
            1,
        ),
        (
            &[&["scan", "-p", "7", "-w", "0.1"], &nobody[..]].concat(),
            1,
        ),
    ] {
        let document = document(args, code)?;
        check!(document["schema"] == 1, "{document}");
    }
    // Whether `run` works here is the machine's affair: the status and the document say the same.
    let works = run(&["doctor"])?.code == Some(0);
    let document = document(&["doctor", "--json"], i32::from(!works))?;
    check!(document["run_works"] == works, "{document}");
    Ok(Outcome::Passed)
}

/// An rpcbind at 10.7.0.1, on an Ethernet that others join by the name of `dir`.
fn binder(dir: &Path) -> Result<Node> {
    let link = SharedSwitch::join(dir, local_address(&[7; 32], 0))?;
    let config = LinkConfig::new()
        .address("10.7.0.1/24".parse()?)
        .detect_duplicates(false);
    let node = Node::builder()
        .link("eth0", Box::new(link), config)
        .build()?;
    let reach = node.clone();
    let binder = Binder::new(move |server, program, version| {
        let socket = UdpSocket::bind_on(&reach, "10.7.0.1:0")?;
        Ok(Client::datagram(socket, server, program, version))
    });
    let listener = TcpListener::bind_on(&node, "10.7.0.1:111")?;
    let socket = UdpSocket::bind_on(&node, "0.0.0.0:111")?;
    let by_stream = Server::new(binder.programs(NetId::Tcp, "10.7.0.1.0.111"));
    let by_datagram = Server::new(binder.programs(NetId::Udp, "10.7.0.1.0.111"));
    thread::spawn(move || by_stream.serve(&listener));
    thread::spawn(move || by_datagram.serve_datagrams(&socket));

    // A program beside it, which broadcasts reach by the rpcbind.
    let nothing = service_fn(PROGRAM, 1, |_, _, _| Ok(()));
    let server = Server::new(Programs::new().with(nothing));
    let socket = UdpSocket::bind_on(&node, "10.7.0.1:700")?;
    let place = socket.local_addr()?;
    thread::spawn(move || server.serve_datagrams(&socket));
    let socket = UdpSocket::bind_on(&node, "127.0.0.1:0")?;
    let own = Client::datagram(socket, "127.0.0.1:111".parse()?, 100_000, 4);
    let own = BinderClient::new(&own, NetId::Udp);
    check!(own.set(PROGRAM, 1, NetId::Udp, place)?, "it is not set");
    Ok(node)
}

fn documents_of_rpcinfo_follow_the_schema() -> Result {
    let dir = TempDir::new()?;
    let lan = dir.path().join("lan");
    let _node = binder(&lan)?;
    // Each call is another host: the binder remembers for a while where one is.
    let mut hosts = 2..;
    let mut ask = |words: &[&str], code| {
        let host = hosts.next().unwrap_or_default();
        let link = format!("switch:{},addr=10.7.0.{host}/24", lan.display());
        let args = [&["rpcinfo", "--json", "--link", &link], words].concat();
        document(&args, code)
    };
    let list = ask(&["10.7.0.1"], 0)?;
    let portmapper = |row: &Value| row["program"] == 100_000 && row["service"] == "portmapper";
    let rows = list["programs"].as_array().ok_or("no list")?;
    check!(rows.iter().any(portmapper), "{list}");

    let places = ask(&["--addresses", "10.7.0.1", "100000", "4"], 0)?;
    check!(places["addresses"][0]["family"] == "inet", "{places}");

    let called = ask(&["10.7.0.1", "100000", "4"], 0)?;
    check!(called["calls"][0]["available"] == true, "{called}");
    let called = ask(&["--port", "111", "10.7.0.1", "100000", "9"], 1)?;
    check!(called["calls"][0]["available"] == false, "{called}");
    check!(called["calls"][0]["error"].is_string(), "{called}");
    let unknown = ask(&["10.7.0.1", "200000"], 1)?;
    check!(unknown["calls"] == Value::Array(Vec::new()), "{unknown}");

    // Nobody has such a program.
    let heard = ask(&["--wait", "0.2", "--broadcast", "200000", "1"], 1)?;
    check!(heard["answers"] == Value::Array(Vec::new()), "{heard}");
    let number = PROGRAM.to_string();
    let heard = ask(&["--wait", "3", "--broadcast", &number, "1"], 0)?;
    check!(heard["answers"][0] == "10.7.0.1:700", "{heard}");

    let both = ["rpcinfo", "--json", "--short", "10.7.0.1"];
    let said = run(&both)?.expect(2)?.stderr_text();
    check!(said.contains("cannot be used with"), "{said}");
    Ok(Outcome::Passed)
}

fn another_document_does_not_follow_the_schema() -> Result {
    let good = document(&["ping", "-c", "1", "--json", "10.0.2.2"], 0)?;
    for (member, value) in [
        ("command", Value::from("pong")),
        ("schema", Value::from(2)),
        ("received", Value::from(-1)),
        ("round_trips_ms", Value::from("1")),
        ("new", Value::Null),
    ] {
        let mut bad = good.clone();
        bad[member] = value;
        check!(trouble(&bad)?.is_some(), "{member} is not looked at");
    }
    let mut less = good;
    less.as_object_mut().ok_or("an object")?.remove("received");
    check!(trouble(&less)?.is_some(), "nothing is missed");
    Ok(Outcome::Passed)
}

/// Every name of a member below `schema`.
fn members(schema: &Value, names: &mut Vec<String>) {
    if let Some(properties) = schema["properties"].as_object() {
        names.extend(properties.keys().cloned());
    }
    match schema {
        Value::Object(map) => map.values().for_each(|value| members(value, names)),
        Value::Array(list) => list.iter().for_each(|value| members(value, names)),
        _ => {}
    }
}

fn the_book_explains_each_member() -> Result {
    let chapter = fs::read_to_string(docs().join("book/json.md"))?;
    let mut names = Vec::new();
    members(&schema()?, &mut names);
    check!(names.len() > 50, "{names:?}");
    for name in names {
        let (alone, within) = (format!("`{name}`"), format!(".{name}`"));
        check!(
            chapter.contains(&alone) || chapter.contains(&within),
            "docs/book/json.md does not name {name}"
        );
    }
    Ok(Outcome::Passed)
}
