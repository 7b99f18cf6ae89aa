//! Runs of words of a Philox 4x32-10 stream, several counters at once. The generator itself is `math`'s.

use crate::math::philox4x32_10;
use crate::simd::simd_fn;

/// Counters computed together: one AVX-512 register of 32-bit lanes.
const WIDE: usize = 16;

/// Word `w` of the stream.
pub(crate) fn word(w: u64, stream: [u32; 3], key: [u32; 2]) -> u32 {
    philox4x32_10([(w / 4) as u32, stream[0], stream[1], stream[2]], key)[(w % 4) as usize]
}

/// Words `first..` of the stream.
pub(crate) fn words(first: u64, stream: [u32; 3], key: [u32; 2], out: &mut [u32]) {
    let head = ((4 - first % 4) % 4).min(out.len() as u64) as usize;
    let (head, rest) = out.split_at_mut(head);
    for (i, out) in head.iter_mut().enumerate() {
        *out = word(first + i as u64, stream, key);
    }
    let mut counter = ((first + head.len() as u64) / 4) as u32;
    let mut groups = rest.chunks_exact_mut(4 * WIDE);
    for group in &mut groups {
        wide(counter, stream, key, group);
        counter = counter.wrapping_add(WIDE as u32);
    }
    for quad in groups.into_remainder().chunks_mut(4) {
        let four = philox4x32_10([counter, stream[0], stream[1], stream[2]], key);
        quad.copy_from_slice(&four[..quad.len()]);
        counter = counter.wrapping_add(1);
    }
}

simd_fn! {
    fn wide(counter: u32, stream: [u32; 3], key: [u32; 2], out: &mut [u32]) {
        let mut a: [u32; WIDE] = std::array::from_fn(|i| counter.wrapping_add(i as u32));
        let (mut b, mut c, mut d) = ([stream[0]; WIDE], [stream[1]; WIDE], [stream[2]; WIDE]);
        let mut key = key;
        for _ in 0..10 {
            for i in 0..WIDE {
                let p = u64::from(a[i]) * 0xD251_1F53;
                let q = u64::from(c[i]) * 0xCD9E_8D57;
                a[i] = (q >> 32) as u32 ^ b[i] ^ key[0];
                b[i] = q as u32;
                c[i] = (p >> 32) as u32 ^ d[i] ^ key[1];
                d[i] = p as u32;
            }
            key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
        }
        for (i, quad) in out.chunks_exact_mut(4).enumerate() {
            quad.copy_from_slice(&[a[i], b[i], c[i], d[i]]);
        }
    }
}
