//! Rows of the ledger by `COPY … TO STDOUT`: a piece of the answer at a time, from one snapshot.

use std::io::Write;
use std::pin::pin;

use futures_util::StreamExt as _;
use holdfast_domain::attempt::Window;
use tokio_postgres::Client;

use crate::failure::causes;
use crate::ledger::{EXPORT_HEADER, EXPORT_IDLE_MAX, KEYS_MAX, LedgerError, Selection};

/// One snapshot for all statements, and text that does not depend on how the server is set up.
const BEGIN: &str = "SET standard_conforming_strings = on; SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; \
                     BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY";

pub(super) async fn export(
    client: &Client,
    endpoint: &str,
    rows: &Selection,
    to: &mut (dyn Write + Send),
) -> Result<u64, LedgerError> {
    client.batch_execute(BEGIN).await.map_err(|error| reading(&error))?;
    to.write_all(EXPORT_HEADER.as_bytes()).map_err(spool)?;
    let mut count = 0;
    match rows {
        Selection::Window(window) => count += copy(client, endpoint, &within(window), to).await?,
        Selection::Keys { keys, outside } => {
            let outside = outside.map(|window| format!(" AND NOT ({})", within(&window))).unwrap_or_default();
            for batch in keys.chunks(KEYS_MAX) {
                let listed: Vec<String> = batch.iter().map(|key| literal(key)).collect::<Result<_, _>>()?;
                let condition = format!("attempt_key IN ({}){outside}", listed.join(","));
                count += copy(client, endpoint, &condition, to).await?;
            }
        }
    }
    client.batch_execute("COMMIT").await.map_err(|error| reading(&error))?;
    Ok(count)
}

fn within(window: &Window) -> String {
    let instant = |ms: i64| format!("'epoch'::timestamptz + {ms}::bigint * interval '1 millisecond'");
    // What was booked within the window's last millisecond is within the window.
    format!(
        "booked_at >= {} AND booked_at < {}",
        instant(window.from.as_millisecond()),
        instant(window.to.as_millisecond().saturating_add(1))
    )
}

/// `COPY` takes no parameters. With `standard_conforming_strings` only the quote itself means anything in a literal.
fn literal(text: &str) -> Result<String, LedgerError> {
    if text.contains('\0') {
        return Err(LedgerError::Reading { why: "a key with a zero byte cannot be in PostgreSQL".into() });
    }
    Ok(format!("'{}'", text.replace('\'', "''")))
}

/// Rows are counted by their ends, which are line breaks outside of quotes.
async fn copy(
    client: &Client,
    endpoint: &str,
    condition: &str,
    to: &mut (dyn Write + Send),
) -> Result<u64, LedgerError> {
    let sql = format!(
        "COPY (SELECT attempt_key, network_reference, kind, amount_minor, currency, booked_at FROM holdfast_ledger \
         WHERE {condition} ORDER BY attempt_key, network_reference, kind) TO STDOUT (FORMAT csv)"
    );
    let mut pieces = pin!(client.copy_out(sql.as_str()).await.map_err(|error| reading(&error))?);
    let (mut rows, mut quoted) = (0_u64, false);
    loop {
        let piece = match tokio::time::timeout(EXPORT_IDLE_MAX, pieces.next()).await {
            Ok(Some(piece)) => piece.map_err(|error| reading(&error))?,
            Ok(None) => return Ok(rows),
            Err(_) => {
                let endpoint = endpoint.to_owned();
                return Err(LedgerError::ExportTimedOut { endpoint, within: EXPORT_IDLE_MAX });
            }
        };
        for byte in &piece {
            match byte {
                b'"' => quoted = !quoted,
                b'\n' if !quoted => rows += 1,
                _ => {}
            }
        }
        to.write_all(&piece).map_err(spool)?;
    }
}

fn reading(error: &(dyn std::error::Error + 'static)) -> LedgerError {
    LedgerError::Reading { why: causes(error) }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err hands over")]
fn spool(error: std::io::Error) -> LedgerError {
    LedgerError::Spool { why: error.to_string() }
}
