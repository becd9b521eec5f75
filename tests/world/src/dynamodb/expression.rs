//! DynamoDB's condition language, as far as conditions, key conditions and filters go.

use std::cmp::Ordering;

use serde_json::Value;

use super::Item;

/// The substitutions of one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names<'a> {
    /// `#name` to attribute name.
    pub(super) names: &'a Value,
    /// `:value` to attribute value.
    pub(super) values: &'a Value,
}

/// Whether the expression holds for the item, or why it cannot be read.
pub(super) fn holds(expression: &str, item: &Item, names: &Names<'_>) -> Result<bool, String> {
    let tokens = tokens(expression)?;
    let mut parser = Parser { tokens: &tokens, next: 0, item, names };
    let holds = parser.or()?;
    match parser.peek() {
        None => Ok(holds),
        Some(token) => Err(format!("Syntax error; token: \"{token}\"")),
    }
}

/// Orders two values of one type; numbers as numbers.
pub(super) fn compare(one: &Value, other: &Value) -> Option<Ordering> {
    match (one.get("N").and_then(Value::as_str), other.get("N").and_then(Value::as_str)) {
        (Some(one), Some(other)) => match (one.parse::<i128>(), other.parse::<i128>()) {
            (Ok(one), Ok(other)) => Some(one.cmp(&other)),
            _ => one.parse::<f64>().ok()?.partial_cmp(&other.parse::<f64>().ok()?),
        },
        (None, None) => Some(one.get("S")?.as_str()?.cmp(other.get("S")?.as_str()?)),
        (Some(_), None) | (None, Some(_)) => None,
    }
}

fn tokens(expression: &str) -> Result<Vec<String>, String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut chars = expression.chars().peekable();
    while let Some(first) = chars.next() {
        match first {
            ' ' | '\n' | '\t' => {}
            '(' | ')' | ',' | '=' => tokens.push(first.to_string()),
            '<' | '>' => {
                let mut operator = first.to_string();
                if let Some(second) = chars.next_if(|c| *c == '=' || (first == '<' && *c == '>')) {
                    operator.push(second);
                }
                tokens.push(operator);
            }
            _ if first.is_alphanumeric() || matches!(first, '#' | ':' | '_') => {
                let mut word = first.to_string();
                while let Some(c) = chars.next_if(|c| c.is_alphanumeric() || matches!(c, '_' | '-')) {
                    word.push(c);
                }
                tokens.push(word);
            }
            other => return Err(format!("Syntax error; character: {other}")),
        }
    }
    Ok(tokens)
}

struct Parser<'a> {
    tokens: &'a [String],
    next: usize,
    item: &'a Item,
    names: &'a Names<'a>,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.tokens.get(self.next).map(String::as_str)
    }

    fn take(&mut self) -> Result<&'a str, String> {
        let token = self.peek().ok_or("Syntax error; the expression ends too early")?;
        self.next += 1;
        Ok(token)
    }

    fn take_if(&mut self, word: &str) -> bool {
        let is_next = self.peek().is_some_and(|token| token.eq_ignore_ascii_case(word));
        self.next += usize::from(is_next);
        is_next
    }

    fn expect(&mut self, word: &str) -> Result<(), String> {
        if self.take_if(word) { Ok(()) } else { Err(format!("Syntax error; expected {word}")) }
    }

    fn or(&mut self) -> Result<bool, String> {
        let mut holds = self.and()?;
        while self.take_if("OR") {
            holds |= self.and()?;
        }
        Ok(holds)
    }

    fn and(&mut self) -> Result<bool, String> {
        let mut holds = self.not()?;
        while self.take_if("AND") {
            holds &= self.not()?;
        }
        Ok(holds)
    }

    fn not(&mut self) -> Result<bool, String> {
        if self.take_if("NOT") { Ok(!self.not()?) } else { self.term() }
    }

    fn term(&mut self) -> Result<bool, String> {
        if self.take_if("(") {
            let holds = self.or()?;
            self.expect(")")?;
            return Ok(holds);
        }
        match self.peek() {
            Some("attribute_exists") => Ok(self.function_operand()?.is_some()),
            Some("attribute_not_exists") => Ok(self.function_operand()?.is_none()),
            Some("begins_with") => {
                self.next += 1;
                self.expect("(")?;
                let text = self.operand()?;
                self.expect(",")?;
                let prefix = self.operand()?;
                self.expect(")")?;
                let string = |value: &Option<Value>| value.as_ref().and_then(|it| it["S"].as_str().map(str::to_owned));
                Ok(matches!((string(&text), string(&prefix)), (Some(text), Some(prefix)) if text.starts_with(&prefix)))
            }
            _ => self.comparison(),
        }
    }

    fn function_operand(&mut self) -> Result<Option<Value>, String> {
        self.next += 1;
        self.expect("(")?;
        let operand = self.operand()?;
        self.expect(")")?;
        Ok(operand)
    }

    fn comparison(&mut self) -> Result<bool, String> {
        let left = self.operand()?;
        let operator = self.take()?;
        if operator.eq_ignore_ascii_case("BETWEEN") {
            let low = self.operand()?;
            self.expect("AND")?;
            let high = self.operand()?;
            let ordering = |one: &Option<Value>, other: &Option<Value>| compare(one.as_ref()?, other.as_ref()?);
            return Ok(ordering(&left, &low).is_some_and(Ordering::is_ge)
                && ordering(&left, &high).is_some_and(Ordering::is_le));
        }
        let right = self.operand()?;
        let (Some(left), Some(right)) = (left, right) else { return Ok(operator == "<>") };
        let ordering = compare(&left, &right);
        Ok(match operator {
            "=" => left == right || ordering == Some(Ordering::Equal),
            "<>" => left != right && ordering != Some(Ordering::Equal),
            "<" => ordering.is_some_and(Ordering::is_lt),
            "<=" => ordering.is_some_and(Ordering::is_le),
            ">" => ordering.is_some_and(Ordering::is_gt),
            ">=" => ordering.is_some_and(Ordering::is_ge),
            other => return Err(format!("Syntax error; token: \"{other}\"")),
        })
    }

    fn operand(&mut self) -> Result<Option<Value>, String> {
        let token = self.take()?;
        if token.starts_with(':') {
            let value = self.names.values.get(token);
            return value.cloned().map(Some).ok_or_else(|| {
                format!("An expression attribute value used in expression is not defined; attribute value: {token}")
            });
        }
        let name = if token.starts_with('#') {
            self.names.names.get(token).and_then(Value::as_str).ok_or_else(|| {
                format!(
                    "An expression attribute name used in the document path is not defined; attribute name: {token}"
                )
            })?
        } else {
            token
        };
        Ok(self.item.get(name).cloned())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(expression: &str, expected: Result<bool, &str>) {
        let item = json!({"pk": {"S": "cluster"}, "number": {"N": "10"}, "region": {"S": "eu-west-2"}});
        let values = json!({":nine": {"N": "9"}, ":ten": {"N": "10.0"}, ":r": {"S": "eu-west-2"}, ":p": {"S": "clu"}});
        let names = Names { names: &json!({"#n": "number"}), values: &values };
        let found = holds(expression, item.as_object().unwrap(), &names);
        match expected {
            Ok(expected) => assert_eq!(found, Ok(expected)),
            Err(part) => assert!(found.as_ref().is_err_and(|problem| problem.contains(part)), "{found:?}"),
        }
    }

    #[test]
    fn numbers_compare_as_numbers() {
        check("#n > :nine", Ok(true));
        check("#n = :ten", Ok(true));
    }
    #[test]
    fn a_missing_attribute_compares_as_false() {
        check("epoch < :nine", Ok(false));
        check("attribute_not_exists(epoch)", Ok(true));
    }
    #[test]
    fn and_binds_tighter_than_or() {
        check("attribute_exists(pk) OR #n < :nine AND #n < :nine", Ok(true));
        check("(attribute_exists(pk) OR #n < :nine) AND NOT #n > :nine", Ok(false));
    }
    #[test]
    fn a_string_never_equals_a_number() {
        check("#n = :r", Ok(false));
    }
    #[test]
    fn prefixes_and_ranges() {
        check("begins_with(pk, :p) AND #n BETWEEN :nine AND :ten", Ok(true));
    }
    #[test]
    fn what_is_not_defined_or_not_finished_is_an_error() {
        check("#n = :nothing", Err("not defined"));
        check("#other = :nine", Err("not defined"));
        check("#n =", Err("ends too early"));
        check("#n = :nine #n", Err("Syntax error"));
    }
}
