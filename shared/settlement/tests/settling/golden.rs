//! Seeded losses, doubles and mismatches in large worlds: found to the last one, and nothing else.

use std::collections::BTreeMap;

use fastrand::Rng;
use holdfast_settlement::record::{Kind, Record, Side};
use holdfast_settlement::{Limits, Method};

use crate::common::{DAY, World, at, attempt, currency, methods, policy, record};

/// What must be found: the break's name and the network's reference.
type Truth = BTreeMap<(&'static str, String), usize>;

struct Builder {
    rng: Rng,
    world: World,
    truth: Truth,
}

const CURRENCIES: [&str; 4] = ["EUR", "GBP", "JPY", "KWD"];

impl Builder {
    fn expect(&mut self, what: &'static str, event: &str) {
        *self.truth.entry((what, event.to_owned())).or_default() += 1;
    }

    fn both(&self, kind: Kind, event: &str, key: &str, amount: i64, code: &str, second: i64) -> (Record, Record) {
        let of = |side| {
            let mut record = record(side, kind, event, key, amount, code);
            record.booked_at = Some(at(second));
            record
        };
        let mut network = of(Side::Network);
        network.group_ref = format!("pay-{key}");
        (of(Side::Ledger), network)
    }

    fn mark(&mut self, key: &str, reference: Option<&str>, amount: i64, code: &str, second: i64) {
        let mut mark = attempt(key, reference, amount, second);
        mark.currency = currency(code);
        self.world.attempts.push(mark);
    }

    /// One payment with one defect, or none.
    fn payment(&mut self, n: usize, defect: usize) {
        let (event, key) = (format!("ev{n}"), format!("key{n}"));
        let amount = self.rng.i64(100..1_000_000);
        let code = CURRENCIES[self.rng.usize(..CURRENCIES.len())];
        let second = self.rng.i64(0..DAY - 100);
        let (l, n_row) = self.both(Kind::Capture, &event, &key, amount, code, second);
        let ours = self.rng.bool();
        match defect {
            0 => {
                // Lost, cleared, and marked.
                self.world.network.push(n_row);
                self.mark(&key, Some(&event), amount, code, second);
                self.expect("LostInFailover", &event);
            }
            1 => {
                self.world.network.push(n_row);
                self.expect("NetworkOnly", &event);
            }
            2 => {
                self.world.ledger.push(l);
                self.expect("LedgerOnly", &event);
            }
            3 => {
                self.world.ledger.push(l);
                let mut again = n_row.clone();
                again.event_ref = format!("again{n}");
                again.group_ref = format!("again-pay{n}");
                again.booked_at = Some(at(second + 60));
                self.world.network.extend([n_row, again]);
                self.expect("DuplicateCharge", &format!("again{n}"));
            }
            4 => {
                let mut other = n_row;
                other.amount_minor += self.rng.i64(1..99);
                self.world.ledger.push(l);
                self.world.network.push(other);
                self.expect("AmountMismatch", &event);
            }
            5 => {
                let mut other = n_row;
                other.currency = currency(if code == "EUR" { "USD" } else { "EUR" });
                self.world.ledger.push(l);
                self.world.network.push(other);
                self.expect("CurrencyMismatch", &event);
            }
            6 => {
                let mut other = n_row;
                (other.kind, other.amount_minor) = (Kind::Refund, -other.amount_minor);
                self.world.ledger.push(l);
                self.world.network.push(other);
                self.expect("StatusMismatch", &event);
            }
            7 => {
                self.world.ledger.extend([l.clone(), l]);
                self.world.network.push(n_row);
                self.expect("DuplicateBooking", &event);
            }
            8 => {
                self.world.ledger.push(l);
                self.world.network.extend([n_row.clone(), n_row]);
                self.expect("RepeatedByNetwork", &event);
            }
            9 => {
                let mut late = l;
                late.booked_at = Some(at(DAY + 60));
                self.world.ledger.push(late);
                self.expect("NotKnowableBefore", &event);
            }
            10 => {
                // Begun, and nobody has anything: after the cut-off it was never charged.
                self.mark(&key, None, amount, code, second);
                self.expect("NeverCharged", "");
            }
            11 => {
                // The ledger does not know the reference.
                let nameless = Record { event_ref: String::new(), ..l };
                self.world.ledger.push(nameless);
                self.world.network.push(n_row);
            }
            12 => {
                // Two parts for one booking that keeps the payment's reference.
                let whole = Record { event_ref: format!("pay-{key}"), ..l };
                let mut parts = [n_row.clone(), n_row];
                parts[0].amount_minor = amount / 3;
                parts[1].amount_minor = amount - amount / 3;
                parts[1].event_ref = format!("{event}b");
                self.world.ledger.push(whole);
                self.world.network.extend(parts);
            }
            _ => {
                self.world.ledger.push(l);
                self.world.network.push(n_row);
                if ours {
                    self.mark(&key, None, amount, code, second);
                    self.mark(&key, Some(&event), amount, code, second);
                }
                if self.rng.u8(..) < 30 {
                    let (l, n_row) = self.both(Kind::Refund, &format!("{event}r"), &key, -amount, code, second + 50);
                    self.world.ledger.push(l);
                    self.world.network.push(n_row);
                }
            }
        }
    }
}

fn build(seed: u64, payments: usize, broken_percent: usize) -> (World, Truth) {
    let world = World { ledger: vec![], network: vec![], attempts: vec![] };
    let mut builder = Builder { rng: Rng::with_seed(seed), world, truth: Truth::new() };
    for n in 0..payments {
        let broken = builder.rng.usize(..100) < broken_percent;
        let defect = if broken { builder.rng.usize(..13) } else { usize::MAX };
        builder.payment(n, defect);
    }
    let Builder { mut rng, mut world, truth } = builder;
    rng.shuffle(&mut world.ledger);
    rng.shuffle(&mut world.network);
    rng.shuffle(&mut world.attempts);
    (world, truth)
}

#[track_caller]
fn check(seed: u64, world: &World, truth: &Truth, method: Method, limits: Limits) {
    let found = world.run(policy(), method, limits);
    let mut said = Truth::new();
    for one in &found.breaks {
        *said.entry((one.what.name(), one.event_ref.clone())).or_default() += 1;
    }
    assert_eq!(&said, truth, "seed {seed}, {method:?}");
    for line in &found.conservation {
        assert_eq!(line.unexplained_minor, 0, "seed {seed}, {method:?}: {line}");
        let why: i128 = line.because.iter().map(|reason| reason.sum_minor).sum();
        assert_eq!(line.residual_minor, why, "seed {seed}, {method:?}: {line}");
        let only = ["NotKnowableBefore", "RepeatedByNetwork"];
        assert!(line.because.iter().all(|reason| only.contains(&reason.what)), "seed {seed}, {method:?}: {line}");
    }
}

#[test]
fn every_seeded_break_is_found_and_nothing_else() {
    for seed in 0..40 {
        let (world, truth) = build(seed, 400, 40);
        for (method, limits) in methods() {
            check(seed, &world, &truth, method, limits);
        }
    }
}

#[test]
fn rare_breaks_in_a_large_world_are_found_by_every_method() {
    let (world, truth) = build(7, 30_000, 1);
    assert!(truth.values().sum::<usize>() > 200);
    for (method, limits) in methods() {
        check(7, &world, &truth, method, limits);
    }
    check(
        7,
        &world,
        &truth,
        Method::Sketch { bucket_bits: 16, dirty_percent_max: 10 },
        Limits { memory_bytes: 1 << 24, ..Limits::default() },
    );
}
