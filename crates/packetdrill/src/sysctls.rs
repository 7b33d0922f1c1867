//! The node follows the settings of the network namespace that the tool runs in: scripts change
//! them by sysctl(8), before the first call and in between.

use sockeye::{Config, sysctl};
use std::path::PathBuf;

/// The settings as they were when they were last looked at.
#[derive(Debug)]
pub(crate) struct Follower {
    folder: PathBuf,
    seen: Vec<(&'static str, Option<String>)>,
}

impl Follower {
    pub(crate) fn new(folder: PathBuf) -> Self {
        let seen = sysctl::names().map(|name| (name, None)).collect();
        Self { folder, seen }
    }

    /// Takes over what has changed. True when something has. What the namespace lacks stays as it
    /// is, and what the node can't do is said once, for who reads the log of a script that fails.
    pub(crate) fn follow(&mut self, config: &mut Config) -> bool {
        let mut changed = false;
        for (name, seen) in &mut self.seen {
            let path = self.folder.join(name.replace('.', "/"));
            let Ok(text) = std::fs::read_to_string(path) else {
                continue;
            };
            if seen.as_ref() == Some(&text) {
                continue;
            }
            match config.set_sysctl(name, &text) {
                Ok(()) => changed = true,
                Err(error) => eprintln!("sockeye: {error}"),
            }
            *seen = Some(text);
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_taken_over_and_nothing_else() {
        let folder = std::env::temp_dir().join(format!("sysctls-{}", std::process::id()));
        let ipv4 = folder.join("net/ipv4");
        std::fs::create_dir_all(&ipv4).unwrap();
        let mut follower = Follower::new(folder.clone());
        let mut config = Config::default();
        assert!(!follower.follow(&mut config));
        std::fs::write(ipv4.join("tcp_sack"), "0\n").unwrap();
        assert!(follower.follow(&mut config));
        assert!(!config.tcp_sack);
        config.tcp_sack = true;
        assert!(!follower.follow(&mut config), "it was taken over already");
        assert!(config.tcp_sack);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
