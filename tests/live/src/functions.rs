//! The functions as the processes that they are in Lambda, started and killed by the world's own Lambda.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use drill::deployment::Function;
use holdfast_sandbox::{Program, Sandbox};
use holdfast_world::Region;
use holdfast_world::lambda::{Handler, Invocation};

use crate::processes::signal;

/// Sandboxes that wait for work, by function and Region.
type Idle = BTreeMap<(Region, Function), Vec<Sandbox>>;

/// The sandboxes of every function in every Region.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    idle: Arc<Mutex<Idle>>,
    work: Arc<Mutex<Work>>,
}

/// What is at work, by process, and where everything stands still.
#[derive(Debug, Default)]
struct Work {
    processes: BTreeSet<(Region, u32)>,
    frozen: BTreeSet<Region>,
}

/// A sandbox at work; whatever becomes of it, it is known to be no longer at work.
struct Busy {
    pool: Pool,
    region: Region,
    // None once it is given back.
    sandbox: Option<Sandbox>,
    process: u32,
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.pool.work().processes.remove(&(self.region, self.process));
    }
}

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
                let sandbox = match pool.take(region, function) {
                    Some(warm) => warm,
                    None => {
                        let program = program.ok_or_else(|| format!("{} is not installed there", function.name()))?;
                        Sandbox::start(&program).await.map_err(|error| error.to_string())?
                    }
                };
                let mut busy = pool.begin(region, sandbox)?;
                let Invocation { request_id, payload, deadline, .. } = invocation;
                let answer = busy.invoke(&request_id, deadline, payload).await?;
                if let Some(sandbox) = busy.sandbox.take() {
                    pool.give_back(region, function, sandbox);
                }
                serde_json::from_slice(&answer).map_err(|error| format!("it answered no JSON: {error}"))
            })
        })
    }

    /// Kills what is idle in a Region; what is at work is killed by the world.
    pub fn kill(&self, region: Region) {
        self.idle().retain(|(at, _), _| *at != region);
    }

    /// Every process in a Region stands still (`SIGSTOP`), and so does each that is started there from now on.
    pub fn freeze(&self, region: Region) -> io::Result<()> {
        self.work().frozen.insert(region);
        signal("-STOP", &self.processes(region))
    }

    /// They go on (`SIGCONT`).
    pub fn thaw(&self, region: Region) -> io::Result<()> {
        self.work().frozen.remove(&region);
        signal("-CONT", &self.processes(region))
    }

    fn processes(&self, region: Region) -> Vec<u32> {
        let idle = self.idle();
        let idle = idle.iter().filter(|((at, _), _)| *at == region).flat_map(|(_, all)| all.iter().map(Sandbox::id));
        let work = self.work();
        let at_work = work.processes.iter().filter(|(at, _)| *at == region).map(|(_, process)| *process);
        idle.chain(at_work).collect()
    }

    fn begin(&self, region: Region, sandbox: Sandbox) -> Result<Busy, String> {
        let process = sandbox.id();
        let frozen = {
            let mut work = self.work();
            work.processes.insert((region, process));
            work.frozen.contains(&region)
        };
        let busy = Busy { pool: self.clone(), region, sandbox: Some(sandbox), process };
        if frozen {
            signal("-STOP", &[process]).map_err(|error| error.to_string())?;
        }
        Ok(busy)
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The most memory that any idle sandbox of each function ever had, in kB.
    #[must_use]
    pub fn peaks_kb(&self) -> BTreeMap<&'static str, u64> {
        let mut peaks = BTreeMap::new();
        for ((_, function), idle) in self.idle().iter() {
            let peak = idle.iter().filter_map(Sandbox::peak_kb).max().unwrap_or(0);
            let most = peaks.entry(function.name()).or_insert(0);
            *most = peak.max(*most);
        }
        peaks
    }

    fn take(&self, region: Region, function: Function) -> Option<Sandbox> {
        let mut pool = self.idle();
        let idle = pool.get_mut(&(region, function))?;
        while let Some(mut sandbox) = idle.pop() {
            if sandbox.is_alive() {
                return Some(sandbox);
            }
        }
        None
    }

    fn give_back(&self, region: Region, function: Function, sandbox: Sandbox) {
        let mut pool = self.idle();
        pool.entry((region, function)).or_default().push(sandbox);
    }
}

impl Busy {
    async fn invoke(&mut self, request_id: &str, deadline: jiff::Timestamp, payload: Bytes) -> Result<Bytes, String> {
        let Some(sandbox) = &mut self.sandbox else { return Err("it was given back".into()) };
        sandbox.invoke(request_id, deadline, payload).await.map_err(|error| error.to_string())
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
