//! The layers of `trax.layers`: one file or folder per module, named as there.
//!
//! A layer is pure over (inputs, weights, state, key); see [`layer`]. [`registry`] lists all of them by name.

pub mod framework;

use framework::{agreement, custom_gradient, drawing, leaf_layer, peers, remat, stack};
use options::windows;

pub mod acceleration;
pub mod activation_fns;
pub mod arity;
pub mod assert_shape;
pub mod attention;
pub mod base;
pub mod combinators;
pub mod convolution;
pub mod core;
pub mod deconvolution;
pub mod files;
pub mod initializers;
pub mod metrics;
pub mod models;
pub mod normalization;
pub mod options;
pub mod pooling;
pub mod registry;
pub mod research;
pub mod reversible;
pub mod rnn;
pub mod testing;

pub use files::{elements, npy};
pub use framework::account::{charging, Account};
pub use framework::apply::pure_fn;
pub use framework::call::{call, call_beside, NewState};
pub use framework::composite::{composite, Composite, Parts};
pub(crate) use framework::context::Reversal;
pub use framework::context::{Cx, InitCx, Loader, Local, View};
pub use framework::depth::{depth, DEEPEST};
pub use framework::error::{Error, Phase, Result};
pub use framework::filled::Filled;
pub use framework::fits::check_fits;
pub use framework::held::{Read, Store};
pub use framework::host::{HostFn, HostFnRef, HostValue, LayerKind, Record};
pub use framework::host_run::{Fields, HostRun};
pub use framework::id::LayerId;
pub use framework::initialize::{
    ensure_state, init, init_signature, init_state, init_without_inputs, list, shares_weights, state_to_start_from,
    without_unmade,
};
pub use framework::instances::{changed, for_each_instance, held, hold};
pub use framework::layer;
pub use framework::layer::{Arity, Base, Layer, LayerNest, LayerRef, Nesting, Rebuild};
pub use framework::leaf::{Abilities, BackwardCall, Call, Gradients, Leaf, Output, ReverseCall, Sequence, Together};
pub use framework::leaf_layer::leaf;
pub use framework::listing::Listed;
pub use framework::mode::Mode;
pub use framework::nesting::{load_state, load_weights, shown, view_state, view_weights};
pub use framework::observe::{observer, observing, set_observer, Observer};
pub use framework::placing::move_to;
pub use framework::precision::computing_in;
pub use framework::print::print;
pub use framework::quantize::{is_quantized, quantize, refuse_quantized, requantized};
pub use framework::rebuild::{deep_copy, with_mode, with_replaced};
pub use framework::remat::Recompute;
pub use framework::shared::{from_shared, refuse_shared, share};
pub use framework::signature::{signature, stack_signature};
pub use framework::slot::Slot;
pub use framework::spec::TensorSpec;
pub use framework::stack::{deep, with_room};
pub use framework::streams::{Stream, Streams};
pub use framework::traits::{ReplicaState, StateForm, Traits};
pub use framework::tree::Tree;
pub use initializers::Initializer;
pub use options::domains::{
    Axis, AxisList, Count, Dim, Fraction, NotNegative, Num, Positive, Rate, Shape, Whole, Wholes,
};
pub use options::values::{key_of, Factory, FnArg, KeyArg, LayerArg, LayerList, SignaturePair, TensorArg, TensorNest};
pub use options::windows::{PaddingArg, Sizes};
pub use tallow_tensor::ErrorKind;
