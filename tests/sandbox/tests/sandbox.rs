//! A sandbox with a function of a few lines of shell, which speaks the Runtime API through bash's own sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;

use bytes::Bytes;
use holdfast_sandbox::{InvokeError, Program, Sandbox};
use jiff::Timestamp;

/// Answers each event with itself; fails on `fail`, and ends on `die`.
const FUNCTION: &str = r#"
api=${AWS_LAMBDA_RUNTIME_API%:*}; port=${AWS_LAMBDA_RUNTIME_API#*:}; base=/2018-06-01/runtime/invocation
while true; do
  exec 3<>/dev/tcp/$api/$port
  printf 'GET %s/next HTTP/1.1\r\nhost: x\r\n\r\n' $base >&3
  length=0
  while IFS= read -r line <&3; do
    line=${line%$'\r'}; [ -z "$line" ] && break
    case "${line,,}" in
      lambda-runtime-aws-request-id:*) id=${line#*: };;
      content-length:*) length=${line#*: };;
    esac
  done
  IFS= read -r -N $length event <&3
  exec 3>&-
  [ "$event" = '"die"' ] && exit 3
  kind=response; [ "$event" = '"fail"' ] && kind=error
  exec 3<>/dev/tcp/$api/$port
  printf 'POST %s/%s/%s HTTP/1.1\r\nhost: x\r\ncontent-length: %s\r\nconnection: close\r\n\r\n%s' $base $id $kind ${#event} "$event" >&3
  cat <&3 >/dev/null; exec 3>&-
done"#;

async fn sandbox() -> Sandbox {
    let program = Program {
        path: "/bin/bash".into(),
        arguments: vec!["-c".into(), FUNCTION.into()],
        environment: [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into(),
        log: None,
    };
    Sandbox::start(&program).await.unwrap()
}

async fn invoke(sandbox: &mut Sandbox, event: &'static str) -> Result<Bytes, InvokeError> {
    sandbox.invoke(&format!("id-{}", event.len()), Timestamp::MAX, Bytes::from_static(event.as_bytes())).await
}

#[tokio::test]
async fn a_function_answers_one_event_after_the_other() {
    let mut sandbox = sandbox().await;
    assert_eq!(invoke(&mut sandbox, r#"{"one":1}"#).await.unwrap(), r#"{"one":1}"#);
    assert_eq!(invoke(&mut sandbox, r#"[2]"#).await.unwrap(), "[2]");
    assert!(sandbox.peak_kb().unwrap() > 500);
}

#[tokio::test]
async fn a_failure_is_the_functions_own_words_and_the_sandbox_lives_on() {
    let mut sandbox = sandbox().await;
    let failed = invoke(&mut sandbox, r#""fail""#).await.unwrap_err();
    assert!(matches!(&failed, InvokeError::Failed(why) if why == r#""fail""#), "{failed}");
    assert_eq!(invoke(&mut sandbox, "[]").await.unwrap(), "[]");
}

#[tokio::test]
async fn a_process_that_ends_is_told_from_one_that_fails() {
    let mut sandbox = sandbox().await;
    let gone = invoke(&mut sandbox, r#""die""#).await.unwrap_err();
    assert!(matches!(&gone, InvokeError::Gone(how) if how.contains('3')), "{gone}");
    assert!(!sandbox.is_alive());
}

#[tokio::test]
async fn a_sandbox_that_is_dropped_leaves_no_process() {
    let mut sandbox = sandbox().await;
    assert_eq!(invoke(&mut sandbox, "[]").await.unwrap(), "[]");
    let process = format!("/proc/{}", sandbox.id());
    assert!(Path::new(&process).exists());
    drop(sandbox);
    assert!(!Path::new(&process).exists());
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let program = Program {
        path: "/nowhere/observe-region".into(),
        arguments: Vec::new(),
        environment: std::collections::BTreeMap::new(),
        log: None,
    };
    let error = Sandbox::start(&program).await.unwrap_err().to_string();
    assert!(error.contains("/nowhere/observe-region"), "{error}");
}
