//! Behind the Lambda Runtime API.

use holdfast_aws::startup::{log_json, serve};
use holdfast_aws::{Invocation, Startup};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    log_json();
    let startup = Startup::from_environment()?;
    serve(|invocation: Invocation| check_readiness::handle(&startup, invocation)).await
}
