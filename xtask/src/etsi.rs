//! The conformance scripts for SCTP (ETSI TS 102 369) against a node of ours.
//!
//! Neither the tool nor the scripts are part of this repository: get
//! <https://github.com/nplab/ETSI-SCTP-Conformance-Testsuite> and
//! <https://github.com/nplab/packetdrill>. The latter has no option `--so_filename`; a tool is needed
//! that has both, its SCTP and google/packetdrill's loading of a stack. Its calls go to the functions
//! of that interface, those of sctp(7)'s library by way of socket options and ancillary data, as
//! lksctp-tools sends them to a kernel. Each script runs in a network namespace of its own, so this
//! wants root. What Linux fails says nothing; of what it passes, the node has to pass 90 in a hundred.

use crate::packetdrill::{IpVersion, Outcome, Script, build_object, in_parallel, run_in_namespace};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Of a hundred scripts that Linux passes, the node has to pass so many.
const PASS_MIN: usize = 90;

/// What Linux 6.1.176 fails, in user-mode-linux, by the unchanged tool; two of these it can't pass:
/// the tool has one address for the peer (`as-i-1-15`) and reads no multicast sources (`fh-o-5-3-5`).
const LINUX_FAILS: &[&str] = &[
    "sctp-as-i-1-14-1",
    "sctp-as-i-1-15",
    "sctp-at-i-2-5",
    "sctp-at-v-2-6",
    "sctp-bdc-v-7-8",
    "sctp-d-v-8-9",
    "sctp-dm-o-4-2-1",
    "sctp-dm-o-4-6-1",
    "sctp-fh-o-5-3-5",
    "sctp-rt-i-11-3",
];

/// How the scripts are run.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The binary packetdrill, with SCTP and with --so_filename
    #[arg(long, value_name = "PATH")]
    tool: PathBuf,
    /// Folders of scripts, searched to the bottom for *.pkt, or scripts
    #[arg(required = true, value_name = "DIR")]
    scripts: Vec<PathBuf>,
    /// Scripts that run at the same time
    #[arg(long, value_name = "N", default_value_t = 2)]
    jobs: usize,
    /// Print all that the script says whose path ends like this
    #[arg(long, value_name = "NAME")]
    show: Vec<String>,
}

struct Row {
    script: Script,
    linux: bool,
    node: Outcome,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let tool = args.tool.canonicalize();
    let tool = tool.with_context(|| format!("no packetdrill at {}", args.tool.display()))?;
    let scripts = Script::find(&args.scripts, IpVersion::V4)?;
    if scripts.is_empty() {
        bail!("no script (*.pkt) lies there");
    }
    let object = build_object()?;
    let rows = in_parallel(args.jobs, scripts, |script| {
        let node = play(&tool, &object, &script)?;
        let name = script.path.file_stem().unwrap_or_default();
        let linux = !LINUX_FAILS.iter().any(|fails| name == *fails);
        Ok(Row {
            script,
            linux,
            node,
        })
    })?;
    for row in &rows {
        println!("{:<44} {}", row.script.name(), row.word());
        let name = row.script.name().trim_end_matches(".pkt");
        if args
            .show
            .iter()
            .any(|wanted| name.ends_with(wanted.trim_end_matches(".pkt")))
        {
            println!("{}", row.node.output.trim_end());
        } else if !row.node.passed {
            println!("{}", row.node.reason("      "));
        }
    }
    judge(&rows)
}

/// Plays a script on a node that has the addresses that the tool's documentation names.
fn play(tool: &Path, object: &Path, script: &Script) -> Result<Outcome> {
    let preload = format!("LD_PRELOAD={}", object.display());
    let so = format!("--so_filename={}", object.display());
    let words = [
        "--so_flags=local=192.168.0.1/16",
        "--tolerance_usecs=14000",
        "--local_ip=192.168.0.1",
        "--gateway_ip=192.168.0.1",
        "--netmask_ip=255.255.0.0",
        "--remote_ip=192.0.2.1",
    ];
    run_in_namespace(script, |command| {
        command
            .args(["env", &preload])
            .arg(tool)
            .arg(so)
            .args(words);
    })
}

impl Row {
    fn word(&self) -> String {
        let word = self.node.word();
        match self.linux {
            true => word.to_owned(),
            false => format!("{word} (Linux fails)"),
        }
    }
}

/// Prints the table, and fails when too few pass.
fn judge(rows: &[Row]) -> Result<()> {
    let mut groups: BTreeMap<String, [usize; 4]> = BTreeMap::new();
    let mut all = [0; 4];
    for row in rows {
        let of_group = groups.entry(row.script.folder()).or_default();
        let counts = [
            true,
            row.linux,
            row.node.passed,
            row.linux && row.node.passed,
        ];
        for (n, counts) in counts.into_iter().enumerate() {
            of_group[n] += usize::from(counts);
            all[n] += usize::from(counts);
        }
    }
    println!(
        "\n{:<44} {:>8} {:>8} {:>8} {:>8}",
        "group", "scripts", "Linux", "node", "both"
    );
    for (group, [scripts, linux, node, both]) in groups.iter().chain([(&"all".to_owned(), &all)]) {
        println!("{group:<44} {scripts:>8} {linux:>8} {node:>8} {both:>8}");
    }
    let [_, linux, _, both] = all;
    println!("\nof {linux} scripts that Linux passes, the node passes {both}");
    if both * 100 < linux * PASS_MIN {
        bail!("below {PASS_MIN} in a hundred");
    }
    Ok(())
}
