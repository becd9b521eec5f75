//! The payments team's table of attempts: read only, except for Holdfast's own canaries.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, MultiRegionConsistency};
use aws_types::SdkConfig;
use futures_util::future::try_join_all;
use holdfast_domain::attempt::{Attempt, Consistency, Stage, Window};
use holdfast_domain::money::Currency;
use holdfast_domain::topology::{AttemptsTable, Topology};
use holdfast_domain::{Region, Timestamp};

use crate::failure::causes;

/// Pages of 1 MB that are read of one bucket; more would not be read while people wait.
const PAGES_MAX: usize = 20;

/// The attempts table, reached through one Region's replica.
#[derive(Clone, Debug)]
pub struct Attempts {
    client: Client,
    place: AttemptsTable,
}

/// The attempts could not be listed. Nothing is known of what is missing.
#[derive(Debug, thiserror::Error)]
pub enum AttemptsError {
    /// No answer, or an error of the service.
    #[error("Query of {bucket} in the attempts table {table} failed: {why}")]
    Unavailable {
        /// The partition.
        bucket: String,
        /// The table.
        table: String,
        /// The SDK's words.
        why: String,
    },
    /// More than can be read in time.
    #[error("{what} of attempts are more than can be read in time")]
    TooMany {
        /// How much.
        what: String,
    },
    /// A mark is not as the contract has it. One that cannot be read could be the one that is lost.
    #[error("the mark {key} in {bucket} of the attempts table cannot be read: {why}")]
    Unreadable {
        /// Its sort key.
        key: String,
        /// The partition.
        bucket: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Attempts {
    /// The table of this installation, through the replica in the configuration's Region.
    #[must_use]
    pub fn new(sdk: &SdkConfig, topology: &Topology) -> Self {
        Self { client: Client::new(sdk), place: topology.attempts.clone() }
    }

    /// Every mark of the window's minutes, with strongly consistent reads, all partitions at once.
    pub async fn in_window(&self, window: &Window) -> Result<Vec<Attempt>, AttemptsError> {
        let Some(buckets) = window.buckets(self.place.shards) else {
            return Err(AttemptsError::TooMany { what: format!("the minutes since {:.0}", window.from) });
        };
        let read = try_join_all(buckets.into_iter().map(|bucket| self.bucket(bucket))).await?;
        Ok(read.into_iter().flatten().collect())
    }

    /// How the table's Regions agree, as `DescribeTable` says.
    pub async fn consistency(&self) -> Consistency {
        match self.client.describe_table().table_name(&self.place.table).send().await {
            Ok(answer) => {
                let table = answer.table();
                match table.and_then(|table| table.multi_region_consistency()) {
                    Some(MultiRegionConsistency::Strong) => Consistency::Strong,
                    Some(_) => Consistency::Eventual,
                    // A table of one Region has none; nothing is known of the other's writes.
                    None => Consistency::Eventual,
                }
            }
            Err(error) => Consistency::Unknown { why: format!("DescribeTable failed: {}", causes(&error)) },
        }
    }

    async fn bucket(&self, bucket: String) -> Result<Vec<Attempt>, AttemptsError> {
        let mut attempts = Vec::new();
        let mut next: Option<HashMap<String, AttributeValue>> = None;
        for _ in 0..PAGES_MAX {
            let answer = self
                .client
                .query()
                .table_name(&self.place.table)
                .consistent_read(true)
                .key_condition_expression("pk = :pk")
                .expression_attribute_values(":pk", AttributeValue::S(bucket.clone()))
                .set_exclusive_start_key(next)
                .send()
                .await
                .map_err(|error| AttemptsError::Unavailable {
                    bucket: bucket.clone(),
                    table: self.place.table.clone(),
                    why: causes(&error),
                })?;
            for item in answer.items() {
                let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).map(String::as_str);
                attempts.push(attempt(item).map_err(|why| AttemptsError::Unreadable {
                    key: text("sk").unwrap_or("?").to_owned(),
                    bucket: bucket.clone(),
                    why,
                })?);
            }
            match answer.last_evaluated_key() {
                Some(key) if !key.is_empty() => next = Some(key.clone()),
                Some(_) | None => return Ok(attempts),
            }
        }
        Err(AttemptsError::TooMany { what: format!("{PAGES_MAX} pages in {bucket}") })
    }
}

/// A mark, as `tests/payments/src/marks.rs` writes it.
fn attempt(item: &HashMap<String, AttributeValue>) -> Result<Attempt, String> {
    let missing = |name: &str| format!("it has no `{name}`");
    let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).ok_or_else(|| missing(name));
    let number = |name: &str| -> Result<i64, String> {
        let digits = item.get(name).and_then(|value| value.as_n().ok()).ok_or_else(|| missing(name))?;
        digits.parse().map_err(|_| format!("`{name}` is {digits}"))
    };
    let stage = match text("stage")?.as_str() {
        "begun" => Stage::Begun,
        "acknowledged" => Stage::Acknowledged { network_reference: text("network_reference")?.clone() },
        other => return Err(format!("its stage is `{other}`, and must be `begun` or `acknowledged`")),
    };
    Ok(Attempt {
        key: text("attempt_key")?.clone(),
        stage,
        region: Region::new(text("region")?).map_err(|error| error.to_string())?,
        amount_minor: number("amount_minor")?,
        currency: Currency::parse(text("currency")?).map_err(|error| error.to_string())?,
        at: Timestamp::from_millisecond(number("at")?).map_err(|error| error.to_string())?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(change: &[(&str, Option<&str>)]) -> HashMap<String, AttributeValue> {
        let text = |value: &str| AttributeValue::S(value.into());
        let mut item = HashMap::from([
            ("attempt_key".to_owned(), text("a")),
            ("stage".to_owned(), text("acknowledged")),
            ("network_reference".to_owned(), text("net-1")),
            ("region".to_owned(), text("eu-west-1")),
            ("amount_minor".to_owned(), AttributeValue::N("100".into())),
            ("currency".to_owned(), text("EUR")),
            ("at".to_owned(), AttributeValue::N("1800000000000".into())),
        ]);
        for (name, value) in change {
            match value {
                Some(value) => drop(item.insert((*name).to_owned(), text(value))),
                None => drop(item.remove(*name)),
            }
        }
        item
    }

    #[track_caller]
    fn check(change: &[(&str, Option<&str>)], expected: &str) {
        let why = attempt(&item(change)).unwrap_err();
        assert!(why.contains(expected), "`{expected}` is not in: {why}");
    }

    #[test]
    fn a_mark_as_the_contract_has_it_is_read() {
        let read = attempt(&item(&[])).unwrap();
        assert_eq!(read.stage, Stage::Acknowledged { network_reference: "net-1".into() });
        assert_eq!((read.amount_minor, read.currency.to_string()), (100, "EUR".into()));
        assert!(attempt(&item(&[("stage", Some("begun")), ("network_reference", None)])).is_ok());
    }
    #[test]
    fn a_mark_that_is_not_is_an_error_and_never_left_out() {
        check(&[("currency", Some("eur"))], "`eur`");
        check(&[("stage", Some("done"))], "`done`");
        check(&[("at", Some("now"))], "no `at`");
        check(&[("network_reference", None)], "no `network_reference`");
        check(&[("region", Some("Dublin"))], "`Dublin`");
    }
}
