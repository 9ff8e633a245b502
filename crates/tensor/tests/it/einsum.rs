//! Einstein sums held against the sum over all index values, written out.
use std::collections::BTreeMap;
use tallow_tensor::{
    force_general_path,
    testing::{assert_close, check_gradients, random},
    DType, ErrorKind, Tensor,
};

/// The sum of products over all values of all letters, for a specification of plain letters.
fn expected(spec: &str, xs: &[&Tensor]) -> Tensor {
    let (left, right) = spec.split_once("->").unwrap();
    let terms: Vec<Vec<char>> = left.split(',').map(|t| t.chars().collect()).collect();
    let mut sizes: BTreeMap<char, usize> = BTreeMap::new();
    for (t, x) in terms.iter().zip(xs) {
        t.iter().zip(x.shape()).for_each(|(&c, &n)| {
            sizes.insert(c, n);
        });
    }
    let shape: Vec<usize> = right.chars().map(|c| sizes[&c]).collect();
    let mut out = vec![0.0; shape.iter().product()];
    let letters: Vec<(char, usize)> = sizes.into_iter().collect();
    let values: Vec<Vec<f64>> = xs.iter().map(|x| x.to_f64_vec().unwrap()).collect();
    let total: usize = letters.iter().map(|l| l.1).product();
    for mut i in 0..total {
        let mut at = BTreeMap::new();
        for &(c, n) in &letters {
            at.insert(c, i % n);
            i /= n;
        }
        let place =
            |t: &mut dyn Iterator<Item = char>, shape: &[usize]| t.zip(shape).fold(0, |p, (c, &n)| p * n + at[&c]);
        let product: f64 =
            terms.iter().zip(xs).zip(&values).map(|((t, x), v)| v[place(&mut t.iter().copied(), x.shape())]).product();
        out[place(&mut right.chars(), &shape)] += product;
    }
    Tensor::from_vec(out, &shape).unwrap()
}

#[track_caller]
fn check(spec: &str, shapes: &[&[usize]]) {
    let xs: Vec<Tensor> = shapes.iter().enumerate().map(|(i, s)| random(s, i as u64)).collect();
    let xs: Vec<&Tensor> = xs.iter().collect();
    let want = expected(spec, &xs);
    assert_close(&Tensor::einsum(spec, &xs).unwrap(), &want, DType::F64);
    assert_close(&force_general_path(|| Tensor::einsum(spec, &xs)).unwrap(), &want, DType::F64);
}

#[test]
fn sums_of_products() {
    check("ij,jk->ik", &[&[2, 3], &[3, 4]]);
    check("ij,jk->ki", &[&[2, 3], &[3, 4]]);
    check("bld,dh->blh", &[&[2, 3, 4], &[4, 5]]);
    check("bqhd,bkhd->bhqk", &[&[2, 3, 2, 4], &[2, 5, 2, 4]]);
    check("bhqk,bkhd->bqhd", &[&[2, 2, 3, 5], &[2, 5, 2, 4]]);
    check("i,i->", &[&[5], &[5]]);
    check("i,j->ij", &[&[3], &[4]]);
    check("i,j->ji", &[&[3], &[4]]);
    check("ij,ij->ij", &[&[3, 4], &[3, 4]]);
    check("ij->", &[&[3, 4]]);
    check("ijk->kj", &[&[2, 3, 4]]);
    check("ii->i", &[&[4, 4]]);
    check("ii->", &[&[4, 4]]);
    check("iji->ji", &[&[4, 3, 4]]);
    check("iij,jk->ik", &[&[4, 4, 3], &[3, 2]]);
    check("iii->i", &[&[3, 3, 3]]);
    check("ij,kl->", &[&[2, 3], &[4, 2]]);
    check("ij,jk,kl->il", &[&[2, 3], &[3, 4], &[4, 2]]);
    check("ai,aj,ak->ijk", &[&[4, 2], &[4, 3], &[4, 2]]);
    check("abc,cd,def->abef", &[&[2, 3, 4], &[4, 2], &[2, 3, 2]]);
    check("ij,jk->ik", &[&[2, 0], &[0, 4]]);
    check("ij,jk->ik", &[&[0, 3], &[3, 4]]);
    check(",ij->ij", &[&[], &[2, 3]]);
}

#[test]
fn implicit_outputs_and_ellipses() {
    let (a, b) = (random(&[2, 1, 3, 4], 0), random(&[5, 4, 6], 1));
    let same =
        |spec: &str, xs: &[&Tensor], want: &Tensor| assert_close(&Tensor::einsum(spec, xs).unwrap(), want, DType::F64);
    let product = a.matmul(&b).unwrap();
    same("...ij,...jk->...ik", &[&a, &b], &product);
    same("...ij,...jk", &[&a, &b], &product);
    same(" ...ij , ...jk -> ...ki ", &[&a, &b], &product.swap_axes(-1, -2).unwrap());
    same("i...,i...->...", &[&a, &a], &a.mul(&a).unwrap().sum(0isize, false).unwrap());
    same("...->...", &[&a], &a);
    same("...j->...", &[&a], &a.sum(-1isize, false).unwrap());
    let m = random(&[3, 4], 2);
    same("ba", &[&m], &m.transpose(None).unwrap());
    same("ij,jk", &[&m, &m.transpose(None).unwrap()], &m.matmul(&m.transpose(None).unwrap()).unwrap());
    // A size of 1 broadcasts.
    let row = random(&[1, 4], 3);
    same("ij,ij->i", &[&m, &row], &m.mul(&row).unwrap().sum(1isize, false).unwrap());
    same("ij,jk->ik", &[&random(&[2, 1], 4), &m], &random(&[2, 1], 4).mul(&m.sum(0isize, true).unwrap()).unwrap());
}

#[test]
fn integers_and_halves() {
    let x = Tensor::from_vec(vec![1i32, 2, 3, 4], &[2, 2]).unwrap();
    let y = Tensor::einsum("ij,jk->ik", &[&x, &x]).unwrap();
    assert_eq!((y.dtype(), y.to_vec::<i32>().unwrap()), (DType::I32, vec![7, 10, 15, 22]));
    let h = x.cast(DType::BF16).unwrap();
    assert_eq!(Tensor::einsum("ij,jk->ik", &[&h, &h]).unwrap().dtype(), DType::BF16);
}

#[test]
fn wrong_specifications_are_errors() {
    let (a, b) = (random(&[2, 3], 0), random(&[4, 5], 1));
    let kind = |spec: &str, xs: &[&Tensor]| Tensor::einsum(spec, xs).unwrap_err().kind();
    assert_eq!(kind("ij,jk->ik", &[&a, &b]), ErrorKind::ShapeMismatch);
    for spec in ["ij->ik", "ij->ii", "ijk->i", "i->i", "i1->i", "ij,jk->ik", "...i...->i", ""] {
        assert_eq!(kind(spec, &[&a]), ErrorKind::InvalidArgument, "{spec}");
    }
    assert_eq!(kind("", &[]), ErrorKind::InvalidArgument);
}

#[test]
fn gradients_match_central_differences() {
    check_gradients(
        |x| {
            Ok(vec![
                Tensor::einsum("bqhd,bkhd->bhqk", &[&x[0], &x[1]])?,
                Tensor::einsum("bqhd,bkhd->d", &[&x[0], &x[1]])?,
                Tensor::einsum("...hh->...h", &[&x[0]])?,
                Tensor::einsum("bqhd,d,h->bq", &[&x[0], &x[2], &x[2]])?,
            ])
        },
        &[random(&[2, 3, 2, 2], 0), random(&[2, 4, 2, 2], 1), random(&[2], 2)],
    );
}
