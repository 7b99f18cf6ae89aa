//! The LSTM gate by gate: `i = σ(W_i [x, h] + b_i)` lets in, `f = σ(…)` keeps, `o = σ(…)` shows, `g = tanh(…)` is what
//! is written: `c ← f c + i g`, `h = o tanh(c)`. From scratch beside the layer, and with weights set by hand as a
//! memory cell that is written, read and cleared. Source: Hochreiter and Schmidhuber 1997; Gers, Schmidhuber, Cummins,
//! Learning to Forget, 2000.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{LstmCell, RecurrentOptions};
use wgrad::plot::{Figure, Grid};
use wgrad::{DType, Device, Generator, Module, Tensor};

/// One step; weights are stacked in the order i, f, g, o. Returns gates, cells and outputs.
fn step(x: &Tensor, [h, c]: [&Tensor; 2], [w, u, b]: [&Tensor; 3]) -> [Tensor; 5] {
    let sums = x.matmul(&w.t()) + h.matmul(&u.t()) + b;
    let parts = sums.chunk(4, -1);
    let (i, f, g, o) = (
        parts[0].sigmoid(),
        parts[1].sigmoid(),
        parts[2].tanh(),
        parts[3].sigmoid(),
    );
    let c = &f * c + &i * g;
    let h = &o * c.tanh();
    [i, f, o, c, h]
}

/// Gates i, f, o, cell and output over time of one unit with weights set by hand.
fn remember(time: usize, device: &Device) -> wgrad::Result<[Vec<f32>; 5]> {
    // Inputs are value, write, clear, read. Gates are shut (−10) or open (+10).
    let w = [
        [0.0f32, 20.0, 0.0, 0.0], // i: opened by write
        [0.0, 0.0, -20.0, 0.0],   // f: shut by clear
        [1.0, 0.0, 0.0, 0.0],     // g: the value
        [0.0, 0.0, 0.0, 20.0],    // o: opened by read
    ];
    let w = Tensor::from_slice(&w.concat(), &[4, 4], device);
    let u = Tensor::zeros(&[4, 1], DType::F32, device);
    let b = Tensor::new(&[-10.0f32, 10.0, 0.0, -10.0], device);
    let zero = Tensor::zeros(&[1, 1], DType::F32, device);
    let (mut h, mut c) = (zero.clone(), zero);
    let mut traces: [Vec<f32>; 5] = Default::default();
    for t in 0..time {
        let on = |at: bool| f32::from(u8::from(at));
        let input = [
            (t as f32 * 0.7).sin(),
            on(t == 3),
            on(t == 30),
            on(t == 20 || t == 35),
        ];
        let all = step(
            &Tensor::from_slice(&input, &[1, 4], device),
            [&h, &c],
            [&w, &u, &b],
        );
        for (trace, tensor) in traces.iter_mut().zip(&all) {
            trace.push(tensor.item::<f32>()?);
        }
        let [_, _, _, cell, out] = all;
        (c, h) = (cell.detach()?, out.detach()?);
    }
    Ok(traces)
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let mut rng = Generator::new(lesson.seed);
    let cell = LstmCell::new(3, 5, &RecurrentOptions::default(), &mut rng, device);
    let x = rng.normal(&[2, 3], device);
    let (h, c) = (rng.normal(&[2, 5], device), rng.normal(&[2, 5], device));
    let (of_layer, cells) = cell.forward(&x, Some((&h, &c)));
    let weights = cell.parameters();
    let bias = &weights[2] + &weights[3];
    let ours = step(&x, [&h, &c], [&weights[0], &weights[1], &bias]);
    let off = (&ours[4] - of_layer).abs().amax() + (&ours[3] - cells).abs().amax();
    lesson.at_most(
        "from scratch less the layer",
        off.item::<f32>()?.into(),
        1e-6,
    )?;

    let time = 40;
    let [i, f, o, c, h] = remember(time, device)?;
    let written = f64::from((3.0f32 * 0.7).sin().tanh());
    lesson.close("kept for 17 steps", c[20].into(), written, 5e-3)?;
    lesson.close("read at step 20", h[20].into(), written.tanh(), 5e-3)?;
    lesson.close("shut at step 19", h[19].into(), 0.0, 1e-3)?;
    lesson.close("nothing is left at step 35", h[35].into(), 0.0, 1e-2)?;
    let at: Vec<usize> = (0..time).collect();
    let part = |title: &str, y: &str| Figure::new(title).x("step").y(y).size(700, 260);
    let gates = part("Gates", "open")
        .line("input: written at 3", &at, &i)
        .line("forget: cleared at 30", &at, &f)
        .line("output: read at 20 and 35", &at, &o);
    let state = part("Cell and output", "value")
        .line("cell c", &at, &c)
        .line("output h", &at, &h);
    let grid = Grid::new(1).figure(gates).figure(state);
    lesson.grid(
        "gates",
        "A memory cell that is written, read and cleared",
        &grid,
    )
}
