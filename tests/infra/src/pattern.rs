//! EventBridge's event patterns, as far as the Terraform uses them: exact values and prefixes, at any depth.

use serde_json::Value;

/// A pattern that EventBridge may know, and this does not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the pattern's filter {0} is not understood here; teach tests/infra/src/pattern.rs before using it")]
pub struct UnknownFilter(String);

/// Whether an event starts what the pattern belongs to: every field of the pattern must be in the event, with one of the
/// pattern's values.
pub fn matches(pattern: &Value, event: &Value) -> Result<bool, UnknownFilter> {
    match (pattern, event) {
        (Value::Object(wanted), Value::Object(fields)) => {
            for (name, inner) in wanted {
                let Some(field) = fields.get(name) else { return Ok(false) };
                if !matches(inner, field)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        // A field that is a list matches when one of its values does.
        (Value::Array(filters), Value::Array(values)) => {
            let mut any = false;
            for value in values {
                any |= one_of(filters, value)?;
            }
            Ok(any)
        }
        (Value::Array(filters), value) => one_of(filters, value),
        (Value::Object(_), _) => Ok(false),
        (other, _) => Err(UnknownFilter(other.to_string())),
    }
}

fn one_of(filters: &[Value], value: &Value) -> Result<bool, UnknownFilter> {
    for filter in filters {
        let hit = match filter {
            Value::Object(kind) if kind.len() == 1 && kind.contains_key("prefix") => {
                let prefix = kind.get("prefix").and_then(Value::as_str);
                let prefix = prefix.ok_or_else(|| UnknownFilter(filter.to_string()))?;
                value.as_str().is_some_and(|text| text.starts_with(prefix))
            }
            Value::Object(_) | Value::Array(_) => return Err(UnknownFilter(filter.to_string())),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => filter == value,
        };
        if hit {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(pattern: &Value, event: &Value, expected: bool) {
        assert_eq!(matches(pattern, event), Ok(expected), "{pattern} against {event}");
    }

    #[test]
    fn every_field_of_the_pattern_must_be_there_and_others_may() {
        let pattern = json!({"source": ["holdfast"], "detail-type": ["A", "B"]});
        check(&pattern, &json!({"source": "holdfast", "detail-type": "B", "more": 1}), true);
        check(&pattern, &json!({"source": "holdfast", "detail-type": "C"}), false);
        check(&pattern, &json!({"source": "holdfast"}), false);
        check(&pattern, &json!([]), false);
    }

    #[test]
    fn a_prefix_is_looked_for_at_any_depth() {
        let pattern = json!({"detail": {"object": {"key": [{"prefix": "holdfast/clearing/"}]}}});
        let event = |key: &str| json!({"detail": {"object": {"key": key}}});
        check(&pattern, &event("holdfast/clearing/stripe/x.csv"), true);
        check(&pattern, &event("receipts/x"), false);
    }

    #[test]
    fn a_list_matches_when_one_of_its_values_does() {
        let pattern = json!({"resources": ["b"]});
        check(&pattern, &json!({"resources": ["a", "b"]}), true);
        check(&pattern, &json!({"resources": ["a"]}), false);
        check(&pattern, &json!({"resources": []}), false);
    }

    #[test]
    fn what_is_not_understood_is_never_taken_for_a_match() {
        for filter in [json!({"anything-but": "x"}), json!({"prefix": 1}), json!(["x"])] {
            let pattern = json!({"source": [filter]});
            assert!(matches(&pattern, &json!({"source": "x"})).is_err(), "{pattern}");
        }
        assert!(matches(&json!({"source": "not a list"}), &json!({"source": "x"})).is_err());
    }
}
