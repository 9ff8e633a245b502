//! safetensors files: round trip of every dtype, whole or not at all, corrupt files refused.
use std::{collections::BTreeMap, fs};
use tallow_tensor::{DType, Device, Tensor};
use tallow_training::{read_safetensors, write_safetensors};

fn every_dtype() -> Vec<(String, Tensor)> {
    let mut out: Vec<(String, Tensor)> = DType::ALL
        .into_iter()
        .map(|d| {
            let t = Tensor::from_vec(vec![1f32, 0.0, 2.5, 3.0, 0.0, 7.0], &[2, 3]).unwrap();
            (format!("a.{d}"), t.cast(d).unwrap())
        })
        .collect();
    out.push(("empty".into(), Tensor::zeros(&[0, 3], DType::F32, &Device::Cpu).unwrap()));
    out.push(("scalar".into(), Tensor::scalar(4.25f64)));
    out
}

#[test]
fn every_dtype_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.safetensors");
    let metadata =
        BTreeMap::from([("a", "b"), ("step", "12"), ("z", "y")].map(|(k, v)| (k.to_string(), v.to_string())));
    write_safetensors(&path, &every_dtype(), &metadata).unwrap();
    let (got, m) = read_safetensors(&path).unwrap();
    assert_eq!(m, metadata);
    assert_eq!(got.len(), every_dtype().len());
    for (name, want) in every_dtype() {
        let (_, t) = got.iter().find(|(n, _)| *n == name).unwrap();
        assert_eq!((t.shape(), t.dtype()), (want.shape(), want.dtype()), "{name}");
        assert_eq!(t.to_f64_vec().unwrap(), want.to_f64_vec().unwrap(), "{name}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays");
    let bytes = fs::read(&path).unwrap();
    for _ in 0..8 {
        write_safetensors(&path, &every_dtype(), &metadata).unwrap();
        assert_eq!(fs::read(&path).unwrap(), bytes, "equal content gives equal bytes");
    }
}

#[test]
fn a_failed_write_leaves_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.safetensors");
    write_safetensors(&path, &every_dtype(), &BTreeMap::new()).unwrap();
    let before = fs::read(&path).unwrap();
    let missing = folder.path().join("no/such/folder/x.safetensors");
    let e = write_safetensors(&missing, &every_dtype(), &BTreeMap::new()).unwrap_err();
    assert_eq!(e.code(), "Io");
    assert!(e.message().contains("no/such/folder"), "{e}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn corrupt_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.safetensors");
    write_safetensors(&path, &every_dtype(), &BTreeMap::new()).unwrap();
    let whole = fs::read(&path).unwrap();
    let huge = [&u64::MAX.to_le_bytes()[..], &whole[8..]].concat();
    for (what, bytes) in [
        ("empty", Vec::new()),
        ("cut header", whole[..20].to_vec()),
        ("cut data", whole[..whole.len() - 1].to_vec()),
        ("trailing bytes", [&whole[..], b"x"].concat()),
        ("declared header of 2^64", huge),
    ] {
        fs::write(&path, bytes).unwrap();
        let e = read_safetensors(&path).unwrap_err();
        assert_eq!(e.code(), "Io", "{what}");
        assert!(e.message().contains("x.safetensors"), "{what}: {e}");
    }
    assert!(read_safetensors(&folder.path().join("none")).unwrap_err().message().contains("none"));
}
