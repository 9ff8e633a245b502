//! Values borrowed from a storage stay what they are, whatever happens to the tensors meanwhile.
use tallow_tensor::{
    ops::{adam_update, AdamStep, Clip},
    DType, Device, Tensor,
};

const STEP: AdamStep = AdamStep { lr: 0.5, b1: 0.9, b2: 0.99, eps: 1e-5, weight_decay_rate: 0.0, step: 0 };

fn of(values: &[f32]) -> Tensor {
    Tensor::from_vec(values.to_vec(), &[values.len()]).unwrap()
}

fn address(t: &Tensor) -> usize {
    t.values::<f32>().unwrap().as_ptr() as usize
}

#[test]
fn a_storage_with_one_holder_is_written_in_place() {
    let (p, g, m, v) = (of(&[1.0, 2.0]), of(&[0.5, -0.5]), of(&[0.0; 2]), of(&[0.0; 2]));
    let before = [&p, &m, &v].map(address);
    let (p, m, v) = adam_update(p, &g, m, v, Clip::NONE, &STEP).unwrap();
    assert_eq!([&p, &m, &v].map(address), before);
    assert_ne!(p.to_vec::<f32>().unwrap(), [1.0, 2.0]);
}

#[test]
fn borrowed_values_are_not_written_over() {
    let (p, g, m, v) = (of(&[1.0, 2.0]), of(&[0.5, -0.5]), of(&[3.0; 2]), of(&[4.0; 2]));
    let held = [&p, &m, &v].map(|t| t.values::<f32>().unwrap());
    let (new_p, new_m, new_v) = adam_update(p, &g, m, v, Clip::NONE, &STEP).unwrap();
    assert_eq!([&*held[0], &*held[1], &*held[2]], [&[1.0, 2.0][..], &[3.0; 2], &[4.0; 2]]);
    for (new, old) in [&new_p, &new_m, &new_v].into_iter().zip(&held) {
        assert_ne!(new.to_vec::<f32>().unwrap(), **old);
        assert_ne!(address(new), old.as_ptr() as usize);
    }
}

#[test]
fn a_view_keeps_the_storage_from_being_written() {
    let (p, g, m, v) = (of(&[1.0, 2.0, 3.0]), of(&[0.5; 3]), of(&[0.0; 3]), of(&[0.0; 3]));
    let view = p.narrow(0, 1, 2).unwrap();
    let (new, ..) = adam_update(p, &g, m, v, Clip::NONE, &STEP).unwrap();
    assert_eq!(view.to_vec::<f32>().unwrap(), [2.0, 3.0]);
    assert_ne!(new.to_vec::<f32>().unwrap()[1..], [2.0, 3.0]);
}

#[test]
fn borrowed_values_outlive_their_tensor() {
    let held = {
        let t = of(&[1.0, 2.0, 3.0]).narrow(0, 1, 2).unwrap();
        t.values::<f32>().unwrap()
    };
    // Other tensors come and go where it was.
    (0..8).for_each(|i| assert_eq!(of(&[i as f32; 3]).size(), 3));
    assert_eq!(*held, [2.0, 3.0]);
}

#[test]
fn borrowed_values_are_read_while_others_compute() {
    let t = of(&[1.0, 2.0, 3.0]);
    let held = t.values::<f32>().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                (0..10).for_each(|_| assert_eq!(t.add_scalar(1).unwrap().to_vec::<f32>().unwrap(), [2.0, 3.0, 4.0]))
            });
        }
        (0..10).for_each(|_| assert_eq!(*held, [1.0, 2.0, 3.0]));
    });
}

#[test]
fn values_of_nothing_are_none() {
    let empty = Tensor::zeros(&[0, 3], DType::F32, &Device::Cpu).unwrap();
    assert_eq!(*empty.values::<f32>().unwrap(), [0f32; 0]);
    // It begins behind the end of its storage.
    assert_eq!(*of(&[1.0, 2.0]).narrow(0, 2, 0).unwrap().values::<f32>().unwrap(), [0f32; 0]);
}
