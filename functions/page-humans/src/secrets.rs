//! Channel secrets, from Secrets Manager of this Region. They are never logged.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use holdfast_aws::Startup;
use holdfast_aws::failure::causes;
use holdfast_domain::{Timestamp, age};

/// A secret that was changed is known after this long; while Secrets Manager does not answer, the last one is used on.
const KEPT_FOR: Duration = Duration::from_secs(600);

/// The secrets that this sandbox has read.
#[derive(Default)]
pub struct Secrets {
    read: Mutex<BTreeMap<String, (Secret, Timestamp)>>,
}

/// A secret's text.
#[derive(Clone)]
pub(crate) struct Secret(String);

impl Secret {
    /// The text itself, for the one request that needs it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets")
    }
}

impl Secrets {
    /// The secret of that name, read at most every ten minutes.
    pub(crate) async fn get(&self, startup: &Startup, name: &str) -> Result<Secret, String> {
        let now = startup.now();
        let kept = self.read.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        if let Some((secret, at)) = &kept
            && age(*at, now) < KEPT_FOR
        {
            return Ok(secret.clone());
        }
        match (read(startup, name).await, kept) {
            (Ok(secret), _) => {
                self.read.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), (secret.clone(), now));
                Ok(secret)
            }
            (Err(why), Some((secret, _))) => {
                tracing::warn!(secret = name, "an older secret is used on: {why}");
                Ok(secret)
            }
            (Err(why), None) => Err(why),
        }
    }
}

async fn read(startup: &Startup, name: &str) -> Result<Secret, String> {
    let answer = aws_sdk_secretsmanager::Client::new(&startup.sdk)
        .get_secret_value()
        .secret_id(name)
        .send()
        .await
        .map_err(|error| format!("the secret {name} in {} cannot be read: {}", startup.region, causes(&error)))?;
    match answer.secret_string().map(str::trim).filter(|text| !text.is_empty()) {
        Some(text) => Ok(Secret(text.to_owned())),
        None => Err(format!("the secret {name} in {} holds no text", startup.region)),
    }
}
