//! Weights as bytes that PyTorch reads: safetensors, and the zip archive of `torch.save`.

use super::{Weights, WeightsError};
use crate::checkpoint::{Array, DType};
use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize};
use std::collections::HashMap;
use std::io::{Cursor, Write};

impl Weights {
    /// The bytes of a safetensors file, with the metadata; equal weights give equal arrays in one order.
    ///
    /// # Errors
    /// An array whose bytes do not fit its shape.
    pub fn to_safetensors(&self) -> Result<Vec<u8>, WeightsError> {
        let mut views = Vec::with_capacity(self.arrays.len());
        for (name, array) in &self.arrays {
            let dtype = match array.dtype {
                DType::F32 => Dtype::F32,
                DType::F16 => Dtype::F16,
                DType::BF16 => Dtype::BF16,
                DType::I32 => Dtype::I32,
                DType::U32 => Dtype::U32,
                DType::U8 => Dtype::U8,
                DType::Bool => Dtype::BOOL,
            };
            let view = TensorView::new(dtype, array.shape.clone(), &array.bytes)
                .map_err(|e| WeightsError::array(&self.origin, name, e))?;
            views.push((name.clone(), view));
        }
        let mut metadata: HashMap<String, String> = self
            .metadata
            .iter()
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        // Hugging Face's loaders ask for it.
        metadata
            .entry("format".into())
            .or_insert_with(|| "pt".into());
        serialize(views, Some(metadata)).map_err(|e| WeightsError::format(&self.origin, e))
    }

    /// The bytes of a file of `torch.save`: an ordered dictionary of tensors. u32, which PyTorch's storages lack, becomes
    /// int64.
    ///
    /// # Errors
    /// An array whose bytes do not fit its shape, or a name or number of elements that is too long.
    pub fn to_pth(&self) -> Result<Vec<u8>, WeightsError> {
        let wrong = |e: zip::result::ZipError| WeightsError::format(&self.origin, e);
        let options = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Stored)
            .large_file(self.arrays.values().any(|a| a.bytes.len() > 1 << 30));
        let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let mut entry = |name: &str, bytes: &[u8]| -> Result<(), WeightsError> {
            archive
                .start_file(format!("archive/{name}"), options)
                .map_err(wrong)?;
            archive
                .write_all(bytes)
                .map_err(|e| WeightsError::format(&self.origin, e))
        };
        entry("data.pkl", &self.pickle()?)?;
        entry("byteorder", b"little")?;
        for (i, array) in self.arrays.values().enumerate() {
            let wide;
            let bytes = if array.dtype == DType::U32 {
                wide = array
                    .bytes
                    .chunks_exact(4)
                    .flat_map(|w| [w[0], w[1], w[2], w[3], 0, 0, 0, 0])
                    .collect::<Vec<u8>>();
                &wide
            } else {
                &array.bytes
            };
            entry(&format!("data/{i}"), bytes)?;
        }
        entry("version", b"3\n")?;
        Ok(archive.finish().map_err(wrong)?.into_inner())
    }

    /// The dictionary as a pickle of protocol 2.
    fn pickle(&self) -> Result<Vec<u8>, WeightsError> {
        let mut out = vec![0x80, 2];
        out.extend(b"ccollections\nOrderedDict\n)R");
        out.push(b'(');
        for (i, (name, array)) in self.arrays.iter().enumerate() {
            let fail = |m: &str| WeightsError::array(&self.origin, name, m);
            let numel = elements(array).ok_or_else(|| fail("the bytes do not fit the shape"))?;
            text(&mut out, name);
            out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
            text(&mut out, "storage");
            let class = match array.dtype {
                DType::F32 => "FloatStorage",
                DType::F16 => "HalfStorage",
                DType::BF16 => "BFloat16Storage",
                DType::I32 => "IntStorage",
                DType::U32 => "LongStorage",
                DType::U8 => "ByteStorage",
                DType::Bool => "BoolStorage",
            };
            out.extend(format!("ctorch\n{class}\n").as_bytes());
            text(&mut out, &i.to_string());
            text(&mut out, "cpu");
            number(&mut out, numel);
            out.extend(b"tQ");
            number(&mut out, 0);
            out.push(b'(');
            for &n in &array.shape {
                number(&mut out, n);
            }
            out.extend(b"t(");
            for d in 0..array.shape.len() {
                let inner = array.shape[d + 1..].iter();
                number(
                    &mut out,
                    inner.fold(1usize, |n, &s| n.saturating_mul(s.max(1))),
                );
            }
            // No gradient, no hooks.
            out.extend(b"t\x89ccollections\nOrderedDict\n)RtR");
        }
        out.extend(b"u.");
        Ok(out)
    }
}

/// The number of elements, if the bytes are as many as they take.
fn elements(array: &Array) -> Option<usize> {
    let n = array
        .shape
        .iter()
        .try_fold(1usize, |n, &s| n.checked_mul(s))?;
    (n.checked_mul(array.dtype.size())? == array.bytes.len()).then_some(n)
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'X');
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.as_bytes());
}

fn number(out: &mut Vec<u8>, n: usize) {
    out.extend([0x8a, 8]);
    out.extend((n as i64).to_le_bytes());
}
