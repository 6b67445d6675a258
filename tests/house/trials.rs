//! The rules tried on snippets that they must convict, and on others that they must not.

use super::*;

type Rule = fn(&Source) -> Vec<String>;

/// A rule, a path, and text that the rule must convict there.
const BAD: &[(Rule, &str, &str)] = &[
    (
        imports_point_down,
        "src/model/x.rs",
        "use crate::service::clock;",
    ),
    (
        imports_point_down,
        "src/door.rs",
        "use crate::{model::Id, aws::Sdk};",
    ),
    (
        imports_point_down,
        "src/lease/x.rs",
        "use super::super::door::Fault;",
    ),
    (
        imports_point_down,
        "src/aws/x.rs",
        "fn f() { crate::service::now() }",
    ),
    (
        imports_point_down,
        "src/service/x.rs",
        "use crate::aws::Sdk;",
    ),
    (
        imports_point_down,
        "src/service/x.rs",
        "use crate::{\n    door,\n    cli::{a, b},\n};",
    ),
    (
        the_wall_clock_is_asked_for_ages_only,
        "src/service/leases/x.rs",
        "fn f() { clock::wall() }",
    ),
    (
        decisions_are_deterministic,
        "src/lease/x.rs",
        "use tokio::time::Instant;",
    ),
    (
        decisions_are_deterministic,
        "src/push.rs",
        "type A = std::collections::HashMap<u8, u8>;",
    ),
    (
        decisions_are_deterministic,
        "src/model/x.rs",
        "use aws_sdk_sqs::Client;",
    ),
    (
        decisions_are_deterministic,
        "src/decode/x.rs",
        "pub async fn f() {}",
    ),
    (modules_have_names, "src/a/mod.rs", ""),
    (
        selects_are_biased,
        "src/a.rs",
        "tokio::select! {\n  _ = a => {}\n}",
    ),
    (
        selects_are_biased,
        "tests/a.rs",
        "select! { biased; a => 1 }; select! { a => 1 }",
    ),
    (nothing_forbidden, "src/a.rs", "#[allow(dead_code)]"),
    (nothing_forbidden, "src/a.rs", "fn f() { x.unwrap() }"),
    (
        nothing_forbidden,
        "src/a.rs",
        "#[cfg(test)]\nmod tests { }\nfn f() { x.unwrap() }",
    ),
    (nothing_forbidden, "src/a.rs", "tokio::spawn(async {});"),
    (nothing_forbidden, "tests/a.rs", "use anyhow::Result;"),
];

#[test]
fn the_rules_convict_what_they_should() {
    for (rule, path, text) in BAD {
        assert!(
            !rule(&Source::new(path, text)).is_empty(),
            "acquitted: {path}: {text}"
        );
    }
    let long = "\n".repeat(LINES_MAX + 1);
    assert!(!files_are_short(&Source::new("src/a.rs", &long)).is_empty());
    assert!(!no_traces(concat!("cd /ro", "ot/x")).is_empty());
}

/// A rule, a path, and text that the rule must acquit there.
const GOOD: &[(Rule, &str, &str)] = &[
    (
        imports_point_down,
        "src/service/x.rs",
        "use crate::door::Fault; // not crate::aws",
    ),
    (
        imports_point_down,
        "src/lease/x.rs",
        "use crate::pipeline::Batch; use super::row;",
    ),
    (
        imports_point_down,
        "src/door/x.rs",
        "const A: &str = \"crate::aws\";",
    ),
    (
        imports_point_down,
        "src/cli/x.rs",
        "use crate::{aws, service::clock};",
    ),
    (
        decisions_are_deterministic,
        "src/lease/x.rs",
        "/// not tokio\nfn tokio_like() {}",
    ),
    (
        decisions_are_deterministic,
        "src/service/x.rs",
        "use tokio::time::Instant;",
    ),
    (files_are_short, "src/a.rs", "\n"),
    (
        selects_are_biased,
        "src/a.rs",
        "tokio::select! {\n    biased;\n    a => 1,\n}",
    ),
    (
        nothing_forbidden,
        "src/a.rs",
        "#[cfg(test)]\nmod tests { fn f() { x.unwrap() } }",
    ),
    (
        nothing_forbidden,
        "src/a.rs",
        "// tokio::spawn( is banned\nlet a = '\"'; let b = r#\"#[allow\"#;",
    ),
];

#[test]
fn the_rules_acquit_what_they_should() {
    for (rule, path, text) in GOOD {
        let offences = rule(&Source::new(path, text));
        assert!(
            offences.is_empty(),
            "convicted: {path}: {text}: {offences:?}"
        );
    }
}

#[test]
fn modules_for_tests_are_known_by_their_declaration() {
    let lines = "#[cfg(test)]\nmod tests;\nmod more;\n#[cfg(test)]\npub(crate) mod testing;\n";
    let declaring = Source::new("src/a.rs", lines);
    let expected = ["src/a/tests.rs", "src/a/testing.rs"];
    assert_eq!(declaring.modules_for_tests(), expected);
    let declaring = Source::new("src/lib.rs", "#[cfg(test)]\nmod testing;\n");
    assert_eq!(declaring.modules_for_tests(), ["src/testing.rs"]);
}

#[test]
fn a_function_of_71_lines_is_convicted_and_one_of_70_is_not() {
    let of = |lines: usize| {
        let body = "    a(\"}\");\n".repeat(lines - 3);
        let text = format!("trait T {{ fn declared(a: [u8; 2]); }}\nfn f(\n) {{\n{body}}}\nb();\n");
        functions_are_short(&Source::new("src/a.rs", &text))
    };
    assert_eq!(of(70), Vec::<String>::new());
    assert_eq!(of(71), ["has `fn f` of 71 lines, more than 70"]);
}
