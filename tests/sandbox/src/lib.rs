#![doc = include_str!("../README.md")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::Instant;

mod api;

/// How often a process that has not answered is looked at: it may be gone.
const LOOK: Duration = Duration::from_millis(10);

/// What a sandbox runs.
#[derive(Clone, Debug)]
pub struct Program {
    /// The executable.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its whole environment, but for what the Runtime API adds: nothing is inherited.
    pub environment: BTreeMap<String, String>,
    /// Where its output goes, appended; nowhere when absent.
    pub log: Option<PathBuf>,
}

/// A process behind a Runtime API of its own. It is killed when this is dropped.
#[derive(Debug)]
pub struct Sandbox {
    child: Child,
    began: Instant,
    events: mpsc::Sender<Event>,
    server: AbortHandle,
}

/// One invocation on its way to the process.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) request_id: String,
    pub(crate) deadline: Timestamp,
    pub(crate) payload: Bytes,
    pub(crate) answer: oneshot::Sender<Result<Bytes, String>>,
}

/// What an invocation came to when it was not answered.
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    /// The function says so itself.
    #[error("the function failed: {0}")]
    Failed(String),
    /// Its process ended.
    #[error("the process ended ({0})")]
    Gone(String),
}

impl Sandbox {
    /// Starts the process; it comes to ask for its first invocation by itself.
    pub async fn start(program: &Program) -> io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let address = listener.local_addr()?;
        let (events, waiting) = mpsc::channel(1);
        let server = tokio::spawn(api::serve(listener, waiting)).abort_handle();
        let output = || -> io::Result<Stdio> {
            match &program.log {
                Some(log) => Ok(File::options().create(true).append(true).open(log)?.into()),
                None => Ok(Stdio::null()),
            }
        };
        let began = Instant::now();
        let child = Command::new(&program.path)
            .args(&program.arguments)
            .env_clear()
            .envs(&program.environment)
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .stdin(Stdio::null())
            .stdout(output()?)
            .stderr(output()?)
            .spawn();
        match child {
            Ok(child) => Ok(Self { child, began, events, server }),
            Err(error) => {
                server.abort();
                Err(io::Error::new(error.kind(), format!("{} cannot be started: {error}", program.path.display())))
            }
        }
    }

    /// Hands over an event and waits for the answer, however long it takes; whoever waits sets the limit.
    pub async fn invoke(
        &mut self,
        request_id: &str,
        deadline: Timestamp,
        payload: Bytes,
    ) -> Result<Bytes, InvokeError> {
        let (answer, mut answered) = oneshot::channel();
        let event = Event { request_id: request_id.to_owned(), deadline, payload, answer };
        if self.events.send(event).await.is_err() {
            return Err(InvokeError::Gone("its Runtime API is closed".into()));
        }
        loop {
            match tokio::time::timeout(LOOK, &mut answered).await {
                Ok(Ok(outcome)) => return outcome.map_err(InvokeError::Failed),
                Ok(Err(_)) => return Err(InvokeError::Gone("it left without an answer".into())),
                Err(_) => {
                    if let Ok(Some(status)) = self.child.try_wait() {
                        return Err(InvokeError::Gone(status.to_string()));
                    }
                }
            }
        }
    }

    /// Since the process was started.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.began.elapsed()
    }

    /// The process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether the process still runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The most memory that the process ever had, in kB (`VmHWM`); `None` once it is gone.
    #[must_use]
    pub fn peak_kb(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).ok()?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        peak.trim().trim_end_matches("kB").trim().parse().ok()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.server.abort();
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
