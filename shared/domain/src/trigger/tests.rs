use super::*;
use crate::blocked::Guard;
use crate::reconciliation::Pass;

#[track_caller]
fn check(payload: &str, expected: fn(&[Trigger]) -> bool) {
    let triggers = Trigger::parse(payload.as_bytes()).unwrap();
    assert!(expected(&triggers), "{triggers:?}");
}

#[track_caller]
fn refused(payload: &[u8], expected: &[&str]) {
    let problem = Trigger::parse(payload).unwrap_err().to_string();
    for part in expected {
        assert!(problem.contains(part), "`{part}` is not in: {problem}");
    }
    assert!(problem.contains("nothing was done"), "{problem}");
    assert!(problem.len() < 700, "too long to read at night: {} bytes", problem.len());
}

const ALARM_MESSAGE: &str =
    r#"{"AlarmName":"dublin","AlarmDescription":null,"NewStateValue":"ALARM","NewStateReason":"r"}"#;

fn sns(message: &str) -> String {
    let message = serde_json::to_string(message).unwrap();
    format!(
        r#"{{"Records":[{{"EventVersion":"1.0","EventSubscriptionArn":"arn:aws:sns:us-east-1:1:t:x","EventSource":"aws:sns","Sns":{{"SignatureVersion":"1","Timestamp":"2026-11-24T14:09:00.000Z","Signature":"x","SigningCertUrl":"https://x","MessageId":"x","Message":{message},"MessageAttributes":{{}},"Type":"Notification","UnsubscribeUrl":"https://x","TopicArn":"arn:aws:sns:us-east-1:1:t","Subject":"s"}}}}]}}"#
    )
}

#[test]
fn an_alarm_in_an_sns_envelope() {
    check(&sns(ALARM_MESSAGE), |it| matches!(it, [Trigger::Alarm(alarm)] if alarm.state == AlarmState::Alarm));
}

#[test]
fn an_alarm_without_a_description_is_still_an_alarm() {
    check(ALARM_MESSAGE, |it| matches!(it, [Trigger::Alarm(alarm)] if alarm.name == "dublin"));
}

#[test]
fn ok_and_insufficient_data_are_not_alarm() {
    for (text, state) in [("OK", AlarmState::Ok), ("INSUFFICIENT_DATA", AlarmState::InsufficientData)] {
        let message = ALARM_MESSAGE.replace("\"ALARM\"", &format!("\"{text}\""));
        let triggers = Trigger::parse(message.as_bytes()).unwrap();
        assert!(matches!(&triggers[..], [Trigger::Alarm(alarm)] if alarm.state == state), "{triggers:?}");
    }
}

#[test]
fn a_list_gives_each_of_its_triggers_in_order() {
    check(&format!(r#"[{ALARM_MESSAGE},{{"action":"status"}}]"#), |it| {
        matches!(it, [Trigger::Alarm(_), Trigger::Manual(_)])
    });
}

#[test]
fn one_item_that_cannot_be_named_spoils_the_list() {
    refused(format!(r#"[{ALARM_MESSAGE},{{"hello":1}}]"#).as_bytes(), &["[hello]"]);
}

#[test]
fn a_request_names_its_overrides() {
    check(r#"{"action":"approve","incident":"e7","by":"ada","override":["cooldown"]}"#, |it| {
        matches!(it, [Trigger::Manual(Manual { action: Action::Approve { overrides, .. }, dry_run: false })]
            if overrides.contains(&Guard::Cooldown))
    });
}

#[test]
fn dry_run_goes_with_every_action() {
    check(r#"{"action":"failover","to":"eu-west-2","by":"ada","dry_run":true}"#, |it| {
        matches!(it, [Trigger::Manual(Manual { dry_run: true, .. })])
    });
}

#[test]
fn a_dry_run_that_is_neither_true_nor_false_is_not_taken_for_no() {
    refused(br#"{"action":"failover","to":"eu-west-2","by":"ada","dry_run":"yes"}"#, &["dry_run", "true or false"]);
}

#[test]
fn a_misspelt_field_is_refused_and_not_ignored() {
    refused(br#"{"action":"failover","to":"eu-west-2","by":"ada","dryrun":true}"#, &["dryrun"]);
}

#[test]
fn a_pasted_placeholder_is_not_a_person() {
    refused(br#"{"action":"approve","incident":"e7","by":"<you>"}"#, &["`by` must name the person"]);
}

#[test]
fn an_unknown_action_lists_the_known_ones() {
    refused(br#"{"action":"promote"}"#, &["promote", "failover", "switchover"]);
}

#[test]
fn an_unknown_guard_lists_the_known_ones() {
    refused(br#"{"action":"approve","incident":"e7","by":"ada","override":["all"]}"#, &["all", "cooldown"]);
}

#[test]
fn empty_truncated_and_plain_text_payloads_say_what_was_expected() {
    for payload in [&b""[..], b"{\"action\":", b"hello", b"\xff\xfe\x00"] {
        refused(payload, &["not JSON", "{\"action\":\"status\"}"]);
    }
    for payload in ["null", "true", "17", "\"status\"", "{}"] {
        refused(payload.as_bytes(), &["none of"]);
    }
    assert_eq!(Trigger::parse(b"[]"), Err(TriggerError::Empty));
}

#[test]
fn a_payload_of_a_megabyte_is_read_and_a_larger_one_refused() {
    let filler = "x".repeat(PAYLOAD_MAX_BYTES - 20);
    refused(format!(r#"{{"hello":"{filler}"}}"#).as_bytes(), &["hello"]);
    refused(&vec![b'['; PAYLOAD_MAX_BYTES + 1], &["1048577 bytes"]);
}

#[test]
fn hostile_nesting_is_an_error_and_not_a_stack_overflow() {
    refused("[".repeat(PAYLOAD_MAX_BYTES).as_bytes(), &["not JSON"]);
    refused(format!("{}1{}", "[".repeat(100), "]".repeat(100)).as_bytes(), &["too many envelopes"]);
    refused(r#"{"a":"#.repeat(100_000).as_bytes(), &["not JSON"]);
    let mut nested = ALARM_MESSAGE.to_owned();
    for _ in 0..5 {
        nested = sns(&nested);
    }
    refused(nested.as_bytes(), &["too many envelopes"]);
}

#[test]
fn an_eventbridge_event_of_another_service_is_named() {
    refused(
        br#"{"source":"aws.ec2","detail-type":"EC2 Instance State-change Notification","detail":{}}"#,
        &["aws.ec2", "EC2 Instance"],
    );
}

#[test]
fn an_rds_event_keeps_its_id() {
    check(
        r#"{"source":"aws.rds","detail-type":"RDS DB Instance Event","detail":{"EventID":"RDS-EVENT-0391","Message":"m","SourceArn":"a","Date":"2026-11-24T14:09:00Z"}}"#,
        |it| matches!(it, [Trigger::Rds(event)] if event.id == "RDS-EVENT-0391" && event.at.is_some()),
    );
}

#[test]
fn an_sns_message_that_is_not_json_is_quoted() {
    refused(sns("Hello from the console").as_bytes(), &["SNS envelope", "Hello from the console"]);
}

/// Found by fuzzing: serde quotes a field or a value whole, with its line breaks, and a megabyte of it was paged.
#[test]
fn a_refusal_quotes_a_little_of_what_was_sent_in_one_line() {
    let long = format!("a\\n{}", "x".repeat(100_000));
    for payload in [
        format!(r#"{{"action":"{long}"}}"#),
        format!(r#"{{"action":"approve","incident":"e7","by":"ada","override":["{long}"]}}"#),
        format!(r#"{{"action":"failover","to":"eu-west-2","by":"ada","{long}":1}}"#),
        format!(r#"{{"source":"holdfast","detail-type":"x","detail":{{"event":"{long}"}}}}"#),
    ] {
        refused(payload.as_bytes(), &["a x", "…", "expected"]);
    }
}

/// Found by fuzzing: the AWS crate reads an alarm action without a state's value as `OK`. Absence is unknown.
#[test]
fn an_alarm_action_without_a_value_is_not_ok() {
    refused(br#"{"alarmData":{"alarmName":"dublin","state":{"reason":"r"}}}"#, &["the alarm action", "value"]);
    refused(br#"{"alarmData":{"alarmName":"dublin"}}"#, &["the alarm action", "state"]);
    check(
        r#"{"alarmData":{"alarmName":"dublin","state":{"value":"ALARM"}}}"#,
        |it| matches!(it, [Trigger::Alarm(alarm)] if alarm.state == AlarmState::Alarm && alarm.name == "dublin"),
    );
}

#[test]
fn a_payload_of_exactly_a_megabyte_is_read() {
    let request = r#"{"action":"status"}"#;
    check(&format!("{request}{}", " ".repeat(PAYLOAD_MAX_BYTES - request.len())), |it| {
        matches!(it, [Trigger::Manual(_)])
    });
}

#[test]
fn envelopes_nest_three_deep_and_no_deeper() {
    let nested = |depth: usize| format!("{}{ALARM_MESSAGE}{}", "[".repeat(depth), "]".repeat(depth));
    check(&nested(3), |it| matches!(it, [Trigger::Alarm(_)]));
    refused(nested(4).as_bytes(), &["a list inside too many envelopes"]);
    check(&sns(&sns(&sns(ALARM_MESSAGE))), |it| matches!(it, [Trigger::Alarm(_)]));
    refused(sns(&sns(&sns(&sns(ALARM_MESSAGE)))).as_bytes(), &["an SNS message inside too many envelopes"]);
    refused(sns(&nested(3)).as_bytes(), &["a list inside too many envelopes"]);
}

#[test]
fn an_alarm_message_has_name_and_state() {
    refused(br#"{"AlarmName":"dublin"}"#, &["an object with the fields [AlarmName]"]);
    refused(br#"{"NewStateValue":"ALARM"}"#, &["an object with the fields [NewStateValue]"]);
}

#[test]
fn a_person_who_asks_has_a_name() {
    for by in ["", " ", "<you>", "Ada <ada@example.com>"] {
        let request = format!(r#"{{"action":"freeze","by":"{by}","reason":"r"}}"#);
        refused(request.as_bytes(), &["`by` must name the person who asks"]);
    }
    check(
        r#"{"action":"freeze","by":"ada","reason":"r"}"#,
        |it| matches!(it, [Trigger::Manual(Manual { action: Action::Freeze { by, .. }, .. })] if by == "ada"),
    );
}

#[test]
fn what_arrives_keeps_its_words() {
    let change = r#"{"source":"aws.cloudwatch","detail-type":"CloudWatch Alarm State Change","detail":{"alarmName":"dublin","state":{"value":"OK","reason":"r"}}}"#;
    let alarm = Alarm { name: "dublin".into(), state: AlarmState::Ok, reason: "r".into() };
    assert_eq!(Trigger::parse(change.as_bytes()), Ok(vec![Trigger::Alarm(alarm)]));
    let schedule = r#"{"source":"aws.scheduler","detail-type":"Scheduled Event","resources":["a","b"],"detail":{}}"#;
    assert_eq!(Trigger::parse(schedule.as_bytes()), Ok(vec![Trigger::Schedule { rule: "a".into() }]));
    let rds = r#"{"source":"aws.rds","detail-type":"RDS DB Cluster Event","detail":{"EventID":"RDS-EVENT-0390","SourceIdentifier":"payments"}}"#;
    let event = RdsEvent { id: "RDS-EVENT-0390".into(), source: "payments".into(), message: String::new(), at: None };
    assert_eq!(Trigger::parse(rds.as_bytes()), Ok(vec![Trigger::Rds(event)]));
}

mod anything {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bytes_of_any_kind_never_panic(payload in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = Trigger::parse(&payload);
        }

        #[test]
        fn a_damaged_event_never_panics_and_never_becomes_a_request(position in 0usize..400, byte in any::<u8>()) {
            let mut payload = sns(ALARM_MESSAGE).into_bytes();
            let length = payload.len();
            payload[position % length] = byte;
            if let Ok(triggers) = Trigger::parse(&payload) {
                prop_assert!(triggers.iter().all(|trigger| !matches!(trigger, Trigger::Manual(_))));
            }
        }
    }
}

#[test]
fn an_object_that_lands_in_s3_is_named_with_its_bucket_and_key() {
    let event = |detail: &str| format!(r#"{{"detail-type":"Object Created","source":"aws.s3","detail":{detail}}}"#);
    check(
        &event(r#"{"bucket":{"name":"b"},"object":{"key":"holdfast/clearing/adyen/a b.csv","size":1}}"#),
        |it| matches!(it, [Trigger::Object { bucket, key }] if bucket == "b" && key == "holdfast/clearing/adyen/a b.csv"),
    );
    refused(event(r#"{"bucket":{"name":"b"}}"#).as_bytes(), &["the S3 event cannot be read", "object"]);
}

#[test]
fn a_reconciliation_is_asked_for_by_its_pass() {
    check(
        r#"{"action":"reconcile","pass":"salvage","from":"2026-11-24T14:06:00Z","to":"2026-11-24T14:07:00Z"}"#,
        |it| {
            matches!(
                it,
                [Trigger::Manual(Manual {
                    action: Action::Reconcile { pass: Pass::Salvage, from: Some(_), to: Some(_), object: None },
                    dry_run: false
                })]
            )
        },
    );
    refused(br#"{"action":"reconcile"}"#, &["missing field `pass`"]);
    refused(br#"{"action":"reconcile","pass":"later"}"#, &["unknown variant `later`"]);
    refused(br#"{"action":"reconcile","pass":"now","from":"yesterday"}"#, &["the request cannot be read"]);
}
