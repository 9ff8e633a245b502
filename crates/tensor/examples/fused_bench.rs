//! Times of the fused operations, and the bandwidth they reach beside that of a plain copy in the same run.
#![allow(clippy::print_stdout)]
mod timing;

use std::sync::Mutex;
use tallow_tensor::{
    backward,
    ops::{adam_update, bias_activation, cross_entropy, dropout, embedding, layer_norm, Activation, AdamStep, Clip},
    random::{uniform, Key},
    threads, DType, Result, Tensor,
};
use timing::least;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn values(shape: &[usize]) -> Result<Tensor> {
    uniform(Key([0, shape.len() as u32]), shape, DType::F32, -2.0, 2.0)
}

/// `bytes`: what must be read and written at least.
fn show(name: &str, bytes: usize, copy: f64, milliseconds: f64) {
    let rate = bytes as f64 / milliseconds / 1e6;
    println!("{name:28} {:8.3} ms {rate:7.1} GB/s {:5.0} % of a copy", milliseconds, 100.0 * rate / copy);
}

fn main() -> Result<()> {
    for threads in [1, threads::num_threads()] {
        threads::set_num_threads(threads)?;
        let n = 4 << 20;
        let (source, mut target) = (vec![1f32; n], vec![0f32; n]);
        let copy = (8 * n) as f64
            / least(|| {
                let parts: Vec<_> = target.chunks_mut(1 << 16).map(Mutex::new).collect();
                threads::side_by_side(parts.len(), |i| {
                    let mut part = parts[i].lock().expect("one thread a part");
                    let len = part.len();
                    part.copy_from_slice(&source[i << 16..][..len]);
                });
                std::hint::black_box(&target);
            })
            / 1e6;
        println!("--- {threads} threads, copy {copy:.1} GB/s");

        for (rows, cols) in [(2048, 512), (8192, 512)] {
            let x = values(&[rows, cols])?.variable();
            let (s, b) = (values(&[cols])?.variable(), values(&[cols])?.variable());
            let g = values(&[rows, cols])?;
            let bytes = 4 * rows * cols;
            let run = || layer_norm(&x, Some(&s), Some(&b), 1e-6);
            let detached = x.detach();
            show(
                &format!("layer_norm {rows}x{cols}"),
                2 * bytes,
                copy,
                least(|| {
                    layer_norm(&detached, Some(&s.detach()), Some(&b.detach()), 1e-6).unwrap();
                }),
            );
            show(
                "  with gradients",
                5 * bytes,
                copy,
                least(|| {
                    backward(&[(run().unwrap(), g.clone())], &[x.clone(), s.clone(), b.clone()], false).unwrap();
                }),
            );
        }
        for (rows, cols) in [(2048, 8192), (2048, 32768)] {
            let x = values(&[rows, cols])?.variable();
            let targets = Tensor::from_vec((0..rows as i32).collect(), &[rows])?;
            let g = values(&[rows])?;
            let bytes = 4 * rows * cols;
            let detached = x.detach();
            show(
                &format!("cross_entropy {rows}x{cols}"),
                bytes,
                copy,
                least(|| {
                    cross_entropy(&detached, &targets, 0.0).unwrap();
                }),
            );
            show(
                "  with gradients",
                3 * bytes,
                copy,
                least(|| {
                    let y = cross_entropy(&x, &targets, 0.0).unwrap();
                    backward(&[(y, g.clone())], std::slice::from_ref(&x), false).unwrap();
                }),
            );
            if cols == 8192 {
                show(
                    &format!("softmax {rows}x{cols}"),
                    2 * bytes,
                    copy,
                    least(|| {
                        detached.softmax(-1).unwrap();
                    }),
                );
            }
        }
        let x = values(&[n])?.variable();
        let (detached, g) = (x.detach(), values(&[n])?);
        for a in [Activation::Relu, Activation::Gelu, Activation::FastGelu, Activation::Swish, Activation::Softplus] {
            show(
                &format!("{a:?} 4M"),
                8 * n,
                copy,
                least(|| {
                    bias_activation(&detached, None, a).unwrap();
                }),
            );
            show(
                "  with gradients",
                20 * n,
                copy,
                least(|| {
                    let y = bias_activation(&x, None, a).unwrap();
                    backward(&[(y, g.clone())], std::slice::from_ref(&x), false).unwrap();
                }),
            );
        }
        show(
            "dropout 4M",
            8 * n,
            copy,
            least(|| {
                dropout(&detached, 0.1, Key([0, 1]), &[n]).unwrap();
            }),
        );
        let zeros = || Tensor::zeros(&[1 << 20], DType::F32, x.device());
        let mut state = Vec::new();
        for _ in 0..10 {
            state.push((values(&[1 << 20])?, zeros()?, zeros()?));
        }
        let g = values(&[1 << 20])?;
        let step = AdamStep { lr: 1e-4, b1: 0.9, b2: 0.999, eps: 1e-5, weight_decay_rate: 1e-5, step: 10 };
        show(
            "adam 10x1M",
            (28 * 10) << 20,
            copy,
            least(|| {
                for slot in &mut state {
                    let (p, m, v) = std::mem::replace(slot, (g.clone(), g.clone(), g.clone()));
                    *slot = adam_update(p, &g, m, v, Clip::NONE, &step).unwrap();
                }
            }),
        );
        let table = values(&[32768, 256])?.variable();
        let ids = Tensor::from_vec((0..8192).map(|i| (i * 7919) % 32768).collect::<Vec<i32>>(), &[8192])?;
        let g = values(&[8192, 256])?;
        show(
            "embedding 8192 of 32768x256",
            8 * 8192 * 256,
            copy,
            least(|| {
                embedding(&table.detach(), &ids).unwrap();
            }),
        );
        show(
            "  with gradient",
            4 * 256 * (4 * 8192 + 32768),
            copy,
            least(|| {
                let y = embedding(&table, &ids).unwrap();
                backward(&[(y, g.clone())], std::slice::from_ref(&table), false).unwrap();
            }),
        );
    }
    Ok(())
}
