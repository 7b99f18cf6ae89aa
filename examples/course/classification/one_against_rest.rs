//! Ten yes-or-no questions in the place of one of ten answers: one logistic regression for each digit against the rest. Each
//! gives a receiver operating characteristic: true positives over false positives as its threshold falls. The area under it
//! is the probability that a positive is ranked above a negative: `AUC = (Σ ranks of positives − p (p + 1) / 2) / (p n)`.
//! Sources: Bishop, Pattern Recognition and Machine Learning, 4.1.2; Fawcett, An Introduction to ROC Analysis, 2006.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{Adam, Linear, compile, gradients};
use wgrad::plot::Figure;
use wgrad::{DType, Generator, Optimizer, Reduction, Tensor};

/// The area under the curve by ranks; ties would count by their order.
fn auc(scores: &Tensor, positive: &Tensor) -> wgrad::Result<f64> {
    let order = scores.argsort(0, false);
    let sorted = positive.index_select(0, &order).to_vec::<bool>()?;
    let ranks: Vec<usize> = (1..=sorted.len()).filter(|r| sorted[r - 1]).collect();
    let (p, n) = (ranks.len(), sorted.len() - ranks.len());
    let sum: usize = ranks.iter().sum();
    Ok((sum - p * (p + 1) / 2) as f64 / (p * n) as f64)
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let rng = &mut Generator::new(lesson.seed);
    let (images, tests, epochs) = lesson.pick((20_000, 10_000, 5), (3000, 2000, 5));
    let (train, test) = lesson.some_digits(images, tests)?;
    let (x_test, y_test) = test.gather(&Tensor::arange(tests, device));
    let x_test = x_test.flatten(1, -1);
    let mut logits = Vec::new();
    for each in [true, false] {
        let mut state = (Linear::new(784, 10, rng, device), Adam::new(2e-3));
        let mut step = compile(|(net, adam): &mut (Linear, Adam), index: &[Tensor]| {
            let (x, y) = train.gather(&index[0]);
            let z = net.forward(&x.flatten(1, -1));
            let loss = match each {
                true => {
                    let hot = y.one_hot(10).cast(DType::F32);
                    z.binary_cross_entropy_with_logits(&hot, Reduction::Mean) * 10.0
                }
                false => z.cross_entropy(&y, Reduction::Mean),
            };
            let gradients = gradients(&loss, net)?;
            adam.step(net, &gradients)?;
            Ok(loss)
        });
        for _ in 0..epochs {
            let order = rng.permutation(images, device);
            for at in (0..images).step_by(100) {
                step.call(&mut state, &[&order.narrow(0, at, 100)])?;
            }
        }
        logits.push(state.0.forward(&x_test));
    }
    for (name, z) in ["one against the rest", "softmax"].iter().zip(&logits) {
        let right = z.argmax(1, false).eq(&y_test).cast(DType::F32).mean();
        let least = lesson.pick(0.895, 0.78);
        lesson.at_least(
            &format!("{name}: test images right"),
            right.item::<f32>()?.into(),
            least,
        )?;
    }

    let names: Vec<String> = (0..10).map(|digit| digit.to_string()).collect();
    let said = logits[0].argmax(1, false);
    let counts = (&y_test * 10 + &said).bincount(None, 100).to_vec::<i32>()?;
    let diagonal: i32 = counts.iter().step_by(11).sum();
    lesson.say(format!(
        "{diagonal} of {tests} on the confusion matrix's diagonal"
    ));
    lesson.figure(
        "confusion",
        "Which digit is taken for which",
        &Figure::new("One against the rest")
            .size(560, 520)
            .confusion(&names, &counts),
    )?;

    let mut roc = Figure::new("Each digit against the rest").size(620, 520);
    let mut least = 1.0f64;
    for (digit, name) in names.iter().enumerate() {
        let (scores, is) = (
            logits[0].select(1, digit as isize),
            y_test.eq_scalar(digit as f64),
        );
        least = least.min(auc(&scores, &is)?);
        if [0, 1, 5, 8].contains(&digit) {
            roc = roc.roc(name, &scores.to_vec::<f32>()?, &is.to_vec::<bool>()?);
        }
    }
    lesson.at_least(
        "least area under a digit's curve",
        least,
        lesson.pick(0.92, 0.74),
    )?;
    let guess = rng.uniform(&[tests], device);
    let chance = auc(&guess, &y_test.eq_scalar(5.0))?;
    lesson.close("area under that of guesses", chance, 0.5, 0.06)?;
    lesson.figure("roc", "Up first, then right", &roc)
}
