//! What a step computes in, and how losses are scaled so that small gradients are not lost on the way.
use serde_json::json;
use tallow_layers::{choice, options::OptionType, HostValue, Result};
use tallow_tensor::{DType, Tensor};

choice! {
    /// What layers with matrices of weights compute in. Weights, slots, state and losses are float32 in any case.
    pub enum Policy: "'float32' | 'bfloat16'", "'float32' or 'bfloat16'" {
        /// Everything is computed in the types of weights and inputs.
        Float32 = "float32",
        /// Products with matrices of weights are computed in bfloat16.
        Bfloat16 = "bfloat16",
    }
}

impl Policy {
    /// The type that is computed in, if another than weights have.
    pub(crate) fn compute_dtype(self) -> Option<DType> {
        (self == Policy::Bfloat16).then_some(DType::BF16)
    }
}

/// What the loss is multiplied by before gradients are computed, and gradients are divided by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LossScale {
    /// Always the same.
    Fixed(f64),
    /// As large as gradients allow: halved where they overflow, in a step that is left out, and doubled after many that went well.
    Dynamic,
}

impl OptionType for LossScale {
    const TS: &'static str = "number | 'dynamic'";
    const EXPECTED: &'static str = "a number above 0, or 'dynamic'";
    fn parse(v: &HostValue) -> Option<Self> {
        if v.text() == Some("dynamic") {
            return Some(LossScale::Dynamic);
        }
        v.number().filter(|n| n.is_finite() && *n > 0.0).map(LossScale::Fixed)
    }
    fn show(&self) -> String {
        match self {
            LossScale::Fixed(n) => n.to_string(),
            LossScale::Dynamic => "'dynamic'".into(),
        }
    }
}

/// Where a dynamic scale starts, as in other libraries.
const FIRST: f64 = 32768.0;
/// Steps without overflow after which a dynamic scale is doubled.
const PATIENCE: u32 = 2000;
/// The largest dynamic scale; float32 losses of some size must stay finite.
const MOST: f64 = 16_777_216.0;

/// The scale of the next step.
#[derive(Debug, Clone)]
pub(crate) struct Scale {
    scale: f64,
    is_dynamic: bool,
    /// Steps without overflow since the last change.
    good: u32,
}

impl From<LossScale> for Scale {
    fn from(scale: LossScale) -> Self {
        let (scale, is_dynamic) = match scale {
            LossScale::Fixed(scale) => (scale, false),
            LossScale::Dynamic => (FIRST, true),
        };
        Self { scale, is_dynamic, good: 0 }
    }
}

impl Scale {
    /// What goes back from the loss.
    pub(crate) fn seed(&self, loss: &Tensor) -> Result<Tensor> {
        Ok(Tensor::full(loss.shape(), self.scale, loss.dtype(), loss.device())?)
    }
    /// The gradients of the loss itself.
    pub(crate) fn unscaled(&self, gradients: Vec<Tensor>) -> Result<Vec<Tensor>> {
        if self.scale == 1.0 {
            return Ok(gradients);
        }
        Ok(gradients.iter().map(|g| g.div_scalar(self.scale)).collect::<tallow_tensor::Result<_>>()?)
    }
    /// Notes that gradients overflowed; whether the step is to be left out, and the next one made with a smaller scale.
    pub(crate) fn overflowed(&mut self) -> bool {
        if !self.is_dynamic || self.scale <= 1.0 {
            return false;
        }
        (self.scale, self.good) = (self.scale / 2.0, 0);
        true
    }
    /// As text for a file, if the next step does not begin with what the options say: the scale, and the steps since its last change.
    pub(crate) fn saved(&self) -> Option<String> {
        self.is_dynamic.then(|| json!([self.scale, self.good]).to_string())
    }
    /// What [`Scale::saved`] wrote; `None` for what it does not write.
    pub(crate) fn restored(text: &str) -> Option<Self> {
        let (scale, good): (f64, u32) = serde_json::from_str(text).ok()?;
        ((1.0..=MOST).contains(&scale) && good < PATIENCE).then_some(Self { scale, is_dynamic: true, good })
    }
    /// Whether it follows the gradients.
    pub(crate) fn is_dynamic(&self) -> bool {
        self.is_dynamic
    }
    /// Notes that a step was made.
    pub(crate) fn went_well(&mut self) {
        self.good += 1;
        if self.is_dynamic && self.good >= PATIENCE {
            (self.scale, self.good) = ((self.scale * 2.0).min(MOST), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dynamic_scale_halves_at_overflow_and_doubles_after_many_good_steps() {
        let mut scale = Scale::from(LossScale::Dynamic);
        assert_eq!(scale.scale, FIRST);
        assert!(scale.overflowed());
        assert_eq!(scale.scale, FIRST / 2.0);
        (0..PATIENCE - 1).for_each(|_| scale.went_well());
        assert_eq!(scale.scale, FIRST / 2.0);
        scale.went_well();
        assert_eq!(scale.scale, FIRST);
        while scale.scale > 1.0 {
            assert!(scale.overflowed());
        }
        assert!(!scale.overflowed());
        let mut fixed = Scale::from(LossScale::Fixed(8.0));
        assert!(!fixed.overflowed());
        (0..2 * PATIENCE).for_each(|_| fixed.went_well());
        assert_eq!(fixed.scale, 8.0);
    }

    #[test]
    fn a_dynamic_scale_goes_on_from_its_text() {
        let mut scale = Scale::from(LossScale::Dynamic);
        assert!(scale.overflowed() && scale.overflowed());
        (0..PATIENCE - 1).for_each(|_| scale.went_well());
        let text = scale.saved().expect("it is dynamic");
        let mut again = Scale::restored(&text).expect("it was saved");
        assert_eq!((again.scale, again.good, again.is_dynamic), (FIRST / 4.0, PATIENCE - 1, true));
        again.went_well();
        assert_eq!((again.scale, again.good), (FIRST / 2.0, 0));
        assert_eq!(Scale::from(LossScale::Fixed(8.0)).saved(), None);
        for damaged in ["", "8", "[0.5,1]", "[1e300,1]", "[null,1]", "[8,-1]", "[8,2000]", "[8,1,1]"] {
            assert!(Scale::restored(damaged).is_none(), "{damaged}");
        }
    }

    #[test]
    fn names_are_read_and_shown() {
        for (name, policy) in [("float32", Policy::Float32), ("bfloat16", Policy::Bfloat16)] {
            assert_eq!(Policy::parse(&HostValue::Text(name.into())), Some(policy));
            assert_eq!(policy.show(), format!("'{name}'"));
        }
        assert_eq!(Policy::parse(&HostValue::Text("float16".into())), None);
        assert_eq!(LossScale::parse(&HostValue::Number(0.0)), None);
        assert_eq!(LossScale::parse(&HostValue::Number(1024.0)), Some(LossScale::Fixed(1024.0)));
        assert_eq!(LossScale::parse(&HostValue::Text("dynamic".into())), Some(LossScale::Dynamic));
    }
}
