//! What counts as a number in a figure. Must stay a conversion: nothing is rounded or refused here.

/// A number that a figure can show; everything is drawn as `f64`.
///
/// ```
/// use wgrad_plot::Number;
/// assert_eq!(3u8.to_f64(), 3.0);
/// assert_eq!(true.to_f64(), 1.0);
/// ```
pub trait Number: Copy {
    /// The number as `f64`, rounded where it has more digits.
    fn to_f64(self) -> f64;
}

macro_rules! numbers {
    ($($kind:ty),*) => {$(
        impl Number for $kind {
            fn to_f64(self) -> f64 {
                self as f64
            }
        }
    )*};
}

numbers!(f32, f64, i8, i16, i32, i64, isize, u8, u16, u32, u64, usize);

impl Number for bool {
    fn to_f64(self) -> f64 {
        f64::from(u8::from(self))
    }
}

pub(crate) fn floats<T: Number>(values: &[T]) -> Vec<f64> {
    values.iter().map(|value| value.to_f64()).collect()
}
