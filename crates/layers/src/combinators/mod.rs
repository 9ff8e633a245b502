//! Layers that compose layers, and layers that rearrange the stack between them.
//!
//! Data flows over a stack: each layer of a [`serial()`] takes its inputs off the top and puts its outputs there.
mod around;
mod batch_leading_axes;
mod bidirectional;
mod branch;
mod cache;
mod chunk;
mod cond;
mod functions;
mod in_predict;
mod merge;
mod parallel;
mod scan;
mod select;
mod serial;
mod side_outputs;

pub use crate::framework::pure::pure_layer as pure;
pub use batch_leading_axes::{batch_leading_axes, BatchLeadingAxesOptions};
pub use bidirectional::{bidirectional, BidirectionalOptions};
pub use branch::{branch, branch_named, residual, BranchOptions, ResidualOptions};
pub use cache::{cache, cache_in_predict, CacheOptions};
pub use chunk::{chunk, ChunkOptions};
pub use cond::{cond, CondOptions};
pub use functions::{inputs_from_stack, outputs_onto_stack, FUNCTIONS};
pub use in_predict::{in_predict, InPredict};
pub use merge::{add, concatenate, gate, multiply, split, subtract_top, ConcatenateOptions, SplitOptions};
pub use parallel::{parallel, parallel_named, ParallelOptions};
pub use scan::{scan, ScanOptions};
pub use select::{drop_top, dup, flatten_list, select, select_named, swap, SelectOptions};
pub(crate) use serial::{flat, serial_printing, Stack};
pub use serial::{serial, serial_named, SerialOptions};
pub use side_outputs::{serial_with_side_outputs, SideOutputs, SideOutputsOptions};

use crate::{entry, options::Entry, LayerNest, LayerRef};

/// The layers of this module.
pub static LAYERS: &[Entry<LayerRef>] = &[
    entry!("combinators", SerialOptions, serial::build),
    entry!("combinators", ParallelOptions, parallel::build),
    entry!("combinators", ConcatenateOptions, |o: ConcatenateOptions| Ok(concatenate(o.n_items.0, o.axis.0))),
    entry!("combinators", SplitOptions, |o: SplitOptions| Ok(split(o.n_items.0, o.axis.0))),
    entry!("combinators", ScanOptions, scan),
    entry!("combinators", CondOptions, cond),
    entry!("combinators", ChunkOptions, |o: ChunkOptions| chunk(o.layer.0, o.chunk_size.0, o.pass_unchunkable)),
    entry!("combinators", BranchOptions, |o: BranchOptions| branch_named(&o.name, o.layers.0)),
    entry!("combinators", ResidualOptions, |o: ResidualOptions| residual(o.layers.0, o.shortcut)),
    entry!("combinators", SelectOptions, select::build),
    entry!("combinators", select::DropOptions, |_| Ok(drop_top())),
    entry!("combinators", select::DupOptions, |_| Ok(dup())),
    entry!("combinators", select::SwapOptions, |_| Ok(swap())),
    entry!("combinators", SideOutputsOptions, side_outputs::build),
    entry!("combinators", select::FlattenListOptions, |_| Ok(flatten_list())),
    entry!("combinators", merge::AddOptions, |_| Ok(add())),
    entry!("combinators", merge::SubtractTopOptions, |_| Ok(subtract_top())),
    entry!("combinators", merge::MultiplyOptions, |_| Ok(multiply())),
    entry!("combinators", merge::GateOptions, |_| Ok(gate())),
    entry!("combinators", CacheOptions, |o: CacheOptions| Ok(match o.mode {
        Some(mode) => cache_in_predict(o.layer.0, mode),
        None => cache(o.layer.0),
    })),
    entry!("combinators", in_predict::WholeSequencesOptions, in_predict::whole_sequences),
    entry!("combinators", BatchLeadingAxesOptions, |o: BatchLeadingAxesOptions| {
        batch_leading_axes(o.layer.0, o.n_last_axes_to_keep.0)
    }),
    entry!("combinators", BidirectionalOptions, |o: BidirectionalOptions| {
        let merge = match o.merge_layer {
            LayerNest::Null => None,
            nest => Some(serial::flat("Bidirectional", vec![nest])?),
        };
        bidirectional(&o.forward_layer.0, o.axis.0, merge)
    }),
];
