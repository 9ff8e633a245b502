//! How these programs take times.
use std::time::Instant;

/// The least milliseconds of one run, of at least five runs within at least 0.7 s.
pub fn least(mut f: impl FnMut()) -> f64 {
    let (mut least, start, mut n) = (f64::MAX, Instant::now(), 0);
    while n < 5 || start.elapsed().as_secs_f64() < 0.7 {
        let t = Instant::now();
        f();
        least = least.min(t.elapsed().as_secs_f64());
        n += 1;
    }
    least * 1e3
}
