//! `sockeye rpcinfo`: what an rpcbind knows, and whether programs answer, as rpcinfo(8) says it.

mod names;
mod show;

use crate::node;
use crate::options::{NodeOptions, seconds};
use crate::report::{self, NO_RESULT};
use anyhow::{Context, Result, bail};
use serde::Serialize;
use sockeye::Node;
use sockeye::net::{TcpStream, UdpSocket};
use sockeye_rpc::message::AuthSys;
use sockeye_rpc::rpcbind::{Answer, BinderClient, NetId, broadcast, from_uaddr};
use sockeye_rpc::{CallError, Client};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

/// rpcbind's port (RFC 1833 §2.2), and its program.
const PORT: u16 = 111;
const BINDER: u32 = 100_000;

/// List the RPC programs of a host, or call procedure 0 of one
///
/// Without a program it lists what the host's rpcbind knows. Exit status: 0 success, 1 when a
/// program does not answer, 2 on an error.
#[derive(Debug, clap::Args)]
pub(crate) struct Rpcinfo {
    /// List by version 2 of rpcbind, the port mapper
    #[arg(short, long, conflicts_with_all = ["short", "statistics"])]
    ports: bool,

    /// List one line a program
    #[arg(short, long)]
    short: bool,

    /// Show what the rpcbind was asked
    #[arg(short = 'm', long, conflicts_with = "short")]
    statistics: bool,

    /// List the addresses of a program on all transports
    #[arg(short = 'l', long)]
    addresses: bool,

    /// Over this transport: udp, tcp, udp6 or tcp6
    #[arg(short = 'T', long, value_name = "NETID", value_parser = netid)]
    transport: Option<NetId>,

    /// Call over UDP
    #[arg(short, long, conflicts_with_all = ["tcp", "transport"])]
    udp: bool,

    /// Call over TCP
    #[arg(short, long, conflicts_with = "transport")]
    tcp: bool,

    /// Call at this port instead of asking for it
    #[arg(short = 'n', long, value_name = "PORT")]
    port: Option<u16>,

    /// Call at this universal address; there is no HOST then
    #[arg(short = 'a', long, value_name = "UADDR")]
    address: Option<String>,

    /// Call by broadcast and list who answers; there is no HOST then
    #[arg(short, long)]
    broadcast: bool,

    /// Delete a program from the rpcbind of the node itself; there is no HOST then
    #[arg(short, long)]
    delete: bool,

    /// How long to wait for an answer
    #[arg(short, long, value_name = "SECONDS", value_parser = seconds)]
    wait: Option<Duration>,

    /// Print one JSON document at the end
    #[arg(long, conflicts_with_all = ["ports", "short", "statistics", "delete"])]
    json: bool,

    /// The host, then the program and its version
    #[arg(value_name = "HOST PROGRAM VERSION", num_args = 1..=3, required = true)]
    words: Vec<String>,

    #[command(flatten)]
    node: NodeOptions,
}

fn netid(name: &str) -> Result<NetId, String> {
    match NetId::from_name(name) {
        Some(id) if id != NetId::Local => Ok(id),
        _ => Err(format!("'{name}' is none of udp, tcp, udp6, tcp6")),
    }
}

/// What a document tells, by what was asked.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Found<'a> {
    Programs(Vec<show::Row<'a>>),
    Addresses(Vec<show::AddressRow<'a>>),
    Calls(Vec<CallRow>),
    Answers(Vec<SocketAddr>),
}

/// How a call of procedure 0 went.
#[derive(Serialize)]
struct CallRow {
    program: u32,
    version: u32,
    available: bool,
    error: Option<String>,
}

/// A program, and a version or all of them.
#[derive(Debug, Clone, Copy)]
struct Asked {
    program: u32,
    version: Option<u32>,
}

impl Rpcinfo {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let has_host = !self.broadcast && !self.delete && self.address.is_none();
        let (host, asked) = match has_host {
            true => (Some(&self.words[0]), &self.words[1..]),
            false => (None, &self.words[..]),
        };
        let asked = self.asked(asked)?;
        let node = node::start(&self.node)?;
        let host = match host {
            Some(host) => node::resolve_one(&node, host)?,
            None => Ipv4Addr::LOCALHOST.into(),
        };
        match asked {
            None => self.list(&node, host),
            Some(asked) if self.broadcast => self.call_all(&node, asked),
            Some(asked) if self.delete => self.forget(&node, asked),
            Some(asked) if self.addresses => self.list_addresses(&node, host, asked),
            Some(asked) => self.call(&node, host, asked),
        }
    }

    fn asked(&self, words: &[String]) -> Result<Option<Asked>> {
        let Some(program) = words.first() else {
            if self.broadcast || self.delete || self.addresses || self.address.is_some() {
                bail!("a program is missing");
            }
            return Ok(None);
        };
        let program = names::number(program)
            .with_context(|| format!("'{program}' is neither a number nor a program's name"))?;
        let version = words.get(1).map(|version| {
            let number = version.parse();
            number.with_context(|| format!("'{version}' is no version"))
        });
        let version = version.transpose()?;
        let needs_version = self.broadcast || self.delete || self.addresses;
        if needs_version && version.is_none() {
            bail!("a version is missing");
        }
        Ok(Some(Asked { program, version }))
    }

    fn is_stream(&self) -> bool {
        match self.transport {
            Some(netid) => matches!(netid, NetId::Tcp | NetId::Tcp6),
            None => !self.udp,
        }
    }

    fn client(&self, node: &Node, to: SocketAddr, asked: (u32, u32)) -> Result<Client> {
        let (program, version) = asked;
        let client = if self.is_stream() {
            let limit = self.wait.unwrap_or(Duration::from_secs(10));
            let stream = TcpStream::connect_timeout_on(node, &to, limit)
                .with_context(|| format!("{to} can't be connected to"))?;
            Client::stream(stream, program, version)
        } else {
            let any = match to.ip() {
                IpAddr::V4(_) => "0.0.0.0:0",
                IpAddr::V6(_) => "[::]:0",
            };
            let socket = UdpSocket::bind_on(node, any)?;
            Client::datagram(socket, to, program, version)
        };
        let client = client.with_timeout(self.wait.unwrap_or(Duration::from_secs(10)));
        Ok(client.with_auth_sys(&AuthSys::default())?)
    }

    fn binder(&self, node: &Node, host: IpAddr) -> Result<BinderClient> {
        let to = SocketAddr::new(host, PORT);
        let client = self.client(node, to, (BINDER, 4))?;
        Ok(BinderClient::new(&client, NetId::of(to, self.is_stream())))
    }

    fn list(&self, node: &Node, host: IpAddr) -> Result<ExitCode> {
        let binder = self.binder(node, host)?;
        let asking = || format!("the rpcbind of {host} does not tell");
        let text = if self.ports {
            show::ports(&binder.port_maps().with_context(asking)?)
        } else if self.statistics {
            show::statistics(&binder.statistics().with_context(asking)?)
        } else {
            let all = binder.dump().with_context(asking)?;
            if self.json {
                let programs = show::rows(&all);
                report::document("rpcinfo", &Found::Programs(programs))?;
                return Ok(ExitCode::SUCCESS);
            }
            match self.short {
                true => show::short(&all),
                false => show::all(&all),
            }
        };
        print(&text)?;
        Ok(ExitCode::SUCCESS)
    }

    fn list_addresses(&self, node: &Node, host: IpAddr, asked: Asked) -> Result<ExitCode> {
        let version = asked.version.unwrap_or_default();
        let binder = self.binder(node, host)?;
        let entries = binder.addresses(asked.program, version)?;
        if self.json {
            let addresses = show::address_rows(&entries);
            report::document("rpcinfo", &Found::Addresses(addresses))?;
            return Ok(ExitCode::from(if entries.is_empty() {
                NO_RESULT
            } else {
                0
            }));
        }
        if entries.is_empty() {
            return Ok(ExitCode::from(NO_RESULT));
        }
        print(&show::addresses(asked.program, version, &entries))?;
        Ok(ExitCode::SUCCESS)
    }

    /// Where the program is, by its own word or the rpcbind's.
    fn place(&self, node: &Node, host: IpAddr, asked: Asked) -> Result<Option<SocketAddr>> {
        if let Some(uaddr) = &self.address {
            let place = from_uaddr(uaddr);
            return Ok(Some(place.with_context(|| {
                format!("'{uaddr}' is no universal address, like 192.0.2.1.0.111")
            })?));
        }
        if let Some(port) = self.port {
            return Ok(Some(SocketAddr::new(host, port)));
        }
        let binder = self.binder(node, host)?;
        let found = binder.address(asked.program, asked.version.unwrap_or(0))?;
        Ok(found.map(|place| match place.ip().is_unspecified() {
            true => SocketAddr::new(host, place.port()),
            false => place,
        }))
    }

    /// Procedure 0 of the version, or of all that there are.
    fn call(&self, node: &Node, host: IpAddr, asked: Asked) -> Result<ExitCode> {
        let program = asked.program;
        let Some(place) = self.place(node, host, asked)? else {
            match self.json {
                true => report::document("rpcinfo", &Found::Calls(Vec::new()))?,
                false => print(&format!("program {program} is not registered\n"))?,
            }
            return Ok(ExitCode::from(NO_RESULT));
        };
        let client = self.client(node, place, (program, asked.version.unwrap_or(0)))?;
        let versions = match asked.version {
            Some(version) => version..=version,
            None => match client.call::<()>(0, &()) {
                Err(CallError::ProgramMismatch { low, high }) => low..=high,
                Ok(()) => match client.program(program, u32::MAX).call::<()>(0, &()) {
                    Err(CallError::ProgramMismatch { low, high }) => low..=high,
                    _ => 0..=0,
                },
                Err(error) => {
                    let calls = vec![self.called(program, 0, Err(&error))?];
                    return self.called_all(calls);
                }
            },
        };
        let mut calls = Vec::new();
        for version in versions {
            let result = client.program(program, version).call::<()>(0, &());
            calls.push(self.called(program, version, result.as_ref().copied())?);
        }
        self.called_all(calls)
    }

    /// Says how a call went, unless a document will.
    fn called(
        &self,
        program: u32,
        version: u32,
        result: Result<(), &CallError>,
    ) -> Result<CallRow> {
        let error = result.err().map(ToString::to_string);
        if let Some(error) = &error {
            writeln!(std::io::stderr().lock(), "sockeye: {error}")?;
        }
        if !self.json {
            let state = match error {
                None => "ready and waiting",
                Some(_) => "is not available",
            };
            print(&format!("program {program} version {version} {state}\n"))?;
        }
        Ok(CallRow {
            program,
            version,
            available: error.is_none(),
            error,
        })
    }

    fn called_all(&self, calls: Vec<CallRow>) -> Result<ExitCode> {
        let all_answer = calls.iter().all(|call| call.available);
        if self.json {
            report::document("rpcinfo", &Found::Calls(calls))?;
        }
        Ok(ExitCode::from(if all_answer { 0 } else { NO_RESULT }))
    }

    fn call_all(&self, node: &Node, asked: Asked) -> Result<ExitCode> {
        let socket = UdpSocket::bind_on(node, "0.0.0.0:0")?;
        socket.set_broadcast(true)?;
        let to = [SocketAddr::new(Ipv4Addr::BROADCAST.into(), PORT)];
        let limit = self.wait.unwrap_or(Duration::from_secs(3));
        let (mut heard, mut failed) = (Vec::new(), None);
        let called = (asked.program, asked.version.unwrap_or_default(), 0);
        broadcast(&socket, &to, called, &(), limit, |answer: Answer<()>| {
            heard.push(answer.server);
            if !self.json {
                failed = print(&format!("{}\n", answer.server)).err();
            }
            failed.is_none()
        })?;
        failed.map_or(Ok(()), Err)?;
        let any = !heard.is_empty();
        if self.json {
            report::document("rpcinfo", &Found::Answers(heard))?;
        }
        Ok(ExitCode::from(if any { 0 } else { NO_RESULT }))
    }

    fn forget(&self, node: &Node, asked: Asked) -> Result<ExitCode> {
        let binder = self.binder(node, Ipv4Addr::LOCALHOST.into())?;
        let version = asked.version.unwrap_or_default();
        let gone = binder.unset(asked.program, version, self.transport)?;
        Ok(ExitCode::from(if gone { 0 } else { NO_RESULT }))
    }
}

fn print(text: &str) -> Result<()> {
    Ok(std::io::stdout().lock().write_all(text.as_bytes())?)
}
