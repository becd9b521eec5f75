//! Public resolvers: DNS over HTTPS with answers in JSON, kept for as long as their time to live says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use serde_json::json;
use tokio::time::Instant;

use super::Resolution;
use crate::region::Region;
use crate::service::respond;
use crate::world::World;

/// Networks near the data Regions, as a client's subnet is given to a resolver.
pub const SUBNETS: [(Region, &str); 2] = [(Region::DUBLIN, "52.208.0.0/13"), (Region::LONDON, "35.176.0.0/15")];

/// What resolvers know, and for how long.
type Kept = Arc<Mutex<BTreeMap<(String, Region), (Resolution, Instant)>>>;

/// The address of a Region's load balancer.
#[must_use]
pub fn address(region: Region) -> &'static str {
    match () {
        () if region == Region::DUBLIN => "203.0.113.1",
        () if region == Region::LONDON => "203.0.113.2",
        () => "203.0.113.3",
    }
}

impl World {
    /// Starts a resolver that answers `service` by policy and health, and each Region's own name always.
    pub fn serve_resolver(&self, host: &str, path: &'static str, service: &str, own: BTreeMap<String, Region>) {
        let (world, service, kept) = (self.clone(), service.to_owned(), Kept::default());
        self.serve_host(
            host,
            Region::INTERNET,
            Arc::new(move |request| {
                let answer = answered(&world, path, &service, &own, &kept, &request);
                Box::pin(async move { answer })
            }),
        );
    }
}

fn answered(
    world: &World,
    path: &str,
    service: &str,
    own: &BTreeMap<String, Region>,
    kept: &Kept,
    request: &http::Request<Bytes>,
) -> http::Response<Bytes> {
    if request.uri().path() != path {
        return respond(404, "text/plain", "not found");
    }
    let query: BTreeMap<String, String> =
        form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()).into_owned().collect();
    let name = query.get("name").map(String::as_str).unwrap_or_default();
    let subnet = query.get("edns_client_subnet").map(String::as_str);
    let near = SUBNETS.iter().find(|(_, known)| Some(*known) == subnet).map_or(Region::DUBLIN, |(region, _)| *region);
    let region = match own.get(name) {
        Some(region) => Some(*region),
        None if name == service => resolved(world, near, kept, name),
        None => None,
    };
    let question = json!([{"name": format!("{name}."), "type": 1}]);
    let body = match region {
        None => {
            json!({"Status": 3, "TC": false, "RD": true, "RA": true, "AD": false, "CD": false, "Question": question})
        }
        Some(region) => json!({
            "Status": 0, "TC": false, "RD": true, "RA": true, "AD": false, "CD": false, "Question": question,
            "Answer": [{"name": format!("{name}."), "type": 1, "TTL": 60, "data": address(region)}],
        }),
    };
    respond(200, "application/dns-json", body.to_string())
}

/// What the resolver has kept, or asks Route 53 for.
fn resolved(world: &World, near: Region, kept: &Kept, name: &str) -> Option<Region> {
    let now = Instant::now();
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (name.to_owned(), near);
    if let Some((answer, until)) = kept.get(&key)
        && now < *until
    {
        return Some(answer.region);
    }
    let answer = world.resolve(near)?;
    let region = answer.region;
    let until = now + answer.ttl;
    kept.insert(key, (answer, until));
    Some(region)
}
