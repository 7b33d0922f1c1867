//! Programs under `sockeye run` whose sockets carry messages: SCTP and DCCP by Linux's own numbers.

use crate::run::{PYTHON, python};
use sockeye_tests::{Outcome, Result, Test, check, have, ignore, tests};

pub(crate) const TESTS: &[Test] = tests![
    one_to_many_sctp,
    one_to_one_sctp,
    dccp_over_ipv4,
    dccp_over_ipv6,
];

/// What all the scripts begin with.
const COMMON: &str = include_str!("messages.py");

/// Runs a script, which says that it came to its end.
fn plays(script: &str, args: &[&str]) -> Result {
    if !have(PYTHON) && !std::path::Path::new(PYTHON).exists() {
        return ignore!("there is no {PYTHON} on this machine");
    }
    let said = python(&[], &format!("{COMMON}\n{script}"), args)?.stdout_text();
    check!(said == "done\n", "{said:?}");
    Ok(Outcome::Passed)
}

fn one_to_many_sctp() -> Result {
    plays(include_str!("one_to_many.py"), &[])
}

fn one_to_one_sctp() -> Result {
    plays(include_str!("one_to_one.py"), &[])
}

fn dccp_over_ipv4() -> Result {
    plays(include_str!("dccp_run.py"), &["4"])
}

fn dccp_over_ipv6() -> Result {
    plays(include_str!("dccp_run.py"), &["6"])
}
