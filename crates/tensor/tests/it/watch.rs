//! Watching backward passes.
use std::sync::{Arc, Mutex};
use tallow_tensor::{
    autodiff::{next_node, set_watch, Watch},
    backward, custom_vjp, recording, Axes, Error, ErrorKind, Tensor,
};

#[derive(Default)]
struct Heard(Mutex<Vec<(bool, u64)>>);

impl Watch for Heard {
    fn begin(&self, node: u64) {
        self.0.lock().expect("no panic").push((true, node));
    }
    fn end(&self, node: u64) {
        self.0.lock().expect("no panic").push((false, node));
    }
}

/// What `f` lets be heard.
fn heard(f: impl FnOnce()) -> Vec<(bool, u64)> {
    let watch = Arc::new(Heard::default());
    let before = set_watch(Some(watch.clone()));
    f();
    set_watch(before);
    let heard = watch.0.lock().expect("no panic");
    heard.clone()
}

#[test]
fn nodes_are_told_of_newest_first_and_only_while_watched() {
    let x = Tensor::from_vec(vec![1f32, 2.0], &[2]).expect("a tensor").variable();
    let first = next_node();
    let y = x.square().and_then(|t| t.exp()).and_then(|t| t.sum(Axes::All, false)).expect("values");
    let all: Vec<u64> = (first..next_node()).collect();
    let one = Tensor::scalar(1f32);
    let seeds = [(y, one)];
    let walk = || drop(backward(&seeds, std::slice::from_ref(&x), true).expect("gradients"));
    let wanted: Vec<(bool, u64)> = all.iter().rev().flat_map(|&n| [(true, n), (false, n)]).collect();
    assert_eq!(heard(walk), wanted);
    walk();
    assert_eq!(heard(|| ()), []);
}

#[test]
fn a_backward_pass_within_a_node_lies_within_it_also_when_it_fails() {
    let x = Tensor::scalar(2f32).variable();
    for fails in [false, true] {
        let ys = custom_vjp(
            std::slice::from_ref(&x),
            |xs| Ok((vec![xs[0].square()?], xs[0].clone())),
            move |x, cts, _| {
                let inner = x.variable();
                let y = recording(|| inner.square())?;
                let ct = cts[0].clone().unwrap_or_else(|| Tensor::scalar(1f32));
                if fails {
                    return Err(Error::new(ErrorKind::InvalidArgument, "no gradient"));
                }
                Ok(backward(&[(y, ct)], &[inner], false)?.into_iter().map(Some).collect())
            },
        )
        .expect("a value");
        let told = heard(|| {
            let found = backward(&[(ys[0].clone(), Tensor::scalar(1f32))], std::slice::from_ref(&x), false);
            assert_eq!(found.is_err(), fails);
        });
        let begins: Vec<bool> = told.iter().map(|(begin, _)| *begin).collect();
        let wanted: &[bool] = if fails { &[true, false] } else { &[true, true, false, false] };
        assert_eq!(begins, wanted);
        assert_eq!(told[0].1, told[told.len() - 1].1);
    }
}
