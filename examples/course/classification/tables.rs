//! Softmax regression on the classical tables: three irises by sepal and petal (Fisher 1936), three wines by their chemistry,
//! and tumours that are benign or malignant by their cells' nuclei. Columns are brought to mean 0 and deviation 1 by the
//! training rows' numbers; a tenth of the rows at a time is kept for the test. Source: the UCI repository.

use crate::lesson::{Lesson, Result};
use wgrad::data::StandardScaler;
use wgrad::data::{split::stratified_k_fold, table::Table};
use wgrad::nn::{Adam, Linear, gradients, loss};
use wgrad::plot::Figure;
use wgrad::{Generator, Optimizer, Reduction, Tensor};

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let rng = &mut Generator::new(lesson.seed);
    let steps = lesson.pick(300, 120);
    for (name, least) in [("iris", 0.94), ("wine", 0.96), ("breast_cancer", 0.96)] {
        let Some(file) = lesson.data(&format!("tables/{name}.csv")) else {
            lesson.say(format!(
                "{name} is left out: its table is part of scikit-learn"
            ));
            continue;
        };
        let table = Table::read_csv(file)?;
        let columns: Vec<&str> = table
            .names()
            .into_iter()
            .filter(|n| *n != "target")
            .collect();
        let x = table.matrix(&columns)?.tensor(device);
        let (codes, classes) = table.codes("target")?;
        let y = Tensor::new(&codes, device);
        let labels: Vec<usize> = codes.iter().map(|&c| c as usize).collect();
        let mut counts = vec![0; classes.len() * classes.len()];
        for fold in stratified_k_fold(&labels, 10, Some(lesson.seed))? {
            let rows = |indices: &[u32]| {
                let at: Vec<i32> = indices.iter().map(|&i| i as i32).collect();
                let at = Tensor::new(&at, device);
                (x.index_select(0, &at), y.index_select(0, &at))
            };
            let ((x, y), (x_test, y_test)) = (rows(&fold.train), rows(&fold.test));
            let scaler = StandardScaler::fit(&x)?;
            let (x, x_test) = (scaler.transform(&x), scaler.transform(&x_test));
            let mut net = Linear::new(columns.len(), classes.len(), rng, device);
            let mut adam = Adam::new(0.05);
            for _ in 0..steps {
                let mut error = net.forward(&x).cross_entropy(&y, Reduction::Mean);
                if let Some(penalty) = loss::l2(&net, 1e-3) {
                    error = error + penalty;
                }
                let gradients = gradients(&error, &net)?;
                adam.step(&mut net, &gradients)?;
            }
            let said = net.forward(&x_test).argmax(1, false).to_vec::<i32>()?;
            for (said, is) in said.iter().zip(y_test.to_vec::<i32>()?) {
                counts[is as usize * classes.len() + *said as usize] += 1;
            }
        }
        let right: usize = counts.iter().step_by(classes.len() + 1).sum();
        let share = right as f64 / table.len() as f64;
        lesson.at_least(
            &format!("{name}: rows right, each in its turn"),
            share,
            least,
        )?;
        let figure = Figure::new(name)
            .size(480, 440)
            .confusion(&classes, &counts);
        lesson.figure(
            name,
            &format!("{} rows, {} columns", table.len(), columns.len()),
            &figure,
        )?;
    }
    Ok(())
}
