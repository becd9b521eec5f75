//! Every parser of outside bytes, fed with seeded damage to every sample: the same inputs in every run, on stable Rust.
//!
//! The properties are those of the fuzz targets (`make fuzz`), which search longer and by coverage.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::disallowed_methods, reason = "the test reads the samples; the crate reads nothing")]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

#[path = "../../../tests/fuzz/properties.rs"]
pub mod properties;

#[path = "fuzz/damage.rs"]
mod damage;

use damage::{Damage, damaged};

/// Inputs for each target in one run.
const INPUTS: u64 = 3000;

/// Every file below a folder of the repository, sorted, so that a seed means the same everywhere.
fn samples(folder: &str) -> Vec<Vec<u8>> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder)];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// The stored things inside the samples: an event's detail, an incident, an order.
fn parts(samples: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let places = ["/detail", "/detail/incident", "/incident", "/incident/order", "/topology", "/policy"];
    let json = samples.iter().filter_map(|sample| serde_json::from_slice::<serde_json::Value>(sample).ok());
    json.flat_map(|json| places.map(|place| json.pointer(place).map(|part| part.to_string().into_bytes())))
        .flatten()
        .collect()
}

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = samples("events");
    seeds.extend(samples("tests/fuzz/seeds"));
    seeds.extend(parts(&seeds));
    assert!(seeds.len() > 40, "only {} samples were found", seeds.len());
    seeds
}

/// Holds a property against every seed as it is and against `INPUTS` damaged ones; at least `taken_min` must get past the parser.
#[track_caller]
fn hold(property: fn(&[u8]) -> bool, seeds: &[Vec<u8>], taken_min: usize) {
    let mut taken = 0;
    for seed in seeds {
        taken += usize::from(holds(property, seed, "a sample as it is"));
    }
    for number in 0..INPUTS {
        let input = damaged(seeds, &mut Damage::new(number));
        taken += usize::from(holds(property, &input, &format!("input {number}")));
    }
    assert!(taken >= taken_min, "only {taken} inputs were taken for something: the rest proves little");
}

/// Shows the input when the property fails, as bytes to paste and as text to read.
fn holds(property: fn(&[u8]) -> bool, input: &[u8], name: &str) -> bool {
    catch_unwind(AssertUnwindSafe(|| property(input))).unwrap_or_else(|failure| {
        let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
        eprintln!("{name} fails\nhex:  {hex}\ntext: {}", String::from_utf8_lossy(input).escape_debug());
        resume_unwind(failure)
    })
}

#[test]
fn whatever_starts_a_function_is_named_or_refused_in_one_line() {
    hold(properties::trigger, &seeds(), 300);
}

#[test]
fn whatever_an_installation_is_told_is_valid_or_refused_with_field_and_fix() {
    let is_whole = |seed: &Vec<u8>| seed.windows(8).any(|it| it == b"topology");
    hold(properties::config, &seeds().into_iter().filter(is_whole).collect::<Vec<_>>(), 150);
}

#[test]
fn whatever_is_read_back_can_be_written_again_and_told() {
    let mut stored = parts(&seeds());
    stored.extend(samples("tests/fuzz/seeds"));
    hold(properties::records, &stored, 250);
}

#[test]
fn whatever_is_taken_for_a_name_prints_as_it_was_read() {
    let names = [
        "eu-west-1",
        "us-gov-west-1",
        "arn:aws:rds:eu-west-2:123456789012:cluster:payments-eu-west-2",
        "arn:aws-us-gov:rds:us-gov-west-1:123456789012:cluster:payments",
        "arn:aws:sns:eu-west-2:123456789012:holdfast-pages",
        "https://eu-west-1.payments.example.com/healthz",
        "EUR",
        "JPY170141183460469231731687303715884105727",
        "KWD-170141183460469231731687303715884105728",
        "2027-06-30T00:00:00Z",
        "auto",
    ];
    hold(properties::names, &names.map(|name| name.as_bytes().to_vec()), 300);
}
