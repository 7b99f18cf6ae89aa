//! Normalisation by numbers that are fitted on the training part and then applied to all parts. Works on columns, which are
//! the last dimension. Must not look at what it transforms.

use wgrad_graph::{Device, Tensor};

use crate::{Error, Result};

/// Shifts each column by its mean and divides it by its standard deviation (with `n`, as scikit-learn's).
///
/// ```
/// use wgrad_data::StandardScaler;
/// use wgrad_graph::{Device, Tensor};
/// let device = Device::cpu();
/// let train = Tensor::from_slice(&[1.0f32, 5.0, 3.0, 5.0], &[2, 2], &device);
/// let scaler = StandardScaler::fit(&train)?;
/// let test = Tensor::from_slice(&[2.0f32, 6.0], &[1, 2], &device);
/// let scaled = scaler.transform(&test);
/// assert_eq!(scaled.to_vec::<f32>()?, [0.0, 1.0]); // a constant column is only shifted
/// assert_eq!(scaler.inverse_transform(&scaled).to_vec::<f32>()?, [2.0, 6.0]);
/// # Ok::<(), wgrad_data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct StandardScaler {
    mean: Vec<f64>,
    std: Vec<f64>,
}

/// Maps each column's least value to the lower end of a range and its greatest to the upper.
///
/// ```
/// use wgrad_data::MinMaxScaler;
/// use wgrad_graph::{Device, Tensor};
/// let train = Tensor::from_slice(&[1.0f32, 3.0, 5.0], &[3, 1], &Device::cpu());
/// let scaler = MinMaxScaler::fit(&train, -1.0, 1.0)?;
/// assert_eq!(scaler.transform(&train).to_vec::<f32>()?, [-1.0, 0.0, 1.0]);
/// # Ok::<(), wgrad_data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct MinMaxScaler {
    min: Vec<f64>,
    max: Vec<f64>,
    low: f64,
    high: f64,
}

impl StandardScaler {
    /// Learns from a tensor whose last dimension is the columns. Blocks.
    ///
    /// # Errors
    /// As [`StandardScaler::fit_rows`]; the tensor's own.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn fit(train: &Tensor) -> Result<Self> {
        let (data, columns) = read(train, "StandardScaler::fit")?;
        Self::fit_rows(&data, columns)
    }

    /// Learns from rows of `columns` numbers.
    ///
    /// # Errors
    /// [`Error::Empty`] without rows; [`Error::Argument`] if the numbers are no whole rows, or one is not finite.
    pub fn fit_rows(data: &[f32], columns: usize) -> Result<Self> {
        let rows = check(data, columns, "StandardScaler::fit")?;
        let mut mean = vec![0.0; columns];
        let mut std = vec![0.0; columns];
        for row in data.chunks_exact(columns) {
            for (sum, &value) in mean.iter_mut().zip(row) {
                *sum += f64::from(value);
            }
        }
        mean.iter_mut().for_each(|sum| *sum /= rows);
        for row in data.chunks_exact(columns) {
            for ((sum, &value), mean) in std.iter_mut().zip(row).zip(&mean) {
                *sum += (f64::from(value) - mean).powi(2);
            }
        }
        for (sum, mean) in std.iter_mut().zip(&mean) {
            *sum = (*sum / rows).sqrt();
            // A constant column, also where its mean was rounded.
            if *sum <= 1e-12 * f64::abs(*mean) {
                *sum = 1.0;
            }
        }
        Ok(Self { mean, std })
    }

    /// The columns' means.
    #[must_use]
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// The columns' standard deviations; 1 for a constant column.
    #[must_use]
    pub fn std(&self) -> &[f64] {
        &self.std
    }

    /// `(x − mean) / std`, column by column.
    #[track_caller]
    #[must_use]
    pub fn transform(&self, x: &Tensor) -> Tensor {
        (x - row(&self.mean, x.device())) / row(&self.std, x.device())
    }

    /// `x std + mean`.
    #[track_caller]
    #[must_use]
    pub fn inverse_transform(&self, x: &Tensor) -> Tensor {
        x * row(&self.std, x.device()) + row(&self.mean, x.device())
    }
}

impl MinMaxScaler {
    /// Learns from a tensor whose last dimension is the columns, for the range `low` to `high`. Blocks.
    ///
    /// # Errors
    /// As [`MinMaxScaler::fit_rows`]; the tensor's own.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn fit(train: &Tensor, low: f64, high: f64) -> Result<Self> {
        let (data, columns) = read(train, "MinMaxScaler::fit")?;
        Self::fit_rows(&data, columns, low, high)
    }

    /// Learns from rows of `columns` numbers.
    ///
    /// # Errors
    /// As [`StandardScaler::fit_rows`]; [`Error::Argument`] if `low` is not below `high`.
    pub fn fit_rows(data: &[f32], columns: usize, low: f64, high: f64) -> Result<Self> {
        let function = "MinMaxScaler::fit";
        check(data, columns, function)?;
        if low.is_nan() || high.is_nan() || low >= high {
            let problem = format!("the range {low} to {high} is empty");
            return Err(Error::Argument { function, problem });
        }
        let mut min = vec![f64::INFINITY; columns];
        let mut max = vec![f64::NEG_INFINITY; columns];
        for row in data.chunks_exact(columns) {
            for ((min, max), &value) in min.iter_mut().zip(&mut max).zip(row) {
                *min = min.min(f64::from(value));
                *max = max.max(f64::from(value));
            }
        }
        Ok(Self {
            min,
            max,
            low,
            high,
        })
    }

    /// The columns' least values.
    #[must_use]
    pub fn min(&self) -> &[f64] {
        &self.min
    }

    /// The columns' greatest values.
    #[must_use]
    pub fn max(&self) -> &[f64] {
        &self.max
    }

    /// What a column's value is multiplied by; that of a constant column as if it had a range of 1.
    fn factors(&self) -> Vec<f64> {
        let range = |(min, max): (&f64, &f64)| if max > min { max - min } else { 1.0 };
        let ranges = self.min.iter().zip(&self.max).map(range);
        ranges.map(|r| (self.high - self.low) / r).collect()
    }

    /// Values within what was fitted into the range, others beyond it.
    #[track_caller]
    #[must_use]
    pub fn transform(&self, x: &Tensor) -> Tensor {
        let factors = row(&self.factors(), x.device());
        (x - row(&self.min, x.device())) * factors + self.low
    }

    /// Back to the values before.
    #[track_caller]
    #[must_use]
    pub fn inverse_transform(&self, x: &Tensor) -> Tensor {
        let factors = row(&self.factors(), x.device());
        (x - self.low) / factors + row(&self.min, x.device())
    }
}

fn row(values: &[f64], device: &Device) -> Tensor {
    let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
    Tensor::new(&values, device)
}

#[cfg(not(target_arch = "wasm32"))]
fn read(train: &Tensor, function: &'static str) -> Result<(Vec<f32>, usize)> {
    let Some(&columns) = train.shape().last() else {
        let problem = "a scalar has no columns".to_owned();
        return Err(Error::Argument { function, problem });
    };
    let data = train.cast(wgrad_graph::DType::F32).to_vec::<f32>()?;
    Ok((data, columns))
}

fn check(data: &[f32], columns: usize, function: &'static str) -> Result<f64> {
    if data.is_empty() {
        return Err(Error::Empty {
            what: "the training part",
            problem: format!("{function} needs at least one row"),
        });
    }
    if columns == 0 || !data.len().is_multiple_of(columns) {
        let problem = format!("{} numbers are no rows of {columns}", data.len());
        return Err(Error::Argument { function, problem });
    }
    if let Some(at) = data.iter().position(|value| !value.is_finite()) {
        let (row, column) = (at / columns, at % columns);
        let problem = format!(
            "the value {} of row {row}, column {column} is not finite",
            data[at]
        );
        return Err(Error::Argument { function, problem });
    }
    Ok((data.len() / columns) as f64)
}
