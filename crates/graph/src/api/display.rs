//! Tensors as text, aligned and shortened the way PyTorch prints them.

use crate::dtype::DType;
use crate::error::Result;
use crate::tensor::Tensor;
use std::fmt;

/// Elements shown at both ends of a long dimension.
const EDGE: usize = 3;
/// Tensors with more elements are shortened.
const THRESHOLD: usize = 1000;

impl fmt::Display for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.texts() {
            Ok(texts) => {
                let width = self
                    .shown(&texts)
                    .iter()
                    .map(|s| s.len())
                    .max()
                    .unwrap_or(0);
                f.write_str("tensor(")?;
                self.write_nested(f, &texts, width, 0, 0, 7)?;
                if self.dtype() != DType::F32 {
                    write!(f, ", dtype={}", self.dtype())?;
                }
                f.write_str(")")
            }
            Err(e) => write!(f, "tensor(<{e}>)"),
        }
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Tensor({}{:?} on {}",
            self.dtype(),
            self.shape(),
            self.device()
        )?;
        match self.check() {
            Ok(_) => f.write_str(")"),
            Err(e) => write!(f, ", invalid: {e})"),
        }
    }
}

impl Tensor {
    #[cfg(not(target_arch = "wasm32"))]
    fn texts(&self) -> Result<Vec<String>> {
        Ok(match self.dtype() {
            DType::F32 | DType::F16 | DType::BF16 => {
                floats(&self.cast(DType::F32).to_vec::<f32>()?)
            }
            DType::I32 => self.to_vec::<i32>()?.iter().map(i32::to_string).collect(),
            DType::U32 => self.to_vec::<u32>()?.iter().map(u32::to_string).collect(),
            DType::U8 => self.to_vec::<u8>()?.iter().map(u8::to_string).collect(),
            DType::Bool => self.to_vec::<bool>()?.iter().map(bool::to_string).collect(),
        })
    }

    /// A browser cannot wait for a value here.
    #[cfg(target_arch = "wasm32")]
    fn texts(&self) -> Result<Vec<String>> {
        self.check()?;
        Ok(vec!["…".to_string(); self.numel()])
    }

    fn shortened(&self, d: usize) -> bool {
        self.numel() > THRESHOLD && self.shape()[d] > 2 * EDGE
    }

    /// Positions of a dimension that are printed.
    fn positions(&self, d: usize) -> Vec<usize> {
        let n = self.shape()[d];
        (0..n)
            .filter(|&i| !self.shortened(d) || i < EDGE || i >= n - EDGE)
            .collect()
    }

    /// The printed texts.
    fn shown<'a>(&self, texts: &'a [String]) -> Vec<&'a String> {
        let mut at = vec![0];
        for d in 0..self.rank() {
            let positions = self.positions(d);
            at = at
                .iter()
                .flat_map(|&a| positions.iter().map(move |&p| a * self.shape()[d] + p))
                .collect();
        }
        at.into_iter().filter_map(|a| texts.get(a)).collect()
    }

    fn write_nested(
        &self,
        f: &mut fmt::Formatter<'_>,
        texts: &[String],
        width: usize,
        d: usize,
        base: usize,
        indent: usize,
    ) -> fmt::Result {
        if d == self.rank() {
            return write!(f, "{:>width$}", texts[base]);
        }
        let last = d + 1 == self.rank();
        f.write_str("[")?;
        let mut before = None;
        for i in self.positions(d) {
            if before.is_some() {
                self.separate(f, last, d, indent)?;
            }
            if before.is_some_and(|b| b + 1 != i) {
                f.write_str("...")?;
                self.separate(f, last, d, indent)?;
            }
            self.write_nested(
                f,
                texts,
                width,
                d + 1,
                base * self.shape()[d] + i,
                indent + 1,
            )?;
            before = Some(i);
        }
        f.write_str("]")
    }

    fn separate(
        &self,
        f: &mut fmt::Formatter<'_>,
        last: bool,
        d: usize,
        indent: usize,
    ) -> fmt::Result {
        if last {
            return f.write_str(", ");
        }
        f.write_str(",")?;
        for _ in 0..self.rank() - 1 - d {
            f.write_str("\n")?;
        }
        write!(f, "{:indent$}", "", indent = indent + 1)
    }
}

/// All whole: `1.`; else four decimals; scientific where the range is too wide for that.
#[cfg(not(target_arch = "wasm32"))]
fn floats(v: &[f32]) -> Vec<String> {
    let finite = || v.iter().filter(|x| x.is_finite());
    let most = finite().fold(0f32, |m, x| m.max(x.abs()));
    let least = finite()
        .filter(|x| **x != 0.0)
        .fold(f32::INFINITY, |m, x| m.min(x.abs()));
    let whole = finite().all(|x| x.fract() == 0.0);
    let wide = most > 1e8 || least < 1e-4 || most / least > 1e3 && !whole;
    v.iter()
        .map(|&x| match x {
            x if x.is_nan() => "nan".to_string(),
            x if x.is_infinite() => if x > 0.0 { "inf" } else { "-inf" }.to_string(),
            x if whole && most < 1e8 => format!("{x:.0}."),
            x if wide && least.is_finite() => scientific(x),
            x => format!("{x:.4}"),
        })
        .collect()
}

/// `1.0000e-05`.
#[cfg(not(target_arch = "wasm32"))]
fn scientific(x: f32) -> String {
    let text = format!("{x:.4e}");
    match text.split_once('e') {
        Some((m, e)) => match e.strip_prefix('-') {
            Some(e) => format!("{m}e-{e:0>2}"),
            None => format!("{m}e+{e:0>2}"),
        },
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use crate::{Device, Tensor};

    #[test]
    fn prints_like_pytorch() {
        let d = Device::reference();
        let t = Tensor::from_slice(&[1.0f32, -2.5, 3.0, 4.0], &[2, 2], &d);
        assert_eq!(
            t.to_string(),
            "tensor([[ 1.0000, -2.5000],\n        [ 3.0000,  4.0000]])"
        );
        assert_eq!(
            Tensor::arange(3, &d).to_string(),
            "tensor([0, 1, 2], dtype=i32)"
        );
        assert_eq!(
            Tensor::new(&[1.0f32, 2.0], &d).to_string(),
            "tensor([1., 2.])"
        );
        assert_eq!(
            Tensor::from_slice(&[0.5f32], &[], &d).to_string(),
            "tensor(0.5000)"
        );
        let long = Tensor::arange(2000, &d).to_string();
        assert_eq!(
            long,
            "tensor([   0,    1,    2, ..., 1997, 1998, 1999], dtype=i32)"
        );
        let bad = Tensor::from_slice(&[1.0f32], &[2], &d).to_string();
        assert!(
            bad.contains("from_slice") && bad.contains("display.rs"),
            "{bad}"
        );
        assert_eq!(
            Tensor::from_slice::<f32>(&[], &[2, 0], &d).to_string(),
            "tensor([[],\n        []])"
        );
    }
}
