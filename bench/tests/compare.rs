//! `compare` measures, for a moment, what needs neither root nor another program, and writes what it
//! says it writes.

use std::path::PathBuf;
use std::process::Command;

const GROUPS: [&str; 5] = ["bulk", "trips", "connections", "datagrams", "unix"];

/// A folder that goes with it.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("sockeye-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap()
    }

    fn compare(&self, args: &[&str]) {
        let ran = Command::new(env!("CARGO_BIN_EXE_compare"))
            .args(args)
            .arg("--out")
            .arg(&self.0)
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{error}");
    }
}

#[test]
fn a_short_run_writes_json_a_table_and_charts() {
    let folder = Folder::new("compare");
    let groups = GROUPS.join(",");
    folder.compare(&["--rounds", "1", "--millis", "20", "--groups", &groups]);

    let report: serde_json::Value = serde_json::from_str(&folder.read("compare.json")).unwrap();
    let rows = report["rows"].as_array().unwrap();
    assert!(rows.len() >= 14, "{rows:?}");
    for row in rows {
        let sides = row["sides"].as_array().unwrap();
        assert!(sides.len() >= 2, "{row}");
        for side in sides {
            // lwIP is Debian's, and may not be here; then the reason is given.
            if side["name"] == "lwIP" && side["missing"].is_string() {
                continue;
            }
            let figure = side["spread"]["median"].as_f64();
            assert!(figure.is_some_and(|figure| figure > 0.0), "{row}");
        }
        for goal in row["goals"].as_array().unwrap() {
            assert!(goal["reached"].is_boolean(), "{row}");
        }
    }

    let table = folder.read("compare.md");
    let not_there = report["not_there"].as_array().unwrap();
    let lines = table.lines().filter(|line| line.starts_with("| ")).count();
    assert_eq!(lines, 1 + rows.len() + not_there.len(), "{table}");
    for row in rows {
        let name = row["name"].as_str().unwrap();
        let line = table.lines().find(|line| line.contains(name)).unwrap();
        assert_eq!(line.matches(" | ").count(), 3, "{line}");
    }

    for group in GROUPS {
        let svg = folder.read(&format!("{group}.svg"));
        let picture = roxmltree::Document::parse(&svg).unwrap();
        let bars = |class| {
            let bars = picture
                .descendants()
                .filter(|node| node.attribute("class") == Some(class));
            bars.count()
        };
        let rows = rows.iter().filter(|row| row["group"] == group);
        let sides = rows.flat_map(|row| row["sides"].as_array().unwrap());
        let measured = sides.filter(|side| side["missing"].is_null()).count();
        assert!(bars("ours") > 0, "{svg}");
        assert_eq!(bars("ours") + bars("peer"), measured, "{svg}");
    }
}

#[test]
fn a_report_is_drawn_anew_into_a_readme() {
    let folder = Folder::new("compare-draw");
    folder.compare(&["--rounds", "1", "--millis", "10", "--groups", "datagrams"]);
    let readme = folder.0.join("README.md");
    let around = "before\n<!-- compare: begin -->\nold\n<!-- compare: end -->\nafter\n";
    std::fs::write(&readme, around).unwrap();
    let (table, chart) = (folder.read("compare.md"), folder.read("datagrams.svg"));
    folder.compare(&["--draw", "--readme", readme.to_str().unwrap()]);
    assert_eq!(folder.read("compare.md"), table);
    assert_eq!(folder.read("datagrams.svg"), chart);
    let text = folder.read("README.md");
    assert!(
        text.starts_with("before\n<!-- compare: begin -->\n"),
        "{text}"
    );
    assert!(text.ends_with("<!-- compare: end -->\nafter\n"), "{text}");
    assert!(
        text.contains(&table) && text.contains("datagrams.svg"),
        "{text}"
    );
    assert!(!text.contains("old"), "{text}");
}
