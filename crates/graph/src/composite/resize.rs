//! Resampling of the spatial dimensions, PyTorch's `interpolate`, one dimension after the other: every output is a
//! weighted sum of a few inputs, its taps, whose positions and weights are computed here in f64.

use crate::error::ErrorKind;
use crate::in_f32;
use crate::tensor::Tensor;

/// How [`Tensor::interpolate`] finds values between elements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Interpolation {
    /// The element at `⌊i · scale⌋`.
    #[default]
    Nearest,
    /// The element at `⌊(i + ½) · scale⌋`.
    NearestExact,
    /// Straight lines, one spatial dimension.
    Linear,
    /// Straight lines, two spatial dimensions.
    Bilinear,
    /// Cubic convolution with `a = −0.75`, two spatial dimensions.
    Bicubic,
    /// Straight lines, three spatial dimensions.
    Trilinear,
    /// Means over adaptive windows.
    Area,
}

/// Arguments of [`Tensor::interpolate`]; size or scale factors must be given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InterpolateOptions {
    /// Spatial sizes of the result; one stands for all.
    pub size: Option<Vec<usize>>,
    /// Factors of the spatial sizes; one stands for all. Sizes are rounded down.
    pub scale_factor: Option<Vec<f64>>,
    /// How.
    pub mode: Interpolation,
    /// Whether the corners' centres coincide, rather than the images' edges; no.
    pub align_corners: bool,
    /// Whether positions follow from the rounded sizes rather than from the factors; no.
    pub recompute_scale_factor: bool,
    /// Whether shrinking widens the kernel (bilinear and bicubic only); no.
    pub antialias: bool,
}

impl InterpolateOptions {
    /// To these spatial sizes.
    pub fn size(size: &[usize]) -> Self {
        InterpolateOptions {
            size: Some(size.to_vec()),
            ..Self::default()
        }
    }

    /// By these factors.
    pub fn scale_factor(factors: &[f64]) -> Self {
        InterpolateOptions {
            scale_factor: Some(factors.to_vec()),
            ..Self::default()
        }
    }

    /// In another mode.
    pub fn mode(self, mode: Interpolation) -> Self {
        InterpolateOptions { mode, ..self }
    }

    /// With corners aligned or not.
    pub fn align_corners(self, align_corners: bool) -> Self {
        InterpolateOptions {
            align_corners,
            ..self
        }
    }

    /// With scales recomputed from the rounded sizes or not.
    pub fn recompute_scale_factor(self, recompute_scale_factor: bool) -> Self {
        InterpolateOptions {
            recompute_scale_factor,
            ..self
        }
    }

    /// With a wider kernel where the image shrinks, or not.
    pub fn antialias(self, antialias: bool) -> Self {
        InterpolateOptions { antialias, ..self }
    }

    /// Output size and input elements per output element of each spatial dimension.
    fn axes(&self, from: &[usize]) -> Result<Vec<Axis>, String> {
        let n = from.len();
        let sizes = match (&self.size, &self.scale_factor) {
            (Some(size), None) => spread(size, n, "sizes")?,
            (None, Some(factors)) => {
                let factors = spread(factors, n, "scale factors")?;
                let size = |(&n, f): (&usize, f64)| (n as f64 * f).floor();
                let sizes: Vec<f64> = from.iter().zip(factors).map(size).collect();
                if sizes
                    .iter()
                    .any(|&s| !(s >= 1.0 && s < f64::from(i32::MAX)))
                {
                    return Err(format!("sizes would become {sizes:?}"));
                }
                sizes.into_iter().map(|s| s as usize).collect()
            }
            _ => return Err("takes either size or scale_factor".into()),
        };
        if sizes.contains(&0) || from.contains(&0) {
            return Err(format!("sizes {from:?} and {sizes:?} must be at least 1"));
        }
        if crate::shape::checked_numel(&sizes).is_none() {
            return Err(format!("sizes {sizes:?} are too large"));
        }
        let factors = match &self.scale_factor {
            Some(f) if !self.recompute_scale_factor => Some(spread(f, n, "scale factors")?),
            _ => None,
        };
        let axis = |d: usize| {
            let (input, output) = (from[d], sizes[d]);
            let scale = match &factors {
                Some(f) if f[d] > 0.0 => 1.0 / f[d],
                _ => input as f64 / output as f64,
            };
            let corners = if output > 1 {
                (input - 1) as f64 / (output - 1) as f64
            } else {
                0.0
            };
            let align = self.align_corners;
            Axis {
                input,
                output,
                scale: if align { corners } else { scale },
                align,
            }
        };
        Ok((0..n).map(axis).collect())
    }
}

/// `n` values; one stands for all.
fn spread<T: Copy>(list: &[T], n: usize, what: &str) -> Result<Vec<T>, String> {
    match list {
        [one] => Ok(vec![*one; n]),
        _ if list.len() == n => Ok(list.to_vec()),
        _ => Err(format!(
            "{} {what} do not fit {n} spatial dimensions",
            list.len()
        )),
    }
}

/// One dimension to be resampled.
struct Axis {
    input: usize,
    output: usize,
    /// Input elements per output element.
    scale: f64,
    align: bool,
}

/// Positions and weights of the inputs that make one output.
type Taps = Vec<(usize, f64)>;

impl Axis {
    /// Where the centre of output `i` lies among the inputs' centres.
    fn source(&self, i: usize) -> f64 {
        if self.align {
            i as f64 * self.scale
        } else {
            (i as f64 + 0.5) * self.scale - 0.5
        }
    }

    fn nearest(&self, i: usize, shift: f64) -> usize {
        // Rounded to f32 first: a product just below a whole number counts as that number.
        let at = ((i as f64 + shift) * self.scale) as f32;
        (at.floor() as usize).min(self.input - 1)
    }

    fn linear(&self, i: usize) -> Taps {
        let at = self.source(i).max(0.0);
        let first = (at.floor() as usize).min(self.input - 1);
        let weight = (at - first as f64).min(1.0);
        vec![
            (first, 1.0 - weight),
            ((first + 1).min(self.input - 1), weight),
        ]
    }

    fn cubic(&self, i: usize) -> Taps {
        let at = self.source(i);
        let first = at.floor();
        let clamp = |j: f64| j.clamp(0.0, (self.input - 1) as f64) as usize;
        let tap = |j: f64| (clamp(first + j), cubic_kernel(at - first - j, -0.75));
        [-1.0, 0.0, 1.0, 2.0].map(tap).to_vec()
    }

    /// The kernel, of half-width `half`, is stretched where the image shrinks, and its weights normalised.
    fn antialiased(&self, i: usize, half: f64, kernel: fn(f64) -> f64) -> Taps {
        let stretch = self.scale.max(1.0);
        let (centre, reach) = (self.scale * (i as f64 + 0.5), half * stretch);
        let last = self.input as f64;
        let lo = (centre - reach + 0.5).trunc().clamp(0.0, last - 1.0) as usize;
        let hi = ((centre + reach + 0.5).trunc().clamp(0.0, last) as usize).max(lo + 1);
        let weight = |j: usize| kernel((j as f64 - centre + 0.5) / stretch);
        let total: f64 = (lo..hi).map(weight).sum();
        let total = if total == 0.0 { 1.0 } else { total };
        (lo..hi).map(|j| (j, weight(j) / total)).collect()
    }
}

/// Keys' cubic convolution kernel (1981).
fn cubic_kernel(x: f64, a: f64) -> f64 {
    let x = x.abs();
    if x <= 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * a
    } else {
        0.0
    }
}

impl Tensor {
    /// Images `[batch, channels, spatial…]` of one to three spatial dimensions, resampled.
    ///
    /// ```
    /// # use wgrad_graph::{Device, InterpolateOptions, Interpolation, Tensor};
    /// let x = Tensor::from_slice(&[0.0f32, 2.0], &[1, 1, 2], &Device::cpu());
    /// let options = InterpolateOptions::size(&[3]).mode(Interpolation::Linear).align_corners(true);
    /// assert_eq!(x.interpolate(&options).to_vec::<f32>()?, [0.0, 1.0, 2.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn interpolate(&self, options: &InterpolateOptions) -> Tensor {
        in_f32!([self] => |x| x.interpolate(options));
        use Interpolation as I;
        let op = "interpolate";
        if !(3..=5).contains(&self.rank()) {
            return self.fail(op, "takes [batch, channels, 1 to 3 spatial dimensions]");
        }
        let spatial = self.rank() - 2;
        let fits = match options.mode {
            I::Linear => spatial == 1,
            I::Bilinear | I::Bicubic => spatial == 2,
            I::Trilinear => spatial == 3,
            _ => true,
        };
        let smooth = matches!(
            options.mode,
            I::Linear | I::Bilinear | I::Bicubic | I::Trilinear
        );
        if !fits {
            let m = format!(
                "{:?} does not take {spatial} spatial dimensions",
                options.mode
            );
            return self.fail(op, m);
        }
        if (options.align_corners && !smooth)
            || (options.antialias && !matches!(options.mode, I::Bilinear | I::Bicubic))
        {
            let m = format!("{:?} has no such option: {options:?}", options.mode);
            return self.fail_kind(ErrorKind::Value, op, m);
        }
        let axes = match options.axes(&self.shape()[2..]) {
            Ok(axes) => axes,
            Err(m) => return self.fail(op, m),
        };
        if options.mode == I::Area {
            return self.area(&axes);
        }
        let x = if smooth {
            self.to_float()
        } else {
            self.clone()
        };
        axes.iter()
            .enumerate()
            .fold(x, |x, (d, axis)| x.resample(d + 2, axis, options))
    }

    #[track_caller]
    fn area(&self, axes: &[Axis]) -> Tensor {
        let to = |d: usize| Some(axes[d].output);
        match axes.len() {
            1 => self.adaptive_avg_pool1d([to(0)]),
            2 => self.adaptive_avg_pool2d([to(0), to(1)]),
            _ => self.adaptive_avg_pool3d([to(0), to(1), to(2)]),
        }
    }

    /// One dimension resampled.
    #[track_caller]
    fn resample(&self, d: usize, axis: &Axis, options: &InterpolateOptions) -> Tensor {
        use Interpolation as I;
        let all = 0..axis.output;
        match options.mode {
            I::Nearest => self.picked_along(d, all.map(|i| axis.nearest(i, 0.0)).collect()),
            I::NearestExact => self.picked_along(d, all.map(|i| axis.nearest(i, 0.5)).collect()),
            I::Bicubic if options.antialias => {
                let taps = |i| axis.antialiased(i, 2.0, |x| cubic_kernel(x, -0.5));
                self.weighted(d, &all.map(taps).collect::<Vec<_>>())
            }
            I::Bicubic => self.weighted(d, &all.map(|i| axis.cubic(i)).collect::<Vec<_>>()),
            _ if options.antialias => {
                let taps = |i| axis.antialiased(i, 1.0, |x| (1.0 - x.abs()).max(0.0));
                self.weighted(d, &all.map(taps).collect::<Vec<_>>())
            }
            _ => self.weighted(d, &all.map(|i| axis.linear(i)).collect::<Vec<_>>()),
        }
    }

    /// Elements of dimension `d` at these positions. Whole factors repeat without an index.
    #[track_caller]
    fn picked_along(&self, d: usize, at: Vec<usize>) -> Tensor {
        let n = self.shape()[d];
        let times = at.len() / n;
        if times * n == at.len() && at.iter().enumerate().all(|(i, &j)| j == i / times) {
            let mut wide = self.shape().to_vec();
            wide.insert(d + 1, times);
            let mut to = self.shape().to_vec();
            to[d] = at.len();
            return self
                .unsqueeze(d as isize + 1)
                .expand_to(&wide)
                .reshape_to(&to);
        }
        let at: Vec<i32> = at.into_iter().map(|j| j as i32).collect();
        self.index_select(d as isize, &Tensor::new(&at, self.device()))
    }

    /// Weighted sums of elements of dimension `d`.
    #[track_caller]
    fn weighted(&self, d: usize, taps: &[Taps]) -> Tensor {
        let most = taps.iter().map(Vec::len).max().unwrap_or(1);
        let (mut at, mut weights) = (Vec::new(), Vec::new());
        for list in taps {
            for t in 0..most {
                // A tap too few repeats the first with weight 0.
                let (j, w) = list.get(t).copied().unwrap_or((list[0].0, 0.0));
                at.push(j as i32);
                weights.push(w as f32);
            }
        }
        let mut wide = self.shape().to_vec();
        wide.splice(d..=d, [taps.len(), most]);
        let mut thin = vec![1; wide.len() - d];
        (thin[0], thin[1]) = (taps.len(), most);
        let weights = Tensor::from_slice(&weights, &thin, self.device()).cast(self.dtype());
        let taken = self.index_select(d as isize, &Tensor::new(&at, self.device()));
        (taken.reshape_to(&wide) * weights).sum_dims(&[d as isize + 1], false)
    }
}
