//! AVX2 with FMA, and AVX-512.
use crate::lanes::Lanes;
use half::{bf16, f16};
use std::arch::x86_64::*;

/// Eight floats.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(__m256);

/// Sixteen floats.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(__m512);

/// Lanes `i < n` have their sign bit set in the eight words from `MASKS[8 - n]` on.
static MASKS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

#[inline(always)]
unsafe fn mask(n: usize) -> __m256i {
    // SAFETY: `n <= 8`, so eight words lie in the table; the processor has AVX2.
    unsafe { _mm256_loadu_si256(MASKS.as_ptr().add(8 - n).cast()) }
}

/// The first `n` of eight words of two bytes at `p`, zero in the others.
#[inline(always)]
unsafe fn eight(p: *const u16, n: usize) -> __m128i {
    // SAFETY: the caller's, who has so many words.
    unsafe {
        if n == 8 {
            return _mm_loadu_si128(p.cast());
        }
        let mut words = [0u16; 8];
        for (i, word) in words.iter_mut().enumerate().take(n) {
            *word = *p.add(i);
        }
        _mm_loadu_si128(words.as_ptr().cast())
    }
}

/// Writes the first `n` of eight words of two bytes.
#[inline(always)]
unsafe fn store_eight(words: __m128i, p: *mut u16, n: usize) {
    // SAFETY: the caller's, who has room for so many.
    unsafe {
        if n == 8 {
            return _mm_storeu_si128(p.cast(), words);
        }
        let mut all = [0u16; 8];
        _mm_storeu_si128(all.as_mut_ptr().cast(), words);
        for (i, &word) in all.iter().enumerate().take(n) {
            *p.add(i) = word;
        }
    }
}

/// The first `n` of sixteen words of two bytes at `p`, zero in the others.
#[inline(always)]
unsafe fn sixteen(p: *const u16, n: usize) -> __m256i {
    // SAFETY: the caller's, who has so many words.
    unsafe {
        match n == 16 {
            true => _mm256_loadu_si256(p.cast()),
            false => _mm256_maskz_loadu_epi16(first(n), p.cast()),
        }
    }
}

/// Writes the first `n` of sixteen words of two bytes. (Some processors take many times as long for a masked store.)
#[inline(always)]
unsafe fn store_sixteen(words: __m256i, p: *mut u16, n: usize) {
    // SAFETY: the caller's, who has room for so many.
    unsafe {
        match n == 16 {
            true => _mm256_storeu_si256(p.cast(), words),
            false => _mm256_mask_storeu_epi16(p.cast(), first(n), words),
        }
    }
}

/// A mask of the first `n` of sixteen lanes.
#[inline(always)]
fn first(n: usize) -> u16 {
    0xFFFF_u16.unbounded_shr(16 - n as u32)
}

// SAFETY of both: the callers guarantee pointers and processor, as the trait demands.
impl Lanes for Avx2 {
    const LEN: usize = 8;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Avx2(unsafe { _mm256_set1_ps(x) })
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        Avx2(unsafe { _mm256_loadu_ps(p) })
    }
    #[inline(always)]
    unsafe fn load_first(p: *const f32, n: usize) -> Self {
        Avx2(unsafe { _mm256_maskload_ps(p, mask(n)) })
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        unsafe { _mm256_storeu_ps(p, self.0) }
    }
    #[inline(always)]
    unsafe fn store_first(self, p: *mut f32, n: usize) {
        unsafe { _mm256_maskstore_ps(p, mask(n), self.0) }
    }
    #[inline(always)]
    unsafe fn fma(self, a: Self, b: Self) -> Self {
        Avx2(unsafe { _mm256_fmadd_ps(a.0, b.0, self.0) })
    }
    #[inline(always)]
    unsafe fn add(self, a: Self) -> Self {
        Avx2(unsafe { _mm256_add_ps(self.0, a.0) })
    }
    #[inline(always)]
    unsafe fn sub(self, a: Self) -> Self {
        Avx2(unsafe { _mm256_sub_ps(self.0, a.0) })
    }
    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        unsafe {
            let half = _mm_add_ps(
                _mm256_castps256_ps128(self.0),
                _mm256_extractf128_ps::<1>(self.0),
            );
            let two = _mm_add_ps(half, _mm_movehl_ps(half, half));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
        }
    }
    #[inline(always)]
    unsafe fn interleave(self, a: Self) -> (Self, Self) {
        unsafe {
            let (low, high) = (
                _mm256_unpacklo_ps(self.0, a.0),
                _mm256_unpackhi_ps(self.0, a.0),
            );
            (
                Avx2(_mm256_permute2f128_ps::<0x20>(low, high)),
                Avx2(_mm256_permute2f128_ps::<0x31>(low, high)),
            )
        }
    }
    #[inline(always)]
    unsafe fn deinterleave(self, a: Self) -> (Self, Self) {
        unsafe {
            let low = _mm256_permute2f128_ps::<0x20>(self.0, a.0);
            let high = _mm256_permute2f128_ps::<0x31>(self.0, a.0);
            (
                Avx2(_mm256_shuffle_ps::<0x88>(low, high)),
                Avx2(_mm256_shuffle_ps::<0xDD>(low, high)),
            )
        }
    }
    #[inline(always)]
    unsafe fn prefetch(p: *const f32) {
        unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
    }
    #[inline(always)]
    unsafe fn load_f16(p: *const f16, n: usize) -> Self {
        Avx2(unsafe { _mm256_cvtph_ps(eight(p.cast(), n)) })
    }
    #[inline(always)]
    unsafe fn load_bf16(p: *const bf16, n: usize) -> Self {
        unsafe {
            let words = _mm256_cvtepu16_epi32(eight(p.cast(), n));
            Avx2(_mm256_castsi256_ps(_mm256_slli_epi32::<16>(words)))
        }
    }
    #[inline(always)]
    unsafe fn store_f16(self, p: *mut f16, n: usize) {
        unsafe {
            store_eight(
                _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(self.0),
                p.cast(),
                n,
            )
        }
    }
    #[inline(always)]
    unsafe fn store_bf16(self, p: *mut bf16, n: usize) {
        unsafe {
            let bits = _mm256_castps_si256(self.0);
            let upper = _mm256_srli_epi32::<16>(bits);
            let odd = _mm256_and_si256(upper, _mm256_set1_epi32(1));
            let half = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
            let near = _mm256_srli_epi32::<16>(_mm256_add_epi32(bits, half));
            let quiet = _mm256_or_si256(upper, _mm256_set1_epi32(0x40));
            let nan = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_UNORD_Q>(self.0, self.0));
            let words = _mm256_blendv_epi8(near, quiet, nan);
            let low = _mm256_castsi256_si128(words);
            let high = _mm256_extracti128_si256::<1>(words);
            store_eight(_mm_packus_epi32(low, high), p.cast(), n);
        }
    }
}

impl Lanes for Avx512 {
    const LEN: usize = 16;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Avx512(unsafe { _mm512_set1_ps(x) })
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        Avx512(unsafe { _mm512_loadu_ps(p) })
    }
    #[inline(always)]
    unsafe fn load_first(p: *const f32, n: usize) -> Self {
        Avx512(unsafe { _mm512_maskz_loadu_ps(first(n), p) })
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        unsafe { _mm512_storeu_ps(p, self.0) }
    }
    #[inline(always)]
    unsafe fn store_first(self, p: *mut f32, n: usize) {
        unsafe {
            _mm512_mask_storeu_ps(p, first(n), self.0);
        }
    }
    #[inline(always)]
    unsafe fn fma(self, a: Self, b: Self) -> Self {
        Avx512(unsafe { _mm512_fmadd_ps(a.0, b.0, self.0) })
    }
    #[inline(always)]
    unsafe fn add(self, a: Self) -> Self {
        Avx512(unsafe { _mm512_add_ps(self.0, a.0) })
    }
    #[inline(always)]
    unsafe fn sub(self, a: Self) -> Self {
        Avx512(unsafe { _mm512_sub_ps(self.0, a.0) })
    }
    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        unsafe { _mm512_reduce_add_ps(self.0) }
    }
    #[inline(always)]
    unsafe fn interleave(self, a: Self) -> (Self, Self) {
        unsafe {
            let low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            let high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
            (
                Avx512(_mm512_permutex2var_ps(self.0, low, a.0)),
                Avx512(_mm512_permutex2var_ps(self.0, high, a.0)),
            )
        }
    }
    #[inline(always)]
    unsafe fn deinterleave(self, a: Self) -> (Self, Self) {
        unsafe {
            let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
            let odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
            (
                Avx512(_mm512_permutex2var_ps(self.0, even, a.0)),
                Avx512(_mm512_permutex2var_ps(self.0, odd, a.0)),
            )
        }
    }
    #[inline(always)]
    unsafe fn prefetch(p: *const f32) {
        unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
    }
    #[inline(always)]
    unsafe fn load_f16(p: *const f16, n: usize) -> Self {
        unsafe {
            let bits = sixteen(p.cast(), n);
            Avx512(_mm512_cvtph_ps(bits))
        }
    }
    #[inline(always)]
    unsafe fn load_bf16(p: *const bf16, n: usize) -> Self {
        unsafe {
            let bits = sixteen(p.cast(), n);
            let words = _mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(bits));
            Avx512(_mm512_castsi512_ps(words))
        }
    }
    #[inline(always)]
    unsafe fn store_f16(self, p: *mut f16, n: usize) {
        unsafe {
            let bits = _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(self.0);
            store_sixteen(bits, p.cast(), n);
        }
    }
    #[inline(always)]
    unsafe fn store_bf16(self, p: *mut bf16, n: usize) {
        unsafe {
            let bits = _mm512_castps_si512(self.0);
            let upper = _mm512_srli_epi32::<16>(bits);
            let odd = _mm512_and_si512(upper, _mm512_set1_epi32(1));
            let half = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff));
            let near = _mm512_srli_epi32::<16>(_mm512_add_epi32(bits, half));
            let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(self.0, self.0);
            let words = _mm512_mask_or_epi32(near, nan, upper, _mm512_set1_epi32(0x40));
            store_sixteen(_mm512_cvtepi32_epi16(words), p.cast(), n);
        }
    }
}
