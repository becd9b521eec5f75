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
    let (origin, path) = split(url);
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(1))
        .read_timeout(PROBE_MAX)
        .operation_timeout(PROBE_MAX)
        .build();
    let operation = Operation::builder()
        .service_name("probe")
        .operation_name("GET")
        .http_client(http_client)
        .endpoint_url(origin)
        .no_auth()
        .no_retry()
        .timeout_config(timeouts)
        .sleep_impl(sleep)
        .time_source(time)
        .serializer(|path: String| {
            let mut request = HttpRequest::new(SdkBody::empty());
            request.set_uri(path)?;
            Ok(request)
        })
        .deserializer(|answer: &HttpResponse| {
            Ok::<u16, OrchestratorError<std::convert::Infallible>>(answer.status().as_u16())
        })
        .build();
    match operation.invoke(path.to_owned()).await {
        Ok(200..=299) => Ok(()),
        Ok(status) => Err(format!("HTTP {status}")),
        Err(error) => Err(holdfast_aws::failure::causes(&error)),
    }
}

/// The origin and the path with its query. The SDK would put a slash after a path that came with the endpoint.
fn split(url: &str) -> (&str, &str) {
    let authority = url.find("://").map_or(0, |scheme| scheme + 3);
    match url.get(authority..).and_then(|rest| rest.find('/')) {
        Some(path) => url.split_at(authority + path),
        None => (url, "/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, origin: &str, path: &str) {
        assert_eq!(split(url), (origin, path));
    }

    #[test]
    fn a_probe_asks_for_the_path_as_it_is_configured() {
        check("https://a.example.com/healthz", "https://a.example.com", "/healthz");
        check("https://a.example.com:8443/v1/healthz?deep=0", "https://a.example.com:8443", "/v1/healthz?deep=0");
    }
    #[test]
    fn a_url_without_a_path_asks_for_the_root() {
        check("https://a.example.com", "https://a.example.com", "/");
    }
}
