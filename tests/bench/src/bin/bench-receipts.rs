//! Runs the plan of reconcile-receipts and `rclone check` against the same server, and checks what they say.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bench::keys::{Kind, kind};
use bench::process::{Used, used};
use clap::Parser;
use serde_json::Value;
use tokio::time::Instant;

#[derive(Debug, Parser)]
struct Arguments {
    /// Keys on each side.
    #[arg(long, default_value_t = 1_000_000)]
    keys: u64,
    /// Keys without folders.
    #[arg(long)]
    flat: bool,
    /// Added to each listing.
    #[arg(long, default_value_t = 0)]
    list_ms: u64,
    /// Added to every other call.
    #[arg(long, default_value_t = 0)]
    other_ms: u64,
    /// Carry the plan out, and plan again.
    #[arg(long)]
    apply: bool,
    /// Without rclone.
    #[arg(long)]
    alone: bool,
    #[arg(long, default_value_t = 9600)]
    port: u16,
}

/// Ends the server however this program ends.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Measured {
    name: String,
    wall: Duration,
    used: Used,
    calls: Value,
    text: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let mut out = std::io::stdout();
    let mut server = Command::new(beside("s3server")?);
    server.args(["--port", &arguments.port.to_string(), "--keys", &arguments.keys.to_string()]);
    server.args(["--list-ms", &arguments.list_ms.to_string(), "--other-ms", &arguments.other_ms.to_string()]);
    if arguments.flat {
        server.arg("--flat");
    }
    let _server = Server(server.spawn()?);
    for _ in 0..100 {
        if TcpStream::connect(("127.0.0.1", arguments.port)).is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut measured = vec![receipts(&arguments, "plan", "plan").await?];
    let mut wrong = compare(&measured[0].text, &expected(arguments.keys, false))?;
    if arguments.apply {
        measured.push(receipts(&arguments, "apply", "apply").await?);
        let again = receipts(&arguments, "plan", "plan after apply").await?;
        wrong.extend(compare(&again.text, &expected(arguments.keys, true))?);
        measured.push(again);
    }
    if !arguments.alone {
        measured.push(rclone(&arguments).await?);
    }
    writeln!(
        out,
        "{} keys a side, {} ms for LIST, {} ms for other calls",
        arguments.keys, arguments.list_ms, arguments.other_ms
    )?;
    for Measured { name, wall, used, calls, .. } in &measured {
        writeln!(
            out,
            "  {name:<22} wall {:>9.3} s   CPU {:>8.2} s   peak {:>5} MB   calls {calls}",
            wall.as_secs_f32(),
            used.cpu.as_secs_f32(),
            used.peak_kb / 1024,
        )?;
    }
    if let (Some(ours), Some(theirs)) = (measured.first(), measured.last().filter(|_| !arguments.alone)) {
        let times = |theirs: Duration, ours: Duration| theirs.as_millis() * 10 / ours.as_millis().max(1);
        let (cpu, wall) = (times(theirs.used.cpu, ours.used.cpu), times(theirs.wall, ours.wall));
        writeln!(
            out,
            "  rclone check takes {}.{} x the CPU and {}.{} x the wall time of the plan",
            cpu / 10,
            cpu % 10,
            wall / 10,
            wall % 10
        )?;
    }
    match wrong.as_slice() {
        [] => writeln!(out, "  every class has the keys that it should")?,
        wrong => {
            writeln!(out, "  WRONG: {}", wrong.join("; "))?;
            return Err("counts are wrong".into());
        }
    }
    Ok(())
}

/// A program of this crate.
fn beside(name: &str) -> Result<PathBuf, Box<dyn Error>> {
    Ok(std::env::current_exe()?.with_file_name(name))
}

async fn receipts(arguments: &Arguments, what: &str, name: &str) -> Result<Measured, Box<dyn Error>> {
    let mut command = Command::new(beside("examples/receipts")?);
    command.args([what, "--dublin", "receipts-a", "--london", "receipts-b", "--json"]);
    command.env("AWS_ENDPOINT_URL_S3", format!("http://127.0.0.1:{}", arguments.port));
    command.env("AWS_REGION", "eu-west-2").env("AWS_ACCESS_KEY_ID", "x").env("AWS_SECRET_ACCESS_KEY", "y");
    let mut measured = measure(arguments, command, &format!("reconcile-receipts {name}")).await?;
    measured.name = name.to_owned();
    Ok(measured)
}

async fn rclone(arguments: &Arguments) -> Result<Measured, Box<dyn Error>> {
    let remote = |bucket: &str| {
        let port = arguments.port;
        format!(":s3,provider=Other,access_key_id=x,secret_access_key=y,endpoint='http://127.0.0.1:{port}':{bucket}")
    };
    let mut command = Command::new("rclone");
    command.args([
        "check",
        &remote("receipts-a"),
        &remote("receipts-b"),
        "--log-level",
        "CRITICAL",
        "--config",
        "/dev/null",
    ]);
    // rclone refuses to start with this, even for a server without TLS.
    command.env_remove("AWS_CA_BUNDLE");
    let measured = measure(arguments, command, "rclone check").await?;
    if measured.calls["ListObjects"].as_u64().unwrap_or_default() == 0 {
        return Err("rclone did not list anything: see what it said".into());
    }
    Ok(measured)
}

async fn measure(arguments: &Arguments, mut command: Command, name: &str) -> Result<Measured, Box<dyn Error>> {
    calls(arguments.port)?;
    let started = Instant::now();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn()?;
    let id = child.id().to_string();
    let mut last = Used::default();
    while child.try_wait()?.is_none() {
        if let Some(now) = used(&id) {
            last = now;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let wall = started.elapsed();
    let mut text = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_string(&mut text)?;
    }
    Ok(Measured { name: name.to_owned(), wall, used: last, calls: calls(arguments.port)?, text })
}

/// What the server was asked since the last time.
fn calls(port: u16) -> Result<Value, Box<dyn Error>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    write!(stream, "GET /x?calls HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(serde_json::from_str(answer.rsplit("\r\n\r\n").next().unwrap_or_default())?)
}

/// Keys of each class.
fn expected(keys: u64, applied: bool) -> BTreeMap<&'static str, u64> {
    let mut expected = BTreeMap::new();
    for number in 0..keys {
        let class = match kind(number) {
            Kind::Conflict => "Conflict",
            Kind::Uncheckable => "Uncheckable",
            Kind::Pending => "Pending",
            _ if applied => "InSync",
            Kind::Same => "InSync",
            Kind::OnlyFirstOverdue | Kind::OnlyFirstFailed => "CopyToLondon",
            Kind::OnlySecond | Kind::RewrittenInSecond | Kind::SecondNewer => "CopyToDublin",
            Kind::DeletedInSecond | Kind::DeletedInFirst => "DeletePropagates",
        };
        *expected.entry(class).or_default() += 1;
    }
    expected
}

fn compare(report: &str, expected: &BTreeMap<&'static str, u64>) -> Result<Vec<String>, Box<dyn Error>> {
    let report: Value = serde_json::from_str(report)?;
    let plan = report["summary"]["plan"].as_object().ok_or("no plan")?;
    let found: BTreeMap<&str, u64> = plan
        .iter()
        .map(|(class, count)| (class.as_str(), count["keys"].as_u64().unwrap_or_default()))
        .filter(|(_, keys)| *keys > 0)
        .collect();
    let classes = found.keys().copied().chain(expected.keys().copied()).collect::<std::collections::BTreeSet<&str>>();
    let differing = classes.into_iter().filter(|class| found.get(class) != expected.get(class));
    Ok(differing.map(|class| format!("{class}: {:?} and not {:?}", found.get(class), expected.get(class))).collect())
}
