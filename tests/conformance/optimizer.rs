//! Optimisers, on the small model that the directory's README describes.

use crate::case::Case;
use wgrad::nn::{
    Adadelta, Adagrad, Adam, AdamW, Adamax, NAdam, RAdam, RmsProp, Rprop, Sgd, gradients,
};
use wgrad::{DType, Module, Optimizer, Tensor};

/// The outputs of a case of this group.
pub fn run(case: &Case) -> Option<Result<Vec<Tensor>, String>> {
    let optimizer = optimizer(case)?;
    Some(train(case, optimizer))
}

#[derive(Module)]
struct Model {
    w0: Tensor,
    b0: Tensor,
    w1: Tensor,
    b1: Tensor,
}

impl Model {
    /// The mean cross-entropy of a batch.
    fn loss(&self, x: &Tensor, y: &Tensor) -> Tensor {
        let hidden = x.linear(&self.w0, Some(&self.b0)).tanh();
        wgrad::nn::loss::cross_entropy(&hidden.linear(&self.w1, Some(&self.b1)), y)
    }
}

fn train(case: &Case, mut optimizer: Box<dyn Optimizer>) -> Result<Vec<Tensor>, String> {
    let input = |name: &str| case.input(name).cloned();
    let mut model = Model {
        w0: input("w0")?,
        b0: input("b0")?,
        w1: input("w1")?,
        b1: input("b1")?,
    };
    let (x, y) = (case.input("x")?, case.input("y")?.cast(DType::I32));
    let mut losses = Vec::new();
    for step in 0..x.size(0) as isize {
        let loss = model.loss(&x.select(0, step), &y.select(0, step));
        let gradients = gradients(&loss, &model).map_err(|e| e.to_string())?;
        optimizer
            .step(&mut model, &gradients)
            .map_err(|e| e.to_string())?;
        losses.push(loss);
    }
    let losses = Tensor::stack(&losses.iter().collect::<Vec<_>>(), 0);
    Ok(vec![model.w0, model.b0, model.w1, model.b1, losses])
}

/// Two numbers of a list.
fn two(case: &Case, name: &str, default: (f64, f64)) -> (f64, f64) {
    let list = case.args.get(name).and_then(|v| v.as_array());
    let at = |i: usize| list.and_then(|l| l.get(i)).and_then(|v| v.as_f64());
    at(0).zip(at(1)).unwrap_or(default)
}

fn optimizer(case: &Case) -> Option<Box<dyn Optimizer>> {
    of_adams_family(case).or_else(|| of_the_others(case))
}

/// What the cases have in common: a number by name, with its default, and a flag.
fn number(case: &Case, name: &str, default: f64) -> f64 {
    case.f64(name).unwrap_or(default)
}

fn flag(case: &Case, name: &str) -> bool {
    case.bool(name).unwrap_or(false)
}

fn of_adams_family(case: &Case) -> Option<Box<dyn Optimizer>> {
    let number = |name: &str, default: f64| number(case, name, default);
    let flag = |name: &str| flag(case, name);
    let (lr, eps) = (number("lr", 1e-3), number("eps", 1e-8));
    let (decay, maximize, decoupled) = (
        number("weight_decay", 0.0),
        flag("maximize"),
        flag("decoupled_weight_decay"),
    );
    let (beta1, beta2) = two(case, "betas", (0.9, 0.999));
    Some(match case.op.as_str() {
        // PyTorch's Adam with this flag is AdamW.
        "Adam" if !decoupled => Box::new(
            Adam::new(lr)
                .betas(beta1, beta2)
                .eps(eps)
                .weight_decay(decay)
                .amsgrad(flag("amsgrad"))
                .maximize(maximize),
        ),
        "Adam" | "AdamW" => Box::new(
            AdamW::new(lr)
                .betas(beta1, beta2)
                .eps(eps)
                .weight_decay(number(
                    "weight_decay",
                    if case.op == "Adam" { 0.0 } else { 0.01 },
                ))
                .amsgrad(flag("amsgrad"))
                .maximize(maximize),
        ),
        "Adamax" => Box::new(
            Adamax::new(number("lr", 2e-3))
                .betas(beta1, beta2)
                .eps(eps)
                .weight_decay(decay)
                .maximize(maximize),
        ),
        "NAdam" => Box::new(
            NAdam::new(number("lr", 2e-3))
                .betas(beta1, beta2)
                .eps(eps)
                .weight_decay(decay)
                .momentum_decay(number("momentum_decay", 4e-3))
                .decoupled_weight_decay(decoupled)
                .maximize(maximize),
        ),
        "RAdam" => Box::new(
            RAdam::new(lr)
                .betas(beta1, beta2)
                .eps(eps)
                .weight_decay(decay)
                .decoupled_weight_decay(decoupled)
                .maximize(maximize),
        ),
        _ => return None,
    })
}

fn of_the_others(case: &Case) -> Option<Box<dyn Optimizer>> {
    let number = |name: &str, default: f64| number(case, name, default);
    let (decay, maximize) = (number("weight_decay", 0.0), flag(case, "maximize"));
    let eps = |default: f64| number("eps", default);
    Some(match case.op.as_str() {
        "SGD" => Box::new(
            Sgd::new(number("lr", 1e-3))
                .momentum(number("momentum", 0.0))
                .dampening(number("dampening", 0.0))
                .weight_decay(decay)
                .nesterov(flag(case, "nesterov"))
                .maximize(maximize),
        ),
        "Adagrad" => Box::new(
            Adagrad::new(number("lr", 1e-2))
                .lr_decay(number("lr_decay", 0.0))
                .weight_decay(decay)
                .initial_accumulator_value(number("initial_accumulator_value", 0.0))
                .eps(eps(1e-10))
                .maximize(maximize),
        ),
        "RMSprop" => Box::new(
            RmsProp::new(number("lr", 1e-2))
                .alpha(number("alpha", 0.99))
                .eps(eps(1e-8))
                .weight_decay(decay)
                .momentum(number("momentum", 0.0))
                .centered(flag(case, "centered"))
                .maximize(maximize),
        ),
        "Adadelta" => Box::new(
            Adadelta::new(number("lr", 1.0))
                .rho(number("rho", 0.9))
                .eps(eps(1e-6))
                .weight_decay(decay)
                .maximize(maximize),
        ),
        "Rprop" => {
            let ((shrink, grow), (least, most)) = (
                two(case, "etas", (0.5, 1.2)),
                two(case, "step_sizes", (1e-6, 50.0)),
            );
            Box::new(
                Rprop::new(number("lr", 1e-2))
                    .etas(shrink, grow)
                    .step_sizes(least, most)
                    .maximize(maximize),
            )
        }
        _ => return None,
    })
}
