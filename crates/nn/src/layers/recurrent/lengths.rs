//! Lengths of the sequences of a padded batch: what is a step and what is padding. Holds no layer.

use wgrad_graph::{DType, Error, ErrorKind, Tensor};

/// How many steps each sequence of a batch has; what comes after them is padding. Numbers of the host are checked where
/// they are given. Those of a tensor (integers, `[batch]`) are checked as the steps run, and a compiled function takes
/// other ones in each call without another plan.
#[derive(Clone)]
pub struct Lengths(Source);

#[derive(Clone)]
enum Source {
    Host(Vec<usize>),
    Tensor(Tensor),
}

impl From<&[usize]> for Lengths {
    fn from(lengths: &[usize]) -> Lengths {
        Lengths(Source::Host(lengths.to_vec()))
    }
}

impl<const N: usize> From<&[usize; N]> for Lengths {
    fn from(lengths: &[usize; N]) -> Lengths {
        Lengths(Source::Host(lengths.to_vec()))
    }
}

impl From<&Vec<usize>> for Lengths {
    fn from(lengths: &Vec<usize>) -> Lengths {
        Lengths(Source::Host(lengths.clone()))
    }
}

impl From<&Tensor> for Lengths {
    fn from(lengths: &Tensor) -> Lengths {
        Lengths(Source::Tensor(lengths.clone()))
    }
}

impl Lengths {
    /// Truth values `[time, batch, 1]` that say what is a step of a sequence `x [time, batch, features]`.
    ///
    /// ```
    /// use wgrad_graph::{DType, Device, Tensor};
    /// use wgrad_nn::Lengths;
    /// let x = Tensor::ones(&[3, 2, 1], DType::F32, &Device::cpu());
    /// let steps = Lengths::from(&[1, 3]).steps(&x)?.cast(DType::I32);
    /// assert_eq!(steps.to_vec::<i32>()?, [1, 1, 0, 1, 0, 1]);
    /// assert!(Lengths::from(&[1, 4]).steps(&x).is_err());
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    ///
    /// # Errors
    /// There is not one length for each sequence, or one is 0 or more than the steps there are. Bad numbers of a tensor make
    /// the reading of what depends on them an error.
    #[track_caller]
    pub fn steps(&self, x: &Tensor) -> Result<Tensor, Error> {
        x.check()?;
        if x.rank() != 3 {
            return Err(shape_error("a sequence is [time, batch, features]", x));
        }
        let [time, batch] = [x.size(0), x.size(1)];
        let lengths = match &self.0 {
            Source::Host(lengths) => {
                check(lengths, time, batch, x)?;
                let lengths: Vec<i32> = lengths.iter().map(|&n| n as i32).collect();
                Tensor::from_slice(&lengths, &[batch], x.device())
            }
            Source::Tensor(t) => {
                t.check()?;
                let integers = !(t.dtype().is_float() || t.dtype() == DType::Bool);
                if t.shape() != [batch] || !integers {
                    let m = format!(
                        "lengths are integers [{batch}], not {}{:?}",
                        t.dtype(),
                        t.shape()
                    );
                    return Err(shape_error(&m, x));
                }
                // A length out of range is an index out of range.
                let known = Tensor::arange(time, x.device()) + 1;
                known.index_select(0, &(t.cast(DType::I32) - 1))
            }
        };
        let at = Tensor::arange(time, x.device()).reshape(&[-1, 1, 1]);
        Ok(at.lt(&lengths.reshape(&[1, -1, 1])))
    }

    /// Truth values `[batch, time]` that say what is padding of a sequence `x [time, batch, features]`: the
    /// `key_padding_mask` of an attention.
    ///
    /// ```
    /// use wgrad_graph::{DType, Device, Tensor};
    /// use wgrad_nn::{AttentionMasks, Lengths};
    /// let x = Tensor::ones(&[3, 2, 1], DType::F32, &Device::cpu());
    /// let padding = Lengths::from(&[1, 3]).padding_mask(&x)?;
    /// assert_eq!(padding.cast(DType::I32).to_vec::<i32>()?, [0, 1, 1, 0, 0, 0]);
    /// let masks = AttentionMasks::causal().key_padding_mask(&padding);
    /// assert!(masks.is_causal);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Lengths::steps`].
    #[track_caller]
    pub fn padding_mask(&self, x: &Tensor) -> Result<Tensor, Error> {
        Ok(self.steps(x)?.squeeze(2).t().logical_not())
    }
}

fn check(lengths: &[usize], time: usize, batch: usize, x: &Tensor) -> Result<(), Error> {
    if lengths.len() != batch {
        let m = format!("{} lengths for {batch} sequences", lengths.len());
        return Err(shape_error(&m, x));
    }
    match lengths.iter().position(|&n| n == 0 || n > time) {
        Some(at) => {
            let m = format!(
                "length {} of sequence {at} is not within 1..={time}",
                lengths[at]
            );
            Err(shape_error(&m, x))
        }
        None => Ok(()),
    }
}

#[track_caller]
fn shape_error(message: &str, x: &Tensor) -> Error {
    Error::new(ErrorKind::Shape, "lengths", message)
        .with_operands(vec![(x.shape().to_vec(), x.dtype())])
}
