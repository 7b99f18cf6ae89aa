//! Cases and their tensors as the directory stores them.

use safetensors::SafeTensors;
use safetensors::tensor::{Metadata, TensorInfo};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;
use wgrad::{DType, Device, Tensor, f16};

/// All cases, and the file of tensors.
pub struct Store {
    lines: BTreeMap<String, Value>,
    bytes: Vec<u8>,
    /// Where each tensor lies, and where the first begins.
    header: Metadata,
    first: usize,
}

/// One case with its inputs on a device.
pub struct Case {
    pub id: String,
    /// PyTorch's name.
    pub op: String,
    pub args: Map<String, Value>,
    /// Inputs in order; i64 is read into i32.
    pub inputs: Vec<(String, Tensor)>,
    pub device: Device,
    pub rtol: f64,
    pub atol: f64,
    /// Expected outputs: values and shape.
    pub outputs: Vec<Expected>,
    /// Outputs that have a cotangent, with it.
    pub cotangents: Vec<(usize, Tensor)>,
    /// Inputs with an expected gradient.
    pub grad: Vec<(String, Expected)>,
    /// Inputs with a direction and an expected Hessian-vector product.
    pub hvp: Vec<(String, Tensor, Expected)>,
}

/// Values and shape of a stored tensor.
#[derive(Clone)]
pub struct Expected {
    pub shape: Vec<usize>,
    pub values: Vec<f64>,
    /// Whether they are compared within the tolerances; integers and booleans must be equal.
    pub float: bool,
    /// Whether the tensor must be f16.
    pub half: bool,
}

impl Store {
    pub fn open(directory: &Path) -> Result<Store, String> {
        let read =
            |name: &str| std::fs::read(directory.join(name)).map_err(|e| format!("{name}: {e}"));
        let text =
            String::from_utf8(read("cases.jsonl")?).map_err(|e| format!("cases.jsonl: {e}"))?;
        let bytes = read("tensors.safetensors")?;
        let damaged = |e| format!("tensors.safetensors: {e}");
        let (n, header) = SafeTensors::read_metadata(&bytes).map_err(damaged)?;
        // Reads the ranges too, which may lie beyond the end.
        SafeTensors::deserialize(&bytes).map_err(damaged)?;
        Ok(Store {
            lines: lines(&text)?,
            first: n + 8,
            header,
            bytes,
        })
    }

    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.lines.keys().map(String::as_str)
    }

    fn expected(&self, name: &str) -> Result<Expected, String> {
        let (shape, values, dtype) = self.stored(name)?;
        let float = matches!(dtype, safetensors::Dtype::F32 | safetensors::Dtype::F16);
        Ok(Expected {
            shape,
            values,
            float,
            half: dtype == safetensors::Dtype::F16,
        })
    }

    fn stored(&self, name: &str) -> Result<(Vec<usize>, Vec<f64>, safetensors::Dtype), String> {
        let info: &TensorInfo = self
            .header
            .info(name)
            .ok_or_else(|| format!("tensors.safetensors lacks {name}"))?;
        let (from, to) = info.data_offsets;
        let data = self
            .bytes
            .get(self.first + from..self.first + to)
            .ok_or_else(|| format!("{name} lies beyond the end of the file"))?;
        let values = match info.dtype {
            safetensors::Dtype::F32 => data
                .chunks_exact(4)
                .map(|b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]])))
                .collect(),
            safetensors::Dtype::F16 => data
                .chunks_exact(2)
                .map(|b| f16::from_le_bytes([b[0], b[1]]).to_f64())
                .collect(),
            safetensors::Dtype::I64 => data
                .chunks_exact(8)
                .map(|b| {
                    i64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f64
                })
                .collect(),
            safetensors::Dtype::U8 | safetensors::Dtype::BOOL => {
                data.iter().map(|&b| f64::from(b)).collect()
            }
            d => return Err(format!("{name} has dtype {d:?}")),
        };
        Ok((info.shape.clone(), values, info.dtype))
    }

    fn tensor(&self, name: &str, device: &Device) -> Result<Tensor, String> {
        let (shape, v, dtype) = self.stored(name)?;
        Ok(match dtype {
            safetensors::Dtype::F32 => Tensor::from_slice(
                &v.iter().map(|&x| x as f32).collect::<Vec<_>>(),
                &shape,
                device,
            ),
            safetensors::Dtype::F16 => Tensor::from_slice(
                &v.iter().map(|&x| f16::from_f64(x)).collect::<Vec<_>>(),
                &shape,
                device,
            ),
            safetensors::Dtype::I64 => Tensor::from_slice(
                &v.iter().map(|&x| x as i32).collect::<Vec<_>>(),
                &shape,
                device,
            ),
            _ => Tensor::from_slice(
                &v.iter().map(|&x| x != 0.0).collect::<Vec<_>>(),
                &shape,
                device,
            ),
        })
    }

    /// A case, its inputs made on `device`.
    pub fn case(&self, id: &str, device: &Device) -> Result<Case, String> {
        self.case_in(DType::F32, id, device)
    }

    /// A case whose floats are made on `device` in another dtype.
    pub fn case_in(&self, float: DType, id: &str, device: &Device) -> Result<Case, String> {
        let tensor = |name: &str| {
            let t = self.tensor(name, device)?;
            match t.dtype() == DType::F32 && float != DType::F32 {
                true => t.cast(float).detach().map_err(|e| e.to_string()),
                false => Ok(t),
            }
        };
        let line = self.lines.get(id).ok_or_else(|| format!("no case {id}"))?;
        let names = |key: &str| -> Vec<String> {
            let list = line.get(key).and_then(Value::as_array);
            list.into_iter()
                .flatten()
                .filter_map(|v| v.as_str().map(str::to_string))
                .collect()
        };
        let inputs = line
            .get("inputs")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        let n_outputs = line.get("outputs").and_then(Value::as_u64).unwrap_or(0) as usize;
        let cotangents: Vec<usize> = line
            .get("cotangents")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|v| Some(v.as_u64()? as usize))
            .collect();
        let mut case = Case {
            id: id.to_string(),
            op: text_of(line, "op")?,
            args: line
                .get("args")
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default(),
            inputs: Vec::new(),
            device: device.clone(),
            rtol: line.get("rtol").and_then(Value::as_f64).unwrap_or(1e-4),
            atol: line.get("atol").and_then(Value::as_f64).unwrap_or(1e-5),
            outputs: (0..n_outputs)
                .map(|i| self.expected(&format!("{id}/out/{i}")))
                .collect::<Result<_, _>>()?,
            cotangents: Vec::new(),
            grad: Vec::new(),
            hvp: Vec::new(),
        };
        for name in inputs.keys() {
            case.inputs
                .push((name.clone(), tensor(&format!("{id}/in/{name}"))?));
        }
        for i in cotangents {
            if i >= n_outputs {
                return Err(format!("a cotangent of output {i} of {n_outputs}"));
            }
            case.cotangents.push((i, tensor(&format!("{id}/ct/{i}"))?));
        }
        for name in names("grad") {
            let want = self.expected(&format!("{id}/grad/{name}"))?;
            case.grad.push((name, want));
        }
        for name in names("hvp") {
            if !case.grad.iter().any(|(n, _)| *n == name) || case.cotangents.is_empty() {
                return Err(format!("a second derivative of {name} without the first"));
            }
            let v = tensor(&format!("{id}/v/{name}"))?;
            let want = self.expected(&format!("{id}/hvp/{name}"))?;
            case.hvp.push((name, v, want));
        }
        Ok(case)
    }
}

/// The cases by their identifiers.
fn lines(text: &str) -> Result<BTreeMap<String, Value>, String> {
    let mut lines = BTreeMap::new();
    for (n, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let of = |e: String| format!("cases.jsonl, line {}: {e}", n + 1);
        let value: Value = serde_json::from_str(line).map_err(|e| of(e.to_string()))?;
        let id = text_of(&value, "id").map_err(of)?;
        if lines.insert(id.clone(), value).is_some() {
            return Err(of(format!("{id} is there twice")));
        }
    }
    Ok(lines)
}

fn text_of(value: &Value, key: &str) -> Result<String, String> {
    value
        .get(key)
        .and_then(Value::as_str)
        .map(str::to_string)
        .ok_or_else(|| format!("a case lacks {key:?}"))
}

impl Case {
    /// The input with this name.
    pub fn input(&self, name: &str) -> Result<&Tensor, String> {
        self.optional(name)
            .ok_or_else(|| format!("{} has no input {name:?}", self.id))
    }

    /// The input with this name, if the case has it.
    pub fn optional(&self, name: &str) -> Option<&Tensor> {
        self.inputs.iter().find(|(n, _)| n == name).map(|(_, t)| t)
    }

    /// The input at this position.
    pub fn at(&self, position: usize) -> Result<&Tensor, String> {
        self.inputs
            .get(position)
            .map(|(_, t)| t)
            .ok_or_else(|| format!("{} has no input {position}", self.id))
    }

    pub fn f64(&self, name: &str) -> Option<f64> {
        self.args.get(name).and_then(Value::as_f64)
    }

    pub fn int(&self, name: &str) -> Option<isize> {
        self.args
            .get(name)
            .and_then(Value::as_i64)
            .map(|v| v as isize)
    }

    pub fn bool(&self, name: &str) -> Option<bool> {
        self.args.get(name).and_then(Value::as_bool)
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.args.get(name).and_then(Value::as_str)
    }

    /// A list of integers; one integer is a list of one.
    pub fn ints(&self, name: &str) -> Option<Vec<isize>> {
        match self.args.get(name)? {
            Value::Array(list) => list
                .iter()
                .map(|v| v.as_i64().map(|v| v as isize))
                .collect(),
            v => v.as_i64().map(|v| vec![v as isize]),
        }
    }

    /// `N` sizes; one integer stands for all of them.
    pub fn sizes<const N: usize>(&self, name: &str, default: usize) -> [usize; N] {
        match self.ints(name) {
            Some(list) if list.len() == N => std::array::from_fn(|i| list[i].max(0) as usize),
            Some(list) if list.len() == 1 => [list[0].max(0) as usize; N],
            _ => [default; N],
        }
    }
}
