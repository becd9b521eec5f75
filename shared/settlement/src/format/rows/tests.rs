use proptest::prelude::*;

use super::*;

/// Every row with its fields and its place, as this reader has them.
fn ours(text: &[u8]) -> Result<Vec<(u64, Vec<String>)>, String> {
    in_blocks(text, BLOCK)
}

/// The same, where blocks end anywhere.
fn in_blocks(text: &[u8], bytes: usize) -> Result<Vec<(u64, Vec<String>)>, String> {
    let mut rows = Rows::new(text, b',', true);
    (rows.block_size, rows.block_sizes) = (bytes, bytes);
    let mut read = Vec::new();
    while rows.step().map_err(|error| format!("{error:?}"))? {
        read.push((rows.place().byte, rows.fields().map(str::to_owned).collect()));
    }
    Ok(read)
}

/// The same by the `csv` crate.
fn theirs(text: &[u8]) -> Result<Vec<Vec<String>>, String> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text);
    reader
        .records()
        .map(|record| record.map(|it| it.iter().map(str::to_owned).collect()).map_err(|error| error.to_string()))
        .collect()
}

#[track_caller]
fn check(text: &str, expected: &[&[&str]]) {
    let read: Vec<Vec<String>> = ours(text.as_bytes()).unwrap().into_iter().map(|(_, row)| row).collect();
    assert_eq!(read, expected, "{text:?}");
    assert_eq!(theirs(text.as_bytes()).unwrap(), expected, "{text:?}, by csv");
}

#[test]
fn plain_rows_are_split_at_their_delimiters() {
    check("a,b\nc,,d\n,\n", &[&["a", "b"], &["c", "", "d"], &["", ""]]);
    check(
        "one field of more than eight bytes,-x,y\r\nz",
        &[&["one field of more than eight bytes", "-x", "y"], &["z"]],
    );
}
/// A minus sign is the delimiter with one other bit: what finds zero bytes by borrowing takes it for one after a delimiter.
#[test]
fn a_minus_after_a_delimiter_is_no_delimiter() {
    check("a,-1,-22,-3,,--,-4\n", &[&["a", "-1", "-22", "-3", "", "--", "-4"]]);
}
#[test]
fn quotes_keep_delimiters_line_ends_and_quotes() {
    check("a,\"b,c\",d\n1,\"2\n3\",\"4\"\"5\"\n6", &[&["a", "b,c", "d"], &["1", "2\n3", "4\"5"], &["6"]]);
}
#[test]
fn a_quote_inside_a_field_is_a_quote_and_holds_nothing_up() {
    check("5\" disk,1\nnext,2\n", &[&["5\" disk", "1"], &["next", "2"]]);
}
#[test]
fn blank_lines_are_no_rows_and_the_last_line_needs_no_end() {
    check("\n\r\na,b\n\n\nc,d", &[&["a", "b"], &["c", "d"]]);
    check("", &[]);
}
#[test]
fn a_row_says_where_it_begins() {
    let places: Vec<u64> = ours("a,b\n\n\"c\nd\",e\nf,g\n".as_bytes()).unwrap().into_iter().map(|(at, _)| at).collect();
    assert_eq!(places, [0, 5, 13]);
    let mut rows = Rows::new(std::io::Cursor::new("a,b\n\n\"c\nd\",e\nf,g\n"), b',', true);
    let lines = std::iter::from_fn(|| rows.step().unwrap().then(|| rows.place().line)).collect::<Vec<_>>();
    assert_eq!(lines, [1, 3, 5]);
    rows.seek(Position { source: 0, byte: 5, line: 3 }).unwrap();
    assert!(rows.step().unwrap());
    assert_eq!((rows.field(0), rows.place().line), (Some("c\nd"), 3));
}
#[test]
fn a_field_that_is_not_text_is_named() {
    for text in [&b"a,\xff,b\n"[..], &b"a,\xff,\"b\"\n"[..]] {
        assert!(matches!(Rows::new(text, b',', true).step(), Err(RowError::NotUtf8(1))));
    }
}
#[test]
fn a_field_that_is_not_text_is_named_wherever_its_block_ends() {
    for bytes in 1..20 {
        for (text, fine, field) in [
            (&b"a,b\nc,\xc3"[..], 1, 1),
            (&b"a,b\nc,\xff,d\ne,f\n"[..], 1, 1),
            (&b"\"a\nb\",c\nd,\"e\n\xff\"\n"[..], 1, 1),
            (&b"a\r\xe9,b\n"[..], 1, 0),
        ] {
            let mut rows = Rows::new(text, b',', true);
            (rows.block_size, rows.block_sizes) = (bytes, bytes);
            for _ in 0..fine {
                assert!(rows.step().unwrap(), "{text:?} in blocks of {bytes}");
            }
            assert!(matches!(rows.step(), Err(RowError::NotUtf8(at)) if at == field), "{text:?} in blocks of {bytes}");
        }
    }
}
/// A file that cannot be read on is no shorter file.
#[test]
fn an_error_of_the_file_ends_the_reading() {
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("gone"))
        }
    }
    for begun in ["a,b\nc,d", "a,b\n\"c", "a,b\nc,d\r"] {
        let from = io::BufReader::new(io::Read::chain(begun.as_bytes(), Broken));
        let mut rows = Rows::new(from, b',', true);
        (rows.block_size, rows.block_sizes) = (4, 4);
        assert!(rows.step().unwrap());
        assert!(matches!(rows.step(), Err(RowError::Io(_))), "{begun:?}");
    }
}
#[test]
fn rows_of_one_file_have_one_number_of_fields() {
    let mut rows = Rows::new(&b"a,b\nc,d\ne\n"[..], b',', false);
    assert!(rows.step().unwrap() && rows.step().unwrap());
    assert!(matches!(rows.step(), Err(RowError::FieldCount { found: 1, expected: 2 })));
}

proptest! {
    /// Whatever stands in a file, it is read as the `csv` crate reads it.
    #[test]
    fn every_file_is_read_as_the_csv_crate_reads_it(text in "[a,\"\r\n é-]{0,60}") {
        let read = ours(text.as_bytes()).map(|rows| rows.into_iter().map(|(_, row)| row).collect::<Vec<_>>());
        prop_assert_eq!(read, theirs(text.as_bytes()));
    }

    /// Where a block ends is seen in nothing: not inside of a letter, a quote or a line's end.
    #[test]
    fn a_file_is_read_the_same_in_blocks_of_any_size(text in "[a,\"\r\n é-]{0,60}", bytes in 1_usize..40) {
        prop_assert_eq!(in_blocks(text.as_bytes(), bytes), ours(text.as_bytes()));
    }

    /// Quotes around whole fields, of rows that are longer than the 64 bytes that are split at once.
    #[test]
    fn every_quoted_file_is_read_as_the_csv_crate_reads_it(text in "((\"[a,é]{0,9}\"|[a é]{0,70}),){0,4}[a\"]{0,9}(\r?\n)?") {
        let read = ours(text.as_bytes()).map(|rows| rows.into_iter().map(|(_, row)| row).collect::<Vec<_>>());
        prop_assert_eq!(read, theirs(text.as_bytes()));
    }

    /// Rows without a quote are long enough here to be split word by word.
    #[test]
    fn every_plain_file_is_read_as_the_csv_crate_reads_it(text in "([a,é-]{0,40}\n){0,4}") {
        let read = ours(text.as_bytes()).map(|rows| rows.into_iter().map(|(_, row)| row).collect::<Vec<_>>());
        prop_assert_eq!(read, theirs(text.as_bytes()));
    }
}
