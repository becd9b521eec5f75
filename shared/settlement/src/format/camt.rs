//! ISO 20022 camt.052, camt.053 and camt.054: what the bank saw. The bank's leg is one entry per payout.
//!
//! Elements are known by local name: national variants change the namespace and nothing else.
//! Source: the published message definitions, versions 2 to 8; from version 8 on the status is an element of its own.

mod entry;

use std::collections::VecDeque;
use std::io::BufRead;

use quick_xml::Reader;
use quick_xml::events::{BytesRef, BytesStart, Event};

use self::entry::{Entry, Statement};
use super::Rows;
use super::fault::{Fault, FormatError, excerpt};
use super::finding::Finding;
use crate::record::{Position, Record};

/// Deeper than any message is.
const DEPTH_MAX: usize = 64;

/// More text than any element has.
const TEXT_MAX: usize = 1 << 20;

const DOCUMENTS: [&str; 3] = ["BkToCstmrStmt", "BkToCstmrDbtCdtNtfctn", "BkToCstmrAcctRpt"];

/// A bank's message being read.
pub struct BankMessage<R> {
    file: String,
    reader: Reader<R>,
    buffer: Vec<u8>,
    path: Vec<String>,
    text: String,
    attribute: Option<String>,
    begun: Position,
    statement: Statement,
    entry: Option<Entry>,
    ready: VecDeque<Record>,
    records: u64,
    entries: u64,
    message: bool,
    findings: Vec<Finding>,
}

impl<R: BufRead> BankMessage<R> {
    /// A message of any of the three kinds. `file` is the name that errors and findings carry.
    pub fn open(file: &str, from: R) -> Self {
        Self {
            file: file.to_owned(),
            reader: Reader::from_reader(from),
            buffer: Vec::new(),
            path: Vec::new(),
            text: String::new(),
            attribute: None,
            begun: Position::default(),
            statement: Statement::default(),
            entry: None,
            ready: VecDeque::new(),
            records: 0,
            entries: 0,
            message: false,
            findings: Vec::new(),
        }
    }

    fn fault(&self, fault: Fault) -> FormatError {
        let place = if self.entry.is_some() { self.begun } else { self.here() };
        FormatError::at(&self.file, place, fault)
    }

    fn here(&self) -> Position {
        Position { source: 0, byte: self.reader.buffer_position(), line: self.entries }
    }

    /// One event of the XML; `false` at its end.
    fn step(&mut self) -> Result<bool, FormatError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let before = self.reader.buffer_position();
        let event = match self.reader.read_event_into(&mut buffer) {
            Ok(event) => event,
            Err(error) => return Err(self.fault(Fault::Xml(error))),
        };
        let more = match event {
            Event::Start(tag) => self.open_element(&tag, before).map(|()| true),
            Event::Empty(tag) => self.open_element(&tag, before).and_then(|()| self.close_element()).map(|()| true),
            Event::End(_) => self.close_element().map(|()| true),
            Event::Text(text) => self.add_text(&text).map(|()| true),
            Event::CData(text) => self.add_text(&text).map(|()| true),
            Event::GeneralRef(reference) => self.add_reference(&reference).map(|()| true),
            Event::Eof => self.end().map(|()| false),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => Ok(true),
        };
        self.buffer = buffer;
        more
    }

    fn open_element(&mut self, tag: &BytesStart<'_>, before: u64) -> Result<(), FormatError> {
        let name = tag.local_name().as_ref().to_owned();
        match self.path.len() {
            0 if name != "Document" => {
                return Err(
                    self.fault(Fault::NotThis { expected: "ISO 20022 document", found: excerpt(name.as_bytes()) })
                );
            }
            1 if !DOCUMENTS.contains(&name.as_str()) => {
                return Err(
                    self.fault(Fault::NotThis { expected: "camt.052, 053 or 054", found: excerpt(name.as_bytes()) })
                );
            }
            1 => self.message = true,
            DEPTH_MAX.. => {
                return Err(
                    self.fault(Fault::NotThis { expected: "camt message", found: "elements without end".to_owned() })
                );
            }
            _ => {}
        }
        self.text.clear();
        self.attribute = None;
        for attribute in tag.attributes().flatten() {
            if attribute.key.local_name().as_ref() == "Ccy" {
                self.attribute = Some(attribute.value.into_owned());
            }
        }
        match name.as_str() {
            "Stmt" | "Ntfctn" | "Rpt" if self.path.len() == 2 => self.statement = Statement::default(),
            "Ntry" if self.path.len() == 3 => {
                self.entries += 1;
                self.begun = Position { source: 0, byte: before, line: self.entries };
                self.entry = Some(Entry::default());
            }
            "TxDtls" => {
                if let Some(entry) = &mut self.entry {
                    entry.begin_details();
                }
            }
            _ => {}
        }
        self.path.push(name);
        Ok(())
    }

    fn add_text(&mut self, text: &str) -> Result<(), FormatError> {
        if self.text.len() + text.len() > TEXT_MAX {
            return Err(self.fault(Fault::NotThis { expected: "camt message", found: "text without end".to_owned() }));
        }
        self.text.push_str(text);
        Ok(())
    }

    fn add_reference(&mut self, reference: &BytesRef<'_>) -> Result<(), FormatError> {
        let character = match (reference.resolve_char_ref(), reference.as_ref()) {
            (Ok(Some(character)), _) => character,
            (_, "amp") => '&',
            (_, "lt") => '<',
            (_, "gt") => '>',
            (_, "quot") => '"',
            (_, "apos") => '\'',
            (_, other) => {
                let found = excerpt(other.as_bytes());
                return Err(self.fault(Fault::NotThis { expected: "camt message without entities of its own", found }));
            }
        };
        self.text.push(character);
        Ok(())
    }

    fn close_element(&mut self) -> Result<(), FormatError> {
        let path: Vec<&str> = self.path.iter().skip(3).map(String::as_str).collect();
        let text = self.text.trim();
        let currency = self.attribute.as_deref();
        let done = match (&mut self.entry, path.as_slice()) {
            (Some(entry), ["Ntry"]) => {
                entry.records(self.begun, &mut self.statement).map(|records| self.ready.extend(records))
            }
            (Some(entry), ["Ntry", inside @ ..]) => entry.take(inside, text, currency),
            (None, ["Bal", inside @ ..]) => self.statement.take_balance(inside, text, currency),
            (None, ["Id"]) => {
                text.clone_into(&mut self.statement.name);
                Ok(())
            }
            (Some(_) | None, _) => Ok(()),
        };
        done.map_err(|fault| self.fault(fault))?;
        if path.as_slice() == ["Ntry"] {
            self.entry = None;
        }
        if self.path.len() == 3 {
            let line = self.entries;
            let file = self.file.clone();
            let problems = self.statement.check(self.path.get(2).is_some_and(|kind| kind == "Stmt"));
            self.findings.extend(problems.into_iter().map(|problem| Finding { file: file.clone(), line, problem }));
        }
        self.path.pop();
        self.text.clear();
        Ok(())
    }

    fn end(&self) -> Result<(), FormatError> {
        match (self.path.is_empty(), self.message) {
            (true, true) => Ok(()),
            (false, _) => Err(self.fault(Fault::Truncated { inside: "the XML" })),
            (true, false) => Err(self.fault(Fault::Empty)),
        }
    }
}

impl<R: BufRead> Rows for BankMessage<R> {
    fn read(&mut self, into: &mut Record) -> Result<bool, FormatError> {
        while self.ready.is_empty() {
            if !self.step()? {
                return if self.records == 0 { Err(self.fault(Fault::Empty)) } else { Ok(false) };
            }
        }
        let Some(mut record) = self.ready.pop_front() else { return Ok(false) };
        record.position.source = into.position.source;
        *into = record;
        self.records += 1;
        Ok(true)
    }

    fn findings(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.findings)
    }
}
