//! Sorting by bucket.
use crate::{kernels::sort::argsort, memory, threads, Result};

/// For each row of `length` buckets the positions sorted by bucket, equal ones in their order: what sorting by the whole number
/// `bucket · length + position` gives, in 64 bits.
pub(crate) fn by_bucket(buckets: &[i32], length: usize) -> Result<Vec<u32>> {
    let mut order: Vec<u32> = memory::zeros(buckets.len())?;
    threads::for_chunks(&mut order, length, |start, out| sort(&buckets[start..start + out.len()], out))?;
    Ok(order)
}

/// The same of `rounds` rows for each row of `segments`: the positions of a segment stand together, sorted by bucket, so that where they
/// stand does not hang on the buckets of others.
pub(crate) fn by_segment_and_bucket(
    buckets: &[i32],
    segments: &[i32],
    (rounds, length): (usize, usize),
) -> Result<Vec<u32>> {
    let mut order: Vec<u32> = memory::zeros(buckets.len())?;
    threads::for_chunks(&mut order, length, |start, out| {
        let (buckets, row) = (&buckets[start..], start / length / rounds);
        let segments = &segments[row * length..][..length];
        out.iter_mut().enumerate().for_each(|(at, out)| *out = at as u32);
        out.sort_unstable_by_key(|&at| (segments[at as usize], buckets[at as usize], at));
        Ok(())
    })?;
    Ok(order)
}

fn sort(buckets: &[i32], out: &mut [u32]) -> Result<()> {
    let (Some(&least), Some(&most)) = (buckets.iter().min(), buckets.iter().max()) else { return Ok(()) };
    let range = (i64::from(most) - i64::from(least)) as usize + 1;
    if range > 4 * buckets.len() + 1024 {
        // Buckets too far apart to be counted.
        let keys = memory::collect(buckets.iter().map(|&b| b.abs_diff(least)))?;
        out.copy_from_slice(&argsort(&keys)?);
        return Ok(());
    }
    let mut next: Vec<u32> = memory::zeros(range)?;
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
    Ok(())
}

#[cfg(test)]
mod tests {
    fn by_bucket(buckets: &[i32], length: usize) -> Vec<u32> {
        super::by_bucket(buckets, length).expect("memory for a few numbers")
    }

    #[test]
    fn both_ways_of_sorting_are_stable() {
        assert_eq!(by_bucket(&[3, 1, 3, 0, 1, 1, 0, 7], 4), [3, 1, 0, 2, 2, 0, 1, 3]);
        assert_eq!(by_bucket(&[i32::MAX, i32::MIN, 0, i32::MIN, i32::MAX], 5), [1, 3, 2, 0, 4]);
        assert!(by_bucket(&[], 0).is_empty());
    }

    #[test]
    fn segments_stand_together() {
        let (buckets, segments) = ([3, 1, 3, 0, 1, 1, 0, 7], [5, 2, 5, 2]);
        let order = super::by_segment_and_bucket(&buckets, &segments, (2, 4)).expect("memory for a few numbers");
        assert_eq!(order, [3, 1, 0, 2, 1, 3, 2, 0]);
    }
}
