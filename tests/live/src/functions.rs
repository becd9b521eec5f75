//! The functions as the processes that they are in Lambda, started and killed by the world's own Lambda.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use drill::deployment::Function;
use holdfast_sandbox::{Program, Sandbox};
use holdfast_world::Region;
use holdfast_world::lambda::{Handler, Invocation};

/// Sandboxes that wait for work, by function and Region.
type Idle = BTreeMap<(Region, Function), Vec<Sandbox>>;

/// The idle sandboxes of every function in every Region.
#[derive(Clone, Debug, Default)]
pub struct Pool(Arc<Mutex<Idle>>);

impl Pool {
    /// The code of a function: a warm sandbox, or a cold one.
    ///
    /// An invocation that is given up by Lambda takes its process with it.
    #[must_use]
    pub fn code(&self, region: Region, function: Function, program: Option<Program>) -> Handler {
        let pool = self.clone();
        Arc::new(move |invocation: Invocation| {
            let (pool, program) = (pool.clone(), program.clone());
            Box::pin(async move {
                let mut sandbox = match pool.take(region, function) {
                    Some(warm) => warm,
                    None => {
                        let program = program.ok_or_else(|| format!("{} is not installed there", function.name()))?;
                        Sandbox::start(&program).await.map_err(|error| error.to_string())?
                    }
                };
                let Invocation { request_id, payload, deadline, .. } = invocation;
                let answer = sandbox.invoke(&request_id, deadline, payload).await.map_err(|error| error.to_string())?;
                pool.give_back(region, function, sandbox);
                serde_json::from_slice(&answer).map_err(|error| format!("it answered no JSON: {error}"))
            })
        })
    }

    /// Kills what is idle in a Region; what is at work is killed by the world.
    pub fn kill(&self, region: Region) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|(at, _), _| *at != region);
    }

    /// The most memory that any idle sandbox of each function ever had, in kB.
    #[must_use]
    pub fn peaks_kb(&self) -> BTreeMap<&'static str, u64> {
        let mut peaks = BTreeMap::new();
        for ((_, function), idle) in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let peak = idle.iter().filter_map(Sandbox::peak_kb).max().unwrap_or(0);
            let most = peaks.entry(function.name()).or_insert(0);
            *most = peak.max(*most);
        }
        peaks
    }

    fn take(&self, region: Region, function: Function) -> Option<Sandbox> {
        let mut pool = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = pool.get_mut(&(region, function))?;
        while let Some(mut sandbox) = idle.pop() {
            if sandbox.is_alive() {
                return Some(sandbox);
            }
        }
        None
    }

    fn give_back(&self, region: Region, function: Function, sandbox: Sandbox) {
        let mut pool = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pool.entry((region, function)).or_default().push(sandbox);
    }
}

/// A function's process in a Region.
#[must_use]
pub fn program(binary: PathBuf, function: Function, region: Region, aws: &str, config: &str, log: PathBuf) -> Program {
    let set = [
        ("AWS_REGION", region.as_str()),
        ("AWS_ACCESS_KEY_ID", "LIVE"),
        ("AWS_SECRET_ACCESS_KEY", "live"),
        ("AWS_ENDPOINT_URL", aws),
        ("AWS_LAMBDA_FUNCTION_NAME", function.name()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "live"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "live"),
        ("HOLDFAST_CONFIG", config),
        ("PGPASSWORD", "unused"),
    ];
    let environment = set.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Program { path: binary, arguments: Vec::new(), environment, log: Some(log) }
}
