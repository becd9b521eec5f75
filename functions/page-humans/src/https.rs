//! One POST over HTTPS, with the same HTTP client that the SDK uses.

use std::time::Duration;

use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use holdfast_aws::failure::causes;

/// A provider that takes longer is tried again by the next minute's run; the page is on its way through all others.
const ANSWER_MAX: Duration = Duration::from_secs(3);
/// Of an error's text so much is told.
const TOLD_MAX: usize = 200;

/// Why a POST was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unsent {
    /// The provider is busy or has a failure of its own, or gave no answer: it may take it the next time.
    Again(String),
    /// The provider asks to be left alone for a while.
    Later(String),
    /// The provider will not take this.
    Refused(String),
}

impl Unsent {
    pub(crate) fn why(self) -> String {
        match self {
            Self::Again(why) | Self::Later(why) | Self::Refused(why) => why,
        }
    }
}

/// Sends JSON once. Of the address only the host is ever told: a path may be a password.
pub(crate) async fn post(
    sdk: &SdkConfig,
    url: &str,
    headers: &[(&'static str, String)],
    body: &str,
) -> Result<(), Unsent> {
    let (Some(http_client), Some(sleep), Some(time)) = (sdk.http_client(), sdk.sleep_impl(), sdk.time_source()) else {
        return Err(Unsent::Refused("the SDK configuration has no HTTP client".into()));
    };
    let (origin, path) = split(url);
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(1))
        .read_timeout(ANSWER_MAX)
        .operation_timeout(ANSWER_MAX)
        .build();
    let (path, headers, body) = (path.to_owned(), headers.to_vec(), body.to_owned());
    let hidden = path.clone();
    let operation = Operation::builder()
        .service_name("page")
        .operation_name("POST")
        .http_client(http_client)
        .endpoint_url(origin)
        .no_auth()
        .no_retry()
        .timeout_config(timeouts)
        .sleep_impl(sleep)
        .time_source(time)
        .serializer(move |(): ()| {
            let mut request = HttpRequest::new(SdkBody::from(body.clone()));
            request.set_method("POST")?;
            request.set_uri(path.clone())?;
            request.headers_mut().insert("content-type", "application/json");
            for (name, value) in &headers {
                request.headers_mut().insert(*name, value.clone());
            }
            Ok(request)
        })
        .deserializer(|answer: &HttpResponse| {
            let text = answer.body().bytes().map(String::from_utf8_lossy).unwrap_or_default();
            let text: String = text.chars().filter(|c| !c.is_control()).take(TOLD_MAX).collect();
            Ok::<(u16, String), OrchestratorError<std::convert::Infallible>>((answer.status().as_u16(), text))
        })
        .build();
    match operation.invoke(()).await {
        Ok((200..=299, _)) => Ok(()),
        Ok((429, _)) => Err(Unsent::Later("HTTP 429: it asks to be left alone for a while".into())),
        Ok((status @ 500..=599, _)) => Err(Unsent::Again(format!("HTTP {status}"))),
        Ok((status, text)) => Err(Unsent::Refused(format!("HTTP {status}: {text}"))),
        Err(error) => {
            let why = causes(&error);
            Err(Unsent::Again(if hidden.len() > 1 { why.replace(&hidden, "/…") } else { why }))
        }
    }
}

/// The origin and the path with its query.
fn split(url: &str) -> (&str, &str) {
    let authority = url.find("://").map_or(0, |scheme| scheme + 3);
    match url.get(authority..).and_then(|rest| rest.find('/')) {
        Some(path) => url.split_at(authority + path),
        None => (url, "/"),
    }
}
