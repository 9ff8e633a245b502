//! Matrices of weights that are held in fewer bits than float32, for inference: products by them, and rows of them.
use super::{
    embedding::checked_ids,
    matmul::{dense, sum_rows},
};
use crate::{
    autodiff::record,
    kernels::gemm::{Narrow, Product, Slivers},
    memory::{self, Allocation},
    DType, Error, ErrorKind, Result, Tensor,
};
use half::bf16;
use smallvec::{smallvec, SmallVec};
use std::{fmt, sync::Arc};

/// How weights are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantization {
    /// Whole numbers from -127 to 127, with a float32 scale for each output: the largest magnitude of its weights, over 127.
    Int8,
    /// The nearest bfloat16, to even where two are as near.
    Bfloat16,
}

impl Quantization {
    /// All there are.
    pub const ALL: [Quantization; 2] = [Quantization::Int8, Quantization::Bfloat16];
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Quantization::Int8 => "int8",
            Quantization::Bfloat16 => "bfloat16",
        }
    }
}

/// Which axis of a matrix of weights is that of its outputs; each has a scale of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outputs {
    /// The first, as in the table of an embedding, whose rows are looked up, and multiplied by where it is tied.
    Rows,
    /// The second, as in a dense layer.
    Columns,
}

/// A matrix of weights held in fewer bits than float32. A clone shares it.
#[derive(Clone)]
pub struct Quantized(Arc<Matrix>);

struct Matrix {
    shape: [usize; 2],
    outputs: Outputs,
    held: Held,
    allocation: Arc<Allocation>,
}

enum Held {
    Int8(Slivers<i8>, Vec<f32>),
    Bfloat16(Slivers<bf16>),
}

impl fmt::Debug for Quantized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?}", self.quantization().name(), self.shape())
    }
}

impl PartialEq for Quantized {
    /// Whether it is the other's very weights.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// The largest whole number of an int8 weight.
const MOST: f32 = 127.0;

impl Quantized {
    /// The matrix `w` in fewer bits.
    ///
    /// # Errors
    /// - `ShapeMismatch`: it has not two axes.
    /// - `DTypeMismatch`: it is not float32.
    /// - `NotFinite`: an element is NaN or infinite, or would be infinite in bfloat16.
    pub fn new(w: &Tensor, outputs: Outputs, quantization: Quantization) -> Result<Self> {
        let &[rows, cols] = w.shape() else {
            return Err(Error::shape(format!("weights that are quantized have two axes, got {:?}", w.shape())));
        };
        if w.dtype() != DType::F32 {
            return Err(Error::dtype(format!("weights that are quantized are float32, got {}", w.dtype())));
        }
        let values = w.values::<f32>()?;
        let holds = |v: &f32| match quantization {
            Quantization::Int8 => v.is_finite(),
            Quantization::Bfloat16 => bf16::from_f32(*v).is_finite(),
        };
        if let Some(at) = values.iter().position(|v| !holds(v)) {
            let (value, name) = (values[at], quantization.name());
            let place = [at / cols, at % cols];
            let what = format!("the weight at {place:?} of {:?} is {value}, which {name} cannot hold: only finite weights are quantized", w.shape());
            return Err(Error::new(ErrorKind::NotFinite, what));
        }
        // Where the element of an inner index and an output lies.
        let at = |l: usize, j: usize| match outputs {
            Outputs::Rows => j * cols + l,
            Outputs::Columns => l * cols + j,
        };
        let [inner, n] = turned([rows, cols], outputs);
        let held = match quantization {
            Quantization::Int8 => {
                let scale = |j| (0..inner).fold(0f32, |most, l| most.max(values[at(l, j)].abs())) / MOST;
                let scales = memory::collect((0..n).map(scale))?;
                let whole = |l, j| {
                    // Of a row of zeros, or of numbers too small to tell apart, nothing is left but zeros.
                    let part = if scales[j] > 0.0 { values[at(l, j)] / scales[j] } else { 0.0 };
                    part.round_ties_even().clamp(-MOST, MOST) as i8
                };
                Held::Int8(Slivers::new([inner, n], whole)?, scales)
            }
            Quantization::Bfloat16 => {
                Held::Bfloat16(Slivers::new([inner, n], |l, j| bf16::from_f32(values[at(l, j)]))?)
            }
        };
        Ok(Self::of([rows, cols], outputs, held))
    }
    /// Of what [`Quantized::stored`] gave: bfloat16, or integers from -127 to 127 and their scales.
    ///
    /// # Errors
    /// - `ShapeMismatch`: the matrix has not two axes, or there is not one scale for each output.
    /// - `DTypeMismatch`: it is neither bfloat16 nor integers with scales.
    /// - `InvalidArgument`: an integer is outside its range, a bfloat16 is not finite, or a scale is negative or not finite.
    pub fn from_stored(values: &Tensor, scales: Option<&Tensor>, outputs: Outputs) -> Result<Self> {
        let &[rows, cols] = values.shape() else {
            return Err(Error::shape(format!("weights that are quantized have two axes, got {:?}", values.shape())));
        };
        let at = |l: usize, j: usize| match outputs {
            Outputs::Rows => j * cols + l,
            Outputs::Columns => l * cols + j,
        };
        let [inner, n] = turned([rows, cols], outputs);
        let held = match (values.dtype(), scales) {
            (DType::BF16, None) => {
                let values = values.values::<bf16>()?;
                if let Some(value) = values.iter().find(|v| !v.is_finite()) {
                    return Err(Error::argument(format!(
                        "a quantized weight is {value}; only finite weights are quantized"
                    )));
                }
                Held::Bfloat16(Slivers::new([inner, n], |l, j| values[at(l, j)])?)
            }
            (DType::I32, Some(scales)) => {
                if scales.shape() != [n] || scales.dtype() != DType::F32 {
                    return Err(Error::shape(format!(
                        "int8 weights of {n} outputs have float32 scales [{n}], got {scales:?}"
                    )));
                }
                let (values, scales) = (values.values::<i32>()?, scales.to_vec::<f32>()?);
                if let Some(value) = values.iter().find(|v| v.unsigned_abs() > MOST as u32) {
                    return Err(Error::argument(format!("an int8 weight is {value}, and must be from -127 to 127")));
                }
                if let Some(scale) = scales.iter().find(|s| !(s.is_finite() && **s >= 0.0)) {
                    return Err(Error::argument(format!(
                        "a scale of int8 weights is {scale}, and must be finite and not negative"
                    )));
                }
                Held::Int8(Slivers::new([inner, n], |l, j| values[at(l, j)] as i8)?, scales)
            }
            (dtype, scales) => {
                let with = if scales.is_some() { "with" } else { "without" };
                return Err(Error::dtype(format!(
                    "quantized weights are bfloat16, or integers with scales, got {dtype} {with} scales"
                )));
            }
        };
        Ok(Self::of([rows, cols], outputs, held))
    }
    fn of(shape: [usize; 2], outputs: Outputs, held: Held) -> Self {
        let bytes = match &held {
            Held::Int8(values, scales) => values.bytes() + size_of_val(&scales[..]),
            Held::Bfloat16(values) => values.bytes(),
        };
        Self(Arc::new(Matrix { shape, outputs, held, allocation: Allocation::new(bytes) }))
    }
    /// The sizes of the axes.
    pub fn shape(&self) -> &[usize] {
        &self.0.shape
    }
    /// How it is held.
    pub fn quantization(&self) -> Quantization {
        match self.0.held {
            Held::Int8(..) => Quantization::Int8,
            Held::Bfloat16(_) => Quantization::Bfloat16,
        }
    }
    /// The axis of its outputs.
    pub fn outputs(&self) -> Outputs {
        self.0.outputs
    }
    /// Bytes of what is held.
    pub fn bytes(&self) -> usize {
        self.0.allocation.bytes()
    }
    /// An address that clones share.
    pub fn storage_id(&self) -> usize {
        Arc::as_ptr(&self.0.allocation) as usize
    }
    /// What files hold: bfloat16, or the bytes of int8 as uint8 and the scales.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn stored(&self) -> Result<(Tensor, Option<Tensor>)> {
        Ok(match &self.0.held {
            Held::Int8(values, scales) => {
                let bytes = Tensor::from_vec(self.row_major(|l, j| values.get(l, j) as u8)?, self.shape())?;
                (bytes, Some(Tensor::from_vec(memory::copy(scales)?, &[scales.len()])?))
            }
            Held::Bfloat16(values) => (Tensor::from_vec(self.row_major(|l, j| values.get(l, j))?, self.shape())?, None),
        })
    }
    /// The weights that it stands for, in float32.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn dequantized(&self) -> Result<Tensor> {
        Tensor::from_vec(self.row_major(|l, j| self.get(l, j))?, self.shape())
    }
    /// What the element of an inner index and an output stands for.
    fn get(&self, l: usize, j: usize) -> f32 {
        match &self.0.held {
            Held::Int8(values, scales) => values.get(l, j).widen() * scales[j],
            Held::Bfloat16(values) => values.get(l, j).widen(),
        }
    }
    fn row_major<T>(&self, at: impl Fn(usize, usize) -> T) -> Result<Vec<T>> {
        let [rows, cols] = self.0.shape;
        let mut out = memory::room(&[rows, cols])?;
        out.extend((0..rows).flat_map(|i| (0..cols).map(move |j| (i, j))).map(|(i, j)| match self.0.outputs {
            Outputs::Rows => at(j, i),
            Outputs::Columns => at(i, j),
        }));
        Ok(out)
    }
}

/// The inner size and the number of outputs.
fn turned([rows, cols]: [usize; 2], outputs: Outputs) -> [usize; 2] {
    match outputs {
        Outputs::Rows => [cols, rows],
        Outputs::Columns => [rows, cols],
    }
}

/// `x · w + b` in float32: `x […, in]`, weights of `in` inputs and `out` outputs, `b [out]`. Each row is the same bits alone and among others.
///
/// With bfloat16 weights it is what [`dense`] gives with their float32 values, bit for bit; with int8 weights each sum is of whole numbers, and
/// scaled once. Gradients flow to `x` and `b`; the weights are constants.
///
/// # Errors
/// - `ShapeMismatch`: the last axis of `x` is not that of the inputs, or `b` has not the size of the outputs.
/// - `DTypeMismatch`: not all are floats.
pub fn dense_quantized(x: &Tensor, w: &Quantized, b: Option<&Tensor>) -> Result<Tensor> {
    let [inner, n] = turned(w.0.shape, w.outputs());
    let dtype = b.map_or(x.dtype(), |b| x.dtype().promote(b.dtype())).promote(DType::F32);
    if !x.dtype().is_float() || b.is_some_and(|b| !b.dtype().is_float()) {
        return Err(Error::dtype(format!("dense takes floats, got {}", x.dtype())));
    }
    if x.rank() == 0 || x.shape()[x.rank() - 1] != inner || b.is_some_and(|b| b.shape() != [n]) {
        let b = b.map(Tensor::shape);
        return Err(Error::shape(format!(
            "dense of {:?} by {inner} inputs and {n} outputs, bias {b:?}: the last axis of x must be {inner}, and the bias must have shape [{n}]",
            x.shape()
        )));
    }
    let path = x.path("dense by quantized weights");
    if !path.by_kernel() || dtype != DType::F32 {
        return dense(x, &matrix(w)?.cast(dtype)?, b);
    }
    let (x, b) = (x.cast(DType::F32)?, b.map(|b| b.cast(DType::F32)).transpose()?);
    let (values, bias) = (x.values::<f32>()?, b.as_ref().map(|b| b.values::<f32>()).transpose()?);
    let (rows, bias) = (x.shape()[..x.rank() - 1].iter().product(), bias.as_deref());
    let made = match &w.0.held {
        Held::Int8(weights, scales) => Product { x: &values, rows, weights, scales: Some(scales), bias }.run()?,
        Held::Bfloat16(weights) => Product { x: &values, rows, weights, scales: None, bias }.run()?,
    };
    let mut shape = x.shape().to_vec();
    if let Some(last) = shape.last_mut() {
        *last = n;
    }
    let (y, w) = (Tensor::from_vec(made, &shape)?, w.clone());
    let mut inputs: SmallVec<[&Tensor; 2]> = smallvec![&x];
    inputs.extend(b.as_ref());
    Ok(record(y, &inputs, move |ct, need| {
        let to_x = if need[0] { Some(dense(ct, &matrix(&w)?.transpose(None)?, None)?) } else { None };
        let mut grads = smallvec![to_x];
        if let Some(&needed) = need.get(1) {
            grads.push(if needed { Some(sum_rows(ct)?) } else { None });
        }
        Ok(grads)
    }))
}

/// The float32 weights `[in, out]`.
fn matrix(w: &Quantized) -> Result<Tensor> {
    let dequantized = w.dequantized()?;
    match w.outputs() {
        Outputs::Rows => dequantized.transpose(None),
        Outputs::Columns => Ok(dequantized),
    }
}

/// Row `ids[…]` of the table for each id, in float32: `[…, D]`. The table is a constant.
///
/// # Errors
/// - `IndexOutOfRange`: an id is below 0, or not below the number of rows.
/// - `DTypeMismatch`: ids are not integers.
/// - `ShapeMismatch`: the outputs of the weights are their columns.
pub fn embedding_quantized(table: &Quantized, ids: &Tensor) -> Result<Tensor> {
    if ids.dtype().is_float() {
        return Err(Error::dtype(format!("embedding takes integer ids, got {}", ids.dtype())));
    }
    if table.outputs() != Outputs::Rows {
        return Err(Error::shape("rows are looked up in weights whose outputs are rows"));
    }
    let [vocabulary, depth] = table.0.shape;
    let rows = checked_ids(ids, vocabulary)?;
    let mut shape = ids.shape().to_vec();
    shape.push(depth);
    let mut out = memory::room(&shape[..])?;
    out.extend(rows.iter().flat_map(|&row| (0..depth).map(move |l| (l, row))).map(|(l, row)| table.get(l, row)));
    Tensor::from_vec(out, &shape)
}
