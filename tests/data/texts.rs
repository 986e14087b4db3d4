//! Data sets of texts: readers, vocabularies, columns, and errors. If a real set or vocabulary is
//! absent, a test prints that it is skipped, and passes.

use lerac::data::{
    self, BadRow, Batch, CLASSES_FILE, Examples, Form, Meaning, OpenEvent, Source, Splits, TOKENIZER_FILE, TextColumns,
    TextEncoder, TextFormat, TextOptions, TextRow, TextTokenizer, text_rows_in,
};
use lerac::error::{Error, Result};
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

// ---- help ----

const FILE: &str = "dir/file";
const PAIR: TextColumns<'_> = TextColumns { texts: &["a", "b"], labels: &["label", "answer"] };

fn rows_of(format: TextFormat, bytes: &[u8], bad: &mut BadRow<'_>) -> Result<Vec<TextRow>> {
    text_rows_in(Path::new(FILE), bytes, format, PAIR, bad)
}

fn rows(format: TextFormat, bytes: &[u8]) -> Vec<TextRow> {
    rows_of(format, bytes, &mut |fault| Err(fault)).unwrap()
}

/// A row as a line of words.
fn shown(rows: &[TextRow]) -> Vec<String> {
    rows.iter().map(|row| format!("{} {}|{}", row.place.line, row.texts.join("|"), row.label)).collect()
}

#[track_caller]
fn refused<T>(outcome: Result<T>, parts: &[&str]) {
    let told = outcome.err().expect("this must be refused").to_string();
    parts.iter().for_each(|part| assert!(told.contains(part), "{told:?} lacks {part:?}"));
}

fn directory(files: &[(&str, &str)]) -> TempDir {
    let dir = TempDir::new().unwrap();
    files.iter().for_each(|(name, text)| fs::write(dir.path().join(name), text).unwrap());
    dir
}

fn open_saying(source: &Source<'_>) -> (Result<Splits>, Vec<String>) {
    let mut notes = vec![];
    let opened = source.open(&mut |news| {
        if let OpenEvent::Note(note) = news {
            notes.push(note.to_owned());
        }
    });
    (opened, notes)
}

/// A small vocabulary: the special tokens, then these.
fn vocabulary(tokens: &[&str]) -> String {
    [&["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], tokens].concat().join("\n") + "\n"
}

const RTE_TRAIN: &str = "index\tsentence1\tsentence2\tlabel\n\
    0\tThe cat \"sat.\tA cat sat.\tentailment\n\
    1\tThe dog sat.\tA cat sat.\tnot_entailment\n";
const RTE_DEV: &str = "index\tsentence1\tsentence2\tlabel\n0\tThe mouse sat.\tA cat.\tnot_entailment\n";

fn rte() -> TempDir {
    directory(&[("train.tsv", RTE_TRAIN), ("dev.tsv", RTE_DEV), ("test.tsv", "index\tsentence1\tsentence2\n0\ta\tb\n")])
}

fn named<'d>(name: &'d str, dir: &'d TempDir) -> Source<'d> {
    Source { name, dir: Some(dir.path()), ..Source::default() }
}

fn columns(form: &Form) -> Vec<(&str, &[usize])> {
    form.columns().map(|column| (column.name.as_str(), &column.shape[..])).collect()
}

/// The words of the first example's columns.
fn first(data: &dyn Examples) -> Vec<Vec<u32>> {
    Batch::gather(data, &[0], 1, None).unwrap().columns
}

// ---- rows ----

#[test]
fn a_stray_quotation_mark_swallows_no_line_of_a_table() {
    let text = "a\tb\tlabel\n\"one\ttwo\t0\nthree\tfo\"ur\"\t1\n\"\"\t\"\t1\n";
    let expected = ["2 \"one|two|0", "3 three|fo\"ur\"|1", "4 \"\"|\"|1"];
    assert_eq!(shown(&rows(TextFormat::Tsv, text.as_bytes())), expected);
}

#[test]
fn line_ends_of_windows_and_byte_order_marks_are_passed_over() {
    let tables = [(TextFormat::Tsv, "a\tb\tlabel\nx\ty\t0\n\nz\tw\t1"), (TextFormat::Csv, "a,b,label\nx,y,0\n\nz,w,1")];
    let lines =
        (TextFormat::JsonLines, "\n{\"a\":\"x\",\"b\":\"y\",\"label\":0}\n\n{\"a\":\"z\",\"b\":\"w\",\"label\":1}");
    for (format, text) in tables.into_iter().chain([lines]) {
        for text in [text.to_owned(), text.replace('\n', "\r\n"), format!("\u{feff}{text}\r\n")] {
            let found = rows(format, text.as_bytes());
            assert_eq!(shown(&found), ["2 x|y|0", "4 z|w|1"], "{format:?} {text:?}");
            for row in &found {
                let here = &text.as_bytes()[row.place.offset as usize..];
                assert!(here.starts_with(row.texts[0].as_bytes()) || here.starts_with(b"{"), "{format:?} {text:?}");
            }
        }
    }
}

#[test]
fn columns_may_have_any_order_and_others_are_passed_over() {
    assert_eq!(shown(&rows(TextFormat::Tsv, b"label\tx\tb\ta\nyes\t5\tB b\tA\n")), ["2 A|B b|yes"]);
    let text = "label,b,x,a\nyes,\"B, \"\"b\"\"\nmore\",5,A\nno,b,6,a \" a\n";
    assert_eq!(shown(&rows(TextFormat::Csv, text.as_bytes())), ["2 A|B, \"b\"\nmore|yes", "4 a \" a|b|no"]);
    let text =
        "{\"answer\": true, \"b\": \"B\", \"x\": [{}], \"a\": \"A\"}\n{\"label\":-3,\"a\":\"\\u00e9\",\"b\":\"\\n.\"}";
    assert_eq!(shown(&rows(TextFormat::JsonLines, text.as_bytes())), ["1 A|B|true", "2 é|\n.|-3"]);
}

#[test]
fn faults_of_rows_are_told_with_their_line() {
    use TextFormat::{Csv, JsonLines, Tsv};
    let head = "a\tb\tlabel\nx\ty\t0\n";
    let table = |line: &str| [head.as_bytes(), line.as_bytes()].concat();
    let csv = |line: &str| [b"a,b,label\n\"x\n\",y,0\n", line.as_bytes()].concat();
    let json = |line: &str| [b"{\"a\":\"x\",\"b\":\"y\",\"label\":0}\n", line.as_bytes()].concat();
    let object = |a: &str, b: &str, label: &str| json(&format!("{{\"a\":{a},\"b\":{b},\"label\":{label}}}"));
    let bad: [(TextFormat, Vec<u8>, &[&str]); 20] = [
        (Tsv, b"".into(), &["byte 0: expected a line with the names of columns, found an empty file"]),
        (Tsv, b"a\tlabel\nx\t0\n".into(), &["byte 0: line 1: there is no column \"b\", only \"a\", \"label\""]),
        (Tsv, b"a\tb\tc\nx\ty\t0\n".into(), &["line 1: there is no column \"label\", only"]),
        (Tsv, b"a\tb\ta\tlabel\nx\ty\tz\t0\n".into(), &["line 1: the column \"a\" is there twice"]),
        (Tsv, table("x\ty\n"), &["dir/file, byte 16: line 3: expected 3 columns as in the first line, found 2"]),
        (Tsv, table("x\ty\t0\t1\n"), &["line 3: expected 3 columns as in the first line, found 4"]),
        (Tsv, table(" \ty\t0\n"), &["line 3: the column \"a\" is empty"]),
        (Tsv, table("x\ty\t \n"), &["line 3: the column \"label\" is empty"]),
        (Tsv, [&table("x\ty"), &b"\xff\t0\n"[..]].concat(), &["line 3: expected text in UTF-8, found byte 0xff"]),
        (Csv, b"".into(), &["expected a line with the names of columns"]),
        (Csv, csv("x,y\n"), &["byte 19: line 4: expected 3 columns as in the first line, found 2"]),
        (Csv, csv("x,y,\"0\nz,w,1\n"), &["byte 19: line 4: a quotation mark of this row is not closed"]),
        (Csv, [&csv("x,y"), &b"\xff,0\n"[..]].concat(), &["line 4: expected text in UTF-8, found byte 0xff"]),
        (JsonLines, json("{\"a\":\"x\""), &["byte 28: line 2: expected an object in JSON: EOF", ", column 8"]),
        (JsonLines, json("[1]"), &["line 2: expected an object in JSON"]),
        (JsonLines, json("{\"a\":\"x\",\"label\":1}"), &["line 2: there is no column \"b\", only \"a\", \"label\""]),
        (JsonLines, object("5", "\"y\"", "0"), &["line 2: expected a text in the column \"a\""]),
        (JsonLines, object("\"x\"", "\"\\t\"", "0"), &["line 2: the column \"b\" is empty"]),
        (JsonLines, object("\"x\"", "\"y\"", "0.5"), &["line 2: expected a text, a whole number, true or false"]),
        (JsonLines, object("\"x\"", "\"y\"", "null"), &["line 2: there is no column \"label\""]),
    ];
    for (format, bytes, parts) in bad {
        refused(rows_of(format, &bytes, &mut |fault| Err(fault)), parts);
        // What is wrong with a row can be passed over, what is wrong with the file cannot.
        let mut skipped = 0;
        let passed = rows_of(format, &bytes, &mut |_| {
            skipped += 1;
            Ok(())
        });
        assert!(passed.map_or(skipped == 0, |rows| rows.len() == 1 && skipped == 1), "{parts:?}");
    }
}

// ---- known sets ----

#[test]
fn glue_is_read_and_its_test_part_is_not() {
    let dir = rte();
    let (opened, notes) = open_saying(&named("rte", &dir));
    let Splits { train, test } = opened.unwrap();
    assert_eq!((train.len(), test.len(), notes), (2, 1, vec![]));
    let form = train.form();
    assert_eq!(form.classes(), ["entailment", "not_entailment"]);
    assert_eq!(columns(&form), [("tokens", &[128][..]), ("segments", &[128]), ("length", &[1]), ("label", &[])]);
    assert_eq!(test.form(), form);
    // [PAD] [UNK] [CLS] [SEP], then by count and alphabet: "." "sat" "cat" "a" "the".
    assert_eq!(form.inputs[0].meaning, Meaning::Tokens { vocabulary: 9 });
    let words = first(&*train);
    assert_eq!(words[0][..13], [2, 8, 6, 1, 5, 4, 3, 7, 6, 5, 4, 3, 0]);
    assert_eq!(words[1][..13], [0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 0]);
    assert_eq!((words[0].len(), &words[2], &words[3]), (128, &vec![12], &vec![0]));
    // "The mouse sat." and "A cat.", of the development part.
    assert_eq!(first(&*test)[0][..11], [2, 8, 1, 5, 4, 3, 7, 6, 4, 3, 0]);
    assert_eq!(first(&*test)[3], [1]);
    // The directory above will do as well.
    let parent = TempDir::new().unwrap();
    fs::create_dir(parent.path().join("RTE")).unwrap();
    fs::write(parent.path().join("RTE/train.tsv"), RTE_TRAIN).unwrap();
    refused(named("rte", &parent).open(&mut |_| ()), &["data_dir", "none of dev.tsv, dev.csv, dev.jsonl, val.tsv"]);
    fs::write(parent.path().join("RTE/dev.tsv"), RTE_DEV).unwrap();
    assert_eq!(named("rte", &parent).open(&mut |_| ()).unwrap().fingerprint(), Splits { train, test }.fingerprint());
}

#[test]
fn superglue_and_both_forms_of_boolq_are_read() {
    let of_rte = |label| format!("{{\"premise\":\"P.\",\"hypothesis\":\"H.\",\"label\":\"{label}\",\"idx\":0}}\n");
    let both = of_rte("not_entailment") + &of_rte("entailment");
    let dir = directory(&[("train.jsonl", &both), ("val.jsonl", &of_rte("entailment"))]);
    let Splits { train, test } = named("rte", &dir).open(&mut |_| ()).unwrap();
    assert_eq!((first(&*train)[3][0], first(&*test)[3][0]), (1, 0));
    for (key, part) in [("label", "val.jsonl"), ("answer", "dev.jsonl")] {
        let row = |answer| format!("{{\"question\":\"q\",\"passage\":\"P p.\",\"title\":\"t\",\"{key}\":{answer}}}\n");
        let dir = directory(&[("train.jsonl", &(row(true) + &row(false))), (part, &row(true))]);
        let Splits { train, test } = named("boolq", &dir).open(&mut |_| ()).unwrap();
        assert_eq!(train.form().classes(), ["false", "true"]);
        assert_eq!((first(&*train)[3][0], first(&*test)[3][0]), (1, 1));
    }
    let qnli = "index\tquestion\tsentence\tlabel\n0\tq\ts\tentailment\n1\tq\ts\tnot_entailment\n";
    let dir = directory(&[("train.tsv", qnli), ("dev.tsv", qnli)]);
    assert_eq!(named("qnli", &dir).open(&mut |_| ()).unwrap().train.len(), 2);
    // A set in another's directory.
    refused(named("rte", &dir).open(&mut |_| ()), &["train.tsv", "line 1", "no column \"sentence1\"", "\"question\""]);
}

#[test]
fn any_table_is_read_by_the_names_of_its_columns() {
    let columns = ["text".to_owned()];
    let text = TextOptions { columns: &columns, label_column: Some("stars"), ..TextOptions::default() };
    let train = "stars,text\n10,good good\n2,\"bad, bad\"\n-1,good\n";
    let files = [("train.csv", train), ("test.csv", "text\ngood\n"), ("dev.tsv", "text\tstars\nbad\t2\n")];
    let dir = directory(&files);
    let source = Source { text, ..named("text-pairs", &dir) };
    let (opened, notes) = open_saying(&source);
    let Splits { train, test } = opened.unwrap();
    assert!(notes.len() == 1 && notes[0].ends_with("test.csv has no column \"stars\" and is not read"), "{notes:?}");
    assert_eq!(train.form().classes(), ["-1", "2", "10"]);
    // [CLS] good good [SEP].
    assert_eq!((first(&*train)[0][..5].to_vec(), first(&*train)[2][0]), (vec![2, 4, 4, 3, 0], 4));
    assert!(first(&*train)[1].iter().all(|&segment| segment == 0));
    assert_eq!((first(&*train)[3][0], first(&*test)[3][0]), (2, 1));
    // The names of the classes in an order of one's own, as a run leaves them.
    let list = dir.path().join("classes.txt");
    fs::write(&list, "10\n2\n-1\n").unwrap();
    let opened = Source { class_list: Some(&list), ..source }.open(&mut |_| ()).unwrap();
    assert_eq!((opened.train.form().classes()[0].as_str(), first(&*opened.test)[3][0]), ("10", 1));
    for (names, why) in [("10\n", "two classes or more"), ("1\n1\n2\n", "there twice"), ("10\n2\n", "the label \"-1\"")]
    {
        fs::write(&list, names).unwrap();
        refused(Source { class_list: Some(&list), ..source }.open(&mut |_| ()), &[why]);
    }
}

// ---- faults ----

#[test]
fn every_bad_set_has_an_error_of_its_own() {
    let head = "index\tsentence1\tsentence2\tlabel\n";
    let with = |rows: &str| directory(&[("train.tsv", &format!("{head}{rows}")), ("dev.tsv", RTE_DEV)]);
    let two = "0\ta\tb\tentailment\n1\ta\tb\tnot_entailment\n";
    for (train, parts) in [
        (format!("{two}2\ta\t \tentailment\n"), ["train.tsv", "line 4: the column \"sentence2\" is empty"]),
        (format!("{two}2\ta\t\u{1}\u{2}\tentailment\n"), ["train.tsv", "line 4: a text has no tokens"]),
        (
            format!("{two}2\ta\tb\tneutral\n"),
            ["line 4: the label \"neutral\" is none of the set's: entailment, not", ""],
        ),
        (format!("{two}2\ta\tb\n"), ["line 4: expected 4 columns", ""]),
        (
            "0\ta\tb\tentailment\n".repeat(3),
            ["train.tsv", "every row has the label \"entailment\"; expected two or more"],
        ),
        (String::new(), ["train.tsv", "expected rows with texts and a label, found none"]),
    ] {
        refused(named("rte", &with(&train)).open(&mut |_| ()), &parts);
    }
    let columns = ["a".to_owned()];
    let text = TextOptions { columns: &columns, ..TextOptions::default() };
    let dir = directory(&[("train.tsv", "a\tlabel\nx\tyes\ny\tno\n"), ("test.tsv", "a\tlabel\nx\tyes\ny\tmaybe\n")]);
    let source = Source { text, ..named("text-pairs", &dir) };
    let parts = ["test.tsv", "line 3: the label \"maybe\" is none of the training part's: no, yes"];
    refused(source.open(&mut |_| ()), &parts);
    refused(named("text-pairs", &dir).open(&mut |_| ()), &["text_columns", "one or two columns"]);
    let empty = TempDir::new().unwrap();
    refused(Source { dir: Some(empty.path()), ..source }.open(&mut |_| ()), &["data_dir", "none of train.tsv"]);
    refused(named("rte", &empty).open(&mut |_| ()), &["data_dir", "rte", "no train.tsv or train.jsonl"]);
    let mut bytes = b"a\tlabel\nx\tyes\n".to_vec();
    bytes.extend(b"\xc3(\tno\n");
    fs::write(dir.path().join("train.tsv"), bytes).unwrap();
    refused(source.open(&mut |_| ()), &["train.tsv", "line 3: expected text in UTF-8, found byte 0xc3"]);
}

#[test]
fn bad_rows_are_left_out_and_counted() {
    let bad = ["2\ta\t\tentailment\n", "3\ta\tb\n", "4\ta\tb\tperhaps\n", "5\t\u{1}\tb\tentailment\n", "6\n"].concat();
    let train = format!("{RTE_TRAIN}{bad}7\tlast\tone\tentailment\n");
    let dir = directory(&[("train.tsv", &train), ("dev.tsv", RTE_DEV)]);
    refused(named("rte", &dir).open(&mut |_| ()), &["line 4: the column \"sentence2\" is empty"]);
    let (opened, notes) = open_saying(&Source { skip_bad: true, ..named("rte", &dir) });
    let train = opened.unwrap().train;
    assert_eq!((train.len(), notes.len()), (3, 4), "{notes:?}");
    for (note, part) in notes.iter().zip(["line 4", "line 5", "line 8", "train.tsv: 5 rows are left out in all"]) {
        assert!(note.contains(part), "{notes:?}");
    }
}

#[test]
fn longer_texts_are_cut_counted_and_said() {
    let dir = rte();
    let cut = |max_length| TextOptions { max_length: Some(max_length), ..TextOptions::default() };
    let (opened, notes) = open_saying(&Source { text: cut(10), ..named("rte", &dir) });
    let train = opened.unwrap().train;
    assert!(notes.len() == 1 && notes[0].contains("train.tsv: 2 of 2 examples are longer than 10 tokens"), "{notes:?}");
    // Of "the cat " sat ." and "a cat sat ." the shorter keeps half of seven tokens, rounded down.
    let words = first(&*train);
    assert_eq!((words[0].len(), &words[2]), (10, &vec![10]));
    assert_eq!(
        (words[0].clone(), words[1].clone()),
        (vec![2, 8, 6, 1, 5, 3, 7, 6, 5, 3], vec![0, 0, 0, 0, 0, 0, 1, 1, 1, 1])
    );
    let whole = open_saying(&Source { text: cut(12), ..named("rte", &dir) });
    assert_eq!((first(&*whole.0.unwrap().train)[2][0], whole.1.len()), (12, 0));
    for (length, told) in [(4, "expected 5 to 65536, found 4"), (65_537, "found 65537")] {
        refused(Source { text: cut(length), ..named("rte", &dir) }.open(&mut |_| ()), &["max_length", told]);
    }
}

// ---- vocabularies ----

#[test]
fn wordpiece_takes_the_longest_pieces_of_uncased_words() {
    let text = vocabulary(&["un", "##able", "##a", "able", "cafe", ".", "中", "##b"]);
    let tokenizer = TextTokenizer::of_lines(Path::new(FILE), text.as_bytes(), 16).unwrap();
    assert_eq!((tokenizer.vocabulary(), tokenizer.padding()), (13, 0));
    let ids = |texts: &[&str]| {
        let texts: Vec<String> = texts.iter().map(|text| text.to_string()).collect();
        let tokens = tokenizer.tokens(&texts).unwrap();
        (tokens.ids, tokens.first, tokens.cut)
    };
    assert_eq!(ids(&["Unable CAFÉ.中unab"]), (vec![2, 5, 6, 9, 10, 11, 5, 7, 12, 3], 10, false));
    assert_eq!(ids(&["unx able", "."]), (vec![2, 1, 8, 3, 10, 3], 4, false));
    // What is saved divides texts alike.
    let saved = TextTokenizer::of_json(Path::new(FILE), tokenizer.json().as_bytes(), 16).unwrap();
    assert_eq!(saved.json(), tokenizer.json());
    // Lines of Windows are the same vocabulary.
    let windows = TextTokenizer::of_lines(Path::new(FILE), text.replace('\n', "\r\n").as_bytes(), 16).unwrap();
    assert_eq!(windows.json(), tokenizer.json());
}

#[test]
fn vocabularies_that_cannot_be_used_are_refused() {
    let lines = |text: &str| TextTokenizer::of_lines(Path::new(FILE), text.as_bytes(), 16);
    refused(lines(""), &["dir/file", "no [PAD], [UNK], [CLS], [SEP], which BERT's has"]);
    refused(lines("[PAD]\n[CLS]\n[SEP]\na\n"), &["no [UNK], which"]);
    refused(lines("<s>\n<pad>\n</s>\n<unk>\n"), &["no [PAD], [UNK], [CLS], [SEP]"]);
    refused(TextTokenizer::of_lines(Path::new(FILE), b"[PAD]\n\xff", 16), &["byte 6: expected text in UTF-8"]);
    let whole: Value = serde_json::from_str(&lines(&vocabulary(&["a"])).unwrap().json()).unwrap();
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut json = whole.clone();
        change(&mut json);
        TextTokenizer::of_json(Path::new(FILE), json.to_string().as_bytes(), 16)
    };
    changed(&|_| ()).unwrap();
    refused(
        changed(&|json| json["model"]["type"] = "BPE".into()),
        &["WordPiece or WordLevel as the model, found \"BPE\""],
    );
    refused(changed(&|json| json["normalizer"] = Value::Null), &["BertNormalizer as the normalizer, found \"none\""]);
    refused(changed(&|json| json["model"]["unk_token"] = "<unk>".into()), &["no \"<unk>\", the model's `unk_token`"]);
    refused(changed(&|json| json["model"]["vocab"] = Value::Null), &["expected a tokenizer: "]);
    let without = |json: &mut Value| {
        json["model"]["vocab"].as_object_mut().unwrap().remove("[SEP]");
        json["added_tokens"] = Value::Array(vec![]);
    };
    refused(changed(&without), &["no [SEP], which BERT's has"]);
    let large = |json: &mut Value| json["model"]["vocab"]["a"] = (1u32 << 31).into();
    refused(changed(&large), &["at most 4194304 tokens"]);
    refused(TextTokenizer::of_json(Path::new(FILE), b"[PAD]\n", 16), &["expected a tokenizer in JSON"]);
    let dir = rte();
    let vocab = dir.path().join("train.tsv");
    let text = TextOptions { vocab: Some(&vocab), ..TextOptions::default() };
    refused(Source { text, ..named("rte", &dir) }.open(&mut |_| ()), &["vocab", "a vocab.txt or a tokenizer.json"]);
}

#[test]
fn a_vocabulary_of_words_has_the_most_frequent_ones() {
    let dir = rte();
    let size = |vocab_size, min_count| {
        let text = TextOptions { vocab_size, min_count, ..TextOptions::default() };
        let source = Source { text, ..named("rte", &dir) };
        source.open(&mut |_| ()).unwrap().train.form().inputs[0].meaning.clone()
    };
    for (vocab_size, min_count, vocabulary) in
        [(None, None, 9), (None, Some(1), 11), (None, Some(4), 6), (Some(7), None, 7)]
    {
        assert_eq!(size(vocab_size, min_count), Meaning::Tokens { vocabulary });
    }
}

// ---- what a model is used with ----

#[test]
fn the_saved_vocabulary_is_all_that_prediction_needs() {
    let dir = rte();
    let Splits { train, .. } = named("rte", &dir).open(&mut |_| ()).unwrap();
    let [(tokenizer, json), (classes, names)] = &train.companions()[..] else { panic!("two files") };
    assert_eq!(
        (*tokenizer, *classes, &names[..]),
        (TOKENIZER_FILE, CLASSES_FILE, &b"entailment\nnot_entailment\n"[..])
    );
    let beside = TempDir::new().unwrap();
    let vocab = beside.path().join(TOKENIZER_FILE);
    fs::write(&vocab, json).unwrap();
    // The set's own files are nowhere.
    let text = TextOptions { vocab: Some(&vocab), ..TextOptions::default() };
    let source = Source { name: "rte", dir: Some(beside.path()), text, ..Source::default() };
    assert_eq!(source.form().unwrap(), train.form());
    let encoder: Arc<TextEncoder> = source.text_encoder().unwrap().expect("all is known");
    let pair = |a: &str, b: &str| vec![a.to_owned(), b.to_owned()];
    let given = encoder.unlabelled("rte", &[pair("The cat \"sat.", "A cat sat."), pair("x", "y")]).unwrap();
    assert_eq!((given.len(), &first(&given)[..3]), (2, &first(&*train)[..3]));
    refused(encoder.unlabelled("rte", &[vec!["one".to_owned()]]), &["text: expected 2 for an example, found 1"]);
    refused(encoder.unlabelled("rte", &[pair("\u{1}", "y")]), &["text: a text has no tokens"]);
}

#[test]
fn fingerprints_tell_texts_labels_vocabularies_and_lengths_apart() {
    let print = |files: &[(&str, &str)], text: TextOptions<'_>| {
        let dir = directory(files);
        let source = Source { text, ..named("rte", &dir) };
        source.open(&mut |_| ()).unwrap().fingerprint()
    };
    let files = |train| [("train.tsv", train), ("dev.tsv", RTE_DEV)];
    let plain = TextOptions::default();
    let usual = print(&files(RTE_TRAIN), plain);
    assert_eq!(print(&files(RTE_TRAIN), plain), usual);
    // An unknown word stands for another, with the same tokens.
    let other_text = RTE_TRAIN.replace("dog", "cow");
    let swapped = [("\tnot_", "\tX"), ("\tent", "\tnot_ent"), ("\tX", "\t")];
    let other_label = swapped.iter().fold(RTE_TRAIN.to_owned(), |text, (from, to)| text.replace(from, to));
    let others = [
        print(&files(&other_text), plain),
        print(&files(&other_label), plain),
        print(&files(RTE_TRAIN), TextOptions { min_count: Some(1), ..plain }),
        print(&files(RTE_TRAIN), TextOptions { max_length: Some(127), ..plain }),
    ];
    assert!(others.iter().all(|other| *other != usual), "{usual} {others:?}");
}

#[test]
fn options_that_do_nothing_are_refused() {
    let dir = rte();
    let source = named("rte", &dir);
    let setting = |source: Source<'_>, expected: &str, part: &str| match source.open(&mut |_| ()).unwrap_err() {
        Error::Setting { field, message } => assert!(field == expected && message.contains(part), "{field}: {message}"),
        other => panic!("{other}"),
    };
    let flip = data::Augmentation { flip: true, ..Default::default() };
    setting(Source { augmentation: flip, ..source }, "flip", "rte");
    setting(Source { normalise: data::Normalise::Data, ..source }, "normalise", "images");
    setting(Source { image_size: Some(8), ..source }, "image_size", "image files");
    let list = PathBuf::from("list");
    setting(Source { class_list: Some(&list), ..source }, "class_list", "has columns and classes of its own");
    let text = TextOptions { label_column: Some("label"), ..TextOptions::default() };
    setting(Source { text, ..source }, "label_column", "has columns and classes of its own");
    let text = TextOptions { max_length: Some(64), ..TextOptions::default() };
    setting(Source { name: "shapes", text, ..Source::default() }, "max_length", "shapes");
    let error = source.open_pictures(&mut |_| ()).unwrap_err();
    assert!(error.to_string().contains("rte"), "{error}");
}

// ---- Hugging Face's tokenizer ----

fn crc32(words: impl Iterator<Item = u32>) -> String {
    let mut hasher = crc32fast::Hasher::new();
    words.for_each(|word| hasher.update(&word.to_le_bytes()));
    format!("{:08x}", hasher.finalize())
}

/// Writes to standard error directly: the harness hides what `eprintln` prints in a passing test.
fn skip(what: &str, why: &str) {
    std::io::stderr().write_all(format!("SKIP: {what} is not tested: {why}\n").as_bytes()).unwrap();
}

/// The vocabulary of the MiniLM weights, in the directory `LERAC_MINILM`; by default that of
/// scripts/ensure-minilm.sh.
fn real_vocabulary() -> Option<PathBuf> {
    let usual = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/minilm");
    let file = std::env::var_os("LERAC_MINILM").map_or(usual, PathBuf::from).join("vocab.txt");
    if !file.is_file() {
        skip("the WordPiece vocabulary", "scripts/ensure-minilm.sh fetches it");
        return None;
    }
    Some(file)
}

/// The folder of RTE, BoolQ and QNLI, where they are.
fn real_sets() -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let there = ["RTE", "BoolQ", "QNLI"].iter().all(|name| dir.join(name).is_dir());
    if !there {
        skip("RTE, BoolQ and QNLI", &format!("{} has not all of them", dir.display()));
    }
    there.then_some(dir)
}

#[test]
fn tokens_are_those_of_hugging_face() {
    let Some(vocab) = real_vocabulary() else { return };
    let fixture: Value = serde_json::from_str(include_str!("../golden/token_ids.json")).unwrap();
    let bytes = fs::read(&vocab).unwrap();
    assert_eq!(format!("{:08x}", crc32fast::hash(&bytes)), fixture["vocabulary"], "{} is another", vocab.display());
    let json = vocab.with_file_name("tokenizer.json");
    let files = [Some(vocab), json.is_file().then_some(json)];
    for vocab in files.into_iter().flatten() {
        let tokenizer = TextTokenizer::read(&vocab, 512).unwrap();
        for odd in fixture["odd"].as_array().unwrap() {
            let texts: Vec<String> = serde_json::from_value(odd["texts"].clone()).unwrap();
            assert_eq!(serde_json::to_value(tokenizer.tokens(&texts).unwrap().ids).unwrap(), odd["ids"], "{texts:?}");
        }
        let Some(dir) = real_sets() else { return };
        for name in ["rte", "boolq"] {
            for (length, checksums) in fixture[name].as_object().unwrap() {
                let text = TextOptions { vocab: Some(&vocab), max_length: length.parse().ok(), ..Default::default() };
                let data = Source { name, dir: Some(&dir), text, ..Source::default() }.open(&mut |_| ()).unwrap().train;
                let checksums = checksums.as_str().unwrap().as_bytes().chunks(8);
                assert_eq!(checksums.len(), 1000);
                for (i, checksum) in checksums.enumerate() {
                    let columns = Batch::gather(&*data, &[i as u32], 1, None).unwrap().columns;
                    let count = columns[2][0] as usize;
                    let words = columns[..2].iter().flat_map(|column| column[..count].iter().copied());
                    assert_eq!(crc32(words).as_bytes(), checksum, "pair {i} of {name} at {length} tokens");
                }
            }
        }
    }
}

#[test]
fn real_sets_are_read_whole() {
    let Some(dir) = real_sets() else { return };
    // Rows, and rows of the first class in the training part. BoolQ and QNLI are the development
    // part, cut in two.
    for (name, train, test, of_first) in
        [("rte", 2490, 277, 1249), ("boolq", 2616, 654, 981), ("qnli", 4370, 1093, 2169)]
    {
        let opened = Source { name, dir: Some(&dir), ..Source::default() }.open(&mut |_| ()).unwrap();
        assert_eq!((opened.train.len(), opened.test.len()), (train, test), "{name}");
        let indices: Vec<u32> = (0..train as u32).collect();
        let labels = &Batch::gather(&*opened.train, &indices, train, None).unwrap().columns[3];
        assert_eq!(labels.iter().filter(|&&label| label == 0).count(), of_first, "{name}");
    }
}
