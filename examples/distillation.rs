//! Knowledge distillation (Hinton et al. 2015) on built-in digits: a teacher is trained, then a student of a twentieth of its
//! size learns from the teacher's softened outputs, and its average is judged.
//!
//!     cargo run --release --example distillation -- --resume

use wgrad::data::{Batches, DeviceDataset, digits, epoch_permutation, from_fn};
use wgrad::nn::{Adam, Average, Context, Flatten, Frozen, Layer, Linear, Relu, Sequential};
use wgrad::nn::{gradients, loss::distillation, schedule::OneCycle};
use wgrad::train::{Every, RunFolder, TrainError, Trainer};
use wgrad::{DType, Device, Generator, Module, Optimizer, Reduction, Tensor};

const BATCH: usize = 128;

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

/// Batches in an order that follows from the epoch's number.
fn batches(set: &DeviceDataset) -> impl Batches<Item = (Tensor, Tensor)> + use<> {
    let set = set.clone();
    from_fn(set.len() / BATCH, move |epoch, batch| {
        let order = epoch_permutation(1, epoch, set.len() as u32);
        let begin = batch as usize * BATCH;
        Ok(set.batch(&order[begin..begin + BATCH]))
    })
}

fn main() -> Result<(), TrainError> {
    let resume = std::env::args().any(|a| a == "--resume");
    let device = Device::best_blocking()?;
    let (train, test) = digits::train_test(6000, 2000, 1);
    let train = DeviceDataset::new(&train, &device)?;
    let test = DeviceDataset::new(&test, &device)?;
    let mut teacher = Trainer::supervised(network(400, &device))
        .optimizer(Adam::new(1e-3))
        .loss(|out, y| out.cross_entropy(y, Reduction::Mean))
        .metric("accuracy", accuracy)
        .validate(batches(&test))
        .checkpoint("out/distillation/teacher", Every::Epochs(1), 0)
        .resume(resume);
    teacher.fit(batches(&train), 5)?;
    let state = State {
        teacher: Frozen::new(teacher.state.model),
        student: network(20, &device),
        adam: Adam::new(1e-2),
        average: Average::ema(network(20, &device), 0.98),
    };
    let total = 10 * (train.len() / BATCH) as u64;
    let mut trainer = Trainer::new(state, step)
        .rate(|s| &mut s.adam, OneCycle::new(1e-2, total)?)
        .evaluation(|s, (x, y)| {
            let logits = s.average.module.forward(&x, &mut Context::eval());
            Ok([("accuracy", accuracy(&logits, &y))])
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
    let fitted = trainer.fit(batches(&train), 10)?;
    println!(
        "the student's accuracy: {:?}",
        fitted.get("validation_accuracy")
    );
    Ok(())
}
