//! The compiler of RPC interfaces: a `.x` file in the RPC language (RFC 4506 §6, RFC 5531 §12)
//! becomes typed Rust over `sockeye-rpc`.
//!
//! In a build script:
//! ```no_run
//! # use sockeye_rpcgen::Compiler;
//! Compiler::new().compile_to_out_dir("interface/calculator.x")?; // OUT_DIR/calculator.rs
//! # Ok::<(), sockeye_rpcgen::Error>(())
//! ```
//! and in the program, `include!(concat!(env!("OUT_DIR"), "/calculator.rs"))` in a module of its
//! own. On the command line, `sockeye rpcgen calculator.x` prints the same.
//!
//! What is read is what rpcgen(1) reads: also `unsigned` alone, `long`, `short`, `char` and the
//! `u_int` family, `struct` before a type's name, several arguments to a procedure, `%` lines (which
//! are C and are left out; a number that they `#define` is known as a bound), and `#if`, `#ifdef`,
//! `#ifndef`, `#else`, `#endif` and `#define` of a constant. `netobj`, `des_block` and
//! MAXNETNAMELEN are known, as they are to C.
//!
//! | RPC language | Rust |
//! |---|---|
//! | `int`, `unsigned int`, `hyper`, `unsigned hyper`, `float`, `double`, `bool` | `i32`, `u32`, `i64`, `u64`, `f32`, `f64`, `bool` |
//! | `opaque x[N]`, `opaque x<N>`, `string x<N>` | `[u8; N]`, `Vec<u8>`, `String` |
//! | `T x[N]`, `T x<N>`, `T *x` | `[T; N]`, `Vec<T>`, `Option<Box<T>>` |
//! | `struct a_b { int c_d; }` | `struct AB { c_d: i32 }` |
//! | `enum color { RED = 1 }` | `enum Color { Red = 1 }` |
//! | `union r switch (status s) { case OK: int x; default: void; }` | `enum R { Ok(i32), Default(Status) }` |
//! | `typedef` | a type alias; bounds hold wherever it is used |
//! | a structure that ends in `*` of itself, and is used by `*` alone | `Vec` of what precedes |
//! | `program P { version V { … } = 1; } = 2;` | `struct VClient`, `trait V`, `struct VServer` |
//!
//! Inside: [`scan`](Error) makes words, `parse` definitions, `known` adds those of C, `check` knows
//! their names, and `generate` writes.
#![forbid(unsafe_code)]

mod ast;
mod check;
mod error;
mod generate;
mod known;
mod names;
mod parse;
mod scan;

#[cfg(test)]
mod tests;

pub use error::Error;

use std::path::{Path, PathBuf};

/// Compiles interfaces, with choices.
#[derive(Debug, Clone)]
pub struct Compiler {
    rpc: String,
    tokio: bool,
    defines: Vec<String>,
}

impl Default for Compiler {
    fn default() -> Self {
        Self {
            rpc: "::sockeye_rpc".into(),
            tokio: false,
            defines: Vec::new(),
        }
    }
}

impl Compiler {
    /// Types, blocking clients, and servers that do not wait.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With clients for tokio and servers that wait, too (feature `tokio` of `sockeye-rpc`).
    #[must_use]
    pub fn tokio(mut self, tokio: bool) -> Self {
        self.tokio = tokio;
        self
    }

    /// With another path to the crate `sockeye_rpc`.
    #[must_use]
    pub fn rpc_path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.rpc);
        self
    }

    /// With a name that `#ifdef` finds defined.
    #[must_use]
    pub fn define(mut self, name: &str) -> Self {
        self.defines.push(name.into());
        self
    }

    /// Compiles `source`, which errors call `file`.
    ///
    /// # Errors
    /// Where the source is wrong, and how.
    pub fn compile(&self, file: &str, source: &str) -> Result<String, Error> {
        let source = scan::scan(file, source, &self.defines)?;
        let mut definitions = parse::parse(file, &source.tokens)?;
        definitions.extend(known::missing(&source, &definitions));
        let names = check::check(file, &definitions)?;
        Ok(generate::generate(
            &definitions,
            &names,
            &self.rpc,
            self.tokio,
        ))
    }

    /// Compiles the file at `path`.
    ///
    /// # Errors
    /// It can't be read, or where it is wrong.
    pub fn compile_file(&self, path: impl AsRef<Path>) -> Result<String, Error> {
        let path = path.as_ref();
        let source = std::fs::read_to_string(path).map_err(|error| Error::file(path, &error))?;
        self.compile(&path.display().to_string(), &source)
    }

    /// In a build script: compiles the file at `path` to one of the same name in OUT_DIR, and
    /// asks cargo to run the script again when it changes.
    ///
    /// # Errors
    /// See [`compile_file`](Self::compile_file); OUT_DIR is not set or can't be written to.
    pub fn compile_to_out_dir(&self, path: impl AsRef<Path>) -> Result<PathBuf, Error> {
        let path = path.as_ref();
        println!("cargo::rerun-if-changed={}", path.display());
        let code = self.compile_file(path)?;
        let folder = std::env::var_os("OUT_DIR").ok_or_else(|| {
            let missing = std::io::Error::other("OUT_DIR is not set: this is for build scripts");
            Error::file(path, &missing)
        })?;
        let name = path.file_stem().unwrap_or(path.as_os_str());
        let target = Path::new(&folder).join(name).with_extension("rs");
        std::fs::write(&target, code).map_err(|error| Error::file(&target, &error))?;
        Ok(target)
    }
}
