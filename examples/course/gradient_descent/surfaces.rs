//! What a loss looks like from above, and where descent goes on it: into a local minimum, past a saddle, over a cliff that
//! throws it far away unless the gradient is clipped. Source: Goodfellow, Bengio, Courville, Deep Learning, 4.3 and 8.2.

use crate::lesson::{Lesson, Result};
use wgrad::plot::{Figure, Surface};
use wgrad::{DType, Device, Tensor, grad};

type Loss = fn(&Tensor, &Tensor) -> Tensor;

/// The places of `steps` steps from `start`; a gradient longer than `clip` is shortened to it.
fn descend(
    f: Loss,
    start: [f32; 2],
    (rate, clip): (f64, f64),
    steps: usize,
    device: &Device,
) -> wgrad::Result<[Vec<f32>; 2]> {
    let (mut x, mut y) = (
        Tensor::scalar(start[0].into(), DType::F32, device),
        Tensor::scalar(start[1].into(), DType::F32, device),
    );
    let mut path = [vec![start[0]], vec![start[1]]];
    for _ in 0..steps {
        let g = grad(&f(&x, &y), &[&x, &y])?;
        let length = g[0].hypot(&g[1]);
        let shrink = (length.recip() * clip).clamp_max(1.0) * rate;
        x = (&x - &g[0] * &shrink).detach()?;
        y = (&y - &g[1] * &shrink).detach()?;
        path[0].push(x.item::<f32>()?);
        path[1].push(y.item::<f32>()?);
    }
    Ok(path)
}

/// The loss on a grid.
fn surface(f: Loss, x: (f64, f64), y: (f64, f64), device: &Device) -> wgrad::Result<Surface> {
    let (columns, rows) = (81, 61);
    let xs = Tensor::linspace(x.0, x.1, columns, device).reshape(&[1, -1]);
    let ys = Tensor::linspace(y.0, y.1, rows, device).reshape(&[-1, 1]);
    let all = f(&xs, &ys).broadcast_to(&[rows, columns]).to_vec::<f32>()?;
    Ok(Surface::new(x, y, columns, rows, &all))
}

fn two_minima(x: &Tensor, y: &Tensor) -> Tensor {
    (x.square() - 1.0).square() + x * 0.3 + y.square()
}

fn saddle(x: &Tensor, y: &Tensor) -> Tensor {
    x.square() - y.square() + y.square().square() * 0.25
}

fn cliff(x: &Tensor, y: &Tensor) -> Tensor {
    (x * 20.0).sigmoid() * 8.0 + (x + 2.0).square() * 0.1 + y.square() * 0.5
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let f = surface(two_minima, (-1.8, 1.8), (-1.2, 1.2), device)?;
    let mut figure = Figure::new("Two minima").x("x").y("y").contour(&f, 20);
    for (start, end) in [([-0.3, 1.0], -1.035), ([0.4, -1.0], 0.96)] {
        let [x, y] = descend(two_minima, start, (0.05, f64::INFINITY), 200, device)?;
        lesson.close(
            &format!("from x = {} to x", start[0]),
            x[200].into(),
            end,
            0.01,
        )?;
        figure = figure.line(&format!("from {}", start[0]), &x, &y);
    }
    lesson.figure("minima", "Where it starts decides where it ends", &figure)?;

    let f = surface(saddle, (-1.5, 1.5), (-2.0, 2.0), device)?;
    let [x, y] = descend(saddle, [1.4, 1e-3], (0.05, f64::INFINITY), 200, device)?;
    let slow = y.iter().filter(|v| v.abs() < 0.1).count();
    lesson.at_least("steps that it spends at the saddle", slow as f64, 30.0)?;
    lesson.close("then it leaves, to y", y[200].into(), 2f64.sqrt(), 0.01)?;
    let figure = Figure::new("A saddle")
        .x("x")
        .y("y")
        .contour(&f, 20)
        .line("descent", &x, &y);
    lesson.figure("saddle", "A saddle only delays", &figure)?;

    let f = surface(cliff, (-4.0, 4.0), (-2.0, 2.0), device)?;
    let far = |path: &[f32]| path.iter().fold(0.0f32, |m, v| m.max(v.abs())).into();
    let [x, _] = descend(cliff, [0.1, 1.5], (0.5, f64::INFINITY), 30, device)?;
    let [x2, y2] = descend(cliff, [0.1, 1.5], (0.5, 0.5), 60, device)?;
    lesson.at_least("without clipping it is thrown to |x|", far(&x), 2.6)?;
    lesson.at_most("clipped, it goes to |x|", far(&x2), 2.2)?;
    lesson.close("and arrives at x", x2[60].into(), -2.0, 0.3)?;
    let figure = Figure::new("A cliff").x("x").y("y").contour(&f, 20).line(
        "clipped to length 0.5",
        &x2,
        &y2,
    );
    lesson.figure("cliff", "A cliff needs clipping", &figure)
}
