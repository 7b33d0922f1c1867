//! Servers and clients that nobody changed, beside one another on one node under `sockeye run`, as an ordinary user: what
//! they say of their own work has to be right.

use crate::host::{Server, pattern};
use crate::run::{PYTHON, need, run};
use sockeye_tests::{Outcome, Output, Result, TempDir, Test, check, have, ignore, sha256, tests};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) const TESTS: &[Test] = tests![
    nginx_reloads_under_load,
    redis_and_its_benchmark,
    iperf3_in_all_its_ways,
    iperf3_carries_a_file,
    wget_fetches_and_goes_on,
    postgresql_and_pgbench,
    esbuild_serves_what_it_builds,
];

pub(crate) const NGINX: &str = "/usr/sbin/nginx";
const LIMIT: Duration = Duration::from_secs(120);

/// What the scripts share: `await COMMAND…` tries until it succeeds, a minute at the most.
pub(crate) const PRELUDE: &str = r#"
await() { tries=0; until "$@" >/dev/null 2>&1; do
    tries=$((tries + 1)); [ $tries -lt 600 ] || { echo "$@: in vain" >&2; exit 99; }; sleep 0.1
done; }
"#;

/// Runs a script of the shell under `run`, in a folder; fails unless it exits with 0.
fn script(options: &[&str], at: &Path, script: &str) -> Result<Output> {
    let script = format!("cd {}\n{PRELUDE}{script}", at.display());
    let run = run(options, &["sh", "-e", "-c", &script])?;
    run.limit(LIMIT).run()?.expect(0)
}

/// nginx's configuration: files of the folder `at`, from four workers.
pub(crate) fn nginx_conf(at: &Path) -> String {
    let at = at.display();
    format!(
        "daemon off; worker_processes 4; pid {at}/nginx.pid; error_log {at}/error.log notice;
events {{ worker_connections 512; }}
http {{
    access_log off; sendfile on; root {at};
    client_body_temp_path {at}/t1; proxy_temp_path {at}/t2; fastcgi_temp_path {at}/t3;
    uwsgi_temp_path {at}/t4; scgi_temp_path {at}/t5;
    server {{ listen 8080; listen [::]:8080; add_header X-Generation GENERATION; }}
}}
"
    )
}

/// How nginx is started (by `$run`, where that is set) and asked to read its configuration again, in a
/// folder with `template`.
pub(crate) const NGINX_SCRIPT: &str = r#"
configure() { sed "s/GENERATION/$1/" template > nginx.conf; }
start_nginx() { configure 0; $run /usr/sbin/nginx -e $PWD/error.log -c $PWD/nginx.conf & nginx=$!; await serves 0; }
serves() { curl -s -o body -D - http://$host:8080/file | grep -q "X-Generation: $1"; }
gone() { [ $(grep -c 'worker process [0-9]* exited with code 0' error.log) -eq $1 ]; }
reload() { configure $1; kill -HUP $nginx; await serves $1; await gone $((4 * $1)); }
"#;

/// For wrk: counts the responses that are not whole, and says how many requests failed in any way.
pub(crate) const WRK: &str = r#"
local threads = {}
function setup(thread) table.insert(threads, thread) end
function init(args) bad = 0; size = tonumber(args[1]) end
function response(status, headers, body)
    if status ~= 200 or #body ~= size then bad = bad + 1 end
end
function done(summary, latency, requests)
    local e, bad = summary.errors, 0
    for _, thread in ipairs(threads) do bad = bad + thread:get("bad") end
    print("requests " .. summary.requests)
    print("failed " .. (bad + e.connect + e.read + e.write + e.status + e.timeout))
end
"#;

/// What wrk counted, each time it was run: requests, and failures among them.
pub(crate) fn wrk_counts(text: &str) -> Result<Vec<(u64, u64)>> {
    let numbers = |key: &str| -> Result<Vec<u64>> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(key));
        lines.map(|number| Ok(number.trim().parse()?)).collect()
    };
    let (requests, failed) = (numbers("requests ")?, numbers("failed ")?);
    Ok(requests.into_iter().zip(failed).collect())
}

/// A folder with nginx's template, wrk's script and a file to serve, and what is in that.
pub(crate) fn nginx_folder() -> Result<(TempDir, Vec<u8>)> {
    let dir = TempDir::new()?;
    let body = pattern(100_000);
    dir.write("file", &body)?;
    dir.write("template", nginx_conf(dir.path()))?;
    dir.write("count.lua", WRK)?;
    Ok((dir, body))
}

/// The file came whole so many times, and wrk, which was run twice, missed no answer.
pub(crate) fn check_served(text: &str, body: &[u8], times: usize) -> Result<()> {
    let hashes = text.matches(&sha256(body)).count();
    check!(
        hashes == times,
        "the file was fetched {hashes} times: {text}"
    );
    let counts = wrk_counts(text)?;
    check!(counts.len() == 2, "wrk ran {} times: {text}", counts.len());
    for (requests, failed) in counts {
        check!(requests > 20 && failed == 0, "{text}");
    }
    Ok(())
}

/// A reload lets the old workers end what they began, and loses nothing that waits at the listener.
fn nginx_reloads_under_load() -> Result {
    need!(NGINX, "wrk", "curl");
    const RELOADS: usize = 3;
    let (dir, body) = nginx_folder()?;
    // A connection that waits for its next request is closed by a reload, on any network: so each
    // request has its own.
    let text = format!(
        r#"{NGINX_SCRIPT}
host=10.0.2.15; start_nginx
for to in 10.0.2.15 127.0.0.1 '[fd00:2::15]' '[::1]'; do curl -s http://$to:8080/file | sha256sum; done
wrk -t 2 -c 20 -d 1 --timeout 60 -s count.lua http://$host:8080/file {size}
wrk -t 2 -c 20 -d 100 --timeout 60 -s count.lua -H 'Connection: close' http://$host:8080/file {size} & wrk=$!
for n in $(seq {RELOADS}); do reload $n; done
kill -INT $wrk; wait $wrk
kill -QUIT $nginx; wait $nginx
"#,
        size = body.len()
    );
    let text = script(&[], dir.path(), &text)?.stdout_text();
    check_served(&text, &body, 4)?;
    let log = std::fs::read_to_string(dir.path().join("error.log"))?;
    let ended = log.matches("exited with code 0").count();
    check!(ended == 4 * (RELOADS + 1), "{ended} workers ended: {log}");
    let wrong = |line: &&str| !line.contains("[notice]");
    let wrong: Vec<&str> = log.lines().filter(wrong).collect();
    check!(wrong.is_empty(), "nginx complains: {wrong:#?}");
    Ok(Outcome::Passed)
}

/// Commands that `redis-benchmark` times, and how often it sends each for one round of requests.
const REDIS_COMMANDS: &[(&str, u64)] = &[
    ("ping", 2),
    ("set", 1),
    ("get", 1),
    ("incr", 1),
    ("lpush", 2),
    ("rpush", 1),
    ("lpop", 1),
    ("rpop", 1),
    ("sadd", 1),
    ("hset", 1),
    ("spop", 1),
    ("zadd", 1),
    ("zpopmin", 1),
    ("lrange", 4),
    ("mset", 1),
];
/// Rows of its report.
const REDIS_ROWS: usize = 20;

/// How often a redis server says that it ran each command, and that one failed.
pub(crate) fn redis_calls(text: &str) -> BTreeMap<String, (u64, u64)> {
    let number = |line: &str, key: &str| -> Option<u64> {
        let (_, rest) = line.split_once(key)?;
        rest.split(',').next()?.trim().parse().ok()
    };
    let lines = text
        .lines()
        .filter_map(|line| line.strip_prefix("cmdstat_"));
    let calls = lines.filter_map(|line| {
        let name = line.split(':').next()?.to_owned();
        let failed = number(line, "rejected_calls=")? + number(line, ",failed_calls=")?;
        Some((name, (number(line, "calls=")?, failed)))
    });
    calls.collect()
}

/// Fails unless the server has run what so many rounds of the benchmark are, and nothing has failed.
pub(crate) fn check_redis(text: &str, rounds: u64) -> Result<()> {
    let rows = text.lines().filter(|line| line.starts_with('"')).count();
    check!(rows == REDIS_ROWS + 1, "{rows} rows: {text}");
    let calls = redis_calls(text);
    for &(command, times) in REDIS_COMMANDS {
        let came = calls.get(command).copied();
        let wanted = Some((rounds * times, 0));
        check!(
            came == wanted,
            "{command}: {came:?}, not {wanted:?}: {text}"
        );
    }
    Ok(())
}

fn redis_and_its_benchmark() -> Result {
    need!("redis-server", "redis-cli", "redis-benchmark");
    const ROUNDS: u64 = 1000;
    let dir = TempDir::new()?;
    let value = pattern(3_000_000);
    dir.write("value", &value)?;
    let text = format!(
        r#"
redis-server --port 6379 --bind 10.0.2.15 127.0.0.1 ::1 --protected-mode no --save '' --dir $PWD >log & redis=$!
await redis-cli -h 10.0.2.15 -e dbsize
redis-benchmark -h 10.0.2.15 -n {ROUNDS} -c 50 --csv
redis-cli -h 10.0.2.15 info commandstats
redis-cli -h 10.0.2.15 -x set name < value
redis-cli -h ::1 --raw get name | head -c {len} | sha256sum
mkfifo heard; redis-cli -h 127.0.0.1 subscribe channel > heard & subscriber=$!
exec 9<heard
while [ "$(redis-cli -h 10.0.2.15 publish channel 'said to all')" != 1 ]; do sleep 0.1; done
grep -m 1 'said to all' <&9
kill $subscriber; wait $subscriber || :
redis-cli -h 127.0.0.1 shutdown nosave; wait $redis
"#,
        len = value.len()
    );
    let text = script(&[], dir.path(), &text)?.stdout_text();
    check_redis(&text, ROUNDS)?;
    check!(text.contains(&sha256(&value)), "not what was set: {text}");
    check!(text.contains("said to all"), "nothing published: {text}");
    Ok(Outcome::Passed)
}

pub(crate) const IPERF: &str = include_str!("iperf.py");

fn iperf3_in_all_its_ways() -> Result {
    need!("iperf3", PYTHON);
    let dir = TempDir::new()?;
    dir.write("iperf.py", IPERF)?;
    // It says that it listens before it does, and a client that only looks would be its one test.
    let text = format!(
        r#"
for address in 10.0.2.15 fd00:2::15; do
    iperf3 -s -B $address -p 5201 >log & server=$!
    await {PYTHON} -c 'import socket, sys; socket.create_connection((sys.argv[1], 5201))' $address
    {PYTHON} iperf.py $address 5201
    kill $server; wait $server || :
done"#
    );
    let text = script(&[], dir.path(), &text)?.stdout_text();
    check!(text.matches("done\n").count() == 2, "{text}");
    Ok(Outcome::Passed)
}

/// What iperf3 writes on the far side is what it has read on this one. A block is small enough to be
/// written whole: of one that was written in part, iperf3 3.12 sends the rest from a buffer that it has
/// filled anew.
fn iperf3_carries_a_file() -> Result {
    need!("iperf3");
    let dir = TempDir::new()?;
    let sent = pattern(20 << 20);
    dir.write("sent", &sent)?;
    let text = r#"
iperf3 -s -1 -p 5201 -F came >log & server=$!
await iperf3 -c 10.0.2.15 -p 5201 -l 8K -F sent
wait $server"#;
    script(&[], dir.path(), text)?;
    let came = std::fs::read(dir.path().join("came"))?;
    // What is still under way when the sender has read its file, its peer does not wait for.
    check!(came.len() > sent.len() / 2, "{} bytes came", came.len());
    check!(came[..] == sent[..came.len()], "other bytes came");
    Ok(Outcome::Passed)
}

fn wget_fetches_and_goes_on() -> Result {
    need!("wget", NGINX, "curl");
    let dir = TempDir::new()?;
    let body = pattern(20 << 20);
    dir.write("file", &body)?;
    dir.write("template", nginx_conf(dir.path()))?;
    let server = Server::http(body.clone())?;
    let port = server.port();
    let text = format!(
        r#"{NGINX_SCRIPT}
wget -q -O host http://10.0.2.2:{port}/
wget -q -O name http://gateway.internal:{port}/
host=10.0.2.15; start_nginx
head -c 7000000 file >rest
wget -q -c -O rest http://10.0.2.15:8080/file
sha256sum host name rest
wget -q -O none http://10.0.2.15:8080/nowhere || echo status $?
wget -q -t 1 -O none http://10.0.2.15:8081/ || echo status $?
kill -QUIT $nginx; wait $nginx
"#
    );
    let text = script(&["--allow-host-loopback"], dir.path(), &text)?.stdout_text();
    let hashes = text.matches(&sha256(&body)).count();
    check!(hashes == 3, "{hashes} of three files are right: {text}");
    // An answer of the server's, and nobody there.
    check!(text.contains("status 8\nstatus 4\n"), "{text}");
    Ok(Outcome::Passed)
}

/// Where PostgreSQL's programs lie: in no folder of the PATH.
fn postgresql() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let folders = versions.filter_map(|version| Some(version.ok()?.path().join("bin")));
    folders
        .filter(|at| at.join("postgres").is_file() && at.join("pgbench").is_file())
        .max()
}

/// TPC-B moves sums about: what all accounts, tellers and branches have gained is the sum of what was
/// moved, and each transaction has left one line.
fn postgresql_and_pgbench() -> Result {
    let Some(programs) = postgresql() else {
        return ignore!("PostgreSQL is not installed");
    };
    let dir = TempDir::new()?;
    // `samenet`: the server asks for the node's addresses, by netlink, and takes no other clients.
    let text = format!(
        r#"
PATH={programs}:$PATH
initdb -D data --no-sync -A trust -U test >init.log
echo 'host all all samenet trust' >data/pg_hba.conf
postgres -D data -c fsync=off -c listen_addresses='10.0.2.15,localhost' -c unix_socket_directories='' \
    -c max_connections=40 -c shared_buffers=16MB >log 2>&1 & server=$!
export PGUSER=test PGDATABASE=postgres PGHOST=10.0.2.15
await pg_isready
psql -Atc 'select inet_client_addr(), inet_server_addr(), inet_server_port()'
pgbench -i -q >init.log 2>&1
pgbench -c 20 -j 2 -t 20 2>/dev/null
psql -h localhost -At <<'SQL'
with moved as (select sum(delta) as delta, count(*) as lines from pgbench_history)
select 'sums', delta = (select sum(abalance) from pgbench_accounts), delta = (select sum(bbalance) from pgbench_branches),
    delta = (select sum(tbalance) from pgbench_tellers), lines from moved;
select md5(string_agg(n::text, ',')) from generate_series(1, 500000) n;
SQL
psql -Atc "select string_agg(n::text, ',') from generate_series(1, 500000) n" | tr -d '\n' | md5sum
kill -INT $server; wait $server
"#,
        programs = programs.display()
    );
    let text = script(&[], dir.path(), &text)?.stdout_text();
    check!(text.contains("10.0.2.15|10.0.2.15|5432\n"), "{text}");
    let all = "number of transactions actually processed: 400/400\n";
    check!(text.contains(all), "{text}");
    check!(text.contains("failed transactions: 0 "), "{text}");
    check!(text.contains("sums|t|t|t|400\n"), "{text}");
    // The server's sum of a long answer, and that of what the client got.
    let hash = |line: &str| -> Option<String> {
        let word = line.split_whitespace().next()?;
        (word.len() == 32).then(|| word.to_owned())
    };
    let hashes: Vec<String> = text.lines().filter_map(hash).collect();
    check!(hashes.len() == 2 && hashes[0] == hashes[1], "{text}");
    Ok(Outcome::Passed)
}

/// A program of Go's: its runtime calls the kernel by itself, and polls with epoll, edge-triggered.
fn esbuild_serves_what_it_builds() -> Result {
    need!("esbuild", "wrk", "curl");
    let dir = TempDir::new()?;
    let body = pattern(3 << 20);
    dir.write("file", &body)?;
    dir.write(
        "main.ts",
        "import {twice} from './twice'; const x: number = 3; console.log(twice(x));",
    )?;
    dir.write(
        "twice.ts",
        "export const twice = (n: number): number => n * 2;",
    )?;
    dir.write("count.lua", WRK)?;
    // It ends with its standard input.
    let text = r#"
esbuild main.ts --bundle --outfile=built.js --log-level=error
mkfifo input; exec 9<>input
esbuild main.ts --bundle --outdir=js --servedir=. --serve=10.0.2.15:8000 <input >log 2>&1 & server=$!
await curl -sf http://10.0.2.15:8000/twice.ts
for n in 1 2 3 4 5 6 7 8; do { curl -s http://10.0.2.15:8000/js/main.js | cmp - built.js && echo same; } & clients="$clients $!"; done
wait $clients
curl -s http://10.0.2.15:8000/file | sha256sum
curl -s -o none -w 'status %{http_code}\n' http://10.0.2.15:8000/nowhere
wrk -t 1 -c 10 -d 1 --timeout 60 -s count.lua http://10.0.2.15:8000/built.js $(wc -c <built.js)
exec 9>&-; kill $server; wait $server || :
"#;
    let text = script(&[], dir.path(), text)?.stdout_text();
    check!(text.matches("same\n").count() == 8, "{text}");
    check!(text.contains(&sha256(&body)), "{text}");
    check!(text.contains("status 404\n"), "{text}");
    let counts = wrk_counts(&text)?;
    check!(
        matches!(counts[..], [(requests, 0)] if requests > 10),
        "{text}"
    );
    Ok(Outcome::Passed)
}
