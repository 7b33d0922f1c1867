//! The program that rpcgen and cc make of the same interface.

use sockeye_tests::{Program, Result, Running, TempDir, check, have};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::Stdio;
use std::thread;

/// `showcase.c` over what rpcgen(1) makes of `showcase.x`.
pub(super) struct Showcase {
    pub(super) dir: TempDir,
    binary: PathBuf,
}

impl Showcase {
    /// Builds it; or says what is missing for that.
    pub(super) fn build() -> Result<Result<Self, String>> {
        for program in ["rpcgen", "cc"] {
            if !have(program) {
                return Ok(Err(format!("there is no {program}")));
            }
        }
        if !std::path::Path::new("/usr/include/tirpc/rpc/rpc.h").exists() {
            return Ok(Err("there is no libtirpc-dev".into()));
        }
        let dir = TempDir::new()?;
        dir.write("showcase.x", include_str!("showcase.x"))?;
        dir.write("main.c", include_str!("showcase.c"))?;
        let build = "rpcgen -h showcase.x -o showcase.h && rpcgen -c showcase.x -o xdr.c && \
            rpcgen -l showcase.x -o clnt.c && rpcgen -m showcase.x -o svc.c && \
            cc -w -I/usr/include/tirpc -o showcase main.c xdr.c clnt.c svc.c -ltirpc";
        let build = Program::new("sh").args(["-c", build]);
        build.current_dir(dir.path()).run()?.expect(0)?;
        let binary = dir.path().join("showcase");
        Ok(Ok(Self { dir, binary }))
    }
}

/// Runs the program to its end, with values in and values out.
pub(super) fn run(program: &Showcase, args: &[&str], values: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
    let mut program = Program::new(&program.binary).args(args);
    let command = program.command();
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.stderr(Stdio::piped());
    let mut running = program.start()?;
    let mut input = running.0.stdin.take().ok_or("a pipe")?;
    let mut output = running.0.stdout.take().ok_or("a pipe")?;
    let mut said = running.0.stderr.take().ok_or("a pipe")?;
    let mut bytes = Vec::new();
    for value in values {
        bytes.extend((value.len() as u32).to_be_bytes());
        bytes.extend(value);
    }
    let writing = thread::spawn(move || input.write_all(&bytes));
    let mut echoed = Vec::new();
    output.read_to_end(&mut echoed)?;
    let mut text = String::new();
    said.read_to_string(&mut text)?;
    let status = running.0.wait()?;
    check!(status.success(), "{args:?}: {status}: {text}");
    writing.join().map_err(|_| "the writer panicked")??;
    let mut rest = &echoed[..];
    let mut values = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk() {
        let length = u32::from_be_bytes(*length) as usize;
        let (value, after) = after.split_at_checked(length).ok_or("a value is cut")?;
        values.push(value.to_vec());
        rest = after;
    }
    Ok(values)
}

/// A server, once it says at which port.
pub(super) fn started(program: &Showcase, args: &[&str]) -> Result<(Running, u16)> {
    let mut program = Program::new(&program.binary).args(args);
    program.command().stdout(Stdio::piped());
    let mut running = program.start()?;
    let said = running.0.stdout.take().ok_or("a pipe")?;
    let mut line = String::new();
    BufReader::new(said).read_line(&mut line)?;
    Ok((running, line.trim().parse()?))
}
