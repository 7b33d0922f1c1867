//! Debian's format of packages: an `ar` archive of a version, the package's description and its
//! files, made without Debian's tools (deb(5), deb-control(5)).

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use md5::{Digest as _, Md5};
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;

/// A file of a package.
pub(crate) struct File {
    /// Where it is installed, without the leading slash.
    pub(crate) path: String,
    pub(crate) mode: u32,
    pub(crate) content: Vec<u8>,
}

/// What the package is called and said to be.
pub(crate) struct Description<'a> {
    pub(crate) name: &'a str,
    pub(crate) version: &'a str,
    /// In Debian's words: amd64, arm64.
    pub(crate) architecture: &'a str,
    pub(crate) homepage: &'a str,
    pub(crate) synopsis: &'a str,
    /// Lines of the long description; an empty one parts paragraphs.
    pub(crate) text: &'a str,
}

/// Compresses so that the same bytes come out each time: no name, no time.
pub(crate) fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut out = GzEncoder::new(Vec::new(), Compression::best());
    out.write_all(bytes)?;
    Ok(out.finish()?)
}

/// A tar archive of `files` below `root`, all of them root's, with `mtime` in seconds.
pub(crate) fn tar(root: &str, files: &[File], mtime: u64) -> Result<Vec<u8>> {
    let mut out = tar::Builder::new(Vec::new());
    let folders = files.iter().flat_map(|file| {
        let folders = Path::new(&file.path).ancestors().skip(1);
        folders.map(|folder| folder.to_string_lossy().into_owned())
    });
    let folders: BTreeSet<String> = folders.collect();
    let mut append = |path: &str, kind, mode, content: &[u8]| -> Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_mtime(mtime);
        header.set_uid(0);
        header.set_gid(0);
        header.set_username("root")?;
        header.set_groupname("root")?;
        header.set_size(content.len() as u64);
        // The crate's own way of setting a path leaves "./" out, which dpkg expects.
        let path = path.as_bytes();
        let name = &mut header.as_old_mut().name;
        name.get_mut(..path.len())
            .with_context(|| format!("{} is too long", String::from_utf8_lossy(path)))?
            .copy_from_slice(path);
        header.set_cksum();
        Ok(out.append(&header, content)?)
    };
    for folder in &folders {
        let path = match folder.as_str() {
            "" => root.to_owned(),
            folder => format!("{root}{folder}/"),
        };
        append(&path, tar::EntryType::Directory, 0o755, &[])?;
    }
    for file in files {
        let path = format!("{root}{}", file.path);
        append(&path, tar::EntryType::Regular, file.mode, &file.content)?;
    }
    Ok(out.into_inner()?)
}

/// The package.
pub(crate) fn build(what: &Description<'_>, files: &[File], mtime: u64) -> Result<Vec<u8>> {
    let described = |path: &str, text: String| File {
        path: path.into(),
        mode: 0o644,
        content: text.into_bytes(),
    };
    let control = [
        described("control", control(what, files)),
        described("md5sums", sums(files)),
    ];
    let control = gzip(&tar("./", &control, mtime)?)?;
    let data = gzip(&tar("./", files, mtime)?)?;
    let mut out = ar::Builder::new(Vec::new());
    let members: [(&str, &[u8]); 3] = [
        ("debian-binary", b"2.0\n"),
        ("control.tar.gz", &control),
        ("data.tar.gz", &data),
    ];
    for (name, content) in members {
        let mut header = ar::Header::new(name.into(), content.len() as u64);
        header.set_mode(0o100_644);
        header.set_mtime(mtime);
        out.append(&header, content)?;
    }
    Ok(out.into_inner()?)
}

/// What `dpkg --verify` compares: deb-md5sums(5).
fn sums(files: &[File]) -> String {
    let line = |file: &File| {
        let sum = Md5::digest(&file.content);
        let sum: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{sum}  {}\n", file.path)
    };
    files.iter().map(line).collect()
}

fn control(what: &Description<'_>, files: &[File]) -> String {
    // deb-control(5): in KiB, each file and folder rounded up.
    let size: usize = files
        .iter()
        .map(|file| file.content.len().div_ceil(1024))
        .sum();
    let lines = what.text.lines().map(|line| match line {
        "" => " .\n".to_owned(),
        line => format!(" {line}\n"),
    });
    let Description {
        name,
        version,
        architecture,
        homepage,
        synopsis,
        ..
    } = what;
    format!(
        "Package: {name}\nVersion: {version}\nArchitecture: {architecture}\n\
         Maintainer: The sockeye developers <sockeye@sockeye.invalid>\nInstalled-Size: {size}\n\
         Section: net\nPriority: optional\nHomepage: {homepage}\nDescription: {synopsis}\n{}",
        lines.collect::<String>()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    fn sample() -> Vec<u8> {
        let what = Description {
            name: "salmon",
            version: "1.2",
            architecture: "amd64",
            homepage: "https://example.org",
            synopsis: "a fish",
            text: "It swims.\n\nUp.",
        };
        let files = [File {
            path: "usr/bin/salmon".into(),
            mode: 0o755,
            content: vec![7; 1025],
        }];
        build(&what, &files, 86400).unwrap()
    }

    #[test]
    fn a_package_has_its_three_members_and_each_file() {
        let deb = sample();
        let mut archive = ar::Archive::new(&deb[..]);
        let mut members = Vec::new();
        while let Some(entry) = archive.next_entry() {
            let mut entry = entry.unwrap();
            let name = String::from_utf8(entry.header().identifier().to_vec()).unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            members.push((name, content));
        }
        let names: Vec<&str> = members.iter().map(|m| m.0.as_str()).collect();
        assert_eq!(names, ["debian-binary", "control.tar.gz", "data.tar.gz"]);
        assert_eq!(members[0].1, b"2.0\n");
        let mut control = Vec::new();
        let unzipped = flate2::read::GzDecoder::new(&members[1].1[..]);
        let mut inner = tar::Archive::new(unzipped);
        for entry in inner.entries().unwrap() {
            let mut text = String::new();
            entry.unwrap().read_to_string(&mut text).unwrap();
            control.push(text);
        }
        let [_, control, sums] = &control[..] else {
            panic!("a folder and two files: {control:?}");
        };
        // What md5sum says of 1025 bytes 7.
        assert_eq!(sums, "0658d419dddada4e73610acc1819db11  usr/bin/salmon\n");
        assert!(control.contains("Installed-Size: 2\n"), "{control}");
        assert!(
            control.ends_with("a fish\n It swims.\n .\n Up.\n"),
            "{control}"
        );
        let mut data = tar::Archive::new(flate2::read::GzDecoder::new(&members[2].1[..]));
        let listed: Vec<_> = data
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let path = String::from_utf8(entry.path_bytes().to_vec()).unwrap();
                (path, entry.header().mode().unwrap())
            })
            .collect();
        let listed: Vec<(&str, u32)> = listed.iter().map(|e| (e.0.as_str(), e.1)).collect();
        assert_eq!(
            listed,
            [
                ("./", 0o755),
                ("./usr/", 0o755),
                ("./usr/bin/", 0o755),
                ("./usr/bin/salmon", 0o755)
            ]
        );
    }

    #[test]
    fn the_same_files_make_the_same_package() {
        assert_eq!(sample(), sample());
    }
}
