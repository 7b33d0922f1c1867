//! The examples: each is in the index, and each is run.

use sockeye_tests::{Body, Outcome, Program, Result, check, example};
use std::fs;
use std::path::Path;

/// What is run elsewhere, since it wants a second host: the file that does it, and by which words.
const ELSEWHERE: [(&str, &str, &str); 1] = [("ospf", "tests/interop/ospf.rs", "example(\"ospf\")")];

/// A test for each example, and one for the index.
pub(crate) fn tests() -> Vec<(String, Body)> {
    let mut tests: Vec<(String, Body)> =
        vec![("examples/README.md".into(), Box::new(the_index_has_all))];
    for name in names("examples").unwrap_or_default() {
        let test = format!("examples/{name}");
        tests.push((test, Box::new(move || run(&name))));
    }
    tests
}

/// The programs in a folder.
fn names(folder: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(crate::root().join(folder))? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        // What the ecosystem's programs share, and what it is built with.
        let is_program = |stem: &str| !["lib", "build"].contains(&stem);
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(stem.filter(|stem| is_program(stem)).map(str::to_owned));
        }
    }
    names.sort();
    Ok(names)
}

/// It ends well, and says something.
fn run(name: &str) -> Result {
    if let Some((_, file, words)) = ELSEWHERE.iter().find(|(other, ..)| *other == name) {
        let text = fs::read_to_string(crate::root().join(file))?;
        check!(text.contains(words), "{file} does not run {name}");
        return Ok(Outcome::Passed);
    }
    let said = Program::new(example(name)?).run()?.expect(0)?;
    check!(!said.stdout.is_empty(), "it says nothing");
    Ok(Outcome::Passed)
}

fn the_index_has_all() -> Result {
    let index = fs::read_to_string(crate::root().join("examples/README.md"))?;
    for folder in ["examples", "examples/ecosystem"] {
        let names = names(folder)?;
        check!(names.len() > 4, "{folder}: {names:?}");
        for name in names {
            let file = Path::new(folder).join(format!("{name}.rs"));
            let link = format!("]({})", file.strip_prefix("examples")?.display());
            let lines = index.lines().filter(|line| line.contains(&link)).count();
            check!(lines == 1, "{link} is in {lines} lines of the index");
        }
    }
    let ci = fs::read_to_string(crate::root().join(".ci/run"))?;
    let workspace = "cd examples/ecosystem && cargo fmt --check && cargo test";
    check!(
        ci.contains(workspace),
        ".ci/run does not test the ecosystem's"
    );
    Ok(Outcome::Passed)
}
