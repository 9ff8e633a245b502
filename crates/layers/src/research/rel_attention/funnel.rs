//! Queries and keys of which one stands for several of the other: how many, which see which, how far apart they are.
use crate::{options, Dim, Error, HostValue, Result};
use tallow_tensor::{DType, Device, Tensor};

options! {
    /// Computes how many keys each query stands for, or how many queries each key.
    ///
    /// Shapes: two lengths → the pair of that number and whether there are more queries than keys (upsampling).
    /// Errors:
    /// - `ShapeMismatch`: neither length divides the other.
    /// Source: Trax.
    /// Example:
    /// ```ts
    /// tl.calcFunnelRatio(8, 2); // → [ 4, false ]
    /// ```
    pub struct CalcFunnelRatioOptions for "calcFunnelRatio" ("keysLen", "queriesLen") {
        /// Number of keys.
        keys_len "keysLen": Dim,
        /// Number of queries.
        queries_len "queriesLen": Dim,
    }
}

/// See [`CalcFunnelRatioOptions`].
pub(super) fn calc_funnel_ratio(o: CalcFunnelRatioOptions) -> Result<HostValue> {
    let funnel = Funnel::between(o.keys_len.0, o.queries_len.0)?;
    Ok(HostValue::List(vec![HostValue::Number(funnel.factor as f64), HostValue::Bool(funnel.upsampling)]))
}

/// Lengths of queries and keys, one a multiple of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Funnel {
    /// How many of the longer side one of the shorter side stands for.
    pub factor: usize,
    /// Whether the queries are the longer side.
    pub upsampling: bool,
    keys: usize,
    queries: usize,
}

impl Funnel {
    /// The funnel from so many keys to so many queries.
    ///
    /// # Errors
    /// `ShapeMismatch` unless one length divides the other.
    pub fn between(keys: usize, queries: usize) -> Result<Self> {
        let upsampling = queries > keys;
        let (long, short) = if upsampling { (queries, keys) } else { (keys, queries) };
        if long == 0 {
            return Ok(Self { factor: 1, upsampling, keys, queries });
        }
        if short == 0 || !long.is_multiple_of(short) {
            return Err(Error::shape(format!(
                "relative attention of {queries} queries to {keys} keys: one length must be a multiple of the other"
            )));
        }
        Ok(Self { factor: long / short, upsampling, keys, queries })
    }
    /// Distances from a query to a key, in the order that [`Funnel::shift`] takes them. `pooling` positions have become one key.
    ///
    /// # Errors
    /// Those of the device.
    pub fn distances(self, pooling: f64, device: &Device) -> Result<Tensor> {
        let (longer, spacing) = if self.upsampling { (self.queries, 1.0) } else { (self.keys, pooling) };
        let places = Tensor::iota(self.rows(), DType::F32, device)?;
        Ok(places.sub_scalar(longer as f64 - 1.0)?.mul_scalar(spacing)?)
    }
    /// How many distances there are.
    pub fn rows(self) -> usize {
        match self.factor {
            1 => self.keys,
            _ => 2 * self.queries.max(self.keys) - 1,
        }
    }
    /// From products of queries and distances, `(batch, heads, queries, rows)`, those of queries and keys, `(batch, heads, queries, keys)`.
    ///
    /// A row is one distance further than the one above it. Read again with rows as long as before, but with zeros put in front of
    /// each, the products stand that much shifted.
    ///
    /// # Errors
    /// `ShapeMismatch` for products of other sizes.
    pub fn shift(self, products: &Tensor) -> Result<Tensor> {
        let &[batch, heads, queries, rows] = products.shape() else {
            return Err(Error::shape(format!(
                "products of queries and distances have 4 axes, got {:?}",
                products.shape()
            )));
        };
        // From one query to the next it is one position, or as many as have become one.
        let further = if self.upsampling { 1 } else { self.factor };
        let wide = products.pad(&[(0, 0), (0, 0), (0, 0), (further, 0)], 0.0)?;
        let turned = wide.reshape(&[batch, heads, rows + further, queries])?.narrow(2, further, rows)?;
        let shifted = turned.reshape(&[batch, heads, queries, rows])?;
        if self.factor == 1 {
            return Ok(shifted);
        }
        let first = further as isize - 1;
        let (count, step) = if self.upsampling { (self.queries, self.factor) } else { (self.keys, 1) };
        let all = isize::MAX;
        Ok(shifted.slice(&[0, 0, 0, first], &[all, all, all, first + count as isize], &[1, 1, 1, step as isize])?)
    }
    /// Which keys a query sees, `(queries, keys)`: those of its own group and of groups before it.
    ///
    /// # Errors
    /// Those of the device.
    pub fn mask(self, device: &Device) -> Result<Tensor> {
        let groups = self.queries.min(self.keys);
        let mask = Tensor::tril_mask(groups, groups, 0, device)?;
        Ok(match (self.factor, self.upsampling) {
            (1, _) => mask,
            (n, true) => mask.repeat(n, 0)?,
            (n, false) => mask.repeat(n, 1)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distances(keys: usize, queries: usize, pooling: f64) -> Vec<f64> {
        Funnel::between(keys, queries).unwrap().distances(pooling, &Device::Cpu).unwrap().to_f64_vec().unwrap()
    }

    #[test]
    fn distances_are_those_from_queries_to_keys() {
        assert_eq!(distances(3, 3, 4.0), [-8.0, -4.0, 0.0]);
        assert_eq!(distances(2, 4, 4.0), [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0]);
        assert_eq!(distances(4, 2, 0.5), [-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5]);
        for (keys, queries) in [(1, 1), (6, 2), (2, 6), (5, 5), (0, 0)] {
            assert_eq!(distances(keys, queries, 1.0).len(), Funnel::between(keys, queries).unwrap().rows());
        }
    }

    /// What Trax's own test of its shift holds, with what comes from behind the ends.
    #[test]
    fn shifting_as_many_queries_as_keys_turns_what_is_behind_the_ends() {
        let row = Tensor::from_vec(vec![-3f32, -2.0, -1.0, 0.0], &[1, 1, 1, 4]).unwrap();
        let shifted = Funnel::between(4, 4).unwrap().shift(&row.broadcast_to(&[1, 1, 4, 4]).unwrap()).unwrap();
        let wanted = [[0.0, 0.0, -3.0, -2.0], [-1.0, 0.0, 0.0, -3.0], [-2.0, -1.0, 0.0, 0.0], [-3.0, -2.0, -1.0, 0.0]];
        assert_eq!(shifted.to_f64_vec().unwrap(), wanted.concat());
    }

    /// Shifted, the product with a distance stands at the query and key that are so far apart.
    #[test]
    fn shifting_finds_the_distance_of_each_pair() {
        for (keys, queries) in [(4usize, 4usize), (6, 2), (6, 3), (2, 6), (3, 12), (8, 1), (1, 3)] {
            let funnel = Funnel::between(keys, queries).unwrap();
            let row = funnel.distances(1.0, &Device::Cpu).unwrap().reshape(&[1, 1, 1, funnel.rows()]).unwrap();
            let products = row.broadcast_to(&[1, 1, queries, funnel.rows()]).unwrap();
            let found = funnel.shift(&products).unwrap();
            assert_eq!(found.shape(), [1, 1, queries, keys]);
            let mask = funnel.mask(&Device::Cpu).unwrap().to_f64_vec().unwrap();
            for (at, got) in found.to_f64_vec().unwrap().into_iter().enumerate() {
                let (query, key) = ((at / keys) as f64, (at % keys) as f64);
                let factor = funnel.factor as f64;
                // Positions in the longer sequence: a group lies where its first position is.
                let (query, key) = if funnel.upsampling { (query, key * factor) } else { (query * factor, key) };
                // With as many queries as keys, later keys have no distance: they are masked.
                if funnel.factor > 1 || mask[at] != 0.0 {
                    assert!(got == key - query, "{keys} keys, {queries} queries, pair {at}: {got}");
                }
            }
        }
    }

    #[test]
    fn lengths_that_do_not_divide_are_refused() {
        for (keys, queries) in [(4, 6), (6, 4), (0, 3), (3, 0)] {
            let error = Funnel::between(keys, queries).unwrap_err();
            assert_eq!(error.code(), "ShapeMismatch");
            assert!(error.message().contains(&format!("{queries} queries to {keys} keys")), "{error}");
        }
    }
}
