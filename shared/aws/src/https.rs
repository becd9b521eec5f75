//! One request over HTTPS to something that is no AWS service, with the same HTTP client that the SDK uses.

use std::time::Duration;

use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;

use crate::failure::causes;

/// A healthy host in Europe shakes hands in 30 ms; one that takes longer than this will not answer in time.
const CONNECT_MAX: Duration = Duration::from_secs(1);

/// What is asked, once: nothing is tried again here.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Whose request it is, in logs and in simulations.
    pub caller: &'static str,
    /// `GET` or `POST`.
    pub method: &'static str,
    /// The address, with its query.
    pub url: &'a str,
    /// Header fields.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
    /// When it is given up.
    pub answer_max: Duration,
}

/// Sends it. An answer of any status is an answer; no answer is an error, in words.
pub async fn send(sdk: &SdkConfig, request: Request<'_>) -> Result<(u16, Vec<u8>), String> {
    let (Some(http_client), Some(sleep), Some(time)) = (sdk.http_client(), sdk.sleep_impl(), sdk.time_source()) else {
        return Err("the SDK configuration has no HTTP client".into());
    };
    let Request { caller, method, url, headers, body, answer_max } = request;
    let (origin, path) = split(url);
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_MAX)
        .read_timeout(answer_max)
        .operation_timeout(answer_max)
        .build();
    let path = path.to_owned();
    let operation = Operation::builder()
        .service_name(caller)
        .operation_name(method)
        .http_client(http_client)
        .endpoint_url(origin)
        .no_auth()
        .no_retry()
        .timeout_config(timeouts)
        .sleep_impl(sleep)
        .time_source(time)
        .serializer(move |(): ()| {
            let mut request = HttpRequest::new(SdkBody::from(body.clone()));
            request.set_method(method)?;
            request.set_uri(path.clone())?;
            for (name, value) in &headers {
                request.headers_mut().insert(*name, value.clone());
            }
            Ok(request)
        })
        .deserializer(|answer: &HttpResponse| {
            let body = answer.body().bytes().unwrap_or_default().to_vec();
            Ok::<(u16, Vec<u8>), OrchestratorError<std::convert::Infallible>>((answer.status().as_u16(), body))
        })
        .build();
    operation.invoke(()).await.map_err(|error| causes(&error))
}

/// The origin and the path with its query. The SDK would put a slash after a path that came with the endpoint.
#[must_use]
pub fn split(url: &str) -> (&str, &str) {
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
    fn what_is_asked_for_is_the_path_as_it_is_configured() {
        check("https://a.example.com/healthz", "https://a.example.com", "/healthz");
        check("https://a.example.com:8443/v1/healthz?deep=0", "https://a.example.com:8443", "/v1/healthz?deep=0");
    }
    #[test]
    fn a_url_without_a_path_asks_for_the_root() {
        check("https://a.example.com", "https://a.example.com", "/");
    }
}
