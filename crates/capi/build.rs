//! Gives the shared library the name that programs are linked against.

/// Changes with every change of `sockeye.h` that a program compiled before would notice.
const SONAME: &str = "libsockeye.so.0";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,{SONAME}");
    }
}
