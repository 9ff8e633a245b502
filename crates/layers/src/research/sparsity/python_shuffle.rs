//! Python's way to shuffle, by which Trax orders features.
use std::num::Wrapping;
use tallow_tensor::{memory, Result};

/// Words of the generator's state.
const N: usize = 624;

/// The Mersenne Twister MT19937 (Matsumoto and Nishimura 1998), seeded by a number below 2³² as Python does.
struct Twister {
    words: [Wrapping<u32>; N],
    next: usize,
}

impl Twister {
    fn new(seed: u32) -> Self {
        let mut words = [Wrapping(19_650_218); N];
        let mixed = |w: Wrapping<u32>| w ^ (w >> 30);
        for i in 1..N {
            words[i] = mixed(words[i - 1]) * Wrapping(1_812_433_253) + Wrapping(i as u32);
        }
        let mut i = 1;
        let mut step = |factor: u32, add: &dyn Fn(usize) -> Wrapping<u32>| {
            words[i] = (words[i] ^ (mixed(words[i - 1]) * Wrapping(factor))) + add(i);
            i += 1;
            if i == N {
                words[0] = words[N - 1];
                i = 1;
            }
        };
        (0..N).for_each(|_| step(1_664_525, &|_| Wrapping(seed)));
        (1..N).for_each(|_| step(1_566_083_941, &|i| -Wrapping(i as u32)));
        words[0] = Wrapping(0x8000_0000);
        Self { words, next: N }
    }
    fn twist(&mut self) {
        for i in 0..N {
            let y = (self.words[i].0 & 0x8000_0000) | (self.words[(i + 1) % N].0 & 0x7fff_ffff);
            let odd = if y & 1 == 1 { 0x9908_b0df } else { 0 };
            self.words[i] = self.words[(i + 397) % N] ^ Wrapping((y >> 1) ^ odd);
        }
        self.next = 0;
    }
    fn bits(&mut self, count: u32) -> u32 {
        if self.next == N {
            self.twist();
        }
        let mut y = self.words[self.next].0;
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^= y >> 18;
        y >> (32 - count)
    }
    /// A number below `n`, which is at least 1.
    fn below(&mut self, n: u32) -> u32 {
        let count = u32::BITS - n.leading_zeros();
        loop {
            let drawn = self.bits(count);
            if drawn < n {
                return drawn;
            }
        }
    }
}

/// `0 .. n` in the order in which `random.Random(seed).shuffle` leaves it.
pub(super) fn shuffled(n: i32, seed: u32) -> Result<Vec<i32>> {
    let mut order: Vec<i32> = memory::collect(0..n)?;
    let mut random = Twister::new(seed);
    for i in (1..order.len()).rev() {
        order.swap(i, random.below(i as u32 + 1) as usize);
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    fn shuffled(n: i32, seed: u32) -> Vec<i32> {
        super::shuffled(n, seed).unwrap()
    }

    #[test]
    fn the_order_is_pythons() {
        assert_eq!(shuffled(10, 42), [7, 3, 2, 8, 5, 6, 9, 4, 0, 1]);
        assert_eq!(shuffled(3, 42), [1, 0, 2]);
        // More draws than the generator has words.
        let long = shuffled(1500, 42);
        assert_eq!((&long[..4], &long[1497..]), (&[1303, 397, 386, 549][..], &[51, 228, 1309][..]));
        assert_eq!((shuffled(0, 42), shuffled(1, 42)), (vec![], vec![0]));
    }
}
