//! The products that are measured: named by whoever tunes, or a few of the sizes that networks have.

use crate::error::{Error, ErrorKind};
use crate::plan::{Conv, ConvKind, Kernel, Matmul, Matrix};
use std::fmt;
use std::str::FromStr;

/// A product to choose kernels for; the choice serves products up to the next powers of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TuneShape {
    /// `[batch, m, k]` by `[batch, k, n]`, as they are and with either transposed in memory: what a layer and its gradients
    /// need. Written `m x n x k` or `batch x m x n x k` without spaces.
    Matmul {
        /// Pairs of matrices.
        batch: usize,
        /// Rows of the result.
        m: usize,
        /// Columns of the result.
        n: usize,
        /// Length of the sums.
        k: usize,
    },
    /// A convolution of square images that keeps their size, with both its gradients. Written
    /// `conv:batch x in_channels x out_channels x size x kernel` without spaces.
    Conv {
        /// Images.
        batch: usize,
        /// Channels of the input.
        in_channels: usize,
        /// Channels of the output.
        out_channels: usize,
        /// Height and width of an image.
        size: usize,
        /// Height and width of the kernel; odd.
        kernel: usize,
    },
}

/// Elements of an operand or a result, at most.
const MOST: usize = 1 << 26;

impl TuneShape {
    /// The layers of small networks up to those that fill a card.
    pub fn usual() -> Vec<TuneShape> {
        let matmul = |[m, n, k]: [usize; 3]| TuneShape::Matmul { batch: 1, m, n, k };
        let conv = |[batch, in_channels, out_channels, size]: [usize; 4]| TuneShape::Conv {
            batch,
            in_channels,
            out_channels,
            size,
            kernel: 3,
        };
        let mut all: Vec<TuneShape> = [
            [32, 128, 128],
            [128, 256, 784],
            [128, 10, 256],
            [256, 256, 256],
            [512, 512, 512],
            [1024, 1024, 1024],
        ]
        .map(matmul)
        .into();
        all.push(TuneShape::Matmul {
            batch: 64,
            m: 128,
            n: 128,
            k: 64,
        });
        all.extend([[64, 1, 16, 28], [64, 16, 32, 14], [16, 64, 64, 32]].map(conv));
        all
    }

    /// Its kernels, each with the lengths of its two operands and its result.
    pub(super) fn kernels(self) -> Vec<(Kernel, [usize; 3])> {
        match self {
            TuneShape::Matmul { batch, m, n, k } => [(false, false), (false, true), (true, false)]
                .into_iter()
                .map(|(a, b)| {
                    let matmul = Matmul {
                        batch,
                        m,
                        n,
                        k,
                        a: matrix(m, k, a),
                        b: matrix(k, n, b),
                    };
                    (
                        Kernel::Matmul(matmul),
                        [batch * m * k, batch * k * n, batch * m * n],
                    )
                })
                .collect(),
            TuneShape::Conv {
                batch,
                in_channels,
                out_channels,
                size,
                kernel,
            } => {
                let x = batch * in_channels * size * size;
                let weight = out_channels * in_channels * kernel * kernel;
                let y = batch * out_channels * size * size;
                let of = |kind, lengths| {
                    let conv = Conv {
                        kind,
                        batch,
                        groups: 1,
                        in_channels,
                        out_channels,
                        input: [1, size, size],
                        output: [1, size, size],
                        kernel: [1, kernel, kernel],
                        stride: [1; 3],
                        padding: [0, kernel / 2, kernel / 2],
                        dilation: [1; 3],
                    };
                    (Kernel::Conv(conv), lengths)
                };
                vec![
                    of(ConvKind::Forward, [x, weight, y]),
                    of(ConvKind::InputGrad, [y, weight, x]),
                    of(ConvKind::WeightGrad, [x, y, weight]),
                ]
            }
        }
    }

    /// Whether no size is 0 and nothing is too large.
    fn is_sound(self) -> bool {
        let fits = |sizes: &[usize]| {
            let product = sizes.iter().try_fold(1usize, |n, &s| n.checked_mul(s));
            product.is_some_and(|n| (1..=MOST).contains(&n))
        };
        match self {
            TuneShape::Matmul { batch, m, n, k } => {
                fits(&[batch, m, k]) && fits(&[batch, k, n]) && fits(&[batch, m, n])
            }
            TuneShape::Conv {
                batch,
                in_channels,
                out_channels,
                size,
                kernel,
            } => {
                kernel % 2 == 1
                    && fits(&[batch, in_channels, size, size])
                    && fits(&[batch, out_channels, size, size])
                    && fits(&[in_channels, out_channels, kernel, kernel])
            }
        }
    }
}

/// A matrix that is dense as it is, or transposed.
fn matrix(rows: usize, cols: usize, transposed: bool) -> Matrix {
    let (row, col) = if transposed { (1, rows) } else { (cols, 1) };
    Matrix {
        offset: 0,
        batch: rows * cols,
        row,
        col,
    }
}

impl FromStr for TuneShape {
    type Err = Error;

    fn from_str(text: &str) -> Result<TuneShape, Error> {
        let (conv, sizes) = match text.strip_prefix("conv:") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let sizes: Option<Vec<usize>> = sizes.split('x').map(|s| s.trim().parse().ok()).collect();
        let shape = match (conv, sizes.as_deref()) {
            (false, Some(&[m, n, k])) => Some(TuneShape::Matmul { batch: 1, m, n, k }),
            (false, Some(&[batch, m, n, k])) => Some(TuneShape::Matmul { batch, m, n, k }),
            (true, Some(&[batch, in_channels, out_channels, size, kernel])) => {
                Some(TuneShape::Conv {
                    batch,
                    in_channels,
                    out_channels,
                    size,
                    kernel,
                })
            }
            _ => None,
        };
        shape.filter(|shape| shape.is_sound()).ok_or_else(|| {
            let message = format!(
                "no shape {text:?}: use MxNxK, BATCHxMxNxK or conv:BATCHxINxOUTxSIZExKERNEL, the kernel odd, no \
                 operand beyond {MOST} elements"
            );
            Error::new(ErrorKind::Value, "tune", message)
        })
    }
}

impl fmt::Display for TuneShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TuneShape::Matmul { batch: 1, m, n, k } => write!(f, "{m}x{n}x{k}"),
            TuneShape::Matmul { batch, m, n, k } => write!(f, "{batch}x{m}x{n}x{k}"),
            TuneShape::Conv {
                batch,
                in_channels,
                out_channels,
                size,
                kernel,
            } => write!(
                f,
                "conv:{batch}x{in_channels}x{out_channels}x{size}x{kernel}"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::TuneShape;

    #[test]
    fn shapes_are_read_as_they_are_written() {
        for shape in TuneShape::usual() {
            assert_eq!(shape.to_string().parse::<TuneShape>().ok(), Some(shape));
        }
        for text in [
            "",
            "1x2",
            "0x2x3",
            "conv:1x1x1x8x2",
            "-1x2x3",
            "9999999x9999999x1",
            "axbxc",
        ] {
            assert!(text.parse::<TuneShape>().is_err(), "{text}");
        }
    }
}
