//! What leaves a handler when it fails. The name says what is safe next.

use std::fmt;

use lambda_runtime::Diagnostic;

/// A handler's failure, as Lambda, its retries and a person see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nothing was changed; Lambda may try again.
    NothingChanged(String),
    /// A call may have taken effect; the next run looks at the truth first, and so may Lambda's retry.
    LookBeforeRetry(String),
    /// The payload cannot be read or is refused; trying again gives the same.
    Refused(String),
}

impl Failure {
    fn name(&self) -> &'static str {
        match self {
            Self::NothingChanged(_) => "NothingChanged",
            Self::LookBeforeRetry(_) => "LookBeforeRetry",
            Self::Refused(_) => "Refused",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingChanged(why) | Self::LookBeforeRetry(why) | Self::Refused(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Failure {}

impl From<Failure> for Diagnostic {
    fn from(failure: Failure) -> Self {
        Self { error_type: failure.name().to_owned(), error_message: failure.to_string() }
    }
}

/// An SDK error with its causes in one line: the SDK's own `Display` says only "service error".
pub fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut line = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if !line.ends_with(&text) {
            if !line.is_empty() {
                line.push_str(": ");
            }
            line.push_str(&text);
        }
        next = error.source();
    }
    line
}
