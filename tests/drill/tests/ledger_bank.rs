//! reconcile-ledger and the files beside the providers' reports: the bank's statements, and the clearing files of the schemes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use drill::deployment::{Deployment, Setup, TABLE, deploy};
use holdfast_domain::reconciliation::Payout;
use holdfast_payments::service::bucket;
use holdfast_world::dynamodb::all_items;
use holdfast_world::{Region, s3};
use serde_json::{Value, json};

/// Runs a story in a quiet installation.
fn quiet<F: Future<Output = ()>>(story: impl FnOnce(Deployment) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let setup = Setup { readers: false, payments_until: Duration::ZERO, ..Setup::standard(1) };
        story(deploy(&setup)).await;
    });
}

async fn settle(deployment: &Deployment, key: &str, file: impl Into<Vec<u8>>) -> Result<Value, String> {
    let file: Vec<u8> = file.into();
    s3::put_object(&deployment.world, bucket(Region::LONDON), key, file.into()).unwrap();
    let request = json!({"action": "reconcile", "pass": "clearing", "object": key}).to_string();
    deployment.world.invoke(Region::LONDON, reconcile_ledger::FUNCTION, request.into()).await
}

fn found(answer: &Value) -> &Value {
    &answer["summary"]["finding"]["complete"]
}

fn payouts(deployment: &Deployment) -> Vec<Payout> {
    let items = all_items(&deployment.world, TABLE);
    let ours = items.iter().filter(|item| item["pk"]["S"] == "payout#payments-global");
    ours.map(|item| serde_json::from_str(item["body"]["S"].as_str().unwrap()).unwrap()).collect()
}

/// Two payouts: one with a row of its own, one that is only the sum of what its payments leave.
const STRIPE: &str = "source_id,reporting_category,created_utc,available_on_utc,currency,gross,fee,net,automatic_payout_id,payment_metadata[attempt_key]
ch_1,charge,2026-11-20 09:00:00,2026-11-20 09:00:00,eur,100.00,2.00,98.00,po_first,k1
po_first,payout,2026-11-20 12:00:00,2026-11-20 12:00:00,eur,-98.00,0.00,-98.00,po_first,
ch_2,charge,2026-11-20 10:00:00,2026-11-20 10:00:00,eur,50.00,1.005,48.995,po_second,k2
ch_3,charge,2026-11-20 10:00:00,2026-11-20 10:00:00,eur,10.00,0.005,9.995,po_second,k3
";

fn entry(reference: &str, amount: &str, day: &str) -> String {
    format!(
        "<Ntry><Amt Ccy=\"EUR\">{amount}</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>BOOK</Sts><BookgDt><Dt>{day}</Dt></BookgDt><NtryDtls><TxDtls><Refs><EndToEndId>{reference}</EndToEndId></Refs></TxDtls></NtryDtls></Ntry>"
    )
}

fn notification(entries: &[String]) -> String {
    format!(
        "<Document><BkToCstmrDbtCdtNtfctn><Ntfctn><Id>N1</Id>{}</Ntfctn></BkToCstmrDbtCdtNtfctn></Document>",
        entries.concat()
    )
}

fn statement(opens: &str, closes: &str, entries: &[String]) -> String {
    let balance = |code: &str, amount: &str| {
        format!(
            "<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp><Amt Ccy=\"EUR\">{amount}</Amt><CdtDbtInd>CRDT</CdtDbtInd></Bal>"
        )
    };
    format!(
        "<Document><BkToCstmrStmt><Stmt><Id>S1</Id>{}{}{}</Stmt></BkToCstmrStmt></Document>",
        balance("OPBD", opens),
        balance("CLBD", closes),
        entries.concat()
    )
}

#[test]
fn a_payout_is_carried_from_statement_to_statement_until_the_bank_has_it() {
    quiet(|deployment| async move {
        settle(&deployment, "holdfast/clearing/stripe/a.csv", STRIPE).await.unwrap();
        let known: Vec<(String, i64)> =
            payouts(&deployment).into_iter().map(|it| (it.reference, it.amount_minor)).collect();
        assert_eq!(
            known,
            [("po_first".to_owned(), 9800), ("po_second".to_owned(), 5899)],
            "added up whole, rounded once"
        );

        let first = notification(&[entry("po_first", "98.00", "2026-11-21"), entry("rent", "700.00", "2026-11-21")]);
        let answer = settle(&deployment, "holdfast/clearing/bank/1.xml", first).await.unwrap();
        assert_eq!((&found(&answer)["others"], &found(&answer)["balanced"]), (&json!({}), &json!(true)), "{answer}");
        assert_eq!(
            found(&answer)["balance"],
            json!(["paid out EUR 156.99 = at the bank EUR 98.00 + on its way EUR 58.99 + overdue EUR 0.00"])
        );

        let later = notification(&[entry("rent", "700.00", "2026-11-27")]);
        let answer = settle(&deployment, "holdfast/clearing/bank/2.xml", later).await.unwrap();
        assert_eq!(found(&answer)["others"], json!({"PayoutOverdue": 1}), "{answer}");
        assert_eq!(found(&answer)["balanced"], false);
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert!(deployment.world.inbox().iter().any(|it| it.message.contains("PayoutOverdue")), "nobody was told");

        let last = statement("10.00", "68.99", &[entry("po_second", "58.99", "2026-11-28")]);
        let answer = settle(&deployment, "holdfast/clearing/bank/3.xml", last).await.unwrap();
        assert_eq!((&found(&answer)["others"], &found(&answer)["balanced"]), (&json!({}), &json!(true)), "{answer}");
        assert!(payouts(&deployment).iter().all(|payout| payout.arrived.is_some()));
        // Nothing is open any more, and no statement brings it back.
        let more = notification(&[entry("po_second", "58.99", "2026-11-29")]);
        let answer = settle(&deployment, "holdfast/clearing/bank/4.xml", more).await.unwrap();
        assert_eq!(found(&answer)["balance"], json!([]), "{answer}");
    });
}

#[test]
fn a_payout_of_another_amount_is_told_with_what_is_missing() {
    quiet(|deployment| async move {
        settle(&deployment, "holdfast/clearing/stripe/a.csv", STRIPE).await.unwrap();
        let file = notification(&[entry("po_first", "97.00", "2026-11-21")]);
        let answer = settle(&deployment, "holdfast/clearing/bank/1.xml", file).await.unwrap();
        assert_eq!(found(&answer)["others"], json!({"PayoutOfOtherAmount": 1}), "{answer}");
        let balance = found(&answer)["balance"][0].as_str().unwrap();
        assert!(balance.ends_with("and EUR 1.00 more"), "{balance}");
    });
}

#[test]
fn a_statement_that_does_not_add_up_is_put_aside_and_nothing_of_it_is_used() {
    quiet(|deployment| async move {
        settle(&deployment, "holdfast/clearing/stripe/a.csv", STRIPE).await.unwrap();
        let file = statement("10.00", "99.00", &[entry("po_first", "98.00", "2026-11-21")]);
        let answer = settle(&deployment, "holdfast/clearing/bank/1.xml", file).await.unwrap();
        assert_eq!(answer["done"], "put aside", "{answer}");
        assert!(payouts(&deployment).iter().all(|payout| payout.arrived.is_none()));
    });
}

#[test]
fn clearing_files_of_the_schemes_are_read_by_their_folder() {
    let samples: [(&str, &[u8]); 3] = [
        ("mastercard/a.ipm", include_bytes!("../../../shared/settlement/tests/samples/ipm/t112_ascii_vbs.ipm")),
        ("mastercard-1014/b.ipm", include_bytes!("../../../shared/settlement/tests/samples/ipm/t112_ebcdic_1014.ipm")),
        ("visa/c.ctf", include_bytes!("../../../shared/settlement/tests/samples/visa-ctf/base2.ctf")),
    ];
    quiet(|deployment| async move {
        for (name, bytes) in samples {
            let answer = settle(&deployment, &format!("holdfast/clearing/{name}"), bytes).await.unwrap();
            let alone = found(&answer)["others"]["NetworkOnly"].as_u64().unwrap_or(0);
            assert!(alone > 0, "{name}: the ledger has none of it: {answer}");
            let cut =
                settle(&deployment, &format!("holdfast/clearing/{name}-cut"), &bytes[..bytes.len() / 2]).await.unwrap();
            assert_eq!(cut["done"], "put aside", "{name}: {cut}");
        }
        let unknown = settle(&deployment, "holdfast/clearing/amex/a.csv", "x").await.unwrap_err();
        assert!(unknown.contains("mastercard (VBS), mastercard-1014 (blocked), visa; or bank"), "{unknown}");
    });
}
