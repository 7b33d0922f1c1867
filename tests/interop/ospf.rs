//! The example `ospf` beside a real router, FRR's ospfd (Debian frr): fully adjacent, routes both ways.

use crate::tap::LIMIT;
use sockeye_tests::{
    Outcome, Program, Result, Running, TempDir, Test, check, example, ignore, in_namespace,
    is_root, tests,
};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) const TESTS: &[Test] = tests![is_fully_adjacent_to_frr_and_learns_routes];

const FRR: &str = "/usr/lib/frr";
/// Designated after the wait timer of four seconds, and everything else after that.
const PATIENCE: Duration = Duration::from_secs(40);

const CONFIG: &str = "\
interface sockeye0
 ip ospf hello-interval 1
 ip ospf dead-interval 4
router ospf
 ospf router-id 9.9.9.9
 network 10.9.0.0/24 area 0
 network 198.51.100.0/24 area 0
";

/// zebra and ospfd, which end with this.
struct Frr {
    dir: TempDir,
    zebra: Running,
    ospfd: Running,
}

impl Drop for Frr {
    fn drop(&mut self) {
        let _ = self.ospfd.0.kill();
        let _ = self.zebra.0.kill();
    }
}

fn daemon(name: &str, dir: &Path, config: &str) -> Result<Running> {
    let file = dir.join(format!("{name}.conf"));
    std::fs::write(&file, config)?;
    let at = |what: &str| dir.join(what).to_string_lossy().into_owned();
    let program = Program::new(format!("{FRR}/{name}"))
        .args(["-u", "frr", "-g", "frr", "-A", "127.0.0.1", "-P", "0"])
        .args(["-f", &at(&format!("{name}.conf"))])
        .args(["-i", &at(&format!("{name}.pid"))])
        .args(["-z", &at("zserv.api"), "--vty_socket", &at("")]);
    program.current_dir(dir).start()
}

fn start_frr() -> Result<Frr> {
    let dir = TempDir::new()?;
    let path = dir.path().to_owned();
    let path = path.as_path();
    Program::new("chown")
        .args(["frr:frr".as_ref(), path])
        .run()?
        .expect(0)?;
    let zebra = daemon("zebra", path, "hostname r\n")?;
    let end = Instant::now() + PATIENCE;
    while !path.join("zserv.api").exists() {
        check!(Instant::now() < end, "zebra does not listen");
        thread::sleep(Duration::from_millis(20));
    }
    let ospfd = daemon("ospfd", path, CONFIG)?;
    Ok(Frr { dir, zebra, ospfd })
}

/// The example, and the lines that it says.
struct Speaker {
    running: Running,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    said: Vec<String>,
}

impl Speaker {
    fn start() -> Result<Self> {
        let words = ["sockeye0", "10.9.0.2/24", "1.1.1.1", "203.0.113.0/24"];
        let mut program = Program::new(example("ospf")?).args(words);
        program
            .command()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut running = program.start()?;
        let input = running.0.stdin.take();
        let output = running.0.stdout.take().ok_or("no output")?;
        let (tell, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(|line| line.ok()) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            running,
            input,
            lines,
            said: Vec::new(),
        })
    }

    fn says(&mut self, expected: &str) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            match self
                .lines
                .recv_timeout(end.saturating_duration_since(Instant::now()))
            {
                Ok(line) => {
                    self.said.push(line.clone());
                    if line == expected {
                        return Ok(());
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    return Err(format!("no {expected:?}, but {:?}", self.said).into());
                }
            }
        }
    }

    fn end(mut self) -> Result<()> {
        drop(self.input.take());
        check!(self.running.0.wait()?.success(), "it failed");
        Ok(())
    }
}

fn ip(words: &str) -> Result<String> {
    let output = Program::new("ip").args(words.split(' ')).run()?;
    Ok(output.expect(0)?.stdout_text())
}

fn is_fully_adjacent_to_frr_and_learns_routes() -> Result {
    if !Path::new(FRR).join("ospfd").exists() {
        return ignore!("there is no {FRR}/ospfd on this machine (Debian frr)");
    }
    if !is_root() {
        return ignore!("FRR's daemons have to be started by root");
    }
    in_namespace(
        "interop::ospf::is_fully_adjacent_to_frr_and_learns_routes",
        LIMIT,
        || {
            for words in [
                "tuntap add mode tap name sockeye0",
                "addr add 10.9.0.1/24 dev sockeye0",
                "link set sockeye0 up",
                // A network behind the router.
                "link add behind type veth peer name far",
                "addr add 198.51.100.1/24 dev behind",
                "link set behind up",
                "link set far up",
            ] {
                ip(words)?;
            }
            let mut frr = start_frr()?;
            let mut speaker = Speaker::start()?;
            speaker.says("neighbour 9.9.9.9 Full")?;
            speaker.says("route 198.51.100.0/24 via 10.9.0.1 cost 20")?;
            let end = Instant::now() + PATIENCE;
            let learned = "203.0.113.0/24 nhid";
            while !ip("route show")?.contains(learned) {
                check!(
                    Instant::now() < end,
                    "the kernel has no route: {}",
                    ip("route show")?
                );
                thread::sleep(Duration::from_millis(100));
            }
            let dir = frr.dir.path().to_string_lossy().into_owned();
            let neighbours = Program::new("vtysh")
                .args(["--vty_socket", &dir, "-c", "show ip ospf neighbor"])
                .run()?
                .expect(0)?
                .stdout_text();
            check!(neighbours.contains("Full/DROther"), "{neighbours}");
            // Its answer takes the route that it has learned: it has no other one to there.
            let ping = Program::new("ping");
            ping.args(["-c", "1", "-W", "5", "-I", "198.51.100.1", "10.9.0.2"])
                .run()?
                .expect(0)?;
            // A router that falls silent is given up, and its routes with it.
            frr.ospfd.0.kill()?;
            speaker.says("neighbour 9.9.9.9 Down")?;
            speaker.says("route 198.51.100.0/24 gone")?;
            speaker.end()?;
            Ok(Outcome::Passed)
        },
    )
}
