//! The C library as programs get it: installed by `cargo xtask capi`, found by pkg-config's file,
//! with a header that says what the library has.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on may end")]

use sockeye_tests::{
    Outcome, Program, Result, TempDir, check, compiled, harness, have, ignore, tests,
};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

fn main() {
    harness(&[tests![
        the_header_declares_what_the_library_exports,
        the_header_declares_each_function_as_it_is,
        the_header_is_plain_c,
        the_header_is_plain_cpp,
        every_call_does_what_it_says,
        the_static_library_holds_all_it_needs,
        the_c_example_echoes,
        the_python_example_fetches_a_page,
    ]]);
}

const HERE: &str = env!("CARGO_MANIFEST_DIR");
const WARNINGS: [&str; 4] = ["-std=c11", "-Wall", "-Wextra", "-Werror"];

static INSTALLED: OnceLock<Result<PathBuf, String>> = OnceLock::new();

/// The folder below which the library is installed: built by this tree, once.
fn installed() -> Result<PathBuf> {
    let install = || -> Result<PathBuf> {
        let prefix = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("capi");
        let mut args = vec!["xtask", "capi", "--prefix", prefix.to_str().unwrap()];
        if cfg!(debug_assertions) {
            args.push("--debug");
        }
        let limit = std::time::Duration::from_secs(600);
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let done = Program::new(cargo)
            .args(args)
            .current_dir(HERE)
            .limit(limit);
        done.run()?.expect(0)?;
        Ok(prefix)
    };
    let done = INSTALLED.get_or_init(|| install().map_err(|error| error.to_string()));
    done.clone().map_err(Into::into)
}

/// The words that pkg-config's file says, with its variables filled in.
fn pkg_config(prefix: &Path, key: &str) -> Result<Vec<String>> {
    let text = fs::read_to_string(prefix.join("lib/pkgconfig/sockeye.pc"))?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{key}: ")));
    let line = line
        .ok_or_else(|| format!("no {key} in {text}"))?
        .to_owned();
    let mut filled = line;
    while filled.contains("${") {
        for line in text.lines() {
            if let Some((name, value)) = line.split_once('=') {
                filled = filled.replace(&format!("${{{name}}}"), value);
            }
        }
    }
    Ok(filled.split_whitespace().map(str::to_owned).collect())
}

/// Compiles a C program against the shared library, and says how it is run.
fn program(source: &str, dir: &TempDir) -> Result<Program> {
    let prefix = installed()?;
    let flags = pkg_config(&prefix, "Cflags")?;
    let flags = flags.iter().map(String::as_str).chain(WARNINGS);
    let libs = pkg_config(&prefix, "Libs")?;
    let libs: Vec<&str> = libs
        .iter()
        .map(String::as_str)
        .chain(["-lpthread"])
        .collect();
    let flags: Vec<&str> = flags.collect();
    let path = compiled(source, "program", dir, &flags, &libs)?;
    Ok(Program::new(path).env("LD_LIBRARY_PATH", prefix.join("lib")))
}

/// The declarations of `sockeye.h`, by name, in the words that [`declared`] has for them.
fn header() -> BTreeMap<String, String> {
    let text = fs::read_to_string(format!("{HERE}/include/sockeye.h")).unwrap();
    let mut code = String::new();
    let mut rest = text.as_str();
    while let Some((before, comment)) = rest.split_once("/*") {
        code.push_str(before);
        rest = comment.split_once("*/").unwrap().1;
    }
    code.push_str(rest);
    let code: Vec<&str> = code.lines().filter(|line| !line.starts_with('#')).collect();
    let code = code
        .join(" ")
        .replace("extern \"C\" {", "")
        .replace('}', "");
    let declarations = code.split(';').filter(|text| text.contains('('));
    let read = |text: &str| {
        let (head, parameters) = text
            .trim()
            .strip_suffix(')')
            .unwrap()
            .split_once('(')
            .unwrap();
        let (result, name) = named(head);
        let types: Vec<String> = parameters.split(',').map(|p| named(p).0).collect();
        (name, format!("{result} ({})", types.join(", ")))
    };
    declarations.map(read).collect()
}

/// `const char *name` as its type, in one way of writing it, and its name.
fn named(text: &str) -> (String, String) {
    let text = text.trim();
    let at = text.rfind([' ', '*']).unwrap() + 1;
    let (ty, name) = text.split_at(at);
    let words: Vec<&str> = ty.split_whitespace().collect();
    (words.join(" "), name.to_owned())
}

/// The functions that the sources export, in C's words.
fn exported() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for file in fs::read_dir(format!("{HERE}/src")).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        for function in text.split("#[unsafe(no_mangle)]").skip(1) {
            let head = function.split_once("extern \"C\" fn ").unwrap().1;
            let head = head.split_once(" {").unwrap().0;
            let (name, rest) = head.split_once('(').unwrap();
            let (parameters, result) = rest.rsplit_once(") -> ").unwrap();
            let parameters = parameters.split(',').map(str::trim);
            let types: Vec<String> = parameters
                .filter(|text| !text.is_empty())
                .map(|text| in_c(text.split_once(": ").unwrap().1))
                .collect();
            let text = format!("{} ({})", in_c(result.trim()), types.join(", "));
            found.insert(name.to_owned(), text);
        }
    }
    found
}

fn in_c(rust: &str) -> String {
    if let Some(inner) = rust.strip_prefix("*const ") {
        return format!("const {} *", in_c(inner));
    }
    if let Some(inner) = rust.strip_prefix("*mut ") {
        return format!("{} *", in_c(inner));
    }
    match rust {
        "c_int" => "int",
        "c_uint" => "unsigned int",
        "c_char" => "char",
        "c_void" => "void",
        "usize" => "size_t",
        "sockaddr" => "struct sockaddr",
        "msghdr" => "struct msghdr",
        "pollfd" => "struct pollfd",
        other => other,
    }
    .to_owned()
}

fn the_header_declares_each_function_as_it_is() -> Result {
    let (header, exported) = (header(), exported());
    check!(exported.len() > 20, "too few were found: {exported:?}");
    for (name, ty) in &exported {
        let declared = header.get(name);
        check!(
            declared == Some(ty),
            "{name}: the library has {ty}, the header {declared:?}"
        );
    }
    check!(header.len() == exported.len(), "{header:?}");
    let text = fs::read_to_string(format!("{HERE}/include/sockeye.h"))?;
    for (name, value) in [
        ("HANDLE_MIN", 1 << 30),
        ("HANDLES_MAX", 1 << 16),
        ("ALLOW_HOST_LOOPBACK", 1),
    ] {
        let line = format!("#define SOCKEYE_{name} {value}\n");
        check!(text.contains(&line), "the header lacks {line}");
    }
    Ok(Outcome::Passed)
}

fn the_header_declares_what_the_library_exports() -> Result {
    if !have("nm") {
        return ignore!("there is no nm (binutils)");
    }
    let library = installed()?.join("lib/libsockeye.so");
    let listed = Program::new("nm")
        .args(["--dynamic", "--defined-only", "--format=posix"])
        .arg(&library)
        .run()?
        .expect(0)?
        .stdout_text();
    let symbols = listed.lines().filter_map(|line| line.split(' ').next());
    let symbols: Vec<&str> = symbols.filter(|name| name.contains("sockeye")).collect();
    let header = header();
    for name in &symbols {
        check!(header.contains_key(*name), "the header lacks {name}");
    }
    for name in header.keys() {
        check!(symbols.contains(&name.as_str()), "the library lacks {name}");
    }
    Ok(Outcome::Passed)
}

fn the_header_is_plain_c() -> Result {
    compiles_alone("cc", &["-x", "c", "-std=c99"])
}

fn the_header_is_plain_cpp() -> Result {
    compiles_alone("g++", &["-x", "c++", "-std=c++11"])
}

/// Has a compiler read the header alone, with all its warnings.
fn compiles_alone(compiler: &str, language: &[&str]) -> Result {
    if !have(compiler) {
        return ignore!("there is no {compiler}");
    }
    let header = format!("{HERE}/include/sockeye.h");
    let done = Program::new(compiler).args(language);
    done.args(["-pedantic-errors", "-Wall", "-Wextra", "-Werror"])
        .args(["-fsyntax-only", &header])
        .run()?
        .expect(0)?;
    Ok(Outcome::Passed)
}

fn every_call_does_what_it_says() -> Result {
    if !have("cc") {
        return ignore!("there is no C compiler");
    }
    let dir = TempDir::new()?;
    let run = program(&format!("{HERE}/tests/calls.c"), &dir)?.run()?;
    let said = run.expect(0)?.stdout_text();
    check!(said == "every call\n", "{said}");
    Ok(Outcome::Passed)
}

fn the_static_library_holds_all_it_needs() -> Result {
    if !have("cc") {
        return ignore!("there is no C compiler");
    }
    let (dir, prefix) = (TempDir::new()?, installed()?);
    let archive = prefix.join("lib/libsockeye.a");
    let private = pkg_config(&prefix, "Libs.private")?;
    let mut libs = vec![archive.to_str().unwrap()];
    libs.extend(private.iter().map(String::as_str));
    let flags = pkg_config(&prefix, "Cflags")?;
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let source = format!("{HERE}/../../examples/capi/echo.c");
    let path = compiled(&source, "static", &dir, &flags, &libs)?;
    let said = Program::new(path).run()?.expect(0)?.stdout_text();
    check!(said.contains("Oncorhynchus nerka"), "{said}");
    Ok(Outcome::Passed)
}

fn the_c_example_echoes() -> Result {
    if !have("cc") {
        return ignore!("there is no C compiler");
    }
    let dir = TempDir::new()?;
    let example = format!("{HERE}/../../examples/capi/echo.c");
    let said = program(&example, &dir)?.run()?.expect(0)?.stdout_text();
    check!(
        said == "client: \"Oncorhynchus nerka\" came back\n",
        "{said}"
    );
    Ok(Outcome::Passed)
}

fn the_python_example_fetches_a_page() -> Result {
    if !have("python3") {
        return ignore!("there is no python3");
    }
    let library = installed()?.join("lib/libsockeye.so.0");
    let said = Program::new("python3")
        .arg(format!("{HERE}/../../examples/capi/page.py"))
        .arg(&library)
        .run()?
        .expect(0)?
        .stdout_text();
    check!(
        said.contains("200 OK") && said.contains("10.0.2.15"),
        "{said}"
    );
    check!(said.contains("port 1: Connection refused"), "{said}");
    Ok(Outcome::Passed)
}
