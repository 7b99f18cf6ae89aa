//! Floats of two bytes from f32, rounded to nearest even, and back, a line at a time. Knows nothing else.

use crate::lanes::{Element, Lanes, best, read};
use half::{bf16, f16};

/// A float of two bytes.
pub(crate) trait Half: Element + bytemuck::Pod + Send + Sync {
    /// Line `l` of `out`, `stride` long, becomes the `width` elements of `data` from `at + l * step` on, and zeros.
    fn widen_lines(data: &[Self], from: (usize, usize), out: &mut [f32], line: (usize, usize));

    /// Rounds lines of `values`, the first `width` floats of every `stride`, to elements `row` apart from one line's first to the
    /// next's. The last line may end after `width`.
    ///
    /// # Safety
    /// There are as many elements behind `out`, and nobody else touches them.
    unsafe fn narrow_lines(values: &[f32], line: (usize, usize), out: *mut Self, row: usize);

    /// Writes what all of `values` are; `out` is as long.
    fn widen(values: &[Self], out: &mut [f32]) {
        let n = out.len();
        assert_eq!(values.len(), n);
        if n > 0 {
            Self::widen_lines(values, (0, n), out, (n, n));
        }
    }

    /// Rounds all of `values`; `out` is as long.
    fn narrow(values: &[f32], out: &mut [Self]) {
        let n = out.len();
        assert_eq!(values.len(), n);
        if n > 0 {
            // SAFETY: the only line has `n` elements, and is borrowed.
            unsafe { Self::narrow_lines(values, (n, n), out.as_mut_ptr(), n) }
        }
    }
}

macro_rules! halves {
    ($($t:ty: $widen:ident, $narrow:ident by $narrow_with:ident, $store:ident;)*) => {$(
        impl Half for $t {
            fn widen_lines(
                data: &[$t],
                from: (usize, usize),
                out: &mut [f32],
                line: (usize, usize),
            ) {
                $widen(data, from, out, line);
            }

            unsafe fn narrow_lines(
                values: &[f32],
                line: (usize, usize),
                out: *mut $t,
                row: usize,
            ) {
                $narrow(values, line, out, row);
            }
        }

        best! {
            fn $widen(data: &[$t], from: (usize, usize), out: &mut [f32], line: (usize, usize)) = widen_with
        }

        best! {
            fn $narrow(values: &[f32], line: (usize, usize), out: *mut $t, row: usize) = $narrow_with
        }

        #[inline(always)]
        unsafe fn $narrow_with<V: Lanes>(
            values: &[f32],
            (stride, width): (usize, usize),
            out: *mut $t,
            row: usize,
        ) {
            for (l, line) in values.chunks(stride).enumerate() {
                let out = out.wrapping_add(l * row);
                for (i, line) in line[..width].chunks(V::LEN).enumerate() {
                    // SAFETY: the line has as many elements, and the output, says the caller; so has the processor what `V` needs.
                    unsafe {
                        let lanes: V = read(line.as_ptr(), line.len());
                        lanes.$store(out.wrapping_add(i * V::LEN), line.len());
                    }
                }
            }
        }
    )*};
}

halves! {
    f16: widen_f16, narrow_f16 by narrow_f16_with, store_f16;
    bf16: widen_bf16, narrow_bf16 by narrow_bf16_with, store_bf16;
}

#[inline(always)]
unsafe fn widen_with<V: Lanes>(
    data: &[impl Element],
    (at, step): (usize, usize),
    out: &mut [f32],
    (stride, width): (usize, usize),
) {
    for (l, out) in out.chunks_exact_mut(stride).enumerate() {
        let data = &data[at + l * step..][..width];
        let (out, rest) = out.split_at_mut(width);
        for (data, out) in data.chunks(V::LEN).zip(out.chunks_mut(V::LEN)) {
            // SAFETY: both have as many elements; the processor is the caller's promise.
            unsafe {
                let lanes: V = Element::load(data.as_ptr(), data.len());
                match out.len() == V::LEN {
                    true => lanes.store(out.as_mut_ptr()),
                    false => lanes.store_first(out.as_mut_ptr(), out.len()),
                }
            }
        }
        rest.fill(0.0);
    }
}
