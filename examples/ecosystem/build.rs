//! Compiles the interface of NFS, for the tests.

fn main() -> Result<(), sockeye_rpcgen::Error> {
    sockeye_rpcgen::Compiler::new()
        .tokio(true)
        .compile_to_out_dir("tests/nfs/nfs3.x")
        .map(drop)
}
