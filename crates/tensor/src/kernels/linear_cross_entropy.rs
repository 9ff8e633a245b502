//! Cross-entropy of the outputs of a linear layer, of which only a group of rows exists at a time.
//!
//! Rows are worked on in groups, and categories in tiles. For a group, each tile of logits is made and replaced by exponentials below
//! the tile's own largest logit at once, so each exponential is computed one time only. When all tiles are there, so are the losses,
//! and the slopes of the group follow by a factor for each row and tile; products with them give its part of the gradients. Groups
//! and tiles are cut by shape alone, and what several tiles add up to is summed in their order.
use super::{
    cross_entropy::Smoothing,
    gemm::{multiply, Mat, Multiply},
    real::{max, simd, sum, Float, Real},
};
use crate::{memory, threads, Result};

/// A linear layer, its inputs and what is wanted of each of its outputs.
#[derive(Clone, Copy)]
pub(crate) struct Problem<'a, T> {
    /// Rows of inputs, without gaps.
    pub(crate) x: &'a [T],
    /// Values in a row of inputs.
    pub(crate) depth: usize,
    /// Weights, `depth` by `categories`.
    pub(crate) w: &'a [T],
    /// How far rows and columns of the weights lie apart.
    pub(crate) w_strides: [usize; 2],
    /// One for each category.
    pub(crate) bias: Option<&'a [T]>,
    /// At least one.
    pub(crate) categories: usize,
    /// A category for each row; [`super::cross_entropy::NO_CATEGORY`] for none.
    pub(crate) targets: &'a [usize],
    /// What each row's loss counts; those of 0 count nothing, whatever they are.
    pub(crate) scale: &'a [T],
    pub(crate) smoothing: Smoothing,
    /// What is taken off each loss, which then is not below 0; none if it is 0.
    pub(crate) cutoff: f64,
}

/// Which gradients are wanted.
#[derive(Clone, Copy, Default)]
pub(crate) struct Wanted {
    pub(crate) x: bool,
    pub(crate) w: bool,
    pub(crate) bias: bool,
}

/// The sum of scaled losses, the losses, and the gradients of that sum.
pub(crate) struct Found<T> {
    pub(crate) total: T,
    pub(crate) losses: Vec<T>,
    pub(crate) dx: Option<Vec<T>>,
    /// Laid out as the weights are: by columns if these are, else by rows.
    pub(crate) dw: Option<Vec<T>>,
    pub(crate) db: Option<Vec<T>>,
}

/// Elements of the scratch buffer of logits, unless there are more categories in a few rows.
const SCRATCH: usize = 1 << 23;
/// Elements of partial sums of a group's gradient.
const PARTIALS: usize = 1 << 22;
/// Rows of which the product of one tile is still a fast one.
const LEAST_ROWS: usize = 16;
/// The most rows of a group, whose parts of a tile stay in a cache.
const MOST_ROWS: usize = 1024;
/// Parts that the gradients of a group are computed in.
const TASKS: usize = 32;

/// How the work is cut, by shape alone.
struct Cut {
    /// Rows of a group.
    group: usize,
    /// Categories of a tile.
    width: usize,
    /// Tiles of a group.
    tiles: usize,
    /// Tiles of a task of the second half.
    span: usize,
    tasks: usize,
}

impl Cut {
    fn new(rows: usize, depth: usize, categories: usize) -> Self {
        let width = categories.div_ceil(16).next_multiple_of(32).clamp(64, 1024);
        let tiles = categories.div_ceil(width);
        let span = tiles.div_ceil(TASKS);
        let tasks = tiles.div_ceil(span);
        let most = (SCRATCH / (tiles * width)).min(PARTIALS / (tasks * depth.max(1))).clamp(LEAST_ROWS, MOST_ROWS);
        // Groups of about the same size.
        let group = rows.div_ceil(rows.div_ceil(most)).next_multiple_of(LEAST_ROWS).min(rows);
        Self { group, width, tiles, span, tasks }
    }
}

impl<'a, T: Multiply> Problem<'a, T> {
    /// The weights of the categories from `first` on.
    fn tile(&self, first: usize, cols: usize) -> Mat<'a, T> {
        Mat::new(&self.w[(first * self.w_strides[1]).min(self.w.len())..], [self.depth, cols], self.w_strides)
    }
    /// Whether the weights lie column by column, each without gaps.
    pub(crate) fn by_columns(&self) -> bool {
        self.w_strides == [1, self.depth] && self.depth > 1
    }
}

/// The losses of all rows and the gradients wanted.
///
/// # Errors
/// `OutOfMemory`; `Aborted` when the work is cancelled meanwhile.
pub(crate) fn run<T: Float<Wide = T> + Real + Multiply>(p: &Problem<'_, T>, wanted: Wanted) -> Result<Found<T>> {
    let (rows, depth, categories) = (p.targets.len(), p.depth, p.categories);
    let cut = Cut::new(rows, depth, categories);
    let zeros = |is_wanted: bool, shape: &[usize]| is_wanted.then(|| memory::zeros::<T>(shape)).transpose();
    let mut losses: Vec<T> = memory::zeros(rows)?;
    let mut dx = zeros(wanted.x, &[rows, depth])?;
    let mut dw = zeros(wanted.w, &[depth, categories])?;
    let mut db = zeros(wanted.bias, &[categories])?;
    let mut scratch: Vec<T> = memory::zeros(&[cut.tiles, cut.group, cut.width])?;
    let mut seen: Vec<T> = memory::zeros(&[cut.tiles, cut.group, SEEN])?;
    let mut slopes: Vec<Slope<T>> = memory::room(cut.group)?;
    let mut partials = zeros(wanted.x, &[cut.tasks, cut.group, depth])?;
    for first in (0..rows).step_by(cut.group.max(1)) {
        let n = cut.group.min(rows - first);
        let group = Problem {
            x: &p.x[first * depth..][..n * depth],
            targets: &p.targets[first..first + n],
            scale: &p.scale[first..first + n],
            ..*p
        };
        exponentials(&group, &cut, &mut scratch, &mut seen)?;
        slopes.clear();
        for (row, loss) in losses[first..first + n].iter_mut().enumerate() {
            let (value, slope) = loss_and_slope(&group, &cut, &seen, row);
            *loss = value;
            slopes.push(slope);
        }
        if wanted.x || wanted.w || wanted.bias {
            let into = Into { dw: dw.as_deref_mut(), db: db.as_deref_mut(), partials: partials.as_deref_mut() };
            gradients(&group, &cut, &mut scratch, &seen, &slopes, into)?;
        }
        if let (Some(dx), Some(partials)) = (&mut dx, &partials) {
            let work = cut.tasks * n * depth;
            let chunk = (threads::GRAIN / cut.tasks).max(1);
            threads::for_chunks_of(&mut dx[first * depth..][..n * depth], chunk, work, |at, dx| {
                for partial in partials.chunks_exact(cut.group * depth) {
                    dx.iter_mut().zip(&partial[at..]).for_each(|(dx, &part)| *dx += part);
                }
            })?;
        }
    }
    let terms = losses.iter().zip(p.scale).map(|(&loss, &s)| if s == T::default() { s } else { s * loss });
    let terms = memory::collect(terms)?;
    Ok(Found { total: sum(&terms, |v| v), losses, dx, dw, db })
}

/// What is noted of a row of a tile: its largest logit, the sum of its exponentials, the sum of its logits, the target's logit.
const SEEN: usize = 4;

/// Makes the logits of a group, tile by tile, and puts exponentials in their place.
fn exponentials<T: Float<Wide = T> + Real + Multiply>(
    p: &Problem<'_, T>,
    cut: &Cut,
    scratch: &mut [T],
    seen: &mut [T],
) -> Result<()> {
    let n = p.targets.len();
    let tiles = scratch.chunks_exact_mut(cut.group * cut.width).zip(seen.chunks_exact_mut(cut.group * SEEN));
    let work = n.saturating_mul(p.categories).saturating_mul(p.depth.max(1));
    threads::for_tasks(tiles.enumerate().collect(), work, |(t, (tile, seen))| {
        let (first, tile) = (t * cut.width, &mut tile[..n * cut.width]);
        let cols = cut.width.min(p.categories - first);
        if let Some(bias) = p.bias {
            tile.chunks_exact_mut(cut.width).for_each(|row| row[..cols].copy_from_slice(&bias[first..][..cols]));
        }
        let x = Mat::dense(p.x, n, p.depth);
        multiply(tile, cut.width, x, p.tile(first, cols), T::ONE, p.bias.is_some());
        exponentials_of_tile::<T>(tile, [cut.width, cols], p.targets, first, p.smoothing.0 > 0.0, seen);
    })
}

simd! {
fn exponentials_of_tile<T: Float<Wide = T> + Real>(
    tile: &mut [T],
    [width, cols]: [usize; 2],
    targets: &[usize],
    first: usize,
    is_smooth: bool,
    seen: &mut [T],
) {
    for ((row, &target), seen) in tile.chunks_exact_mut(width).zip(targets).zip(seen.chunks_exact_mut(SEEN)) {
        let row = &mut row[..cols];
        let top = max(&*row);
        seen[0] = top;
        seen[2] = if is_smooth { sum(&*row, |v| v) } else { T::default() };
        seen[3] = target.checked_sub(first).and_then(|at| row.get(at)).copied().unwrap_or_default();
        // A tile of logits of −∞ has exponentials of 0.
        let below = if top == T::LOWEST { T::default() } else { top };
        for v in row.iter_mut() {
            *v = (*v - below).exp_negative();
        }
        seen[1] = sum(&*row, |v| v);
    }
}
}

/// What turns the exponentials of a row into slopes of the total.
#[derive(Clone, Copy)]
struct Slope<T> {
    /// The logarithm of the sum of the exponentials of logits, in two parts.
    top: T,
    log_sum: T,
    /// What a change of the loss changes in the total; 0 where the loss does not count.
    of_loss: T,
}

fn loss_and_slope<T: Float<Wide = T> + Real + Multiply>(
    p: &Problem<'_, T>,
    cut: &Cut,
    seen: &[T],
    row: usize,
) -> (T, Slope<T>) {
    let Smoothing(s) = p.smoothing;
    let of_tile = |t: usize| &seen[(t * cut.group + row) * SEEN..][..SEEN];
    let top = (0..cut.tiles).fold(T::LOWEST, |top, t| if of_tile(t)[0] > top { of_tile(t)[0] } else { top });
    let mut total = T::default();
    for seen in (0..cut.tiles).map(of_tile) {
        total += seen[1] * share(seen[0], top);
    }
    // As in a softmax of all at once, a row of −∞ is NaN.
    let log_sum = if top == T::LOWEST { T::of(f64::NAN) } else { total.ln() };
    let target = p.targets[row];
    let mut loss = T::default();
    if target < p.categories && s < 1.0 {
        loss += T::of(1.0 - s) * (log_sum - (of_tile(target / cut.width)[3] - top));
    }
    if s > 0.0 {
        let all = (0..cut.tiles).fold(T::default(), |all, t| all + of_tile(t)[2]);
        loss += T::of(s) * (log_sum - (all / T::of(p.categories as f64) - top));
    }
    if log_sum.wide().is_nan() {
        loss = log_sum;
    }
    let mut of_loss = p.scale[row];
    if p.cutoff > 0.0 {
        let above = loss - T::of(p.cutoff);
        // At the edge the slope is half of both sides', as that of a maximum.
        of_loss *= T::of(if above > T::default() { 1.0 } else { 0.5 * f64::from(above == T::default()) });
        loss = if above < T::default() { T::default() } else { above };
    }
    if p.scale[row] == T::default() {
        of_loss = T::default();
        loss = if loss.wide().is_finite() { loss } else { T::default() };
    } else if loss.wide().is_nan() {
        of_loss = loss;
    }
    (loss, Slope { top, log_sum, of_loss })
}

/// What exponentials below `tile_top` are of those below `top`.
fn share<T: Real>(tile_top: T, top: T) -> T {
    if tile_top == T::LOWEST {
        // They are 0 already, or NaN.
        T::of(1.0)
    } else {
        (tile_top - top).exp_negative()
    }
}

/// Where gradients are added to, or, for the inputs, partial sums of them written.
struct Into<'a, T> {
    dw: Option<&'a mut [T]>,
    db: Option<&'a mut [T]>,
    partials: Option<&'a mut [T]>,
}

/// The part of the weights' gradient that a task adds to.
enum Columns<'a, T> {
    /// A piece of each row.
    Pieces(Vec<&'a mut [T]>),
    /// Whole columns, one after another.
    Whole(&'a mut [T]),
}

/// Tiles of a group, and the parts of gradients that follow from them.
struct Task<'a, T> {
    tiles: &'a mut [T],
    dw: Option<Columns<'a, T>>,
    db: Option<&'a mut [T]>,
    partial: Option<&'a mut [T]>,
}

/// Makes slopes of the exponentials of a group, and adds what follows from them to the gradients.
fn gradients<T: Float<Wide = T> + Real + Multiply>(
    p: &Problem<'_, T>,
    cut: &Cut,
    scratch: &mut [T],
    seen: &[T],
    slopes: &[Slope<T>],
    into: Into<'_, T>,
) -> Result<()> {
    let n = p.targets.len();
    let wide = cut.span * cut.width;
    let tiles = scratch.chunks_mut(cut.span * cut.group * cut.width);
    let mut tasks: Vec<Task<'_, T>> = tiles.map(|tiles| Task { tiles, dw: None, db: None, partial: None }).collect();
    match into.dw {
        Some(dw) if p.by_columns() => {
            let parts = tasks.iter_mut().zip(dw.chunks_mut(wide * p.depth));
            parts.for_each(|(task, part)| task.dw = Some(Columns::Whole(part)));
        }
        Some(dw) => {
            let mut pieces: Vec<Vec<&mut [T]>> = tasks.iter().map(|_| memory::room(p.depth)).collect::<Result<_>>()?;
            for row in dw.chunks_exact_mut(p.categories) {
                pieces.iter_mut().zip(row.chunks_mut(wide)).for_each(|(pieces, piece)| pieces.push(piece));
            }
            tasks.iter_mut().zip(pieces).for_each(|(task, pieces)| task.dw = Some(Columns::Pieces(pieces)));
        }
        None => {}
    }
    if let Some(db) = into.db {
        tasks.iter_mut().zip(db.chunks_mut(wide)).for_each(|(task, part)| task.db = Some(part));
    }
    if let Some(partials) = into.partials {
        let parts = partials.chunks_exact_mut(cut.group * p.depth.max(1));
        tasks.iter_mut().zip(parts).for_each(|(task, part)| task.partial = Some(part));
    }
    let x = Mat::dense(p.x, n, p.depth);
    let work = n.saturating_mul(p.categories).saturating_mul(p.depth.max(1));
    threads::for_tasks(tasks.into_iter().enumerate().collect(), work, |(i, mut task)| -> Result<()> {
        let mut product: Vec<T> = match task.dw {
            Some(Columns::Pieces(_)) => memory::zeros(&[p.depth, cut.width])?,
            _ => Vec::new(),
        };
        for (k, tile) in task.tiles.chunks_exact_mut(cut.group * cut.width).enumerate() {
            let (t, tile) = (i * cut.span + k, &mut tile[..n * cut.width]);
            let first = t * cut.width;
            let cols = cut.width.min(p.categories - first);
            let seen = &seen[t * cut.group * SEEN..][..n * SEEN];
            slopes_of_tile::<T>(
                tile,
                [cut.width, cols],
                p.targets,
                first,
                seen,
                slopes,
                p.smoothing.0 / p.categories as f64,
                p.smoothing,
            );
            let slopes = Mat::new(&*tile, [n, cols], [cut.width, 1]);
            if let Some(partial) = &mut task.partial {
                multiply(&mut partial[..n * p.depth], p.depth, slopes, p.tile(first, cols).t(), T::ONE, k > 0);
            }
            match &mut task.dw {
                Some(Columns::Whole(dw)) => {
                    let dw = &mut dw[k * cut.width * p.depth..][..cols * p.depth];
                    multiply(dw, p.depth, slopes.t(), x, T::ONE, true);
                }
                Some(Columns::Pieces(pieces)) => {
                    multiply(&mut product, cut.width, x.t(), slopes, T::ONE, false);
                    for (piece, row) in pieces.iter_mut().zip(product.chunks_exact(cut.width)) {
                        let piece = &mut piece[k * cut.width..][..cols];
                        piece.iter_mut().zip(row).for_each(|(dw, &v)| *dw += v);
                    }
                }
                None => {}
            }
            if let Some(db) = &mut task.db {
                let db = &mut db[k * cut.width..][..cols];
                for row in tile.chunks_exact(cut.width) {
                    db.iter_mut().zip(row).for_each(|(db, &v)| *db += v);
                }
            }
        }
        Ok(())
    })
}

simd! {
#[allow(clippy::too_many_arguments)]
fn slopes_of_tile<T: Float<Wide = T> + Real>(
    tile: &mut [T],
    [width, cols]: [usize; 2],
    targets: &[usize],
    first: usize,
    seen: &[T],
    slopes: &[Slope<T>],
    even: f64,
    Smoothing(s): Smoothing,
) {
    let rows = tile.chunks_exact_mut(width).zip(targets).zip(slopes).zip(seen.chunks_exact(SEEN));
    for (((row, &target), slope), seen) in rows {
        let row = &mut row[..cols];
        if slope.of_loss == T::default() {
            row.fill(T::default());
            continue;
        }
        let hot = if target == super::cross_entropy::NO_CATEGORY { 0.0 } else { 1.0 - s };
        let share = if seen[0] == T::LOWEST {
            T::of(1.0)
        } else {
            (seen[0] - slope.top - slope.log_sum).exp()
        };
        let (factor, even) = (slope.of_loss * T::of(hot + s) * share, slope.of_loss * T::of(even));
        for v in row.iter_mut() {
            *v = *v * factor - even;
        }
        if let Some(v) = target.checked_sub(first).and_then(|at| row.get_mut(at)) {
            *v -= slope.of_loss * T::of(hot);
        }
    }
}
}
