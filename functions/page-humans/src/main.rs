//! Behind the Lambda Runtime API.

use holdfast_aws::startup::{log_json, serve};
use holdfast_aws::{Invocation, Startup};
use page_humans::Secrets;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    log_json();
    let startup = Startup::from_environment()?;
    let secrets = Secrets::default();
    serve(|invocation: Invocation| Box::pin(page_humans::handle(&startup, &secrets, invocation))).await
}
