//! Compiles the interface of rpcbind.

fn main() -> Result<(), sockeye_rpcgen::Error> {
    sockeye_rpcgen::Compiler::new()
        .rpc_path("crate")
        .tokio(std::env::var_os("CARGO_FEATURE_TOKIO").is_some())
        .compile_to_out_dir("src/rpcbind/rpcbind.x")
        .map(drop)
}
