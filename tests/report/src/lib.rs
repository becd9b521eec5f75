#![doc = include_str!("../README.md")]

use std::collections::BTreeMap;

use holdfast_domain::incident::Incident;
use holdfast_domain::money::Totals;
use holdfast_domain::promotion::Judgement;
use holdfast_domain::reconciliation::Summary;
use serde::{Deserialize, Serialize};
use serde_json::Value;

mod charts;
mod page;
mod sentences;

/// What came of a run, as the drill writes it. Times are milliseconds since the start of the run unless they say otherwise.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// The scenario's name.
    pub scenario: String,
    /// What happens in it, in a sentence.
    pub about: String,
    /// Simulated on virtual time, or live on real parts.
    pub kind: Kind,
    /// Everything random was drawn from this.
    pub seed: u64,
    /// The command that plays it again.
    pub repeat: String,
    /// What the run proves.
    pub verdict: Verdict,
    /// What was promised and did not hold.
    pub problems: Vec<String>,
    /// The wall clock at the start of the run, RFC 3339.
    pub started_at: String,
    /// When the story begins: the outage, or whatever else the scenario is about.
    pub outage_at_ms: i64,
    /// How long the run was watched.
    pub length_ms: i64,
    /// Whether the primary was lost.
    pub outage: bool,
    /// Where the time went.
    pub waterfall: Waterfall,
    /// What clients were told, in sum, and what was lost of it.
    pub payments: Payments,
    /// What clients were told, over time.
    pub requests: Requests,
    /// How far the standby was behind, over time.
    pub replication: Vec<Behind>,
    /// The last incident, as it is stored.
    pub incident: Option<Incident>,
    /// What was decided in it, and from what: `drill replay-incident` decides it again.
    #[serde(default)]
    pub judgements: Vec<Judgement>,
    /// The Region that held the writer at the end.
    pub writer: Option<String>,
    /// What people read.
    pub pages: Vec<Letter>,
    /// What reconcile-ledger found, run by run.
    pub reconciliations: Vec<Reconciliation>,
    /// Runs, failures and AWS calls of each function in each Region.
    pub functions: Vec<FunctionRuns>,
    /// The configuration that the functions were given.
    pub configuration: Value,
    /// The story, a line for each event.
    pub timeline: Vec<String>,
}

/// On what a run was played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Real functions and SDKs in a simulated AWS, on virtual time.
    Simulated,
    /// Real processes, real PostgreSQL and real seconds; AWS's API is simulated.
    Live,
}

/// What the run proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// What was promised held.
    Valid,
    /// Something that was promised did not hold.
    Invalid,
    /// The run shows neither.
    Unknown,
}

/// Where the time went. Milliseconds after the outage began; absent is what did not happen.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Waterfall {
    /// The first failed probe began.
    pub first_failed_probe_ms: Option<i64>,
    /// Two observers agreed.
    pub suspected_ms: Option<i64>,
    /// The incident was confirmed.
    pub confirmed_ms: Option<i64>,
    /// RDS was asked.
    pub rds_called_ms: Option<i64>,
    /// RDS had promoted.
    pub promoted_ms: Option<i64>,
    /// The writer endpoint had moved.
    pub endpoint_moved_ms: Option<i64>,
    /// The fence row was written.
    pub restored_ms: Option<i64>,
    /// The first page was read.
    pub first_page_ms: Option<i64>,
    /// The first page was handed to SNS.
    pub first_page_sent_ms: Option<i64>,
    /// The first payment that failed was sent.
    pub first_failed_payment_ms: Option<i64>,
    /// The first durable acknowledgement after that.
    pub first_durable_payment_ms: Option<i64>,
    /// The recovery time of writes.
    pub rto_writes_ms: Option<i64>,
    /// The recovery time of reads that rest on DNS, near Dublin.
    pub rto_reads_dublin_ms: Option<i64>,
    /// The same near London.
    pub rto_reads_london_ms: Option<i64>,
    /// Of the recovery time, what AWS took.
    pub aws_promotion_ms: Option<i64>,
    /// Between two payments: the resolution of the recovery time.
    pub sampling_ms: i64,
}

/// What clients were told, in sum.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Payments {
    /// Requests.
    pub requests: u64,
    /// Of those, acknowledged.
    pub acknowledged: u64,
    /// Acknowledged, and absent from the final ledger.
    pub lost: Vec<Lost>,
    /// How many those are, and their sum per currency.
    pub lost_totals: Totals,
    /// Attempt keys that the card network charged more than once.
    pub charged_twice: Vec<String>,
}

/// A payment that a client was told is made, and that the final ledger lacks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Lost {
    /// The attempt key.
    pub key: String,
    /// The card network's reference.
    pub network_reference: String,
    /// Minor units.
    pub amount_minor: i64,
    /// ISO 4217.
    pub currency: String,
    /// When the client was told, after the outage began.
    pub acknowledged_after_outage_ms: i64,
    /// Whether the attempts table has it, so that it can be booked again.
    pub listed: bool,
}

/// What clients were told, over time.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Requests {
    /// The width of a bucket.
    pub bucket_ms: i64,
    /// By the Region that they were sent to.
    pub regions: BTreeMap<String, Outcomes>,
}

/// Requests to one Region: counts by number of the bucket in which the client knew. Buckets without any are absent.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outcomes {
    /// The payment was made.
    pub acknowledged: BTreeMap<i64, u64>,
    /// The answer was an error.
    pub refused: BTreeMap<i64, u64>,
    /// There was no answer.
    pub unanswered: BTreeMap<i64, u64>,
}

/// How far the standby was behind at a moment, and what that would have cost.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Behind {
    /// When.
    pub at_ms: i64,
    /// The lag; absent where it cannot be measured.
    pub lag_ms: Option<i64>,
    /// Acknowledged to clients, and not in the first standby: what a failover at this moment would lose; absent where nobody can look.
    pub price: Option<Totals>,
}

/// A page as a person read it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Letter {
    /// When it was read.
    pub at_ms: i64,
    /// The topic's Region.
    pub region: String,
    /// Its subject.
    pub subject: String,
    /// Its text.
    pub message: String,
}

/// What reconcile-ledger told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reconciliation {
    /// When it was told.
    pub at_ms: i64,
    /// What it told.
    pub summary: Summary,
}

/// What a function did in a Region.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FunctionRuns {
    /// Which.
    pub function: String,
    /// Where.
    pub region: String,
    /// Runs that ended.
    pub runs: u64,
    /// Of those, failed or killed.
    pub failed: u64,
    /// Calls to AWS.
    pub aws_calls: u64,
}

/// The file is not what the drill writes.
#[derive(Debug, thiserror::Error)]
#[error("this is not a run as `drill --json` writes it: {0}; write it again with the present version")]
pub struct NotARun(#[from] serde_json::Error);

/// The whole report, from the JSON that the drill wrote.
pub fn html(json: &str) -> Result<String, NotARun> {
    let run: Run = serde_json::from_str(json)?;
    let whole: Value = serde_json::from_str(json)?;
    Ok(page::whole(&run, &whole))
}
