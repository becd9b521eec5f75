//! Behind the Lambda Runtime API.

use std::sync::Arc;

use holdfast_aws::ledger::PostgresLedger;
use holdfast_aws::startup::{log_json, serve};
use holdfast_aws::{Invocation, Startup};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    log_json();
    let startup = Startup::from_environment()?;
    let password = std::env::var("PGPASSWORD").ok();
    let ledger = Arc::new(PostgresLedger::new(&startup.sdk, &startup.config.topology, password));
    serve(|invocation: Invocation| reconcile_ledger::handle(&startup, ledger.clone(), invocation)).await
}
