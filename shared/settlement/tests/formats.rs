//! Every format is read as its provider documents it, and every broken file is named with its place.

use holdfast_settlement::format::adyen::{Identity, SettlementDetails};
use holdfast_settlement::format::camt::BankMessage;
use holdfast_settlement::format::ctf::BaseTwo;
use holdfast_settlement::format::ipm::{Clearing, Container};
use holdfast_settlement::format::ledger::LedgerRows;
use holdfast_settlement::format::mapping::{CHECKOUT, Mapped, Mapping, PAYPAL};
use holdfast_settlement::format::stripe::Itemized;
use holdfast_settlement::format::{FormatError, OfDays, Rows, read_all};
use holdfast_settlement::record::Record;

const ADYEN: &str = include_str!("samples/adyen-settlement.csv");
const STRIPE: &str = include_str!("samples/stripe-itemized.csv");
const CHECKOUT_FILE: &str = include_str!("samples/checkout-settlement-breakdown.csv");
const PAYPAL_FILE: &str = include_str!("samples/paypal-settlement.csv");
const CAMT_053: &str = include_str!("samples/camt053.xml");
const CAMT_054: &str = include_str!("samples/camt054.xml");
const CTF: &[u8] = include_bytes!("samples/visa-ctf/base2.ctf");
const IPM_ASCII: &[u8] = include_bytes!("samples/ipm/t112_ascii_vbs.ipm");
const IPM_EBCDIC: &[u8] = include_bytes!("samples/ipm/t112_ebcdic_1014.ipm");

/// Kind, amount, event, group, key and time of a record in one line.
fn line(record: &Record) -> String {
    let time = record.time().map_or("-".to_owned(), |at| at.to_string());
    let amount = record.currency.display(record.amount_minor.into());
    let said = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    let [event, group, key] = [&record.event_ref, &record.group_ref, &record.merchant_ref].map(|text| said(text));
    format!("{} {amount} | {event} | {group} | {key} | {time}", record.kind)
}

fn open<'a>(format: &str, bytes: &'a [u8]) -> Result<Box<dyn Rows + 'a>, FormatError> {
    Ok(match format {
        "adyen" => Box::new(SettlementDetails::open("f", bytes, Identity::Modification)?),
        "stripe" => Box::new(Itemized::open("f", bytes, "idempotency_key")?),
        "checkout" => Box::new(Mapped::open("f", bytes, &Mapping::parse(CHECKOUT).expect("it is ours"))?),
        "paypal" => Box::new(Mapped::open("f", bytes, &Mapping::parse(PAYPAL).expect("it is ours"))?),
        "camt" => Box::new(BankMessage::open("f", bytes)),
        "ipm" => Box::new(Clearing::open("f", bytes, Container::Vbs)),
        "ipm-1014" => Box::new(Clearing::open("f", bytes, Container::Blocked1014)),
        "ctf" => Box::new(BaseTwo::open("f", bytes)),
        "ledger" => Box::new(LedgerRows::open("f", bytes)?),
        other => panic!("no format {other}"),
    })
}

#[track_caller]
fn check(format: &str, file: &[u8], expected: &[&str], findings: &[&str]) {
    let mut rows = open(format, file).expect("the header is whole");
    let records = read_all(&mut rows).expect("the file is whole");
    assert_eq!(records.iter().map(line).collect::<Vec<_>>(), expected);
    assert_eq!(rows.findings().iter().map(ToString::to_string).collect::<Vec<_>>(), findings);
}

#[track_caller]
fn refuse(format: &str, file: &[u8], expected: &str) {
    let read = open(format, file).and_then(|mut rows| read_all(&mut rows));
    let error = read.expect_err("the file is broken");
    assert_eq!(error.to_string(), expected);
}

const ADYEN_RECORDS: [&str; 6] = [
    "capture EUR 43.46 | MOD0001 | PSP0001 | order-1 | 2026-10-15T14:07:09Z",
    "capture EUR 15.99 | MOD0002 | PSP0002 | order-2, the \"blue\" one | 2026-10-15T14:08:00Z",
    "refund EUR -10.00 | MOD0003 | PSP0001 | order-1 | 2026-10-16T07:00:00Z",
    "chargeback EUR -5.00 | MOD0004 | PSP0003 | order-3 | 2026-10-16T07:30:00Z",
    "fee EUR -1.65 | Transaction Fees October | - | - | 2026-10-16T08:00:00Z",
    "payout EUR -27.00 | - | - | TX1,HarbourEU batch 41 | 2026-10-16T09:00:00Z",
];

#[test]
fn adyens_report_is_read_and_its_batch_adds_up() {
    check("adyen", ADYEN.as_bytes(), &ADYEN_RECORDS, &[]);
}

#[test]
fn adyens_columns_are_found_by_name_in_any_order_and_behind_a_byte_order_mark() {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(ADYEN.as_bytes());
    let mut writer = csv::Writer::from_writer(b"\xef\xbb\xbf".to_vec());
    for row in reader.records() {
        let mut fields: Vec<String> = row.unwrap().iter().map(str::to_owned).collect();
        fields.reverse();
        writer.write_record(&fields).unwrap();
    }
    check("adyen", &writer.into_inner().unwrap(), &ADYEN_RECORDS, &[]);
}

#[test]
fn adyens_fees_are_exact() {
    let records = read_all(&mut open("adyen", ADYEN.as_bytes()).unwrap()).unwrap();
    let fees: Vec<String> = records.iter().filter_map(|record| record.fee).map(|fee| fee.to_string()).collect();
    assert_eq!(fees, ["0.50", "0.2", "0.1", "15", "0", "0"]);
}

#[test]
fn a_batch_that_was_not_paid_out_as_it_sums_is_a_finding() {
    let file = ADYEN.replace("EUR,27.00", "EUR,26.99");
    let mut rows = open("adyen", file.as_bytes()).unwrap();
    read_all(&mut rows).unwrap();
    let found: Vec<String> = rows.findings().iter().map(ToString::to_string).collect();
    assert_eq!(found, ["f, line 2: the rows of batch 41 of HarbourEU sum to EUR 27, and the file says 26.99"]);
}

#[test]
fn a_gap_between_batches_and_a_batch_that_begins_again_are_findings() {
    let rows: Vec<&str> = ADYEN.lines().skip(1).collect();
    let of_batch = |n: &str| rows.iter().map(|row| row.replace(",41,", &format!(",{n},")) + "\n").collect::<String>();
    let header = ADYEN.lines().next().unwrap();
    let file = format!("{header}\n{}{}{}", of_batch("41"), of_batch("44"), of_batch("41"));
    let mut rows = open("adyen", file.as_bytes()).unwrap();
    read_all(&mut rows).unwrap();
    let found: Vec<String> = rows.findings().iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "f, line 14: batch 41 of HarbourEU begins a second time; look whether a file was read twice",
            "f, line 8: batch 44 of HarbourEU follows batch 41: 2 missing; fetch what is between",
        ]
    );
}

#[test]
fn stripes_report_is_read_and_its_payout_adds_up() {
    let expected = [
        "capture EUR 43.46 | ch_1 | pi_1 | order-1 | 2026-10-17T00:00:00Z",
        "capture EUR 100.00 | ch_2 | pi_2 | order-2 | 2026-10-17T00:00:00Z",
        "capture reversal EUR -40.00 | ch_2 | pi_2 | order-2 | 2026-10-17T00:00:00Z",
        "refund EUR -10.00 | re_1 | pi_1 | order-1 | 2026-10-17T00:00:00Z",
        "payout EUR -90.80 | po_1 | - | - | 2026-10-17T00:00:00Z",
    ];
    check("stripe", STRIPE.as_bytes(), &expected, &[]);
    check(
        "stripe",
        STRIPE.replace("-90.80,payout", "-90.79,payout").as_bytes(),
        &expected,
        &["f, line 0: the rows of payout po_1 sum to EUR 90.8, and the file says 90.79"],
    );
}

#[test]
fn checkout_com_is_a_matter_of_configuration() {
    let expected = [
        "capture EUR 43.46 | pay_1 | pay_1 | order-1 | 2026-10-17T00:00:00Z",
        "fee EUR 0.00 | pay_1 | pay_1 | order-1 | 2026-10-17T00:00:00Z",
        "refund JPY -905 | pay_2 | pay_2 | order-2 | 2026-10-17T00:00:00Z",
    ];
    check("checkout", CHECKOUT_FILE.as_bytes(), &expected, &[]);
}

#[test]
fn paypals_sections_are_a_matter_of_configuration() {
    let expected = [
        "capture EUR 43.46 | 5TX001 | - | key-1 | 2026-10-15T14:07:10Z",
        "refund EUR -10.00 | 5TX002 | 5TX001 | key-1 | 2026-10-15T15:00:01Z",
    ];
    check("paypal", PAYPAL_FILE.as_bytes(), &expected, &[]);
}

#[test]
fn a_statement_is_read_by_local_names_and_its_balances_add_up() {
    let expected = [
        "payout EUR 90.80 | po_1 | BANK-1 | PAYOUT A & B №1 | 2026-10-19T00:00:00Z",
        "payout EUR 27.00 | 255ae394-0000-4438-ac86-f406feada396 | BANK-2 | - | 2026-10-19T09:00:00Z",
        "payout EUR -10.00 | BACK-1 | BANK-2 | - | 2026-10-19T09:00:00Z",
        "payout EUR -5.00 | BANK-3 | BANK-3 | - | -",
    ];
    check("camt", CAMT_053.as_bytes(), &expected, &[]);
    check(
        "camt",
        CAMT_053.replace("207.80000", "207.81").as_bytes(),
        &expected,
        &["f, line 3: statement STMT-7 opens and moves to EUR 207.8, and closes with EUR 207.81"],
    );
}

#[test]
fn a_notification_of_version_2_is_read() {
    check("camt", CAMT_054.as_bytes(), &["payout JPY 905 | po_2 | - | - | 2026-10-19T00:00:00Z"], &[]);
}

#[test]
fn a_clearing_file_is_the_same_in_both_encodings_and_containers() {
    let expected = [
        "capture EUR 43.46 | 75261026288123456789010 | MCC0ABCDE1015 | 628814070000 | 2026-10-15T14:07:00Z",
        "capture GBP 15.99 | 75261026288123456789011 | MCC0ABCDE1015 | 628814070001 | 2026-10-15T14:07:01Z",
        "capture JPY 905 | 75261026288123456789012 | MCC0ABCDE1015 | 628814070002 | 2026-10-15T14:07:02Z",
        "refund GBP -15.99 | 75261026288123456789013 | MCC0ABCDE1015 | 628814070003 | 2026-10-15T14:07:03Z",
        "chargeback EUR -43.46 | 75261026288123456789010 | MCC0ABCDE1015 | 628814070000 | 2026-10-15T14:07:04Z",
    ];
    check("ipm", IPM_ASCII, &expected, &[]);
    check("ipm-1014", IPM_EBCDIC, &expected, &[]);
}

#[test]
fn no_card_number_leaves_a_reader() {
    for (format, file, masked, number) in [
        ("ipm", IPM_ASCII, "550000******0004", "5500000000000004"),
        ("ipm-1014", IPM_EBCDIC, "550000******0004", "5500000000000004"),
        ("ctf", CTF, "411111******1111", "4111111111111111"),
    ] {
        for record in read_all(&mut open(format, file).unwrap()).unwrap() {
            assert_eq!(record.card, masked);
            assert!(!format!("{record:?}").contains(number));
        }
    }
}

#[test]
fn the_ledgers_rows_are_read_as_postgresql_sends_them() {
    let file = b"attempt_key,network_reference,kind,amount_minor,currency,booked_at\n\
        order-1,MOD0001,capture,4346,EUR,2026-10-15 14:07:09.123456+00\n\"order,2\",,refund,-1000,JPY,2026-10-15 14:07:09+00\n";
    let expected = [
        "capture EUR 43.46 | MOD0001 | - | order-1 | 2026-10-15T14:07:09Z",
        "refund JPY -1000 | - | - | order,2 | 2026-10-15T14:07:09Z",
    ];
    check("ledger", file, &expected, &[]);
}

#[test]
fn a_broken_report_is_named_with_its_place() {
    let with = |from: &str, to: &str| ADYEN.replacen(from, to, 1).into_bytes();
    refuse(
        "adyen",
        b"",
        "f, line or record 1, byte 0: the file has no records: 0 records is a failure and not an answer",
    );
    let header = ADYEN.lines().next().unwrap();
    refuse(
        "adyen",
        header.as_bytes(),
        "f, line or record 1, byte 440: the file has no records: 0 records is a failure and not an answer",
    );
    refuse(
        "adyen",
        &with(",Settled,", ",SettledSomehow,"),
        "f, line or record 2, byte 441: unknown type `SettledSomehow` in `Type`; it may be money: teach the reader what it is",
    );
    refuse(
        "adyen",
        &with("MOD0001,EUR", "MOD0001,ERU"),
        "f, line or record 2, byte 441: unknown currency `ERU`; ISO 4217 has none of that name",
    );
    refuse(
        "adyen",
        &with(",43.46,", ",43.465,"),
        "f, line or record 2, byte 441: `43.465` in `Gross Credit (GC)` is no amount in EUR: it has 3 decimals and the currency has 2",
    );
    refuse(
        "adyen",
        &with(",CEST,settled", ",IST,settled"),
        "f, line or record 3, byte 583: `IST` in `TimeZone` is no time that can be read; expected a zone with one offset, such as UTC, CET or PDT",
    );
    refuse(
        "adyen",
        &ADYEN.as_bytes()[..ADYEN.len() - 40],
        "f, line or record 7, byte 1124: the row has 12 fields and the header 30: the file is cut short or damaged; fetch it again",
    );
    refuse(
        "adyen",
        &with("Psp Reference", "PSP"),
        "f, line or record 1, byte 0: there is no column `Psp Reference`; add it to the report",
    );
    refuse(
        "adyen",
        &with("Reserved4", "Type"),
        "f, line or record 1, byte 0: column `Type` is there twice, and nobody can tell which one counts",
    );
    refuse(
        "stripe",
        STRIPE.replace("charge,ch_2", "charge_of_another_kind,ch_2").as_bytes(),
        "f, line or record 3, byte 369: unknown type `charge_of_another_kind` in `reporting_category`; it may be money: teach the reader what it is",
    );
}

#[test]
fn three_decimals_are_right_for_a_dinar_and_wrong_for_a_euro() {
    let dinar = STRIPE.replace("eur,43.46,0.91,42.55", "kwd,43.465,0.910,42.555");
    let records = read_all(&mut open("stripe", dinar.as_bytes()).unwrap()).unwrap();
    assert_eq!(line(&records[0]), "capture KWD 43.465 | ch_1 | pi_1 | order-1 | 2026-10-17T00:00:00Z");
    refuse(
        "stripe",
        STRIPE.replace("eur,43.46,", "kwd,43.4655,").as_bytes(),
        "f, line or record 2, byte 232: `43.4655` in `gross` is no amount in KWD: it has 4 decimals and the currency has 3",
    );
}

#[test]
fn a_section_that_counts_otherwise_or_a_report_without_end_is_refused() {
    refuse(
        "paypal",
        PAYPAL_FILE.replace("\"SC\",2", "\"SC\",3").as_bytes(),
        "f, line or record 8, byte 767: the trailer says 3 for lines of the section, and the file has 2: part of it is missing or doubled; fetch it again",
    );
    refuse(
        "paypal",
        PAYPAL_FILE.replace("\"RC\",2\n", "").as_bytes(),
        "f, line or record 10, byte 799: the file has no trailer: it is cut short; fetch it again",
    );
    refuse(
        "paypal",
        PAYPAL_FILE.replace("\"SF\"", "\"XX\"").as_bytes(),
        "f, line or record 7, byte 742: unknown type `XX` in `first field`; it may be money: teach the reader what it is",
    );
    refuse(
        "paypal",
        PAYPAL_FILE.replace("\"T1107\"", "\"T7777\"").as_bytes(),
        "f, line or record 6, byte 607: unknown type `T7777` in `Transaction Event Code`; it may be money: teach the reader what it is",
    );
}

#[test]
fn a_broken_statement_is_named_with_its_place() {
    let with = |from: &str, to: &str| CAMT_053.replacen(from, to, 1).into_bytes();
    let half = &CAMT_053.as_bytes()[..CAMT_053.len() / 2];
    let read = open("camt", half).and_then(|mut rows| read_all(&mut rows)).unwrap_err().to_string();
    assert!(read.contains("the file ends inside the XML") || read.contains("XML cannot be read"), "{read}");
    refuse(
        "camt",
        &with("<b:Sts><b:Cd>BOOK", "<b:Sts><b:Cd>DONE"),
        "f, line or record 1, byte 740: unknown type `DONE` in `Sts`; it may be money: teach the reader what it is",
    );
    refuse(
        "camt",
        &with("<b:Amt Ccy=\"EUR\">90.80000", "<b:Amt Ccy=\"EUR\">90.80001"),
        "f, line or record 1, byte 740: `90.80001` in `Amt` is no amount in EUR: it has 5 decimals and the currency has 2",
    );
    refuse(
        "camt",
        &with("<b:Amt Ccy=\"EUR\">90", "<b:Amt Ccy=\"EVR\">90"),
        "f, line or record 1, byte 740: unknown currency `EVR`; ISO 4217 has none of that name",
    );
    refuse("camt", b"<html></html>", "f, line or record 0, byte 6: this is no ISO 20022 document; found `html`");
}

#[test]
fn a_broken_clearing_file_is_named_with_its_place() {
    let cut = |file: &[u8], at: usize| file[..at].to_vec();
    refuse(
        "ipm",
        b"",
        "f, line or record 0, byte 0: the file ends inside the file, before its end mark: it is cut short; fetch it again",
    );
    refuse(
        "ipm",
        &cut(IPM_ASCII, 200),
        "f, line or record 2, byte 200: the file ends inside a record: it is cut short; fetch it again",
    );
    refuse(
        "ipm-1014",
        &cut(IPM_EBCDIC, 1014),
        "f, line or record 5, byte 1014: the file ends inside a record: it is cut short; fetch it again",
    );
    refuse(
        "ipm-1014",
        IPM_ASCII,
        "f, line or record 5, byte 1012: byte 0x30 in the end of a block of 1014 is no blank 0x40 (is the file blocked at all?) in EBCDIC",
    );
    let mut wrong_length = IPM_ASCII.to_vec();
    wrong_length[3] -= 1;
    refuse("ipm", &wrong_length, "f, line or record 1, byte 66: the record has 73 bytes and must have 74");
}

#[test]
fn a_byte_that_is_no_digit_is_named_in_its_encoding() {
    let mut bad = IPM_EBCDIC.to_vec();
    let mut rows = Clearing::open("f", &bad[..], Container::Blocked1014);
    assert!(read_all(&mut rows).is_ok());
    let amount =
        bad.windows(12).position(|w| w == [0xf0, 0xf0, 0xf0, 0xf0, 0xf0, 0xf0, 0xf0, 0xf0, 0xf4, 0xf3, 0xf4, 0xf6]);
    bad[amount.expect("the first amount is there")] = 0x41;
    refuse("ipm-1014", &bad, "f, line or record 2, byte 78: byte 0x41 in DE4 is no digit in EBCDIC");
}

#[test]
fn a_trailer_that_counts_otherwise_is_refused() {
    let mut bad = IPM_ASCII.to_vec();
    let sum = bad.windows(16).position(|w| w == b"0000000000012795").expect("the trailer has the sum");
    bad[sum + 15] = b'6';
    refuse(
        "ipm",
        &bad,
        "f, line or record 7, byte 1623: the trailer says 0000000000012796 for the sum of amounts, and the file has 12795: part of it is missing or doubled; fetch it again",
    );
}

#[test]
fn the_file_of_another_day_is_refused_and_not_a_list_of_breaks() {
    let day = |text: &str| text.parse::<jiff::civil::Date>().unwrap();
    let read = |first: &str, last: &str| {
        let rows = SettlementDetails::open("f", ADYEN.as_bytes(), Identity::Modification).unwrap();
        read_all(&mut OfDays::new(rows, "f", day(first), day(last))).map(|records| records.len())
    };
    assert_eq!(read("2026-10-15", "2026-10-16").unwrap(), 6);
    assert_eq!(
        read("2026-10-15", "2026-10-15").unwrap_err().to_string(),
        "f, line or record 4, byte 736: the record is of 2026-10-16, and the run is about 2026-10-15 to 2026-10-15: it is the file of another day"
    );
}

const CTF_RECORDS: [&str; 6] = [
    "capture EUR 43.46 | 74512346288123456789011 | 306288000000000 | ORD-0 | 2026-10-15T00:00:00Z",
    "capture GBP 15.99 | 74512346288123456789029 | 306288000000001 | ORD-1 | 2026-10-15T00:00:00Z",
    "capture JPY 905 | 74512346288123456789037 | 306288000000002 | ORD-2 | 2026-10-15T00:00:00Z",
    "refund GBP -15.99 | 74512346288123456789045 | 306288000000003 | ORD-3 | 2026-10-15T00:00:00Z",
    "capture reversal JPY -905 | 74512346288123456789037 | 306288000000002 | ORD-2 | 2026-10-15T00:00:00Z",
    "chargeback EUR -43.46 | 74512346288123456789011 | 306288000000000 | ORD-0 | 2026-10-15T00:00:00Z",
];

#[test]
fn a_base_two_file_is_the_same_with_and_without_line_ends_and_in_ebcdic() {
    check("ctf", CTF, &CTF_RECORDS, &[]);
    let unbroken: Vec<u8> = CTF.iter().copied().filter(|byte| *byte != b'\n').collect();
    check("ctf", &unbroken, &CTF_RECORDS, &[]);
    let ebcdic: Vec<u8> = unbroken
        .iter()
        .map(|byte| match byte {
            b'0'..=b'9' => byte - b'0' + 0xf0,
            b'A'..=b'I' => byte - b'A' + 0xc1,
            b'J'..=b'R' => byte - b'J' + 0xd1,
            b'S'..=b'Z' => byte - b'S' + 0xe2,
            b' ' => 0x40,
            b'-' => 0x60,
            other => panic!("{other} is not in the sample"),
        })
        .collect();
    check("ctf", &ebcdic, &CTF_RECORDS, &[]);
}

#[test]
fn a_broken_base_two_file_is_named_with_its_place() {
    let text = String::from_utf8(CTF.to_vec()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    refuse(
        "ctf",
        lines[..5].join("\n").as_bytes(),
        "f, line or record 5, byte 844: the file has no trailer: it is cut short; fetch it again",
    );
    refuse(
        "ctf",
        &CTF[..CTF.len() - 100],
        "f, line or record 21, byte 3380: the record has 69 bytes and must have 168",
    );
    refuse(
        "ctf",
        text.replacen("\n05", "\n99", 1).as_bytes(),
        "f, line or record 2, byte 169: unknown type `99` in `TC`; it may be money: teach the reader what it is",
    );
    refuse(
        "ctf",
        text.replacen("000000004346", "00000000434X", 2).as_bytes(),
        "f, line or record 2, byte 169: byte 0x58 in positions 77 to 88 is no digit in ASCII",
    );
    refuse(
        "ctf",
        lines[1].as_bytes(),
        "f, line or record 1, byte 0: this is no BASE II file that begins with its header (90); found `05`",
    );
    refuse("ctf", b"", "f, line or record 0, byte 0: the file has no trailer: it is cut short; fetch it again");
}
