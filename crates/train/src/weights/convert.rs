//! Element types of other programs' files, and how each becomes one of ours: f64 is rounded to f32, integers must fit.

use crate::checkpoint::{Array, DType};
use safetensors::Dtype;

/// An element type as a file names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileType {
    F64,
    F32,
    F16,
    Bf16,
    I64,
    I32,
    I16,
    I8,
    U64,
    U32,
    U16,
    U8,
    Bool,
}

/// Elements of `N` bytes through a function.
fn each<const N: usize, const M: usize>(
    bytes: &[u8],
    f: impl Fn([u8; N]) -> Result<[u8; M], String>,
) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(bytes.len() / N * M);
    for (i, chunk) in bytes.chunks_exact(N).enumerate() {
        let mut word = [0; N];
        word.copy_from_slice(chunk);
        out.extend(f(word).map_err(|m| format!("element {i}: {m}"))?);
    }
    Ok(out)
}

/// A whole number as i32.
fn whole(v: i128) -> Result<[u8; 4], String> {
    let v = i32::try_from(v).map_err(|_| format!("{v} is beyond the range of i32"))?;
    Ok(v.to_le_bytes())
}

impl FileType {
    pub(super) fn size(self) -> usize {
        match self {
            FileType::F64 | FileType::I64 | FileType::U64 => 8,
            FileType::F32 | FileType::I32 | FileType::U32 => 4,
            FileType::F16 | FileType::Bf16 | FileType::I16 | FileType::U16 => 2,
            FileType::I8 | FileType::U8 | FileType::Bool => 1,
        }
    }

    pub(super) fn of_safetensors(dtype: Dtype) -> Result<FileType, String> {
        Ok(match dtype {
            Dtype::F64 => FileType::F64,
            Dtype::F32 => FileType::F32,
            Dtype::F16 => FileType::F16,
            Dtype::BF16 => FileType::Bf16,
            Dtype::I64 => FileType::I64,
            Dtype::I32 => FileType::I32,
            Dtype::I16 => FileType::I16,
            Dtype::I8 => FileType::I8,
            Dtype::U64 => FileType::U64,
            Dtype::U32 => FileType::U32,
            Dtype::U16 => FileType::U16,
            Dtype::U8 => FileType::U8,
            Dtype::BOOL => FileType::Bool,
            other => return Err(format!("element type {other:?} is not supported")),
        })
    }

    /// By a storage class of PyTorch (`FloatStorage`) or a dtype of its (`float32`).
    pub(super) fn of_torch(name: &str) -> Result<FileType, String> {
        Ok(match name {
            "DoubleStorage" | "float64" | "double" => FileType::F64,
            "FloatStorage" | "float32" | "float" => FileType::F32,
            "HalfStorage" | "float16" | "half" => FileType::F16,
            "BFloat16Storage" | "bfloat16" => FileType::Bf16,
            "LongStorage" | "int64" | "long" => FileType::I64,
            "IntStorage" | "int32" | "int" => FileType::I32,
            "ShortStorage" | "int16" | "short" => FileType::I16,
            "CharStorage" | "int8" => FileType::I8,
            "uint64" => FileType::U64,
            "uint32" => FileType::U32,
            "uint16" => FileType::U16,
            "ByteStorage" | "uint8" => FileType::U8,
            "BoolStorage" | "bool" => FileType::Bool,
            other => return Err(format!("element type {other} is not supported")),
        })
    }

    /// An array of elements of this type, which `bytes` holds exactly.
    pub(super) fn array(self, shape: Vec<usize>, bytes: &[u8]) -> Result<Array, String> {
        let want = shape.iter().try_fold(self.size(), |n, &s| n.checked_mul(s));
        if want != Some(bytes.len()) {
            let n = bytes.len();
            return Err(format!("{self:?} of shape {shape:?} cannot have {n} bytes"));
        }
        let (dtype, bytes) = match self {
            FileType::F32 => (DType::F32, bytes.to_vec()),
            FileType::F16 => (DType::F16, bytes.to_vec()),
            FileType::Bf16 => (DType::BF16, bytes.to_vec()),
            FileType::I32 => (DType::I32, bytes.to_vec()),
            FileType::U32 => (DType::U32, bytes.to_vec()),
            FileType::U8 => (DType::U8, bytes.to_vec()),
            FileType::F64 => (
                DType::F32,
                each(bytes, |w| {
                    let v = f64::from_le_bytes(w);
                    let rounded = v as f32;
                    if v.is_finite() && rounded.is_infinite() {
                        return Err(format!("{v:e} is beyond the range of f32"));
                    }
                    Ok(rounded.to_le_bytes())
                })?,
            ),
            FileType::I64 => (
                DType::I32,
                each(bytes, |w| whole(i64::from_le_bytes(w).into()))?,
            ),
            FileType::U64 => (
                DType::I32,
                each(bytes, |w| whole(u64::from_le_bytes(w).into()))?,
            ),
            FileType::I16 => (
                DType::I32,
                each(bytes, |w| whole(i16::from_le_bytes(w).into()))?,
            ),
            FileType::U16 => (
                DType::I32,
                each(bytes, |w| whole(u16::from_le_bytes(w).into()))?,
            ),
            FileType::I8 => (
                DType::I32,
                each(bytes, |w: [u8; 1]| whole(i8::from_le_bytes(w).into()))?,
            ),
            FileType::Bool => (
                DType::Bool,
                each(bytes, |w: [u8; 1]| match w[0] {
                    0 | 1 => Ok(w),
                    b => Err(format!("the byte {b} is neither 0 nor 1")),
                })?,
            ),
        };
        Ok(Array {
            dtype,
            shape,
            bytes,
        })
    }
}
