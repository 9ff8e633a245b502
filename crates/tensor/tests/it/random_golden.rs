//! Draws held against numbers recorded from `jax.random` (through Trax's `fastmath.random`): every function case.
use safetensors::SafeTensors;
use serde_json::Value;
use tallow_tensor::{random as r, random::Key, testing, DType, Tensor};

const JSON: &str = include_str!("../golden/random.json");
const ARRAYS: &[u8] = include_bytes!("../golden/random.safetensors");

/// One recorded case with its arrays.
struct Case<'a> {
    id: &'a str,
    expr: &'a Value,
    arrays: &'a SafeTensors<'a>,
}

impl Case<'_> {
    fn array(&self, name: &str) -> Tensor {
        let view = self.arrays.tensor(&format!("{}/{name}", self.id)).expect("the array of a case");
        let words = |b: &[u8]| b.chunks_exact(4).map(|c| <[u8; 4]>::try_from(c).unwrap()).collect::<Vec<_>>();
        let (data, shape) = (view.data(), view.shape());
        match view.dtype() {
            safetensors::Dtype::F32 => {
                Tensor::from_vec(words(data).into_iter().map(f32::from_le_bytes).collect(), shape)
            }
            safetensors::Dtype::I32 => {
                Tensor::from_vec(words(data).into_iter().map(i32::from_le_bytes).collect(), shape)
            }
            safetensors::Dtype::U32 => {
                Tensor::from_vec(words(data).into_iter().map(u32::from_le_bytes).collect(), shape)
            }
            safetensors::Dtype::U8 => Tensor::from_vec(data.to_vec(), shape),
            safetensors::Dtype::BOOL => Tensor::from_bools(data.to_vec(), shape),
            other => panic!("{}: dtype {other:?}", self.id),
        }
        .unwrap()
    }
    fn arg(&self, i: usize) -> &Value {
        &self.expr["args"][i]
    }
    fn option(&self, name: &str) -> Option<&Value> {
        self.expr["options"].get(name)
    }
    fn tensor(&self, i: usize) -> Tensor {
        self.array(self.arg(i)["tensor"].as_str().expect("a tensor argument"))
    }
    fn key(&self) -> Key {
        Key::from_tensor(&self.tensor(0)).unwrap()
    }
    fn number(&self, i: usize) -> f64 {
        self.arg(i).as_f64().unwrap()
    }
    fn whole(&self, i: usize) -> i64 {
        self.arg(i).as_i64().unwrap()
    }
    fn shape(&self, i: usize) -> Vec<usize> {
        shape(self.arg(i))
    }
    fn run(&self) -> Tensor {
        let float = |name, default| self.option(name).map_or(default, |v| v.as_f64().unwrap());
        let int = |name, default| self.option(name).map_or(default, |v| v.as_i64().unwrap());
        match self.expr["fn"].as_str().unwrap() {
            "random.key" => Key::new(self.whole(0)).to_tensor(),
            "random.split" => keys(&self.key().split(self.whole(1) as usize)),
            "random.foldIn" => self.key().fold_in(self.whole(1) as u32).to_tensor(),
            "random.bits" => r::bits(self.key(), &self.shape(1)),
            "random.uniform" => {
                r::uniform(self.key(), &self.shape(1), DType::F32, float("minval", 0.0), float("maxval", 1.0))
            }
            "random.normal" => r::normal(self.key(), &self.shape(1), DType::F32),
            "random.bernoulli" => r::bernoulli(self.key(), self.number(1), &self.shape(2)),
            "random.truncatedNormal" => {
                r::truncated_normal(self.key(), self.number(1), self.number(2), &self.shape(3), DType::F32)
            }
            "random.gumbel" => r::gumbel(self.key(), &self.shape(1), DType::F32),
            "random.randint" => {
                let dtype = self.option("dtype").map_or(DType::I32, |v| DType::parse(v.as_str().unwrap()).unwrap());
                r::randint(self.key(), &self.shape(1), self.whole(2), self.whole(3), dtype)
            }
            "random.permutation" => match self.arg(1).as_u64() {
                Some(n) => r::permutation(self.key(), n as usize),
                None => r::permute(self.key(), &self.tensor(1), int("axis", 0) as isize),
            },
            "random.categorical" => {
                let shape = self.option("shape").map(shape);
                r::categorical(self.key(), &self.tensor(1), int("axis", -1) as isize, shape.as_deref())
            }
            "threefry2x32Prf" => {
                let x = self.tensor(1);
                let words = x.to_vec::<u32>().unwrap();
                let out = words.chunks(2).flat_map(|w| r::threefry_2x32(self.key(), [w[0], w[1]])).collect();
                Tensor::from_vec(out, x.shape())
            }
            "threefry2x32Prange" => {
                let range = int("lo", 0) as u32..int("hi", 2) as u32;
                keys(&range.map(|i| Key(r::threefry_2x32(self.key(), [i, 0]))).collect::<Vec<_>>())
            }
            other => panic!("{}: no function {other}", self.id),
        }
        .unwrap_or_else(|e| panic!("{}: {e}", self.id))
    }
}

fn shape(v: &Value) -> Vec<usize> {
    v.as_array().unwrap().iter().map(|d| d.as_u64().unwrap() as usize).collect()
}

fn keys(keys: &[Key]) -> tallow_tensor::Result<Tensor> {
    Tensor::from_vec(keys.iter().flat_map(|k| k.0).collect(), &[keys.len(), 2])
}

#[test]
fn every_recorded_draw_is_reproduced() {
    let file: Value = serde_json::from_str(JSON).unwrap();
    let arrays = SafeTensors::deserialize(ARRAYS).unwrap();
    let mut count = 0;
    for case in file["cases"].as_array().unwrap().iter().filter(|c| c["kind"] == "function") {
        let id = case["id"].as_str().unwrap();
        let c = Case { id, expr: &case["expr"], arrays: &arrays };
        let expected = c.array(case["result"]["tensor"].as_str().unwrap());
        let got = c.run();
        assert_eq!(got.dtype(), expected.dtype(), "{id}");
        assert_eq!(got.shape(), expected.shape(), "{id}");
        let (rtol, atol) = (case["tol"]["rtol"].as_f64().unwrap(), case["tol"]["atol"].as_f64().unwrap());
        let exact = rtol == 0.0 || !expected.dtype().is_float();
        for (i, (g, e)) in got.to_f64_vec().unwrap().iter().zip(expected.to_f64_vec().unwrap()).enumerate() {
            let close = if exact { *g == e } else { (g - e).abs() <= atol + rtol * e.abs() };
            assert!(close, "{id}: element {i} is {g:e}, recorded {e:e}");
        }
        count += 1;
    }
    assert_eq!(count, 62, "the recorded function cases");
}

#[test]
fn wrong_keys_are_refused() {
    let arrays = SafeTensors::deserialize(ARRAYS).unwrap();
    let id = "threefry2x32Prf-error-1";
    let c = Case { id, expr: &Value::Null, arrays: &arrays };
    assert!(Key::from_tensor(&c.array("x0.0")).is_err());
    assert!(Key::from_tensor(&testing::random(&[2], 0)).is_err());
}
