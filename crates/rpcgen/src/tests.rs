use crate::{Compiler, Error};

fn compile(source: &str) -> Result<String, Error> {
    Compiler::new().tokio(true).compile("calc.x", source)
}

#[track_caller]
fn wrong(source: &str, expected: &str) {
    let error = compile(source).unwrap_err().to_string();
    assert_eq!(error, format!("calc.x:{expected}"), "of {source}");
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    wrong(
        "const A = 1",
        "1:12: expected ';', found the end of the file",
    );
    wrong("struct a {\n  int x\n};", "3:1: expected ';', found '}'");
    wrong("struct a {\n  b x;\n};", "2:3: 'b' is no type");
    wrong("typedef opaque a<B>;", "1:18: 'B' is no constant");
    wrong(
        "const B = -1;\ntypedef int a[B];",
        "2:15: a length is -1, not a number of 32 bits",
    );
    wrong("const A = 1; const A = 2;", "1:20: 'A' is defined already");
    wrong("const A = 0x;", "1:11: '0x' is no number");
    wrong("const A = 09;", "1:11: '09' is no number");
    wrong("const A = $;", "1:11: '$' is nothing in this language");
    wrong("/* never\nends", "1:1: this comment has no end");
    wrong("\n  const int = 1;", "2:9: expected a name, found 'int'");
    wrong(
        "#include <a.x>",
        "1:1: #include is not read here: run cpp -P over the file first",
    );
    wrong(
        "#if A + 1\n",
        "1:1: #if A+1 is not read here: run cpp -P over the file first",
    );
    wrong("const A = \"b;", "1:11: this text has no end");
    wrong(
        "enum a { B = \"1\" };",
        "1:14: expected a number or the name of one, found \"1\"",
    );
    wrong("#ifdef A\n", "1:1: this condition has no #endif");
    wrong("#endif\n", "1:1: this #endif has no #ifdef");
    wrong(
        "struct a { a x; };",
        "1:12: 'a' holds itself, without end: use 'a *'",
    );
    wrong(
        "struct a { int x; int x; };",
        "1:23: 'x' is a member already",
    );
    wrong("struct a { string x; };", "1:20: expected '<', found ';'");
    wrong(
        "struct a_b { int x; }; struct A_B { int x; };",
        "1:31: 'A_B' and 'a_b' would both be called AB",
    );
}

#[test]
fn unions_and_programs_are_checked() {
    wrong(
        "union u switch (float f) { case 1: void; };",
        "1:23: a union is switched by int, unsigned int, bool or an enumeration",
    );
    wrong(
        "enum e { A = 1 }; union u switch (e f) { case 2: void; };",
        "1:47: 2 is no value of the discriminant",
    );
    wrong(
        "union u switch (int f) { case 1: void; case 1: int x; };",
        "1:45: this case is there already",
    );
    wrong(
        "program P { version V { void F(void) = 1; void G(void) = 1; } = 1; } = 1;",
        "1:48: this procedure is there already",
    );
    wrong(
        "program P { version V { void F(void) = 1; } = 1; } = -1;",
        "1:54: a program's number is -1, not a number of 32 bits",
    );
    wrong(
        "program P { version V { void F(int, void) = 1; } = 1; } = 1;",
        "1:37: void stands alone",
    );
}

#[test]
fn what_c_reads_and_rust_does_not_is_left_out() {
    let code = compile(
        "%#include <stdio.h>\n#ifdef RPC_HDR\nconst A = 1;\n#else\nconst B = 2;\n#endif\n#define C 0x10 /* 16 */\ntypedef int d[C]; // d\n",
    );
    let code = code.unwrap();
    assert!(!code.contains("stdio") && !code.contains("const A"));
    assert!(code.contains("pub const B: u32 = 2;"));
    assert!(code.contains("pub type D = [i32; 16];"));
}

#[test]
fn conditions_ask_for_names_and_numbers() {
    for (condition, holds) in [
        ("1", true),
        ("0", false),
        ("A", true),
        ("!A", false),
        ("defined(A)", true),
        ("!defined(B)", true),
        ("defined B", false),
    ] {
        let source = format!("#define A\n#if {condition}\nconst C = 1;\n#endif\n");
        let code = compile(&source).unwrap();
        assert_eq!(code.contains("const C"), holds, "{condition}");
    }
}

#[test]
fn text_is_a_constant_and_netobj_is_known() {
    let code = compile("const M = \"d4a0\"; struct a { netobj b; };").unwrap();
    assert!(code.contains("pub const M: &str = \"d4a0\";"), "{code}");
    assert!(
        code.contains("pub type Netobj = ::std::vec::Vec<u8>;"),
        "{code}"
    );
    let own = compile("typedef opaque netobj<8>; struct a { netobj b; };");
    assert_eq!(own.unwrap().matches("Netobj =").count(), 1);
}

#[test]
fn bounds_of_c_are_known_where_the_interface_has_none() {
    let source = "%#define L 4 /* 4 */\n%#define N L+1\n%#define M 6\nconst M = 7;\ntypedef opaque a<N>; typedef opaque b<M>;\n\
        typedef string c<MAXNETNAMELEN>; struct d { a x; }; typedef struct d d;";
    let code = compile(source).unwrap();
    for constant in ["N: u32 = 5", "M: u32 = 7", "MAXNETNAMELEN: u32 = 255"] {
        assert!(code.contains(constant), "no {constant} in {code}");
    }
}

#[test]
fn chains_become_vectors_where_nothing_else_uses_their_links() {
    let chain = "struct link { int x; link *next; }; typedef link *chain;";
    let code = compile(chain).unwrap();
    assert!(
        code.contains("pub type Chain = ::std::vec::Vec<Link>;"),
        "{code}"
    );
    assert!(!code.contains("next"));
    let by_name = "typedef struct link *chain; struct link { int x; chain next; };";
    assert!(compile(by_name).unwrap().contains("Vec<Link>"));
    let by_value = format!("{chain} struct other {{ link first; }};");
    let code = compile(&by_value).unwrap();
    assert!(code.contains("pub next: ::std::option::Option<::std::boxed::Box<Link>>"));
}

#[test]
fn any_text_compiles_or_is_refused() {
    use std::fmt::Write;
    // Each prefix of a source with everything in it.
    let source = "enum e { A = 1, B }; struct s { unsigned hyper h<3>; string t<>; };\n\
        union u switch (e d) { case A: struct { int x; } y; default: void; };\n\
        program P { version V { u F(s, int) = 1; } = 1; } = 0x20000000;\n";
    assert!(compile(source).is_ok());
    for end in 0..source.len() {
        let mut text = source[..end].to_owned();
        let _ = compile(&text);
        let _ = write!(text, " <{{ * ; case");
        let _ = compile(&text);
    }
    let deep = format!(
        "struct a {{ {} int x; {} }};",
        "struct {".repeat(99),
        "} y;".repeat(99)
    );
    assert!(compile(&deep).is_err());
}
