//! Logistic regression of who defaults on a credit card, from a file with the columns `default`, `student`, `balance` and
//! `income` (Default.csv of James et al. 2021).
//!
//!     cargo run --release --features tables --example logistic -- Default.csv --resume

use wgrad::data::table::{Categories, Encoder, Table};
use wgrad::data::{Loader, StandardScaler, TensorDataset, split};
use wgrad::nn::schedule::ReduceOnPlateau;
use wgrad::nn::{Average, Linear, Sgd, gradients};
use wgrad::train::{EarlyStopping, Every, RunFolder, TrainError, Trainer};
use wgrad::{DType, Device, Generator, Module, Optimizer, Reduction, Tensor};

#[derive(Module)]
struct State {
    net: Linear,
    sgd: Sgd,
    average: Average<Linear>,
}

type Batch = (Tensor, Tensor);

fn loss(net: &Linear, (x, y): &Batch) -> Tensor {
    net.forward(x)
        .binary_cross_entropy_with_logits(y, Reduction::Mean)
}

fn step(s: &mut State, batch: Batch) -> wgrad::Result<Tensor> {
    let loss = loss(&s.net, &batch);
    let gradients = gradients(&loss, &s.net)?;
    s.sgd.step(&mut s.net, &gradients)?;
    s.average.update(&s.net)?;
    Ok(loss)
}

fn main() -> Result<(), TrainError> {
    let file = std::env::args().skip(1).find(|a| !a.starts_with("--"));
    let device = Device::best_blocking()?;
    let missing = || TrainError::Setup("which file? see the top of this example".to_string());
    let table = Table::read_csv(file.ok_or_else(missing)?)?;
    let names = ["student", "balance", "income"];
    let parts = split::random(table.len(), &[0.8, 0.2], 1)?;
    let (train, test) = (table.rows(&parts[0])?, table.rows(&parts[1])?);
    // Encoding and scaling know the training part alone.
    let encoder = Encoder::new()
        .categories(Categories::Dummies)
        .fit(&train, &names)?;
    let columns = encoder.transform(&train)?;
    let scaler = StandardScaler::fit(&columns.tensor(&device))?;
    let pairs = |table: &Table| -> Result<TensorDataset<Batch>, TrainError> {
        let x = scaler.transform(&encoder.transform(table)?.tensor(&device));
        let (y, _) = table.codes("default")?;
        let y = Tensor::from_slice(&y, &[y.len(), 1], &device).cast(DType::F32);
        Ok(TensorDataset::new((x, y))?)
    };
    let net = Linear::new(columns.columns().len(), 1, &mut Generator::new(1), &device);
    let state = State {
        average: Average::swa(net.clone()),
        net,
        sgd: Sgd::new(0.5).momentum(0.9),
    };
    let plateau = ReduceOnPlateau::new(0.5).factor(0.3)?.patience(1);
    let mut trainer = Trainer::new(state, step)
        .plateau(|s| &mut s.sgd, "validation_loss", plateau)
        .evaluation(|s, batch: Batch| {
            let right = s
                .net
                .forward(&batch.0)
                .gt_scalar(0.0)
                .cast(DType::F32)
                .eq(&batch.1);
            Ok([
                ("loss", loss(&s.net, &batch)),
                ("accuracy", right.cast(DType::F32).mean()),
            ])
        })
        .validate(Loader::new(pairs(&test)?, 512, 0)?.shuffle(false))
        .callback(EarlyStopping::new("validation_loss").patience(5))
        .checkpoint("out/logistic/checkpoints", Every::Epochs(1), 0)
        .resume(std::env::args().any(|a| a == "--resume"))
        .log(
            RunFolder::new("out/logistic")
                .seed(1)
                .setting("momentum", 0.9),
        );
    let fitted = trainer.fit(Loader::new(pairs(&train)?, 256, 1)?, 30)?;
    let weights = trainer.state.net.weight.to_vec::<f32>()?;
    for ((name, w), std) in columns.columns().iter().zip(weights).zip(scaler.std()) {
        println!("{name}: {:.5}", f64::from(w) / std);
    }
    println!(
        "right: {:.2} %",
        100.0 * fitted.get("validation_accuracy").unwrap_or(f64::NAN)
    );
    Ok(())
}
