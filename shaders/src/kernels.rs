//! The named kernels, by family: source text as a device takes it, with the names of what varies.
//!
//! A kernel is one file, or a core with the file of its operands or its operation joined to it. What varies is
//! an `override` constant, or the dtype of `alias Element`, which [`with_element`] replaces. Binding numbers
//! and workgroup sizes are reflected from the text and never repeated here.

macro_rules! join {
    ($($file:literal),+ $(,)?) => { concat!($(include_str!(concat!("../", $file, ".wgsl"))),+) };
}

/// The texts of a core that walks through a convolution, with its operands.
macro_rules! walks {
    ($($file:literal),+) => {
        join!("finish", "conv_products", "conv_walk", "conv_common", $($file),+)
    };
}

/// Matrix product through workgroup memory; overrides `TX`, `A_ALONG_K`, `B_ALONG_K`.
pub const MATMUL_TILED: &str = join!(
    "gemm_load",
    "finish",
    "gemm_store",
    "gemm_plane",
    "gemm_tiles",
    "gemm_tiled",
    "matmul"
);
/// Matrix product with wide tiles; overrides `A_ALONG_K`, `B_ALONG_K`.
pub const MATMUL_WIDE: &str = join!(
    "gemm_load",
    "finish",
    "gemm_store",
    "gemm_plane",
    "gemm_tiles",
    "gemm_wide",
    "matmul"
);
/// As [`MATMUL_TILED`], for lines that are aligned to four elements; overrides `A_FOURS`, `B_FOURS` too.
pub const MATMUL_TILED_ALIGNED: &str = join!(
    "finish",
    "gemm_store",
    "gemm_plane",
    "gemm_tiles",
    "gemm_tiled",
    "matmul_aligned"
);
/// As [`MATMUL_WIDE`], likewise.
pub const MATMUL_WIDE_ALIGNED: &str = join!(
    "finish",
    "gemm_store",
    "gemm_plane",
    "gemm_tiles",
    "gemm_wide",
    "matmul_aligned"
);
/// Matrix product in registers, for software adapters.
pub const MATMUL_REGISTER: &str = join!(
    "finish",
    "gemm_store",
    "gemm_plane",
    "gemm_register",
    "matmul"
);

/// Matrix product by subgroups of 8; overrides `A_ALONG_K`, `B_ALONG_K`. Needs subgroup shuffles.
pub const MATMUL_LANES: &str = join!(
    "finish",
    "gemm_store",
    "gemm_plane",
    "gemm_lanes",
    "lanes_any",
    "matmul"
);
/// As [`MATMUL_LANES`], for lines that are aligned to four elements.
pub const MATMUL_LANES_ALIGNED: &str = join!(
    "finish",
    "gemm_store",
    "gemm_plane",
    "gemm_lanes",
    "lanes_aligned"
);

/// Convolution as a tiled product; overrides `TX`, `B_ALONG_K`, `DEEP`.
pub const CONV_FORWARD_TILED: &str = walks!("conv_tiled", "conv_walk_forward");
/// Convolution as a product with wide tiles; overrides `B_ALONG_K`, `DEEP`.
pub const CONV_FORWARD_WIDE: &str = walks!("conv_wide", "conv_walk_forward");
/// Convolution in registers.
pub const CONV_FORWARD_REGISTER: &str = join!(
    "finish",
    "gemm_store",
    "gemm_plane",
    "gemm_register",
    "conv_common",
    "conv_image",
    "conv_forward"
);
/// Convolution as a product by subgroups of 8.
pub const CONV_FORWARD_LANES: &str = join!(
    "finish",
    "gemm_store",
    "gemm_plane",
    "gemm_lanes",
    "lanes_any",
    "conv_common",
    "conv_image",
    "conv_forward"
);
/// Convolution, or the gradient of its input, with a thread for each four elements of the result; overrides `INPUT_GRAD`,
/// `UNROLLED`, `BY_TWO`, `DEEP`, `DENSE`.
pub const CONV_DIRECT: &str = join!(
    "finish",
    "conv_direct",
    "conv_columns",
    "conv_common",
    "conv_phase"
);
/// Gradient of the weight without tiles; overrides `UNROLLED`, `BY_TWO`, `DEEP`.
pub const CONV_DIRECT_WEIGHT_GRAD: &str = join!(
    "finish",
    "conv_direct_weight_grad",
    "conv_columns",
    "conv_common"
);
/// Gradient of the input as a tiled product; overrides as [`CONV_FORWARD_TILED`] and `DENSE`.
pub const CONV_INPUT_GRAD_TILED: &str = walks!("conv_tiled", "conv_phase", "conv_walk_input_grad");
/// Gradient of the input with wide tiles; overrides as [`CONV_FORWARD_WIDE`] and `DENSE`.
pub const CONV_INPUT_GRAD_WIDE: &str = walks!("conv_wide", "conv_phase", "conv_walk_input_grad");
/// Gradient of the input in registers; override `DENSE`.
pub const CONV_INPUT_GRAD_REGISTER: &str = join!(
    "finish",
    "gemm_store",
    "gemm_register",
    "conv_common",
    "conv_phase",
    "conv_input_grad"
);
/// Gradient of the input as a product by subgroups of 8; override `DENSE`.
pub const CONV_INPUT_GRAD_LANES: &str = join!(
    "finish",
    "gemm_store",
    "gemm_lanes",
    "lanes_any",
    "conv_common",
    "conv_phase",
    "conv_input_grad"
);
/// Gradient of the weight as a tiled product; overrides as [`CONV_FORWARD_TILED`].
pub const CONV_WEIGHT_GRAD_TILED: &str = walks!("conv_tiled", "conv_walk_weight_grad");
/// Gradient of the weight with wide tiles; overrides as [`CONV_FORWARD_WIDE`].
pub const CONV_WEIGHT_GRAD_WIDE: &str = walks!("conv_wide", "conv_walk_weight_grad");
/// Gradient of the weight in registers.
pub const CONV_WEIGHT_GRAD_REGISTER: &str = join!(
    "finish",
    "gemm_store",
    "gemm_plane",
    "gemm_register",
    "conv_common",
    "conv_image",
    "conv_weight_grad"
);
/// Gradient of the weight as a product by subgroups of 8.
pub const CONV_WEIGHT_GRAD_LANES: &str = join!(
    "finish",
    "gemm_store",
    "gemm_plane",
    "gemm_lanes",
    "lanes_any",
    "conv_common",
    "conv_image",
    "conv_weight_grad"
);
/// What products call where they store; another function of its kind may stand in its place.
pub const FINISH: &str = include_str!("../finish.wgsl");
/// How products store what they have; another text of its kind may stand in its place.
pub const GEMM_STORE: &str = include_str!("../gemm_store.wgsl");
/// Second pass of a split sum.
pub const SUM_PARTS: &str = join!("finish", "sum_parts");

/// Window sum and argmax; override `ARGMAX`.
pub const WINDOW: &str = join!("window");
/// One dimension of a window sum or argmax; overrides `ARGMAX`, `FIRST`, `LAST`.
pub const WINDOW_LINE: &str = join!("window_line");

/// Scatter-add, a thread for each row; any element; override `SETTLES`.
pub const SCATTER_ADD_ROWS: &str = join!("scatter_add_rows");
/// What a result replaces, where the run has failed.
pub const KEEP: &str = join!("keep");
/// A run that fails because one before it has.
pub const INHERIT: &str = join!("inherit");
/// Zeros.
pub const ZERO: &str = join!("zero");
/// Elements of four bytes as such of two.
pub const NARROW: &str = join!("narrow");
/// Scatter-add, a thread for each target; any element.
pub const SCATTER_ADD_TARGETS: &str = join!("scatter_add_targets");
/// Scatter-add, a workgroup for each line of targets; any element.
pub const SCATTER_ADD_LINES: &str = join!("scatter_add_lines");

/// Scatter-add by the order of the indices, a thread for each element of the result; any element.
pub const SCATTER_ADD_SORTED: &str = join!("scatter_add_sorted");

/// The kernels of attention, where there is a mask or none; they want `w_exp`, `w_log`, `w_is_nan`.
#[derive(Clone, Copy, Debug)]
pub struct AttentionKernels {
    /// Results and what is kept of each row; overrides `PARTS`, `VALUE_PARTS`, `OUT`, `NORMALIZER`.
    pub forward: &'static str,
    /// The gradient of the queries; overrides `PARTS`, `VALUE_PARTS`.
    pub queries: &'static str,
    /// Those of keys and values; overrides `PARTS`, `VALUE_PARTS`, `KEY`, `VALUE`.
    pub keys: &'static str,
}

macro_rules! attention {
    ($mask:literal) => {
        AttentionKernels {
            forward: join!("attention_common", "attention_forward", $mask),
            queries: join!(
                "attention_common",
                "attention_back_common",
                "attention_back_queries",
                $mask
            ),
            keys: join!(
                "attention_common",
                "attention_back_common",
                "attention_back_keys",
                $mask
            ),
        }
    };
}

/// Attention without a mask.
pub const ATTENTION: AttentionKernels = attention!("attention_plain");
/// Attention with a mask, whose buffer [`with_mask`] declares.
pub const ATTENTION_MASKED: AttentionKernels = attention!("attention_masked");

/// `source` with the mask's buffer at a binding.
pub fn with_mask(source: &str, binding: usize) -> String {
    format!("{source}\n@group(0) @binding({binding}) var<storage, read> in_mask: array<u32>;\n")
}

/// The five kernels of a scan with one operation.
#[derive(Clone, Copy, Debug)]
pub struct ScanKernels {
    /// A thread for each row.
    pub serial: &'static str,
    /// A workgroup for each row.
    pub blocked: &'static str,
    /// Long rows: what each part comes to.
    pub totals: &'static str,
    /// Long rows: what all parts before each come to.
    pub carry: &'static str,
    /// Long rows: each part, joined to what is before it.
    pub parts: &'static str,
}

macro_rules! scans {
    ($($file:literal),+) => {
        ScanKernels {
            serial: join!($($file,)+ "scan_serial"),
            blocked: join!($($file,)+ "scan_blocked"),
            totals: join!($($file,)+ "scan_totals"),
            carry: join!($($file,)+ "scan_carry"),
            parts: join!($($file,)+ "scan_parts"),
        }
    };
}

/// Running sum; any element.
pub const SCAN_SUM: ScanKernels = scans!("scan_sum", "scan_one");
/// Running product; any element.
pub const SCAN_PROD: ScanKernels = scans!("scan_prod", "scan_one");
/// Running maximum; wants [`KEYS_F32`] or another keys file.
pub const SCAN_MAX: ScanKernels = scans!("scan_max", "scan_one");
/// Running log-sum-exp; wants `w_exp`, `w_log`, `w_is_nan`.
pub const SCAN_LOGSUMEXP: ScanKernels = scans!("scan_logsumexp", "scan_one");
/// Linear recurrence, with the factors as a further binding; f32.
pub const SCAN_LINEAR: ScanKernels = scans!("scan_linear");

/// Argsort of rows up to 1024; wants a keys file.
pub const ARGSORT_SHORT: &str = join!("argsort_short");
/// Argsort within blocks; wants a keys file; overrides `FIRST`, `LAST`.
pub const ARGSORT_BLOCKS: &str = join!("argsort_blocks");
/// Argsort between blocks.
pub const ARGSORT_STEP: &str = join!("argsort_step");

/// Radix sort: digits of each tile; wants a keys file; override `FIRST`.
pub const RADIX_COUNT: &str = join!("radix_count");
/// Radix sort: digits of each row.
pub const RADIX_TOTALS: &str = join!("radix_totals");
/// Radix sort: where digits of each tile go.
pub const RADIX_PLACES: &str = join!("radix_places");
/// Radix sort: positions to their places; wants a keys file; override `FIRST`.
pub const RADIX_MOVE: &str = join!("radix_move");

/// Orders of f32 as words: `Element`, `to_key`, `to_rank`, `from_key`.
pub const KEYS_F32: &str = join!("keys_f32");
/// Orders of i32 as words.
pub const KEYS_I32: &str = join!("keys_i32");
/// Orders of u32 as words.
pub const KEYS_U32: &str = join!("keys_u32");

/// `source` for elements of a WGSL type (`f32`, `i32` or `u32`).
pub fn with_element(source: &str, element: &str) -> String {
    source.replace(
        "alias Element = f32;",
        &format!("alias Element = {element};"),
    )
}
