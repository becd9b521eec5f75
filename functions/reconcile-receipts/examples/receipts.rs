//! reconcile-receipts as a program, for any S3-compatible server.

use std::io::Write as _;

use clap::{Parser, ValueEnum};
use holdfast_aws::{Invocation, Startup};
use holdfast_domain::config::Config;
use holdfast_domain::{Region, Timestamp};
use reconcile_receipts::Limits;
use serde_json::json;

/// Compares two versioned buckets by ancestry, or makes them one truth.
#[derive(Debug, Parser)]
struct Arguments {
    /// What to do.
    what: What,
    /// The first bucket.
    #[arg(long)]
    dublin: String,
    /// The second bucket.
    #[arg(long)]
    london: String,
    /// Where the first bucket is.
    #[arg(long, default_value = "eu-west-1")]
    dublin_region: String,
    /// Where the second bucket is.
    #[arg(long, default_value = "eu-west-2")]
    london_region: String,
    /// Address buckets by host name and not by path.
    #[arg(long)]
    virtual_hosted: bool,
    /// How long replication is given, in seconds.
    #[arg(long, default_value_t = 900)]
    pending_seconds: u64,
    /// Print the summary as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    Plan,
    Apply,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let startup = Startup::with_config(config(&arguments)?)?;
    let id = Timestamp::try_from(std::time::UNIX_EPOCH)?;
    let id = format!("{}", startup.now().duration_since(id).as_millis());
    let invocation = Invocation { payload: Vec::new(), id, deadline: Timestamp::MAX };
    let apply = arguments.what == What::Apply;
    let (summary, _) = reconcile_receipts::drive(&startup, &invocation, Limits::S3, apply, None).await?;
    let mut out = std::io::stdout();
    if arguments.json {
        writeln!(out, "{}", json!({"summary": summary}))?;
    } else {
        writeln!(out, "{summary}")?;
    }
    Ok(())
}

/// The example's configuration with these buckets; everything else in it is not looked at.
fn config(arguments: &Arguments) -> Result<Config, Box<dyn std::error::Error>> {
    let example = include_str!("../../../events/config.example.json");
    let example = example.replace("eu-west-1", &arguments.dublin_region).replace("eu-west-2", &arguments.london_region);
    let mut config = Config::parse(&example)?;
    config.topology.s3_path_style = !arguments.virtual_hosted;
    config.policy.receipts.keys_max = u64::MAX;
    config.policy.receipts.pending_age_max_seconds = arguments.pending_seconds;
    let sides = [(&arguments.dublin, &arguments.dublin_region), (&arguments.london, &arguments.london_region)];
    for (data, (bucket, region)) in config.topology.data_regions.iter_mut().zip(sides) {
        data.receipts_bucket.clone_from(bucket);
        data.region = Region::new(region)?;
    }
    Ok(config)
}
