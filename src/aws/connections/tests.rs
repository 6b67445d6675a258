//! What the table's attributes mean, however they were stored.

use proptest::prelude::*;

use super::*;

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn n(number: &str) -> AttributeValue {
    AttributeValue::N(number.to_owned())
}

fn devices(ids: &[&str]) -> Wanted {
    Wanted::Devices(ids.iter().map(|id| (*id).to_owned()).collect())
}

#[test]
fn subscriptions_are_understood_however_they_were_stored() {
    let list = |values: &[AttributeValue]| AttributeValue::L(values.to_vec());
    let cases = [
        (None, Wanted::All),
        (Some(AttributeValue::Null(true)), Wanted::All),
        (Some(list(&[])), Wanted::All),
        (Some(s("")), Wanted::All),
        (Some(s("[]")), Wanted::All),
        (Some(s("null")), Wanted::All),
        (Some(list(&[s("")])), devices(&[])),
        (Some(s(r#"[""]"#)), devices(&[])),
        (Some(list(&[s("a"), s(""), n("7")])), devices(&["7", "a"])),
        (
            Some(AttributeValue::Ss(vec!["a".into(), "b".into()])),
            devices(&["a", "b"]),
        ),
        (
            Some(AttributeValue::Ns(vec!["1".into(), "2".into()])),
            devices(&["1", "2"]),
        ),
        (Some(n("7")), devices(&["7"])),
        (Some(s("a")), devices(&["a"])),
        (Some(s("7")), devices(&["7"])),
        (Some(s(r#"["a","b",7]"#)), devices(&["7", "a", "b"])),
        (Some(s(r#""a""#)), devices(&["a"])),
        (Some(list(&[AttributeValue::Bool(true)])), devices(&[])),
        (Some(s("[true]")), devices(&[])),
        (Some(AttributeValue::Bool(true)), devices(&[])),
    ];
    for (stored, expected) in cases {
        assert_eq!(wanted(stored.as_ref()), expected, "{stored:?}");
    }
}

#[test]
fn a_limit_that_cannot_be_read_allows_nothing() {
    assert_eq!(allowed(None), None);
    assert_eq!(allowed(Some(&AttributeValue::Bool(true))), Some(Vec::new()));
    assert_eq!(
        allowed(Some(&AttributeValue::L(Vec::new()))),
        Some(Vec::new())
    );
    assert_eq!(allowed(Some(&s("hall-*"))), Some(vec!["hall-*".to_owned()]));
}

#[test]
fn expiry_is_understood_in_seconds_and_milliseconds() {
    assert_eq!(epoch_seconds(&n("1900000000")), Some(1_900_000_000));
    assert_eq!(epoch_seconds(&n("1900000000.5")), Some(1_900_000_000));
    assert_eq!(epoch_seconds(&s("1900000000123")), Some(1_900_000_000));
    assert_eq!(epoch_seconds(&s("never")), None);
}

proptest! {
    #[test]
    fn what_we_write_we_understand(ids in prop::collection::btree_set(".{1,8}", 0..5)) {
        let asked = Wanted::Devices(ids);
        prop_assert_eq!(wanted(Some(&subscriber(&asked))), asked);
    }
}
