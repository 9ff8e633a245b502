//! What gradients are sent as.
use crate::Result;
use half::bf16;
use tallow_layers::choice;
use tallow_tensor::memory;

choice! {
    /// What gradients are sent as, between ranks.
    pub enum Transport: "'float32' | 'bfloat16'", "'float32' or 'bfloat16'" {
        /// As they are.
        Float32 = "float32",
        /// Rounded, in half as many bytes.
        Bfloat16 = "bfloat16",
    }
}

impl Transport {
    /// How many numbers go together; others are to be filled up.
    pub(super) fn together(self) -> usize {
        match self {
            Self::Float32 => 1,
            Self::Bfloat16 => 2,
        }
    }
    /// The numbers as they are sent. Ranks pass on what is in the place of a number, and never compute with it.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(super) fn packed(self, numbers: Vec<f32>) -> Result<Vec<f32>> {
        if self == Self::Float32 {
            return Ok(numbers);
        }
        let mut packed = memory::room(numbers.len() / 2)?;
        let bits = |v: f32| u32::from(bf16::from_f32(v).to_bits());
        packed.extend(numbers.as_chunks().0.iter().map(|&[a, b]| f32::from_bits(bits(a) | bits(b) << 16)));
        Ok(packed)
    }
    /// The numbers that were sent.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(super) fn unpacked(self, packed: Vec<f32>) -> Result<Vec<f32>> {
        if self == Self::Float32 {
            return Ok(packed);
        }
        let mut numbers = memory::room(packed.len() * 2)?;
        let number = |bits: u32| bf16::from_bits(bits as u16).to_f32();
        numbers.extend(packed.iter().map(|v| v.to_bits()).flat_map(|bits| [number(bits), number(bits >> 16)]));
        Ok(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tallow_layers::{options::OptionType, HostValue};

    #[test]
    fn numbers_come_back_as_the_nearest_bfloat16() {
        let numbers = vec![1.0, -2.5, 3.021_592_7, 1e-30, f32::INFINITY, 0.0, f32::NAN, -0.0];
        let plain = Transport::Float32.packed(numbers.clone()).expect("numbers");
        assert_eq!(plain.len(), 8);
        let packed = Transport::Bfloat16.packed(numbers.clone()).expect("numbers");
        assert_eq!(packed.len(), 4);
        let back = Transport::Bfloat16.unpacked(packed).expect("numbers");
        for (a, b) in numbers.iter().zip(&back) {
            assert_eq!(bf16::from_f32(*a).to_f32().to_bits(), b.to_bits(), "{a}");
        }
    }

    #[test]
    fn names_are_read_and_shown() {
        for (name, transport) in [("float32", Transport::Float32), ("bfloat16", Transport::Bfloat16)] {
            assert_eq!(Transport::parse(&HostValue::Text(name.into())), Some(transport));
            assert_eq!(transport.show(), format!("'{name}'"));
        }
        assert_eq!(Transport::parse(&HostValue::Text("float16".into())), None);
    }
}
