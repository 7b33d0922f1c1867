//! `sockeye run`: a program nobody changed, on a node of its own.

use crate::node;
use crate::options::NodeOptions;
use anyhow::Result;
use sockeye_run::{Options, Runner, end_leftovers};
use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

/// How long what the program left in the background may take to end by itself.
const LEFTOVERS: Duration = Duration::from_secs(1);

/// Run a program with every internet socket that it opens living in a node
///
/// The exit status is the program's own, or 128 and the number of the signal that ended it; 127
/// when there is no such program, 126 when it can't be executed.
#[derive(Debug, clap::Args)]
#[command(override_usage = "sockeye run [NODE OPTIONS] -- PROGRAM [ARG...]")]
pub(crate) struct Run {
    #[command(flatten)]
    node: NodeOptions,

    /// Have the data between programs of this run pass the node as well
    ///
    /// Without it the data of a TCP connection whose two ends are both in the run goes from one to the
    /// other, as long as no raw or packet socket is there to see its packets; the node sees its
    /// beginning and its end.
    #[arg(long)]
    no_join: bool,

    /// Show the program the node in /proc/net, a tenth of a second late at most times
    ///
    /// What is read from files there (by netstat, ifconfig, route, arp and Java, for instance) is the host's otherwise.
    /// This takes a mount namespace, and where that takes a privilege a user namespace, in which files of other users
    /// seem to be nobody's. Where the machine does not allow it the program is not started.
    #[arg(long)]
    proc_net: bool,

    /// The program and its arguments
    #[arg(value_name = "PROGRAM", required = true, trailing_var_arg = true)]
    program: Vec<OsString>,
}

impl Run {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let node = node::start(&self.node)?;
        let mut options = Options::default();
        options.join = !self.no_join;
        options.proc_net = self.proc_net;
        let runner = Runner::new((*node).clone(), options);
        let running = match runner.spawn(&self.program) {
            Ok(running) => running,
            Err(error) => {
                tracing::error!("{error}");
                return Ok(code(error.exit_code()));
            }
        };
        for descriptor in running.withheld() {
            tracing::warn!(
                descriptor,
                "an internet socket of the host was not passed on to the program"
            );
        }
        let exit = running.wait()?;
        // The network ends here, and with it what the program left in the background.
        end_leftovers(LEFTOVERS);
        Ok(code(exit.code()))
    }
}

/// What the system hands to whoever waits: the low eight bits.
fn code(status: i32) -> ExitCode {
    ExitCode::from(status.to_le_bytes()[0])
}
