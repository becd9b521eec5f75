//! Lambda: sandboxes, time-outs, asynchronous invocation with its retries and dead letters (facts of LAM invocation-async-error-handling).

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use aws_types::SdkConfig;
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::task::AbortHandle;

use crate::region::Region;
use crate::trace::Caller;
use crate::world::{ACCOUNT, World};

/// A deployed function's code.
pub type Handler = Arc<dyn Fn(Invocation) -> HandlerFuture + Send + Sync>;
/// A running invocation.
pub type HandlerFuture = Pin<Box<dyn Future<Output = Result<Value, String>> + Send>>;

/// What the code is given.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// Where it runs.
    pub region: Region,
    /// Lambda's request id.
    pub request_id: String,
    /// SDK configuration on this world's wire.
    pub sdk: SdkConfig,
    /// What was sent.
    pub payload: Bytes,
    /// When it is ended, by the Region's clock.
    pub deadline: Timestamp,
}

/// An invocation that has ended.
#[derive(Clone, Debug)]
pub struct Invoked {
    /// Where.
    pub region: Region,
    /// Which function.
    pub function: &'static str,
    /// Since the start.
    pub started: Duration,
    /// Since the start.
    pub ended: Duration,
    /// What it returned, or why it did not.
    pub outcome: Result<Value, String>,
}

/// A payload that was given up.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// Where.
    pub region: Region,
    /// Which function.
    pub function: &'static str,
    /// What was sent.
    pub payload: Bytes,
    /// The last failure.
    pub why: String,
}

#[derive(Default)]
pub(crate) struct Lambda {
    functions: BTreeMap<(Region, &'static str), Function>,
    running: BTreeMap<u64, (Region, &'static str, AbortHandle)>,
    started: u64,
    invoked: Vec<Invoked>,
    dead_letters: Vec<DeadLetter>,
    /// The function that an alarm on a dead-letter queue invokes, and the queues whose alarm has gone off.
    alarm_target: Option<&'static str>,
    alarmed: BTreeSet<(Region, &'static str)>,
}

#[derive(Clone)]
struct Function {
    handler: Handler,
    timeout: Duration,
    idle_sandboxes: u32,
    /// How often its code was entered, over all of its invocations: once at the start and once after each await.
    entered: u64,
    /// The entries at which its invocation dies instead.
    dies_at: Vec<u64>,
}

/// Code that may die at an await.
struct Mortal {
    world: World,
    region: Region,
    name: &'static str,
    id: u64,
    code: HandlerFuture,
}

impl Future for Mortal {
    type Output = Result<Value, String>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.world.enters(self.region, self.name) {
            self.world.kill_invocation(self.id);
            return Poll::Pending;
        }
        self.code.as_mut().poll(context)
    }
}

impl Lambda {
    /// Everything that is deployed, taken out.
    pub(crate) fn take_functions(&mut self) -> impl Sized + use<> {
        std::mem::take(&mut self.functions)
    }
}

/// Starting a sandbox: a Rust binary on `provided.al2023`, with a margin.
const COLD_START: Duration = Duration::from_millis(120);
/// Finding a warm sandbox.
const WARM_START: Duration = Duration::from_millis(8);
/// An asynchronous invocation that failed is repeated after these.
const RETRIES: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(120)];

impl Lambda {
    /// When an invocation of a function is ended; `None`: there is no such function.
    pub(crate) fn timeout(&self, region: Region, name: &str) -> Option<Duration> {
        let mut all = self.functions.iter();
        all.find(|((at, other), _)| *at == region && *other == name).map(|(_, function)| function.timeout)
    }
}

impl World {
    /// Deploys a function.
    pub fn create_function(&self, region: Region, name: &'static str, timeout: Duration, handler: Handler) {
        let function = Function { handler, timeout, idle_sandboxes: 0, entered: 0, dies_at: Vec::new() };
        self.state().lambda.functions.insert((region, name), function);
    }

    /// Every function: where, what, and when Lambda ends an invocation.
    #[must_use]
    pub fn functions(&self) -> Vec<(Region, &'static str, Duration)> {
        let state = self.state();
        state.lambda.functions.iter().map(|((region, name), function)| (*region, *name, function.timeout)).collect()
    }

    /// Sets when Lambda ends an invocation from now on.
    pub fn set_timeout(&self, region: Region, name: &'static str, timeout: Duration) {
        if let Some(function) = self.state().lambda.functions.get_mut(&(region, name)) {
            function.timeout = timeout;
        }
    }

    /// Has a function's invocation die as its code is entered for the given time from now on, counted from 0: at any await.
    pub fn kill_at_await(&self, region: Region, name: &'static str, after: u64) {
        if let Some(function) = self.state().lambda.functions.get_mut(&(region, name)) {
            function.dies_at.push(function.entered + after);
        }
    }

    /// Counts an entry into a function's code. Whether it dies there.
    fn enters(&self, region: Region, name: &'static str) -> bool {
        let mut state = self.state();
        let Some(function) = state.lambda.functions.get_mut(&(region, name)) else { return false };
        let number = function.entered;
        function.entered += 1;
        function.dies_at.contains(&number)
    }

    /// Hands an event over: at least once, with two retries, then to the dead letters.
    pub fn invoke_async(&self, region: Region, name: &'static str, payload: Bytes) {
        let world = self.clone();
        tokio::spawn(async move {
            let mut retries = RETRIES.into_iter();
            loop {
                // The event waits in the Region's own queue until the Region works again.
                while world.state().network.is_dark(region) {
                    tokio::time::sleep(Duration::from_secs(30)).await;
                }
                let Err(why) = world.invoke(region, name, payload.clone()).await else { return };
                match retries.next() {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => {
                        let letter = DeadLetter { region, function: name, payload, why };
                        world.record(name, format!("in {region} gives up: {}", letter.why));
                        world.state().lambda.dead_letters.push(letter);
                        world.dead_letter_alarm(region, name);
                        return;
                    }
                }
            }
        });
    }

    /// Puts an alarm on every dead-letter queue: it invokes a function of the queue's own Region.
    pub fn alarm_on_dead_letters(&self, target: &'static str) {
        self.state().lambda.alarm_target = Some(target);
    }

    /// The metric of a queue that is no longer empty takes a minute; an alarm goes off once.
    fn dead_letter_alarm(&self, region: Region, name: &'static str) {
        let target = {
            let mut state = self.state();
            let is_first = state.lambda.alarmed.insert((region, name));
            state.lambda.alarm_target.filter(|_| is_first)
        };
        let Some(target) = target else { return };
        self.after(Duration::from_secs(60), move |world| {
            let alarm = format!("holdfast-{name}-dead-letters");
            let payload = json!({
                "source": "aws.cloudwatch", "alarmArn": format!("arn:aws:cloudwatch:{region}:{ACCOUNT}:alarm:{alarm}"),
                "region": region.as_str(),
                "alarmData": {
                    "alarmName": alarm,
                    "state": {"value": "ALARM", "reason": "Threshold Crossed: 1 datapoint [1.0] was greater than the threshold (0.0)."},
                },
            });
            world.invoke_async(region, target, Bytes::from(payload.to_string()));
        });
    }

    /// Invokes a function and waits for its answer.
    pub async fn invoke(&self, region: Region, name: &'static str, payload: Bytes) -> Result<Value, String> {
        let Some((function, id, cold)) = self.take_sandbox(region, name) else {
            return Err(format!("there is no function {name} in {region}"));
        };
        tokio::time::sleep(if cold { COLD_START } else { WARM_START }).await;
        if self.state().network.is_dark(region) {
            return Err("the Region is dark".into());
        }
        let caller = Caller { name: name.into(), region, invocation: Some(id) };
        let invocation = Invocation {
            region,
            request_id: format!("{region}-{id}"),
            sdk: self.sdk(caller),
            payload,
            deadline: self.clock(region).checked_add(function.timeout).unwrap_or(Timestamp::MAX),
        };
        let started = self.elapsed();
        let code = (function.handler)(invocation);
        let task = tokio::spawn(Mortal { world: self.clone(), region, name, id, code });
        let abort = task.abort_handle();
        self.state().lambda.running.insert(id, (region, name, abort.clone()));
        let outcome = match tokio::time::timeout(function.timeout, task).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(join)) if join.is_cancelled() => Err("the sandbox died".into()),
            Ok(Err(panic)) => Err(format!("the function panicked: {panic}")),
            Err(_) => {
                abort.abort();
                Err(format!("timed out after {} s", function.timeout.as_secs()))
            }
        };
        let ended = self.elapsed();
        let mut state = self.state();
        state.lambda.running.remove(&id);
        if outcome.is_ok()
            && let Some(function) = state.lambda.functions.get_mut(&(region, name))
        {
            function.idle_sandboxes += 1;
        }
        state.lambda.invoked.push(Invoked { region, function: name, started, ended, outcome: outcome.clone() });
        outcome
    }

    fn take_sandbox(&self, region: Region, name: &'static str) -> Option<(Function, u64, bool)> {
        let mut state = self.state();
        state.lambda.started += 1;
        let id = state.lambda.started;
        let function = state.lambda.functions.get_mut(&(region, name))?;
        let cold = function.idle_sandboxes == 0;
        function.idle_sandboxes = function.idle_sandboxes.saturating_sub(1);
        Some((function.clone(), id, cold))
    }

    /// Ends one invocation between two of its awaits.
    pub(crate) fn kill_invocation(&self, id: u64) {
        let running = self.state().lambda.running.remove(&id);
        if let Some((region, name, abort)) = running {
            abort.abort();
            self.record(name, format!("in {region} is killed"));
        }
    }

    /// Ends every running invocation of a function. Returns how many there were.
    pub fn kill_function(&self, region: Region, name: &str) -> usize {
        let ids: Vec<u64> = {
            let state = self.state();
            let running = state.lambda.running.iter();
            running.filter(|(_, (at, function, _))| *at == region && *function == name).map(|(id, _)| *id).collect()
        };
        ids.iter().for_each(|id| self.kill_invocation(*id));
        ids.len()
    }

    pub(crate) fn kill_invocations(&self, region: Region) {
        let mut state = self.state();
        state.lambda.running.retain(|_, (at, _, abort)| {
            if *at == region {
                abort.abort();
            }
            *at != region
        });
        for ((at, _), function) in &mut state.lambda.functions {
            if *at == region {
                function.idle_sandboxes = 0;
            }
        }
    }

    /// Every invocation that has ended.
    #[must_use]
    pub fn invoked(&self) -> Vec<Invoked> {
        self.state().lambda.invoked.clone()
    }

    /// What was given up.
    #[must_use]
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.state().lambda.dead_letters.clone()
    }
}
