//! The library over memory links that do harm.

use crate::host::pattern;
use sockeye::drivers::{MemoryConfig, MemoryLink, Netem, NetemConfig};
use sockeye::{LinkConfig, Node};
use sockeye_tests::{Outcome, Result, Test, check, sha256, tests};
use std::io::{Read, Write};

pub(crate) const TESTS: &[Test] = tests![corruption_changes_no_byte];

/// The link sums nothing by itself (its packets carry partial checksums), and one packet in a
/// hundred has a bit flipped on the way: TCP's own checksum has to find each.
fn corruption_changes_no_byte() -> Result {
    const LEN: usize = 16 << 20;
    let (a, b) = MemoryLink::pair_ip(MemoryConfig::default());
    let node = |link: Box<dyn sockeye::link::Link>, address: &str| -> Result<Node> {
        let config = LinkConfig::new().address(address.parse()?);
        Ok(Node::builder()
            .link("mem", link, config)
            .seed([5; 32])
            .build()?)
    };
    let config: NetemConfig = "corrupt=1%,limit=10000".parse()?;
    let shaped = Netem::new(a, config, 99);
    let (first, second) = (
        node(Box::new(shaped), "192.0.2.1/24")?,
        node(Box::new(b), "192.0.2.2/24")?,
    );
    let listener = sockeye::net::TcpListener::bind_on(&second, "192.0.2.2:7000")?;
    let client = sockeye::net::TcpStream::connect_on(&first, "192.0.2.2:7000")?;
    let (server, _) = listener.accept()?;
    let data = pattern(LEN);
    for (mut from, mut to) in [(&client, &server), (&server, &client)] {
        let got = std::thread::scope(|scope| -> Result<Vec<u8>> {
            let reading = scope.spawn(move || {
                let mut got = vec![0; LEN];
                to.read_exact(&mut got).map(|()| got)
            });
            from.write_all(&data)?;
            Ok(reading.join().map_err(|_| "the reader panicked")??)
        })?;
        check!(sha256(&got) == sha256(&data), "other bytes arrived");
    }
    let errors =
        |node: &Node| -> Result<u64> { Ok(node.counters()?.get(sockeye::Counter::TcpInErrs)) };
    let found = (errors(&first)?, errors(&second)?);
    check!(
        found.0 > 0 && found.1 > 0,
        "no packet was found to be corrupted: {found:?}"
    );
    Ok(Outcome::Passed)
}
