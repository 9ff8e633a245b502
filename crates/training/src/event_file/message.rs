//! The messages of event files: the few fields of TensorFlow's `Event` and `Summary` that are needed, as protocol buffers.
use prost::{DecodeError, Message};

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
    /// How many values lie where.
    Histogram(Histogram),
    /// Text, in Markdown.
    Text(String),
}

/// How many values lie where.
#[derive(Clone, PartialEq, Message)]
pub struct Histogram {
    /// The least value.
    #[prost(double, tag = "1")]
    pub min: f64,
    /// The greatest value.
    #[prost(double, tag = "2")]
    pub max: f64,
    /// How many values there are.
    #[prost(double, tag = "3")]
    pub num: f64,
    /// Their sum.
    #[prost(double, tag = "4")]
    pub sum: f64,
    /// The sum of their squares.
    #[prost(double, tag = "5")]
    pub sum_squares: f64,
    /// The upper end of each bucket.
    #[prost(double, repeated, tag = "6")]
    pub bucket_limit: Vec<f64>,
    /// How many values each bucket holds.
    #[prost(double, repeated, tag = "7")]
    pub bucket: Vec<f64>,
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

/// `Event`.
#[derive(Message)]
struct EventMessage {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<SummaryMessage>,
}

/// `Summary`.
#[derive(Message)]
struct SummaryMessage {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Entry>,
}

/// `Summary.Value`.
#[derive(Message)]
struct Entry {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
    #[prost(message, optional, tag = "4")]
    image: Option<ImageMessage>,
    #[prost(message, optional, tag = "5")]
    histo: Option<Histogram>,
    #[prost(message, optional, tag = "8")]
    tensor: Option<StringTensor>,
    #[prost(message, optional, tag = "9")]
    metadata: Option<Metadata>,
}

/// `Summary.Image`.
#[derive(Message)]
struct ImageMessage {
    #[prost(int32, tag = "1")]
    height: i32,
    #[prost(int32, tag = "2")]
    width: i32,
    #[prost(int32, tag = "3")]
    colorspace: i32,
    #[prost(bytes = "vec", tag = "4")]
    encoded_image_string: Vec<u8>,
}

/// `TensorProto` of strings.
#[derive(Message)]
struct StringTensor {
    #[prost(int32, tag = "1")]
    dtype: i32,
    #[prost(message, optional, tag = "2")]
    shape: Option<Shape>,
    #[prost(bytes = "vec", repeated, tag = "8")]
    string_val: Vec<Vec<u8>>,
}

/// The number of strings among the types of elements.
const DT_STRING: i32 = 7;

/// `TensorShapeProto`.
#[derive(Message)]
struct Shape {
    #[prost(message, repeated, tag = "2")]
    dim: Vec<Size>,
}

/// `TensorShapeProto.Dim`.
#[derive(Message)]
struct Size {
    #[prost(int64, tag = "1")]
    size: i64,
}

/// `SummaryMetadata`.
#[derive(Message)]
struct Metadata {
    #[prost(message, optional, tag = "1")]
    plugin_data: Option<Plugin>,
}

/// `SummaryMetadata.PluginData`.
#[derive(Message)]
struct Plugin {
    #[prost(string, tag = "1")]
    plugin_name: String,
}

impl Entry {
    fn of(tag: &str, value: &Value) -> Self {
        let mut entry = Self { tag: tag.to_owned(), ..Self::default() };
        match value {
            Value::Scalar(x) => entry.simple_value = Some(*x),
            Value::Image { height, width, channels, png } => {
                let [height, width, colorspace] = [height, width, channels].map(|n| *n as i32);
                entry.image = Some(ImageMessage { height, width, colorspace, encoded_image_string: png.clone() });
            }
            Value::Histogram(histogram) => entry.histo = Some(histogram.clone()),
            Value::Text(text) => {
                let shape = Some(Shape { dim: vec![Size { size: 1 }] });
                let string_val = vec![text.clone().into_bytes()];
                entry.tensor = Some(StringTensor { dtype: DT_STRING, shape, string_val });
                entry.metadata = Some(Metadata { plugin_data: Some(Plugin { plugin_name: "text".to_owned() }) });
            }
        }
        entry
    }
    fn value(self) -> Option<Value> {
        let text = |t: StringTensor| Some(Value::Text(String::from_utf8_lossy(t.string_val.first()?).into_owned()));
        let image = |i: ImageMessage| {
            let [height, width, channels] = [i.height, i.width, i.colorspace].map(|n| u32::try_from(n).unwrap_or(0));
            Value::Image { height, width, channels, png: i.encoded_image_string }
        };
        let number = self.simple_value.map(Value::Scalar);
        number.or(self.image.map(image)).or(self.histo.map(Value::Histogram)).or(self.tensor.and_then(text))
    }
}

impl Event {
    pub(super) fn encode(&self) -> Vec<u8> {
        let value: Vec<Entry> = self.values.iter().map(|(tag, value)| Entry::of(tag, value)).collect();
        let begins = value.is_empty();
        let message = EventMessage {
            wall_time: self.time,
            step: self.step as i64,
            file_version: begins.then(|| "brain.Event:2".to_owned()),
            summary: (!begins).then_some(SummaryMessage { value }),
        };
        message.encode_to_vec()
    }
}

/// The values of one record.
pub(super) fn decode(event: &[u8]) -> Result<Vec<Recorded>, String> {
    let event = EventMessage::decode(event).map_err(|e: DecodeError| e.to_string())?;
    let step = u64::try_from(event.step).map_err(|_| format!("step {} is below 0", event.step))?;
    let entries = event.summary.map(|summary| summary.value).unwrap_or_default();
    let recorded = |entry: Entry| {
        let tag = entry.tag.clone();
        Some(Recorded { step, tag, value: entry.value()? })
    };
    Ok(entries.into_iter().filter_map(recorded).collect())
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
        let histogram = Value::Histogram(Histogram {
            min: -1.0,
            max: 3.0,
            num: 3.0,
            sum: 2.0,
            sum_squares: 10.0,
            bucket_limit: vec![1.0, 3.0],
            bucket: vec![2.0, 1.0],
        });
        let values = vec![
            ("a".into(), Value::Scalar(-3.5)),
            ("zero".into(), Value::Scalar(0.0)),
            ("b/c".into(), image),
            ("h".into(), histogram),
            ("t".into(), Value::Text("**bold** ä".into())),
        ];
        let event = Event { time: 0.0, step: 7, values };
        let bytes = event.encode();
        let back = decode(&bytes).expect("it was just written");
        let tags: Vec<_> = back.iter().map(|r| (r.step, r.tag.clone(), r.value.clone())).collect();
        assert_eq!(tags, event.values.into_iter().map(|(tag, value)| (7, tag, value)).collect::<Vec<_>>());
        assert!(decode(&bytes[..bytes.len() - 1]).is_err(), "cut off");
    }
}
