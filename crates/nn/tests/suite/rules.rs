//! The rules of the optimisers that keep more than Adam does, element by element, with every argument away from its default.

use super::optim::check;
use wgrad_nn::{Adadelta, Adagrad, Adamax, NAdam, RAdam, RmsProp, Rprop, Sgd};

#[test]
fn maximising_climbs() {
    check(
        |lr| Sgd::new(lr).maximize(true).weight_decay(0.1),
        |_, _, lr, p, g| p - lr * (0.1 * p - g),
    );
}

#[test]
fn adagrad_follows_its_formula() {
    check(
        |lr| {
            Adagrad::new(lr)
                .lr_decay(0.1)
                .weight_decay(0.05)
                .initial_accumulator_value(0.5)
                .eps(1e-3)
        },
        |m, step, lr, p, g| {
            let g = g + 0.05 * p;
            if step == 1 {
                m[0] = 0.5;
            }
            m[0] += g * g;
            p - lr / (1.0 + f64::from(step - 1) * 0.1) * g / (m[0].sqrt() + 1e-3)
        },
    );
}

#[test]
fn rmsprop_follows_its_formula() {
    for (momentum, centered) in [(0.0, false), (0.5, false), (0.0, true), (0.5, true)] {
        check(
            |lr| {
                let base = RmsProp::new(lr)
                    .alpha(0.9)
                    .eps(1e-2)
                    .weight_decay(0.05)
                    .maximize(true);
                base.momentum(momentum).centered(centered)
            },
            |m, _, lr, p, g| {
                let g = 0.05 * p - g;
                m[0] = 0.9 * m[0] + 0.1 * g * g;
                m[1] = 0.9 * m[1] + 0.1 * g;
                let square = if centered { m[0] - m[1] * m[1] } else { m[0] };
                m[2] = momentum * m[2] + g / (square.sqrt() + 1e-2);
                p - lr * m[2]
            },
        );
    }
}

#[test]
fn adadelta_follows_its_formula() {
    check(
        |lr| Adadelta::new(lr).rho(0.8).eps(1e-3).weight_decay(0.05),
        |m, _, lr, p, g| {
            let g = g + 0.05 * p;
            m[0] = 0.8 * m[0] + 0.2 * g * g;
            let delta = (m[1] + 1e-3).sqrt() / (m[0] + 1e-3).sqrt() * g;
            m[1] = 0.8 * m[1] + 0.2 * delta * delta;
            p - lr * delta
        },
    );
}

#[test]
fn adamax_follows_its_formula() {
    check(
        |lr| {
            Adamax::new(lr)
                .betas(0.8, 0.9)
                .eps(1e-3)
                .weight_decay(0.05)
                .maximize(true)
        },
        |m, step, lr, p, g| {
            let g = 0.05 * p - g;
            m[0] = 0.8 * m[0] + 0.2 * g;
            m[1] = (0.9 * m[1]).max(g.abs() + 1e-3);
            p - lr / (1.0 - 0.8f64.powi(step)) * m[0] / m[1]
        },
    );
}

#[test]
fn nadam_follows_its_formula() {
    for decoupled in [false, true] {
        check(
            |lr| {
                let base = NAdam::new(lr)
                    .betas(0.8, 0.9)
                    .eps(1e-3)
                    .weight_decay(0.1)
                    .momentum_decay(0.5);
                base.decoupled_weight_decay(decoupled)
            },
            |m, step, lr, p, g| {
                let (p, g) = if decoupled {
                    (p * (1.0 - lr * 0.1), g)
                } else {
                    (p, g + 0.1 * p)
                };
                let mu = |t: i32| 0.8 * (1.0 - 0.5 * 0.96f64.powf(f64::from(t) * 0.5));
                let product: f64 = (1..=step).map(mu).product();
                m[0] = 0.8 * m[0] + 0.2 * g;
                m[1] = 0.9 * m[1] + 0.1 * g * g;
                let denominator = (m[1] / (1.0 - 0.9f64.powi(step))).sqrt() + 1e-3;
                let ahead = mu(step + 1) / (1.0 - product * mu(step + 1)) * m[0];
                p - lr * ((1.0 - mu(step)) / (1.0 - product) * g + ahead) / denominator
            },
        );
    }
}

#[test]
fn radam_follows_its_formula() {
    for decoupled in [false, true] {
        check(
            |lr| {
                RAdam::new(lr)
                    .betas(0.8, 0.95)
                    .eps(1e-3)
                    .weight_decay(0.1)
                    .decoupled_weight_decay(decoupled)
            },
            |m, step, lr, p, g| {
                let (p, g) = if decoupled {
                    (p * (1.0 - lr * 0.1), g)
                } else {
                    (p, g + 0.1 * p)
                };
                let power = 0.95f64.powi(step);
                m[0] = 0.8 * m[0] + 0.2 * g;
                m[1] = 0.95 * m[1] + 0.05 * g * g;
                let mean = m[0] / (1.0 - 0.8f64.powi(step));
                let limit = 2.0 / 0.05 - 1.0;
                let rho = limit - 2.0 * f64::from(step) * power / (1.0 - power);
                if rho <= 5.0 {
                    return p - lr * mean;
                }
                let r = ((rho - 4.0) * (rho - 2.0) * limit / ((limit - 4.0) * (limit - 2.0) * rho))
                    .sqrt();
                p - lr * mean * r * (1.0 - power).sqrt() / (m[1].sqrt() + 1e-3)
            },
        );
    }
}

#[test]
fn rprop_follows_its_formula() {
    check(
        |_| Rprop::new(0.5).etas(0.25, 1.5).step_sizes(0.01, 0.6),
        |m, step, lr, p, g| {
            if step == 1 {
                m[1] = lr;
            }
            let agree = g * m[0];
            let factor = if agree > 0.0 {
                1.5
            } else if agree < 0.0 {
                0.25
            } else {
                1.0
            };
            m[1] = (m[1] * factor).clamp(0.01, 0.6);
            m[0] = if agree < 0.0 { 0.0 } else { g };
            p - m[1] * if m[0] == 0.0 { 0.0 } else { m[0].signum() }
        },
    );
}
