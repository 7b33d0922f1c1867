//! `sockeye rpcgen`: Rust for an interface in the RPC language.

use anyhow::{Context, Result};
use sockeye_rpcgen::Compiler;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Make Rust of an RPC interface (a .x file): types, clients and server traits
///
/// What it prints is over the crate sockeye-rpc. A build script does the same with the crate
/// sockeye-rpcgen. Exit status: 0 success, 2 on an error, which is named by file, line and column.
#[derive(Debug, clap::Args)]
pub(crate) struct Rpcgen {
    /// The interface; - is the standard input
    #[arg(value_name = "FILE.x")]
    file: PathBuf,

    /// Write here instead of to the standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Add clients for tokio, and servers that may wait
    #[arg(long)]
    tokio: bool,

    /// Let #ifdef find this name defined
    #[arg(short = 'D', long = "define", value_name = "NAME")]
    defines: Vec<String>,
}

impl Rpcgen {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let mut compiler = Compiler::new().tokio(self.tokio);
        for name in &self.defines {
            compiler = compiler.define(name);
        }
        let code = if self.file.as_os_str() == "-" {
            let mut source = String::new();
            std::io::stdin().read_to_string(&mut source)?;
            compiler.compile("-", &source)?
        } else {
            compiler.compile_file(&self.file)?
        };
        match &self.output {
            Some(path) => std::fs::write(path, code)
                .with_context(|| format!("{} can't be written", path.display()))?,
            None => std::io::stdout().lock().write_all(code.as_bytes())?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
