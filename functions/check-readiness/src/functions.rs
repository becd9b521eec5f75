//! Holdfast's own functions: the code that runs, its settings, and what is reserved for it.

use aws_sdk_lambda::Client;
use holdfast_aws::failure::causes;
use holdfast_domain::readiness::{Setting, Value};
use sha2::{Digest as _, Sha256};

use crate::properties::seen;
use crate::service::quota;
use crate::side::{Reads, Side, observed};

/// Every function of a data Region.
const FUNCTIONS: [&str; 8] = [
    "check-readiness",
    "observe-region",
    "page-humans",
    "promote-aurora",
    "reconcile-ledger",
    "reconcile-receipts",
    "shift-traffic",
    "verify-replication",
];
/// What alarms, events and schedules start.
const ALIAS: &str = "live";

pub(crate) async fn functions(side: &Side) -> Reads {
    let client = Client::new(&side.sdk);
    let reads = FUNCTIONS.iter().map(|name| function(side, &client, name));
    let (found, lambda) =
        tokio::join!(futures_util::future::join_all(reads), quota(side, Setting::QuotaLambda, "lambda", "L-B99A9384"));
    let mut all: Reads =
        FUNCTIONS.iter().zip(found).map(|(name, read)| (format!("the function {name}"), read)).collect();
    all.insert("the quota of Lambda".to_owned(), observed(lambda));
    all
}

async fn function(
    side: &Side,
    client: &Client,
    short: &str,
) -> holdfast_domain::promotion::Observed<Vec<holdfast_domain::readiness::Seen>> {
    let name = format!("holdfast-{short}");
    let (settings, at_once) = tokio::join!(
        client.get_function_configuration().function_name(&name).qualifier(ALIAS).send(),
        client.get_function_concurrency().function_name(&name).send(),
    );
    let settings = match settings {
        Ok(settings) => settings,
        Err(error) if error.as_service_error().is_some_and(|it| it.is_resource_not_found_exception()) => {
            return observed(Ok(vec![seen(Setting::FunctionThere, &name, Value::Flag(false))]));
        }
        Err(error) => return observed(Err(format!("GetFunctionConfiguration of {name} failed: {}", causes(&error)))),
    };
    let reserved = match at_once {
        Ok(answer) => answer.reserved_concurrent_executions(),
        Err(error) => return observed(Err(format!("GetFunctionConcurrency of {name} failed: {}", causes(&error)))),
    };
    let mut variables: Vec<(&String, &String)> =
        settings.environment().and_then(|it| it.variables()).into_iter().flatten().collect();
    variables.sort();
    let mut hash = Sha256::new();
    hash.update(&side.salt);
    for (name, value) in variables {
        hash.update(name);
        hash.update([0]);
        hash.update(value);
        hash.update([0]);
    }
    // The hash is of this run: it says whether the two are alike, and nothing else.
    let told = format!(
        "{} s, {} MB, configuration {}",
        settings.timeout().unwrap_or_default(),
        settings.memory_size().unwrap_or_default(),
        hex::encode(hash.finalize()).get(..12).unwrap_or_default()
    );
    let reserved = reserved.and_then(|count| u64::try_from(count).ok());
    observed(Ok(vec![
        seen(Setting::FunctionThere, &name, Value::Flag(true)),
        seen(Setting::FunctionCode, &name, Value::Text(settings.code_sha256().unwrap_or("unnamed").to_owned())),
        seen(Setting::FunctionSettings, &name, Value::Text(told)),
        seen(Setting::FunctionAtOnce, &name, reserved.map_or(Value::Absent, Value::Number)),
    ]))
}
