//! What resolvers say: DNS over HTTPS with answers in JSON, as Google's and Cloudflare's give them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::Region;
use crate::region::excerpt;

#[derive(Deserialize)]
struct Message {
    #[serde(rename = "Status")]
    status: u16,
    #[serde(rename = "Answer", default)]
    answer: Vec<Record>,
}

#[derive(Deserialize)]
struct Record {
    #[serde(rename = "type")]
    kind: u16,
    data: String,
}

/// DNS: no error.
const NOERROR: u16 = 0;
/// DNS record types that hold an address.
const A: u16 = 1;
const AAAA: u16 = 28;

/// The address of a question to a resolver, as if asked from `subnet` where there is one.
#[must_use]
pub fn question(resolver: &str, name: &str, subnet: Option<&str>) -> String {
    let subnet = subnet.map(|subnet| format!("&edns_client_subnet={subnet}")).unwrap_or_default();
    format!("{resolver}?name={name}&type=A{subnet}")
}

/// The addresses in a resolver's answer. An answer without any is an answer; an error of DNS is none.
pub fn addresses(json: &[u8]) -> Result<BTreeSet<String>, String> {
    let message: Message = serde_json::from_slice(json)
        .map_err(|problem| format!("the answer cannot be read: {}", excerpt(&problem.to_string())))?;
    if message.status != NOERROR {
        return Err(format!("DNS answers with error {}", message.status));
    }
    let held = message.answer.into_iter().filter(|record| record.kind == A || record.kind == AAAA);
    Ok(held.map(|record| record.data).collect())
}

/// Whose addresses these are: how many of each Region, and how many of neither.
#[must_use]
pub fn whose(addresses: &BTreeSet<String>, own: &BTreeMap<Region, BTreeSet<String>>) -> (BTreeMap<Region, u32>, u32) {
    let (mut regions, mut elsewhere) = (BTreeMap::new(), 0);
    for address in addresses {
        match own.iter().find(|(_, own)| own.contains(address)) {
            Some((region, _)) => *regions.entry(region.clone()).or_insert(0) += 1,
            None => elsewhere += 1,
        }
    }
    (regions, elsewhere)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expected: Result<&[&str], &str>) {
        let found = addresses(json.as_bytes());
        match expected {
            Ok(expected) => assert_eq!(found, Ok(expected.iter().map(|it| (*it).to_owned()).collect())),
            Err(part) => assert!(found.as_ref().is_err_and(|why| why.contains(part)), "{found:?}"),
        }
    }

    #[test]
    fn addresses_are_read_and_aliases_are_passed_over() {
        let cname = r#"{"name":"a.","type":5,"TTL":60,"data":"b."}"#;
        let address = r#"{"name":"b.","type":1,"TTL":60,"data":"10.0.1.1"}"#;
        check(&format!(r#"{{"Status":0,"TC":false,"Answer":[{cname},{address}]}}"#), Ok(&["10.0.1.1"]));
        check(r#"{"Status":0}"#, Ok(&[]));
    }
    #[test]
    fn an_error_of_dns_or_of_the_resolver_is_no_answer() {
        check(r#"{"Status":3}"#, Err("error 3"));
        check("<html>", Err("cannot be read"));
        check(r#"{"Answer":[]}"#, Err("Status"));
    }
    #[test]
    fn an_address_belongs_to_a_region_or_to_neither() {
        let (dublin, london) = (Region::new("eu-west-1").unwrap(), Region::new("eu-west-2").unwrap());
        let set = |items: &[&str]| items.iter().map(|it| (*it).to_owned()).collect::<BTreeSet<String>>();
        let own = BTreeMap::from([(dublin.clone(), set(&["1", "2"])), (london, set(&["3"]))]);
        assert_eq!(whose(&set(&["1", "2", "9"]), &own), (BTreeMap::from([(dublin, 2)]), 1));
    }
    #[test]
    fn a_question_names_where_it_is_asked_from() {
        assert_eq!(question("https://r/q", "a.b", None), "https://r/q?name=a.b&type=A");
        assert_eq!(
            question("https://r/q", "a.b", Some("52.208.0.0/13")),
            "https://r/q?name=a.b&type=A&edns_client_subnet=52.208.0.0/13"
        );
    }
}
