//! Compiles the interface that the tests of RPC share with libtirpc's rpcgen, that of the book, and
//! those that Debian installs.

use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the packages rpcsvc-proto, libtirpc-dev and libnsl-dev have them.
const OF_DEBIAN: [&str; 2] = ["/usr/include/rpcsvc", "/usr/include/tirpc/rpcsvc"];

fn main() -> Result<(), Box<dyn Error>> {
    let compiler = sockeye_rpcgen::Compiler::new();
    compiler.compile_to_out_dir("interop/rpc/showcase.x")?;
    compiler.compile_to_out_dir("../docs/book/adder.x")?;

    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let (mut modules, mut table) = (String::new(), String::new());
    for file in interfaces_of_debian()? {
        let stem = file.file_stem().ok_or("a name")?.display().to_string();
        let became = match compiler.compile_file(&file) {
            Ok(code) => {
                let code_file = out.join(format!("debian-{stem}.rs"));
                fs::write(&code_file, code)?;
                writeln!(modules, "mod {stem} {{ include!({code_file:?}); }}")?;
                Ok(())
            }
            Err(error) => Err(error.to_string()),
        };
        writeln!(table, "({file:?}, {became:?}),")?;
    }
    let code = format!(
        "{modules}/// What became of each.\n\
         pub(super) const FILES: &[(&str, Result<(), &str>)] = &[{table}];\n"
    );
    fs::write(out.join("debian.rs"), code)?;
    Ok(())
}

fn interfaces_of_debian() -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut files = Vec::new();
    for folder in OF_DEBIAN {
        if !Path::new(folder).is_dir() {
            continue;
        }
        println!("cargo::rerun-if-changed={folder}");
        for entry in fs::read_dir(folder)? {
            files.push(entry?.path());
        }
    }
    files.retain(|file| file.extension().is_some_and(|extension| extension == "x"));
    files.sort();
    Ok(files)
}
