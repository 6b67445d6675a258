use super::super::line::tests::{constant, reading};
use super::*;
use crate::model::Value;

fn reply(status: u16, body: &str) -> Reply {
    Reply {
        status,
        retry_after: None,
        body: body.to_owned(),
    }
}

/// One reading a second, each with a temperature; those in `whole` are whole numbers.
fn readings(count: usize, whole: &[usize]) -> Vec<Reading> {
    let value = |index| match whole.contains(&index) {
        true => Value::Int(7),
        false => Value::Double(7.0),
    };
    (0..count)
        .map(|index| reading("d", i64::try_from(index).unwrap(), &[("t", value(index))]))
        .collect()
}

fn judged(reply: &Reply, sent: &[Reading], api: Api) -> Verdict {
    let sent: Vec<&Reading> = sent.iter().collect();
    judge(reply, &sent, &constant(), api)
}

fn indices(verdict: &Verdict) -> Vec<usize> {
    match verdict {
        Verdict::Refused(lines) | Verdict::Suspected(lines) => {
            lines.iter().map(|one| one.index).collect()
        }
        other => panic!("{other:?}"),
    }
}

const CONFLICT: &str = r#"{"error":"partial write: field type conflict: input field \"t\" on measurement \"readings\" is type integer, already exists as type float dropped=2"}"#;

#[test]
fn a_conflict_of_types_blames_the_lines_that_fit_if_their_number_does() {
    let verdict = judged(&reply(400, CONFLICT), &readings(5, &[1, 3]), Api::V1);
    assert!(matches!(verdict, Verdict::Suspected(_)));
    assert_eq!(indices(&verdict), [1, 3]);
    let Verdict::Suspected(lines) = verdict else {
        unreachable!("seen above");
    };
    assert_eq!(lines[0].kind, RejectionKind::TypeConflict);

    // Three fit, two were dropped: which two is not known.
    let verdict = judged(&reply(400, CONFLICT), &readings(5, &[1, 3, 4]), Api::V2);
    assert!(matches!(verdict, Verdict::Failed(Fault::Rejected, _)));
    let v2 = r#"{"code":"unprocessable entity","message":"failure writing points to database: partial write: field type conflict: input field \"t\" on measurement \"readings\" is type integer, already exists as type float dropped=1"}"#;
    assert_eq!(
        indices(&judged(&reply(422, v2), &readings(5, &[4]), Api::V2)),
        [4]
    );
}

#[test]
fn points_beyond_retention_are_the_oldest() {
    let body = r#"{"error":"partial write: points beyond retention policy dropped=2"}"#;
    let mut sent = readings(4, &[]);
    sent.reverse();
    let verdict = judged(&reply(400, body), &sent, Api::V1);
    assert_eq!(indices(&verdict), [3, 2]);
    // Where the next is as old as the last of them, nobody is blamed.
    sent[1].time = sent[2].time;
    let verdict = judged(&reply(400, body), &sent, Api::V1);
    assert!(matches!(verdict, Verdict::Failed(Fault::Rejected, _)));
}

#[test]
fn version_3_names_its_lines() {
    let body = r#"{"error":"partial write of line protocol occurred","data":[
        {"original_line":"x","line_number":2,"error_message":"invalid column type for column 't', expected iox::column_type::field::float, got iox::column_type::field::integer"},
        {"original_line":"x","line_number":4,"error_message":"something new"}]}"#;
    let verdict = judged(&reply(400, body), &readings(4, &[]), Api::V3);
    let Verdict::Refused(lines) = verdict else {
        panic!("{verdict:?}");
    };
    let told: Vec<_> = lines.iter().map(|one| (one.index, one.kind)).collect();
    let expected = [(1, RejectionKind::TypeConflict), (3, RejectionKind::Other)];
    assert_eq!(told, expected);
    // A number that was not sent, or lines that cannot be counted: nothing is known.
    let rejected = |verdict| matches!(verdict, Verdict::Failed(Fault::Rejected, _));
    assert!(rejected(judged(
        &reply(400, body),
        &readings(3, &[]),
        Api::V3
    )));
    let mut broken = readings(4, &[]);
    broken[0].measures[0].1 = Value::Text("a\nb".into());
    assert!(rejected(judged(&reply(400, body), &broken, Api::V3)));
    let whole = r#"{"error":"parsing failed for write_lp endpoint","data":{"original_line":"x","line_number":1,"error_message":"no"}}"#;
    assert!(rejected(judged(
        &reply(400, whole),
        &readings(4, &[]),
        Api::V3
    )));
}

#[test]
fn every_other_answer_says_what_to_do() {
    let fault = |status, body: &str| match judged(&reply(status, body), &readings(1, &[]), Api::V2)
    {
        Verdict::Failed(fault, message) => (fault, message),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        judged(&reply(204, ""), &readings(1, &[]), Api::V2),
        Verdict::Stored
    );
    let rejected = [
        (
            400,
            r#"{"code":"invalid","message":"unable to parse 'x': missing fields"}"#,
        ),
        (
            400,
            r#"{"error":"partial write: max-values-per-tag limit exceeded (1/1) dropped=1"}"#,
        ),
        (
            422,
            r#"{"code":"unprocessable entity","message":"points outside retention"}"#,
        ),
        (
            422,
            r#"{"error":"Update to schema would exceed number of columns per table limit of 500 columns"}"#,
        ),
        (
            400,
            r#"{"message":"Update to schema would exceed number of columns per table limit of 500 columns"}"#,
        ),
        (413, ""),
    ];
    for (status, body) in rejected {
        assert_eq!(fault(status, body).0, Fault::Rejected, "{status} {body}");
    }
    let fatal = [
        (401, "unauthorized access", "influx.token"),
        (403, "", "influx.token"),
        (
            404,
            r#"{"code":"not found","message":"bucket \"x\" not found"}"#,
            "influx.bucket",
        ),
        (
            400,
            r#"{"error":"invalid database name"}"#,
            "invalid database name",
        ),
        (301, "", "influx.url"),
        (405, "", "influx.api"),
    ];
    for (status, body, remedy) in fatal {
        let (fault, message) = fault(status, body);
        assert_eq!(fault, Fault::Fatal, "{status} {body}");
        assert!(message.contains(remedy), "{message}");
    }
    for (status, expected) in [
        (429, Fault::Throttled),
        (500, Fault::Transient),
        (503, Fault::Transient),
        (408, Fault::Transient),
    ] {
        assert_eq!(fault(status, "").0, expected, "{status}");
    }
}

#[test]
fn kinds_of_refusal_are_told_by_their_words() {
    assert_eq!(kind(413, ""), RejectionKind::OverLimit);
    assert_eq!(
        kind(400, "points beyond retention policy"),
        RejectionKind::OutsideRetention
    );
    assert_eq!(kind(400, "unable to parse"), RejectionKind::Other);
}
