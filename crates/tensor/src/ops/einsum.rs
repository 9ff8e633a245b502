//! Sums of products by subscripts.
use super::Axes;
use crate::{Error, Result, Tensor};
use std::collections::BTreeMap;

/// An axis name: a letter of the specification, or a place counted from the end of what `...` stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Label {
    /// `n` axes before the last one of the ellipsis; broadcasts.
    Ellipsis(usize),
    /// A letter.
    Letter(char),
}

impl Tensor {
    /// Sums products over the axes that share a letter (Einstein's summation), as `jnp.einsum`.
    ///
    /// The specification names the axes of each operand, and those of the result behind `->`: `bld,dh->blh` multiplies
    /// and sums over `d`. Without `->` the result has the letters that occur once, in alphabetical order, after the
    /// axes of `...`. A letter twice in one operand takes its diagonal; `...` stands for axes that broadcast. Operands
    /// are combined from left to right.
    ///
    /// Dtypes: the dtype that all promote to. float16 and bfloat16 add up in float32, integers exactly.
    ///
    /// Gradient: that of the products and sums it stands for.
    ///
    /// # Errors
    /// - `InvalidArgument`: the specification is malformed, or does not have a term for each operand.
    /// - `ShapeMismatch`: a letter has two sizes.
    pub fn einsum(spec: &str, operands: &[&Tensor]) -> Result<Tensor> {
        let plan = Plan::new(spec, operands)?;
        let mut rest = operands.iter().zip(&plan.inputs).map(|(x, labels)| Term::diagonal(x, labels));
        let mut sum = rest.next().ok_or_else(|| malformed(spec, "there are no operands"))??;
        for (i, next) in rest.enumerate() {
            // What neither a later operand nor the output needs can be summed over now.
            let later = &plan.inputs[i + 2..];
            let needed = |l: &Label| plan.output.contains(l) || later.iter().any(|labels| labels.contains(l));
            sum = sum.times(next?, needed)?;
        }
        sum.arranged(&plan)
    }
}

/// The specification, read.
struct Plan {
    inputs: Vec<Vec<Label>>,
    output: Vec<Label>,
    sizes: BTreeMap<Label, usize>,
}

fn malformed(spec: &str, why: impl std::fmt::Display) -> Error {
    Error::argument(format!("einsum \"{spec}\": {why}"))
}

impl Plan {
    fn new(spec: &str, operands: &[&Tensor]) -> Result<Self> {
        let text: String = spec.chars().filter(|c| !c.is_whitespace()).collect();
        let (left, right) = match text.split_once("->") {
            Some((left, right)) => (left, Some(right)),
            None => (&text[..], None),
        };
        let terms: Vec<&str> = left.split(',').collect();
        if terms.len() != operands.len() {
            return Err(malformed(spec, format!("{} terms for {} operands", terms.len(), operands.len())));
        }
        let mut inputs = Vec::new();
        let mut sizes: BTreeMap<Label, usize> = BTreeMap::new();
        for (term, x) in terms.iter().zip(operands) {
            let letters = term.replace("...", "").chars().count();
            let hidden = match term.contains("...") {
                true => x.rank().checked_sub(letters),
                false => (x.rank() == letters).then_some(0),
            };
            let hidden =
                hidden.ok_or_else(|| malformed(spec, format!("\"{term}\" does not fit shape {:?}", x.shape())))?;
            let labels = read(spec, term, hidden)?;
            for (&label, &size) in labels.iter().zip(x.shape()) {
                let known = sizes.entry(label).or_insert(size);
                if *known == 1 {
                    *known = size;
                } else if size != *known && size != 1 {
                    let shapes: Vec<_> = operands.iter().map(|t| t.shape()).collect();
                    let name = match label {
                        Label::Letter(c) => format!("\"{c}\""),
                        Label::Ellipsis(_) => "\"...\"".into(),
                    };
                    return Err(Error::shape(format!(
                        "einsum \"{spec}\": {name} has sizes {known} and {size} in {shapes:?}"
                    )));
                }
            }
            inputs.push(labels);
        }
        let widest = sizes.keys().filter(|l| matches!(l, Label::Ellipsis(_))).count();
        let output = match right {
            Some(right) => read(spec, right, widest)?,
            None => {
                let times = |l: &Label| inputs.iter().flatten().filter(|&other| other == l).count();
                let hidden = (0..widest).rev().map(Label::Ellipsis);
                hidden.chain(sizes.keys().copied().filter(|l| matches!(l, Label::Letter(_)) && times(l) == 1)).collect()
            }
        };
        for (i, label) in output.iter().enumerate() {
            if !sizes.contains_key(label) || output[..i].contains(label) {
                return Err(malformed(spec, "each letter of the output must be in an operand, and once in the output"));
            }
        }
        Ok(Self { inputs, output, sizes })
    }
}

/// The labels of one term whose ellipsis stands for `hidden` axes.
fn read(spec: &str, term: &str, hidden: usize) -> Result<Vec<Label>> {
    let mut labels = Vec::new();
    let mut parts = term.split("...");
    for (i, part) in parts.by_ref().enumerate() {
        match i {
            0 => {}
            1 => labels.extend((0..hidden).rev().map(Label::Ellipsis)),
            _ => return Err(malformed(spec, "a term may have one ellipsis")),
        }
        for c in part.chars() {
            if !c.is_alphabetic() {
                return Err(malformed(spec, format!("\"{c}\" is not a letter")));
            }
            labels.push(Label::Letter(c));
        }
    }
    Ok(labels)
}

/// A tensor whose axes have distinct labels.
struct Term {
    value: Tensor,
    labels: Vec<Label>,
}

impl Term {
    /// `x` with every label once: repeated ones are replaced by their diagonal.
    fn diagonal(x: &Tensor, labels: &[Label]) -> Result<Self> {
        let (mut value, mut labels) = (x.clone(), labels.to_vec());
        let mut at = 0;
        while at < labels.len() {
            let Some(other) = (at + 1..labels.len()).find(|&j| labels[j] == labels[at]) else {
                at += 1;
                continue;
            };
            let n = value.shape()[at].max(value.shape()[other]);
            let mut shape = value.shape().to_vec();
            (shape[at], shape[other]) = (n, n);
            // With both axes last, the diagonal is every (n + 1)-th element.
            let last = value.broadcast_to(&shape)?.move_axis(other as isize, -1)?.move_axis(at as isize, -1)?;
            let mut flat = last.shape()[..last.rank() - 2].to_vec();
            flat.push(n * n);
            let flat = last.reshape(&flat)?;
            let places = Tensor::iota(n, crate::DType::I64, x.device())?.mul_scalar(n as i64 + 1)?;
            value = flat.take(&places, -1)?.move_axis(-1, at as isize)?;
            labels.remove(other);
        }
        Ok(Self { value, labels })
    }
    /// Without the axes that are not `needed`: their sum.
    fn summed(self, needed: impl Fn(&Label) -> bool) -> Result<Self> {
        let gone: Vec<isize> =
            self.labels.iter().enumerate().filter(|(_, l)| !needed(l)).map(|(i, _)| i as isize).collect();
        if gone.is_empty() {
            return Ok(self);
        }
        let value = self.value.sum(Axes::from(&gone[..]), false)?;
        Ok(Self { value, labels: self.labels.into_iter().filter(needed).collect() })
    }
    /// The product with `other`, summed over what is not `needed`, as one batched matrix product.
    fn times(self, other: Term, needed: impl Fn(&Label) -> bool) -> Result<Self> {
        // What only one of the two has, and nobody needs, is summed before multiplying.
        let (mine, theirs) = (self.labels.clone(), other.labels.clone());
        let a = self.summed(|l| needed(l) || theirs.contains(l))?;
        let b = other.summed(|l| needed(l) || mine.contains(l))?;
        let size = |t: &Term, l: &Label| t.labels.iter().position(|x| x == l).map(|i| t.value.shape()[i]);
        let shared = a.labels.iter().copied().filter(|l| b.labels.contains(l));
        let (batch, inner): (Vec<Label>, Vec<Label>) = shared.partition(|l| needed(l));
        let only = |t: &Term, o: &Term| t.labels.iter().copied().filter(|l| !o.labels.contains(l)).collect::<Vec<_>>();
        let (rows, cols) = (only(&a, &b), only(&b, &a));
        // A shared axis may be 1 in one of them.
        let wide = |l: &Label| size(&a, l).unwrap_or(1).max(size(&b, l).unwrap_or(1));
        let wide = |l: &Label| if size(&a, l) == Some(0) || size(&b, l) == Some(0) { 0 } else { wide(l) };
        let product = |ls: &[Label]| ls.iter().map(&wide).product::<usize>();
        let (m, k, n) = (product(&rows), product(&inner), product(&cols));
        let lead: Vec<usize> = batch.iter().map(&wide).collect();
        let matrix = |t: &Term, middle: &[Label], last: &[Label], [r, c]: [usize; 2]| -> Result<Tensor> {
            let order: Vec<Label> = batch.iter().chain(middle).chain(last).copied().collect();
            let places = order.iter().map(|l| t.labels.iter().position(|x| x == l)).collect::<Option<Vec<_>>>();
            let places = places.ok_or_else(|| Error::internal("einsum lost an axis"))?;
            let mut x = t.value.transpose(Some(&places))?;
            // Inner axes must have their full size; batch axes of size 1 broadcast in the product.
            let mut full = x.shape().to_vec();
            for (size, label) in full.iter_mut().zip(&order).skip(batch.len()) {
                *size = wide(label);
            }
            x = x.broadcast_to(&full)?;
            let mut shape = full[..batch.len()].to_vec();
            shape.extend([r, c]);
            x.reshape(&shape)
        };
        let left = matrix(&a, &rows, &inner, [m, k])?;
        let right = matrix(&b, &inner, &cols, [k, n])?;
        // Without an inner axis nothing is summed, and an elementwise product does; of integers it would wrap around.
        let float = left.dtype().is_float() || right.dtype().is_float();
        let out = if inner.is_empty() && float { left.mul(&right)? } else { left.matmul(&right)? };
        let shape: Vec<usize> = lead.into_iter().chain(rows.iter().chain(&cols).map(&wide)).collect();
        let labels = batch.into_iter().chain(rows).chain(cols).collect();
        Ok(Self { value: out.reshape(&shape)?, labels })
    }
    /// The output: what is left over is summed, the axes are put in order.
    fn arranged(self, plan: &Plan) -> Result<Tensor> {
        let t = self.summed(|l| plan.output.contains(l))?;
        let mut value = t.value;
        let mut labels = t.labels;
        // An axis that only the widest ellipsis has may be missing here when there is one operand; sizes of 1 may have to grow.
        for label in &plan.output {
            if !labels.contains(label) {
                value = value.expand_dims(0)?;
                labels.insert(0, *label);
            }
        }
        let places: Vec<usize> = plan.output.iter().filter_map(|l| labels.iter().position(|x| x == l)).collect();
        let shape: Vec<usize> = plan.output.iter().map(|l| plan.sizes[l]).collect();
        value.transpose(Some(&places))?.broadcast_to(&shape)
    }
}
