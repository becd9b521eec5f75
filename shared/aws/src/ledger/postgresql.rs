//! The ledger on Aurora PostgreSQL: TLS with the RDS authorities, and an IAM token for a password.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_rds::auth_token::{AuthTokenGenerator, Config as TokenConfig};
use aws_types::SdkConfig;
use holdfast_domain::Timestamp;
use holdfast_domain::beacon::Standing;
use holdfast_domain::money::Totals;
use holdfast_domain::topology::Topology;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio_postgres::{Client, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{FENCE_WRITE_MAX, KEYS_MAX, Ledger, LedgerError, LedgerFuture, READ_MAX, Selection, Through};

mod export;
mod reads;

/// A connection is made for each try: the endpoint's address changes with the promotion that is being proven.
#[derive(Debug)]
pub struct PostgresLedger {
    sdk: SdkConfig,
    endpoint: String,
    /// Absent in a Region without a copy of the ledger.
    reader_endpoint: Option<String>,
    /// Absent while no old volume is being compared.
    salvage_endpoint: Option<String>,
    region: String,
    port: u16,
    database: String,
    user: String,
    ca_file: Option<String>,
    password: Option<String>,
}

impl PostgresLedger {
    /// A ledger behind the writer endpoint. A `password` (tests, self-managed PostgreSQL) replaces the IAM token.
    #[must_use]
    pub fn new(sdk: &SdkConfig, topology: &Topology, password: Option<String>) -> Self {
        let access = &topology.ledger;
        let region = sdk.region().map(ToString::to_string).unwrap_or_default();
        let here = topology.data_regions.iter().find(|data| data.region.as_str() == region);
        Self {
            sdk: sdk.clone(),
            endpoint: topology.writer_endpoint.clone(),
            reader_endpoint: here.map(|data| data.reader_endpoint.clone()),
            salvage_endpoint: access.salvage_endpoint.clone(),
            region,
            port: access.port,
            database: access.database.clone(),
            user: access.user.clone(),
            ca_file: access.ca_file.clone(),
            password,
        }
    }

    async fn write(&self, epoch: u64) -> Result<(), LedgerError> {
        let epoch_number = i64::try_from(epoch).map_err(|error| self.statement(&error))?;
        let client = self.connect(&self.endpoint).await?;
        let row = client.query_one("SELECT pg_is_in_recovery()", &[]).await.map_err(|error| self.statement(&error))?;
        if row.try_get::<_, bool>(0).map_err(|error| self.statement(&error))? {
            return Err(LedgerError::InRecovery { endpoint: self.endpoint.clone() });
        }
        let raise = "UPDATE holdfast_fence SET epoch = $1, written_at = now() WHERE epoch <= $1";
        let first = "INSERT INTO holdfast_fence (epoch, written_at) SELECT $1::bigint, now() WHERE NOT EXISTS (SELECT FROM holdfast_fence)";
        for statement in [raise, first] {
            let rows = client.execute(statement, &[&epoch_number]).await.map_err(|error| self.statement(&error))?;
            if rows > 0 {
                return Ok(());
            }
        }
        Err(LedgerError::FencedOff { epoch })
    }

    fn endpoint_of(&self, through: Through) -> Result<&str, LedgerError> {
        let (endpoint, why) = match through {
            Through::Writer => (Some(&self.endpoint), String::new()),
            Through::LocalReader => {
                (self.reader_endpoint.as_ref(), format!("{} has no copy of the ledger to read from", self.region))
            }
            Through::OldVolume => (
                self.salvage_endpoint.as_ref(),
                "restore the old volume's snapshot and name its endpoint in topology.ledger.salvage_endpoint"
                    .to_owned(),
            ),
        };
        endpoint.map(String::as_str).ok_or(LedgerError::Configuration { why })
    }

    async fn connect(&self, endpoint: &str) -> Result<Client, LedgerError> {
        let unreachable = |error: tokio_postgres::Error| LedgerError::Unreachable {
            endpoint: endpoint.to_owned(),
            why: crate::failure::causes(&error),
        };
        let mut config = tokio_postgres::Config::new();
        config
            .host(endpoint)
            .port(self.port)
            .dbname(&self.database)
            .user(&self.user)
            .password(self.password(endpoint).await?)
            .connect_timeout(FENCE_WRITE_MAX)
            .application_name("holdfast");
        match &self.ca_file {
            Some(file) => {
                config.ssl_mode(tokio_postgres::config::SslMode::Require);
                let (client, connection) = config.connect(tls(file)?).await.map_err(unreachable)?;
                tokio::spawn(connection);
                Ok(client)
            }
            None if is_local(endpoint) => {
                let (client, connection) = config.connect(NoTls).await.map_err(unreachable)?;
                tokio::spawn(connection);
                Ok(client)
            }
            None => Err(LedgerError::Configuration {
                why: format!(
                    "{endpoint} is not on this machine, so the connection needs TLS; put the RDS certificate bundle into the package and name it in topology.ledger.ca_file"
                ),
            }),
        }
    }

    async fn password(&self, endpoint: &str) -> Result<String, LedgerError> {
        if let Some(password) = &self.password {
            return Ok(password.clone());
        }
        let not_signed = |why: String| LedgerError::Configuration { why: format!("no IAM token: {why}") };
        let config = TokenConfig::builder()
            .hostname(endpoint)
            .port(u64::from(self.port))
            .username(&self.user)
            .build()
            .map_err(|error| not_signed(error.to_string()))?;
        let token = AuthTokenGenerator::new(config).auth_token(&self.sdk).await;
        token.map(|token| token.to_string()).map_err(|error| not_signed(error.to_string()))
    }

    fn statement(&self, error: &(dyn std::error::Error + 'static)) -> LedgerError {
        LedgerError::Statement { why: crate::failure::causes(error) }
    }
}

impl Ledger for PostgresLedger {
    fn write_fence_row(&self, epoch: u64) -> LedgerFuture<'_> {
        Box::pin(async move {
            match tokio::time::timeout(FENCE_WRITE_MAX, self.write(epoch)).await {
                Ok(outcome) => outcome,
                Err(_) => Err(LedgerError::TimedOut { endpoint: self.endpoint.clone() }),
            }
        })
    }

    fn standing(&self) -> LedgerFuture<'_, Standing> {
        Box::pin(self.read(Through::LocalReader, async |client| self.standing_of(client).await))
    }

    fn booked_between(&self, after: Timestamp, until: Timestamp) -> LedgerFuture<'_, Totals> {
        Box::pin(self.read(Through::LocalReader, async move |client| reads::booked_between(client, after, until).await))
    }

    fn booked(&self, through: Through, keys: Vec<String>) -> LedgerFuture<'_, BTreeSet<String>> {
        Box::pin(self.read(through, async move |client| reads::booked(client, &keys).await))
    }

    fn export<'a>(
        &'a self,
        through: Through,
        rows: Selection,
        within: Duration,
        to: &'a mut (dyn Write + Send),
    ) -> LedgerFuture<'a, u64> {
        Box::pin(async move {
            let endpoint = self.endpoint_of(through)?;
            let work = async {
                let client = self.connect(endpoint).await?;
                export::export(&client, endpoint, &rows, to).await
            };
            match tokio::time::timeout(within, work).await {
                Ok(outcome) => outcome,
                Err(_) => Err(LedgerError::ExportTimedOut { endpoint: endpoint.to_owned(), within }),
            }
        })
    }
}

/// Only these may be spoken to without TLS.
fn is_local(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "::1") || host.starts_with('/')
}

fn tls(ca_file: &str) -> Result<MakeRustlsConnect, LedgerError> {
    let unreadable = |why: String| LedgerError::Configuration { why: format!("{ca_file}: {why}") };
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca_file).map_err(|error| unreadable(error.to_string()))? {
        let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
        roots.add(certificate).map_err(|error| unreadable(error.to_string()))?;
    }
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| unreadable(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}
