//! The options of the sources and steps of a pipeline: their names, defaults and bounds. What a step does is written where it is done.
use crate::Names;
use tallow_layers::{choice, options, Count, Dim, Error, HostValue, KeyArg, Num, Result, Shape};

choice! {
    /// How the bytes of a file are characters.
    pub enum TextEncoding: "'utf8' | 'latin1'", "'utf8' or 'latin1'" {
        /// UTF-8; other bytes are an error.
        Utf8 = "utf8",
        /// A character for each byte.
        Latin1 = "latin1",
    }
}

options! {
    /// Lines of text.
    pub struct TextFileOptions for "textFile" () {
        /// How bytes are characters.
        encoding "encoding": TextEncoding = TextEncoding::Utf8,
    }
}
options! {
    /// Rows of text.
    pub struct CsvOptions for "csv" () {
        /// Whether the first row names the columns.
        header "header": bool = true,
        /// What stands between two fields.
        delimiter "delimiter": String = ",".to_owned(),
    }
}
options! {
    /// Rows of columns.
    pub struct ParquetOptions for "parquet" () {
        /// The columns to read; all of them if left out.
        columns "columns": Option<Names> = None,
    }
}
options! {
    /// A dataset in another thread.
    pub struct WorkerOptions for "inWorker" () {
        /// How many elements it makes before they are asked for.
        ahead "ahead": Dim = Dim(4),
    }
}
options! {
    /// The first elements.
    pub struct TakeOptions for "Dataset.take" () {
        /// How many.
        count "count": Count,
    }
}
options! {
    /// All but the first elements.
    pub struct SkipOptions for "Dataset.skip" () {
        /// How many are left out.
        count "count": Count,
    }
}
options! {
    /// The elements again and again.
    pub struct RepeatOptions for "Dataset.repeat" () {
        /// How often; without end if left out.
        count "count": Option<Count> = None,
    }
}
options! {
    /// The elements in random order.
    pub struct ShuffleOptions for "Dataset.shuffle" () {
        /// Key of the order.
        rng "rng": KeyArg,
        /// How many elements wait to be drawn from.
        buffer_size "bufferSize": Dim,
    }
}
options! {
    /// Elements stacked.
    pub struct BatchOptions for "Dataset.batch" () {
        /// How many to a batch.
        size "size": Dim,
        /// Whether a last batch of fewer is left out.
        drop_remainder "dropRemainder": bool = false,
        /// What shorter arrays are filled with; without it all must have one shape.
        pad "pad": Option<Num> = None,
    }
}
options! {
    /// Elements stacked with others of like length.
    pub struct BucketOptions for "Dataset.bucketByLength" () {
        /// The greatest length of each bucket but the last.
        boundaries "boundaries": Shape,
        /// How many to a batch, for each bucket.
        batch_sizes "batchSizes": Shape,
        /// What shorter arrays are filled with.
        pad "pad": Num = Num(0.0),
        /// Whether arrays are filled up to the boundary of their bucket.
        strict_pad_on_len "strictPadOnLen": bool = false,
        /// Whether batches that are not full at the end are left out.
        drop_remainder "dropRemainder": bool = true,
    }
}
options! {
    /// Several sequences to a row.
    pub struct PackOptions for "Dataset.pack" () {
        /// How long a row is.
        length "length": Dim,
        /// How many rows are open at a time.
        buffer "buffer": Dim = Dim(16),
        /// Whether sequences longer than a row are cut into pieces; otherwise they are an error.
        split "split": bool = false,
    }
}
options! {
    /// Elements that follow one another, as one.
    pub struct WindowOptions for "Dataset.window" () {
        /// How many elements a window has.
        length "length": Dim,
        /// How far the next window begins behind the one before; `length` if left out.
        stride "stride": Option<Dim> = None,
    }
}
options! {
    /// Elements made ahead.
    pub struct PrefetchOptions for "Dataset.prefetch" () {
        /// How many.
        size "size": Dim,
    }
}

fn checked(o: BucketOptions) -> Result<BucketOptions> {
    let (boundaries, sizes) = (&o.boundaries.0, &o.batch_sizes.0);
    let wrong = |what: String| Err(Error::option(format!("Dataset.bucketByLength: {what}")));
    if boundaries.windows(2).any(|w| w[0] >= w[1]) {
        return wrong(format!("`boundaries` must rise, got {boundaries:?}"));
    }
    if sizes.contains(&0) {
        return wrong(format!("`batchSizes` must be whole numbers of at least 1, got {sizes:?}"));
    }
    if sizes.len() != boundaries.len() + 1 {
        let (n, m) = (boundaries.len(), sizes.len());
        return wrong(format!(
            "`batchSizes` must be one more than the {n} `boundaries`, for what is longer than all of them, got {m}"
        ));
    }
    Ok(o)
}

fn nullable<T: Into<HostValue>>(x: Option<T>) -> HostValue {
    x.map_or(HostValue::Null, Into::into)
}

fn names(x: Names) -> HostValue {
    HostValue::List(x.0.iter().map(|name| name.as_str().into()).collect())
}

/// All options of a source or step, checked, with those filled in that were left out.
///
/// # Errors
/// `InvalidOption` naming the option and what it must be; `Internal` for a step that is none.
pub fn step_options(step: &str, v: &HostValue) -> Result<HostValue> {
    Ok(match step {
        "textFile" => match TextFileOptions::parse(v)?.encoding {
            TextEncoding::Utf8 => [("encoding", "utf8".into())].into(),
            TextEncoding::Latin1 => [("encoding", "latin1".into())].into(),
        },
        "csv" => {
            let o = CsvOptions::parse(v)?;
            [("header", o.header.into()), ("delimiter", o.delimiter.as_str().into())].into()
        }
        "parquet" => [("columns", ParquetOptions::parse(v)?.columns.map_or(HostValue::Null, names))].into(),
        "inWorker" => [("ahead", WorkerOptions::parse(v)?.ahead.0.into())].into(),
        "Dataset.take" => [("count", TakeOptions::parse(v)?.count.0.into())].into(),
        "Dataset.skip" => [("count", SkipOptions::parse(v)?.count.0.into())].into(),
        "Dataset.repeat" => [("count", nullable(RepeatOptions::parse(v)?.count.map(|n| n.0)))].into(),
        "Dataset.shuffle" => {
            let o = ShuffleOptions::parse(v)?;
            let words = o.rng.0 .0.map(|word| HostValue::Number(f64::from(word))).to_vec();
            [("rng", words.into()), ("bufferSize", o.buffer_size.0.into())].into()
        }
        "Dataset.batch" => {
            let o = BatchOptions::parse(v)?;
            let pad = nullable(o.pad.map(|n| n.0));
            [("size", o.size.0.into()), ("dropRemainder", o.drop_remainder.into()), ("pad", pad)].into()
        }
        "Dataset.bucketByLength" => {
            let o = checked(BucketOptions::parse(v)?)?;
            [
                ("boundaries", HostValue::shape(&o.boundaries.0)),
                ("batchSizes", HostValue::shape(&o.batch_sizes.0)),
                ("pad", o.pad.0.into()),
                ("strictPadOnLen", o.strict_pad_on_len.into()),
                ("dropRemainder", o.drop_remainder.into()),
            ]
            .into()
        }
        "Dataset.pack" => {
            let o = PackOptions::parse(v)?;
            [("length", o.length.0.into()), ("buffer", o.buffer.0.into()), ("split", o.split.into())].into()
        }
        "Dataset.window" => {
            let o = WindowOptions::parse(v)?;
            [("length", o.length.0.into()), ("stride", o.stride.unwrap_or(o.length).0.into())].into()
        }
        "Dataset.prefetch" => [("size", PrefetchOptions::parse(v)?.size.0.into())].into(),
        other => {
            return Err(Error::new(tallow_layers::ErrorKind::Internal, format!("{other} is no step of a pipeline")))
        }
    })
}
