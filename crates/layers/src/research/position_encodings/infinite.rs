//! Positions without an end.
use super::{
    noise::Noise,
    positions::{bin_features, moved_on, next_positions, positioned},
};
use crate::{
    choice, initializers::orthogonal, leaf, options, Call, Dim, Error, LayerRef, Leaf, Local, Mode, Output, Positive,
    Result, TensorSpec, Traits, Tree,
};
use std::f32::consts::PI;
use tallow_tensor::{
    memory,
    random::{uniform, Key},
    DType, Device, Tensor,
};

choice! {
    /// What is learned of an encoding.
    pub enum Transform: "'any' | 'diag' | 'none'", "'any', 'diag' or 'none'" {
        /// A matrix that it is multiplied by.
        Any = "any",
        /// A positive factor for each feature.
        Diag = "diag",
        /// Nothing.
        None = "none",
    }
}

options! {
    /// Adds waves that wander through the space of features without coming back.
    ///
    /// The result is multiplied by a matrix (`transform: 'any'`), by `softplus(w)` (`'diag'`), or by nothing.
    ///
    /// Formula: feature `2c` of position `t` is `cos(2π · (f[c] t + √drift · n[c](t) / 4 + φ))`, and feature `2c + 1` is the same a
    /// quarter turn on. The frequencies `f` fall geometrically from 1/2 to `drift² / 2`, each `n[c]` is a fixed random walk, and the
    /// phases `φ` are drawn for each call and feature if `affine`.
    /// Shapes: `[batch, length, d]` → `[batch, length, d]`, float32 or wider.
    /// Weights: `w: [d, d]`, orthogonal at first; with `transform: 'diag'` `w: [d]`; or none.
    /// State: none; in mode `'predict'` the index of the next position of each sequence, `int32[batch]`, and the key of the phases.
    /// Modes: in `'predict'` it goes on at the stored indices, with the same phases all along. All others start at 0.
    /// Errors:
    /// - `ShapeMismatch`: the input does not have three axes, has less features than `timeBinLength` needs (3), or has another batch
    ///   size in predict mode.
    /// Source: Trax.
    /// Example:
    /// ```ts
    /// const layer = tl.InfinitePositionalEncoding();
    /// layer.init({ shape: [1, 5, 4], dtype: 'float32' });
    /// layer(tl.ones([1, 5, 4])).shape; // → [ 1, 5, 4 ]
    /// ```
    pub struct InfinitePositionalEncodingOptions for "InfinitePositionalEncoding" () {
        /// How fast the walk goes: its variance over one position.
        drift "drift": Positive = Positive(0.03),
        /// Whether phases are drawn for each call.
        affine "affine": bool = true,
        /// What is learned.
        transform "transform": Transform = Transform::Any,
        /// If given, the last three features are those of `TimeBinPositionalEncoding`.
        time_bin_length "timeBinLength": Option<Dim> = None,
        /// How the layer behaves.
        mode "mode": Mode = Mode::Train,
    }
}

#[derive(Debug, Clone)]
struct Infinite {
    o: InfinitePositionalEncodingOptions,
    noise: Noise,
}

/// See [`InfinitePositionalEncodingOptions`].
///
/// # Errors
/// None.
pub(super) fn build(o: InfinitePositionalEncodingOptions) -> Result<LayerRef> {
    Ok(leaf(Infinite { o, noise: Noise::default() }))
}

/// Turns per position of each pair of features, rounded step by step as in Trax.
fn frequencies(drift: f64, d: usize) -> Vec<f32> {
    let pairs = d.div_ceil(2);
    // With an odd number of features the last pair is cut in half; this keeps the lowest whole frequency in place.
    let drift = if d > 2 { drift.powf(pairs as f64 / (d / 2) as f64) } else { drift };
    let log10 = |x: f64| f64::from(x as f32).log10() as f32;
    let (first, last) = (log10(0.5), log10(0.5 * drift * drift));
    let at = |i: usize| {
        let share = if pairs > 1 { i as f32 / (pairs - 1) as f32 } else { 0.0 };
        let exponent = if share == 1.0 { last } else { first * (1.0 - share) + last * share };
        10f64.powf(f64::from(exponent)) as f32
    };
    (0..pairs).map(at).collect()
}

impl Infinite {
    /// Vectors of the positions, `(positions, d)`.
    fn vectors(&self, positions: &[i64], d: usize, phases: Option<&[f32]>) -> Result<Tensor> {
        let pairs = d.div_ceil(2);
        let scale = self.o.drift.0.sqrt() as f32;
        let frequencies = frequencies(self.o.drift.0, d);
        let lo = positions.iter().min().copied().unwrap_or(0);
        let hi = positions.iter().max().map_or(0, |&t| t + 1);
        let noise = self.noise.rows(lo as usize, hi as usize, pairs)?;
        let mut out = memory::room(&[positions.len(), d])?;
        for &t in positions {
            for c in 0..d {
                let walk = noise[(t - lo) as usize * pairs + c / 2] * scale;
                let mut turns = (c % 2) as f32 / 4.0 + frequencies[c / 2] * t as f32 + walk / 4.0;
                if let Some(phases) = phases {
                    turns += phases[c];
                }
                out.push(2.0 * PI * turns);
            }
        }
        let waves = Tensor::from_vec(out, &[positions.len(), d])?.cos()?;
        let Some(bin) = self.o.time_bin_length else { return Ok(waves) };
        let bins = memory::collect(positions.iter().map(|&t| bin_features(t, bin.0 as i64)))?.into_flattened();
        Ok(Tensor::concat(&[waves.narrow(1, 0, d - 3)?, Tensor::from_vec(bins, &[positions.len(), 3])?], 1)?)
    }
    fn phases(&self, key: Key, d: usize) -> Result<Option<Vec<f32>>> {
        Ok(if self.o.affine { Some(uniform(key, &[1, d], DType::F32, 0.0, 1.0)?.to_vec::<f32>()?) } else { None })
    }
    fn transformed(&self, vectors: Tensor, w: &Tree<Tensor>) -> Result<Tensor> {
        Ok(match self.o.transform {
            Transform::Any => vectors.matmul(w.one()?)?,
            Transform::Diag => vectors.mul(&w.one()?.softplus()?)?,
            Transform::None => vectors,
        })
    }
}

impl Leaf for Infinite {
    fn name(&self) -> String {
        "InfinitePositionalEncoding".into()
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        let out = positioned(&inputs[0])?;
        if self.o.time_bin_length.is_some() && inputs[0].shape[2] < 3 {
            return Err(Error::shape(format!("timeBinLength needs at least 3 features, got {}", inputs[0])));
        }
        Ok(out)
    }
    fn init(&self, inputs: &[TensorSpec], key: Key) -> Result<Local> {
        self.signature(inputs)?;
        let (batch, d) = (inputs[0].shape[0], inputs[0].shape[2]);
        let weights = match self.o.transform {
            Transform::Any => Tree::Leaf(orthogonal(1.0).make(&[d, d], key)?),
            Transform::Diag => Tree::Leaf(Tensor::full(&[d], 1e-4f32, DType::F32, &Device::Cpu)?),
            Transform::None => Tree::EMPTY,
        };
        let state = match self.o.mode {
            Mode::Predict => Tree::tuple([TensorSpec::new([batch], DType::I32).zeros()?, key.to_tensor()?]),
            _ => Tree::EMPTY,
        };
        Ok(Local { weights, state })
    }
    fn forward(&self, call: Call) -> Result<Output> {
        let x = &call.xs[0];
        self.signature(&[TensorSpec::of(x)])?;
        let (batch, length, d) = (x.shape()[0], x.shape()[1], x.shape()[2]);
        let (vectors, state) = if self.o.mode == Mode::Predict {
            let [index, key] = call.s.many::<2>()?;
            let starts = next_positions(index, batch)?;
            let mut positions: Vec<i64> = memory::room(&[starts.len(), length])?;
            positions.extend(starts.iter().flat_map(|&s| s..s + length as i64));
            let phases = self.phases(Key::from_tensor(key)?, d)?;
            let vectors = self.vectors(&positions, d, phases.as_deref())?.reshape(&[batch, length, d])?;
            (vectors, Some(Tree::tuple([moved_on(&starts, length)?, key.clone()])))
        } else {
            let positions: Vec<i64> = memory::collect((0..length).map(|t| t as i64))?;
            let phases = self.phases(call.key, d)?;
            (self.vectors(&positions, d, phases.as_deref())?.expand_dims(0)?, None)
        };
        let y = x.add(&self.transformed(vectors.to_device(x.device())?, call.w)?)?;
        Ok(Output { ys: vec![y], state })
    }
    fn mode(&mut self) -> Option<&mut Mode> {
        Some(&mut self.o.mode)
    }
    fn traits(&self) -> Traits {
        Traits { goes_on: self.o.mode == Mode::Predict, keeps_float32: true, ..Traits::LEAF }
    }
}
