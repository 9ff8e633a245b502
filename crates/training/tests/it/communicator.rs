//! Ranks that are threads: what each operation gives, and how a rank that fails ends the others.
use std::{thread, time::Duration};
use tallow_layers::ErrorKind;
use tallow_tensor::cancel::{running, Token};
use tallow_training::{
    communicator::{threads, Communicator, ThreadRank},
    Result,
};

/// What `f` gives on each of `n` ranks that run at once.
pub(crate) fn on_ranks<T: Send>(n: usize, f: impl Fn(ThreadRank) -> T + Sync) -> Vec<T> {
    thread::scope(|s| {
        let begun: Vec<_> = threads(n).into_iter().map(|rank| s.spawn(|| f(rank))).collect();
        begun.into_iter().map(|rank| rank.join().expect("a rank that ends")).collect()
    })
}

/// Numbers whose sums depend on the order of adding.
fn value(rank: usize, i: usize) -> f32 {
    ((rank * 31 + i * 7) as f32).sin() * 10_f32.powi((rank % 3) as i32 * 3)
}

fn values(rank: usize, len: usize) -> Vec<f32> {
    (0..len).map(|i| value(rank, i)).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

/// Sums in the order of the ranks.
fn sums(n: usize, len: usize) -> Vec<f32> {
    (0..len).map(|i| (1..n).fold(value(0, i), |sum, rank| sum + value(rank, i))).collect()
}

const LENGTHS: [usize; 6] = [0, 1, 2, 5, 13, 1000];

#[test]
fn all_reduce_adds_in_the_order_of_the_ranks() {
    for n in 1..=6 {
        for len in LENGTHS {
            let found = on_ranks(n, |me| {
                let mut v = values(me.rank(), len);
                me.all_reduce(&mut v).expect("a sum");
                bits(&v)
            });
            found.iter().for_each(|v| assert_eq!(*v, bits(&sums(n, len)), "{n} ranks, {len} values"));
        }
    }
}

#[test]
fn parts_of_sums_are_gathered_to_the_whole() {
    for n in 1..=6 {
        for each in LENGTHS {
            let found = on_ranks(n, |me| {
                let mut part = vec![0.0; each];
                me.reduce_scatter(&values(me.rank(), each * n), &mut part).expect("a part");
                let mut all = vec![0.0; each * n];
                me.all_gather(&part, &mut all).expect("all parts");
                (me.rank(), bits(&part), bits(&all), me.bytes_sent())
            });
            let whole = bits(&sums(n, each * n));
            for (rank, part, all, sent) in found {
                assert_eq!(part, whole[rank * each..(rank + 1) * each]);
                assert_eq!(all, whole);
                // 2 (n - 1) / n of the bytes of all values, as few as an exact sum on all ranks can do with.
                assert_eq!(sent, (2 * (n - 1) * each * 4) as u64);
            }
        }
    }
}

#[test]
fn pieces_of_different_lengths_go_to_their_ranks() {
    for n in 1..=6 {
        let counts: Vec<usize> = (0..n).map(|rank| (rank * 2) % 5).collect();
        let found = on_ranks(n, |me| {
            let sent: Vec<f32> = (0..n).flat_map(|to| vec![(me.rank() * 10 + to) as f32; counts[me.rank()]]).collect();
            let mut received = vec![-1.0; counts.iter().sum()];
            me.exchange(&sent, &counts, &mut received).expect("pieces");
            (me.rank(), received)
        });
        for (to, received) in found {
            let expected: Vec<f32> = (0..n).flat_map(|from| vec![(from * 10 + to) as f32; counts[from]]).collect();
            assert_eq!(received, expected);
        }
    }
}

#[test]
fn one_rank_tells_all() {
    for n in 1..=6 {
        let found = on_ranks(n, |me| {
            let mut v = values(me.rank(), 7);
            me.broadcast(&mut v, n - 1).expect("values");
            me.broadcast(&mut [], 0).expect("nothing");
            me.barrier().expect("all are here");
            let own = vec![me.rank() as u8; me.rank()];
            (bits(&v), me.all_gather_bytes(&own).expect("bytes of all"))
        });
        for (v, all) in found {
            assert_eq!(v, bits(&values(n - 1, 7)));
            assert_eq!(all, (0..n).map(|rank| vec![rank as u8; rank]).collect::<Vec<_>>());
        }
    }
}

#[test]
fn lengths_that_do_not_fit_are_refused_and_the_ranks_go_on() {
    let found = on_ranks(2, |me| {
        let codes = [
            me.reduce_scatter(&[1.0; 5], &mut [0.0; 2]),
            me.all_gather(&[1.0; 2], &mut [0.0; 3]),
            me.exchange(&[1.0; 2], &[1], &mut [0.0; 2]),
            me.exchange(&[1.0; 3], &[1, 1], &mut [0.0; 2]),
            me.exchange(&[1.0; 2], &[1, 1], &mut [0.0; 3]),
            me.broadcast(&mut [1.0], 2),
        ];
        let kinds: Vec<_> = codes.into_iter().map(|e| e.expect_err("a wrong length").kind()).collect();
        (kinds, me.barrier().is_ok())
    });
    for (kinds, goes_on) in found {
        assert_eq!(kinds, [ErrorKind::InvalidArgument; 6]);
        assert!(goes_on);
    }
}

/// The error of each rank but `failing`.
fn told(n: usize, failing: usize, how: impl Fn(ThreadRank) + Sync, f: impl Fn(&ThreadRank) -> Result<()> + Sync) {
    let wait = Duration::from_millis(20);
    let found = on_ranks(n, |me| {
        if me.rank() == failing {
            // Some of the others wait by now.
            thread::sleep(wait);
            how(me);
            return None;
        }
        let first = f(&me).expect_err("the rank failed");
        let again = me.barrier().expect_err("the ranks cannot meet again");
        assert_eq!(first.message(), again.message());
        Some(first)
    });
    for e in found.into_iter().flatten() {
        assert_eq!(e.kind(), ErrorKind::RankFailed);
        assert!(e.message().contains(&format!("rank {failing}")), "{}", e.message());
    }
}

#[test]
fn a_rank_that_ends_or_aborts_ends_the_others() {
    let operations: [fn(&ThreadRank) -> Result<()>; 4] = [
        |me| me.barrier(),
        |me| me.all_reduce(&mut [1.0, 2.0, 3.0]),
        |me| me.broadcast(&mut [0.0], 1),
        |me| me.all_gather_bytes(&[1]).map(|_| ()),
    ];
    for f in operations {
        told(4, 1, drop, f);
        told(3, 2, |me| me.abort("it has seen enough"), f);
    }
    let reasons = on_ranks(3, |me| {
        if me.rank() == 0 {
            me.abort("it has seen enough");
        }
        me.barrier().expect_err("rank 0 aborted").message().to_string()
    });
    assert_eq!(reasons, vec!["rank 0 ended the work of all ranks: it has seen enough"; 3]);
}

#[test]
fn a_rank_that_panics_ends_the_others() {
    let messages: Vec<Option<String>> = thread::scope(|s| {
        let one = |me: ThreadRank| {
            assert!(me.rank() != 2, "a panic that this test makes");
            me.barrier().expect_err("rank 2 panicked").message().to_string()
        };
        let begun: Vec<_> = threads(3).into_iter().map(|me| s.spawn(move || one(me))).collect();
        begun.into_iter().map(|rank| rank.join().ok()).collect()
    });
    assert_eq!(messages, [Some("rank 2 panicked".into()), Some("rank 2 panicked".into()), None]);
}

#[test]
fn a_rank_that_is_cancelled_stops_waiting_and_ends_the_others() {
    let token = Token::default();
    let found = on_ranks(3, |me| match me.rank() {
        0 => running(&token, || me.barrier()).expect_err("cancelled"),
        1 => me.barrier().expect_err("rank 0 was cancelled"),
        _ => {
            thread::sleep(Duration::from_millis(30));
            token.cancel();
            thread::sleep(Duration::from_millis(100));
            me.barrier().expect_err("rank 0 was cancelled")
        }
    });
    assert_eq!(found[0].kind(), ErrorKind::Aborted);
    for e in &found[1..] {
        assert_eq!((e.kind(), e.message()), (ErrorKind::RankFailed, "the work of rank 0 was cancelled"));
    }
}

#[test]
fn ranks_that_call_different_things_are_told() {
    let found = on_ranks(3, |me| {
        let e = if me.rank() == 1 { me.all_gather(&[1.0], &mut [0.0; 3]) } else { me.barrier() };
        e.expect_err("they differ").message().to_string()
    });
    assert_eq!(found, vec!["rank 1 calls all_gather [1] where rank 0 calls barrier"; 3]);
    let found = on_ranks(2, |me| {
        let mut v = vec![0.0; 3 + 2 * me.rank()];
        me.broadcast(&mut v, 0).expect_err("lengths differ").message().to_string()
    });
    assert_eq!(found, vec!["rank 1 calls broadcast [5, 0] where rank 0 calls broadcast [3, 0]"; 2]);
}

#[test]
fn many_operations_come_to_an_end_on_more_ranks_than_processors() {
    let found = on_ranks(6, |me| {
        (0..2000).fold(0.0, |sum, i| {
            let mut v = [(me.rank() + i) as f32, 1.0];
            me.all_reduce(&mut v).expect("a sum");
            sum + v[0]
        })
    });
    // 0 + … + 5 + 6 i, for i below 2000; each is a whole number that float32 has.
    let expected = (0..2000).fold(0.0_f32, |sum, i| sum + (15 + 6 * i) as f32);
    assert_eq!(found, vec![expected; 6]);
}
