//! Compiles the interface that the tests of RPC share with libtirpc's rpcgen.

fn main() -> Result<(), sockeye_rpcgen::Error> {
    sockeye_rpcgen::Compiler::new()
        .compile_to_out_dir("interop/rpc/showcase.x")
        .map(drop)
}
