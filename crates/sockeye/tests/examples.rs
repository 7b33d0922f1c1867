//! The examples that show something by themselves.

#[path = "../../../examples/igmp_querier.rs"]
#[expect(dead_code, unreachable_pub, reason = "it is a program of its own")]
mod igmp_querier;

#[test]
fn a_querier_knows_what_its_hosts_want() {
    let mut text = String::new();
    let shown = igmp_querier::demonstrate(&mut text);
    assert!(shown.is_ok(), "{shown:?}\n{text}");
    assert_eq!(text.lines().count(), 6);
}
