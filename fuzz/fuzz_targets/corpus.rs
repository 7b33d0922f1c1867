//! Writes seeds for the `node` target: one file a frame of real traffic, and one with all.

#[path = "../../crates/node/tests/nodes/target.rs"]
#[expect(dead_code, reason = "each user of it uses a part")]
mod target;

fn main() -> std::io::Result<()> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/node");
    std::fs::create_dir_all(&folder)?;
    let mut all = Vec::new();
    for (n, frame) in target::recorded().into_iter().enumerate() {
        let [low, high] = u16::try_from(frame.len()).unwrap_or(0).to_le_bytes();
        let mut seed = vec![low, high & 7, 1];
        seed.extend_from_slice(&frame);
        std::fs::write(folder.join(format!("frame-{n:03}")), &seed)?;
        all.extend_from_slice(&seed);
    }
    std::fs::write(folder.join("all"), all)
}
