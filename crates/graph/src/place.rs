//! The caller's place through calls that lose it: a layer behind a `dyn` is called from no line. What a library records
//! within a call is given that call's place; what anybody else's code records keeps its own line.

use std::cell::Cell;
use std::panic::Location;

/// A call, and the folder of the library whose lines it stands for.
type Call = (&'static Location<'static>, &'static str);

thread_local! {
    static CALL: Cell<Option<Call>> = const { Cell::new(None) };
}

/// The line that is to blame for what `caller` does: its own, or where it belongs to the library of the call that runs,
/// that call's.
pub fn of(caller: &'static Location<'static>) -> &'static Location<'static> {
    match CALL.get() {
        Some((place, library)) if caller.file().starts_with(library) => place,
        _ => caller,
    }
}

/// Runs `f` as a call from `place`, which is told to be where files below `library` record.
///
/// ```
/// use std::panic::Location;
/// use wgrad_graph::{Device, Tensor, place};
/// let here = Location::caller();
/// let x = place::within(here, file!(), || Tensor::new(&[1.0f32], &Device::cpu()));
/// assert_eq!(x.location(), here);
/// let y = place::within(here, "elsewhere/", || Tensor::new(&[1.0f32], &Device::cpu()));
/// assert_ne!(y.location(), here);
/// ```
pub fn within<T>(
    place: &'static Location<'static>,
    library: &'static str,
    f: impl FnOnce() -> T,
) -> T {
    let _restore = Restore(CALL.replace(Some((of(place), library))));
    f()
}

/// Puts the call back that ran before, also when `f` panics.
struct Restore(Option<Call>);

impl Drop for Restore {
    fn drop(&mut self) {
        CALL.set(self.0);
    }
}
