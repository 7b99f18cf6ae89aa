//! Orders of lanes as orders of integer keys, for maxima and sorting: NaN is the greatest, -0 equals +0.

use crate::simd::simd_fn;

/// An order of lanes, as an order of i32 keys.
pub(crate) trait Key: 'static {
    /// The key of what is smaller than anything or equal to it.
    const LEAST: i32;
    /// The key of a lane.
    fn key(lane: u32) -> i32;
    /// A lane with this key.
    fn lane(key: i32) -> u32;
    /// The greatest key; at least [`Key::LEAST`].
    fn greatest(lanes: &[u32]) -> i32;
    /// `best = max(best, key)`, lane by lane.
    fn raise(best: &mut [i32], lanes: &[u32]);
    /// Where a key is greater than the best, it and the block's number take the place of the old.
    fn raise_at(best: &mut [i32], block: &mut [u32], lanes: &[u32], number: u32);
}

macro_rules! key {
    ($(#[$meta:meta])* $name:ident, $least:expr, $key:expr, $lane:expr, $greatest:expr) => {
        $(#[$meta])*
        pub(crate) struct $name;

        impl Key for $name {
            const LEAST: i32 = $least;

            #[inline(always)]
            fn key(lane: u32) -> i32 {
                ($key)(lane)
            }

            fn lane(key: i32) -> u32 {
                ($lane)(key)
            }

            fn greatest(lanes: &[u32]) -> i32 {
                ($greatest)(lanes)
            }

            fn raise(best: &mut [i32], lanes: &[u32]) {
                simd_fn! {
                    fn raise(best: &mut [i32], lanes: &[u32]) {
                        for (best, &lane) in best.iter_mut().zip(lanes) {
                            *best = (*best).max($name::key(lane));
                        }
                    }
                }
                raise(best, lanes);
            }

            fn raise_at(best: &mut [i32], block: &mut [u32], lanes: &[u32], number: u32) {
                simd_fn! {
                    fn raise_at(best: &mut [i32], block: &mut [u32], lanes: &[u32], number: u32) {
                        for ((best, block), &lane) in best.iter_mut().zip(block).zip(lanes) {
                            let key = $name::key(lane);
                            let more = key > *best;
                            *best = if more { key } else { *best };
                            *block = if more { number } else { *block };
                        }
                    }
                }
                raise_at(best, block, lanes, number);
            }
        }
    };
}

key!(
    /// Floats; −0 equals +0 and every NaN is the greatest.
    KeyF32,
    float_key(0xFF80_0000),
    float_key,
    |key: i32| if key == i32::MAX { f32::NAN.to_bits() } else { (key ^ (key >> 31 & 0x7FFF_FFFF)) as u32 },
    greatest_float
);
key!(
    /// Signed integers.
    KeyI32,
    i32::MIN,
    |lane: u32| lane as i32,
    |key: i32| key as u32,
    |lanes: &[u32]| greatest_int(bytemuck::cast_slice(lanes), 0)
);
key!(
    /// Unsigned integers and truth values.
    KeyU32,
    i32::MIN,
    |lane: u32| (lane ^ 0x8000_0000) as i32,
    |key: i32| key as u32 ^ 0x8000_0000,
    |lanes: &[u32]| greatest_int(bytemuck::cast_slice(lanes), i32::MIN)
);

simd_fn! {
    /// The greatest of the lanes with the bits `flip` turned over.
    fn greatest_int(lanes: &[i32], flip: i32) -> i32 {
        lanes.iter().fold(i32::MIN, |best, &lane| best.max(lane ^ flip))
    }
}

simd_fn! {
    /// The key of the greatest float: by comparing floats, and magnitudes as integers, where a NaN is above all.
    fn greatest_float(lanes: &[u32]) -> i32 {
        const LEAST: i32 = KeyF32::LEAST;
        let mut best = [f32::NEG_INFINITY; 64];
        let mut magnitude = [0i32; 64];
        let mut groups = lanes.chunks_exact(64);
        for group in &mut groups {
            for i in 0..64 {
                let x = f32::from_bits(group[i]);
                best[i] = if x > best[i] { x } else { best[i] };
                magnitude[i] = magnitude[i].max((group[i] & 0x7FFF_FFFF) as i32);
            }
        }
        let rest = groups.remainder().iter().fold(LEAST, |b, &lane| b.max(float_key(lane)));
        if lanes.len() < 64 {
            return rest;
        }
        if magnitude.iter().fold(0, |a, &b| a.max(b)) > 0x7F80_0000 {
            return i32::MAX;
        }
        let best = best.iter().fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a });
        rest.max(float_key(best.to_bits()))
    }
}

/// The key of a float's bits.
#[inline(always)]
pub(crate) const fn float_key(bits: u32) -> i32 {
    let bits = if bits == 0x8000_0000 { 0 } else { bits as i32 };
    let key = bits ^ (bits >> 31 & 0x7FFF_FFFF);
    if bits & 0x7FFF_FFFF > 0x7F80_0000 {
        i32::MAX
    } else {
        key
    }
}
