//! Quantized weights in files: beside `weights/…`, of type `I8` or `BF16`, stand the scales of int8 ones as `scales/…`, and the metadata tells which
//! weights are quantized and which axis is that of their outputs.
use crate::{names::named_leaves, safetensors_file::Reader, Error, Result};
use serde_json::json;
use std::collections::{BTreeMap, HashMap, HashSet};
use tallow_layers::{ErrorKind, LayerRef, Store, TensorSpec};
use tallow_tensor::{
    ops::{Outputs, Quantized},
    DType, Tensor,
};

/// The key of the metadata that tells which weights are quantized.
const QUANTIZED: &str = "quantized";
/// What the names of weights and of their scales begin with.
const WEIGHTS: &str = "weights";
const SCALES: &str = "scales";

fn name_of(outputs: Outputs) -> &'static str {
    match outputs {
        Outputs::Rows => "rows",
        Outputs::Columns => "columns",
    }
}

/// What a file is to hold of the weights of a layer.
pub(crate) struct Stored {
    /// The weights by name; those of int8 as bytes.
    pub(crate) weights: Vec<(String, Tensor)>,
    /// Those whose bytes have a sign.
    pub(crate) signed: HashSet<String>,
    /// The scales by name.
    pub(crate) scales: Vec<(String, Tensor)>,
    axes: BTreeMap<String, &'static str>,
}

impl Stored {
    /// Of the weights that a layer holds.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn new(layer: &LayerRef, weights: Store) -> Result<Self> {
        let mut matrices: Vec<(Tensor, Option<Tensor>, Outputs)> = Vec::new();
        let mut plain = Store::new();
        for (id, tree) in weights {
            let tree = tree.with_matrices(&mut |matrix| {
                let (values, scales) = matrix.stored()?;
                matrices.push((values.clone(), scales, matrix.outputs()));
                Ok(values)
            })?;
            plain.insert(id, tree);
        }
        let weights = named_leaves(WEIGHTS, layer, &plain);
        let mut out = Self { weights, signed: HashSet::new(), scales: Vec::new(), axes: BTreeMap::new() };
        for (name, t) in &out.weights {
            let Some((_, scales, outputs)) = matrices.iter().find(|(values, ..)| values.is_same(t)) else { continue };
            out.axes.insert(name.clone(), name_of(*outputs));
            if let Some(scales) = scales {
                out.signed.insert(name.clone());
                out.scales.push((name.replacen(WEIGHTS, SCALES, 1), scales.clone()));
            }
        }
        Ok(out)
    }
    /// Leaves out what is said of weights that are not in the file.
    pub(crate) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.weights.retain(|(name, _)| keep(name));
        self.axes.retain(|name, _| keep(name));
        self.scales.retain(|(name, _)| keep(&name.replacen(SCALES, WEIGHTS, 1)));
    }
    /// Notes in the metadata which weights are quantized, if any are.
    pub(crate) fn note(&self, metadata: &mut BTreeMap<String, String>) {
        if !self.axes.is_empty() {
            metadata.insert(QUANTIZED.into(), json!(self.axes).to_string());
        }
    }
}

/// The quantized weights of a file, by their places in it: the axis of their outputs, and the place of their scales.
#[derive(Debug, Default)]
pub(crate) struct Matrices(HashMap<usize, (Outputs, Option<usize>)>);

impl Matrices {
    /// Those that the metadata names.
    ///
    /// # Errors
    /// `Io` where it does not fit the tensors.
    pub(crate) fn of(reader: &Reader) -> Result<Self> {
        let Some(text) = reader.metadata.get(QUANTIZED) else { return Ok(Self::default()) };
        let damaged = |why: String| reader.damaged(&format!("what it says of its quantized weights is damaged: {why}"));
        let axes: BTreeMap<String, String> = serde_json::from_str(text).map_err(|e| damaged(e.to_string()))?;
        let places: HashMap<&str, usize> = reader.names().enumerate().map(|(i, name)| (name, i)).collect();
        let place = |(name, axis): (&String, &String)| {
            let at = *places.get(name.as_str()).ok_or_else(|| damaged(format!("it has no tensor {name}")))?;
            let outputs = [Outputs::Rows, Outputs::Columns].into_iter().find(|o| name_of(*o) == axis);
            let outputs =
                outputs.ok_or_else(|| damaged(format!("the outputs of {name} are neither rows nor columns")))?;
            let spec = reader.spec(at)?;
            let scales = places.get(name.replacen(WEIGHTS, SCALES, 1).as_str()).copied();
            match (spec.dtype, scales) {
                (DType::BF16, None) | (DType::I32, Some(_)) => Ok((at, (outputs, scales))),
                _ => Err(damaged(format!("{name} is neither bfloat16, nor int8 with scales"))),
            }
        };
        Ok(Self(axes.iter().map(place).collect::<Result<_>>()?))
    }
    /// Whether there are quantized weights at a place.
    pub(crate) fn has(&self, i: usize) -> bool {
        self.0.contains_key(&i)
    }
    /// What a tensor of the file is to a layer: quantized weights stand for float32 ones.
    ///
    /// # Errors
    /// Those of [`Reader::spec`].
    pub(crate) fn spec(&self, reader: &Reader, i: usize) -> Result<TensorSpec> {
        let spec = reader.spec(i)?;
        Ok(if self.has(i) { TensorSpec::new(spec.shape, DType::F32) } else { spec })
    }
    /// The quantized weights at a place, if such stand there.
    ///
    /// # Errors
    /// `Io` naming the path and the tensor.
    pub(crate) fn read(&self, reader: &mut Reader, i: usize) -> Result<Option<Quantized>> {
        let Some(&(outputs, scales)) = self.0.get(&i) else { return Ok(None) };
        let values = reader.tensor(i)?;
        let scales = scales.map(|at| reader.tensor(at)).transpose()?;
        let name = reader.names().nth(i).unwrap_or_default().to_owned();
        let made = Quantized::from_stored(&values, scales.as_ref(), outputs).map_err(Error::from);
        made.map(Some).map_err(|e| match e.kind() {
            ErrorKind::OutOfMemory => e,
            _ => reader.damaged(&format!("its tensor {name}: {}", e.message())),
        })
    }
}
