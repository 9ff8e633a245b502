//! What a trainer must have in common with those of other ranks before their first step.
use crate::{
    names::named_leaves,
    shards::{checksum, Beginning},
    Error, Result, Trainer,
};
use tallow_layers::{held, options::OptionType, ErrorKind};
use tallow_tensor::DType;

impl Trainer {
    /// What this trainer begins with.
    ///
    /// # Errors
    /// `DTypeMismatch` for float64 weights, whose gradients ranks cannot add up; those of reading tensors.
    pub(crate) fn beginning(&self) -> Result<Beginning> {
        let (weights, state) = held(self.model_with_loss());
        let named = |name: &str, value: String| (name.to_owned(), value);
        let mut all = vec![
            named("the version of tallow", env!("CARGO_PKG_VERSION").to_owned()),
            named("`gradientShards`", self.shards.parts().to_string()),
            named("`gradientTransport`", self.shards.transport().show()),
            named("`nDevices`", self.n_devices.to_string()),
            named("`accumulate`", self.accumulate().to_string()),
            named("`averageDecay`", format!("{:?}", self.average_decay)),
            named("`policy`", format!("{:?}", self.policy)),
            named("`lossScale`", format!("{:?}", self.scale)),
            named("the optimizer", format!("{:?}", self.optimizer())),
            named("`groups`", format!("{:?}", self.groups)),
        ];
        for (kind, store) in [("weights", &weights), ("state", &state)] {
            for (name, t) in named_leaves(kind, self.model_with_loss(), store) {
                if kind == "weights" && t.dtype() == DType::F64 {
                    let what =
                        format!("{name} is float64, and ranks add up gradients in float32; train it on one rank");
                    return Err(Error::new(ErrorKind::DTypeMismatch, what));
                }
                all.push((name, format!("{t:?} with checksum {:08x}", checksum([&t])?)));
            }
        }
        let slots = self.slots()?;
        all.push(named(
            "what the optimizer keeps",
            format!("slots with checksum {:08x}", checksum(slots.iter().flatten())?),
        ));
        Ok(all)
    }
}
