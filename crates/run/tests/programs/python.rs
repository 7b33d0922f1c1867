//! Programs in Python that ask for exactly what the kernel shows: each is run without the supervisor first, where it must pass,
//! and then under it, over the kernel's sockets and on a node, with the ends of connections joined past it and apart.

use crate::{Outcome, PASSED, needs, supervised, this_binary};
use sockeye_tests::{Program, TempDir, Test, tests};

pub(crate) const TESTS: &[Test] = tests![
    connect,
    stream,
    server,
    datagram,
    errors,
    around,
    descriptor,
    urgent,
    names,
    names_as_an_ordinary_user,
    stream_as_an_ordinary_user,
    server_as_an_ordinary_user
];

/// What all of them share.
const COMMON: &str = include_str!("python/common.py");

/// Under the supervisor, in each way.
fn under_run() -> impl Iterator<Item = Program> {
    let ways = [
        "--supervise",
        "--supervise-apart",
        "--on-a-node",
        "--on-a-node-apart",
    ];
    ways.into_iter()
        .map(|way| Program::new(this_binary()).args([way, "python3"]))
}

fn both(script: &str, unprivileged: bool) -> Outcome {
    needs!("python3");
    let dir = TempDir::new()?;
    dir.write("common.py", COMMON)?;
    let script = dir.write("program.py", script)?;
    for program in std::iter::once(Program::new("python3")).chain(under_run()) {
        let program = program.arg("-B").arg(&script);
        if unprivileged {
            program.unprivileged()
        } else {
            program
        }
        .run()?
        .expect(0)?;
    }
    PASSED
}

fn connect() -> Outcome {
    both(include_str!("python/connect.py"), false)
}

fn stream() -> Outcome {
    both(include_str!("python/stream.py"), false)
}

fn server() -> Outcome {
    both(include_str!("python/server.py"), false)
}

fn datagram() -> Outcome {
    both(include_str!("python/datagram.py"), false)
}

fn names() -> Outcome {
    both(include_str!("python/names.py"), false)
}

fn names_as_an_ordinary_user() -> Outcome {
    both(include_str!("python/names.py"), true)
}

fn errors() -> Outcome {
    both(include_str!("python/errors.py"), false)
}

/// The one that says where `run` differs from the kernel, which it is told by an argument.
fn descriptor() -> Outcome {
    needs!("python3");
    let dir = TempDir::new()?;
    dir.write("common.py", COMMON)?;
    let script = dir.write("program.py", include_str!("python/descriptor.py"))?;
    let without = std::iter::once((Program::new("python3"), false));
    for (program, under_run) in without.chain(under_run().map(|program| (program, true))) {
        let program = program.arg("-B").arg(&script);
        match under_run {
            true => program.arg("run"),
            false => program,
        }
        .run()?
        .expect(0)?;
    }
    PASSED
}

fn urgent() -> Outcome {
    both(include_str!("python/urgent.py"), false)
}

/// Of other families the kernel has more than `run` shows: this one is not for both.
fn around() -> Outcome {
    needs!("python3");
    let dir = TempDir::new()?;
    dir.write("common.py", COMMON)?;
    let script = dir.write("program.py", include_str!("python/around.py"))?;
    supervised("python3")
        .arg("-B")
        .arg(&script)
        .run()?
        .expect(0)?;
    supervised("python3")
        .arg("-B")
        .arg(&script)
        .unprivileged()
        .run()?
        .expect(0)?;
    PASSED
}

fn stream_as_an_ordinary_user() -> Outcome {
    both(include_str!("python/stream.py"), true)
}

fn server_as_an_ordinary_user() -> Outcome {
    both(include_str!("python/server.py"), true)
}
