//! The messages of event files: the few fields of TensorFlow's `Event`, `Summary` and `Image` that are needed, as protocol buffers.
//!
//! A field is its number and kind as one varint, then a varint, four or eight bytes, or a length and bytes.

/// What a step is said to have come to.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number.
    Scalar(f32),
    /// A PNG image.
    Image {
        /// Rows.
        height: u32,
        /// Columns.
        width: u32,
        /// Channels: 1 for grey, 3 for RGB, 4 for RGBA.
        channels: u32,
        /// The file.
        png: Vec<u8>,
    },
}

/// A value that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// Number of the step.
    pub step: u64,
    /// Name of the series.
    pub tag: String,
    /// The value.
    pub value: Value,
}

/// One record: values as of a step. The one without values begins a file.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) time: f64,
    pub(super) step: u64,
    pub(super) values: Vec<(String, Value)>,
}

const VARINT: u64 = 0;
const EIGHT_BYTES: u64 = 1;
const BYTES: u64 = 2;
const FOUR_BYTES: u64 = 5;

fn varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn number(out: &mut Vec<u8>, field: u64, n: u64) {
    varint(out, field << 3 | VARINT);
    varint(out, n);
}

fn bytes(out: &mut Vec<u8>, field: u64, data: &[u8]) {
    varint(out, field << 3 | BYTES);
    varint(out, data.len() as u64);
    out.extend_from_slice(data);
}

impl Event {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        varint(&mut out, 1 << 3 | EIGHT_BYTES);
        out.extend_from_slice(&self.time.to_le_bytes());
        number(&mut out, 2, self.step);
        if self.values.is_empty() {
            bytes(&mut out, 3, b"brain.Event:2");
            return out;
        }
        let mut summary = Vec::new();
        for (tag, value) in &self.values {
            bytes(&mut summary, 1, &entry(tag, value));
        }
        bytes(&mut out, 5, &summary);
        out
    }
}

fn entry(tag: &str, value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    bytes(&mut out, 1, tag.as_bytes());
    match value {
        Value::Scalar(x) => {
            varint(&mut out, 2 << 3 | FOUR_BYTES);
            out.extend_from_slice(&x.to_le_bytes());
        }
        Value::Image { height, width, channels, png } => {
            let mut image = Vec::new();
            number(&mut image, 1, u64::from(*height));
            number(&mut image, 2, u64::from(*width));
            number(&mut image, 3, u64::from(*channels));
            bytes(&mut image, 4, png);
            bytes(&mut out, 4, &image);
        }
    }
    out
}

/// The values of one record.
pub(super) fn decode(event: &[u8]) -> Result<Vec<Recorded>, String> {
    let (mut step, mut values) = (0, Vec::new());
    for (field, content) in fields(event)? {
        match (field, content) {
            (2, Field::Number(n)) => step = n,
            (5, Field::Bytes(summary)) => {
                for (_, content) in fields(summary)?.into_iter().filter(|(field, _)| *field == 1) {
                    if let Field::Bytes(entry) = content {
                        values.extend(read_entry(entry)?);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(values.into_iter().map(|(tag, value)| Recorded { step, tag, value }).collect())
}

fn read_entry(entry: &[u8]) -> Result<Option<(String, Value)>, String> {
    let (mut tag, mut value) = (String::new(), None);
    for (field, content) in fields(entry)? {
        match (field, content) {
            (1, Field::Bytes(name)) => tag = String::from_utf8_lossy(name).into_owned(),
            (2, Field::Number(bits)) => value = Some(Value::Scalar(f32::from_bits(bits as u32))),
            (4, Field::Bytes(image)) => {
                let (mut sizes, mut png) = ([0; 3], Vec::new());
                for (field, content) in fields(image)? {
                    match (field, content) {
                        (1..=3, Field::Number(n)) => sizes[field as usize - 1] = n as u32,
                        (4, Field::Bytes(data)) => png = data.to_vec(),
                        _ => {}
                    }
                }
                let [height, width, channels] = sizes;
                value = Some(Value::Image { height, width, channels, png });
            }
            _ => {}
        }
    }
    Ok(value.map(|v| (tag, v)))
}

enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// Numbers and contents of all fields of a message.
fn fields(mut message: &[u8]) -> Result<Vec<(u64, Field<'_>)>, String> {
    fn take<'a>(message: &mut &'a [u8], n: u64) -> Result<&'a [u8], String> {
        let cut = || "a message ends within a field".to_string();
        let (taken, rest) = message.split_at_checked(usize::try_from(n).map_err(|_| cut())?).ok_or_else(cut)?;
        *message = rest;
        Ok(taken)
    }
    fn read_varint(message: &mut &[u8]) -> Result<u64, String> {
        let mut n = 0;
        for shift in (0..64).step_by(7) {
            let byte = take(message, 1)?[0];
            n |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(n);
            }
        }
        Err("a number is too long".into())
    }
    let little_endian = |b: &[u8]| b.iter().rev().fold(0u64, |n, &b| n << 8 | u64::from(b));
    let mut out = Vec::new();
    while !message.is_empty() {
        let key = read_varint(&mut message)?;
        let content = match key & 7 {
            VARINT => Field::Number(read_varint(&mut message)?),
            EIGHT_BYTES => Field::Number(little_endian(take(&mut message, 8)?)),
            BYTES => {
                let n = read_varint(&mut message)?;
                Field::Bytes(take(&mut message, n)?)
            }
            FOUR_BYTES => Field::Number(little_endian(take(&mut message, 4)?)),
            other => return Err(format!("there is no field of kind {other}")),
        };
        out.push((key >> 3, content));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_those_of_the_protocol() {
        let event = Event { time: 1.5, step: 300, values: vec![("loss".into(), Value::Scalar(0.25))] };
        let mut expected = vec![0x09];
        expected.extend_from_slice(&1.5f64.to_le_bytes());
        expected.extend_from_slice(&[0x10, 0xac, 0x02, 0x2a, 13, 0x0a, 11, 0x0a, 4]);
        expected.extend_from_slice(b"loss");
        expected.push(0x15);
        expected.extend_from_slice(&0.25f32.to_le_bytes());
        assert_eq!(event.encode(), expected);
    }

    #[test]
    fn values_come_back() {
        let image = Value::Image { height: 2, width: 300, channels: 3, png: vec![1, 2, 3] };
        let event =
            Event { time: 0.0, step: 7, values: vec![("a".into(), Value::Scalar(-3.5)), ("b/c".into(), image)] };
        let bytes = event.encode();
        let back = decode(&bytes).expect("it was just written");
        let tags: Vec<_> = back.iter().map(|r| (r.step, r.tag.clone(), r.value.clone())).collect();
        assert_eq!(tags, event.values.into_iter().map(|(tag, value)| (7, tag, value)).collect::<Vec<_>>());
        assert!(decode(&bytes[..bytes.len() - 1]).is_err(), "cut off");
    }
}
