//! Makes a ledger, a settlement file in another order, and the truth. A row is a function of its number: nothing is kept.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

const HEADER: &str = "Company Account,Merchant Account,Psp Reference,Merchant Reference,Payment Method,Creation Date,TimeZone,\
    Type,Modification Reference,Gross Currency,Gross Debit (GC),Gross Credit (GC),Exchange Rate,Net Currency,Net Debit (NC),\
    Net Credit (NC),Commission (NC),Markup (NC),Scheme Fees (NC),Interchange (NC),Payment Method Variant,\
    Modification Merchant Reference,Batch Number";

/// One row in a thousand is broken, in one of these ways.
const DEFECTS: [&str; 8] = [
    "LedgerOnly",
    "NetworkOnly",
    "AmountMismatch",
    "CurrencyMismatch",
    "StatusMismatch",
    "DuplicateBooking",
    "DuplicateCharge",
    "RepeatedByNetwork",
];

/// A movement, by its number.
struct Movement {
    number: u64,
    minor: u64,
    currency: usize,
    refund: bool,
    second: u64,
    defect: Option<&'static str>,
}

const CURRENCIES: [(&str, &str); 4] = [("EUR", "USD"), ("GBP", "EUR"), ("USD", "EUR"), ("JPY", "EUR")];

/// SplitMix64's mixing: every number has its own random bits.
fn mix(number: u64) -> u64 {
    let mut bits = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

impl Movement {
    fn of(number: u64) -> Self {
        let bits = mix(number);
        let defect = mix(bits).is_multiple_of(1000).then(|| DEFECTS[(mix(bits) / 1000 % 8) as usize]);
        // A refund charged twice is a repeated refund and no double charge.
        let refund = bits.is_multiple_of(20) && defect != Some("DuplicateCharge");
        let currency = (bits >> 8 & 3) as usize;
        Self { number, minor: 100 + (bits >> 16) % 999_900, currency, refund, second: (bits >> 40) % 86_400, defect }
    }

    fn reference(&self) -> String {
        format!("MOD{:013X}", mix(self.number) >> 12)
    }
}

/// A step that visits each of `rows` numbers once, far from its neighbours.
fn scattered(place: u64, rows: u64) -> u64 {
    // A prime above the square of no benchmark's size: it divides no row count that is used.
    (place as u128 * 2_147_483_647 % u128::from(rows)) as u64
}

pub(crate) fn generate(directory: &Path, rows: u64) -> io::Result<()> {
    let file = |name: &str| File::create(directory.join(name)).map(|file| BufWriter::with_capacity(1 << 20, file));
    let (mut ledger, mut network, mut truth) = (file("ledger.csv")?, file("settlement.csv")?, Vec::new());
    writeln!(ledger, "attempt_key,network_reference,kind,amount_minor,currency,booked_at")?;
    writeln!(network, "{HEADER}")?;
    let mut net = [0_i64; 4];
    for place in 0..rows {
        let movement = Movement::of(place);
        if movement.defect != Some("NetworkOnly") {
            let times = if movement.defect == Some("DuplicateBooking") { 2 } else { 1 };
            for _ in 0..times {
                write_booking(&mut ledger, &movement)?;
            }
        }
        let movement = Movement::of(scattered(place, rows));
        if let Some(defect) = movement.defect {
            let again = if defect == "DuplicateCharge" { "AGAIN" } else { "" };
            truth.push(format!("{defect} {}{again}", movement.reference()));
        }
        if movement.defect != Some("LedgerOnly") {
            write_line(&mut network, &movement, "", &mut net)?;
        }
        match movement.defect {
            Some("RepeatedByNetwork") => write_line(&mut network, &movement, "", &mut net)?,
            Some("DuplicateCharge") => write_line(&mut network, &movement, "AGAIN", &mut net)?,
            Some(_) | None => {}
        }
    }
    for (sum, (currency, _)) in net.iter().zip(CURRENCIES) {
        let paid = decimal(sum.unsigned_abs(), currency);
        let paid = if *sum < 0 { format!(",{paid}") } else { format!("{paid},") };
        writeln!(
            network,
            "Harbour,HarbourEU,,\"TX1, batch 1, {currency}\",,2026-11-20 10:00:00,CET,MerchantPayout,,,,,,{currency},{paid},,,,,,,1"
        )?;
    }
    truth.sort_unstable();
    std::fs::write(directory.join("truth.txt"), truth.join("\n") + "\n")?;
    ledger.flush()?;
    network.flush()
}

fn decimal(minor: u64, currency: &str) -> String {
    if currency == "JPY" { minor.to_string() } else { format!("{}.{:02}", minor / 100, minor % 100) }
}

fn clock(second: u64) -> String {
    format!("2026-11-18 {:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)
}

fn write_booking(to: &mut impl Write, of: &Movement) -> io::Result<()> {
    let (kind, sign) = if of.refund { ("refund", "-") } else { ("capture", "") };
    let (currency, time) = (CURRENCIES[of.currency].0, clock(of.second));
    let key = key(of);
    writeln!(to, "{key},{},{kind},{sign}{},{currency},{time}.123456+00", of.reference(), of.minor)
}

/// Our own key; one in ten has a comma, so that quotes must be understood.
fn key(of: &Movement) -> String {
    if of.number.is_multiple_of(10) {
        format!("\"order {:09}, web\"", of.number)
    } else {
        format!("order-{:09}", of.number)
    }
}

fn write_line(to: &mut impl Write, of: &Movement, again: &str, net: &mut [i64; 4]) -> io::Result<()> {
    let is = |defect: &str| of.defect == Some(defect);
    let currency = if is("CurrencyMismatch") { CURRENCIES[of.currency].1 } else { CURRENCIES[of.currency].0 };
    let refund = of.refund != is("StatusMismatch");
    let minor = if is("AmountMismatch") { of.minor + 7 } else { of.minor };
    let minor = if currency != "JPY" { minor } else { minor.max(100) };
    let (fee, kind) = (minor / 100, if refund { "Refunded" } else { "Settled" });
    let gross = decimal(minor, currency);
    let (gross, after) = if refund { (format!("{gross},"), minor + fee) } else { (format!(",{gross}"), minor - fee) };
    let after_text = decimal(after, currency);
    let after_text = if refund { format!("{after_text},") } else { format!(",{after_text}") };
    let signed = i64::try_from(after).unwrap_or(i64::MAX);
    let place = CURRENCIES.iter().position(|(code, _)| *code == currency).unwrap_or(0);
    net[place] += if refund { -signed } else { signed };
    writeln!(
        to,
        "Harbour,HarbourEU,PSP{:013X}{again},{},visa,{},CET,{kind},{}{again},{currency},{gross},1,{currency},{after_text},{},,,,visacredit,,1",
        mix(of.number ^ 0x5555) >> 12,
        key(of),
        clock(of.second),
        of.reference(),
        decimal(fee, currency),
    )
}
