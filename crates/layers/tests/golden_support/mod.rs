//! Reading, evaluating and checking golden cases.
pub mod case;
pub mod check;
pub mod expr;
pub mod lambda;
