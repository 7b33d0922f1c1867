//! The scripts, and what can be said of one from its text.

use super::{IpVersion, below};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// What a script does in the shell that reaches no node in user space: a word of its text, and why
/// that can't be had. Settings (sysctl) are not among them: the node follows those of the
/// namespace.
const OUT_OF_REACH: &[(&str, &str)] = &[
    (
        "route change",
        "changes a route of the kernel in the middle",
    ),
    (
        "pfifo limit 0",
        "makes a queue of the kernel drop everything, and the sender is told; a node's links hold back",
    ),
];

/// One script.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) path: PathBuf,
    name: String,
    /// Why it says nothing of a node in user space.
    pub(crate) not_applicable: Option<&'static str>,
    /// It switches segmentation offload off (ethtool).
    pub(crate) without_gso: bool,
}

impl Script {
    /// All scripts at and below `places` that are for `version`, in the order of their paths.
    pub(crate) fn find(places: &[PathBuf], version: IpVersion) -> Result<Vec<Self>> {
        let mut found = Vec::new();
        for place in places {
            let place = place
                .canonicalize()
                .with_context(|| format!("nothing at {}", place.display()))?;
            let root = place.parent().unwrap_or(&place).to_owned();
            search(&place, &mut |path| {
                let name = below(&root, path);
                found.push((path.to_owned(), name));
            })?;
        }
        found.sort();
        found.dedup();
        // By their names some are for one version only.
        let other = match version {
            IpVersion::V4 | IpVersion::V4Mapped => "v6.pkt",
            IpVersion::V6 => "v4.pkt",
        };
        found.retain(|(_, name)| !name.ends_with(other));
        found
            .into_iter()
            .map(|(path, name)| Self::read(path, name))
            .collect()
    }

    fn read(path: PathBuf, name: String) -> Result<Self> {
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("{} can't be read", path.display()))?;
        Ok(Self {
            path,
            name,
            not_applicable: not_applicable(&text),
            without_gso: text
                .lines()
                .any(|line| line.contains("ethtool -K") && line.contains("gso off")),
        })
    }

    /// Its path below the folder that was named, that folder included.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The folder in that.
    pub(crate) fn folder(&self) -> String {
        let folder = Path::new(&self.name).parent();
        folder.map_or_else(String::new, |folder| folder.display().to_string())
    }
}

fn not_applicable(text: &str) -> Option<&'static str> {
    let reason = OUT_OF_REACH.iter().find(|(word, _)| text.contains(word));
    reason.map(|(_, why)| *why)
}

fn search(place: &Path, found: &mut impl FnMut(&Path)) -> Result<()> {
    if place.is_file() {
        found(place);
        return Ok(());
    }
    let entries =
        std::fs::read_dir(place).with_context(|| format!("{} can't be read", place.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() || path.extension().is_some_and(|ext| ext == "pkt") {
            search(&path, found)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_shell_does_to_the_kernel_does_not_apply() {
        assert_eq!(not_applicable("`sysctl -q net.ipv4.tcp_sack=0`"), None);
        assert!(not_applicable("+0 `tc qdisc add dev tun0 root pfifo limit 0`").is_some());
        assert!(not_applicable("`ip route change 192.0.2.1 via 192.168.0.2`").is_some());
    }
}
