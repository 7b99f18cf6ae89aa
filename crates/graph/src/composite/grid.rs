//! Sampling images at places given by a grid, and grids of affine maps (PyTorch's `grid_sample` and `affine_grid`).

use crate::dtype::DType;
use crate::error::ErrorKind;
use crate::in_f32;
use crate::tensor::Tensor;

/// How a value between pixels is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GridMode {
    /// Linearly, from the 4 (or 8) pixels around.
    #[default]
    Bilinear,
    /// The nearest pixel, halves to even.
    Nearest,
    /// By cubic polynomials through 16 pixels (two dimensions only; `A = −0.75`).
    Bicubic,
}

/// What lies outside the image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GridPadding {
    /// 0.
    #[default]
    Zeros,
    /// The nearest pixel of the border.
    Border,
    /// The image reflected at its borders.
    Reflection,
}

/// Options of [`Tensor::grid_sample`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GridSampleOptions {
    /// Between pixels.
    pub mode: GridMode,
    /// Outside the image.
    pub padding: GridPadding,
    /// Whether −1 and 1 are the centres of the outermost pixels, else their outer edges.
    pub align_corners: bool,
}

/// Coefficient of the cubic polynomials.
const A: f64 = -0.75;

impl Tensor {
    /// The image at the places of a grid: `[n, c, h, w]` with grid `[n, oh, ow, 2]` (x, then y, −1 … 1) to `[n, c, oh, ow]`;
    /// `[n, c, d, h, w]` with `[n, od, oh, ow, 3]` to `[n, c, od, oh, ow]`. Gradients flow to both. NaN counts as −1.
    ///
    /// ```
    /// # use wgrad_graph::{Device, GridSampleOptions, Tensor};
    /// let d = Device::cpu();
    /// let x = Tensor::new(&[1.0f32, 2.0, 3.0, 4.0], &d).reshape(&[1, 1, 2, 2]);
    /// let middle = Tensor::new(&[0.0f32, 0.0], &d).reshape(&[1, 1, 1, 2]);
    /// assert_eq!(x.grid_sample(&middle, &GridSampleOptions::default()).item::<f32>()?, 2.5);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn grid_sample(&self, grid: &Tensor, options: &GridSampleOptions) -> Tensor {
        in_f32!([self, grid] => |x, grid| x.grid_sample(grid, options));
        let op = "grid_sample";
        let space = self.rank().saturating_sub(2);
        let fits = (2..=3).contains(&space)
            && grid.rank() == space + 2
            && grid.size(-1) == space
            && grid.size(0) == self.size(0);
        if !fits || self.shape()[2..].contains(&0) {
            let m = format!("a grid {:?} for {:?}", grid.shape(), self.shape());
            return self.fail_with(grid, op, m);
        }
        if options.mode == GridMode::Bicubic && space != 2 {
            return self.fail_kind(ErrorKind::Value, op, "bicubic takes two dimensions");
        }
        let (x, grid) = (self.to_float(), grid.to_float());
        let places: Vec<usize> = grid.shape()[1..=space].to_vec();
        let count = crate::shape::numel(&places);
        let sizes = &x.shape()[2..];
        // Coordinates in pixels, the outermost dimension first: `[n, count]` each.
        let mut at = Vec::with_capacity(space);
        for (d, &size) in sizes.iter().enumerate() {
            let c = grid.select(-1, (space - 1 - d) as isize);
            let c = c.reshape_to(&[x.shape()[0], count]);
            let c = pixels(&c, size, options.align_corners);
            at.push(match options.mode {
                GridMode::Bicubic => c,
                _ => outside(&c, size, options),
            });
        }
        let out = match options.mode {
            GridMode::Nearest => {
                let near: Vec<Tensor> = at.iter().map(|c| c.stop_gradient().round()).collect();
                x.pixels_at(&near)
            }
            GridMode::Bilinear => x.blended_at(&at, 2, &linear, options),
            GridMode::Bicubic => x.blended_at(&at, 4, &cubic, options),
        };
        if out.check().is_err() {
            return out;
        }
        out.reshape_to(&[&x.shape()[..2], &places[..]].concat())
    }

    /// The weighted sum of the `taps` pixels around each place in every dimension.
    #[track_caller]
    fn blended_at(
        &self,
        at: &[Tensor],
        taps: usize,
        weights: &dyn Fn(&Tensor) -> Vec<Tensor>,
        options: &GridSampleOptions,
    ) -> Tensor {
        let mut axes = Vec::with_capacity(at.len());
        for (d, c) in at.iter().enumerate() {
            let size = self.shape()[2 + d];
            let floor = c.stop_gradient().floor();
            let share = weights(&(c - &floor));
            let mut list = Vec::with_capacity(taps);
            for (k, share) in share.into_iter().enumerate() {
                let place = &floor + (k as f64 - (taps / 2 - 1) as f64);
                let place = match options.mode {
                    GridMode::Bicubic => outside(&place, size, options),
                    _ => place,
                };
                list.push((place, share));
            }
            axes.push(list);
        }
        let mut sum: Option<Tensor> = None;
        for corner in 0..taps.pow(at.len() as u32) {
            let (mut rest, mut places, mut weight) = (corner, Vec::new(), None::<Tensor>);
            for list in &axes {
                let (place, share) = &list[rest % taps];
                rest /= taps;
                places.push(place.clone());
                weight = Some(match weight {
                    Some(w) => w * share,
                    None => share.clone(),
                });
            }
            let Some(weight) = weight else { continue };
            let term = self.pixels_at(&places) * weight.unsqueeze(1);
            sum = Some(match sum {
                Some(s) => s + term,
                None => term,
            });
        }
        sum.unwrap_or_else(|| self.clone())
    }

    /// Pixels `[n, c, count]` at whole coordinates `[n, count]` for each dimension; 0 outside.
    #[track_caller]
    fn pixels_at(&self, at: &[Tensor]) -> Tensor {
        let (n, channels) = (self.shape()[0], self.shape()[1]);
        let sizes = &self.shape()[2..];
        let mut flat: Option<Tensor> = None;
        let mut inside: Option<Tensor> = None;
        for (c, &size) in at.iter().zip(sizes) {
            let c = c.stop_gradient();
            let here = c
                .ge_scalar(0.0)
                .logical_and(&c.le_scalar((size - 1) as f64));
            let place = Tensor::where_(&here, &c, &c.zeros_like()).cast(DType::I32);
            flat = Some(match flat {
                Some(f) => f * size as f64 + place,
                None => place,
            });
            inside = Some(match inside {
                Some(i) => i.logical_and(&here),
                None => here,
            });
        }
        let (Some(flat), Some(inside)) = (flat, inside) else {
            return self.clone();
        };
        let count = flat.size(1);
        let image = self.reshape_to(&[n, channels, crate::shape::numel(sizes)]);
        let index = flat.unsqueeze(1).expand_to(&[n, channels, count]);
        let picked = image.gather_at(2, &index);
        Tensor::where_(&inside.unsqueeze(1), &picked, &picked.zeros_like())
    }

    /// The grid of affine maps `theta [n, 2, 3]` over images of size `[n, c, h, w]`, as `[n, h, w, 2]`, or of
    /// `[n, 3, 4]` over `[n, c, d, h, w]`, as `[n, d, h, w, 3]`.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let same = Tensor::new(&[1.0f32, 0.0, 0.0, 0.0, 1.0, 0.0], &Device::cpu()).reshape(&[1, 2, 3]);
    /// let grid = same.affine_grid(&[1, 1, 1, 2], false);
    /// assert_eq!(grid.to_vec::<f32>()?, [-0.5, 0.0, 0.5, 0.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn affine_grid(&self, size: &[usize], align_corners: bool) -> Tensor {
        in_f32!([self] => |x| x.affine_grid(size, align_corners));
        let space = size.len().saturating_sub(2);
        let fits = (2..=3).contains(&space) && self.shape() == [size[0], space, space + 1];
        if !fits || !self.dtype().is_float() {
            let m = format!("maps {}{:?} for size {size:?}", self.dtype(), self.shape());
            return self.fail("affine_grid", m);
        }
        let places = &size[2..];
        let count = crate::shape::numel(places);
        let mut base = Vec::with_capacity(space + 1);
        for d in (0..space).rev() {
            let n = places[d];
            let step = |i: usize| match (align_corners, n) {
                (_, 0 | 1) => 0.0,
                (true, _) => 2.0 * i as f64 / (n - 1) as f64 - 1.0,
                (false, _) => (2.0 * i as f64 + 1.0) / n as f64 - 1.0,
            };
            let row: Vec<f32> = (0..n).map(|i| step(i) as f32).collect();
            let mut thin = vec![1; space];
            thin[d] = n;
            let wide = Tensor::new(&row, self.device()).reshape_to(&thin);
            base.push(wide.expand_to(places).reshape_to(&[count]));
        }
        base.push(Tensor::ones(&[count], DType::F32, self.device()));
        let base = Tensor::stack(&base.iter().collect::<Vec<_>>(), 1);
        let grid = base.unsqueeze(0).matmul(&self.mt());
        if grid.check().is_err() {
            return grid;
        }
        grid.reshape_to(&[&size[..1], places, &[space]].concat())
    }
}

/// Coordinates −1 … 1 in pixels.
#[track_caller]
fn pixels(c: &Tensor, size: usize, align_corners: bool) -> Tensor {
    let n = size as f64;
    if align_corners {
        (c + 1.0) * ((n - 1.0) / 2.0)
    } else {
        ((c + 1.0) * n - 1.0) * 0.5
    }
}

/// Coordinates brought back into the image as the padding says.
#[track_caller]
fn outside(c: &Tensor, size: usize, options: &GridSampleOptions) -> Tensor {
    let last = (size - 1) as f64;
    let held = |c: &Tensor| {
        // NaN counts as the first pixel; beyond the border no gradient flows.
        let inside = c.gt_scalar(0.0).logical_and(&c.lt_scalar(last));
        let value = c.stop_gradient();
        let value = value.masked_fill(&value.isnan(), 0.0).clamp(0.0, last);
        Tensor::where_(&inside, c, &value)
    };
    match options.padding {
        GridPadding::Zeros => c.masked_fill(&c.isnan(), -2.0),
        GridPadding::Border => held(c),
        GridPadding::Reflection => {
            let (low, high) = if options.align_corners {
                (0.0, last)
            } else {
                (-0.5, last + 0.5)
            };
            let span = high - low;
            if span == 0.0 {
                return c.stop_gradient().zeros_like();
            }
            let distance = (c - low).abs();
            let fixed = distance.stop_gradient();
            let flips = (&fixed / span).floor();
            let extra = &distance - &flips * span;
            let odd = flips.fmod(&flips.full_like(2.0)).ne_scalar(0.0);
            held(&Tensor::where_(
                &odd,
                &(-&extra + (span + low)),
                &(&extra + low),
            ))
        }
    }
}

/// Shares of the two pixels around.
#[track_caller]
fn linear(t: &Tensor) -> Vec<Tensor> {
    vec![1.0 - t, t.clone()]
}

/// Shares of the four pixels around.
#[track_caller]
fn cubic(t: &Tensor) -> Vec<Tensor> {
    let near = |x: &Tensor| ((x * (A + 2.0) - (A + 3.0)) * x) * x + 1.0;
    let far = |x: &Tensor| ((x * A - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
    let u = 1.0 - t;
    vec![far(&(t + 1.0)), near(t), near(&u), far(&(u + 1.0))]
}
