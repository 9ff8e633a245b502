//! The header of a safetensors file: JSON that names each tensor's type, shape and place in the data, and text metadata.
use serde::{
    de::{Error as _, MapAccess, SeqAccess, Visitor},
    Deserialize, Deserializer,
};
use std::{
    collections::{BTreeMap, HashSet},
    fmt,
};
use tallow_tensor::element_count;

/// Longest header; that of the format.
pub(super) const MAX_HEADER: u64 = 100_000_000;
/// Most tensors in a file. What a header makes of memory beside them is bounded by this.
pub(super) const MAX_TENSORS: usize = 100_000;
/// Most axes of a tensor.
const MAX_RANK: usize = 64;
/// What metadata stands under, beside the tensors.
pub(super) const METADATA: &str = "__metadata__";

/// One tensor of a file.
#[derive(Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) name: String,
    /// The format's name of the type.
    pub(super) kind: String,
    pub(super) shape: Vec<usize>,
    /// Where its bytes are in the data.
    pub(super) begin: u64,
    pub(super) end: u64,
}

/// What a header says; the tensors in the order of their bytes.
#[derive(Debug, PartialEq)]
pub(super) struct Header {
    pub(super) entries: Vec<Entry>,
    pub(super) metadata: BTreeMap<String, String>,
}

/// Bits of an element of a type, if the type is known.
fn bits(kind: &str) -> Option<u64> {
    Some(match kind {
        "F4" => 4,
        "F6_E2M3" | "F6_E3M2" => 6,
        "BOOL" | "U8" | "I8" | "F8_E4M3" | "F8_E5M2" | "F8_E8M0" => 8,
        "I16" | "U16" | "F16" | "BF16" => 16,
        "I32" | "U32" | "F32" => 32,
        "I64" | "U64" | "F64" | "C64" => 64,
        _ => return None,
    })
}

impl Header {
    /// The header that `json` is, of a file with `data` bytes behind it: every byte of these belongs to one tensor.
    ///
    /// # Errors
    /// In words.
    pub(super) fn parse(json: &[u8], data: u64) -> Result<Self, String> {
        let Raw { entries: mut raw, metadata } =
            serde_json::from_slice(json).map_err(|e| format!("its header: {e}"))?;
        let mut names = HashSet::with_capacity(raw.len());
        if let Some((twice, _)) = raw.iter().find(|(name, _)| !names.insert(name.as_str())) {
            return Err(format!("it has two tensors named {twice}"));
        }
        drop(names);
        // Tensors without elements may stand at the border of others.
        raw.sort_by(|(a_name, a), (b_name, b)| (a.data_offsets, a_name).cmp(&(b.data_offsets, b_name)));
        let mut at = 0;
        let mut entries = Vec::with_capacity(raw.len());
        for (name, Info { dtype: kind, shape: Sizes(shape), data_offsets: (begin, end) }) in raw {
            if begin != at || end < begin {
                return Err(format!("tensor {name} has the bytes {begin} to {end}, but those before it end at {at}"));
            }
            let count = element_count(&shape).map_err(|e| format!("tensor {name}: {}", e.message()))?;
            if let Some(bits) = bits(&kind) {
                let needed = (count as u64).checked_mul(bits).filter(|n| n % 8 == 0).map(|n| n / 8);
                if needed != Some(end - begin) {
                    let held = end - begin;
                    return Err(format!("tensor {name} of type {kind} and shape {shape:?} does not take {held} bytes"));
                }
            }
            at = end;
            entries.push(Entry { name, kind, shape, begin, end });
        }
        if at != data {
            return Err(format!("its header names {at} bytes of data, it has {data}"));
        }
        Ok(Self { entries, metadata })
    }
}

/// What stands in the JSON, unchecked.
struct Raw {
    entries: Vec<(String, Info)>,
    metadata: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Info {
    dtype: String,
    shape: Sizes,
    data_offsets: (u64, u64),
}

struct Sizes(Vec<usize>);
struct Texts(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Raw;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("tensors by name")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
                let (mut entries, mut metadata) = (Vec::new(), None);
                while let Some(name) = map.next_key::<String>()? {
                    if name == METADATA {
                        let Texts(texts) = map.next_value()?;
                        if metadata.replace(texts).is_some() {
                            return Err(A::Error::custom("it has metadata twice"));
                        }
                    } else if entries.len() == MAX_TENSORS {
                        return Err(A::Error::custom(format!("it names more than {MAX_TENSORS} tensors")));
                    } else {
                        entries.push((name, map.next_value()?));
                    }
                }
                Ok(Raw { entries, metadata: metadata.unwrap_or_default() })
            }
        }
        from.deserialize_map(Visit)
    }
}

impl<'de> Deserialize<'de> for Sizes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Sizes;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("the sizes of axes")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Sizes, A::Error> {
                let mut sizes = Vec::new();
                while let Some(size) = seq.next_element()? {
                    if sizes.len() == MAX_RANK {
                        return Err(A::Error::custom(format!("a tensor has more than {MAX_RANK} axes")));
                    }
                    sizes.push(size);
                }
                Ok(Sizes(sizes))
            }
        }
        from.deserialize_seq(Visit)
    }
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Texts;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("texts by name")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Texts, A::Error> {
                let mut texts = BTreeMap::new();
                while let Some((key, text)) = map.next_entry::<String, String>()? {
                    if texts.len() == MAX_TENSORS {
                        return Err(A::Error::custom(format!("its metadata has more than {MAX_TENSORS} entries")));
                    }
                    if texts.contains_key(&key) {
                        return Err(A::Error::custom(format!("its metadata has {key} twice")));
                    }
                    texts.insert(key, text);
                }
                Ok(Texts(texts))
            }
        }
        from.deserialize_map(Visit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(json: &str, data: u64, why: &str) {
        let error = Header::parse(json.as_bytes(), data).unwrap_err();
        assert!(error.contains(why), "{json}: {error}");
    }

    #[test]
    fn every_byte_belongs_to_one_tensor() {
        let one = |name: &str, shape: &str, at: &str| {
            format!(r#""{name}":{{"dtype":"F32","shape":{shape},"data_offsets":{at}}}"#)
        };
        let file = |entries: &[String]| format!("{{{}}}", entries.join(","));
        let (a, b, none) = (one("a", "[2]", "[4,12]"), one("b", "[]", "[0,4]"), one("none", "[0,7]", "[4,4]"));
        let header = Header::parse(file(&[a.clone(), none, b.clone()]).as_bytes(), 12).unwrap();
        let names: Vec<&str> = header.entries.iter().map(|e| e.name.as_str()).collect();
        assert_eq!(names, ["b", "none", "a"]);
        refused(&file(&[a.clone(), b.clone()]), 13, "names 12 bytes of data, it has 13");
        refused(
            &file(&[a.clone(), one("b", "[2]", "[0,8]")]),
            12,
            "a has the bytes 4 to 12, but those before it end at 8",
        );
        refused(&file(&[one("a", "[2]", "[8,16]"), b.clone()]), 16, "end at 4");
        refused(&file(&[one("a", "[3]", "[0,8]")]), 8, "does not take 8 bytes");
        refused(&file(&[one("a", "[2]", "[8,0]")]), 0, "the bytes 8 to 0");
        refused(&file(&[one("a", "[4611686018427387904,4]", "[0,16]")]), 16, "too many elements");
        refused(&file(&[one("a", "[2]", "[0,8]"), one("a", "[2]", "[8,16]")]), 16, "two tensors named a");
        refused(&file(&[one("a", "[-1]", "[0,8]")]), 8, "its header");
        refused(&file(&[one("a", &format!("[{}1]", "1,".repeat(64)), "[0,4]")]), 4, "more than 64 axes");
    }

    #[test]
    fn what_is_no_header_is_refused() {
        for json in ["", "[]", "{", "{}x", r#"{"a":{"dtype":"F32","shape":[],"data_offsets":[0]}}"#] {
            refused(json, 0, "its header");
        }
        refused(r#"{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0],"more":1}}"#, 0, "unknown field `more`");
        refused(r#"{"__metadata__":{"a":1}}"#, 0, "expected a string");
        refused(r#"{"__metadata__":{"a":"1","a":"2"}}"#, 0, "has a twice");
        refused(r#"{"__metadata__":{},"__metadata__":{}}"#, 0, "metadata twice");
        refused(&format!("{{\"a\":{}", "[".repeat(1 << 16)), 0, "its header");
        let many: Vec<String> =
            (0..=MAX_TENSORS).map(|i| format!(r#""{i}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#)).collect();
        refused(&format!("{{{}}}", many.join(",")), 0, "more than 100000 tensors");
    }
}
