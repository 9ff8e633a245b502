//! The immutable, reference-counted tensor, and the record of operations that it may belong to.
pub(crate) use crate::raw::Raw;
use crate::{
    host_trips::{note, Hosted},
    memory::{self, Allocation},
    DType, Element, Error, Result,
};
use candle_core::{Device, Storage};
use smallvec::SmallVec;
use std::{
    fmt,
    ops::Deref,
    sync::{Arc, Mutex},
};

/// An immutable tensor: shape, dtype and values, and the record of how it was computed when it is tracked.
///
/// Clones are cheap and share storage. Operations are methods; see [`crate::ops`].
#[derive(Clone)]
pub struct Tensor {
    data: Arc<Data>,
    node: Option<NodeRef>,
}

struct Data {
    raw: Raw,
    dtype: DType,
    allocation: Arc<Allocation>,
}

/// One recorded operation. Ids grow with time, so descending ids are a reverse topological order.
pub(crate) struct Node {
    pub(crate) id: u64,
    pub(crate) inputs: SmallVec<[Option<NodeRef>; 3]>,
    /// How many outputs there are: a rule sees a cotangent, or none, of each.
    pub(crate) outputs: usize,
    pub(crate) rule: Rule,
}

pub(crate) enum Rule {
    /// A variable: gradients end here.
    Leaf,
    /// An operation; the closure is taken out once a backward that does not retain the graph has used it.
    Op(Mutex<Option<Vjp>>),
    /// The result of a gradient computation that depended on an outer variable.
    SecondDerivative,
}

/// Output `index` of a node.
#[derive(Clone)]
pub(crate) struct NodeRef {
    pub(crate) node: Arc<Node>,
    pub(crate) index: usize,
}

impl Drop for Node {
    // Deep graphs would overflow the stack if nodes dropped their inputs recursively.
    fn drop(&mut self) {
        let mut stack: Vec<NodeRef> = self.inputs.drain(..).flatten().collect();
        while let Some(r) = stack.pop() {
            if let Some(mut node) = Arc::into_inner(r.node) {
                stack.extend(node.inputs.drain(..).flatten());
            }
        }
    }
}

/// Gradients of a node's inputs, in their order; `None` for what needs none.
pub(crate) type Grads = SmallVec<[Option<Tensor>; 3]>;
/// Cotangents of a node's outputs; `None` for an output that nothing depends on.
pub(crate) type Cotangents = SmallVec<[Option<Tensor>; 1]>;
pub(crate) type Vjp = Box<dyn Fn(&[Option<Tensor>], &[bool]) -> Result<Grads> + Send + Sync>;

impl Tensor {
    /// A tensor on the CPU from values in row-major order; `values` becomes the storage, without a copy.
    pub fn from_vec<T: Element>(values: Vec<T>, shape: &[usize]) -> Result<Self> {
        if element_count(shape)? != values.len() {
            return Err(Error::shape(format!("{} values do not fill shape {shape:?}", values.len())));
        }
        Ok(Self::from_raw(Raw::from_vec(values, shape, &Device::Cpu)?, T::DT))
    }
    /// A bool tensor on the CPU from bytes 0 and 1.
    pub fn from_bools(values: Vec<u8>, shape: &[usize]) -> Result<Self> {
        Ok(Self::from_vec(values, shape)?.with_dtype_tag(DType::Bool))
    }
    /// A 0-d tensor.
    pub fn scalar<T: Element>(value: T) -> Self {
        Self::from_vec(vec![value], &[]) // few
            .expect("one value fills a 0-d shape")
    }
    /// A new storage that candle made.
    pub(crate) fn from_raw(raw: Raw, dtype: DType) -> Self {
        debug_assert_eq!(raw.dtype(), dtype.storage());
        let allocation = Allocation::new(raw.elem_count() * dtype.size());
        Self { data: Arc::new(Data { raw, dtype, allocation }), node: None }
    }
    /// A view of this tensor's storage (untracked): what candle's narrow, permute, broadcast … return.
    ///
    /// One without elements gets a storage of its own: it may begin behind the end of this one, which no kernel expects.
    pub(crate) fn view(&self, raw: Raw) -> Self {
        let lies_anywhere = raw.elem_count() == 0 && (raw.layout().start_offset() != 0 || !raw.is_contiguous());
        let own = lies_anywhere.then(|| Raw::zeros(raw.dims(), raw.dtype(), raw.device()).ok()).flatten(); // few: none
        let raw = own.unwrap_or(raw);
        Self {
            data: Arc::new(Data { raw, dtype: self.data.dtype, allocation: self.data.allocation.clone() }),
            node: None,
        }
    }
    /// The same bytes under another dtype of the same storage type (bool and uint8).
    pub(crate) fn with_dtype_tag(&self, dtype: DType) -> Self {
        debug_assert_eq!(self.data.dtype.storage(), dtype.storage());
        Self {
            data: Arc::new(Data { raw: self.data.raw.clone(), dtype, allocation: self.data.allocation.clone() }),
            node: None,
        }
    }
    /// The candle tensor.
    pub(crate) fn raw(&self) -> &Raw {
        &self.data.raw
    }
    pub(crate) fn node(&self) -> Option<&NodeRef> {
        self.node.as_ref()
    }
    pub(crate) fn with_node(mut self, node: NodeRef) -> Self {
        self.node = Some(node);
        self
    }
    /// The sizes of the axes.
    pub fn shape(&self) -> &[usize] {
        self.data.raw.dims()
    }
    /// The number of axes.
    pub fn rank(&self) -> usize {
        self.shape().len()
    }
    /// The number of elements.
    pub fn size(&self) -> usize {
        self.data.raw.elem_count()
    }
    /// The element type.
    pub fn dtype(&self) -> DType {
        self.data.dtype
    }
    /// Where the values live.
    pub fn device(&self) -> &Device {
        self.data.raw.device()
    }
    /// Bytes of the storage, whole even for a view.
    pub fn storage_bytes(&self) -> usize {
        self.data.allocation.bytes()
    }
    /// An address that equal storages share; for counting each storage once.
    pub fn storage_id(&self) -> usize {
        Arc::as_ptr(&self.data.allocation) as usize
    }
    /// Whether a gradient could flow to or through this tensor.
    pub fn is_tracked(&self) -> bool {
        self.node.is_some()
    }
    /// The same values, a constant to autodiff. Shares storage.
    pub fn detach(&self) -> Self {
        Self { data: self.data.clone(), node: None }
    }
    /// Whether these are the other's very values, not a copy or another view of them.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.data, &other.data)
    }
    /// Whether nobody else holds this storage, so that a consumer may write into it.
    pub(crate) fn is_unique(&self) -> bool {
        Arc::strong_count(&self.data) == 1 && Arc::strong_count(&self.data.allocation) == 1
    }
    /// Whether CPU kernels may be used: on the CPU, and not told to take the general path.
    pub(crate) fn use_kernels(&self) -> bool {
        matches!(self.device(), Device::Cpu) && !crate::general_path_forced()
    }
    /// Whether values lie in row-major order without gaps.
    pub fn is_contiguous(&self) -> bool {
        self.data.raw.is_contiguous()
    }
    /// The values in row-major order, on the CPU; no copy where they already lie so. `T` must be the stored type (u8 for bool).
    pub fn values<T: Element>(&self) -> Result<Values<T>> {
        if T::DT.storage() != self.dtype().storage() {
            return Err(Error::dtype(format!("values are {}, asked for {}", self.dtype(), T::DT)));
        }
        note(Hosted::Read, self.device());
        let raw = match self.device() {
            Device::Cpu => crate::kernels::copy::contiguous(&self.data.raw)?,
            _ => self.data.raw.to_device(&Device::Cpu)?.contiguous()?,
        };
        Values::new(raw, self.data.allocation.clone())
    }
    /// The values as a vector; a copy.
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        memory::copy(&self.values::<T>()?)
    }
    /// The only value, as f64 (bool as 0 or 1).
    pub fn item(&self) -> Result<f64> {
        if self.size() != 1 {
            return Err(Error::shape(format!("item() needs one element, this tensor has shape {:?}", self.shape())));
        }
        crate::for_any!(self.dtype(), T => Ok(candle_core::WithDType::to_f64(self.values::<T>()?[0])))
    }
    /// All values as f64 in row-major order (int64 beyond 2^53 rounds).
    pub fn to_f64_vec(&self) -> Result<Vec<f64>> {
        crate::for_any!(self.dtype(), T => {
            memory::collect(self.values::<T>()?.iter().map(|&v| candle_core::WithDType::to_f64(v)))
        })
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?}", self.dtype(), self.shape())
    }
}

/// The product of `shape`, refused when it overflows.
pub fn element_count(shape: &[usize]) -> Result<usize> {
    shape
        .iter()
        .try_fold(1usize, |n, &d| n.checked_mul(d))
        .filter(|&n| n <= isize::MAX as usize / 8)
        .ok_or_else(|| Error::shape(format!("shape {shape:?} has too many elements")))
}

/// Row-major values of a CPU tensor, borrowed from its storage. Dereferences to a slice.
pub struct Values<T> {
    raw: Raw,
    offset: usize,
    len: usize,
    /// Held so that `Tensor::is_unique` is false while the values are being read.
    _allocation: Arc<Allocation>,
    _t: std::marker::PhantomData<T>,
}

impl<T: Element> Values<T> {
    fn new(raw: Raw, allocation: Arc<Allocation>) -> Result<Self> {
        let (offset, len) = (raw.layout().start_offset(), raw.elem_count());
        Ok(Self { raw, offset, len, _allocation: allocation, _t: std::marker::PhantomData })
    }
}

impl<T: Element> Deref for Values<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        let (storage, _) = self.raw.storage_and_layout();
        let Storage::Cpu(cpu) = &*storage else { unreachable!("Values are made of CPU tensors only") };
        let all = cpu.as_slice::<T>().expect("the dtype was checked when the view was made");
        // An empty view may start beyond an empty storage.
        let part = if self.len == 0 { &[] } else { &all[self.offset..self.offset + self.len] };
        // SAFETY: `self.raw` keeps the storage alive, and a storage is written only while it has a single holder
        // (`Tensor::is_unique`, which the held allocation rules out), so the slice stays
        // valid and unchanged after the read lock is given back. Tested in `tests/it/storage.rs`.
        unsafe { std::slice::from_raw_parts(part.as_ptr(), part.len()) }
    }
}
