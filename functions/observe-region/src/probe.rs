//! One HTTP probe, with the same HTTP client that the SDK uses.

use std::time::Duration;

use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;

/// A probe that takes longer has failed: a client would have given up.
const PROBE_MAX: Duration = Duration::from_secs(2);

/// Asks one URL once. Anything but a 2xx answer within two seconds is a failure, with its reason.
pub(crate) async fn probe(sdk: &SdkConfig, url: &str) -> Result<(), String> {
    let (Some(http_client), Some(sleep), Some(time)) = (sdk.http_client(), sdk.sleep_impl(), sdk.time_source()) else {
        return Err("the SDK configuration has no HTTP client".into());
    };
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(1))
        .read_timeout(PROBE_MAX)
        .operation_timeout(PROBE_MAX)
        .build();
    let operation = Operation::builder()
        .service_name("probe")
        .operation_name("GET")
        .http_client(http_client)
        .endpoint_url(url)
        .no_auth()
        .no_retry()
        .timeout_config(timeouts)
        .sleep_impl(sleep)
        .time_source(time)
        .serializer(|()| Ok(HttpRequest::new(SdkBody::empty())))
        .deserializer(|answer: &HttpResponse| {
            Ok::<u16, OrchestratorError<std::convert::Infallible>>(answer.status().as_u16())
        })
        .build();
    match operation.invoke(()).await {
        Ok(200..=299) => Ok(()),
        Ok(status) => Err(format!("HTTP {status}")),
        Err(error) => Err(holdfast_aws::failure::causes(&error)),
    }
}
