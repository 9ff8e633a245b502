//! Looking into models: what they are made of, where time and memory go, where a number stops being one, whether gradients are right.
mod gradients;
mod not_finite;
mod place;
mod profile;
mod summary;

pub use gradients::{check_function, check_layer, CheckGradientsOptions, GradientReport, Worst};
pub use not_finite::{first_not_finite, NotFinite};
pub use profile::{Profile, ProfileRow};
pub use summary::{summary, Summary, SummaryRow};
