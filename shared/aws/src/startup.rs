//! Start-up of a function: everything from the environment at once, JSON logs, and the Lambda runtime.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_async::time::{SharedTimeSource, SystemTimeSource, TimeSource as _};
use aws_smithy_http_client::{Builder, tls};
use aws_types::SdkConfig;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};
use holdfast_domain::config::{Config, ConfigError};
use holdfast_domain::event::Event;
use holdfast_domain::region::NotARegion;
use holdfast_domain::trigger::Trigger;
use holdfast_domain::{Region, Timestamp};
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::bus::Bus;
use crate::clients::hardened;
use crate::coordination::Coordination;
use crate::failure::Failure;
use crate::metrics::Metrics;

/// What every function is given at its start.
#[derive(Clone, Debug)]
pub struct Startup {
    /// Topology and policy.
    pub config: Arc<Config>,
    /// The Region that the function runs in.
    pub region: Region,
    /// SDK configuration with time-outs fit for an outage.
    pub sdk: SdkConfig,
    /// Where metric lines go.
    pub metrics: Metrics,
    /// Made once: a client costs more than a call.
    coordination: Coordination,
}

/// One invocation of a function.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// What was sent.
    pub payload: Vec<u8>,
    /// Lambda's request id: who this run is, for leases.
    pub id: String,
    /// When Lambda ends it.
    pub deadline: Timestamp,
}

/// The function cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartupError {
    /// A variable is missing.
    #[error("the environment variable {name} is missing; {fix}")]
    Missing {
        /// The variable.
        name: &'static str,
        /// What to put there.
        fix: &'static str,
    },
    /// `HOLDFAST_CONFIG` cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// `AWS_REGION` cannot be used.
    #[error("AWS_REGION: {0}")]
    Region(#[from] NotARegion),
    /// The function is deployed where the topology knows nothing of.
    #[error("the function runs in {region}, which is neither a data Region nor the witness of the topology")]
    Elsewhere {
        /// Where it runs.
        region: Region,
    },
}

impl Startup {
    /// Reads `HOLDFAST_CONFIG`, `AWS_REGION`, the credentials that Lambda puts into the environment, and, for trying
    /// things out, `AWS_ENDPOINT_URL` and `AWS_ENDPOINT_URL_S3` (or any other service's).
    pub fn from_environment() -> Result<Self, StartupError> {
        let fix = "put the configuration there as JSON; events/config.example.json has every field";
        let config =
            std::env::var("HOLDFAST_CONFIG").map_err(|_| StartupError::Missing { name: "HOLDFAST_CONFIG", fix })?;
        Self::with_config(Config::parse(&config)?)
    }

    /// The same with a configuration from elsewhere, for programs that are no Lambda.
    pub fn with_config(config: Config) -> Result<Self, StartupError> {
        let read = |name, fix| std::env::var(name).map_err(|_| StartupError::Missing { name, fix });
        let region = read("AWS_REGION", "Lambda sets it; outside Lambda name the Region to act in")?;
        let access_key = read("AWS_ACCESS_KEY_ID", "Lambda sets it; outside Lambda export credentials")?;
        let secret_key = read("AWS_SECRET_ACCESS_KEY", "Lambda sets it; outside Lambda export credentials")?;
        let session = std::env::var("AWS_SESSION_TOKEN").ok();
        // Lambda's own credentials live as long as its sandbox, so the chain of other providers would only cost a cold start.
        let credentials = Credentials::new(access_key, secret_key, session, None, "environment");
        let http = Builder::new().tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc));
        let mut sdk = SdkConfig::builder()
            .region(aws_types::region::Region::new(region.clone()))
            .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest())
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
            .time_source(SharedTimeSource::new(SystemTimeSource::new()))
            .service_config(EndpointVariables)
            .http_client(http.build_https());
        if let Ok(url) = std::env::var("AWS_ENDPOINT_URL") {
            sdk = sdk.endpoint_url(url);
        }
        Self::new(config, Region::new(&region)?, &sdk.build(), Metrics::Stdout)
    }

    /// A start-up from parts, for simulations.
    pub fn new(config: Config, region: Region, sdk: &SdkConfig, metrics: Metrics) -> Result<Self, StartupError> {
        if !config.topology.observers().any(|known| *known == region) {
            return Err(StartupError::Elsewhere { region });
        }
        let sdk = hardened(sdk);
        let coordination = Coordination::new(&sdk, &config.topology);
        Ok(Self { config: Arc::new(config), region, sdk, metrics, coordination })
    }

    /// The present, by this Region's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let time = self.sdk.time_source().map_or_else(|| SystemTimeSource::new().now(), |source| source.now());
        Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// The coordination table through this Region's replica.
    #[must_use]
    pub fn coordination(&self) -> Coordination {
        self.coordination.clone()
    }

    /// The event buses.
    #[must_use]
    pub fn bus(&self) -> Bus {
        Bus::new(&self.sdk, &self.config.topology.event_bus)
    }

    /// The buses to try when publishing from here: this Region's, then the witness's. Never one that may be dark.
    pub fn buses(&self) -> impl Iterator<Item = &Region> {
        let witness = &self.config.topology.witness.region;
        std::iter::once(&self.region).chain(Some(witness).filter(|witness| **witness != self.region))
    }

    /// Reads the payload; what cannot be named is put on the bus for a person before it goes to the dead-letter queue.
    pub async fn triggers(&self, function: &str, invocation: &Invocation) -> Result<Vec<Trigger>, Failure> {
        match Trigger::parse(&invocation.payload) {
            Ok(triggers) => Ok(triggers),
            Err(problem) => Err(self.refuse(function, problem.to_string()).await),
        }
    }

    /// Puts a refused trigger on the bus for a person, and is the failure that sends it to the dead-letter queue.
    pub async fn refuse(&self, function: &str, problem: String) -> Failure {
        tracing::warn!(function, "refused: {problem}");
        let refused = Event::TriggerRefused {
            function: function.to_owned(),
            region: self.region.clone(),
            problem: problem.clone(),
        };
        if let Err(error) = self.bus().publish(&refused, self.buses()).await {
            tracing::error!("a refused trigger could not be told to anybody: {error}");
        }
        Failure::Refused(problem)
    }
}

impl Invocation {
    /// What is left of the invocation's time, less `reserve`.
    #[must_use]
    pub fn time_left(&self, now: Timestamp, reserve: Duration) -> Duration {
        let left: Duration = self.deadline.duration_since(now).try_into().unwrap_or_default();
        left.saturating_sub(reserve)
    }
}

/// `AWS_ENDPOINT_URL_S3` and its like: one service elsewhere, all others where they are.
#[derive(Debug)]
struct EndpointVariables;

impl LoadServiceConfig for EndpointVariables {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let service = key.service_id().to_uppercase().replace([' ', '-'], "_");
        std::env::var(format!("{}_{service}", key.env())).ok().filter(|url| !url.is_empty())
    }
}

/// Runs a handler behind the Lambda Runtime API until Lambda ends the sandbox.
pub async fn serve<F, Fut>(handler: F) -> Result<(), lambda_runtime::Error>
where
    F: Fn(Invocation) -> Fut,
    Fut: Future<Output = Result<Value, Failure>>,
{
    lambda_runtime::run(service_fn(|event: LambdaEvent<Box<RawValue>>| {
        let deadline = i64::try_from(event.context.deadline).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        // Local Runtime API servers give a deadline that is long past; Lambda itself never does.
        let now = Timestamp::try_from(SystemTimeSource::new().now()).unwrap_or(Timestamp::UNIX_EPOCH);
        let deadline = deadline.filter(|deadline| *deadline > now);
        handler(Invocation {
            payload: event.payload.get().as_bytes().to_vec(),
            id: event.context.request_id,
            deadline: deadline.unwrap_or(Timestamp::MAX),
        })
    }))
    .await
}

/// JSON logs, one line for each decision; `RUST_LOG` sets the level.
pub fn log_json() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_ansi(false)
        .with_env_filter(filter)
        .init();
}
