//! The threefry2x32 block function (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011), 20 rounds.
use super::key::Key;
use multiversion::multiversion;

/// Rotations of the rounds; the two groups of four take turns.
const ROTATIONS: [[u32; 4]; 2] = [[13, 15, 26, 6], [17, 29, 16, 24]];
/// The constant that makes the third word of the key schedule.
const PARITY: u32 = 0x1BD1_1BDA;
/// Blocks computed side by side: enough to fill vector registers of any width, few enough to stay in them.
const LANES: usize = 32;

/// The two words of the block whose counter is `counter`.
pub fn threefry_2x32(key: Key, counter: [u32; 2]) -> [u32; 2] {
    let (mut x0, mut x1) = ([counter[0]], [counter[1]]);
    rounds(key, &mut x0, &mut x1);
    [x0[0], x1[0]]
}

/// All rounds on `N` blocks at once.
#[inline(always)]
fn rounds<const N: usize>(key: Key, x0: &mut [u32; N], x1: &mut [u32; N]) {
    let schedule = [key.0[0], key.0[1], key.0[0] ^ key.0[1] ^ PARITY];
    for i in 0..N {
        x0[i] = x0[i].wrapping_add(schedule[0]);
        x1[i] = x1[i].wrapping_add(schedule[1]);
    }
    for group in 0..5 {
        for r in ROTATIONS[group % 2] {
            for i in 0..N {
                x0[i] = x0[i].wrapping_add(x1[i]);
                x1[i] = x1[i].rotate_left(r) ^ x0[i];
            }
        }
        let (a, b) = (schedule[(group + 1) % 3], schedule[(group + 2) % 3].wrapping_add(group as u32 + 1));
        for i in 0..N {
            x0[i] = x0[i].wrapping_add(a);
            x1[i] = x1[i].wrapping_add(b);
        }
    }
}

/// The blocks of counters `(first + i, second + i)`: their first words into `low`, their second words into `high`.
///
/// The slices have the same length; counters wrap.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
pub(super) fn blocks(key: Key, first: u32, second: u32, low: &mut [u32], high: &mut [u32]) {
    let mut at = 0u32;
    for (low, high) in low.chunks_mut(LANES).zip(high.chunks_mut(LANES)) {
        let (mut x0, mut x1) = ([0u32; LANES], [0u32; LANES]);
        for i in 0..LANES {
            x0[i] = first.wrapping_add(at).wrapping_add(i as u32);
            x1[i] = second.wrapping_add(at).wrapping_add(i as u32);
        }
        rounds(key, &mut x0, &mut x1);
        if low.len() == LANES {
            low.copy_from_slice(&x0);
            high.copy_from_slice(&x1);
        } else {
            low.copy_from_slice(&x0[..low.len()]);
            high.copy_from_slice(&x1[..high.len()]);
        }
        at = at.wrapping_add(LANES as u32);
    }
}
