//! What attention remembers while it computes sequences step by step, and attention of the next positions to it.
mod blocks;

use super::attention::{attention, AttentionOptions};
use crate::{kernels::decode, memory, DType, Device, Element, Error, ErrorKind, Result, Tensor};
use blocks::{append, bytes, Blocks, Reading, Sizes};
use std::fmt;

/// Keys and values of the positions that attention has read, of several matrices that stand at one position.
///
/// A clone costs a list of blocks. What is appended to one of two clones the other does not see.
#[derive(Clone)]
pub struct Past {
    sizes: Sizes,
    /// Types of keys and of values, as they came.
    dtypes: [DType; 2],
    /// Positions there is room for.
    room: usize,
    len: usize,
    held: Held,
}

#[derive(Clone)]
enum Held {
    Single(Blocks<f32>),
    Double(Blocks<f64>),
}

impl fmt::Debug for Past {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Past({} × {} of {})", self.sizes.rows, self.len, self.room)
    }
}

impl PartialEq for Past {
    /// Whether it is the other with its very blocks.
    fn eq(&self, other: &Self) -> bool {
        fn same<T>(a: &Blocks<T>, b: &Blocks<T>) -> bool {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| std::sync::Arc::ptr_eq(a, b))
        }
        let held = match (&self.held, &other.held) {
            (Held::Single(a), Held::Single(b)) => same(a, b),
            (Held::Double(a), Held::Double(b)) => same(a, b),
            _ => false,
        };
        held && (self.sizes, self.dtypes, self.room, self.len) == (other.sizes, other.dtypes, other.room, other.len)
    }
}

impl Past {
    /// Nothing yet: of keys `[rows, …, depth]` and values `[rows, …, value_depth]` of these types, with room for so many positions.
    pub fn new([rows, depth, value_depth]: [usize; 3], dtypes: [DType; 2], room: usize) -> Self {
        let single = dtypes.iter().all(|d| d.is_float() && *d != DType::F64);
        let held = if single { Held::Single(Vec::new()) } else { Held::Double(Vec::new()) };
        Self { sizes: Sizes { rows, depth, value_depth }, dtypes, room, len: 0, held }
    }
    /// The first `len` positions of keys `[rows, room, depth]` and values `[rows, room, value_depth]`.
    ///
    /// # Errors
    /// `ShapeMismatch` where they do not fit each other; `InvalidArgument` where there are fewer positions than `len`.
    pub fn of(keys: &Tensor, values: &Tensor, len: usize, room: usize) -> Result<Self> {
        let (&[rows, held, depth], &[value_rows, value_held, value_depth]) = (keys.shape(), values.shape()) else {
            return Err(mismatch(keys, values));
        };
        if [rows, held] != [value_rows, value_held] {
            return Err(mismatch(keys, values));
        }
        if len > held {
            let what = format!("the state says that {len} positions were read, but has {held}");
            return Err(Error::argument(what));
        }
        let past = Self::new([rows, depth, value_depth], [keys.dtype(), values.dtype()], room.max(len));
        past.append(&keys.narrow(1, 0, len)?, &values.narrow(1, 0, len)?)
    }
    /// Matrices.
    pub fn rows(&self) -> usize {
        self.sizes.rows
    }
    /// Positions that were read.
    pub fn len(&self) -> usize {
        self.len
    }
    /// Whether no position was read.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
    /// Positions there is room for.
    pub fn room(&self) -> usize {
        self.room
    }
    /// Bytes of its blocks; blocks that several have in common are counted by each.
    pub fn bytes(&self) -> usize {
        match &self.held {
            Held::Single(blocks) => blocks.len() * bytes::<f32>(self.sizes),
            Held::Double(blocks) => blocks.len() * bytes::<f64>(self.sizes),
        }
    }
    /// Shapes and types of [`Past::tensors`] but the last.
    pub fn specs(&self) -> [(Vec<usize>, DType); 2] {
        let Sizes { rows, depth, value_depth } = self.sizes;
        [(vec![rows, self.room, depth], self.dtypes[0]), (vec![rows, self.room, value_depth], self.dtypes[1])]
    }
    /// As Trax has it: keys `[rows, room, depth]` and values `[rows, room, value_depth]`, zero where nothing was read, and the number
    /// of positions read.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn tensors(&self) -> Result<[Tensor; 3]> {
        let [keys, values] = self.copied(self.room)?;
        Ok([keys, values, Tensor::scalar(self.len as i32)])
    }
    /// Keys and values of the positions read and zeros behind them, `room` in all, in their types.
    fn copied(&self, room: usize) -> Result<[Tensor; 2]> {
        fn of<T: Element + bytemuck::Pod>(blocks: &Blocks<T>, past: &Past, room: usize) -> Result<[Tensor; 2]> {
            let s = past.sizes;
            let [keys, values] = Reading::new(blocks)?.copied(s, past.len, room)?;
            let [k, v] = past.dtypes;
            Ok([
                Tensor::from_vec(keys, &[s.rows, room, s.depth])?.cast(k)?,
                Tensor::from_vec(values, &[s.rows, room, s.value_depth])?.cast(v)?,
            ])
        }
        match &self.held {
            Held::Single(blocks) => of(blocks, self, room),
            Held::Double(blocks) => of(blocks, self, room),
        }
    }
    /// This, and behind it keys `[rows, new, depth]` and values `[rows, new, value_depth]`.
    ///
    /// # Errors
    /// `ShapeMismatch` where they do not fit; `InvalidArgument` where there is no room; `OutOfMemory`.
    pub fn append(&self, keys: &Tensor, values: &Tensor) -> Result<Self> {
        let s = self.sizes;
        let new = keys.shape().get(1).copied().unwrap_or(0);
        if *keys.shape() != [s.rows, new, s.depth] || *values.shape() != [s.rows, new, s.value_depth] {
            return Err(Error::shape(format!(
                "keys {:?} and values {:?} do not go on with {} matrices of keys of depth {} and values of depth {}",
                keys.shape(),
                values.shape(),
                s.rows,
                s.depth,
                s.value_depth
            )));
        }
        if self.len + new > self.room {
            let what = format!("there is room for {} positions, {} were read and {new} come", self.room, self.len);
            return Err(Error::new(ErrorKind::InvalidArgument, what));
        }
        fn added<T: Element + bytemuck::Pod>(
            blocks: &Blocks<T>,
            past: &Past,
            keys: &Tensor,
            values: &Tensor,
        ) -> Result<Blocks<T>> {
            // First to the type it is said to have, then to the one it is held in, which has all its values.
            let ready = |t: &Tensor, dtype| t.cast(dtype)?.cast(T::DT)?.values::<T>();
            let (k, v) = (ready(keys, past.dtypes[0])?, ready(values, past.dtypes[1])?);
            append(blocks, past.sizes, (past.len, keys.shape()[1]), &k, &v)
        }
        let held = match &self.held {
            Held::Single(blocks) => Held::Single(added(blocks, self, keys, values)?),
            Held::Double(blocks) => Held::Double(added(blocks, self, keys, values)?),
        };
        Ok(Self { len: self.len + new, held, ..self.clone() })
    }
}

fn mismatch(keys: &Tensor, values: &Tensor) -> Error {
    let (k, v) = (keys.shape(), values.shape());
    Error::shape(format!("keys {k:?} and values {v:?} are not the state of attention: [rows, positions, depth] each"))
}

/// New positions up to which each query is computed by itself.
const SINGLE: usize = 16;

/// The next positions attend to all up to each: `q [rows, new, depth]`, whose keys and values `new_keys` and `new_values` were appended to
/// `pasts` last; the matrices of `pasts` are the rows of `q`, in their order. No masks but that.
///
/// The result of a row depends on that row alone, whatever others there are.
///
/// # Errors
/// `ShapeMismatch` where they do not fit each other.
pub fn attend(q: &Tensor, new_keys: &Tensor, new_values: &Tensor, pasts: &[Past], scale: f64) -> Result<Tensor> {
    let (&[rows, new, depth], Some(&value_depth)) = (q.shape(), new_values.shape().last()) else {
        return Err(Error::shape(format!("expected queries [rows, positions, depth], got {:?}", q.shape())));
    };
    let fits = |p: &Past| [p.sizes.depth, p.sizes.value_depth] == [depth, value_depth] && p.len >= new;
    if pasts.iter().map(Past::rows).sum::<usize>() != rows || !pasts.iter().all(fits) {
        return Err(Error::shape(format!("queries {:?} do not go on with {pasts:?}", q.shape())));
    }
    let dtype = pasts.iter().fold(q.dtype(), |d, p| d.promote(p.dtypes[0]).promote(p.dtypes[1]));
    let path = q.path("attention to what was read");
    let tracked = [q, new_keys, new_values].iter().any(|t| t.is_tracked());
    if path.by_kernel() && !tracked && new <= SINGLE && value_depth > 0 {
        let work = if dtype == DType::F64 { dtype } else { DType::F32 };
        let all = |single: bool| pasts.iter().all(|p| matches!(p.held, Held::Single(_)) == single);
        let y = match work {
            DType::F32 if all(true) => Some(by_kernel::<f32>(q, pasts, scale, &|p| match &p.held {
                Held::Single(blocks) => Some(blocks),
                Held::Double(_) => None,
            })?),
            DType::F64 if all(false) => Some(by_kernel::<f64>(q, pasts, scale, &|p| match &p.held {
                Held::Double(blocks) => Some(blocks),
                Held::Single(_) => None,
            })?),
            _ => None,
        };
        if let Some(y) = y {
            return y.cast(dtype);
        }
    }
    let (mut ys, mut row) = (memory::room(pasts.len())?, 0);
    for past in pasts {
        let part = |x: &Tensor| x.narrow(0, row, past.rows());
        ys.push(one_by_one(&part(q)?, [&part(new_keys)?, &part(new_values)?], past, scale)?.cast(dtype)?);
        row += past.rows();
    }
    match &ys[..] {
        [y] => Ok(y.clone()),
        _ => Tensor::concat(&ys, 0),
    }
}

/// Of one past, by attention to whole matrices.
fn one_by_one(q: &Tensor, [k, v]: [&Tensor; 2], past: &Past, scale: f64) -> Result<Tensor> {
    let (new, before) = (q.shape()[1], past.len - q.shape()[1]);
    let options = AttentionOptions { scale, ..AttentionOptions::default() };
    if before == 0 {
        return attention(q, k, v, &AttentionOptions { causal: true, ..options });
    }
    let [keys, values] = past.copied(past.len)?;
    let behind = |all: &Tensor, new: &Tensor| {
        let before = all.narrow(1, 0, before)?.to_device(new.device())?;
        Tensor::concat(&[before, new.cast(all.dtype())?], 1)
    };
    let mask = Tensor::tril_mask(new, past.len, before as isize, &Device::Cpu)?.to_device(q.device())?;
    attention(q, &behind(&keys, k)?, &behind(&values, v)?, &AttentionOptions { mask: Some(mask), ..options })
}

/// The CPU kernel, for blocks of the type that it computes in.
fn by_kernel<T: Element + crate::kernels::attention::Scalar + bytemuck::Pod>(
    q: &Tensor,
    pasts: &[Past],
    scale: f64,
    blocks: &dyn Fn(&Past) -> Option<&Blocks<T>>,
) -> Result<Tensor> {
    let (rows, new) = (q.shape()[0], q.shape()[1]);
    let q = q.cast(T::DT)?.values::<T>()?;
    let mut reading = memory::room(pasts.len())?;
    for past in pasts {
        let blocks = blocks(past).ok_or_else(|| Error::internal("keys are held in another type"))?;
        reading.push((Reading::new(blocks)?, past));
    }
    let mut seen = memory::room(pasts.len())?;
    for (reading, past) in &reading {
        seen.push(reading.seen(past.sizes, past.len)?);
    }
    let Some(Sizes { depth, value_depth, .. }) = pasts.first().map(|p| p.sizes) else {
        return Err(Error::internal("no past was given"));
    };
    let mut out: Vec<T> = memory::zeros(&[rows, new, value_depth])?;
    decode::attend(&q, &seen, decode::Sizes { new, depth, value_depth }, T::of(scale), &mut out)?;
    Tensor::from_vec(out, &[rows, new, value_depth])
}
