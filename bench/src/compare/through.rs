//! Programs whose network is in user space: `sockeye run`, pasta and slirp4netns, beside the kernel's
//! loopback. Each run is in a network namespace of its own, whose server is on the first core; the
//! client and what carries its packets are where they like.

use crate::tun::in_namespace;
use anyhow::{Context as _, Result, bail, ensure};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to listen.
const PATIENCE: Duration = Duration::from_secs(5);
const MTU: &str = "--mtu=65520";

/// What carries a program's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    Kernel,
    Sockeye,
    /// Client and server under one `sockeye run`.
    Inside,
    Pasta,
    Slirp,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// Gigabits a second: from the client's end outwards, or to it.
    Iperf { inward: bool, flows: u32 },
    /// Requests a second of redis-benchmark.
    Redis,
    /// Requests a second of wrk, on connections that stay, or on one for each.
    Wrk { close: bool },
}

/// A server that ends with this.
struct Server {
    child: Child,
    place: Option<PathBuf>,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(place) = &self.place {
            let _ = std::fs::remove_dir_all(place);
        }
    }
}

/// Says what is missing for a network or a load.
pub(crate) fn available(network: Network, load: Load) -> Result<()> {
    let mut wanted = match load {
        Load::Iperf { .. } => vec!["iperf3"],
        Load::Redis => vec!["redis-server", "redis-benchmark"],
        Load::Wrk { .. } => vec!["nginx", "wrk"],
    };
    match network {
        Network::Kernel => {}
        Network::Sockeye | Network::Inside => drop(sockeye()?),
        Network::Pasta => wanted.push("pasta"),
        Network::Slirp => wanted.push("slirp4netns"),
    }
    wanted.extend(["ip", "unshare", "timeout", "taskset"]);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places: Vec<PathBuf> = std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/bin".into()])
        .collect();
    for name in wanted {
        ensure!(
            places.iter().any(|place| place.join(name).exists()),
            "{name} is not installed"
        );
    }
    in_namespace(|| Ok(()))
}

/// The binary beside this one.
fn sockeye() -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("sockeye");
    ensure!(
        path.exists(),
        "sockeye is not beside this program: cargo build --release -p sockeye-cli"
    );
    Ok(path)
}

/// One run.
pub(crate) fn run(network: Network, load: Load, time: Duration) -> Result<f64> {
    in_namespace(move || {
        set_up()?;
        if network == Network::Inside {
            return inside(load, time);
        }
        let _server = serve(load)?;
        let address = match network {
            Network::Kernel | Network::Inside => "127.0.0.1",
            Network::Sockeye | Network::Slirp => "10.0.2.2",
            // What stands for the host is the address of the gateway.
            Network::Pasta => "10.77.0.2",
        };
        let client = client(network, load, address, time);
        let output = match network {
            Network::Kernel | Network::Inside => words(&client).output()?,
            Network::Sockeye => {
                let mut all = vec![sockeye()?.display().to_string()];
                all.extend(["run", "--allow-host-loopback", "--"].map(String::from));
                all.extend(client);
                words(&all).output()?
            }
            Network::Pasta => {
                let options = "pasta --runas 0 --config-net -t none -u none -T none -U none --";
                let mut all: Vec<String> = options.split(' ').map(String::from).collect();
                all.extend(client);
                words(&all).output()?
            }
            Network::Slirp => slirp(&client)?,
        };
        figure(load, &output)
    })
}

/// The namespace's interfaces. pasta takes its addresses from one that has a route to all.
fn set_up() -> Result<()> {
    for command in [
        "link set lo up",
        "link add name ext0 type veth peer name ext1",
        "addr add 10.77.0.1/24 dev ext0",
        "link set ext1 up",
        "link set ext0 up",
        "route add default via 10.77.0.2",
    ] {
        let done = Command::new("ip").args(command.split(' ')).output()?;
        let error = String::from_utf8_lossy(&done.stderr);
        ensure!(done.status.success(), "`ip {command}`: {error}");
    }
    Ok(())
}

/// Whether something listens on a port of this thread's namespace. Asked without connecting: iperf3's
/// server takes whoever connects for its client.
fn listens(port: u16) -> bool {
    let local = format!(":{port:04X}");
    ["tcp", "tcp6"].into_iter().any(|name| {
        let text = std::fs::read_to_string(format!("/proc/thread-self/net/{name}"));
        text.unwrap_or_default().lines().any(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            matches!(words[..], [_, at, _, "0A", ..] if at.ends_with(&local))
        })
    })
}

/// A command that ends within half a minute and the time that is measured.
fn words(words: &[String]) -> Command {
    let mut command = Command::new("timeout");
    command.args(["-k", "1", "60"]).args(words);
    command
}

fn port(load: Load) -> u16 {
    match load {
        Load::Iperf { .. } => 5201,
        Load::Redis => 6379,
        Load::Wrk { .. } => 8080,
    }
}

fn serve(load: Load) -> Result<Server> {
    let mut command = Command::new("taskset");
    command.args(["-c", "0"]);
    let mut place = None;
    match load {
        Load::Iperf { .. } => command.args(["iperf3", "-s"]),
        Load::Redis => command.args([
            "redis-server",
            "--save",
            "",
            "--appendonly",
            "no",
            "--bind",
            "127.0.0.1",
        ]),
        Load::Wrk { .. } => {
            let folder = place.insert(nginx()?);
            let nginx = ["/usr/sbin/nginx", "nginx"]
                .into_iter()
                .find(|name| Path::new(name).exists());
            command
                .args([nginx.unwrap_or("nginx"), "-p"])
                .arg(&*folder)
                .args(["-c", "nginx.conf"])
        }
    };
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let mut server = Server { child, place };
    let start = Instant::now();
    while !listens(port(load)) {
        ensure!(
            start.elapsed() < PATIENCE && server.child.try_wait()?.is_none(),
            "the server for {load:?} does not listen"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(server)
}

/// A folder for nginx.
fn nginx() -> Result<PathBuf> {
    const CONFIGURATION: &str = "daemon off; pid nginx.pid; error_log stderr crit; user root;
worker_processes 1; events { worker_connections 1000; }
http { access_log off; client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f;
uwsgi_temp_path u; scgi_temp_path s;
server { listen 127.0.0.1:8080; keepalive_requests 1000000000; location / { return 200 \"sockeye\\n\"; } } }
";
    let place = std::env::temp_dir().join(format!("sockeye-compare-{}", std::process::id()));
    std::fs::create_dir_all(&place)?;
    std::fs::write(place.join("nginx.conf"), CONFIGURATION)?;
    Ok(place)
}

fn client(network: Network, load: Load, address: &str, time: Duration) -> Vec<String> {
    let seconds = time.as_secs().max(1);
    let line = match load {
        Load::Iperf { inward, flows } => {
            let way = if inward { " -R" } else { "" };
            // pasta's guest may not choose, so the machine's choice is what it has.
            let cubic = if network == Network::Pasta {
                ""
            } else {
                " -C cubic"
            };
            format!("iperf3 -c {address} -t {seconds} -P {flows} -J{way}{cubic}")
        }
        Load::Redis => {
            // A number that takes some hundred milliseconds, since it has no option for a time.
            format!(
                "redis-benchmark -h {address} -t get -n {} -c 50 --csv",
                40_000 * seconds
            )
        }
        Load::Wrk { close } => {
            let header = if close { " -H Connection:close" } else { "" };
            format!("wrk -t 1 -c 16 -d {seconds}s{header} http://{address}:8080/")
        }
    };
    line.split(' ').map(String::from).collect()
}

/// Client and server under one `sockeye run`, which waits for both.
fn inside(load: Load, time: Duration) -> Result<f64> {
    ensure!(
        matches!(load, Load::Iperf { .. }),
        "only iperf3 is measured between two programs"
    );
    // The server ends after its one client; that it listens is seen by trying.
    let script = format!(
        "iperf3 -s -1 >/dev/null & for n in 1 2 3 4 5 6 7 8 9; do sleep 0.2; {} && break; done",
        client(Network::Inside, load, "127.0.0.1", time).join(" ")
    );
    let all = [
        sockeye()?.display().to_string(),
        "run".into(),
        "--".into(),
        "sh".into(),
        "-c".into(),
        script,
    ];
    figure(load, &words(&all).output()?)
}

/// A client in a namespace that slirp4netns serves.
fn slirp(client: &[String]) -> Result<Output> {
    let script = "ip link set lo up; echo there; read go; exec \"$@\"";
    let mut inner: Vec<String> = ["-n", "sh", "-c", script, "sh"].map(String::from).into();
    inner.extend(["timeout", "60"].map(String::from));
    inner.extend_from_slice(client);
    let mut child = Command::new("unshare")
        .args(inner)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut out = BufReader::new(child.stdout.take().context("a pipe")?);
    let mut line = String::new();
    out.read_line(&mut line)?;
    let mut carrier = Command::new("slirp4netns")
        .args(["--configure", MTU, "--ready-fd=1"])
        .args([&child.id().to_string(), "tap0"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut ready = [0];
    let began = carrier
        .stdout
        .as_mut()
        .context("a pipe")?
        .read(&mut ready)?;
    let carrier = Server {
        child: carrier,
        place: None,
    };
    if began == 0 {
        let _ = child.kill();
        let _ = child.wait();
        bail!("slirp4netns did not begin");
    }
    child.stdin.take().context("a pipe")?.write_all(b"go\n")?;
    let mut stdout = Vec::new();
    out.read_to_end(&mut stdout)?;
    let mut output = child.wait_with_output()?;
    output.stdout = stdout;
    drop(carrier);
    Ok(output)
}

/// What a client printed.
fn figure(load: Load, output: &Output) -> Result<f64> {
    let text = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    let fail = || {
        let told = format!("{text}\n{error}");
        let line = |line: &&str| line.contains("rror");
        let line = told.lines().find(line).unwrap_or("").trim().to_owned();
        format!("{load:?}: {} {line}", output.status)
    };
    ensure!(output.status.success(), fail());
    parse(load, &text).with_context(fail)
}

fn parse(load: Load, text: &str) -> Option<f64> {
    match load {
        Load::Iperf { .. } => {
            let report: serde_json::Value = serde_json::from_str(text).ok()?;
            let bits = report["end"]["sum_received"]["bits_per_second"].as_f64()?;
            Some(bits / 1e9)
        }
        Load::Redis => {
            let line = text.lines().find(|line| line.starts_with("\"GET\""))?;
            line.split(',').nth(1)?.trim_matches('"').parse().ok()
        }
        Load::Wrk { .. } => {
            let line = text
                .lines()
                .find(|line| line.starts_with("Requests/sec:"))?;
            line.split_whitespace().nth(1)?.parse().ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_in_what_the_clients_print() {
        let iperf = Load::Iperf {
            inward: false,
            flows: 1,
        };
        let json = r#"{"end": {"sum_received": {"bits_per_second": 2.5e9}}}"#;
        assert_eq!(parse(iperf, json), Some(2.5));
        assert_eq!(parse(iperf, "{}"), None);
        let csv = "\"test\",\"rps\"\n\"GET\",\"68493.15\",\"0.4\"\n";
        assert_eq!(parse(Load::Redis, csv), Some(68_493.15));
        let wrk = "Running 1s test\nRequests/sec:  30123.45\nTransfer/sec: 4MB\n";
        assert_eq!(parse(Load::Wrk { close: true }, wrk), Some(30_123.45));
        assert_eq!(parse(Load::Wrk { close: true }, "unable to connect"), None);
    }
}
