//! Statistics of linear models: least squares and logistic regression by maximum likelihood, with standard errors, tests,
//! intervals and tables as statsmodels prints them; selection of terms; ridge, lasso and elastic net; correlations.
//!
//! A [`Table`] holds named columns, from slices or tensors; a [`Formula`] says which terms a model has; a [`Design`] is the
//! matrix of both. Everything is computed in f64 on the host.
//!
//! ```
//! use wgrad_stats::{LinearModel, Table};
//! let table = Table::new()
//!     .numbers("x", &[1.0, 2.0, 3.0, 4.0, 5.0])?
//!     .numbers("y", &[1.1, 1.9, 3.2, 3.8, 5.0])?;
//! let model = LinearModel::fit("y ~ x", &table)?;
//! assert!((model.coefficient("x")?.estimate - 0.97).abs() < 1e-12);
//! println!("{model}");
//! # Ok::<(), wgrad_graph::Error>(())
//! ```
//!
//! It must not know layers, devices' kernels or files.

mod correlation;
mod design;
mod distribution;
mod formula;
mod linear;
mod logistic;
mod penalised;
mod select;
mod solve;
mod summary;
mod table;

pub use correlation::variance_inflation;
pub use correlation::{Correlation, CorrelationMethod, correlation, correlation_matrix};
pub use design::Design;
pub use formula::{Factor, Formula, IntoFormula, Term};
pub use linear::{Coefficient, FTest, LinearModel, Prediction, compare};
pub use logistic::{LogisticModel, Probability};
pub use penalised::{Penalised, PenalisedOptions, elastic_net, lasso, penalties, ridge};
pub use select::{Criterion, Direction, Selection, Step, select};
pub use table::Table;
