//! A run that goes on: servers under it and clients of the kernel's, over a link that loses one packet in a hundred. When the
//! connections are gone the supervisor holds what it held before: descriptors, threads, bytes of heap.

use crate::host::pattern;
use crate::programs::{NGINX, WRK, nginx_conf, wrk_counts};
use crate::run::need;
use crate::tap::{self, NODE_V4};
use sockeye::drivers::netem::{Netem, NetemConfig};
use sockeye::{Config, Node};
use sockeye_run::{Options, Runner};
use sockeye_tests::{
    Outcome, Program, Result, TempDir, Test, check, have, ignore, in_namespace, tests,
};
use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::OsString;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

pub(crate) const TESTS: &[Test] = tests![servers_under_loss_leave_nothing];

const SECONDS: &str = "SOCKEYE_TEST_SOAK_SECONDS";
const SECONDS_DEFAULT: u64 = 8;
/// Seconds that a round's load takes.
const ROUND: u64 = 2;
/// What went wrong on the way takes time to end: where a client's RST was lost, its server waits.
const QUIET: Duration = Duration::from_secs(60);
/// Connections in TIME-WAIT: as many as the first round has, whatever the machine's speed.
const TIME_WAITS: usize = 16;

#[global_allocator]
static COUNTING: Counting = Counting;
static LIVE: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, with a count of the bytes that are out.
struct Counting;

// SAFETY: every call goes to `System` unchanged; counting touches no memory of the caller's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise about `pointer` and `layout` is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn seconds() -> u64 {
    let set = std::env::var(SECONDS).ok().and_then(|s| s.parse().ok());
    set.unwrap_or(SECONDS_DEFAULT)
}

fn servers_under_loss_leave_nothing() -> Result {
    need!(
        NGINX,
        "wrk",
        "redis-server",
        "redis-benchmark",
        "redis-cli",
        "curl"
    );
    let name = "interop::soak::servers_under_loss_leave_nothing";
    let limit = Duration::from_secs(2 * seconds()) + 4 * QUIET;
    in_namespace(name, limit, || {
        let loss: NetemConfig = "loss=1%,limit=10000".parse()?;
        let shape = |tap| Ok(Box::new(Netem::new(tap, loss, 42)) as Box<_>);
        match tap::open_with(shape, |config| config)? {
            Ok(node) => soak(node),
            Err(reason) => ignore!("{reason}"),
        }
    })
}

fn soak(node: Node) -> Result {
    node.set_config(Config {
        tcp_time_wait_max: TIME_WAITS,
        ..node.config()?
    })?;
    let dir = TempDir::new()?;
    let at = dir.path().display();
    dir.write("file", pattern(20_000))?;
    dir.write("count.lua", WRK)?;
    // What a client leaves in the middle is over soon.
    let waits = "client_header_timeout 2s; keepalive_timeout 2s; send_timeout 2s; access_log off;";
    let conf = nginx_conf(dir.path()).replace("access_log off;", waits);
    let conf = dir.write("nginx.conf", conf.replace("GENERATION", "0"))?;
    let servers = format!(
        "cd {at}; {NGINX} -e {at}/error.log -c {} & \
         exec redis-server --bind {NODE_V4} --protected-mode no --save '' --timeout 2 --dir {at} >log",
        conf.display()
    );
    let servers = ["sh", "-c", &servers].map(OsString::from);
    let mut options = Options::default();
    options.mirror_signals = false;
    let running = Runner::new(node, options).spawn(&servers)?;
    let outcome = rounds(&dir);
    // Redis is the program, and nginx what it leaves behind.
    let pid = std::fs::read_to_string(dir.path().join("nginx.pid"))?;
    for pid in [pid.trim(), &running.pid().to_string()] {
        Program::new("kill").args(["-TERM", pid]).run()?.expect(0)?;
    }
    running.wait()?;
    outcome
}

/// What the supervisor holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    descriptors: usize,
    threads: usize,
    heap: usize,
}

impl Held {
    fn now() -> Result<Self> {
        let count = |path| Ok::<_, std::io::Error>(std::fs::read_dir(path)?.count());
        Ok(Self {
            descriptors: count("/proc/self/fd")?,
            threads: count("/proc/self/task")?,
            heap: LIVE.load(Ordering::Relaxed),
        })
    }

    /// Once nothing has changed for so long, and no more descriptors and threads are held than there were.
    fn settled(before: Option<Self>, quiet: Duration) -> Result<Self> {
        let deadline = Instant::now() + QUIET;
        let (mut held, mut since) = (Self::now()?, Instant::now());
        loop {
            let now = Self::now()?;
            let same = (now.descriptors, now.threads) == (held.descriptors, held.threads);
            let more = before.is_some_and(|before| {
                now.descriptors > before.descriptors || now.threads > before.threads
            });
            if !same || more {
                (held, since) = (now, Instant::now());
            }
            held.heap = held.heap.min(now.heap);
            if since.elapsed() > quiet {
                return Ok(held);
            }
            check!(Instant::now() < deadline, "{now:?} held, {before:?} before");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn rounds(dir: &TempDir) -> Result {
    let url = format!("http://{NODE_V4}:8080/file");
    let redis = ["-h", NODE_V4];
    for _ in 0..600 {
        let page = Program::new("curl").args(["-sf", "-o", "/dev/null", &url]);
        let size = Program::new("redis-cli").args(redis).args(["-e", "dbsize"]);
        if page.run()?.code == Some(0) && size.run()?.code == Some(0) {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let load = |clients: &str, seconds: u64| -> Result<u64> {
        let wrk = Program::new("wrk").args(["-t", "1", "-c", clients, "--timeout", "60"]);
        let wrk = wrk.args(["-d", &seconds.to_string(), "-H", "Connection: close", "-s"]);
        let wrk = wrk
            .args(["count.lua", &url, "20000"])
            .current_dir(dir.path());
        let wrk = wrk.limit(Duration::from_secs(seconds) + QUIET);
        let text = wrk.run()?.expect(0)?.stdout_text();
        let counts = wrk_counts(&text)?;
        // Servers that give up on silent clients may give up on a slow one, too.
        let served = matches!(counts[..], [(1.., failed)] if failed <= counts[0].0 / 100);
        check!(served, "{text}");
        let bench = Program::new("redis-benchmark").args(redis).arg("--csv");
        let bench = bench.args(["-t", "set,get,lrange_600", "-n", "300", "-c", clients]);
        bench.run()?.expect(0)?;
        Ok(counts[0].0)
    };
    // The first round has more at once, so that tables grow in it alone; and the supervisor has then met
    // every process, of which it keeps a descriptor. What has gone wrong in it is over when servers have
    // closed what was silent.
    load("40", 2 * ROUND)?;
    let before = Held::settled(None, Duration::from_secs(5))?;
    let (mut held, mut requests) = (vec![before], 0);
    for _ in 0..(seconds() / ROUND).max(4) {
        requests += load("20", ROUND)?;
        held.push(Held::settled(Some(before), Duration::from_secs(1))?);
    }
    println!("{requests} requests, then {held:#?}");
    let heaps: Vec<usize> = held.iter().map(|held| held.heap).collect();
    let (first, last) = heaps.split_at(heaps.len() / 2);
    let most = first.iter().max().copied().unwrap_or_default();
    let least = last.iter().min().copied().unwrap_or_default();
    // What is left by each request, be it a byte, is more than one round's requests by then; what a
    // timer or a table holds for the moment is less.
    let noise = usize::try_from(requests)? / (held.len() - 1);
    check!(least <= most + noise, "the heap grows: {heaps:?}");
    Ok(Outcome::Passed)
}
