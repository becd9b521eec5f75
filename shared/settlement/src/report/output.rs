//! The report as files: one JSON object per line, and CSV for people.

use std::io::{self, Write};

use super::{Break, Settlement};

impl Settlement {
    /// The breaks as NDJSON, in their order.
    pub fn write_breaks_ndjson(&self, to: &mut dyn Write) -> io::Result<()> {
        for found in &self.breaks {
            serde_json::to_writer(&mut *to, found)?;
            to.write_all(b"\n")?;
        }
        Ok(())
    }

    /// The proposed entries as NDJSON, in the order of their breaks.
    pub fn write_proposals_ndjson(&self, to: &mut dyn Write) -> io::Result<()> {
        for proposal in self.proposals() {
            serde_json::to_writer(&mut *to, proposal)?;
            to.write_all(b"\n")?;
        }
        Ok(())
    }

    /// The breaks as CSV with a header, in their order; the last column is the sentence.
    pub fn write_breaks_csv(&self, to: &mut dyn Write) -> io::Result<()> {
        let mut csv = csv::Writer::from_writer(to);
        csv.write_record([
            "break",
            "kind",
            "at_risk_minor",
            "currency",
            "event_ref",
            "merchant_ref",
            "since",
            "deadline",
            "evidence",
            "sentence",
        ])?;
        for found in &self.breaks {
            csv.write_record(self.row(found))?;
        }
        csv.flush()
    }

    fn row(&self, found: &Break) -> [String; 10] {
        let place = |(_, position): &(crate::record::Side, crate::record::Position)| {
            let source = self.sources.get(usize::from(position.source)).map_or("attempts", |source| &source.name);
            format!("{source}@{}", position.byte)
        };
        [
            found.what.name().to_owned(),
            found.kind.to_string(),
            found.at_risk_minor.to_string(),
            found.currency.to_string(),
            found.event_ref.clone(),
            found.merchant_ref.clone(),
            found.since.map(|at| at.to_string()).unwrap_or_default(),
            found.deadline.to_string(),
            found.evidence.iter().map(place).collect::<Vec<_>>().join(" "),
            found.to_string(),
        ]
    }
}
