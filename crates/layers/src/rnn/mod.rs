//! Recurrent layers.
//!
//! `LSTM`, `GRU` and `SRU` are compositions, as in Trax: their weights, state and printed form are those of the layers they are made of. The
//! cells know how to run a whole sequence at once ([`crate::framework::leaf::WholeSequence`]), which [`crate::combinators::scan`] makes use of.
mod cell;
mod general_gru;
mod gru;
mod lstm;
mod sru;
mod zero_state;

pub use general_gru::{conv_gru_cell, general_gru_cell, ConvGruOptions, GeneralGruOptions};
pub use gru::{gru, gru_cell, GruCellOptions, GruOptions};
pub use lstm::{lstm, lstm_cell, LstmCellOptions, LstmOptions};
pub use sru::{inner_sru_cell, scan_sru_cell, sru, ScanSruOptions, SruOptions};
pub use zero_state::make_zero_state;

use crate::{entry, options::Entry, LayerRef};

/// The layers of this module.
pub static LAYERS: &[Entry<LayerRef>] = &[
    entry!("rnn", LstmCellOptions, |o| Ok(lstm_cell(o))),
    entry!("rnn", zero_state::ZeroStateOptions, |o: zero_state::ZeroStateOptions| {
        Ok(make_zero_state(o.depth_multiplier.0))
    }),
    entry!("rnn", LstmOptions, lstm),
    entry!("rnn", GruCellOptions, |o| Ok(gru_cell(o))),
    entry!("rnn", GruOptions, gru),
    entry!("rnn", ConvGruOptions, conv_gru_cell),
    entry!("rnn", GeneralGruOptions, general_gru_cell),
    entry!("rnn", sru::InnerSruOptions, |_| Ok(inner_sru_cell())),
    entry!("rnn", ScanSruOptions, scan_sru_cell),
    entry!("rnn", SruOptions, sru::sru),
];
