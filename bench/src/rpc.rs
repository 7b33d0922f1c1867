//! Null calls, by second of processor time that both ends use together: ours over a memory link and
//! over the kernel's loopback, libtirpc's over the latter.
//!
//! Ours are tasks of one thread and of one connection; libtirpc's callers have a thread and a
//! connection each, since a handle of its carries one call at a time.

use crate::Case;
use anyhow::{Context, Result, ensure};
use rustix::time::{ClockId, clock_gettime};
use sockeye::drivers::{MemoryConfig, MemoryLink};
use sockeye::{LinkConfig, Node};
use sockeye_rpc::tokio::{AsyncListener, Client};
use sockeye_rpc::{Programs, Server, service_fn};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const PROGRAM: u32 = 0x2000_0778;

pub(crate) fn cases() -> Result<Vec<Case>> {
    let null = build()?;
    let case = |name, callers: u32, over_memory| {
        let null = null.clone();
        Case {
            name,
            unit: "1/cpu-s",
            ours: Box::new(move |time| ours(callers, over_memory, time)),
            base: Some((
                "libtirpc over the kernel's loopback",
                Box::new(move |time| libtirpc(&null, callers, time)),
            )),
        }
    };
    Ok(vec![
        case("RPC null calls, memory link, 1 caller", 1, true),
        case("RPC null calls, memory link, 64 callers", 64, true),
        case("RPC null calls, kernel TCP, 1 caller", 1, false),
        case("RPC null calls, kernel TCP, 64 callers", 64, false),
    ])
}

/// libtirpc's program, compiled.
fn build() -> Result<PathBuf> {
    let dir = std::env::temp_dir().join(format!("sockeye-bench-rpc-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let source = dir.join("null.c");
    std::fs::write(&source, include_str!("null.c"))?;
    let binary = dir.join("null");
    let output = Command::new("cc")
        .args(["-O2", "-w", "-I/usr/include/tirpc", "-o"])
        .args([&binary, &source])
        .args(["-ltirpc", "-lpthread"])
        .output()
        .context("there is no cc")?;
    ensure!(
        output.status.success(),
        "libtirpc's program does not compile: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(binary)
}

fn libtirpc(null: &Path, callers: u32, time: Duration) -> Result<f64> {
    let args = [callers.to_string(), time.as_millis().to_string()];
    let output = Command::new(null).args(args).output()?;
    ensure!(output.status.success(), "libtirpc's program failed");
    let text = String::from_utf8(output.stdout)?;
    let figures: Vec<f64> = text
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let [calls, _, used] = figures[..] else {
        anyhow::bail!("three figures were expected, not {text}");
    };
    Ok(calls / used)
}

fn ours(callers: u32, over_memory: bool, time: Duration) -> Result<f64> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        if over_memory {
            let (a, b) = MemoryLink::pair_ip(MemoryConfig::default());
            let node = |link, address: &str| -> Result<Node> {
                let config = LinkConfig::new().address(address.parse()?);
                Ok(Node::builder()
                    .link("mem", Box::new(link), config)
                    .build()?)
            };
            let (here, there) = (node(a, "192.0.2.1/24")?, node(b, "192.0.2.2/24")?);
            let listener = sockeye::tokio::TcpListener::bind_on(&there, "192.0.2.2:7").await?;
            serve(listener);
            let stream = sockeye::tokio::TcpStream::connect_on(&here, "192.0.2.2:7").await?;
            stream.set_nodelay(true)?;
            call(&Client::stream(stream, PROGRAM, 1), callers, time).await
        } else {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
            let address = listener.local_addr()?;
            serve(listener);
            let stream = tokio::net::TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            call(&Client::stream(stream, PROGRAM, 1), callers, time).await
        }
    })
}

fn serve(listener: impl AsyncListener + Sync) {
    let null = service_fn(PROGRAM, 1, |_, _, _| Ok(()));
    let server = Server::new(Programs::new().with(null));
    tokio::spawn(async move { server.serve_async(listener).await });
}

async fn call(client: &Client, callers: u32, time: Duration) -> Result<f64> {
    client.call::<()>(0, &()).await?;
    let (end, used) = (Instant::now() + time, processor_seconds());
    let callers: Vec<_> = (0..callers)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                let mut calls = 0_u64;
                while Instant::now() < end {
                    client.call::<()>(0, &()).await?;
                    calls += 1;
                }
                anyhow::Ok(calls)
            })
        })
        .collect();
    let mut calls = 0;
    for caller in callers {
        calls += caller.await??;
    }
    Ok(calls as f64 / (processor_seconds() - used))
}

/// What this process has used.
fn processor_seconds() -> f64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 * 1e-9
}
