//! Names as Rust writes them.

/// `file_handle` and `FILE_HANDLE` as `FileHandle`; `fileHandle`, too.
pub(crate) fn camel(name: &str) -> String {
    let mut out = String::new();
    for part in name.split('_').filter(|part| !part.is_empty()) {
        let shouts = !part.chars().any(|c| c.is_ascii_lowercase());
        let mut chars = part.chars();
        out.extend(chars.next().map(|c| c.to_ascii_uppercase()));
        if shouts {
            out.extend(chars.map(|c| c.to_ascii_lowercase()));
        } else {
            out.extend(chars);
        }
    }
    if out.is_empty() || out.starts_with(|c: char| c.is_ascii_digit()) || out == "Self" {
        out.insert(0, 'X');
    }
    out
}

/// `FileHandle`, `fileHandle` and `FILE_HANDLE` as `file_handle`, clear of Rust's keywords.
pub(crate) fn snake(name: &str) -> String {
    let mut out = String::new();
    let mut before_is_lower = false;
    for c in name.chars() {
        if c.is_ascii_uppercase() && before_is_lower {
            out.push('_');
        }
        before_is_lower = c.is_ascii_lowercase();
        out.push(c.to_ascii_lowercase());
    }
    match out.as_str() {
        "self" | "super" | "crate" | "_" => out.push('_'),
        word if KEYWORDS.contains(&word) => out.insert_str(0, "r#"),
        _ => {}
    }
    out
}

/// Names of constants keep their case, where that is Rust's.
pub(crate) fn shout(name: &str) -> String {
    if name.chars().any(|c| c.is_ascii_lowercase()) {
        snake(name).trim_start_matches("r#").to_ascii_uppercase()
    } else {
        name.into()
    }
}

const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn",
    "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let",
    "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return",
    "static", "struct", "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use",
    "virtual", "where", "while", "yield",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_those_of_rust() {
        assert_eq!(camel("file_handle"), "FileHandle");
        assert_eq!(camel("NFS3_OK"), "Nfs3Ok");
        assert_eq!(camel("LOOKUP3resok"), "LOOKUP3resok");
        assert_eq!(camel("_3d"), "X3d");
        assert_eq!(snake("FileHandle"), "file_handle");
        assert_eq!(snake("NFSPROC3_GETATTR"), "nfsproc3_getattr");
        assert_eq!(snake("type"), "r#type");
        assert_eq!(snake("self"), "self_");
        assert_eq!(shout("maxName"), "MAX_NAME");
    }
}
