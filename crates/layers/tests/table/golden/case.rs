//! Golden files: `<module>.json` with the cases and `<module>.safetensors` with their arrays.
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use std::{collections::HashMap, fs, path::PathBuf, sync::Arc};
use tallow_tensor::Tensor;

/// The cases of one module.
pub struct Module {
    /// Name, e.g. `core`.
    pub name: String,
    /// Its cases.
    pub cases: Vec<Case>,
}

/// One case: its JSON and its arrays.
#[derive(Clone)]
pub struct Case {
    /// Name, unique in the module.
    pub id: String,
    /// Everything but the arrays.
    pub json: Value,
    /// Arrays by name.
    pub tensors: Arc<HashMap<String, Tensor>>,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

impl Module {
    /// All modules, by name.
    pub fn all() -> Vec<Self> {
        let files = fs::read_dir(folder()).expect("the golden folder");
        let mut names: Vec<String> =
            files.filter_map(|f| f.ok()?.file_name().to_str()?.strip_suffix(".json").map(str::to_string)).collect();
        names.sort();
        names.iter().map(|n| Self::read(n)).collect()
    }
    /// One module.
    pub fn read(name: &str) -> Self {
        let text = fs::read_to_string(folder().join(format!("{name}.json"))).expect("a golden module");
        let json: Value = serde_json::from_str(&text).expect("JSON");
        let bytes = fs::read(folder().join(format!("{name}.safetensors"))).expect("the arrays of a golden module");
        let arrays = SafeTensors::deserialize(&bytes).expect("safetensors");
        let mut by_case: HashMap<String, HashMap<String, Tensor>> = HashMap::new();
        for (full, view) in arrays.tensors() {
            let (case, array) = full.split_once('/').expect("<case>/<array>");
            by_case
                .entry(case.into())
                .or_default()
                .insert(array.into(), tensor(view.dtype(), view.shape(), view.data()));
        }
        let cases = json["cases"].as_array().expect("cases").iter().map(|c| {
            let id = c["id"].as_str().expect("id").to_string();
            let tensors = Arc::new(by_case.remove(&id).unwrap_or_default());
            Case { id, json: c.clone(), tensors }
        });
        Self { name: name.into(), cases: cases.collect() }
    }
}

fn tensor(dtype: Dtype, shape: &[usize], bytes: &[u8]) -> Tensor {
    macro_rules! of {
        ($t:ty) => {
            Tensor::from_vec(
                bytes
                    .chunks_exact(size_of::<$t>())
                    .map(|b| <$t>::from_le_bytes(b.try_into().expect("chunk")))
                    .collect(),
                shape,
            )
        };
    }
    match dtype {
        Dtype::F32 => of!(f32),
        Dtype::I32 => of!(i32),
        Dtype::I64 => of!(i64),
        Dtype::U32 => of!(u32),
        Dtype::U8 => Tensor::from_vec(bytes.to_vec(), shape),
        Dtype::BOOL => Tensor::from_bools(bytes.to_vec(), shape),
        Dtype::BF16 => of!(half::bf16),
        other => panic!("golden arrays have no {other:?}"),
    }
    .expect("an array that fits its shape")
}
