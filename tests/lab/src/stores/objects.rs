//! S3 through the real SDK: a receipt is put into the bucket of the Region that took the payment.

use std::collections::BTreeMap;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::RequestChecksumCalculation;
use aws_sdk_s3::primitives::ByteStream;
use holdfast_aws::clients::{hardened, never_retried};
use holdfast_world::s3::{self, Rule};
use holdfast_world::{Caller, Region, World};

use super::{Contents, Created, DATA_REGIONS, Store, StoreFuture, other};

/// Two buckets.
#[derive(Debug)]
pub struct Buckets {
    world: World,
    clients: BTreeMap<Region, Client>,
}

/// The bucket of a Region.
fn bucket(region: Region) -> &'static str {
    if region == Region::DUBLIN { "lab-receipts-eu-west-1" } else { "lab-receipts-eu-west-2" }
}

impl Buckets {
    /// Creates both, with a rule from Dublin to London and, both ways, one back.
    #[must_use]
    pub fn new(world: &World, both_ways: bool) -> Self {
        let mut clients = BTreeMap::new();
        for region in DATA_REGIONS {
            s3::create_bucket(world, bucket(region), region);
        }
        for region in DATA_REGIONS.into_iter().filter(|region| both_ways || *region == Region::DUBLIN) {
            let destination = bucket(other(region));
            let rule = Rule {
                destination,
                delete_markers: true,
                replica_modifications: true,
                kms_objects: true,
                broken: false,
            };
            s3::set_rule(world, bucket(region), Some(rule));
        }
        for region in DATA_REGIONS {
            let sdk = hardened(&world.sdk(Caller { name: "lab-service".into(), region, invocation: None }));
            let config = aws_sdk_s3::config::Builder::from(&sdk)
                .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
                .retry_config(never_retried())
                .build();
            clients.insert(region, Client::from_conf(config));
        }
        Self { world: world.clone(), clients }
    }
}

impl Store for Buckets {
    fn create<'a>(&'a self, at: Region, key: &'a str, value: &'a str) -> StoreFuture<'a, Created> {
        Box::pin(async move {
            let Some(client) = self.clients.get(&at) else { return Created::Unavailable };
            let body = ByteStream::from(value.as_bytes().to_vec());
            match client.put_object().bucket(bucket(at)).key(key).body(body).send().await {
                Ok(_) => Created::Accepted,
                Err(_) => Created::Unavailable,
            }
        })
    }

    fn read<'a>(&'a self, at: Region, key: &'a str) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let Some(client) = self.clients.get(&at) else { return false };
            match client.head_object().bucket(bucket(at)).key(key).send().await {
                Ok(_) => true,
                // A receipt that is not there is an answer, too.
                Err(error) => error.raw_response().is_some_and(|response| response.status().as_u16() == 404),
            }
        })
    }

    fn contents(&self, region: Region) -> Contents {
        s3::all_versions(&self.world, bucket(region))
    }
}
