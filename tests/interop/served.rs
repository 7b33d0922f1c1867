//! Servers that nobody changed, under `sockeye run` on a TAP device, for clients on the kernel's own sockets.

use crate::host::pattern;
use crate::programs::{
    IPERF, NGINX, NGINX_SCRIPT, PRELUDE, check_redis, check_served, nginx_folder,
};
use crate::run::{PYTHON, need};
use crate::tap::{KERNEL_V4, KERNEL_V6, LIMIT, NODE_V4, NODE_V6};
use sockeye_tests::{
    Outcome, Program, Result, TempDir, Test, check, have, ignore, in_namespace, sha256, sockeye,
    tests,
};

pub(crate) const TESTS: &[Test] = tests![
    nginx_reloads_under_load_of_the_kernels,
    redis_for_the_kernels_benchmark,
    iperf3_for_the_kernels_in_all_its_ways,
];

/// A TAP device that the kernel has an address of each family on; or why there can be none.
fn device() -> Result<Result<(), String>> {
    let ip = |words: &str| Program::new("ip").args(words.split(' ')).run();
    let made = ip("tuntap add mode tap name sockeye0")?;
    if made.code != Some(0) {
        return Ok(Err(format!("no TAP device: {}", made.stderr_text().trim())));
    }
    ip("link set sockeye0 up")?.expect(0)?;
    ip(&format!("addr add {KERNEL_V4}/24 dev sockeye0"))?.expect(0)?;
    ip(&format!("addr add {KERNEL_V6}/64 dev sockeye0 nodad"))?.expect(0)?;
    Ok(Ok(()))
}

/// What a script of the shell prints, in a folder: `$run PROGRAM` runs a program on a node at the other
/// end of the device, and what the script calls `$server` is ended with it.
fn served(at: &TempDir, script: &str) -> Result<String> {
    let (sockeye, at) = (sockeye()?.display(), at.path().display());
    let script = format!(
        r#"cd {at}
{PRELUDE}
run="{sockeye} run --link tap:sockeye0,addr={NODE_V4}/24,addr={NODE_V6}/64
    --sysctl net.ipv6.conf.default.dad_transmits=0 --"
trap '[ -z "$server" ] || kill $server; wait' EXIT
{script}"#
    );
    let ran = Program::new("sh").args(["-e", "-c", &script]).limit(LIMIT);
    Ok(ran.run()?.expect(0)?.stdout_text())
}

fn nginx_reloads_under_load_of_the_kernels() -> Result {
    need!(NGINX, "wrk", "curl");
    sockeye()?;
    let name = "interop::served::nginx_reloads_under_load_of_the_kernels";
    in_namespace(name, LIMIT, || {
        if let Err(reason) = device()? {
            return ignore!("{reason}");
        }
        let (dir, body) = nginx_folder()?;
        // What is sent to the run is the program's.
        let text = format!(
            r#"{NGINX_SCRIPT}
host={NODE_V4}; start_nginx; server=$nginx
for to in {NODE_V4} '[{NODE_V6}]'; do curl -s http://$to:8080/file | sha256sum; done
wrk -t 2 -c 20 -d 1 --timeout 60 -s count.lua 'http://[{NODE_V6}]:8080/file' {size}
wrk -t 2 -c 20 -d 100 --timeout 60 -s count.lua -H 'Connection: close' http://$host:8080/file {size} & wrk=$!
reload 1; reload 2
kill -INT $wrk; wait $wrk
"#,
            size = body.len()
        );
        let text = served(&dir, &text)?;
        check_served(&text, &body, 2)?;
        Ok(Outcome::Passed)
    })
}

fn redis_for_the_kernels_benchmark() -> Result {
    need!("redis-server", "redis-cli", "redis-benchmark");
    sockeye()?;
    let name = "interop::served::redis_for_the_kernels_benchmark";
    in_namespace(name, LIMIT, || {
        const ROUNDS: u64 = 1000;
        if let Err(reason) = device()? {
            return ignore!("{reason}");
        }
        let dir = TempDir::new()?;
        let value = pattern(3_000_000);
        dir.write("value", &value)?;
        let text = format!(
            r#"
$run redis-server --port 6379 --bind {NODE_V4} {NODE_V6} --protected-mode no --save '' --dir $PWD >log & server=$!
await redis-cli -h {NODE_V4} -e dbsize
redis-benchmark -h {NODE_V4} -n {ROUNDS} -c 50 --csv
redis-cli -h {NODE_V4} info commandstats
redis-cli -h {NODE_V4} -x set name < value
redis-cli -h {NODE_V6} --raw get name | head -c {len} | sha256sum
"#,
            len = value.len()
        );
        let text = served(&dir, &text)?;
        check_redis(&text, ROUNDS)?;
        check!(text.contains(&sha256(&value)), "not what was set: {text}");
        Ok(Outcome::Passed)
    })
}

fn iperf3_for_the_kernels_in_all_its_ways() -> Result {
    need!("iperf3", PYTHON);
    sockeye()?;
    let name = "interop::served::iperf3_for_the_kernels_in_all_its_ways";
    in_namespace(name, LIMIT, || {
        if let Err(reason) = device()? {
            return ignore!("{reason}");
        }
        let dir = TempDir::new()?;
        dir.write("iperf.py", IPERF)?;
        let text = format!(
            r#"
$run iperf3 -s -p 5201 >log & server=$!
await {PYTHON} -c 'import socket; socket.create_connection(("{NODE_V4}", 5201))'
{PYTHON} iperf.py {NODE_V4} 5201
{PYTHON} iperf.py {NODE_V6} 5201
"#
        );
        let text = served(&dir, &text)?;
        check!(text.matches("done\n").count() == 2, "{text}");
        Ok(Outcome::Passed)
    })
}
