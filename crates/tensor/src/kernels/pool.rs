//! Pooling of channels-last tensors: a window at a time, all channels at once.
use super::{
    fill::{build, Unfilled},
    gemm::Out,
    real::{simd, Float, Real},
    window::{unravel, Axes, Axis},
};
use crate::{
    dtype::Whole,
    memory,
    threads::{for_each_index, Piece, GRAIN},
    Result,
};
use smallvec::SmallVec;

/// Sizes of a pooling `[batch, input…, channels] -> [batch, output…, channels]`.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    pub(crate) axes: Axes,
    pub(crate) batch: usize,
    pub(crate) channels: usize,
}

/// Rows of the input, or of cotangents, that belong to a position, and the places of the window they stand at.
type Seen = SmallVec<[(usize, u32); 16]>;

impl Pool {
    fn input_rows(&self) -> usize {
        self.batch * self.axes.iter().map(|a| a.input).product::<usize>()
    }
    fn output_rows(&self) -> usize {
        self.batch * self.axes.iter().map(|a| a.output).product::<usize>()
    }
    /// Rows a task works off.
    fn rows_per_task(&self) -> usize {
        let places: usize = self.axes.iter().map(|a| a.size).product();
        (GRAIN / (self.channels * places).max(1)).max(1)
    }
    /// How many positions of the input, not of padding, window `index` (over all axes) sees.
    pub(crate) fn count(&self, index: usize) -> usize {
        let mut at = SmallVec::new();
        unravel(index, self.axes.iter().map(|a| a.output), &mut at);
        let seen = |(axis, &window): (&Axis, &usize)| {
            (0..axis.size).filter(|&place| axis.source(window, place).is_some()).count()
        };
        self.axes.iter().zip(&at).map(seen).product()
    }
    /// What each window sees: its share of the sum of a mean, window by window of one item.
    pub(crate) fn shares<A: Real>(&self) -> Result<Vec<A>> {
        let windows: usize = self.axes.iter().map(|a| a.output).product();
        memory::collect((0..windows).map(|i| A::of(1.0) / A::of(self.count(i) as f64)))
    }
    /// What each window sees.
    fn sources(&self) -> Result<Relation> {
        Relation::new(&self.axes, |a| [a.output, a.input], |a, window, place| a.source(window, place))
    }
    /// The windows that see each position.
    fn windows(&self) -> Result<Relation> {
        Relation::new(&self.axes, |a| [a.input, a.output], |a, position, place| a.window_of(position, place))
    }
}

/// Along one axis, for each position the related ones and their places, all in one list.
struct Along {
    from: usize,
    to: usize,
    places: u32,
    starts: Vec<usize>,
    pairs: Vec<(usize, u32)>,
}

/// Which rows belong to each row, by way of tables for the single axes.
struct Relation {
    outer: Vec<Along>,
    last: Option<Along>,
}

impl Relation {
    fn new(
        axes: &Axes,
        sizes: impl Fn(&Axis) -> [usize; 2],
        related: impl Fn(&Axis, usize, usize) -> Option<usize>,
    ) -> Result<Self> {
        let along = |axis: &Axis| {
            let [from, to] = sizes(axis);
            let (mut starts, mut pairs) = (memory::room(from + 1)?, Vec::new());
            starts.push(0);
            for position in 0..from {
                let at = |place| related(axis, position, place).map(|r| (r, place as u32));
                memory::grow(&mut pairs, axis.size)?;
                pairs.extend((0..axis.size).filter_map(at));
                starts.push(pairs.len());
            }
            Ok(Along { from, to, places: axis.size as u32, starts, pairs })
        };
        let mut outer: Vec<Along> = axes.iter().map(along).collect::<Result<_>>()?;
        let last = outer.pop();
        Ok(Self { outer, last })
    }
    /// Calls `f(i, rows)` for each row from `first` on, `count` of them.
    #[inline(always)]
    fn for_rows(&self, first: usize, count: usize, mut f: impl FnMut(usize, &Seen)) {
        let length = self.last.as_ref().map_or(1, |a| a.from);
        let (mut line, mut position) = (first / length, first % length);
        let mut outer = self.of_line(line);
        let mut seen = Seen::new();
        for i in 0..count {
            match &self.last {
                None => f(i, &outer),
                Some(last) => {
                    seen.clear();
                    for &(row, place) in &outer {
                        for &(at, p) in &last.pairs[last.starts[position]..last.starts[position + 1]] {
                            seen.push((row * last.to + at, place * last.places + p));
                        }
                    }
                    f(i, &seen);
                }
            }
            position += 1;
            if position == length {
                (line, position) = (line + 1, 0);
                outer = self.of_line(line);
            }
        }
    }
    /// The lines that belong to a line.
    fn of_line(&self, line: usize) -> Seen {
        let mut at: SmallVec<[usize; 4]> = SmallVec::new();
        unravel(line, self.outer.iter().map(|a| a.from), &mut at);
        let item = line / self.outer.iter().map(|a| a.from).product::<usize>();
        let mut seen: Seen = SmallVec::from_slice(&[(item, 0)]);
        for (axis, position) in self.outer.iter().zip(at) {
            let pairs = &axis.pairs[axis.starts[position]..axis.starts[position + 1]];
            let with = |(row, place): (usize, u32)| {
                pairs.iter().map(move |&(r, p)| (row * axis.to + r, place * axis.places + p))
            };
            seen = seen.into_iter().flat_map(with).collect();
        }
        seen
    }
}

/// The largest value of each window, and the place it stands at if `want_places`: the first one of equals. NaN counts as largest.
pub(crate) fn max<T: Float>(p: &Pool, x: &[T], want_places: bool) -> Result<(Vec<T>, Vec<u32>)> {
    let len = p.output_rows() * p.channels;
    if len == 0 {
        return Ok((Vec::new(), Vec::new()));
    }
    let wanted = if want_places { len } else { 0 };
    // Not zeroed first: it would take as long as a sixth of the work.
    let (mut out, mut places): (Vec<T>, Vec<u32>) = (memory::room(len)?, memory::room(wanted)?);
    let step = p.rows_per_task() * p.channels;
    let sources = p.sources()?;
    let (values, at) = (Out::new(&mut out), Out::new(&mut places));
    for_each_index(len.div_ceil(step), x.len(), |i| {
        let (start, count) = (i * step, step.min(len - i * step));
        // SAFETY: tasks have rows of their own, which `max_rows` only writes before it reads them.
        let (out, places) = unsafe { (values.part(start, count), at.part(start.min(wanted), count.min(wanted))) };
        max_rows::<T>(&sources, x, p.channels, start / p.channels, out, places);
    })?;
    // SAFETY: there is room for as many, and `max_rows` wrote all of each row. Tested in `tests/pool.rs`.
    unsafe {
        out.set_len(len);
        places.set_len(wanted);
    }
    Ok((out, places))
}

simd! {
fn max_rows<T: Float>(sources: &Relation, x: &[T], n: usize, first: usize, out: &mut [T], places: &mut [u32]) {
    sources.for_rows(first, out.len() / n, |i, seen| {
        let out = &mut out[i * n..][..n];
        let row_of = |(row, _): (usize, u32)| &x[row * n..][..n];
        // The first two are compared while the one is copied.
        let (first, second, rest) = match *seen.as_slice() {
            // No such window is asked for.
            [] => {
                out.fill(T::default());
                places.iter_mut().skip(i * n).take(n).for_each(|p| *p = 0);
                return;
            }
            [first] => (first, first, &[][..]),
            [first, second, ref rest @ ..] => (first, second, rest),
        };
        let pairs = row_of(first).iter().zip(row_of(second));
        if places.is_empty() {
            for (o, (&v, &w)) in out.iter_mut().zip(pairs) {
                *o = if beats(w.up(), v.up()) { w } else { v };
            }
            for &seen in rest {
                for (o, &v) in out.iter_mut().zip(row_of(seen)) {
                    *o = if beats(v.up(), o.up()) { v } else { *o };
                }
            }
            return;
        }
        let places = &mut places[i * n..][..n];
        for ((o, at), (&v, &w)) in out.iter_mut().zip(places.iter_mut()).zip(pairs) {
            let better = beats(w.up(), v.up());
            *o = if better { w } else { v };
            *at = if better { second.1 } else { first.1 };
        }
        for &(row, place) in rest {
            for ((o, at), &v) in out.iter_mut().zip(places.iter_mut()).zip(row_of((row, place))) {
                let better = beats(v.up(), o.up());
                *o = if better { v } else { *o };
                *at = if better { place } else { *at };
            }
        }
    });
}
}

/// Whether `v` takes the place of the largest value so far; a NaN takes it from any number.
#[inline(always)]
#[allow(clippy::eq_op)]
fn beats<A: Real>(v: A, largest: A) -> bool {
    v > largest || (v != v && largest == largest)
}

/// The sum over each window, times its share if there are `shares`.
pub(crate) fn sum<T: Float>(p: &Pool, x: &[T], shares: Option<&[T::Wide]>) -> Result<Vec<T>> {
    let sources = p.sources()?;
    add_up(p, p.output_rows(), |first, out| sum_rows::<T>(&sources, x, p.channels, shares, first, out))
}

/// Cotangents of windows taken back to the positions they saw: to the place in `places` alone if there are any, else to all,
/// times the window's share if there are `shares`.
pub(crate) fn spread<T: Float>(
    p: &Pool,
    g: &[T],
    places: Option<&[u32]>,
    shares: Option<&[T::Wide]>,
) -> Result<Vec<T>> {
    let windows = p.windows()?;
    add_up(p, p.input_rows(), |first, out| match places {
        Some(places) => chosen_rows::<T>(&windows, g, p.channels, places, first, out),
        None => spread_rows::<T>(&windows, g, p.channels, shares, first, out),
    })
}

/// Each window of integers folded from `start` on by `join`; `finish` gets the result and how many positions the window sees.
pub(crate) fn fold_whole<T: Whole, A: Copy + Send + Sync, O: Copy + Send>(
    p: &Pool,
    x: &[T],
    start: A,
    join: impl Fn(A, T) -> A + Sync,
    finish: impl Fn(A, usize) -> O + Sync,
) -> Result<Vec<O>> {
    let (sources, n) = (p.sources()?, p.channels);
    add_up(p, p.output_rows(), |first, out: &mut Unfilled<O>| {
        let mut results = memory::full(n, start)?;
        sources.for_rows(first, out.len() / n, |i, seen| {
            results.fill(start);
            for &(row, _) in seen {
                for (r, &v) in results.iter_mut().zip(&x[row * n..][..n]) {
                    *r = join(*r, v);
                }
            }
            for (o, &r) in out[i * n..][..n].iter_mut().zip(&results) {
                o.write(finish(r, seen.len()));
            }
        });
        Ok(())
    })
}

/// `rows` rows that `f(first, part)` writes, many at a time.
fn add_up<T: Send, P: Piece>(p: &Pool, rows: usize, f: impl Fn(usize, &mut Unfilled<T>) -> P + Sync) -> Result<Vec<T>> {
    if rows * p.channels == 0 {
        return Ok(Vec::new());
    }
    let step = p.rows_per_task() * p.channels;
    // SAFETY: parts are whole rows, and `sum_rows`, `chosen_rows`, `spread_rows` and `fold_whole` write all of each.
    unsafe { build(rows * p.channels, step, |start, out| f(start / p.channels, out)) }
}

simd! {
fn sum_rows<T: Float>(
    sources: &Relation,
    x: &[T],
    n: usize,
    shares: Option<&[T::Wide]>,
    first: usize,
    out: &mut Unfilled<T>,
) -> Result<()> {
    let mut sums: Vec<T::Wide> = memory::zeros(n)?;
    sources.for_rows(first, out.len() / n, |i, seen| {
        sums.fill(T::Wide::default());
        for &(row, _) in seen {
            for (s, &v) in sums.iter_mut().zip(&x[row * n..][..n]) {
                *s += v.up();
            }
        }
        let share = shares.map_or(T::Wide::of(1.0), |s| s[(first + i) % s.len()]);
        for (o, &s) in out[i * n..][..n].iter_mut().zip(&sums) {
            o.write(T::down(s * share));
        }
    });
    Ok(())
}
}

simd! {
fn chosen_rows<T: Float>(
    windows: &Relation,
    g: &[T],
    n: usize,
    places: &[u32],
    first: usize,
    out: &mut Unfilled<T>,
) -> Result<()> {
    let mut sums: Vec<T::Wide> = memory::zeros(n)?;
    windows.for_rows(first, out.len() / n, |i, seen| {
        let out = &mut out[i * n..][..n];
        // Windows that do not overlap.
        if let [(row, place)] = *seen.as_slice() {
            for ((o, &v), &at) in out.iter_mut().zip(&g[row * n..][..n]).zip(&places[row * n..][..n]) {
                o.write(if at == place { v } else { T::default() });
            }
            return;
        }
        sums.fill(T::Wide::default());
        for &(row, place) in seen {
            for ((s, &v), &at) in sums.iter_mut().zip(&g[row * n..][..n]).zip(&places[row * n..][..n]) {
                *s += if at == place { v.up() } else { T::Wide::default() };
            }
        }
        for (o, &s) in out.iter_mut().zip(&sums) {
            o.write(T::down(s));
        }
    });
    Ok(())
}
}

simd! {
fn spread_rows<T: Float>(
    windows: &Relation,
    g: &[T],
    n: usize,
    shares: Option<&[T::Wide]>,
    first: usize,
    out: &mut Unfilled<T>,
) -> Result<()> {
    let mut sums: Vec<T::Wide> = memory::zeros(n)?;
    windows.for_rows(first, out.len() / n, |i, seen| {
        sums.fill(T::Wide::default());
        for &(row, _) in seen {
            let share = shares.map_or(T::Wide::of(1.0), |s| s[row % s.len()]);
            for (s, &v) in sums.iter_mut().zip(&g[row * n..][..n]) {
                *s += v.up() * share;
            }
        }
        for (o, &s) in out[i * n..][..n].iter_mut().zip(&sums) {
            o.write(T::down(s));
        }
    });
    Ok(())
}
}
