//! Steps of optimizers.
use super::launch::{
    Array::{self, Begun},
    Kernels,
};
use crate::{memory, tensor::Raw, Device, Result};

/// Elements of a block.
const CHUNK: usize = 1024;

impl Kernels<'_> {
    /// New weights and slots by the kernel `name`, of float32 weights, a gradient and slots. `numbers` are as kernels/optimizer.h has them.
    pub(crate) fn updated<const N: usize>(
        self,
        name: &str,
        numbers: [f32; 8],
        p: &Raw,
        g: &Raw,
        slots: &[Raw; N],
    ) -> Result<Option<(Raw, [Raw; N])>> {
        let n = p.elem_count();
        let Ok(most) = u32::try_from(n) else { return Ok(None) };
        let chunks = n.div_ceil(CHUNK);
        let words = |values: Vec<u32>| {
            Ok::<_, crate::Error>(Raw::from_vec(values, chunks, &Device::Cpu)?.to_device(p.device())?)
        };
        let starts = || (0..most).step_by(CHUNK);
        let tensors = words(memory::zeros(chunks)?)?;
        let sizes = words(memory::collect(starts().map(|from| (CHUNK as u32).min(most - from)))?)?;
        let starts = words(memory::collect(starts())?)?;
        let numbers = Raw::new(&numbers, p.device())?;
        let mut arrays: Vec<Array<'_>> =
            vec![(&tensors).into(), (&starts).into(), (&sizes).into(), (&numbers).into(), g.into(), Begun(p)]; // few: as many as parameters
        arrays.extend(slots.iter().map(Begun));
        let Some(out) = self.run(name, &[chunks.into(), 1usize.into(), n.into()], &arrays)? else { return Ok(None) };
        let mut out = out.into_iter().map(|raw| raw.reshape(p.dims()));
        let wrong = || crate::Error::internal(format!("{name} writes weights and {N} slots"));
        let new = out.next().ok_or_else(wrong)??;
        let slots: Vec<Raw> = out.collect::<candle_core::Result<_>>()?;
        Ok(Some((new, slots.try_into().map_err(|_| wrong())?)))
    }
}
