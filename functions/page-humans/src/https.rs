//! One POST over HTTPS, with the same HTTP client that the SDK uses.

use std::time::Duration;

use aws_types::SdkConfig;
use holdfast_aws::https::{Request, send, split};

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
    let mut all = vec![("content-type", "application/json".to_owned())];
    all.extend(headers.iter().cloned());
    let request =
        Request { caller: "page", method: "POST", url, headers: all, body: body.to_owned(), answer_max: ANSWER_MAX };
    let hidden = split(url).1;
    match send(sdk, request).await {
        Ok((200..=299, _)) => Ok(()),
        Ok((429, _)) => Err(Unsent::Later("HTTP 429: it asks to be left alone for a while".into())),
        Ok((status @ 500..=599, _)) => Err(Unsent::Again(format!("HTTP {status}"))),
        Ok((status, body)) => {
            let text = String::from_utf8_lossy(&body);
            let text: String = text.chars().filter(|c| !c.is_control()).take(TOLD_MAX).collect();
            Err(Unsent::Refused(format!("HTTP {status}: {text}")))
        }
        Err(why) => Err(Unsent::Again(if hidden.len() > 1 { why.replace(hidden, "/…") } else { why })),
    }
}
