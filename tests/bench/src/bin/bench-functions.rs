//! Cold start, warm latency, peak memory and zip size of every function, beside a minimal Python handler that makes the same call.
//!
//! Both are processes behind the same Runtime API server, against the same AWS API on loopback, in turn in the same run.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use clap::Parser;
use comfy_table::{Table, presets::NOTHING};
use holdfast_sandbox::{Program, Sandbox};
use holdfast_world::dynamodb::{Mode, create_table};
use holdfast_world::rds::{GlobalClusterConfig, create_global_cluster};
use holdfast_world::server::{self, Pace};
use holdfast_world::sns::topic_arn;
use holdfast_world::{Region, World, WorldConfig, s3};
use tokio::time::Instant;

const REGION: Region = Region::LONDON;
const CONFIG: &str = include_str!("../../../../events/config.example.json");
/// What every function answers without changing anything.
const EVENT: &[u8] = br#"{"action":"status"}"#;
/// An answer that takes longer is a defect of the bench.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// The peer: what a team would write in Python. The clients are made at the start, as the functions make theirs.
const HANDLER: &str = r#"
import json, os
import boto3
from botocore.config import Config

hardened = Config(connect_timeout=1, read_timeout=2, retries={"max_attempts": 1})
clients = {name: boto3.client(name, config=hardened) for name in os.environ["CLIENTS"].split(",")}
config = json.loads(os.environ["HOLDFAST_CONFIG"])

def handle(event, context):
    if event.get("action") != "status":
        raise ValueError("this handler answers status")
    found = {}
    key = {"pk": {"S": "cluster#" + config["topology"]["global_cluster"]}, "sk": {"S": "state"}}
    for _ in range(int(os.environ["READS"])):
        found = clients["dynamodb"].get_item(TableName=config["topology"]["coordination_table"], Key=key, ConsistentRead=True)
    return {"region": os.environ["AWS_REGION"], "state": found.get("Item")}
"#;

/// A function, the boto3 clients that its peer makes, and how often its status reads the coordination table.
const FUNCTIONS: [(&str, &str, &str); 7] = [
    ("check-readiness", "dynamodb,rds,s3,cloudwatch,lambda,route53", "3"),
    ("observe-region", "dynamodb", "1"),
    ("page-humans", "dynamodb,sns", "0"),
    ("promote-aurora", "dynamodb,rds,cloudwatch", "2"),
    ("reconcile-ledger", "dynamodb,s3", "2"),
    ("reconcile-receipts", "dynamodb,s3", "1"),
    ("verify-replication", "dynamodb,s3,cloudwatch", "1"),
];

/// Measures the functions beside Python.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where the functions' binaries are.
    #[arg(long)]
    functions: PathBuf,
    /// A Python with boto3 and awslambdaric.
    #[arg(long)]
    python: PathBuf,
    /// Cold starts of each.
    #[arg(long, default_value_t = 15)]
    cold: usize,
    /// Warm invocations of each.
    #[arg(long, default_value_t = 200)]
    warm: usize,
}

/// What was measured of one program.
struct Measured {
    cold: Vec<Duration>,
    warm: Vec<Duration>,
    peak_kb: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let scratch = Scratch::make()?;
    std::fs::write(scratch.0.join("peer.py"), HANDLER)?;
    let endpoint = world().await?;
    let mut table = Table::new();
    table.load_style(NOTHING).set_header([
        "function",
        "cold start",
        "Python",
        "times",
        "warm",
        "Python",
        "peak memory",
        "Python",
        "zip",
    ]);
    for (name, clients, reads) in FUNCTIONS {
        let binary = arguments.functions.join(name);
        if !binary.is_file() {
            return Err(format!("{} is not there; `make bench-functions` builds it", binary.display()).into());
        }
        let environment = environment(name, &endpoint, clients, reads, &scratch.0);
        let ours = Program { path: binary.clone(), arguments: Vec::new(), environment: environment.clone(), log: None };
        let peer = Program {
            path: arguments.python.clone(),
            arguments: ["-m", "awslambdaric", "peer.handle"].map(str::to_owned).to_vec(),
            environment,
            log: None,
        };
        let (ours, peer) = in_turn(&ours, &peer, &arguments).await.map_err(|error| format!("{name}: {error}"))?;
        let times = median(&peer.cold).as_micros() / median(&ours.cold).as_micros().max(1);
        table.add_row([
            name.to_owned(),
            ms(median(&ours.cold)),
            ms(median(&peer.cold)),
            format!("{times}x"),
            ms(median(&ours.warm)),
            ms(median(&peer.warm)),
            mb(ours.peak_kb * 1024),
            mb(peer.peak_kb * 1024),
            mb(zipped(&arguments.python, &binary, &scratch.0)?),
        ]);
    }
    let mut out = std::io::stdout();
    writeln!(out, "{table}")?;
    writeln!(
        out,
        "\nMedians of {} cold starts (process start to first answer, the call to DynamoDB in it) and {} warm invocations of {}, in turn on one machine.\n\
         Starting Lambda's own sandbox is not in there; boto3 and awslambdaric come with AWS's Python runtime and are in no zip.",
        arguments.cold,
        arguments.warm,
        String::from_utf8_lossy(EVENT)
    )?;
    Ok(())
}

/// The one, then the other, again and again: what else the machine does meets both.
async fn in_turn(ours: &Program, peer: &Program, arguments: &Arguments) -> Result<(Measured, Measured), String> {
    let mut measured =
        [ours, peer].map(|program| (program, Measured { cold: Vec::new(), warm: Vec::new(), peak_kb: 0 }));
    for round in 0..arguments.cold.max(1) {
        for (program, measured) in &mut measured {
            let mut sandbox = Sandbox::start(program).await.map_err(|error| error.to_string())?;
            invoke(&mut sandbox, 0).await?;
            measured.cold.push(sandbox.age());
            if round == 0 {
                for number in 1..=arguments.warm {
                    let began = Instant::now();
                    invoke(&mut sandbox, number).await?;
                    measured.warm.push(began.elapsed());
                }
            }
            measured.peak_kb = measured.peak_kb.max(sandbox.peak_kb().unwrap_or(0));
        }
    }
    let [(_, ours), (_, peer)] = measured;
    Ok((ours, peer))
}

async fn invoke(sandbox: &mut Sandbox, number: usize) -> Result<Bytes, String> {
    let id = format!("bench-{number}");
    let deadline = jiff::Timestamp::now().checked_add(ANSWER_MAX).map_err(|error| error.to_string())?;
    let answer = sandbox.invoke(&id, deadline, Bytes::from_static(EVENT));
    let answer = tokio::time::timeout(ANSWER_MAX, answer).await.map_err(|_| "it does not answer".to_owned())?;
    answer.map_err(|error| error.to_string())
}

/// The AWS API that both talk to, in a thread of its own.
async fn world() -> Result<String, Box<dyn std::error::Error>> {
    // The port is free a moment ago; nothing else on this machine is asked for it.
    let address = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?.local_addr()?;
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        if let Ok(runtime) = runtime {
            let _ = runtime.block_on(async {
                let world = World::new(&WorldConfig { seed: 1, start: jiff::Timestamp::now() });
                furnish(&world);
                server::serve_with(world, address, Pace::AtOnce).await
            });
        }
    });
    for _ in 0..100 {
        if tokio::net::TcpStream::connect(address).await.is_ok() {
            return Ok(format!("http://{address}"));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err("the simulated AWS did not come up".into())
}

fn furnish(world: &World) {
    let replicas = [Region::DUBLIN, Region::LONDON, Region::FRANKFURT];
    create_table(world, "holdfast", Mode::Mrsc(replicas), "pk", Some("sk"));
    create_table(world, "payment-attempts", Mode::Mrsc(replicas), "pk", Some("sk"));
    s3::create_bucket(world, "payments-receipts-eu-west-1", Region::DUBLIN);
    s3::create_bucket(world, "payments-receipts-eu-west-2", Region::LONDON);
    let cluster = GlobalClusterConfig {
        id: "payments-global",
        primary: Region::DUBLIN,
        secondary: Region::LONDON,
        promotion: Duration::from_secs(45),
        lag: Duration::from_millis(80),
        secondary_instances: 1,
    };
    create_global_cluster(world, &cluster);
    for region in replicas {
        world.create_topic(&topic_arn(region, "holdfast-pages"));
    }
}

fn environment(name: &str, endpoint: &str, clients: &str, reads: &str, peer: &Path) -> BTreeMap<String, String> {
    let peer = peer.display().to_string();
    let set = [
        ("AWS_REGION", REGION.as_str()),
        ("AWS_DEFAULT_REGION", REGION.as_str()),
        ("AWS_ACCESS_KEY_ID", "BENCH"),
        ("AWS_SECRET_ACCESS_KEY", "bench"),
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_LAMBDA_FUNCTION_NAME", name),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "bench"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "bench"),
        ("HOLDFAST_CONFIG", CONFIG),
        ("PGPASSWORD", "unused"),
        ("CLIENTS", clients),
        ("READS", reads),
        ("PYTHONPATH", &peer),
    ];
    set.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The size of a deployment package: the binary as `bootstrap`, deflated.
fn zipped(python: &Path, binary: &Path, scratch: &Path) -> Result<u64, Box<dyn std::error::Error>> {
    let zip = scratch.join("function.zip");
    let code = "import sys,zipfile;zipfile.ZipFile(sys.argv[1],'w',zipfile.ZIP_DEFLATED,compresslevel=9).write(sys.argv[2],'bootstrap')";
    let done = Command::new(python).arg("-c").arg(code).arg(&zip).arg(binary).status()?;
    if !done.success() {
        return Err("the zip could not be made".into());
    }
    Ok(std::fs::metadata(&zip)?.len())
}

fn median(of: &[Duration]) -> Duration {
    let mut sorted = of.to_vec();
    sorted.sort();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn ms(of: Duration) -> String {
    format!("{}.{:01} ms", of.as_millis(), of.as_micros() / 100 % 10)
}

fn mb(bytes: u64) -> String {
    format!("{}.{:01} MB", bytes / 1_000_000, bytes / 100_000 % 10)
}

/// A directory of this run.
struct Scratch(PathBuf);

impl Scratch {
    fn make() -> std::io::Result<Self> {
        let path = std::env::temp_dir().join(format!("holdfast-bench-functions-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
