//! Secrets and parameters: compared by a hash with a salt of this run. No value is kept, told or logged.

use std::collections::BTreeSet;

use aws_sdk_secretsmanager::Client;
use holdfast_aws::failure::causes;
use holdfast_domain::paging::Paging;
use holdfast_domain::promotion::Observed;
use holdfast_domain::readiness::{Seen, Setting, Value};
use sha2::{Digest as _, Sha256};

use crate::properties::{properties, seen};
use crate::side::{Reads, Side, observed};

pub(crate) async fn secrets(side: &Side, paging: &Paging) -> Reads {
    let pager = paging.channels.iter().map(|channel| &channel.secret).chain(&paging.pagerduty_webhook_secret);
    let names: BTreeSet<&String> = pager.chain(&side.policy.secrets).collect();
    let parameters: BTreeSet<&String> = side.policy.parameters.iter().collect();
    let client = Client::new(&side.sdk);
    let (secrets, values) = tokio::join!(
        futures_util::future::join_all(names.iter().map(|name| secret(side, &client, name))),
        futures_util::future::join_all(parameters.iter().map(|name| parameter(side, name))),
    );
    let secrets = names.iter().zip(secrets).map(|(name, read)| (format!("the secret {name}"), read));
    let values = parameters.iter().zip(values).map(|(name, read)| (format!("the parameter {name}"), read));
    secrets.chain(values).collect()
}

async fn secret(side: &Side, client: &Client, name: &str) -> Observed<Vec<Seen>> {
    match client.get_secret_value().secret_id(name).send().await {
        Ok(answer) => {
            let text = answer.secret_string().map(str::as_bytes);
            let value = text.or_else(|| answer.secret_binary().map(AsRef::as_ref)).unwrap_or_default();
            there(side, (Setting::SecretThere, Setting::Secret), name, value)
        }
        Err(error) if error.as_service_error().is_some_and(|it| it.is_resource_not_found_exception()) => {
            observed(Ok(vec![seen(Setting::SecretThere, name, Value::Flag(false))]))
        }
        Err(error) => observed(Err(format!("GetSecretValue of {name} failed: {}", causes(&error)))),
    }
}

async fn parameter(side: &Side, name: &str) -> Observed<Vec<Seen>> {
    match properties(&side.sdk, "AWS::SSM::Parameter", name).await {
        Ok(Some(parameter)) => {
            let value = parameter["Value"].as_str().unwrap_or_default();
            there(side, (Setting::ParameterThere, Setting::Parameter), name, value.as_bytes())
        }
        Ok(None) => observed(Ok(vec![seen(Setting::ParameterThere, name, Value::Flag(false))])),
        Err(why) => observed(Err(why)),
    }
}

fn there(side: &Side, (exists, setting): (Setting, Setting), name: &str, value: &[u8]) -> Observed<Vec<Seen>> {
    let mut hash = Sha256::new();
    hash.update(&side.salt);
    hash.update(value);
    let hash = Value::Secret(hex::encode(hash.finalize()));
    observed(Ok(vec![seen(exists, name, Value::Flag(true)), seen(setting, name, hash)]))
}
