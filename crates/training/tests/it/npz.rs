//! Archives of arrays: what is written is read, and what is damaged or lies is refused.
use crate::damage::Numbers;
use std::{fs, io::Write, path::Path};
use tallow_tensor::{DType, Device, Tensor};
use tallow_training::{load_npz, save_npz};

fn arrays() -> Vec<(String, Tensor)> {
    let numbers = |d: DType| {
        let t = Tensor::from_vec(vec![1f32, 0.0, 2.0, 3.0, 0.0, 7.0], &[2, 3]).expect("values");
        (format!("a/{d}"), t.cast(d).expect("a type"))
    };
    let mut out: Vec<(String, Tensor)> = DType::ALL.into_iter().map(numbers).collect();
    out.push(("empty ü".into(), Tensor::zeros(&[0, 3], DType::F32, &Device::Cpu).expect("zeros")));
    out.push((String::new(), Tensor::scalar(4.25f64)));
    out
}

fn refused(path: &Path, why: &str) {
    let error = load_npz(path).expect_err(why);
    assert_eq!(error.code(), "Io", "{}", error.message());
    assert!(error.message().contains(why), "{why}: {}", error.message());
}

#[test]
fn every_type_comes_back_under_its_name_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("arrays.npz");
    save_npz(&path, &arrays()).expect("written");
    let bytes = fs::read(&path).expect("bytes");
    let read = load_npz(&path).expect("arrays");
    assert_eq!(read.len(), arrays().len());
    for ((name, t), (wanted, like)) in read.iter().zip(arrays()) {
        assert_eq!((name, t.shape(), t.dtype()), (&wanted, like.shape(), like.dtype()));
        assert_eq!(t.to_f64_vec().expect("values"), like.to_f64_vec().expect("values"), "{name}");
    }
    save_npz(&path, &arrays()).expect("written");
    assert_eq!(fs::read(&path).expect("bytes"), bytes, "equal arrays give equal bytes");
    save_npz(&path, &[]).expect("written");
    assert!(load_npz(&path).expect("no arrays").is_empty());
    assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 1);
}

#[test]
fn a_damaged_archive_never_gives_other_numbers() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("arrays.npz");
    save_npz(&path, &arrays()).expect("written");
    let whole = fs::read(&path).expect("bytes");
    let (mut numbers, mut found) = (Numbers(7), 0);
    for _ in 0..1000 {
        let mut bytes = whole.clone();
        bytes[numbers.below(whole.len())] ^= 1 << numbers.below(8);
        fs::write(&path, bytes).expect("written");
        match load_npz(&path) {
            Err(e) => {
                assert_eq!(e.code(), "Io", "{}", e.message());
                found += 1;
            }
            // Dates, versions and attributes of an archive mean nothing here, and names have no checksum.
            Ok(read) => {
                assert_eq!(read.len(), arrays().len());
                for ((_, t), (_, like)) in read.iter().zip(arrays()) {
                    assert_eq!((t.shape(), t.dtype()), (like.shape(), like.dtype()));
                    assert_eq!(t.to_f64_vec().expect("values"), like.to_f64_vec().expect("values"));
                }
            }
        }
        let end = numbers.below(whole.len());
        fs::write(&path, &whole[..end]).expect("written");
        assert_eq!(load_npz(&path).expect_err("cut off").code(), "Io");
    }
    assert!(found > 700, "{found}");
}

/// An archive with one entry, of which the directory says what it is told.
fn archive(path: &Path, name: &str, method: u16, packed: &[u8], size: u32, sum: u32) {
    let common = |out: &mut Vec<u8>| {
        out.extend([20, 0, 0, 0]);
        out.extend(method.to_le_bytes());
        out.extend([0, 0, 0x21, 0]);
        for n in [sum, packed.len() as u32, size] {
            out.extend(n.to_le_bytes());
        }
        out.extend((name.len() as u16).to_le_bytes());
        out.extend([0, 0]);
    };
    let mut out = b"PK\x03\x04".to_vec();
    common(&mut out);
    out.extend(name.as_bytes());
    out.extend(packed);
    let start = out.len() as u32;
    out.extend(b"PK\x01\x02\x14\x00");
    common(&mut out);
    out.extend([0; 14]);
    out[start as usize + 42..].fill(0);
    out.extend(name.as_bytes());
    let length = out.len() as u32 - start;
    out.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
    out.extend(length.to_le_bytes());
    out.extend(start.to_le_bytes());
    out.extend([0, 0]);
    fs::write(path, out).expect("written");
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    out.write_all(bytes).expect("packed");
    out.finish().expect("packed")
}

fn sum(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[test]
fn archives_that_lie_or_hold_something_else_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("made.npz");
    let npy = |shape: &str, data: &[u8]| {
        let text = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n");
        [&b"\x93NUMPY\x01\x00"[..], &(text.len() as u16).to_le_bytes(), text.as_bytes(), data].concat()
    };
    let good = npy("(3,)", &[1, 2, 3]);
    let size = good.len() as u32;
    archive(&path, "a.npy", 0, &good, size, sum(&good));
    assert_eq!(load_npz(&path).expect("an array")[0].1.to_vec::<u8>().expect("values"), [1, 2, 3]);
    archive(&path, "a.npy", 8, &deflated(&good), size, sum(&good));
    assert_eq!(load_npz(&path).expect("an array")[0].1.to_vec::<u8>().expect("values"), [1, 2, 3]);

    archive(&path, "a.npy", 8, &deflated(&good), size, 1 + sum(&good));
    refused(&path, "its checksum is wrong");
    archive(&path, "a.npy", 8, &deflated(&good), 1 << 30, sum(&good));
    refused(&path, "cannot unpack to 1073741824");
    archive(&path, "a.npy", 8, &deflated(&[good.clone(), vec![0; 1000]].concat()), size, sum(&good));
    refused(&path, "unpacks to more than");
    archive(&path, "a.npy", 8, &deflated(&good)[..10], size, sum(&good));
    refused(&path, "array a: ");
    let bomb = npy("(1073741824,)", &[]);
    archive(&path, "a.npy", 0, &bomb, bomb.len() as u32, sum(&bomb));
    refused(&path, "needs 1073741824 bytes of data, it has 0");
    archive(&path, "a.npy", 12, &good, size, sum(&good));
    refused(&path, "only deflate can be read");
    archive(&path, "a.txt", 0, &good, size, sum(&good));
    refused(&path, "a.txt in it is no array");
    archive(&path, "a.npy", 0, b"no array", 8, sum(b"no array"));
    refused(&path, "array a: ");
    fs::write(&path, b"no zip").expect("written");
    refused(&path, "it is no zip archive");
    refused(&folder.path().join("absent"), "absent");
}
