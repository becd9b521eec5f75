//! Serves a world of three Regions on loopback HTTP.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use clap::Parser;
use holdfast_world::dynamodb::{Mode, create_table};
use holdfast_world::rds::{GlobalClusterConfig, create_global_cluster};
use holdfast_world::sns::topic_arn;
use holdfast_world::{Region, World, WorldConfig, server};

/// Serves a simulated AWS of three Regions on this machine.
#[derive(Debug, Parser)]
struct Arguments {
    /// The port on 127.0.0.1.
    #[arg(long, default_value_t = 4566)]
    port: u16,
    /// How long a promotion takes, in seconds.
    #[arg(long, default_value_t = 45)]
    promotion_seconds: u64,
    /// The seed of everything random.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let arguments = Arguments::parse();
    let world = World::new(&WorldConfig { seed: arguments.seed, start: jiff::Timestamp::now() });
    let replicas = [Region::DUBLIN, Region::LONDON, Region::FRANKFURT];
    create_table(&world, "holdfast", Mode::Mrsc(replicas), "pk", Some("sk"));
    create_table(&world, "payment-attempts", Mode::Mrsc(replicas), "pk", Some("sk"));
    create_global_cluster(
        &world,
        &GlobalClusterConfig {
            id: "payments-global",
            primary: Region::DUBLIN,
            secondary: Region::LONDON,
            promotion: Duration::from_secs(arguments.promotion_seconds),
            lag: Duration::from_millis(80),
            secondary_instances: 1,
        },
    );
    for region in replicas {
        world.create_topic(&topic_arn(region, "holdfast-pages"));
    }
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port));
    let endpoint = format!("http://{address}");
    let mut out = std::io::stdout();
    writeln!(out, "The world is at {endpoint} (Ctrl-C ends it). With any credentials exported, try:")?;
    writeln!(out, "  aws --endpoint-url {endpoint} --region eu-west-2 rds describe-global-clusters")?;
    writeln!(
        out,
        "  aws --endpoint-url {endpoint} --region eu-west-2 rds failover-global-cluster --global-cluster-identifier payments-global --allow-data-loss \\"
    )?;
    writeln!(out, "    --target-db-cluster-identifier arn:aws:rds:eu-west-2:123456789012:cluster:payments-eu-west-2")?;
    writeln!(out, "  aws --endpoint-url {endpoint} --region eu-west-1 dynamodb scan --table-name holdfast")?;
    out.flush()?;
    server::serve(world, address).await
}
