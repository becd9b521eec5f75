//! What a run refuses, how it stops, and what it may use.

use holdfast_settlement::format::adyen::{Identity, SettlementDetails};
use holdfast_settlement::format::camt::BankMessage;
use holdfast_settlement::format::ledger::LedgerRows;
use holdfast_settlement::format::stripe::Itemized;
use holdfast_settlement::format::{Fetch, PaidOut, Rows};
use holdfast_settlement::{
    Go, Limits, Method, Policy, Progress, Reconciliation, Report, RunError, Scope, Seekable, Settlement, Streamed,
};

use crate::common::{World, ledger, methods, network, policy, source};

const ADYEN: &[u8] = include_bytes!("../samples/adyen-settlement.csv");
const STRIPE: &[u8] = include_bytes!("../samples/stripe-itemized.csv");
const CAMT: &[u8] = include_bytes!("../samples/camt053.xml");

fn run(of: &Reconciliation<'_>) -> Result<Settlement, RunError> {
    match of.run(&mut |_| Go::On)? {
        Report::Complete(settlement) => Ok(settlement),
        Report::Unknown { why, .. } => panic!("nobody stopped it: {why}"),
    }
}

fn adyen(name: &str, file: &'static [u8]) -> Seekable<'static> {
    let named = name.to_owned();
    Seekable::new(name, move || {
        Ok(Box::new(SettlementDetails::open(&named, std::io::Cursor::new(file), Identity::Modification)?)
            as Box<dyn Fetch>)
    })
}

#[test]
fn files_are_settled_from_their_text() {
    let books = b"attempt_key,network_reference,kind,amount_minor,currency,booked_at\n\
        order-1,MOD0001,capture,4346,EUR,2026-10-15 14:07:09+00\n\
        order-1,MOD0003,refund,-1000,EUR,2026-10-16 07:00:00+00\n\
        order-3,MOD0004,chargeback,-500,EUR,2026-10-16 07:30:00+00\n";
    for (method, limits) in methods() {
        let books = Seekable::new("ledger", || {
            Ok(Box::new(LedgerRows::open("ledger", std::io::Cursor::new(&books[..]))?) as Box<dyn Fetch + '_>)
        });
        let found = run(&Reconciliation::new(policy())
            .method(method)
            .limits(limits)
            .ledger(books)
            .network(adyen("adyen", ADYEN)));
        let found = found.unwrap();
        let said: Vec<String> = found.breaks.iter().map(ToString::to_string).collect();
        assert_eq!(said, ["capture of EUR 15.99 (MOD0002, key order-2, the \"blue\" one): only the network has it"]);
        assert_eq!(found.breaks[0].evidence[0].1.line, 3);
        let mut csv = Vec::new();
        found.write_breaks_csv(&mut csv).unwrap();
        let csv = String::from_utf8(csv).unwrap();
        assert!(csv.lines().nth(1).unwrap().starts_with("NetworkOnly,capture,1599,EUR,MOD0002,"), "{csv}");
        assert_eq!(
            found.conservation[0].to_string(),
            "ledger EUR 28.46 + proposed EUR 15.99 = network EUR 44.45",
            "the fee and the payout are not payments"
        );
    }
}

#[test]
fn the_payout_is_found_on_the_banks_statement() {
    let payouts = Streamed::new("stripe", || {
        let rows = Itemized::open("stripe", STRIPE, "idempotency_key")?;
        Ok(Box::new(PaidOut::new(rows)) as Box<dyn Rows>)
    });
    let bank = Streamed::new("bank", || Ok(Box::new(BankMessage::open("bank", CAMT)) as Box<dyn Rows>));
    let scope = Policy { scope: Scope::Payouts, ..policy() };
    let found = run(&Reconciliation::new(scope).ledger(payouts).network(bank)).unwrap();
    let said: Vec<String> = found.breaks.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 3, "the other entries of the statement are nobody's payouts: {said:?}");
    assert!(said.iter().all(|sentence| !sentence.contains("po_1")));
}

#[test]
fn the_same_file_twice_is_refused_and_so_is_one_that_was_settled_before() {
    let twice = Reconciliation::new(policy()).network(adyen("monday", ADYEN)).network(adyen("copy of monday", ADYEN));
    assert_eq!(
        run(&twice).unwrap_err().to_string(),
        "copy of monday has the same 6 records as monday: one file was given twice; leave one out"
    );
    let once = run(&Reconciliation::new(policy()).network(adyen("monday", ADYEN))).unwrap();
    let again =
        Reconciliation::new(policy()).network(adyen("tuesday", ADYEN)).settled_before(once.sources[0].digest, "monday");
    assert_eq!(
        run(&again).unwrap_err().to_string(),
        "tuesday has the same records as monday, which was settled before; leave it out"
    );
}

#[test]
fn a_broken_file_gives_no_report_at_all() {
    let cut: &'static [u8] = &ADYEN[..ADYEN.len() - 40];
    let broken = Reconciliation::new(policy()).network(adyen("cut", cut));
    assert!(matches!(run(&broken), Err(RunError::Source(error)) if error.line == 7));
}

#[test]
fn a_run_that_is_cut_short_is_unknown_and_says_where_to_go_on() {
    let rows: Vec<_> = (0..200_000).map(|n| ledger(&format!("e{n}"), "", n)).collect();
    for (method, limits) in methods() {
        let run = Reconciliation::new(policy()).method(method).limits(limits).ledger(source("ledger", &rows));
        let stop = |progress: Progress<'_>| {
            if progress.rows_done >= 131_072 { Go::Stop("the time is up".to_owned()) } else { Go::On }
        };
        let report = run.run(&mut { stop }).unwrap();
        let Report::Unknown { why, resume } = &report else { panic!("it was stopped") };
        assert_eq!((why.as_str(), resume.source.as_str(), resume.rows_done), ("the time is up", "ledger", 131_072));
        assert_eq!(resume.position.line, 131_072);
        let json = serde_json::to_string(&report).unwrap();
        assert!(json.starts_with(r#"{"verdict":"unknown""#) && !json.contains("breaks"), "{json}");
    }
}

/// Every reading of the sources begins at nothing and ends at all of it; what a source does not say is unknown.
#[test]
fn a_reading_says_how_many_bytes_it_has_behind_it() {
    let book: String = (0..70_000).map(|n| format!("k{n},e{n},capture,100,EUR,2026-10-14T08:00:00Z\n")).collect();
    let book = format!("attempt_key,network_reference,kind,amount_minor,currency,booked_at\n{book}");
    let size = book.len() as u64;
    let read = |name: &'static str| {
        Streamed::new(name, || Ok(Box::new(LedgerRows::open(name, book.as_bytes())?) as Box<dyn Rows>))
    };
    let said = |sources: [Streamed<'_>; 2]| {
        let [ledger, network] = sources;
        let mut said = Vec::new();
        let (method, limits) = methods()[2].clone();
        let run = Reconciliation::new(policy()).method(method).limits(limits).ledger(ledger).network(network);
        run.run(&mut |it| {
            said.push((it.pass, it.source.to_owned(), it.bytes));
            Go::On
        })
        .unwrap();
        said
    };
    let known = said([read("ledger").of_bytes(size), read("network").of_bytes(size)]);
    for pass in [1, 2] {
        let of_pass: Vec<_> =
            known.iter().filter(|(of, ..)| *of == pass).map(|(_, name, bytes)| (name, bytes)).collect();
        let [(_, first), (_, inside), (name, second), (_, last)] = of_pass.as_slice() else { panic!("{of_pass:?}") };
        assert_eq!((**first, name.as_str(), **second), (Some((0, 2 * size)), "network", Some((size, 2 * size))));
        let (inside, last) = (inside.unwrap().0, last.unwrap().0);
        assert!(size * 9 / 10 < inside && inside < size && inside + size == last, "{known:?}");
    }
    let half = said([read("ledger").of_bytes(size), read("network")]);
    assert!(half.iter().all(|(.., bytes)| bytes.is_none()), "{half:?}");
}

#[test]
fn what_does_not_fit_and_what_hardly_matches_are_errors() {
    let rows: Vec<_> = (0..5_000).map(|n| ledger(&format!("e{n}"), "", n)).collect();
    let world = |limits: Limits| Reconciliation::new(policy()).limits(limits).ledger(source("ledger", &rows));
    let small = Limits { memory_bytes: 1, ..Limits::default() };
    assert!(matches!(run(&world(small)), Err(RunError::Spill(_))));
    let strict = Limits { memory_bytes: 1 << 20, residue_rows_max: 100, ..Limits::default() };
    assert!(matches!(run(&world(strict)), Err(RunError::HardlyAnythingMatches { allowed: 100 })));
}

#[test]
fn a_sketch_of_sides_that_hardly_match_falls_back_to_sorting() {
    let world = World {
        ledger: (0..500).map(|n| ledger(&format!("l{n}"), "", n)).collect(),
        network: (0..500).map(|n| network(&format!("n{n}"), "", n)).collect(),
        attempts: vec![],
    };
    let limits = Limits { memory_bytes: 1 << 20, ..Limits::default() };
    let mut passes = 0;
    let run = Reconciliation::new(policy())
        .method(Method::Sketch { bucket_bits: 8, dirty_percent_max: 10 })
        .limits(limits.clone())
        .ledger(source("ledger", &world.ledger))
        .network(source("network", &world.network));
    let report = run.run(&mut |progress| {
        passes = passes.max(progress.pass);
        Go::On
    });
    let Ok(Report::Complete(sketched)) = report else { panic!("it ran") };
    let sorted = world.run(policy(), Method::Sort, limits);
    assert_eq!(sketched.breaks, sorted.breaks);
    assert_eq!((sketched.conservation, passes), (sorted.conservation, 2));
}
