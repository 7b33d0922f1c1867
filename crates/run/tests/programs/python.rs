//! Programs in Python that ask for exactly what the kernel shows: each is run without the supervisor first, where it must pass,
//! and then under it, over the kernel's sockets and on a node.

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

fn both(script: &str, unprivileged: bool) -> Outcome {
    needs!("python3");
    let dir = TempDir::new()?;
    dir.write("common.py", COMMON)?;
    let script = dir.write("program.py", script)?;
    let on_a_node = Program::new(this_binary()).args(["--on-a-node", "python3"]);
    for program in [Program::new("python3"), supervised("python3"), on_a_node] {
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
    let on_a_node = Program::new(this_binary()).args(["--on-a-node", "python3"]);
    for (program, under_run) in [
        (Program::new("python3"), false),
        (supervised("python3"), true),
        (on_a_node, true),
    ] {
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
