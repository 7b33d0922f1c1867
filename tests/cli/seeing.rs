//! What is shown of a node: reports, opened in a browser, and the sockets of nodes that run.

use sockeye_tests::{Conversation, Outcome, Program, Result, TempDir, Test, check, have, ignore};
use sockeye_tests::{sockeye, tests};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

pub(super) const TESTS: &[Test] = tests![
    a_report_draws_in_a_browser_what_the_capture_has,
    a_report_is_a_picture_where_its_name_says_so,
    a_report_without_a_form_is_refused,
    a_capture_has_names_and_comments,
    ss_lists_what_other_processes_have,
    ss_asks_nobody_in_a_directory_of_others,
    ss_names_a_mistake_in_a_filter,
];

/// Added to a copy of a report: says what a browser has made of it.
const LOOK: &str = r#"<pre id="seen"></pre><script>
const strokes = name => [...document.querySelectorAll(`figure:not([class^=closer]) svg svg path.${name}`)]
    .reduce((sum, path) => sum + path.getAttribute('d').split('M').length - 1, 0);
const inside = (one, other) => one.left >= other.left - 1 && one.right <= other.right + 1
    && one.top >= other.top - 1 && one.bottom <= other.bottom + 1;
const box = element => element.getBoundingClientRect();
const svgs = [...document.querySelectorAll('figure > svg')];
const out = svgs.flatMap(svg => [...svg.querySelectorAll('text')]
    .filter(text => !inside(box(text), box(svg))).map(text => text.textContent));
const small = svgs.filter(svg => box(svg).width < 600 || box(svg).height < 100).length;
const lines = {
    figures: svgs.map(svg => svg.parentElement.className).join(' '),
    text: strokes('sent-text'), again: strokes('again'), sack: strokes('sack'),
    rungs: document.querySelectorAll('.rung').length,
    paper: getComputedStyle(document.body).backgroundColor,
    out: out.join('|'), small: small,
};
document.getElementById('seen').textContent =
    Object.entries(lines).map(([name, value]) => `${name}=${value}`).join('\n');
</script>"#;

/// Sends octets to the gateway's discard service over a bad link, seen as `options` say.
fn send(folder: &TempDir, options: &[&str]) -> Result<()> {
    let data = folder.write("data", vec![b'x'; 600_000])?;
    let link = "--link=user,delay=3ms,loss=3%";
    let mut program = Program::new(sockeye()?)
        .args(["nc", "--seed=7", link])
        .args(options)
        .args(["10.0.2.2", "9"])
        .current_dir(folder.path());
    program.command().stdin(fs::File::open(data)?);
    program.run()?.expect(0)?;
    Ok(())
}

/// The page as a browser has it, after its scripts have run.
fn opened(folder: &TempDir, page: &Path, scheme: &str) -> Result<String> {
    let profile = folder.path().join("profile");
    let output = Program::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
        ])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("--blink-settings=preferredColorScheme={scheme}"))
        .args(["--window-size=1100,900", "--dump-dom"])
        .arg(format!("file://{}", page.display()))
        .env("HOME", folder.path())
        .run()?
        .expect(0)?;
    Ok(output.stdout_text())
}

/// What [`LOOK`] says of `name`.
fn seen<'a>(dom: &'a str, name: &str) -> Result<&'a str> {
    let begin = "<pre id=\"seen\">";
    let said = dom.split_once(begin).ok_or("nothing was seen")?.1;
    let said = said.split_once("</pre>").ok_or("no end")?.0;
    let value = |line: &'a str| line.strip_prefix(name)?.strip_prefix('=');
    Ok(said.lines().find_map(value).ok_or("not looked for")?)
}

/// Of the capture: what was sent for the first time and again, and the blocks of SACK options.
fn captured(capture: &Path) -> Result<[usize; 3]> {
    let fields = "ip.src tcp.seq tcp.len tcp.flags.syn tcp.flags.fin tcp.options.sack_le";
    let output = Program::new("tshark")
        .args(["-n", "-Y", "tcp", "-T", "fields", "-r"])
        .arg(capture)
        .args(fields.split(' ').flat_map(|field| ["-e", field]))
        .run()?
        .expect(0)?;
    let [mut text, mut again, mut sacks] = [0; 3];
    let mut top = 0_u64;
    for line in output.stdout_text().lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let number = |n: usize| match fields[n] {
            "True" => Ok(1),
            "False" => Ok(0),
            number => number.parse::<u64>(),
        };
        if fields[0] == "10.0.2.2" {
            let blocks = fields.get(5).copied().unwrap_or_default();
            sacks += blocks.split(',').filter(|block| !block.is_empty()).count();
            continue;
        }
        let begin = number(1)?;
        let end = begin + number(2)? + number(3)? + number(4)?;
        if end > begin {
            *(if begin < top { &mut again } else { &mut text }) += 1;
        }
        top = top.max(end);
    }
    Ok([text, again, sacks])
}

fn a_report_draws_in_a_browser_what_the_capture_has() -> Result {
    for program in ["chromium", "tshark"] {
        if !have(program) {
            return ignore!("there is no {program}");
        }
    }
    let folder = TempDir::new()?;
    send(&folder, &["--report=report.html", "--pcap=all.pcapng"])?;
    let html = fs::read_to_string(folder.path().join("report.html"))?;
    // Nothing may run in a report itself.
    let (before, after) = html.split_once("<meta http-equiv=").ok_or("no policy")?;
    let (policy, after) = after.split_once('>').ok_or("no end of the policy")?;
    check!(policy.contains("default-src 'none'"), "{policy}");
    let page = folder.write("look.html", format!("{before}{after}{LOOK}"))?;
    let dom = opened(&folder, &page, "1")?;
    let [text, again, sacks] = captured(&folder.path().join("all.pcapng"))?;
    check!(
        text > 400 && again > 0 && sacks > 0,
        "{text}, {again}, {sacks}"
    );
    for (name, count) in [("text", text), ("again", again), ("sack", sacks)] {
        let drawn = seen(&dom, name)?;
        check!(
            drawn == count.to_string(),
            "{name}: {drawn} drawn of {count}"
        );
    }
    let figures = seen(&dom, "figures")?;
    let all = "sequence-sent closer-sent windows round-trips throughput ladder";
    check!(figures == all, "the figures are {figures}");
    let rungs: usize = seen(&dom, "rungs")?.parse()?;
    check!(rungs >= 6, "{rungs} segments of handshake and teardown");
    let out = seen(&dom, "out")?;
    check!(out.is_empty(), "text outside of its figure: {out}");
    check!(seen(&dom, "small")? == "0", "figures without a size");
    check!(seen(&dom, "paper")? == "rgb(255, 255, 255)", "not light");
    let dark = opened(&folder, &page, "0")?;
    check!(seen(&dark, "paper")? == "rgb(13, 17, 23)", "not dark");
    let counted = html.contains("<div><span>TcpRetransSegs</span><b>");
    check!(counted, "no counter of what was sent again");
    Ok(Outcome::Passed)
}

fn a_capture_has_names_and_comments() -> Result {
    if !have("tshark") {
        return ignore!("there is no tshark");
    }
    let folder = TempDir::new()?;
    send(&folder, &["--pcap=all.pcapng"])?;
    let fields = "frame.interface_name frame.interface_description ip.src_host frame.comment";
    let output = Program::new("tshark")
        .args(["-N", "n", "-T", "fields", "-r"])
        .arg(folder.path().join("all.pcapng"))
        .args(fields.split(' ').flat_map(|field| ["-e", field]))
        .env("HOME", folder.path())
        .run()?
        .expect(0)?;
    let text = output.stdout_text();
    let begin = "eth0\tuser,delay=3ms,loss=3%\t";
    check!(
        text.lines().all(|line| line.starts_with(begin)),
        "{text:.300}"
    );
    let count = |word: &str| text.lines().filter(|line| line.contains(word)).count();
    check!(
        count("\tnode\t") > 400,
        "of the node: {}",
        count("\tnode\t")
    );
    check!(
        count("\tgateway\t") > 10,
        "of the gateway: {}",
        count("\tgateway\t")
    );
    check!(count("\tnode\tnetem: lost") > 0, "lost: none");
    check!(
        count("gateway\tnetem") == 0,
        "what was lost on the way here is not here"
    );
    Ok(Outcome::Passed)
}

fn a_report_is_a_picture_where_its_name_says_so() -> Result {
    let folder = TempDir::new()?;
    send(&folder, &["--report=report.svg"])?;
    let file = folder.path().join("report.svg");
    let svg = fs::read_to_string(&file)?;
    check!(svg.starts_with("<svg xmlns="), "no picture: {svg:.100}");
    if !have("chromium") {
        return ignore!("there is no chromium");
    }
    let dom = opened(&folder, &file, "1")?;
    check!(!dom.contains("parsererror"), "malformed: {dom:.1000}");
    check!(dom.contains("class=\"sent-text\""), "no data: {dom:.1000}");
    check!(
        dom.contains("class=\"ladder\""),
        "no handshake: {dom:.1000}"
    );
    Ok(Outcome::Passed)
}

fn a_report_without_a_form_is_refused() -> Result {
    let args = ["ping", "--report=out.pdf", "10.0.2.2"];
    let said = Program::new(sockeye()?).args(args).run()?.expect(2)?;
    let said = said.stderr_text();
    check!(said.contains("FILE.html for a page"), "{said}");
    let folder = TempDir::new()?;
    let nowhere = folder.path().join("none/report.html");
    let report = format!("--report={}", nowhere.display());
    let args = ["ping", &report, "10.0.2.2"];
    let said = Program::new(sockeye()?).args(args).run()?.expect(2)?;
    check!(
        said.stderr_text().contains("can't be written"),
        "{}",
        said.stderr_text()
    );
    Ok(Outcome::Passed)
}

fn ss(runtime: &TempDir, args: &[&str]) -> Result<sockeye_tests::Output> {
    let program = Program::new(sockeye()?).arg("ss").args(args);
    program.env("XDG_RUNTIME_DIR", runtime.path()).run()
}

/// A connection of another process to the gateway's echo service, once it stands.
fn connected(runtime: &TempDir) -> Result<Conversation> {
    let program = Program::new(sockeye()?).args(["nc", "10.0.2.2", "7"]);
    let mut nc = Conversation::start(program.env("XDG_RUNTIME_DIR", runtime.path()))?;
    nc.say("hello")?;
    nc.wait_for("hello")?;
    Ok(nc)
}

fn ss_lists_what_other_processes_have() -> Result {
    let runtime = TempDir::new()?;
    let directory = runtime.path().join("sockeye");
    let nothing = ss(&runtime, &["-a", "-H"])?.expect(0)?.stdout_text();
    check!(nothing.is_empty(), "before there is any node: {nothing}");
    let first = connected(&runtime)?;
    let _second = connected(&runtime)?;
    let mode = fs::metadata(&directory)?.permissions().mode() & 0o777;
    check!(mode == 0o700, "the directory's mode is {mode:o}");
    let table = ss(&runtime, &["-tnp"])?.expect(0)?.stdout_text();
    let head = table.lines().next().unwrap_or_default();
    let columns = "Netid State Recv-Q Send-Q Local Address:Port Peer Address:Port Process";
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    check!(words(head) == columns, "{head}");
    let rows: Vec<&str> = table.lines().skip(1).collect();
    let right = |row: &&&str| {
        row.starts_with("tcp") && row.contains(" ESTAB ") && row.contains(" 10.0.2.2:7 ")
    };
    check!(
        rows.iter().filter(right).count() == 2,
        "two connections: {table}"
    );
    // Where captures are wanted, the command has an option more.
    let named = |row: &&&str| row.contains("sockeye nc ") && row.contains("10.0.2.2 7\",pid=");
    let processes = rows.iter().filter(named).count();
    check!(processes == 2, "of two processes: {table}");
    let info = ss(&runtime, &["-tino", "dport", "=", ":7"])?
        .expect(0)?
        .stdout_text();
    for word in [
        " cubic ",
        " cwnd:",
        " rto:",
        " mss:1448",
        " bytes_acked:6 ",
        " rtt:",
    ] {
        check!(info.contains(word), "no {word} in {info}");
    }
    for (args, has) in [
        (&["-H", "-l"][..], false),
        (&["-H", "-u"], false),
        (&["-H", "-6"], false),
        (&["-H", "-4"], true),
        (&["-H", "state", "time-wait"], false),
        (&["-H", "state", "established"], true),
        (&["-H", "src", "10.0.2.15"], true),
        (&["-H", "dst", "10.0.3.0/24"], false),
    ] {
        let rows = ss(&runtime, args)?.expect(0)?.stdout_text();
        check!(rows.is_empty() != has, "{args:?}: {rows}");
    }
    let json = ss(&runtime, &["--json"])?.expect(0)?.stdout_text();
    check!(json.matches("\"state\": \"ESTAB\"").count() == 2, "{json}");
    check!(
        json.matches("\"congestion\": \"cubic\"").count() == 2,
        "{json}"
    );
    // The first is killed: what it leaves behind is swept away.
    drop(first);
    let rows = ss(&runtime, &["-H", "-t"])?.expect(0)?.stdout_text();
    check!(rows.lines().count() == 1, "one is left: {rows}");
    let left = fs::read_dir(&directory)?.count();
    check!(left == 1, "{left} sockets in the directory");
    // One that ends by itself takes its socket along.
    let ends = Program::new(sockeye()?).args(["ping", "-c", "1", "10.0.2.2"]);
    let ends = ends.env("XDG_RUNTIME_DIR", runtime.path());
    ends.run()?.expect(0)?;
    let left = fs::read_dir(&directory)?.count();
    check!(left == 1, "{left} sockets in the directory");
    Ok(Outcome::Passed)
}

fn ss_asks_nobody_in_a_directory_of_others() -> Result {
    let runtime = TempDir::new()?;
    let directory = runtime.path().join("sockeye");
    fs::create_dir(&directory)?;
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o777))?;
    let said = ss(&runtime, &[])?.expect(2)?.stderr_text();
    check!(said.contains("belongs to you alone (mode 0700)"), "{said}");
    // Nor does a node answer there; it does its work all the same.
    let ping = Program::new(sockeye()?).args(["ping", "-c", "1", "10.0.2.2"]);
    let ping = ping.env("XDG_RUNTIME_DIR", runtime.path());
    ping.run()?.expect(0)?;
    check!(
        fs::read_dir(&directory)?.count() == 0,
        "something was put there"
    );
    Ok(Outcome::Passed)
}

fn ss_names_a_mistake_in_a_filter() -> Result {
    let runtime = TempDir::new()?;
    let said = ss(&runtime, &["state", "open"])?.expect(2)?.stderr_text();
    check!(said.contains("'open' is no state"), "{said}");
    Ok(Outcome::Passed)
}
