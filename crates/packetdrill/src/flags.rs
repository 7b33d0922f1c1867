//! `--so_flags`: how the node is set up. Words of the form `KEY=VALUE`, with semicolons between.
//!
//! `local=CIDR` (repeatable), `mtu=BYTES`, `gso=0|1`, `follow=DIR` (the namespace's settings under
//! DIR, usually `/proc/sys`, see `sysctls`), `seed=N`; any other key is a setting by Linux's name.

use sockeye::{Config, HystartKind, IpNet};
use std::path::PathBuf;

/// What the flags say.
#[derive(Debug)]
pub(crate) struct Flags {
    pub(crate) addresses: Vec<IpNet>,
    pub(crate) mtu: u32,
    pub(crate) gso: bool,
    pub(crate) follow: Option<PathBuf>,
    pub(crate) seed: u64,
    pub(crate) config: Config,
}

impl Flags {
    /// Reads them, or says what is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut flags = Self {
            addresses: Vec::new(),
            mtu: 1500,
            gso: true,
            follow: None,
            seed: 0,
            config: Config {
                // The scripts are about Linux's TCP, down to how its slow start ends.
                tcp_hystart: HystartKind::Hybrid,
                ..Config::default()
            },
        };
        for word in text
            .split(';')
            .map(str::trim)
            .filter(|word| !word.is_empty())
        {
            let (key, value) = word
                .split_once('=')
                .ok_or_else(|| format!("'{word}' is no KEY=VALUE"))?;
            flags.set(key.trim(), value.trim())?;
        }
        if flags.addresses.is_empty() {
            // Those that the scripts are written for.
            for net in ["192.168.0.1/16", "fd3d:a0b:17d6::1/64"] {
                flags.set("local", net)?;
            }
        }
        Ok(flags)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        fn read<T: std::str::FromStr>(key: &str, value: &str) -> Result<T, String> {
            let bad = |_| format!("'{value}' is no value for {key}");
            value.parse().map_err(bad)
        }
        match key {
            "local" => self.addresses.push(read(key, value)?),
            "mtu" => self.mtu = read(key, value)?,
            "gso" => self.gso = read::<u8>(key, value)? != 0,
            "follow" => self.follow = Some(value.into()),
            "seed" => self.seed = read(key, value)?,
            _ => {
                let set = self.config.set_sysctl(key, value);
                set.map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_settings_are_told_apart() {
        let flags = Flags::parse("mtu=1520; local=10.0.0.1/8;net.ipv4.tcp_rmem=1 2 3").unwrap();
        assert_eq!(flags.mtu, 1520);
        assert_eq!(flags.addresses, ["10.0.0.1/8".parse().unwrap()]);
        assert_eq!(flags.config.tcp_rmem, (1, 2, 3));
        assert_eq!(Flags::parse("").unwrap().addresses.len(), 2);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wrong = |text: &str| Flags::parse(text).unwrap_err();
        assert_eq!(wrong("mtu"), "'mtu' is no KEY=VALUE");
        assert_eq!(wrong("mtu=x"), "'x' is no value for mtu");
        assert!(wrong("net.ipv4.tcp_none=1").contains("tcp_none"));
    }
}
