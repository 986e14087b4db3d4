//! Rows of texts, and vocabularies.

use crate::harness::{FILE, JUST_OVER, KIB, Limit, SMALL, Subject, measured, run, tokens};
use lerac::data::{TextColumns, TextFormat, TextTokenizer, text_rows_in};
use std::path::Path;

/// A row of four bytes becomes three strings, their list and an offset. A value of JSON has 32
/// bytes.
const ROWS: Limit = Limit { multiple: 192, constant: SMALL };
/// A token of a byte becomes a string in two maps; a JSON file is also held as values.
const VOCABULARY: Limit = Limit { multiple: 384, constant: 512 * KIB };

const COLUMNS: TextColumns<'_> = TextColumns { texts: &["a", "b"], labels: &["label", "answer"] };

/// The first byte says what the rest is.
#[test]
fn rows_of_texts() {
    let files: [&[u8]; 3] = [
        b"index\ta\tb\tlabel\n0\tone \"text\tanother\tyes\n1\t\xc3\xa9t\xc3\xa9\tb\tno\n",
        b"a,b,label\none,\"an, \"\"other\"\"\n\",0\nx,y,1\n",
        b"{\"a\": \"one\", \"b\": \"\\u00e9\", \"label\": true}\n{\"b\":\"x\",\"idx\":[1,{}],\"a\":\"y\",\"answer\":-1}\n",
    ];
    let formats = [TextFormat::Tsv, TextFormat::Csv, TextFormat::JsonLines];
    let seeds = files.iter().enumerate().map(|(i, file)| [&[i as u8], *file].concat()).collect();
    let words =
        ["\t", ",", "\"", "\n", "\r\n", "\r", "\u{feff}", "\0", "a", "label", "{", "[", "]", "null", "\\ud800", "\\"];
    let subject = Subject { name: "rows of texts", seeds, tokens: tokens(&words), limit: ROWS, file: <[u8]>::to_vec };
    let parse = |input: &[u8]| {
        let (format, bytes) = input.split_first().unwrap_or((&0, &[]));
        let format = formats[usize::from(*format) % 3];
        let strict = text_rows_in(Path::new(FILE), bytes, format, COLUMNS, &mut |fault| Err(fault));
        // With bad rows left out, the others are read.
        let lenient = text_rows_in(Path::new(FILE), bytes, format, COLUMNS, &mut |_| Ok(()));
        if let Ok(rows) = &strict {
            assert_eq!(rows, lenient.as_ref().unwrap());
        }
        strict
    };
    run(subject, parse, |rows| {
        for row in rows {
            assert!(row.texts.len() == 2 && row.texts.iter().all(|text| !text.trim().is_empty()));
            assert!(row.label.trim() == row.label && !row.label.is_empty());
        }
    });
}

#[test]
fn the_densest_rows_are_read_in_bounds() {
    for (format, head, row) in [
        (TextFormat::Tsv, "a\tb\tlabel\n", "x\ty\t1\n"),
        (TextFormat::Csv, "a,b,label\n", "x,y,1\n"),
        (TextFormat::JsonLines, "", "{\"a\":\"x\",\"b\":\"y\",\"label\":1}\n"),
    ] {
        let text = head.to_owned() + &row.repeat(JUST_OVER);
        let read = || text_rows_in(Path::new(FILE), text.as_bytes(), format, COLUMNS, &mut |fault| Err(fault));
        let (outcome, peak) = measured(read);
        assert_eq!(outcome.unwrap().len(), JUST_OVER);
        ROWS.assert("rows", text.len(), peak);
    }
    let list = format!("{{\"a\":\"x\",\"b\":\"y\",\"label\":1,\"c\":[{}0]}}", "0,".repeat(JUST_OVER));
    let read =
        || text_rows_in(Path::new(FILE), list.as_bytes(), TextFormat::JsonLines, COLUMNS, &mut |fault| Err(fault));
    let (outcome, peak) = measured(read);
    assert_eq!(outcome.unwrap().len(), 1);
    ROWS.assert("a list", list.len(), peak);
}

/// The first byte says which form the rest has. What is read divides any texts.
#[test]
fn vocabularies() {
    let lines = b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nun\n##able\n##a\n.\n";
    let json = TextTokenizer::of_lines(Path::new(FILE), lines, 16).unwrap().json();
    let seeds = vec![[b"\0", &lines[..]].concat(), [b"\x01", json.as_bytes()].concat()];
    let words = ["[UNK]", "[SEP]", "\"", "{", "}", "[", ",", ":", "null", "true", "##", "WordLevel", "\u{e9}", "\n"];
    let subject =
        Subject { name: "vocabularies", seeds, tokens: tokens(&words), limit: VOCABULARY, file: <[u8]>::to_vec };
    let parse = |input: &[u8]| {
        let (form, bytes) = input.split_first().unwrap_or((&0, &[]));
        match form % 2 {
            0 => TextTokenizer::of_lines(Path::new(FILE), bytes, 16),
            _ => TextTokenizer::of_json(Path::new(FILE), bytes, 16),
        }
    };
    let texts = ["Unable, a [SEP] \u{4e2d}\u{301}\u{0}".to_owned(), "x".repeat(300)];
    run(subject, parse, |tokenizer| {
        for texts in [&texts[..], &texts[..1]] {
            if let Ok(tokens) = tokenizer.tokens(texts) {
                assert!(tokens.ids.len() <= 16 && tokens.first <= tokens.ids.len());
                assert!(tokens.ids.iter().all(|&id| (id as usize) < tokenizer.vocabulary()));
            }
        }
    });
}

#[test]
fn the_densest_vocabularies_are_read_in_bounds() {
    let special = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n";
    let lines = (0..JUST_OVER).fold(special.to_owned(), |lines, i| lines + &format!("{i:x}\n"));
    let (outcome, peak) = measured(|| TextTokenizer::of_lines(Path::new(FILE), lines.as_bytes(), 16).unwrap());
    VOCABULARY.assert("lines", lines.len(), peak);
    let json = outcome.json();
    let (outcome, peak) = measured(|| TextTokenizer::of_json(Path::new(FILE), json.as_bytes(), 16));
    assert_eq!(outcome.unwrap().vocabulary(), JUST_OVER + 4);
    VOCABULARY.assert("JSON", json.len(), peak);
}
