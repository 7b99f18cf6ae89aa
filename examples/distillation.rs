//! Knowledge distillation (Hinton et al. 2015) on built-in digits: a teacher is trained, then a student of a twentieth of its
//! size learns from the teacher's softened outputs; the student's average is what is kept.
//!
//!     cargo run --release --example distillation -- --resume

use wgrad::data::{DeviceDataset, digits, from_fn};
use wgrad::nn::{
    Adam, Average, Context, Flatten, Frozen, Layer, Linear, Relu, Sequential, gradients,
};
use wgrad::nn::{loss::distillation, schedule::OneCycle};
use wgrad::train::{Every, RunFolder, TrainError, Trainer};
use wgrad::{DType, Device, Generator, Module, Optimizer, Reduction, Tensor};

const BATCH: u32 = 128;

#[derive(Module)]
struct State {
    teacher: Frozen<Sequential>,
    student: Sequential,
    adam: Adam,
    average: Average<Sequential>,
}

fn network(width: usize, device: &Device) -> Sequential {
    let rng = &mut Generator::new(width as u64);
    Sequential::new()
        .with("flatten", Flatten::default())
        .with("hidden", Linear::new(784, width, rng, device))
        .with("relu", Relu)
        .with("out", Linear::new(width, 10, rng, device))
}

fn accuracy(logits: &Tensor, y: &Tensor) -> Tensor {
    logits.argmax(1, false).eq(y).cast(DType::F32).mean()
}

fn step(s: &mut State, (x, y): (Tensor, Tensor)) -> wgrad::Result<[(&'static str, Tensor); 2]> {
    let cx = &mut Context::eval();
    let teacher = s.teacher.forward(&x, cx);
    let student = s.student.forward(&x, cx);
    let loss = distillation(&student, &teacher, &y, 4.0, 0.9);
    let gradients = gradients(&loss, &s.student)?;
    s.adam.step(&mut s.student, &gradients)?;
    s.average.update(&s.student)?;
    Ok([("loss", loss), ("accuracy", accuracy(&student, &y))])
}

fn main() -> Result<(), TrainError> {
    let resume = std::env::args().any(|a| a == "--resume");
    let device = Device::best_blocking()?;
    let (train, test) = digits::train_test(6000, 2000, 1);
    let (mean, std) = train.mean_std();
    let resident = |set| {
        Ok::<_, TrainError>(DeviceDataset::new(set, &device)?.normalized(mean.into(), std.into()))
    };
    let (train, test) = (resident(&train)?, resident(&test)?);
    // Batches of random images: what an epoch has follows from its number.
    let batches = |set: &DeviceDataset| {
        let (set, n) = (set.clone(), set.len() as u32);
        from_fn((n / BATCH) as usize, move |epoch, batch| {
            let order = wgrad::data::epoch_permutation(1, epoch, n);
            let at = batch as usize * BATCH as usize;
            Ok(set.batch(&order[at..at + BATCH as usize]))
        })
    };
    let mut teacher = Trainer::supervised(network(400, &device))
        .optimizer(Adam::new(1e-3))
        .loss(|out, y| out.cross_entropy(y, Reduction::Mean))
        .metric("accuracy", accuracy)
        .validate(batches(&test))
        .checkpoint("out/distillation/teacher", Every::Epochs(1), 0)
        .resume(resume);
    teacher.fit(batches(&train), 5)?;
    let student = network(20, &device);
    let state = State {
        teacher: Frozen::new(teacher.state.model),
        average: Average::ema(network(20, &device), 0.98),
        student,
        adam: Adam::new(1e-2),
    };
    let epochs = 10;
    let total = epochs * (train.len() as u64 / u64::from(BATCH));
    let mut trainer = Trainer::new(state, step)
        .rate(|s| &mut s.adam, OneCycle::new(1e-2, total)?)
        .evaluation(|s, (x, y)| {
            let logits = s.average.module.forward(&x, &mut Context::eval());
            Ok([
                ("loss", logits.cross_entropy(&y, Reduction::Mean)),
                ("accuracy", accuracy(&logits, &y)),
            ])
        })
        .validate(batches(&test))
        .checkpoint("out/distillation/student", Every::Epochs(1), 0)
        .best("validation_accuracy", true)
        .resume(resume)
        .log(
            RunFolder::new("out/distillation")
                .seed(1)
                .setting("temperature", 4.0),
        );
    let fitted = trainer.fit(batches(&train), epochs)?;
    println!(
        "student: {:.2} %",
        100.0 * fitted.get("validation_accuracy").unwrap_or(f64::NAN)
    );
    Ok(())
}
