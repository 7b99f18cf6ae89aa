//! Ensembles: what several models say together.

use wgrad_graph::{DType, Error, ErrorKind, Result, Tensor};

fn alike(op: &str, predictions: &[Tensor]) -> Result<()> {
    let fail = |message: String| Err(Error::new(ErrorKind::Value, op, message));
    let Some(first) = predictions.first() else {
        return fail("there are no predictions".to_string());
    };
    for (at, p) in predictions.iter().enumerate() {
        p.check()?;
        if p.shape() != first.shape() {
            let (a, b) = (first.shape(), p.shape());
            return fail(format!(
                "prediction 0 has the shape {a:?}, prediction {at} {b:?}"
            ));
        }
    }
    Ok(())
}

/// The mean of what members of an ensemble predict: numbers, or probabilities.
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// use wgrad_train::select::mean_of;
/// let say = [[0.2f32, 0.8], [0.6, 0.4]].map(|p| Tensor::new(&p, &Device::cpu()));
/// assert_eq!(mean_of(&say)?.to_vec::<f32>()?, [0.4, 0.6]);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
///
/// # Errors
/// There are none, one is invalid, or they have several shapes.
pub fn mean_of(predictions: &[Tensor]) -> Result<Tensor> {
    alike("mean_of", predictions)?;
    let all = Tensor::stack(&predictions.iter().collect::<Vec<_>>(), 0);
    Ok(all.mean_dims(&[0], false))
}

/// The class that most members of an ensemble say; of several the lowest. `predictions` are scores `[…, classes]`, of which
/// each member's greatest is its vote; i32 `[…]`.
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// use wgrad_train::select::vote_of;
/// let say = [[0.1f32, 0.9], [0.8, 0.2], [0.3, 0.7]].map(|p| Tensor::from_slice(&p, &[1, 2], &Device::cpu()));
/// assert_eq!(vote_of(&say)?.to_vec::<i32>()?, [1]);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
///
/// # Errors
/// As [`mean_of`], or they have no dimension of classes.
pub fn vote_of(predictions: &[Tensor]) -> Result<Tensor> {
    alike("vote_of", predictions)?;
    let rank = predictions[0].rank();
    let Some(&classes) = predictions[0].shape().last() else {
        let message = "a scalar has no dimension of classes";
        return Err(Error::new(ErrorKind::Shape, "vote_of", message));
    };
    let last = rank as isize - 1;
    let mut votes: Option<Tensor> = None;
    for p in predictions {
        let one = p.argmax(last, false).one_hot(classes).cast(DType::F32);
        votes = Some(match votes {
            Some(sum) => sum + one,
            None => one,
        });
    }
    let votes = votes.ok_or_else(|| Error::new(ErrorKind::Value, "vote_of", "no predictions"))?;
    Ok(votes.argmax(last, false))
}
