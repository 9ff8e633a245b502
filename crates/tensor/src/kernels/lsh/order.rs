//! Sorting by bucket.
use crate::{kernels::sort::argsort, threads};

/// For each row of `length` buckets the positions sorted by bucket, equal ones in their order: what sorting by the whole number
/// `bucket · length + position` gives, in 64 bits.
pub(crate) fn by_bucket(buckets: &[i32], length: usize) -> Vec<u32> {
    let mut order = vec![0u32; buckets.len()];
    threads::for_chunks(&mut order, length, |start, out| sort(&buckets[start..start + out.len()], out));
    order
}

fn sort(buckets: &[i32], out: &mut [u32]) {
    let (Some(&least), Some(&most)) = (buckets.iter().min(), buckets.iter().max()) else { return };
    let range = (i64::from(most) - i64::from(least)) as usize + 1;
    if range > 4 * buckets.len() + 1024 {
        // Buckets too far apart to be counted.
        let keys: Vec<u32> = buckets.iter().map(|&b| b.abs_diff(least)).collect();
        return out.copy_from_slice(&argsort(&keys));
    }
    let mut next = vec![0u32; range];
    for &b in buckets {
        next[b.abs_diff(least) as usize] += 1;
    }
    let mut sum = 0;
    for n in &mut next {
        sum += std::mem::replace(n, sum);
    }
    for (at, &b) in buckets.iter().enumerate() {
        let slot = &mut next[b.abs_diff(least) as usize];
        out[*slot as usize] = at as u32;
        *slot += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::by_bucket;

    #[test]
    fn both_ways_of_sorting_are_stable() {
        assert_eq!(by_bucket(&[3, 1, 3, 0, 1, 1, 0, 7], 4), [3, 1, 0, 2, 2, 0, 1, 3]);
        assert_eq!(by_bucket(&[i32::MAX, i32::MIN, 0, i32::MIN, i32::MAX], 5), [1, 3, 2, 0, 4]);
        assert!(by_bucket(&[], 0).is_empty());
    }
}
