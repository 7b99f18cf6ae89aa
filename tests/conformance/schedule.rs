//! Learning-rate schedules: the rate of each epoch.

use crate::case::Case;
use wgrad::Tensor;
use wgrad::nn::schedule::{
    Anneal, Constant, CosineAnnealing, CosineAnnealingWarmRestarts, Cyclic, CyclicMode,
    Exponential, Linear, Mode, MultiStep, OneCycle, Polynomial, ReduceOnPlateau, Schedule, Step,
    ThresholdMode,
};

/// The outputs of a case of this group.
pub fn run(case: &Case) -> Option<Result<Vec<Tensor>, String>> {
    let rates = if case.op == "ReduceLROnPlateau" {
        plateau(case)
    } else {
        schedule(case)?.map(|s| by_epoch(case, &*s))
    };
    Some(rates.map(|r| {
        vec![Tensor::new(
            &r.iter().map(|&v| v as f32).collect::<Vec<_>>(),
            &case.device,
        )]
    }))
}

fn number(case: &Case, name: &str, default: f64) -> f64 {
    case.f64(name).unwrap_or(default)
}

fn count(case: &Case, name: &str, default: u64) -> u64 {
    case.int(name).map_or(default, |v| v.max(0) as u64)
}

fn by_epoch(case: &Case, schedule: &dyn Schedule) -> Vec<f64> {
    (0..count(case, "epochs", 30))
        .map(|epoch| schedule.lr(epoch))
        .collect()
}

fn schedule(case: &Case) -> Option<Result<Box<dyn Schedule>, String>> {
    let made = match case.op.as_str() {
        "OneCycleLR" => one_cycle(case),
        "CyclicLR" => cyclic(case),
        _ => plain(case)?,
    };
    Some(made.map_err(|e| e.to_string()))
}

fn plain(case: &Case) -> Option<wgrad::Result<Box<dyn Schedule>>> {
    let base = number(case, "base_lr", 0.1);
    let gamma = number(case, "gamma", 0.1);
    Some(Ok(match case.op.as_str() {
        "StepLR" => return Some(Step::new(base, count(case, "step_size", 1), gamma).map(boxed)),
        "MultiStepLR" => {
            let milestones = case.ints("milestones").unwrap_or_default();
            boxed(MultiStep::new(
                base,
                &milestones
                    .iter()
                    .map(|&m| m.max(0) as u64)
                    .collect::<Vec<_>>(),
                gamma,
            ))
        }
        "ExponentialLR" => boxed(Exponential::new(base, gamma)),
        "LinearLR" => boxed(
            Linear::new(base)
                .start_factor(number(case, "start_factor", 1.0 / 3.0))
                .end_factor(number(case, "end_factor", 1.0))
                .total_iters(count(case, "total_iters", 5)),
        ),
        "ConstantLR" => boxed(
            Constant::new(base)
                .factor(number(case, "factor", 1.0 / 3.0))
                .total_iters(count(case, "total_iters", 5)),
        ),
        "PolynomialLR" => boxed(Polynomial::new(
            base,
            count(case, "total_iters", 5),
            number(case, "power", 1.0),
        )),
        "CosineAnnealingLR" => {
            let made = CosineAnnealing::new(base, count(case, "T_max", 1));
            return Some(made.map(|s| boxed(s.eta_min(number(case, "eta_min", 0.0)))));
        }
        "CosineAnnealingWarmRestarts" => {
            let made = CosineAnnealingWarmRestarts::new(base, count(case, "T_0", 1));
            let made = made.and_then(|s| {
                s.eta_min(number(case, "eta_min", 0.0))
                    .t_mult(count(case, "T_mult", 1))
            });
            return Some(made.map(boxed));
        }
        _ => return None,
    }))
}

fn boxed(schedule: impl Schedule + 'static) -> Box<dyn Schedule> {
    Box::new(schedule)
}

fn one_cycle(case: &Case) -> wgrad::Result<Box<dyn Schedule>> {
    let steps = count(
        case,
        "total_steps",
        count(case, "epochs", 30) * count(case, "steps_per_epoch", 1),
    );
    let anneal = if case.text("anneal_strategy") == Some("linear") {
        Anneal::Linear
    } else {
        Anneal::Cos
    };
    let schedule = OneCycle::new(number(case, "max_lr", 0.1), steps)?
        .pct_start(number(case, "pct_start", 0.3))?
        .anneal_strategy(anneal)
        .div_factor(number(case, "div_factor", 25.0))
        .final_div_factor(number(case, "final_div_factor", 1e4))
        .three_phase(case.bool("three_phase").unwrap_or(false));
    Ok(boxed(schedule))
}

fn cyclic(case: &Case) -> wgrad::Result<Box<dyn Schedule>> {
    let up = count(case, "step_size_up", 2000);
    let mode = match case.text("mode") {
        Some("triangular2") => CyclicMode::Triangular2,
        Some("exp_range") => CyclicMode::ExpRange(number(case, "gamma", 1.0)),
        _ => CyclicMode::Triangular,
    };
    let schedule = Cyclic::new(number(case, "base_lr", 0.1), number(case, "max_lr", 0.1));
    Ok(boxed(
        schedule
            .step_sizes(up, count(case, "step_size_down", up))?
            .mode(mode),
    ))
}

fn plateau(case: &Case) -> Result<Vec<f64>, String> {
    let metric = case
        .input("metric")?
        .to_vec::<f32>()
        .map_err(|e| e.to_string())?;
    let mode = if case.text("mode") == Some("max") {
        Mode::Max
    } else {
        Mode::Min
    };
    let threshold_mode = if case.text("threshold_mode") == Some("abs") {
        ThresholdMode::Abs
    } else {
        ThresholdMode::Rel
    };
    let mut schedule = ReduceOnPlateau::new(number(case, "base_lr", 0.1))
        .factor(number(case, "factor", 0.1))
        .map_err(|e| e.to_string())?
        .mode(mode)
        .patience(count(case, "patience", 10))
        .threshold(number(case, "threshold", 1e-4), threshold_mode)
        .cooldown(count(case, "cooldown", 0))
        .min_lr(number(case, "min_lr", 0.0))
        .eps(number(case, "eps", 1e-8));
    let epoch = |&m: &f32| {
        let used = schedule.lr();
        schedule.step(f64::from(m));
        used
    };
    Ok(metric.iter().map(epoch).collect())
}
