//! Encoders give recorded ids of Python's `tokenizers`, and take no harm from files that are none.
use serde_json::Value;
use std::sync::Arc;
use tallow_data::{
    checked_ids, load, train_byte_pair, ByteEncoder, ByteOptions, BytePairOptions, CharacterEncoder, CharacterOptions,
    DecodeOptions, EncodeOptions, Encoder, Names,
};
use tallow_layers::{Count, Dim, ErrorKind};

/// What Python's `tokenizers` gave; the tests of TypeScript read it too.
const RECORDED: &str = include_str!("../../../__test__/data/fixtures/tokenizers.json");
const WORDPIECE: &str = include_str!("../../../__test__/data/fixtures/wordpiece.json");
const FALLBACK: &str = include_str!("../../../__test__/data/fixtures/fallback.json");

fn recorded(part: &str, name: &str) -> Value {
    let all: Value = serde_json::from_str(RECORDED).expect("the fixture is JSON");
    let value = if part.is_empty() { &all[name] } else { &all[part][name] };
    assert!(!value.is_null(), "the fixture has {part} {name}");
    value.clone()
}
fn strings(v: &Value) -> Vec<String> {
    serde_json::from_value(v.clone()).expect("strings")
}
fn ids(v: &Value) -> Vec<Vec<i32>> {
    serde_json::from_value(v.clone()).expect("lists of ids")
}
fn encoded(encoder: &dyn Encoder, texts: &[String], special: bool) -> Vec<Vec<i32>> {
    let o = EncodeOptions { add_special_tokens: special };
    texts.iter().map(|text| encoder.encode(text, &o).expect("text of the fixture")).collect()
}
fn decoded(encoder: &dyn Encoder, ids: &[i32], skip: bool) -> String {
    let ids: Vec<u32> = ids.iter().map(|&id| id as u32).collect();
    encoder.decode(&ids, &DecodeOptions { skip_special_tokens: skip }).expect("ids of the fixture")
}
fn streamed(encoder: &Arc<dyn Encoder>, ids: &[i32]) -> Vec<String> {
    let mut stream = encoder.clone().stream(DecodeOptions { skip_special_tokens: true });
    let mut parts: Vec<_> = ids.iter().map(|&id| stream.push(id as u32).expect("an id of the fixture")).collect();
    parts.push(stream.end().expect("an end"));
    parts
}
fn byte_pairs(
    texts: &[String],
    vocab_size: usize,
    special: &[&str],
) -> tallow_data::Result<tallow_data::TokenizerFile> {
    let special_tokens = Names(special.iter().map(|&s| s.to_owned()).collect());
    train_byte_pair(texts, &BytePairOptions { vocab_size: Dim(vocab_size), min_frequency: Count(0), special_tokens })
}

#[test]
fn byte_pairs_that_are_learnt_are_those_of_python() {
    let made = byte_pairs(&strings(&recorded("", "texts")), 330, &["<end>"]).expect("it learns");
    let encoder: Arc<dyn Encoder> = Arc::new(made);
    assert_eq!(encoder.vocab_size(), 330);
    let last: Vec<_> = (257..330).map(|id| encoder.token_of(id).expect("a token")).collect();
    assert_eq!(last, strings(&recorded("trained", "last")));
    let samples = strings(&recorded("", "samples"));
    assert_eq!(encoded(&*encoder, &samples, true), ids(&recorded("trained", "ids")));
    assert_eq!((encoder.id_of("<end>"), encoder.id_of("no such token")), (Some(0), None));
    for (text, ids) in samples.iter().zip(ids(&recorded("trained", "ids"))) {
        assert_eq!(&decoded(&*encoder, &ids, false), text);
        assert_eq!(streamed(&encoder, &ids).concat(), text.replace("<end>", ""));
    }
    // What it writes is read as the same tokenizer.
    let again = load(encoder.to_json().expect("JSON").as_bytes()).expect("its own JSON");
    assert_eq!(encoded(&*again, &samples, true), ids(&recorded("trained", "ids")));
}

#[test]
fn a_vocabulary_without_room_for_the_bytes_is_refused() {
    let error = byte_pairs(&["a".to_owned()], 256, &["<s>"]).err().expect("no room");
    assert_eq!(error.kind(), ErrorKind::InvalidOption);
    assert!(error.message().contains("at least 257"), "{}", error.message());
    // With room for nothing more, each byte is a token, behind the special ones.
    let made = byte_pairs(&["aaaa".to_owned()], 257, &["<s>"]).expect("room for the bytes");
    assert_eq!(made.encode("aa", &EncodeOptions { add_special_tokens: true }).expect("bytes"), [65, 65]);
}

#[test]
fn tokenizers_of_files_give_the_ids_of_python() {
    let encoder = load(WORDPIECE.as_bytes()).expect("a tokenizer.json");
    let samples = strings(&recorded("wordpiece", "samples"));
    assert_eq!(encoder.vocab_size(), 10);
    assert_eq!(encoded(&*encoder, &samples, true), ids(&recorded("wordpiece", "ids")));
    assert_eq!(encoded(&*encoder, &samples, false), ids(&recorded("wordpiece", "bare")));
    let (text, whole) = (strings(&recorded("wordpiece", "text")), strings(&recorded("wordpiece", "whole")));
    for (i, ids) in ids(&recorded("wordpiece", "ids")).iter().enumerate() {
        assert_eq!(
            (decoded(&*encoder, ids, true), decoded(&*encoder, ids, false)),
            (text[i].clone(), whole[i].clone())
        );
    }
    let encoder = load(FALLBACK.as_bytes()).expect("a tokenizer.json");
    let samples = strings(&recorded("fallback", "samples"));
    assert_eq!(encoded(&*encoder, &samples, true), ids(&recorded("fallback", "ids")));
    // A character of four bytes is whole with the last of them.
    let whale = &encoded(&*encoder, &["call 🐳".to_owned()], true)[0];
    assert_eq!(streamed(&encoder, whale), ["call", " ", "", "", "", "🐳", ""]);
}

#[test]
fn bytes_and_characters_are_numbered_behind_the_reserved_ids() {
    let bytes = ByteEncoder::new(&ByteOptions { reserved: Count(2) }).expect("two reserved ids");
    let bytes: Arc<dyn Encoder> = Arc::new(bytes);
    assert_eq!(bytes.vocab_size(), 258);
    assert_eq!(encoded(&*bytes, &["aé".to_owned()], true), [[99, 197, 171]]);
    assert_eq!(decoded(&*bytes, &[0, 99, 1, 197, 171], true), "aé");
    assert_eq!(
        streamed(&bytes, &[99, 197, 171, 197, 99, 242, 161]),
        ["a", "", "é", "", "\u{fffd}a", "", "", "\u{fffd}"]
    );

    let characters =
        CharacterEncoder::of("the 🐳 whale", &CharacterOptions { reserved: Count(1) }).expect("an alphabet");
    assert_eq!(characters.vocab_size(), 9);
    assert_eq!(encoded(&characters, &[" 🐳".to_owned()], true), [[1, 8]]);
    assert_eq!(
        (characters.id_of("w"), characters.token_of(8), characters.token_of(0)),
        (Some(7), Some("🐳".into()), None)
    );
    let error = characters.encode("the x", &EncodeOptions { add_special_tokens: true }).expect_err("no x");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.message().contains("'x' at byte 4"), "{}", error.message());
    assert_eq!(checked_ids(&characters, &[0.0, 8.0]).expect("known ids"), [0, 8]);
    for id in [9.0, -1.0, 0.5, f64::NAN, f64::INFINITY] {
        assert_eq!(checked_ids(&characters, &[0.0, id]).expect_err("no id").kind(), ErrorKind::IndexOutOfRange, "{id}");
    }
}

/// Loads a file, and uses what it holds. @returns the kind of the first error
fn used(json: &[u8]) -> Option<ErrorKind> {
    let encoder = match load(json) {
        Ok(encoder) => encoder,
        Err(e) => return Some(e.kind()),
    };
    let o = EncodeOptions { add_special_tokens: true };
    let ids = match encoder.encode("call [CLS] me 🐳 Ishmael\n", &o) {
        Ok(ids) => ids,
        Err(e) => return Some(e.kind()),
    };
    let known: Vec<_> = ids.iter().map(|&id| f64::from(id)).collect();
    let decoded = checked_ids(&*encoder, &known)
        .and_then(|ids| encoder.decode(&ids, &DecodeOptions { skip_special_tokens: false }));
    decoded.err().map(|e| e.kind())
}
const TYPED: [Option<ErrorKind>; 4] =
    [None, Some(ErrorKind::InvalidArgument), Some(ErrorKind::InvalidOption), Some(ErrorKind::IndexOutOfRange)];

#[test]
fn files_that_are_cut_or_changed_are_read_or_refused() {
    for json in [WORDPIECE, FALLBACK] {
        for end in 0..json.trim_end().len() {
            assert_eq!(used(&json.as_bytes()[..end]), Some(ErrorKind::InvalidArgument), "cut at {end}");
        }
        // Each byte becomes another one: of a word, of a number, or of the structure.
        for (at, new) in (0..json.len()).zip(b"9\"{x-,]0\xff".iter().cycle()) {
            let mut bytes = json.as_bytes().to_vec();
            bytes[at] = *new;
            let found = used(&bytes);
            assert!(TYPED.contains(&found), "byte {at} became {new}: {found:?}");
        }
    }
}

#[test]
fn files_with_parts_that_make_no_sense_are_read_or_refused() {
    let hostile: [(&str, Value); 12] = [
        (
            "/padding",
            serde_json::json!({"strategy": {"Fixed": 1u64 << 50}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "x"}),
        ),
        (
            "/padding",
            serde_json::json!({"strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": 1u64 << 50, "pad_id": 0, "pad_type_id": 0, "pad_token": "x"}),
        ),
        (
            "/padding",
            serde_json::json!({"strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": 0, "pad_id": 0, "pad_type_id": 0, "pad_token": "x"}),
        ),
        (
            "/truncation",
            serde_json::json!({"direction": "Right", "max_length": 0, "strategy": "LongestFirst", "stride": 9}),
        ),
        (
            "/truncation",
            serde_json::json!({"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 9}),
        ),
        (
            "/truncation",
            serde_json::json!({"direction": "Left", "max_length": 3, "strategy": "OnlySecond", "stride": 0}),
        ),
        ("/normalizer", serde_json::json!({"type": "Precompiled", "precompiled_charsmap": "AAAA"})),
        ("/normalizer", serde_json::json!({"type": "Precompiled", "precompiled_charsmap": "/////////w=="})),
        ("/normalizer", serde_json::json!({"type": "Replace", "pattern": {"Regex": "(a*)*b"}, "content": "x"})),
        ("/pre_tokenizer", serde_json::json!({"type": "FixedLength", "length": 0})),
        ("/model", serde_json::json!({"type": "Unigram", "unk_id": 5, "vocab": [["a", 0.0]], "byte_fallback": false})),
        (
            "/model",
            serde_json::json!({"type": "BPE", "dropout": 7.0, "unk_token": "?", "continuing_subword_prefix": "🐳🐳", "end_of_word_suffix": null, "fuse_unk": true, "vocab": {"a": 4294967295u32}, "merges": [["a", "b"]]}),
        ),
    ];
    for (path, value) in hostile {
        let mut file: Value = serde_json::from_str(WORDPIECE).expect("the fixture is JSON");
        *file.pointer_mut(path).expect("a part of the file") = value.clone();
        let found = used(file.to_string().as_bytes());
        assert!(TYPED.contains(&found), "{path} {value}: {found:?}");
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for json in ["", "null", "[]", "7", "{\"encoder\":7}", "{\"encoder\":\"bytes\",\"reserved\":1e300}", &deep] {
        assert_eq!(used(json.as_bytes()), Some(ErrorKind::InvalidArgument), "{json:.40}");
    }
}
