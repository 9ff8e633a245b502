//! What files of tensors say of themselves, whatever their format, and their tensors by name.
use crate::{
    damage::Numbers,
    trainer::{model, trainer},
};
use std::{
    fs,
    path::{Path, PathBuf},
};
use tallow_tensor::{DType, Tensor};
use tallow_training::{
    file_info, load_tensors, np_to_file, save_npz, write_safetensors, FileFormat, FileInfo, TensorInfo,
};

fn of_trax(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../__test__/checkpoints").join(name)
}

fn arrays() -> Vec<(String, Tensor)> {
    let t = Tensor::from_vec(vec![1f32, 0.0, 2.0, 3.0, 0.0, 7.0], &[2, 3]).expect("values");
    vec![("b".into(), t.cast(DType::I64).expect("a type")), ("a".into(), t), ("c".into(), Tensor::scalar(4.25f64))]
}

fn told(info: &FileInfo) -> Vec<(&str, &[usize], &str, u64)> {
    info.tensors.iter().map(|t| (t.name.as_str(), t.shape.as_slice(), t.dtype.as_str(), t.bytes)).collect()
}

/// Whether what is told of the tensors is what is read.
fn agrees(info: &FileInfo, tensors: &[(String, Tensor)]) {
    let mut read: Vec<_> = tensors.iter().map(|(n, t)| (n.clone(), t.shape().to_vec(), t.dtype().name())).collect();
    let mut told: Vec<_> = info.tensors.iter().map(|t| (t.name.clone(), t.shape.clone(), t.dtype.as_str())).collect();
    read.sort();
    told.sort();
    assert_eq!(read, told);
}

#[test]
fn every_format_tells_names_shapes_types_and_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let named: [(&str, &[usize], &str, u64); 3] =
        [("a", &[2, 3], "float32", 24), ("b", &[2, 3], "int64", 48), ("c", &[], "float64", 8)];

    write_safetensors(&at("t.safetensors"), &arrays(), &Default::default()).expect("written");
    save_npz(&at("t.npz"), &arrays()).expect("written");
    for (name, format) in [("t.safetensors", FileFormat::Safetensors), ("t.npz", FileFormat::Npz)] {
        let info = file_info(&at(name)).expect("told");
        assert_eq!((info.format, info.step, info.signature.as_ref()), (format, None, None));
        assert_eq!(told(&info), named, "{name}");
        agrees(&info, &load_tensors(&at(name)).expect("read"));
    }

    let list: Vec<Tensor> = arrays().into_iter().map(|(_, t)| t).collect();
    np_to_file(&list, &at("t.npy.gz"), 6).expect("written");
    let info = file_info(&at("t.npy.gz")).expect("told");
    assert_eq!(info.format, FileFormat::NpyList);
    let numbered: [(&str, &[usize], &str, u64); 3] =
        [("0", &[2, 3], "int64", 48), ("1", &[2, 3], "float32", 24), ("2", &[], "float64", 8)];
    assert_eq!(told(&info), numbered);
    agrees(&info, &load_tensors(&at("t.npy.gz")).expect("read"));

    let (bytes, name) =
        (b"\x93NUMPY\x01\x00\x3a\x00{'descr': '<i2', 'fortran_order': False, 'shape': (2,), }\n", "one.npy");
    let header = bytes.len() - 10;
    let mut bytes = bytes.to_vec();
    bytes[8] = u8::try_from(header).expect("a short header");
    bytes.extend([1, 0, 0xfe, 0xff]);
    fs::write(at(name), &bytes).expect("written");
    let info = file_info(&at(name)).expect("told");
    assert_eq!((info.format, told(&info)), (FileFormat::Npy, vec![("one", &[2usize][..], "int16", 4)]));
    let read = load_tensors(&at(name)).expect("read");
    assert_eq!((read[0].0.as_str(), read[0].1.to_vec::<i32>().expect("values")), ("one", vec![1, -2]));
}

#[test]
fn a_checkpoint_tells_its_step_and_notes() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run");
    trainer(model(Vec::new()), 1).save(&path, 7, Some(r#"{"a":[1]}"#)).expect("saved");
    let info = file_info(&path).expect("told");
    assert_eq!(
        (info.format, info.step, info.notes.as_deref()),
        (FileFormat::Safetensors, Some(7), Some(r#"{"a":[1]}"#))
    );
    agrees(&info, &load_tensors(&path).expect("read"));
}

#[test]
fn checkpoints_of_trax_are_told_and_read_without_a_model() {
    let info = file_info(&of_trax("transformerlm_copy.pkl.gz")).expect("told");
    assert_eq!(
        (info.format, info.step, info.signature.as_ref().map(Vec::len)),
        (FileFormat::Trax, Some(5100), Some(3))
    );
    assert_eq!(told(&info)[0], ("weights/0", &[13, 64][..], "float32", 13 * 64 * 4));
    let read = load_tensors(&of_trax("transformerlm_copy.pkl.gz")).expect("read");
    let held = |info: FileInfo| {
        let is_held = |t: &TensorInfo| t.name.starts_with("weights/") || t.name.starts_with("state/");
        let tensors = info.tensors.into_iter().filter(is_held).collect();
        FileInfo { tensors, ..info }
    };
    agrees(&held(info), &read);

    // Its weights lie in a file beside; `uint16` there is bfloat16.
    let info = file_info(&of_trax("loop.pkl.gz")).expect("told");
    assert_eq!(info.step, Some(3));
    assert!(info.tensors.iter().any(|t| t.name == "weights/0" && t.dtype == "bfloat16"), "{:?}", info.tensors);
    agrees(&held(info), &load_tensors(&of_trax("loop.pkl.gz")).expect("read"));

    let info = file_info(&of_trax("weights_only.pkl.gz")).expect("told");
    assert!(info.tensors.iter().all(|t| t.name.starts_with("weights/")) && info.signature.is_none());
}

#[test]
fn what_is_no_such_file_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file");
    let refused = |why: &str| {
        for error in [file_info(&path).expect_err(why), load_tensors(&path).expect_err(why)] {
            assert_eq!(error.code(), "Io");
            assert!(error.message().contains(why) && error.message().contains("file"), "{}", error.message());
        }
    };
    refused("No such file");
    let gzip = |bytes: &[u8]| {
        use std::io::Write;
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(bytes).expect("written");
        out.finish().expect("written")
    };
    for (bytes, why) in [
        (Vec::new(), "it is empty"),
        (b"name,age\nAda,36\n".to_vec(), "no file of tensors that is known here"),
        (b"PK not an archive".to_vec(), "no zip archive"),
        (gzip(b"text"), "gzip around something else"),
        (b"\x1f\x8bnothing".to_vec(), "cannot read"),
        (b"\x93NUMPY\x01\x00".to_vec(), "truncated header"),
        (b"\xff\x00\x00\x00\x00\x00\x00\x00{".to_vec(), "longer than the file"),
        (gzip(b"\x80\x04}."), "flat_weights"),
    ] {
        fs::write(&path, bytes).expect("written");
        refused(why);
    }
    fs::remove_file(&path).expect("removed");
    fs::create_dir(&path).expect("made");
    refused("it is a folder");
}

#[test]
fn damage_is_an_error_or_tells_of_what_can_be_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("damaged");
    save_npz(&path, &arrays()).expect("written");
    let npz = fs::read(&path).expect("bytes");
    let files = [
        npz,
        fs::read(of_trax("layer.pkl.gz")).expect("bytes"),
        fs::read(of_trax("loop.weights.npy.gz")).expect("bytes"),
    ];
    let (mut numbers, mut found) = (Numbers(11), 0);
    for whole in &files {
        for _ in 0..300 {
            let mut bytes = whole.clone();
            if numbers.below(4) == 0 {
                bytes.truncate(numbers.below(whole.len()));
            } else {
                bytes[numbers.below(whole.len())] ^= 1 << numbers.below(8);
            }
            fs::write(&path, bytes).expect("written");
            if let Err(error) = file_info(&path) {
                assert!(["Io", "OutOfMemory"].contains(&error.code()), "{}", error.message());
                found += 1;
            }
        }
    }
    assert!(found > 300, "{found}");
}
