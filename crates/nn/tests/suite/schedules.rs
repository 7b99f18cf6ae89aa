//! Schedules that no stored case covers, and edges.

use super::close;
use wgrad_nn::schedule::{
    Anneal, Constant, CosineAnnealing, CosineAnnealingWarmRestarts, Cyclic, CyclicMode,
    Exponential, Linear, MultiStep, OneCycle, ReduceOnPlateau, Schedule, Sequential, Step,
    ThresholdMode,
};

fn rates(schedule: &dyn Schedule, n: u64) -> Vec<f64> {
    (0..n).map(|epoch| schedule.lr(epoch)).collect()
}

#[test]
fn factors_of_the_first_rate() {
    close(
        &rates(&Constant::new(0.3).factor(0.5).total_iters(2), 4),
        &[0.15, 0.15, 0.3, 0.3],
        1e-12,
    );
    close(
        &rates(&MultiStep::new(1.0, &[3, 1, 3], 0.5), 5),
        &[1.0, 0.5, 0.5, 0.125, 0.125],
        1e-12,
    );
    close(
        &rates(&Linear::new(1.0).start_factor(0.25).total_iters(0), 2),
        &[0.25, 0.25],
        1e-12,
    );
    assert!(Step::new(1.0, 0, 0.1).is_err() && CosineAnnealing::new(1.0, 0).is_err());
}

#[test]
fn cycles_rise_and_fall() {
    let cyclic = Cyclic::new(1.0, 3.0).step_sizes(2, 4).unwrap();
    close(
        &rates(&cyclic, 8),
        &[1.0, 2.0, 3.0, 2.5, 2.0, 1.5, 1.0, 2.0],
        1e-12,
    );
    close(
        &[cyclic.momentum(0), cyclic.momentum(2)],
        &[0.9, 0.8],
        1e-12,
    );
    let halved = cyclic.mode(CyclicMode::Triangular2);
    close(&[halved.lr(2), halved.lr(8)], &[3.0, 2.0], 1e-12);
    close(
        &[cyclic.mode(CyclicMode::ExpRange(0.5)).lr(2)],
        &[1.5],
        1e-12,
    );
    assert!(cyclic.step_sizes(0, 0).is_err());
    let down = Cyclic::new(1.0, 3.0).step_sizes(0, 2).unwrap();
    close(&rates(&down, 3), &[3.0, 2.0, 3.0], 1e-12);
}

#[test]
fn one_cycle_in_three_phases() {
    let cycle = OneCycle::new(1.0, 11)
        .unwrap()
        .anneal_strategy(Anneal::Linear)
        .three_phase(true);
    let cycle = cycle
        .pct_start(4.0 / 11.0)
        .unwrap()
        .div_factor(10.0)
        .final_div_factor(10.0);
    let want = [
        0.1, 0.4, 0.7, 1.0, 0.7, 0.4, 0.1, 0.0775, 0.055, 0.0325, 0.01, 0.01,
    ];
    close(&rates(&cycle, 12), &want, 1e-12);
    close(
        &[cycle.momentum(0), cycle.momentum(3), cycle.momentum(6)],
        &[0.95, 0.85, 0.95],
        1e-12,
    );
    assert!(
        OneCycle::new(1.0, 0).is_err() && OneCycle::new(1.0, 5).unwrap().pct_start(1.5).is_err()
    );
    assert!(
        rates(&OneCycle::new(1.0, 1).unwrap(), 2)
            .iter()
            .all(|v| v.is_finite())
    );
}

#[test]
fn warm_restarts_find_their_cycle_at_once() {
    let same = CosineAnnealingWarmRestarts::new(1.0, 3).unwrap();
    close(
        &[same.lr(u64::MAX / 3 * 3), same.lr(1)],
        &[1.0, 0.75],
        1e-12,
    );
    let longer = same.t_mult(2).unwrap().eta_min(0.5);
    close(
        &[longer.lr(3), longer.lr(6), longer.lr(9)],
        &[1.0, 0.75, 1.0],
        1e-12,
    );
}

#[test]
fn one_after_the_other() {
    let parts: Vec<(u64, Box<dyn Schedule>)> = vec![
        (0, Box::new(Constant::new(1.0).factor(0.1).total_iters(9))),
        (2, Box::new(Exponential::new(1.0, 0.5))),
    ];
    close(
        &rates(&Sequential::new(parts).unwrap(), 5),
        &[0.1, 0.1, 1.0, 0.5, 0.25],
        1e-12,
    );
    assert!(Sequential::new(Vec::new()).is_err());
    assert!(Sequential::new(vec![(1, Box::new(|_: u64| 1.0))]).is_err());
}

#[test]
fn a_plateau_cools_down_and_has_a_floor() {
    let schedule = ReduceOnPlateau::new(1.0)
        .factor(0.1)
        .unwrap()
        .patience(0)
        .cooldown(2)
        .min_lr(0.05);
    let mut schedule = schedule.threshold(0.5, ThresholdMode::Abs);
    let got: Vec<f64> = [1.0, 0.6, 0.6, 0.6, 0.6, 0.6, f64::NAN]
        .map(|m| schedule.step(m))
        .to_vec();
    close(&got, &[1.0, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05], 1e-12);
}
