//! The card network as a process of its own: whatever was charged is in its file before anybody is told.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use clap::Parser;
use holdfast_payments::service::PaymentRequest;
use http::{Request, Response};
use jiff::Timestamp;
use live_drill::wire::{self, json as answer};
use serde_json::json;

/// Charges cards, and remembers.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where every charge is written, one line of JSON each.
    #[arg(long)]
    record: PathBuf,
}

struct Network {
    record: File,
    charged: u64,
}

impl Network {
    /// Charges whoever asks, as often as they ask: it knows nothing of keys.
    fn charge(&mut self, payment: &PaymentRequest) -> std::io::Result<String> {
        let reference = format!("net-{:08}", self.charged + 1);
        let line = json!({
            "reference": reference, "attempt_key": payment.key, "amount_minor": payment.amount_minor,
            "currency": payment.currency, "at": Timestamp::now(),
        });
        writeln!(self.record, "{line}")?;
        self.record.sync_data()?;
        self.charged += 1;
        Ok(reference)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let record = File::options().create(true).append(true).open(&arguments.record)?;
    let network = Arc::new(Mutex::new(Network { record, charged: 0 }));
    let (listener, address) = wire::listen().await?;
    writeln!(std::io::stdout(), "{address}")?;
    std::io::stdout().flush()?;
    wire::serve(listener, move |request| {
        let network = network.clone();
        async move { charged(&network, &request) }
    })
    .await;
    Ok(())
}

fn charged(network: &Mutex<Network>, request: &Request<Bytes>) -> Response<Bytes> {
    let payment: PaymentRequest = match serde_json::from_slice(request.body()) {
        Ok(payment) => payment,
        Err(problem) => return answer(400, &json!({"error": problem.to_string()})),
    };
    match network.lock().unwrap_or_else(PoisonError::into_inner).charge(&payment) {
        Ok(reference) => answer(201, &json!({"network_reference": reference})),
        Err(problem) => answer(500, &json!({"error": problem.to_string()})),
    }
}
