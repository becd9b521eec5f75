//! The two AWS services that the payments tier calls, as the payments team would call them without Holdfast's code.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use serde_json::{Map, Value, json};

use crate::wire::{Client, NoAnswer};

/// A step that takes longer has failed.
pub const STEP_MAX: Duration = Duration::from_millis(1500);

/// An item of DynamoDB, as JSON has it.
pub type Item = Map<String, Value>;

/// One Region's endpoints.
#[derive(Clone, Debug)]
pub struct Aws {
    client: Client,
    endpoint: String,
    region: String,
}

/// A call was not answered as hoped.
#[derive(Debug, thiserror::Error)]
pub enum AwsError {
    /// The condition of a write did not hold.
    #[error("the condition did not hold")]
    ConditionFailed,
    /// It was refused.
    #[error("refused: {0}")]
    Refused(String),
    /// Nobody knows what came of it.
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
}

impl Aws {
    /// The endpoints behind one address.
    #[must_use]
    pub fn new(endpoint: &str, region: &str) -> Self {
        Self { client: Client::default(), endpoint: endpoint.to_owned(), region: region.to_owned() }
    }

    /// A consistent read.
    pub async fn get(&self, table: &str, key: Item) -> Result<Option<Item>, AwsError> {
        let body = json!({"TableName": table, "ConsistentRead": true, "Key": key});
        let answer = self.dynamodb("GetItem", &body).await?;
        Ok(answer.get("Item").and_then(Value::as_object).cloned())
    }

    /// A write, perhaps under a condition.
    pub async fn put(&self, table: &str, item: Item, condition: Option<&str>) -> Result<(), AwsError> {
        let mut body = json!({"TableName": table, "Item": item});
        if let Some(condition) = condition {
            body["ConditionExpression"] = condition.into();
        }
        self.dynamodb("PutItem", &body).await.map(drop)
    }

    /// Puts an object.
    pub async fn put_object(&self, bucket: &str, key: &str, body: String) -> Result<(), AwsError> {
        let request =
            Request::put(format!("{}/{bucket}/{key}", self.endpoint)).header("authorization", self.scope("s3"));
        self.call(request, Bytes::from(body)).await.map(drop)
    }

    async fn dynamodb(&self, operation: &str, body: &Value) -> Result<Value, AwsError> {
        let request = Request::post(format!("{}/", self.endpoint))
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
            .header("authorization", self.scope("dynamodb"));
        let answer = self.call(request, Bytes::from(body.to_string())).await?;
        serde_json::from_slice(&answer).map_err(|error| AwsError::Refused(error.to_string()))
    }

    async fn call(&self, request: http::request::Builder, body: Bytes) -> Result<Bytes, AwsError> {
        let request = request.body(body).map_err(|error| AwsError::Refused(error.to_string()))?;
        let response = self.client.send(request, STEP_MAX).await?;
        let (status, body) = (response.status(), response.into_body());
        let said = String::from_utf8_lossy(&body);
        match status.is_success() {
            true => Ok(body),
            false if said.contains("ConditionalCheckFailedException") => Err(AwsError::ConditionFailed),
            false => Err(AwsError::Refused(format!("{status}: {said}"))),
        }
    }

    /// The world reads the scope and does not check signatures.
    fn scope(&self, service: &str) -> String {
        let day = jiff::Timestamp::now().strftime("%Y%m%d");
        format!(
            "AWS4-HMAC-SHA256 Credential=PAYMENTS/{day}/{}/{service}/aws4_request, SignedHeaders=host, Signature=0",
            self.region
        )
    }
}
