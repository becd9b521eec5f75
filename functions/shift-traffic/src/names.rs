//! What customers' resolvers say: each is asked for the service's name as if from near each Region.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use holdfast_aws::https::{Request, send, split};
use holdfast_domain::Region;
use holdfast_domain::promotion::Observed;
use holdfast_domain::traffic::Answers;
use holdfast_domain::traffic::dns::{addresses, question, whose};

use crate::{FUNCTION, Run};

/// A resolver that takes longer has said nothing.
const ANSWER_MAX: Duration = Duration::from_secs(3);

impl Run<'_> {
    /// An answer of each resolver near each Region.
    pub(crate) async fn answers(&self) -> Vec<Answers> {
        let asked = self.traffic.resolvers.iter().map(|resolver| self.answers_of(resolver));
        join_all(asked).await.into_iter().flatten().collect()
    }

    async fn answers_of(&self, resolver: &str) -> Vec<Answers> {
        let regions = &self.traffic.regions;
        let (own, service) = tokio::join!(
            join_all(regions.values().map(|doors| self.ask(resolver, &doors.domain, None))),
            join_all(
                regions
                    .values()
                    .map(|doors| { self.ask(resolver, &self.traffic.service_domain, doors.client_subnet.as_deref()) })
            )
        );
        let own: Result<BTreeMap<Region, BTreeSet<String>>, String> =
            regions.keys().zip(own).map(|(region, own)| Ok((region.clone(), own?))).collect();
        let host = split(resolver).0.trim_start_matches("https://");
        let answers = regions.keys().zip(service).map(|(near, answer)| {
            let found = own.as_ref().map_err(Clone::clone).and_then(|own| Ok(whose(&answer?, own)));
            let (regions, elsewhere) = match found {
                Ok((regions, elsewhere)) => (Observed::Seen(regions), elsewhere),
                Err(why) => (Observed::Unseen { why }, 0),
            };
            Answers { resolver: host.to_owned(), near: near.clone(), regions, elsewhere }
        });
        answers.collect()
    }

    async fn ask(&self, resolver: &str, name: &str, subnet: Option<&str>) -> Result<BTreeSet<String>, String> {
        let url = question(resolver, name, subnet);
        let request = Request {
            caller: FUNCTION,
            method: "GET",
            url: &url,
            headers: vec![("accept", "application/dns-json".to_owned())],
            body: String::new(),
            answer_max: ANSWER_MAX,
        };
        match send(&self.startup.sdk, request).await? {
            (200..=299, body) => addresses(&body),
            (status, _) => Err(format!("HTTP {status}")),
        }
    }
}
