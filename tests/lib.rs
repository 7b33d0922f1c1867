//! What the integration tests share: a harness that can say *ignored, because …* at run time,
//! namespaces of a test's own, programs with a time limit, and the binary under test.
//!
//! A test binary is `harness = false` and calls [`harness`]. What a machine lacks is told by
//! [`Outcome::Ignored`] with the reason; it is never counted as passed.

mod binary;
mod captures;
mod conversation;
mod namespace;
mod other_namespace;
mod program;
mod uml;

pub use binary::{compiled, example, sockeye, static_program};
pub use captures::recorded;
pub use conversation::Conversation;
pub use namespace::{in_namespace, is_root};
pub use other_namespace::Namespace;
pub use program::{Output, Program, Running, TempDir, have, ordinary_user, sha256};
pub use uml::{Guest, Uml, bridge};

use libtest_mimic::{Arguments, Completion, Failed, Trial};

/// Programs, servers and shaped links of more would compete for two cores.
const TESTS_AT_ONCE: usize = 4;

/// How a test ended, where it did not fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It showed what it was to show.
    Passed,
    /// The machine lacks something: it showed nothing.
    Ignored(String),
}

/// What a test returns: an `Err` of any kind is a failure with that message.
pub type Result<T = Outcome, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// A test.
pub struct Test {
    name: &'static str,
    body: fn() -> Result,
}

impl Test {
    /// The test `name` runs `body`.
    #[must_use]
    pub const fn new(name: &'static str, body: fn() -> Result) -> Self {
        Self { name, body }
    }
}

/// Lists functions of this module as tests under their own names.
#[macro_export]
macro_rules! tests {
    ($($name:ident),* $(,)?) => { &[$($crate::Test::new(concat!(module_path!(), "::", stringify!($name)), $name)),*] };
}

/// Ends a test as ignored: `return ignore!("no {thing} on this machine")`.
#[macro_export]
macro_rules! ignore {
    ($($arg:tt)*) => { Ok($crate::Outcome::Ignored(format!($($arg)*))) };
}

/// Fails a test: `fail!("expected {a}, got {b}")`.
#[macro_export]
macro_rules! fail {
    ($($arg:tt)*) => { return Err(format!($($arg)*).into()) };
}

/// Fails a test unless the condition holds.
#[macro_export]
macro_rules! check {
    ($condition:expr, $($arg:tt)*) => { if !$condition { $crate::fail!($($arg)*); } };
}

/// Runs the tests as the command line says and exits.
///
/// # Panics
/// Never; a panic in a test is that test's failure.
pub fn harness(tests: &[&[Test]]) -> ! {
    if let Some(ended) = namespace::child_main(tests) {
        binary::remove();
        ended.exit();
    }
    let tests = tests.iter().copied().flatten();
    harness_of(
        tests
            .map(|test| (test.name.to_owned(), Box::new(test.body) as Body))
            .collect(),
    )
}

/// What a test does.
pub type Body = Box<dyn FnOnce() -> Result + Send>;

/// Runs tests that are found when the program begins, as the command line says, and exits.
pub fn harness_of(tests: Vec<(String, Body)>) -> ! {
    let mut args = Arguments::from_args();
    // Most of a test is waiting, for timers and for other programs.
    args.test_threads.get_or_insert(TESTS_AT_ONCE);
    let trials = tests.into_iter().map(trial).collect();
    let conclusion = libtest_mimic::run(&args, trials);
    binary::remove();
    conclusion.exit()
}

fn trial((name, body): (String, Body)) -> Trial {
    Trial::ignorable_test(name, move || match body() {
        Ok(Outcome::Passed) => Ok(Completion::Completed),
        Ok(Outcome::Ignored(reason)) => Ok(Completion::ignored_with(format!(
            "ignored, because {reason}"
        ))),
        Err(error) => Err(Failed::from(error.to_string())),
    })
}

/// The Rust listings of the documents, compiled and run as documentation tests.
#[cfg(doctest)]
mod listings {
    #[doc = include_str!("../README.md")]
    mod readme {}
    #[doc = include_str!("../docs/book/first-node.md")]
    mod first_node {}
    #[doc = include_str!("../docs/book/std.md")]
    mod std_ {}
    #[doc = include_str!("../docs/book/tokio.md")]
    mod tokio {}
    #[doc = include_str!("../docs/book/impairments.md")]
    mod impairments {}
    #[doc = include_str!("../docs/book/tcp.md")]
    mod tcp {}
    #[doc = include_str!("../docs/book/udp.md")]
    mod udp {}
    #[doc = include_str!("../docs/book/sctp.md")]
    mod sctp {}
    #[doc = include_str!("../docs/book/dccp.md")]
    mod dccp {}
    #[doc = include_str!("../docs/book/unix.md")]
    mod unix {}
    #[doc = include_str!("../docs/book/raw.md")]
    mod raw {}
    #[doc = include_str!("../docs/book/rpc.md")]
    mod rpc {}
    #[doc = include_str!("../docs/book/intercept.md")]
    mod intercept {}
}
