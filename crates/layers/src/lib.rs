//! The layers of `trax.layers`: one file or folder per module, named as there.
//!
//! A layer is pure over (inputs, weights, state, key); see [`layer`]. [`registry`] lists all of them by name.
mod account;
mod apply;
mod custom_gradient;
mod domains;
mod error;
mod fits;
mod host;
mod host_layer;
mod initialize;
mod instances;
mod leaf;
mod leaf_layer;
mod nesting;
mod peers;
mod rebuild;
mod remat;
mod spec;
mod stack;
mod tree;
mod windows;

pub mod acceleration;
pub mod activation_fns;
pub mod assert_shape;
pub mod attention;
pub mod base;
pub mod build;
pub mod combinators;
pub mod convolution;
pub mod core;
pub mod deconvolution;
pub mod elements;
pub mod files;
pub mod initializers;
pub mod layer;
pub mod metrics;
pub mod normalization;
pub mod npy;
pub mod options;
pub mod pooling;
pub mod registry;
pub mod research;
pub mod reversible;
pub mod rnn;
pub mod sharding;

pub use account::{charging, Account};
pub use apply::{pure_fn, signature, stack_signature, Cx, Store};
pub use domains::{
    Axis, AxisList, Count, Dim, Factory, FnArg, Fraction, KeyArg, LayerArg, LayerList, LayerNest, Mode, NotNegative,
    Num, Positive, Rate, Shape, SignaturePair, TensorArg, TensorNest, Whole, Wholes,
};
pub use error::{Error, Phase, Result};
pub use fits::check_fits;
pub use host::{HostFn, HostFnRef, HostValue};
pub use initialize::{ensure_state, init, init_signature, InitCx};
pub use initializers::Initializer;
pub use instances::{changed, for_each_instance, held, hold};
pub use layer::{print, Arity, Base, Layer, LayerId, LayerRef, ReplicaState, StateForm};
pub use leaf::{BackwardCall, Call, Gradients, Leaf, Local, Output, ReverseCall, Sequence};
pub use leaf_layer::leaf;
pub use nesting::{load_state, load_weights, view_state, view_weights, Loader, View};
pub use rebuild::{deep_copy, with_mode, Rebuild};
pub use remat::Recompute;
pub use spec::TensorSpec;
pub use stack::{deep, depth, with_room, DEEPEST};
pub use tree::Tree;
pub use windows::{PaddingArg, Sizes};
