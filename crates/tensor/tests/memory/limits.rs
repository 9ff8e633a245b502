//! What memory cannot hold is an error of its own kind, whatever asks for it; nothing of it is made, and the process lives on.
use crate::alone;
use tallow_tensor::{
    memory,
    memory::admit_tensor,
    memory_limit,
    ops::{self, Padding, Pooling, Windows},
    random::{self, Key},
    set_memory_limit, DType, Device, ErrorKind, Result, Tensor,
};

const CPU: Device = Device::Cpu;
const KEY: Key = Key([3, 4]);
/// Elements that no machine has room for, also as bytes.
const TERA: usize = 1 << 44;

fn ones(shape: &[usize]) -> Tensor {
    Tensor::ones(shape, DType::F32, &CPU).expect("a small tensor")
}

/// A view of one number that stands for more than any machine holds.
fn wide(shape: &[usize], dtype: DType) -> Tensor {
    Tensor::ones(&[], dtype, &CPU).and_then(|x| x.broadcast_to(shape)).expect("a view takes no memory")
}

fn refused(what: &str, made: Result<impl Sized>) {
    match made {
        Ok(_) => panic!("{what} was made"),
        Err(e) => {
            assert_eq!(e.kind(), ErrorKind::OutOfMemory, "{what}: {e}");
            assert!(e.message().contains("bytes"), "{what}: {e}");
        }
    }
}

#[test]
fn makers_refuse_what_memory_cannot_hold() {
    let _alone = alone();
    for dtype in DType::ALL {
        refused("zeros", Tensor::zeros(&[TERA, 2], dtype, &CPU));
        refused("full", Tensor::full(&[TERA, 2], 1, dtype, &CPU));
        refused("eye", Tensor::eye(1 << 23, 1 << 23, dtype, &CPU));
    }
    refused("iota", Tensor::iota(TERA, DType::F32, &CPU));
    refused("tril_mask", Tensor::tril_mask(TERA, 3, 0, &CPU));
    let ids = Tensor::iota(3, DType::I32, &CPU).unwrap();
    refused("one_hot", ids.one_hot(TERA, DType::F32));
    let e = Tensor::zeros(&[3, TERA], DType::F32, &CPU).unwrap_err();
    assert!(e.message().contains(&format!("[3, {TERA}]")), "the shape is named: {e}");
    assert!(e.message().contains(&(12 * TERA).to_string()), "the bytes are named: {e}");
}

#[test]
fn draws_refuse_what_memory_cannot_hold() {
    let _alone = alone();
    let shape = [TERA, 2];
    refused("bits", random::bits(KEY, &shape));
    for dtype in [DType::F32, DType::F64, DType::F16, DType::BF16] {
        refused("uniform", random::uniform(KEY, &shape, dtype, 0.0, 1.0));
        refused("normal", random::normal(KEY, &shape, dtype));
        refused("truncated_normal", random::truncated_normal(KEY, -1.0, 1.0, &shape, dtype));
        refused("gumbel", random::gumbel(KEY, &shape, dtype));
    }
    for dtype in [DType::U8, DType::I32, DType::U32, DType::I64] {
        refused("randint", random::randint(KEY, &shape, 0, 9, dtype));
    }
    refused("bernoulli", random::bernoulli(KEY, 0.5, &shape));
    refused("categorical", random::categorical(KEY, &ones(&[4]), -1, Some(&shape)));
    refused("split", KEY.try_split(TERA));
    assert_eq!(KEY.try_split(40_000).unwrap()[..3], KEY.split(40_000)[..3]);
    assert_eq!(KEY.try_split(40_000).unwrap().last(), KEY.split(40_000).last());
}

#[test]
fn results_larger_than_their_operands_are_refused() {
    let _alone = alone();
    let (column, row) = (ones(&[1 << 23, 1]), ones(&[1, 1 << 23]));
    refused("add", column.add(&row));
    refused("div", column.div(&row));
    refused("pow", column.pow(&row));
    refused("lt", column.lt(&row));
    refused("where", Tensor::where_(&column, &row, &column));
    refused("matmul", column.matmul(&row));
    refused("einsum", Tensor::einsum("ab,bc->ac", &[&column, &row]));
    refused(
        "einsum without a sum",
        Tensor::einsum("a,b->ab", &[&column.squeeze(1).unwrap(), &row.squeeze(0).unwrap()]),
    );
    let x = ones(&[2, 3]);
    refused("pad", x.pad(&[(0, TERA), (0, 0)], 1.0));
    refused("pad both ways", x.pad(&[(1 << 22, 0), (0, 1 << 23)], 1.0));
    refused("tile", x.tile(&[TERA, 1]));
    refused("repeat", x.repeat(TERA, 0));
    refused("take", x.take(&wide(&[TERA], DType::I32), 0));
    let far = |n| Windows { padding: Padding::Explicit(vec![(n, n)]), ..Windows::default() };
    refused("conv", ops::conv(&ones(&[1 << 6, 4, 2]), &ones(&[3, 2, 1 << 8]), None, &far(1 << 39)));
    refused("pool", ops::pool(&ones(&[1 << 10, 4, 2]), &[3], &far(1 << 39), Pooling::Sum));
}

#[test]
fn a_view_takes_no_memory_but_its_values_do() {
    let _alone = alone();
    let before = tallow_tensor::memory().bytes;
    let x = wide(&[1 << 22, 1 << 22], DType::F32);
    assert!(x.transpose(None).and_then(|x| x.narrow(0, 5, 7)).is_ok());
    assert!(tallow_tensor::memory().bytes - before < 1 << 20);
    refused("to_vec", x.to_vec::<f32>());
    refused("to_f64_vec", x.to_f64_vec());
    refused("values", x.values::<f32>().map(|_| ()));
    refused("contiguous", x.contiguous());
    refused("exp", x.exp());
    refused("cast", x.cast(DType::F64));
    refused("add_scalar", x.add_scalar(1.0));
    refused("sum", x.sum(0, false));
    refused("max", x.max(None, false));
    refused("argmax", x.argmax(Some(0), false));
    refused("cumsum", x.cumsum(0));
    refused("sort", x.sort(0, false));
    refused("flip", x.flip(0));
    refused("roll", x.roll(1, 1));
    refused("concat", Tensor::concat(&[x.clone(), x.clone()], 0));
    refused("stack", Tensor::stack(&[x.clone(), x.clone()], 0));
    refused("softmax", x.softmax(-1));
    refused("gelu", x.gelu(true));
    refused("layer_norm", ops::layer_norm(&x, None, None, 1e-6));
    refused("dropout", ops::dropout(&x, 0.5, KEY, x.shape()));
    refused("embedding", ops::embedding(&ones(&[4, 4]), &wide(&[TERA], DType::I32)));
    let scattered = || ones(&[4]).scatter_add(&wide(&[TERA], DType::I32), &wide(&[TERA], DType::F32), 0);
    refused("scatter_add", scattered());
    // The views are as good as before.
    assert_eq!(x.narrow(0, 0, 2).unwrap().narrow(1, 0, 2).unwrap().to_vec::<f32>().unwrap(), [1.0; 4]);
}

#[test]
fn the_limit_counts_what_lives_and_what_is_wanted() {
    let _alone = alone();
    assert!(set_memory_limit(Some(0)).is_err_and(|e| e.kind() == ErrorKind::InvalidArgument));
    let machine = memory_limit();
    assert!(machine > 1 << 26 && machine < 8 * TERA, "{machine} bytes");
    refused("more than the machine", admit_tensor(&[machine, 2], DType::U8));
    let held = ones(&[1 << 20]);
    // Room for twice this tensor beside what lives, and a little more.
    let slack = 1 << 20;
    set_memory_limit(Some(tallow_tensor::memory().bytes + held.storage_bytes() * 2 + slack)).unwrap();
    let twice = Tensor::zeros(&[2 << 20], DType::F32, &CPU);
    refused("three times as much", Tensor::zeros(&[3 << 20], DType::F32, &CPU));
    refused("a sum beside both", twice.as_ref().map_err(Clone::clone).and_then(|x| x.add(x)));
    refused("a buffer", memory::zeros::<f32>(3 << 20));
    drop(twice.unwrap());
    assert_eq!(held.add_scalar(1.0).unwrap().sum(None, false).unwrap().item().unwrap(), f64::from(2 << 20));
    set_memory_limit(None).unwrap();
    assert_eq!(memory_limit(), machine);
    assert!(Tensor::zeros(&[3 << 20], DType::F32, &CPU).is_ok());
}
